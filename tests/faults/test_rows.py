"""The table of faults: complete, and true of the tests that it names."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.faults.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
NUMBERED = re.compile(r"test_((?:\d+_)+)")


@cache
def names_in(path: Path) -> frozenset[str]:
    """Return the names of a file's tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    )


def test_each_of_the_sixty_faults_has_its_row_and_a_poison_row_too() -> None:
    """In order, none twice."""
    assert [row.number for row in ROWS] == [*range(1, 61), None]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number or "poison"))
def test_the_tests_that_a_row_names_are_there(row: Row) -> None:
    """A test that was renamed holds nothing; a row without any would have to say why."""
    missing = [
        name
        for name in row.held_by
        if name.partition("::")[2] not in names_in(ROOT / name.partition("::")[0])
    ]

    assert missing == []
    assert row.held_by or row.not_here


def test_a_test_with_a_number_is_in_the_row_of_that_number() -> None:
    """So that the table is found from either side."""
    named = {(row.number, name) for row in ROWS for name in row.held_by}
    strays = [
        (number, test)
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for test in names_in(path)
        if (found := NUMBERED.match(test))
        for number in map(int, found[1].strip("_").split("_"))
        if number <= 60 and (number, f"{path.relative_to(ROOT).as_posix()}::{test}") not in named
    ]

    assert strays == []
