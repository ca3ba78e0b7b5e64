"""
New projects, as the frameworks' own documentation begins them, and what `kit add` has them add.

The lines that are pasted, the page's form and the commands are taken out of the printed text as
they stand.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.shops.serving import StandIns, clean_environment

PAGE = "<!doctype html><title>Mine</title><link rel=icon href=data:,><h1>Mine</h1>\n"


def run(folder: Path, *words: str, python: str = sys.executable, **changes: str) -> str:
    """Run a Python program to its end in a folder, and return what it printed."""
    done = subprocess.run(
        [python, *words],
        cwd=folder,
        env=clean_environment(**changes),
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


def begin_flask(folder: Path, _python: str) -> None:
    """Write the first lines of Flask's own documentation."""
    (folder / "app.py").write_text("from flask import Flask\n\napp = Flask(__name__)\n")


def paste_flask(folder: Path, pasted: str) -> None:
    """Paste the lines, and give the app a page."""
    with (folder / "app.py").open("a") as app:
        app.write(
            f"\n{pasted}\n\n@app.get('/')\ndef home():\n    return open('page.html').read()\n"
        )


def begin_fastapi(folder: Path, _python: str) -> None:
    """Write the first lines of FastAPI's own documentation."""
    (folder / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")


def paste_fastapi(folder: Path, pasted: str) -> None:
    """Paste the lines, and give the app a page."""
    with (folder / "main.py").open("a") as app:
        app.write("\nfrom fastapi.responses import FileResponse\n")
        app.write(f"\n{pasted}\n\n@app.get('/')\ndef home():\n")
        app.write("    return FileResponse('page.html', media_type='text/html')\n")


def begin_django(folder: Path, python: str) -> None:
    """Start a project as Django's tutorial does."""
    run(folder, "-m", "django", "startproject", "mysite", ".", python=python)


def paste_django(folder: Path, pasted: str) -> None:
    """Paste the lines at the end of urls.py, and give the project a page."""
    with (folder / "mysite" / "urls.py").open("a") as urls:
        urls.write(f"\n{pasted}\n\nfrom django.views.generic import TemplateView\n")
        urls.write("urlpatterns += [path('', TemplateView.as_view(template_name='page.html'))]\n")
    settings = folder / "mysite" / "settings.py"
    settings.write_text(settings.read_text().replace("'DIRS': []", "'DIRS': [BASE_DIR]"))


@dataclass(frozen=True, slots=True)
class Project:
    """How a project of a framework begins, where lines are pasted, and how it is started."""

    begin: Callable[[Path, str], None]
    paste: Callable[[Path, str], None]
    server: str
    packages: str


PROJECTS = {
    "flask": Project(begin_flask, paste_flask, "-m flask run --port {port}", "flask"),
    "fastapi": Project(
        begin_fastapi, paste_fastapi, "-m uvicorn main:app --port {port}", "fastapi uvicorn"
    ),
    "django": Project(
        begin_django, paste_django, "manage.py runserver --noreload {port}", "django"
    ),
}


def write_page(folder: Path, guidance: dict[str, str], stand_ins: StandIns) -> None:
    """Put the form into the project's page, and the tag that the stand-ins ask for."""
    tag = re.search(r"<script .*?</script>\n", stand_ins.printed(), re.DOTALL)
    assert tag is not None
    form = guidance["and"].partition("</script>\n")[2]
    product = stand_ins.variables()["KIT_PRODUCTS"].split(",")[0]
    (folder / "page.html").write_text(PAGE + tag[0] + form.replace("pdt_…", product))
