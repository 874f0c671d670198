"""Any word and any tag comes back from a predictions file as it was."""

from __future__ import annotations

import re

import pytest
from conlleval import score as conlleval
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_tagging.evaluation import write_predictions
from hf_tagging.evaluation.escapes import escaped, unescaped
from hf_tagging.evaluation.predictions import read_predictions
from hf_tagging.inference.evaluating import evaluate_predictions
from hf_tagging.inference.tagged_lines import read_tagged_lines

ODD = (
    "-DOCSTART-", "-DOCSTART--", "-DOCSTARTS", "-X-", "#", "##", "#tag", "# text", "_", "", " ", "\u00a0", "\u3000",
    "\t", "\n", "\r\n", "\u2028", "\x85", "\x1c", "\ufeff", "a b", "New\u00a0York", "\\", "\\u", "\\u{", "\\u{20}",
    "\\u{}", "\\u{110000}", "\\\\u{5c}", "\ud800", "\x00", "%20", "predicted", "id", "text", "O", "B-PER", "\u0301",
)  # fmt: skip
ODD_TAGS = ("O", "B-PER", "B-New type", "I-New type", "-", "_", "B-#", "predicted", "id", "text", "newdoc", "B-\\u{20}")
WORDS = st.one_of(st.sampled_from(ODD), st.text(max_size=8))
TAGS = st.one_of(st.sampled_from(ODD_TAGS), st.text(max_size=5))
SENTENCES = st.lists(st.lists(st.tuples(WORDS, TAGS, TAGS), min_size=1, max_size=5), min_size=1, max_size=4)


def columns(sentences):
    return tuple([[row[i] for row in sentence] for sentence in sentences] for i in range(3))


def check(path, sentences):
    words, gold, predicted = columns(sentences)
    write_predictions(path, words, gold, predicted)
    assert read_predictions(path) == (words, gold, predicted)
    assert read_tagged_lines(path) == (words, gold, predicted)
    lines = [line for line in path.read_text(encoding="utf-8").split("\n") if line]
    assert len(lines) == sum(map(len, sentences))
    assert all(len(line.split()) == len(re.split(r"\s", line)) == 3 for line in lines)  # as conlleval splits them


@settings(max_examples=400, deadline=None)
@given(sentences=SENTENCES)
def test_any_words_and_tags(tmp_path_factory, sentences):
    check(tmp_path_factory.getbasetemp() / "any.conll", sentences)


@pytest.mark.parametrize("word", ODD)
def test_a_file_of_one_odd_word(tmp_path, word):
    for tag in ODD_TAGS:
        check(tmp_path / "p.conll", [[(word, tag, "O")]])
        check(tmp_path / "p.conll", [[(word, "O", tag), ("x", tag, tag)], [("x", "O", "O"), (word, tag, tag)]])


@given(text=st.one_of(WORDS, st.lists(st.sampled_from(["\\", "u", "{", "5c", "20", "}", " "])).map("".join)))
@settings(max_examples=500, deadline=None)
def test_an_escape_is_undone(text):
    assert unescaped(escaped(text)) == text


def test_ordinary_words_are_written_as_they_are(tmp_path):
    rows = [("#", "O", "O"), ("C:\\users", "B-X", "O"), ("水", "O", "O"), ("-", "O", "O"), ("#tag", "O", "O")]
    check(tmp_path / "p.conll", [rows])
    assert (tmp_path / "p.conll").read_text() == "".join(" ".join(row) + "\n" for row in rows) + "\n"


def test_files_of_other_tools_are_read_as_they_are(tmp_path):
    (tmp_path / "p.conll").write_text("-DOCSTART- O O\n\n# text = a b\nC:\\new O O\n\\u{zz} O O\n")
    assert read_tagged_lines(tmp_path / "p.conll")[0] == [["C:\\new", "\\u{zz}"]]


def test_figures_are_those_of_conlleval(tmp_path):
    words = [["-DOCSTART-", "#", " ", ""], ["New\u00a0York", "\\u{20}"]]
    gold = [["B-New type", "I-New type", "O", "B-PER"], ["B-LOC", "O"]]
    predicted = [["B-New type", "I-New type", "O", "O"], ["B-LOC", "B-LOC"]]
    path = tmp_path / "p.conll"
    write_predictions(path, words, gold, predicted)
    found = evaluate_predictions(path, task="ner")
    assert (found.words, found.gold, found.predicted) == (words, gold, predicted)
    assert found.figures["f1"] == conlleval(path.read_text().splitlines())["f1"] == pytest.approx(2 / 3)
