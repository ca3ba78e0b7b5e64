"""Take in what Dodo has and no webhook brought: as a message of its own, read like any other."""

import re
from collections.abc import Sequence
from functools import partial

from kit.dodo import DodoClient, as_message
from kit.errors import DodoError, KitError
from kit.ledger import Ledger
from kit.ledger.events import read_anew
from kit.ledger.interventions import note_intervention
from kit.ledger.stamps import moment_of
from kit.reconcile.kinds import KINDS, Entry, Kind

MAX_NAMES = 25
"""Objects that one request may name: each costs a call to Dodo while somebody waits."""
_NAME = re.compile(r"([a-z]+):([A-Za-z0-9_-]{1,128})")


class NameRefused(KitError):  # noqa: N818 - it says what happened
    """What was named is nothing that can be taken in."""


async def take_in(ledger: Ledger, entries: Sequence[Entry]) -> int:
    """
    Store objects as the messages that their webhooks would have been; what follows is as with one.

    They are reported under the same ids, so that the webhooks may still come. One whose status
    moves no money is left out. Returns how many were taken in. Raises LedgerUnavailable.
    """
    taken = 0
    for entry in entries:
        event_type = entry.kind.event_of(entry.document)
        if event_type is None:
            continue
        at = moment_of(ledger.now_ms())
        signed = as_message(event_type, entry.message, entry.document, at=at)
        if await ledger.record(signed, source="api") == "duplicate":
            await ledger.write(partial(read_anew, signed=signed))
        taken += 1
    if taken:
        subject = ", ".join(f"{entry.kind.name} {entry.id}" for entry in entries[:MAX_NAMES])
        await ledger.write(
            lambda connection: note_intervention(
                connection, "reconcile", subject, changed=taken, now_ms=ledger.now_ms()
            )
        )
    return taken


async def take_in_named(ledger: Ledger, dodo: DodoClient, names: str) -> int:
    """
    Read from Dodo what is named as `payment:pay_1 refund:ref_1`, and take it in; return how many.

    Nothing that comes with a request becomes a payment: what counts is Dodo's own answer. Raises
    NameRefused, and what `DodoClient.look_up` and `take_in` raise.
    """
    entries = []
    for kind, name in read_names(names):
        try:
            entries.append(Entry(kind, name, await dodo.look_up(kind.listed, name)))
        except DodoError as refusal:
            if refusal.status != 404:
                raise
    return await take_in(ledger, entries)


def read_names(text: str) -> Sequence[tuple[Kind, str]]:
    """Read the names of a request. Raises NameRefused."""
    words = text.split()
    if len(words) > MAX_NAMES:
        raise NameRefused(f"at most {MAX_NAMES} objects in one request")
    found = []
    for word in words:
        named = _NAME.fullmatch(word)
        kind = KINDS.get(named[1]) if named is not None else None
        if named is None or kind is None:
            raise NameRefused(f"an object is named as kind:id, with one of {', '.join(KINDS)}")
        found.append((kind, named[2]))
    return found
