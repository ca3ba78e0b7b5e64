"""`kit webhook create` against a stand-in on a socket: one endpoint, one line."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from dodopayments import DodoPayments
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit import cli
from kit.ledger.policy import EVENTS_READ
from kit.resources import resource_dir
from kit.sandbox.dodo import create_dodo
from tests.servers import serving

API_KEY = "dodo_test_planted-dodo-key"
URL = "https://shop.example.com/webhooks/dodo"
OWN_VARIABLES = ("DODO_", "DATAFAST_", "KIT_")


@dataclass(frozen=True, slots=True)
class Account:
    """An account at the stand-in, seen through the official SDK."""

    url: str

    def endpoints(self) -> list[dict[str, object]]:
        """Return the endpoints, parsed strictly by the SDK."""
        with DodoPayments(bearer_token=API_KEY, base_url=self.url) as client:
            return [each.model_dump() for each in client.webhooks.list().data]

    def secret(self, endpoint_id: str) -> str:
        """Return an endpoint's secret."""
        with DodoPayments(bearer_token=API_KEY, base_url=self.url) as client:
            return client.webhooks.retrieve_secret(endpoint_id).secret


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """Run a stand-in without an endpoint, and work in an empty folder with its key around."""
    dodo = create_dodo(
        database=":memory:",
        public_url="http://checkout.localhost",
        templates_dir=resource_dir("templates"),
        static_dir=resource_dir("static"),
        api_key=API_KEY,
        webhook_secret="whsec_" + "cGxhbnRlZC13ZWJob29rLXNlY3JldC0wMDAx",
        webhook_url="",
    )
    for name in os.environ:
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DODO_PAYMENTS_API_KEY", API_KEY)
    monkeypatch.chdir(tmp_path)
    with serving(dodo) as url:
        monkeypatch.setenv("DODO_PAYMENTS_BASE_URL", url)
        yield Account(url)


def create(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, ["webhook", "create", *arguments], prog_name="kit")


def test_it_makes_the_endpoint_and_prints_one_line(account: Account, tmp_path: Path) -> None:
    """The standard output can be appended to .env; nothing else is written anywhere."""
    result = create("--url", URL)
    [endpoint] = account.endpoints()

    assert result.exit_code == 0, result.output
    assert result.stdout == f"DODO_PAYMENTS_WEBHOOK_KEY={account.secret(str(endpoint['id']))}\n"
    assert f"{endpoint['id']} made: {URL}" in result.stderr
    assert "whsec_" not in result.stderr
    assert (endpoint["url"], endpoint["disabled"]) == (URL, False)
    assert endpoint["filter_types"] == list(EVENTS_READ)
    assert list(tmp_path.iterdir()) == []


def test_the_address_is_the_shops_own_by_default(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No other setting is needed: the secret is what this brings."""
    monkeypatch.setenv("KIT_BASE_URL", "https://shop.example.com")
    create("--all-events")
    [endpoint] = account.endpoints()

    assert endpoint["url"] == URL
    assert endpoint["filter_types"] == []


def test_a_second_time_it_makes_no_second_endpoint(account: Account) -> None:
    """The same line is printed, so that an interrupted run can be repeated."""
    first, second = create("--url", URL), create("--url", URL)
    other = create("--url", "https://shop.example.com/other")

    assert len(account.endpoints()) == 2
    assert first.stdout == second.stdout != other.stdout
    assert "was there already" in second.stderr


def test_the_line_is_what_the_server_reads(account: Account, tmp_path: Path) -> None:
    """Appended to .env, the webhook that Dodo signs is the one that the kit verifies."""
    (tmp_path / ".env").write_text(create("--url", URL).stdout)
    result = CliRunner().invoke(
        cli.main, ["trigger", "payment.succeeded", "--to", "https://shop.example.com/", "--dry-run"]
    )

    assert result.exit_code == 0, result.output
    assert "webhook-signature: v1," in result.stdout


def test_dodo_cannot_reach_this_machine(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """KIT_BASE_URL is on loopback, and Dodo is the real one: nobody is asked."""
    monkeypatch.delenv("DODO_PAYMENTS_BASE_URL")
    result = create()

    assert result.exit_code == 1
    assert "Dodo cannot reach http://127.0.0.1:8000/webhooks/dodo" in result.stderr


@pytest.mark.parametrize(
    ("environ", "problem"),
    [
        ({"DODO_PAYMENTS_API_KEY": ""}, "DODO_PAYMENTS_API_KEY is not set"),
        ({"DODO_PAYMENTS_ENVIRONMENT": "live_mode"}, "DODO_PAYMENTS_API_KEY is a key of test_mode"),
        ({"DODO_PAYMENTS_API_KEY": "dodo_test_other"}, "with write access"),
        ({"DODO_PAYMENTS_BASE_URL": "http://127.0.0.1:9"}, "it makes no second endpoint"),
        ({"KIT_BASE_URL": "http://shop.example.com"}, "KIT_BASE_URL must be an https URL"),
    ],
)
def test_a_mistake_is_a_sentence(
    account: Account, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], problem: str
) -> None:
    """With exit code 1, without the key, and nothing is made."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    result = create(*(() if "KIT_BASE_URL" in environ else ("--url", URL)))

    assert result.exit_code == 1
    assert problem in result.stderr
    assert result.stdout == ""
    assert "dodo_test_" not in result.output
    assert account.endpoints() == []


@pytest.mark.parametrize("url", ["http://shop.example.com/", "https://a:b@shop.example.com/", "x"])
def test_an_address_that_no_webhook_should_travel_to(account: Account, url: str) -> None:
    """A usage error, as elsewhere."""
    assert create("--url", url).exit_code == 2
    assert account.endpoints() == []


def test_a_secret_that_is_none_is_not_printed(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that cannot be used says where the endpoint is."""

    async def listed(_request: Request) -> Response:
        return JSONResponse({"data": [{"id": "ep_1", "url": URL}], "done": True})

    async def told(_request: Request) -> Response:
        return JSONResponse({"secret": "whsec_short\nDODO_PAYMENTS_API_KEY=x"})

    routes = [Route("/webhooks", listed), Route("/webhooks/ep_1/secret", told)]
    with serving(Starlette(routes=routes)) as url:
        monkeypatch.setenv("DODO_PAYMENTS_BASE_URL", url)
        result = create("--url", URL)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "the endpoint ep_1 is there, and the webhook secret is not base64" in result.stderr
