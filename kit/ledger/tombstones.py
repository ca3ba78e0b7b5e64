"""
Tombstones: who asked to be forgotten, known by a keyed hash alone.

Dodo's metadata keeps a visitor's id for years, so the id comes back with each renewal and refund.
What is asked here decides that it is neither stored nor sent again.
"""

import hmac
import secrets

from sqlalchemy import Connection, bindparam, exists, select

from kit.ledger.rows import insert_or_ignore
from kit.ledger.schema import meta, tombstones

_KEY = "tombstone_key"
_KEY_BYTES = 32

_FIND_KEY = select(meta.c.value).where(meta.c.name == _KEY)
_IS_BURIED = select(exists().where(tombstones.c.visitor_hash == bindparam("wanted")))


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
    if visitor_id is None or (key := _key(connection)) is None:
        return False
    return bool(connection.scalar(_IS_BURIED, {"wanted": _hash(key, visitor_id)}))


def _key(connection: Connection) -> str | None:
    return connection.scalar(_FIND_KEY)


def _hash(key: str, visitor_id: str) -> str:
    return hmac.digest(bytes.fromhex(key), visitor_id.encode(), "sha256").hex()
