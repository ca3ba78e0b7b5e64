"""The peer: Express with Dodo's official adapter, from npm, in a folder of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.messages import PATH, SECRET

PACKAGES = ("express@5.3.0", "@dodopayments/express@0.2.6")
SERVER = Path(__file__).with_name("express.mjs")


def absence() -> str | None:
    """Return why the peer cannot be measured here, or None."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"{' and '.join(missing)} not found" if missing else None


def command() -> list[str]:
    """Install the peer once, and return what starts it. Raises CalledProcessError."""
    folder = _cache() / "-".join(name.strip("@").replace("/", "-") for name in PACKAGES)
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print("Installing the Express adapter (once)…", file=sys.stderr)
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        subprocess.run(
            ["npm", "install", "--prefix", str(folder), *quiet, *PACKAGES],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        done.touch()
    # Node looks for packages beside the file that imports them.
    shutil.copy(SERVER, folder)
    return ["node", str(folder / SERVER.name)]


def environment() -> dict[str, str]:
    """Return what the peer needs to know."""
    return os.environ | {"BENCH_PATH": PATH, "BENCH_SECRET": SECRET, "NODE_ENV": "production"}


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "dodo-datafast-kit"
