"""
Make a clone ready to run: `.venv` beside `kit/`, with what the command needs, once.

Ready means that the stamp in `.venv` names this pyproject.toml, this Python and the wanted extras.
It is written last, so an interrupted set-up never looks finished; while it matches, no installer is
started and nothing is asked of the network. An installed wheel has no pyproject.toml beside `kit/`
and is left alone. Standard library only, in the syntax of Python 3.6: see `__main__.py`.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
VENV = ROOT / ".venv"
STAMP = VENV / "kit-stamp"
VENV_PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")

OFF = "KIT_NO_BOOTSTRAP"
OLDEST_VENV = (3, 11)
# `pip --python` came with this release; an older pip first fetches a newer one.
OLDEST_PIP = (22, 3)
UNFINISHED = "unfinished\n"


def prepare(argv: "Sequence[str]") -> None:
    """Return when this process can run `kit ARGV`; else set up, and become one that can."""
    if os.environ.get(OFF) or not PYPROJECT.is_file():
        return
    extras = _extras(argv)
    try:
        if not _ready(extras):
            with _alone():
                # Another first run may have finished while this one waited.
                if not _ready(extras):
                    _set_up(extras)
            # Whatever is still wrong is for the command to say: never a second set-up in a row.
            os.environ[OFF] = "1"
        elif _inside():
            return
        _become(argv)
    except KeyboardInterrupt:
        _say("kit: set-up interrupted; run the same command again to go on.")
        sys.exit(130)
    except OSError as error:
        sys.exit(f"kit: cannot set up {VENV}: {error}")


def missing_sentence(module: str) -> str:
    """Say what to do when `module` cannot be imported after all."""
    name = f"{ROOT}[test]" if PYPROJECT.is_file() else "dodo-datafast-kit"
    advice = f"Unset {OFF}" if os.environ.get(OFF) else "Remove .venv and run this again"
    return (
        f"kit: the package {module} is not installed in {sys.prefix}. "
        f"{advice}, or install it there: python -m pip install '{name}'"
    )


def _extras(argv: "Sequence[str]") -> "tuple[str, ...]":
    command = next((word for word in argv if not word.startswith("-")), "")
    if command == "test":
        return ("test",)
    if command == "verify":
        return ("browser",)
    return ("postgres",) if os.environ.get("KIT_DATABASE_URL", "").startswith("postgres") else ()


# What is there


def _inside() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def _ready(extras: "Sequence[str]") -> bool:
    """Tell whether `.venv` can run a command that needs `extras`."""
    stamp = _stamp()
    if _inside():
        # However it was made (here, by uv, by hand): what has everything needs no installer.
        return stamp != UNFINISHED and not _missing(extras)
    if not VENV_PYTHON.exists() or _venv_version() < OLDEST_VENV:
        return False
    # One without a stamp was not made here: it is used as it is, and looks again from inside.
    return not stamp or (
        stamp.startswith(_fixed_stamp()) and set(extras) <= set(_stamped_extras(stamp))
    )


def _stamp() -> str:
    """Return the text of the stamp; empty when there is none."""
    try:
        return STAMP.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _stamped_extras(stamp: str) -> "list[str]":
    return [extra for extra in stamp.strip().partition(" extras=")[2].split(",") if extra]


def _fixed_stamp() -> str:
    digest = hashlib.sha256(PYPROJECT.read_bytes()).hexdigest()
    return f"pyproject={digest} python={sys.implementation.cache_tag}"


def _venv_version() -> "tuple[int, ...]":
    """Return the Python version `.venv` was made for; an empty tuple when it has none."""
    try:
        config = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    found = re.search(r"(?m)^version(?:_info)?\s*=\s*(\d+)\.(\d+)", config)
    return (int(found.group(1)), int(found.group(2))) if found else ()


def _missing(extras: "Sequence[str]") -> "list[str]":
    """Return the distributions that pyproject.toml names for `extras` and this Python lacks."""
    import tomllib
    from importlib.metadata import PackageNotFoundError, distribution

    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    missing = []
    for name in _named(project, extras):
        try:
            distribution(name)
        except PackageNotFoundError:
            missing.append(name)
    return missing


def _named(project: "dict[str, Any]", extras: "Sequence[str]") -> "Iterator[str]":
    optional = project.get("optional-dependencies", {})
    for lines in [project.get("dependencies", []), *(optional[extra] for extra in extras)]:
        for line in lines:
            name, _, rest = re.split(r"([^\w.-]|$)", line, maxsplit=1)
            if name == project["name"]:  # Itself, for other extras: name[these,those]
                yield from _named(project, rest.strip("]").split(","))
            elif ";" not in line:  # A line with a marker may not be meant for this platform.
                yield name


# Setting up


def _set_up(extras: "Sequence[str]") -> None:
    _say(f"Setting up .venv (once, about {20 if extras else 10} s)…")
    started = time.monotonic()
    keep = VENV_PYTHON.exists() and _venv_version() == sys.version_info[:2]
    if not keep:
        clear = ["--clear"] if VENV.exists() else []
        _run([_outer_python(), "-m", "venv", "--without-pip", *clear, str(VENV)])
    # After a change of pyproject.toml, `kit demo` must not leave the test tools behind.
    names = ",".join(sorted({*extras, *(_stamped_extras(_stamp()) if keep else ())}))
    STAMP.write_text(UNFINISHED, encoding="utf-8")
    _run([*_installer(), "-e", f".[{names}]" if names else "."])
    finished = STAMP.with_name(STAMP.name + ".new")
    finished.write_text(f"{_fixed_stamp()} extras={names}\n", encoding="utf-8")
    finished.replace(STAMP)
    _say(f"Ready in {time.monotonic() - started:.0f} s.")


def _outer_python() -> str:
    """Return a Python outside `.venv`: the one that runs this, or the one it was made from."""
    return getattr(sys, "_base_executable", sys.executable) if _inside() else sys.executable


def _installer() -> "list[str]":
    """Return the start of a command that installs into `.venv`; exit when there is none."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    own_pip = [str(VENV_PYTHON), "-m", "pip", "install", *quiet]
    outer = _outer_python()
    version = _pip_version(outer)
    if version >= OLDEST_PIP:
        return [outer, "-m", "pip", "--python", str(VENV_PYTHON), "install", *quiet]
    uv = shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--quiet", "--python", str(VENV_PYTHON)]
    if version:
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = _output([str(VENV_PYTHON), "-c", ask])
        _run([outer, "-m", "pip", "install", *quiet, "--upgrade", "--target", site.strip(), "pip"])
        return own_pip
    if _output([str(VENV_PYTHON), "-m", "ensurepip"]):
        return own_pip
    sys.exit(
        f"kit: {outer} has no pip and there is no uv, so nothing can be installed. "
        "Install the package python3-pip (Debian: apt-get install python3-pip) and run this again."
    )


def _pip_version(python: str) -> "tuple[int, ...]":
    """Return the version of the pip that belongs to `python`; an empty tuple when it has none."""
    found = re.match(r"pip (\d+)\.(\d+)", _output([python, "-m", "pip", "--version"]))
    return (int(found.group(1)), int(found.group(2))) if found else ()


@contextlib.contextmanager
def _alone() -> "Iterator[None]":
    """Let one set-up of this clone run at a time; the system frees the lock of a killed one."""
    # The lock is on pyproject.toml itself: it is always there, and `venv --clear` cannot remove it.
    with PYPROJECT.open("r+b") as file:
        if not _lock(file.fileno(), wait=False):
            _say("Waiting for another kit that is setting up .venv…")
            while not _lock(file.fileno(), wait=True):
                pass
        yield


def _lock(descriptor: int, *, wait: bool) -> bool:
    if sys.platform == "win32":
        # A byte far behind the end: Windows keeps others from reading what is locked.
        os.lseek(descriptor, 1 << 30, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        except OSError:  # Taken; LK_LOCK gives up after ten seconds.
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


# Other processes


def _become(argv: "Sequence[str]") -> "NoReturn":
    """Run `kit ARGV` with the Python of `.venv` in place of this one."""
    command = [str(VENV_PYTHON), "-m", "kit", *argv]
    sys.stderr.flush()
    if sys.platform == "win32":
        # There, exec returns to the shell at once and the command goes on behind the prompt.
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def _run(command: "Sequence[str]") -> None:
    """Run one step of the set-up in silence; show what it said only if it fails, and exit."""
    environment = dict(os.environ, PIP_USER="0")
    done = subprocess.run(
        command,
        cwd=str(ROOT),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stdout.decode("utf-8", "replace"))
        sys.exit(
            "kit: set-up failed, see above; the command was: " + " ".join(command) + "\n"
            f"Mend that and run this again, or use an environment of your own with {OFF}=1."
        )


def _output(command: "Sequence[str]") -> str:
    """Return what a command prints; nothing if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else ""


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
