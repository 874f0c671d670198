"""Damaged and hostile input ends in one message that names the file; content, not time, tells a changed file."""

import errno
import json
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fuzz import files, yamls
from fuzz.forked import run_forked
from run_configs import run_config
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.comparison.plan import read_plan
from hf_tagging.data import load_tagging_dataset
from hf_tagging.data.plain_text import load_text, read_table
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.text import split_words
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.inference.tagger import Tagger
from hf_tagging.models import load_encoder
from hf_tagging.publishing.demo.space import write_space

ROW = '{"tokens": ["a"], "tags": ["O"]}\n'


def load(path: Path, cache: Path) -> datasets.DatasetDict:
    return load_tagging_dataset(path, task="ner", cache_dir=cache)


@pytest.mark.failure_mode("json-row")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("null\n" + ROW, r"line 1: 'null' is no JSON object"),
        ("\n  null\n" + ROW, r"line 2: 'null' is no JSON object"),
        (ROW + "null\n", r"line 2: 'null' is no JSON object"),
        ("17\n", r"line 1: '17' is no JSON object"),
        ('"text"\n', r"line 1: .* is no JSON object"),
        ("[null]\n", r"row 1: 'null' is no JSON object"),
        ('[{"tokens": ["a"], "tags": ["O"]}, 3]', r"row 2: '3' is no JSON object"),
        ("[" * 100_000, r"nested too deep|not JSON"),
        ('{"tokens": ' + "[" * 100 + "]" * 100 + "}\n", r"line 1: .* is nested more than 32 deep"),
        ('{"a": ' * 200_000 + "1" + "}" * 200_000 + "\n", r"nested too deep"),
        ("[]", r"an empty array"),
        ('{"tokens": ["a"], "tags": ["O"]', r"line 1: .* is not JSON"),
        ('{"tokens": ["\\ud800"], "tags": ["O"]}\n', r"line 1: .* is not JSON: .*surrogates"),
        ("\x1f\x8b\x08", r"compressed by gzip: unpack it first"),
    ],
)
def test_json_is_looked_at_before_the_parser_sees_it(tmp_path, content, message):
    """In a process of its own: pyarrow ends the interpreter at some of these files."""
    path = tmp_path / "train.jsonl"
    path.write_bytes(content.encode("latin-1"))
    child = os.fork()
    if not child:
        try:
            load(path, tmp_path / "cache")
        except DataError as error:
            (tmp_path / "told").write_text(str(error))
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the interpreter crashed"
    told = (tmp_path / "told").read_text()
    assert told.startswith(str(path))
    assert "\n" not in told
    assert pytest.raises(DataError, match=message).matches(DataError(told)), told


def test_objects_over_several_lines_are_still_read(tmp_path):
    path = tmp_path / "train.json"
    path.write_text(json.dumps([json.loads(ROW)] * 3, indent=2))
    assert len(load(path, tmp_path / "cache")["train"]) == 3


@pytest.mark.failure_mode("corrected-file")
@pytest.mark.parametrize("suffix", ["conll", "jsonl", "parquet"])
def test_a_corrected_file_of_the_same_size_and_time_is_seen(tmp_path, suffix):
    path = tmp_path / f"train.{suffix}"

    def write(tag: str) -> None:
        row = {"tokens": ["Lisbon"], "tags": [tag]}
        if suffix == "parquet":
            datasets.Dataset.from_list([row]).to_parquet(path)
        else:
            path.write_text(f"Lisbon {tag}\n" if suffix == "conll" else json.dumps(row) + "\n")

    found = []
    for tag in ("B-LOC", "B-PER", "B-LOC"):
        write(tag)
        size = path.stat().st_size
        os.utime(path, (1_000_000_000, 1_000_000_000))
        split = load(path, tmp_path / "cache")["train"]
        found.append((split.features["tags"].feature.int2str(split[0]["tags"][0]), size, split.cache_files))
    assert [tag for tag, _, _ in found] == ["B-LOC", "B-PER", "B-LOC"]
    assert len({size for _, size, _ in found}) == 1
    assert found[0][2] == found[2][2]  # from the cache


def test_a_corrected_text_is_seen(tmp_path):
    path = tmp_path / "text.txt"
    for word in ("house", "horse"):
        path.write_text(f"An old {word}.\n")
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert load_text([path], split_words)["train"][0]["tokens"][2] == word


LEVELS = zip("abcdefg", "bcdefgh", strict=True)  # each of them eight times the one before
BOMB = "a: &a [x, x]\n" + "".join(f"{name}: &{name} [{', '.join([f'*{one}'] * 8)}]\n" for one, name in LEVELS)


@pytest.mark.failure_mode("hostile-yaml")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, r"line 2.*an alias|an alias .*line 2"),
        ("a: &a [*a]\n", "an alias"),
        ("seed: " + "[" * 600 + "]" * 600, "more than 20 levels"),
        ("seed: " + "[" * 600, "more than 20 levels"),
        ("seed: " + "{a: " * 600 + "}" * 600, "more than 20 levels"),
        ("seed: 1\n" * 300_000, "has more than 1,000,000 bytes"),
        ("seed: {[a]: 1}\n", "line 1: expected `name: value`"),
        ('train_file: "a\\0b.conll"\n', "train_file: holds a NUL character"),
        ('output_dir: "runs/\\0"\n', "output_dir: holds a NUL character"),
        ("a: \x00\n", "not YAML"),
        ("a: [1", r"not YAML \(while parsing a flow sequence in line 1, column 4, expected ',' or ']'"),
        ("a: b: c", r"not YAML \(mapping values are not allowed here in line 1, column 5\)"),
    ],
)
def test_hostile_yaml_ends_at_once(tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_text(content)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=message) as told:
        run_config("ner", ["--config", str(path)])
    assert str(path) in str(told.value)
    assert "unicode string" not in str(told.value)
    with pytest.raises(ConfigError, match=r"run\.yaml"):
        read_plan(path)
    assert time.monotonic() - began < 5


MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{one}'] * 8)}]}}\n" for one, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.failure_mode("accelerate-config")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: " + "[" * 600 + "]" * 600, "not YAML (more than 20 levels in one another"),
        (MERGED, "not YAML (an alias (*name); write the value itself there"),
        ("{[a]: 1}", "is not YAML (while constructing a mapping"),
        ("a: 2024-99-99", "is not YAML (month must be in 1..12"),
        ("- a", "expected lines of `name: value`"),
        ("", "expected lines of `name: value`"),
    ],
)
def test_accelerate_config_that_is_none(tmp_path, capsys, content, message):
    path = tmp_path / "accelerate.yaml"
    path.write_text(content)
    began = time.monotonic()
    with pytest.raises(SystemExit) as end:
        main(["train", "ner/quickstart", "--accelerate_config", str(path), "--dry_run"])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert f"{path}: {message}" in told
    assert told.count("expected lines of `name: value`, as in: hf-tagging copy cpu") == 1
    assert time.monotonic() - began < 5


def test_card_of_many_merges_tells_no_licence(tmp_path):
    pytest.importorskip("gradio")
    model = tiny_bert(tmp_path)
    for head, license in (("license: mit\n", "license: mit"), (f"license: mit\n{MERGED}", None)):
        (model / "README.md").write_text(f"---\n{head}---\n\n# A model\n")
        began = time.monotonic()
        card = write_space([str(model)], tmp_path / str(len(head)))[0].read_text()
        assert ("license: mit" in card) == (license is not None)
        assert time.monotonic() - began < 5


@pytest.mark.failure_mode("pickle")
@pytest.mark.parametrize("task", ["tag", "train"])
def test_pickles_are_refused_in_a_line(tmp_path, task):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it-ran"),)

    folder = tiny_bert(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({"classifier.weight": torch.zeros(2), "more": Evil()}, folder / "pytorch_model.bin")
    load = {
        "tag": lambda: Tagger.from_pretrained(str(folder), device="cpu"),
        "train": lambda: load_encoder(str(folder), schema=TagSchema(("O", "B-LOC"), "IOB2")),
    }
    with pytest.raises(ModelError, match=r"bert: its weights are a pickle .* could run code .* safetensors") as told:
        load[task]()
    assert "\n" not in str(told.value)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.failure_mode("damaged-model")
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"\x80\x04", b'{"a": ' * 3000])
def test_a_model_with_a_damaged_file(tmp_path, name, content):
    folder = tiny_bert(tmp_path)
    (folder / name).write_bytes(content)
    told = ""
    try:
        Tagger.from_pretrained(str(folder), device="cpu").tag(["Jordan"])
    except ModelError as error:
        told = str(error)
    # Without its settings a tokenizer may do its work.
    assert str(folder) in told or (name == "tokenizer_config.json" and not told)
    assert "\n" not in told


def test_a_saved_dataset_that_is_damaged(tmp_path):
    datasets.Dataset.from_list([json.loads(ROW)] * 3).save_to_disk(tmp_path / "saved")
    for name, content in (("state.json", b"[]"), ("dataset_info.json", b"null"), ("state.json", b'{"_data_files": 3}')):
        (tmp_path / "saved" / name).write_bytes(content)
        with pytest.raises(DataError, match="saved: a damaged dataset of save_to_disk"):
            load(tmp_path / "saved", tmp_path / "cache")


@pytest.fixture
def loud_again() -> Iterator[None]:
    level = datasets.logging.get_verbosity()
    yield
    datasets.enable_progress_bars()
    datasets.logging.set_verbosity(level)


@pytest.mark.failure_mode("damaged-data")
def test_a_share_of_the_damaged_files(tmp_path, loud_again):
    assert list(files.run(40, 7, tmp_path)) == []


def test_a_share_of_the_damaged_yamls(tmp_path):
    assert list(yamls.run(40, 7, tmp_path)) == []


def test_crashes_tracebacks_and_hangs_are_findings(monkeypatch):
    monkeypatch.setattr("fuzz.forked._SECONDS", 1)

    def nameless() -> None:
        raise DataError("something is wrong")

    attempts = [
        lambda: os.kill(os.getpid(), signal.SIGKILL),
        lambda: 1 / 0,
        nameless,
        lambda: time.sleep(60),
        lambda: None,
    ]
    findings = dict(line.split(": ", 1) for line in run_forked(range(5), lambda case: ("train.conll", attempts[case])))
    assert sorted(findings) == ["case 0", "case 1", "case 2", "case 3"]
    assert findings["case 0"] == findings["case 3"] == "the interpreter crashed, or it hung"
    assert "ZeroDivisionError" in findings["case 1"]
    assert findings["case 2"] == "a message without the name train.conll: something is wrong"


@pytest.mark.failure_mode("damaged-dataset")
def test_offsets_of_a_saved_dataset_that_lead_out_of_the_file(tmp_path):
    datasets.Dataset.from_list([json.loads(ROW)] * 3).save_to_disk(tmp_path / "saved")
    file = next((tmp_path / "saved").glob("*.arrow"))
    offsets = struct.pack("<4i", 0, 1, 2, 3)
    assert offsets in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(offsets, struct.pack("<4i", 0, 1, 2, 1 << 30)))
    with pytest.raises(DataError, match=r"saved: a damaged dataset of save_to_disk: .*larger than values array"):
        load(tmp_path / "saved", tmp_path / "cache")


@pytest.mark.failure_mode("damaged-data")
def test_parquet_whose_text_is_no_utf8(tmp_path):
    """Words for vectors and language models are read of it, too."""
    array = pa.StringArray.from_buffers(2, pa.py_buffer(struct.pack("<3i", 0, 1, 2)), pa.py_buffer(b"a\xff"))
    pq.write_table(pa.table({"text": array}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train.parquet: cannot be read as Parquet: .*UTF8"):
        read_table([tmp_path / "train.parquet"])


def test_a_saved_dataset_on_a_machine_without_room(tmp_path, monkeypatch):
    datasets.Dataset.from_list([json.loads(ROW)]).save_to_disk(tmp_path / "saved")

    def fails(error):
        def _fail(*args):
            raise error

        monkeypatch.setattr(datasets, "load_from_disk", _fail)

    fails(pa.ArrowMemoryError("malloc of size 64 failed"))
    with pytest.raises(DataError, match=r"saved: reading it as a dataset takes more memory than there is \(malloc"):
        load(tmp_path / "saved", tmp_path / "cache")
    fails(OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(OSError, match="No space left"):
        load(tmp_path / "saved", tmp_path / "cache")
