"""The report of real runs: what it is made of, what it leaves out and why, and that it takes nothing else along."""

import errno
import json
import random
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from recipe_runs import ROOT, environment, record, run_here, run_recipe
from safetensors.torch import load_file, save_file
from tiny_models import TAGS, tiny_bert
from transformers.integrations.deepspeed import set_hf_deepspeed_config

from hf_tagging import Tagger, TagSchema, load_encoder
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.evaluation.predictions import write_predictions
from hf_tagging.publishing.report import write as report
from hf_tagging.publishing.report.write import analyse_run, write_page, write_report

SMALL = ("--dataset", "sample", "--max_train_samples", 40, "--max_eval_samples", 30, "--use_cpu")
TRAINING = ("--max_steps", 4, "--learning_rate", 1e-2, "--eval_strategy", "no", "--save_strategy", "no")
WORDS = (  # noqa: SIM905
    "The chef from Lisbon will book a table in May because Jordan loves her book . Two old ships sailed slowly past "
    "the harbour of Porto ; nobody on the pier waved !"
).split()


def as_run(folder, *, split="test", count=30, extra=(), task="ner", wrong=0.3):
    """Makes of a model's folder that of a run: the model's own predictions beside gold tags that differ in a third."""
    rng = random.Random(0)
    words = [*extra, *(rng.choices(WORDS, k=rng.randint(1, 30)) for _ in range(count))]
    predicted = Tagger.from_pretrained(str(folder), device="cpu").tag(words)
    gold = [[rng.choice(TAGS) if rng.random() < wrong else tag for tag in tags] for tags in predicted]
    write_predictions(folder / "predictions" / f"{split}.conll", words, gold, predicted)
    arguments = {"output_dir": "/some/where/mine", "model": None}
    run = {"task": task, "status": "finished", "arguments": arguments, "files": ["config.json"], "history": []}
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture
def run(tmp_path):
    return as_run(tiny_bert(tmp_path), extra=[["<script>alert(1)</script>", "a b", ""]])


def group(analysis, title):
    return next(found for found in analysis["groups"] if found["title"] == title)


class TestWriteReport:
    def test_writes_a_page_that_is_the_runs(self, run):
        assert write_report(run) == run / "report.html"
        page = (run / "report.html").read_text()
        assert "<script>alert(1)</script>" not in page
        assert record(run)["files"] == ["config.json", "report.html"]
        assert str(run) not in page
        assert "/some/where" not in page

    def test_somebody_elses_page_stays(self, run):
        (run / "report.html").write_text("mine")
        analysis = analyse_run(run)
        for write in (lambda: write_report(run), lambda: write_page(run, analysis)):
            with pytest.raises(OutputError, match=r"report\.html: was not written by the run\. Nothing was changed\."):
                write()
        assert (run / "report.html").read_text() == "mine"
        assert record(run)["files"] == ["config.json"]
        (run / "report.html").rename(run / "mine.html")
        write_report(run)
        assert write_report(run).read_text() != "mine"  # what it has written it may write again

    def test_reads_long_documents_some_words_at_a_time(self, run, monkeypatch):
        whole, blocks = analyse_run(run), []
        probabilities = Tagger.all_probabilities

        def counted(tagger, sentences, **options):
            blocks.append([len(words) for words in sentences])
            return probabilities(tagger, sentences, **options)

        monkeypatch.setattr(Tagger, "all_probabilities", counted)
        monkeypatch.setattr(report, "_BLOCK_VALUES", 25 * len(TAGS))  # 25 words; the longest sentence has 30
        found = analyse_run(run)
        assert found["calibration"]["ece"] == pytest.approx(whole["calibration"]["ece"])
        scores = [[row["score"] for row in analysis["suspects"]["rows"]] for analysis in (found, whole)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
        assert group(found, "Casing") == group(whole, "Casing")
        assert sum(map(len, blocks)) == whole["sentences"]
        assert len(blocks) > 10
        assert all(sum(block) <= 25 or len(block) == 1 for block in blocks)

    def test_asks_the_runs_own_tagger(self, run):
        analysis = analyse_run(run)
        assert analysis["name"] == "mine"
        assert analysis["split"] == "test"
        assert analysis["sentences"] == 31
        calibrated = analysis["calibration"]
        assert calibrated["words"] == analysis["words"] == sum(row["words"] for row in calibrated["bins"])
        right = sum(row["accuracy"] * row["words"] for row in calibrated["bins"]) / calibrated["words"]
        lines = [line.split(" ") for line in (run / "predictions/test.conll").read_text().split("\n") if line]
        assert right == pytest.approx(np.mean([gold == predicted for _, gold, predicted in lines]))
        assert [row["name"] for row in group(analysis, "Casing")["rows"]] == ["as is", "lower case", "upper case"]
        assert len(analysis["suspects"]["rows"]) > 10
        for row in analysis["suspects"]["rows"]:
            sentence = next(x for x in analysis["examples"]["sentences"] if x["number"] == row["number"])
            assert row["text"] == sentence["words"][row["word"]] == row["context"][row["at"]]
            assert row["gold"] != row["predicted"]

    def test_says_why_the_first_errors_were_predicted(self, run):
        sentences, tagger = analyse_run(run)["examples"]["sentences"], Tagger.from_pretrained(run, device="cpu")
        explained = [sentence for sentence in sentences if "heat" in sentence]
        assert 5 < len(explained) <= 20
        for sentence in explained[:3]:
            heat = sentence["heat"]
            first = next(error["predicted"] for error in sentence["errors"] if error["predicted"])
            why = tagger.explain(sentence["words"], heat["word"])
            assert (heat["word"], heat["tag"]) == (first[0], why.tag)
            assert heat["values"] == pytest.approx(why.contributions.tolist(), abs=6e-4)

    def test_reads_uncased_words_alike_in_any_casing(self, run):
        """The tiny BERT folds case."""
        rows = group(analyse_run(run), "Casing")["rows"]
        assert len({(row["value"], row["low"], row["high"], row["count"]) for row in rows}) == 1

    def test_leaves_out_what_rests_on_another_model(self, run, tmp_path):
        other = tiny_bert(tmp_path / "other", seed=5)
        shutil.copy(other / "model.safetensors", run)
        analysis = analyse_run(run)
        for part in (analysis["calibration"], analysis["suspects"], group(analysis, "Casing")):
            assert re.search(r"\d% of the words get another tag than in the predictions", part["missing"])
            assert part["missing"].endswith("or long sentences are windowed in another way than in the run.")
        assert analysis["headline"][0]["value"] > 0
        assert write_report(run).exists()

    @pytest.mark.parametrize("break_it", ["config", "weights", "columns"])
    def test_goes_without_a_model(self, run, break_it):
        if break_it == "weights":
            (run / "model.safetensors").unlink()
        else:
            config = json.loads((run / "config.json").read_text()) | {"word_features": {"pos": 5}}
            (run / "config.json").write_text("{" if break_it == "config" else json.dumps(config))
        missing = analyse_run(run)["calibration"]["missing"]
        assert ("additional columns" if break_it == "columns" else "could not be loaded") in missing
        assert str(run) not in missing

    def test_loads_the_model_whole_at_the_end_of_a_sharded_run(self, run):
        class ZeroThree:
            def is_zero3(self):
                return True

        running = ZeroThree()
        set_hf_deepspeed_config(running)
        assert "bins" in analyse_run(run)["calibration"]

    def test_of_a_run_that_noted_nothing_says_so(self, run):
        assert "were not recorded" in group(analyse_run(run), "Words seen in training")["missing"]

    def test_knows_tags_with_spaces_by_their_spelling_in_the_file(self, tmp_path):
        run = as_run(tiny_bert(tmp_path, tags=["O", "B-PER", "B-work of art", "I-work of art", "I-PER"]), wrong=0)
        path = run / "predictions" / "test.conll"
        path.write_text(path.read_text().replace("work of art", "work_of_art"))
        analysis = analyse_run(run)
        assert analysis["headline"][0]["value"] == 1.0
        assert "bins" in analysis["calibration"]
        assert group(analysis, "Casing")["rows"][1]["value"] == 1.0

    def test_takes_the_split_that_is_asked_for(self, run):
        as_run(run, split="validation", count=3)
        assert analyse_run(run)["split"] == "test"
        assert analyse_run(run, split="validation")["sentences"] == 3
        (run / "predictions" / "test.conll").unlink()
        assert analyse_run(run)["split"] == "validation"
        with pytest.raises(ConfigError, match=r"no predictions for split=test; it has predictions for validation"):
            write_report(run, split="test")

    def test_says_what_is_missing(self, run, tmp_path):
        with pytest.raises(ConfigError, match=r"holds no run \(no run\.json\)"):
            write_report(tmp_path)
        with pytest.raises(ConfigError, match="device: 'cpux' cannot be used"):
            write_report(run, device="cpux")
        (run / "predictions" / "test.conll").write_text("one two\n")
        with pytest.raises(DataError, match="line 1: expected `word gold predicted`"):
            write_report(run)
        shutil.rmtree(run / "predictions")
        with pytest.raises(ConfigError, match="the run scored no split"):
            write_report(run)
        assert not (run / "report.html").exists()

    @pytest.mark.parametrize("text", ["", "\n\n", "Lisbon B-LOC O\n\n"])
    def test_of_next_to_nothing(self, run, text):
        (run / "predictions" / "test.conll").write_text(text)
        analysis = analyse_run(run)
        assert analysis["sentences"] == ("Lisbon" in text)
        assert write_report(run).stat().st_size < 3_000_000


def test_errors_without_the_temperature_are_those_of_the_weights_without_it(run, tmp_path):
    folders = {name: shutil.copytree(run, tmp_path / name) for name in ("calibrated", "raw")}
    weights = load_file(run / "model.safetensors")
    head = {name: 2 * weight for name, weight in weights.items() if name.startswith("classifier.")}
    save_file(weights | head, folders["raw"] / "model.safetensors", metadata={"format": "pt"})
    said = {"temperature": 2.0, "words": 100, "loss_before": 0.2, "loss_after": 0.1}
    config = json.loads((run / "config.json").read_text())
    (folders["calibrated"] / "config.json").write_text(json.dumps(config | {"calibration": said}))

    found, raw = (analyse_run(folder) for folder in folders.values())

    before = found["confidence"]["before"]
    assert before["temperature"] == 2.0
    assert before["words"] == pytest.approx(raw["calibration"]["ece"], abs=1e-6)
    assert before["items"] == pytest.approx(raw["confidence"]["ece"], abs=1e-6)
    assert raw["confidence"]["before"] is None
    assert before["words"] != pytest.approx(found["calibration"]["ece"], abs=1e-3)
    rows = found["confidence"]["rows"]
    assert (rows[0]["coverage"], rows[0]["kept"]) == (1.0, found["confidence"]["count"])
    figures = {row["name"]: row["value"] for row in found["headline"]}
    assert (rows[0]["precision"], rows[0]["recall"]) == (figures["Precision"], figures["Recall"])
    assert [row["kept"] for row in rows] == sorted((row["kept"] for row in rows), reverse=True)
    page = write_report(folders["calibrated"]).read_text()
    assert "temperature 2.000, which was fitted on the validation split" in page
    assert "Coverage and precision" in page


class TestProbabilities:
    def test_are_those_of_tags_and_scores(self, run):
        tagger = Tagger.from_pretrained(str(run), device="cpu", tokens_per_batch=100)
        words = [WORDS, [], ["Jordan"], WORDS * 9]
        found = tagger.probabilities(words)
        assert [table.shape for table in found] == [(len(sentence), 5) for sentence in words]
        for table, labels in zip(found, tagger.label(words), strict=True):
            assert table.argmax(-1).tolist() == labels.ids.tolist()
            assert table.max(-1, initial=0).tolist() == labels.scores.tolist()
            np.testing.assert_allclose(table.sum(-1), 1, rtol=1e-5)
        assert tagger.probabilities([]) == []

    def test_of_a_crf_have_the_best_path_on_top(self, tmp_path):
        model, tokenizer = load_encoder(str(tiny_bert(tmp_path)), TagSchema(TAGS, "IOB2"), head="crf")
        with torch.no_grad():
            for parameter in model.crf.parameters():
                parameter.normal_()
        model.save_pretrained(tmp_path / "crf")
        tokenizer.save_pretrained(tmp_path / "crf")
        analysis = analyse_run(as_run(tmp_path / "crf"))
        assert analysis["calibration"]["words"] == analysis["words"]
        assert "rows" in group(analysis, "Casing")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two processes on the sample."""
    folder = tmp_path_factory.mktemp("trained")
    model = tiny_bert(folder)
    run_recipe("ner_bert", "--model", model, "--output_dir", folder / "run", *SMALL, *TRAINING, processes=2)
    return folder / "run"


@pytest.mark.slow
def test_every_run_leaves_a_report(trained):
    """Of two processes one writes it; what training has seen is noted beside the predictions."""
    assert {"report.html", "predictions/seen.json"} <= set(record(trained)["files"])
    assert record(trained)["status"] == "finished"
    analysis, results = analyse_run(trained), record(trained)["results"]["test"]
    assert "rows" in group(analysis, "Words seen in training")
    assert analysis["calibration"]["words"] == results["words"]
    assert analysis["headline"][0]["value"] == pytest.approx(results["f1"])
    seen = json.loads((trained / "predictions" / "seen.json").read_text())
    lines = (trained / "predictions" / "test.conll").read_text().split("\n")
    assert set(seen) == {"validation", "test"}
    assert set(seen["test"]["words"]) < {line.split(" ")[0] for line in lines}
    page = (trained / "report.html").read_text()
    write_report(trained, device="cpu")
    assert (trained / "report.html").read_text() == page


@pytest.mark.slow
def test_baselines_have_one_too(tmp_path):
    out = tmp_path / "hmm"
    run_here("pos_baseline", "--encoder", "hmm", "--output_dir", out, *SMALL, "--do_predict", "false")
    analysis = analyse_run(out)
    assert analysis["split"] == "validation"
    assert analysis["calibration"]["words"] == analysis["words"]
    assert [row["name"] for row in group(analysis, "Words seen in training")["rows"]] == ["seen", "unseen"]
    assert (out / "report.html").exists()


_IN_THE_WAY = """
import runpy, sys
from hf_tagging.training.trainer import AlignedTrainer
evaluate = AlignedTrainer.final_evaluation
def in_the_way(self, *args):
    (self.run.folder.path / "report.html").mkdir(exist_ok=True)
    return evaluate(self, *args)
AlignedTrainer.final_evaluation = in_the_way
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_a_report_that_fails_takes_nothing_along(trained, tmp_path):
    """Of a run without training, which has seen nothing."""
    out = tmp_path / "run"
    flags = ("--model", trained, "--do_train", "false", "--output_dir", out, *SMALL)
    command = [sys.executable, "-c", _IN_THE_WAY, ROOT / "recipes" / "ner_bert.py", *flags]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 0
    assert "Traceback" not in done.stderr  # a folder in the way is no bug
    assert f"The run in {out} is finished, but its report could not be made" in done.stderr
    assert record(out)["status"] == "finished"
    assert (out / "README.md").exists()
    assert (out / "predictions" / "test.conll").exists()
    assert not (out / "predictions" / "seen.json").exists()
    (out / "report.html").rmdir()
    assert write_report(out).is_file()


@pytest.mark.failure_mode("report-fails")
@pytest.mark.slow
def test_a_bug_in_the_report_neither_fails_a_finished_run_nor_skips_its_push(trained, tmp_path, monkeypatch, caplog):
    def breaks(*args, **options):
        raise ZeroDivisionError("float division by zero")

    pushed = []
    monkeypatch.setattr("hf_tagging.publishing.publish.analyse_run", breaks)
    monkeypatch.setattr("hf_tagging.publishing.publish.push_finished", lambda run: pushed.append(run.record["status"]))
    out = tmp_path / "run"
    run_here("ner_bert", "--model", trained, "--do_train", "false", "--output_dir", out, *SMALL)
    told = [
        entry for entry in caplog.records if "its report could not be made (float division by zero)" in entry.message
    ]
    assert [entry.exc_info[0] for entry in told] == [ZeroDivisionError]
    assert f"Type: hf-tagging report {out}" in told[0].message
    assert pushed == ["finished"]
    assert (out / "README.md").exists()
    assert record(out)["status"] == "finished"


@pytest.mark.failure_mode("report-too-large")
@pytest.mark.slow
def test_a_report_that_becomes_too_large_is_no_bug(trained, tmp_path, monkeypatch, caplog):
    def too_large(*args, **options):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("hf_tagging.publishing.publish.write_page", too_large)
    out = tmp_path / "run"
    run_here("ner_bert", "--model", trained, "--do_train", "false", "--output_dir", out, *SMALL)
    told = [entry for entry in caplog.records if "could not be made (A file became larger" in entry.message]
    assert [entry.exc_info for entry in told] == [None]
    assert record(out)["status"] == "finished"
