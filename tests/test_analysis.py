"""The analysis against cases that can be read off by hand, and against the metrics."""

import json
import sys

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from hypothesis import given
from hypothesis import strategies as st

from hf_tagging.analysis.analyse import analyse
from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.calibration import UNDEFINED, calibration
from hf_tagging.analysis.error_kinds import pair_entities
from hf_tagging.analysis.examples import fitting, wrong_sentences
from hf_tagging.analysis.rereading import reread
from hf_tagging.analysis.seen import Seen, read_seen, seen_in, write_seen
from hf_tagging.analysis.suspects import MISSING
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import DataError
from hf_tagging.evaluation import EntityMetric, WordMetric, bootstrap_interval, count_sentences
from hf_tagging.evaluation.statistics import SentenceCounts

HOSTILE = ["<script>alert(1)</script>", "a_b", "\u202e", '"', "x" * 3000]


def tags(text):
    """`P P. . L` as IOB2 tags: a dot after a type ends nothing, `P P` are two entities, `P P~` is one of two words."""
    names = {"P": "PER", "L": "LOC", "G": "ORG"}
    return ["O" if x == "." else f"{'I' if x[1:] else 'B'}-{names[x[0]]}" for x in text.split()]


def ner(*pairs):
    gold, predicted = ([tags(side) for side in sides] for sides in zip(*pairs, strict=True))
    return Answers("ner", [[f"w{i}" for i in range(len(x))] for x in gold], gold, predicted)


def pos(*pairs):
    gold, predicted = ([side.split() for side in sides] for sides in zip(*pairs, strict=True))
    return Answers("pos", [[f"w{i}" for i in range(len(x))] for x in gold], gold, predicted)


def random_answers(task, sentences=200, seed=0, inventory=None):
    generator = np.random.default_rng(seed)
    inventory = inventory or ["O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER"]
    words, gold, predicted = [], [], []
    for _ in range(sentences):
        length = int(generator.integers(1, 45))
        theirs = generator.choice(inventory, length)
        ours = np.where(generator.random(length) < 0.7, theirs, generator.choice(inventory, length))
        words.append([f"w{x}" for x in generator.integers(0, 50, length)])
        gold.append(theirs.tolist())
        predicted.append(ours.tolist())
    return Answers(task, words, gold, predicted)


TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-PER"])


def two_taggings(length):
    """Gold and predicted tags of one sentence."""
    return st.tuples(*[st.lists(TAGS, min_size=length, max_size=length)] * 2)


def words_of(spans):
    """The words of each entity, as sentence and place."""
    return [{(n, i) for i in range(start, end)} for n, start, end, _ in spans.rows.tolist()]


def group(analysis, title):
    return next(found for found in analysis["groups"] if found["title"] == title)


def values(part):
    return {row["name"]: (row["value"], row["count"]) for row in part["rows"]}


class TestErrorKinds:
    @pytest.mark.parametrize(
        ("gold", "predicted", "expected"),
        [
            ("P P~ .", "P P~ .", [("right", 0, 0)]),
            ("P P~ .", "L L~ .", [("type", 0, 0)]),
            ("P P~ .", "P . .", [("boundary", 0, 0)]),
            ("P P~ .", ". P P~", [("boundary", 0, 0)]),
            ("P P~ .", "L . .", [("both", 0, 0)]),
            ("P P~ .", ". . P", [("missed", 0, -1), ("spurious", -1, 0)]),
            ("P . .", ". . .", [("missed", 0, -1)]),
            (". . .", ". L .", [("spurious", -1, 0)]),
            # Cut into two: the larger part answers, the other is what is left of the split.
            ("P P~ P~", "P P~ L", [("boundary", 0, 0), ("split", 0, 1)]),
            ("P P~ P~", "L P P~", [("split", 0, 0), ("boundary", 0, 1)]),
            # Halves of the same size: the one of the right type answers, then the first.
            ("P P~ P~ P~", "L L~ P P~", [("split", 0, 0), ("boundary", 0, 1)]),
            ("P P~ P~ P~", "L L~ G G~", [("both", 0, 0), ("split", 0, 1)]),
            ("P P~ P~", "L P G", [("split", 0, 0), ("boundary", 0, 1), ("split", 0, 2)]),
            # Two taken for one: the one that shares more words is answered, the other was merged into it.
            ("P L L~", "L L~ L~", [("merged", 0, 0), ("boundary", 1, 0)]),
            ("G P P~", "P P~ P~", [("merged", 0, 0), ("boundary", 1, 0)]),
            # An entity shifted by a word overlaps two: each is beside the one with which it shares most.
            ("P P~ L L~ .", ". P P~ L L~", [("boundary", 0, 0), ("boundary", 1, 1)]),
            ("P P~ P~ L", ". P P~ P~", [("boundary", 0, 0), ("merged", 1, 0)]),
            ("P L L~ L~", "G G~ G~ L", [("merged", 0, 0), ("both", 1, 0), ("split", 1, 1)]),
            # Beside each other, without a word in common: missed and made up.
            ("P . . .", ". P . .", [("missed", 0, -1), ("spurious", -1, 0)]),
            # What is right is never given to another.
            ("P P~ L", "P P~ L", [("right", 0, 0), ("right", 1, 1)]),
        ],
    )
    def test_by_hand(self, gold, predicted, expected):
        pairs = pair_entities(ner((gold, predicted)))
        found = zip(pairs.kind.tolist(), pairs.gold.tolist(), pairs.predicted.tolist(), strict=True)
        assert list(found) == expected

    def test_entities_of_different_sentences_do_not_meet(self):
        pairs = pair_entities(ner((". P", ". ."), ("P .", "L ."), (". .", ". P")))
        assert pairs.kind.tolist() == ["missed", "type", "spurious"]

    @pytest.mark.failure_mode("merged-entity")
    @given(st.lists(st.integers(0, 12).flatmap(two_taggings), min_size=1, max_size=4))
    def test_every_entity_is_counted_in_one_kind_and_only_what_meets_none_is_missed_or_spurious(self, sides):
        words = [[f"w{i}" for i in range(len(gold))] for gold, _ in sides]
        answers = Answers("ner", words, *map(list, zip(*sides, strict=True)))
        pairs, analysis = pair_entities(answers), analyse(answers)
        rows = analysis["errors"]

        assert sorted(pairs.gold[pairs.counts_gold]) == list(range(len(answers.gold_spans)))
        assert sorted(pairs.predicted[pairs.counts_predicted]) == list(range(len(answers.predicted_spans)))
        right = np.count_nonzero(pairs.kind == "right")
        counted = [right + sum(row[side] for row in rows) for side in ("gold", "predicted")]
        assert counted == [len(answers.gold_spans), len(answers.predicted_spans)]
        _, precision, recall = (row["value"] for row in analysis["headline"])
        assert [precision, recall] == [
            right / counted[1] if counted[1] else 0.0,
            right / counted[0] if counted[0] else 0.0,
        ]
        assert sum(row["count"] for row in rows) == np.count_nonzero(pairs.kind != "right")
        gold, predicted = words_of(answers.gold_spans), words_of(answers.predicted_spans)
        for one, other, kind in zip(pairs.gold, pairs.predicted, pairs.kind, strict=True):
            assert (kind == "missed") == (one >= 0 and gold[one].isdisjoint(set().union(*predicted)))
            assert (kind == "spurious") == (other >= 0 and predicted[other].isdisjoint(set().union(*gold)))
            assert kind in ("missed", "spurious") or gold[one] & predicted[other]

    def test_the_kinds_add_up_to_the_figures_of_the_metric(self):
        answers = random_answers("ner")
        scores = EntityMetric(scheme="BIOES").compute(predictions=answers.predicted, references=answers.gold)
        rows = analyse(answers)["errors"]
        assert all(row["count"] for row in rows)
        right = scores["recall"] * scores["support"]
        assert right + sum(row["gold"] for row in rows) == pytest.approx(scores["support"])
        assert right / (right + sum(row["predicted"] for row in rows)) == pytest.approx(scores["precision"])

    def test_have_a_name_and_an_explanation(self):
        rows = analyse(ner(("P .", "L .")))["errors"]
        assert [row["name"] for row in rows] == [
            "missed", "spurious", "wrong type", "wrong boundary", "wrong type and boundary", "split", "merged",
        ]  # fmt: skip
        assert rows[2]["explain"] == "Correct words, different type."

    def test_are_counted_with_their_share(self):
        analysis = analyse(ner(("P P~ .", "P . L"), ("P . .", "L . .")))
        assert [(row["kind"], row["count"], row["share"]) for row in analysis["errors"]] == [
            ("missed", 0, 0.0),
            ("spurious", 1, 1 / 3),
            ("type", 1, 1 / 3),
            ("boundary", 1, 1 / 3),
            ("both", 0, 0.0),
            ("split", 0, 0.0),
            ("merged", 0, 0.0),
        ]

    def test_plain_tags_have_one_kind(self):
        (row,) = analyse(pos(("DT NN", "DT DT")))["errors"]
        assert (row["kind"], row["count"], row["share"]) == ("tag", 1, 1.0)


class TestTags:
    def test_entities_are_those_of_the_metric(self):
        answers = random_answers("ner")
        expected = EntityMetric(scheme="BIOES").compute(predictions=answers.predicted, references=answers.gold)
        analysis = analyse(answers)
        figures = {row["name"]: row["value"] for row in analysis["headline"]}
        assert figures == {"F1": expected["f1"], "Precision": expected["precision"], "Recall": expected["recall"]}
        assert analysis["entities"] == expected["support"]
        for row in analysis["tags"]:
            scores = expected["per_type"][row["tag"]]
            assert {name: row[name] for name in ("precision", "recall", "f1")} == {
                k: scores[k] for k in scores.keys() - {"support"}
            }
            assert row["gold"] == scores["support"]

    def test_words_are_those_of_the_metric(self):
        answers = random_answers("pos", inventory=["DT", "NN", "VB"])
        expected = WordMetric().compute(predictions=answers.predicted, references=answers.gold)
        analysis = analyse(answers)
        figures = {row["name"]: row["value"] for row in analysis["headline"]}
        assert figures == pytest.approx(
            {
                "Accuracy": expected["accuracy"],
                "Sentence accuracy": expected["sentence_accuracy"],
                "Macro F1": expected["macro_f1"],
            }
        )
        assert {row["tag"]: row["f1"] for row in analysis["tags"]} == {
            t: s["f1"] for t, s in expected["per_tag"].items()
        }
        assert analysis["entities"] is None

    def test_intervals_are_the_bootstraps(self):
        answers = random_answers("ner")
        rows = analyse(answers)["headline"]
        counts = count_sentences("ner", answers.gold, answers.predicted)
        correct, predicted, gold = counts.values.T
        ratios = [counts.ratio, np.stack([correct, predicted], axis=1), np.stack([correct, gold], axis=1)]
        assert [row["name"] for row in rows] == ["F1", "Precision", "Recall"]
        for row, ratio in zip(rows, ratios, strict=True):
            assert (row["low"], row["high"]) == bootstrap_interval(SentenceCounts("pos", ratio))
            assert row["low"] < row["value"] < row["high"]

    def test_an_interval_wants_ten_sentences_of_its_own(self):
        """Gold entities in twelve sentences, predicted ones in nine: precision alone is too thin."""
        f1, precision, recall = analyse(ner(*[("P .", "P .")] * 9, *[("P .", ". .")] * 3))["headline"]
        assert (precision["low"], precision["high"]) == (None, None)
        assert f1["low"] < f1["value"] < f1["high"]
        assert recall["low"] < recall["value"] < recall["high"]

    def test_the_costliest_is_first(self):
        rows = analyse(pos(("DT NN NN VB", "DT DT VB VB")))["tags"]
        assert [(row["tag"], row["cost"], row["gold"], row["predicted"], row["correct"]) for row in rows] == [
            ("NN", 2, 2, 0, 0),
            ("DT", 1, 1, 2, 1),
            ("VB", 1, 1, 2, 1),
        ]


class TestConfusion:
    def test_of_entities_is_by_pairs(self):
        found = analyse(ner(("P P~ . L", "P . G L"), ("P .", "L .")))["confusion"]
        counts = {
            (row, column): n
            for row, line in zip(found["tags"], found["counts"], strict=True)
            for column, n in zip(found["tags"], line, strict=True)
            if n
        }
        assert counts == {("PER", "PER"): 1, ("LOC", "LOC"): 1, ("O", "ORG"): 1, ("PER", "LOC"): 1}
        assert found["tags"][-1] == "O"
        assert found["left_out"] == 0

    def test_of_many_tags_shows_the_costliest(self):
        gold = " ".join(f"T{i}" for i in range(40)) + " X X X Y"
        predicted = " ".join(f"T{i}" for i in range(39)) + " T0 Y Y X Y"
        found = analyse(pos((gold, predicted)))["confusion"]
        assert len(found["tags"]) == 25
        assert found["tags"][:2] == ["X", "Y"]
        assert [line[:2] for line in found["counts"][:2]] == [[1, 2], [0, 1]]
        assert found["left_out"] == 17


class TestCalibration:
    def test_by_hand(self):
        found = calibration(np.array([0.95, 0.85, 0.45, 0.35, 0.05, 0.0]), np.array([1, 0, 1, 0, 0, 0], bool))
        assert [(row["low"], row["words"]) for row in found["bins"]] == [
            (0.0, 2),
            (0.3, 1),
            (0.4, 1),
            (0.8, 1),
            (0.9, 1),
        ]
        assert [row["accuracy"] for row in found["bins"]] == [0, 0, 1, 0, 1]
        assert found["bins"][0]["confidence"] == pytest.approx(0.025)
        assert found["ece"] == pytest.approx((0.05 + 0.85 + 0.55 + 0.35 + 2 * 0.025) / 6)
        assert found["words"] == 6

    def test_probabilities_that_are_no_numbers_are_told(self):
        confidence = np.array([0.9, np.nan], np.float32)
        assert calibration(confidence, np.ones(2, bool)) == {"missing": UNDEFINED}
        answers = pos(("DT NN", "DT DT"))
        reading = reread(answers, ("DT", "NN"), [np.full((2, 2), np.nan, np.float32)])
        assert reading.agrees  # a model without numbers gives the first tag, in the run and here
        analysis = analyse(answers, reading=reading)
        assert analysis["calibration"] == analysis["suspects"] == {"missing": UNDEFINED}
        json.dumps(analysis, allow_nan=False)

    def test_certain_words_are_in_the_last_bin(self):
        found = calibration(np.ones(3, np.float32), np.ones(3, bool))
        assert found == {
            "bins": [{"low": 0.9, "high": 1.0, "confidence": 1.0, "accuracy": 1.0, "words": 3}],
            "ece": 0.0,
            "words": 3,
        }


class TestGroups:
    def test_entity_length_is_recall(self):
        analysis = analyse(ner(("P . L L~ . P P~ P~ P~ P~ P~", "P . L . . P P~ P~ P~ P~ P~"), ("P .", "L .")))
        assert values(group(analysis, "Entity length")) == {"1": (0.5, 2), "2": (0.0, 1), "5 or more": (1.0, 1)}

    def test_sentence_length(self):
        short, long = ("DT NN", "DT DT"), (" ".join(["NN"] * 11), " ".join(["NN"] * 11))
        assert values(group(analyse(pos(short, long)), "Sentence length")) == {
            "1 to 10": (0.5, 1),
            "11 to 20": (1.0, 1),
        }

    def test_seen_and_unseen(self):
        answers = ner(("P P~ . L", "P P~ . ."), ("P . .", "P L ."))
        analysis = analyse(answers, seen=Seen(frozenset({"w0", "w2"}), frozenset({"w0 w1"})))
        assert values(group(analysis, "Words seen in training")) == {"seen": (1.0, 4), "unseen": (1 / 3, 3)}
        assert values(group(analysis, "Entities seen in training")) == {"seen": (1.0, 1), "unseen": (0.5, 2)}

    def test_casing(self):
        answers = pos(("DT NN", "DT DT"), ("NN", "NN"), ("DT", "DT"))
        casings = ([0, 2], {"as is": [["DT", "DT"], ["DT"]], "upper case": [["NN", "NN"], ["NN"]]})
        found = group(analyse(answers, casings=casings), "Casing")
        assert values(found) == {"as is": (2 / 3, 2), "upper case": (1 / 3, 2)}
        assert "2 of the 3 sentences" in found["note"]

    def test_casings_that_make_no_difference(self):
        answers = pos(("DT", "DT"), ("NN", "NN"))
        casings = ([0, 1], {"as is": [["DT"], ["NN"]], "upper case": [["DT"], ["NN"]]})
        found = group(analyse(answers, casings=casings), "Casing")
        assert found["note"].endswith(" The tags are the same in all three.")

    def test_intervals_want_ten_sentences(self):
        few, many = (group(analyse(pos(*[("DT NN", "DT DT")] * n)), "Sentence length")["rows"][0] for n in (9, 10))
        assert (few["low"], few["high"]) == (None, None)
        assert (many["low"], many["high"]) == (0.5, 0.5)

    def test_what_is_not_known_is_said(self):
        analysis = analyse(ner((". .", ". .")), seen="why", casings="because")
        assert group(analysis, "Casing") == {"title": "Casing", "missing": "because"}
        assert group(analysis, "Words seen in training") == {"title": "Words seen in training", "missing": "why"}
        assert group(analysis, "Entity length") == {"title": "Entity length", "missing": "There are no entities."}


class TestExamples:
    def test_entities(self):
        found = analyse(ner(("P .", "P ."), ("P P~ . L", "P . G L")))["examples"]
        assert found == {
            "sentences": [
                {
                    "number": 2,
                    "words": ["w0", "w1", "w2", "w3"],
                    "gold": [[0, 2, "PER"], [3, 4, "LOC"]],
                    "predicted": [[0, 1, "PER"], [2, 3, "ORG"], [3, 4, "LOC"]],
                    "errors": [
                        {"kind": "boundary", "gold": [0, 2, "PER"], "predicted": [0, 1, "PER"]},
                        {"kind": "spurious", "gold": None, "predicted": [2, 3, "ORG"]},
                    ],
                }
            ],
            "left_out": 0,
        }

    def test_plain_tags_show_the_wrong_words(self):
        (found,) = analyse(pos(("DT", "DT"), ("DT NN VB", "DT DT VB")))["examples"]["sentences"]
        assert (found["number"], found["gold"], found["predicted"]) == (2, [[1, 2, "NN"]], [[1, 2, "DT"]])
        assert found["errors"] == [{"kind": "tag", "gold": [1, 2, "NN"], "predicted": [1, 2, "DT"]}]

    def test_too_many_are_thinned_out_evenly(self):
        answers = pos(*[("DT NN", "DT DT")] * 1000)
        whole = len(json.dumps(wrong_sentences(answers)["sentences"][0]))
        found = wrong_sentences(answers, budget=100 * whole)
        numbers = [sentence["number"] for sentence in found["sentences"]]
        assert 90 <= len(numbers) <= 105
        assert found["left_out"] == 1000 - len(numbers)
        assert max(np.diff(numbers)) <= 12
        assert numbers[0] <= 12
        assert numbers[-1] > 985

    def test_fitting(self):
        assert fitting([5, 5, 5], 15) == [0, 1, 2]
        assert fitting([10] * 20, 100) == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
        assert fitting([1, 1, 500, 1], 100) == [0, 1, 3]
        assert fitting([10, 10], 0) == []

    def test_a_sentence_that_is_too_long_is_left_out(self):
        answers = Answers("pos", [["x" * 5000], ["y"]], [["NN"], ["NN"]], [["DT"], ["DT"]])
        found = wrong_sentences(answers, budget=2000)
        assert [sentence["number"] for sentence in found["sentences"]] == [2]
        assert found["left_out"] == 1


class TestRereading:
    TAGS = ("DT", "NN", "VB")

    def test_needs_no_more_than_blocks(self):
        answers = pos(("DT NN VB", "DT DT VB"), ("NN XX", "NN NN"))
        table = np.array([[0.9, 0.1, 0], [0.7, 0.2, 0.1], [0, 0.4, 0.6], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1]], np.float32)
        for cuts in ([], [1], [2, 4], [1, 2, 3, 4]):
            reading = reread(answers, self.TAGS, np.split(table, cuts))
            assert reading.labels.tolist() == [0, 0, 2, 1, 1]
            assert reading.confidence.tolist() == pytest.approx([0.9, 0.7, 0.6, 0.5, 0.8])
            assert reading.right.tolist() == [True, False, True, True, False]
            assert reading.agrees
            assert reading.doubted.tolist() == [1]  # the last word's gold tag is none that the model knows
            assert reading.tags_of(answers, [1]) == [["NN", "NN"]]

    def test_tells_another_model(self):
        answers = pos(("DT NN", "DT DT"))
        assert not reread(answers, self.TAGS, [np.eye(3, dtype=np.float32)[[1, 1]]]).agrees

    def test_suspects_are_ranked_by_confident_disagreement(self):
        answers = pos(("DT NN VB NN", "DT DT NN NN"), ("VB NN", "NN NN"))
        rows = [[0.9, 0.1, 0], [0.7, 0.3, 0], [0, 0.6, 0.4], [0, 1, 0], [0.02, 0.97, 0.01], [0.1, 0.8, 0.1]]
        reading = reread(answers, self.TAGS, [np.array(rows, np.float32)])
        found = analyse(answers, reading=reading)["suspects"]["rows"]
        assert [(row["number"], row["word"], row["gold"], row["predicted"]) for row in found] == [
            (2, 0, "VB", "NN"),
            (1, 1, "NN", "DT"),
            (1, 2, "VB", "NN"),
        ]
        assert [row["score"] for row in found] == pytest.approx([0.01, 0.3, 0.4], abs=1e-6)
        assert found[1]["context"] == ["w0", "w1", "w2", "w3"]
        assert found[1]["context"][found[1]["at"]] == found[1]["text"] == "w1"

    def test_suspects_are_fifty_at_most(self):
        answers = pos(*[("NN", "DT")] * 60)
        reading = reread(answers, self.TAGS, [np.tile(np.array([[0.9, 0.1, 0]], np.float32), (60, 1))])
        assert len(analyse(answers, reading=reading)["suspects"]["rows"]) == 50

    def test_suspects_say_what_to_install(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "cleanlab.rank", None)
        answers = pos(("NN", "DT"))
        reading = reread(answers, self.TAGS, [np.array([[0.9, 0.1, 0]], np.float32)])
        analysis = analyse(answers, reading=reading)
        assert analysis["suspects"] == {"missing": MISSING}
        assert "pip install 'hf-tagging[report]'" in MISSING
        assert analysis["calibration"]["words"] == 1


class TestSeen:
    SCHEMA = TagSchema(("O", "B-PER", "I-PER"), "IOB2")

    def split(self, *sentences):
        features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=list(self.SCHEMA.tags)))})
        rows = [{"tokens": words.split("|"), "tags": labels} for words, labels in sentences]
        return Dataset.from_list(rows, features=features)

    def test_holds_what_both_have_as_predictions_are_read_back(self, tmp_path):
        train = self.split(("Ada|Love lace|ran", [1, 2, 0]), ("Ada|sat", [1, 0]), ("secret|", [0, 0]))
        test = self.split(("Ada|Love lace|swam", [1, 2, 0]), ("Bob|ran|", [1, 0, 0]))
        found = seen_in(train, test, self.SCHEMA)
        assert found == {"words": ["", "Ada", "Love lace", "ran"], "entities": ["Ada Love lace"]}
        write_seen(tmp_path, {"test": found})
        assert read_seen(tmp_path, "test") == Seen(frozenset(found["words"]), frozenset(found["entities"]))
        assert read_seen(tmp_path, "validation") is None
        assert read_seen(tmp_path / "nowhere", "test") is None
        assert "secret" not in (tmp_path / "predictions" / "seen.json").read_text()


class TestEdges:
    @pytest.mark.parametrize("task", ["pos", "ner"])
    def test_nothing_at_all(self, task):
        analysis = analyse(Answers(task, [], [], []))
        assert (analysis["sentences"], analysis["words"], analysis["tags"]) == (0, 0, [])
        assert {(row["value"], row["low"]) for row in analysis["headline"]} == {(0.0, None)}
        assert analysis["examples"] == {"sentences": [], "left_out": 0}
        json.dumps(analysis, allow_nan=False)

    def test_no_entities(self):
        analysis = analyse(ner((". .", ". .")), seen=Seen(frozenset(), frozenset()))
        assert analysis["confusion"] == {"tags": ["O"], "counts": [[0]], "left_out": 0}
        assert sum(row["count"] for row in analysis["errors"]) == 0
        assert values(group(analysis, "Words seen in training")) == {"unseen": (1.0, 2)}
        assert group(analysis, "Sentence length")["missing"] == "There are no entities."

    def test_a_length_without_entities_has_no_score(self):
        analysis = analyse(ner(("P .", "P ."), (" ".join("." * 12), " ".join("." * 12))))
        assert values(group(analysis, "Sentence length")) == {"1 to 10": (1.0, 1)}

    def test_is_json_with_hostile_words_and_five_hundred_tags(self):
        answers = random_answers("pos", 100, inventory=[f"T<{i}>" for i in range(500)])
        answers.words[0][: len(HOSTILE)] = HOSTILE[: len(answers.words[0])]
        ids = {tag: i for i, tag in enumerate(answers.tags)}
        table = np.eye(len(ids), dtype=np.float32)[[ids[tag] for side in answers.predicted for tag in side]]
        analysis = analyse(answers, reading=reread(answers, answers.tags, [table]), history=[{"epoch": 1.0}])
        assert json.loads(json.dumps(analysis, allow_nan=False)) == analysis
        assert len(analysis["tags"]) == len(answers.tags)
        assert analysis["calibration"]["ece"] == pytest.approx(1 - answers.right.mean())

    def test_lengths_that_differ_are_refused(self):
        with pytest.raises(DataError, match="sentence 1: predicted has 1 words, gold has 2"):
            Answers("pos", [["a", "b"]], [["NN", "NN"]], [["NN"]])
