"""The templates of the stand-ins' pages."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, select_autoescape


@cache
def open_templates(folder: Path) -> Environment:
    """Compile each template once for all stand-ins in this process; a changed file is read anew."""
    return Environment(loader=FileSystemLoader(folder), autoescape=select_autoescape())
