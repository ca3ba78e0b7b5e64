"""`POST /inspector/actions`: what a person may do, from a button or from the command line."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.actions import perform, plan
from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.wanted import ActionRefused
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access


@dataclass(frozen=True, slots=True)
class Actions:
    """The endpoint, with all it needs."""

    ledger: Ledger
    access: Access
    base_url: str
    holds_test: bool
    """Whether test payments stay here, so that no replay sends them."""

    async def post(self, request: Request) -> Response:
        """
        Do what the form says, and answer a page's button with the page.

        With `plan=1` nothing is done, and the answer says what would be.
        """
        if not self.access.admits(request) or not is_same_origin(request, self.base_url):
            return JSONResponse({"ok": False, "error": "not allowed"}, 403)
        form = await read_form(request)
        try:
            if form.get("plan") == "1":
                planned = await plan(self.ledger, form, holds_test=self.holds_test)
                return JSONResponse({"ok": True, "plan": planned.as_dict()})
            done = await perform(self.ledger, form, holds_test=self.holds_test)
        except ActionRefused as refused:
            return JSONResponse({"ok": False, "error": str(refused)}, 409)
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/inspector", status_code=303)
        return JSONResponse({"ok": True, "changed": done.changed, "done": done.sentence})
