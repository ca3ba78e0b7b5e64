"""What axe finds on a page, in the colour schemes that are asked for."""

from typing import Literal

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")

# Nothing but the violations leaves the page: what passes is a hundred times as long.
_RUN = """async () => {
  const found = await axe.run({resultTypes: ["violations"]})
  return found.violations.map((each) => `${each.id}: ${each.help}`)
}"""


def violations(page: Page, schemes: tuple[Scheme, ...] = SCHEMES) -> set[str]:
    """Return what axe finds wrong with a page as it stands, in each scheme; the last one stays."""
    page.evaluate(AXE_SCRIPT)
    found: set[str] = set()
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        found |= {f"{scheme}: {each}" for each in page.evaluate(_RUN)}
    return found
