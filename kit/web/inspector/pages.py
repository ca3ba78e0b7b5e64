"""The inspector's pages: each is read once and given as a page, as JSON, or live as it changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.journeys import find_key
from kit.ledger.stamps import moment_of
from kit.web.forms import MAX_FORM_BYTES, read_form
from kit.web.guard import is_same_origin
from kit.web.inspector.access import Access
from kit.web.inspector.asked import (
    INSPECTOR,
    NotAsked,
    NotThere,
    journey_path,
    local_path,
)
from kit.web.inspector.live import Streams
from kit.web.pages import Pages, refusal, version_of, wanted_type

_PRIVATE = {"Cache-Control": "private, no-store", "Vary": "Accept"}


class View(Protocol):
    """What one page shows."""

    @property
    def path(self) -> str:
        """Its address, as a route."""

    @property
    def template(self) -> str:
        """Its template."""

    def read(self, connection: Connection, request: Request) -> dict[str, Any]:
        """Read it as plain data: the JSON twin. Raises NotAsked and NotThere."""

    def shown(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the template needs besides."""


@dataclass(frozen=True, slots=True)
class Inspector:
    """The endpoints, with all they need."""

    ledger: Ledger
    access: Access
    pages: Pages
    base_url: str
    views: Sequence[View]
    streams: Streams

    def routes(self) -> list[Route]:
        """Return the routes: every page has its twin in JSON."""
        found = [
            Route(
                f"{INSPECTOR}/signin",
                self.sign_in,
                methods=["POST"],
                max_body_size=MAX_FORM_BYTES,
            ),
            Route(f"{INSPECTOR}/find", self.find),
            Route(f"{INSPECTOR}/find.json", self.find),
        ]
        for view in self.views:
            endpoint = _Endpoint(self, view)
            found += [Route(f"{view.path}.json", endpoint.get), Route(view.path, endpoint.get)]
        return found

    async def find(self, request: Request) -> Response:
        """Go to the journey that an id belongs to, whatever it is the id of."""
        if (refused := self.refused(request)) is not None:
            return refused
        # No id holds a NUL, and PostgreSQL would take it for a fault.
        wanted = request.query_params.get("q", "").strip().replace("\0", "")
        try:
            key = await self.ledger.read(lambda connection: find_key(connection, wanted[:200]))
        except LedgerUnavailable:
            return self.unreadable(request)
        if key is None:
            return self.problem(
                request,
                status=404,
                title="Nothing has this id",
                message="No order, payment, message, report or visitor of the ledger is called so.",
                fix="Copy it whole, from Dodo, from DataFast or from a log.",
            )
        path = journey_path(":".join(key))
        if wanted_type(request) == "json":
            return JSONResponse({"ok": True, "key": ":".join(key), "path": path}, headers=_PRIVATE)
        return RedirectResponse(path, status_code=303)

    async def sign_in(self, request: Request) -> Response:
        """Take the token from the form, remember the browser, and go where it wanted to."""
        if not is_same_origin(request, self.base_url):
            return self._sign_in_form(request, error="Sign in from this page.", status=403)
        form = await read_form(request)
        if not self.access.accepts(form.get("token", "")):
            error = "That is not the token."
            return self._sign_in_form(request, error=error, status=401, after=form.get("next"))
        response = RedirectResponse(local_path(form.get("next")), status_code=303)
        self.access.sign_in(response)
        return response

    def refused(self, request: Request) -> Response | None:
        """Refuse whoever may not look: with the sign-in form, or in JSON."""
        if self.access.admits(request):
            return None
        if wanted_type(request) == "html":
            query = f"?{request.url.query}" if request.url.query else ""
            after = quote(request.scope["path"], safe="/:") + query
            return self._sign_in_form(request, error=None, status=401, after=after)
        return refusal(
            401,
            "the inspector asks for its token",
            fix="Send KIT_INSPECTOR_TOKEN as a bearer token.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    def problem(
        self, request: Request, *, status: int, title: str, message: str, fix: str
    ) -> Response:
        """Say what went wrong and what to do, as a page or in JSON."""
        if wanted_type(request) != "html":
            return refusal(status, message, fix=fix)
        return self.pages.problem(
            request,
            status=status,
            title=title,
            message=message,
            action=fix,
            back_url=INSPECTOR,
            template="inspector/problem.html",
        )

    def unreadable(self, request: Request) -> Response:
        """Say that the ledger gave no answer."""
        return self.problem(
            request,
            status=503,
            title="The ledger cannot be read",
            message="The database gave no answer. Webhooks are refused until it does.",
            fix="See the server's log and the disk's free space.",
        )

    def _sign_in_form(
        self, request: Request, *, error: str | None, status: int, after: str | None = None
    ) -> Response:
        if not self.access.has_token:
            error = "No token is set: set KIT_INSPECTOR_TOKEN, or open this page on the machine."
        context = {
            "error": error,
            "next": local_path(after),
            "has_token": self.access.has_token,
        }
        return self.pages.render(request, "inspector/signin.html", context, status=status)


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """One page in its three forms: told apart by `.json`, else by what the client accepts."""

    inspector: Inspector
    view: View

    async def get(self, request: Request) -> Response:
        inspector = self.inspector
        if (refused := inspector.refused(request)) is not None:
            return refused
        form = wanted_type(request)
        try:
            body = await self._read(request)
        except NotAsked as problem:
            return inspector.problem(
                request,
                status=400,
                title="That cannot be shown",
                message=f"The address asks for something else: {problem}.",
                fix=problem.fix,
            )
        except NotThere as problem:
            return inspector.problem(
                request,
                status=404,
                title="There is no such journey",
                message=f"{str(problem)[0].upper()}{str(problem)[1:]}.",
                fix="Find it by any of its ids, or in the list.",
            )
        except LedgerUnavailable:
            return inspector.unreadable(request)
        if form == "stream":
            return inspector.streams.response(lambda: self._read(request), first=body)
        if form == "json":
            return JSONResponse(body, headers=_PRIVATE)
        context = {
            **body,
            **self.view.shown(request, body),
            "query": request.query_params,
            "version": version_of(body),
            "json_url": _twin(request),
            "checked_at_text": f"{moment_of(inspector.ledger.now_ms()):%H:%M:%S} UTC",
            "here": request.scope["path"],
        }
        response = inspector.pages.render(request, self.view.template, context)
        response.headers.update(_PRIVATE)
        return response

    async def _read(self, request: Request) -> dict[str, Any]:
        body = await self.inspector.ledger.read(
            lambda connection: self.view.read(connection, request)
        )
        return {"ok": True, **body}


def _twin(request: Request) -> str:
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{quote(request.scope['path'], safe='/:')}.json{query}"
