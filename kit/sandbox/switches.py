"""What a person or a test may switch while the stand-in for Dodo runs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from kit.sandbox.shapes import SHAPES

MAX_COPIES = 20
MAX_DELAY_S = 3600


class SwitchError(ValueError):
    """A posted setting that is none; the message says what to write."""


@dataclass(slots=True)
class Switches:
    """The settings in force; kept in memory, so a restart is calm again.

    `trial_payment` decides between the two documented starts of a free trial: a payment of 0, or
    none. `trial_amount` (minor units) makes trials paid ones. `shape` is the age of webhook bodies
    and `api_shape` that of API answers. The rest concerns deliveries: how often each message is
    sent in all, how long it waits, whether what is due goes out in a random order, whether messages
    wait for `POST /_sandbox/release`, and whether they are signed with a secret that is not the
    endpoint's.
    """

    trial_payment: bool = True
    trial_amount: int | None = None
    shape: str = "current"
    api_shape: str = "current"
    duplicate: int = 1
    delay_s: float = 0
    shuffle: bool = False
    hold: bool = False
    forge: bool = False

    def post(self, document: Any) -> None:
        """Change the named settings, all or none. Raises SwitchError with a sentence."""
        if not isinstance(document, Mapping):
            raise SwitchError("Settings are a JSON object.")
        known = {field.name for field in fields(self)}
        for name, value in document.items():
            if name not in known:
                raise SwitchError(f"Settings are: {', '.join(sorted(known))}.")
            problem = _problem(name, value)
            if problem:
                raise SwitchError(f"{name} {problem}.")
        for name, value in document.items():
            setattr(self, name, value)

    def reset(self) -> None:
        """Go back to the defaults."""
        for field in fields(self):
            setattr(self, field.name, field.default)

    def as_json(self) -> dict[str, Any]:
        """Return all settings."""
        return asdict(self)


def _problem(name: str, value: Any) -> str:
    match name:
        case "shape" | "api_shape":
            return "" if value in SHAPES else f"must be one of: {', '.join(SHAPES)}"
        case "duplicate":
            valid = type(value) is int and 1 <= value <= MAX_COPIES
            return "" if valid else f"must be a whole number from 1 to {MAX_COPIES}"
        case "delay_s":
            valid = type(value) in (int, float) and 0 <= value <= MAX_DELAY_S
            return "" if valid else f"must be from 0 to {MAX_DELAY_S} seconds"
        case "trial_amount":
            valid = value is None or (type(value) is int and value >= 1)
            return "" if valid else "must be a whole number of minor units from 1, or null"
        case _:
            return "" if isinstance(value, bool) else "must be true or false"
