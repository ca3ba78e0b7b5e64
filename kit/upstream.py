"""
The helpers as this kit has them, and as its releases had them.

`helpers/past/` keeps the text of each version, in an installed wheel as in a clone, so that a copy
made from an older one can be compared with what it was made from. `python -m kit.upstream` keeps
the present texts; a test fails until that has been done.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from kit import __version__

HELPERS = Path(__file__).parent / "helpers"


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which text a copy was made from."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Upstream:
    """The helpers of one version of the kit, in a folder."""

    version: str = __version__
    folder: Path = HELPERS

    def text(self, name: str) -> str | None:
        """Return a helper's text; None if there is none of this name."""
        path = self.folder / f"{name}.py"
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def base(self, stamp: Stamp) -> str | None:
        """Return the text that a copy was made from; None where no kept version has it."""
        past = (read_past(path) for path in sorted(self._past().glob(f"{stamp.name}-*.py.gz")))
        for text in (self.text(stamp.name), *past):
            if text is not None and digest(text) == stamp.sha256:
                return text
        return None

    def is_older_than(self, stamp: Stamp) -> bool:
        """Tell whether a copy is from a later version than this one."""
        return _order(stamp.version) > _order(self.version)

    def kept(self, name: str) -> Path:
        """Return where this version's text of a helper is kept."""
        return self._past() / f"{name}-{self.version}.py.gz"

    def keep(self) -> None:
        """Keep the present texts as those of this version."""
        for path in sorted(self.folder.glob("dodo_datafast*.py")):
            kept, text = self.kept(path.stem), path.read_text(encoding="utf-8")
            kept.parent.mkdir(exist_ok=True)
            if not kept.exists() or read_past(kept) != text:
                kept.write_bytes(gzip.compress(text.encode(), mtime=0))

    def _past(self) -> Path:
        return self.folder / "past"


def read_past(path: Path) -> str:
    """Return a kept text."""
    return gzip.decompress(path.read_bytes()).decode()


def digest(text: str) -> str:
    """Return the sha256 that a stamp names: of the text with its lines ended as on Unix."""
    return hashlib.sha256(text.encode()).hexdigest()


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


if __name__ == "__main__":
    Upstream().keep()
