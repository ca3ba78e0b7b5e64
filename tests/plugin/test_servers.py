"""The stand-ins as somebody's tests see them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from kit.plugin.servers import DodoServer, StandIns, running_stand_ins
from kit.sandbox.signer import new_secret


@dataclass
class Test:
    """When the present test began."""

    __test__ = False
    began_at: float = 0.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.began_at


@pytest.fixture
def present() -> Test:
    """Begin at the beginning of time."""
    return Test()


@pytest.fixture
def stand_ins(present: Test) -> Iterator[StandIns]:
    """Run both."""
    with running_stand_ins(
        domain="localhost",
        website_id="dfid_mine",
        webhook_secret=new_secret(),
        ports=(0, 0),
        since=present,
    ) as running:
        yield running


def open_checkout(dodo: DodoServer, key: str | None = None) -> httpx.Response:
    """Ask for a checkout session of a product that the stand-in has never heard of."""
    key = key or dodo.variables["DODO_PAYMENTS_API_KEY"]
    return httpx.post(
        f"{dodo.variables['DODO_PAYMENTS_BASE_URL']}/checkouts",
        json={
            "product_cart": [{"product_id": "pdt_mine", "quantity": 1}],
            "metadata": {"colour": "blue"},
        },
        headers={"authorization": f"Bearer {key}"},
    )


def test_a_shop_sells_its_own_products_there(stand_ins: StandIns) -> None:
    """What it sent is there to be looked at, and its key is not."""
    dodo = stand_ins.dodo
    answer = open_checkout(dodo)
    [request] = dodo.requests
    [checkout] = dodo.checkouts

    assert answer.status_code == 200
    assert (request.method, request.path, request.status) == ("POST", "/checkouts", 200)
    assert request.json["metadata"] == checkout["order"]["metadata"] == {"colour": "blue"}
    assert request.headers["authorization"] == "right"
    assert dodo.payments == []


def test_requests_are_those_of_the_present_test(stand_ins: StandIns, present: Test) -> None:
    """What came before is another's."""
    open_checkout(stand_ins.dodo)
    present.began_at = time.time()
    before = stand_ins.dodo.requests
    open_checkout(stand_ins.dodo, key="another")
    [after] = stand_ins.dodo.requests

    assert before == []
    assert (after.headers["authorization"], after.status) == ("wrong", 401)


def test_the_variables_of_both_point_a_shop_at_them(stand_ins: StandIns) -> None:
    """Each stand-in gives those that concern it; keys do not show."""
    dodo, datafast = stand_ins.dodo, stand_ins.datafast

    assert {"DODO_PAYMENTS_WEBHOOK_KEY", "KIT_CHECKOUT_HOSTS"} <= set(dodo.variables)
    assert set(datafast.variables) == {
        "DATAFAST_API_KEY",
        "DATAFAST_BASE_URL",
        "DATAFAST_DOMAIN",
        "DATAFAST_WEBSITE_ID",
    }
    assert (datafast.domain, datafast.variables["DATAFAST_WEBSITE_ID"]) == (
        "localhost",
        "dfid_mine",
    )
    assert datafast.variables["DATAFAST_API_KEY"] not in repr(stand_ins)


def test_a_stand_in_fails_when_it_is_told_to(stand_ins: StandIns) -> None:
    """So many times, and then no more."""
    dodo = stand_ins.dodo
    dodo.chaos("500", times=1, path="/checkouts")
    statuses = [open_checkout(dodo).status_code for _ in range(2)]
    dodo.chaos("500", times=None)
    dodo.chaos("off")

    assert statuses == [500, 200]
    assert open_checkout(dodo).status_code == 200
    with pytest.raises(ValueError, match="mode"):
        dodo.chaos("earthquake")


def test_webhooks_go_where_they_went_for_this_shop(stand_ins: StandIns) -> None:
    """To the path that was named, else to the usual one; names of this machine are resolved."""
    dodo = stand_ins.dodo
    dodo.send_webhooks("http://shop.localhost:5000/pricing", "/hooks")
    dodo.send_webhooks("http://127.0.0.1:5001")
    usual = webhook_url(dodo)
    dodo.send_webhooks("http://shop.localhost:5000")

    assert usual == "http://127.0.0.1:5001/webhooks/dodo"
    assert webhook_url(dodo) == "http://127.0.0.1:5000/hooks"


def webhook_url(dodo: DodoServer) -> str:
    """Return where the shop's endpoint is."""
    answer = httpx.get(
        f"{dodo.api_url}/webhooks",
        headers={"authorization": f"Bearer {dodo.variables['DODO_PAYMENTS_API_KEY']}"},
    )
    [endpoint] = answer.json()["data"]
    return str(endpoint["url"])
