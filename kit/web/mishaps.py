"""What a visitor is told when something is not there, not allowed or broken."""

import logging

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from kit.web.pages import Pages, refusal, wanted_type

TITLES = {404: "Nothing here", 405: "Not like this", 413: "Too much at once"}

_log = logging.getLogger(__name__)


class Mishaps:
    """Answers in the form that was asked for, and says nothing of a cause: the log has it."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def refused(self, request: Request, problem: Exception) -> Response:
        """Answer what no route takes."""
        status = problem.status_code if isinstance(problem, HTTPException) else 500
        headers = dict(getattr(problem, "headers", None) or {})
        message, fix = "There is no page for this request.", "Start again from the front page."
        if wanted_type(request) == "json":
            return refusal(status, message, fix=fix, headers=headers)
        title = TITLES.get(status, "That did not work")
        response = self._pages.problem(
            request, status=status, title=title, message=message, action=fix
        )
        response.headers.update(headers)
        return response

    async def failed(self, request: Request, _problem: Exception) -> Response:
        """Answer what a handler did not foresee."""
        message, fix = "Something went wrong on our side.", "Try again in a minute."
        if wanted_type(request) == "json":
            return refusal(500, message, fix=fix)
        try:
            title = "That is our fault"
            return self._pages.problem(
                request, status=500, title=title, message=message, action=fix
            )
        except Exception:
            _log.exception("the page for what went wrong has failed as well")
            return PlainTextResponse(f"{message} {fix}\n", 500)
