"""
The hosted checkout page: plain forms, no script, a strict content security policy.

Under `/overlay/session/{cks}` the same page may stand in a frame of the shop.
"""

from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from kit.sandbox.books import CHECKOUT
from kit.sandbox.money import display
from kit.sandbox.overlay import send_back
from kit.sandbox.store import Document, Store
from kit.sandbox.templates import open_templates
from kit.sandbox.till import Till

TEMPLATE = "sandbox/hosted.html"
OUTCOMES = ("succeeded", "failed")
NOT_FOUND = "<!doctype html><title>No such checkout</title><h1>No such checkout</h1>"


class HostedPage:
    """`GET` and `POST` of `/session/{cks}` and of `/overlay/session/{cks}`."""

    def __init__(self, store: Store, till: Till, *, templates_dir: Path) -> None:
        """Render `sandbox/hosted.html` of `templates_dir`."""
        self._store = store
        self._till = till
        self._templates = open_templates(templates_dir)

    async def show(self, request: Request) -> Response:
        """Show the session; 410 once it is paid or expired."""
        session = self._session(request)
        return _missing() if session is None else self._page(session, framed=_framed(request))

    async def submit(self, request: Request) -> Response:
        """Take or refuse the payment (`email`, `name`, `outcome`), then go to the return URL."""
        form = parse_qs((await request.body()).decode(errors="replace"))
        # No await between here and the payment: of two posts the second finds a paid session.
        session, framed = self._session(request), _framed(request)
        if session is None:
            return _missing()
        if self._till.state(session) != "open":
            return self._page(session, framed=framed)
        email = _first(form, "email") or session["customer_email"]
        name = _first(form, "name") or session["customer_name"] or ""
        outcome = _first(form, "outcome")
        if not email or outcome not in OUTCOMES:
            return self._page(session, status=422, framed=framed)
        if outcome == "failed":
            self._till.decline(session, email=email, name=name)
            return self._page(session, framed=framed)
        answer = self._till.pay(session, email=email, name=name)
        return_url = session["order"]["return_url"]
        if return_url is None:
            return self._page(session, status=200, framed=framed)
        target = _with_query(return_url, answer)
        if framed:
            return send_back(target, shop=_origin(return_url))
        return RedirectResponse(target, status_code=303)

    def _session(self, request: Request) -> Document | None:
        return self._store.get(CHECKOUT, request.path_params["session_id"])

    def _page(
        self, session: Document, *, status: int | None = None, framed: bool = False
    ) -> Response:
        state = self._till.state(session)
        lines = self._till.lines(session)
        currency = lines[0].product.currency
        tax = sum(line.tax_minor for line in lines)
        recurring = any(line.product.interval for line in lines)
        page = self._templates.get_template(TEMPLATE).render(
            session_id=session["session_id"],
            items=[
                {
                    "name": line.product.name,
                    "quantity": line.quantity,
                    "price": display(line.amount_minor, currency),
                }
                for line in lines
            ],
            total=display(sum(line.due_minor for line in lines), currency),
            tax=display(tax, currency) if tax else None,
            currency=currency,
            trial_days=max(line.trial_period_days for line in lines),
            free_trial=all(line.trial_period_days and not line.due_minor for line in lines),
            recurring="per month" if recurring else None,
            cancel_url=session["order"]["cancel_url"],
            return_url=session["order"]["return_url"],
            state=state,
            failed=session["payment_status"] == "failed",
        )
        return HTMLResponse(
            page,
            status_code=status or (200 if state == "open" else 410),
            headers={
                "cache-control": "no-store",
                "content-security-policy": _policy(session["order"]["return_url"], framed=framed),
                "referrer-policy": "strict-origin-when-cross-origin",
                "x-content-type-options": "nosniff",
            },
        )


def _policy(return_url: str | None, *, framed: bool) -> str:
    """Allow our own styles and forms; browsers apply form-action to the redirect after a post."""
    shop = [_origin(return_url)] if return_url is not None else []
    own_and_shop = " ".join(["'self'", *shop])
    framing = shop[0] if framed and shop else "'none'"
    return (
        "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
        f"form-action {own_and_shop}; base-uri 'none'; "
        f"frame-ancestors {framing}"
    )


def _framed(request: Request) -> bool:
    return request.url.path.startswith("/overlay/")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _with_query(url: str, fields: dict[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, urlencode(fields))))
    return parts._replace(query=query).geturl()


def _first(form: dict[str, list[str]], name: str) -> str | None:
    value = form.get(name, [""])[0].strip()
    return value or None


def _missing() -> Response:
    return HTMLResponse(NOT_FOUND, status_code=404)
