/*
 * A stand-in for the official `dodopayments-checkout` script, as its package 1.9.9 behaves: the same
 * global, the page in a sandboxed frame that may not navigate the shop, and a message to the shop's
 * page when the buyer is to be sent back. Left out are looks, wallets and the inline form; and the
 * real script takes addresses on Dodo's own hosts only.
 */
(function () {
  "use strict";

  var onEvent = function () {};
  var frame = null;
  var origin = null;

  function tell(type, data) {
    onEvent({ event_type: type, data: data });
  }

  function close() {
    if (!frame) return;
    frame.remove();
    frame = null;
    tell("checkout.closed");
  }

  function open(order) {
    if (frame) return;
    var url = new URL(order.checkoutUrl);
    var session = /^\/session\/(cks_[A-Za-z0-9_-]{21})$/.exec(url.pathname);
    if (!session) throw new Error("Session URL must have format: /session/cks_sessionId");
    origin = url.origin;
    frame = document.createElement("iframe");
    frame.id = "dodo-checkout-iframe";
    frame.setAttribute(
      "sandbox",
      "allow-same-origin allow-scripts allow-forms allow-popups allow-popups-to-escape-sandbox"
    );
    frame.src = origin + "/overlay/session/" + session[1];
    frame.style.cssText = "position:fixed;inset:0;width:100%;height:100%;border:0;z-index:1000";
    frame.addEventListener("load", function () { tell("checkout.opened"); }, { once: true });
    document.body.appendChild(frame);
  }

  window.addEventListener("message", function (message) {
    if (!frame || message.origin !== origin || !message.data) return;
    if (message.data.event_type !== "checkout.redirect") return;
    var target = new URL(message.data.data.message.redirect_to);
    if (target.protocol === "https:" || target.protocol === "http:") location.href = target.href;
  });

  window.DodoPaymentsCheckout = {
    DodoPayments: {
      Initialize: function (options) { onEvent = options.onEvent || onEvent; },
      Checkout: { open: open, close: close, isOpen: function () { return frame !== null; } }
    }
  };
})();
