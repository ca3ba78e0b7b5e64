"""Make a fixture happen now, to nobody it happened to before."""

import re
from collections.abc import Callable
from typing import Any

from kit.sandbox.stamps import iso, new_id, seconds

EXAMPLE_ID = re.compile(r"([a-z]+)_(example|recovered)")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def freshen(
    message: dict[str, Any], *, now: float, ids: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the message with new ids, and dated as if its object was created at `now`.

    One id stays one id throughout the message, and moments keep their distances. Messages that
    share `ids` are about the same objects.
    """
    ids = {} if ids is None else ids
    data = message["data"]
    shift_s = now - seconds(data.get("created_at") or message["timestamp"])

    def fresh(text: str) -> str:
        if match := EXAMPLE_ID.fullmatch(text):
            return ids.setdefault(text, new_id(match[1]))
        return iso(seconds(text) + shift_s) if MOMENT.fullmatch(text) else text

    return message | {"timestamp": iso(now), "data": _texts(data, fresh)}


def _texts(value: Any, fresh: Callable[[str], str]) -> Any:
    """Replace every string inside a JSON value."""
    match value:
        case str():
            return fresh(value)
        case dict():
            return {name: _texts(inner, fresh) for name, inner in value.items()}
        case list():
            return [_texts(inner, fresh) for inner in value]
        case _:
            return value
