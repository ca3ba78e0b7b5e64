"""What `kit verify` does: witnesses, the shop, a browser, the journeys, the account."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import click
from playwright.sync_api import Error

from kit.cli.site import write_variables
from kit.cli.standins import VARIABLES_FILE
from kit.cli.witnesses import Witnesses, own_witnesses, witnesses_at
from kit.errors import KitError
from kit.hops import Hop
from kit.lab.account import account_json, journey_line, summary, write_account
from kit.lab.aside import BrowserThread
from kit.lab.browser import BrowserMissing
from kit.lab.engines import find_engines
from kit.lab.evidence import how_to_open
from kit.lab.fence import NOWHERE
from kit.lab.hosts import local_address
from kit.lab.player import Player
from kit.lab.report import Report
from kit.lab.running import ShopDown, is_up, running_shop, wait_for_shop
from kit.lab.scenarios import SCENARIOS, Scenario
from kit.lab.scout import find_way
from kit.lab.shop import Shop
from kit.lab.verdicts import exit_code, grade

BUTTON_S = 3.0
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
HIDDEN = "_KEY"
_HINT = (
    "The stand-in for Dodo was asked for nothing: was the shop started with the variables above?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked for on the command line."""

    url: str
    shop_command: tuple[str, ...]
    product: str | None
    buy: str | None
    domain: str | None
    webhooks: str
    cookies: tuple[str, ...]
    names: tuple[str, ...]
    list_only: bool
    port: int
    running: tuple[str, str] | None
    resolve: tuple[str, ...]
    wait: float
    data: Path
    as_json: bool
    html: Path | None
    keep: Path | None

    def say(self, text: str) -> None:
        """Tell a person, who with --json has the other stream."""
        click.echo(text, err=self.as_json)

    @property
    def shop(self) -> Shop:
        """The shop, as far as it is described. Raises BadParameter."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise click.BadParameter(
                f"{self.url} is no address such as http://127.0.0.1:5000", param_hint="URL"
            )
        return Shop(
            self.url,
            urljoin(self.url, self.product) if self.product else None,
            self.buy,
            domain=self.domain or (None if self.running else parts.hostname.removeprefix("www.")),
            brings=tuple(_pair(text, "--cookie") for text in self.cookies),
        )

    @property
    def hosts(self) -> Mapping[str, str]:
        """Where names are. Raises BadParameter."""
        return dict(_pair(text, "--resolve") for text in self.resolve)

    @property
    def scenarios(self) -> Sequence[Scenario]:
        """The journeys to play. Raises BadParameter."""
        unknown = [name for name in self.names if name not in BY_NAME]
        if unknown:
            raise click.BadParameter(
                f"there is no journey {unknown[0]!r}; --list names all", param_hint="--journey"
            )
        return [BY_NAME[name] for name in self.names] or SCENARIOS


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise click.BadParameter(f"{text!r} is not NAME=…", param_hint=option)
    return name, value


def verify(task: Task) -> int:
    """Return the exit code. Raises KitError for what keeps journeys from being played."""
    if task.list_only:
        click.echo("\n".join(BY_NAME))
        return 0
    shop, scenarios, hosts = task.shop, task.scenarios, task.hosts
    with ExitStack() as stack:
        task.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        witnesses = stack.enter_context(_witnesses(task, shop))
        variables = witnesses.variables(task.url, task.data)
        _announce(task, witnesses, variables)
        _have_shop(task, stack, variables)
        player = stack.enter_context(_player(task, witnesses, hosts))
        reports = list(_play(task, player, _described(task, player, shop), scenarios))
        code = exit_code(reports)
        task.say(f"\n{summary(reports)}")
        if code == 1 and not reports[0].reached_dodo and not witnesses.was_asked():
            task.say(_HINT)
    if task.html is not None:
        write_account(task.url, reports, task.html)
        task.say(f"The page is {task.html}")
    if task.as_json:
        click.echo(account_json(task.url, reports))
    return code


# Witnesses and shop


@contextmanager
def _witnesses(task: Task, shop: Shop) -> Iterator[Witnesses]:
    if task.running is not None:
        yield witnesses_at(*task.running)
        return
    with own_witnesses(
        port=task.port,
        domain=shop.domain or shop.host,
        webhook_url=local_address(urljoin(task.url, task.webhooks), task.hosts),
        data=task.data,
        or_any=bool(task.shop_command),
    ) as witnesses:
        yield witnesses


def _announce(task: Task, witnesses: Witnesses, variables: Mapping[str, str]) -> None:
    dodo, live = witnesses.dodo.page_url, witnesses.live
    if live is None:
        datafast = witnesses.datafast.api_url
        task.say(f"Stand-ins  {dodo} (Dodo)  {datafast} (DataFast), which run already")
        return
    path = write_variables(task.data / VARIABLES_FILE, variables)
    task.say(f"Stand-ins  {dodo} (Dodo)  {live.datafast_page} (DataFast)")
    task.say(f"Shop       {task.url}, started with the variables of {path}, as by")
    task.say(f"           set -a; . {path}; set +a\n")
    for name, value in variables.items():
        task.say(f"           {name}={'(in that file)' if name.endswith(HIDDEN) else value}")


def _have_shop(task: Task, stack: ExitStack, variables: Mapping[str, str]) -> None:
    """Start the shop, or wait until somebody has. Raises KitError."""
    address = local_address(task.url, task.hosts)
    try:
        if task.shop_command:
            log = task.data / "shop.log"
            task.say(f"\nStarting   {' '.join(task.shop_command)}  (it prints to {log})")
            shop = running_shop(
                task.shop_command, address, environ=variables, log=log, within_s=task.wait
            )
            stack.enter_context(shop)
            return
        if not is_up(address):
            task.say(f"\nWaiting up to {task.wait:g} s for the shop. Ctrl-C ends this.")
        wait_for_shop(address, within_s=task.wait)
    except ShopDown as problem:
        raise KitError(str(problem)) from None


# The journeys


@contextmanager
def _player(task: Task, witnesses: Witnesses, hosts: Mapping[str, str]) -> Iterator[Player]:
    try:
        [chromium] = find_engines(["chromium"])
    except BrowserMissing as missing:
        raise KitError(str(missing)) from None
    html = task.html
    with BrowserThread(chromium, hosts=NOWHERE | dict(hosts)) as thread:
        yield Player(
            thread,
            chromium,
            dodo=witnesses.dodo,
            datafast=witnesses.datafast,
            pictures=None if html is None else html.parent / f"{html.stem}-pictures",
            trace="nothing" if task.keep is None else "looks",
        )


def _described(task: Task, player: Player, shop: Shop) -> Shop:
    """Say where the buy button is, and return the shop with its page. Raises KitError."""
    try:
        way = player.run(lambda page: find_way(page, shop, within_s=BUTTON_S))
    except Error as problem:
        raise KitError(f"{shop.url} does not open: {_first_line(problem)}") from None
    finally:
        player.close()
    if way is None:
        task.say("\nBuying     no buy button was found")
        return shop
    task.say(f"\nBuying     “{way.label}” on {way.url}")
    return replace(shop, product_url=None if way.url == shop.url else way.url)


def _play(
    task: Task, player: Player, shop: Shop, scenarios: Sequence[Scenario]
) -> Iterator[Report]:
    """Play one after the other; when the first loses its visitor, the others would do so too."""
    first: Report | None = None
    for number, scenario in enumerate(scenarios, start=1):
        try:
            report = player.play(scenario, shop)
        except Error as problem:
            report = _broken(scenario, problem)
        task.say(f"\n{report}\n" if first is None else journey_line(report, first))
        keeping = task.keep is not None and grade(report) != "well"
        for trace in player.close(task.keep / f"{number:02}" if keeping and task.keep else None):
            task.say(f"          kept: {trace}\n          open: {how_to_open(trace)}")
        yield report
        first = first or report
        if report is first and (not report.observable or report.outcome != report.expected):
            return


def _broken(scenario: Scenario, problem: Error) -> Report:
    """Report a journey on which the browser itself could not go on."""
    return Report(
        scenario=scenario.name,
        browser="chromium",
        script="sandbox",
        outcome="lost",
        lost_at="Journey",
        expected=scenario.expected,
        visitor_id=None,
        hops=(Hop("Journey", "journey_broken", seen=_first_line(problem)),),
    )


def _first_line(problem: Error) -> str:
    return str(problem).partition("\n")[0]
