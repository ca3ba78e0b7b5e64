"""Render templates: the context that every page shares, and the page for what went wrong."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.templating import Jinja2Templates

from kit.hops import Hop
from kit.resources import resource_dir
from kit.web.consent import ConsentRule, State

_NO_CONSENT_NEEDED = ConsentRule()


@dataclass(frozen=True, slots=True)
class ScriptTag:
    """The attributes of DataFast's script tag (datafast/script-configuration)."""

    src: str
    website_id: str
    domain: str
    allow_localhost: bool
    api_url: str | None = None

    def attributes(self) -> dict[str, str]:
        """Return what stands in the tag; payments are reported by the server alone."""
        return {
            "data-website-id": self.website_id,
            "data-domain": self.domain,
            "data-disable-payments": "true",
            **({"data-allow-localhost": "true"} if self.allow_localhost else {}),
            **({"data-api-url": self.api_url} if self.api_url else {}),
            "src": self.src,
        }


@dataclass(frozen=True, slots=True)
class Asking:
    """What the consent form needs to know; `has_form` is False where a consent manager asks."""

    state: State
    back: str
    has_form: bool


@cache
def _templates(folder: Path) -> Jinja2Templates:
    """Compile each template once for all apps in this process; a changed file is read anew."""
    return Jinja2Templates(directory=folder)


class Pages:
    """The shop's templates, with what all of them need; the tag only where consent permits it."""

    def __init__(
        self,
        *,
        tag: ScriptTag | None,
        demo: bool,
        inspector_url: str | None = "/inspector",
        trouble_url: str | None = None,
        consent: ConsentRule = _NO_CONSENT_NEEDED,
        cookieless: bool = False,
    ) -> None:
        self._tag = tag
        self._consent = consent
        self._shared = {
            "demo": demo,
            "inspector_url": inspector_url,
            "trouble_url": trouble_url,
            "cookieless": cookieless,
        }
        self._templates = _templates(resource_dir("templates"))

    def render(
        self, request: Request, name: str, context: Mapping[str, Any], *, status: int = 200
    ) -> Response:
        """Render one page; shared caches must not keep it, since it holds tokens and a nonce."""
        response = self._templates.TemplateResponse(
            request,
            name,
            {
                **self._shared,
                "tag": self._tag if self._consent.permits(request) else None,
                "consent": self._asking(request),
                "nonce": request.state.nonce,
                **context,
            },
            status_code=status,
        )
        response.headers["Cache-Control"] = "private, no-cache"
        return response

    def _asking(self, request: Request) -> Asking | None:
        """Return what stands about consent on this page; None where nobody is asked."""
        if self._tag is None or not self._consent.required:
            return None
        query = request.url.query
        here = quote(request.scope["path"]) + (f"?{query}" if query else "")
        return Asking(
            state=self._consent.state(request),
            # A page that answers a post cannot be asked for again.
            back=here if request.method == "GET" else "/",
            has_form=self._consent.can_ask,
        )

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
        template: str = "shop/problem.html",
    ) -> Response:
        """Say what went wrong, why, and what to do."""
        response = self.render(
            request,
            template,
            {"title": title, "message": message, "action": action, "back_url": back_url},
            status=status,
        )
        if retry_after_s is not None:
            response.headers["Retry-After"] = str(retry_after_s)
        return response


def wanted_type(request: Request) -> Literal["html", "json", "stream"]:
    """
    Tell what a client wants: `.json` decides, else what it accepts.

    In doubt it is a page, and JSON for a program that posts.
    """
    accepted = request.headers.get("accept", "")
    if request.scope["path"].endswith(".json"):
        return "json"
    if "text/html" in accepted:
        return "html"
    if "text/event-stream" in accepted:
        return "stream"
    return "json" if "application/json" in accepted or request.method == "POST" else "html"


def refusal(
    status: int, error: str, *, fix: str | None = None, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Say in JSON what went wrong and what to do: the one shape of an error."""
    body = {"ok": False, "status": status, "error": error, "fix": fix}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})


def version_of(body: Mapping[str, Any]) -> str:
    """Name what a page shows, so that a change can be told."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


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
