"""The rules that make the core one file to copy: alone, silent, standard library only."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kit.helpers.dodo_datafast as core
from kit import web

SOURCE = Path(core.__file__).read_text("utf-8")
TREE = ast.parse(SOURCE)


def imported_modules() -> set[str]:
    """Return every module that the file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def public_names() -> set[str]:
    """Return every public name that the file defines at its top level."""
    found: set[str] = set()
    for node in TREE.body:
        match node:
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                found.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.Assign(targets=targets):
                found |= {
                    part.id
                    for target in targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name)
                }
    return {name for name in found if not name.startswith("_")}


def run_alone(folder: Path, program: str) -> str:
    """Run a program in a fresh isolated interpreter and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", program, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    """Copy the file, and nothing else, into an empty folder."""
    shutil.copy(core.__file__, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "module", ["storefront/checkout.py", "storefront/orders.py", "receiver.py"]
)
def test_the_shop_that_is_tested_end_to_end_uses_this_very_file(module: str) -> None:
    """What is proven in a browser is what is copied."""
    tree = ast.parse((Path(web.__file__).parent / module).read_text("utf-8"))
    sources = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert core.__name__ in sources


def test_the_licence_comes_first() -> None:
    """A copied file carries its licence with it."""
    assert SOURCE.splitlines()[0] == "# SPDX-License-Identifier: MIT"


def test_only_the_standard_library_is_imported() -> None:
    """No package to install, and nothing of the kit."""
    roots = {name.partition(".")[0] for name in imported_modules()}

    assert roots <= set(sys.stdlib_module_names)


def test_nothing_that_does_io_or_reads_a_clock_is_imported() -> None:
    """Plain data in, plain data out; parsing an address or a date is all it needs."""
    forbidden = {
        "asyncio", "ctypes", "http", "io", "logging", "os", "pathlib", "random", "secrets",
        "socket", "ssl", "subprocess", "sys", "threading", "time", "urllib.request", "uuid",
        "warnings",
    }  # fmt: skip

    assert not imported_modules() & forbidden


def test_nothing_that_does_io_or_reads_a_clock_is_called() -> None:
    """The names that would bring in files, output, code from text, or the time of day."""
    names = {node.id for node in ast.walk(TREE) if isinstance(node, ast.Name)}
    attributes = {node.attr for node in ast.walk(TREE) if isinstance(node, ast.Attribute)}

    assert not names & {"open", "print", "input", "eval", "exec", "compile", "__import__"}
    assert not attributes & {"now", "utcnow", "today", "environ", "getenv", "urlopen"}


def test_loading_it_compiles_no_pattern() -> None:
    """Each is compiled when it is first used: a shop's start does not wait for it."""
    compiled = [
        node
        for node in ast.walk(TREE)
        if isinstance(node, ast.Attribute) and node.attr == "compile"
    ]

    assert compiled == []


def test_no_binary_float_touches_money() -> None:
    """`float` is called for waiting times alone, and money has no `round` and no `/`."""
    functions = {node.name: node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)}
    for name in ("major_units", "exponent", "_revenue", "_amount_minor", "payment_for", "as_json"):
        nodes = list(ast.walk(functions[name]))

        assert not any(isinstance(node, ast.Div | ast.Pow) for node in nodes), name
        assert not any(
            isinstance(node, ast.Name) and node.id in ("float", "round") for node in nodes
        )
        assert not any(
            isinstance(node, ast.Constant) and isinstance(node.value, float) for node in nodes
        )


def test_the_public_names_are_exactly_those_listed() -> None:
    """What `__all__` names exists, and what is public is in it."""
    assert set(core.__all__) == public_names()
    assert all(hasattr(core, name) for name in core.__all__)


def test_the_public_names_are_sorted() -> None:
    """Constants, classes, functions; each in order, none twice."""

    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert core.__all__ == sorted(set(core.__all__), key=place)


def test_every_public_name_is_documented() -> None:
    """A copied file has no other manual."""
    undocumented = {
        node.name
        for node in TREE.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    }

    assert not undocumented


def test_the_copy_imports_alone(alone: Path) -> None:
    """In an empty folder, in isolated mode, with warnings as errors, it needs nothing else."""
    out = run_alone(
        alone,
        "import sys; sys.path.insert(0, sys.argv[1]); import dodo_datafast as core;"
        "print(core.__file__);"
        "print(sorted({name.partition('.')[0] for name in sys.modules}"
        " - set(sys.stdlib_module_names) - {'__main__', 'dodo_datafast'}))",
    )
    place, others = out.splitlines()

    assert Path(place).parent.samefile(alone)
    # Site customisations of an environment may load modules of their own, with a private name.
    assert [
        name for name in ast.literal_eval(others) if not name.startswith(("_", "sitecustom"))
    ] == []


def test_the_copy_s_doctests_pass(alone: Path) -> None:
    """The examples in the docstrings are true where users read them."""
    out = run_alone(
        alone,
        "import sys, doctest; sys.path.insert(0, sys.argv[1]); import dodo_datafast;"
        "done = doctest.testmod(dodo_datafast); print(done.failed, done.attempted)",
    )
    failed, attempted = map(int, out.split())

    assert failed == 0
    assert attempted >= 4


def test_importing_the_copy_has_no_side_effect(alone: Path) -> None:
    """No file is written, no address opened, no environment read, no logger touched."""
    modules = sorted(imported_modules() - {"__future__"})
    out = run_alone(
        alone,
        f"""
import importlib, logging, os, sys
sys.dont_write_bytecode = True
for name in {modules!r}:
    importlib.import_module(name)  # what these do themselves is not the file's doing
sys.path.insert(0, sys.argv[1])
happened = []

class Watched(dict):
    def __getitem__(self, key):
        happened.append(("environ", key))
        return super().__getitem__(key)
    def get(self, key, default=None):
        happened.append(("environ", key))
        return super().get(key, default)
    def __contains__(self, key):
        happened.append(("environ", key))
        return super().__contains__(key)

def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(sys.argv[1]):
        if any(mark in str(arguments[1]) for mark in "wax+"):
            happened.append((event, str(arguments[0])))
    elif event.startswith(("socket.", "subprocess.", "os.putenv", "os.system", "urllib.")):
        happened.append((event,))

loggers = set(logging.root.manager.loggerDict)
os.environ = Watched(os.environ)
sys.addaudithook(watch)
importlib.import_module("dodo_datafast")
assert not logging.root.handlers
assert logging.root.level == logging.WARNING
assert set(logging.root.manager.loggerDict) == loggers
print(happened)
""",
    )

    assert out == "[]\n"
    assert sorted(path.name for path in alone.iterdir()) == ["dodo_datafast.py"]


def test_the_copy_is_typed_strictly_by_itself(alone: Path) -> None:
    """A user's own `mypy --strict` has nothing to say about it, on the oldest Python."""
    done = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-version", "3.11",
            "--cache-dir", os.devnull, "dodo_datafast.py",
        ],
        cwd=alone,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
