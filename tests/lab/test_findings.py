"""What was seen, told as hops: every way to lose a visitor has a name and a place."""

from dataclasses import replace
from typing import Any

import pytest

from kit.lab.findings import judge, reaches, tell_hops
from kit.lab.observers import Reported
from kit.lab.seen import Order, PageEvent, Seen

VISITOR = "0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11"
OTHER = "3f0c6c52-9d1b-4a77-8a11-5f2d8d0c9e21"
LANDING = "https://shop.example/?utm_source=newsletter"

KEPT = Seen(
    host="shop.example",
    script="loaded",
    script_url="https://shop.example/js/script.js",
    data_domain="shop.example",
    visitor_id=VISITOR,
    cookie_domain=".shop.example",
    events=(PageEvent("pageview", VISITOR, LANDING, 200),),
    order=Order("https://shop.example/buy", f"a=1; datafast_visitor_id={VISITOR}"),
    session_id="cks_1",
    metadata={"datafast_visitor_id": VISITOR, "order_ref": "o-1"},
    paid=True,
    returned_to="https://shop.example/thanks",
    report=Reported(VISITOR, attributed=True),
)


def order(cookies: str | None, body: str = "", url: str = "https://shop.example/buy") -> Order:
    return Order(url, cookies, body)


def event(kind: str = "pageview", status: int | None = 200) -> PageEvent:
    return PageEvent(kind, VISITOR, LANDING, status)


def test_a_journey_without_a_fault_is_kept_and_every_hop_is_well() -> None:
    """Seven hops, each seen."""
    hops = tell_hops(KEPT)

    assert judge(KEPT, hops) == ("kept", None)
    assert [(hop.name, hop.reason) for hop in hops] == [
        ("Script on the page", "script_loaded"),
        ("Visitor cookie", "cookie_set"),
        ("Pageview to DataFast", "pageview_sent"),
        ("Visitor cookie at checkout", "captured"),
        ("Metadata sent to Dodo", "metadata_has_visitor"),
        ("Return from Dodo's page", "returned"),
        ("Payment at DataFast", "attributed"),
    ]
    assert {hop.tone for hop in hops} == {"ok"}


UNATTRIBUTED = Reported(None, attributed=False)
LOST: dict[str, tuple[dict[str, Any], str, str]] = {
    "the cookie of a sibling": (
        {"cookie_domain": ".www.shop.example"},
        "Visitor cookie",
        "cookie_out_of_reach",
    ),
    "the cookie of another host": (
        {"cookie_domain": "www.shop.example"},
        "Visitor cookie",
        "cookie_out_of_reach",
    ),
    "the script too late": ({"script": "late"}, "Script on the page", "script_late"),
    "no pageview": ({"events": ()}, "Pageview to DataFast", "pageview_absent"),
    "a pageview without an answer": (
        {"events": (event(status=None),)},
        "Pageview to DataFast",
        "pageview_blocked",
    ),
    "a refused pageview": (
        {"events": (event(status=404),)},
        "Pageview to DataFast",
        "pageview_refused",
    ),
    "no cookie": ({"order": order(None)}, "Visitor cookie at checkout", "absent"),
    "a malformed cookie": (
        {"order": order("datafast_visitor_id=abc")},
        "Visitor cookie at checkout",
        "malformed",
    ),
    "another visitor's cookie": (
        {"order": order(f"datafast_visitor_id={OTHER}")},
        "Visitor cookie at checkout",
        "visitor_replaced",
    ),
    "a broken cookie before it": (
        {"order": order(f"datafast_visitor_id=abc; datafast_visitor_id={OTHER}")},
        "Visitor cookie at checkout",
        "cookie_shadowed",
    ),
    "no checkout": (
        {"order": None, "session_id": None},
        "Visitor cookie at checkout",
        "checkout_not_reached",
    ),
    "no metadata": ({"metadata": {}}, "Metadata sent to Dodo", "metadata_without_visitor"),
    "a session nobody knows": (
        {"metadata": None},
        "Metadata sent to Dodo",
        "metadata_without_visitor",
    ),
    "a misspelt key": (
        {"metadata": {"datafast_visitorid": VISITOR}},
        "Metadata sent to Dodo",
        "metadata_misnamed",
    ),
    "another visitor in metadata": (
        {"metadata": {"datafast_visitor_id": OTHER}},
        "Metadata sent to Dodo",
        "metadata_other_visitor",
    ),
    "no payment": ({"paid": False}, "Payment", "not_paid"),
    "no report": ({"report": None}, "Payment at DataFast", "not_reported"),
    "a report without a visitor": ({}, "Payment at DataFast", "recorded_without_visitor"),
    "a report that is not attributed": (
        {"report": Reported(VISITOR, attributed=False)},
        "Payment at DataFast",
        "no_pageview",
    ),
    "a report of another visitor": (
        {"report": Reported(OTHER, attributed=True)},
        "Payment at DataFast",
        "reported_other_visitor",
    ),
    "no button": ({"button": False}, "Buy button", "buy_button_missing"),
}


@pytest.mark.parametrize("name", LOST)
def test_a_lost_visitor_is_lost_at_the_first_hop_that_is_wrong(name: str) -> None:
    """The place has its reason, and what to do about it."""
    changes, place, reason = LOST[name]
    seen = replace(KEPT, **{"report": UNATTRIBUTED, **changes})
    hops = tell_hops(seen)

    assert judge(seen, hops) == ("lost", place)
    [hop] = [hop for hop in hops if hop.name == place]
    assert hop.reason == reason
    assert hop.tone != "ok"


NOBODY: dict[str, tuple[dict[str, Any], str]] = {
    "no script": ({"script": "missing"}, "script_missing"),
    "script blocked": ({"script": "blocked"}, "script_blocked"),
    "scripts off": ({"script": "off"}, "script_off"),
    "script silent": ({}, "script_loaded"),
}


@pytest.mark.parametrize("name", NOBODY)
def test_without_a_visitor_id_nothing_is_lost(name: str) -> None:
    """There was nobody to keep, and the checkout without metadata is no fault of the shop's."""
    changes, reason = NOBODY[name]
    nobody: dict[str, Any] = {
        "visitor_id": None,
        "cookie_domain": None,
        "events": (),
        "metadata": {},
    }
    seen = replace(KEPT, **nobody, order=order(None), report=UNATTRIBUTED, **changes)
    hops = tell_hops(seen)

    assert judge(seen, hops) == ("none", None)
    assert hops[0].reason == reason
    silent = changes == {}
    assert hops[1].reason == ("cookie_missing" if silent else "cookie_absent")
    assert "metadata_without_visitor" not in {hop.reason for hop in hops}


ASIDE: dict[str, tuple[dict[str, Any], str, str]] = {
    "an id that the page hands over": (
        {"order": order(f"datafast_visitor_id={VISITOR}", f"visitor={VISITOR}")},
        "Visitor in the order",
        "captured_by_page",
    ),
    "an id in the order's address": (
        {
            "order": order(
                f"datafast_visitor_id={VISITOR}", url=f"https://shop.example/buy?v={VISITOR}"
            )
        },
        "Visitor in the order",
        "captured_by_page",
    ),
    "a payment that the script guessed": (
        {"events": (event(), event("payment"))},
        "Payments in the browser",
        "payment_guessed",
    ),
    "a return page with the e-mail": (
        {"leaked": "https://shop.example/thanks"},
        "Address of the return page",
        "return_leaks",
    ),
    "a campaign that nobody heard of": (
        {"landing_known": False},
        "Landing page at DataFast",
        "landing_unknown",
    ),
    "a data-domain of another shop": (
        {"data_domain": "other.example"},
        "Domain of the script",
        "script_domain_foreign",
    ),
    "a data-domain with www": (
        {"data_domain": "www.shop.example", "host": "www.shop.example"},
        "Domain of the script",
        "script_domain_narrow",
    ),
}


@pytest.mark.parametrize("name", ASIDE)
def test_what_is_wrong_beside_the_way_is_told_and_loses_nobody(name: str) -> None:
    """The visitor is kept; the fault has a hop of its own, with a remedy."""
    changes, place, reason = ASIDE[name]
    seen = replace(KEPT, **changes)
    hops = tell_hops(seen)

    assert judge(seen, hops) == ("kept", None)
    [hop] = [hop for hop in hops if hop.name == place]
    assert hop.reason == reason
    assert hop.fix


@pytest.mark.parametrize("host", ["localhost", "shop.localhost", "127.0.0.1", "shop.local"])
def test_on_a_developers_machine_the_tag_may_name_the_domain_to_come(host: str) -> None:
    """DataFast lets pages of localhost in whatever their domain."""
    hops = tell_hops(replace(KEPT, host=host, cookie_domain=host))

    assert "Domain of the script" not in [hop.name for hop in hops]
    assert {hop.tone for hop in hops} == {"ok"}


def test_a_link_to_dodo_carries_the_visitor_in_its_address() -> None:
    """A static payment link has no server of the shop's in between, so the page is right to."""
    link = "https://checkout.dodopayments.com/buy/pdt_1?metadata_datafast_visitor_id="
    told = tell_hops(replace(KEPT, order=Order(link + VISITOR, None, direct=True)))
    silent = tell_hops(replace(KEPT, order=Order(link, None, direct=True)))

    assert [hop.reason for hop in told if hop.name.startswith("Visitor ")][1:] == ["captured"]
    assert [hop.reason for hop in silent if hop.name.startswith("Visitor ")][1:] == ["absent"]


def test_a_page_without_cookies_may_hand_the_visitor_over() -> None:
    """In cookieless mode it is the only one who can; the id may be of any version."""
    daily = "0b8e6c1e-2d1c-5f0a-9f2e-6a4f1f4d7c11"
    seen = replace(
        KEPT,
        visitor_id=daily,
        cookie_domain=None,
        events=(PageEvent("pageview", OTHER, LANDING, 200, cookieless=True),),
        order=order(None, f"datafast_visitor_id={daily}&product=atlas"),
        metadata={"datafast_visitor_id": daily},
        report=Reported(daily, attributed=True),
    )
    hops = tell_hops(seen)

    assert judge(seen, hops) == ("kept", None)
    assert [hop.reason for hop in hops][1:4] == ["cookieless", "pageview_sent", "captured"]
    assert "captured_by_page" not in {hop.reason for hop in hops}


def test_a_visitor_who_comes_in_late_is_kept() -> None:
    """The order carried nobody, and the report names whom the return page showed."""
    seen = replace(KEPT, order=order(None), metadata={})
    hops = tell_hops(seen)

    assert judge(seen, hops) == ("kept", None)


def test_a_shop_on_the_real_dodo_is_judged_as_far_as_can_be_seen() -> None:
    """What lies behind the redirect is not observable, never well."""
    seen = replace(
        KEPT, dodo_observed=False, metadata=None, paid=False, returned_to=None, report=None
    )
    hops = tell_hops(seen)
    unseen = [hop.name for hop in hops if hop.reason == "not_observable"]

    assert unseen == [
        "Metadata sent to Dodo",
        "Payment",
        "Return from Dodo's page",
        "Payment at DataFast",
    ]
    assert judge(seen, hops) == ("kept", None)


@pytest.mark.parametrize(
    ("domain", "host", "expected"),
    [
        (".shop.example", "shop.example", True),
        (".shop.example", "www.shop.example", True),
        (".www.shop.example", "shop.example", False),
        ("shop.example", "shop.example", True),
        ("shop.example", "www.shop.example", False),
        (".hop.example", "shop.example", False),
    ],
)
def test_a_cookie_reaches_what_its_domain_says(domain: str, host: str, *, expected: bool) -> None:
    """With a dot all hosts below it, without one the host alone."""
    assert reaches(domain, host) is expected
