"""The helpers of this version and of earlier ones."""

import shutil
from pathlib import Path

import pytest

from kit.upstream import HELPERS, Stamp, Upstream, digest, read_past

NAMES = sorted(path.stem for path in HELPERS.glob("dodo_datafast*.py"))


@pytest.fixture
def later(tmp_path: Path) -> Upstream:
    """Make a later version of the kit, whose Flask view has changed."""
    shutil.copytree(HELPERS, tmp_path / "helpers", ignore=shutil.ignore_patterns("__pycache__"))
    view = tmp_path / "helpers" / "dodo_datafast_flask.py"
    view.write_text(view.read_text().replace("1 << 20", "1 << 19"))
    return Upstream("0.2.0", tmp_path / "helpers")


@pytest.mark.parametrize("name", NAMES)
def test_this_version_s_texts_are_kept(name: str) -> None:
    """So that a copy made today can be told apart from an edit later: `python -m kit.upstream`."""
    upstream = Upstream()

    assert read_past(upstream.kept(name)) == upstream.text(name)


def test_the_base_of_a_copy_is_found_after_an_update(later: Upstream) -> None:
    """By its digest, in the kept texts; no git is asked."""
    old = Upstream().text("dodo_datafast_flask") or ""
    stamp = Stamp("dodo_datafast_flask", "0.1.0", digest(old))

    assert later.text("dodo_datafast_flask") != old
    assert later.base(stamp) == old


def test_the_base_of_a_current_copy_is_the_present_text() -> None:
    """Also while that is not kept yet."""
    text = Upstream().text("dodo_datafast") or ""

    assert Upstream().base(Stamp("dodo_datafast", "0.0.1", digest(text))) == text


@pytest.mark.parametrize("name", ["dodo_datafast", "dodo_datafast_litestar", "../settings"])
def test_a_base_that_nobody_kept_is_none(name: str) -> None:
    """A stamp is text in somebody's file: it may say anything."""
    assert Upstream().base(Stamp(name, "0.1.0", "0" * 64)) is None


def test_keeping_adds_what_a_new_version_has(later: Upstream) -> None:
    """The earlier texts stay as they are."""
    before = read_past(Upstream().kept("dodo_datafast_flask"))
    later.keep()
    kept = later.kept("dodo_datafast_flask")
    first = kept.read_bytes()
    later.keep()

    assert kept.name == "dodo_datafast_flask-0.2.0.py.gz"
    assert kept.read_bytes() == first
    assert read_past(kept) == later.text("dodo_datafast_flask")
    assert read_past(kept.with_name("dodo_datafast_flask-0.1.0.py.gz")) == before


@pytest.mark.parametrize(
    ("copied", "older"), [("0.1.9", False), ("0.2.0", False), ("0.2.1", True), ("0.10.0", True)]
)
def test_versions_are_numbers(later: Upstream, copied: str, older: bool) -> None:
    """0.10 is later than 0.2."""
    assert later.is_older_than(Stamp("dodo_datafast", copied, "")) is older
