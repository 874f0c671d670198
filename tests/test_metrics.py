import json
import random
import time

import conlleval
import evaluate
import numpy as np
import pytest
from seqeval.metrics import classification_report
from seqeval.scheme import IOB1, IOB2, IOBES

from hf_tagging.errors import ConfigError, DataError
from hf_tagging.evaluation import EntityMetric, WordMetric

pytestmark = pytest.mark.filterwarnings("error")

# Gold: PER (words 0-1), LOC (3); ORG (0), MISC (2-3).
# Predicted: PER (0-1), ORG (3); ORG (0), MISC (2). The first of each sentence is right.
IOB2_GOLD = [["B-PER", "I-PER", "O", "B-LOC", "O"], ["B-ORG", "O", "B-MISC", "I-MISC"]]
IOB2_PREDICTED = [["B-PER", "I-PER", "O", "B-ORG", "O"], ["B-ORG", "O", "B-MISC", "O"]]


def score(predicted, gold, **options):
    return EntityMetric().compute(predictions=predicted, references=gold, **options)


def figures(precision, recall, f1, support):
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


def test_entities_iob2_in_full():
    result = score(IOB2_PREDICTED, IOB2_GOLD, scheme="IOB2")
    # 4 predicted, 4 gold, 2 right. Sentences: 1 of 2 and 2, 1 of 2 and 2.
    per_type = {
        "LOC": figures(0.0, 0.0, 0.0, 1),
        "MISC": figures(0.0, 0.0, 0.0, 1),
        "ORG": figures(0.5, 1.0, pytest.approx(2 / 3), 1),
        "PER": figures(1.0, 1.0, 1.0, 1),
    }
    assert result == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 4,
        "macro_precision": 0.375,
        "macro_recall": 0.5,
        "macro_f1": pytest.approx(5 / 12),
        "per_type": per_type,
        "sentence_f1": 0.5,
        "strict_precision": 0.5,
        "strict_recall": 0.5,
        "strict_f1": 0.5,
        "strict_per_type": per_type,
        "accuracy": pytest.approx(7 / 9),
        "words": 9,
        "sentences": 2,
        "mode": "default",
        "strict_mode": "strict",
        "scheme": "IOB2",
    }


def test_a_wrong_start_counts_in_the_default_mode_and_not_in_strict():
    result = score([["I-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "I-PER", "O", "B-LOC"]])
    assert (result["precision"], result["recall"], result["f1"]) == (1.0, 1.0, 1.0)
    assert (result["strict_precision"], result["strict_recall"]) == (1.0, 0.5)
    assert result["strict_f1"] == pytest.approx(2 / 3)
    assert result["strict_per_type"]["PER"] == figures(0.0, 0.0, 0.0, 1)
    assert result["accuracy"] == 0.75


def test_adjacent_entities_of_one_type_in_iob1():
    # IOB1 writes B- only where an entity touches one of its own type: LOC (0), LOC (1-2), PER (4).
    gold = [["I-LOC", "B-LOC", "I-LOC", "O", "I-PER"]]
    merged = [["I-LOC", "I-LOC", "I-LOC", "O", "I-PER"]]
    assert score(gold, gold, scheme="IOB1")["strict_f1"] == 1.0
    result = score(merged, gold, scheme="IOB1")
    assert result["per_type"] == {"LOC": figures(0.0, 0.0, 0.0, 2), "PER": figures(1.0, 1.0, 1.0, 1)}
    assert (result["precision"], result["strict_precision"]) == (0.5, 0.5)
    assert (result["recall"], result["strict_recall"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert result["scheme"] == "IOB1"


def test_bioes():
    gold = [["S-PER", "O", "B-ORG", "I-ORG", "E-ORG", "S-PER"]]
    # The ORG has no E-: three words in the default mode, no entity in strict.
    predicted = [["S-PER", "O", "B-ORG", "I-ORG", "I-ORG", "S-LOC"]]
    result = score(predicted, gold, scheme="BIOES")
    assert (result["precision"], result["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (result["strict_precision"], result["strict_recall"]) == (0.5, pytest.approx(1 / 3))
    assert result["strict_per_type"]["ORG"] == figures(0.0, 0.0, 0.0, 1)
    assert result["per_type"]["PER"] == figures(1.0, 0.5, pytest.approx(2 / 3), 2)
    assert result["scheme"] == "BIOES"


def test_sentence_f1_leaves_out_sentences_without_entities():
    gold = [["B-PER"], ["O", "O"], ["B-LOC", "B-LOC"], ["O"]]
    predicted = [["B-PER"], ["O", "O"], ["B-LOC", "O"], ["B-ORG"]]
    # 1, left out, 2/3, 0; pooled: 2 right of 3 predicted and 3 gold.
    result = score(predicted, gold)
    assert result["sentence_f1"] == pytest.approx(5 / 9)
    assert result["f1"] == pytest.approx(2 / 3)
    assert result["sentences"] == 4


POS_GOLD = [["DT", "NN", "VB", "."], ["NN", "."], ["VB"]]
POS_PREDICTED = [["DT", "VB", "VB", "."], ["NN", "."], ["JJ"]]
POS_WORDS = [["the", "dog", "ran", "."], ["Rain", "."], ["go"]]


def test_words_in_full():
    result = WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD)
    assert result == {
        "accuracy": pytest.approx(5 / 7),
        "sentence_accuracy": pytest.approx(1 / 3),
        "mean_sentence_accuracy": pytest.approx((0.75 + 1 + 0) / 3),
        "macro_f1": pytest.approx((1 + 1 + 0 + 2 / 3 + 0.5) / 5),
        "per_tag": {
            ".": figures(1.0, 1.0, 1.0, 2),
            "DT": figures(1.0, 1.0, 1.0, 1),
            "JJ": figures(0.0, 0.0, 0.0, 0),
            "NN": figures(1.0, 0.5, pytest.approx(2 / 3), 2),
            "VB": figures(0.5, 0.5, 0.5, 2),
        },
        "words": 7,
        "sentences": 3,
    }


def test_unseen_words_are_those_that_training_did_not_have():
    known = {"the", "ran", ".", "rain"}  # "Rain" is written otherwise, so it is unseen, as are "dog" and "go"
    result = WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD, words=POS_WORDS, known_words=known)
    assert result["unseen_words"] == 3
    assert result["unseen_accuracy"] == pytest.approx(1 / 3)
    assert result["seen_accuracy"] == 1.0


def test_no_unseen_words():
    known = ["the", "dog", "ran", ".", "Rain", "go"]
    result = WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD, words=POS_WORDS, known_words=known)
    assert (result["unseen_words"], result["unseen_accuracy"]) == (0, 0.0)
    assert result["seen_accuracy"] == result["accuracy"]


def test_words_that_do_not_fit_are_refused():
    metric = WordMetric()
    both = {"predictions": [["NN"], ["NN", "."]], "references": [["NN"], ["NN", "."]]}
    with pytest.raises(DataError, match="sentence 2: words has 1 words, references has 2"):
        metric.compute(**both, words=[["a"], ["b"]], known_words={"a"})
    with pytest.raises(ConfigError, match="known_words without words"):
        metric.compute(**both, known_words={"a"})


@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_nothing_gives_zeros(metric, sentences):
    result = metric().compute(predictions=sentences, references=sentences)
    assert {value for value in result.values() if isinstance(value, (int, float))} == {0}
    assert {key for key, value in result.items() if value == {}} <= {"per_type", "strict_per_type", "per_tag"}


@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
def test_compute_after_a_loop_without_a_batch_gives_zeros(metric):
    assert metric().compute()["words"] == 0


def test_all_o_gives_zeros_but_for_accuracy():
    result = score([["O", "O"], ["O"]], [["O", "O"], ["O"]])
    assert (result["precision"], result["recall"], result["f1"], result["support"]) == (0.0, 0.0, 0.0, 0)
    assert (result["macro_f1"], result["sentence_f1"], result["strict_f1"]) == (0.0, 0.0, 0.0)
    assert (result["per_type"], result["strict_per_type"]) == ({}, {})
    assert (result["accuracy"], result["words"], result["sentences"]) == (1.0, 3, 2)


def test_empty_sentences_between_others_change_nothing():
    with_empty = score([[], *IOB2_PREDICTED, []], [[], *IOB2_GOLD, []])
    assert with_empty == score(IOB2_PREDICTED, IOB2_GOLD)
    padded = WordMetric().compute(predictions=[[], *POS_PREDICTED], references=[[], *POS_GOLD])
    assert padded == WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD)


@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
@pytest.mark.parametrize(
    ("predicted", "gold", "message"),
    [
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 2: predictions has 2 words, references has 1"),
        ([["O"], []], [["O"], ["O"]], "sentence 2: predictions has 0 words, references has 1"),
        ([["O"]], [["O"], ["O"]], "predictions has 1 sentences, references has 2"),
        ([], [["O"]], "predictions has 0 sentences, references has 1"),
        (None, [["O"]], "predictions is missing"),
        ([["O"], ["O", None]], [["O"], ["O", "O"]], "sentence 2: expected tags as strings, found None"),
        ([["O"]], [[3]], "references, sentence 1: expected tags as strings, found 3"),
        (["O"], ["O"], "predictions, sentence 1: expected a list of tags, found 'O'"),
    ],
)
def test_columns_that_do_not_fit_are_refused(metric, predicted, gold, message):
    scorer = metric()
    with pytest.raises(DataError, match=message):
        scorer.compute(predictions=predicted, references=gold)
    # What was refused leaves no trace.
    assert scorer.compute(predictions=[["O"]], references=[["O"]])["words"] == 1


def test_a_wrong_length_is_counted_from_the_first_batch():
    metric = WordMetric()
    metric.add_batch(predictions=[["NN"], ["NN"]], references=[["NN"], ["NN"]])
    metric.add(prediction=["NN"], reference=["NN"])
    with pytest.raises(DataError, match="sentence 5: predictions has 2 words, references has 1"):
        metric.add_batch(predictions=[["NN"], ["NN", "NN"]], references=[["NN"], ["NN"]])


@pytest.mark.parametrize(
    ("tag", "scheme"),
    [("NN", "IOB2"), ("E-PER", "IOB2"), ("S-PER", "IOB1"), ("L-PER", "BIOES"), ("", "IOB2")],
)
def test_tags_outside_the_scheme_are_refused(tag, scheme):
    with pytest.raises(DataError, match=f"predictions, sentence 2: '{tag}' is not a tag of scheme {scheme}"):
        score([["O"], [tag]], [["O"], ["O"]], scheme=scheme)


def test_types_may_hold_hyphens_or_be_missing():
    gold = [["B-GPE-LOC", "I-GPE-LOC", "O", "B"]]
    result = score(gold, gold)
    assert list(result["per_type"]) == list(result["strict_per_type"]) == ["GPE-LOC", "_"]
    assert (result["f1"], result["strict_f1"]) == (1.0, 1.0)


def test_an_unknown_scheme_names_the_choices():
    with pytest.raises(ConfigError, match=r"'BIO' is unknown\. Choose one of: IOB1, IOB2, BIOES"):
        score([["O"]], [["O"]], scheme="BIO")
    with pytest.raises(ConfigError, match="'IOBES' is unknown"):
        EntityMetric(scheme="IOBES")


@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
def test_batches_give_what_one_call_gives(metric):
    whole = metric().compute(predictions=IOB2_PREDICTED, references=IOB2_GOLD)
    batched = metric()
    for predicted, gold in zip(IOB2_PREDICTED, IOB2_GOLD, strict=True):
        batched.add_batch(predictions=[predicted], references=[gold])
    assert batched.compute() == whole
    for predicted, gold in zip(IOB2_PREDICTED, IOB2_GOLD, strict=True):
        batched.add(prediction=predicted, reference=gold)
    assert batched.compute() == whole


def test_combine():
    both = evaluate.combine([EntityMetric(scheme="IOB1"), WordMetric()])
    result = both.compute(predictions=IOB2_PREDICTED, references=IOB2_GOLD)
    assert (result["f1"], result["scheme"]) == (0.5, "IOB1")
    assert result["entity_metric_accuracy"] == result["word_metric_accuracy"] == pytest.approx(7 / 9)
    both.add_batch(predictions=IOB2_PREDICTED[:1], references=IOB2_GOLD[:1])
    both.add(prediction=IOB2_PREDICTED[1], reference=IOB2_GOLD[1])
    assert both.compute() == result


def test_tuples_and_arrays_are_lists_too():
    arrays = WordMetric().compute(
        predictions=tuple(map(np.array, POS_PREDICTED)), references=tuple(map(tuple, POS_GOLD))
    )
    assert arrays == WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD)


def test_results_go_into_json():
    words = {"words": POS_WORDS, "known_words": {"the"}}
    for result in (
        score(IOB2_PREDICTED, IOB2_GOLD),
        WordMetric().compute(predictions=POS_PREDICTED, references=POS_GOLD, **words),
    ):
        assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.disable_socket
@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
def test_nothing_is_written_and_no_socket_opened(metric, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate.config, "HF_METRICS_CACHE", str(tmp_path / "metrics"))
    scorer = metric()
    scorer.add_batch(predictions=[["O"]], references=[["O"]])
    scorer.compute()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("metric", [EntityMetric, WordMetric])
def test_on_disk_when_asked(metric, tmp_path):
    scorer = metric(keep_in_memory=False, cache_dir=str(tmp_path))
    scorer.add_batch(predictions=[["O"]], references=[["O"]])
    assert list(tmp_path.rglob("*.arrow"))
    assert scorer.compute()["accuracy"] == 1.0


def test_a_misspelt_option_is_refused():
    with pytest.raises(TypeError, match="schem"):
        EntityMetric(schem="IOB1")
    with pytest.raises(TypeError, match="schem"):
        score([["O"]], [["O"]], schem="IOB1")


PREFIXES = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}


def random_tags(rng, length, scheme):
    """Any tag of the scheme after any other: most sequences break its rules."""
    return [
        "O" if rng.random() < 0.4 else f"{rng.choice(PREFIXES[scheme])}-{rng.choice(['PER', 'LOC', 'X-Y'])}"
        for _ in range(length)
    ]


def random_corpus(rng, sentences, scheme):
    """Gold and a prediction that keeps about 7 in 10 of its tags."""
    gold = [random_tags(rng, rng.randint(1, 12), scheme) for _ in range(sentences)]
    noise = [random_tags(rng, len(tags), scheme) for tags in gold]
    predicted = [
        [a if rng.random() < 0.7 else b for a, b in zip(x, y, strict=True)] for x, y in zip(gold, noise, strict=True)
    ]
    return predicted, gold


def conll_lines(predicted, gold):
    for ours, theirs in zip(predicted, gold, strict=True):
        yield from (f"word {b} {a}" for a, b in zip(ours, theirs, strict=True))
        yield ""


def rounded(scores):
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in scores.items()}


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES"])
def test_default_mode_equals_conlleval(scheme):
    predicted, gold = random_corpus(random.Random(7), 300, scheme)
    metric = EntityMetric(scheme=scheme)
    # All at once, then each sentence by itself, so that no two differences hide each other.
    for part in [slice(None), *(slice(i, i + 1) for i in range(300))]:
        ours = metric.compute(predictions=predicted[part], references=gold[part])
        theirs = conlleval.score(conll_lines(predicted[part], gold[part]))
        for key in ("precision", "recall", "f1", "support", "accuracy"):
            assert round(ours[key], 4) == round(theirs[key], 4), key
        assert {t: rounded(x) for t, x in ours["per_type"].items()} == {
            t: rounded(x) for t, x in theirs["per_type"].items()
        }


@pytest.mark.parametrize(("scheme", "token"), [("IOB1", IOB1), ("IOB2", IOB2), ("BIOES", IOBES)])
def test_both_modes_equal_seqeval(scheme, token):
    predicted, gold = random_corpus(random.Random(11), 100, scheme)
    ours = score(predicted, gold, scheme=scheme)
    for mode, prefix in (("strict", "strict_"), (None, "")):
        theirs = classification_report(
            gold, predicted, mode=mode, scheme=token if mode else None, output_dict=True, zero_division=0
        )
        micro = theirs["micro avg"]
        names = {"precision": "precision", "recall": "recall", "f1-score": "f1"}
        for their_name, name in names.items():
            assert ours[prefix + name] == pytest.approx(micro[their_name])
        for kind, scores in ours[prefix + "per_type"].items():
            assert scores["f1"] == pytest.approx(theirs[kind]["f1-score"])
            assert scores["support"] == theirs[kind]["support"]
    assert ours["macro_f1"] == pytest.approx(theirs["macro avg"]["f1-score"])
    assert ours["support"] == micro["support"]


def test_conlleval_on_an_example_by_hand():
    lines = [
        "EU B-ORG B-ORG",
        "in O O",
        "New B-LOC B-LOC",
        "York I-LOC O",
        "",
        "Ann B-PER I-PER",
        "Lee I-PER I-PER",
    ]
    result = conlleval.score(lines)
    assert (result["precision"], result["recall"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert result["accuracy"] == pytest.approx(4 / 6)
    assert result["per_type"] == {
        "LOC": figures(0.0, 0.0, 0.0, 1),
        "ORG": figures(1.0, 1.0, 1.0, 1),
        "PER": figures(1.0, 1.0, 1.0, 1),
    }
    assert conlleval.score([])["f1"] == 0.0


def test_fifty_thousand_words_stay_fast():
    predicted, gold = random_corpus(random.Random(3), 7700, "IOB2")
    words = [[f"w{i}" for i in range(len(tags))] for tags in gold]
    start = time.perf_counter()
    entities = score(predicted, gold)
    WordMetric().compute(predictions=predicted, references=gold, words=words, known_words={"w1"})
    assert entities["words"] > 49_000
    assert time.perf_counter() - start < 10  # 0.7 s on a free core; the margin is for a busy one
