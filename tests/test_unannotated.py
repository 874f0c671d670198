"""Words that are not annotated, id -100: followed from the data through training and scoring into every file."""

import json
import math

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from tiny_models import tiny_bert

from hf_tagging import ScratchConfig, TaggingConfig, TaggingTrainer, load_tagging_dataset
from hf_tagging.analysis.analyse import analyse
from hf_tagging.analysis.answers import Answers
from hf_tagging.comparison.runs import _question
from hf_tagging.data import TagSchema, align_dataset
from hf_tagging.data.inventory import inventory
from hf_tagging.data.tag_columns import tag_counts
from hf_tagging.data.tag_lists import detected, in_metric_letters, rewritten
from hf_tagging.evaluation import count_sentences, score
from hf_tagging.evaluation.predictions import read_predictions, write_predictions
from hf_tagging.inference import evaluate_predictions, evaluate_tagger
from hf_tagging.models import build_baseline
from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.tasks import NER
from hf_tagging.training.environment import describe_split
from hf_tagging.training.losses import class_weights, word_loss

NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
ROWS = [
    (["maria", "lisbon", "will", "book"], [1, 2, -100, 3]),
    (["jordan", "sailed", "past", "porto"], [1, 0, 0, 3]),
    (["old", "ships", "sailed"], [-100, -100, -100]),
    (["nobody", "waved"], [0, -100]),
]


def dataset(folder, rows=ROWS):
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps({"tokens": words, "ner_tags": ids}) + "\n" for words, ids in rows)
    for split in ("train", "validation", "test"):
        (folder / f"{split}.jsonl").write_text(text)
    return load_tagging_dataset(folder, task="ner", tag_names=NAMES, cache_dir=folder / "cache")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "corpus")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


class TestData:
    def test_ids_counts_and_inventory(self, data):
        assert data["train"]["tags"] == [ids for _, ids in ROWS]
        assert tag_counts(data["train"]).tolist() == [3, 2, 1, 2, 0]
        found = inventory(data, task="ner").splits["train"]
        assert (found.sentences, found.words, found.unannotated, found.entities) == (4, 13, 5, 4)
        assert found.types == {"PER": 2, "LOC": 2}

    @pytest.mark.parametrize("scheme", ["IOB1", "BIOES", "IOB2"])
    def test_a_change_of_scheme_keeps_them_and_ends_entities_there(self, data, scheme):
        converted, schema, conversion = TagSchema.detect(data, task="ner").convert(data, to=scheme)
        ids = converted["train"]["tags"]
        assert [[i == -100 for i in row] for row in ids] == [[i == -100 for i in row] for _, row in ROWS]
        assert conversion.repaired == 0
        first = {"IOB1": ["I-PER", "I-PER", "I-LOC"], "BIOES": ["B-PER", "E-PER", "S-LOC"]}.get(scheme)
        assert [schema.tags[i] for i in ids[0] if i >= 0] == (first or ["B-PER", "I-PER", "B-LOC"])

    @pytest.mark.parametrize("last", [(["d"], [3]), (["d", "e", "f", "g"], [1, -100, 2, -100])])
    def test_an_entity_goes_on_behind_one(self, tmp_path, last):
        found = dataset(tmp_path / "corpus", [(["a", "b", "c"], [1, -100, 2]), last])
        assert inventory(found, task="ner").splits["train"].entities == 2
        schema = TagSchema.detect(found, task="ner")
        assert schema.scheme == "IOB2"
        converted, schema, conversion = schema.convert(found, to="BIOES")
        assert [schema.tags[i] if i >= 0 else None for i in converted["train"]["tags"][0]] == ["B-PER", None, "E-PER"]
        back, schema, again = schema.convert(converted, to="IOB2")
        assert back["train"]["tags"][0] == [schema.label2id["B-PER"], -100, schema.label2id["I-PER"]]
        assert (conversion.repaired, again.repaired) == (0, 0)

    def test_two_entities_around_one_stay_two(self, tmp_path):
        found = dataset(tmp_path / "corpus", [(["a", "b", "c"], [1, -100, 1]), (["d", "e"], [1, 2])])
        converted, schema, _ = TagSchema.detect(found, task="ner").convert(found, to="IOB1")
        assert [schema.tags[i] for i in converted["train"]["tags"][0] if i >= 0] == ["I-PER", "B-PER"]
        assert schema.entity_edges(np.array(converted["train"]["tags"][0]), np.array([0, 3]))[0].sum() == 2

    def test_ids_of_another_schema(self, data):
        other = TagSchema(("O", *reversed(NAMES[1:])), "IOB2")
        adopted, schema = TagSchema.detect(data, task="ner").adopt(data, other)
        assert schema == other
        assert adopted["train"]["tags"][0] == [4, 3, -100, 2]

    def test_data_without_such_words_keeps_its_fingerprint(self, tmp_path):
        rows = [(["a", "b"], [1, 0])]
        assert describe_split(dataset(tmp_path / "one", rows)["train"])["fingerprint"] == "8d3ad0ebbee5257a"

    @pytest.mark.parametrize("strategy", ["first", "all"])
    def test_no_subword_of_them_has_a_label(self, data, folder, strategy):
        from transformers import AutoTokenizer

        schema = TagSchema.detect(data, task="ner")
        aligned = align_dataset(data, AutoTokenizer.from_pretrained(folder), schema, label_strategy=strategy)["train"]
        labels = np.array(aligned.read([row["labels"] for row in aligned.features]))
        assert labels.tolist() == [i for _, ids in ROWS for i in ids]
        weights = class_weights(aligned, schema, "balanced")
        assert torch.isfinite(weights).all()

    @pytest.mark.parametrize("seed", range(5))
    def test_annotated_words_are_read_as_if_no_other_were_there(self, seed):
        random = np.random.default_rng(seed)
        schema = TagSchema(tuple(NAMES), "IOB2")
        ids = random.integers(0, len(NAMES), 200)
        offsets = np.array([0, 60, 60, 130, 200])
        mask = random.random(200) < 0.7
        sparse, bounds = np.where(mask, ids, -100), np.concatenate([[0], np.cumsum(mask)])[offsets]
        for whole, part in zip(
            schema.entity_edges(sparse, offsets), schema.entity_edges(ids[mask], bounds), strict=True
        ):
            assert whole[mask].tolist() == part.tolist()
            assert set(whole[~mask].tolist()) <= {False, -1}


GOLD = [["B-PER", "-100", "O", "B-LOC"], ["-100", "O"]]


class TestScores:
    def test_words(self):
        found = score("pos", [["N", "V", "N"], ["N"]], [["N", "-100", "V"], ["-100"]])
        assert (found["words"], found["accuracy"], found["sentences"]) == (2, 0.5, 1)
        assert sorted(found["per_tag"]) == ["N", "V"]
        counts = count_sentences("pos", [["N", "-100", "V"], ["-100"]], [["N", "V", "N"], ["N"]])
        assert counts.values.tolist() == [[1, 2], [0, 0]]

    @pytest.mark.parametrize(
        ("predicted", "figures"),
        [  # right, predicted, gold entities
            ("B-PER I-PER I-PER O", (1, 1, 1)),
            ("B-PER O I-PER O", (1, 1, 1)),  # what is predicted at a word inside does not matter
            ("B-PER B-LOC I-PER O", (1, 1, 1)),
            ("B-PER I-PER I-PER I-PER", (0, 1, 1)),
            ("B-PER I-PER O O", (0, 1, 1)),
            ("O B-PER O O", (0, 0, 1)),
            ("B-PER I-PER B-PER O", (0, 2, 1)),
        ],
    )
    def test_an_entity_over_a_gap(self, predicted, figures):
        gold = [["B-PER", "-100", "I-PER", "O"]]
        right, ours, theirs = figures
        found = score("ner", [predicted.split()], gold, scheme="IOB2")
        assert count_sentences("ner", gold, [predicted.split()]).values.sum(0).tolist() == [right, ours, theirs]
        assert found["f1"] == found["strict_f1"] == pytest.approx(2 * right / (ours + theirs))

    @pytest.mark.parametrize(
        ("predicted", "figures"),
        [  # right, predicted, gold entities
            ([["B-PER", "O", "O", "B-LOC"], ["O", "O"]], (2, 2, 2)),
            ([["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]], (1, 1, 2)),  # one that it is in is left out
            ([["B-PER", "B-LOC", "I-LOC", "B-LOC"], ["B-PER", "O"]], (2, 2, 2)),
            ([["O", "O", "B-PER", "O"], ["B-PER", "I-PER"]], (0, 1, 2)),
        ],
    )
    def test_entities(self, predicted, figures):
        right, ours, theirs = figures
        found = score("ner", predicted, GOLD, scheme="IOB2")
        assert count_sentences("ner", GOLD, predicted).values.sum(0).tolist() == [right, ours, theirs]
        assert found["support"] == theirs
        assert found["f1"] == found["strict_f1"] == pytest.approx(2 * right / (ours + theirs))
        assert found["words"] == 4
        answers = Answers("ner", [["a", "b", "c", "d"], ["e", "f"]], GOLD, predicted)
        assert answers.counts.values.sum(0).tolist() == [right, ours, theirs]
        analysis = analyse(answers)
        assert analysis["words"] == 4
        assert analysis["headline"][0]["value"] == pytest.approx(found["f1"])

    def test_analysis_of_words(self):
        answers = Answers("pos", [["a", "b", "c"]], [["N", "-100", "V"]], [["N", "V", "N"]])
        found = analyse(answers)
        assert found["words"] == 2
        assert found["errors"][0]["count"] == 1
        assert found["confusion"] == {"tags": ["N", "V"], "counts": [[1, 0], [1, 0]], "left_out": 0}
        assert [error["gold"] for error in found["examples"]["sentences"][0]["errors"]] == [[2, 3, "V"]]

    def test_lists_of_tags_in_other_schemes(self):
        schema = detected(GOLD, None)
        assert (schema.tags, schema.scheme) == (("O", "B-LOC", "B-PER"), "IOB2")
        assert rewritten(GOLD, schema, "BIOES") == ([["S-PER", "-100", "O", "S-LOC"], ["-100", "O"]], 0)
        assert in_metric_letters(GOLD, schema) == GOLD

    def test_predictions_files(self, tmp_path):
        path = tmp_path / "test.conll"
        words, predicted = [["a", "b", "c", "d"], ["e", "f"]], [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"]]
        write_predictions(path, words, GOLD, predicted)
        assert read_predictions(path) == (words, GOLD, predicted)
        found = evaluate_predictions(path)
        assert (found.task, found.figures["precision"], found.figures["recall"]) == (NER, 1.0, 0.5)
        assert "2 of 6 words" in "".join(found.notes)
        as_data = load_tagging_dataset(path, task="ner", tags_column="1", cache_dir=tmp_path / "cache")["test"]
        assert [[i == -100 for i in ids] for ids in as_data["tags"]] == [[False, True, False, False], [True, False]]

    def test_runs_are_compared_over_the_same_annotated_words(self):
        ours, theirs = (_question(NER, ["a", "b"], gold) for gold in (["B-PER", "-100"], ["B-PER", "O"]))
        assert ours != theirs
        assert theirs == (["a", "b"], [("PER", 0, 0)])


class TestModels:
    def test_the_loss_of_a_crf_sums_over_their_tags(self):
        torch.manual_seed(0)
        crf = LinearChainCrf(3)
        torch.nn.init.normal_(crf.transitions)
        emissions, mask = torch.randn(1, 3, 3), torch.ones(1, 3, dtype=torch.bool)
        gap = crf.log_likelihood(emissions, torch.tensor([[1, -100, 2]]), mask, partial=True)
        each = [crf.log_likelihood(emissions, torch.tensor([[1, tag, 2]]), mask) for tag in range(3)]
        assert gap.item() == pytest.approx(torch.stack(each).logsumexp(0).item(), abs=1e-6)

    @pytest.mark.parametrize("parts", [{"encoder": "lstm", "head": "crf"}, {"encoder": "lstm"}, {"encoder": "hmm"}])
    def test_the_loss_of_a_baseline_is_that_of_the_words_that_are_annotated(self, data, parts):
        schema = TagSchema.detect(data, task="ner")
        model, tokenizer = build_baseline(data, schema, parts=parts | {"min_count": 1} if len(parts) == 2 else parts)
        model.eval()
        batch = tokenizer(["maria lisbon will book"], return_tensors="pt")
        ids = batch["input_ids"]
        found = {}
        for tag in (-100, *range(5)):
            labels = torch.full_like(ids, -100)
            labels[0, : ids.shape[1]] = torch.tensor([1, 0, tag, 3])[: ids.shape[1]]
            found[tag] = model(input_ids=ids, labels=labels, num_items_in_batch=1).loss.item()
        known = [-found[tag] for tag in range(5)]
        if "head" in parts or parts["encoder"] == "hmm":
            assert -found[-100] == pytest.approx(float(np.logaddexp.reduce(known)), abs=1e-4)
        assert found[-100] < min(found[tag] for tag in range(5)) + 1e-6

    def test_a_batch_without_a_word_to_learn_from_costs_nothing(self):
        labels = torch.full((1, 3), -100)
        loss = word_loss({"logits": torch.randn(1, 3, 5)}, labels, num_items_in_batch=torch.tensor(0))
        assert loss.item() == 0


@pytest.mark.parametrize(
    "model",
    [None, ScratchConfig(encoder="lstm", head="crf", hidden_size=8, min_count=1), ScratchConfig(encoder="hmm")],
    ids=["encoder", "crf", "hmm"],
)
def test_train_evaluate_and_publish(data, folder, tmp_path, model):
    counted = model is not None and model.encoder == "hmm"
    steps = {} if counted else {"max_steps": 3, "logging_steps": 1, "per_device_train_batch_size": 1}
    trainer = TaggingTrainer(
        model if model is not None else str(folder),
        TaggingConfig(str(tmp_path / "run"), use_cpu=True, **steps),
        train_dataset=data["train"],
        eval_dataset=data["validation"],
        task="ner",
    )
    trainer.train()
    assert all(math.isfinite(row["loss"]) for row in trainer.state.log_history if "loss" in row)
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
    figures = trainer.evaluate(data["test"])
    assert figures["eval_words"] == 8
    trainer.publish()
    words, gold, _ = read_predictions(tmp_path / "run" / "predictions" / "validation.conll")
    assert words == [words for words, _ in ROWS]
    assert gold[0] == ["B-PER", "I-PER", "-100", "B-LOC"]
    assert gold[2] == ["-100"] * 3
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["results"]["validation"]["words"] == 8
    again = evaluate_tagger(tmp_path / "run", DatasetDict(test=data["test"]), task="ner")
    assert again.figures["words"] == 8
    assert again.gold == gold
    assert "5 of 13 words" in "".join(again.notes)
