"""
Start `kit`: make the clone ready if it is not, then hand over to the command line.

This file and bootstrap.py keep to the standard library and to the syntax of Python 3.6, and this
one imports nothing else before it has looked at the version: an old Python reads a sentence.
"""

import sys

OLDEST_PYTHON = (3, 11)


def python_problem(version: "tuple[int, ...]", executable: str) -> str:
    """Return why this Python cannot run the kit, or an empty string."""
    if version[:2] >= OLDEST_PYTHON:
        return ""
    needed, found = (f"Python {major}.{minor}" for major, minor in (OLDEST_PYTHON, version[:2]))
    return (
        f"kit: needs {needed} or newer, and {executable or 'this'} is {found}. "
        "Run the same command with a newer one, for example: python3.11 -m kit demo"
    )


def main() -> None:
    """Run the command line; `python -m kit` and the installed `kit` both start here."""
    problem = python_problem(tuple(sys.version_info[:3]), sys.executable)
    if problem:
        sys.exit(problem)

    from kit import bootstrap

    bootstrap.prepare(sys.argv[1:])
    try:
        from kit.cli import main as command_line

        command_line(prog_name="kit")
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "kit"):
            raise
        sys.exit(bootstrap.missing_sentence(missing))


if __name__ == "__main__":
    main()
