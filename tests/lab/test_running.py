"""A shop in a process of its own."""

import os
import shlex
import sys
from pathlib import Path

import pytest

from kit.lab.running import ShopDown, is_up, running_shop, wait_for_shop
from tests.shops.serving import free_port

# Announces its process and that of a child, as a reloader has one, and serves.
SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(os.environ["COLOUR"], child.pid)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler
    ).serve_forever()
"""


def test_it_runs_until_the_with_ends_and_takes_its_children_along(tmp_path: Path) -> None:
    """With the variables that it is given; what it prints is kept."""
    port, log = free_port(), tmp_path / "shop.log"
    url = f"http://127.0.0.1:{port}/"
    command = (sys.executable, "-c", SERVER, str(port))
    with running_shop(command, url, environ={"COLOUR": "blue"}, log=log):
        during = is_up(url)
    colour, child = log.read_text().split()[:2]

    assert during
    assert not is_up(url)
    assert colour == "blue"
    assert not _runs(int(child))


def _runs(process: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False


def test_one_that_ends_says_what_it_printed(tmp_path: Path) -> None:
    """Instead of a wait for it; a command line may be one string."""
    command = f"{shlex.quote(sys.executable)} -c 'print(1 / 0)'"
    url = f"http://127.0.0.1:{free_port()}/"
    shop = running_shop(command, url, environ={}, log=tmp_path / "shop.log")
    with pytest.raises(ShopDown, match=r"exit code 1(.|\n)*\| ZeroDivisionError"), shop:
        pass


def test_a_command_that_is_none_is_told(tmp_path: Path) -> None:
    """With the system's own word."""
    shop = running_shop(
        ("no-such-command",), "http://127.0.0.1:1/", environ={}, log=tmp_path / "shop.log"
    )
    with pytest.raises(ShopDown, match=r"does not start: .*no-such-command"), shop:
        pass


def test_somebody_elses_server_is_not_taken_for_the_shop(tmp_path: Path) -> None:
    """Its address must be free."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    command = (sys.executable, "-c", SERVER, str(port))
    environ = {"COLOUR": "red"}
    with running_shop(command, url, environ=environ, log=tmp_path / "first.log"):
        second = running_shop(command, url, environ=environ, log=tmp_path / "second.log")
        with pytest.raises(ShopDown, match=r"answers at .* already"), second:
            pass


def test_nobody_is_waited_for_no_longer_than_was_said() -> None:
    """The reason is named."""
    url = f"http://127.0.0.1:{free_port()}/"
    with pytest.raises(ShopDown, match=r"after 0 s: .*refused"):
        wait_for_shop(url, within_s=0)
