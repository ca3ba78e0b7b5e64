"""Who may import whom: the table, and a look at every import of the source."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KIT = ROOT / "kit"
SOURCES = sorted(KIT.rglob("*.py"))

FOUNDATION = {"helpers", "hops", "errors"}
SERVICES = {"ledger", "dodo", "datafast"}
EVERYTHING = {
    *(path.stem for path in KIT.glob("*.py")),
    *(path.name for path in KIT.iterdir() if path.is_dir() and not path.name.startswith("__")),
}

# Nothing runs upward. A part is a module or a folder of kit/; each may import itself too.
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"bootstrap", "cli"},
    "bootstrap": set(),
    "helpers": set(),
    "hops": {"reasons", "diagnoses"},
    "diagnoses": {"reasons"},
    "reasons": set(),
    "errors": set(),
    "sandbox": set(),  # it judges the kit, so it shares nothing with it
    "lab": {"hops"},
    "resources": {"errors"},
    "variables": {"helpers"},
    "settings": {"errors", "helpers", "variables"},
    "logs": set(),
    "connections": set(),
    "transport": {"errors", "helpers"},
    "dodo": {"errors", "helpers", "transport"},
    "datafast": {"errors", "helpers", "transport"},
    "ledger": FOUNDATION,
    "outcomes": FOUNDATION | {"ledger"},  # what the forwarder decides, without its calls
    "lookups": FOUNDATION | SERVICES | {"outcomes"},  # what the forwarder asks Dodo
    "sender": FOUNDATION | SERVICES | {"outcomes", "lookups"},  # one claimed delivery
    "forwarder": FOUNDATION | SERVICES | {"outcomes", "lookups", "sender"},
    "transformations": {"helpers", "errors"},
    "wanted": FOUNDATION | {"ledger"},  # what an action is asked for
    "actions": FOUNDATION | SERVICES | {"outcomes", "wanted"},
    "reconcile": FOUNDATION | SERVICES,
    "checks": FOUNDATION | SERVICES | {"settings", "variables", "resources", "transport", "lab"},
    "doctor": FOUNDATION | {"checks"},
    "sameness": set(),
    "upstream": {"errors"},
    "copyin": FOUNDATION | {"upstream", "sameness"},
    "worker": FOUNDATION | SERVICES | {"settings", "lookups", "sender", "forwarder"},
    "web": FOUNDATION
    | SERVICES
    | {"forwarder", "sender", "lookups", "actions", "wanted", "reconcile"}
    | {"resources", "transport"},
    "web.app": EVERYTHING - {"cli", "server", "sandbox"},
    "pytest_plugin": {"plugin"},
    "plugin": {"sandbox", "lab", "hops", "errors", "resources"},
    "server": EVERYTHING,
    "workers": {"errors"},
    "cli": EVERYTHING,
}

# What all pieces of the web stand on; apart from these they do not know one another.
WEB_GROUND = {("web", name) for name in ("consent", "forms", "guard", "jar", "money", "pages")}

# The view files a user copies import their framework and the core beside them, nothing else; the
# asynchronous one a client too, since the standard library has none.
FRAMEWORKS = {
    "dodo_datafast_starlette": {"starlette", "httpx"},
    "dodo_datafast_django": {"django"},
    "dodo_datafast_flask": {"flask"},
}


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Return the full name of every module, or name in one, that a file imports at any depth."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def parts_of(path: Path) -> tuple[str, ...]:
    """Return a file's place in kit/: ("web", "receiver")."""
    return path.relative_to(KIT).with_suffix("").parts


def parts_imported(path: Path) -> Iterator[tuple[str, ...]]:
    """Yield the place in kit/ of everything that a file imports from there."""
    for name in imports(path):
        top, *rest = name.split(".")
        # `from kit import __version__` imports the package itself.
        if top == "kit" and rest and rest[0] in EVERYTHING:
            yield tuple(rest)


def outside(path: Path) -> set[str]:
    """Return the top-level packages a file imports that are not the standard library's."""
    tops = {name.partition(".")[0] for name in imports(path)}
    return tops - set(sys.stdlib_module_names)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_what_its_layer_may(path: Path) -> None:
    """A new part of the kit needs its line in the table."""
    own = parts_of(path)
    layer = ".".join(own) if ".".join(own) in MAY_IMPORT else own[0]

    assert layer in MAY_IMPORT
    assert {part[0] for part in parts_imported(path)} - {own[0]} <= MAY_IMPORT[layer]


@pytest.mark.parametrize(
    "path", sorted((KIT / "web").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_pieces_of_the_web_do_not_import_one_another(path: Path) -> None:
    """Only web/app.py puts them together; what two of them need is ground."""
    own = parts_of(path)
    siblings = {part[:2] for part in parts_imported(path) if part[0] == "web"}

    assert own[1] == "app" or siblings <= WEB_GROUND | {own[:2]}


@pytest.mark.parametrize("path", sorted((KIT / "helpers").glob("*.py")), ids=lambda path: path.stem)
def test_what_users_copy_pulls_in_no_package(path: Path) -> None:
    """The core needs the standard library; a view file also its framework and the core."""
    expected = FRAMEWORKS.get(path.stem, set())
    core = {"dodo_datafast", "kit"} if expected else set()

    assert outside(path) <= expected | core


@pytest.mark.parametrize("name", ["__main__.py", "bootstrap.py"])
def test_the_set_up_needs_the_standard_library_only(name: str) -> None:
    """It runs before anything is installed."""
    assert outside(KIT / name) <= {"kit"}


@pytest.mark.parametrize("folder", ["kit", "tests", "e2e"])
def test_nobody_uses_starlettes_test_client(folder: str) -> None:
    """It needs a second HTTP client; httpx.ASGITransport with the lifespan entered needs none."""
    users = [
        str(path.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if any(name.startswith("starlette.testclient") for name in imports(path))
    ]

    assert users == []
