"""The shop's page: its script tag, the way of script and events, and its security policy."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from kit.checks.policy import read_policies
from kit.checks.setup import Setup, header, is_local
from kit.checks.tag import Page, Tag, read_page
from kit.errors import TransportError
from kit.hops import Hop
from kit.transport import Reply

NAME = "Script tag"


async def check_page(setup: Setup) -> list[Hop]:
    """Look at one page as a browser gets it first, consent given where it is asked for."""
    try:
        url, reply = await setup.visit(setup.page_url, _browser_headers(setup))
    except TransportError as problem:
        return [Hop("Page", "page_silent", seen=str(problem))]
    if reply.status != 200 or "html" not in header(reply, "content-type"):
        return [Hop("Page", "page_unnamed", seen=f"{url} answers {reply.status}")]
    page = read_page(reply.body.decode(errors="replace"), url)
    if not page.tags:
        reason = "script_injected" if page.mentions_datafast else "script_missing"
        return [Hop(NAME, reason, seen=url)]
    tag = page.tags[0]
    return [
        *_tag(setup, page, tag),
        *_domain(setup, tag),
        await _script(setup, tag),
        *await _events(setup, tag),
        *_policy(setup, page, reply, tag),
    ]


def _browser_headers(setup: Setup) -> dict[str, str]:
    """Say what a visitor's browser says who has agreed to be counted."""
    settings = setup.settings
    if settings.consent != "required":
        return {}
    # Where a star stands for anything, nothing will do as well.
    answer = settings.consent_value.replace("*", "")
    return {"Cookie": f"{settings.consent_cookie}={answer}"}


def _tag(setup: Setup, page: Page, tag: Tag) -> list[Hop]:
    found = tag.attributes.get("data-website-id", "")
    wanted = setup.settings.datafast_website_id
    hops = []
    if len(page.tags) > 1:
        hops.append(Hop(NAME, "script_twice", seen=f"{len(page.tags)} times"))
    if wanted is not None and found != wanted:
        hops.append(Hop(NAME, "script_other_website", seen=found, expected=wanted))
    if not tag.has("data-disable-payments"):
        hops.append(Hop(NAME, "script_guesses_payments"))
    if is_local(tag.page_url) and not tag.has("data-allow-localhost"):
        hops.append(Hop(NAME, "script_silent_here", seen=tag.page_url))
    return hops or [Hop(NAME, "script_tagged", seen=tag.src)]


def _domain(setup: Setup, tag: Tag) -> Iterator[Hop]:
    name, domain = "Cookie's domain", tag.domain
    page_host = urlsplit(tag.page_url).hostname or ""
    shop_host = urlsplit(setup.settings.base_url).hostname or ""
    wanted = setup.settings.datafast_domain
    if not _covers(domain, page_host):
        yield Hop(name, "script_domain_foreign", seen=domain or "none", expected=page_host)
    elif domain.startswith("www.") or not (_covers(domain, shop_host) or is_local(shop_host)):
        expected = domain.removeprefix("www.")
        yield Hop(name, "script_domain_narrow", seen=domain, expected=expected)
    elif wanted is not None and wanted != domain:
        yield Hop(name, "script_domain_other", seen=domain, expected=wanted)
    else:
        yield Hop(name, "cookie_reaches_server", seen=domain)


def _covers(domain: str, host: str) -> bool:
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


async def _script(setup: Setup, tag: Tag) -> Hop:
    name = "Script"
    try:
        _, reply = await setup.visit(tag.src, _browser_headers(setup))
    except TransportError as problem:
        return Hop(name, "script_unserved", seen=str(problem))
    served = "javascript" in header(reply, "content-type") and bool(reply.body.strip())
    if reply.status != 200 or not served:
        what = header(reply, "content-type").partition(";")[0] if reply.body else "nothing"
        return Hop(name, "script_unserved", seen=f"{tag.src} answers {reply.status}, {what}")
    return Hop(
        name, "script_served" if tag.is_first_party else "script_from_datafast", seen=tag.src
    )


async def _events(setup: Setup, tag: Tag) -> list[Hop]:
    """Post an event that names nobody: whatever refuses it is where events arrive."""
    name, url = "Events", tag.events_url
    if not tag.is_first_party and "data-api-url" not in tag.attributes:
        return []  # to DataFast itself, which needs no proof
    parts = urlsplit(tag.page_url)
    headers = _browser_headers(setup) | {
        "Content-Type": "application/json",
        "Origin": f"{parts.scheme}://{parts.netloc}",
    }
    try:
        reply = await setup.ask("POST", url, body=b"{}", headers=headers)
    except TransportError as problem:
        return [Hop(name, "events_lost", seen=str(problem))]
    reason = "events_pass"
    if reply.status >= 500:
        reason = "events_stuck"
    elif not _is_enveloped(reply) and (
        reply.status in (404, 405, 410)
        or 300 <= reply.status < 400
        or "html" in header(reply, "content-type")
    ):
        reason = "events_lost"
    seen = url if reason == "events_pass" else f"{url} answers {reply.status}"
    return [Hop(name, reason, seen=seen)]


def _is_enveloped(reply: Reply) -> bool:
    """Tell whether DataFast itself refuses: its errors have a form of their own."""
    try:
        told = json.loads(reply.body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, Mapping) and told.get("status") == "error"


def _policy(setup: Setup, page: Page, reply: Reply, tag: Tag) -> list[Hop]:
    name = "Security policy"
    values = [value for key, value in reply.headers if key.lower() == "content-security-policy"]
    policies = read_policies([*values, *page.policies], tag.page_url)
    checkouts = _checkout_urls(setup.settings.checkout_hosts)
    seen = "; ".join([*values, *page.policies]) or None
    hops = []
    if not all(each.allows_script(tag.src, tag.nonce) for each in policies):
        hops.append(Hop(name, "policy_blocks_script", seen=seen, expected=tag.src))
    if not all(each.allows_connection(tag.events_url) for each in policies):
        hops.append(Hop(name, "policy_blocks_events", seen=seen, expected=tag.events_url))
    if not all(each.allows_form(url) for each in policies for url in checkouts):
        hops.append(Hop(name, "policy_blocks_checkout", seen=seen, expected=" ".join(checkouts)))
    return hops or [Hop(name, "policy_allows", seen=None if policies else "there is none")]


def _checkout_urls(hosts: tuple[str, ...]) -> list[str]:
    """Return an address at each host that a buyer may be sent to; a star is any name."""
    return [
        (host if "://" in host else f"https://{host}").replace("*", "checkout") + "/"
        for host in hosts
    ]
