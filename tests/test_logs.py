"""Log records, for people and for machines."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any, Literal

import pytest

from kit.logs import FIELDS, JsonFormatter, TextFormatter, configure_logging


def record(message: str = "said %s", *values: object, **fields: str) -> logging.LogRecord:
    """Return a record as a module of the kit makes it."""
    made = logging.LogRecord("kit.web.x", logging.WARNING, __file__, 1, message, values, None)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def failed() -> logging.LogRecord:
    """Return a record with an exception."""
    made = record("it broke", order_ref="ord_1")
    try:
        int("cause")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("httpx", "httpcore")}
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_for_people_ends_with_the_known_fields() -> None:
    """What is not among them is left out."""
    made = record("said %s", "no", order_ref="ord_1", webhook_id="msg_1", email="planted")

    assert TextFormatter().format(made) == "WARNING: said no order_ref=ord_1 webhook_id=msg_1"


def test_a_trace_follows_its_line() -> None:
    """The fields stay on the first."""
    first, second, *_, last = TextFormatter().format(failed()).splitlines()

    assert first == "WARNING: it broke order_ref=ord_1"
    assert second == "Traceback (most recent call last):"
    assert last == "ValueError: invalid literal for int() with base 10: 'cause'"


def test_a_line_for_machines_is_one_object() -> None:
    """Whatever the message holds: a newline in it forges no second entry."""
    made = record("said %s", 'no\n{"level": "x"}', transaction_id="pay_1", email="planted")
    [line] = JsonFormatter().format(made).splitlines()
    entry: dict[str, Any] = json.loads(line)
    moment = entry.pop("time")

    assert moment.endswith("+00:00")
    assert entry == {
        "level": "warning",
        "logger": "kit.web.x",
        "message": 'said no\n{"level": "x"}',
        "transaction_id": "pay_1",
    }


def test_a_trace_for_machines_stays_in_its_object() -> None:
    """One line an event."""
    [line] = JsonFormatter().format(failed()).splitlines()

    assert json.loads(line)["exception"].endswith(
        "ValueError: invalid literal for int() with base 10: 'cause'"
    )


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_http_clients_are_quiet(
    form: Literal["text", "json"], root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They tell of every address they open, ids included; failures are still heard."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging(form)
    logging.getLogger("httpx").info("GET https://api.example/planted")
    logging.getLogger("httpcore.http11").debug("planted")
    logging.getLogger("httpx").warning("heard")
    logging.getLogger("kit.x").info("told")

    assert "planted" not in written.getvalue()
    assert len(written.getvalue().splitlines()) == 2
    assert len(root.handlers) == 1


def test_configuring_twice_writes_once(
    root: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second form wins."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    configure_logging("text")
    configure_logging("json")
    root.info("once")

    assert json.loads(written.getvalue())["message"] == "once"


def test_no_field_can_hold_a_person() -> None:
    """Ids are all that is written beside a message."""
    assert FIELDS == ("order_ref", "transaction_id", "webhook_id")
