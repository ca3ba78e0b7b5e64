"""Cookies as they stand in a header, whatever somebody writes there."""

import time
from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from kit.web.jar import cookie_values, last_cookie
from tests.web.conftest import nobody, open_shop

TOKEN = "planted-inspector-token-of-32-characters"


@pytest.mark.parametrize(
    ("headers", "values"),
    [
        pytest.param([], [], id="no-header"),
        pytest.param(["a=1; kit=2; b=3"], ["2"], id="among-others"),
        pytest.param(["kit=1; kit=2"], ["1", "2"], id="twice"),
        pytest.param(["kit=1", "kit=2"], ["1", "2"], id="two-headers"),
        pytest.param(["xkit=1; kit-x=2; Kit=3; kit"], [], id="other-names"),
        pytest.param([" kit=a=b ;"], ["a=b"], id="spaces"),
        pytest.param(['kit="1"'], ['"1"'], id="quotes-stay"),
        pytest.param(["\xa0kit=1"], [], id="a-name-that-only-looks-like-it"),
    ],
)
def test_a_cookie_is_found_by_its_whole_name(headers: list[str], values: list[str]) -> None:
    """Each value in its order, as it stands there; the last one is what counts."""
    raw = [(b"cookie", header.encode("latin-1")) for header in headers]
    asked = HTTPConnection({"type": "http", "headers": raw})

    assert cookie_values(asked, "kit") == values
    assert last_cookie(asked, "kit") == (values[-1] if values else "")


@pytest.mark.anyio
async def test_no_cookie_keeps_the_server_busy(tmp_path: Path) -> None:
    """Python may take a second to unquote 16 kB of backslashes; nobody asks it to."""
    async with open_shop(
        tmp_path, dodo=nobody, datafast=nobody, KIT_CONTINUITY="1", KIT_INSPECTOR_TOKEN=TOKEN
    ) as shop:
        began = time.process_time()
        for path in ("/", f"/orders/ord_{'0' * 32}", "/inspector", "/metrics"):
            await shop.http.get(path, headers={"cookie": 'kit_orders="' + "\\" * 15_000 + '"'})
        took = time.process_time() - began

    assert took < 1
