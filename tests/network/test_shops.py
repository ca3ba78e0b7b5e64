"""
Shops in environments of their own, into which nothing of the kit is installed.

The framework comes from the package index, and so does what `kit add` says that it needs.
"""

import sys
import venv
from pathlib import Path

import pytest

from tests.shops.projects import PROJECTS, blocks, run, write_page
from tests.shops.serving import free_port, running_stand_ins, serving


@pytest.mark.parametrize("framework", PROJECTS)
def test_a_shop_needs_its_framework_and_the_copied_files_alone(
    framework: str, tmp_path: Path
) -> None:
    """Installed afresh, pasted, started; a signed test payment ends at DataFast."""
    environment, shop_folder = tmp_path / "environment", tmp_path / "shop"
    shop_folder.mkdir()
    venv.create(environment, with_pip=True)
    python = str(environment / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    project = PROJECTS[framework]
    run(tmp_path, *pip, *project.packages.split(), python=python)
    project.begin(shop_folder, python)
    guidance = blocks(run(shop_folder, "-m", "kit", "add", framework))
    if "Install" in guidance:
        run(tmp_path, *pip, *guidance["Install"].split()[2:], python=python)
    port = free_port()
    with running_stand_ins(tmp_path, f"http://127.0.0.1:{port}") as stand_ins:
        project.paste(shop_folder, guidance["Paste"])
        write_page(shop_folder, guidance, stand_ins)
        environ = stand_ins.variables() | {"PYTHONPATH": ""}
        command = project.server.format(port=port).split()
        with serving(command, shop_folder, port=port, environ=environ, python=python) as shop:
            words = ("trigger", "payment.succeeded", "--to", f"{shop.url}/webhooks/dodo")
            printed = run(tmp_path, "-m", "kit", *words, **stand_ins.variables())

    assert "200 OK" in printed
    assert "no_pageview" in printed
