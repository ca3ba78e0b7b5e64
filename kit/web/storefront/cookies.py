"""What the shop signs: the browser's own orders, and the checkout form's one-time token."""

import re
import secrets
from collections.abc import Sequence

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from kit.web.jar import last_cookie

MAX_ORDERS = 8
ORDERS_MAX_AGE_S = 90 * 24 * 3600
ATTEMPT_MAX_AGE_S = 24 * 3600

_ORDER_REF = re.compile(r"ord_[0-9a-f]{32}")
_ATTEMPT = re.compile(r"[0-9a-f]{32}")


def new_order_ref() -> str:
    """Make an order ref: 128 random bits, so that nobody guesses one."""
    return f"ord_{secrets.token_hex(16)}"


def is_order_ref(value: str) -> bool:
    """Tell whether a value has the form of an order ref."""
    return _ORDER_REF.fullmatch(value) is not None


class ShopCookies:
    """
    Signs and reads with one list of keys, newest first; an older key still reads.

    On https the cookie carries the `__Host-` prefix, which binds it to this very host.
    """

    def __init__(self, keys: Sequence[str], *, secure: bool) -> None:
        oldest_first = list(reversed(keys))
        self._orders = URLSafeTimedSerializer(oldest_first, salt="kit.orders")
        self._attempts = URLSafeTimedSerializer(oldest_first, salt="kit.attempt")
        self._secure = secure
        self._name = "__Host-kit_orders" if secure else "kit_orders"

    def new_attempt(self) -> str:
        """Make a token for one checkout form: the same token means the same purchase."""
        return self._signed(self._attempts, secrets.token_hex(16))

    def read_attempt(self, token: str) -> str | None:
        """Return the attempt a form names, or None if we did not sign it lately."""
        value = self._read(self._attempts, token, ATTEMPT_MAX_AGE_S)
        return value if isinstance(value, str) and _ATTEMPT.fullmatch(value) else None

    def orders(self, connection: HTTPConnection) -> list[str]:
        """Return the order refs of this browser, oldest first."""
        value = self._read(self._orders, last_cookie(connection, self._name), ORDERS_MAX_AGE_S)
        if not isinstance(value, list):
            return []
        return [ref for ref in value if isinstance(ref, str) and is_order_ref(ref)]

    def add_order(self, connection: HTTPConnection, response: Response, order_ref: str) -> None:
        """Remember an order in this browser."""
        others = [ref for ref in self.orders(connection) if ref != order_ref]
        response.set_cookie(
            self._name,
            self._signed(self._orders, [*others, order_ref][-MAX_ORDERS:]),
            max_age=ORDERS_MAX_AGE_S,
            path="/",
            secure=self._secure,
            httponly=True,
            # Lax, because the buyer comes back from Dodo's site by a link.
            samesite="lax",
        )

    @staticmethod
    def _signed(serializer: URLSafeTimedSerializer, value: object) -> str:
        signed = serializer.dumps(value)
        return signed.decode() if isinstance(signed, bytes) else signed

    @staticmethod
    def _read(serializer: URLSafeTimedSerializer, text: str, max_age_s: int) -> object:
        try:
            return serializer.loads(text, max_age=max_age_s)
        except BadData:
            return None
