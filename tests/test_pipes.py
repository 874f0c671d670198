"""Pipes are read once and whole: FIFOs, process substitutions, standard input. Devices are refused."""

import json
import os
import pty
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from run_configs import run_config
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.plain_text import load_text, read_table
from hf_tagging.data.spool import Spool
from hf_tagging.data.text import split_words
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.inference.evaluating import evaluate_predictions
from hf_tagging.inference.file_formats import FORMATS
from hf_tagging.inference.files import tag_file
from hf_tagging.inference.tagger import Tagger
from hf_tagging.models.word_vectors import read_vectors
from hf_tagging.training import DataConfig
from hf_tagging.training.yaml_files import compose_yaml

SENTENCES = 2_000  # more than a pipe holds: a reader that opens it twice loses what the first one has buffered
KINDS = ("fifo", "substitution", "stdin", "socket")


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes a pipe of a kind that a thread writes a content into, and gives its path."""
    before, opened, threads = os.dup(0), [], []

    def make(kind: str, content: str, name: str = "data") -> str:
        if kind == "fifo":
            path = tmp_path / name
            os.mkfifo(path)
            writer: int | Path = path
        else:
            reader, writer = os.pipe() if kind != "socket" else (end.detach() for end in socket.socketpair())
            opened.append(reader)
            path = Path(f"/dev/fd/{reader}" if kind == "substitution" else "/dev/stdin")
            if kind != "substitution":
                os.dup2(reader, 0)

        def write() -> None:
            with open(writer, "w") as stream:
                stream.write(content)

        threads.append(threading.Thread(target=write, daemon=True))
        threads[-1].start()
        return str(path)

    yield make
    os.dup2(before, 0)
    for descriptor in (before, *opened):
        os.close(descriptor)
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive(), "nobody has read the pipe to its end"


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    return Tagger.from_pretrained(str(tiny_bert(tmp_path_factory.mktemp("tagger"))), device="cpu")


def columns(count: int = SENTENCES) -> str:
    return "".join(f"word{i} O\nLisbon B-LOC\n\n" for i in range(count))


def rows(count: int = SENTENCES) -> str:
    return "".join(json.dumps({"tokens": [f"word{i}", "Lisbon"], "tags": ["O", "B-LOC"]}) + "\n" for i in range(count))


def texts(count: int = SENTENCES) -> str:
    return "".join(f"Jordan booked table {i} in Lisbon{' again' * (i % 5)}.\n" for i in range(count))


def table(count: int = SENTENCES) -> str:
    return "id,text\n" + "".join(f"{i},Jordan booked table {i} in Lisbon\n" for i in range(count))


INPUTS = {"column": columns, "jsonl": rows, "text": texts, "csv": table}


@pytest.mark.failure_mode("pipe")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("named", [True, False], ids=["format", "guessed"])
def test_predict_loses_no_word(tmp_path, tagger, pipe, kind, format, named):
    content = INPUTS[format](400)
    (tmp_path / "file.input").write_text(content)
    column = "text" if format == "csv" else None
    tag_file(tagger, tmp_path / "file.input", tmp_path / "of_file", format=format, text_column=column)
    read_as = format if named else None
    counts = tag_file(tagger, pipe(kind, content), tmp_path / "of_pipe", format=read_as, text_column=column)
    assert (tmp_path / "of_pipe").read_text() == (tmp_path / "of_file").read_text()
    assert counts.sentences == 400


@pytest.mark.parametrize("name", ["tmp.Ab12Cd", "rows.txt"])
def test_a_pipe_of_rows_is_known_by_its_content(tmp_path, tagger, pipe, name):
    tag_file(tagger, pipe("fifo", rows(5), name), tmp_path / "tagged")
    assert json.loads((tmp_path / "tagged").read_text().splitlines()[4])["tokens"] == ["word4", "Lisbon"]


def test_minus_is_standard_input(tmp_path, tagger, pipe):
    pipe("stdin", columns(50))
    assert tag_file(tagger, "-", tmp_path / "tagged").words == 100


@pytest.mark.parametrize("format", ["jsonl", "text"])
def test_what_is_read_once_anyway_is_not_copied(tmp_path, tagger, pipe, monkeypatch, format):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    counts = tag_file(tagger, pipe("fifo", INPUTS[format](20)), tmp_path / "tagged", format=format)
    assert counts.sentences == 20


@pytest.mark.failure_mode("pipe")
@pytest.mark.parametrize("kind", KINDS)
def test_evaluate_predictions(tmp_path, pipe, kind):
    content = "".join(f"word{i} O O\nLisbon B-LOC {'B-LOC' if i % 2 else 'O'}\n\n" for i in range(SENTENCES))
    figures = evaluate_predictions(pipe(kind, content)).figures
    assert (figures["words"], figures["recall"]) == (2 * SENTENCES, 0.5)


@pytest.mark.failure_mode("pipe")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", ["column", "jsonl"])
@pytest.mark.parametrize("flag", ["train_file", "name_or_path"])
def test_every_sentence_is_loaded(tmp_path, pipe, kind, format, flag):
    path = pipe(kind, INPUTS[format]())
    dataset = load_tagging_dataset(**{flag: path}, task="ner", cache_dir=tmp_path / "cache")
    assert len(dataset["train"]) == SENTENCES
    assert dataset["train"][-1]["tokens"] == [f"word{SENTENCES - 1}", "Lisbon"]


def test_cache_knows_a_pipe_by_its_content(tmp_path, pipe):
    def load(name: str, content: str):
        path = pipe("fifo", content, name)
        dataset = load_tagging_dataset(train_file=path, task="ner", cache_dir=tmp_path / "cache")
        os.unlink(path)
        return dataset["train"]

    first, other, again = load("a", columns(3)), load("a", columns(4)), load("a", columns(3))
    assert [len(split) for split in (first, other, again)] == [3, 4, 3]
    assert first.cache_files == again.cache_files != other.cache_files


@pytest.mark.failure_mode("pipe")
@pytest.mark.parametrize("kind", KINDS)
def test_other_readers(tmp_path, pipe, kind):
    pytest.importorskip("gensim")
    assert len(read_vectors(pipe(kind, "house 1.0 2.0\nchef 0.5 0.25\n", "vectors"))) == 2
    assert len(load_text([pipe(kind, texts(), "text")], split_words)["train"]) == SENTENCES
    assert len(read_table([pipe(kind, rows(), "rows")])) == SENTENCES
    config = pipe(kind, "dataset: sample\nseed: 7\n", "config")
    assert run_config("ner", ["--config", config]).training.seed == 7


@pytest.mark.failure_mode("empty-pipe")
@pytest.mark.parametrize("kind", KINDS)
def test_empty_pipes_end_in_a_message(tmp_path, tagger, pipe, kind):
    with pytest.raises(DataError, match="the file is empty") as told:
        load_tagging_dataset(train_file=pipe(kind, "", "train"), task="ner", cache_dir=tmp_path / "cache")
    assert "hf-tagging-" not in str(told.value)  # the name that was given, not that of the copy
    with pytest.raises(DataError, match="the file is empty; expected columns, JSON Lines or plain text"):
        tag_file(tagger, pipe(kind, "", "input"), tmp_path / "tagged")
    with pytest.raises(DataError, match="the file is empty; expected a sentence or paragraph a line"):
        load_text([pipe(kind, "", "text")], split_words)
    with pytest.raises(DataError, match="holds no word"):
        evaluate_predictions(pipe(kind, "", "predictions"))
    assert not (tmp_path / "tagged").exists()


def test_messages_name_the_pipe_and_the_line(tmp_path, pipe):
    path = pipe("fifo", columns(5) + "alone\n")
    with pytest.raises(DataError, match=rf"{path}, line 16: 'alone' has 1 column"):
        load_tagging_dataset(train_file=path, task="ner", cache_dir=tmp_path / "cache")


def test_copies_go_with_the_reading(tmp_path, pipe, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    load_tagging_dataset(train_file=pipe("fifo", columns(5)), task="ner", cache_dir=tmp_path / "cache")
    assert not any((tmp_path / "temporary").iterdir())


@pytest.mark.failure_mode("pipe-disk-full")
def test_a_full_disk_is_named(tmp_path, pipe, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = pipe("fifo", columns(5))
    real = open

    def full(file, mode="r", *args):
        return real("/dev/full" if "w" in mode else file, mode, *args)

    monkeypatch.setattr("builtins.open", full)
    with Spool() as spool, pytest.raises(OutputError, match=r"the disk is full.*Set TMPDIR"):
        spool.file(path)


@pytest.mark.failure_mode("input-device")
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/urandom"])
def test_devices_are_refused_at_once(tmp_path, tagger, device):
    began = time.monotonic()
    refusals = [
        lambda: load_tagging_dataset(train_file=device, task="ner"),
        lambda: load_tagging_dataset(device, task="ner"),
        lambda: tag_file(tagger, device, tmp_path / "tagged", format="text"),
        lambda: evaluate_predictions(device),
        lambda: load_text([device], split_words),
        lambda: read_vectors(device),
    ]
    for refusal in refusals:
        with pytest.raises(DataError, match=f"{device} is a device, not a file"):
            refusal()
    for name in ("train_file", "dataset", "config"):
        with pytest.raises(ConfigError, match=f"{device} is a device, not a file"):
            run_config("ner", [f"--{name}", device])
    assert time.monotonic() - began < 5


def test_predict_refuses_a_device_before_the_model(capsys):
    with pytest.raises(SystemExit) as end:
        main(["predict", "no-such-model", "--input", "/dev/zero"])
    assert end.value.code == 1
    assert "/dev/zero is a device, not a file" in capsys.readouterr().err


@pytest.mark.failure_mode("shared-pipe")
def test_several_processes_do_not_share_a_pipe(tmp_path, pipe, monkeypatch):
    path = tmp_path / "train.conll"
    os.mkfifo(path)
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = "is a pipe, which only one of the 2 processes could read; write it to a file first"
    for config in ({"train_file": [str(path)]}, {"dataset": str(path)}):
        with pytest.raises(ConfigError, match=f"^{next(iter(config))}: {path} {told}$"):
            DataConfig(**config)
    with pytest.raises(DataError, match=told):
        load_tagging_dataset(train_file=path, task="ner")
    with pytest.raises(ConfigError, match=told):
        compose_yaml(path, named_by="config")


@pytest.mark.failure_mode("shared-pipe")
def test_a_substitution_of_another_process(tmp_path):
    with pytest.raises(DataError, match=r"/dev/fd/987 is not open here: a process substitution does not reach"):
        load_tagging_dataset(train_file="/dev/fd/987", task="ner")


@pytest.mark.failure_mode("shared-pipe")
def test_one_pipe_is_no_two_splits(tmp_path, pipe):
    path = pipe("fifo", columns(5))
    with pytest.raises(DataError, match="is given twice and can be read once"):
        load_tagging_dataset(train_file=path, test_file=path, task="ner", cache_dir=tmp_path / "cache")


def test_a_redirected_file_stays_where_it_is(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(rows(3))
    with open(file) as stream, Spool() as spool:
        assert spool.file(f"/dev/fd/{stream.fileno()}") == file


@pytest.mark.failure_mode("shared-pipe")
def test_one_pipe_under_two_names(pipe):
    path = pipe("stdin", columns(5))
    with Spool() as spool:
        spool.file(path)
        told = "/dev/fd/0 is given twice, also as /dev/stdin, and can be read once"
        with pytest.raises(DataError, match=told):
            spool.file("/dev/fd/0")


def test_empty_files_are_no_riddle(tmp_path, tagger):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(DataError, match=r"empty\.txt: the file is empty"):
        tag_file(tagger, tmp_path / "empty.txt", tmp_path / "tagged")
    with pytest.raises(DataError, match=r"empty\.txt: the file is empty; expected a sentence"):
        load_text([tmp_path / "empty.txt"], split_words)
    (tmp_path / "comments.txt").write_text("# a\n\n# b\n")
    with pytest.raises(DataError, match=r"comments\.txt: there is no word in its first lines"):
        tag_file(tagger, tmp_path / "comments.txt", tmp_path / "tagged")


@pytest.fixture
def standard_input():
    """Puts a file or a terminal in the place of standard input."""
    before = os.dup(0)
    yield lambda opened: os.dup2(opened, 0)
    os.dup2(before, 0)
    os.close(before)


@pytest.mark.failure_mode("standard-input")
@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_null_as_standard_input_is_an_empty_one(tmp_path, tagger, standard_input, name):
    with open(os.devnull) as null:
        standard_input(null.fileno())
        assert tag_file(tagger, name, tmp_path / "tagged", format="text").words == 0
        with pytest.raises(DataError, match="/dev/stdin: the file is empty"):
            tag_file(tagger, name, tmp_path / "guessed")
    assert (tmp_path / "tagged").read_text() == ""


@pytest.mark.failure_mode("standard-input")
@pytest.mark.parametrize("format", [*FORMATS, None])
def test_a_terminal_is_read_to_its_end(tmp_path, tagger, standard_input, format):
    person, terminal = pty.openpty()
    standard_input(terminal)
    os.write(person, INPUTS[format or "column"](6).encode() + b"\x04")
    column = "text" if format == "csv" else None
    assert tag_file(tagger, "-", tmp_path / "tagged", format=format, text_column=column).sentences == 6
    os.close(person)
    os.close(terminal)


@pytest.mark.failure_mode("standard-input")
def test_a_device_without_an_end_is_refused_as_standard_input_too(tmp_path, tagger, standard_input):
    with open("/dev/zero") as zero:
        standard_input(zero.fileno())
        with pytest.raises(DataError, match="/dev/stdin is a device, not a file"):
            tag_file(tagger, "-", tmp_path / "tagged")


@pytest.mark.failure_mode("standard-input")
def test_closed_standard_input_is_said(tmp_path, tagger, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    for name in ("-", "/dev/stdin", "/dev/fd/0"):
        with pytest.raises(DataError, match="Standard input is closed; give a file or a pipe"):
            tag_file(tagger, name, tmp_path / "tagged")
    with pytest.raises(ConfigError, match=r"train_file: Standard input is closed; give a file or a pipe\n"):
        run_config("ner", ["--train_file", "/dev/stdin"])


def test_a_link_that_leads_nowhere_is_not_its_own_nearest_name(tmp_path, tagger):
    (tmp_path / "data.columns.conll").symlink_to("gone.conll")
    said = re.escape(f"{tmp_path / 'data.columns.conll'} is a link to gone.conll, which does not exist")
    with pytest.raises(DataError, match=said):
        tag_file(tagger, tmp_path / "data.columns.conll", tmp_path / "tagged")
