"""The account at Dodo: the key, this shop's webhook endpoint, and who else is told of payments."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from kit.checks.setup import Setup, is_local, is_same_place
from kit.errors import DodoError, TransportError
from kit.helpers.dodo_datafast import dodo_url
from kit.hops import Hop
from kit.ledger.policy import EVENTS_READ

CARD_HOST = "datafa.st"
CARD_PATH = "/api/v1/payments"
LISTENER = ".dodopayments.tech"
"""Where `dodo wh listen` lets webhooks be sent (dodopayments-cli, 2026)."""

Endpoint = Mapping[str, Any]


async def check_dodo(setup: Setup) -> list[Hop]:
    """Look at the key and at the webhook endpoints of the account; nothing is changed there."""
    needed = setup.needs("Dodo's API", "DODO_PAYMENTS_API_KEY", "DODO_PAYMENTS_BASE_URL")
    if needed:
        return needed
    try:
        endpoints = await setup.dodo.endpoints()
        may_write = await setup.dodo.may_write()
    except (DodoError, TransportError) as problem:
        return [_refused(problem)]
    key = "dodo_key_accepted" if may_write else "dodo_key_reads_only"
    return [
        Hop("Dodo's API key", key, seen=setup.settings.dodo_environment),
        *await _endpoint(setup, endpoints),
        *_card(endpoints),
    ]


def _refused(problem: DodoError | TransportError) -> Hop:
    if isinstance(problem, DodoError) and problem.status in (401, 403):
        return Hop("Dodo's API key", "dodo_key_refused", seen=f"{problem.status} {problem.code}")
    return Hop("Dodo's API", "dodo_silent", seen=str(problem))


async def _endpoint(setup: Setup, endpoints: Sequence[Endpoint]) -> list[Hop]:
    name, settings = "Webhook endpoint", setup.settings
    base = dodo_url(settings.dodo_environment, settings.dodo_base_url)
    if is_local(setup.webhook_url) and not is_local(base):
        listening = any(_host(each).endswith(LISTENER) for each in endpoints if _is_on(each))
        reason = "endpoint_by_cli" if listening else "endpoint_local"
        return [Hop(name, reason, seen=setup.webhook_url)]
    ours = [each for each in endpoints if is_same_place(str(each.get("url")), setup.webhook_url)]
    if not ours:
        others = ", ".join(_shown(each) for each in endpoints) or "no endpoint at all"
        return [Hop(name, "endpoint_missing", seen=others, expected=setup.webhook_url)]
    awake = [each for each in ours if _is_on(each)]
    if not awake:
        return [Hop(name, "endpoint_disabled", seen=str(ours[0].get("id")))]
    hops = [_events(awake[0])]
    if len(awake) > 1:
        ids = ", ".join(str(each.get("id")) for each in awake)
        hops.append(Hop(name, "endpoint_twice", seen=ids))
    return hops + [await _secret(setup, each) for each in awake]


def _events(endpoint: Endpoint) -> Hop:
    name, wanted = "Webhook endpoint", endpoint.get("filter_types")
    missing = [each for each in EVENTS_READ if wanted and each not in wanted]
    reason = "endpoint_ready"
    if "payment.succeeded" in missing:
        reason = "endpoint_without_payments"
    elif missing:
        reason = "endpoint_without_events"
    return Hop(name, reason, seen=", ".join(missing) or str(endpoint.get("id")))


async def _secret(setup: Setup, endpoint: Endpoint) -> Hop:
    name = "Webhook secret"
    needed = setup.needs(name, "DODO_PAYMENTS_WEBHOOK_KEY")
    if needed:
        return needed[0]
    try:
        secret = await setup.dodo.endpoint_secret(str(endpoint.get("id")))
    except (DodoError, TransportError) as problem:
        return Hop(name, "not_checked", seen=str(problem))
    known = {_bare(key.reveal()) for key in setup.settings.dodo_webhook_keys}
    fits = _bare(secret) in known
    return Hop(name, "secret_fits" if fits else "secret_differs", seen=str(endpoint.get("id")))


def _bare(secret: str) -> str:
    return secret.strip().removeprefix("whsec_")


def _card(endpoints: Sequence[Endpoint]) -> Iterator[Hop]:
    """Look for DataFast's own card, which posts to DataFast from Dodo's side."""
    name = "DataFast card at Dodo"
    cards = [each for each in endpoints if _host(each).endswith(CARD_HOST) and _is_on(each)]
    for card in cards:
        yield Hop(name, "card_beside", seen=_shown(card))
        if urlsplit(str(card.get("url"))).path.rstrip("/") != CARD_PATH:
            yield Hop(name, "card_address_wrong", seen=_shown(card))
        if set(card.get("filter_types") or ["all"]) != {"payment.succeeded"}:
            events = ", ".join(card.get("filter_types") or ["all events"])
            yield Hop(name, "card_takes_all", seen=events)
    if not cards:
        yield Hop(name, "card_absent")


def _is_on(endpoint: Endpoint) -> bool:
    return endpoint.get("disabled") is not True


def _host(endpoint: Endpoint) -> str:
    return urlsplit(str(endpoint.get("url"))).hostname or ""


def _shown(endpoint: Endpoint) -> str:
    """Name an endpoint without what its address may carry."""
    parts = urlsplit(str(endpoint.get("url")))
    return f"{parts.scheme}://{_host(endpoint)}{parts.path}"
