"""Texts cut into sentences, by rules of no language."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_tagging.data.sentences import sentence_starts
from hf_tagging.data.splitters import SPLITTERS, get_splitter

WRAPPED = (
    "The council of the old harbour town met on Thursday to hear what Angela\n"
    "Moss had to say of the bridge, and nobody who was there will forget the\n"
    "evening. She said it was finished.\n"
)
FIRST, LAST = WRAPPED[: WRAPPED.index(" She")], "She said it was finished."


def cut(text, splitter="auto"):
    words = get_splitter(splitter)(text)
    bounds = [*sentence_starts(text, words), len(words)]
    return [text[words[first][0] : words[end - 1][1]] for first, end in pairwise(bounds)]


@pytest.mark.parametrize("splitter", ["auto", "blanks"])
@pytest.mark.parametrize(
    "sentences",
    [
        ["Mina left.", "Oslo was cold!", "Was it?", "Perhaps..."],
        ["Mr. Falk saw Dr. Moss in St. Ives.", "They talked."],
        ["The U.S. Navy came at 10 a.m. with J. Smith.", "It left."],
        ["Acme Inc. bought Foo Corp. for $3.5 million.", "The price fell."],
        ["Am 3. Mai kam Frau Lind.", "Sie blieb."],
        ["They met on May 3.", "Lind beat Falk 4 - 2.", "Moss left."],
        ["See No. 5 and vs. nobody.", "Done."],
        ['"Why?" she asked.', '"Because."'],
        ["He went (at last.)", "Then he came."],
        ["Great! 😀", "Was it?", "$5 is enough."],
        ["1. First things first.", "2. Then others."],
        ["She paid 3.50 euros.", "He paid 4."],
        ["Il est parti.", "Élise reste."],
        ["नमस्ते।", "मैं जाता हूँ।"],
        ["هل جاء أحمد؟", "نعم جاء."],
    ],
)
def test_sentences_of_running_text(sentences, splitter):
    assert cut(" ".join(sentences), splitter) == sentences


def test_chinese_needs_no_blanks():
    assert cut("李娜住在天津。王强说：“我走了。”他去了广州！好") == [
        "李娜住在天津。",
        "王强说：“我走了。”",
        "他去了广州！",
        "好",
    ]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Mina Falk\nOslo\n\nGhent", ["Mina Falk", "Oslo", "Ghent"]),
        ("one\r\ntwo\rthree\u2028four", ["one", "two", "three", "four"]),
        (WRAPPED, [FIRST, LAST]),
        (
            WRAPPED.replace("\n", "\n\n", 1),
            [WRAPPED.splitlines()[0], WRAPPED[72 : WRAPPED.index(" She")], "She said it was finished."],
        ),
        (WRAPPED.replace("\n", "\n\n", 1), [WRAPPED[:71], WRAPPED[72 : len(FIRST)], LAST]),
        ("", []),
        (" \n ", []),
        (". . .", [". . ."]),
    ],
)
def test_line_breaks(text, sentences):
    assert cut(text) == sentences


TEXTS = st.text(st.one_of(st.sampled_from("Aab. .!?\n\"'”)(。！李3\u00a0… "), st.characters()), max_size=80)


@pytest.mark.parametrize("splitter", SPLITTERS)
@settings(max_examples=200, deadline=None)
@given(text=TEXTS)
def test_every_word_is_in_one_sentence(splitter, text):
    words = get_splitter(splitter)(text)
    starts = sentence_starts(text, words)
    assert starts == sorted(set(starts))
    assert starts[:1] == [0][: len(words)]
    assert all(start < len(words) for start in starts)


@pytest.mark.parametrize("unit", [".", "a. ", "A. ", "\n", '."', "。", "3. ", "a\n", "x " * 40 + "\n"])
def test_time_is_in_proportion_to_the_text(unit):
    text = unit * 20_000
    words = get_splitter("blanks")(text)
    assert len(sentence_starts(text, words)) <= len(words)
