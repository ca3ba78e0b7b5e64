"""DataFast's rate limit: calls a minute for each token."""

from collections.abc import Callable

from starlette.responses import JSONResponse, Response


class RateLimit:
    """A fixed window per token, kept in memory."""

    def __init__(self, *, limit: int, window_s: float, clock: Callable[[], float]) -> None:
        """Allow `limit` calls in each window of `window_s`."""
        self._limit = limit
        self._window_s = window_s
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, token: str) -> bool:
        """Count one call and say whether it is allowed."""
        now = self._clock()
        ends_at, used = self._windows.get(token, (0.0, 0))
        if now >= ends_at:
            ends_at, used = now + self._window_s, 0
        self._windows[token] = (ends_at, used + 1)
        return used < self._limit

    def headers(self, token: str) -> dict[str, str]:
        """Return the `X-RateLimit-*` headers as they stand."""
        return {f"x-ratelimit-{name}": str(value) for name, value in self._facts(token).items()}

    def refusal(self, token: str) -> Response:
        """Build the 429: a plain body, not the error envelope, and `reset` in milliseconds.

        Seen in a production export tool (sunergos-ro/datafast-to-rybbit, 2026); no Retry-After.
        """
        return JSONResponse(self._facts(token), status_code=429, headers=self.headers(token))

    def forget(self) -> None:
        """Start all windows anew."""
        self._windows.clear()

    def _facts(self, token: str) -> dict[str, int]:
        ends_at, used = self._windows.get(token, (self._clock() + self._window_s, self._limit))
        remaining = max(0, self._limit - used)
        return {"limit": self._limit, "remaining": remaining, "reset": round(ends_at * 1000)}
