"""What a tagger gives to tables: dictionaries, DataFrames, and columns for `map` of datasets and pandas."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from tiny_models import tiny_bert

from hf_tagging import ConfigError, Tagger, TaggingError
from hf_tagging.inference import Entity, TaggedText, TaggedWord, entities_dataframe, to_dataframe

TEXTS = ["Jordan will book a table. Maria waved!", "", "The chef from Lisbon loves her book."]
SAID = TaggedText(
    "Ada left. Bob",
    [
        TaggedWord("Ada", 0, 3, "B-PER", 0.75),
        TaggedWord("left", 4, 8, "O", 0.5),
        TaggedWord(".", 8, 9, "O", 1.0),
        TaggedWord("Bob", 10, 13, "B-PER", 0.25),
    ],
    [Entity("PER", "Ada", 0, 3, 0.75, 0, 1), Entity("PER", "Bob", 10, 13, 0.25, 3, 4)],
    (0, 3),
)
NOTHING = TaggedText("", [], [], ())
ENTITY_TYPES = {"text_number": "int64", "sentence_number": "int64", "type": "str", "text": "str", "start": "int64"}
ENTITY_TYPES |= {"end": "int64", "score": "float64", "first_word": "int64", "end_word": "int64"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def pos_tagger(tmp_path_factory):
    return Tagger.from_pretrained(str(tiny_bert(tmp_path_factory.mktemp("pos"), tags=("NN", "VB", "."))), device="cpu")


def tags_of(texts):
    return [[word.tag for word in text.words] for text in texts]


class TestDictionaries:
    def test_hold_what_predict_writes(self):
        found = SAID.to_dict()
        assert json.loads(json.dumps(found)) == found
        assert [*found] == ["text", "words", "tags", "entities"]
        assert found["tags"] == ["B-PER", "O", "O", "B-PER"]
        assert found["words"][1] == {"text": "left", "start": 4, "end": 8, "tag": "O", "score": 0.5}
        assert found["entities"][1]["type"] == "PER"

    def test_are_copies(self):
        SAID.to_dict()["words"][0]["tag"] = "X"
        assert SAID.words[0].tag == "B-PER"


class TestDataFrames:
    def test_have_a_row_for_each_word(self):
        frame = to_dataframe([SAID, NOTHING, SAID])
        assert list(frame["text_number"]) == [0] * 4 + [2] * 4
        assert list(frame["sentence_number"]) == [0, 0, 0, 1] * 2
        assert list(frame["tag"]) == ["B-PER", "O", "O", "B-PER"] * 2
        assert frame.equals(
            pd.concat([SAID.to_dataframe(), SAID.to_dataframe().assign(text_number=2)], ignore_index=True)
        )

    def test_have_a_row_for_each_entity(self):
        frame = entities_dataframe(iter([NOTHING, SAID]))
        assert frame.to_dict("records")[1] == {
            **{"text_number": 1, "sentence_number": 1, "type": "PER", "text": "Bob", "start": 10, "end": 13},
            **{"score": 0.25, "first_word": 3, "end_word": 4},
        }

    @pytest.mark.parametrize("texts", [NOTHING, [NOTHING], []])
    def test_keep_columns_and_types_without_rows(self, texts):
        for frame, full in [
            (entities_dataframe(texts), SAID.entities_dataframe()),
            (to_dataframe(texts), SAID.to_dataframe()),
        ]:
            assert len(frame) == 0
            assert list(frame.dtypes.items()) == list(full.dtypes.items())
        assert {name: str(dtype) for name, dtype in entities_dataframe(texts).dtypes.items()} == ENTITY_TYPES

    def test_number_the_sentences_of_a_tagged_text(self, tagger):
        frame = to_dataframe(tagger.tag_texts(TEXTS))
        assert frame.groupby(["text_number", "sentence_number"])["text"].agg(" ".join).to_dict() == {
            (0, 0): "Jordan will book a table .",
            (0, 1): "Maria waved !",
            (2, 0): "The chef from Lisbon loves her book .",
        }

    @pytest.mark.parametrize("frame_of", [to_dataframe, entities_dataframe])
    def test_say_what_they_cannot_show(self, tagger, frame_of):
        message = r"text 0 is a str; expected what Tagger\.tag_text and tag_texts return"
        with pytest.raises(TaggingError, match=message):
            frame_of(tagger.tag(["Jordan", "waved"]))

    def test_say_that_pandas_is_missing(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ConfigError, match="pip install pandas"):
            SAID.to_dataframe()


class TestPipe:
    def test_maps_a_dataset(self, tagger):
        rows = Dataset.from_dict({"id": [1, 0, 1], "text": TEXTS}).cast_column("id", ClassLabel(names=["a", "b"]))
        found = rows.map(tagger.pipe, batched=True, batch_size=2)
        expected = [text.to_dict() for text in tagger.tag_texts(TEXTS)]
        assert found.features == Features({**rows.features, **tagger.pipe_features})
        assert found["tags"] == [text["tags"] for text in expected]
        assert [[word["text"] for word in row] for row in found["words"]] == [
            [word["text"] for word in text["words"]] for text in expected
        ]
        assert sum(map(len, found["entities"])) > 0
        assert found[0]["entities"][0]["text"] == expected[0]["entities"][0]["text"]

    @pytest.mark.failure_mode("pipe-no-entities-first")
    def test_maps_a_dataset_that_begins_without_entities(self, tagger):
        rows = Dataset.from_dict({"text": [None, "", *TEXTS]})
        with pytest.raises(TypeError, match=r"cast array of type .* to null"):  # else `pipe_features` could go
            rows.map(tagger.pipe, batched=True, batch_size=2)
        features = Features({**rows.features, **tagger.pipe_features})
        found = rows.map(tagger.pipe, batched=True, batch_size=2, features=features)
        assert [len(row) for row in found["entities"]][:2] == [0, 0]
        assert found["tags"][2] == tags_of([tagger.tag_text(TEXTS[0])])[0]

    def test_takes_the_columns_of_an_earlier_map(self, folder, tmp_path, monkeypatch):
        Dataset.from_dict({"text": TEXTS}).save_to_disk(str(tmp_path / "rows"))
        rows = Dataset.load_from_disk(str(tmp_path / "rows"))
        first = Tagger.from_pretrained(folder, device="cpu")
        before = rows.map(first.pipe, batched=True)
        again = Tagger.from_pretrained(folder, device="cpu")
        monkeypatch.setattr(Tagger, "label_each", None)
        assert (
            rows.map(first.pipe, batched=True)["tags"] == rows.map(again.pipe, batched=True)["tags"] == before["tags"]
        )

    def test_takes_words_as_they_are(self, tagger):
        words = [["Jordan", "can't", "wave"], [], ["a b"]]
        found = Dataset.from_dict({"tokens": words}).map(tagger.pipe, batched=True, fn_kwargs={"column": "tokens"})
        assert found["tags"] == tagger.tag(words)
        assert [word["text"] for word in found[0]["words"]] == words[0]
        assert [word["start"] for word in found[0]["words"]] == [0, 7, 13]
        assert tagger.pipe([np.array(words[0])])["tags"] == [tagger.tag(words[0])]

    def test_takes_a_frame_or_a_column_of_it(self, tagger, pos_tagger):
        frame = pd.DataFrame({"review": TEXTS}, index=[7, 5, 3])
        tagged = frame.assign(**tagger.pipe(frame["review"]))
        assert list(tagged.columns) == ["review", "words", "tags", "entities"]
        assert list(tagged.index) == [7, 5, 3]
        assert list(tagged["tags"]) == tags_of(tagger.tag_texts(TEXTS))
        assert tagger.pipe(frame, "review") == tagger.pipe(TEXTS) == tagger.pipe({"review": TEXTS}, "review")
        assert [*pos_tagger.pipe(frame["review"])] == [*pos_tagger.pipe_features] == ["words", "tags"]

    @pytest.mark.failure_mode("texts-not-texts")
    @pytest.mark.parametrize("table", [pd.DataFrame({"review": TEXTS}), {"review": TEXTS}])
    def test_names_of_columns_are_not_tagged_as_texts(self, tagger, table):
        with pytest.raises(TaggingError, match=r"whose items are the names of its columns\. Give one of the columns"):
            tagger.tag_texts(table)

    def test_cuts_as_tag_text_does(self, tagger):
        options = {"splitter": "characters", "split_sentences": False}
        assert tagger.pipe(TEXTS, **options)["tags"] == tags_of(tagger.tag_texts(TEXTS, **options))

    @pytest.mark.failure_mode("pipe-missing")
    @pytest.mark.parametrize("gap", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT])
    def test_counts_missing_texts_and_tells_of_them(self, tagger, caplog, gap):
        with caplog.at_level(logging.WARNING):
            found = tagger.pipe([gap, "Jordan waved.", gap])
        assert [len(tags) for tags in found["tags"]] == [0, 3, 0]
        assert caplog.messages == ["text: 2 of 3 texts are missing (None or NaN); they are texts without words"]

    def test_tells_of_missing_texts_once_for_a_map(self, folder, caplog):
        tagger = Tagger.from_pretrained(folder, device="cpu")
        rows = Dataset.from_dict({"text": [*TEXTS, None, None, None]}, features=Features({"text": Value("string")}))
        with caplog.at_level(logging.WARNING):
            found = rows.map(tagger.pipe, batched=True, batch_size=2)
        assert [len(tags) == 0 for tags in found["tags"]] == [False, True, False, True, True, True]
        assert caplog.messages == ["text: 1 of 2 texts are missing (None or NaN); they are texts without words"]

    @pytest.mark.failure_mode("texts-not-texts")
    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"review": ["a"], "stars": [1]}, r"there is no column 'text' among 'review, stars'\. Name one as column="),
            (pd.DataFrame({"a": ["b"]}), "there is no column 'text' among 'a'"),
            ("Jordan waved", "given a str; one text goes to Tagger.tag_text"),
            (5, "was given a int"),
            (["a", 5], "text 1 is a int, 5; expected a string, a list of words, or None"),
            ([["a", None]], "text 0 is a list"),
        ],
    )
    def test_refuses_what_is_no_column_of_texts(self, tagger, columns, message):
        with pytest.raises(TaggingError, match=message):
            tagger.pipe(columns)
