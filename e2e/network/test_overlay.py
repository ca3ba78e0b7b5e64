"""The official overlay script, which opens the stand-in's page and follows it back to the shop."""

import re
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route

from e2e.conftest import Lab
from e2e.network.conftest import FetchPackage
from e2e.test_matrix import assert_kept
from kit.lab.observers import DodoSandbox
from tests.shops.small import Make, open_small_shop

OFFICIAL = "https://test.checkout.dodopayments.com"


@dataclass(frozen=True, slots=True)
class AtDodosAddress(DodoSandbox):
    """The stand-in, under the only address that the official script takes."""

    def owns(self, url: str) -> bool:
        """Tell whether an address is the one that the test answers for Dodo."""
        return url.startswith(OFFICIAL)


@pytest.fixture(scope="session")
def overlay_script(fetch_package: FetchPackage) -> str:
    """Fetch the package that Dodo tells shops to load."""
    folder = fetch_package("dodopayments-checkout@1")
    return (folder / "dist/index.js").read_text(encoding="utf-8")


@pytest.mark.usefixtures("only_chromium")
def test_the_official_script_opens_the_stand_ins_page(lab: Lab, overlay_script: str) -> None:
    """The order carries the visitor, the frame takes the payment, the message leads back."""
    with open_small_shop(Make(overlay=True)) as shop:
        stage = lab.at(shop)
        dodo = AtDodosAddress(OFFICIAL, shop.live.dodo_api)

        def answer_for_dodo(route: Route) -> None:
            url = urlsplit(route.request.url)._replace(scheme="", netloc="")
            route.fulfill(response=route.fetch(url=shop.live.dodo_api + url.geturl()))

        def name_dodos_address(route: Route) -> None:
            answer = route.fetch(url=f"http://127.0.0.1:{urlsplit(shop.url).port}/buy")
            path = urlsplit(answer.json()["checkout_url"]).path
            route.fulfill(json={"checkout_url": OFFICIAL + path})

        visit = lab.visit("overlay checkout, official script", at=replace(stage, dodo=dodo))
        visit.context.route(f"{OFFICIAL}/**", answer_for_dodo)
        visit.context.route("**/buy", name_dodos_address)
        visit.context.route(
            re.compile(r"/overlay\.js$"),
            lambda route: route.fulfill(content_type="text/javascript", body=overlay_script),
        )
        visit.sale()
        report = lab.report(visit)

    assert_kept(report)
    assert report.hop("Return from Dodo's page").reason == "returned"
