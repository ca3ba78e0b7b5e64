"""Checkouts: one form, one order; what a return claims; whose turn it is to ask Dodo."""

from typing import Any

import pytest
from sqlalchemy import Connection

from kit.helpers.dodo_datafast import Visitor
from kit.ledger.checkouts import (
    OPENING_LIFETIME_MS,
    SESSION_LIFETIME_MS,
    ask_dodo_now,
    begin_checkout,
    fail_opening,
    find_checkout,
    finish_opening,
    record_payment_status,
    record_return,
)
from kit.ledger.rows import Row

NOW_MS = 1_790_856_000_000
BUYER = Visitor("0b8e6c1e-2d1c-4f0a-9f2e-6a4f1f4d7c11", None, "captured")


def begin(connection: Connection, order_ref: str, **changes: Any) -> str:
    """Post the form once more and return the order it leads to."""
    wanted: dict[str, Any] = {
        "attempt": "form",
        "order_ref": order_ref,
        "product": "coastline",
        "visitor": BUYER,
        "now_ms": NOW_MS,
    }
    return str(begin_checkout(connection, **wanted | changes)["order_ref"])


def open_session(connection: Connection, order_ref: str) -> None:
    """Write down what Dodo answered."""
    finish_opening(
        connection, order_ref, dodo_session_id=f"cks_{order_ref}", checkout_url="https://c.example/"
    )


def checkout(connection: Connection, order_ref: str = "order-1") -> Row:
    """Return one checkout that must be there."""
    row = find_checkout(connection, order_ref)
    assert row is not None
    return row


def test_a_form_posted_twice_is_one_order(connection: Connection) -> None:
    """While it is being opened, and as long as its session lives."""
    first = begin(connection, "order-1")
    beside = begin(connection, "order-2", now_ms=NOW_MS + OPENING_LIFETIME_MS - 1)
    open_session(connection, "order-1")
    later = begin(connection, "order-3", now_ms=NOW_MS + SESSION_LIFETIME_MS - 1)

    assert (first, beside, later) == ("order-1", "order-1", "order-1")
    assert find_checkout(connection, "order-2") is None


def test_the_visitor_of_the_first_post_is_kept(connection: Connection) -> None:
    """With the reason for what was captured."""
    begin(connection, "order-1")
    begin(connection, "order-2", visitor=Visitor(None, None, "absent"))
    row = checkout(connection)

    assert row["visitor_id"] == BUYER.visitor_id
    assert (row["capture_reason"], row["capture_source"]) == ("captured", "cookie")


@pytest.mark.parametrize(
    ("opened", "status", "changes"),
    [
        (False, None, {"now_ms": NOW_MS + OPENING_LIFETIME_MS}),
        (True, None, {"now_ms": NOW_MS + SESSION_LIFETIME_MS}),
        (True, "succeeded", {}),
        (True, "processing", {}),
        (True, None, {"product": "harbour"}),
        (True, None, {"attempt": "another form"}),
    ],
    ids=["never opened", "expired", "paid", "being paid", "another product", "another form"],
)
def test_a_form_leads_to_a_new_order_when_the_old_one_is_of_no_use(
    connection: Connection, opened: bool, status: str | None, changes: dict[str, Any]
) -> None:
    """And from then on to that one."""
    begin(connection, "order-1")
    if opened:
        open_session(connection, "order-1")
    if status is not None:
        record_payment_status(connection, "order-1", payment_id="pay_1", status=status)
    second = begin(connection, "order-2", **changes)
    third = begin(connection, "order-3", **changes)

    assert (second, third) == ("order-2", "order-2")


def test_a_declined_card_keeps_the_order(connection: Connection) -> None:
    """Dodo's session stays open for another try."""
    begin(connection, "order-1")
    open_session(connection, "order-1")
    record_payment_status(connection, "order-1", payment_id="pay_1", status="failed")

    assert begin(connection, "order-2") == "order-1"


def test_a_failed_opening_frees_the_form(connection: Connection) -> None:
    """The buyer tries again with the same page."""
    begin(connection, "order-1")
    fail_opening(connection, "order-1")

    assert begin(connection, "order-2") == "order-2"
    assert checkout(connection)["state"] == "failed"


def test_a_form_used_for_ever_is_refused(connection: Connection) -> None:
    """With the way out."""
    for number in range(50):
        begin(connection, f"order-{number}", product=f"product-{number}")

    with pytest.raises(ValueError, match="load the page again"):
        begin(connection, "order-50", product="product-50")


def test_only_the_first_return_counts(connection: Connection) -> None:
    """A page loaded again, perhaps by somebody with the link, changes nothing."""
    begin(connection, "order-1")
    record_return(
        connection,
        "order-1",
        visitor=BUYER,
        claims={"payment_id": "pay_1", "status": "succeeded", "email": "ada@example.com"},
        now_ms=NOW_MS + 1,
    )
    record_return(
        connection,
        "order-1",
        visitor=Visitor(None, None, "absent"),
        claims={"payment_id": "pay_other"},
        now_ms=NOW_MS + 2,
    )
    row = checkout(connection)

    assert row["returned_at_ms"] == NOW_MS + 1
    assert (row["return_visitor_id"], row["return_reason"]) == (BUYER.visitor_id, "captured")
    assert (row["claimed_payment_id"], row["claimed_status"]) == ("pay_1", "succeeded")
    assert (row["payment_id"], row["payment_status"]) == (None, None)
    assert "ada@example.com" not in map(str, row.values())


def test_one_asks_dodo_at_a_time(connection: Connection) -> None:
    """Many tabs may wait for the same order."""
    begin(connection, "order-1")
    turns = [
        ask_dodo_now(connection, "order-1", now_ms=NOW_MS + passed, every_ms=5000)
        for passed in (0, 1, 4999, 5000, 5001)
    ]

    assert turns == [True, False, False, True, False]


def test_nobody_asks_for_an_order_that_is_not_ours(connection: Connection) -> None:
    """There is nothing to ask about."""
    assert not ask_dodo_now(connection, "order-9", now_ms=NOW_MS, every_ms=5000)
