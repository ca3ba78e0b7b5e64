"""One received request, and whom and what it is about."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

VISITOR_NAMES = ("datafast_visitor_id", "visitorId")
TRANSACTION_NAMES = ("transaction_id", "tx_id")
VISITOR_PATH = "/api/v1/visitors/"


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came in; header names are lower case, repeated headers stay apart."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def subjects(self) -> dict[str, set[str]]:
        """Return what a chaos rule or a filter may name: path, method, visitors, transactions."""
        visitors: set[str] = set()
        transactions: set[str] = set()
        for name, value in self._fields():
            if name in VISITOR_NAMES:
                visitors.add(value)
            elif name in TRANSACTION_NAMES:
                transactions.add(value)
        if self.path.startswith(VISITOR_PATH):
            visitors.add(self.path.removeprefix(VISITOR_PATH))
        return {
            "path": {self.path},
            "method": {self.method},
            "visitor_id": visitors,
            "transaction_id": transactions,
        }

    def _fields(self) -> Iterator[tuple[str, str]]:
        yield from parse_qsl(self.query)
        document = read_json(self.body)
        if isinstance(document, Mapping):
            yield from _strings(document.items())
            metadata = document.get("metadata")
            if isinstance(metadata, Mapping):
                yield from _strings(metadata.items())


def read_json(body: bytes) -> Any:
    """Parse JSON, or return None for what is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _strings(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in items:
        if isinstance(value, str):
            yield str(name), value
