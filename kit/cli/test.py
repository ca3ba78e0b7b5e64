"""`kit test`: the clone's own checks and tests, in two lanes at once."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import click

from kit.errors import KitError
from kit.lab.browser import BrowserMissing, find_browser

ROOT = Path(__file__).resolve().parents[2]
STEP_LIMIT_S = 900
FAREWELL_S = 15
MEMORY = Path("/dev/shm")  # noqa: S108 - only a folder of its own is used there
ROOM_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a lane, and the seconds it is meant to stay within."""

    name: str
    module: str
    arguments: tuple[str, ...]
    budget_s: int
    in_memory: bool = False
    """Whether its temporary files may be in memory: true where no disk is what is tested."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What pytest counted; an error counts as a failure."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum of both."""
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __str__(self) -> str:
        """Return the closing line that continuous integration reads."""
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{skipped}"


@dataclass(frozen=True, slots=True)
class Result:
    """How a step ended: its exit code, seconds and tests."""

    step: Step
    exit_code: int
    seconds: float
    counts: Counts


CHECKS = (
    Step("ruff check", "ruff", ("check",), 2),
    Step("ruff format", "ruff", ("format", "--check"), 2),
    Step("mypy", "mypy", (), 21),
)
# tests/network/ and e2e/network/ are not collected unless they are asked for: see the conftest.py.
UNIT_TESTS = Step("tests", "pytest", ("tests", "--ignore=tests/faults"), 75, in_memory=True)
FAULT_TESTS = Step("tests/faults", "pytest", ("tests/faults",), 45)
BROWSER_TESTS = Step("e2e", "pytest", ("e2e",), 150)
NETWORK_TESTS = Step("tests/network", "pytest", ("tests/network",), 90)
BROWSER_TESTS_WITH_NETWORK = Step("e2e", "pytest", ("e2e", "--network"), 150)


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--network", is_flag=True, help="Run the tests that download packages as well.")
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED, metavar="[PYTEST_ARGS]...")
def command(*, network: bool, pytest_args: tuple[str, ...]) -> None:
    """
    Run this clone's own tests, in a real browser too.

    Without PYTEST_ARGS, two lanes run at once: ruff, mypy and tests/ beside e2e/ and the faults
    that the kit must survive. A browser is installed if none is found. Each step is shown whole
    when it ends.

    With PYTEST_ARGS, only pytest runs, once, with them:

    \b
      kit test -k visitor              in tests/ and e2e/
      kit test tests/test_hops.py -x   this file; no browser is looked for

    Exit code: 0 if everything passed, else 1 (with PYTEST_ARGS, pytest's own). A failing journey
    says where its trace is.
    """  # noqa: D301 - click reads the \b: what follows it keeps its lines
    if not (ROOT / "tests").is_dir():
        raise KitError("kit test runs this project's own tests: it needs a clone, not a wheel.")
    if network and pytest_args:
        raise click.UsageError(
            "name tests/network or e2e/network instead of --network, beside other arguments."
        )
    environ = dict(os.environ)
    # The kit is started hundreds of times: each would compile all of it anew.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if needs_browser(pytest_args):
        environ["KIT_BROWSER"] = _browser()
    if pytest_args:
        os.execve(  # noqa: S606 - no shell is wanted
            sys.executable, [sys.executable, "-m", "pytest", *pytest_args], environ
        )
    unit_lane = [*CHECKS, UNIT_TESTS]
    if network and (ROOT / "tests" / "network").is_dir():
        unit_lane.append(NETWORK_TESTS)
    try:
        browser_lane = [BROWSER_TESTS_WITH_NETWORK if network else BROWSER_TESTS]
        # The shorter lane takes the faults.
        results = asyncio.run(run_lanes([unit_lane, [*browser_lane, FAULT_TESTS]], environ))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(130)
    summarise(results)
    sys.exit(any(result.exit_code for result in results))


def needs_browser(pytest_args: Sequence[str]) -> bool:
    """Tell whether pytest comes to e2e/ with these arguments: a path there is named, or none."""
    named = [Path(word.partition("::")[0]).resolve() for word in pytest_args if _is_path(word)]
    e2e = ROOT / "e2e"
    return not named or any(path.is_relative_to(e2e) or e2e.is_relative_to(path) for path in named)


def _is_path(word: str) -> bool:
    return not word.startswith("-") and Path(word.partition("::")[0]).exists()


def _browser() -> str:
    try:
        return str(find_browser(install=True, say=lambda line: click.echo(line, err=True)).path)
    except BrowserMissing as error:
        raise KitError(str(error)) from error


async def run_lanes(lanes: Sequence[Sequence[Step]], environ: dict[str, str]) -> list[Result]:
    """Run the lanes at once and the steps of each in turn; a failing step stops no other."""
    this = asyncio.current_task()
    if this is not None and sys.platform != "win32":
        # Steps live in process groups of their own: whoever ends this must end them too.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    status = Status()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_run_lane(lane, environ, status)) for lane in lanes]
        ticking = group.create_task(status.tick())
        await asyncio.wait(tasks)
        ticking.cancel()
    return [result for task in tasks for result in task.result()]


async def _run_lane(
    lane: Sequence[Step], environ: dict[str, str], status: "Status"
) -> list[Result]:
    results = []
    for step in lane:
        status.running.append(step.name)
        output, result = await run_step(step, environ)
        status.running.remove(step.name)
        status.clear()
        click.echo(f"{describe(result)}\n{output.rstrip()}\n")
        results.append(result)
    return results


async def run_step(
    step: Step, environ: dict[str, str], *, in_memory: Path = MEMORY
) -> tuple[str, Result]:
    """Run one step in the clone; return all it printed, and how it ended."""
    started = time.monotonic()
    memory = usable(in_memory) if step.in_memory else None
    with tempfile.TemporaryDirectory(prefix="kit-test-", dir=memory) as folder:
        if memory is not None:
            environ = environ | {"TMPDIR": folder}
        report, printed = Path(folder) / "junit.xml", Path(folder) / "output"
        arguments = [*step.arguments]
        if step.module == "pytest":
            coloured = sys.stdout.isatty() and not environ.get("NO_COLOR")
            arguments += [f"--junit-xml={report}", f"--color={'yes' if coloured else 'no'}"]
        # A file, not a pipe: nothing that a step leaves behind can keep it open.
        with printed.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", step.module, *arguments),
                cwd=ROOT,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            await asyncio.wait_for(process.wait(), STEP_LIMIT_S)
        except TimeoutError:
            click.echo(f"{step.name} took longer than {STEP_LIMIT_S} s", err=True)
        finally:
            if process.returncode is None:
                await _end(process)
        text = printed.read_text(encoding="utf-8", errors="replace")
        counts = read_counts(report) if step.module == "pytest" else Counts()
    exit_code = 1 if process.returncode is None else process.returncode
    return text, Result(step, exit_code, time.monotonic() - started, counts)


def usable(folder: Path) -> Path | None:
    """
    Return a folder that is kept in memory, or None if it is not there or has no room.

    Thousands of small databases are opened there, and each waits for every fsync of a disk. Tests
    start programs, too, which some systems forbid there.
    """
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return None
    found = os.statvfs(folder)
    has_room = found.f_bavail * found.f_frsize >= ROOM_BYTES
    return folder if has_room and not found.f_flag & getattr(os, "ST_NOEXEC", 0) else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """Interrupt a step's whole process group, as Ctrl-C would: pytest says where it was."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError, TimeoutError):
            os.killpg(process.pid, number)
            await asyncio.wait_for(process.wait(), FAREWELL_S)


def read_counts(report: Path) -> Counts:
    """Return what a JUnit report counts; nothing if pytest came to no report."""
    if not report.is_file():
        return Counts()
    # A test that fails and then fails again in its teardown is listed twice, and counts once.
    ends: dict[tuple[str | None, str | None], set[str]] = {}
    # Written by our own pytest a moment ago: not a stranger's XML.
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314
        key = (case.get("classname"), case.get("name"))
        ends.setdefault(key, set()).update(child.tag for child in case)
    failed = sum(bool(end & {"failure", "error"}) for end in ends.values())
    skipped = sum("skipped" in end and not end & {"failure", "error"} for end in ends.values())
    return Counts(len(ends) - failed - skipped, failed, skipped)


class Status:
    """A line on the terminal that says what is running; on anything else, nothing."""

    def __init__(self) -> None:
        """Start with nothing running."""
        self.running: list[str] = []
        self._started = time.monotonic()

    async def tick(self) -> None:
        """Rewrite the line every second."""
        while sys.stderr.isatty():
            seconds = time.monotonic() - self._started
            sys.stderr.write(f"\r\033[K{' + '.join(self.running)}  {seconds:.0f} s")
            sys.stderr.flush()
            await asyncio.sleep(1)

    def clear(self) -> None:
        """Remove the line before something else is printed."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def describe(result: Result) -> str:
    """Return the line above a step's output: verdict, name, seconds, budget."""
    verdict = (
        click.style("ok", fg="green") if result.exit_code == 0 else click.style("FAILED", fg="red")
    )
    late = ", over budget" if result.seconds > result.step.budget_s else ""
    return (
        f"{verdict}  {result.step.name}  "
        f"{result.seconds:.1f} s (budget {result.step.budget_s} s{late})"
    )


def summarise(results: Sequence[Result]) -> None:
    """Print one line for each step, and the count of all tests alone on the last."""
    for result in results:
        click.echo(describe(result))
    total = sum((result.counts for result in results), start=Counts())
    click.echo(f"\n{total}")
