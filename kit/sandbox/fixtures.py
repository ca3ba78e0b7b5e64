"""The webhook messages Dodo sends, as data: one file for each event type in `events/`.

A file names its base object in `events/bases/` and what differs from it, so that a field Dodo adds
to payments is added once.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("events")
BUSINESS_ID = "bus_contour"
BRAND_ID = "brnd_contour"


def event_types() -> list[str]:
    """Return the event types there is a file for, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load(event_type: str, /, **changes: Any) -> dict[str, Any]:
    """Return a whole webhook message: `{business_id, type, timestamp, data}`.

    `timestamp` and `business_id` change the envelope, all other names fields of `data`
    (`business_id` both, where `data` has one). Raises KeyError for an event type without a file
    and for a name the object does not have, which is a typing mistake.
    """
    path = FOLDER / f"{event_type}.json"
    if event_type not in event_types():
        raise KeyError(f"No fixture for {event_type!r}. There are: {', '.join(event_types())}.")
    fixture = json.loads(path.read_text(encoding="utf-8"))
    base = json.loads((FOLDER / "bases" / f"{fixture['base']}.json").read_text(encoding="utf-8"))
    data = base | fixture["data"]
    envelope = {
        "business_id": changes.get("business_id", BUSINESS_ID),
        "type": fixture["type"],
        "timestamp": changes.pop("timestamp", fixture["timestamp"]),
        "data": data,
    }
    if "business_id" not in data:
        changes.pop("business_id", None)
    unknown = sorted(changes.keys() - data.keys())
    if unknown:
        raise KeyError(f"{event_type} has no field {', '.join(unknown)}.")
    data.update(changes)
    return envelope
