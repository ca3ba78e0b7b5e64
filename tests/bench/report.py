"""What a benchmark prints, and what it writes with `--json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One server's figures."""

    name: str
    rps: float
    p50_ms: float | None = None
    p99_ms: float | None = None


def table(rows: Sequence[Row], labels: Mapping[str, str]) -> str:
    """Return the rows as text."""
    lines = [f"{'':50}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}"]
    for row in rows:
        times = "".join(
            f"{'' if ms is None else f'{ms:.2f}':>9}" for ms in (row.p50_ms, row.p99_ms)
        )
        lines.append(f"{labels[row.name]:50}{row.rps:>9,.0f}{times}")
    return "\n".join(lines)


def ratio_lines(ratios: Mapping[str, float | None]) -> str:
    """Return the ratios as text; None means that none can be told."""
    return "\n".join(
        f"{name:32}" + ("not judged: too near the ceiling" if ratio is None else f"{ratio:.2f}")
        for name, ratio in ratios.items()
    )


def write_json(path: Path, rows: Sequence[Row], ratios: Mapping[str, float | None]) -> None:
    """Write rows and ratios; a ratio that was not judged is left out."""
    told = {name: round(ratio, 3) for name, ratio in ratios.items() if ratio is not None}
    written = [
        {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in asdict(row).items()
        }
        for row in rows
    ]
    path.write_text(json.dumps({"rows": written, "ratios": told}, indent=2) + "\n")
