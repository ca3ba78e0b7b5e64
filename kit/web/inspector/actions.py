"""`POST /inspector/actions`: what a person may do, from a button or from the command line."""

from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.actions import ActionRefused, Done, perform
from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access


@dataclass(frozen=True, slots=True)
class Actions:
    """The endpoint, with all it needs."""

    ledger: Ledger
    access: Access
    base_url: str

    async def post(self, request: Request) -> Response:
        """Do what the form says, and answer a page's button with the page."""
        if not self.access.admits(request) or not is_same_origin(request, self.base_url):
            return JSONResponse({"ok": False, "error": "not allowed"}, 403)
        form = await read_form(request)

        def act(connection: Connection) -> Done:
            return perform(connection, form, now_ms=self.ledger.now_ms())

        try:
            done = await self.ledger.write(act)
        except ActionRefused as refused:
            return JSONResponse({"ok": False, "error": str(refused)}, 409)
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/inspector", status_code=303)
        return JSONResponse({"ok": True, "changed": done.changed, "done": done.sentence})
