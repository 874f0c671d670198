"""`drift`: texts beside the training data, and what differs by more than sampling gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
from datasets import Dataset
from tiny_models import tiny_bert

from hf_tagging import Tagger
from hf_tagging.analysis import drift
from hf_tagging.analysis.drift import find_drift
from hf_tagging.analysis.ratios import Ratios
from hf_tagging.cli import main
from hf_tagging.errors import DataError

WORDS = "The chef from Lisbon will book a table in May because Jordan loves her book".split()  # noqa: SIM905
KNOWN = [["Jordan", "waved"], ["Maria", "waved", "."], ["Jordan", "left", "."]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.from_pretrained(folder, device="cpu")


def split_of(sentences, documents=None):
    columns = {"tokens": sentences} | ({} if documents is None else {"document_id": documents})
    return Dataset.from_dict(columns)


def drawn(count, seed, words=WORDS):
    rng = np.random.default_rng(seed)
    return [rng.choice(words, rng.integers(3, 12)).tolist() for _ in range(count)]


def joined(sentences):
    return [" ".join(words) for words in sentences]


def figures_of(found):
    return {figure.name: figure for figure in found.figures}


class TestRatios:
    def test_sums_give_ratio_and_variance(self):
        ratios = Ratios(2)
        for above in (1, 2, 3):
            ratios.add(np.array([above, 0.0]), np.array([2.0, 0.0]))
        assert ratios.values[0] == 1
        assert ratios.variances[0] == pytest.approx(1 / 12)  # of the mean of 0.5, 1 and 1.5
        assert np.isnan(ratios.values[1])

    def test_the_variance_is_that_of_resampled_units(self):
        rng = np.random.default_rng(0)
        below = rng.integers(1, 20, 400)
        above = rng.binomial(below, rng.beta(2, 5, 400))  # the words of a unit are alike
        ratios = Ratios(1)
        for pair in zip(above, below, strict=True):
            ratios.add(*(np.array([x], float) for x in pair))
        chosen = rng.integers(0, 400, (4000, 400))
        resampled = above[chosen].sum(1) / below[chosen].sum(1)
        assert ratios.variances[0] == pytest.approx(resampled.var(), rel=0.1)
        assert ratios.variances[0] > 1.5 * (p := ratios.values[0]) * (1 - p) / below.sum()  # of independent words

    def test_one_unit_has_no_variance(self):
        ratios = Ratios(1)
        ratios.add(np.ones(1), np.ones(1))
        assert np.isnan(ratios.variances[0])


class TestFigures:
    def test_are_those_of_texts_and_validation(self, tagger):
        against = {"train": split_of(KNOWN), "validation": split_of([["Jordan", "sailed"], ["PORTO"]])}
        found = find_drift(tagger, ["Maria waved. NATO left", "", "Old ships sailed slowly past"], against)
        shown = {name: (figure.texts, figure.reference) for name, figure in figures_of(found).items()}
        assert shown["unknown words"] == (6 / 10, 2 / 3)
        assert shown["words per sentence"] == (10 / 3, 3 / 2)
        assert shown["capitalized words"] == (2 / 10, 1 / 3)
        assert shown["words in capitals"] == (1 / 10, 1 / 3)
        assert (found.reference, found.is_learned) == ("validation", False)
        assert found.texts == {"texts": 3, "sentences": 3, "words": 10, "empty": 1}
        assert found.data == {"sentences": 2, "tagged": 2, "words": 3}
        assert found.units == ("sentences", "sentences")

    def test_without_validation_a_word_of_one_sentence_is_unknown(self, tagger):
        found = find_drift(tagger, ["Maria waved ."], {"train": split_of(KNOWN)})
        assert (found.reference, found.is_learned) == ("train", True)
        unknown = figures_of(found)["unknown words"]
        assert (unknown.texts, unknown.reference) == (0, 2 / 8)  # Maria, left

    def test_a_test_split_alone_is_not_learned_from(self, tagger):
        found = find_drift(tagger, ["Maria waved ."], {"test": split_of(KNOWN)})
        assert (found.reference, found.is_learned) == ("test", False)

    def test_are_those_of_the_predictions(self, tagger, tmp_path_factory):
        texts, against = joined(drawn(20, seed=0)), {"train": split_of(drawn(20, seed=1))}
        tagged = [*tagger.tag_texts(texts)]
        entities = [entity for text in tagged for entity in text.entities]
        scores = [word.score for text in tagged for word in text.words]
        found = figures_of(find_drift(tagger, texts, against))
        for kind in ("PER", "LOC"):
            assert found[kind].texts == sum(entity.type == kind for entity in entities) / len(scores) > 0
        assert found["confidence of words"].texts == pytest.approx(np.mean(scores))
        assert found["confidence of entities"].texts == pytest.approx(np.mean([entity.score for entity in entities]))
        assert found["words below 0.9"].texts == np.mean(np.array(scores) < 0.9)
        pieces = [len(tagger.tokenizer.tokenize(word.text)) for text in tagged for word in text.words]
        assert found["subwords per word"].texts == pytest.approx(np.mean(pieces))
        pos = Tagger.from_pretrained(
            str(tiny_bert(tmp_path_factory.mktemp("pos"), tags=("NN", "VB", "."))), device="cpu"
        )
        rates = figures_of(find_drift(pos, texts, against))
        tags = [word.tag for text in pos.tag_texts(texts) for word in text.words]
        assert {tag: rates[tag].texts for tag in pos.schema.tags} == {
            tag: tags.count(tag) / len(tags) for tag in pos.schema.tags
        }
        assert "confidence of entities" not in rates


class TestWhatMoved:
    def test_nothing_where_both_are_drawn_alike(self, tagger):
        against = {"train": split_of(drawn(300, seed=1)), "validation": split_of(drawn(300, seed=2))}
        found = [find_drift(tagger, joined(drawn(200, seed=seed)), against) for seed in range(3, 7)]
        assert sum(len(one.moved) for one in found) <= 1
        assert found[0].units == ("texts", "texts")

    def test_words_shape_and_predictions_of_other_texts(self, tagger):
        against = {"train": split_of(drawn(300, seed=1)), "validation": split_of(drawn(300, seed=2))}
        texts = [text.lower() for text in joined(drawn(200, seed=3, words=[*WORDS[4:], "harbour", "ships"]))]
        found = find_drift(tagger, [f"{text} {text}" for text in texts], against)
        assert {"unknown words", "words per sentence", "capitalized words"} <= {*found.moved}
        unknown = figures_of(found)["unknown words"]
        assert unknown.low <= unknown.difference <= unknown.high
        assert unknown.low > 0
        assert json.loads(json.dumps(found.as_dict()))["moved"] == found.moved

    def test_sentences_of_a_document_are_one_unit(self, tagger):
        """The same sentences, in documents that are alike within, tell less."""
        sentences = [sentence for sentence in drawn(40, seed=1) for _ in range(10)]
        documents = [str(number) for number in range(40) for _ in range(10)]
        texts = joined(drawn(100, seed=2))
        alone, together = (find_drift(tagger, texts, {"train": split_of(sentences, ids)}) for ids in (None, documents))
        widths = [[figure.high - figure.low for figure in (figures_of(one)["LOC"],)] for one in (alone, together)]
        assert widths[1][0] > 1.3 * widths[0][0]


class TestReading:
    def test_draws_documents_of_large_data(self, tagger, monkeypatch):
        monkeypatch.setattr(drift, "MOST_REFERENCE", 10)
        split = split_of(drawn(90, seed=1), [str(number // 3) for number in range(90)])
        one, same, other = (find_drift(tagger, ["a b"], {"train": split}, seed=seed) for seed in (0, 0, 1))
        assert one.data["sentences"] == 90
        assert one.data["tagged"] == 12  # whole documents
        assert one == same != other

    @pytest.mark.failure_mode("drift-nothing")
    def test_refuses_texts_without_words(self, tagger):
        with pytest.raises(DataError, match="the texts have no words"):
            find_drift(tagger, ["", " "], {"train": split_of(KNOWN)})
        with pytest.raises(DataError, match="the train split has no words"):
            find_drift(tagger, ["a"], {"train": split_of([[]])})


class TestCommand:
    @pytest.fixture
    def files(self, tmp_path):
        (tmp_path / "texts.txt").write_text("\n".join(joined(drawn(40, seed=3))) + "\n")
        rows = ["\n".join(f"{word} O" for word in sentence) for sentence in drawn(60, seed=1)]
        (tmp_path / "train.conll").write_text("\n\n".join(rows) + "\n")
        return str(tmp_path / "texts.txt"), str(tmp_path / "train.conll")

    def test_prints_a_table_and_writes_json(self, folder, files, tmp_path, capsys):
        output = tmp_path / "drift.json"
        main(["drift", folder, files[0], "--against", files[1], "--output", str(output)])
        shown = capsys.readouterr().out
        assert shown.startswith("40 texts with 40 sentences and ")
        assert "60 of 60 sentences of the train split, which the model has learned from." in shown
        assert "Moved beyond what sampling gives (95 % intervals for all 10 figures at once): " in shown
        assert "The model is more certain of what it has learned" in shown
        found = json.loads(output.read_text())
        assert [figure["name"] for figure in found["figures"]][:2] == ["unknown words", "subwords per word"]
        main(["drift", folder, files[0], "--against", files[1], "--json"])
        assert json.loads(capsys.readouterr().out)["figures"] == found["figures"]

    def test_one_text_is_compared_once_its_format_is_given(self, folder, files, tmp_path, capsys):
        (tmp_path / "one.txt").write_text("Two old ships sailed past Porto.\n")
        flags = ["drift", folder, str(tmp_path / "one.txt"), "--against", files[1]]
        with pytest.raises(SystemExit):
            main(flags)
        assert "Give --input_format column or --input_format text." in capsys.readouterr().err
        main([*flags, "--input_format", "text"])
        assert capsys.readouterr().out.startswith("1 texts with 1 sentences and 7 words, beside")

    @pytest.mark.failure_mode("drift-no-data")
    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ([], "Or give the data that it was trained on as --against."),
            (["--encoding", "latin-1"], "--encoding: goes with --against."),
            (["--overwrite"], "--overwrite: goes with --output."),
        ],
    )
    def test_says_what_is_missing(self, folder, files, flags, message, capsys):
        with pytest.raises(SystemExit) as end:
            main(["drift", folder, files[0], *flags])
        assert end.value.code == 2
        assert message in capsys.readouterr().err


def test_a_share_that_has_not_occurred_in_a_few_words_has_not_moved(tagger):
    """Of no variance of its own, it would differ from any other by more than sampling gives."""
    found = find_drift(tagger, ["Jordan waved.", "Jordan left."], {"train": split_of(drawn(400, 1)),
                       "validation": split_of([["Jordan", "WAVED", "."], *drawn(30, 2)])})  # fmt: skip
    capitals = next(figure for figure in found.figures if figure.name == "words in capitals")
    assert capitals.texts == 0 < capitals.reference
    assert capitals.low < -0.05 < capitals.high
    assert "words in capitals" not in found.moved


def test_the_variance_of_a_share_is_at_least_that_of_independent_draws():
    own, shares = Ratios(1), Ratios(1, np.array([True]))
    for _ in range(50):
        for ratios in (own, shares):
            ratios.add(np.array([0.0]), np.array([4.0]))
    assert own.variances == [0]
    assert shares.variances == pytest.approx([(1 / 202) * (201 / 202) / 202])
