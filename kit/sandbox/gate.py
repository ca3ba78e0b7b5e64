"""The key before Dodo's API."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from kit.sandbox.refusals import ApiError

Answer = Callable[[Request, bytes], Response]


def behind_key(table: list[tuple[str, str, Answer]], api_key: str) -> list[Route]:
    """Return a route for each method, path and answer; without the bearer key it is a 401."""
    return [
        Route(path, _with_key(answer, api_key), methods=[method]) for method, path, answer in table
    ]


def _with_key(answer: Answer, api_key: str) -> Any:
    async def endpoint(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {api_key}":
            raise ApiError(401, "The API key is missing or not known.")
        return answer(request, await request.body())

    return endpoint
