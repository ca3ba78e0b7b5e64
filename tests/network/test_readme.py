"""The README's way from nothing to a payment at DataFast, typed line by line in an empty folder."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.shops.serving import ROOT, clean_environment, free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_LINES = 12
# What a person does by being slower than the machine.
UNTIL_UP = (
    "for i in $(seq 200); do (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; "
    "sleep 0.1; done"
)


def typed() -> tuple[list[str], list[str]]:
    """Return the lines of app.py and those of the shell."""
    shell = re.search(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    app = re.search(r"^This is `app.py`.*?```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    app = app or re.search(r"This is `app.py`:\n\n```python\n(.*?)```", README, re.DOTALL)
    assert shell is not None
    assert app is not None
    lines = [line.removeprefix("$ ") for line in shell[1].splitlines()]
    return [line for line in app[1].splitlines() if line], lines


def test_twelve_lines_lead_from_nothing_to_a_forwarded_payment(tmp_path: Path) -> None:
    """As they stand, but for the ports, which may be taken here."""
    app, shell = typed()
    shop_port, first_port = free_port(), free_port()
    clone, folder = tmp_path / "dodo-datafast-kit", tmp_path / "mine"
    folder.mkdir()
    for name in ("kit", "static", "templates"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, clone / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    (folder / "app.py").write_text("\n".join(app) + "\n")
    script = []
    for line in shell:
        script.append(
            line.replace("5000", str(shop_port))
            .replace("kit demo", f"kit demo --port {first_port}")
            .replace("flask run", f"flask run --port {shop_port}")
        )
        if "kit demo" in line:
            script.append("for i in $(seq 200); do test -s .kit/shop.env && break; sleep 0.1; done")
        if "flask run" in line:
            script.append(UNTIL_UP.format(port=shop_port))
    asked = "import urllib.request as r; print(r.urlopen({url!r}).read().decode())"
    url = f"http://127.0.0.1:{first_port + 2}/_sandbox/payments"
    script.append(f'python -c "{asked.format(url=url)}"')
    done = subprocess.run(
        ["bash", "-e", "-c", "trap 'kill $(jobs -p)' EXIT\n" + "\n".join(script)],
        cwd=folder,
        env=clean_environment(PYTHONPATH="", PIP_DISABLE_PIP_VERSION_CHECK="1"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert len(app) + len(shell) <= MOST_LINES
    assert done.returncode == 0, done.stdout + done.stderr
    assert '{"status":"no_pageview"}' in done.stdout
    assert '"transaction_id":"pay_' in done.stdout.replace(" ", "")
