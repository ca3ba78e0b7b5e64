"""
The kit's errors. Each message says what happened, why, and what to do.

* KitError
  * SettingsError       environment that cannot be used, all problems at once
  * TransportError      no usable HTTP answer came
  * DodoError           Dodo answered, and not with what was asked for
  * LedgerError
    * LedgerUnavailable  the database takes no writes at the moment
    * LedgerInUse        another process owns the SQLite file
    * LedgerUnreadable   not a ledger, or one of a newer version
"""


class KitError(Exception):
    """The root: whatever the kit raises on purpose."""


class SettingsError(KitError):
    """Every problem of the environment, by name; values are never shown."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("the settings cannot be used:\n" + "\n".join(f"  - {p}" for p in problems))
        self.problems = problems


class TransportError(KitError):
    """No usable answer: `reason` is "timeout", "connect", "broken" or "too_large"."""

    def __init__(self, reason: str, host: str) -> None:
        super().__init__(f"no usable answer from {host}: {reason}")
        self.reason = reason
        self.host = host


class DodoError(KitError):
    """Dodo's refusal: HTTP `status`, its error `code`, and whether trying again can help."""

    def __init__(self, message: str, *, status: int, code: str = "", retryable: bool) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable


class LedgerError(KitError):
    """The ledger cannot be used."""


class LedgerUnavailable(LedgerError):  # noqa: N818 - a state, and it passes
    """The database takes no writes at the moment: full, locked or away. Nothing was stored."""


class LedgerInUse(LedgerError):  # noqa: N818 - a state, and it passes
    """Another process owns this SQLite file."""


class LedgerUnreadable(LedgerError):  # noqa: N818 - a state of the file
    """The file is no ledger, is damaged, or was written by a newer version."""
