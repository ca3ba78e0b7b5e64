"""
From nothing to an attributed sale in somebody's own shop, done from what `kit add` prints.

Only ids, tag and port are filled in, as the text asks for: the tag is the one that
`kit demo --shop` prints, and the variables are taken over by the line that it prints.
"""

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from e2e.conftest import eventually
from kit.lab.neighbours import ask
from tests.shops.projects import PROJECTS, blocks, run, write_page
from tests.shops.serving import StandIns, free_port, running_stand_ins, serving


@pytest.mark.parametrize("framework", PROJECTS)
def test_a_new_shop_sells_and_the_sale_is_attributed(
    framework: str, tmp_path: Path, context: BrowserContext, page: Page
) -> None:
    """Empty project, `kit add`, paste, start, buy in a browser."""
    project = PROJECTS[framework]
    project.begin(tmp_path, sys.executable)
    guidance = blocks(run(tmp_path, "-m", "kit", "add", framework))
    [line] = [line for line in guidance["Try"].splitlines() if line.startswith("kit demo")]
    kit, demo, option, _address = shlex.split(line)
    port = free_port()
    with running_stand_ins(tmp_path, f"http://127.0.0.1:{port}") as stand_ins:
        project.paste(tmp_path, guidance["Paste"])
        write_page(tmp_path, guidance, stand_ins)
        server = shell(stand_ins, project.server.format(port=port))
        with serving(server, tmp_path, port=port, environ={}) as shop:
            page.goto(f"{shop.url}/?utm_source=newsletter")
            visitor_id = str(eventually(lambda: visitor(context), what="a visitor", page=page))
            page.get_by_role("button", name="Buy").click()
            page.wait_for_url(f"{stand_ins.urls['dodo']}/session/**")
            page.get_by_label(re.compile("E-?mail")).fill("ada@example.com")
            page.get_by_role("button", name=re.compile("^Pay")).click()
            page.wait_for_url(f"{shop.url}/?*")
            [payment] = eventually(
                lambda: at(stand_ins, "datafast", "payments", datafast_visitor_id=visitor_id),
                what="DataFast is told of the payment",
            )
            [answer] = eventually(
                lambda: [
                    json.loads(each["attempts"][0]["answer"])
                    for each in at(stand_ins, "dodo", "deliveries")
                    if each["type"] == "payment.succeeded" and each["attempts"]
                ],
                what="Dodo has its answer",
            )

    assert (kit, demo, option) == ("kit", "demo", "--shop")
    assert set(guidance) - {"Install"} == {"Paste", "and", "Set", "Try"}
    assert payment["attributed"] is True
    assert (payment["amount"], payment["currency"]) == ("29", "USD")
    assert answer == {"status": "attributed"}


def shell(stand_ins: StandIns, server: str) -> tuple[str, ...]:
    """Make a Python program of a shell's two lines: the variables as printed, and the server."""
    source = re.search(r"set -a; .*; set \+a", stand_ins.printed())
    assert source is not None
    line = f"{source[0]}; exec {shlex.quote(sys.executable)} {server}"
    return ("-c", f"import os; os.execvp('sh', ['sh', '-c', {line!r}])")


def visitor(context: BrowserContext) -> str | None:
    """Return the script's cookie."""
    cookies = {str(each["name"]): str(each["value"]) for each in context.cookies()}
    return cookies.get("datafast_visitor_id")


def at(stand_ins: StandIns, service: str, kind: str, **query: str) -> Any:
    """Return what a stand-in received or holds."""
    url = f"{stand_ins.urls[f'{service}_local']}/_sandbox/{kind}"
    return ask(url, query).raise_for_status().json()
