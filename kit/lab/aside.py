"""
A thread of its own for Playwright's sync API.

While a sync Playwright lives in a thread, no `asyncio.run` works there. Whoever has event loops of
their own (a pytest run with async tests, a program with servers) keeps it aside.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from playwright.sync_api import Browser, Playwright, sync_playwright

from kit.lab.engines import Engine, launch

T = TypeVar("T")


class BrowserThread:
    """
    A browser that lives in another thread; `do` runs a function there and gives its result.

    `hosts` says where names are, as `launch` takes it. Nothing of Playwright may leave that
    function: pages, contexts and requests belong to the thread. Reports are plain data and may.
    """

    def __init__(self, engine: Engine, *, hosts: Mapping[str, str] | None = None) -> None:
        self.engine = engine
        self._hosts = hosts
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="browser")
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None

    def __enter__(self) -> Self:
        """Start the browser. Raises Playwright's Error if it does not start."""
        try:
            self._pool.submit(self._start).result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the browser and end the thread."""
        self._stop()

    def do(self, work: Callable[[Browser], T]) -> T:
        """Return what `work` makes of the browser; its exceptions are raised here."""
        return self._pool.submit(lambda: work(self._open())).result()

    def _open(self) -> Browser:
        if self._browser is None:
            raise RuntimeError("the browser has not been started: use `with`")
        return self._browser

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        self._browser = launch(self._playwright, self.engine, hosts=self._hosts)

    def _stop(self) -> None:
        self._pool.submit(self._close).result()
        self._pool.shutdown()

    def _close(self) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._playwright is not None:
            self._playwright.stop()
        self._browser = self._playwright = None
