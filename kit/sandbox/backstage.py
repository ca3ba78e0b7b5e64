"""The `/_sandbox` pages: what a stand-in received and holds, and its faults."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.chaos import Chaos
from kit.sandbox.journal import Journal
from kit.sandbox.store import Document, Store


class Backstage:
    """The `/_sandbox` pages both stand-ins have."""

    def __init__(
        self, *, journal: Journal, chaos: Chaos, store: Store, kinds: dict[str, str]
    ) -> None:
        """Serve `store`; `kinds` maps a page's name to the kind of document it lists."""
        self._journal = journal
        self._chaos = chaos
        self._store = store
        self._kinds = kinds

    async def requests(self, request: Request) -> JSONResponse:
        """Answer `GET /_sandbox/requests?visitor_id=&transaction_id=&path=`."""
        names = ("visitor_id", "transaction_id", "path", "method")
        wanted = {
            name: request.query_params[name] for name in names if name in request.query_params
        }
        return JSONResponse(self._journal.read(wanted))

    async def documents(self, request: Request) -> JSONResponse:
        """Answer `GET /_sandbox/{page}?field=value&visitor_id=…` with the stored documents."""
        kind = self._kinds.get(request.path_params["page"])
        if kind is None:
            known = ", ".join(sorted(["chaos", "requests", *self._kinds]))
            return JSONResponse({"error": f"Known pages: {known}."}, status_code=404)
        found = self._store.all(kind)
        for name, value in request.query_params.items():
            found = [document for document in found if _has(document, name, value)]
        return JSONResponse(found)

    async def chaos(self, request: Request) -> JSONResponse:
        """Answer `GET` and `POST /_sandbox/chaos` with the rules in force."""
        if request.method == "POST":
            try:
                self._chaos.post(await request.json())
            except ValueError as error:
                return JSONResponse({"error": str(error)}, status_code=400)
        return JSONResponse([rule.as_json() for rule in self._chaos.rules])

    def routes(self, reset: Callable[[Request], Awaitable[Response]]) -> list[Route]:
        """Return the routes; `reset` answers `POST /_sandbox/reset`."""
        return [
            Route("/_sandbox/requests", self.requests, methods=["GET"]),
            Route("/_sandbox/chaos", self.chaos, methods=["GET", "POST"]),
            Route("/_sandbox/reset", reset, methods=["POST"]),
            Route("/_sandbox/{page}", self.documents, methods=["GET"]),
        ]

    def reset(self) -> None:
        """Forget all documents, rules and requests."""
        self._store.clear()
        self._chaos.rules.clear()


def _has(document: Document, name: str, value: str) -> bool:
    # The visitor hides under several names, in metadata too; a UUID is unlike anything else.
    if name == "visitor_id":
        return value in json.dumps(document)
    return _text(document.get(name)) == value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()
