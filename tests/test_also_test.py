"""Other tags of the test split (`also_test`): scored beside its own, never learned from, refused where words differ."""

import json
from pathlib import Path

import pytest
from recipe_runs import record, run_here, weights
from tiny_models import tiny_bert

from hf_tagging import DataConfig, ScratchConfig, TaggingConfig, TaggingTrainer, load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.comparison.compare import compare_runs
from hf_tagging.comparison.plan import read_plan
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.training import RunConfig

TRAIN = "Ada B-PER\nsaw O\nOslo B-LOC\n\nBo B-PER\nleft O\nRome B-LOC\n\nAda B-PER\nBo I-PER\nleft O\nOslo B-LOC\n\n"
TEST = "Bo B-PER\nsaw O\nRome B-LOC\n\nAda B-PER\nleft O\nOslo B-LOC\n\n"
YAML = "task: ner\nencoder: hmm\ntrain_file: {train}\ntest_file: {test}\nalso_test: {other}\n"
# Another scheme, another tag for Oslo, a tag that training does not have, and a word that is not annotated.
OTHER = "Bo I-PER\nsaw -100\nRome I-ORG\n\nAda I-PER\nleft O\nOslo O\n\n"


@pytest.fixture
def files(tmp_path):
    """Training, test and other tags, in a folder."""
    texts = {"train": TRAIN, "dev": TEST, "test": TEST, "other": OTHER}
    paths = {name: tmp_path / f"{name}.txt" for name in texts}
    for name, text in texts.items():
        paths[name].write_text(text)
    return paths


def flags(files, *more, also="other"):
    named = ["--train_file", files["train"], "--validation_file", files["dev"], "--test_file", files["test"]]
    return [*named, *(["--also_test", files[also]] if also else []), "--encoder", "hmm", "--use_cpu", *more]


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def test_predictions_are_scored_against_both(files, tmp_path, capsys):
    out = tmp_path / "run"
    run_here("ner_baseline", *flags(files), "--output_dir", out)
    found = results(out)
    assert list(found) == ["validation", "test", "also_test"]
    assert found["test"]["f1"] == 1.0
    # Of the four entities that are predicted, the two persons are right by the other tags; the organization is missed.
    assert found["also_test"]["precision"] == pytest.approx(2 / 4)
    assert found["also_test"]["recall"] == pytest.approx(2 / 3)
    assert found["also_test"]["f1"] == pytest.approx(4 / 7)
    assert found["also_test"]["accuracy"] == pytest.approx(3 / 5)
    assert found["also_test"]["per_type"]["ORG"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 1}
    assert (out / "predictions" / "also_test.conll").read_text() == (
        "Bo B-PER B-PER\nsaw -100 O\nRome B-ORG B-LOC\n\nAda B-PER B-PER\nleft O O\nOslo O B-LOC\n\n"
    )
    assert "also_test" in capsys.readouterr().out
    kept = record(out)
    assert kept["dataset"]["splits"]["also_test"]["words"] == 6
    assert kept["dataset"]["unseen_tags"] == {"also_test": {"B-ORG": 1}}
    assert [Path(file["file"]).name for file in kept["dataset"]["reading"]["splits"]["also_test"]] == ["other.txt"]
    assert "predictions/also_test.conll" in kept["files"]
    card = (out / "README.md").read_text()
    assert "| Figure | validation | test | also_test |" in card
    assert "scored against other tags of it, from other.txt" in card
    assert "### By entity type, test split" in card
    report = (out / "report.html").read_text()
    assert "Report on the test split" in report
    assert "Entity F1, also_test</span> <strong>0.5714</strong>" in report


def test_the_model_and_its_other_figures_do_not_depend_on_it(files, tmp_path):
    run_here("ner_baseline", *flags(files, also=None), "--output_dir", tmp_path / "without")
    run_here("ner_baseline", *flags(files), "--output_dir", tmp_path / "with")
    timed = {"runtime", "words_per_second"}
    for split, figures in results(tmp_path / "without").items():
        same = results(tmp_path / "with")[split]
        assert {k: v for k, v in same.items() if k not in timed} == {k: v for k, v in figures.items() if k not in timed}
    labels = [json.loads((tmp_path / name / "config.json").read_text())["id2label"] for name in ("with", "without")]
    assert labels[0] == labels[1]
    ours, theirs = weights(tmp_path / "with"), weights(tmp_path / "without")
    assert all((ours[name] == theirs[name]).all() for name in theirs)


def test_an_encoder_is_scored_alike(files, tmp_path):
    out = tmp_path / "run"
    named = [x for x in flags(files) if x not in ("--encoder", "hmm")]
    run_here("ner_bert", *named, "--model", tiny_bert(tmp_path), "--max_steps", 2, "--output_dir", out)
    run_here("ner_bert", *named, "--model", out, "--do_train", "false", "--output_dir", tmp_path / "again")
    assert results(out)["also_test"] == results(tmp_path / "again")["also_test"]
    assert results(out)["also_test"]["words"] == 5


def test_parts_of_speech_and_a_limit(tmp_path):
    texts = {"train": "a DET\ncat NOUN\nsat VERB\n\n", "other": "a DET\ncat PROPN\n\nsat VERB\n\n"}
    texts |= {"test": "a DET\ncat NOUN\n\nsat VERB\n\n"}
    files = {name: tmp_path / f"{name}.txt" for name in texts}
    for name, text in texts.items():
        files[name].write_text(text)
    out = tmp_path / "run"
    named = ["--train_file", files["train"], "--test_file", files["test"], "--also_test", files["other"]]
    run_here("pos_baseline", *named, "--encoder", "hmm", "--use_cpu", "--max_eval_samples", 1, "--output_dir", out)
    assert results(out)["test"]["accuracy"] == 1.0
    assert results(out)["also_test"]["accuracy"] == 0.5
    assert results(out)["also_test"]["sentences"] == 1
    assert record(out)["dataset"]["unseen_tags"]["also_test"] == {"PROPN": 1}


@pytest.mark.failure_mode("also-test-words")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OTHER.replace("left", "Left"), "sentence 2, word 2 is 'Left', in the test split 'left'"),
        (OTHER.replace("Oslo O\n", ""), "sentence 2, word 3 is missing, in the test split 'Oslo'"),
        (OTHER + "More O\n", "sentence 3, word 1 is 'More', in the test split missing"),
        (OTHER.partition("\n\n")[0], "sentence 2, word 1 is missing, in the test split 'Ada'"),
    ],
)
def test_other_words_are_refused(files, tmp_path, text, expected):
    files["other"].write_text(text)
    with pytest.raises(DataError) as caught:
        run_here("ner_baseline", *flags(files), "--output_dir", tmp_path / "run")
    assert expected in str(caught.value)
    assert str(files["other"]) in str(caught.value)
    assert "hf-tagging evaluate" in str(caught.value)


def test_other_classes_are_refused(files):
    files["other"].write_text(TEST.replace("PER", "GENE").replace("LOC", "CELL"))
    config = RunConfig("ner", data_of(files), ScratchConfig(encoder="hmm"))
    with pytest.raises(DataError, match=r"none of the entity types of train.txt .CELL, GENE here, LOC, PER there."):
        config.load_other_tags(config.load_dataset())


def test_a_test_split_that_is_drawn_is_refused_with_the_way_out(files, tmp_path):
    named = ["--train_file", files["train"], "--test_share", 0.4, "--also_test", files["other"], "--encoder", "hmm"]
    with pytest.raises(DataError, match=r"drawn from the training sentences \(test_share\): give .* as test_file"):
        run_here("ner_baseline", *named, "--output_dir", tmp_path / "run")


def test_nothing_to_score_is_refused(files, tmp_path):
    with pytest.raises(DataError, match=r"other tags of the test split, and train.txt has none .there is train."):
        run_here("ner_baseline", "--train_file", files["train"], "--also_test", files["other"], "--encoder", "hmm",
                 "--output_dir", tmp_path / "run")  # fmt: skip
    with pytest.raises(ConfigError, match="--also_test: do_predict is off, so that no test split is tagged"):
        RunConfig.from_command_line([*map(str, flags(files)), "--do_predict", "false"], task="ner", model=ScratchConfig)
    files["other"].unlink()
    with pytest.raises(ConfigError, match=r"--also_test: .*other.txt is not there"):
        RunConfig.from_command_line([*map(str, flags(files))], task="ner", model=ScratchConfig)


def test_it_belongs_to_the_data_of_a_file(files, tmp_path):
    """A flag that names other data leaves it out; the flag itself replaces no data."""
    yaml = tmp_path / "run.yaml"
    yaml.write_text(YAML.format(**files))
    assert RunConfig.from_yaml(yaml).data.also_test == [str(files["other"])]
    assert RunConfig.from_yaml(yaml, test_file=[str(files["dev"])]).data.also_test is None
    read = RunConfig.from_yaml(yaml, also_test=[str(files["dev"])]).data
    assert (read.also_test, read.test_file) == ([str(files["dev"])], [str(files["test"])])


def test_a_resumed_run_may_add_it(files, tmp_path):
    out = tmp_path / "run"
    run_here("ner_baseline", *flags(files, also=None), "--output_dir", out)
    run_here("ner_baseline", *flags(files), "--output_dir", out, "--resume")
    assert list(results(out)) == ["validation", "test", "also_test"]
    files["other"].write_text(TEST)
    with pytest.raises(DataError, match="words or tags of also_test are not those"):
        run_here("ner_baseline", *flags(files), "--output_dir", out, "--resume")


def test_runs_are_compared_on_it(files, tmp_path, capsys):
    for name, more in {"one": [], "two": ["--scheme", "BIOES"]}.items():
        run_here("ner_baseline", *flags(files), *more, "--output_dir", tmp_path / name)
    compared = compare_runs([tmp_path / "one", tmp_path / "two"], split="also_test", resamples=20)
    assert compared.rows[0].score == pytest.approx(4 / 7)
    assert compared.rows[0].cost.words_per_second == results(tmp_path / "one")["test"]["words_per_second"]
    capsys.readouterr()
    command = ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--split", "also_test", "--resamples", "20"]
    main(command)
    assert "0.5714" in capsys.readouterr().out


def test_a_plan_compares_on_it(files, tmp_path):
    plan = tmp_path / "plan.yaml"
    text = "split: also_test\narguments:\n  task: ner\n  train_file: {train}\n  test_file: {test}\n"
    runs = "runs:\n  one: {{encoder: hmm{also}}}\n"
    plan.write_text((text + runs).format(**files, also=f", also_test: {files['other']}"))
    assert read_plan(plan).split == "also_test"
    plan.write_text((text + runs).format(**files, also=""))
    with pytest.raises(ConfigError, match=r"runs.one: also_test names no file, so there would be nothing to compare"):
        read_plan(plan)


def test_validate_reads_it(files, tmp_path, capsys):
    files["other"].write_text(OTHER.replace("left", "Left"))
    yaml = tmp_path / "run.yaml"
    yaml.write_text(YAML.format(**files))
    with pytest.raises(SystemExit):
        main(["validate", str(yaml)])
    said = capsys.readouterr()
    assert "sentence 2, word 2 is 'Left'" in said.out + said.err


def data_of(files):
    return DataConfig(
        train_file=[str(files["train"])], test_file=[str(files["test"])], also_test=[str(files["other"])]
    )  # fmt: skip


def test_the_trainer_takes_it_with_data(files, tmp_path):
    dataset = load_tagging_dataset(task="ner", train_file=files["train"], test_file=files["test"])
    args = TaggingConfig(output_dir=str(tmp_path / "run"), use_cpu=True)

    def trainer(**data):
        given = {"train_dataset": dataset["train"], "test_dataset": dataset["test"]} | data
        also = DataConfig(also_test=[str(files["other"])])
        return TaggingTrainer(ScratchConfig(encoder="hmm"), args, data=also, **given)

    first = trainer()
    first.train()
    assert first.final_evaluation()["also_test"]["f1"] == pytest.approx(4 / 7)
    splits = {f"{name}_dataset": first.splits[name] for name in ("train", "test")}
    again = TaggingTrainer(
        first.model, args, data=DataConfig(also_test=[str(files["other"])]), processing_class=first.processing_class,
        task="ner", **splits,
    )  # fmt: skip
    assert again.final_evaluation()["also_test"]["f1"] == pytest.approx(4 / 7)
    with pytest.raises(DataError, match="sentence 1, word 1 is 'Bo', in the test split 'Ada'"):
        trainer().final_evaluation(dataset["test"].select([1, 0]))
