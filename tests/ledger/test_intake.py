"""The one statement that stores a group of messages, on either database."""

import hashlib
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from kit.ledger.events import insert_events
from kit.ledger.schema import events
from kit.ledger.writer import GROUP_SIZE


def row(webhook_id: str, body: bytes = b"{}") -> dict[str, Any]:
    """Return a message as the writer gets it."""
    return {
        "webhook_id": webhook_id,
        "source": "webhook",
        "sent_at_ms": 1_790_856_000_000,
        "received_at_ms": 1_790_856_000_001,
        "body": body,
        "body_sha256": hashlib.sha256(body).digest(),
    }


def kept(connection: Connection) -> dict[str, tuple[bytes, int, bool]]:
    """Return what the ledger holds: body, how often it came, whether bodies differed."""
    columns = events.c.body, events.c.times_received, events.c.bodies_differ
    found = connection.execute(select(events.c.webhook_id, *columns))
    return {name: (bytes(body), times, differ) for name, body, times, differ in found}


def test_a_fresh_message_waits_to_be_read(connection: Connection) -> None:
    """What no message brings along is the same for all of them."""
    assert insert_events(connection, [row("msg_1")]) == [True]

    stored = connection.execute(select(events)).mappings().one()
    assert {name: value for name, value in stored.items() if value is not None} == row("msg_1") | {
        "times_received": 1,
        "bodies_differ": False,
        "state": "stored",
        "reason": "event_waiting",
        "attempts": 0,
        "looked_up": False,
    }


def test_a_whole_group_fits_in_one_statement(connection: Connection) -> None:
    """The largest group is no special case, and any byte of a body comes back."""
    bodies = {f"msg_{number}": bytes([number]) * 3000 for number in range(GROUP_SIZE)}
    rows = [row(webhook_id, body) for webhook_id, body in bodies.items()]

    assert insert_events(connection, rows) == [True] * GROUP_SIZE
    assert kept(connection) == {name: (body, 1, False) for name, body in bodies.items()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    groups=st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([b"{}", b"[]"])), min_size=1
        ),
        max_size=4,
    )
)
def test_each_message_is_new_once_and_counted_each_time(
    connection: Connection, groups: list[list[tuple[str, bytes]]]
) -> None:
    """Whatever a group holds that is there already, or twice, the first body of an id stays."""
    connection.execute(events.delete())
    expected: dict[str, tuple[bytes, int, bool]] = {}
    for group in groups:
        news = []
        for webhook_id, body in group:
            news.append(webhook_id not in expected)
            first, times, differ = expected.get(webhook_id, (body, 0, False))
            expected[webhook_id] = (first, times + 1, differ or body != first)

        assert insert_events(connection, [row(*message) for message in group]) == news
    assert kept(connection) == expected
