"""Read the shop's own small forms; the routes limit their size."""

import asyncio
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MAX_FORM_BYTES = 8 * 1024
MAX_FIELDS = 20
BODY_DEADLINE_S = 10.0


async def read_form(request: Request) -> dict[str, str]:
    """
    Return the fields of a urlencoded form; of a name that comes twice the last one counts.

    Raises HTTPException 400 for a body that is no such form, and 408 for one that does not come.
    """
    try:
        async with asyncio.timeout(BODY_DEADLINE_S):
            text = (await request.body()).decode("ascii")
        fields = dict(parse_qsl(text, max_num_fields=MAX_FIELDS, strict_parsing=bool(text)))
    except (TimeoutError, ClientDisconnect):
        raise HTTPException(408, headers={"Connection": "close"}) from None
    except ValueError:
        raise HTTPException(400, "this is no form of this shop") from None
    if any("\0" in value for value in fields.values()):
        raise HTTPException(400, "no field of this shop holds a NUL")
    return fields
