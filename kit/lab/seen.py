"""What was seen on one journey: plain data, from which the hops are told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from kit.lab.observers import Reported

VISITOR_COOKIE: Final = "datafast_visitor_id"
VISITOR_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)

_ANY_ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)

ScriptState = Literal["loaded", "blocked", "late", "missing", "off"]
"""late: still on its way when the visitor went on; off: this browser runs no scripts."""


@dataclass(frozen=True, slots=True)
class PageEvent:
    """One event that the page sent to DataFast; `status` is None when no answer came."""

    kind: str
    visitor_id: str | None
    href: str
    status: int | None
    cookieless: bool = False
    kept_back: bool = False
    """It was meant for the real DataFast, who was not to count it."""


@dataclass(frozen=True, slots=True)
class Order:
    """The request by which the visitor bought: what it carried to the shop's server."""

    url: str
    cookies: str | None
    body: str = ""
    direct: bool = False
    """A link of the page to Dodo itself: no server of the shop's comes in between."""

    @property
    def handed_over(self) -> str | None:
        """A visitor id in the order itself, of any version: cookieless ids may be of another."""
        found = _ANY_ID.search(self.body) or _ANY_ID.search(self.url)
        return found.group() if found else None

    @property
    def cookie_values(self) -> tuple[str, ...]:
        """The values of the visitor cookie, in the order of the header."""
        pairs = (part.strip().partition("=") for part in (self.cookies or "").split(";"))
        return tuple(value for name, _, value in pairs if name == VISITOR_COOKIE)

    @property
    def visitor_id(self) -> str | None:
        """The first well-formed visitor id of the header."""
        return next((value for value in self.cookie_values if VISITOR_ID.fullmatch(value)), None)


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything seen of one journey. None means: nothing was there, or it came not so far."""

    host: str
    """The host that takes the order."""
    script: ScriptState
    script_url: str | None = None
    data_domain: str | None = None
    visitor_id: str | None = None
    """Who the visitor is: the id of the landing page, else the first one later."""
    cookie_domain: str | None = None
    """The Domain of that id's cookie; without a dot in front it belongs to one host."""
    events: tuple[PageEvent, ...] = ()
    button: bool = True
    order: Order | None = None
    session_id: str | None = None
    dodo_observed: bool = True
    metadata: Mapping[str, Any] | None = None
    paid: bool = False
    returned_to: str | None = None
    leaked: str | None = None
    """An address with the buyer's e-mail that a page of the shop kept."""
    datafast_observed: bool = True
    landing_known: bool = True
    """Whether DataFast's first pageview of the visitor is the landing page's."""
    report: Reported | None = None

    @property
    def cookieless(self) -> bool:
        """Whether the page keeps no cookie, and DataFast's server says who the visitor is."""
        return any(event.cookieless for event in self.events)
