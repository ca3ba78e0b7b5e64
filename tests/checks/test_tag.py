"""The script tag, found in the HTML of real pages."""

import pytest

from kit.checks.tag import read_page

PAGE = "https://shop.example.com/products/1?utm_source=x"
ATTRIBUTES = 'defer data-website-id="dfid_1" data-domain="example.com"'


def test_the_tag_of_the_documentation() -> None:
    """With everything that is read from it."""
    page = read_page(
        f'<head><script {ATTRIBUTES} src="https://datafa.st/js/script.js"></script></head>', PAGE
    )
    [tag] = page.tags

    assert (tag.domain, tag.src, tag.nonce) == (
        "example.com",
        "https://datafa.st/js/script.js",
        None,
    )
    assert not tag.is_first_party
    assert tag.events_url == "https://datafa.st/api/events"
    assert not tag.has("data-disable-payments")


@pytest.mark.parametrize(
    ("attributes", "src", "events"),
    [
        (
            'src="/js/script.js"',
            "https://shop.example.com/js/script.js",
            "https://shop.example.com/api/events",
        ),
        (
            'src="https://a.example.com/js/script.js"',
            "https://a.example.com/js/script.js",
            "https://shop.example.com/api/events",
        ),
        (
            'src="https://a.example.com/js/script.js" data-api-url="https://a.example.com/api/events"',
            "https://a.example.com/js/script.js",
            "https://a.example.com/api/events",
        ),
        (
            'src="/stats/s.js" data-api-url="/stats/e"',
            "https://shop.example.com/stats/s.js",
            "https://shop.example.com/stats/e",
        ),
    ],
)
def test_a_script_from_the_shops_own_domain(attributes: str, src: str, events: str) -> None:
    """The events go where it is told, else to the page's own origin."""
    [tag] = read_page(f"<script {ATTRIBUTES} {attributes}></script>", PAGE).tags

    assert tag.is_first_party
    assert (tag.src, tag.events_url) == (src, events)


def test_attributes_in_any_order_and_form() -> None:
    """Upper case, single quotes, none at all."""
    html = (
        "<SCRIPT SRC=/js/script.js DATA-WEBSITE-ID=dfid_1 Data-Domain='.Example.com' NONCE=n1 "
        "data-disable-payments='true'>"
    )
    [tag] = read_page(html, PAGE).tags

    assert (tag.domain, tag.nonce, tag.has("data-disable-payments")) == ("example.com", "n1", True)


@pytest.mark.parametrize(
    ("html", "mentioned"),
    [
        ("<h1>Maps</h1>", False),
        ('<script src="/app.js"></script>', False),
        ("<script>window.datafast = function () {}</script>", True),
        (f"<!-- <script {ATTRIBUTES} src='/js/script.js'></script> -->", False),
        ("<script>/* datafast */ load('x.js')</script>", True),
        ("<p>unfinished <script", False),
    ],
)
def test_pages_without_a_tag(html: str, mentioned: bool) -> None:
    """A comment is none; a loader is a hint."""
    page = read_page(html, PAGE)

    assert page.tags == ()
    assert page.mentions_datafast == mentioned


def test_policies_in_the_page() -> None:
    """A meta tag is as good as a header."""
    html = '<meta http-equiv="Content-Security-Policy" content="script-src \'self\'"><meta name=x>'

    assert read_page(html, PAGE).policies == ("script-src 'self'",)
