"""Log records for people or for machines; fields are named, secrets are never among them."""

import json
import logging
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
    """One line for people, known fields at its end."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        first, newline, rest = super().format(record).partition("\n")
        return first + fields + newline + rest


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
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in FIELDS if hasattr(record, name)}
