"""Averages of runs: what is averaged, what is kept, what is refused, and the folder that comes of it."""

import json
import re
import shutil

import pytest
import torch
from recipe_runs import record, run_here, weights
from safetensors.torch import save_file
from tiny_models import tiny_bert
from torch import nn
from transformers import AutoModelForTokenClassification

from hf_tagging import (
    DataConfig,
    Tagger,
    TaggingConfig,
    TaggingTrainer,
    average_runs,
    evaluate_tagger,
    load_tagging_dataset,
)
from hf_tagging.cli import main
from hf_tagging.comparison.runs import find_runs
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.training.averaging import add_to_mean, all_weights, put_weights
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import wrong_value

SHORT = ("--dataset", "sample", "--max_train_samples", 120, "--num_train_epochs", 4, "--use_cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned a little."""
    folder = tmp_path_factory.mktemp("runs")
    encoder = tiny_bert(folder, tags=("O",))
    run_here("pos_bert", "--model", encoder, *SHORT, "--learning_rate", 3e-3, "--output_dir", folder / "seed-1")
    return folder / "seed-1"


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A run from scratch, whose model has buffers of whole numbers."""
    folder = tmp_path_factory.mktemp("scratch") / "seed-1"
    run_here("pos_baseline", *SHORT, "--encoder", "lstm", "--hidden_size", 16, "--output_dir", folder)
    return folder


def copy(run, folder, *, noise=0.0, draw=1, **arguments):
    """A run of other weights, as if it had come of other arguments."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("checkpoint-*"))
    torch.manual_seed(draw)
    moved = {n: w + noise * torch.randn_like(w) if w.is_floating_point() else w for n, w in weights(run).items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    asked = record(run)["arguments"] | arguments
    rewrite(folder / "run.json", arguments=asked, seed=asked["seed"])
    return folder


def rewrite(file, **content):
    file.write_text(json.dumps(json.loads(file.read_text()) | content))


@pytest.fixture
def around(run, tmp_path):
    """Two runs with the weights of `run` between them, and one that is far away."""
    pair = [copy(run, tmp_path / f"{name}", noise=n, learning_rate=n) for name, n in (("a", 0.1), ("b", -0.1))]
    return [*pair, copy(run, tmp_path / "far", noise=1.0, draw=2)]


class TestWeights:
    def test_the_mean_of_several_and_what_has_none(self):
        models = [nn.Sequential(nn.Embedding(4, 2), nn.Linear(2, 4, bias=False)) for _ in range(3)]
        for number, model in enumerate(models):
            model[1].weight = model[0].weight  # tied
            model.register_buffer("scale", torch.full((1,), float(number)))
            model.register_buffer("places", torch.tensor([number, 7]))
            with torch.no_grad():
                model[0].weight.fill_(3.0 * number)
        mean = {name: weight.clone() for name, weight in all_weights(models[0]).items()}
        assert set(mean) == {"0.weight", "scale"}
        for count, model in enumerate(models[1:], 1):
            add_to_mean(mean, all_weights(model), count)
        put_weights(models[0], mean)
        assert models[0][0].weight.unique().tolist() == pytest.approx([3.0])
        assert models[0][1].weight is models[0][0].weight
        assert models[0].scale.item() == pytest.approx(1.0)
        assert models[0].places.tolist() == [0, 7]


class TestChoice:
    def test_the_uniform_average_of_runs_around_a_better_model_is_that_model(self, run, around, tmp_path):
        for folder in around[:2]:
            rewrite(folder / "run.json", arguments=record(folder)["arguments"] | {"calibrate": False})
        soup = average_runs(around[:2], tmp_path / "soup")
        assert soup.kind == "uniform"
        assert soup.validation["uniform"] > soup.validation["best run"]
        assert all(part.averaged for part in soup.parts)
        for name, weight in weights(tmp_path / "soup").items():
            torch.testing.assert_close(weight, weights(run)[name], atol=1e-5, rtol=1e-5)
        assert "calibration" not in record(tmp_path / "soup")
        assert "calibration" not in json.loads((tmp_path / "soup" / "config.json").read_text())

    def test_the_greedy_average_leaves_out_what_harms(self, around, tmp_path):
        soup = average_runs([around[2], *around[:2]], tmp_path / "soup")
        assert soup.kind == "greedy"
        assert [(part.name, part.averaged) for part in soup.parts][2] == ("far", False)
        assert soup.validation["greedy"] > max(soup.validation["uniform"], soup.validation["best run"])
        assert soup.outcome.startswith("The greedy average of 2 runs was kept: +")

    @pytest.mark.failure_mode("soup-not-better")
    def test_the_best_run_is_kept_where_no_average_is_better(self, run, around, tmp_path):
        best = copy(run, tmp_path / "best")
        soup = average_runs([around[2], best], tmp_path / "soup")
        assert soup.kind == "best run"
        assert soup.outcome == "No average was better than the best run: these are the weights of best."
        assert all(torch.equal(weight, weights(best)[name]) for name, weight in weights(tmp_path / "soup").items())
        assert "none was better on the validation split" in (tmp_path / "soup" / "README.md").read_text()

    def test_taggers_from_scratch_of_one_seed(self, scratch, tmp_path):
        asked = {"word_vectors": str(tmp_path / "gone.txt"), "vector_words": 100}  # only a training reads them
        sides = (("a", 0.1, 1), ("b", -0.1, 2))
        pair = [copy(scratch, tmp_path / name, noise=n, data_seed=s, **asked) for name, n, s in sides]
        for folder in pair:
            rewrite(folder / "run.json", given=[*record(scratch)["given"], *asked])
        soup = average_runs(pair, tmp_path / "soup")
        assert soup.kind == "uniform"
        figures = evaluate_tagger(tmp_path / "soup", "sample", split="validation").figures
        assert soup.results["validation"]["accuracy"] == pytest.approx(figures["accuracy"])
        assert soup.results["validation"]["unseen_words"] > 0

    def test_runs_with_arguments_that_only_a_training_reads(self, run, tmp_path):
        asked = {
            "casing": "markers",
            "case_dropout": 0.1,
            "freeze_layers": 1,
            "teacher": [str(tmp_path / "gone")],
            "text_file": [str(tmp_path / "gone.txt")],
        }
        pair = [copy(run, tmp_path / name, noise=n, **asked) for name, n in (("a", 0.1), ("b", -0.1))]
        for folder in pair:
            rewrite(folder / "run.json", given=[*record(run)["given"], *asked])
        assert average_runs(pair, tmp_path / "soup").kind == "uniform"
        assert record(tmp_path / "soup")["arguments"].items() >= asked.items()


class TestFolder:
    @pytest.fixture(scope="class")
    def soup(self, run, tmp_path_factory):
        folder = tmp_path_factory.mktemp("soup")
        pair = [copy(run, folder / f"seed-{s}", noise=n, seed=s) for s, n in ((1, 0.1), (2, -0.1))]
        average_runs(pair, folder / "soup")
        return folder / "soup"

    def test_it_is_evaluated_as_any_model(self, soup):
        for split in ("validation", "test"):
            own = json.loads((soup / "results.json").read_text())[split]
            figures = evaluate_tagger(soup, "sample", split=split).figures
            assert own["accuracy"] == pytest.approx(figures["accuracy"])
            assert own["macro_f1"] == pytest.approx(figures["macro_f1"])
            assert own["unseen_words"] > 0

    def test_rules_are_left_out_with_a_warning(self, run, tmp_path, caplog):
        pair = [copy(run, tmp_path / f"seed-{s}", noise=n, seed=s) for s, n in ((1, 0.1), (2, -0.1))]
        (pair[0] / "rules.jsonl").write_text('{"label": "NN", "pattern": "The"}\n')
        average_runs(pair, tmp_path / "soup")
        assert "The result has no rules: the rules.jsonl of seed-1 is left out" in caplog.text
        assert not (tmp_path / "soup" / "rules.jsonl").exists()

    def test_it_holds_what_a_run_holds(self, run, soup):
        names = {path.relative_to(run) for path in run.rglob("*") if "checkpoint" not in str(path)}
        assert {path.relative_to(soup) for path in soup.rglob("*")} == names
        assert len(Tagger.from_pretrained(soup).tag(["The", "ships", "sail"])) == 3

    def test_the_card_names_the_parts_and_their_figures(self, soup):
        card, parts = (soup / "README.md").read_text(), record(soup)["soup"]["parts"]
        assert "uniform average of 2 runs that started from the same weights" in card
        for part in parts:
            assert f"| {part['name']} | {part['validation']:.4f} | yes |" in card
        assert re.search(r"seed 1\b.*\|\n.*seed 2\b|seed 2\b.*\|\n.*seed 1\b", card)
        assert "bert fine-tuned on" in card
        assert "Model soups" in card
        assert str(soup.parent) not in card

    def test_its_record_can_be_read_and_is_no_further_seed(self, soup):
        found = RunFolder(soup).record()
        assert found["status"] == "finished"
        assert wrong_value(found) == ""
        assert wrong_value(found | {"soup": {"parts": 3}}) == (
            "is damaged: soup.parts is of type int; expected a list of objects"
        )
        assert {"soup": [soup]}.items() <= find_runs([soup.parent]).items()  # no further seed of its parts

    def test_an_average_is_calibrated_as_a_run_is(self, soup):
        config, found = json.loads((soup / "config.json").read_text()), record(soup)
        own = found["calibration"]
        assert config["calibration"] == own
        assert own["words"] > 0
        assert own["loss_after"] <= own["loss_before"]
        assert found["results"]["validation"]["loss"] == pytest.approx(own["loss_after"], rel=1e-3)

    @pytest.mark.failure_mode("soup-resume")
    def test_it_is_neither_resumed_nor_replaced_unasked(self, run, soup):
        arguments = ("--model", run.parent / "bert", *SHORT, "--learning_rate", 3e-3, "--output_dir", soup)
        with pytest.raises(ConfigError, match="is an average of runs, with no training to go on with"):
            run_here("pos_bert", *arguments, "--resume")
        pair = [soup.parent / "seed-1", soup.parent / "seed-2"]
        with pytest.raises(OutputError, match=r"Give overwrite=True to replace it or choose another output_dir\."):
            average_runs(pair, soup)
        assert average_runs(pair, soup, overwrite=True).kind == "uniform"

    def test_on_the_command_line(self, soup, tmp_path, capsys):
        runs = [str(soup.parent / "seed-1"), str(soup.parent / "seed-2")]
        main(["soup", *runs, "--output_dir", str(tmp_path / "soup"), "--json"])
        answer = json.loads(capsys.readouterr().out)
        assert (answer["kind"], answer["metric"]) == ("uniform", "accuracy")
        assert answer["parts"][0]["differs"].keys() >= {"seed"}
        with pytest.raises(SystemExit) as end:
            main(["soup", runs[0], "--output_dir", str(tmp_path / "other")])
        assert end.value.code == 2
        assert "an average needs two or more, and there is one" in capsys.readouterr().err


class TestRefused:
    def refuse(self, runs, tmp_path, match, error=ConfigError):
        with pytest.raises(error, match=match):
            average_runs(runs, tmp_path / "soup")
        assert not (tmp_path / "soup" / "run.json").exists()

    @pytest.mark.failure_mode("soup-not-finished")
    def test_what_is_no_finished_run(self, run, tmp_path):
        other = copy(run, tmp_path / "other")
        self.refuse([run, run.parent / "bert"], tmp_path, r"bert: holds no run \(no run.json\)")
        self.refuse([run, tmp_path / "nowhere"], tmp_path, "nowhere: holds no run")
        self.refuse([run, run], tmp_path, "is given twice")
        self.refuse([], tmp_path, "and there is none")
        (other / "adapter_config.json").write_text("{}")
        self.refuse([run, other], tmp_path, "adapters that are not merged.*lora_merge")
        (other / "adapter_config.json").unlink()
        rewrite(other / "run.json", status="interrupted")
        self.refuse([run, other], tmp_path, r"the run is not finished \(status: interrupted\)")
        with pytest.raises(ConfigError, match="is one of the runs"):
            average_runs([run, copy(run, tmp_path / "second")], run, overwrite=True)

    @pytest.mark.failure_mode("soup-other-origin")
    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"model": "google-bert/bert-base-cased"}, "different weights to start from: .* and google-bert"),
            ({"model_revision": "v2"}, r"different weights to start from: .* and .*bert \(v2\)"),
        ],
    )
    def test_other_encoders(self, run, tmp_path, arguments, match):
        self.refuse([run, copy(run, tmp_path / "other", **arguments)], tmp_path, match)

    @pytest.mark.failure_mode("soup-other-origin")
    def test_taggers_from_scratch_of_other_seeds(self, scratch, tmp_path):
        match = "new weights of seed 1 and new weights of seed 2.*have the same where they have one seed"
        self.refuse([copy(scratch, tmp_path / f"{seed}", seed=seed) for seed in (1, 2)], tmp_path, match)

    def test_counted_taggers(self, scratch, tmp_path):
        other = copy(scratch, tmp_path / "other")
        rewrite(other / "run.json", parts=record(scratch)["parts"] | {"encoder": "hmm"})
        self.refuse([scratch, other], tmp_path, "an hmm is estimated by counting, and has no weights")

    def test_other_tasks_and_splits(self, run, tmp_path):
        other = copy(run, tmp_path / "other")
        rewrite(other / "run.json", task="ner")
        self.refuse([run, other], tmp_path, "different tasks: pos and ner")
        splits = record(run)["dataset"]["splits"]
        rewrite(other / "run.json", task="pos", dataset={"splits": splits | {"validation": splits["test"]}})
        self.refuse([run, other], tmp_path, "different validation splits.*split_seed")

    @pytest.mark.failure_mode("soup-other-shape")
    def test_other_tags(self, run, tmp_path):
        other = copy(run, tmp_path / "other")
        config = json.loads((other / "config.json").read_text())
        names = {number: "ODD" if number == "1" else tag for number, tag in config["id2label"].items()}
        rewrite(other / "config.json", id2label=names, label2id={tag: int(n) for n, tag in names.items()})
        self.refuse([run, other], tmp_path, r"different tags \(.*ODD")
        order = dict(zip(config["id2label"], reversed(config["id2label"].values()), strict=True))
        rewrite(other / "config.json", id2label=order, label2id={tag: int(n) for n, tag in order.items()})
        self.refuse([run, other], tmp_path, "different orders of their tags")

    def test_other_schemes_and_contexts(self, run, tmp_path):
        other = copy(run, tmp_path / "other")
        config = json.loads((other / "config.json").read_text())
        rewrite(other / "config.json", tag_scheme="IOB2")
        self.refuse([run, other], tmp_path, "different schemes: plain and IOB2. Train runs with one scheme")
        rewrite(other / "config.json", tag_scheme=config["tag_scheme"], context_subwords=8)
        self.refuse([run, other], tmp_path, "different numbers of subwords of context: 0 and 8. Train runs with one")

    @pytest.mark.failure_mode("soup-other-shape")
    def test_other_vocabularies_shapes_and_heads(self, run, scratch, tmp_path):
        other = copy(run, tmp_path / "other")
        content = json.loads((other / "tokenizer.json").read_text())
        rewrite(other / "tokenizer.json", normalizer=content["normalizer"] | {"lowercase": False})
        self.refuse([run, other], tmp_path, "different tokenizers or vocabularies")
        wide = copy(run, tmp_path / "wide")
        model = AutoModelForTokenClassification.from_pretrained(wide)
        model.resize_token_embeddings(model.config.vocab_size + 3)
        model.save_pretrained(wide)
        self.refuse([run, wide], tmp_path, r"different shapes of bert.embeddings.word_embeddings.weight: \(\d+, 32\)")
        odd = copy(scratch, tmp_path / "odd", model=str(run.parent / "bert"))
        self.refuse([run, odd], tmp_path, "different models or tag heads: BertFor.* and Baseline")

    @pytest.mark.failure_mode("soup-other-data")
    def test_other_data_than_that_of_the_runs(self, run, tmp_path):
        splits = record(run)["dataset"]["splits"]
        splits["validation"]["fingerprint"] = "another"
        pair = [copy(run, tmp_path / name) for name in ("a", "b")]
        for folder in pair:
            rewrite(folder / "run.json", dataset={"splits": splits})
        self.refuse(pair, tmp_path, "sample: the validation split is not the one", DataError)


@pytest.mark.failure_mode("soup-in-memory")
def test_runs_on_data_in_memory(run, tmp_path):
    found = load_tagging_dataset("sample", task="pos")
    splits = {name: found[name].select(range(30)).to_pandas()[["tokens", "tags"]] for name in ("train", "validation")}
    names = found["train"].features["tags"].feature.names
    for split in splits.values():
        split["tags"] = [[names[tag] for tag in tags] for tags in split["tags"]]
    for seed in (1, 2):
        args = TaggingConfig(output_dir=str(tmp_path / f"seed-{seed}"), seed=seed, num_train_epochs=1, use_cpu=True)
        trainer = TaggingTrainer(
            model=str(run.parent / "bert"),
            args=args,
            train_dataset=splits["train"],
            eval_dataset=splits["validation"],
            task="pos",
            data=DataConfig(max_length=32),
        )
        trainer.train()
        trainer.publish()
    pair = [tmp_path / "seed-1", tmp_path / "seed-2"]
    with pytest.raises(ConfigError, match=r"data in memory.*dataset=\.\.\."):
        average_runs(pair, tmp_path / "soup")
    assert average_runs(pair, tmp_path / "soup", dataset=splits).parts[0].seconds
