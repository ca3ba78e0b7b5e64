"""`kit reconcile`: hold Dodo's books against the ledger, and send what never came."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import click

from kit.cli.clients import open_datafast, open_dodo
from kit.cli.environment import environment
from kit.cli.moments import moment_ms
from kit.cli.served import ServedBooks
from kit.cli.tally import Bars, print_report, report_as_dict
from kit.dodo import DodoClient
from kit.errors import KitError, LedgerInUse
from kit.ledger import Ledger
from kit.ledger.engine import is_shared, parse_url
from kit.ledger.lanes import lane_name
from kit.ledger.mapping import map_stored_events
from kit.ledger.sqlite import file_of
from kit.logs import configure_logging
from kit.reconcile.books import Books, OwnBooks
from kit.reconcile.findings import NEEDS_HANDS
from kit.reconcile.follow import Fate, Follower
from kit.reconcile.kinds import Entry
from kit.reconcile.pacing import PER_MINUTE, Pacer
from kit.reconcile.progress import Progress, kept_progress
from kit.reconcile.run import Reconciliation, Report
from kit.settings import Settings, read_settings
from kit.worker import compose_forwarder, compose_policy

YOUNGEST_S = 600.0
"""What is younger may still be on its way: Dodo sends a second and third time within this."""
INTERRUPTED = 130


@click.command(name="reconcile")
@click.option("--since", metavar="TIME", help="From when: 2h, 7d, or a day or moment in ISO 8601.")
@click.option("--until", metavar="TIME", help="Up to when; ten minutes ago if left out.")
@click.option("--send", is_flag=True, help="Take in what is missing, and report it to DataFast.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--no-wait", is_flag=True, help="With --send: do not wait for DataFast's answers.")
@click.option(
    "--dodo-rate",
    type=click.IntRange(1, 5000),
    default=int(PER_MINUTE),
    show_default=True,
    help="Calls to Dodo in a minute; its limit holds for your checkouts too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def command(
    *,
    since: str | None,
    until: str | None,
    send: bool,
    resume: bool,
    no_wait: bool,
    dodo_rate: int,
    as_json: bool,
) -> None:
    """
    Compare Dodo's payments, refunds and disputes with what the ledger has reported.

    By the time at which they were created. Nothing is changed without --send; with it, what is
    missing is read like a webhook and goes out at DataFast's pace. With a server running this
    asks the server, which owns the ledger. Exit code 1 when something is left to mend.
    """
    settings = read_settings(environment())
    configure_logging(settings.log)
    if (since is None) == (not resume) or (resume and until is not None):
        raise KitError("say from when: --since 7d; or --resume an interrupted run")
    now = time.time()
    period = None
    if since is not None:
        since_ms = moment_ms(since, "since", now=now)
        until_ms = moment_ms(until, "until", now=now) if until else int((now - YOUNGEST_S) * 1000)
        if since_ms >= until_ms:
            raise KitError("--since must be before --until, which is ten minutes ago if left out")
        period = Progress(since_ms, until_ms, since_ms)
    errand = _Errand(settings, period, send=send, wait=send and not no_wait, rate=dodo_rate)
    failure: KitError | None = None
    try:
        with errand.bars:
            asyncio.run(errand.run())
    except KeyboardInterrupt:
        failure = KitError("interrupted")
    except KitError as problem:
        failure = problem
    if errand.report is None:
        raise failure or KitError("nothing was compared")
    if as_json:
        document = report_as_dict(errand.report, errand.fates, complete=failure is None)
        click.echo(json.dumps(document, indent=2))
    else:
        print_report(errand.report, errand.fates)
    if failure is not None:
        click.echo(f"kit: {failure}; kit reconcile --resume goes on from here", err=True)
        raise SystemExit(INTERRUPTED if str(failure) == "interrupted" else 1)
    if any(errand.report.counts.get(what) for what in NEEDS_HANDS) or errand.report.left_out:
        raise SystemExit(1)


@dataclass(slots=True)
class _Errand:
    """One run of the command; what came of it, even when it was cut short."""

    settings: Settings
    period: Progress | None
    """None goes on with what is kept."""
    send: bool
    wait: bool
    rate: float
    forwarding: asyncio.Task[None] | None = None
    bars: Bars = field(default_factory=Bars)
    report: Report | None = None
    fates: Sequence[Fate] = ()

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            dodo = open_dodo(self.settings)
            stack.push_async_callback(dodo.aclose)
            books = await stack.enter_async_context(self._books(dodo))
            began = self.period or await books.read(kept_progress)
            if began is None:
                raise KitError("no run was interrupted; say from when: --since 7d")
            run = Reconciliation(
                dodo,
                books,
                compose_policy(self.settings),
                Pacer(time.monotonic, asyncio.sleep, self.rate),
                began,
                send=self.send,
                on_progress=self.bars.walked,
            )
            self.report = run.report
            await run.run()
            if self.wait and (entries := self.report.taken_in):
                self.fates = await self._follow(books, entries)

    async def _follow(self, books: Books, entries: Sequence[Entry]) -> Sequence[Fate]:
        lane = lane_name(self.settings.datafast_base_url, self.settings.datafast_api_key.reveal())
        follower = Follower(books, lane, time.time, asyncio.sleep, self.bars.followed)
        following = asyncio.create_task(follower.follow(entries))
        # Without whoever sends there would be nothing to wait for.
        await asyncio.wait(
            {task for task in (following, self.forwarding) if task is not None},
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not following.done():
            following.cancel()
            raise KitError("the ledger takes no writes; what is missing was taken in")
        return following.result()

    @asynccontextmanager
    async def _books(self, dodo: DodoClient) -> AsyncIterator[Books]:
        """Open the ledger; with `send` and no server, forward as long as it is open."""
        url = parse_url(self.settings.database_url)
        if not is_shared(url) and not file_of(url).exists():
            raise KitError(
                f"there is no ledger {file_of(url).name} here; KIT_DATABASE_URL says where it is"
            )
        try:
            ledger = Ledger.open(self.settings.database_url)
        except LedgerInUse:
            yield ServedBooks(self.settings)
            return
        try:
            # What has come and was not yet read would look as if it were missing.
            policy = compose_policy(self.settings)
            while await ledger.write(lambda c: map_stored_events(c, policy, ledger.now_ms())):
                pass
            if self.send:
                async with self._forwarding(ledger, dodo):
                    yield OwnBooks(ledger)
            else:
                yield OwnBooks(ledger)
        finally:
            await asyncio.to_thread(ledger.close)

    @asynccontextmanager
    async def _forwarding(self, ledger: Ledger, dodo: DodoClient) -> AsyncIterator[None]:
        datafast = open_datafast(self.settings, clock=time.time)
        forwarder = compose_forwarder(self.settings, ledger=ledger, dodo=dodo, datafast=datafast)
        self.forwarding = asyncio.create_task(forwarder.run(), name="forwarder")
        try:
            yield
        finally:
            forwarder.stop()
            await asyncio.wait({self.forwarding})
            await datafast.aclose()
