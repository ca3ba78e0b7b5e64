"""What a client may cost: the size and time of its headers, its reading, and its connection."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEADER_BYTES = 16 * 1024
HEADER_DEADLINE_S = 10.0
READING_DEADLINE_S = 30.0  # a page of half a megabyte, at 20 kB/s


class _HeadersTooLarge(Exception):  # noqa: N818 - a signal inside this file
    pass


class Crowd(ServerState):
    """
    The connections of one server, and whose turn it is at which of them: the longest waiting first.

    Past `limit` that one is closed for each that comes, so that whoever holds connections open
    without saying anything, or without reading the answers, keeps no webhook out.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.owing: dict[LimitedProtocol, None] = {}

    def make_room(self) -> None:
        """Close the connection that has owed us something for the longest time."""
        if len(self.connections) > self.limit and self.owing:
            longest = next(iter(self.owing))
            del self.owing[longest]
            longest.transport.abort()


class LimitedProtocol(HttpToolsProtocol):
    """
    uvicorn's fast protocol with the limits that it lacks.

    Headers have 16 kB and 10 s, an answer must be read in 30 s; of too many connections the idlest
    is closed.
    """

    server_state: Crowd

    _header_bytes = 0
    _unread_bytes = 0
    _in_headers = False
    _header_timer: asyncio.TimerHandle | None = None
    _reading_timer: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None
    _too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client its time to send the first headers."""
        super().connection_made(transport)
        self._expect_headers()
        self.server_state.owing[self] = None
        self.server_state.make_room()

    def on_message_begin(self) -> None:
        """Count the next headers from the start; those that come at once need no timer."""
        super().on_message_begin()
        self._header_bytes = self._unread_bytes = 0
        self._in_headers = True
        self._stop_timer()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the clock: the body has limits of its own."""
        self._in_headers = False
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Owe an answer from here on: this connection is not in the way."""
        if not self.flow.write_paused:
            self.server_state.owing.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, behind all who wait already."""
        if not self.pipeline:
            self.server_state.owing.pop(self, None)
            self.server_state.owing[self] = None
        super().on_response_complete()
        if self.transport.is_closing():
            self._expect_reading()

    def pause_writing(self) -> None:
        """Give the client its time to read what waits for it."""
        super().pause_writing()
        self.server_state.owing.setdefault(self)
        self._expect_reading()

    def resume_writing(self) -> None:
        """Stop the clock: it reads."""
        super().resume_writing()
        self._stop_reading_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.server_state.owing.pop(self, None)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self._give_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave nothing behind."""
        self._stop_timer()
        self._stop_reading_timer()
        self.server_state.owing.pop(self, None)
        if self._answered is not None and not self._answered.response_complete:
            # uvicorn tells the request that came last, be another one under way or not.
            self._answered.disconnected = True
            self._answered.message_event.set()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Say 431 where the headers were too large."""
        if not self._too_large:
            super().send_400_response(msg)
            return
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
            b"content-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on, unless one header alone has grown past the limit."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_headers and self._unread_bytes > MAX_HEADER_BYTES:
            self._too_large = True
            self.send_400_response("")
        elif self._header_timer is None and (
            self._in_headers or self.cycle is None or self.cycle.response_complete
        ):
            # Headers that did not come at once. Or blank lines, or the rest of a body that nobody
            # reads: uvicorn has just cancelled its own timer, and no message begins for ours.
            self._expect_headers()

    def _count(self, length: int) -> None:
        self._unread_bytes = 0
        self._header_bytes += length
        if self._header_bytes > MAX_HEADER_BYTES:
            self._too_large = True
            raise _HeadersTooLarge

    def _expect_headers(self) -> None:
        self._stop_timer()
        self._header_timer = self.loop.call_later(HEADER_DEADLINE_S, self._give_up)

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _give_up(self) -> None:
        """Close, once what has been written is read."""
        self.transport.close()
        self._expect_reading()

    def _expect_reading(self) -> None:
        self._stop_reading_timer()
        self._reading_timer = self.loop.call_later(READING_DEADLINE_S, self.transport.abort)

    def _stop_reading_timer(self) -> None:
        if self._reading_timer is not None:
            self._reading_timer.cancel()
            self._reading_timer = None
