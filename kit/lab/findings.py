"""From what was seen to hops: where the visitor id was lost, and what went wrong beside it."""

from collections.abc import Iterator
from typing import Final, Literal

from kit.hops import Hop
from kit.lab.hosts import is_local
from kit.lab.seen import VISITOR_COOKIE, VISITOR_ID, Seen

Outcome = Literal["kept", "lost", "none"]
"""kept: the report names the visitor; lost: it does not; none: there never was a visitor id."""

# Wrong or worth knowing, and not what loses the visitor.
ASIDE: Final = frozenset(
    {
        "captured_by_page",
        "landing_unknown",
        "not_observable",
        "payment_guessed",
        "return_leaks",
        "script_domain_foreign",
        "script_domain_narrow",
    }
)


def tell_hops(seen: Seen) -> tuple[Hop, ...]:
    """Tell a journey as hops, in the order they are passed."""
    return tuple(_hops(seen))


def judge(seen: Seen, hops: tuple[Hop, ...]) -> tuple[Outcome, str | None]:
    """
    Return how a journey ended, and the name of the hop at which the visitor was lost.

    Nothing behind the redirect can be judged without observers: then the last hop that can be
    seen decides, and `not_observable` among the hops says how far that is.
    """
    if seen.visitor_id is None:
        return "none", None
    broken = next((hop for hop in hops if hop.tone != "ok" and hop.reason not in ASIDE), None)
    if seen.datafast_observed and seen.dodo_observed:
        report = seen.report
        kept = report is not None and report.attributed and report.visitor_id == seen.visitor_id
    else:
        kept = broken is None
    if kept:
        return "kept", None
    return "lost", broken.name if broken is not None else hops[-1].name


def _hops(seen: Seen) -> Iterator[Hop]:
    yield _script(seen)
    yield from _domain(seen)
    yield _cookie(seen)
    yield from _pageview(seen)
    if not seen.button:
        yield Hop("Buy button", "buy_button_missing")
        return
    yield from _order(seen)
    yield _metadata(seen)
    if seen.session_id is None:
        return
    if not seen.dodo_observed:
        yield Hop("Payment", "not_observable")
    elif not seen.paid:
        yield Hop("Payment", "not_paid")
        return
    yield from _return(seen)
    yield _report(seen)


def _script(seen: Seen) -> Hop:
    reasons = {
        "loaded": "script_loaded",
        "blocked": "script_blocked",
        "late": "script_late",
        "missing": "script_missing",
        "off": "script_off",
    }
    return Hop("Script on the page", reasons[seen.script], seen=seen.script_url)


def _domain(seen: Seen) -> Iterator[Hop]:
    name, domain = "Domain of the script", seen.data_domain
    # On a developer's machine the tag names the domain that the shop will have.
    if domain is None or is_local(seen.host):
        return
    if not reaches(f".{domain}", seen.host):
        yield Hop(name, "script_domain_foreign", seen=domain, expected=seen.host)
    elif domain.startswith("www."):
        yield Hop(name, "script_domain_narrow", seen=domain, expected=domain[4:])


def _cookie(seen: Seen) -> Hop:
    name = "Visitor cookie"
    if seen.cookieless:
        return Hop(name, "cookieless", seen=seen.visitor_id)
    if seen.visitor_id is None:
        silent = seen.script == "loaded"
        return Hop(name, "cookie_missing" if silent else "cookie_absent")
    domain = seen.cookie_domain
    if domain is not None and not reaches(domain, seen.host):
        return Hop(
            name, "cookie_out_of_reach", seen=f"{seen.visitor_id} for {domain}", expected=seen.host
        )
    found = f"{seen.visitor_id} for {domain}" if domain else seen.visitor_id
    return Hop(name, "cookie_set", seen=found)


def reaches(domain: str, host: str) -> bool:
    """Tell whether a cookie of a Domain goes to a host; without a dot it has one host alone."""
    if not domain.startswith("."):
        return host == domain
    return host == domain[1:] or host.endswith(domain)


def _pageview(seen: Seen) -> Iterator[Hop]:
    name = "Pageview to DataFast"
    views = [event for event in seen.events if event.kind == "pageview"]
    if any(event.kept_back for event in views):
        yield Hop(name, "not_observable", seen=views[0].href)
    elif any(event.status is not None and event.status < 300 for event in views):
        yield Hop(name, "pageview_sent", seen=views[0].href)
        if not seen.landing_known:
            yield Hop("Landing page at DataFast", "landing_unknown", seen=views[0].href)
    elif any(event.status is not None for event in views):
        refused = next(event for event in views if event.status is not None)
        yield Hop(name, "pageview_refused", seen=f"status {refused.status}", expected="status 200")
    elif views:
        yield Hop(name, "pageview_blocked", seen=views[0].href)
    else:
        yield Hop(name, "pageview_absent")
    if any(event.kind == "payment" for event in seen.events):
        yield Hop("Payments in the browser", "payment_guessed")


def _order(seen: Seen) -> Iterator[Hop]:
    name = "Visitor cookie at checkout"
    order = seen.order
    if order is None:
        yield Hop(name, "checkout_not_reached")
        return
    carried, values = order.visitor_id, order.cookie_values
    if seen.cookieless or order.direct:
        carried = order.handed_over
        yield Hop(name, "captured" if carried else "absent", seen=carried, expected=seen.visitor_id)
        return
    if carried is None:
        if values:
            yield Hop(name, "malformed", seen=values[0][:64])
        else:
            yield Hop(name, "absent", expected=seen.visitor_id)
    elif not VISITOR_ID.fullmatch(values[0]):
        yield Hop(name, "cookie_shadowed", seen=values[0][:64], expected=seen.visitor_id)
    elif seen.visitor_id is not None and carried != seen.visitor_id:
        yield Hop(name, "visitor_replaced", seen=carried, expected=seen.visitor_id)
    else:
        yield Hop(name, "captured", seen=carried)
    if order.handed_over is not None:
        yield Hop("Visitor in the order", "captured_by_page", seen=order.url.partition("?")[0])


def _metadata(seen: Seen) -> Hop:
    name = "Metadata sent to Dodo"
    if seen.session_id is None:
        return Hop(name, "no_session")
    if not seen.dodo_observed:
        return Hop(name, "not_observable", seen=seen.session_id)
    metadata = {str(key): str(value) for key, value in (seen.metadata or {}).items()}
    sent = metadata.get(VISITOR_COOKIE)
    if sent is None:
        ids = {seen.visitor_id, seen.order.visitor_id if seen.order else None} - {None}
        misnamed = next((key for key, value in metadata.items() if value in ids), None)
        if misnamed is not None:
            return Hop(name, "metadata_misnamed", seen=misnamed, expected=VISITOR_COOKIE)
        if not ids:
            return Hop(name, "session_opened", seen=seen.session_id)
        return Hop(name, "metadata_without_visitor", expected=seen.visitor_id)
    if seen.visitor_id is not None and sent != seen.visitor_id:
        return Hop(name, "metadata_other_visitor", seen=sent, expected=seen.visitor_id)
    return Hop(name, "metadata_has_visitor", seen=sent)


def _return(seen: Seen) -> Iterator[Hop]:
    name = "Return from Dodo's page"
    if seen.returned_to is None:
        reason = "not_returned" if seen.dodo_observed else "not_observable"
        yield Hop(name, reason)
    else:
        yield Hop(name, "returned", seen=seen.returned_to)
    if seen.leaked is not None:
        yield Hop("Address of the return page", "return_leaks", seen=seen.leaked)


def _report(seen: Seen) -> Hop:
    name = "Payment at DataFast"
    if not (seen.datafast_observed and seen.dodo_observed):
        return Hop(name, "not_observable")
    report = seen.report
    if report is None:
        return Hop(name, "not_reported", expected=seen.visitor_id)
    if report.visitor_id is None:
        return Hop(name, "recorded_without_visitor", expected=seen.visitor_id)
    if not report.attributed:
        return Hop(name, "no_pageview", seen=report.visitor_id)
    if seen.visitor_id is not None and report.visitor_id != seen.visitor_id:
        return Hop(name, "reported_other_visitor", seen=report.visitor_id, expected=seen.visitor_id)
    return Hop(name, "attributed", seen=report.visitor_id)
