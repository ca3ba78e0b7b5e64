"""The stand-ins served from a thread."""

import socket
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from kit.sandbox.live import Keys, Live, live_sandboxes, serving


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Name both stand-ins after they have ended; their sockets are free again."""
    with live_sandboxes(templates_dir=tmp_path, static_dir=tmp_path, domain="contour.test") as live:
        return live


def test_both_answer_with_the_keys_they_hand_out(tmp_path: Path) -> None:
    """A shop that is started with these variables is pointed at them."""
    with live_sandboxes(templates_dir=tmp_path, static_dir=tmp_path, domain="contour.test") as live:
        found = live.variables()
        dodo = httpx.get(
            f"{found['DODO_PAYMENTS_BASE_URL']}/payments",
            headers={"authorization": f"Bearer {found['DODO_PAYMENTS_API_KEY']}"},
        )
        datafast = httpx.delete(
            f"{found['DATAFAST_BASE_URL']}/api/v1/payments?transaction_id=none",
            headers={"authorization": f"Bearer {found['DATAFAST_API_KEY']}"},
        )

    assert (dodo.status_code, datafast.status_code) == (200, 404)
    assert (found["DATAFAST_WEBSITE_ID"], found["DATAFAST_DOMAIN"]) == (
        "dfid_sandbox",
        "contour.test",
    )


def test_a_shop_that_has_keys_already_keeps_them(tmp_path: Path) -> None:
    """And has products and a return page of its own."""
    keys = Keys(dodo_api_key="dodo_test_mine")
    with live_sandboxes(
        templates_dir=tmp_path,
        static_dir=tmp_path,
        domain="contour.test",
        keys=keys,
        any_product=True,
    ) as live:
        found = live.variables("http://shop.contour.test:5000/pricing")
        answer = httpx.post(
            f"{live.dodo_api}/checkouts",
            json={"product_cart": [{"product_id": "pdt_mine", "quantity": 2}]},
            headers={"authorization": "Bearer dodo_test_mine"},
        )

    assert answer.status_code == 200
    assert found["DODO_PAYMENTS_API_KEY"] == "dodo_test_mine"
    assert found["DODO_PAYMENTS_WEBHOOK_KEY"] == keys.webhook_secret
    assert found["DODO_PAYMENTS_RETURN_URL"] == "http://shop.contour.test:5000/"


def test_the_tag_is_for_a_shop_on_this_machine(live: Live) -> None:
    """With the website and the domain that the stand-in knows."""
    tag = live.tag()

    assert 'data-website-id="dfid_sandbox" data-domain="contour.test"' in tag
    assert 'data-allow-localhost="true" data-disable-payments="true"' in tag
    assert f'src="{live.datafast_page}/js/script.js"' in tag


def test_they_are_gone_when_the_with_ends(live: Live) -> None:
    """Nothing keeps a port."""
    with pytest.raises(httpx.ConnectError):
        httpx.get(live.dodo_api)


def test_keys_do_not_show_themselves(live: Live) -> None:
    """Not in a failing test's output either."""
    shown = repr(live)

    assert live.keys.dodo_api_key not in shown
    assert live.keys.webhook_secret not in shown
    assert live.keys.datafast_api_key not in shown


def test_a_taken_port_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """The other one's socket is closed again."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(OSError, match="in use"),
        live_sandboxes(
            templates_dir=tmp_path,
            static_dir=tmp_path,
            domain="contour.test",
            ports=(0, taken.getsockname()[1]),
        ),
    ):
        pass


def test_an_app_that_does_not_start_is_an_error() -> None:
    """Instead of a wait for it."""

    def broken(_app: Starlette) -> None:
        raise ValueError("no lifespan")

    app = Starlette(lifespan=broken)  # type: ignore[arg-type]
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        pytest.raises(RuntimeError, match="did not start"),
        serving({listening: app}),
    ):
        pass
