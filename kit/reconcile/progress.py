"""How far a reconciliation has come: kept in the ledger, so that an interrupted one goes on."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, select

from kit.ledger.rows import upsert
from kit.ledger.schema import meta

_NAME = "reconciliation"
_MAX_TEXT = 2000
_MAX_NUMBER = 10**15


@dataclass(frozen=True, slots=True)
class Progress:
    """From when to when (UTC milliseconds), how far, and what was seen and found up to there."""

    since_ms: int
    until_ms: int
    reached_ms: int
    seen: Mapping[str, int] = field(default_factory=dict)
    found: Mapping[str, int] = field(default_factory=dict)

    def as_text(self) -> str:
        """Write it down."""
        return json.dumps(asdict(self), separators=(",", ":"))


def read_progress(text: str) -> Progress:
    """Read what `as_text` wrote. Raises ValueError for anything else."""
    try:
        document = json.loads(text) if len(text) <= _MAX_TEXT else None
    except RecursionError:
        document = None
    if not isinstance(document, dict) or document.keys() != Progress.__dataclass_fields__.keys():
        raise ValueError("no progress of a reconciliation")
    return Progress(
        since_ms=_number(document["since_ms"]),
        until_ms=_number(document["until_ms"]),
        reached_ms=_number(document["reached_ms"]),
        seen=_counts(document["seen"]),
        found=_counts(document["found"]),
    )


def keep_progress(connection: Connection, progress: Progress | None) -> None:
    """Keep how far it has come; None when there is nothing left to go on with."""
    if progress is None:
        connection.execute(delete(meta).where(meta.c.name == _NAME))
    else:
        values = {"name": _NAME, "value": progress.as_text()}
        upsert(connection, meta, key="name", values=values)


def kept_progress(connection: Connection) -> Progress | None:
    """Return how far an interrupted reconciliation came."""
    text = connection.scalar(select(meta.c.value).where(meta.c.name == _NAME))
    return read_progress(text) if text is not None else None


def _counts(value: Any) -> dict[str, int]:
    pairs = value.items() if isinstance(value, dict) else [("", None)]
    return {str(name): _number(number) for name, number in pairs}


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_NUMBER:
        raise ValueError("no progress of a reconciliation")
    return value
