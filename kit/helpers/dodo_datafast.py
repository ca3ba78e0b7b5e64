# SPDX-License-Identifier: MIT
"""Carry a DataFast visitor through a Dodo Payments checkout, and the payment back to DataFast.

Standard library only; plain data in, plain data out: no I/O, no clock, no environment. Use it with
whatever HTTP client and framework the shop has:

    visitor = visitor_from_cookies(request.headers.get("cookie"))
    outgoing = checkout_request(cart, metadata=checkout_metadata(visitor), return_url=…, api_key=…)
    event = verify_webhook(raw_body, request.headers.items(), secrets, now=time.time())
    payment = payment_for(event)                       # a Payment, or a Skip that says why not
    outgoing = payment_request(payment, api_key=…)     # read_reply(…) tells what DataFast meant

or both exchanges whole, with a function of the shop's that sends one request:

    shop = read_shop(os.environ)
    session = carry_out(open_checkout(shop, cart, visitor), send, ends)
    answer = carry_out(answer_webhook(shop, body, headers, now=time.time()), send, ends)

Rules cite the page they come from: "dodo/…" is docs.dodopayments.com, "datafast/…" is
datafa.st/docs, "standard-webhooks" is its specification 1.0.0; all as read in November 2026.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import (
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import Field, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias, TypeVar
from urllib.parse import SplitResult, quote, urlencode, urlsplit

__all__ = [
    "DODO_CHECKOUT_HOSTS",
    "EXPONENT_UNVERIFIED",
    "ORDER_REF_KEY",
    "SESSION_COOKIE",
    "VISITOR_COOKIE",
    "Answer",
    "Basis",
    "CheckoutError",
    "CheckoutSession",
    "Event",
    "Exchange",
    "Known",
    "MetadataConflict",
    "MetadataError",
    "Original",
    "Outgoing",
    "PayloadError",
    "Payment",
    "Reply",
    "SecretError",
    "SetupError",
    "Shop",
    "SignatureError",
    "Signed",
    "Skip",
    "UnknownCurrency",
    "Verdict",
    "Visitor",
    "answer_webhook",
    "carry_out",
    "carry_out_async",
    "checkout_metadata",
    "checkout_request",
    "dodo_url",
    "exponent",
    "known_from_payment",
    "lookup_request",
    "major_units",
    "open_checkout",
    "payment_for",
    "payment_request",
    "read_checkout",
    "read_event",
    "read_reply",
    "read_shop",
    "reversal_minor",
    "signing_key",
    "verify_signature",
    "verify_webhook",
    "visitor_from_cookies",
    "visitor_from_page",
]

_Headers: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


class _Record:
    """What `dataclass` would generate anew for each record, each time this file is loaded."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __repr__(self) -> str:
        shown = [each.name for each in self.__dataclass_fields__.values() if each.repr]
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{type(self).__qualname__}({values})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self.__dataclass_fields__
        )

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__dataclass_fields__))


# --- Visitor ------------------------------------------------------------------------------------

VISITOR_COOKIE: Final = "datafast_visitor_id"
SESSION_COOKIE: Final = "datafast_session_id"

# Patterns are text, so that each is compiled when it is first used.
# The tracking script writes a version 4 UUID, and "s" before another one (npm datafast 3.0.18).
_UUID4 = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_VISITOR_ID = _UUID4
_SESSION_ID = "s" + _UUID4
_ANY_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Visitor(_Record):
    """Who is buying, as far as this request shows."""

    visitor_id: str | None
    session_id: str | None
    reason: str
    """"captured", "absent", "malformed", "declined" or "cookieless_format"."""
    source: str = "cookie"
    """"cookie", "page" (cookieless mode), "continuity", "return" or "ledger"."""


def visitor_from_cookies(cookie_header: str | None) -> Visitor:
    """
    Read the visitor from the raw `Cookie` header.

    The raw header, because frameworks disagree on duplicates: Starlette and Django keep the last,
    Flask the first. Here the first well-formed cookie of a name wins, names match whole, and a
    broken cookie elsewhere in the header changes nothing. A value that is no canonical UUID v4 is
    dropped: whoever sends the request can write anything there. Never raises.

    >>> visitor_from_cookies("theme=dark; datafast_visitor_id=1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11")
    Visitor(visitor_id='1f0c8a52-7d0e-4c5b-9a53-2f6f1f3f9b11', session_id=None, \
reason='captured', source='cookie')
    >>> visitor_from_cookies("datafast_visitor_id=<script>").reason
    'malformed'
    """
    found: dict[str, str] = {}
    seen = False
    for part in (cookie_header or "").split(";"):
        name, equals, value = part.strip(" \t").partition("=")
        if not equals or name not in (VISITOR_COOKIE, SESSION_COOKIE):
            continue
        seen = seen or name == VISITOR_COOKIE
        shape = _VISITOR_ID if name == VISITOR_COOKIE else _SESSION_ID
        if name not in found and re.fullmatch(shape, value):
            found[name] = value
    visitor_id = found.get(VISITOR_COOKIE)
    reason = "captured" if visitor_id else "malformed" if seen else "absent"
    return Visitor(visitor_id, found.get(SESSION_COOKIE), reason)


def visitor_from_page(value: str | None) -> Visitor:
    """
    Read the visitor id that a page hands over in cookieless mode, where no cookie exists.

    Any canonical UUID is taken; what the hosted cookieless script writes there is not documented
    (datafast/gdpr-cookieless-tracking), so anything else is dropped as "cookieless_format".
    """
    if not value:
        return Visitor(None, None, "absent", "page")
    if not re.fullmatch(_ANY_UUID, value):
        return Visitor(None, None, "cookieless_format", "page")
    return Visitor(value, None, "captured", "page")


# --- Checkout -----------------------------------------------------------------------------------

ORDER_REF_KEY: Final = "order_ref"
DODO_CHECKOUT_HOSTS: Final = ("checkout.dodopayments.com", "test.checkout.dodopayments.com")

# Limits of one metadata object: dodo/api-reference/metadata.
_METADATA_PAIRS = 50
_METADATA_KEY = r"[A-Za-z0-9_-]{1,40}"
_METADATA_VALUE_LENGTH = 500

# dodo/api-reference/introduction: `api.dodopayments.com` is not a host of the API.
_DODO_URLS: Final = MappingProxyType(
    {"test_mode": "https://test.dodopayments.com", "live_mode": "https://live.dodopayments.com"}
)
_OBJECT_ID = r"[A-Za-z0-9_-]{1,128}"
# Browsers drop tabs and newlines and read a backslash as a slash; nothing honest holds either.
_NOT_IN_A_URL = r"[\s\\\x00-\x1f\x7f]"


class MetadataError(ValueError):
    """Metadata that Dodo would refuse: too many pairs, a bad key, a value too long."""


class MetadataConflict(MetadataError):  # noqa: N818 - it says what happened
    """The existing metadata names another visitor than this request does."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"metadata already holds another {key!r}: pass on_conflict='preserve' to keep it "
            "or on_conflict='overwrite' to replace it"
        )
        self.key = key


class CheckoutError(Exception):
    """Dodo did not open a checkout session: its status, code and message, and whether to retry."""

    def __init__(self, message: str, *, status: int, code: str, retryable: bool) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retryable = retryable


class Outgoing(NamedTuple):
    """One HTTP request to make. The headers carry the key, so they stay out of the repr."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes

    def __repr__(self) -> str:
        return f"Outgoing(method={self.method!r}, url={self.url!r})"


class CheckoutSession(NamedTuple):
    """An opened checkout session; `checkout_url` is None only where Dodo needs no page."""

    session_id: str
    checkout_url: str | None
    payment_id: str | None = None


def checkout_metadata(
    visitor: Visitor,
    *,
    existing: Mapping[str, object] | None = None,
    order_ref: str | None = None,
    on_conflict: Literal["preserve", "overwrite", "error"] = "preserve",
) -> dict[str, str]:
    """
    Build the checkout's metadata: the shop's own pairs, and the visitor's ids beside them.

    Every value is a string and absent ones are left out, never empty or null (what Dodo makes of
    null is not documented). An existing visitor id that differs is kept, replaced or refused as
    `on_conflict` says; a kept one also keeps this request's session id out.

    Raises MetadataConflict, and MetadataError where Dodo's limits are passed.
    """
    if on_conflict not in ("preserve", "overwrite", "error"):
        raise ValueError(f"on_conflict {on_conflict!r}; use 'preserve', 'overwrite' or 'error'")
    merged = {
        key: _as_text(key, value) for key, value in (existing or {}).items() if value is not None
    }
    ours = {
        VISITOR_COOKIE: visitor.visitor_id,
        SESSION_COOKIE: visitor.session_id,
        ORDER_REF_KEY: order_ref,
    }
    theirs = merged.get(VISITOR_COOKIE)
    if theirs != visitor.visitor_id:
        keeps_theirs = _keeps_existing(theirs, visitor.visitor_id, on_conflict)
        # A session belongs to its visitor: it is never joined to another one.
        if keeps_theirs:
            ours.update({VISITOR_COOKIE: theirs, SESSION_COOKIE: merged.get(SESSION_COOKIE)})
        else:
            merged.pop(SESSION_COOKIE, None)
    merged.update({key: value for key, value in ours.items() if value})
    metadata = {key: value for key, value in merged.items() if value}
    if len(metadata) > _METADATA_PAIRS:
        raise MetadataError(f"{len(metadata)} metadata pairs; Dodo takes {_METADATA_PAIRS}")
    for key, value in metadata.items():
        if not re.fullmatch(_METADATA_KEY, key):
            raise MetadataError(f"metadata key {key!r} is not 1 to 40 of A-Z a-z 0-9 _ -")
        if len(value) > _METADATA_VALUE_LENGTH:
            raise MetadataError(
                f"metadata {key!r} has {len(value)} characters; Dodo takes {_METADATA_VALUE_LENGTH}"
            )
    return metadata


def _keeps_existing(theirs: str | None, ours: str | None, on_conflict: str) -> bool:
    if ours is None or theirs is None:
        return theirs is not None
    if not re.fullmatch(_ANY_UUID, theirs):
        return False  # it names nobody, so there is nothing to keep
    if on_conflict == "error":
        raise MetadataConflict(VISITOR_COOKIE)
    return on_conflict == "preserve"


def _as_text(key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        try:
            return str(value)
        except ValueError:  # an int of more digits than Python writes
            raise MetadataError(f"metadata {key!r} is a number too long") from None
    raise MetadataError(f"metadata {key!r} is a {type(value).__name__}; use a string")


def checkout_request(
    product_cart: Sequence[Mapping[str, Any]],
    *,
    metadata: Mapping[str, str],
    return_url: str,
    api_key: str,
    environment: str = "test_mode",
    base_url: str | None = None,
    **fields: Any,
) -> Outgoing:
    """
    Build `POST /checkouts`, which opens a checkout session.

    `product_cart` items are `{"product_id", "quantity", …}`; `fields` are further fields of the
    request (dodo/developer-resources/checkout-session), those that are None left out. Dodo knows no
    request idempotency here: a repeated create leaves a second, unpaid session.

    Raises ValueError for an empty cart, a bad quantity or a `return_url` that is not absolute.
    """
    if not 1 <= len(product_cart) <= 20:
        raise ValueError(f"{len(product_cart)} items in the cart; Dodo takes 1 to 20")
    for item in product_cart:
        quantity = item.get("quantity")
        if (
            not item.get("product_id")
            or isinstance(quantity, bool)
            or not isinstance(quantity, int)
        ):
            raise ValueError("each cart item needs a product_id and a whole quantity")
        if quantity < 1:
            raise ValueError(f"a quantity of {quantity}; it must be 1 or more")
    target = urlsplit(return_url)
    spaced = re.search(_NOT_IN_A_URL, return_url)
    if spaced or target.scheme not in ("https", "http") or not target.hostname:
        raise ValueError("return_url must be an absolute http or https URL")
    body = {
        "product_cart": [dict(item) for item in product_cart],
        "metadata": dict(metadata),
        "return_url": return_url,
        **{name: value for name, value in fields.items() if value is not None},
    }
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    url = dodo_url(environment, base_url) + "/checkouts"
    return Outgoing("POST", url, _json_headers(api_key), content)


def lookup_request(
    kind: Literal["payments", "subscriptions", "checkouts"],
    object_id: str,
    *,
    api_key: str,
    environment: str = "test_mode",
    base_url: str | None = None,
) -> Outgoing:
    """
    Build `GET /payments/{id}`, `/subscriptions/{id}` or `/checkouts/{id}`.

    Raises ValueError for an id that could leave the path.
    """
    if kind not in ("payments", "subscriptions", "checkouts"):
        raise ValueError(f"no lookup of {kind!r}")
    if not re.fullmatch(_OBJECT_ID, object_id):
        raise ValueError("an object id is 1 to 128 of A-Z a-z 0-9 _ -")
    url = f"{dodo_url(environment, base_url)}/{kind}/{object_id}"
    return Outgoing("GET", url, _json_headers(api_key), b"")


def read_checkout(
    status: int, body: bytes, *, hosts: Iterable[str] = DODO_CHECKOUT_HOSTS
) -> CheckoutSession:
    """
    Read the answer to `POST /checkouts`.

    `hosts` are those a buyer may be sent to: `host`, `host:port` or `*.host`, https unless written
    with `http://` before it. Dodo's answer is input too, so any other address is refused.

    Raises CheckoutError.
    """
    reply = _json_object(body)
    if not 200 <= status < 300:
        code = reply.get("code")
        message = reply.get("message")
        raise CheckoutError(
            f"Dodo refused the checkout with {status}: {_short(message) or 'no message'}",
            status=status,
            code=code if isinstance(code, str) and re.fullmatch(_OBJECT_ID, code) else "UNKNOWN",
            # dodo/api-reference/error-codes: 409 is a busy discount, 429 the rate limit.
            retryable=status in (408, 409, 425, 429) or status >= 500,
        )
    session_id, url, payment_id = (
        reply.get(name) for name in ("session_id", "checkout_url", "payment_id")
    )
    if not isinstance(session_id, str) or not re.fullmatch(_OBJECT_ID, session_id):
        raise _unusable(status, "BAD_SESSION", "Dodo's answer names no checkout session")
    if url is not None and not (isinstance(url, str) and _allowed(url, hosts)):
        raise _unusable(
            status, "BAD_CHECKOUT_URL", "Dodo's answer sends the buyer to a host not allowed"
        )
    return CheckoutSession(session_id, url, payment_id if isinstance(payment_id, str) else None)


def _unusable(status: int, code: str, message: str) -> CheckoutError:
    return CheckoutError(message, status=status, code=code, retryable=False)


def _allowed(url: str, hosts: Iterable[str]) -> bool:
    if re.search(_NOT_IN_A_URL, url):
        return False
    try:
        target = urlsplit(url)
        place = (target.scheme, target.hostname or "", _port(target))
    except ValueError:
        return False
    # Browsers read `https:/host` and `https:host` as well; a name must be there to be compared.
    if "@" in target.netloc or not place[1]:
        return False
    for host in hosts:
        allowed = urlsplit(host if "://" in host else "https://" + host)
        name = allowed.hostname or ""
        same_name = place[1].endswith(name[1:]) if name.startswith("*.") else place[1] == name
        if same_name and (place[0], place[2]) == (allowed.scheme, _port(allowed)):
            return True
    return False


def _port(parts: SplitResult) -> int | None:
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return default if parts.port is None else parts.port


def dodo_url(environment: str, base_url: str | None = None) -> str:
    """Return the API's address, without a slash at its end. Raises ValueError."""
    if environment not in _DODO_URLS:
        raise ValueError(f"environment {environment!r}; use 'test_mode' or 'live_mode'")
    return (base_url or _DODO_URLS[environment]).rstrip("/")


def _json_headers(api_key: str) -> dict[str, str]:
    return {
        "Authorization": f"Bearer {api_key}",
        "Content-Type": "application/json",
        "Accept": "application/json",
    }


# --- Webhook ------------------------------------------------------------------------------------

_ID_HEADER, _TIME_HEADER, _SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"
# The signed text is `id.timestamp.body`: an id with a dot in it could shift the boundaries.
_MESSAGE_ID = r"[A-Za-z0-9_-]{1,128}"
_UNIX_SECONDS = r"[0-9]{1,12}"
_SIGNATURE_V1 = r"v1,[A-Za-z0-9+/]{43}="
_MAX_SIGNATURES = 32
_MAX_DEPTH = 64
_MAX_EXPONENT = 308


class SecretError(ValueError):
    """A webhook secret that no signature could be checked with."""


class SignatureError(Exception):
    """
    A webhook that is not proven to come from Dodo.

    `reason` is "missing", "malformed", "mismatch", "stale" or "future". The signature is checked
    before the time, so the last two mean validly signed; then `signed` holds the message.
    """

    def __init__(self, reason: str, signed: Signed | None = None) -> None:
        super().__init__(f"webhook signature refused: {reason}")
        self.reason = reason
        self.signed = signed


class PayloadError(Exception):
    """
    A validly signed body that cannot be read; sending it again cannot help.

    `reason` is "not_utf8", "not_json", "not_object", "duplicate_key", "too_deep", "not_finite" or
    "no_type"; `signed` is the message.
    """

    def __init__(self, reason: str, signed: Signed) -> None:
        super().__init__(f"webhook body refused: {reason}")
        self.reason = reason
        self.signed = signed


class Signed(NamedTuple):
    """One message whose bytes are proven, not yet read. They stay out of the repr."""

    id: str
    timestamp: datetime
    body: bytes

    def __repr__(self) -> str:
        return f"Signed(id={self.id!r}, timestamp={self.timestamp!r})"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Event(_Record):
    """One verified webhook message."""

    id: str
    type: str
    timestamp: datetime
    """The envelope's time, else the attempt's; UTC."""
    data: Mapping[str, Any] = field(repr=False)


def signing_key(secret: str) -> bytes:
    """
    Decode a webhook secret, with or without `whsec_`, to the 24 to 64 bytes that sign.

    Strict base64: a lenient decoder makes a short key of a mistyped secret without a word.
    Raises SecretError, whose message never holds the secret.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError("the webhook secret is not base64; copy it again from Dodo") from None
    return _checked_key(key)


def _checked_key(key: bytes) -> bytes:
    if not 24 <= len(key) <= 64:
        raise SecretError(f"the webhook secret has {len(key)} bytes; it must have 24 to 64")
    return key


def verify_signature(
    body: bytes,
    headers: _Headers,
    secrets: str | bytes | Iterable[str | bytes],
    *,
    now: float,
    tolerance_s: float = 300,
) -> Signed:
    """
    Prove that these raw bytes come from Dodo (standard-webhooks, HMAC-SHA256).

    `secrets` is one secret or several while rotating (Dodo keeps the old one for 24 h); bytes are
    taken as decoded keys. `now` is in Unix seconds. Exactly one header of each name is accepted.

    Raises SignatureError, and SecretError for a secret that cannot be one.
    """
    keys = [
        _checked_key(secret) if isinstance(secret, bytes) else signing_key(secret)
        for secret in ([secrets] if isinstance(secrets, str | bytes) else secrets)
    ]
    if not keys:
        raise SecretError("no webhook secret is set")
    values = _single_headers(headers, (_ID_HEADER, _TIME_HEADER, _SIGNATURE_HEADER))
    message_id, sent_at, signatures = values
    if not re.fullmatch(_MESSAGE_ID, message_id) or not re.fullmatch(_UNIX_SECONDS, sent_at):
        raise SignatureError("malformed")
    candidates = [
        entry[3:] for entry in signatures.split(" ") if re.fullmatch(_SIGNATURE_V1, entry)
    ]
    if not 1 <= len(candidates) <= _MAX_SIGNATURES:
        raise SignatureError("malformed")
    text = f"{message_id}.{sent_at}.".encode() + body
    proven = False
    for key in keys:
        expected = base64.b64encode(hmac.digest(key, text, hashlib.sha256))
        for candidate in candidates:
            proven |= hmac.compare_digest(expected, candidate.encode())
    if not proven:
        raise SignatureError("mismatch")
    age_s = now - int(sent_at)
    timestamp = _moment(int(sent_at))
    signed = Signed(message_id, timestamp, body)
    if age_s > tolerance_s:
        raise SignatureError("stale", signed)
    if age_s < -tolerance_s:
        raise SignatureError("future", signed)
    return signed


def read_event(signed: Signed) -> Event:
    """
    Read a proven message: unknown types, missing and new fields are all right.

    Fractions become Decimal. A duplicate key is refused, because two readers could disagree on it.
    Raises PayloadError.
    """
    try:
        envelope = json.loads(
            signed.body.decode("utf-8"),
            parse_float=_finite,
            parse_constant=_not_finite,
            object_pairs_hook=_unique,
        )
    except UnicodeDecodeError:
        raise PayloadError("not_utf8", signed) from None
    except _Unreadable as refused:
        raise PayloadError(refused.reason, signed) from None
    except RecursionError:
        raise PayloadError("too_deep", signed) from None
    except ValueError:  # not JSON, or an integer of more digits than Python reads
        raise PayloadError("not_json", signed) from None
    data = envelope.get("data") if isinstance(envelope, dict) else None
    if not isinstance(envelope, dict) or not isinstance(data, dict | None):
        raise PayloadError("not_object", signed)
    if _depth_exceeds(envelope, _MAX_DEPTH):
        raise PayloadError("too_deep", signed)
    event_type = envelope.get("type")
    if not isinstance(event_type, str) or not re.fullmatch(r"[\x21-\x7e]{1,128}", event_type):
        raise PayloadError("no_type", signed)
    timestamp = _parsed_time(envelope.get("timestamp")) or signed.timestamp
    return Event(signed.id, event_type, timestamp, data or {})


def verify_webhook(
    body: bytes,
    headers: _Headers,
    secrets: str | bytes | Iterable[str | bytes],
    *,
    now: float,
    tolerance_s: float = 300,
) -> Event:
    """Verify and read one webhook. Raises SignatureError, PayloadError and SecretError."""
    return read_event(verify_signature(body, headers, secrets, now=now, tolerance_s=tolerance_s))


def _single_headers(headers: _Headers, names: tuple[str, ...]) -> list[str]:
    found: dict[str, list[str]] = {name: [] for name in names}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if (key := name.lower()) in found:
            found[key].append(value)
    if not all(found.values()):
        raise SignatureError("missing")
    if any(len(values) > 1 or not values[0].isascii() for values in found.values()):
        raise SignatureError("malformed")
    return [found[name][0] for name in names]


class _Unreadable(Exception):  # noqa: N818 - a signal inside this file, turned into PayloadError
    def __init__(self, reason: str) -> None:
        self.reason = reason


def _finite(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise _Unreadable("not_finite") from None
    if number and number.adjusted() > _MAX_EXPONENT:  # `1e999` would be infinite as a float
        raise _Unreadable("not_finite")
    return number


def _not_finite(_text: str) -> Decimal:
    raise _Unreadable("not_finite")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Unreadable("duplicate_key")
    return members


def _depth_exceeds(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _moment(unix_s: int) -> datetime:
    # Twelve digits reach past the year 9999; such a time is only ever refused as "future".
    return datetime.fromtimestamp(min(unix_s, 253402300799), UTC)


def _parsed_time(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- Money --------------------------------------------------------------------------------------

# Dodo's `Currency` type (official SDK 1.123.0), by ISO 4217 minor-unit exponent (list of
# 2024-06-25). MGA: ISO says 2, but Dodo's own customer portal (2026-06-11) and its DataFast guide
# treat it as zero-decimal. ANG, BGN, HRK and SLL have left the ISO list; their exponent was 2.
_EXPONENT_0 = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF UGX VND VUV XAF XOF XPF"
_EXPONENT_3 = "BHD IQD JOD KWD LYD OMR TND"
_EXPONENT_2 = (
    "AED ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD CHF "
    "CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL "
    "HRK HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP "
    "MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB "
    "SAR SBD SCR SEK SGD SHP SLE SLL SOS SRD SSP STN SVC SZL THB TOP TRY TTD TWD TZS UAH USD UYU "
    "UZS VES WST XCD YER ZAR ZMW"
)
_EXPONENTS: Final[Mapping[str, int]] = MappingProxyType(
    {
        code: digits
        for digits, codes in ((0, _EXPONENT_0), (2, _EXPONENT_2), (3, _EXPONENT_3))
        for code in codes.split()
    }
)
EXPONENT_UNVERIFIED: Final = frozenset(_EXPONENT_3.split())
"""Three-decimal codes: Dodo's SDK documents them, its customer portal says they do not occur."""

_SAFE_INTEGER = 2**53 - 1  # past it a JSON reader may round, and no shop charges it


class UnknownCurrency(ValueError):  # noqa: N818 - it says what happened
    """A currency code whose minor unit is not known; a guess could be wrong by 1000."""

    def __init__(self, currency: object) -> None:
        shown = currency if isinstance(currency, str) and len(currency) <= 8 else "?"
        super().__init__(f"currency {shown!r} is not one Dodo charges in")
        self.currency = currency


def exponent(currency: str) -> int:
    """
    Return how many decimals a currency's major unit has: 0, 2 or 3. Raises UnknownCurrency.

    >>> exponent("USD"), exponent("JPY"), exponent("KWD")
    (2, 0, 3)
    """
    try:
        return _EXPONENTS[currency]
    except (KeyError, TypeError):
        raise UnknownCurrency(currency) from None


def major_units(amount_minor: int, currency: str) -> Decimal:
    """
    Turn Dodo's integer into the decimal DataFast wants, exactly.

    Raises UnknownCurrency, and ValueError unless the amount is an int of 0 or more.

    >>> major_units(2900, "USD"), major_units(3300, "JPY"), major_units(8750, "KWD")
    (Decimal('29.00'), Decimal('3300'), Decimal('8.750'))
    """
    digits = exponent(currency)
    if isinstance(amount_minor, bool) or not isinstance(amount_minor, int) or amount_minor < 0:
        raise ValueError("an amount in minor units is an int of 0 or more")
    # Not scaleb(): that rounds to the context's precision.
    return Decimal((0, Decimal(amount_minor).as_tuple().digits, -digits))


# --- Payment ------------------------------------------------------------------------------------

Basis: TypeAlias = Literal["gross", "net", "settlement"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Payment(_Record):
    """One report to DataFast; field names are the wire's (datafast/api/website/payments/create)."""

    amount: Decimal
    currency: str
    transaction_id: str
    datafast_visitor_id: str | None
    email: str | None = field(repr=False)
    name: str | None = field(repr=False)
    customer_id: str | None
    renewal: bool
    refunded: bool
    is_free_trial: bool
    timestamp: datetime

    def as_json(self) -> bytes:
        """Write the request body: the amount as an exact number, absent fields left out."""
        plain = f"{self.amount:f}"
        if "." in plain:
            plain = plain.rstrip("0").rstrip(".")
        optional = {
            "datafast_visitor_id": self.datafast_visitor_id,
            "email": self.email,
            "name": self.name,
            "customer_id": self.customer_id,
            # A refund is neither new nor renewed; a flag that is false is DataFast's default.
            "renewal": None if self.refunded else self.renewal,
            "refunded": self.refunded or None,
            "is_free_trial": self.is_free_trial or None,
        }
        rest = {
            "currency": self.currency,
            "transaction_id": self.transaction_id,
            **{name: value for name, value in optional.items() if value is not None},
            "timestamp": self.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")[:-6]
            + "Z",
        }
        return f'{{"amount":{plain},{json.dumps(rest, separators=(",", ":"))[1:]}'.encode()


class Skip(NamedTuple):
    """An event that is not reported, and why."""

    reason: str
    needs: Literal["payment", "subscription"] | None = None
    """An object that would make it reportable."""


class Original(NamedTuple):
    """The sale that a refund or dispute belongs to; amounts in minor units."""

    total_minor: int
    currency: str
    tax_minor: int | None = None
    settlement_minor: int | None = None
    settlement_tax_minor: int | None = None
    settlement_currency: str | None = None
    reversed_minor: int = 0
    """What other refunds and disputes have taken back already."""
    refunded: bool = False
    """Whether another refund is among that."""
    disputed: bool = False
    """Whether a dispute is: then a refund may find less left than it names."""


class Known(NamedTuple):
    """What a memory can add to an event; the one bridge between a ledger and this file."""

    visitor_id: str | None = None
    """Used when the event's metadata has no valid one."""
    visitor_source: str | None = None
    renewal: bool | None = None
    """Whether a paid charge of the subscription came before; None leaves it to `charge_type`."""
    original: Original | None = None


def payment_for(
    event: Event,
    known: Known = Known(),  # noqa: B008 - it cannot change
    *,
    basis: Basis = "gross",
    send_customer: bool = False,
) -> Payment | Skip:
    """
    Turn a webhook event into the report DataFast gets, or say why there is none.

    A sale is counted from `payment.succeeded` alone (a first subscription charge fires four events
    at once), a refund from `refund.succeeded`, a lost dispute from `dispute.lost` or
    `dispute.accepted`, the start of a free trial from `subscription.active`. A refund or dispute
    needs `known.original`; `known_from_payment` makes it of the payment as Dodo's API gives it.

    `basis` chooses the revenue figure: "gross" is `total_amount`, tax included, as Dodo's DataFast
    guide sends it; "net" takes the tax off; "settlement" is what Dodo settles, before tax, in
    `settlement_currency`. A payment without a visitor is reported all the same. E-mail and name
    leave the shop only with `send_customer`. Never raises for what an event may hold.
    """
    if basis not in ("gross", "net", "settlement"):
        raise ValueError(f"basis {basis!r}; use 'gross', 'net' or 'settlement'")
    data = event.data
    report = _Report(event, known, basis)
    match event.type:
        case "payment.succeeded":
            found = _sale(report)
        case "refund.succeeded" | "dispute.lost" | "dispute.accepted":
            found = _reversal(report)
        case "subscription.active":
            found = _trial(report)
        case _:
            return Skip("event_not_money")
    if isinstance(found, Skip):
        return found
    customer = _mapping(data.get("customer"))
    return Payment(
        amount=found.amount,
        currency=found.currency,
        transaction_id=found.transaction_id,
        datafast_visitor_id=_metadata_visitor(data) or known.visitor_id,
        email=_text(customer.get("email")) if send_customer else None,
        name=_text(customer.get("name")) if send_customer else None,
        customer_id=_identifier(customer.get("customer_id")),
        renewal=found.renewal,
        refunded=found.refunded,
        is_free_trial=found.is_free_trial,
        timestamp=found.timestamp or event.timestamp,
    )


def known_from_payment(payment: Mapping[str, Any]) -> Known:
    """
    Make of a payment, as `GET /payments/{id}` gives it, what its refund or dispute needs to know.

    What was reversed before is not in it: that takes a ledger.
    """
    return Known(
        visitor_id=_metadata_visitor(payment), visitor_source="dodo", original=_original(payment)
    )


class _Report(NamedTuple):
    event: Event
    known: Known
    basis: Basis


class _Found(NamedTuple):
    amount: Decimal
    currency: str
    transaction_id: str
    timestamp: datetime | None
    renewal: bool = False
    refunded: bool = False
    is_free_trial: bool = False


def _sale(report: _Report) -> _Found | Skip:
    data = report.event.data
    if data.get("is_update_payment_method") is True:
        return Skip("payment_method_update")
    if data.get("status") not in (None, "succeeded"):
        return Skip("status_not_succeeded")
    payment_id = _identifier(data.get("payment_id"))
    if payment_id is None:
        return Skip("no_payment_id")
    if _amount_minor(data.get("total_amount")) == 0:
        # A trial's mandate or a full discount; the payment cannot tell which.
        return Skip("zero_amount")
    revenue = _revenue(data, report.basis)
    if isinstance(revenue, Skip):
        return revenue
    amount_minor, currency = revenue
    if amount_minor == 0:
        return Skip("zero_amount")
    renewal = report.known.renewal
    return _Found(
        major_units(amount_minor, currency),
        currency,
        payment_id,
        _parsed_time(data.get("created_at")),
        renewal=_is_renewal(data) if renewal is None else renewal,
    )


def _revenue(payment: Mapping[str, Any], basis: Basis) -> tuple[int, str] | Skip:
    """Return a payment's revenue in minor units, and its currency."""
    settled = basis == "settlement"
    prefix = "settlement_" if settled else ""
    total = payment.get("settlement_amount" if settled else "total_amount")
    currency = payment.get(prefix + "currency")
    if settled and (total is None or currency is None):
        return Skip("settlement_missing", needs="payment")
    tax = None if basis == "gross" else payment.get(prefix + "tax")
    total_minor, tax_minor = _amount_minor(total), 0 if tax is None else _amount_minor(tax)
    if total_minor is None or tax_minor is None or tax_minor > total_minor:
        return Skip("amount_invalid")
    if not isinstance(currency, str) or currency not in _EXPONENTS:
        return Skip("unknown_currency")
    return total_minor - tax_minor, currency


def _original(payment: Mapping[str, Any]) -> Original | None:
    total_minor, currency = _amount_minor(payment.get("total_amount")), payment.get("currency")
    if total_minor is None or not isinstance(currency, str) or currency not in _EXPONENTS:
        return None
    settlement_currency = payment.get("settlement_currency")
    return Original(
        total_minor=total_minor,
        currency=currency,
        tax_minor=_amount_minor(payment.get("tax")),
        settlement_minor=_amount_minor(payment.get("settlement_amount")),
        settlement_tax_minor=_amount_minor(payment.get("settlement_tax")),
        settlement_currency=settlement_currency if isinstance(settlement_currency, str) else None,
    )


def reversal_minor(event: Event, original: Original) -> int | Skip:
    """
    Return how much of a sale a refund or lost dispute takes back, in the sale's minor units.

    Never more than is left of it: a refund and a dispute of one payment do not reverse it twice.
    """
    if original.currency not in _EXPONENTS:
        return Skip("unknown_currency")
    if event.data.get("currency") not in (None, original.currency):
        # Dodo refunds adaptive currencies at the day's rate; what that is of the sale is unknown.
        return Skip("reversal_currency_differs")
    rest_minor = original.total_minor - original.reversed_minor
    read = _refunded_minor if event.type.startswith("refund.") else _disputed_minor
    amount_minor = read(event.data, original, rest_minor)
    if isinstance(amount_minor, Skip):
        return amount_minor
    if amount_minor <= 0 or rest_minor <= 0:
        return Skip("already_reversed" if original.reversed_minor else "zero_amount")
    return min(amount_minor, rest_minor)


def _refunded_minor(data: Mapping[str, Any], original: Original, rest_minor: int) -> int | Skip:
    if data.get("amount") is None:
        whole = data.get("is_partial") is False and not original.refunded
        return original.total_minor if whole else Skip("refund_amount_missing")
    amount_minor = _amount_minor(data.get("amount"))
    if amount_minor is None:
        return Skip("amount_invalid")
    if amount_minor > rest_minor and not original.disputed:
        return Skip("refund_exceeds_sale")
    return amount_minor


def _disputed_minor(data: Mapping[str, Any], original: Original, rest_minor: int) -> int | Skip:
    """Read an amount that is a string of undocumented unit; what could mean two things is none."""
    value = data.get("amount")
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[0-9]{1,16}(\.[0-9]{1,3})?", text):
        return Skip("dispute_amount_unclear")
    total = major_units(original.total_minor, original.currency)
    if text == str(original.total_minor) or Decimal(text) == total:
        return original.total_minor
    if not text.isdigit() or int(text) > rest_minor:
        return Skip("dispute_amount_unclear")
    return int(text)


def _reversal(report: _Report) -> _Found | Skip:
    """Take back from a sale, in the figure that the sale was counted in."""
    event, data, original = report.event, report.event.data, report.known.original
    refund = event.type.startswith("refund.")
    if refund and data.get("status") not in (None, "succeeded"):
        return Skip("status_not_succeeded")
    transaction_id = _identifier(data.get("refund_id" if refund else "dispute_id"))
    if transaction_id is None:
        return Skip("no_refund_id" if refund else "no_dispute_id")
    if original is None:
        return Skip("original_unknown", needs="payment")
    amount_minor = reversal_minor(event, original)
    if isinstance(amount_minor, Skip):
        return amount_minor
    revenue = _revenue(
        {
            "total_amount": original.total_minor,
            "tax": original.tax_minor,
            "currency": original.currency,
            "settlement_amount": original.settlement_minor,
            "settlement_tax": original.settlement_tax_minor,
            "settlement_currency": original.settlement_currency,
        },
        report.basis,
    )
    if isinstance(revenue, Skip):
        return revenue
    revenue_minor, currency = revenue
    share_minor = _half_even(amount_minor * revenue_minor, original.total_minor)
    if share_minor == 0:
        return Skip("zero_amount")
    return _Found(
        major_units(share_minor, currency),
        currency,
        transaction_id,
        # A dispute's `created_at` is when it was opened; the money goes when it is lost.
        _parsed_time(data.get("created_at")) if refund else event.timestamp,
        refunded=True,
    )


def _half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def _trial(report: _Report) -> _Found | Skip:
    """Report a free trial once: `subscription.active` fires again when one is reactivated."""
    event, data = report.event, report.event.data
    days = data.get("trial_period_days")
    if isinstance(days, bool) or not isinstance(days, int) or not 0 < days <= 10_000:
        return Skip("event_not_money")
    if data.get("trial_amount"):
        return Skip("paid_trial")  # its charge is a payment, and counted as one
    subscription_id, currency = _identifier(data.get("subscription_id")), data.get("currency")
    if subscription_id is None:
        return Skip("no_subscription_id")
    if not isinstance(currency, str) or currency not in _EXPONENTS:
        return Skip("unknown_currency")
    created_at = _parsed_time(data.get("created_at")) or event.timestamp
    if report.known.renewal is True or event.timestamp - created_at >= timedelta(days=days):
        return Skip("trial_over")
    return _Found(Decimal(0), currency, f"trial_{subscription_id}", created_at, is_free_trial=True)


def _amount_minor(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _SAFE_INTEGER:
        return None
    return value


def _is_renewal(data: Mapping[str, Any]) -> bool:
    """Tell a later charge from the first, as far as the payment alone shows."""
    charge_type = data.get("charge_type")
    if not isinstance(charge_type, str):  # a one-time sale, or a payload from before August 2026
        retries = data.get("retry_attempt")
        return isinstance(retries, int) and not isinstance(retries, bool) and retries > 0
    return charge_type != "new"


def _metadata_visitor(data: Mapping[str, Any]) -> str | None:
    value = _mapping(data.get("metadata")).get(VISITOR_COOKIE)
    return value if isinstance(value, str) and re.fullmatch(_ANY_UUID, value) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _identifier(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(_OBJECT_ID, value) else None


def _text(value: object) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= 320 or not value.isprintable():
        return None
    return value


# --- DataFast -----------------------------------------------------------------------------------

_WEBSITE_ID = r"[0-9a-f]{24}"
_MAX_RETRY_AFTER_S = 3600.0
# No reply text but one is documented; these words are what integrators have seen.
_NO_PAGEVIEW = r"(?i)first event|visitor"
_DUPLICATE = r"(?i)duplicate|already (?:exists|recorded|processed)"
_ATTRIBUTED = r"(?i)\battributed\b"
_UNATTRIBUTED = r"(?i)(?:\b(?:not|never|cannot)|n['\u2019]t)\b[^.;]*\battribut"


class Verdict(NamedTuple):
    """
    What DataFast's answer meant.

    `kind`: "attributed", "recorded" (counted, without a visitor), "duplicate", "unconfirmed" (2xx
    that does not prove anything), "no_pageview" (the visitor is unknown there), "retry",
    "rejected" (this payment) or "misconfigured" (every payment).
    """

    kind: str
    reason: str
    retry_after_s: float | None = None
    message: str | None = None
    """DataFast's own words, at most 200 characters."""


def payment_request(
    payment: Payment,
    *,
    api_key: str,
    website_id: str | None = None,
    base_url: str = "https://datafa.st",
) -> Outgoing:
    """
    Build `POST /api/v1/payments`.

    A `df_` key belongs to one website. A `dft_` account token needs `website_id`: the 24 hex digits
    of the account API, not the script's `dfid_…`. Raises ValueError without it.
    """
    url = base_url.rstrip("/") + "/api/v1/payments" + _website_query(api_key, website_id)
    return Outgoing("POST", url, _json_headers(api_key), payment.as_json())


def _website_query(api_key: str, website_id: str | None) -> str:
    if not api_key.startswith("dft_"):
        return ""
    if website_id is None or not _is_website_id(website_id):
        raise ValueError("a dft_ token needs website_id: 24 hex digits, not the script's dfid_…")
    return "?" + urlencode({"websiteId": website_id}, quote_via=quote)


def _is_website_id(text: str | None) -> bool:
    return text is not None and re.fullmatch(_WEBSITE_ID, text) is not None


def read_reply(
    status: int,
    headers: _Headers,
    body: bytes,
    *,
    transaction_id: str,
    now: float,
    visitor_sent: bool = True,
) -> Verdict:
    """
    Judge DataFast's answer to one payment; HTTP 200 alone proves nothing.

    `now` is in Unix seconds and places an HTTP date or a `reset`. The error envelope is
    `{"status": "error", "error": {"code", "message"}}` (datafast/api-introduction): with it a 4xx
    concerns this payment, without it the address or the key. Never raises.
    """
    reply = _json_object(body)
    if 200 <= status < 300:
        return _accepted(reply, body, transaction_id, visitor_sent=visitor_sent)
    if status in (408, 425, 429) or status >= 500:
        reason = "rate_limited" if status == 429 else "datafast_unavailable"
        return Verdict("retry", reason, _retry_after_s(headers, reply, now), _message(reply))
    if status in (401, 403):
        reason = "key_refused" if status == 401 else "key_forbidden"
        return Verdict("misconfigured", reason, None, _message(reply))
    if 300 <= status < 400:
        return Verdict("misconfigured", "redirected")
    message = _message(reply)
    enveloped = reply.get("status") == "error" and isinstance(reply.get("error"), Mapping)
    if not enveloped and (status not in (400, 409, 413, 422) or _is_html(body)):
        return Verdict("misconfigured", "wrong_address")
    # Where no visitor was named, one that DataFast does not know cannot be what it lacks.
    if message and visitor_sent and re.search(_NO_PAGEVIEW, message):
        return Verdict("no_pageview", "no_pageview", None, message)
    if message and re.search(_DUPLICATE, message):
        return Verdict("duplicate", "duplicate", None, message)
    return Verdict("rejected", "rejected", None, message)


def _accepted(
    reply: Mapping[str, Any], body: bytes, transaction_id: str, *, visitor_sent: bool
) -> Verdict:
    message = _message(reply)
    echo = reply.get("transaction_id")
    said = message or ""
    if reply.get("status") == "error":
        unknown = re.search(_NO_PAGEVIEW, said)
        kind, reason = ("no_pageview",) * 2 if unknown else ("unconfirmed", "reply_error")
        return Verdict(kind, reason, None, message)
    if re.search(_DUPLICATE, said) and echo in (None, transaction_id):
        return Verdict("duplicate", "duplicate", None, message)
    if re.search(r"first event", said, re.IGNORECASE):
        return Verdict("no_pageview", "no_pageview", None, message)
    if echo != transaction_id:
        reason = "no_echo" if reply else "reply_html" if _is_html(body) else "reply_unreadable"
        return Verdict("unconfirmed", reason, None, message)
    if not visitor_sent:
        return Verdict("recorded", "recorded_without_visitor", None, message)
    if re.search(_ATTRIBUTED, said) and not re.search(_UNATTRIBUTED, said):
        return Verdict("attributed", "attributed", None, message)
    return Verdict("recorded", "attribution_not_stated", None, message)


def _retry_after_s(headers: _Headers, reply: Mapping[str, Any], now: float) -> float | None:
    """Read `Retry-After`, else the body's `reset`: Unix seconds in the docs, milliseconds live."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    value = next((text for name, text in pairs if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"[+-]?[0-9]+", value):
        return _clamped(float(value[:20]))
    try:
        moment = parsedate_to_datetime(value)
        # RFC 9110 knows only UTC; without a zone Python would read the machine's own.
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return _clamped(moment.timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        pass
    reset = reply.get("reset")
    if isinstance(reset, bool) or not isinstance(reset, int | float | Decimal):
        return None
    reset = min(max(reset, -(10**18)), 10**18)
    if reset < 10**9:  # too small for a moment: a number of seconds to wait
        return _clamped(float(reset))
    return _clamped(float(reset) / (1000 if reset > 10**11 else 1) - now)


def _clamped(seconds: float) -> float:
    return min(max(seconds, 1.0), _MAX_RETRY_AFTER_S)


def _json_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body, parse_float=_finite, parse_constant=_not_finite)
    except (ValueError, RecursionError, _Unreadable):
        return {}
    return value if isinstance(value, dict) else {}


def _message(reply: Mapping[str, Any]) -> str | None:
    error = reply.get("error")
    return _short(error.get("message") if isinstance(error, Mapping) else reply.get("message"))


def _short(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return "".join(char if char.isprintable() else " " for char in value[:200])


def _is_html(body: bytes) -> bool:
    return body.lstrip()[:1] == b"<"


# --- A shop without a memory --------------------------------------------------------------------

# Reasons that need nobody's eye; a log shows all others as warnings.
_ROUTINE = frozenset(
    {"attributed", "recorded_without_visitor", "duplicate", "event_not_money", "zero_amount"}
    | {"paid_trial", "trial_over", "payment_method_update", "status_not_succeeded"}
    | {"already_reversed"}
)
_LOOPBACK = r"localhost|.+\.localhost|127(?:\.[0-9]+){3}|::1"
_T = TypeVar("_T")


class SetupError(ValueError):
    """Variables that cannot be used: every problem at once, and no value."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class Shop(NamedTuple):
    """The accounts of a shop, and what it sells. Its repr shows nothing of them."""

    dodo_api_key: str
    webhook_keys: tuple[str, ...]
    datafast_api_key: str
    return_url: str
    products: frozenset[str]
    """The product ids a buyer may choose."""
    environment: str
    dodo_base_url: str | None
    datafast_base_url: str
    website_id: str | None
    checkout_hosts: tuple[str, ...]
    sends_test: bool

    def __repr__(self) -> str:
        return f"Shop({self.environment!r}, …)"

    @property
    def withholds(self) -> bool:
        """Whether payments stay here: DataFast has no test mode and would count test ones."""
        host = urlsplit(self.datafast_base_url).hostname or ""
        real = host == "datafa.st" or host.endswith(".datafa.st")
        return real and self.environment == "test_mode" and not self.sends_test


class Reply(NamedTuple):
    """One whole HTTP answer."""

    status: int
    headers: _Headers
    body: bytes


class Answer(NamedTuple):
    """What to answer a webhook with, and why."""

    status: int
    reason: str
    event_id: str | None = None

    @property
    def level(self) -> int:
        """As in `logging`: 20 (information) where nobody needs to look, else 30 (a warning)."""
        return 20 if self.status == 200 and self.reason in _ROUTINE else 30


Exchange: TypeAlias = Generator[Outgoing, Reply | None, _T]
"""Yields requests, takes their answers (None where none came in time), and returns its outcome."""


def read_shop(environ: Mapping[str, str]) -> Shop:
    """
    Read a shop's variables, under the names that Dodo and DataFast users have already.

    Needed: `DODO_PAYMENTS_API_KEY`, `DODO_PAYMENTS_WEBHOOK_KEY` (several while rotating, separated
    by commas), `DODO_PAYMENTS_RETURN_URL`, `DATAFAST_API_KEY`, `KIT_PRODUCTS`. Optional:
    `DODO_PAYMENTS_ENVIRONMENT` ("test_mode"), `DODO_PAYMENTS_BASE_URL`, `DATAFAST_BASE_URL`,
    `DATAFAST_API_WEBSITE_ID`, `KIT_CHECKOUT_HOSTS`, `KIT_SEND_TEST`. Raises SetupError.
    """
    problems: list[str] = []

    def words(name: str, needed: str = "") -> tuple[str, ...]:
        found = tuple(word for word in re.split(r"[\s,]+", environ.get(name, "")) if word)
        if needed and not found:
            problems.append(f"{name} is not set: it must be {needed}")
        return found

    def word(name: str, needed: str = "") -> str:
        return "".join(words(name, needed)[:1])

    def url(name: str, needed: str = "") -> str:
        value = word(name, needed)
        if value and not _is_safe(value):
            problems.append(f"{name} must be an https URL (http on localhost only)")
        return value

    shop = Shop(
        dodo_api_key=word("DODO_PAYMENTS_API_KEY", "a Dodo key with write access"),
        webhook_keys=words("DODO_PAYMENTS_WEBHOOK_KEY", "the secret of Dodo's webhook endpoint"),
        datafast_api_key=word("DATAFAST_API_KEY", "the DataFast website's API key"),
        return_url=url("DODO_PAYMENTS_RETURN_URL", "the page where buyers come back to"),
        products=frozenset(words("KIT_PRODUCTS", "the ids of products for sale")),
        environment=word("DODO_PAYMENTS_ENVIRONMENT") or "test_mode",
        dodo_base_url=url("DODO_PAYMENTS_BASE_URL") or None,
        datafast_base_url=url("DATAFAST_BASE_URL") or "https://datafa.st",
        website_id=word("DATAFAST_API_WEBSITE_ID") or None,
        checkout_hosts=words("KIT_CHECKOUT_HOSTS") or DODO_CHECKOUT_HOSTS,
        sends_test=word("KIT_SEND_TEST").lower() in ("1", "true", "yes", "on"),
    )
    problems += _problems(shop)
    if problems:
        raise SetupError(problems)
    return shop


def _problems(shop: Shop) -> Iterator[str]:
    for key in shop.webhook_keys:
        try:
            signing_key(key)
        except SecretError as problem:
            yield f"DODO_PAYMENTS_WEBHOOK_KEY: {problem}"
    if shop.environment not in _DODO_URLS:
        yield "DODO_PAYMENTS_ENVIRONMENT must be test_mode or live_mode"
    for prefix, environment in (("dodo_test_", "test_mode"), ("dodo_live_", "live_mode")):
        if shop.dodo_api_key.startswith(prefix) and shop.environment != environment:
            yield f"DODO_PAYMENTS_API_KEY is a key of {environment}: set DODO_PAYMENTS_ENVIRONMENT"
    if shop.datafast_api_key.startswith("dft_") and not _is_website_id(shop.website_id):
        yield "DATAFAST_API_KEY is an account token: set DATAFAST_API_WEBSITE_ID to 24 hex digits"


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    local = parts.scheme == "http" and re.fullmatch(_LOOPBACK, host) is not None
    return bool(host) and "@" not in parts.netloc and (parts.scheme == "https" or local)


def open_checkout(
    shop: Shop,
    product_cart: Sequence[Mapping[str, Any]],
    visitor: Visitor,
    *,
    metadata: Mapping[str, object] | None = None,
    return_url: str | None = None,
    **fields: Any,
) -> Exchange[CheckoutSession]:
    """
    Open a checkout session that carries the visitor: one request.

    `metadata` are the shop's own pairs, `fields` as in `checkout_request`. Raises CheckoutError,
    also where no answer came, and what `checkout_request` and `checkout_metadata` raise.
    """
    reply = yield checkout_request(
        product_cart,
        metadata=checkout_metadata(visitor, existing=metadata),
        return_url=return_url or shop.return_url,
        api_key=shop.dodo_api_key,
        environment=shop.environment,
        base_url=shop.dodo_base_url,
        **fields,
    )
    if reply is None:
        raise CheckoutError("Dodo gave no answer", status=0, code="NO_ANSWER", retryable=True)
    return read_checkout(reply.status, reply.body, hosts=shop.checkout_hosts)


def answer_webhook(
    shop: Shop,
    body: bytes,
    headers: _Headers,
    *,
    now: float,
    basis: Basis = "gross",
    send_customer: bool = False,
) -> Exchange[Answer]:
    """
    Verify one webhook and report it to DataFast before Dodo is answered: three requests at most.

    200 where sending again cannot help, 503 where it can: then Dodo sends it again, for 27 h 35 min
    (dodo/developer-resources/webhooks), and the same `transaction_id` keeps it from counting twice.
    A visitor whom DataFast does not take is left out at once, so that the money counts. Nothing is
    remembered: refunds are not summed up, disputes not netted, visitors not waited for.
    """
    try:
        event = verify_webhook(body, headers, shop.webhook_keys, now=now)
    except SignatureError as refused:
        return Answer(401, refused.reason)
    except PayloadError as refused:
        return Answer(200, refused.reason, refused.signed.id)
    report = payment_for(event, basis=basis, send_customer=send_customer)
    payment_id = _identifier(event.data.get("payment_id"))
    if isinstance(report, Skip) and (report.needs != "payment" or payment_id is None):
        return Answer(200, report.reason, event.id)
    if shop.withholds:
        return Answer(200, "test_mode", event.id)
    if isinstance(report, Skip):
        sale = yield from _read_payment(shop, payment_id or "")
        if sale is None:
            return Answer(503, "dodo_unreachable", event.id)
        whole = replace(event, data=sale) if event.type == "payment.succeeded" else event
        known = known_from_payment(sale)
        report = payment_for(whole, known, basis=basis, send_customer=send_customer)
    if isinstance(report, Skip):
        # What it was settled in Dodo may yet tell; nothing else changes by waiting.
        status = 503 if report.reason == "settlement_missing" else 200
        return Answer(status, report.reason, event.id)
    verdict = yield from _report_payment(shop, report, now)
    if verdict.kind in ("no_pageview", "unconfirmed", "rejected"):
        # It counts if DataFast dropped the first, and is a duplicate if it kept it.
        again = replace(report, datafast_visitor_id=None)
        second = yield from _report_payment(shop, again, now)
        if second.kind in ("retry", "misconfigured"):
            verdict = second
        elif verdict.kind == "rejected" and second.kind in ("recorded", "duplicate"):
            verdict = Verdict("recorded", "visitor_dropped")
    status = 503 if verdict.kind in ("retry", "misconfigured") else 200
    return Answer(status, verdict.reason, event.id)


def _read_payment(shop: Shop, payment_id: str) -> Exchange[Mapping[str, Any] | None]:
    reply = yield lookup_request(
        "payments",
        payment_id,
        api_key=shop.dodo_api_key,
        environment=shop.environment,
        base_url=shop.dodo_base_url,
    )
    payment = _json_object(reply.body) if reply is not None and reply.status == 200 else {}
    return payment if payment.get("payment_id") == payment_id else None


def _report_payment(shop: Shop, payment: Payment, now: float) -> Exchange[Verdict]:
    reply = yield payment_request(
        payment,
        api_key=shop.datafast_api_key,
        website_id=shop.website_id,
        base_url=shop.datafast_base_url,
    )
    if reply is None:
        return Verdict("retry", "datafast_unavailable")
    return read_reply(
        reply.status,
        reply.headers,
        reply.body,
        transaction_id=payment.transaction_id,
        now=now,
        visitor_sent=payment.datafast_visitor_id is not None,
    )


def carry_out(
    exchange: Exchange[_T], send: Callable[[Outgoing, float], Reply | None], ends: float
) -> _T:
    """
    Run an exchange: `send` gets each request, and by when all of them must be answered.

    `ends` is on whatever clock `send` reads. What either of them raises gets out.
    """
    try:
        outgoing = next(exchange)
        while True:
            outgoing = exchange.send(send(outgoing, ends))
    except StopIteration as done:
        outcome: _T = done.value
        return outcome


async def carry_out_async(
    exchange: Exchange[_T], send: Callable[[Outgoing, float], Awaitable[Reply | None]], ends: float
) -> _T:
    """Run an exchange as `carry_out` does, with a coroutine function that sends."""
    try:
        outgoing = next(exchange)
        while True:
            outgoing = exchange.send(await send(outgoing, ends))
    except StopIteration as done:
        outcome: _T = done.value
        return outcome
