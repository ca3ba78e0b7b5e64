"""The doctor as a whole: the order of its topics, what a line begins with, and what it hides."""

from typing import Any

import pytest
from starlette.responses import HTMLResponse, JSONResponse

from kit.doctor import examine, status_of
from kit.hops import REASONS, Hop
from tests.checks.conftest import ENVIRON, World, answering, app, reasons

pytestmark = pytest.mark.anyio

TITLES = [
    *("Settings", "This machine", "Dodo", "DataFast", "Clocks", "Page", "Webhook", "Ledger"),
]


def test_a_line_begins_with_one_of_three_words() -> None:
    """What is lost fails; what is missing or not yet there is worth a look."""
    found = {(reason.tone, status_of(Hop("x", code))) for code, reason in REASONS.items()}

    assert found == {("ok", "ok"), ("wait", "warn"), ("warn", "warn"), ("lost", "fail")}


async def test_nothing_at_all_is_told_whole() -> None:
    """Without a setting and without anybody who answers: every topic, and no error."""
    unset: dict[str, Any] = dict.fromkeys(ENVIRON)
    topics = [topic async for topic in examine(World().setup(**unset))]

    assert [topic.title for topic in topics] == TITLES
    assert all(topic.hops for topic in topics)
    assert "not_checked" in reasons([*topics[2].hops])


async def test_what_others_repeat_of_a_secret_is_blotted_out() -> None:
    """A service that echoes the key, a page with the webhook's secret in its policy."""
    world = World()
    key, secret = ENVIRON["DATAFAST_API_KEY"], ENVIRON["DODO_PAYMENTS_WEBHOOK_KEY"]
    told = {"status": "error", "error": {"code": 401, "message": f"Bearer {key} is unknown"}}
    page = (
        '<script data-website-id="dfid_planted" data-domain="shop.localhost" src="/s.js"></script>'
    )
    policy = {"content-security-policy": f"script-src 'none'; report-uri /{secret}"}
    world.datafast = app({"/api/v1/payments": answering(JSONResponse(told, 401))})
    world.shop = app({"/": answering(HTMLResponse(page, headers=policy))})
    topics = [topic async for topic in examine(world.setup())]
    [refused] = topics[3].hops

    assert (refused.reason, refused.seen) == ("key_refused", "Bearer … is unknown")
    assert "policy_blocks_script" in reasons([*topics[5].hops])
    assert not [value for value in ENVIRON.values() if "planted-" in value and value in str(topics)]
    assert secret not in str(topics)


async def test_whoever_stops_listening_stops_the_checks() -> None:
    """Leaving after the first topic leaves no task behind."""
    async for topic in examine(World().setup()):
        assert topic.title == "Settings"
        break
