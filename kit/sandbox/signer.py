"""Sign webhook messages the Standard Webhooks way, as a sender does."""

import base64
import hashlib
import hmac
import secrets

PREFIX = "whsec_"


def sign(secret: str, *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three `webhook-*` headers of one delivery attempt.

    HMAC-SHA256 over `id.timestamp.body`, keyed with the base64-decoded secret (Standard Webhooks
    specification, "Signature scheme"). The timestamp belongs to the attempt, not to the message.
    """
    key = read_key(secret)
    signed = b".".join((message_id.encode(), str(timestamp_s).encode(), body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


def read_key(secret: str) -> bytes:
    """Decode an endpoint secret, with or without `whsec_`. Raises ValueError when it is none."""
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def new_secret() -> str:
    """Make an endpoint secret of 24 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()
