"""Who is buying: the one place where a request's visitor is read, and only as far as is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request

from kit.helpers.dodo_datafast import Visitor, visitor_from_cookies, visitor_from_page
from kit.web.consent import ConsentRule, State

PAGE_FIELD: Final = "datafast_visitor_id"
"""The form field in which a page hands the visitor over in cookieless mode."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Reads the visitor from a cookie or, in cookieless mode and there alone, from the form."""

    consent: ConsentRule
    cookieless: bool

    def at_checkout(self, request: Request, form: Mapping[str, str]) -> tuple[Visitor, State]:
        """Return who is buying, and what they answered when they were asked."""
        state = self.consent.state(request)
        if not self.consent.permits(request):
            return Visitor(None, None, "declined"), state
        if self.cookieless:
            return visitor_from_page(form.get(PAGE_FIELD)), state
        visitor = visitor_from_cookies(request.headers.get("cookie"))
        if getattr(request.state, "visitor_restored", False):
            visitor = replace(visitor, source="continuity")
        return visitor, state

    def at_return(self, request: Request) -> Visitor:
        """Return whom the buyer's way back shows."""
        if not self.consent.permits(request):
            return Visitor(None, None, "declined", "return")
        if self.cookieless:
            return Visitor(None, None, "absent", "return")
        return replace(visitor_from_cookies(request.headers.get("cookie")), source="return")
