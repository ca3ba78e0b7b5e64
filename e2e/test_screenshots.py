"""
The README's pictures, taken of the running product.

`kit test e2e/test_screenshots.py --screenshots` takes all of them anew; without the option they are
taken too, and left with the other results.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from e2e.conftest import RESULTS, ROOT, Demo, NewContext
from e2e.palette import shrink
from e2e.test_journey import buy, journey, land, pay, visitor_cookie
from tests.bench.inspector import fill, server

PICTURES = ROOT / "static/screenshots"
WIDTH, HEIGHT = 1200, 1300
MOST_BYTES = 120_000
SALES, DAYS = 400, 30


@dataclass(frozen=True, slots=True)
class Sold:
    """The newest sale's buyer, its order, and the inspector's account of it."""

    cookies: Any
    order_ref: str
    account: dict[str, Any]


@pytest.fixture(scope="module")
def sold(demo: Demo, browser: Browser) -> Iterator[Sold]:
    """Sell a chart to somebody without JavaScript, and a map to a campaign's visitor."""
    nobody = browser.new_context(java_script_enabled=False)
    page = nobody.new_page()
    land(page, demo, "")
    buy(page, demo, "gulf-chart")
    pay(page, demo)
    context = browser.new_context()
    page = context.new_page()
    land(page, demo, "?utm_source=newsletter&utm_campaign=spring")
    visitor_cookie(context, demo)
    buy(page, demo, "coastline-atlas")
    order_ref = pay(page, demo)
    yield Sold(context.storage_state(), order_ref, journey(demo, order_ref))
    context.close()
    nobody.close()


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the inspector of a made-up month: one day's sales are no chart."""
    url = f"sqlite:///{tmp_path_factory.mktemp('month')}/kit.db"
    fill(url, SALES, days=DAYS)
    with server(url) as address:
        yield address


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "address", "last", "margin"),
    [
        ("shop", "{shop}/", ".hero", 0),
        ("inspector", "{shop}/inspector", "[open] .hop:nth-child(4)", 0),
        ("journey", "{shop}/inspector/journeys/order:{order}", ".route", 24),
        ("attribution", "{month}/inspector/attribution", "#shares", 24),
    ],
    ids=["shop", "inspector", "journey", "attribution"],
)
def test_a_page_has_its_picture_taken(
    new_context: NewContext,
    demo: Demo,
    sold: Sold,
    month: str,
    pytestconfig: pytest.Config,
    name: str,
    address: str,
    last: str,
    margin: int,
    scheme: str,
) -> None:
    """As it is, after sales as anybody can make them, by day and by night, to the `last` part."""
    context = new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        color_scheme=scheme,
        storage_state=sold.cookies,
    )
    page = context.new_page()
    page.goto(address.format(shop=demo.shop, order=sold.order_ref, month=month))
    page.wait_for_load_state("load")
    box = page.locator(last).first.bounding_box()
    assert box is not None
    height = box["y"] + box["height"] + margin
    taken = page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    keep = bool(pytestconfig.getoption("screenshots"))
    _write(PICTURES if keep else RESULTS, f"{name}-{scheme}.png", shrink(taken) if keep else taken)
    text = page.locator("main").inner_text()

    assert sold.account["verdict"] == "attributed"
    if name in ("inspector", "journey"):
        assert str(sold.account["visitor_id"]) in text
    if name == "attribution":
        assert "No checkout was paid" not in text


def test_a_small_picture_is_the_same_picture(page: Page) -> None:
    """A browser shows both alike: what has few colours keeps each of them."""
    page.set_viewport_size({"width": 300, "height": 200})
    page.set_content("<h1 style='color: #a50f66; background: #e3eef0'>Look twice</h1>")
    taken = page.screenshot()
    small = shrink(taken)
    inside = base64.b64encode(small).decode()
    page.set_content(f"<body style='margin: 0'><img src='data:image/png;base64,{inside}'>")

    assert page.screenshot() == taken
    assert len(small) < len(taken)


def _write(folder: Path, name: str, picture: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(picture)


def test_the_pictures_that_are_kept_are_small() -> None:
    """A README should open at once."""
    sizes = {path.name: path.stat().st_size for path in PICTURES.glob("*.png")}

    assert sizes
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}
