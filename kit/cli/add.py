"""`kit add`: copy the helpers into a shop, and later show what changed on either side."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from kit.cli import COMMANDS
from kit.copyin import (
    CORE,
    VIEWS,
    Finding,
    Step,
    diffs,
    examine,
    find_copies,
    module_name,
    plan,
    read_copy,
    write_files,
)
from kit.upstream import Upstream

DIFFERS, REFUSED = 1, 2  # exit codes, as those of `diff`

MARKS = {"create": "+ create", "keep": "= identical", "update": "~ update", "overwrite": "! edited"}
STATES = {"newer": "from a later kit", "unknown": "not copied by kit add"}

_ROUTES = "from {module} import dodo\n\napp.routes.extend(dodo)"
PASTE = {
    "fastapi": _ROUTES,
    "starlette": _ROUTES,
    "flask": "from {module} import dodo\n\napp.register_blueprint(dodo)",
    "django": "from django.urls import include, path\n\n"
    'urlpatterns += [path("", include("{module}"))]',
}
PAGE = """\
<script defer data-website-id="dfid_…" data-domain="example.com" data-disable-payments="true"
  src="https://datafa.st/js/script.js"></script>
<form method="post" action="/checkout">{token}
  <button name="product" value="pdt_…">Buy</button>
</form>"""
VARIABLES = {
    "DODO_PAYMENTS_API_KEY": "a key of Dodo with write access",
    "DODO_PAYMENTS_WEBHOOK_KEY": "whsec_… of Dodo's endpoint https://your-shop/webhooks/dodo",
    "DODO_PAYMENTS_RETURN_URL": "the page of the shop that buyers come back to",
    "DODO_PAYMENTS_ENVIRONMENT": "live_mode to sell; else test_mode, and payments are withheld",
    "DATAFAST_API_KEY": "df_… of the website at DataFast",
    "KIT_PRODUCTS": "pdt_…, those a buyer may choose, separated by commas",
}
# Named as soon as this kit has them.
NEXT = {"demo": "kit demo --shop {url}", "doctor": "kit doctor", "verify": "kit verify {url}"}


@click.command(name="add")
@click.argument("arguments", nargs=-1, metavar="FRAMEWORK [DIR] | PATH...")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@click.option("--view", is_flag=True, help="Print the files, and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite files that you edited, too.")
@click.option("--diff", is_flag=True, help="Show your edits and this kit's changes, each apart.")
@click.option("--check", is_flag=True, help="Say of each copy, in a line, whether it is current.")
def command(
    arguments: tuple[str, ...], *, dry_run: bool, view: bool, force: bool, diff: bool, check: bool
) -> None:
    """
    Copy the helpers into DIR, for fastapi, starlette, django or flask; core is the core alone.

    The copies are yours. With --diff or --check, name files or folders, or nothing for all copies
    below this folder; the exit code is 1 where one is not as this kit has it.
    """
    if sum((dry_run, view, force, diff, check)) > 1:
        raise click.UsageError("of these options each goes alone")
    if diff or check:
        raise SystemExit(_compare(_named(arguments), show_diffs=diff))
    if not 1 <= len(arguments) <= 2 or arguments[0] not in VIEWS:
        raise click.UsageError(f"name one of {', '.join(VIEWS)}, and a folder if not this one")
    framework = arguments[0]
    steps = plan(framework, "".join(arguments[1:]) or ".", Upstream(), root=Path.cwd())
    if view:
        click.echo("\n\n".join(step.content.decode() for step in steps), nl=False)
        return
    for step in steps:
        click.echo(_plan_line(step))
    if dry_run:
        return
    edited = [step for step in steps if step.action == "overwrite"]
    if edited and not force:
        click.echo(_refusal(framework, steps, edited), err=True)
        raise SystemExit(REFUSED)
    write_files(steps)
    if framework != "core":
        click.echo(_guidance(framework, steps[-1].path))


def _plan_line(step: Step) -> str:
    line = f"{MARKS[step.action]:<11} {_shown(step.path)}"
    if step.finding is None or step.action == "keep":
        return line
    return f"{line} ({_described(step.finding)})"


def _described(finding: Finding) -> str:
    stamp, now = finding.copy.stamp, Upstream().version
    state = STATES.get(finding.state, finding.state)
    if stamp is None:
        return state
    return (
        f"{state}, {stamp.version}"
        if stamp.version == now
        else f"{state}, {stamp.version} -> {now}"
    )


def _refusal(framework: str, steps: Sequence[Step], edited: Sequence[Step]) -> str:
    names = " ".join(_shown(step.path) for step in edited)
    lines = [
        f"Nothing was written: --force would overwrite what is yours in {names}",
        f"  see it:        kit add --diff {names}",
    ]
    if framework != "core" and steps[0] not in edited:
        folder = _shown(steps[0].path.parent)
        lines.append(f"  the core only: kit add core {folder}".rstrip(" ."))
    return "\n".join(lines)


def _guidance(framework: str, view: Path) -> str:
    place = "the project's urls.py, at its end" if framework == "django" else "your app"
    token = "{% csrf_token %}" if framework == "django" else ""
    url = "http://127.0.0.1:5000" if framework == "flask" else "http://127.0.0.1:8000"
    code = PASTE[framework].format(module=module_name(view.parent, view.stem))
    width = max(map(len, VARIABLES))
    parts = [
        f"Paste into {place}:",
        code,
        "and into a page, with your ids:",
        PAGE.replace("{token}", token),
        "Set these variables:",
        "\n".join(f"{name:<{width}}  {what}" for name, what in VARIABLES.items()),
        "Try it:",
        "\n".join(line.format(url=url) for name, line in NEXT.items() if name in COMMANDS),
    ]
    if framework in ("fastapi", "starlette"):
        parts[:0] = ["Install what it sends with:", "pip install httpx"]
    return "\n" + "\n\n".join(
        part if part.endswith(":") else textwrap.indent(part, "    ") for part in parts
    )


def _named(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the files that are to be compared."""
    if arguments and arguments[0] in VIEWS and not Path(arguments[0]).exists():
        names = [name for name in (CORE, VIEWS[arguments[0]]) if name]
        folder = Path(*arguments[1:2])
        arguments = [str(folder / f"{name}.py") for name in names]
    for argument in arguments or ["."]:
        path = Path(argument)
        if path.is_dir():
            yield from find_copies(path)
        elif path.is_file():
            yield path
        else:
            raise click.UsageError(f"there is no file or folder {argument}")


def _compare(paths: Iterator[Path], *, show_diffs: bool) -> int:
    upstream = Upstream()
    findings = [examine(read_copy(path), upstream) for path in paths]
    if not findings:
        click.echo("No copy was found here: kit add FRAMEWORK makes one.", err=True)
        return REFUSED
    for finding in findings:
        line = f"{finding.copy.path}: {_described(finding)}"
        if not show_diffs:
            click.echo(line)
        elif finding.state != "current":
            click.echo(f"# {line}")
            for title, text in diffs(finding, upstream):
                click.echo(f"# {title}\n{text}")
    return DIFFERS if any(finding.state != "current" for finding in findings) else 0


def _shown(path: Path) -> str:
    here = Path.cwd().resolve()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
