"""Whole journeys with DataFast's own SDK in the browser, from its cookie to DataFast's books."""

from typing import Any

import pytest

from e2e.conftest import NO_TLS, Console, Demo, NewContext
from e2e.network.conftest import Sdk, StartLab
from e2e.test_journey import UUID4, journey
from e2e.test_matrix import assert_kept, assert_lost, assert_nobody, campaign_page
from kit.lab import scenarios
from kit.lab.scenarios import PLANTED, Scenario

__all__ = ["campaign_page"]

QUICK: dict[str, Any] = {"flushInterval": 200}
"""Of the milliseconds that events wait in the SDK's queue, 5000 as it comes."""

BLOCKED = "ERR_BLOCKED_BY_CLIENT|ERR_FAILED|Failed to send event"


def test_the_whole_journey_on_one_domain(sdk_lab: StartLab, made_up: Demo) -> None:
    """With the SDK as it comes the payment ends attributed to the id that the SDK made."""
    lab = sdk_lab()
    visit = lab.visit("first visit")
    visit.land(settle=False)
    own = visit.page.evaluate("sdk.then(client => client.getVisitorId())")
    visit.buy()
    visit.pay()
    report = lab.report(visit)
    account = journey(made_up, visit.page.url.rpartition("/")[2])

    assert UUID4.fullmatch(own)
    assert_kept(report)
    assert report.visitor_id == own
    assert (account["verdict"], account["visitor_id"]) == ("attributed", own)


def test_the_whole_journey_across_two_subdomains(
    sdk_lab: StartLab, made_up: Demo, campaign_page: int
) -> None:
    """The SDK's cookie of the root domain is read on the other subdomain."""
    lab = sdk_lab(**QUICK)
    visit = lab.visit("landed on a subdomain, bought on another")
    visit.land(url=f"http://www.contour.test:{campaign_page}/")
    own = visit.page.evaluate("sdk.then(client => client.getVisitorId())")
    visit.buy()
    visit.pay()
    report = lab.report(visit)
    account = journey(made_up, visit.page.url.rpartition("/")[2])

    assert_kept(report)
    assert report.visitor_id == own
    assert report.hop("Visitor cookie").seen == f"{own} for .contour.test"
    assert (account["verdict"], account["visitor_id"]) == ("attributed", own)
    assert account["source"] is None or account["source"] == "newsletter"


@pytest.mark.parametrize(
    "scenario",
    [
        scenarios.RETURNING,
        scenarios.SECOND_TAB,
        scenarios.BACK_BUTTON,
        scenarios.PRIVATE_WINDOW,
        scenarios.MALFORMED,
        scenarios.OTHER_BROWSER,
    ],
    ids=lambda scenario: scenario.name,
)
def test_the_visitor_is_kept(sdk_lab: StartLab, scenario: Scenario) -> None:
    """In these circumstances the SDK's visitor reaches DataFast's books."""
    assert_kept(sdk_lab(**QUICK).play(scenario))


def test_somebody_elses_id_in_the_link(sdk_lab: StartLab) -> None:
    """The SDK takes it too."""
    report = sdk_lab(**QUICK).play(scenarios.HOSTILE)

    assert_kept(report)
    assert report.visitor_id == PLANTED


def test_cookies_cleared_on_the_way(sdk_lab: StartLab) -> None:
    """The SDK makes another visitor, as the script does."""
    report = sdk_lab(**QUICK).play(scenarios.COOKIES_CLEARED)

    assert_lost(report, "Visitor cookie at checkout", "visitor_replaced")


def test_a_broken_cookie_before_the_sdks_own(sdk_lab: StartLab) -> None:
    """The SDK reads the first cookie of the name, and makes another visitor on every page."""
    report = sdk_lab(**QUICK).play(scenarios.SHADOWED)

    assert_lost(report, "Visitor cookie at checkout", "cookie_shadowed")


def test_the_script_blocked(sdk_lab: StartLab, console: Console) -> None:
    """Without the SDK there is no visitor, and a sale all the same."""
    console.expect(BLOCKED)
    report = sdk_lab(**QUICK).play(scenarios.SCRIPT_BLOCKED)

    assert_nobody(report, "script_blocked")


def test_it_is_silent_in_a_browser_that_says_it_is_automated(
    new_context: NewContext, made_up: Demo, sdk: Sdk, console: Console
) -> None:
    """A headless user agent is enough: no cookie and no event. Hence the stand-in script."""
    console.expect(NO_TLS, at_least=0)
    context = new_context()
    sdk.replace_script(context, **QUICK)
    page = context.new_page()
    page.goto(f"{made_up.shop}/")
    ready = page.evaluate("sdk.then(client => client.isInitialized())")

    assert ready is False
    assert context.cookies() == []
