"""Note what a browser does: the script, its events, the order, and the way to Dodo and back."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from playwright.sync_api import BrowserContext, Request, Response

from kit.lab.seen import Order, PageEvent
from kit.lab.shop import DODO_HOST

EVENT_PATH = "/api/events"
REAL_EVENTS = re.compile(r"https://(?:[\w-]+\.)*datafa\.st/api/events")
_SCRIPT_NAMES = ("script.js", "script.hash.js", "script.cookieless.js")


@dataclass(slots=True)
class Watch:
    """The requests of all contexts it was given, in their order, and what became of each."""

    is_checkout: Callable[[str], bool]
    requests: list[Request] = field(default_factory=list)
    _statuses: dict[Request, int] = field(default_factory=dict)
    _failed: set[Request] = field(default_factory=set)
    _pressed_at: int | None = None

    def attach(self, context: BrowserContext) -> None:
        """Note everything that pages of a context ask for from now on."""

        # Functions, not methods: Playwright keeps a note on the object that a method belongs to.
        def answered(response: Response) -> None:
            self._statuses[response.request] = response.status

        context.on("request", lambda request: self.requests.append(request))
        context.on("response", answered)
        context.on("requestfailed", lambda request: self._failed.add(request))

    def status(self, request: Request) -> int | None:
        """Return the status of a request's answer; None as long as there is none."""
        return None if request in self._failed else self._statuses.get(request)

    def has_failed(self, request: Request) -> bool:
        """Tell whether a request will never have an answer."""
        return request in self._failed

    def is_over(self, request: Request) -> bool:
        """Tell whether a request has its answer, or will never have one."""
        return request in self._statuses or request in self._failed

    # The script and its events

    def script(self, url: str | None) -> Request | None:
        """Return the last request for DataFast's script: at `url`, or by its usual names."""
        found = [request for request in self.requests if _is_script(request, url)]
        return found[-1] if found else None

    def events(self) -> list[Request]:
        """Return the posts of events, oldest first."""
        return [
            request
            for request in self.requests
            if request.method == "POST" and urlsplit(request.url).path.endswith(EVENT_PATH)
        ]

    def page_events(self) -> Iterator[PageEvent]:
        """Yield what the page told DataFast."""
        for request in self.events():
            try:
                body = json.loads(request.post_data or "")
            except ValueError:
                continue
            if isinstance(body, dict):
                yield PageEvent(
                    kind=str(body.get("type")),
                    visitor_id=body.get("visitorId"),
                    href=str(body.get("href")),
                    status=self.status(request),
                    cookieless=body.get("cookieless") is True,
                    kept_back=REAL_EVENTS.match(request.url) is not None,
                )

    # The order

    def press(self) -> None:
        """Take what follows for the order."""
        self._pressed_at = len(self.requests)

    @property
    def pressed(self) -> bool:
        """Whether the visitor has tried to buy."""
        return self._pressed_at is not None

    def checkout(self) -> Request | None:
        """Return the request for Dodo's checkout page that the order led to, in a frame or not."""
        return next(
            (
                request
                for request in self.requests[self._pressed_at or 0 :]
                if request.is_navigation_request() and self.is_checkout(request.url)
            ),
            None,
        )

    def order(self) -> Order | None:
        """
        Return what the shop's server was given when the visitor bought.

        That is where the redirect to Dodo began; when a script opened the checkout, the last post
        before it; and with neither, the link to Dodo itself.
        """
        checkout = self.checkout()
        if checkout is None:
            return None
        first = checkout
        while first.redirected_from is not None:
            first = first.redirected_from
        if first is checkout:
            before = self.requests[self._pressed_at or 0 : self.requests.index(checkout)]
            posts = [each for each in before if each.method == "POST" and not _is_event(each)]
            if not posts:
                return Order(checkout.url, None, direct=True)
            first = posts[-1]
        return Order(
            url=first.url,
            cookies=first.all_headers().get("cookie"),
            body=unquote(first.post_data or ""),
        )

    # The way back

    def left_checkout(self, so_far: int) -> bool:
        """Tell whether a page of the shop has answered after the first `so_far` requests."""
        return any(
            request.is_navigation_request()
            and not self.is_checkout(request.url)
            and (self.status(request) or 0) // 100 not in (0, 3)
            for request in self.requests[so_far:]
        )

    def kept_with(self, text: str) -> str | None:
        """Return the first page of the shop that kept `text` in its address, without its query."""
        for request in self.requests:
            if (
                request.is_navigation_request()
                and not self.is_checkout(request.url)
                and text in unquote(request.url)
                and (self.status(request) or 0) in range(200, 300)
            ):
                return request.url.partition("?")[0]
        return None


def is_dodo(url: str) -> bool:
    """Tell whether an address is on a checkout page of Dodo's own."""
    parts = urlsplit(url)
    return parts.scheme == "https" and DODO_HOST.fullmatch(parts.hostname or "") is not None


def _is_event(request: Request) -> bool:
    return urlsplit(request.url).path.endswith(EVENT_PATH)


def _is_script(request: Request, url: str | None) -> bool:
    if request.resource_type != "script":
        return False
    if url is not None:
        return request.url == url
    path = urlsplit(request.url).path
    return path.startswith("/js/") and path.rpartition("/")[2] in _SCRIPT_NAMES
