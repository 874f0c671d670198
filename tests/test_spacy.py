"""Documents of spaCy: tags and entities in and out, and the component for its pipelines."""

from __future__ import annotations

import logging
import math
import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from tiny_models import tiny_bert

from hf_tagging import ModelError, Tagger, TaggingError
from hf_tagging.inference import Entity, TaggedText, TaggedWord, from_spacy, to_spacy

spacy = pytest.importorskip("spacy", reason="spaCy is not installed: pip install 'hf-tagging[spacy]'")
Doc = spacy.tokens.Doc

TEXTS = ["Jordan will book a table.  Maria waved!", "", " \n", "The chef from Lisbon\nloves her book — can't wait."]
PROJECT = Path(__file__).parent.parent / "pyproject.toml"


@pytest.fixture(scope="module", autouse=True)
def component():
    """Registered as its entry point does."""
    points = tomllib.loads(PROJECT.read_text())["project"]["entry-points"]["spacy_factories"]
    module, _, function = points["hf_tagging"].partition(":")
    assert callable(getattr(import_module(module), function))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.from_pretrained(folder, device="cpu")


@pytest.fixture
def nlp():
    return spacy.blank("en")


def text_of(*words, entities=(), starts=(0,), text=None):
    """A tagged text of (word, tag), joined by blanks or at their places in a text."""
    text = " ".join(word for word, _ in words) if text is None else text
    found, place = [], 0
    for word, tag in words:
        place = text.index(word, place)
        found.append(TaggedWord(word, place, place := place + len(word), tag, 0.5))
    spans = [(kind, found[first].start, found[end - 1].end, first, end) for kind, first, end in entities]
    named = [Entity(kind, text[start:end], start, end, 0.25, *words) for kind, start, end, *words in spans]
    return TaggedText(text, found, named, starts, has_entities=not words or any(tag == "O" for _, tag in words))


def entities_of(doc):
    return [(span.text, span.label_) for span in doc.ents]


def places(text):
    return text.text, [(word.text, word.start, word.end) for word in text.words], text.sentence_starts


class TestToSpacy:
    def test_puts_entities_and_their_scores_into_a_doc(self, nlp, caplog):
        tagged = text_of(("Ada", "B-PER"), ("Lovelace", "I-PER"), ("left", "O"), ("Porto", "B-LOC"),
                         entities=[("PER", 0, 2), ("LOC", 3, 4)])  # fmt: skip
        doc = nlp.make_doc(tagged.text)
        assert to_spacy(tagged, doc) is doc
        assert entities_of(doc) == [("Ada Lovelace", "PER"), ("Porto", "LOC")]
        assert [token.ent_iob_ for token in doc] == ["B", "I", "O", "B"]
        assert doc.spans["hf_tagging"].attrs["scores"] == [0.25, 0.25]
        assert not caplog.messages

    @pytest.mark.failure_mode("spacy-misfits")
    def test_says_which_entities_are_no_tokens(self, nlp, caplog):
        tagged = text_of(
            ("Porto", "B-LOC"), ("can", "B-X"), ("'t", "O"), text="Porto can't", entities=[("LOC", 0, 1), ("X", 1, 2)]
        )
        with caplog.at_level(logging.WARNING):
            doc = to_spacy(tagged, nlp.make_doc("Porto can't"))  # Porto, ca, n't
        assert entities_of(doc) == [("Porto", "LOC")]
        assert len(caplog.messages) == 1
        assert "1 entities begin or end inside a token, and are left out, such as 'can'" in caplog.text

    def test_gives_every_token_the_tag_of_its_word(self, nlp, caplog):
        doc = to_spacy(
            text_of(("She", "PRP"), ("can't", "MD"), (".", "."), text="She can't."), nlp.make_doc("She can't.")
        )
        assert [(token.text, token.tag_, token.pos_) for token in doc] == [
            *[("She", "PRP", ""), ("ca", "MD", ""), ("n't", "MD", ""), (".", ".", "")]
        ]
        assert not caplog.messages

    @pytest.mark.parametrize(("known", "pos"), [(("NN", "SYM"), ""), (("NOUN", "SYM"), "SYM"), ((), "SYM")])
    def test_sets_universal_tags_by_all_that_the_tagger_knows(self, nlp, known, pos):
        tagged = replace(text_of(("%", "SYM")), known_tags=known)
        assert [(token.tag_, token.pos_) for token in to_spacy(tagged, nlp)] == [("SYM", pos)]

    @pytest.mark.failure_mode("spacy-misfits")
    def test_says_which_tokens_are_several_words(self, nlp, caplog):
        tagged = text_of(("She", "PRON"), ("left", "VERB"), ("n", "AUX"), ("'t", "PART"), text="She left n't")
        with caplog.at_level(logging.WARNING):
            doc = to_spacy(tagged, Doc(nlp.vocab, ["She", "left", "n't"], spaces=[True, True, False]))
        assert [token.pos_ for token in doc] == ["PRON", "VERB", "AUX"]
        assert "1 tokens are several words or none" in caplog.text
        assert 'such as "n\'t"' in caplog.text

    def test_makes_a_doc_of_the_words(self, nlp):
        text = " Ada can't  wait.\nBob #left"
        tagged = text_of(("Ada", "B-PER"), ("can't", "O"), ("wait", "O"), (".", "O"), ("Bob", "B-PER"), ("left", "O"),
                         text=text, entities=[("PER", 0, 1), ("PER", 4, 5)], starts=(0, 4))  # fmt: skip
        doc = to_spacy(tagged, nlp)
        assert doc.text == text
        assert [t.text for t in doc if not t.is_space] == ["Ada", "can't", "wait", ".", "Bob", "#", "left"]
        assert [sentence.text.strip() for sentence in doc.sents] == ["Ada can't  wait.", "Bob #left"]
        assert entities_of(doc) == [("Ada", "PER"), ("Bob", "PER")]
        assert to_spacy(text_of(), nlp).text == ""

    @pytest.mark.failure_mode("spacy-other-text")
    def test_refuses_the_doc_of_another_text(self, nlp):
        with pytest.raises(TaggingError, match="the doc has the text 'Ada came', and what was tagged is 'Ada left'"):
            to_spacy(text_of(("Ada", "O"), ("left", "O")), nlp.make_doc("Ada came"))

    def test_refuses_what_is_something_else(self, nlp):
        with pytest.raises(TaggingError, match="it was given a str and a English"):
            to_spacy("Ada left", nlp)
        with pytest.raises(TaggingError, match="it was given a TaggedText and a str"):
            to_spacy(text_of(("Ada", "O")), "Ada")
        for given in ("Ada", nlp("Ada left")[:1]):
            with pytest.raises(TaggingError, match=r"from_spacy takes a Doc, as nlp\(text\) returns it"):
                from_spacy(given)


class TestFromSpacy:
    def test_gives_back_what_was_put_in(self, nlp, tagger):
        for text in TEXTS:
            tagged = tagger.tag_text(text)
            doc = to_spacy(tagged, nlp)
            found = from_spacy(doc)
            assert places(found) == places(tagged)
            assert found.entities == tagged.entities
            assert all(math.isnan(word.score) for word in found.words)

    def test_takes_entities_and_tags_of_any_pipeline(self, nlp):
        doc = Doc(nlp.vocab, ["\n", "Ada", "left", "Old", "Porto"], tags=["_SP", "N", "V", "A", "N"],
                  pos=["SPACE", "PROPN", "VERB", "ADJ", "PROPN"], ents=["O", "B-PER", "O", "B-LOC", "I-LOC"],
                  sent_starts=[True, False, True, False, False])  # fmt: skip
        found = from_spacy(doc)
        assert [word.tag for word in found.words] == ["B-PER", "O", "B-LOC", "I-LOC"]
        assert [(e.text, e.type, e.first_word, e.end_word) for e in found.entities] == [
            ("Ada", "PER", 0, 1),
            ("Old Porto", "LOC", 2, 4),
        ]
        assert math.isnan(found.entities[0].score)
        assert found.sentence_starts == (0, 1)
        assert [word.tag for word in from_spacy(doc, "tag").words] == ["N", "V", "A", "N"]
        assert [word.tag for word in from_spacy(doc, "pos").words] == ["PROPN", "VERB", "ADJ", "PROPN"]
        assert from_spacy(doc, "tag").entities == []


class TestComponent:
    def test_tags_the_tokens_of_the_doc(self, nlp, folder, tagger):
        nlp.add_pipe("hf_tagging", config={"model": folder, "device": "cpu"})
        doc = nlp("Jordan can't wave.")
        assert [token.text for token in doc] == ["Jordan", "ca", "n't", "wave", "."]
        (found,) = tagger.tag_texts(
            ["Jordan can't wave."], splitter=lambda text: [(0, 6), (7, 9), (9, 12), (13, 17), (17, 18)]
        )
        assert len(found.entities) > 0
        assert from_spacy(doc).entities == found.entities

    def test_tags_a_stream_in_batches(self, nlp, folder):
        component = nlp.add_pipe("hf_tagging", config={"model": folder, "device": "cpu"})
        one_by_one = [entities_of(nlp(text)) for text in TEXTS]
        assert sum(map(len, one_by_one)) > 0
        assert [entities_of(doc) for doc in nlp.pipe(TEXTS * 3, batch_size=2)] == one_by_one * 3
        assert [context for _, context in nlp.pipe([(text, len(text)) for text in TEXTS], as_tuples=True)] == [
            *map(len, TEXTS)
        ]
        taken = []
        next(
            component.pipe((taken.append(text) or nlp.make_doc(text) for text in ["Jordan waved."] * 50), batch_size=3)
        )
        assert len(taken) == 6

    def test_keeps_the_sentences_of_the_doc(self, folder):
        nlp = spacy.blank("en")
        nlp.add_pipe("sentencizer", config={"punct_chars": [";"]})
        component = nlp.add_pipe("hf_tagging", config={"model": folder, "device": "cpu"})
        read = []
        label = component.tagger.label_each
        component.tagger.label_each = lambda items, block: label((read.append(item) or item for item in items), block)
        nlp("Jordan waved; Maria left. She sailed")
        assert [sentences for _, sentences in read] == [
            [["Jordan", "waved", ";"], ["Maria", "left", ".", "She", "sailed"]]
        ]

    def test_is_saved_and_loaded_with_the_pipeline(self, nlp, tmp_path):
        source = tiny_bert(tmp_path / "model", tags=("NOUN", "VERB", "PUNCT"))
        nlp.add_pipe("hf_tagging", config={"model": str(source), "device": "cpu", "min_confidence": 0.3})
        docs = [*nlp.pipe(TEXTS)]
        nlp.to_disk(tmp_path / "saved")
        source.rename(tmp_path / "elsewhere")
        again = spacy.load(tmp_path / "saved")
        assert again.pipe_names == ["hf_tagging"]
        assert [[t.pos_ for t in doc] for doc in again.pipe(TEXTS)] == [[t.pos_ for t in doc] for doc in docs]
        assert {token.pos_ for doc in docs for token in doc if not token.is_space} > {"VERB"}

    def test_is_saved_with_its_rules(self, nlp, folder, tmp_path):
        rules = tmp_path / "mine.jsonl"
        rules.write_text('{"label": "LOC", "pattern": "waved", "ignore_case": true}\n')
        nlp.add_pipe("hf_tagging", config={"model": str(folder), "device": "cpu", "rules": str(rules)})
        assert ("waved", "LOC") in entities_of(nlp("Maria waved."))
        nlp.to_disk(tmp_path / "saved")
        rules.unlink()
        assert ("waved", "LOC") in entities_of(spacy.load(tmp_path / "saved")("Maria waved."))
        without = spacy.blank("en")
        without.add_pipe("hf_tagging", config={"model": str(tmp_path / "saved/hf_tagging"), "rules": False})
        assert without.get_pipe("hf_tagging").tagger.rules is None

    def test_says_which_model_is_missing(self, nlp):
        nlp.add_pipe("hf_tagging", config={"model": "runs/none-such"})
        with pytest.raises(ModelError, match="runs/none-such"):
            nlp("Jordan waved.")
