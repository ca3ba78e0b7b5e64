"""What a reason code means; the table of all of them is in hops.py."""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["ok", "wait", "warn", "lost"]
"""ok: as it should be; wait: not yet; warn: money is right, something is missing; lost: act."""


@dataclass(frozen=True, slots=True)
class Reason:
    """What a reason code means: a sentence, how bad it is, and the fix where there is one."""

    sentence: str
    tone: Tone = "ok"
    fix: str | None = None
