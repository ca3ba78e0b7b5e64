"""The webhook messages Dodo sends, as data: one file for each event type in `events/`.

A file names its base object in `events/bases/` and what differs from it, so that a field Dodo adds
to payments is added once.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("events")
BUSINESS_ID = "bus_contour"
BRAND_ID = "brnd_contour"
# What is the shop's to fill, so that a change may bring new keys.
FREE_MAPS = ("metadata",)


class FixtureError(KeyError):
    """No such event type or field; the message is a sentence."""

    def __str__(self) -> str:
        """Return the sentence as it is; a KeyError would quote it."""
        return str(self.args[0])


def event_types() -> list[str]:
    """Return the event types there is a file for, sorted."""
    return list(_sources())


@cache
def _sources() -> dict[str, str]:
    """Read all the files once: a history of thousands of messages is made of them."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))}


@cache
def _base(name: str) -> str:
    return (FOLDER / "bases" / f"{name}.json").read_text(encoding="utf-8")


def load(event_type: str, /, **changes: Any) -> dict[str, Any]:
    """Return a whole webhook message: `{business_id, type, timestamp, data}`.

    `timestamp` and `business_id` change the envelope, all other names fields of `data`
    (`business_id` both, where `data` has one). Dotted names reach inside: `customer.email`,
    `product_cart.0.quantity`, or from the envelope `data.metadata.datafast_visitor_id`; only
    metadata takes keys that are not there yet. Raises FixtureError, a KeyError, for an event type
    without a file and for a name the object does not have, which is a typing mistake.
    """
    source = _sources().get(event_type)
    if source is None:
        raise FixtureError(f"No fixture for {event_type!r}. There are: {', '.join(event_types())}.")
    fixture = json.loads(source)
    base = json.loads(_base(fixture["base"]))
    message: dict[str, Any] = {
        "business_id": BUSINESS_ID,
        "type": fixture["type"],
        "timestamp": fixture["timestamp"],
        "data": base | fixture["data"],
    }
    for name, value in changes.items():
        change(message, name, value)
    return message


def change(message: dict[str, Any], name: str, value: Any) -> None:
    """Replace one field of a message, by a name as `load` takes it. Raises FixtureError."""
    data = message["data"]
    if name in ("timestamp", "business_id"):
        message[name] = value
        if name not in data:
            return
    path = name.removeprefix("data.")
    *parents, last = path.split(".")
    place: Any = data
    for step in parents:
        place = place[_known(place, step, message["type"], path)]
    free = isinstance(place, dict) and bool(parents) and parents[-1] in FREE_MAPS
    place[last if free else _known(place, last, message["type"], path)] = value


def _known(place: Any, step: str, event_type: str, path: str) -> str | int:
    if isinstance(place, dict) and step in place:
        return step
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return int(step)
    raise FixtureError(f"{event_type} has no field {path}.")
