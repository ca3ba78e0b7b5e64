"""The account at DataFast: whether the key may write, which no read can show."""

from uuid import uuid4

from kit.checks.setup import Setup
from kit.errors import TransportError
from kit.hops import Hop


async def check_datafast(setup: Setup) -> list[Hop]:
    """Delete a payment that never was, and see what that is answered."""
    name = "DataFast's API key"
    needed = setup.needs(name, "DATAFAST_API_KEY", "DATAFAST_BASE_URL")
    if needed:
        return needed
    try:
        verdict = await setup.datafast.may_write(str(uuid4()))
    except TransportError as problem:
        return [Hop(name, "datafast_silent", seen=str(problem))]
    if verdict is None:
        return [Hop(name, "datafast_writable", seen=setup.settings.datafast_base_url)]
    if verdict.kind == "misconfigured" or verdict.reason == "rate_limited":
        return [Hop(name, verdict.reason, seen=verdict.message)]
    if verdict.kind == "retry":
        return [Hop(name, "datafast_silent", seen=verdict.message or verdict.reason)]
    return [Hop(name, "datafast_unclear", seen=verdict.message or verdict.reason)]
