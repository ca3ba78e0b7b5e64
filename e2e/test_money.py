"""The life of a sale after its checkout: every later movement is traced to the landing visitor."""

from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from e2e.conftest import Demo, eventually
from e2e.test_journey import buy, journey, land, pay, visitor_cookie
from e2e.test_journey import reports as reports_of
from kit.lab.neighbours import tell

EXPONENTS = {"USD": 2, "JPY": 0, "KWD": 3}


def move(demo: Demo, lever: str, **terms: Any) -> dict[str, Any]:
    """Let something happen at Dodo and return the object that came of it."""
    answer = tell(f"{demo.dodo_local}/_sandbox/{lever}", terms)
    return dict(answer.raise_for_status().json())


def booked(demo: Demo, visitor_id: str, number: int) -> list[dict[str, Any]]:
    """Wait until DataFast counts so many reports of a visitor, and return them, oldest first."""

    def found() -> list[dict[str, Any]] | None:
        payments = demo.at_datafast("payments", datafast_visitor_id=visitor_id)
        return payments if len(payments) >= number else None

    what = f"DataFast has {number} reports of the visitor"
    return eventually(found, what=what, within_s=15) or []


def revenue(reports: list[dict[str, Any]]) -> Decimal:
    """Add up reports by DataFast's rules: refunds count against sales."""
    amounts = [(Decimal(str(each["amount"])), bool(each.get("refunded"))) for each in reports]
    return sum((-amount if refunded else amount for amount, refunded in amounts), Decimal(0))


def subscription_of(demo: Demo, visitor_id: str) -> str:
    """Return the subscription that a visitor took."""
    found = [
        each["subscription_id"]
        for each in demo.at_dodo("subscriptions")
        if each["metadata"].get("datafast_visitor_id") == visitor_id
    ]
    return str(found[0])


def test_a_subscription_is_traced_from_its_trial_to_its_lost_dispute(
    context: BrowserContext, page: Page, demo: Demo
) -> None:
    """Trial, first charge, renewal, partial refund and dispute all name the landing visitor."""
    land(page, demo, "?utm_source=podcast")
    visitor_id = visitor_cookie(context, demo)
    buy(page, demo, "studio")
    order_ref = pay(page, demo)
    [trial] = booked(demo, visitor_id, 1)
    subscription_id = subscription_of(demo, visitor_id)
    first = move(demo, f"subscriptions/{subscription_id}/end-trial")
    booked(demo, visitor_id, 2)
    second = move(demo, f"subscriptions/{subscription_id}/renew")
    booked(demo, visitor_id, 3)
    refund = move(demo, f"payments/{first['payment_id']}/refund", amount=900)
    booked(demo, visitor_id, 4)
    dispute = move(demo, f"payments/{second['payment_id']}/dispute", stage="lost")
    reports = {each["transaction_id"]: each for each in booked(demo, visitor_id, 5)}
    account = journey(demo, order_ref)

    assert trial["transaction_id"] == f"trial_{subscription_id}"
    assert trial["is_free_trial"] is True
    assert reports[first["payment_id"]]["renewal"] is False
    assert reports[second["payment_id"]]["renewal"] is True
    assert reports[refund["refund_id"]]["refunded"] is True
    assert all("renewal" not in sent for sent in reports_of(demo, refund["refund_id"]))
    assert reports[dispute["dispute_id"]]["refunded"] is True
    assert revenue(list(reports.values())) == Decimal(24) * 2 - Decimal(9) - Decimal(24)
    assert account["source"] == "podcast"
    assert {
        each["seen"] for each in account["hops"] if each["name"] == "Visitor of the payment"
    } == {visitor_id}


@pytest.mark.parametrize(
    ("product", "currency"),
    [("coastline-atlas", "USD"), ("tokyo-line-map", "JPY"), ("gulf-chart", "KWD")],
    ids=["usd", "jpy", "kwd"],
)
def test_datafast_s_sum_is_dodo_s_to_the_minor_unit(
    context: BrowserContext, page: Page, demo: Demo, product: str, currency: str
) -> None:
    """A sale less two partial refunds is the same number on both sides."""
    land(page, demo)
    visitor_id = visitor_cookie(context, demo)
    buy(page, demo, product)
    payment_id = journey(demo, pay(page, demo))["payment_id"]
    move(demo, f"payments/{payment_id}/refund", amount=1001)
    move(demo, f"payments/{payment_id}/refund", amount=7)
    reports = booked(demo, visitor_id, 3)
    [payment] = [each for each in demo.at_dodo("payments") if each["payment_id"] == payment_id]
    refunded_minor = sum(each["amount"] for each in payment["refunds"])
    kept = Decimal(payment["total_amount"] - refunded_minor).scaleb(-EXPONENTS[currency])

    assert {each["currency"] for each in reports} == {currency}
    assert revenue(reports) == kept
