"""Build the project's wheel, and install it into a folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def build_wheel(folder: Path) -> Path:
    """Build the wheel, offline, with the build backend itself."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr

    return next(folder.glob("*.whl"))


def install_wheel(wheel: Path, folder: Path) -> Path:
    """Unpack the wheel, which is all that installing a pure one does; return the folder."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run_installed(
    installed: Path, *command: str, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run Python outside the checkout, with only this copy of the kit before the rest."""
    environ = {name: value for name, value in os.environ.items() if name != "KIT_NO_BOOTSTRAP"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd or installed,
        env={**environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
