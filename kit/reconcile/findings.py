"""What is wrong between Dodo's books and the ledger: an object held against its account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from kit.helpers.dodo_datafast import Basis, Event, Known, Original, Payment, Skip, payment_for
from kit.hops import Hop
from kit.ledger.accounts import Account
from kit.ledger.policy import FOR_A_PERSON, Policy
from kit.ledger.rows import Row
from kit.ledger.sales import counted_as
from kit.reconcile.kinds import PAYMENT, REFUND, Entry, Kind
from kit.reconcile.walk import created_ms

What = Literal[
    "missing",
    "taken_in",
    "doubled",
    "mismatched",
    "parked",
    "unconfirmed",
    "unattributed",
    "waiting",
]
MEANINGS: Final[Mapping[What, str]] = {
    "missing": "Dodo has it, and no report was ever made",
    "taken_in": "was missing, and is reported now",
    "doubled": "one payment was reported under two ids",
    "mismatched": "what was reported is not what Dodo has",
    "parked": "not reported until somebody looks at it",
    "unconfirmed": "DataFast did not say that it has it",
    "unattributed": "counted, without a visitor",
    "waiting": "held, or on its way",
}
NEEDS_HANDS: Final[Sequence[What]] = ("missing", "doubled", "mismatched", "parked")

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or not yet."""

    what: What
    kind: str
    id: str
    payment_id: str | None
    hop: Hop
    """What was reported (`seen`), what Dodo has (`expected`), and why it matters."""
    entry: Entry | None = field(default=None, repr=False, compare=False)
    """What is missing, read whole."""

    def as_dict(self) -> dict[str, Any]:
        """Everything a renderer needs, as plain data; nothing of it names a person."""
        names = {"what": self.what, "kind": self.kind, "id": self.id, "payment_id": self.payment_id}
        return names | {name: value for name, value in self.hop.as_dict().items() if name != "name"}


class Doubt:
    """What a list item alone does not settle: the object must be read singly."""


DOUBT: Final = Doubt()


@dataclass(frozen=True, slots=True)
class Judge:
    """Compares, by the settings that decide what counts."""

    policy: Policy

    def payment(
        self, document: Mapping[str, Any], account: Account, *, whole: bool
    ) -> Finding | Doubt | None:
        """
        Judge a payment; `whole` tells that it was read singly.

        A list item lacks tax, settlement and whether a card was only updated, so that nothing is
        called missing or mismatched by it.
        """
        name = str(PAYMENT.id_of(document))
        sent = [row for row in account.sales if _went_out(row)]
        if len(sent) > 1:
            ids = ", ".join(row["transaction_id"] for row in sent)
            return _finding(
                "doubled", PAYMENT, name, name, document, reason="reported_twice", seen=ids
            )
        row = account.report(name) or next(iter(account.sales), None)
        if row is None:
            return self._unreported_payment(name, document, account, whole=whole)
        if row["state"] != "done" or row["verdict"] is None:
            return _standing(PAYMENT, name, row, document)
        expected = self._differing(document, account, row, whole=whole)
        if expected is None:
            return _standing(PAYMENT, name, row, document)
        return expected

    def _unreported_payment(
        self, name: str, document: Mapping[str, Any], account: Account, *, whole: bool
    ) -> Finding | Doubt | None:
        facts = account.facts
        if document.get("status") not in (None, "succeeded") or document.get("total_amount") == 0:
            return None
        if self.is_other_brand(document) or (facts and facts["is_update_payment_method"]):
            return None
        if not whole:
            return DOUBT
        expected = expected_sale(document, basis=self.policy.basis)
        if not counts(expected):
            return None
        return _finding(
            "missing",
            PAYMENT,
            name,
            name,
            document,
            reason="never_reported",
            expected=_money(expected),
        )

    def _differing(
        self, document: Mapping[str, Any], account: Account, row: Row, *, whole: bool
    ) -> Finding | Doubt | None:
        facts, name = account.facts, str(PAYMENT.id_of(document))
        if not whole and (facts is None or row["drift"] or _has_changed(document, facts)):
            return DOUBT
        known = document if whole else {**document, **_unlisted(facts)}
        expected = expected_sale(known, basis=row["basis"])
        if isinstance(expected, Payment) and _agrees(expected, row):
            return None
        if not whole:
            return DOUBT
        if isinstance(expected, Skip) and (expected.needs or expected.reason in FOR_A_PERSON):
            return None  # no figure to hold it against
        unpaid = isinstance(expected, Skip) and expected.reason == "status_not_succeeded"
        return _finding(
            "mismatched",
            PAYMENT,
            name,
            name,
            document,
            reason="not_paid_at_dodo" if unpaid else "figure_differs",
            seen=_reported(row),
            expected=str(document.get("status")) if unpaid else _money(expected),
        )

    def reversal(
        self, kind: Kind, document: Mapping[str, Any], account: Account, *, whole: bool
    ) -> Finding | Doubt | None:
        """Judge a refund or dispute by itself; whether its payment counts is asked elsewhere."""
        name, payment_id = str(kind.id_of(document)), PAYMENT.id_of(document)
        row = account.report(name)
        if row is None:
            if kind.event_of(document) is None:
                return None
            if not whole:
                return DOUBT
            text = f"{document.get('amount')} {document.get('currency')} (as Dodo writes it)"
            return _finding(
                "missing",
                kind,
                name,
                payment_id,
                document,
                reason="never_reported",
                expected=text,
            )
        if row["state"] != "done" or row["verdict"] is None:
            return _standing(kind, name, row, document)
        taken_back = kind.event_of(document) is None
        if not taken_back and (kind is not REFUND or _is_share(document, account, row)):
            return _standing(kind, name, row, document)
        if not whole:
            return DOUBT
        return _finding(
            "mismatched",
            kind,
            name,
            payment_id,
            document,
            reason="not_paid_at_dodo" if taken_back else "figure_differs",
            seen=_reported(row),
            expected=str(document.get(kind.status)) if taken_back else _refund_text(document),
        )

    def is_other_brand(self, document: Mapping[str, Any]) -> bool:
        """Tell whether KIT_BRANDS leaves a payment out."""
        brand_id = document.get("brand_id")
        return bool(self.policy.brands) and brand_id not in (None, *self.policy.brands)


def unlisted(name: str, row: Row) -> Finding:
    """Tell that a payment was reported that Dodo's API does not know."""
    return Finding(
        "mismatched",
        PAYMENT.name,
        name,
        name,
        Hop("payment", reason="unknown_to_dodo", seen=_reported(row), at_ms=row["occurred_at_ms"]),
    )


def waiting_message(finding: Finding, message: Row) -> Finding:
    """Tell how a message stands that has come, and has not become a report."""
    what: What = "parked" if message["state"] == "parked" else "waiting"
    return replace(finding, what=what, hop=replace(finding.hop, reason=message["reason"]))


def expected_sale(document: Mapping[str, Any], *, basis: Basis) -> Payment | Skip:
    """Return what a payment as Dodo has it now is to be reported as."""
    if document.get("status") != "succeeded":
        return Skip("status_not_succeeded")
    return payment_for(Event("", "payment.succeeded", _EPOCH, document), basis=basis)


def counts(expected: Payment | Skip) -> bool:
    """Tell whether it is money that belongs in DataFast, even if its figure is not clear."""
    if isinstance(expected, Payment):
        return True
    return expected.needs is not None or expected.reason in FOR_A_PERSON


def _standing(kind: Kind, name: str, row: Row, document: Mapping[str, Any]) -> Finding | None:
    """Tell how a report stands that says the right thing."""
    what: What
    match row["state"], row["verdict"]:
        case "parked", _:
            what, reason = "parked", row["reason"]
        case "done", None:
            return None  # taken out on purpose: its sale does not count, or somebody deleted it
        case "done", "unconfirmed":
            what, reason = "unconfirmed", row["reason"]
        case "done", _:
            if kind is not PAYMENT or row["verdict"] in ("attributed", "duplicate"):
                return None
            if row["verdict"] != "no_pageview" and row["visitor_id"] and not row["visitor_dropped"]:
                return None
            what = "unattributed"
            reason = row["reason"] if row["visitor_id"] else "visitor_missing"
        case _:
            what, reason = "waiting", row["reason"]
    return _finding(
        what, kind, name, row["payment_id"], document, reason=reason, seen=_reported(row)
    )


def _finding(
    what: What,
    kind: Kind,
    name: str,
    payment_id: str | None,
    document: Mapping[str, Any],
    *,
    reason: str,
    seen: str | None = None,
    expected: str | None = None,
) -> Finding:
    hop = Hop(kind.name, reason, seen=seen, expected=expected, at_ms=created_ms(document))
    entry = Entry(kind, name, document) if what == "missing" else None
    return Finding(what, kind.name, name, payment_id, hop, entry)


def _went_out(row: Row) -> bool:
    sent = row["first_sent_at_ms"] is not None or row["verdict"] is not None
    return sent and row["verdict"] != "rejected" and not row["delete_only"]


def _agrees(expected: Payment, row: Row) -> bool:
    return expected.amount == Decimal(row["amount"]) and expected.currency == row["currency"]


def _has_changed(document: Mapping[str, Any], facts: Row) -> bool:
    # The settlement, which no list shows, would have changed with it.
    return (document.get("total_amount"), document.get("currency")) != (
        facts["total_minor"],
        facts["currency"],
    )


def _unlisted(facts: Row | None) -> dict[str, Any]:
    """Return what a list item lacks, as the ledger remembers it."""
    return {
        "tax": facts and facts["tax_minor"],
        "settlement_amount": facts and facts["settlement_minor"],
        "settlement_tax": facts and facts["settlement_tax_minor"],
        "settlement_currency": facts and facts["settlement_currency"],
        "is_update_payment_method": bool(facts and facts["is_update_payment_method"]),
    }


def _is_share(document: Mapping[str, Any], account: Account, row: Row) -> bool:
    """Tell whether a refund was reported for what Dodo refunded, as far as that can be told."""
    amount, taken = document.get("amount"), row["amount_minor"]
    others = [each for each in account.reports if each["depends_on"] == row["depends_on"]]
    if isinstance(amount, int) and amount != taken and not (taken < amount and len(others) > 1):
        return False  # where a dispute took some before, a refund takes what is left
    facts = account.facts
    if facts is None or facts["total_minor"] is None or facts["currency"] is None:
        return True
    original = Original(
        facts["total_minor"],
        facts["currency"],
        facts["tax_minor"],
        facts["settlement_minor"],
        facts["settlement_tax_minor"],
        facts["settlement_currency"],
    )
    if (sale := account.report(row["depends_on"])) is not None:
        original = counted_as(original, sale)
    event = Event("", "refund.succeeded", _EPOCH, {**document, "amount": taken})
    expected = payment_for(event, Known(original=original), basis=row["basis"])
    return isinstance(expected, Skip) or _agrees(expected, row)


def _money(expected: Payment | Skip) -> str:
    if isinstance(expected, Skip):
        return "0" if expected.reason in ("zero_amount", "payment_method_update") else "unclear"
    return f"{expected.amount} {expected.currency}"


def _refund_text(document: Mapping[str, Any]) -> str:
    return f"{document.get('amount')} {document.get('currency')} in minor units"


def _reported(row: Row) -> str:
    return f"{row['amount']} {row['currency']}"
