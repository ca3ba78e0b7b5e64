"""
The inspector alone, without a forwarder that would send what the ledger holds.

`python -m tests.bench.serve_inspector DATABASE_URL` prints its port and serves until terminated.
"""

import asyncio
import sys

import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from kit.ledger import Ledger
from kit.resources import resource_dir
from kit.server import Listener, bind, serve
from kit.web.guard import SecurityHeaders
from kit.web.inspector.access import Access
from kit.web.inspector.attribution import Attribution
from kit.web.inspector.curl import Curl
from kit.web.inspector.journey import JourneyPage
from kit.web.inspector.listing import Listing
from kit.web.inspector.live import Streams
from kit.web.inspector.naming import Naming
from kit.web.inspector.news import News
from kit.web.inspector.pages import Inspector
from kit.web.pages import Pages


def main() -> None:
    """Serve the pages as the shop does: same views, templates and headers."""
    ledger = Ledger.open(sys.argv[1])
    naming = Naming({"coastline-atlas": "Coastline Atlas"})
    curl = Curl("test_mode", None, "https://datafa.st", None)
    views = (Listing(naming, "lane"), JourneyPage(naming, curl), Attribution(ledger), News())
    inspector = Inspector(
        ledger,
        Access(token=None, keys=["key-of-the-bench-32-characters--"], secure=False),
        Pages(tag=None, demo=False),
        "http://127.0.0.1",
        views,
        Streams(ledger),
    )
    static = Mount("/static", StaticFiles(directory=resource_dir("static")))
    routes = [*inspector.routes(), static]
    app = SecurityHeaders(Starlette(routes=routes), form_targets=(), secure=False)
    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        bind("127.0.0.1", 0) as listening,
    ):
        listener = Listener(app, listening)
        runner.run(serve([listener], ready=lambda: print(listener.port, flush=True)))


if __name__ == "__main__":
    main()
