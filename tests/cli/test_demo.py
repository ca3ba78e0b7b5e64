"""`kit demo` as a process: ports, folders, restarts, signals."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from dotenv import dotenv_values

from kit.settings import review_settings
from tests.cli.conftest import Running, kit, kit_here, running_demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keep one demo's data."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Running]:
    """Run one demo for the tests that only look."""
    with running_demo(folder, "--port", "0") as running:
        yield running


def buy(client: httpx.Client) -> str:
    """Order a map; returns the address of the checkout page."""
    page = client.get("/products/coastline-atlas").text
    attempt = re.findall(r'name="attempt" value="([^"]+)"', page)
    form = {"product": "coastline-atlas", "attempt": attempt[0]}
    return client.post("/checkout", data=form).headers["location"]


def test_three_sites_answer_when_it_says_so(demo: Running) -> None:
    """Names that a browser takes for three sites; each also by its address."""
    hosts = [urlsplit(demo.urls[name]).hostname for name in ("shop", "dodo", "datafast")]
    ports = {urlsplit(url).port for url in demo.urls.values()}
    shop = httpx.get(demo.urls["shop_local"])
    script = httpx.get(f"{demo.urls['shop_local']}/js/script.js")
    dodo = httpx.get(f"{demo.urls['dodo_local']}/_sandbox/checkouts")

    assert hosts == ["shop.localhost", "checkout.localhost", "datafast.localhost"]
    assert len(ports) == 3
    assert "Demo: no real money moves" in shop.text
    assert 'data-domain="shop.localhost"' in shop.text
    assert "datafast_visitor_id" in script.text
    assert dodo.json() == []


def test_it_says_where_everything_is(demo: Running) -> None:
    """The shop first, with a campaign to land from."""
    first, second, *_ = demo.printed().splitlines()

    assert first.split() == ["Shop", f"{demo.urls['shop']}/?utm_source=newsletter"]
    assert second.split() == ["Inspector", f"{demo.urls['shop']}/inspector"]


def test_its_keys_and_orders_are_this_users_alone(demo: Running, folder: Path) -> None:
    """The folder, the keys and the ledger can be read by nobody else."""
    modes = {
        name: (folder / ".kit" / name).stat().st_mode & 0o777
        for name in ("", "keys.json", "shop.db")
    }

    assert modes == {"": 0o700, "keys.json": 0o600, "shop.db": 0o600}


def test_a_second_demo_on_the_same_folder_is_refused(demo: Running, folder: Path) -> None:
    """In a sentence; the first goes on."""
    second = kit(folder, "demo", "--port", "0")

    assert second.returncode == 1
    assert "another process is using the ledger shop.db" in second.stderr
    assert "Traceback" not in second.stderr
    assert httpx.get(demo.urls["shop_local"]).status_code == 200


def test_a_port_that_was_asked_for_and_is_taken_is_a_sentence(tmp_path: Path) -> None:
    """Nothing is left behind, and the port is named."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = kit(tmp_path, "demo", "--port", str(port))

    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob(".kit/*")) == []


def test_the_last_of_three_ports_may_be_one_too_many(tmp_path: Path) -> None:
    """65536 is a sentence, too."""
    done = kit_here(tmp_path, "demo", "--port", "65535")

    assert done.returncode == 1
    assert "choose one from 0 to 65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_usual_port_may_be_taken(tmp_path: Path) -> None:
    """Then any is, and it says which; `--host` gives all three URLs one address."""
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with taken:
        try:
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        except OSError:
            taken.close()  # somebody else has it: as good
        with running_demo(tmp_path, "--host", "127.0.0.1") as demo:
            ports = {name: urlsplit(url).port for name, url in demo.urls.items()}
            page = httpx.get(demo.urls["shop"])

    assert {urlsplit(url).hostname for url in demo.urls.values()} == {"127.0.0.1"}
    assert ports["shop"] != 8000
    assert 'data-domain="127.0.0.1"' in page.text
    assert f"form-action 'self' {demo.urls['dodo']};" in page.headers["content-security-policy"]


def test_orders_and_cookies_survive_a_restart(tmp_path: Path) -> None:
    """SIGTERM ends it well, with a request under way; the next start knows the browser again."""
    with running_demo(tmp_path, "--port", "0") as demo:
        with httpx.Client(base_url=demo.urls["shop_local"]) as browser:
            location = buy(browser)
            cookie = browser.cookies["kit_orders"]
        [order] = httpx.get(f"{demo.urls['shop_local']}/inspector.json").json()["journeys"]
        shop = urlsplit(demo.urls["shop_local"])
        with socket.create_connection((shop.hostname or "", shop.port or 0)) as half:
            half.sendall(
                b"POST /webhooks/dodo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n"
                b"expect: 100-continue\r\n\r\n"
            )
            # The server asks for the body: from here on the request is under way.
            begun = half.recv(1024)
            demo.process.terminate()
            half.sendall(b"body")
            answer = half.recv(1024)
        first_end = demo.process.wait(15)
    with running_demo(tmp_path, "--port", "0") as demo:
        page = httpx.get(
            f"{demo.urls['shop_local']}/orders/{order['order_ref']}",
            headers={"cookie": f"kit_orders={cookie}"},
        )
        session = urlsplit(location).path
        hosted = httpx.get(f"{demo.urls['dodo_local']}{session}")
        second_end = demo.stop()

    assert begun.startswith(b"HTTP/1.1 100 ")
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert "Waiting for word of your payment" in page.text
    assert hosted.status_code == 200
    assert (first_end, second_end) == (0, 0)


def test_other_commands_can_be_told_of_it(tmp_path: Path) -> None:
    """Its settings are in a file of its own, for nobody else to read."""
    data = tmp_path / "it's mine"
    with running_demo(tmp_path, "--port", "0", "--data", str(data)) as demo:
        written = dotenv_values(data / "demo.env")
        mode = (data / "demo.env").stat().st_mode & 0o777

    assert mode == 0o600
    assert written["KIT_BASE_URL"] == demo.urls["shop"]
    assert written["KIT_DATABASE_URL"] == f"sqlite:///{data}/shop.db"
    assert review_settings({name: value or "" for name, value in written.items()})[1] == ()


def test_other_commands_find_the_running_demo_by_its_name(demo: Running, folder: Path) -> None:
    """Its ledger is the demo's, which they ask, even where no resolver knows `*.localhost`."""
    variables = {
        name: value
        for name, value in dotenv_values(folder / ".kit/demo.env").items()
        if value is not None
    }
    nobody = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
    done = kit_here(folder, "forget", nobody, "--dry-run", **variables)

    assert done.returncode == 0, done.stderr
    assert "http://shop.localhost:" in variables["KIT_BASE_URL"]


def test_keys_that_cannot_be_read_are_a_sentence(tmp_path: Path) -> None:
    """A folder that was half written says how to start afresh."""
    (tmp_path / ".kit").mkdir()
    (tmp_path / ".kit" / "keys.json").write_text('{"dodo_api_key": ')
    done = kit_here(tmp_path, "demo", "--port", "0")

    assert done.returncode == 1
    assert "keys.json cannot be read; delete the folder to start afresh" in done.stderr


def test_a_real_key_without_the_rest_names_what_is_missing(tmp_path: Path) -> None:
    """The account is not asked before all is set; the key is not shown."""
    done = kit_here(tmp_path, "demo", DODO_PAYMENTS_API_KEY="dodo_test_planted")

    assert done.returncode == 1
    assert "dodo_test_planted" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for name in ("DODO_PAYMENTS_WEBHOOK_KEY", "DATAFAST_API_KEY", "KIT_SECRET_KEY"):
        assert f"- {name}" in done.stderr
    assert list(tmp_path.iterdir()) == []
