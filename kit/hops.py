"""
Hops: the journey of one visitor from landing page to DataFast, as a list of things seen.

The ledger, the browser laboratory and the doctor produce hops; the inspector, the receipt and the
reports render them. Every reason code of the kit stands in one table here, with the sentence that
a person reads and what to do about it; the doctor's are written down in diagnoses.py.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from kit.diagnoses import DIAGNOSES
from kit.reasons import Reason, Tone

__all__ = ["REASONS", "Hop", "Reason", "Tone"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One thing that should have happened on the way, and what was seen of it."""

    name: str
    reason: str
    seen: str | None = None
    expected: str | None = None
    at_ms: int | None = None

    @property
    def sentence(self) -> str:
        """What happened, in words."""
        return REASONS[self.reason].sentence

    @property
    def fix(self) -> str | None:
        """What to do about it."""
        return REASONS[self.reason].fix

    @property
    def tone(self) -> Tone:
        """How bad it is."""
        return REASONS[self.reason].tone

    def as_dict(self) -> dict[str, Any]:
        """Everything a renderer needs, as plain data."""
        return asdict(self) | {"sentence": self.sentence, "fix": self.fix, "tone": self.tone}


_BLOCKED = (
    "Serve the script and its events from your own domain (the kit's proxy does), "
    "so that blockers leave them alone."
)
_KEY = (
    "Check DATAFAST_API_KEY and DATAFAST_BASE_URL; sending goes on by itself once they are right."
)
_MEND = "Compare it in Dodo's dashboard; the message is kept and can be replayed."
_BODY = "Nothing to do for this shop: the message is kept, and Dodo will not send it again."

REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {
        # The visit.
        "pageview_passed": Reason("A pageview of this visitor passed our proxy to DataFast."),
        "pageview_not_seen": Reason(
            "No pageview of this visitor passed our proxy.",
            "warn",
            "Expected when the script loads from DataFast's own host. Otherwise: " + _BLOCKED,
        ),
        # The visitor at checkout.
        "captured": Reason("The checkout request carried a valid visitor id."),
        "restored": Reason(
            "The DataFast cookie was gone; the continuity cookie still held the visitor id."
        ),
        "absent": Reason(
            "The checkout request carried no DataFast cookie.",
            "warn",
            "The script was blocked, had not run yet, or wrote its cookie for another domain: "
            "data-domain must be the root domain. " + _BLOCKED,
        ),
        "malformed": Reason(
            "The DataFast cookie held no valid visitor id, so it was dropped.",
            "warn",
            "Look for code that writes datafast_visitor_id itself; only DataFast's script should.",
        ),
        "declined": Reason(
            "The visitor had not agreed to be measured, so nothing was read.", "warn"
        ),
        "forgotten": Reason(
            "The visitor asked to be forgotten: the money counts, and names nobody.", "warn"
        ),
        "cookieless_format": Reason(
            "The page handed over a visitor id of unknown form, so it was dropped.", "warn"
        ),
        # The checkout session.
        "session_opening": Reason("The checkout session is being opened at Dodo.", "wait"),
        "session_opened": Reason("Dodo opened the checkout session, metadata included."),
        "session_failed": Reason(
            "Dodo did not open a checkout session; the buyer was told to try again.",
            "lost",
            "See the log for Dodo's status and code; check DODO_PAYMENTS_API_KEY and "
            "the product id.",
        ),
        "not_returned": Reason("The buyer has not come back from Dodo's page.", "wait"),
        "returned": Reason("The buyer came back from Dodo's page."),
        "checkout_unknown": Reason(
            "No checkout of this shop belongs to this payment.",
            "warn",
            "Expected for payment links and other front ends; else send order_ref in metadata.",
        ),
        # The webhook.
        "no_webhook": Reason(
            "No webhook about this checkout has arrived yet.",
            "wait",
            "If the buyer has paid: is Dodo's webhook endpoint set to this shop's /webhooks/dodo?",
        ),
        "verified": Reason("The webhook's signature is Dodo's, and the message is on disk."),
        "read_from_api": Reason(
            "No webhook came in time, so the payment was read from Dodo's API.",
            "warn",
            "Check the webhook endpoint in Dodo's dashboard.",
        ),
        "event_waiting": Reason("The message is on disk and will be read next.", "wait"),
        "mapped": Reason("The message is a payment and became one report to DataFast."),
        "mapping_failed": Reason(
            "Something unforeseen went wrong in the kit while it read this message.",
            "lost",
            "See the log entry that names this webhook; update the kit, then release it.",
        ),
        "event_not_money": Reason("This kind of message carries no money of its own."),
        "event_unknown": Reason(
            "This version of the kit does not know this kind of message.",
            "warn",
            "Update the kit if Dodo's news say that it carries money; the message is kept.",
        ),
        "awaiting_payment": Reason("The payment this belongs to is being read from Dodo.", "wait"),
        "original_unknown": Reason("The payment this belongs to could not be read.", "lost", _MEND),
        "original_not_counted": Reason("The payment this belongs to was not counted either."),
        "original_not_reported": Reason(
            "The payment this belongs to is older than this ledger and was not reported by it.",
            "lost",
            "Release it if the sale is in DataFast, by another integration for example.",
        ),
        "already_reversed": Reason("The sale was taken back whole before."),
        "reversal_currency_differs": Reason(
            "The money went back in another currency than it came.", "lost", _MEND
        ),
        "refund_amount_missing": Reason("The refund names no amount.", "lost", _MEND),
        "refund_exceeds_sale": Reason("More was refunded than the sale brought.", "lost", _MEND),
        "no_refund_id": Reason("The message names no refund.", "lost", _BODY),
        "no_dispute_id": Reason("The message names no dispute.", "lost", _BODY),
        "no_subscription_id": Reason("The message names no subscription.", "lost", _BODY),
        "dispute_amount_unclear": Reason(
            "The disputed amount could mean two things, so it was not guessed.", "lost", _MEND
        ),
        "dispute_won_after_reversal": Reason(
            "A dispute that was reported as lost has been won after all.",
            "lost",
            "See in Dodo's dashboard whether the money came back; delete the reversal at DataFast.",
        ),
        "disputes_ignored": Reason("A dispute, and KIT_DISPUTES=ignore leaves them out."),
        "paid_trial": Reason("A paid trial: its charge is counted as a sale."),
        "trial_over": Reason("The trial was over, so this is no start of one."),
        "payment_method_update": Reason("A card was updated; that is not revenue."),
        "status_not_succeeded": Reason("The payment has not succeeded."),
        "zero_amount": Reason("Nothing was charged: a trial's start or a full discount."),
        "unknown_currency": Reason(
            "The currency is not one Dodo charges in, so the amount was not guessed.",
            "lost",
            "Update the kit; the message is kept and can be replayed.",
        ),
        "amount_invalid": Reason(
            "The amount is not a whole number of minor units.",
            "lost",
            "Compare the payment in Dodo's dashboard; the message is kept and can be replayed.",
        ),
        "no_payment_id": Reason("The message names no payment.", "lost", _BODY),
        "settlement_missing": Reason(
            "The settlement figures that KIT_REVENUE_BASIS=settlement needs are not there.",
            "lost",
            "Use KIT_REVENUE_BASIS=gross or net, or replay once Dodo shows the settlement.",
        ),
        "other_brand": Reason("The payment belongs to a brand that KIT_BRANDS leaves out."),
        "not_utf8": Reason("The signed body is not UTF-8.", "lost", _BODY),
        "not_json": Reason("The signed body is not JSON.", "lost", _BODY),
        "not_object": Reason("The signed body is not a JSON object.", "lost", _BODY),
        "duplicate_key": Reason("The signed body names a field twice.", "lost", _BODY),
        "too_deep": Reason("The signed body is nested too deeply.", "lost", _BODY),
        "not_finite": Reason("The signed body holds a number that is not finite.", "lost", _BODY),
        "no_type": Reason("The signed body names no event type.", "lost", _BODY),
        # The visitor of the payment.
        "visitor_in_metadata": Reason("The payment's own metadata names the visitor."),
        "visitor_from_ledger": Reason("The visitor is known from the checkout in this ledger."),
        "visitor_from_return": Reason("The return page showed who the visitor is."),
        "visitor_from_dodo": Reason("Dodo's API knew the visitor, from the subscription."),
        "visitor_differs": Reason(
            "The return page showed another visitor than the checkout; the checkout's counts.",
            "warn",
        ),
        "too_late": Reason(
            "The return page showed the visitor after the payment was reported without.",
            "warn",
            "KIT_HOLD_S is how long a payment waits for its buyer to come back.",
        ),
        "visitor_missing": Reason(
            "The payment has no visitor; it is reported all the same, so that totals are right.",
            "warn",
        ),
        "visitor_dropped": Reason(
            "DataFast does not know this visitor, so the payment was sent without.", "warn"
        ),
        # The delivery.
        "queued": Reason("The report waits for its turn.", "wait"),
        "reattributing": Reason(
            "The report is being replaced by one that names the visitor.", "wait"
        ),
        "forgetting": Reason(
            "The report is being deleted at DataFast, because its visitor is to be forgotten.",
            "wait",
        ),
        "deleted_at_datafast": Reason(
            "DataFast has the report no more, because its visitor is to be forgotten."
        ),
        "delete_refused": Reason(
            "DataFast refused to delete this report.",
            "lost",
            "Look for the transaction in DataFast and delete it there, or release it to ask again.",
        ),
        "sending": Reason("The report is on its way.", "wait"),
        "sent": Reason("The report was sent."),
        "awaiting_return": Reason(
            "No visitor yet: waiting a while for the buyer to come back with one.", "wait"
        ),
        "awaiting_sale": Reason("Waiting for its sale to be reported first.", "wait"),
        "renewal_unproven": Reason(
            "Dodo gave no answer about earlier charges, so charge_type had to decide.", "warn"
        ),
        "sale": Reason("Counted as a sale."),
        "renewal": Reason("Counted as a renewal: a paid charge came before."),
        "refund": Reason("Counted as money given back."),
        "dispute": Reason("Counted as money taken back by a lost dispute."),
        "trial": Reason("Counted as the start of a free trial."),
        "exponent_unverified": Reason(
            "Three decimals as ISO 4217 has them; nobody has seen this proven at Dodo.", "warn"
        ),
        "test_mode": Reason(
            "A test payment, held back: DataFast has no test mode and would count it as revenue.",
            "wait",
            "Set KIT_SEND_TEST=1 only with a DataFast website made for tests.",
        ),
        "awaiting_pageview": Reason(
            "DataFast has no pageview of this visitor yet; waiting up to ten minutes.", "wait"
        ),
        "not_at_dodo": Reason(
            "Dodo's API does not know this payment, so it was not reported.",
            "lost",
            "Dashboard examples are signed like real events; nothing to do for those. "
            "Otherwise the API key belongs to another account than the webhook.",
        ),
        "dodo_unreachable": Reason("Dodo's API gave no answer; asking again.", "wait"),
        "horizon": Reason(
            "DataFast took no report for 72 hours; trying has stopped.",
            "lost",
            "Replay it once DataFast answers again.",
        ),
        "too_many_attempts": Reason(
            "The report was begun too many times without an end.",
            "lost",
            "See the log around its attempts, then replay it.",
        ),
        "unexpected_error": Reason(
            "Something unforeseen went wrong in the kit; trying again.",
            "wait",
            "See the log entry that names this transaction.",
        ),
        # DataFast's answer.
        "attributed": Reason("DataFast recorded the payment and attributed it to the visitor."),
        "recorded_without_visitor": Reason(
            "DataFast recorded the payment; it came without a visitor.", "warn"
        ),
        "attribution_not_stated": Reason(
            "DataFast recorded the payment without saying that it attributed it.",
            "warn",
            "Look the visitor up in DataFast.",
        ),
        "duplicate": Reason(
            "DataFast already had this transaction, from somebody else.",
            "warn",
            "Remove the DataFast card from Dodo's webhooks if both are set up; nothing is doubled.",
        ),
        "duplicate_after_lost_reply": Reason(
            "DataFast has the payment: its first answer was lost, the repeat was a duplicate."
        ),
        "no_pageview": Reason(
            "DataFast knows no pageview of this visitor, so it could not attribute the payment.",
            "warn",
            "The cookie was set but the pageview never arrived. " + _BLOCKED,
        ),
        "no_echo": Reason("DataFast answered 200 without naming this transaction.", "warn"),
        "reply_error": Reason("DataFast answered 200 with an error.", "warn"),
        "reply_html": Reason("DataFast answered 200 with a web page.", "warn", _KEY),
        "reply_unreadable": Reason("DataFast answered 200 with nothing that can be read.", "warn"),
        "rejected": Reason(
            "DataFast refused this payment.",
            "lost",
            "Its message says why; replay once that is mended.",
        ),
        "rate_limited": Reason("DataFast's rate limit was reached; sending slows down.", "wait"),
        "datafast_unavailable": Reason("DataFast failed to answer properly; trying again.", "wait"),
        "datafast_timeout": Reason("DataFast did not answer in time; trying again.", "wait"),
        "datafast_connect": Reason("DataFast could not be reached; trying again.", "wait"),
        "datafast_broken": Reason("The connection to DataFast broke; trying again.", "wait"),
        "datafast_too_large": Reason("DataFast's answer was far too large; trying again.", "wait"),
        "key_refused": Reason("DataFast refused the key (401); all reports wait.", "lost", _KEY),
        "key_forbidden": Reason(
            "The key may not write payments, or tracking is suspended (403); all reports wait.",
            "lost",
            _KEY,
        ),
        "redirected": Reason("The address of DataFast redirects; all reports wait.", "lost", _KEY),
        "wrong_address": Reason(
            "The address is not DataFast's API; all reports wait.", "lost", _KEY
        ),
        # What the browser laboratory sees on its way through a shop.
        "script_loaded": Reason("The page loaded DataFast's script."),
        "script_blocked": Reason(
            "The page asks for DataFast's script, and did not get it.", "warn", _BLOCKED
        ),
        "script_late": Reason(
            "The script was still on its way when the visitor went on.",
            "warn",
            "Serve it from your own domain, and put its tag first in the head.",
        ),
        "script_off": Reason("This browser runs no scripts, so nobody is counted.", "warn"),
        "cookie_set": Reason("The browser holds a visitor cookie."),
        "cookie_absent": Reason("Without its script there is no visitor cookie.", "warn"),
        "cookie_missing": Reason(
            "The script ran, and the browser holds no visitor cookie.",
            "lost",
            "On localhost the tag needs data-allow-localhost; elsewhere check data-website-id and "
            "data-domain, and whether the visitor has to consent first.",
        ),
        "cookie_out_of_reach": Reason(
            "The visitor cookie's Domain keeps it from the host that takes the order.",
            "lost",
            "Set data-domain (DATAFAST_DOMAIN) to the root domain that both hosts share.",
        ),
        "cookieless": Reason("The page keeps no cookie; DataFast's server names the visitor."),
        "pageview_sent": Reason("DataFast took a pageview of the page."),
        "pageview_blocked": Reason("The pageview never arrived at DataFast.", "warn", _BLOCKED),
        "pageview_absent": Reason("The page sent no pageview.", "warn"),
        "pageview_refused": Reason(
            "DataFast refused the pageview.",
            "lost",
            "The script's data-website-id and data-domain must be those of DataFast's settings.",
        ),
        "landing_unknown": Reason(
            "DataFast heard of this visitor only after the landing page, so the campaign is lost.",
            "warn",
            _BLOCKED,
        ),
        "payment_guessed": Reason(
            "The script took a parameter of the address for another provider's payment.",
            "lost",
            'Set data-disable-payments="true" on the tag: payments are reported by the server.',
        ),
        "buy_button_missing": Reason(
            "No buy button was found on the page.",
            "lost",
            "Name the page that has it, and a CSS selector of the button.",
        ),
        "checkout_not_reached": Reason(
            "The buy button led to no checkout page of Dodo.",
            "lost",
            "Press it yourself and look at the shop's log; is the right button named?",
        ),
        "visitor_replaced": Reason(
            "The order carried another visitor id than the landing page.",
            "lost",
            "The cookie was cleared, expired, or belongs to another subdomain: data-domain must "
            "be the root domain. The kit's continuity cookie brings a cleared one back.",
        ),
        "cookie_shadowed": Reason(
            "A broken cookie of the same name is sent before the script's, which therefore makes "
            "a new visitor on every page.",
            "lost",
            "Look for code that writes datafast_visitor_id itself, and let it expire that cookie.",
        ),
        "captured_by_page": Reason(
            "A script of the page hands the visitor id over, which anybody can forge or block.",
            "lost",
            "Read the datafast_visitor_id cookie on the server, from the order's own request.",
        ),
        "journey_broken": Reason(
            "The browser could not go on.",
            "lost",
            "Go the same way by hand; --keep keeps a trace of what the browser did.",
        ),
        "no_session": Reason(
            "No checkout session was opened.", "lost", "See the shop's log for Dodo's answer."
        ),
        "metadata_has_visitor": Reason("The checkout session's metadata names the visitor."),
        "metadata_without_visitor": Reason(
            "The checkout session was opened without the visitor in its metadata.",
            "lost",
            "Read the cookie where the session is made, and send it as "
            "metadata.datafast_visitor_id.",
        ),
        "metadata_misnamed": Reason(
            "The metadata holds the visitor id under a name that nobody looks for.",
            "lost",
            "Name it datafast_visitor_id, exactly.",
        ),
        "metadata_other_visitor": Reason(
            "The metadata names another visitor than the landing page had.",
            "lost",
            "Take the id from the cookie of the order's own request, not from a store or a form.",
        ),
        "not_paid": Reason("The checkout was not paid.", "wait"),
        "return_leaks": Reason(
            "The return page keeps the buyer's e-mail in its address, where scripts read it.",
            "lost",
            "Answer the return with a redirect to the same address without its query.",
        ),
        "not_reported": Reason(
            "No report of the payment reached DataFast while this journey waited.",
            "lost",
            "Is Dodo's webhook set to the shop, and does the shop send the payment on?",
        ),
        "reported_other_visitor": Reason(
            "The payment was attributed to another visitor than the one who landed.",
            "lost",
            "Take the visitor from the payment's own metadata.",
        ),
        "not_observable": Reason(
            "This cannot be seen from outside.",
            "warn",
            "Start the shop with the variables that point it at the stand-ins.",
        ),
        # What `kit reconcile` finds between Dodo's books and the ledger.
        "never_reported": Reason(
            "Dodo has this, and no report of it was ever made.",
            "lost",
            "Run `kit reconcile --send`: it is taken in, and reported at DataFast's pace.",
        ),
        "reported_twice": Reason(
            "One payment was reported under two ids, so that DataFast counts it twice.",
            "lost",
            "Delete the id that is not Dodo's payment id at DataFast, and find out who sends it.",
        ),
        "figure_differs": Reason(
            "What was reported is not the figure that Dodo has.",
            "lost",
            "Compare the payment in Dodo's dashboard. DataFast changes no payment: delete the "
            "report there by its id, and report the right figure.",
        ),
        "not_paid_at_dodo": Reason(
            "It was reported as paid, and Dodo does not have it as paid.",
            "lost",
            "Look at it in Dodo's dashboard, and delete the report at DataFast if no money came.",
        ),
        "unknown_to_dodo": Reason(
            "It was reported, and Dodo's API does not know it.",
            "lost",
            "Is DODO_PAYMENTS_API_KEY of another account or environment than the webhooks? "
            "If not, delete the report at DataFast.",
        ),
        # Webhooks that were refused although validly signed.
        "stale": Reason(
            "Validly signed webhooks were refused because they are too old.",
            "lost",
            "The clock is off, or Dodo keeps the first attempt's time: raise "
            "KIT_WEBHOOK_TOLERANCE_S.",
        ),
        "future": Reason(
            "Validly signed webhooks were refused because they are from the future.",
            "lost",
            "Set this machine's clock.",
        ),
        **DIAGNOSES,
    }
)
