"""Copies in a project: how they are made, and what is said of them later."""

import ast
import os
import shutil
import stat
from pathlib import Path

import pytest

from kit.copyin import (
    VIEWS,
    Finding,
    diffs,
    examine,
    find_copies,
    module_name,
    plan,
    read_copy,
    stamped,
    write_files,
)
from kit.errors import KitError
from kit.upstream import HELPERS, Upstream, digest
from tests.test_sameness import reformatted

CORE, VIEW = "dodo_datafast.py", "dodo_datafast_flask.py"
NOW = Upstream()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make a project with the files for Flask."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_files(plan("flask", ".", NOW, root=folder))
    return folder


@pytest.fixture
def later(tmp_path: Path) -> Upstream:
    """Make a later version of the kit, in which both files have changed."""
    folder = tmp_path / "later"
    shutil.copytree(HELPERS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    view, core = folder / VIEW, folder / CORE
    view.write_text(view.read_text().replace("MAX_BYTES = 12.0", "MAX_BYTES = 11.0"))
    core.write_text(core.read_text() + "\n\nADDED = 1\n")
    return Upstream("0.2.0", folder)


def edit(path: Path, before: str = "1 << 20", after: str = "1 << 18") -> None:
    """Change a file as its owner does."""
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def found(path: Path, upstream: Upstream = NOW) -> Finding:
    """Examine a copy."""
    return examine(read_copy(path), upstream)


def state(path: Path, upstream: Upstream = NOW) -> str:
    """Return the state of a copy."""
    return found(path, upstream).state


def actions(root: Path, framework: str = "flask", upstream: Upstream = NOW) -> dict[str, str]:
    """Return what a plan would do, by file."""
    return {step.path.name: step.action for step in plan(framework, ".", upstream, root=root)}


# --- Copying ------------------------------------------------------------------------------------


def test_the_stamp_comes_after_the_licence(project: Path) -> None:
    """It names the version, the file it is from, what to do, and the digest."""
    licence, origin, hint, stamp, first = (project / VIEW).read_text().splitlines()[:5]

    assert licence == "# SPDX-License-Identifier: MIT"
    assert origin == f"# Copied from dodo-datafast-kit {NOW.version}, kit/helpers/{VIEW}"
    assert hint == f"# To see what changed upstream: kit add --diff {VIEW}"
    assert stamp == (
        f"# kit: dodo_datafast_flask {NOW.version} "
        f"sha256:{digest(NOW.text('dodo_datafast_flask') or '')}"
    )
    assert first == '"""'


@pytest.mark.parametrize("framework", VIEWS)
def test_a_framework_s_files_are_the_core_and_its_view(framework: str, tmp_path: Path) -> None:
    """FastAPI's is Starlette's; each parses, and is current."""
    write_files(plan(framework, ".", NOW, root=tmp_path))
    names = sorted(path.stem for path in tmp_path.iterdir())

    assert names == sorted(filter(None, ["dodo_datafast", VIEWS[framework]]))
    assert {state(path) for path in tmp_path.iterdir()} == {"current"}
    for path in tmp_path.iterdir():
        ast.parse(path.read_text())


def test_a_plan_writes_nothing(tmp_path: Path) -> None:
    """Not even the folder."""
    steps = plan("flask", "payments/dodo", NOW, root=tmp_path)

    assert [step.action for step in steps] == ["create", "create"]
    assert list(tmp_path.iterdir()) == []


def test_in_a_package_the_view_imports_its_sibling(tmp_path: Path) -> None:
    """And by its name where the folder is none; either is current in either place."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    write_files(plan("flask", "shop", NOW, root=tmp_path))
    write_files(plan("flask", ".", NOW, root=tmp_path))
    inside, beside = tmp_path / "shop" / VIEW, tmp_path / VIEW

    assert "\nfrom . import dodo_datafast as core\n" in inside.read_text()
    assert "\nimport dodo_datafast as core\n" in beside.read_text()
    shutil.copy(beside, inside)
    assert state(inside) == state(beside) == "current"
    assert found(beside).copy.text == NOW.text("dodo_datafast_flask")


def test_an_app_imports_a_copy_by_its_packages(tmp_path: Path) -> None:
    """From the first folder that is none."""
    folder = tmp_path / "src" / "shop" / "payments"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder.parent / "__init__.py").touch()

    assert module_name(folder, "dodo_datafast_flask") == "shop.payments.dodo_datafast_flask"
    assert module_name(tmp_path / "src", "dodo_datafast_flask") == "dodo_datafast_flask"


# --- States -------------------------------------------------------------------------------------


def test_a_fresh_copy_is_current(project: Path) -> None:
    """Nothing to say, nothing to do."""
    assert state(project / VIEW) == "current"
    assert actions(project) == {CORE: "keep", VIEW: "keep"}
    assert list(diffs(found(project / VIEW), NOW)) == []


def test_a_copy_is_outdated_when_the_kit_has_changed(project: Path, later: Upstream) -> None:
    """It may be overwritten, and the one diff is the kit's."""
    [(title, text)] = diffs(found(project / VIEW, later), later)

    assert state(project / VIEW, later) == "outdated"
    assert actions(project, upstream=later) == {CORE: "update", VIEW: "update"}
    assert title == "changes upstream since 0.1.0"
    assert "-DEADLINE_S, LOOKUP_S, MAX_BYTES = 12.0" in text
    assert "+DEADLINE_S, LOOKUP_S, MAX_BYTES = 11.0" in text


def test_a_copy_is_edited_when_its_owner_has_changed_it(project: Path) -> None:
    """It is not overwritten, and the one diff is the owner's."""
    edit(project / VIEW)
    [(title, text)] = diffs(found(project / VIEW), NOW)
    changed = [line for line in text.splitlines()[2:] if line[0] in "+-"]

    assert state(project / VIEW) == "edited"
    assert actions(project) == {CORE: "keep", VIEW: "overwrite"}
    assert title == "your edits since 0.1.0"
    assert [line.count("1 << 20") + line.count("1 << 18") for line in changed] == [1, 1]


def test_a_copy_is_both_and_each_side_is_shown_apart(project: Path, later: Upstream) -> None:
    """From the text that both started from, which this kit has kept."""
    edit(project / VIEW)
    (yours, mine), (theirs, upstream) = diffs(found(project / VIEW, later), later)

    assert state(project / VIEW, later) == "edited and outdated"
    assert actions(project, upstream=later) == {CORE: "update", VIEW: "overwrite"}
    assert (yours, theirs) == ("your edits since 0.1.0", "changes upstream since 0.1.0")
    assert "1 << 18" in mine
    assert "11.0" not in mine
    assert "11.0" in upstream
    assert "1 << 18" not in upstream


def test_the_upstream_diff_is_a_patch_that_brings_the_stamp_along(
    project: Path, later: Upstream
) -> None:
    """Applied to an edited copy it leaves one that is edited, and no more outdated."""
    copy = project / VIEW
    edit(copy, "try again in a moment", "try once more")
    finding = found(copy, later)
    _, (_, patch) = diffs(finding, later)
    text = copy.read_text()
    removed = [line[1:] for line in patch.splitlines()[2:] if line.startswith("-")]
    added = [line[1:] for line in patch.splitlines()[2:] if line.startswith("+")]
    for before, after in zip(removed, added, strict=True):
        text = text.replace(before, after)
    copy.write_text(text)

    assert state(copy, later) == "edited"


def test_a_base_that_was_not_kept_leaves_one_plain_diff(project: Path, later: Upstream) -> None:
    """And says so."""
    for kept in (later.folder / "past").glob("dodo_datafast_flask-*"):
        kept.unlink()
    edit(project / VIEW)
    [(title, text)] = diffs(found(project / VIEW, later), later)

    assert state(project / VIEW, later) == "edited and outdated"
    assert "the text of 0.1.0 is not kept" in title
    assert "11.0" in text
    assert "1 << 18" in text


def test_an_untouched_copy_needs_no_base_to_be_outdated(project: Path, later: Upstream) -> None:
    """Its digest says that nobody touched it."""
    for kept in (later.folder / "past").glob("dodo_datafast_flask-*"):
        kept.unlink()

    assert state(project / VIEW, later) == "outdated"


@pytest.mark.parametrize("line_length", ["79", "120"])
def test_a_reformatted_copy_is_not_edited(project: Path, later: Upstream, line_length: str) -> None:
    """Current while the kit is the same, outdated when it is not; then it may be overwritten."""
    for name in (CORE, VIEW):
        path = project / name
        path.write_text(reformatted(path.read_text(), "--line-length", line_length))

    assert state(project / VIEW) == state(project / CORE) == "current"
    assert actions(project) == {CORE: "keep", VIEW: "keep"}
    assert state(project / VIEW, later) == "outdated"
    assert actions(project, upstream=later) == {CORE: "update", VIEW: "update"}


def test_a_reformatted_and_edited_copy_is_edited(project: Path, later: Upstream) -> None:
    """Layout hides nothing."""
    edit(project / VIEW)
    (project / VIEW).write_text(reformatted((project / VIEW).read_text(), "--line-length", "79"))

    assert state(project / VIEW) == "edited"
    assert state(project / VIEW, later) == "edited and outdated"


def test_a_note_in_a_copy_is_an_edit(project: Path, later: Upstream) -> None:
    """An update would lose it."""
    edit(project / VIEW, "_log = logging", "# Our logs go to the archive.\n_log = logging")

    assert state(project / VIEW) == "edited"
    assert actions(project, upstream=later)[VIEW] == "overwrite"


# --- Line ends, stamps and other files ----------------------------------------------------------


@pytest.fixture
def windows(project: Path) -> Path:
    """Turn the project's files into ones with CRLF."""
    for name in (CORE, VIEW):
        path = project / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return project


def test_line_ends_are_no_edit(windows: Path, later: Upstream) -> None:
    """All four states are the same as elsewhere."""
    view = windows / VIEW

    assert (state(view), state(view, later)) == ("current", "outdated")
    view.write_bytes(view.read_bytes().replace(b"1 << 20", b"1 << 18"))
    assert (state(view), state(view, later)) == ("edited", "edited and outdated")


def test_a_diff_of_a_file_with_crlf_shows_what_changed_alone(windows: Path) -> None:
    """Not each line."""
    view = windows / VIEW
    view.write_bytes(view.read_bytes().replace(b"1 << 20", b"1 << 18"))
    [(_, text)] = diffs(found(view), NOW)

    assert "\r" not in text
    assert sum(line[0] in "+-" for line in text.splitlines()[2:]) == 2


def test_an_update_keeps_line_ends(windows: Path, later: Upstream) -> None:
    """A project whose editor writes CRLF gets CRLF."""
    write_files(plan("flask", ".", later, root=windows))
    text = (windows / VIEW).read_bytes()

    assert text.count(b"\n") == text.count(b"\r\n") > 80
    assert state(windows / VIEW, later) == "current"


def test_a_byte_order_mark_is_no_edit(project: Path) -> None:
    """Some editors write one."""
    (project / VIEW).write_bytes(b"\xef\xbb\xbf" + (project / VIEW).read_bytes())

    assert state(project / VIEW) == "current"


def test_a_copy_made_by_hand_gets_its_stamp(tmp_path: Path) -> None:
    """As long as it says the same."""
    shutil.copy(HELPERS / CORE, tmp_path)
    planned = actions(tmp_path, "core")
    write_files(plan("core", ".", NOW, root=tmp_path))

    assert planned == {CORE: "update"}
    assert state(tmp_path / CORE) == "current"


def test_a_copy_that_was_merged_by_hand_gets_the_new_stamp(project: Path, later: Upstream) -> None:
    """What it says is what this kit says, whatever its stamp does."""
    edit(project / VIEW, "MAX_BYTES = 12.0", "MAX_BYTES = 11.0")

    assert state(project / VIEW, later) == "current"
    assert actions(project, upstream=later)[VIEW] == "update"


@pytest.mark.parametrize("text", ["", "import flask\n", "# kit: dodo_datafast_flask\n", "\0\n"])
def test_somebody_s_own_file_of_the_name_is_not_overwritten(tmp_path: Path, text: str) -> None:
    """It is no copy of ours."""
    (tmp_path / VIEW).write_text(text)

    assert state(tmp_path / VIEW) == "unknown"
    assert actions(tmp_path) == {CORE: "create", VIEW: "overwrite"}


def test_a_copy_from_a_later_kit_is_not_taken_back(project: Path, later: Upstream) -> None:
    """It would be a step back."""
    write_files(plan("flask", ".", later, root=project))

    assert state(project / VIEW) == "newer"
    assert actions(project) == {CORE: "overwrite", VIEW: "overwrite"}


def test_a_helper_that_only_a_later_kit_has_is_told_from_no_copy(tmp_path: Path) -> None:
    """Which to update is clear then."""
    text = stamped("dodo_datafast_litestar", "# SPDX\n", "9.0.0", in_package=False)
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(text.replace("9.0.0", "0.0.1"))

    assert (state(tmp_path / "a.py"), state(tmp_path / "b.py")) == ("newer", "unknown")


def test_what_is_no_text_is_a_sentence(tmp_path: Path) -> None:
    """And so is a folder of the name."""
    (tmp_path / CORE).write_bytes(b"\xff\xfe")
    (tmp_path / VIEW).mkdir()
    for name in (CORE, VIEW):
        with pytest.raises(KitError, match="cannot be read"):
            read_copy(tmp_path / name)


# --- Finding ------------------------------------------------------------------------------------


def test_copies_are_found_wherever_they_are(project: Path) -> None:
    """Under any name; not in environments, hidden folders or installed packages."""
    places = ["shop/pay.py", ".venv/a.py", "env/a.py", "x/site-packages/a.py", "node_modules/a.py"]
    for place in places:
        (project / place).parent.mkdir(parents=True)
        shutil.copy(project / VIEW, project / place)
    (project / "env" / "pyvenv.cfg").touch()
    (project / "late.py").write_text("\n" * 60 + (project / VIEW).read_text())
    (project / "binary.py").write_bytes(b"\xff" * 100)
    names = [str(path.relative_to(project)) for path in find_copies(project)]

    assert names == [CORE, VIEW, "shop/pay.py"]


# --- Places and writing -------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["/opt", "..", "a/../..", "a/..", "shop/../../x", "//x"])
def test_a_place_outside_of_the_folder_is_refused(tmp_path: Path, given: str) -> None:
    """Before anything is written."""
    with pytest.raises(KitError, match="is not inside this folder"):
        plan("flask", given, NOW, root=tmp_path)


@pytest.mark.parametrize("kind", ["folder", "file", "dangling", "loop"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, kind: str) -> None:
    """The folder, or one of its files; also one that leads nowhere yet, or to itself."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    (outside / "mine.py").touch()
    if kind in ("file", "dangling"):
        (inside / "shop").mkdir()
        link = inside / "shop" / VIEW
        link.symlink_to(outside / ("mine.py" if kind == "file" else "none.py"))
    else:
        (inside / "shop").symlink_to(outside if kind == "folder" else inside / "shop")
    with pytest.raises(KitError, match=r"is not inside this folder|cannot be followed"):
        plan("flask", "shop", NOW, root=inside)

    assert [path.name for path in outside.iterdir()] == ["mine.py"]


def test_a_link_inside_of_the_folder_is_followed(tmp_path: Path) -> None:
    """And stays a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "shop").symlink_to(tmp_path / "real")
    write_files(plan("core", "shop", NOW, root=tmp_path))

    assert (tmp_path / "shop").is_symlink()
    assert state(tmp_path / "real" / CORE) == "current"


def test_a_file_is_replaced_whole_and_keeps_its_mode(project: Path, later: Upstream) -> None:
    """Nothing half written is ever there, and nothing is left beside it."""
    (project / VIEW).chmod(0o640)
    inode = (project / VIEW).stat().st_ino
    write_files(plan("flask", ".", later, root=project))
    after = (project / VIEW).stat()

    assert stat.S_IMODE(after.st_mode) == 0o640
    assert after.st_ino != inode
    assert sorted(path.name for path in project.iterdir()) == [CORE, VIEW]


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    """As the user's own umask has it."""
    before = os.umask(0o027)
    try:
        write_files(plan("core", ".", NOW, root=tmp_path))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / CORE).stat().st_mode) == 0o640


def test_a_file_that_changed_since_the_plan_is_left_alone(project: Path, later: Upstream) -> None:
    """An editor may have saved it meanwhile."""
    steps = plan("flask", ".", later, root=project)
    edit(project / VIEW)
    with pytest.raises(KitError, match="was changed meanwhile"):
        write_files(steps)

    assert "1 << 18" in (project / VIEW).read_text()
    assert len(list(project.iterdir())) == 2


def test_a_file_that_appeared_since_the_plan_is_left_alone(tmp_path: Path) -> None:
    """Another process may have made it."""
    steps = plan("core", ".", NOW, root=tmp_path)
    (tmp_path / CORE).write_text("mine\n")
    with pytest.raises(KitError, match="was changed meanwhile"):
        write_files(steps)

    assert (tmp_path / CORE).read_text() == "mine\n"


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "shop").touch()
    steps = plan("core", "shop", NOW, root=tmp_path)
    with pytest.raises(KitError, match="cannot be written"):
        write_files(steps)
