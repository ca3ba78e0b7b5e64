"""The services' own packages, fetched from npm into temporary folders, never kept."""

import json
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, BrowserContext

from e2e.conftest import NO_TLS, Console, Demo, Lab
from kit.lab.engines import ordinary_user_agent
from kit.lab.scenarios import SCRIPT

PACKAGE = "datafast@3"
FETCH_TIMEOUT_S = 60

# The SDK is a module for bundlers. This is the smallest bundle: its CommonJS build in a function,
# and a start that reads the script tag which the shop's pages have anyway.
_BUNDLE = """
(function () {
  var tag = document.currentScript;
  var module = {exports: {}};
  (function (module, exports) {
%(sdk)s
  })(module, module.exports);
  var option = function (name) { return tag.getAttribute("data-" + name) || ""; };
  var source = new URL(tag.src);
  var vendor = source.hostname.indexOf("datafast.") === 0;
  window.sdk = module.exports.initDataFast(Object.assign({
    websiteId: option("website-id"),
    domain: option("domain"),
    apiUrl: (vendor ? source.origin : location.origin) + "/api/events",
    autoCapturePageviews: true,
    allowLocalhost: option("allow-localhost") === "true",
    allowIframe: option("debug") === "true",
    cookieless: source.pathname.indexOf(".cookieless.") > 0
  }, %(options)s));
})();
"""


@dataclass(frozen=True, slots=True)
class Sdk:
    """The SDK's web build."""

    source: str

    def bundle(self, **options: Any) -> str:
        """Return a script that starts the SDK for the page it stands in, with its options."""
        return _BUNDLE % {"sdk": self.source, "options": json.dumps(options)}

    def replace_script(self, context: BrowserContext, **options: Any) -> None:
        """Answer every request for DataFast's script with the SDK."""
        body = self.bundle(**options)
        context.route(
            SCRIPT,
            lambda route: route.fulfill(content_type="text/javascript; charset=utf-8", body=body),
        )


class FetchPackage(Protocol):
    """Fetches a package from npm, and gives the folder it was unpacked to."""

    def __call__(self, name: str) -> Path: ...


@pytest.fixture(scope="session")
def fetch_package(tmp_path_factory: pytest.TempPathFactory) -> FetchPackage:
    """Fetch packages; without npm or a registry this fails, it does not skip."""

    def fetch(name: str) -> Path:
        folder = tmp_path_factory.mktemp("npm")
        try:
            packed = subprocess.run(
                ["npm", "pack", "--silent", name],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=FETCH_TIMEOUT_S,
                check=True,
            )
        except FileNotFoundError:
            pytest.fail("npm is not installed: e2e/network needs it", pytrace=False)
        except subprocess.TimeoutExpired:
            pytest.fail(f"npm did not fetch {name} in {FETCH_TIMEOUT_S} s", pytrace=False)
        except subprocess.CalledProcessError as error:
            pytest.fail(f"npm did not fetch {name}:\n{error.stderr}", pytrace=False)
        with tarfile.open(folder / packed.stdout.split()[-1]) as archive:
            archive.extractall(folder, filter="data")
        return folder / "package"

    return fetch


@pytest.fixture(scope="session")
def sdk(fetch_package: FetchPackage) -> Sdk:
    """Fetch the SDK."""
    return Sdk((fetch_package(PACKAGE) / "dist/web/index.js").read_text(encoding="utf-8"))


@pytest.fixture
def user_agent(browser: Browser) -> str:
    """Name the browser as one with a window does: the SDK is silent in a headless one."""
    return ordinary_user_agent(browser)


class StartLab(Protocol):
    """Sets up a laboratory whose pages run the SDK, with options for `initDataFast`."""

    def __call__(self, *, demo: Demo = ..., **options: Any) -> Lab: ...


@pytest.fixture
def sdk_lab(
    only_chromium: None, lab: Lab, sdk: Sdk, user_agent: str, made_up: Demo, console: Console
) -> StartLab:
    """Run the SDK at the made-up domain: on localhost it is silent, as the hosted script is."""
    console.expect(NO_TLS, at_least=0)

    def start(*, demo: Demo = made_up, **options: Any) -> Lab:
        def open_context(**context_options: Any) -> BrowserContext:
            context = lab.open_context(**{"user_agent": user_agent, **context_options})
            sdk.replace_script(context, **options)
            return context

        return replace(lab, open_context=open_context, demo=demo, script="sdk")

    return start
