"""`POST /inspector/actions`: what a person may do, from a button or from the command line."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from kit.actions import Plan, perform, plan
from kit.dodo import DodoClient
from kit.errors import DodoError, LedgerUnavailable, TransportError
from kit.ledger.replays import LEFT_ALONE, READ_AGAIN, SENT_AGAIN, Line
from kit.reconcile.intake import NameRefused, take_in_named
from kit.reconcile.progress import keep_progress, read_progress
from kit.wanted import ActionRefused
from kit.web.forms import read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.asked import local_path
from kit.web.inspector.pages import Inspector
from kit.web.pages import refusal, wanted_type

_FATES: Final[Mapping[str, str]] = {
    "resend": "posted to DataFast again; its verdict stays",
    "send": "sent to DataFast",
    "delete": "deleted at DataFast once more",
    "line_up": "sent to DataFast after its sale",
    "recheck": "asked about at DataFast again",
    "replace": "deleted at DataFast, then reported with its visitor",
    "read": "read again",
    "ask": "looked up at Dodo again",
}
_CHANGING = (*SENT_AGAIN, *READ_AGAIN, "replace")
_ASKED = ("action", "id", "state", "reason", "since_ms", "until_ms", "transaction_id")


@dataclass(frozen=True, slots=True)
class Actions:
    """The endpoint, with all it needs."""

    inspector: Inspector
    dodo: DodoClient
    holds_test: bool
    """Whether test payments stay here, so that no replay sends them."""

    async def post(self, request: Request) -> Response:
        """
        Do what the form says, and answer a page's button with the page that it stands on.

        With `plan=1` nothing is done, and the answer says what would be.
        """
        inspector = self.inspector
        if not inspector.access.admits(request) or not is_same_origin(request, inspector.base_url):
            return refusal(403, "not allowed", fix="Sign in, and act from the inspector's pages.")
        form = await read_form(request)
        if form.get("action") == "reconcile":
            return await self._reconcile(form)
        try:
            if form.get("plan") == "1":
                planned = await plan(inspector.ledger, form, holds_test=self.holds_test)
                return self._planned(request, form, planned)
            done = await perform(inspector.ledger, form, holds_test=self.holds_test)
        except ActionRefused as refused:
            return inspector.problem(
                request,
                status=409,
                title="That does not fit",
                message=str(refused),
                fix="Nothing was changed.",
            )
        except LedgerUnavailable:
            return inspector.unreadable(request)
        if wanted_type(request) == "html":
            return RedirectResponse(local_path(form.get("back")), status_code=303)
        return JSONResponse({"ok": True, "changed": done.changed, "done": done.sentence})

    async def _reconcile(self, form: Mapping[str, str]) -> Response:
        """
        Take in the objects of Dodo that `kit reconcile` names, and keep how far it has come.

        It runs in a process of its own and may only read this ledger.
        """
        ledger = self.inspector.ledger
        try:
            progress = read_progress(form["progress"]) if form.get("progress") else None
            taken = await take_in_named(ledger, self.dodo, form.get("names", ""))
            if progress is not None or form.get("ended") == "1":
                await self.inspector.ledger.write(
                    lambda connection: keep_progress(connection, progress)
                )
        except (NameRefused, ValueError) as refused:
            return JSONResponse({"ok": False, "error": str(refused)}, 409)
        except (DodoError, TransportError) as problem:
            return JSONResponse({"ok": False, "error": str(problem)}, 502)
        except LedgerUnavailable as unavailable:
            return JSONResponse({"ok": False, "error": str(unavailable)}, 503)
        sentence = f"{taken} taken in; they are sent at DataFast's pace"
        return JSONResponse({"ok": True, "changed": taken, "done": sentence})

    def _planned(self, request: Request, form: Mapping[str, str], planned: Plan) -> Response:
        if wanted_type(request) != "html":
            return JSONResponse({"ok": True, "plan": planned.as_dict()})
        lines = [_shown(line) for line in planned.lines]
        context = {
            "lines": lines,
            "changes": sum(line["number"] for line in lines if line["changes"]),
            "asked": {name: form[name] for name in _ASKED if form.get(name)},
            "back": local_path(form.get("back")),
        }
        return self.inspector.pages.render(request, "inspector/plan.html", context)


def _shown(line: Line) -> dict[str, Any]:
    return {
        "number": line.number,
        "what": line.what if line.number == 1 else f"{line.what}s",
        "kind": line.kind,
        "state": line.state,
        "reason": line.reason,
        "amount": f"{line.amount} {line.currency}" if line.currency else None,
        "changes": line.fate in _CHANGING,
        "fate": _FATES.get(line.fate) or f"left alone: {LEFT_ALONE[line.fate]}",
    }
