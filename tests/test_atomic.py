"""Files appear whole, links stay links, devices stay devices, and names from a file lead nowhere else."""

import json
import math
import os
import re
import stat
import tempfile
from pathlib import Path

import pytest
from recipe_runs import ROOT

import hf_tagging
from hf_tagging.atomic import inside, json_text, remove_left_behind, whole_file, whole_folder, whole_path, write_json
from hf_tagging.errors import OutputError


@pytest.mark.failure_mode("write-interrupted")
def test_an_error_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def interrupted():
        with whole_file(target) as file:
            file.write("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    real, link = tmp_path / "store" / "real.txt", tmp_path / "link.txt"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    with whole_file(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert os.listdir(real.parent) == ["real.txt"]


def test_a_link_to_what_is_not_there_yet_is_filled(tmp_path):
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "real.txt")
    write_json(link, {"a": 1})
    assert link.is_symlink()
    assert json.loads((tmp_path / "real.txt").read_text()) == {"a": 1}


def test_what_a_killed_writer_left_goes_and_nothing_else(tmp_path):
    others = [".a.txt.0123456789ab.partial.mine", ".a.txt.123.partial", ".b.txt.0123456789ab.partial", "a.txt"]
    for name in (*others, ".a.txt.0123456789ab.partial"):
        (tmp_path / name).write_text("")
    (tmp_path / ".a.txt.ba9876543210.partial").mkdir()
    remove_left_behind(tmp_path / "a.txt", tmp_path / "missing" / "b")
    assert sorted(os.listdir(tmp_path)) == others


@pytest.mark.parametrize("there", [None, "lock"])
def test_a_folder_that_was_moved_away_is_given_back(tmp_path, there):
    old, new, target = (tmp_path / name for name in (".x.0123456789ab.old", ".x.0123456789ab.partial", "x"))
    for folder, name in ((old, "a"), (old, "lock"), (new, "b")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("")
    if there:
        target.mkdir()
        (target / there).write_text("held")
    remove_left_behind(target)
    assert os.listdir(tmp_path) == ["x"]
    assert sorted(os.listdir(target)) == ["a", "lock"]
    assert (target / "lock").read_text() == ("held" if there else "")


def test_a_folder_that_was_replaced_stays_so(tmp_path):
    for folder, name in ((".x.0123456789ab.old", "a"), ("x", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("")
    remove_left_behind(tmp_path / "x")
    assert (os.listdir(tmp_path), os.listdir(tmp_path / "x")) == (["x"], ["b"])


@pytest.mark.failure_mode("planted-link")
def test_planted_links_at_the_temporary_name_are_not_followed(tmp_path, monkeypatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    monkeypatch.setattr("hf_tagging.atomic.secrets.token_hex", lambda size: "guessed")
    planted = tmp_path / ".a.txt.guessed.partial"
    planted.symlink_to(victim)
    with pytest.raises(FileExistsError), whole_file(tmp_path / "a.txt") as file:
        file.write("new")
    assert victim.read_text() == "precious"
    assert planted.is_symlink()


@pytest.mark.failure_mode("output-device")
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (os.mkfifo, "a pipe"),
        (lambda path: path.symlink_to("/dev/null"), "a device"),
        (lambda path: path.symlink_to(path), "a link that leads to itself"),
    ],
)
def test_what_is_no_regular_file_is_refused_and_left(tmp_path, make, kind):
    target = tmp_path / "out"
    make(target)
    before = os.lstat(target)
    with pytest.raises(OutputError, match=kind), whole_path(target):
        raise AssertionError("nothing is to be written")
    assert os.lstat(target).st_ino == before.st_ino
    assert os.listdir(tmp_path) == ["out"]


def test_permissions_follow_the_umask_or_the_file_that_was_there(tmp_path):
    before = os.umask(0o022)
    try:
        with whole_file(tmp_path / "new.txt") as file:
            file.write("x")
        (tmp_path / "own.txt").write_text("x")
        (tmp_path / "own.txt").chmod(0o640)
        with whole_file(tmp_path / "own.txt") as file:
            file.write("y")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "own.txt").stat().st_mode) == 0o640


@pytest.fixture
def mine():
    """A folder of somebody who is not root, whom permissions do not bind; as that person."""
    with tempfile.TemporaryDirectory() as name:
        root = os.geteuid() == 0
        os.chown(name, 65534 if root else -1, -1)
        os.seteuid(65534 if root else os.geteuid())
        try:
            yield Path(name)
        finally:
            Path(name).chmod(0o700)
            os.seteuid(0 if root else os.geteuid())


@pytest.mark.parametrize(("mode", "meanwhile"), [(0o444, 0o644), (0o600, 0o600), (0o000, 0o600)])
def test_a_file_that_may_not_be_written_is_replaced(mine, mode, meanwhile):
    """As `mv` does: the folder may be written. What nobody else may read is not open to all while it is written."""
    (mine / "a.txt").write_text("old")
    (mine / "a.txt").chmod(mode)
    with whole_path(mine / "a.txt") as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == meanwhile
        partial.write_text("new")
    assert stat.S_IMODE((mine / "a.txt").stat().st_mode) == mode
    (mine / "a.txt").chmod(0o600)
    assert (mine / "a.txt").read_text() == "new"


def test_a_folder_that_may_be_written_and_not_listed(mine):
    mine.chmod(0o300)
    write_json(mine / "a.json", {})
    assert (mine / "a.json").read_text() == "{}\n"


@pytest.mark.parametrize("name", ["д" * 127, "a" + "д" * 127, "n" * 255, "a\udcff" * 127])
def test_names_are_as_long_as_the_system_allows(tmp_path, name):
    """Its limit counts bytes, not characters."""
    write_json(tmp_path / name, {})
    assert os.listdir(tmp_path) == [name]
    (tmp_path / name).unlink()
    for content in ("old", "new"):
        with whole_folder(tmp_path / name) as staging:
            (staging / "a").write_text(content)
    assert os.listdir(tmp_path) == [name]


def test_json_is_strict():
    text = json_text({"loss": float("nan"), "rates": (float("inf"), 0.5), "é": [None, True, "NaN"]}, indent=None)
    assert text == '{"loss": null, "rates": [null, 0.5], "é": [null, true, "NaN"]}'


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()}, default=None)
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("name", ["model.safetensors", "predictions/test.conll", "a/b/c", "..data", "link.bin"])
def test_names_inside(tmp_path, name):
    (tmp_path / "link.bin").symlink_to("/etc/hostname")  # as the Hub's cache has them: its removal removes the link
    assert inside(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "out/x", "C:\\x", "..\\x", "\\x", "a\0b", "loop/x"]
)
def test_names_outside(tmp_path, name):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "loop").symlink_to(folder / "loop")
    assert inside(folder, name) is None


def test_every_json_that_is_written_is_strict():
    """One function writes it: json.dump of the standard library writes NaN, which no other reader takes."""
    allowed = {
        "atomic.py",  # that function
        "data/json_rows.py", "analysis/examples.py", "training/settings.py", "locks.py",  # texts and whole numbers
        "publishing/hub/bundle.py", "publishing/card/tagger.py", "comparison/runs.py", "comparison/plan.py",
        "problems.py", "training/config/reading.py",  # values in messages, and of flags
        "data/casing.py", "data/trimming.py",  # a tokenizer.json, parsed and given back
        "search/space.py",  # values of arguments, as they were written
        "annotating/lines.py",  # a line that was parsed, to see whether it can be written
        "data/origin.py",  # arguments that were checked
        "data/formats/json_values.py", "data/json_shapes.py",  # values in messages; rows that were parsed
        "rules/reading.py",  # values in messages
    }  # fmt: skip
    package = Path(hf_tagging.__file__).parent
    files = sorted(package.rglob("*.py"))
    assert len(files) > 100
    found = {path.relative_to(package).as_posix() for path in files if re.search(r"json\.dumps?\(", path.read_text())}
    assert found <= allowed
    assert "json.dump(" not in "".join(path.read_text() for path in files)


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        ({"loss": math.nan, "rows": [1.5, -math.inf, (math.inf,)]}, {}, '{"loss": null, "rows": [1.5, null, [null]]}'),
        ({"word": "\u00e9\ud800", "x": 1}, {"ascii_only": True}, '{"word": "\\u00e9\\ud800", "x": 1}'),
        ({"a": [1, 2]}, {"separators": (",", ":")}, '{"a":[1,2]}'),
    ],
)
def test_numbers_that_are_none_become_null(content, options, text):
    assert json_text(content, indent=None, **options) == text


def test_there_is_one_way_to_write_a_file():
    """What opens a file to write it, or renames one, is this module, or writes into a folder for temporary files."""
    writes = re.compile(r"os\.(?:replace|rename)\(|\.write_(?:text|bytes)\(|\bopen\([^)\n]*[\"'][wx]")
    modules = sorted((ROOT / "hf_tagging").rglob("*.py"))
    assert len(modules) > 100
    assert {module.name for module in modules if writes.search(module.read_text(encoding="utf-8"))} == {
        "atomic.py",
        "rule_effects.py",  # what `whole_path` gives
        "console.py",  # the null device, where standard output is closed
        "actions.py",  # what was pasted, into the demo's own folder
        "space.py",  # what `whole_path` gives
        "spool.py",  # a copy of a pipe
    }
