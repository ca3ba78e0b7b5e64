"""
What arrived at Dodo and at DataFast, asked of their stand-ins.

A shop that is not pointed at stand-ins has no observers: what lies behind the redirect then reads
`not_observable`. Dodo's own `GET /checkouts/{id}` returns no metadata (facts of the API, 2026).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from kit.lab.hosts import is_local
from kit.lab.neighbours import ask


class DodoObserver(Protocol):
    """Whoever knows what the shop sent to Dodo."""

    def owns(self, url: str) -> bool:
        """Tell whether an address is on the checkout pages this observer knows."""
        ...

    def metadata(self, session_id: str) -> Mapping[str, Any] | None:
        """Return the metadata a checkout session was opened with; None if there is no such."""
        ...

    def payment(self, session_id: str) -> str | None:
        """Return the id of the session's payment once it has succeeded."""
        ...


class DataFastObserver(Protocol):
    """Whoever knows what the browser and the shop sent to DataFast."""

    def pageviews(self, visitor_id: str) -> Sequence[str]:
        """Return the addresses whose pageviews of a visitor arrived, oldest first."""
        ...

    def report(self, transaction_id: str) -> "Reported | None":
        """Return the report of a payment, once there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Reported:
    """A payment as DataFast was told of it; `attributed` is DataFast's own word."""

    visitor_id: str | None
    attributed: bool


@dataclass(frozen=True, slots=True)
class DodoSandbox:
    """The kit's stand-in for Dodo: `page_url` as browsers name it, `api_url` for programs."""

    page_url: str
    api_url: str

    def owns(self, url: str) -> bool:
        """Tell whether an address is one of the stand-in's pages."""
        asked, own = urlsplit(url), urlsplit(self.page_url)
        here = all(is_local(each.hostname or "") for each in (asked, own))
        return asked[:2] == own[:2] or (here and asked.port == own.port)

    def metadata(self, session_id: str) -> Mapping[str, Any] | None:
        """Return the metadata of a session, as it was posted."""
        found = _documents(self.api_url, "checkouts", session_id=session_id)
        return dict(found[0]["order"]["metadata"]) if found else None

    def payment(self, session_id: str) -> str | None:
        """Return the id of the session's succeeded payment."""
        found = _documents(
            self.api_url, "payments", checkout_session_id=session_id, status="succeeded"
        )
        return str(found[-1]["payment_id"]) if found else None


@dataclass(frozen=True, slots=True)
class DataFastSandbox:
    """The kit's stand-in for DataFast; `api_url` for programs."""

    api_url: str

    def pageviews(self, visitor_id: str) -> Sequence[str]:
        """Return the addresses of a visitor's pageviews."""
        found = _documents(self.api_url, "visitors", visitor_id=visitor_id)
        return list(found[0]["pages"]) if found else []

    def report(self, transaction_id: str) -> Reported | None:
        """Return what was recorded under a transaction id."""
        found = _documents(self.api_url, "payments", transaction_id=transaction_id)
        if not found:
            return None
        return Reported(found[-1]["datafast_visitor_id"], bool(found[-1]["attributed"]))


def _documents(api_url: str, page: str, **query: str) -> list[dict[str, Any]]:
    answer = ask(f"{api_url}/_sandbox/{page}", query)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found
