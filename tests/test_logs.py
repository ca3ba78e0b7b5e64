"""Log records, for people and for machines."""

import ast
import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy.exc import SQLAlchemyError

from kit.ledger import Ledger
from kit.ledger.schema import deliveries
from kit.logs import FIELDS, JsonFormatter, TextFormatter, configure_logging

KIT = Path(__file__).resolve().parents[1] / "kit"
# What is logged of the process, of a service or of nobody's pageview: no event, delivery or order
# is concerned, so that there is no field to name one.
OF_NO_ONE = {
    "the page for what went wrong has failed as well",
    "%s; asking again in %.0f s",
    "%s bodies, persons and visits dropped after %s days",
    "a note was not written: %s",
    "a withdrawn consent was not written down: the ledger takes no writes",
    "a worker ended with code %s; another takes its place",
    "event not passed: %s",
    "leases are left to run out: %s",
    "nothing dropped: %s",
    "script not fetched: %s",
    "script not fetched: DataFast answered %s",
    "the forwarder has stopped; in %.0f s again",
    "the ledger cannot be read: %s",
    "the ledger cannot be written: %s",
    "the ledger's writer has died",
    "this PostgreSQL runs with fsync=off: after a power cut, events that were answered with 200 "
    "may be gone",
    "waiting for the ledger: %s",
}
# Functions that make the fields of an entry.
FIELD_MAKERS = {"_about", "_claimed"}


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


def test_a_message_over_several_lines_is_one_record() -> None:
    """What it quotes must not look like another one."""
    made = record("said %s", "no\nINFO: all is well", order_ref="ord_1")

    assert TextFormatter().format(made) == "WARNING: said no\\nINFO: all is well order_ref=ord_1"


def raised(fail: Callable[[], Any]) -> logging.LogRecord:
    """Return a record with what a call raises."""
    made = record("it broke")
    try:
        fail()
    except Exception:
        made.exc_info = sys.exc_info()
    return made


def test_what_led_to_an_exception_is_told_before_it() -> None:
    """As Python does: causes, what was being handled, and the parts of a group."""

    def fail() -> None:
        try:
            try:
                int("first")
            except ValueError:
                raise KeyError("second")  # noqa: B904 - without a cause, on purpose
        except KeyError as second:
            raise ExceptionGroup("third", [OSError("fourth")]) from second

    trace = json.loads(JsonFormatter().format(raised(fail)))["exception"].splitlines()
    told = [line.strip() for line in trace]

    assert [line for line in told if "Error: " in line or "Group: " in line] == [
        "ValueError: invalid literal for int() with base 10: 'first'",
        "KeyError: 'second'",
        "ExceptionGroup: third (1 sub-exception)",
        "OSError: fourth",
    ]
    assert "This was being handled before the following exception:" in told
    assert "This was the direct cause of the following exception:" in told


def test_an_exception_that_is_its_own_cause_ends() -> None:
    """However it came to that."""

    def fail() -> None:
        one, other = ValueError("one"), ValueError("other")
        one.__cause__, other.__cause__ = other, one
        raise one

    assert TextFormatter().format(raised(fail)).count("ValueError: one") == 1


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_what_a_database_quotes_of_a_row_is_not_logged(
    database_url: str, formatter: logging.Formatter
) -> None:
    """A refused row names its buyer: PostgreSQL quotes all of it, SQLAlchemy its parameters."""
    ledger = Ledger.open(database_url)
    engine = ledger._engines.writing
    row = {"transaction_id": "pay_1", "email": "planted@example.com", "name": "Planted"}

    def fail() -> None:
        with engine.begin() as connection:
            connection.execute(deliveries.insert().values(**row))

    made = raised(fail)
    ledger.close()
    logged = formatter.format(made)

    assert made.exc_info is not None
    assert isinstance(made.exc_info[1], SQLAlchemyError)
    assert "IntegrityError" in logged
    assert "planted" not in logged.lower()


def entries() -> Iterator[tuple[str, str, ast.Call]]:
    """Yield every log entry of the source: file, words, and the call."""
    # What users copy runs under their own logging, which knows none of these fields.
    for path in sorted(set(KIT.rglob("*.py")) - set((KIT / "helpers").iterdir())):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="_log")),
                    args=[ast.Constant(value=str(words)), *_],
                ):
                    yield path.name, words, node
                case ast.Call(func=ast.Attribute(value=ast.Name(id="_log"))):
                    yield path.name, ast.unparse(node), node


def test_every_entry_about_an_event_a_delivery_or_an_order_names_it() -> None:
    """In a field that a machine finds; all others are in the list of those about no one."""
    told = list(entries())
    without = [words for _, words, call in told if not any(k.arg == "extra" for k in call.keywords)]

    assert len(told) > 20
    assert set(without) == OF_NO_ONE


def test_every_field_of_an_entry_is_one_that_is_written() -> None:
    """A name with a typing error would be dropped in silence."""
    for file, words, call in entries():
        for keyword in call.keywords:
            if keyword.arg != "extra":
                continue
            match keyword.value:
                case ast.Dict(keys=keys):
                    names = {key.value for key in keys if isinstance(key, ast.Constant)}

                    assert names <= set(FIELDS), (file, words)
                case ast.Call(func=ast.Name(id=maker)):
                    assert maker in FIELD_MAKERS, (file, words)
                case other:
                    raise AssertionError(file, words, ast.unparse(other))
