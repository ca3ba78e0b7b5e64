"""`/_sandbox/settings` and `/_sandbox/release`: how the stand-in behaves, and what waits."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit.sandbox.calls import read_json
from kit.sandbox.delivery import Outbox
from kit.sandbox.posted import Posted
from kit.sandbox.refusals import ApiError
from kit.sandbox.switches import SwitchError, Switches
from kit.sandbox.waiting import ORDERS


class Switchboard:
    """Read and set the switches, and let held messages go."""

    def __init__(self, switches: Switches, outbox: Outbox) -> None:
        """Set `switches` and release from `outbox`."""
        self._switches = switches
        self._outbox = outbox

    async def settings(self, request: Request) -> Response:
        """Answer `GET` and `POST /_sandbox/settings` with the settings in force."""
        if request.method == "POST":
            try:
                self._switches.post(read_json(await request.body()))
            except SwitchError as error:
                raise ApiError(422, str(error)) from None
            self._outbox.wake()
        return JSONResponse(self._switches.as_json())

    async def release(self, request: Request) -> Response:
        """Answer `POST /_sandbox/release`: what goes out, in the order in which it does.

        `order` is "queued", "reversed", "shuffled" (repeatable by `seed`), or a list of event
        types and webhook ids.
        """
        posted = Posted(await request.body(), "order", "seed")
        listed = isinstance(posted.anything("order"), list)
        order = posted.texts("order") if listed else posted.choice("order", ORDERS)
        sent = self._outbox.release(order, seed=posted.whole("seed"))
        fields = ("webhook_id", "type", "kind", "key")
        return JSONResponse([{name: delivery[name] for name in fields} for delivery in sent])

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/_sandbox/settings", self.settings, methods=["GET", "POST"]),
            Route("/_sandbox/release", self.release, methods=["POST"]),
        ]
