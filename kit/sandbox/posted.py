"""Read the small JSON objects that the `/_sandbox` levers take."""

from collections.abc import Sequence
from typing import Any

from kit.sandbox.calls import read_json
from kit.sandbox.refusals import ApiError
from kit.sandbox.stamps import seconds


class Posted:
    """A lever's options; a wrong one is refused with a sentence, never ignored.

    Every method raises ApiError 422 for a value of another kind.
    """

    def __init__(self, body: bytes, *names: str) -> None:
        """Read a body that may be empty; no option beside `names` is taken."""
        document = read_json(body) if body.strip() else {}
        if not isinstance(document, dict) or not document.keys() <= set(names):
            known = ", ".join(sorted(names)) or "none"
            raise ApiError(422, f"The body must be a JSON object; options here: {known}.")
        self._document = document

    def __contains__(self, name: str) -> bool:
        """Say whether the option is there, even as null."""
        return name in self._document

    def whole(self, name: str, *, low: int = 0) -> int | None:
        """Return a whole number from `low`, or None when it is absent or null."""
        value = self._document.get(name)
        if value is not None and (type(value) is not int or value < low):
            raise ApiError(422, f"{name} must be a whole number from {low}.")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self._document.get(name, default)
        if not isinstance(value, bool):
            raise ApiError(422, f"{name} must be true or false.")
        return value

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self._document.get(name, default)
        if not isinstance(value, str):
            raise ApiError(422, f"{name} must be a string.")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of the choices; the first is the default."""
        value = self.text(name, choices[0])
        if value not in choices:
            raise ApiError(422, f"{name} must be one of: {', '.join(choices)}.")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of strings, empty by default."""
        value = self._document.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ApiError(422, f"{name} must be a list of strings.")
        return value

    def fields(self, name: str) -> dict[str, Any]:
        """Return an object, empty by default."""
        value = self._document.get(name, {})
        if not isinstance(value, dict):
            raise ApiError(422, f"{name} must be an object.")
        return value

    def moment(self, name: str, default: float) -> float:
        """Return an ISO 8601 moment as Unix time."""
        if name not in self._document:
            return default
        try:
            return seconds(self.text(name))
        except ValueError:
            raise ApiError(422, f"{name} must be an ISO 8601 moment.") from None

    def anything(self, name: str) -> Any:
        """Return the value as it is, None when it is absent."""
        return self._document.get(name)
