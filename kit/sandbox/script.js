/*
 * A stand-in for DataFast's tracking script, written from its documented behaviour: same tag, same
 * cookies, same events. One difference on purpose: the real script sends nothing from an automated
 * browser (navigator.webdriver, headless user agents, driver globals), so an end-to-end test of a
 * shop would see no visitor at all. This one does not refuse automation, because those tests are
 * what it is for.
 *
 * The server puts "", "hash" or "cookieless" in place of the variant.
 */
(function () {
  "use strict";

  var VARIANT = "__VARIANT__";
  var COOKIELESS = VARIANT === "cookieless";
  var VISITOR = "datafast_visitor_id";
  var SESSION = "datafast_session_id";
  var FIRST_SEEN = "datafast_visitor_first_seen_at";
  var SESSION_COUNT = "datafast_visitor_session_count";
  var PAGEVIEW_STATE = "datafast_pageview_state";
  var DAY_MS = 86400000;
  var VISITOR_LIFE_MS = 365 * DAY_MS;
  var SESSION_LIFE_MS = DAY_MS / 48;
  var THROTTLE_MS = 60000;
  var DEBOUNCE_MS = 100;
  var MAX_SESSIONS = 1000000;
  var UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;
  var CLICK_IDS = ["gclid", "gclsrc", "wbraid", "gbraid", "li_fat_id", "fbclid", "msclkid", "ttclid", "twclid"];
  var GOAL_NAME = /^[a-z0-9_:-]{1,64}$/;

  var tag = document.currentScript || document.querySelector("script[data-website-id]");

  function option(name) {
    return (tag && tag.getAttribute("data-" + name)) || "";
  }

  function enabled(name) {
    return option(name) === "true";
  }

  var websiteId = option("website-id");
  var domain = option("domain");
  var allowedHostnames = option("allowed-hostnames")
    .split(",")
    .map(function (hostname) { return hostname.trim(); })
    .filter(Boolean);

  /* --- when to stay silent ------------------------------------------------------------------ */

  function isLocalhost(hostname) {
    return /^(localhost|127(\.\d+){3}|\[?::1\]?|.+\.local|.+\.localhost)$/.test(hostname);
  }

  function insideFrame() {
    try {
      return window.self !== window.top;
    } catch (error) {
      return true;
    }
  }

  function ignored() {
    try {
      return localStorage.getItem("datafast_ignore") === "true";
    } catch (error) {
      return false;
    }
  }

  function reasonForSilence() {
    if (!websiteId || !domain) return "data-website-id and data-domain are required";
    if (isLocalhost(location.hostname) && !enabled("allow-localhost")) return "localhost";
    if (location.protocol === "file:" && !enabled("allow-file-protocol")) return "file";
    if (insideFrame() && !enabled("debug")) return "iframe";
    return null;
  }

  /* --- cookies: path and root domain, no SameSite, no Secure, readable by scripts ------------- */

  function cookieDomain() {
    var host = location.hostname;
    if (!host || isLocalhost(host)) return "";
    var inside = host === domain || host.endsWith("." + domain);
    return "; domain=." + (inside ? domain : host);
  }

  function readCookie(name) {
    var parts = document.cookie.split("; ");
    for (var i = 0; i < parts.length; i++) {
      if (parts[i].indexOf(name + "=") === 0) return parts[i].slice(name.length + 1);
    }
    return null;
  }

  function writeCookie(name, value, lifeMs) {
    var expires = new Date(Date.now() + lifeMs).toUTCString();
    document.cookie = name + "=" + value + "; expires=" + expires + "; path=/" + cookieDomain();
  }

  function uuid4() {
    // crypto.randomUUID is missing on plain http, where many shops are developed.
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    var hex = Array.prototype.map.call(bytes, function (byte) {
      return ("0" + byte.toString(16)).slice(-2);
    }).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  function isSession(value) {
    return !!value && value.charAt(0) === "s" && UUID_V4.test(value.slice(1));
  }

  function visitorId() {
    var known = readCookie(VISITOR);
    if (known && UUID_V4.test(known)) return known;
    var fresh = uuid4();
    writeCookie(VISITOR, fresh, VISITOR_LIFE_MS);
    return fresh;
  }

  function firstSeenAt() {
    var known = decodeURIComponent(readCookie(FIRST_SEEN) || "");
    if (Date.parse(known) > 0) return known;
    var now = new Date().toISOString();
    writeCookie(FIRST_SEEN, encodeURIComponent(now), VISITOR_LIFE_MS);
    return now;
  }

  function sessionCount() {
    var count = parseInt(readCookie(SESSION_COUNT) || "0", 10);
    return count >= 1 ? Math.min(count, MAX_SESSIONS) : 0;
  }

  function sessionId() {
    var known = readCookie(SESSION);
    var fresh = isSession(known) ? known : "s" + uuid4();
    if (fresh !== known || sessionCount() === 0) {
      writeCookie(SESSION_COUNT, Math.min(sessionCount() + 1, MAX_SESSIONS), VISITOR_LIFE_MS);
    }
    writeCookie(SESSION, fresh, SESSION_LIFE_MS);
    return fresh;
  }

  /* --- cookieless mode keeps what the server returns in sessionStorage ------------------------ */

  function stored(name) {
    try {
      return sessionStorage.getItem(name);
    } catch (error) {
      return null;
    }
  }

  function store(name, value) {
    try {
      sessionStorage.setItem(name, value);
    } catch (error) {
      // Storage is blocked: the visit is simply not throttled or remembered.
    }
  }

  function cookielessSession() {
    var known = stored(SESSION);
    if (isSession(known)) return known;
    var fresh = "s" + uuid4();
    store(SESSION, fresh);
    return fresh;
  }

  function rememberServerVisitor(body) {
    try {
      var id = JSON.parse(body).visitorId;
      if (id) {
        store(VISITOR, id);
        window.datafast.visitorId = id;
      }
    } catch (error) {
      // An answer without JSON names no visitor.
    }
  }

  /* --- identities handed over from another domain of the same website ------------------------- */

  function adoptIdentity() {
    var url = new URL(location.href);
    var query = url.searchParams;
    var vid = query.get("_df_vid");
    var sid = query.get("_df_sid");
    var seen = query.get("_df_vfs");
    var count = parseInt(query.get("_df_vsn") || "", 10);
    if (!COOKIELESS) {
      // Without a look at their form, as the SDK 3.0.18 does: a malformed id costs the known one.
      if (vid) writeCookie(VISITOR, encodeURIComponent(vid), VISITOR_LIFE_MS);
      if (sid) writeCookie(SESSION, encodeURIComponent(sid), SESSION_LIFE_MS);
      if (Date.parse(seen) > 0) writeCookie(FIRST_SEEN, encodeURIComponent(seen), VISITOR_LIFE_MS);
      if (count >= 1) writeCookie(SESSION_COUNT, Math.min(count, MAX_SESSIONS), VISITOR_LIFE_MS);
    }
    var names = ["_df_vid", "_df_sid", "_df_vfs", "_df_vsn"];
    if (names.some(function (name) { return query.has(name); })) {
      names.forEach(function (name) { query.delete(name); });
      history.replaceState(history.state, "", url.pathname + url.search + url.hash);
    }
  }

  /* A visitor is known from the first moment, also when the pageview itself is throttled. */
  function identify() {
    if (COOKIELESS) {
      cookielessSession();
      if (stored(VISITOR)) window.datafast.visitorId = stored(VISITOR);
    } else {
      visitorId();
      firstSeenAt();
      sessionId();
    }
  }

  function isAllowedHostname(hostname) {
    return allowedHostnames.some(function (allowed) {
      return hostname === allowed || hostname.endsWith("." + allowed);
    });
  }

  function decorate(link) {
    var url = new URL(link.href);
    if (COOKIELESS || url.hostname === location.hostname || !isAllowedHostname(url.hostname)) return;
    url.searchParams.set("_df_vid", visitorId());
    url.searchParams.set("_df_sid", sessionId());
    url.searchParams.set("_df_vfs", firstSeenAt());
    url.searchParams.set("_df_vsn", sessionCount());
    link.href = url.href;
  }

  /* --- events --------------------------------------------------------------------------------- */

  function endpoint() {
    var configured = option("api-url");
    if (configured) {
      try {
        return new URL(configured, location.origin).href;
      } catch (error) {
        // An invalid value falls back to the default.
      }
    }
    var source = new URL(tag.src, location.href);
    // Served by DataFast itself (or its stand-in's own name) events go there; through a
    // first-party proxy they go to the page's own origin.
    var vendor = source.hostname.indexOf("datafa.st") !== -1 || source.hostname.indexOf("datafast.") === 0;
    return (vendor ? source.origin : location.origin) + "/api/events";
  }

  function clickIds() {
    var query = new URLSearchParams(location.search);
    var found = {};
    CLICK_IDS.forEach(function (name) {
      if (query.get(name)) found[name] = query.get(name);
    });
    return Object.keys(found).length ? found : undefined;
  }

  function payload(type, extra) {
    return {
      websiteId: websiteId,
      domain: domain,
      visitorId: COOKIELESS ? uuid4() : visitorId(),
      sessionId: COOKIELESS ? cookielessSession() : sessionId(),
      visitorFirstSeenAt: COOKIELESS ? undefined : firstSeenAt(),
      visitorSessionNumber: COOKIELESS ? 0 : sessionCount(),
      cookieless: COOKIELESS || undefined,
      href: location.href,
      referrer: document.referrer || null,
      type: type,
      viewport: { width: window.innerWidth, height: window.innerHeight },
      language: navigator.language,
      timezone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      screenWidth: screen.width,
      screenHeight: screen.height,
      adClickIds: clickIds(),
      extraData: extra
    };
  }

  function send(type, extra, callback) {
    if (silence || ignored()) {
      if (callback) callback({ status: 200 });
      return;
    }
    var body = JSON.stringify(payload(type, extra));
    var request = new XMLHttpRequest();
    request.open("POST", endpoint(), true);
    request.setRequestHeader("Content-Type", "application/json");
    request.onload = function () {
      if (request.status === 200) {
        if (COOKIELESS) rememberServerVisitor(request.responseText);
        else writeCookie(SESSION, sessionId(), SESSION_LIFE_MS);
      }
      if (callback) callback({ status: request.status });
    };
    request.onerror = function () {
      if (callback) callback({ status: 0 });
    };
    request.send(body);
  }

  function throttled() {
    var state = null;
    try {
      state = JSON.parse(stored(PAGEVIEW_STATE) || "null");
    } catch (error) {
      // A damaged state throttles nothing.
    }
    if (state && state.url === location.href && Date.now() - state.at < THROTTLE_MS) return true;
    store(PAGEVIEW_STATE, JSON.stringify({ url: location.href, at: Date.now() }));
    return false;
  }

  function pageview() {
    if (silence || ignored() || throttled()) return;
    send("pageview");
    detectPayment();
  }

  function detectPayment() {
    if (enabled("disable-payments")) return;
    var query = new URLSearchParams(location.search);
    var sessionParameter = query.get("session_id") || "";
    var found = [
      ["stripe", "stripe_session_id", sessionParameter.indexOf("cs_") === 0 ? sessionParameter : ""],
      ["polar", "polar_checkout_id", query.get("checkout_id")],
      ["lemonsqueezy", "lemonsqueezy_order_id", query.get("order_id")]
    ];
    found.forEach(function (candidate) {
      var id = candidate[2];
      var flag = "datafast_" + candidate[0] + "_payment_sent_" + id;
      if (!id || stored(flag)) return;
      store(flag, "true");
      var extra = {};
      extra[candidate[1]] = id;
      send("payment", extra);
    });
  }

  /* --- window.datafast, goals and links --------------------------------------------------------- */

  function call(name, parameters, callback) {
    var extra = parameters || {};
    if (name === "payment") {
      if (extra.email) send("payment", extra, callback);
    } else if (name === "identify") {
      if (extra.user_id) send("identify", extra, callback);
    } else if (GOAL_NAME.test(String(name).toLowerCase())) {
      send("custom", Object.assign({ eventName: String(name).toLowerCase() }, extra), callback);
    }
  }

  function goalParameters(element) {
    var parameters = {};
    Array.prototype.forEach.call(element.attributes, function (attribute) {
      var match = /^data-fast-goal-(.+)$/.exec(attribute.name);
      if (match) parameters[match[1].replace(/-/g, "_")] = attribute.value.slice(0, 255);
    });
    return parameters;
  }

  function onAction(event) {
    var target = event.target instanceof Element ? event.target : null;
    var goal = target && target.closest("[data-fast-goal]");
    if (goal) call(goal.getAttribute("data-fast-goal"), goalParameters(goal));
    var link = target && target.closest("a[href]");
    if (!link || !/^https?:$/.test(link.protocol)) return;
    decorate(link);
    if (event.type === "click" && link.hostname !== location.hostname && !isAllowedHostname(link.hostname)) {
      send("external_link", { url: link.href, text: (link.textContent || "").trim().slice(0, 255) });
    }
  }

  function onKey(event) {
    // Links, buttons and fields make a click of these keys themselves.
    var native = event.target instanceof Element && event.target.closest("a, button, input, select, textarea");
    if (!native && (event.key === "Enter" || event.key === " ")) onAction(event);
  }

  function watchScrollGoals() {
    Array.prototype.forEach.call(document.querySelectorAll("[data-fast-scroll]"), function (element) {
      var threshold = parseFloat(element.getAttribute("data-fast-scroll-threshold") || "0.5");
      var delayMs = parseInt(element.getAttribute("data-fast-scroll-delay") || "0", 10);
      var observer = new IntersectionObserver(function (entries) {
        if (!entries.some(function (entry) { return entry.isIntersecting; })) return;
        observer.disconnect();
        setTimeout(function () { call(element.getAttribute("data-fast-scroll"), {}); }, delayMs);
      }, { threshold: threshold });
      observer.observe(element);
    });
  }

  function watchNavigation() {
    var last = location.pathname + (VARIANT === "hash" ? location.hash : "");
    var timer;
    function changed() {
      clearTimeout(timer);
      timer = setTimeout(function () {
        var now = location.pathname + (VARIANT === "hash" ? location.hash : "");
        if (now === last) return;
        last = now;
        pageview();
      }, DEBOUNCE_MS);
    }
    var pushState = history.pushState;
    history.pushState = function () {
      pushState.apply(this, arguments);
      changed();
    };
    window.addEventListener("popstate", changed);
    if (VARIANT === "hash") window.addEventListener("hashchange", changed);
  }

  var silence = reasonForSilence();
  var queued = (window.datafast && window.datafast.q) || [];
  window.datafast = call;
  if (silence) {
    if (!enabled("disable-console")) console.info("DataFast stand-in: not tracking (" + silence + ").");
  } else if (!ignored()) {
    adoptIdentity();
    identify();
    pageview();
    watchNavigation();
    watchScrollGoals();
    document.addEventListener("click", onAction);
    document.addEventListener("keydown", onKey);
  }
  Array.prototype.forEach.call(queued, function (parameters) {
    call.apply(null, parameters);
  });
})();
