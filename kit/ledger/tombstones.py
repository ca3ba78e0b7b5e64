"""
Tombstones: who asked to be forgotten, known by a keyed hash alone.

Dodo's metadata keeps a visitor's id for years, so the id comes back with each renewal and refund.
What is asked here decides that it is neither stored nor sent again.
"""

import hmac
import secrets
from collections.abc import Collection

from sqlalchemy import Connection, bindparam, select

from kit.ledger.rows import insert_or_ignore
from kit.ledger.schema import meta, tombstones

_KEY = "tombstone_key"
_KEY_BYTES = 32

_FIND_KEY = select(meta.c.value).where(meta.c.name == _KEY)
_BURIED = select(tombstones.c.visitor_hash).where(
    tombstones.c.visitor_hash.in_(bindparam("wanted", expanding=True))
)


def bury(connection: Connection, visitor_id: str, now_ms: int) -> bool:
    """Keep that a visitor asked to be forgotten; False when that was known before."""
    connection.execute(
        insert_or_ignore(connection, meta).values(name=_KEY, value=secrets.token_hex(_KEY_BYTES))
    )
    key = _key(connection)
    buried = connection.execute(
        insert_or_ignore(connection, tombstones).values(
            visitor_hash=_hash(key or "", visitor_id), forgotten_at_ms=now_ms
        )
    )
    return buried.rowcount == 1


def is_forgotten(connection: Connection, visitor_id: str | None) -> bool:
    """Tell whether a visitor asked to be forgotten; where nobody ever did, one small read."""
    return visitor_id is not None and bool(forgotten_among(connection, {visitor_id}))


def forgotten_among(connection: Connection, visitor_ids: Collection[str]) -> set[str]:
    """Return those of some visitors who asked to be forgotten."""
    if not visitor_ids or (key := _key(connection)) is None:
        return set()
    hashes = {_hash(key, visitor_id): visitor_id for visitor_id in visitor_ids}
    return {hashes[found] for found in connection.scalars(_BURIED, {"wanted": list(hashes)})}


def _key(connection: Connection) -> str | None:
    return connection.scalar(_FIND_KEY)


def _hash(key: str, visitor_id: str) -> str:
    return hmac.digest(bytes.fromhex(key), visitor_id.encode(), "sha256").hex()
