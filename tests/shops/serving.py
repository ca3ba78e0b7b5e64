"""
Start the example shops: each is the files that `kit add` copies, and an app of some ten lines.

    port = free_port()
    with running_stand_ins(tmp_path, f"http://127.0.0.1:{port}") as stand_ins:
        with running_shop("flask", tmp_path / "shop", port=port, environ=stand_ins.variables()):
            ...

Any other stand-ins do as well: the shop needs the variables that its view reads, and for its page
`DATAFAST_WEBSITE_ID`, `DATAFAST_DOMAIN` and `DATAFAST_BASE_URL`.
"""

import contextlib
import json
import os
import random
import select
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from kit.copyin import plan, write_files
from kit.upstream import Upstream

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


@dataclass(frozen=True, slots=True)
class StandIns:
    """A running `kit demo --shop URL`: what it is for, where it is, what it printed."""

    folder: Path
    urls: dict[str, str]
    log: Path

    def variables(self) -> dict[str, str]:
        """Return what it says the shop must be started with."""
        text = (self.folder / ".kit" / "shop.env").read_text(encoding="utf-8")
        return dict(assignment.split("=", 1) for assignment in shlex.split(text))

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


def copy_shop(framework: str, folder: Path) -> None:
    """Put an example shop into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(SHOPS / framework / "app.py", folder)
    shutil.copy(SHOPS / "page.html", folder)
    write_files(plan(framework, ".", Upstream(), root=folder))


@contextlib.contextmanager
def running_stand_ins(folder: Path, shop_url: str) -> Iterator[StandIns]:
    """Run `kit demo --shop` for a shop's address, in a folder, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "stand-ins.log"
    ready, ready_fd = os.pipe()
    command = ["demo", "--shop", shop_url, "--port", "0", "--ready-fd", str(ready_fd)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "kit", *command],
            cwd=folder,
            env=clean_environment(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(ready_fd,),
        )
    os.close(ready_fd)
    try:
        if not select.select([ready], [], [], START_TIMEOUT_S)[0]:
            raise RuntimeError(f"no stand-ins in time:\n{log.read_text()}")
        with os.fdopen(ready) as pipe:
            line = pipe.readline()
        if not line:
            raise RuntimeError(f"no stand-ins:\n{log.read_text()}")
        yield StandIns(folder, json.loads(line), log)
    finally:
        _stop(process)


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
    command: Sequence[str],
    folder: Path,
    *,
    port: int,
    environ: Mapping[str, str],
    python: str = sys.executable,
) -> Iterator[ExampleShop]:
    """Run a Python program that serves on a port until the block ends."""
    shop = ExampleShop(f"http://127.0.0.1:{port}", folder / f"shop-{port}.log")
    words = [word.format(port=port) for word in command]
    with shop.log.open("wb") as output:
        process = subprocess.Popen(
            [python, *words],
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
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
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
