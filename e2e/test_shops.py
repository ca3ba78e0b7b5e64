"""
From nothing to an attributed sale in somebody's own shop, done from what `kit add` prints.

The start of each project is its framework's own; the lines that are pasted into it, the page's form
and the commands are taken out of the printed text as they stand. Only ids, tag and port are filled
in, as the text asks for: the tag is the one that `kit demo --shop` prints.
"""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page

from e2e.conftest import eventually
from tests.shops.serving import (
    StandIns,
    clean_environment,
    free_port,
    running_stand_ins,
    serving,
)

PAGE = "<!doctype html><title>Mine</title><link rel=icon href=data:,><h1>Mine</h1>\n"


def run(folder: Path, *words: str) -> str:
    """Run a Python program to its end in a folder, and return what it printed."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def blocks(printed: str) -> dict[str, str]:
    """Return the indented blocks of the guidance by the first word above each."""
    parts = re.split(r"^(\S.*)\n\n((?:(?: {4}.*)?\n)+)", printed, flags=re.MULTILINE)
    return {
        title.split()[0]: textwrap.dedent(block).strip("\n")
        for title, block in zip(parts[1::3], parts[2::3], strict=True)
    }


def begin_flask(folder: Path) -> None:
    """Write the first lines of Flask's own documentation."""
    (folder / "app.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")


def end_flask(folder: Path, pasted: str) -> None:
    """Paste the lines, and give the app a page."""
    with (folder / "app.py").open("a") as app:
        app.write(
            f"\n{pasted}\n\n@app.get('/')\ndef home():\n    return open('page.html').read()\n"
        )


def begin_fastapi(folder: Path) -> None:
    """Write the first lines of FastAPI's own documentation."""
    (folder / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")


def end_fastapi(folder: Path, pasted: str) -> None:
    """Paste the lines, and give the app a page."""
    with (folder / "main.py").open("a") as app:
        app.write("\nfrom fastapi.responses import FileResponse\n")
        app.write(f"\n{pasted}\n\n@app.get('/')\ndef home():\n")
        app.write("    return FileResponse('page.html', media_type='text/html')\n")


def begin_django(folder: Path) -> None:
    """Start a project as Django's tutorial does."""
    run(folder, "-m", "django", "startproject", "mysite", ".")


def end_django(folder: Path, pasted: str) -> None:
    """Paste the lines at the end of urls.py, and give the project a page."""
    with (folder / "mysite" / "urls.py").open("a") as urls:
        urls.write(f"\n{pasted}\n\nfrom django.views.generic import TemplateView\n")
        urls.write("urlpatterns += [path('', TemplateView.as_view(template_name='page.html'))]\n")
    settings = folder / "mysite" / "settings.py"
    settings.write_text(settings.read_text().replace("'DIRS': []", "'DIRS': [BASE_DIR]"))


PROJECTS: dict[str, tuple[Callable[[Path], None], Callable[[Path, str], None], str]] = {
    "flask": (begin_flask, end_flask, "flask run --port {port}"),
    "fastapi": (begin_fastapi, end_fastapi, "uvicorn main:app --port {port}"),
    "django": (begin_django, end_django, "manage.py runserver --noreload {port}"),
}


@pytest.mark.parametrize("framework", PROJECTS)
def test_a_new_shop_sells_and_the_sale_is_attributed(
    framework: str, tmp_path: Path, context: BrowserContext, page: Page
) -> None:
    """Empty project, `kit add`, paste, start, buy in a browser."""
    begin, end, server = PROJECTS[framework]
    begin(tmp_path)
    guidance = blocks(run(tmp_path, "-m", "kit", "add", framework))
    [line] = [line for line in guidance["Try"].splitlines() if line.startswith("kit demo")]
    kit, demo, option, _address = shlex.split(line)
    port = free_port()
    with running_stand_ins(tmp_path, f"http://127.0.0.1:{port}") as stand_ins:
        tag, source = printed_by(stand_ins)
        variables = stand_ins.variables()
        form = guidance["and"].partition("</script>\n")[2]
        product = variables["KIT_PRODUCTS"].split(",")[0]
        (tmp_path / "page.html").write_text(PAGE + tag + form.replace("pdt_…", product))
        end(tmp_path, guidance["Paste"])
        command = shell(source, server.format(port=port))
        with serving(command, tmp_path, port=port, environ={}) as shop:
            page.goto(f"{shop.url}/?utm_source=newsletter")
            visitor_id = eventually(lambda: visitor_cookie(context), what="a visitor", page=page)
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


def printed_by(stand_ins: StandIns) -> tuple[str, str]:
    """Return what `kit demo --shop` printed: its tag, and how to take over the variables."""
    printed = stand_ins.printed()
    tag = re.search(r"<script .*?</script>\n", printed, re.DOTALL)
    source = re.search(r"set -a; .*; set \+a", printed)
    assert tag is not None
    assert source is not None
    return tag[0], source[0]


def shell(source: str, server: str) -> tuple[str, ...]:
    """Make a Python program of a shell's two lines: the variables, and the server."""
    words = server if server.startswith("manage.py") else f"-m {server}"
    line = f"{source}; exec {shlex.quote(sys.executable)} {words}"
    return ("-c", f"import os; os.execvp('sh', ['sh', '-c', {line!r}])")


def visitor_cookie(context: BrowserContext) -> str | None:
    """Return the script's cookie."""
    cookies = {str(each["name"]): str(each["value"]) for each in context.cookies()}
    return cookies.get("datafast_visitor_id")


def at(stand_ins: StandIns, service: str, kind: str, **query: str) -> Any:
    """Return what a stand-in received or holds."""
    url = f"{stand_ins.urls[f'{service}_local']}/_sandbox/{kind}"
    return httpx.get(url, params=query, trust_env=False).raise_for_status().json()
