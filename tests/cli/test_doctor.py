"""`kit doctor` against a running demo, and against set-ups that are broken on purpose."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from dotenv import dotenv_values
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kit import cli
from kit.hops import REASONS
from tests.cli.conftest import Running, running_demo
from tests.servers import between, serving
from tests.shops.serving import free_port, running_shop, running_stand_ins

OTHER_SECRET = "whsec_" + "YW5vdGhlciBlbmRwb2ludCdzIHNlY3JldC4uLi4="
TEN_MINUTES_S = 600

Variables = dict[str, str]


@dataclass(frozen=True, slots=True)
class Shop:
    """The running demo, and the settings it runs with."""

    demo: Running
    variables: Variables

    def dodo(self) -> httpx.Client:
        """Talk to the stand-in for Dodo."""
        key = {"authorization": f"Bearer {self.variables['DODO_PAYMENTS_API_KEY']}"}
        return httpx.Client(base_url=self.demo.urls["dodo_local"], headers=key)

    @contextlib.contextmanager
    def endpoint(self, **fields: Any) -> Iterator[str]:
        """Have another webhook endpoint at Dodo for a while, and yield its secret."""
        with self.dodo() as dodo:
            made = dodo.post("/webhooks", json=fields).raise_for_status().json()["id"]
            try:
                yield dodo.get(f"/webhooks/{made}/secret").json()["secret"]
            finally:
                dodo.delete(f"/webhooks/{made}")

    @contextlib.contextmanager
    def alone(self, **fields: Any) -> Iterator[Variables]:
        """Have one webhook endpoint at Dodo, in place of the demo's own."""
        with self.dodo() as dodo, contextlib.ExitStack() as stack:
            url = f"{self.demo.urls['shop_local']}/webhooks/dodo"
            secret = stack.enter_context(self.endpoint(url=url, **fields))
            dodo.delete("/webhooks/ep_shop")
            # Asks the stand-in for its first endpoint back.
            stack.callback(lambda: dodo.post("/_sandbox/reset"))
            yield {"DODO_PAYMENTS_WEBHOOK_KEY": self.keys(secret)}

    @contextlib.contextmanager
    def fronted(self, **changes: Any) -> Iterator[Variables]:
        """Put a proxy in front of the shop that changes what passes, known to Dodo too."""
        with serving(between(self.demo.urls["shop_local"], **changes)) as url:
            public = url.replace("127.0.0.1", "shop.localhost")
            with self.endpoint(url=f"{public}/webhooks/dodo") as secret:
                yield {"KIT_BASE_URL": public, "DODO_PAYMENTS_WEBHOOK_KEY": self.keys(secret)}

    def keys(self, secret: str) -> str:
        """Name the server's secret and another endpoint's."""
        return f"{self.variables['DODO_PAYMENTS_WEBHOOK_KEY']},{secret}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Run one demo for all."""
    folder = tmp_path_factory.mktemp("doctor")
    with running_demo(folder, "--port", "0") as demo:
        written = dotenv_values(folder / ".kit" / "demo.env")
        yield Shop(demo, {name: value or "" for name, value in written.items()})


def doctor(folder: Path, variables: Variables, *arguments: str) -> Result:
    """Run `kit doctor` on these settings."""
    file = folder / "settings.env"
    file.touch(mode=0o600)
    file.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    return CliRunner().invoke(cli.main, ["doctor", "--env", str(file), *arguments])


def found(result: Result, *statuses: str) -> dict[str, Any]:
    """Return the checks of these statuses from the JSON document, by reason."""
    checks = json.loads(result.stdout)["checks"]
    return {check["reason"]: check for check in checks if check["status"] in statuses}


def test_the_demo_is_all_ok(shop: Shop, tmp_path: Path) -> None:
    """Twenty checks and more, of every topic, and none has anything to say."""
    result = doctor(tmp_path, shop.variables, "--json")
    document = json.loads(result.stdout)

    assert found(result, "warn", "fail") == {}
    assert result.exit_code == 0, result.output
    assert document["ok"] is True
    assert document["counts"] == {"ok": len(document["checks"]), "warn": 0, "fail": 0}
    assert len(document["checks"]) > 20
    assert [*dict.fromkeys(check["topic"] for check in document["checks"])] == [
        *("Settings", "This machine", "Dodo", "DataFast", "Clocks", "Page", "Webhook", "Ledger")
    ]


def test_it_leaves_nothing_that_counts(shop: Shop, tmp_path: Path) -> None:
    """However often: one message of no consequence in the ledger, and only deletes of nothing."""
    for _ in range(3):
        doctor(tmp_path, shop.variables)
    inspector = httpx.get(f"{shop.demo.urls['shop_local']}/inspector.json").json()
    with httpx.Client(base_url=shop.demo.urls["datafast_local"]) as datafast:
        asked = datafast.get("/_sandbox/requests?method=DELETE").json()
        posted = datafast.get("/_sandbox/requests?path=/api/v1/payments&method=POST").json()
        visitors = datafast.get("/_sandbox/visitors").json()

    assert [each["key"] for each in inspector["journeys"]] == ["message:kit-doctor"]
    assert inspector["journeys"][0]["hops"][-1]["reason"] == "event_not_money"
    assert inspector["drift"] == []
    assert inspector["refused_webhooks"] == []
    assert posted == visitors == []
    assert asked
    for each in asked:
        assert each["path"] == "/api/v1/payments"
        assert each["query"].keys() == {"transaction_id"}
        assert re.fullmatch(r"kit-doctor-[0-9a-f-]{36}", each["query"]["transaction_id"])


def test_lines_for_people(shop: Shop, tmp_path: Path) -> None:
    """Each line begins ok, warn or fail; what is not ok says what to do; no secret is shown."""
    result = doctor(tmp_path, shop.variables | {"DATAFAST_API_KEY": "df_planted-wrong-key"})
    lines = result.stdout.splitlines()

    assert result.exit_code == 1
    assert (
        "  ok    Webhook secret: DODO_PAYMENTS_WEBHOOK_KEY is the endpoint's secret."
        in "\n".join(lines)
    )
    fail = lines.index("  fail  DataFast's API key: " + REASONS["key_refused"].sentence)
    assert lines[fail + 1].strip() == "seen: The API token is missing or invalid."
    assert lines[fail + 2].strip().startswith("fix: Check DATAFAST_API_KEY")
    assert re.fullmatch(r"\d+ ok, 0 warn, 1 fail", lines[-1])
    for name, value in shop.variables.items():
        assert value not in result.output or not name.endswith("_KEY")
    assert "planted" not in result.output


def test_a_fix_that_several_share_is_told_once(shop: Shop, tmp_path: Path) -> None:
    """Under the last of them."""
    left_out = ("DATAFAST_API_KEY", "DODO_PAYMENTS_API_KEY")
    kept = {name: value for name, value in shop.variables.items() if name not in left_out}
    result = doctor(tmp_path, kept)
    sentence, fix = REASONS["setting_wrong"].sentence, REASONS["setting_wrong"].fix

    assert result.stdout.count(sentence) == 2
    assert fix is not None
    assert result.stdout.count(f"fix: {fix}") == 1


@pytest.mark.parametrize("option", ["--page", "--webhook"])
@pytest.mark.parametrize("url", ["http://shop.example.com/", "https://a:b@shop.example.com", "x"])
def test_an_address_that_nothing_signed_should_travel_to(
    shop: Shop, tmp_path: Path, option: str, url: str
) -> None:
    """A usage error, as for kit trigger."""
    assert doctor(tmp_path, shop.variables, option, url).exit_code == 2


def test_a_shop_with_the_copied_files(tmp_path: Path) -> None:
    """What `kit add` says to run next: nothing of the kit's own server is missed but in passing."""
    port = free_port()
    with (
        running_stand_ins(tmp_path / "stand-ins", f"http://127.0.0.1:{port}") as stand_ins,
        running_shop("flask", tmp_path / "shop", port=port, environ=stand_ins.variables()),
    ):
        own = {"KIT_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
        result = doctor(tmp_path, stand_ins.variables() | own, "--json")
    seen = found(result, "ok")

    assert found(result, "fail") == {}
    assert found(result, "warn").keys() == {"setting_for_server", "ledger_absent"}
    assert {"message_accepted", "shop_is_another", "script_tagged", "endpoint_ready"} <= seen.keys()


# Broken on purpose: each changes one thing, and the doctor names that one thing.


@dataclass(frozen=True, slots=True)
class Fault:
    """One broken set-up: what must be said of it, and a part of the fix."""

    reasons: frozenset[str]
    fix: str
    broken: Callable[[Shop, Path], AbstractContextManager[Variables]]
    warnings: frozenset[str] = field(default_factory=frozenset)


@contextlib.contextmanager
def changed(_shop: Shop, _folder: Path, **variables: str) -> Iterator[Variables]:
    """Change settings alone."""
    yield variables


def setting(**variables: str) -> Callable[[Shop, Path], AbstractContextManager[Variables]]:
    """Return a set-up of which only these settings differ."""
    return lambda shop, folder: changed(shop, folder, **variables)


def rewritten(_request: Request, body: bytes) -> bytes:
    """Parse JSON and write it anew, as many a proxy and framework does."""
    return json.dumps(json.loads(body), separators=(",", ":")).encode() if body else body


def dressed(**headers: str) -> Callable[[Request, Response], Response]:
    """Return a change that puts headers on pages."""

    def put(request: Request, response: Response) -> Response:
        if request.url.path == "/":
            for name, value in headers.items():
                response.headers[name.replace("_", "-")] = value
        return response

    return put


def edited(old: str, new: str) -> Callable[[Request, Response], Response]:
    """Return a change to the HTML of pages."""

    def edit(request: Request, response: Response) -> Response:
        if request.url.path != "/":
            return response
        html = bytes(response.body).decode().replace(old, new)
        kept = {name: value for name, value in response.headers.items() if name != "content-length"}
        return Response(html, headers=kept)

    return edit


def without_proxy(request: Request, response: Response) -> Response:
    """Pass no script and no event on."""
    gone = request.url.path.startswith(("/js/", "/api/"))
    return Response("nothing here", 404) if gone else response


@contextlib.contextmanager
def late_clock(shop: Shop, _folder: Path) -> Iterator[Variables]:
    """Let Dodo's clock be ten minutes ahead of everybody else's."""

    def ahead(_request: Request, response: Response) -> Response:
        del response.headers["date"]
        response.headers["date"] = formatdate(time.time() + TEN_MINUTES_S, usegmt=True)
        return response

    with serving(between(shop.demo.urls["dodo_local"], answer=ahead), dated=False) as url:
        yield {"DODO_PAYMENTS_BASE_URL": url}


@contextlib.contextmanager
def reading_key(_shop: Shop, _folder: Path) -> Iterator[Variables]:
    """Stand for a DataFast whose key reads and does not write."""

    async def refuse(_request: Request) -> Response:
        error = {"code": 403, "message": "This token may not write payments."}
        return JSONResponse({"status": "error", "error": error}, 403)

    app = Starlette(routes=[Route("/api/v1/payments", refuse, methods=["DELETE"])])
    with serving(app) as url:
        yield {"DATAFAST_BASE_URL": url}


@contextlib.contextmanager
def believing_shop(shop: Shop, _folder: Path) -> Iterator[Variables]:
    """Let the receiver believe whatever is posted to it."""

    def believe(request: Request, response: Response) -> Response:
        path = request.url.path
        return JSONResponse({"received": True}) if path == "/webhooks/dodo" else response

    with shop.fronted(answer=believe) as variables:
        yield variables


@contextlib.contextmanager
def no_ledger(_shop: Shop, folder: Path) -> Iterator[Variables]:
    """Name a file that is no database."""
    (folder / "notes.db").write_text("this is no database, but somebody's notes\n" * 40)
    yield {"KIT_DATABASE_URL": f"sqlite:///{folder}/notes.db"}


@contextlib.contextmanager
def card_beside(shop: Shop, _folder: Path) -> Iterator[Variables]:
    """Have the DataFast card in Dodo's dashboard too, as the guide says."""
    with shop.endpoint(url="https://datafa.st/api/v1/payments", filter_types=["payment.succeeded"]):
        yield {}


def without_datafast(request: Request, response: Response) -> Response:
    """Serve a page that has nothing of DataFast's."""
    return (
        Response("<h1>Maps</h1>", media_type="text/html") if request.url.path == "/" else response
    )


FAULTS = {
    "the secret of another endpoint": Fault(
        frozenset({"secret_differs", "message_refused"}),
        "Copy it again from the endpoint's own page",
        setting(DODO_PAYMENTS_WEBHOOK_KEY=OTHER_SECRET),
    ),
    "a proxy that writes the body anew": Fault(
        frozenset({"message_rewritten"}),
        "Pass the bytes on as they came",
        lambda shop, _: shop.fronted(body=rewritten),
    ),
    "a receiver that believes everything": Fault(
        frozenset({"message_unguarded"}), "answer 401 where it does not fit", believing_shop
    ),
    "a DataFast key that is wrong": Fault(
        frozenset({"key_refused"}), "Check DATAFAST_API_KEY", setting(DATAFAST_API_KEY="df_wrong")
    ),
    "a DataFast key that only reads": Fault(
        frozenset({"key_forbidden"}), "Check DATAFAST_API_KEY", reading_key
    ),
    "an address that is not DataFast's": Fault(
        frozenset({"wrong_address"}),
        "DATAFAST_BASE_URL",
        lambda shop, folder: changed(
            shop, folder, DATAFAST_BASE_URL=f"{shop.demo.urls['shop_local']}"
        ),
    ),
    "a test key in live mode": Fault(
        frozenset({"setting_wrong", "live_to_sandbox"}),
        "Set it as told",
        setting(DODO_PAYMENTS_ENVIRONMENT="live_mode"),
        warnings=frozenset({"not_checked"}),
    ),
    "a Dodo key that is unknown": Fault(
        frozenset({"dodo_key_refused"}),
        "set DODO_PAYMENTS_ENVIRONMENT to its mode",
        setting(DODO_PAYMENTS_API_KEY="dodo_test_unknown"),
    ),
    "an endpoint that asks for no payments": Fault(
        frozenset({"endpoint_without_payments"}),
        "Add the event in the dashboard",
        lambda shop, _: shop.alone(filter_types=["refund.succeeded"]),
    ),
    "an endpoint that is switched off": Fault(
        frozenset({"endpoint_disabled"}),
        "Switch it on in the dashboard",
        lambda shop, _: shop.alone(disabled=True),
    ),
    "clocks that disagree": Fault(
        frozenset({"clock_wrong"}), "Set the clock of that machine", late_clock
    ),
    "the DataFast card beside the kit": Fault(
        frozenset(),
        "Remove one of the two",
        card_beside,
        warnings=frozenset({"card_beside"}),
    ),
    "a script for the www host alone": Fault(
        frozenset({"script_domain_foreign"}),
        "root domain of the shop",
        lambda shop, _: shop.fronted(answer=edited('data-domain="shop', 'data-domain="www.shop')),
    ),
    "payments left to the script": Fault(
        frozenset({"script_guesses_payments"}),
        'data-disable-payments="true"',
        lambda shop, _: shop.fronted(answer=edited(' data-disable-payments="true"', "")),
    ),
    "a page without the script": Fault(
        frozenset({"script_missing"}),
        "Add the script tag",
        lambda shop, _: shop.fronted(answer=without_datafast),
    ),
    "a policy that blocks everything": Fault(
        frozenset({"policy_blocks_script", "policy_blocks_events", "policy_blocks_checkout"}),
        "in script-src",
        lambda shop, _: shop.fronted(
            answer=dressed(
                content_security_policy="default-src 'none'; form-action 'self'",
            )
        ),
    ),
    "no way through for script and events": Fault(
        frozenset({"script_unserved", "events_lost"}),
        "Pass /js/script.js and /api/events on",
        lambda shop, _: shop.fronted(answer=without_proxy),
    ),
    "a file that is no ledger": Fault(
        frozenset({"ledger_unusable"}), "See what it says", no_ledger
    ),
    "a server that is not running": Fault(
        frozenset({"page_silent", "shop_silent", "endpoint_missing"}),
        "Is `kit serve` running there",
        setting(KIT_BASE_URL="http://127.0.0.1:9"),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_set_up_is_named_with_its_fix(shop: Shop, tmp_path: Path, name: str) -> None:
    """Nothing else fails, the exit code says so, and no secret is printed."""
    fault = FAULTS[name]
    with fault.broken(shop, tmp_path) as variables:
        result = doctor(tmp_path, shop.variables | variables, "--json")
    fails, warnings = found(result, "fail"), found(result, "warn")

    assert fails.keys() == fault.reasons
    assert warnings.keys() == fault.warnings
    assert result.exit_code == (1 if fault.reasons else 0)
    assert fault.fix in "".join(check["fix"] for check in (*fails.values(), *warnings.values()))
    for name, value in (shop.variables | variables).items():
        assert value not in result.output or not name.endswith("_KEY")
