"""
Copies of the helpers in somebody's project: make them, and tell edits from updates later.

The first lines of a copy name the helper, its version and the sha256 of its text. What differs from
that text is the project's edit; what differs between it and the present text is the kit's update.
"""

import difflib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal

from kit.errors import KitError
from kit.sameness import same_code
from kit.upstream import Stamp, Upstream, digest

CORE = "dodo_datafast"
# What `kit add NAME` copies besides the core.
VIEWS = {
    "fastapi": "dodo_datafast_starlette",
    "starlette": "dodo_datafast_starlette",
    "django": "dodo_datafast_django",
    "flask": "dodo_datafast_flask",
    "core": None,
}

State = Literal["current", "outdated", "edited", "edited and outdated", "newer", "unknown"]
"""newer: from a later version than this kit; unknown: without a stamp, or of no helper we have."""
Action = Literal["create", "keep", "update", "overwrite"]

_STAMP = re.compile(r"# kit: (\w+) (\S+) sha256:([0-9a-f]{64})")
_HEADER = re.compile(r"# (?:Copied from dodo-datafast-kit |To see what changed upstream: |kit: \w)")
_HEADER_LINES = 40  # a project may have put a notice of its own before it
_HEADER_BYTES = 4096
# A view imports the core beside it: relatively in a package, by its name elsewhere.
_RELATIVE, _ABSOLUTE = "from . import dodo_datafast as core", "import dodo_datafast as core"
_NOT_SEARCHED = {"__pycache__", "node_modules", "site-packages"}


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as it stands in the project, read."""

    path: Path
    stamp: Stamp | None
    text: str
    """Without the stamp, with `\\n` at line ends and the helper's own import of the core."""
    seen: bytes

    @property
    def has_crlf(self) -> bool:
        """Whether its lines end as on Windows."""
        return b"\r\n" in self.seen


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a copy."""

    copy: Copy
    state: State
    base: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done about one file of a plan."""

    path: Path
    action: Action
    content: bytes
    finding: Finding | None = None


def stamped(name: str, text: str, version: str, *, in_package: bool) -> str:
    """Return a helper's text as a copy: after its first line, which is the licence, the stamp."""
    licence, _, rest = text.partition("\n")
    lines = [
        licence,
        f"# Copied from dodo-datafast-kit {version}, kit/helpers/{name}.py",
        f"# To see what changed upstream: kit add --diff {name}.py",
        f"# kit: {name} {version} sha256:{digest(text)}",
        rest if in_package else rest.replace(_RELATIVE, _ABSOLUTE, 1),
    ]
    return "\n".join(lines)


def read_copy(path: Path) -> Copy:
    """Read a file that may be a copy. Raises KitError when it cannot be read."""
    try:
        seen = path.read_bytes()
        text = seen.decode("utf-8-sig").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise KitError(f"{path} cannot be read: {problem}") from None
    lines = text.split("\n")
    stamps = _stamps(lines)
    body = [line for line in lines[:_HEADER_LINES] if not _HEADER.match(line)]
    text = "\n".join([*body, *lines[_HEADER_LINES:]])
    text = re.sub(rf"^{_ABSOLUTE}$", _RELATIVE, text, count=1, flags=re.MULTILINE)
    return Copy(path, stamps[0] if stamps else None, text, seen)


def _stamps(lines: list[str]) -> list[Stamp]:
    matches = (_STAMP.fullmatch(line.strip()) for line in lines[:_HEADER_LINES])
    return [Stamp(*match.groups()) for match in matches if match]


def find_copies(folder: Path) -> Iterator[Path]:
    """Yield the stamped files below a folder; environments and hidden folders are left out."""
    for place, folders, files in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(
            name
            for name in folders
            if name not in _NOT_SEARCHED
            and not name.startswith(".")
            and not (here / name / "pyvenv.cfg").exists()
        )
        for path in (here / name for name in sorted(files) if name.endswith(".py")):
            try:
                with path.open("rb") as file:
                    head = file.read(_HEADER_BYTES).decode("utf-8", "replace")
            except OSError:
                continue
            if _stamps(head.splitlines()):
                yield path


def examine(copy: Copy, upstream: Upstream) -> Finding:
    """Tell edits from updates. A copy that a formatter laid out anew is not an edited one."""
    stamp = copy.stamp
    new = upstream.text(stamp.name) if stamp else None
    if stamp is None or new is None:
        later = stamp is not None and upstream.is_older_than(stamp)
        return Finding(copy, "newer" if later else "unknown", None, new)
    base = upstream.base(stamp)
    untouched = digest(copy.text) == stamp.sha256 or (
        base is not None and same_code(copy.text, base)
    )
    state: State
    if same_code(copy.text, new):
        state = "current"
    elif stamp.sha256 == digest(new):
        state = "edited"
    elif upstream.is_older_than(stamp):
        state = "newer"
    else:
        state = "outdated" if untouched else "edited and outdated"
    return Finding(copy, state, base, new)


def diffs(finding: Finding, upstream: Upstream) -> Iterator[tuple[str, str]]:
    """Yield a title and a unified diff for each side that changed; nothing for a current copy."""
    copy, stamp, new = finding.copy, finding.copy.stamp, finding.new
    if finding.state == "current" or stamp is None or new is None:
        return
    in_package = _is_package(copy.path.parent)
    yours = copy.seen.decode("utf-8-sig").replace("\r\n", "\n")
    theirs = stamped(stamp.name, new, upstream.version, in_package=in_package)
    now = f"{copy.path} (kit {upstream.version})"
    if finding.base is None:
        title = f"between {upstream.version} and yours; the text of {stamp.version} is not kept"
        yield title, _unified(theirs, yours, now, str(copy.path))
        return
    base = stamped(stamp.name, finding.base, stamp.version, in_package=in_package)
    then = f"{copy.path} (kit {stamp.version})"
    if finding.state != "outdated":
        yield f"your edits since {stamp.version}", _unified(base, yours, then, str(copy.path))
    if finding.state != "edited":
        title = f"changes upstream since {stamp.version}"
        yield title, _unified(base, theirs, then, now)


def plan(framework: str, directory: str, upstream: Upstream, *, root: Path) -> list[Step]:
    """
    Say what copying a framework's files into `directory` below `root` comes to, writing nothing.

    Raises KitError for a place outside of `root`, and for what cannot be read.
    """
    folder = _inside(root, directory)
    steps = []
    for name in (CORE, VIEWS[framework]):
        if name is None:
            continue
        text = upstream.text(name) or ""
        path = _inside(root, PurePath(directory, f"{name}.py"))
        content = stamped(name, text, upstream.version, in_package=_is_package(folder))
        steps.append(_step(path, content, text, upstream))
    return steps


def _step(path: Path, content: str, text: str, upstream: Upstream) -> Step:
    if not path.exists():
        return Step(path, "create", content.encode())
    finding = examine(read_copy(path), upstream)
    if finding.copy.has_crlf:
        content = content.replace("\n", "\r\n")
    action: Action = "overwrite"
    if same_code(finding.copy.text, text):
        # Copied or merged by hand: it gets the stamp that belongs to it.
        stamp = finding.copy.stamp
        action = "keep" if stamp and stamp.sha256 == digest(text) else "update"
    elif finding.state == "outdated":
        action = "update"
    return Step(path, action, content.encode(), finding)


def write_files(steps: list[Step]) -> None:
    """Do what is planned, each file whole or not at all. Raises KitError."""
    for step in steps:
        if step.action != "keep":
            try:
                _write(step)
            except OSError as problem:
                raise KitError(f"{step.path} cannot be written: {problem}") from None


def _write(step: Step) -> None:
    path, seen = step.path, step.finding.copy.seen if step.finding else None
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with fresh.open("xb") as file:
            file.write(step.content)
        if seen is not None:
            shutil.copymode(path, fresh)
        if (path.read_bytes() if path.exists() else None) != seen:
            raise KitError(f"{path} was changed meanwhile; run the command again")
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def module_name(folder: Path, name: str) -> str:
    """Return how an app imports a copy: with the packages that its folder is in."""
    parts = [name]
    while _is_package(folder):
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts)


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def _inside(root: Path, given: str | PurePath) -> Path:
    """Return the place that is meant. Raises KitError when it is not below `root`."""
    pure = PurePath(given)
    try:
        place = (root / pure).resolve()
    except (OSError, RuntimeError) as problem:  # a loop of links
        raise KitError(f"{given} cannot be followed: {problem}") from None
    if pure.anchor or ".." in pure.parts or not place.is_relative_to(root.resolve()):
        raise KitError(
            f"{given} is not inside this folder; go to the project's folder and name a place in it"
        )
    return place


def _unified(before: str, after: str, from_name: str, to_name: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), from_name, to_name, lineterm=""
    )
    return "\n".join(lines)
