"""Find the folders that a checkout keeps beside the package and a wheel carries inside it."""

from pathlib import Path
from typing import Literal

from kit.errors import KitError

PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: Literal["static", "templates"]) -> Path:
    """
    Return the folder of stylesheets or of templates.

    Raises KitError when this installation has lost it.
    """
    for folder in (PACKAGE / name, PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise KitError(
        f"the folder {name}/ is missing: neither in {PACKAGE} (an installed wheel) nor in "
        f"{PACKAGE.parent} (a checkout). Install or clone the kit again."
    )
