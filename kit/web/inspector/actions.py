"""`POST /inspector/actions`: what a person may do, from a button or from the command line."""

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.actions import perform, plan
from kit.dodo import DodoClient
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.ledger import Ledger
from kit.reconcile.intake import NameRefused, take_in_named
from kit.reconcile.progress import keep_progress, read_progress
from kit.wanted import ActionRefused
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access


@dataclass(frozen=True, slots=True)
class Actions:
    """The endpoint, with all it needs."""

    ledger: Ledger
    dodo: DodoClient
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
        if form.get("action") == "reconcile":
            return await self._reconcile(form)
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

    async def _reconcile(self, form: Mapping[str, str]) -> Response:
        """
        Take in the objects of Dodo that `kit reconcile` names, and keep how far it has come.

        It runs in a process of its own and may only read this ledger.
        """
        try:
            progress = read_progress(form["progress"]) if form.get("progress") else None
            taken = await take_in_named(self.ledger, self.dodo, form.get("names", ""))
            if progress is not None or form.get("ended") == "1":
                await self.ledger.write(lambda connection: keep_progress(connection, progress))
        except (NameRefused, ValueError) as refused:
            return JSONResponse({"ok": False, "error": str(refused)}, 409)
        except (DodoError, TransportError) as problem:
            return JSONResponse({"ok": False, "error": str(problem)}, 502)
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        sentence = f"{taken} taken in; they are sent at DataFast's pace"
        return JSONResponse({"ok": True, "changed": taken, "done": sentence})
