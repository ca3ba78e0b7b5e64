"""DataFast's script tag, read from a page's HTML as it was served."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

DATAFAST_HOST = "datafa.st"
EVENTS_PATH = "/api/events"


@dataclass(frozen=True, slots=True)
class Tag:
    """One script tag of a page (datafast/script-configuration)."""

    attributes: Mapping[str, str]
    page_url: str

    @property
    def src(self) -> str:
        """The script's whole address."""
        return urljoin(self.page_url, self.attributes.get("src", ""))

    @property
    def domain(self) -> str:
        """The root domain that the cookie is written for."""
        return self.attributes.get("data-domain", "").strip().lower().removeprefix(".")

    @property
    def nonce(self) -> str | None:
        """What the page's policy may know it by."""
        return self.attributes.get("nonce")

    @property
    def is_first_party(self) -> bool:
        """Whether the script comes from elsewhere than DataFast's own host."""
        return not (urlsplit(self.src).hostname or "").endswith(DATAFAST_HOST)

    @property
    def events_url(self) -> str:
        """Where it posts: as it is told, else beside DataFast, else at the page's own origin."""
        if told := self.attributes.get("data-api-url"):
            return urljoin(self.page_url, told)
        return urljoin(self.page_url if self.is_first_party else self.src, EVENTS_PATH)

    def has(self, name: str) -> bool:
        """Tell whether an attribute is "true"."""
        return self.attributes.get(name) == "true"


@dataclass(frozen=True, slots=True)
class Page:
    """What a page's HTML says: its tags, its policies, and whether it speaks of DataFast at all."""

    tags: tuple[Tag, ...]
    policies: tuple[str, ...]
    mentions_datafast: bool


def read_page(html: str, page_url: str) -> Page:
    """Read a page; whatever is broken in it is skipped, as browsers do."""
    reader = _Reader()
    reader.feed(html)
    tags = [Tag(found, page_url) for found in reader.scripts if _is_datafast(found)]
    return Page(tuple(tags), tuple(reader.policies), "datafast" in html.lower())


def _is_datafast(attributes: Mapping[str, str]) -> bool:
    if "src" not in attributes:
        return False
    host = urlsplit(attributes["src"]).hostname or ""
    return "data-website-id" in attributes or host.endswith(DATAFAST_HOST)


@dataclass
class _Reader(HTMLParser):
    scripts: list[dict[str, str]] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "script":
            self.scripts.append(attributes)
        elif tag == "meta" and attributes.get("http-equiv", "").lower() == (
            "content-security-policy"
        ):
            self.policies.append(attributes.get("content", ""))
