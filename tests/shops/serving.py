"""
Start the example shops: each is the files that `kit add` copies, and an app of some ten lines.

    with running_shop("flask", tmp_path / "shop", port=free_port(), environ=variables) as shop:
        httpx.get(shop.url)

`variables` are those of `kit demo --shop URL`, or of any other pair of stand-ins; the shop's page
wants `DATAFAST_WEBSITE_ID` and `DATAFAST_DOMAIN` besides what the views read.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

SHOPS = Path(__file__).parent
ROOT = SHOPS.parents[1]
FRAMEWORKS = ("fastapi", "django", "flask")
START_TIMEOUT_S = 20
OWN_VARIABLES = ("DODO_", "DATAFAST_", "KIT_")

COMMANDS = {
    "fastapi": ("-m", "uvicorn", "app:app", "--port", "{port}"),
    "django": ("app.py", "runserver", "--noreload", "{port}"),
    "flask": ("-m", "flask", "run", "--port", "{port}"),
}


@dataclass(frozen=True, slots=True)
class ExampleShop:
    """A running shop: its address, and all it has printed."""

    url: str
    log: Path

    def printed(self) -> str:
        """Return what it printed, to either stream."""
        return self.log.read_text(encoding="utf-8")


def free_port() -> int:
    """Return a port nobody listens on, from where the system gives none out by itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def clean_environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without settings, as a shop of its own has it."""
    plain = {
        name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)
    }
    return plain | {"KIT_NO_BOOTSTRAP": "1", "PYTHONPATH": str(ROOT)} | changes


def kit(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `kit` to its end in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "kit", *arguments],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def copy_shop(framework: str, folder: Path) -> None:
    """Put an example shop into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHOPS / framework / "app.py", folder)
    shutil.copy(SHOPS / "page.html", folder)
    done = kit(folder, "add", framework)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


@contextlib.contextmanager
def running_shop(
    framework: str, folder: Path, *, port: int, environ: Mapping[str, str]
) -> Iterator[ExampleShop]:
    """Run an example shop in a folder, made there if it has no app, until the block ends."""
    if not (folder / "app.py").exists():
        copy_shop(framework, folder)
    with serving(COMMANDS[framework], folder, port=port, environ=environ) as shop:
        yield shop


@contextlib.contextmanager
def serving(
    command: tuple[str, ...], folder: Path, *, port: int, environ: Mapping[str, str]
) -> Iterator[ExampleShop]:
    """Run a Python program that serves on a port until the block ends."""
    shop = ExampleShop(f"http://127.0.0.1:{port}", folder / f"shop-{port}.log")
    words = [word.format(port=port) for word in command]
    with shop.log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=folder,
            env=clean_environment(PYTHONUNBUFFERED="1", **environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_up(shop, process)
        yield shop
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_up(shop: ExampleShop, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            with urlopen(shop.url, timeout=5):  # noqa: S310 - an address of our own
                return
        except HTTPError:
            return
        except (URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the shop did not start:\n{shop.printed()}") from None
            time.sleep(0.05)
