"""The stand-ins that a verification asks: its own, or those that run already."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kit.cli.environment import environment
from kit.cli.site import NAMES, read_keys
from kit.errors import KitError
from kit.lab.hosts import local_address
from kit.lab.neighbours import ask
from kit.lab.observers import DataFastSandbox, DodoSandbox
from kit.lab.running import is_up
from kit.resources import resource_dir
from kit.sandbox.live import Live, live_sandboxes

CALLS_A_MINUTE = 600
"""More than DataFast allows: journeys follow one another faster than buyers do."""


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Both stand-ins; `live` has the keys of one's own."""

    dodo: DodoSandbox
    datafast: DataFastSandbox
    live: Live | None = None

    def was_asked(self) -> bool:
        """Tell whether anybody has asked Dodo for a checkout."""
        requests = f"{self.dodo.api_url}/_sandbox/requests"
        answer = ask(requests, {"path": "/checkouts"})
        return bool(answer.json())

    def variables(self, url: str, data: Path) -> Mapping[str, str]:
        """
        Return what a shop must be started with; its own products stay what they are.

        A shop that is the kit's own, or has the kit beside it, gets a ledger for this alone.
        """
        if self.live is None:
            return {}
        own = {name: value for name, value in environment().items() if name == "KIT_PRODUCTS"}
        return {
            **self.live.variables(url),
            "KIT_DATABASE_URL": f"sqlite:///{(data / 'verify.db').absolute()}",
            "KIT_SECRET_KEY": read_keys(data).secret_key,
            "KIT_HOLD_S": "2",
            "KIT_DATAFAST_RATE": str(CALLS_A_MINUTE),
            **own,
        }


def witnesses_at(dodo: str, datafast: str) -> Witnesses:
    """Name stand-ins that run already, by their pages. Raises KitError if one does not answer."""
    for address in (dodo, datafast):
        if not _is_stand_in(local_address(address)):
            raise KitError(f"no stand-in answers at {address}: `kit demo` says where its own are")
    return Witnesses(
        DodoSandbox(dodo.rstrip("/"), local_address(dodo).rstrip("/")),
        DataFastSandbox(local_address(datafast).rstrip("/")),
    )


@contextmanager
def own_witnesses(
    *, port: int, domain: str, webhook_url: str, data: Path, or_any: bool
) -> Iterator[Witnesses]:
    """
    Run both stand-ins on `port` and the next, with the keys of the folder `data`.

    Where stand-ins listen there already, they are the witnesses; where somebody else does, any
    other ports will do with `or_any`. Raises KitError for a port that is taken.
    """
    ports = (port, port + 1) if port else (0, 0)
    with ExitStack() as stack:

        def start(ports: tuple[int, int]) -> Live:
            running = live_sandboxes(
                templates_dir=resource_dir("templates"),
                static_dir=resource_dir("static"),
                domain=domain,
                webhook_url=webhook_url,
                ports=ports,
                keys=read_keys(data).of_stand_ins(),
                any_product=True,
                rate_limit=CALLS_A_MINUTE,
            )
            return stack.enter_context(running)

        try:
            live = start(ports)
        except OSError as problem:
            if all(_is_stand_in(f"http://127.0.0.1:{each}") for each in ports):
                dodo, datafast = (
                    f"http://{NAMES[name]}:{each}"
                    for name, each in zip(("dodo", "datafast"), ports, strict=True)
                )
                yield witnesses_at(dodo, datafast)
                return
            if not or_any:
                raise KitError(
                    f"port {ports[0]} or {ports[1]} is taken ({problem.strerror}): name another "
                    "first one with --port"
                ) from None
            live = start((0, 0))
        dodo_sandbox = DodoSandbox(live.dodo_page, live.dodo_api)
        yield Witnesses(dodo_sandbox, DataFastSandbox(live.datafast_api), live)


def _is_stand_in(address: str) -> bool:
    return is_up(f"{address.rstrip('/')}/_sandbox/chaos", status=200)
