"""The page for trouble: what may go wrong at both services, for a person to switch on and off."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from kit.sandbox.chaos import OFF, Chaos, RuleError
from kit.sandbox.delivery import Outbox
from kit.sandbox.desk import HEADERS
from kit.sandbox.switches import SwitchError, Switches
from kit.sandbox.templates import open_templates

TEMPLATE = "sandbox/trouble.html"
PATH = "/_sandbox/trouble"

FAULTS = {
    "429": "refuses: too many requests",
    "500": "breaks, with 500",
    "timeout": "never answers",
    "drip": "answers one byte a second",
    "reset": "hangs up",
    "html": "answers with a web page",
    "redirect": "redirects elsewhere",
    "empty": "answers with nothing",
}
STRANGERS = {
    "no_pageview_200": "does not know the visitor, with 200",
    "no_pageview_404": "does not know the visitor, with 404",
}
ORDERS = {
    "queued": "Let go in order",
    "reversed": "Let go last first",
    "shuffled": "Let go in any order",
}
TIMES = {"1": "once", "3": "three times", "10": "ten times", "": "until it is stopped"}


@dataclass(frozen=True, slots=True)
class Service:
    """One service that can fail: its rules, the calls that can be named, and its faults."""

    title: str
    chaos: Chaos
    paths: Mapping[str, str]
    faults: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Lever:
    """One switch of the deliveries with two positions, and the words for each."""

    calm: Any
    wild: Any
    calm_text: str
    wild_text: str
    make_wild: str
    make_calm: str


LEVERS = {
    "duplicate": Lever(
        1, 2, "Each is sent once.", "Each is sent twice.", "Send each twice", "Send each once"
    ),
    "shuffle": Lever(
        False, True, "They go out in order.", "They go out in any order.", "Shuffle", "Keep order"
    ),
    "hold": Lever(
        False, True, "They go out at once.", "They are held back.", "Hold them back", "Send at once"
    ),
    "forge": Lever(
        False,
        True,
        "Their signatures fit.",
        "Their signatures do not fit.",
        "Forge",
        "Sign rightly",
    ),
}


def dodo_service(chaos: Chaos) -> Service:
    """Describe the stand-in for Dodo."""
    paths = {"": "any call", "/checkouts": "opening a checkout"}
    return Service("Dodo", chaos, paths, FAULTS)


def datafast_service(chaos: Chaos) -> Service:
    """Describe the stand-in for DataFast."""
    paths = {
        "": "any call",
        "/api/v1/payments": "reports of payments",
        "/api/events": "events of the page",
        "/js/script.js": "the script",
    }
    return Service("DataFast", chaos, paths, FAULTS | STRANGERS)


class Trouble:
    """`GET` and `POST /_sandbox/trouble`: faults and switches as plain forms, without a script."""

    def __init__(
        self,
        services: Mapping[str, Service],
        switches: Switches,
        outbox: Outbox,
        *,
        templates_dir: Path,
    ) -> None:
        """Render `sandbox/trouble.html` of `templates_dir`."""
        self._services = services
        self._switches = switches
        self._outbox = outbox
        self._templates = open_templates(templates_dir)
        self._actions: dict[str, Callable[[Mapping[str, str]], None]] = {
            "break": self._break,
            "mend": self._mend,
            "switch": self._switch,
            "release": self._release,
            "calm": self._calm,
        }

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(PATH, self.show, methods=["GET"]),
            Route(PATH, self.submit, methods=["POST"]),
        ]

    async def show(self, _request: Request) -> Response:
        """Show what is wrong, and what can be made so."""
        return self._page()

    async def submit(self, request: Request) -> Response:
        """Do one `action`, then show the page again."""
        posted = parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)
        form = {name: values[0] for name, values in posted.items()}
        try:
            self._actions[form.get("action", "")](form)
        except (KeyError, ValueError):
            return self._page(problem="That cannot be switched here.", status=422)
        return RedirectResponse(PATH, status_code=303)

    def _break(self, form: Mapping[str, str]) -> None:
        service = self._services[form["service"]]
        if form["fault"] not in service.faults or form["path"] not in service.paths:
            raise RuleError("no such fault")
        match = {"path": form["path"]} if form["path"] else {}
        times = int(form["times"]) if form["times"] else None
        service.chaos.post({"mode": form["fault"], "match": match, "times": times})

    def _mend(self, form: Mapping[str, str]) -> None:
        rules, key = self._services[form["service"]].chaos.rules, form["rule"]
        rules[:] = [rule for rule in rules if rule.key != key]

    def _switch(self, form: Mapping[str, str]) -> None:
        name = form["name"]
        lever = LEVERS[name]
        calm = getattr(self._switches, name) == lever.calm
        self._switches.post({name: lever.wild if calm else lever.calm})
        self._outbox.wake()

    def _release(self, form: Mapping[str, str]) -> None:
        if form["order"] not in ORDERS:
            raise SwitchError("no such order")
        self._outbox.release(form["order"])

    def _calm(self, _form: Mapping[str, str]) -> None:
        for service in self._services.values():
            service.chaos.post({"mode": OFF})
        self._switches.post({name: lever.calm for name, lever in LEVERS.items()})
        self._outbox.wake()

    def _page(self, *, problem: str = "", status: int = 200) -> Response:
        page = self._templates.get_template(TEMPLATE).render(
            services=[self._shown(key, service) for key, service in self._services.items()],
            levers=[self._lever(name, lever) for name, lever in LEVERS.items()],
            held=self._outbox.waiting() if self._switches.hold else 0,
            orders=ORDERS,
            times=TIMES,
            problem=problem,
        )
        return HTMLResponse(page, status_code=status, headers=HEADERS)

    def _lever(self, name: str, lever: Lever) -> dict[str, str]:
        calm = getattr(self._switches, name) == lever.calm
        return {
            "name": name,
            "state": lever.calm_text if calm else lever.wild_text,
            "label": lever.make_wild if calm else lever.make_calm,
        }

    def _shown(self, key: str, service: Service) -> dict[str, Any]:
        return {
            "key": key,
            "title": service.title,
            "paths": service.paths,
            "faults": service.faults,
            "rules": [
                {
                    "key": rule.key,
                    "fault": service.faults.get(rule.mode, rule.mode),
                    "calls": service.paths.get(rule.match.get("path", ""), dict(rule.match)),
                    "times": "until stopped" if rule.times is None else f"{rule.times} left",
                }
                for rule in service.chaos.rules
            ],
        }
