"""`/healthz`: the process lives. `/readyz`: it can keep its promises."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from kit.errors import LedgerUnavailable
from kit.ledger import Ledger
from kit.ledger.rows import upsert
from kit.ledger.schema import meta

COMMIT_DEADLINE_S = 2.0
FRESH_S = 1.0


@dataclass(slots=True)
class Health:
    """The endpoints. `working` tells whether the forwarder runs; `clock` gives Unix seconds."""

    ledger: Ledger
    working: Callable[[], bool]
    clock: Callable[[], float]
    committed_at: float = 0.0

    async def live(self, _request: Request) -> Response:
        """Answer as long as anything does."""
        return JSONResponse({"status": "live"})

    async def ready(self, _request: Request) -> Response:
        """Commit something small; ready means that it is on disk and the forwarder works."""
        problem = None
        try:
            await self._commit()
        except (LedgerUnavailable, TimeoutError):
            problem = "the ledger takes no writes"
        if not self.working():
            problem = "the forwarder has stopped"
        if problem is None:
            return JSONResponse({"status": "ready"})
        body = {"status": "not ready", "problem": problem}
        return JSONResponse(body, 503, {"Retry-After": "5"})

    def broken(self) -> str | None:
        """Say why only a new process can help, if that is so: a dead writer cannot be revived."""
        return None if self.ledger.alive else "the ledger's writer has died; the log says of what"

    async def _commit(self) -> None:
        now = self.clock()
        if 0 <= now - self.committed_at < FRESH_S:
            return

        def write(connection: Connection) -> None:
            values = {"name": "heartbeat_ms", "value": str(int(now * 1000))}
            upsert(connection, meta, key="name", values=values)

        async with asyncio.timeout(COMMIT_DEADLINE_S):
            await self.ledger.write(write)
        self.committed_at = now
