"""Error answers in the two services' shapes."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

# Dodo: {code, message} (docs.dodopayments.com, error codes page, 2026).
DODO_CODES = {
    401: "UNAUTHORIZED",
    404: "NOT_FOUND",
    422: "INVALID_REQUEST_BODY",
    429: "TOO_MANY_REQUESTS",
}

Refuse = Callable[[int, str], Response]


class ApiError(Exception):
    """An answer other than 2xx, raised where it is found out; `code` is Dodo's only."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        """Keep the facts of the answer."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def dodo_refusal(status: int, message: str, code: str | None = None) -> Response:
    """Build Dodo's error body: `{"code": "NOT_FOUND", "message": "…"}`."""
    named = code or DODO_CODES.get(status, "INTERNAL_SERVER_ERROR" if status >= 500 else "ERROR")
    return JSONResponse({"code": named, "message": message}, status_code=status)


def datafast_refusal(status: int, message: str) -> Response:
    """Build DataFast's envelope: `{"status": "error", "error": {"code": 404, "message": "…"}}`."""
    error = {"code": status, "message": message}
    return JSONResponse({"status": "error", "error": error}, status_code=status)


def answer_dodo_error(_request: Request, exception: Exception) -> Response:
    """Turn a `ApiError` or a router's 404/405 into Dodo's error body."""
    if isinstance(exception, ApiError):
        return dodo_refusal(exception.status, exception.message, exception.code)
    status, detail = _routing(exception)
    return dodo_refusal(status, detail)


def answer_datafast_error(_request: Request, exception: Exception) -> Response:
    """Turn a `ApiError` or a router's 404/405 into DataFast's envelope."""
    if isinstance(exception, ApiError):
        return datafast_refusal(exception.status, exception.message)
    status, detail = _routing(exception)
    return datafast_refusal(status, detail)


def _routing(exception: Exception) -> tuple[int, str]:
    if isinstance(exception, HTTPException):
        return exception.status_code, exception.detail
    raise exception
