"""Tell whether two Python texts hold the same code, however a formatter has laid them out."""

import ast
import inspect
import io
import tokenize
from functools import lru_cache

_UNREADABLE = (SyntaxError, ValueError, RecursionError, tokenize.TokenError)


def same_code(one: str, other: str) -> bool:
    """
    Compare two texts by their syntax trees and their comments.

    Layout, quotes, the indentation of docstrings and the order of imports at the top may differ.
    Comments count, because a copy with somebody's note in it must not be overwritten as untouched.
    A text that is no Python is the same as itself only.
    """
    if one == other:
        return True
    try:
        return _meaning(one) == _meaning(other)
    except _UNREADABLE:
        return False


@lru_cache(maxsize=8)  # a copy is held against what it came from, and against what is new
def _meaning(text: str) -> tuple[object, ...]:
    tree = ast.parse(text)
    imports = sorted(_imported(tree))
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    for node in ast.walk(tree):
        # A docstring, also one below an attribute: formatters move its lines.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            value = node.value.value
            node.value.value = inspect.cleandoc(value) if isinstance(value, str) else value
            node.value.kind = None
    return ast.dump(tree), imports, sorted(_comments(text))


def _imported(tree: ast.Module) -> list[tuple[int, str, str, str]]:
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [(0, "", alias.name, alias.asname or "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            place = (node.level, node.module or "")
            found += [(*place, alias.name, alias.asname or "") for alias in node.names]
    return found


def _comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT]
