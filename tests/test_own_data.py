"""Own files are scored on own files: data given by flags is all the data, and no file of a folder vanishes."""

import logging
from pathlib import Path

import pytest
from run_configs import run_config

from hf_tagging.comparison.plan import read_plan
from hf_tagging.data import load_tagging_dataset
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.training.config.pretraining import PretrainingConfig
from hf_tagging.training.settings import _say_once

SENTENCES = "chef O\nLisbon B-LOC\n\nMay O\nPorto B-LOC\n\n"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    _say_once.cache_clear()
    for name in ("mine", "other"):
        (tmp_path / f"{name}.conll").write_text(SENTENCES)
    return tmp_path


def config(folder: Path, *lines: str) -> str:
    (folder / "run.yaml").write_text("\n".join(["seed: 3", *lines]) + "\n")
    return str(folder / "run.yaml")


@pytest.mark.failure_mode("own-data")
def test_a_data_flag_replaces_all_data_of_the_file(mine, caplog):
    path = config(mine, "dataset: eriktks/conll2003", "dataset_revision: abc", f"test_file: {mine}/other.conll")
    with caplog.at_level(logging.WARNING):
        parsed = run_config("ner", ["--config", path, "--train_file", f"{mine}/mine.conll"])
    data = parsed.data
    assert (parsed.named_dataset, data.dataset_revision, data.test_file) == (None, None, None)
    assert data.train_file == [f"{mine}/mine.conll"]
    assert (parsed.dataset_name, parsed.training.seed) == ("mine.conll", 3)
    assert "--train_file: all data is what the flags say; left out: " in caplog.text
    for place in ("line 2: dataset", "line 3: dataset_revision", "line 4: test_file"):
        assert place in caplog.text


@pytest.mark.failure_mode("dash-names")
@pytest.mark.parametrize(("key", "flag"), [("test-file", "--train_file"), ("test_file", "--train-file")])
def test_names_with_a_dash_are_the_same_names(mine, key, flag):
    path = config(mine, f"{key}: {mine}/other.conll")
    data = run_config("ner", ["--config", path, flag, f"{mine}/mine.conll"]).data
    assert (data.train_file, data.test_file) == ([f"{mine}/mine.conll"], None)
    path = config(mine, "test-file: a", "test_file: b")
    with pytest.raises(ConfigError, match="line 3: test_file: occurs twice"):
        run_config("ner", ["--config", path])


def test_a_file_for_a_split_replaces_what_would_draw_it(mine, caplog):
    path = config(mine, f"train_file: {mine}/mine.conll", "test_share: 0.1", "split_seed: 5")
    files = ("--train_file", f"{mine}/mine.conll", "--test_file", f"{mine}/other.conll")
    with caplog.at_level(logging.WARNING):
        data = run_config("ner", ["--config", path, *files]).data
    assert (data.test_file, data.test_share, data.split_seed) == ([f"{mine}/other.conll"], None, None)
    assert "line 3: test_share" in caplog.text
    typed = run_config("ner", ["--config", path, *files, "--test_share", "0.2"]).data
    assert typed.test_share == 0.2  # what was typed stays, and is refused with the data
    data = run_config("ner", ["--config", path, *files[:2]]).data  # of another corpus a share is drawn as well
    assert (data.test_share, data.split_seed) == (0.1, 5)


def test_a_file_that_is_no_config_is_not_listed_whole(mine):
    path = config(mine, *(f"key_{number}: 1" for number in range(20_000)))
    with pytest.raises(ConfigError, match=r"51 problems[\s\S]*line 51: key_49[\s\S]*\.\.\. and perhaps more\n"):
        run_config("ner", ["--config", path])


def test_a_data_set_by_flag_replaces_the_files_of_the_file(mine):
    path = config(mine, f"train_file: {mine}/mine.conll", f"validation_file: {mine}/other.conll")
    run = run_config("ner", ["--config", path, "--dataset=sample"])
    assert (run.named_dataset, run.data.train_file, run.data.validation_file) == ("sample", None, None)


def test_files_of_a_config_take_nothing_of_the_default_data_set(mine):
    path = config(mine, f"train_file: {mine}/mine.conll")
    assert run_config("ner", ["--config", path]).named_dataset is None


def test_both_are_taken_where_both_are_flags(mine):
    run = run_config("ner", ["--dataset", "sample", "--train_file", f"{mine}/mine.conll"])
    assert (run.named_dataset, run.data.train_file) == ("sample", [f"{mine}/mine.conll"])


def test_a_flag_that_only_says_which_revision_replaces_nothing(mine):
    path = config(mine, "dataset: eriktks/conll2003")
    run = run_config("ner", ["--config", path, "--dataset_revision", "abc"])
    assert (run.named_dataset, run.data.dataset_revision) == ("eriktks/conll2003", "abc")


def test_text_by_flag_replaces_tagging_data(mine):
    path = config(mine, "dataset: sample")
    arguments = PretrainingConfig.from_command_line(["--config", path, "--text_file", f"{mine}/mine.conll"])
    assert arguments.data.text_file == [f"{mine}/mine.conll"]


def test_text_by_flag_is_learned_beside_the_data_of_a_tagger(mine):
    path = config(mine, f"train_file: {mine}/mine.conll", "teacher: someone/tagger")
    run = run_config("ner", ["--config", path, "--text_file", f"{mine}/other.conll"])
    assert (run.data.train_file, run.data.text_file) == ([f"{mine}/mine.conll"], [f"{mine}/other.conll"])
    common = f"train_file: {mine}/mine.conll, test_file: {mine}/mine.conll, teacher: someone/tagger"
    (job,) = read_plan(comparison(mine, common, a=f", text_file: {mine}/other.conll")).jobs
    assert job.arguments["train_file"] == job.arguments["test_file"] == [f"{mine}/mine.conll"]


def comparison(folder: Path, common: str, **runs: str) -> Path:
    recipe = Path(__file__).parent.parent / "recipes/ner_baseline.py"
    lines = [f"  {name}: {{recipe: {recipe}{own}}}" for name, own in runs.items()]
    path = folder / "compare.yaml"
    common = f"arguments: {{encoder: lstm, {common}}}"
    path.write_text("\n".join([f"output_dir: {folder}/out", common, "runs:", *lines]) + "\n")
    return path


@pytest.mark.parametrize("dash", ["_", "-"])
def test_comparisons_know_the_rule(mine, dash):
    own = f", train{dash}file: {mine}/mine.conll, test{dash}file: {mine}/mine.conll"
    path = comparison(mine, "dataset: sample", a="", b=own)
    jobs = {job.name: job.command for job in read_plan(path).jobs}
    assert "--dataset" in jobs["a"]
    assert "--dataset" not in jobs["b"]
    flags = [f"--train{dash}file", f"{mine}/other.conll", "--test_file", f"{mine}/mine.conll"]
    for job in read_plan(path, flags=flags).jobs:
        assert "--dataset" not in job.command
        assert job.arguments["train_file"] == [f"{mine}/other.conll"]


@pytest.mark.failure_mode("compare-lost-data")
def test_a_run_of_a_comparison_loses_no_data_silently(mine):
    files = {name: f"{mine}/{name}.conll" for name in ("mine", "other")}
    common = f"train_file: {files['mine']}, validation-file: {files['mine']}, test_file: {files['mine']}"
    for job in read_plan(comparison(mine, common, a=", validation_file: null")).jobs:
        assert "--validation_file" not in job.command
        assert (job.arguments["train_file"], job.arguments["test_file"]) == ([files["mine"]], [files["mine"]])
    lost = "so train_file, validation_file of `arguments` would"
    message = f"runs.a: test_file: a run with files of its own reads no other data, {lost}"
    with pytest.raises(ConfigError, match=message):
        read_plan(comparison(mine, common, a=f", test_file: {files['other']}"))
    with pytest.raises(ConfigError, match=message):
        read_plan(comparison(mine, common, a=""), flags=["--test-file", files["other"]])
    with pytest.raises(ConfigError, match="arguments: train-file: occurs twice, with a dash and without"):
        read_plan(comparison(mine, f"{common}, train-file: x", a=""))


def test_what_a_comparison_sets_is_refused_with_a_dash_too(mine):
    with pytest.raises(ConfigError) as told:
        read_plan(comparison(mine, "dataset: sample, output-dir: x", a=""), flags=["--resume-from-checkpoint", "y"])
    assert "arguments: output_dir is set for every run; give output_dir beside runs" in str(told.value)
    assert "the command line: resume_from_checkpoint is set for every run" in str(told.value)


@pytest.mark.failure_mode("file-without-split")
def test_files_without_a_split_are_not_left_out_silently(mine):
    folder = mine / "corpus"
    folder.mkdir()
    for name in ("train.conll", "extra.conll", "dev.conll"):
        (folder / name).write_text(SENTENCES)
    with pytest.raises(DataError) as told:
        load_tagging_dataset(folder, task="ner", cache_dir=mine / "cache")
    message = str(told.value)
    assert f"{folder}/extra.conll: no split in the name" in message
    assert f"train_file=['{folder}/train.conll'] validation_file=['{folder}/dev.conll']" in message


@pytest.mark.parametrize(
    ("name", "content", "refused"),
    [
        ("inventory.txt", "O\nB-LOC\nI-LOC\n", False),
        ("notes.txt", "Collected in May.\nAnnotated by two people, twice.\nEnjoy!\n", False),
        ("settings.json", '{\n  "language": "en",\n  "labels": ["O", "B-LOC"]\n}\n', False),
        ("more.jsonl", '{"tokens": ["a"], "tags": ["O"]}\n', True),
        ("more.json", '[{"tokens": ["a"], "tags": ["O"]}]\n', True),
        ("more.txt", SENTENCES, True),
    ],
)
def test_what_looks_like_data_is_refused_and_other_files_are_told(mine, caplog, name, content, refused):
    folder = mine / "corpus"
    folder.mkdir()
    (folder / "train.conll").write_text(SENTENCES)
    (folder / name).write_text(content)
    if refused:
        with pytest.raises(DataError, match=f"{name}: no split in the name"):
            load_tagging_dataset(folder, task="ner", cache_dir=mine / "cache")
        return
    with caplog.at_level(logging.WARNING):
        assert list(load_tagging_dataset(folder, task="ner", cache_dir=mine / "cache")) == ["train"]
    assert f"{name}: not read, since its name has no split in it" in caplog.text


@pytest.mark.failure_mode("file-without-split")
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("extra", "a B-PER\nb O\nc O\n"),
        ("more.dat", "a B-PER\nb O\nc O\n"),
        ("more", '{"tokens": ["a"], "tags": ["O"]}\n'),
        ("rows.jsonl", '\n\n{"tokens": ["a"], "tags": ["O"]}\n'),
        ("rows.jsonl", '\ufeff{"tokens": ["a"], "tags": ["O"]}\n'),
        ("rows.jsonl", '\n{"tokens": ["' + "a" * 5000 + '"], "tags": ["O"]}\n'),
        ("column.txt", "\ufeff# a remark\na B-PER\nb O\nc O\n"),
    ],
)
def test_whatever_it_is_called_and_however_it_begins(tmp_path, name, content):
    for split in ("train", "dev"):
        (tmp_path / f"{split}.conll").write_text("a B-PER\n\n")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"/{name}: no split in the name"):
        load_tagging_dataset(tmp_path, task="ner")


def test_other_files_are_told_of(tmp_path, caplog):
    (tmp_path / "train.conll").write_text("a B-PER\n\n")
    (tmp_path / "stats.xml").write_text("<a>\n")
    load_tagging_dataset(tmp_path, task="ner", cache_dir=tmp_path / "cache")
    assert "stats.xml: not read, since its name has no split in it" in caplog.text


def test_what_is_said_of_a_file_colours_no_terminal(mine, caplog):
    """Also where nobody has set up the printing of messages, as in a notebook."""
    file = mine / "\x1b[31mrun.yaml"
    file.write_text("train_file: other.conll\n")
    run_config("ner", ["--config", str(file), "--dataset", "sample"])
    assert "left out: " in caplog.text
    assert "\\x1b[31mrun.yaml" in caplog.text
    assert "\x1b" not in caplog.text
