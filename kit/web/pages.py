"""Render templates: the context that every page shares, and the page for what went wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from kit.hops import Hop
from kit.resources import resource_dir


@dataclass(frozen=True, slots=True)
class ScriptTag:
    """The attributes of DataFast's script tag (datafast/script-configuration)."""

    src: str
    website_id: str
    domain: str
    allow_localhost: bool
    api_url: str | None = None


class Pages:
    """The shop's templates, with what all of them need."""

    def __init__(
        self, *, tag: ScriptTag | None, demo: bool, inspector_url: str | None = "/inspector"
    ) -> None:
        self._shared = {"tag": tag, "demo": demo, "inspector_url": inspector_url}
        self._templates = Jinja2Templates(directory=resource_dir("templates"))

    def render(
        self, request: Request, name: str, context: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """Render one page; shared caches must not keep it, since it holds tokens and a nonce."""
        response = self._templates.TemplateResponse(
            request,
            name,
            {**self._shared, "nonce": request.state.nonce, **context},
            status_code=status,
        )
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    def problem(
        self,
        request: Request,
        *,
        status: int,
        title: str,
        message: str,
        action: str,
        back_url: str | None = "/",
        retry_after_s: int | None = None,
    ) -> Response:
        """Say what went wrong, why, and what to do."""
        response = self.render(
            request,
            "shop/problem.html",
            {"title": title, "message": message, "action": action, "back_url": back_url},
            status=status,
        )
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        return response


def shown_hops(hops: Iterable[Hop], *, began_ms: int) -> list[dict[str, Any]]:
    """Turn a journey's hops into what a template shows."""
    return [
        hop.as_dict() | {"at_text": hop_time_text(hop.at_ms, began_ms=began_ms)} for hop in hops
    ]


def hop_time_text(at_ms: int | None, *, began_ms: int) -> str | None:
    """Write the time of a hop beside its journey's: the day only where it is another one."""
    if at_ms is None:
        return None
    moment, began = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (at_ms, began_ms))
    return moment.strftime("%H:%M:%S" if moment.date() == began.date() else "%d %b %H:%M")


def moment_text(at_ms: int | None) -> str | None:
    """Write a moment for people, in UTC."""
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
