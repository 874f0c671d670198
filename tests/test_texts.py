"""Text that is tagged: its words and sentences, and the files that it comes in."""

from __future__ import annotations

import csv
import io
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from tiny_models import TAGS, tiny_bert

from hf_tagging import Tagger
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError, DataError, TaggingError
from hf_tagging.inference.files import tag_file
from hf_tagging.inference.tagged_text import TaggedText

SENTENCES = ["Jordan will book a table in May.", "The chef from Lisbon loves her book!", "Nobody waved on the pier."]


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return Tagger.from_pretrained(str(tiny_bert(tmp_path_factory.mktemp("model"))), device="cpu")


@pytest.fixture(scope="module")
def pos_tagger(tmp_path_factory):
    folder = tiny_bert(tmp_path_factory.mktemp("pos"), tags=("NN", "VB", "."))
    return Tagger.from_pretrained(str(folder), device="cpu")


def assert_alike(found, expected):
    """The same texts, words, tags and entities; scores may differ in their last digits, as batches differ."""

    def facts(tagged):
        entities = [(e.type, e.text, e.start, e.end, e.first_word, e.end_word) for e in tagged.entities]
        return tagged.text, [(w.text, w.start, w.end, w.tag) for w in tagged.words], entities

    def scores(texts):
        return [item.score for tagged in texts for item in (*tagged.words, *tagged.entities)]

    found = list(found)
    assert list(map(facts, found)) == list(map(facts, expected))
    np.testing.assert_allclose(scores(found), scores(expected), rtol=1e-5)


def tags(*found: TaggedText):
    return [word.tag for text in found for word in text.words]


def test_a_long_text_is_tagged_sentence_by_sentence(tagger):
    text = "\n".join([" ".join(SENTENCES), " ".join(SENTENCES[::-1])])
    whole = tagger.tag_text(text)
    each = [tagger.tag_text(sentence) for sentence in (*SENTENCES, *SENTENCES[::-1])]
    assert tags(whole) == tags(*each)
    assert [w.text for w in whole.words] == [w.text for found in each for w in found.words]
    assert all(text[word.start : word.end] == word.text for word in whole.words)
    assert all(text[entity.start : entity.end] == entity.text for entity in whole.entities)
    at_once = tagger.tag_text(text, split_sentences=False)
    assert [word.text for word in at_once.words] == [word.text for word in whole.words]
    assert tags(at_once) == tagger.tag([word.text for word in at_once.words])
    assert tags(at_once) != tags(whole)  # else this would see nothing


class TestTagTexts:
    def test_gives_what_tag_text_gives_in_order(self, tagger, pos_tagger):
        texts = [" ".join(SENTENCES[:n]) for n in (3, 0, 1, 2)] * 5 + [""]
        for one in (tagger, pos_tagger, Tagger.from_pretrained([str(tagger.model.name_or_path)] * 2, device="cpu")):
            for block in (1, 4, 1000):
                assert_alike(one.tag_texts(iter(texts), block=block), [one.tag_text(text) for text in texts])
        assert list(tagger.tag_texts([])) == []
        assert [text.words for text in tagger.tag_texts(["", " "])] == [[], []]

    def test_takes_the_arguments_of_tag_text(self, tagger):
        options = {"splitter": "characters", "split_sentences": False}
        assert_alike(tagger.tag_texts(SENTENCES, **options), [tagger.tag_text(text, **options) for text in SENTENCES])

    def test_reads_a_block_ahead_and_no_more(self, tagger):
        taken = []
        stream = tagger.tag_texts((taken.append(text) or text for text in SENTENCES * 100), block=6)
        assert taken == []
        next(stream)
        assert len(taken) == 12

    def test_reads_sentences_of_many_texts_in_one_batch(self, tagger, monkeypatch):
        batches = []
        forward = tagger.model.forward
        monkeypatch.setattr(
            tagger.model, "forward", lambda *a, **k: batches.append(k["input_ids"].shape) or forward(*a, **k)
        )
        list(tagger.tag_texts(SENTENCES * 10))
        assert len(batches) < 10
        assert all(rows * length <= tagger.tokens_per_batch for rows, length in batches)

    def test_gives_what_came_before_an_error(self, tagger):
        given = []
        with pytest.raises(TaggingError, match=r"text 3 is a NoneType, None; expected a string"):
            given.extend(tagger.tag_texts([*SENTENCES, None, *SENTENCES], block=3))
        assert_alike(given, [tagger.tag_text(text) for text in SENTENCES])

    def test_refuses_what_is_no_list_of_texts(self, tagger):
        with pytest.raises(TaggingError, match=r"not a value of type str; one text goes to Tagger\.tag_text\.$"):
            tagger.tag_texts("Jordan waved")
        with pytest.raises(ConfigError, match="splitter"):
            tagger.tag_texts(["Jordan waved"], splitter="none such")


def test_no_entity_is_in_two_sentences(tagger):
    """All words are I-PER: an entity ends where a sentence does."""
    schema = TagSchema(TAGS, "IOB2")
    inside = schema.tags.index("I-PER")
    tagger = Tagger(tagger.model, tagger.tokenizer, device="cpu")
    label = tagger.label

    def all_inside(sentences, **options):
        return [
            replace(found, ids=np.full_like(found.ids, inside), entities=np.ones(1, np.float32))
            for found in label(sentences, **options)
        ]

    tagger.label = all_inside
    found = tagger.tag_text("Ann left. Bob stayed")
    assert [entity.text for entity in found.entities] == ["Ann left.", "Bob stayed"]


def test_thai_is_said_once_to_need_a_splitter(tagger, caplog):
    with caplog.at_level(logging.WARNING, "hf_tagging"):
        for _ in range(3):
            tagger.tag_text("เขาไปโรงเรียนทุกวันจันทร์")
    assert [r.getMessage() for r in caplog.records if "Thai" in r.getMessage()] == [
        "A text is Thai, which is written without blanks between words, and is cut at punctuation alone: tags are of "
        "whole clauses. Give a splitter that finds its words, such as splitter=pythainlp."
    ]
    assert len(tagger.tag_text("เขาไป", splitter="characters").words) == 5


def test_chinese_is_cut_by_characters(tagger):
    assert [word.text for word in tagger.tag_text("李娜 lives in 天津。").words] == [*"李娜", "lives", "in", *"天津。"]


def predicted(tagger, tmp_path, content, name="texts.csv", **options):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    counts = tag_file(tagger, tmp_path / name, tmp_path / "out", overwrite=True, **options)
    return counts, (tmp_path / "out").read_bytes().decode()


def rows(text, **dialect):
    return list(csv.reader(io.StringIO(text, newline=""), **dialect))


def test_a_column_of_a_csv_file_is_tagged_and_the_others_are_kept(tagger, tmp_path):
    content = 'id,body,note\r\n7,"Jordan, will ""book"" a table.\r\nThe chef waved.",x\r\n8,,"a,b"\r\n\r\n9,Lisbon,\r\n'
    counts, out = predicted(tagger, tmp_path, content, text_column="body")
    names, *found = rows(out)
    assert names == ["id", "body", "note", "entities"]
    assert [row[:3] for row in found] == [
        ["7", 'Jordan, will "book" a table.\r\nThe chef waved.', "x"], ["8", "", "a,b"], ["9", "Lisbon", ""],
    ]  # fmt: skip
    for row in found:
        expected = tagger.tag_text(row[1])
        entities = json.loads(row[3])
        assert [(e["type"], e["start"], e["end"]) for e in entities] == [
            (e.type, e.start, e.end) for e in expected.entities
        ]
        assert all(row[1][e["start"] : e["end"]] == e["text"] for e in entities)
    assert counts.sentences == 3
    assert counts.words == sum(len(tagger.tag_text(row[1]).words) for row in found)


def test_tags_of_a_csv_file(pos_tagger, tmp_path):
    _, out = predicted(pos_tagger, tmp_path, "tags,body\nold,Jordan waved.\n", text_column="body")
    names, row = rows(out)
    assert names == ["tags", "body", "words"]
    assert json.loads(row[0]) == pos_tagger.tag(["Jordan", "waved", "."])
    assert [word["text"] for word in json.loads(row[2])] == ["Jordan", "waved", "."]


@pytest.mark.parametrize(
    ("content", "name", "options", "separator"),
    [
        ("id;body\n1;Jordan, waved\n", "a.csv", {"text_column": "body"}, ";"),
        ("id\tbody\n1\tJordan, waved\n", "a.tsv", {"text_column": "body"}, "\t"),
        ("id|body\n1|Jordan, waved\n", "a.txt", {"text_column": "1"}, "|"),
        ("\ufeffbody\nJordan waved\n", "a.csv", {"text_column": "body"}, ","),
        ('"a;b","body"\n1,"Jordan, waved"\n', "a.csv", {"text_column": "body"}, ","),
        ("id~body\n1~Jordan\n", "a.csv", {"text_column": "body", "separator": "~"}, "~"),
        ("id,body\n1,Jordan\n", "a", {"text_column": "body", "format": "csv"}, ","),
    ],
)
def test_dialects(tagger, tmp_path, content, name, options, separator):
    counts, out = predicted(tagger, tmp_path, content, name, **options)
    names, row = rows(out, delimiter=separator)
    assert names[-1] == "entities"
    assert len(row) == len(names)
    assert counts.words in (1, 2, 3)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (
            "id,body\n1,Jordan\n",
            {},
            r"is CSV, with the columns 'id, body'.*text_column=body.*format=column.*=text",
        ),
        ("id,body\n1,Jordan\n", {"text_column": "text"}, "the first line names no such column; it has 'id, body'"),
        ("id,body\n1,Jordan,waved\n", {"text_column": "body"}, "line 2: has 3 columns; expected 2"),
        ('id,body\n1,"Jordan\n', {"text_column": "body"}, r"line \d: is not CSV \(unexpected end"),
        (b"id,body\n1,J\xf6rdan\n", {"text_column": "body"}, "line 2: byte 0xf6"),
    ],
)
def test_a_csv_file_is_refused(tagger, tmp_path, content, options, message):
    with pytest.raises(DataError, match=message):
        predicted(tagger, tmp_path, content, **options)
    assert not (tmp_path / "out").exists()


def test_text_column_is_for_texts(tagger, tmp_path):
    with pytest.raises(ConfigError, match="goes with CSV and JSON Lines, and not with format=text"):
        predicted(tagger, tmp_path, "a\n", text_column="body", format="text")


def test_a_key_of_json_lines_is_tagged(tagger, tmp_path):
    row = {"body": "Jordan waved. The chef left.", "text": 3, "tokens": ["x"]}
    counts, out = predicted(tagger, tmp_path, json.dumps(row) + "\n", "a.jsonl", text_column="body")
    found = json.loads(out)
    assert {name: found[name] for name in row} == row
    assert found["tags"] == tags(tagger.tag_text(row["body"]))
    assert (counts.sentences, counts.words) == (2, 7)
    with pytest.raises(DataError, match='expected an object with "text", a string'):
        predicted(tagger, tmp_path, json.dumps(row) + "\n", "a.jsonl", text_column="text")


def test_plain_text_is_cut_as_asked(tagger, tmp_path):
    text = "Jordan waved. The chef left.\n\nLisbon\n"
    counts, out = predicted(tagger, tmp_path, text, "a.text")
    assert (counts.sentences, counts.words, out.count("\n")) == (3, 8, 3)
    counts, out = predicted(tagger, tmp_path, text, "a.text", split_sentences=False, splitter="blanks")
    assert (counts.sentences, counts.words) == (2, 6)
    assert [word["text"] for word in json.loads(out.splitlines()[0])["words"]] == [
        "Jordan",
        "waved.",
        "The",
        "chef",
        "left.",
    ]
