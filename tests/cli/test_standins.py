"""`kit demo --shop URL` as a process: the stand-ins alone, for a shop of somebody's own."""

import re
from pathlib import Path

import httpx
import pytest

from kit.helpers.dodo_datafast import read_shop
from tests.cli.conftest import kit_here
from tests.shops.serving import running_stand_ins


def test_it_writes_the_variables_that_a_shop_needs(tmp_path: Path) -> None:
    """With them alone a shop can be read, and payments are sent to the stand-in."""
    with running_stand_ins(tmp_path, "http://shop.localhost:5000/") as stand_ins:
        shop = read_shop(stand_ins.variables())
        mode = (tmp_path / ".kit" / "shop.env").stat().st_mode & 0o777

    assert shop.return_url == "http://shop.localhost:5000/"
    assert shop.checkout_hosts == (stand_ins.urls["dodo"],)
    assert shop.datafast_base_url == stand_ins.urls["datafast_local"]
    assert "pdt_coastline" in shop.products
    assert shop.withholds is False
    assert mode == 0o600


def test_it_says_how_to_start_the_shop_and_what_its_pages_need(tmp_path: Path) -> None:
    """The tag is for this shop's domain, and its script is there."""
    with running_stand_ins(tmp_path, "http://127.0.0.1:5000") as stand_ins:
        printed = stand_ins.printed()
        source = re.findall(r'src="([^"]+)"', printed)[0]
        script = httpx.get(source.replace("datafast.localhost", "127.0.0.1"))

    assert "set -a; . .kit/shop.env; set +a" in printed
    assert "its webhooks go to http://127.0.0.1:5000/webhooks/dodo" in printed
    assert 'data-website-id="dfid_sandbox" data-domain="127.0.0.1"' in printed
    assert f'data-api-url="{stand_ins.urls["datafast"]}/api/events"' in printed
    assert script.status_code == 200


def test_the_same_folder_has_the_same_keys_again(tmp_path: Path) -> None:
    """A shop that was started before goes on working."""
    variables = []
    for _ in range(2):
        with running_stand_ins(tmp_path, "http://127.0.0.1:5000") as stand_ins:
            variables.append(stand_ins.variables())
    keys = [{name: each[name] for name in each if name.endswith("_KEY")} for each in variables]

    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:5000",
        "ftp://shop",
        "http://",
        "http://shop/path",
        "http://a b",
        "http://x\n",
        "http://x:99999",
    ],
)
def test_what_is_no_address_is_a_sentence(tmp_path: Path, url: str) -> None:
    """And no file is written."""
    done = kit_here(tmp_path, "demo", "--shop", url)

    assert done.returncode == 1
    assert "is no address such as http://127.0.0.1:5000" in done.stderr
    assert list(tmp_path.iterdir()) == []
