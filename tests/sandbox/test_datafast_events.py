"""DataFast's ingest endpoint and the script's addresses."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.anyio

ORIGIN = {"origin": "https://contour.example"}
VISITOR_ID = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
EVENT: dict[str, Any] = {
    "websiteId": "dfid_contourtest000000001",
    "domain": "contour.example",
    "visitorId": VISITOR_ID,
    "sessionId": "s3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21",
    "href": "https://contour.example/?utm_source=newsletter",
    "referrer": None,
    "type": "pageview",
    "viewport": {"width": 1280, "height": 720},
}
VISITOR = f"/api/v1/visitors/{VISITOR_ID}"


async def test_a_pageview_makes_the_visitor_known(datafast: httpx.AsyncClient) -> None:
    """Before the first pageview the visitor is 404, after it the landing page is remembered."""
    before = await datafast.get(VISITOR)
    sent = await datafast.post("/api/events", json=EVENT, headers=ORIGIN)
    after = await datafast.get(VISITOR)

    assert before.status_code == 404
    assert before.json()["error"]["code"] == 404
    assert sent.status_code == 200
    assert "visitorId" not in sent.json()
    assert after.json()["data"]["identity"]["params"] == {"utm_source": "newsletter"}
    assert after.json()["data"]["activity"]["pageViewCount"] == 1


@pytest.mark.parametrize("event_type", ["custom", "identify", "payment", "external_link"])
async def test_other_events_do_not_make_a_visitor(
    datafast: httpx.AsyncClient, event_type: str
) -> None:
    """Only a pageview is a first event."""
    await datafast.post("/api/events", json=EVENT | {"type": event_type}, headers=ORIGIN)
    events = await datafast.get("/_sandbox/events")

    assert (await datafast.get(VISITOR)).status_code == 404
    assert [event["type"] for event in events.json()] == [event_type]


@pytest.mark.parametrize(
    ("changes", "headers", "status"),
    [
        ({}, {}, 400),
        ({"visitorId": ""}, ORIGIN, 400),
        ({"sessionId": None}, ORIGIN, 400),
        ({"type": "view"}, ORIGIN, 400),
        ({"websiteId": "dfid_other"}, ORIGIN, 404),
        ({"domain": "other.example"}, ORIGIN, 404),
        ({"href": "https://contour.example.evil.example/"}, ORIGIN, 403),
        ({"href": "https://evilcontour.example/"}, ORIGIN, 403),
        ({"href": "https://shop.contour.example/"}, ORIGIN, 200),
        ({"href": "http://shop.localhost:8000/"}, ORIGIN, 200),
        ({"href": "http://127.0.0.1:8000/"}, ORIGIN, 200),
    ],
)
async def test_events_are_checked(
    datafast: httpx.AsyncClient, changes: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    """Origin, fields, website and host must be right."""
    response = await datafast.post("/api/events", json=EVENT | changes, headers=headers)

    assert response.status_code == status


async def test_cookieless_answers_a_visitor_of_the_day(
    datafast: httpx.AsyncClient, clock: Any
) -> None:
    """The same browser has one id until the salt changes, and proxied visitors differ by IP."""
    event = EVENT | {"cookieless": True}

    async def visitor(ip: str) -> str:
        headers = ORIGIN | {"x-datafast-real-ip": ip}
        answer = await datafast.post("/api/events", json=event, headers=headers)
        visitor_id: str = answer.json()["visitorId"]
        return visitor_id

    first, again, other = (
        await visitor("1.1.1.1"),
        await visitor("1.1.1.1"),
        await visitor("2.2.2.2"),
    )
    clock.now += 86_400
    tomorrow = await visitor("1.1.1.1")

    assert first == again
    assert len({first, other, tomorrow, EVENT["visitorId"]}) == 4


async def test_a_cross_origin_page_may_post(datafast: httpx.AsyncClient) -> None:
    """The preflight allows JSON, and answers name the page's origin."""
    preflight = await datafast.options("/api/events", headers=ORIGIN)
    sent = await datafast.post("/api/events", json=EVENT, headers=ORIGIN)
    refused = await datafast.post("/api/events", content=b"{", headers=ORIGIN)

    assert preflight.status_code == 204
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    for response in (preflight, sent, refused):
        assert response.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert refused.status_code == 400


@pytest.mark.parametrize(
    ("path", "variant"),
    [
        ("/js/script.js", ""),
        ("/js/script.hash.js", "hash"),
        ("/js/script.cookieless.js", "cookieless"),
    ],
)
async def test_the_script_has_three_variants(
    datafast: httpx.AsyncClient, path: str, variant: str
) -> None:
    """Each address serves its variant as JavaScript, without a cookie."""
    response = await datafast.get(path)

    assert response.headers["content-type"].startswith("text/javascript")
    assert f'var VARIANT = "{variant}";' in response.text
    assert "set-cookie" not in response.headers


async def test_an_unknown_script_is_404(datafast: httpx.AsyncClient) -> None:
    """There is no fourth variant."""
    assert (await datafast.get("/js/script.min.js")).status_code == 404


@pytest.mark.parametrize(
    "visitor_id", ["x", "0b8e6c1e-2d1c-1f0a-9f2e-6a4f1f4d7c11", f"{{{VISITOR_ID}}}"]
)
async def test_a_visitor_id_that_is_no_uuid_v4_is_400(
    datafast: httpx.AsyncClient, visitor_id: str
) -> None:
    """The lookup tells a malformed id from an unknown one."""
    response = await datafast.get(f"/api/v1/visitors/{visitor_id}")

    assert response.status_code == 400
    assert response.json()["status"] == "error"


@pytest.mark.parametrize("host", ["maps.example", "www.maps.example"])
async def test_pages_of_additional_domains_are_let_in(
    datafast: httpx.AsyncClient, host: str
) -> None:
    """A website may have several root domains; the tag names the first on all of them."""
    event = EVENT | {"href": f"https://{host}/"}
    sent = await datafast.post("/api/events", json=event, headers=ORIGIN)

    assert sent.status_code == 200
