"""At the end of a visit, put together what its browser showed and what arrived elsewhere."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from kit.lab.seen import Seen
from kit.lab.watch import Watch

if TYPE_CHECKING:
    from kit.lab.visit import Visit

CAMPAIGN: Final = "utm_source=newsletter"
"""Where visitors come from: DataFast's first pageview has to say so."""
BUYER: Final = "ada@example.com"
"""Who buys: no page of the shop may keep this in its address."""
_SESSION_PATH: Final = "/session/"


def gather(visit: "Visit") -> Seen:
    """Return everything that was seen of a visit; waits for the payment's report."""
    dodo, datafast, watch = visit.stage.dodo, visit.stage.datafast, visit.watch
    order, checkout, session_id = watch.order(), watch.checkout(), session_of(watch)
    observed = dodo is not None and (checkout is None or dodo.owns(checkout.url))
    metadata = payment_id = report = None
    if dodo is not None and observed and session_id is not None:
        metadata, payment_id = dodo.metadata(session_id), dodo.payment(session_id)
    if datafast is not None and payment_id is not None:
        known_as = payment_id
        report = visit.until(lambda: datafast.report(known_as), visit.stage.patience.report_s)
        if visit.visitor_id is None and report is not None:
            visit.visitor_id = report.visitor_id
    return Seen(
        host=urlsplit(order.url).hostname or "" if order else visit.stage.shop.host,
        script=visit.script or visit.script_state(),
        script_url=visit.tag.get("src"),
        data_domain=visit.tag.get("domain"),
        visitor_id=visit.visitor_id,
        cookie_domain=visit.cookie_domain,
        events=tuple(watch.page_events()),
        button=visit.button,
        order=order,
        session_id=session_id,
        dodo_observed=observed,
        metadata=metadata,
        paid=payment_id is not None,
        returned_to=visit.returned_to,
        leaked=watch.kept_with(BUYER),
        datafast_observed=datafast is not None,
        landing_known=_landing_known(visit),
        report=report,
    )


def session_of(watch: Watch) -> str | None:
    """Return the checkout session that the order opened."""
    checkout = watch.checkout()
    if checkout is None:
        return None
    path = urlsplit(checkout.url).path
    return path.partition(_SESSION_PATH)[2].partition("/")[0] or path.rpartition("/")[2]


def _landing_known(visit: "Visit") -> bool:
    datafast = visit.stage.datafast
    if datafast is None or visit.visitor_id is None or CAMPAIGN not in (visit.landing or ""):
        return True
    pages = datafast.pageviews(visit.visitor_id)
    return not pages or CAMPAIGN in pages[0]
