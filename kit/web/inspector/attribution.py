"""`/inspector/attribution`: who is known at the checkout, and what each source has earned."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection
from starlette.requests import Request

from kit.hops import REASONS
from kit.ledger import Ledger
from kit.ledger.attribution import DAY_MS, Day, Earning, revenue_by_source, visitors_by_day
from kit.ledger.stamps import moment_of
from kit.web.inspector.asked import INSPECTOR, PERIODS, list_path, period_of

_ORIGINS: Final[Mapping[str, str]] = {
    "direct": "no source named",
    "unseen": "landing not seen",
    "nobody": "no visitor known",
    "others": "smaller sources",
}
# The chart's units: a day is 10 wide, all of its checkouts are 100 high.
_STEP, _BAR, _HEIGHT = 10, 8, 100


@dataclass(frozen=True, slots=True)
class Attribution:
    """The page of shares and sums."""

    ledger: Ledger
    path: str = f"{INSPECTOR}/attribution"
    template: str = "inspector/attribution.html"

    def read(self, connection: Connection, request: Request) -> dict[str, Any]:
        """Read all that the page shows, as it was at one moment. Raises NotAsked."""
        days = period_of(request.query_params)
        until_ms = (self.ledger.now_ms() // DAY_MS + 1) * DAY_MS
        time = {"since_ms": until_ms - days * DAY_MS, "until_ms": until_ms}
        by_day = visitors_by_day(connection, **time)
        unknown: Counter[str] = Counter()
        for day in by_day:
            unknown.update(day.unknown)
        paid = sum(day.paid for day in by_day)
        return {
            "days": days,
            "paid": paid,
            "with_visitor": paid - unknown.total(),
            "without_visitor": [
                {
                    "reason": reason,
                    "number": number,
                    "sentence": REASONS[reason].sentence,
                    "fix": REASONS[reason].fix,
                }
                for reason, number in unknown.most_common()
            ],
            "by_day": [_plain_day(day) for day in by_day],
            "revenue": {
                currency: [_plain_earning(each) for each in earnings]
                for currency, earnings in revenue_by_source(connection, **time).items()
            },
        }

    def shown(self, _request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the template needs besides."""
        series = {each["reason"]: number for number, each in enumerate(body["without_visitor"], 1)}
        unattributed = {"unattributed": "1"}
        return {
            "periods": PERIODS,
            "share": _share(body["with_visitor"], body["paid"]),
            "unknown": [
                each
                | {
                    "series": series[each["reason"]],
                    "share": _share(each["number"], body["paid"]),
                    "url": list_path(unattributed, reason=each["reason"]),
                }
                for each in body["without_visitor"]
            ],
            "first_day": body["by_day"][0]["day"],
            "last_day": body["by_day"][-1]["day"],
            "chart_width": _STEP * len(body["by_day"]),
            "bars": [
                bar
                for place, day in enumerate(body["by_day"])
                for bar in _bars(day, place * _STEP + (_STEP - _BAR) // 2, series)
            ],
            "by_day": [
                day
                | {
                    "share": _share(day["with_visitor"], day["paid"]),
                    "url": list_path(unattributed, day=day["day"]),
                }
                for day in reversed(body["by_day"])
                if day["paid"]
            ],
            "revenue": [
                {"currency": currency, "rows": _rows(earnings), "total": _total(earnings)}
                for currency, earnings in body["revenue"].items()
            ],
        }


def _plain_day(day: Day) -> dict[str, Any]:
    return {
        "day": moment_of(day.since_ms).date().isoformat(),
        "paid": day.paid,
        "with_visitor": day.known,
        "without_visitor": dict(sorted(day.unknown.items())),
    }


def _plain_earning(earning: Earning) -> dict[str, Any]:
    amounts = {name: f"{getattr(earning, name):f}" for name in ("revenue", "returned", "net")}
    return {"origin": earning.origin, "source": earning.source, "sales": earning.sales} | amounts


def _bars(day: Mapping[str, Any], left: int, series: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Yield the parts of a day's bar from the ground up: known first, then by the reason."""
    parts = [(0, day["with_visitor"])]
    parts += sorted((series[reason], number) for reason, number in day["without_visitor"].items())
    top = Decimal(_HEIGHT)
    for number_of_series, number in parts:
        if number:
            height = Decimal(_HEIGHT * number) / day["paid"]
            top = max(top - height, Decimal(0))
            yield {
                "series": number_of_series,
                "x": left,
                "y": f"{top:.2f}",
                "width": _BAR,
                "height": f"{height:.2f}",
            }


def _rows(earnings: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    most = max((Decimal(each["net"]) for each in earnings), default=Decimal(0))
    for each in earnings:
        length = Decimal(each["net"]) / most * 100 if most > 0 else Decimal(0)
        yield {
            "name": each["source"] or _ORIGINS[each["origin"]],
            "is_named": each["source"] is not None,
            "sales": each["sales"],
            "length": f"{max(length, Decimal(0)):.1f}",
        } | {name: f"{Decimal(each[name]):,f}" for name in ("revenue", "returned", "net")}


def _total(earnings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    sums = {
        name: f"{sum(Decimal(each[name]) for each in earnings):,f}"
        for name in ("revenue", "returned", "net")
    }
    return sums | {"sales": sum(each["sales"] for each in earnings)}


def _share(part: int, whole: int) -> str:
    """Write a share in per cent; all is only said of all."""
    if not whole:
        return ""
    share = Decimal(100 * part) / whole
    return f"{int(share)} %" if share in (0, 100) else f"{min(max(share, 1), 99):.0f} %"
