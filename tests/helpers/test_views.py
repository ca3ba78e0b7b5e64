"""The rules that make the views files to copy: one framework each, silent, typed, and alike."""

import ast
import asyncio
import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kit.helpers import dodo_datafast as core
from kit.helpers import dodo_datafast_django, dodo_datafast_flask, dodo_datafast_starlette
from tests.helpers.test_file import run_alone
from tests.shops.serving import ROOT, clean_environment, copy_shop

HELPERS = ROOT / "kit" / "helpers"
PACKAGES = {"starlette": {"starlette", "httpx"}, "django": {"django"}, "flask": {"flask"}}
SOURCES = {
    name: (HELPERS / f"dodo_datafast_{name}.py").read_text(encoding="utf-8") for name in PACKAGES
}
frameworks = pytest.mark.parametrize("name", PACKAGES)


def imported(name: str) -> set[str]:
    """Return the top-level packages that a view imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(SOURCES[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names)


def function(name: str, wanted: str) -> str:
    """Return the source of one of a view's functions or classes."""
    for node in ast.parse(SOURCES[name]).body:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        if isinstance(node, kinds) and node.name == wanted:
            return ast.get_source_segment(SOURCES[name], node) or ""
    raise AssertionError(f"no {wanted} in the view for {name}")


@frameworks
def test_a_view_needs_its_framework_and_the_core_alone(name: str) -> None:
    """Beyond the standard library: httpx too, where the framework is asynchronous."""
    assert imported(name) == PACKAGES[name]


@frameworks
def test_a_view_can_be_read_at_a_glance(name: str) -> None:
    """Its reader is to change it."""
    assert 40 <= len(SOURCES[name].splitlines()) <= 90
    assert SOURCES[name].startswith("# SPDX-License-Identifier: MIT\n")
    assert max(map(len, SOURCES[name].splitlines())) <= 100


@frameworks
def test_all_views_have_the_same_functions_and_routes(name: str) -> None:
    """Documentation and tests of one are true of the others."""
    assert function(name, "checkout")
    assert function(name, "webhook")
    assert function(name, "send")
    assert '"/webhooks/dodo"' in SOURCES[name] or '"webhooks/dodo"' in SOURCES[name]
    assert "DEADLINE_S, LOOKUP_S, MAX_BYTES = 12.0, 4.0, 1 << 20" in SOURCES[name]


@pytest.mark.parametrize("part", ["send", "Timed"])
def test_the_two_synchronous_views_send_alike(part: str) -> None:
    """Each file stands alone, so this stands in both; a fix of one is a fix of the other."""
    assert function("flask", part) == function("django", part)


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy all views and the core into a folder, as `kit add` does."""
    folder = tmp_path_factory.mktemp("copies")
    for framework in ("fastapi", "django", "flask"):
        copy_shop(framework, folder / framework)
    return folder


@pytest.mark.parametrize("framework", ["fastapi", "django", "flask"])
def test_importing_a_copy_has_no_side_effect(copies: Path, framework: str) -> None:
    """No address is opened, no file written, no variable read, no logging configured."""
    [view] = [path.stem for path in (copies / framework).glob("dodo_datafast_*.py")]
    packages = sorted(PACKAGES[view.rpartition("_")[2]])
    out = run_alone(
        copies / framework,
        f"""
import importlib, logging, os, pkgutil, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
for name in {packages!r}:
    importlib.import_module(name)
import ast
for node in ast.walk(ast.parse(open({view + ".py"!r}).read())):  # what these do is their own
    if isinstance(node, ast.ImportFrom) and node.module:
        importlib.import_module(node.module)
    elif isinstance(node, ast.Import) and node.names[0].name != "dodo_datafast":
        importlib.import_module(node.names[0].name)
happened = []

class Watched(dict):
    def __getitem__(self, key):
        happened.append(("environ", key))
        return super().__getitem__(key)
    def get(self, key, default=None):
        happened.append(("environ", key))
        return super().get(key, default)

def watch(event, arguments):
    if event == "open" and any(mark in str(arguments[1]) for mark in "wax+"):
        happened.append((event, str(arguments[0])))
    elif event.startswith(("socket.", "subprocess.", "os.putenv", "os.system", "urllib.")):
        happened.append((event,))

before = list(logging.root.handlers), logging.root.level
os.environ = Watched(os.environ)
sys.addaudithook(watch)
importlib.import_module({view!r})
assert (logging.root.handlers, logging.root.level) == before
print(happened)
""",
    )

    assert out == "[]\n"


def test_the_copies_are_typed_strictly(copies: Path) -> None:
    """A user's `mypy --strict` has nothing to say about them, nor about the apps around them."""
    for framework in ("fastapi", "django", "flask"):
        folder = copies / "typed"
        folder.mkdir(exist_ok=True)
        for path in (copies / framework).glob("*.py"):
            name = f"{framework}_app.py" if path.name == "app.py" else path.name
            shutil.copy(path, folder / name)
    done = subprocess.run(
        [
            # The project's own options are strict and more; with them the frameworks' stubs, which
            # take long to read, are those that the project's own check has read already.
            *(sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")),
            *("--cache-dir", str(ROOT / ".mypy_cache"), "."),
        ],
        cwd=copies / "typed",
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "in 7 source files" in done.stdout


# --- Sending ------------------------------------------------------------------------------------

Serve = Callable[[Callable[[socket.socket], object]], str]
Send = Callable[[core.Outgoing, float], core.Reply | None]


def send_asynchronously(outgoing: core.Outgoing, ends: float) -> core.Reply | None:
    """Send as the view for Starlette does."""
    return asyncio.run(dodo_datafast_starlette.send(outgoing, ends))


senders = pytest.mark.parametrize(
    "send",
    [
        pytest.param(send_asynchronously, id="starlette"),
        pytest.param(dodo_datafast_django.send, id="django"),
        pytest.param(dodo_datafast_flask.send, id="flask"),
    ],
)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one connection with a function, and return the address; it ends with the test."""
    started: list[tuple[socket.socket, threading.Thread]] = []

    def start(answer: Callable[[socket.socket], object]) -> str:
        listening = socket.create_server(("127.0.0.1", 0))

        def run() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    request = b""
                    while not is_whole(request):
                        piece = connection.recv(65536)
                        if not piece:
                            return
                        request += piece
                    answer(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        started.append((listening, thread))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"

    yield start
    for listening, thread in started:
        if thread.is_alive():  # nobody came
            socket.create_connection(listening.getsockname()).close()
        thread.join(5)
        listening.close()


def is_whole(request: bytes) -> bool:
    """Tell whether it was read to its end: a connection closed on unread bytes is reset."""
    head, end, body = request.partition(b"\r\n\r\n")
    return bool(end) and len(body) == (2 if head.startswith(b"POST") else 0)


def post(url: str) -> core.Outgoing:
    """Make a request to send."""
    return core.Outgoing("POST", f"{url}/api/v1/payments", {"X-Sent": "1"}, b"{}")


@senders
def test_a_whole_answer_is_returned(send: Send, serve: Serve) -> None:
    """Status, headers and body."""
    url = serve(
        lambda peer: peer.sendall(b"HTTP/1.1 429 Slow\r\nA: b\r\nContent-Length: 2\r\n\r\n{}")
    )
    reply = send(post(url), time.monotonic() + 10)

    assert reply is not None
    assert (reply.status, reply.body) == (429, b"{}")
    assert ("a", "b") in {(name.lower(), value) for name, value in dict(reply.headers).items()}


@senders
@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_in_drips_ends_with_the_deadline(send: Send, serve: Serve, part: str) -> None:
    """Each byte comes in time; the whole does not."""
    over = threading.Event()

    def drip(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\n")
        if part == "body":
            peer.sendall(b"Content-Length: 1000\r\n\r\n")
        while not over.wait(0.05):
            peer.sendall(b"X")

    begun = time.monotonic()
    reply = send(post(serve(drip)), begun + 0.5)
    took_s = time.monotonic() - begun
    over.set()

    assert reply is None or reply.body != b"X" * 1000
    assert 0.4 < took_s < 8


@senders
def test_a_silent_server_ends_with_the_deadline(send: Send, serve: Serve) -> None:
    """It takes the request and says nothing."""
    over = threading.Event()
    reply = send(post(serve(lambda _peer: over.wait())), time.monotonic() + 0.3)
    over.set()

    assert reply is None


@senders
def test_a_deadline_that_has_passed_sends_no_longer_than_a_moment(send: Send, serve: Serve) -> None:
    """The third call of a request may find no time left."""
    over = threading.Event()
    reply = send(post(serve(lambda _peer: over.wait())), time.monotonic() - 1)
    over.set()

    assert reply is None


@senders
def test_nobody_there_is_no_answer(send: Send) -> None:
    """A refused connection is a reason to try later, not an exception."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

    assert send(post(f"http://127.0.0.1:{port}"), time.monotonic() + 5) is None


@senders
def test_a_broken_answer_is_no_answer(send: Send, serve: Serve) -> None:
    """What is no HTTP."""
    url = serve(lambda peer: peer.sendall(b"SSH-2.0-OpenSSH\r\n"))

    assert send(post(url), time.monotonic() + 5) is None


@senders
def test_a_redirect_is_an_answer_and_not_followed(send: Send, serve: Serve) -> None:
    """The key must not travel to another host."""
    target = "http://127.0.0.1:9/"
    head = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n"
    reply = send(post(serve(lambda peer: peer.sendall(head.encode()))), time.monotonic() + 5)

    assert reply is not None
    assert reply.status == 302


@senders
def test_no_more_than_a_megabyte_is_kept(send: Send, serve: Serve) -> None:
    """However much comes."""

    def pour(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)

    reply = send(post(serve(pour)), time.monotonic() + 10)

    assert reply is not None
    assert len(reply.body) == 1 << 20


@senders
def test_a_lookup_has_four_seconds_at_most(
    send: Send, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the twelve that all calls share; shortened here."""
    for view in (dodo_datafast_starlette, dodo_datafast_django, dodo_datafast_flask):
        monkeypatch.setattr(view, "LOOKUP_S", 0.3)
    over = threading.Event()
    lookup = core.Outgoing("GET", serve(lambda _peer: over.wait()) + "/payments/p", {}, b"")
    begun = time.monotonic()
    reply = send(lookup, begun + 60)
    over.set()

    assert reply is None
    assert time.monotonic() - begun < 30
