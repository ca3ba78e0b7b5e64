"""Pictures for the README, made from the running product by `KIT_SCREENSHOTS=1 kit test e2e`."""

import os
from pathlib import Path

from e2e.conftest import RESULTS, ROOT, Demo, NewContext
from e2e.test_journey import buy, journey, land, pay, visitor_cookie

WIDTH, HEIGHT = 1200, 900


def test_the_inspector_has_its_picture_taken(new_context: NewContext, demo: Demo) -> None:
    """The README's picture is the page as it is, after a sale as anybody can make it."""
    context = new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
    page = context.new_page()
    land(page, demo, "?utm_source=newsletter&utm_campaign=spring")
    visitor_cookie(context, demo)
    buy(page, demo, "coastline-atlas")
    account = journey(demo, pay(page, demo))
    page.goto(f"{demo.shop}/inspector")
    folder = ROOT / "static/screenshots" if os.environ.get("KIT_SCREENSHOTS") else RESULTS
    picture = Path(folder / "inspector.png")
    picture.parent.mkdir(exist_ok=True)
    page.screenshot(path=picture, clip={"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT})
    shown = page.locator("details[open]").first.inner_text()

    assert account["verdict"] == "attributed"
    assert "attributed" in shown
    assert str(account["visitor_id"]) in shown
    assert picture.stat().st_size > 10_000
