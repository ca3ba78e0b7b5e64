"""Log records for people or for machines; fields are named, secrets are never among them."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Literal

FIELDS = ("order_ref", "transaction_id", "webhook_id")


def configure_logging(form: Literal["text", "json"], *, level: int = logging.INFO) -> None:
    """Send the kit's and the server's records to stderr in one form."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # These tell of every request they make, addresses and ids included.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """One line for people, known fields at its end; a trace below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        # What a message quotes must not look like a record of its own.
        message = record.getMessage().replace("\n", "\\n")
        return f"{record.levelname}: {message}{fields}" + "".join(
            f"\n{line}" for line in _trace(record)
        )


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        moment = datetime.fromtimestamp(record.created, UTC)
        entry = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if trace := _trace(record):
            entry["exception"] = "\n".join(trace)
        return json.dumps(entry, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}


def _trace(record: logging.LogRecord) -> list[str]:
    if not record.exc_info or record.exc_info[1] is None:
        return []
    return _told(record.exc_info[1], set())


def _told(error: BaseException, seen: set[int]) -> list[str]:
    """
    Tell an exception and what led to it, oldest first, as Python does, but for their messages.

    Of each only the first line: below it, a database quotes the whole row.
    """
    seen.add(id(error))
    lines: list[str] = []
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        how = "the direct cause of" if error.__cause__ else "being handled before"
        lines += [*_told(before, seen), "", f"This was {how} the following exception:", ""]
    lines.append("Traceback (most recent call last):")
    lines += "".join(traceback.format_tb(error.__traceback__)).splitlines()
    message, _, _ = str(error).partition("\n")
    lines.append(f"{type(error).__name__}: {message}" if message else type(error).__name__)
    for number, part in enumerate(getattr(error, "exceptions", ()), start=1):
        lines += [f"  {line}" for line in (f"Exception {number}:", *_told(part, seen))]
    return lines
