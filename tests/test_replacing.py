"""`--overwrite` replaces an earlier conversion, and nothing else."""

from __future__ import annotations

import pytest
from reading import written

from hf_tagging.data.converting import convert
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.replacing import check_target
from hf_tagging.errors import OutputError

ONE = {"one.jsonl": '{"tokens": ["Zoe"], "ner_tags": ["B-PER"]}\n'}
TWO = {"train.conll": "Zoe\tB-PER\n", "dev.conll": "Gouda\tB-LOC\n"}


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.failure_mode("convert-over")
@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("brat", "train/thesis.docx"), ("brat", "diary.txt"), ("brat", "train/diary.txt"), ("brat", "deep/er/a.ann"),
        ("jsonl", "train/thesis.docx"), ("jsonl", "diary.jsonl"), ("jsonl", "deep/train.jsonl"),
        ("jsonl", "train.txt"),
    ],
)  # fmt: skip
def test_a_folder_with_anything_else_is_left_as_it_is(tmp_path, format, name):
    source = written(tmp_path / "in", TWO)
    target = tmp_path / "proj"
    written(target, {name: "mine"})
    with pytest.raises(OutputError, match=rf"holds {name}, which no conversion has written"):
        convert(source, target, to=format, overwrite=True)
    if format == "brat":
        with pytest.raises(OutputError, match=rf"holds {name}"):
            check_target(FORMATS["brat"], target, overwrite=True)
    assert files(target) == {name: b"mine"}


@pytest.mark.parametrize("format", ["brat", "jsonl"])
def test_an_earlier_conversion_is_replaced(tmp_path, format):
    source = written(tmp_path / "in", TWO)
    convert(source, tmp_path / "out", to=format)
    first = files(tmp_path / "out")
    convert(source, tmp_path / "out", to=format, overwrite=True)
    assert files(tmp_path / "out") == first
    written(tmp_path / "out", {"train/thesis.docx": "mine"})
    with pytest.raises(OutputError, match=r"train/thesis\.docx"):
        convert(source, tmp_path / "out", to=format, overwrite=True)


@pytest.mark.parametrize(
    ("source", "target"),
    [("corp", "corp/train.conll"), ("corp", "corp"), ("corp/train.conll", "corp"), ("brat/a.ann", "brat/a.txt")],
)
def test_what_is_read_is_never_replaced(tmp_path, source, target):
    written(tmp_path / "corp", TWO)
    written(tmp_path / "brat", {"a.txt": "Zoe", "a.ann": "T1\tPER 0 3\tZoe\n"})
    before = files(tmp_path)
    with pytest.raises(OutputError, match="what is to be converted is there"):
        convert(tmp_path / source, tmp_path / target, to="jsonl", overwrite=True)
    assert files(tmp_path) == before


@pytest.mark.parametrize(("format", "corpus"), [("brat", ONE), ("jsonl", TWO)])
def test_a_file_is_not_replaced_by_a_folder(tmp_path, format, corpus):
    source = written(tmp_path / "in", corpus)
    written(tmp_path, {"notes": "mine"})
    with pytest.raises(OutputError, match="notes is a file; expected the name of a folder"):
        convert(source, tmp_path / "notes", to=format, overwrite=True)
    assert (tmp_path / "notes").read_text() == "mine"
