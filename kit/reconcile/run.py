"""One reconciliation: window by window through Dodo's books, held against the ledger's."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from kit.dodo import DodoClient
from kit.errors import DodoError
from kit.ledger.accounts import Account, accounts_of, messages_of, sales_between
from kit.ledger.policy import Policy
from kit.ledger.rows import Row
from kit.reconcile.books import Books
from kit.reconcile.findings import (
    Doubt,
    Finding,
    Judge,
    counts,
    expected_sale,
    unlisted,
    waiting_message,
)
from kit.reconcile.kinds import DISPUTE, PAYMENT, REFUND, Entry, Kind
from kit.reconcile.pacing import Pacer
from kit.reconcile.progress import Progress
from kit.reconcile.walk import Documents, Walk, Window

_UNREAD = ("stored", "waiting", "parked")


@dataclass(slots=True)
class Report:
    """What has been found so far; `began` is where an interrupted run had come before."""

    began: Progress
    reached_ms: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    found: list[Finding] = field(default_factory=list)
    left_out: int = 0
    """Payments that Dodo has and its list does not show."""

    @property
    def counts(self) -> dict[str, int]:
        """How much was found of what, the interrupted run's included."""
        here = Counter(finding.what for finding in self.found)
        return dict(Counter(self.began.found) + Counter({str(what): n for what, n in here.items()}))

    @property
    def progress(self) -> Progress:
        """What to keep of it."""
        seen = dict(Counter(self.began.seen) + self.seen)
        return replace(self.began, reached_ms=self.reached_ms, seen=seen, found=self.counts)

    @property
    def taken_in(self) -> list[Entry]:
        """What was missing and has been taken in."""
        return [each.entry for each in self.found if each.what == "taken_in" and each.entry]


@dataclass(slots=True)
class Reconciliation:
    """Compares what is at Dodo between two moments, and with `send` takes in what is missing."""

    dodo: DodoClient
    books: Books
    policy: Policy
    pacer: Pacer
    began: Progress
    send: bool = False
    on_progress: Callable[[Report], None] = lambda _report: None
    report: Report = field(init=False)
    _judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.report = Report(self.began, reached_ms=self.began.reached_ms)
        self._judge = Judge(self.policy)

    async def run(self) -> Report:
        """
        Go through all of it. Raises KitError; what was found up to there is in `report`.

        After each window what is missing is stored and the progress kept, so that nothing of it is
        done twice or left out when another run goes on.
        """
        kinds = [PAYMENT, REFUND, *([DISPUTE] if self.policy.reverse_disputes else [])]
        walk = Walk(self.dodo, self.pacer, kinds, self.report.reached_ms, self.began.until_ms)
        async with aclosing(walk.windows()) as windows:
            async for window, listed in windows:
                found = await self._look_into(window, listed)
                self.report.found += await self._taken_in(found) if self.send else found
                for kind in kinds:
                    self.report.seen[kind.listed] += len(listed[kind.name])
                self.report.reached_ms = window.until_ms
                await self.books.keep(self.report.progress)
                self.on_progress(self.report)
        await self.books.keep(None)
        return self.report

    async def _taken_in(self, found: Sequence[Finding]) -> Sequence[Finding]:
        missing = [each.entry for each in found if each.what == "missing" and each.entry]
        if missing:
            await self.books.take_in(missing)
        return [
            replace(each, what="taken_in") if each.what == "missing" else each for each in found
        ]

    async def _look_into(
        self, window: Window, listed: Mapping[str, Documents]
    ) -> Sequence[Finding]:
        named = {str(PAYMENT.id_of(item)) for items in listed.values() for item in items}
        accounts = await self.books.read(lambda connection: accounts_of(connection, named))
        found = [await self._payment(item, accounts) for item in listed[PAYMENT.name]]
        found += await self._not_listed(window, listed[PAYMENT.name])
        for kind in (REFUND, DISPUTE):
            items = listed.get(kind.name, ())
            found += [await self._reversal(kind, item, accounts) for item in items]
        return [finding for finding in found if finding is not None]

    async def _payment(
        self, item: Mapping[str, Any], accounts: Mapping[str, Account]
    ) -> Finding | None:
        name = str(PAYMENT.id_of(item))
        account = accounts[name]
        judged = self._judge.payment(item, account, whole=False)
        if isinstance(judged, Doubt):
            document = await self._read(PAYMENT, name)
            if document is None:
                return unlisted(name, account.sales[0]) if account.sales else None
            judged = self._judge.payment(document, account, whole=True)
        return await self._unless_received(PAYMENT, judged)

    async def _reversal(
        self, kind: Kind, item: Mapping[str, Any], accounts: Mapping[str, Account]
    ) -> Finding | None:
        account = accounts[str(PAYMENT.id_of(item))]
        judged = self._judge.reversal(kind, item, account, whole=False)
        if not isinstance(judged, Doubt):
            return judged
        document = await self._read(kind, str(kind.id_of(item)))
        if document is None:
            return None
        judged = self._judge.reversal(kind, document, account, whole=True)
        if isinstance(judged, Finding) and judged.what == "missing":
            if not await self._is_counted(PAYMENT.id_of(document), account):
                return None
            return await self._unless_received(kind, judged)
        return judged if isinstance(judged, Finding) else None

    async def _is_counted(self, payment_id: str | None, account: Account) -> bool:
        """Tell whether the payment that money went back of is one that counts."""
        if payment_id is None or account.sales:
            return True
        payment = await self._read(PAYMENT, payment_id)
        if payment is None:
            return True
        expected = expected_sale(payment, basis=self.policy.basis)
        return counts(expected) and not self._judge.is_other_brand(payment)

    async def _unless_received(self, kind: Kind, judged: Finding | Doubt | None) -> Finding | None:
        """See whether what is missing has come as a message, and waits or was set aside."""
        if not isinstance(judged, Finding):
            return None
        entry = judged.entry
        if judged.what != "missing" or entry is None or judged.payment_id is None:
            return judged
        event_type, payment_id = str(kind.event_of(entry.document)), judged.payment_id
        messages = await self.books.read(
            lambda connection: messages_of(connection, payment_id, event_type)
        )
        own = [message for message in messages if _is_about(message, entry)]
        unread = next((each for each in own if each["state"] in _UNREAD), None)
        if unread is not None:
            return waiting_message(judged, unread)
        if kind is not PAYMENT and own:
            return None  # read before, and found to be nothing more to take back
        return judged

    async def _not_listed(self, window: Window, items: Documents) -> list[Finding]:
        """Look singly for the payments that were reported and are not in Dodo's list."""
        listed = {PAYMENT.id_of(item) for item in items}
        reported = await self.books.read(
            lambda connection: sales_between(connection, window.since_ms, window.until_ms)
        )
        lacking = reported - listed
        accounts = await self.books.read(lambda connection: accounts_of(connection, lacking))
        found = []
        for name, account in accounts.items():
            document = await self._read(PAYMENT, name)
            if document is None:
                found.append(unlisted(name, account.sales[0]))
            elif window.holds(document):
                self.report.left_out += 1
        return found

    async def _read(self, kind: Kind, name: str) -> Mapping[str, Any] | None:
        """Read one object whole; None where Dodo knows none."""
        try:
            return await self.pacer.call(lambda: self.dodo.look_up(kind.listed, name))
        except DodoError as refusal:
            if refusal.status != 404:
                raise
            return None


def _is_about(message: Row, entry: Entry) -> bool:
    """Tell whether a message of the same payment is about this very object."""
    if entry.kind is PAYMENT or message["webhook_id"] == entry.webhook_id:
        return True
    try:
        data = json.loads(message["body"] or b"{}").get("data")
    except (ValueError, AttributeError):
        return False
    return isinstance(data, dict) and entry.kind.id_of(data) == entry.id
