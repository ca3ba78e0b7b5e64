"""Who may look: a token, or a person on this very machine."""

import hmac
from collections.abc import Sequence

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response

from kit.web.guard import is_direct_loopback
from kit.web.jar import last_cookie

SIGNED_IN_S = 12 * 3600


class Access:
    """
    Checks each request to the inspector; without a token only direct loopback is let in.

    Where a token is set it is asked for on the machine itself too: a reverse proxy that tells
    nothing of its client looks no different.
    """

    def __init__(self, *, token: str | None, keys: Sequence[str], secure: bool) -> None:
        self._token = token
        self._serializer = URLSafeTimedSerializer(list(reversed(keys)), salt="kit.inspector")
        self._secure = secure
        self._name = "__Host-kit_inspector" if secure else "kit_inspector"

    @property
    def has_token(self) -> bool:
        """Whether anybody can sign in."""
        return self._token is not None

    def admits(self, connection: HTTPConnection) -> bool:
        """Tell whether this request may see the inspector."""
        if self._token is None:
            return is_direct_loopback(connection)
        scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.accepts(presented.strip()):
            return True
        try:
            value = self._serializer.loads(last_cookie(connection, self._name), max_age=SIGNED_IN_S)
        except BadData:
            return False
        return bool(value == self._mark(self._token))

    def accepts(self, presented: str) -> bool:
        """Compare a token in constant time."""
        if self._token is None:
            return False
        return hmac.compare_digest(presented.encode(), self._token.encode())

    def sign_in(self, response: Response) -> None:
        """Remember this browser for a working day."""
        if self._token is None:
            return
        signed = self._serializer.dumps(self._mark(self._token))
        response.set_cookie(
            self._name,
            signed if isinstance(signed, str) else signed.decode(),
            max_age=SIGNED_IN_S,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="strict",
        )

    @staticmethod
    def _mark(token: str) -> str:
        # Binds the cookie to the token: a new token signs everybody out.
        return hmac.digest(token.encode(), b"kit.inspector", "sha256").hex()
