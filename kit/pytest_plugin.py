"""
The pytest plugin, which loads in every pytest run of whoever has installed the kit.

So it imports neither Playwright nor Starlette, and does nothing until a test asks for a fixture.
`dodo_datafast = false` in pytest's settings, or `-p no:dodo_datafast`, leaves it out.
"""

import pytest

from kit.plugin import fixtures


def pytest_addoption(parser: pytest.Parser) -> None:
    """Name the settings; there are no options of the command line that could clash."""
    parser.addini("dodo_datafast", "use the fixtures of dodo-datafast-kit", "bool", default=True)
    parser.addini(
        "dodo_datafast_domain",
        "the domain that the shop's script tag has in data-domain",
        default="localhost",
    )
    parser.addini(
        "dodo_datafast_website_id",
        "the id that the shop's script tag has in data-website-id",
        default="dfid_sandbox",
    )
    parser.addini(
        "dodo_datafast_ports",
        "the ports of the stand-ins for Dodo and DataFast; 0 for any",
        "args",
        default=["0", "0"],
    )
    parser.addini(
        "dodo_datafast_results",
        "the folder for traces and pictures of tests that failed, from the root of the tests",
        default="test-results/dodo-datafast",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Bring in the fixtures, unless they are not wanted."""
    if config.getini("dodo_datafast"):
        config.pluginmanager.register(fixtures, "dodo_datafast_fixtures")
