"""The stand-ins for Dodo and DataFast, as somebody's tests see them."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from kit.lab.hosts import local_address
from kit.lab.neighbours import ask, tell
from kit.resources import resource_dir
from kit.sandbox.live import Keys, Live, live_sandboxes
from kit.sandbox.stamps import iso

CALLS_A_MINUTE = 6_000
"""A suite may report more payments in a minute than DataFast takes; `chaos("429")` is for that."""
WEBHOOK_PATH = "/webhooks/dodo"


@dataclass(frozen=True, slots=True)
class Received:
    """One request that a stand-in received, and the status it answered with."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    status: int | None

    @property
    def json(self) -> Any:
        """The body, read as JSON. Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class _Server:
    url: str
    """As browsers name it."""
    api_url: str
    """For programs."""
    variables: Mapping[str, str] = field(repr=False)
    """What a shop's environment must hold."""
    _since: Callable[[], float] = field(repr=False)

    @property
    def requests(self) -> list[Received]:
        """What arrived since this test began, oldest first; keys show as "right" or "wrong"."""
        since = iso(self._since())
        names = Received.__slots__
        return [
            Received(**{name: each[name] for name in names})
            for each in self.documents("requests")
            if each["received_at"] >= since
        ]

    def documents(self, kind: str, **fields: str) -> list[dict[str, Any]]:
        """Return what is held of a kind, such as "payments", by fields or by `visitor_id`."""
        answer = ask(f"{self.api_url}/_sandbox/{kind}", fields)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def chaos(self, mode: str, *, times: int | None = 1, **match: str) -> None:
        """
        Answer the next `times` calls with a fault, or all of them with None; "off" ends it.

        `mode` is "429", "500", "timeout", "reset" and others; `match` picks calls by `path`,
        `method`, `visitor_id` or `transaction_id`. Raises ValueError with what is wrong.
        """
        rule = {"mode": mode, "match": match}
        self._post("chaos", rule if mode == "off" else rule | {"times": times})

    def _post(self, lever: str, document: Mapping[str, Any]) -> None:
        answer = tell(f"{self.api_url}/_sandbox/{lever}", document)
        if answer.is_error:
            raise ValueError(answer.text)


@dataclass(frozen=True, slots=True)
class DodoServer(_Server):
    """The stand-in for Dodo: its API, its checkout page, its signed webhooks."""

    _webhooks: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def checkouts(self) -> list[dict[str, Any]]:
        """The checkout sessions, each with the shop's `order`, metadata among it."""
        return self.documents("checkouts")

    @property
    def payments(self) -> list[dict[str, Any]]:
        """The payments, as Dodo's API gives them."""
        return self.documents("payments")

    def send_webhooks(self, shop: str, path: str | None = None) -> None:
        """
        Send webhooks to a shop from now on: to `path` at its address, or to a whole other one.

        Without a path they go where they went the last time for this shop, or to /webhooks/dodo.
        """
        origin = urljoin(shop, "/")
        known = self._webhooks.get(origin, urljoin(origin, WEBHOOK_PATH))
        url = self._webhooks[origin] = known if path is None else urljoin(origin, path)
        self._post("shop", {"webhook_url": local_address(url)})


@dataclass(frozen=True, slots=True)
class DataFastServer(_Server):
    """The stand-in for DataFast: its script, its events, its payments."""

    @property
    def payments(self) -> list[dict[str, Any]]:
        """The payments that were reported, each with `attributed` true or false."""
        return self.documents("payments")

    @property
    def visitors(self) -> list[dict[str, Any]]:
        """The visitors who are known by a pageview, each with its `pages`."""
        return self.documents("visitors")

    @property
    def domain(self) -> str:
        """What the script tag must have in data-domain."""
        return self.variables["DATAFAST_DOMAIN"]


@dataclass(frozen=True, slots=True)
class StandIns:
    """Both of them."""

    dodo: DodoServer
    datafast: DataFastServer


@contextlib.contextmanager
def running_stand_ins(
    *,
    domain: str,
    website_id: str,
    webhook_secret: str,
    ports: tuple[int, int],
    since: Callable[[], float],
) -> Iterator[StandIns]:
    """Run both until the `with` ends; `since` says when the present test began."""
    with live_sandboxes(
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        domain=domain,
        website_id=website_id,
        ports=ports,
        keys=Keys(webhook_secret=webhook_secret),
        any_product=True,
        rate_limit=CALLS_A_MINUTE,
    ) as live:
        dodo, datafast = _variables(live)
        yield StandIns(
            DodoServer(live.dodo_page, live.dodo_api, dodo, since),
            DataFastServer(live.datafast_page, live.datafast_api, datafast, since),
        )


def _variables(live: Live) -> tuple[dict[str, str], dict[str, str]]:
    parts: tuple[dict[str, str], dict[str, str]] = ({}, {})
    for name, value in live.variables().items():
        parts[name.startswith("DATAFAST_")][name] = value
    return parts
