"""Files and paths that cannot be read are refused in words, whatever a stranger has written into them."""

import pytest

from hf_tagging import load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.data.converting import convert
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.inference.texts import read_documents
from hf_tagging.inspection.refused import look_at

DIGITS = "9" * 5_000


def brat(folder, annotation):
    (folder / "a.txt").write_text("Jordan waved")
    (folder / "a.ann").write_text(annotation)
    return folder / "a.ann"


def webanno(folder, word):
    path = folder / "a.tsv"
    path.write_text(f"#FORMAT=WebAnno TSV 3.3\n#T_SP=custom.Entity|value\n\n\n#Text=Jordan\n{word}\n")
    return path


@pytest.mark.parametrize(
    ("write", "content", "place"),
    [
        (brat, f"T1\tPER 0 {DIGITS}\tJordan\n", "line 1"),
        (brat, f"T1\tPER {DIGITS} 6\tJordan\n", "line 1"),
        (webanno, f"1-1\t0-{DIGITS}\tJordan\tPER\t", "line 6"),
    ],
)
def test_numbers_of_thousands_of_digits_are_no_offsets(write, content, place, tmp_path):
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=place):
        load_tagging_dataset(path, task="ner")
    with pytest.raises(DataError, match=place):
        convert(path, tmp_path / "out.json", to="doccano", task="ner")
    with pytest.raises(DataError, match=place):
        list(read_documents(path))


def test_names_of_thousands_of_digits_are_kept(tmp_path):
    path = brat(tmp_path, f"T{DIGITS}\tPER 0 6\tJordan\n#{DIGITS}\tAnnotatorNotes T{DIGITS}\tsure\n")
    convert(path, tmp_path / "out", to="brat", task="ner")
    assert DIGITS in next((tmp_path / "out").rglob("*.ann")).read_text()


def test_an_unknown_splitter_is_named_as_such(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"text": "Porto", "label": [[0, 5, "LOC"]]}\n')
    with pytest.raises(ConfigError, match="splitter=nope: expected one of"):
        load_tagging_dataset(path, task="ner", splitter="nope")


def test_home_of_an_unknown_user_is_not_there(tmp_path, capsys):
    path = "~nobody-of-this-name/corpus"
    for read in (
        lambda: load_tagging_dataset(path, task="ner"),
        lambda: load_tagging_dataset(train_file=path, task="ner"),
        lambda: convert(path, tmp_path / "out.json", to="doccano", task="ner"),
        lambda: list(read_documents(path)),
    ):
        with pytest.raises(DataError, match="~nobody-of-this-name/corpus does not exist"):
            read()
    assert look_at(path) == []
    with pytest.raises(SystemExit):
        main(["convert", path, str(tmp_path / "out.json"), "--to", "doccano"])
    assert "does not exist" in capsys.readouterr().err


def test_look_at_a_file_that_cannot_be_opened(tmp_path, monkeypatch):
    path = tmp_path / "a.conll"
    path.write_text("Jordan B-PER\n")

    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    (look,) = look_at(path)
    assert look.encoding == "cannot be read (Permission denied)"
    assert not look.lines
