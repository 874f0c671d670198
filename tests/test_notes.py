"""Notes of reading: remarks in words, many of them, and what is kept."""

from time import process_time

import pytest

from hf_tagging.data.notes import FileNotes, Remark


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("relations: not read", "1 relation: not read"),
        ("texts without an entity", "1 text without an entity"),
        ("texts that were rejected: not read", "1 text that was rejected: not read"),
        ("words that are not annotated: written as outside", "1 word that is not annotated: written as outside"),
        ("annotated spans with a border inside a word", "1 annotated span with a border inside a word"),
        ("texts whose words are those of blanks", "1 text whose words are those of blanks"),
        ("texts whose offsets count UTF-16: read as such", "1 text whose offsets count UTF-16: read as such"),
        ("relations of entities that are gone: left out", "1 relation of entities that are gone: left out"),
        (
            "annotated spans that do not lie in their text, or have another text there: dropped",
            "1 annotated span that does not lie in its text, or has another text there: dropped",
        ),
        (
            "texts with annotated spans: the predicted ones are in their place",
            "1 text with annotated spans: the predicted ones are in their place",
        ),
        (
            "sentences of test are in train too, word for word",
            "1 sentence of test is in train too, word for word",
        ),
        ("entities of train begin with I-: they are repaired", "1 entity of train begins with I-: it is repaired"),
        ("of 100 words are in entities", "1 of 100 words are in entities"),
        ("comment lines, which hold no word", "1 comment line, which holds no word"),
        ("odd things: not read", "1 odd things: not read"),
    ],
)
def test_one_of_a_thing_is_spoken_of_as_one(text, said):
    assert str(Remark("kind", text, count=1)) == said
    assert str(Remark("kind", text, count=2)) == f"2 {text}"
    assert str(Remark("kind", text)) == text


def test_remarks_are_found_again_however_the_list_came_about():
    notes = FileNotes("a")
    notes.count("one", "words")
    notes.remarks.append(Remark("two", "words", count=1))
    notes.count("two", "words")
    notes.remark("three", "text")
    notes.remark("three", "text")
    assert [(remark.kind, remark.count) for remark in notes.remarks] == [("one", 1), ("two", 2), ("three", None)]
    again = FileNotes.from_dict(notes.as_dict())
    again.count("one", "words", by=3)
    assert again.remarks[0].count == 4
    assert again.as_dict().keys() == {"file", "format", "encoding", "columns", "left_out", "remarks"}
    again.remarks = [Remark("four", "words", count=1) for _ in range(3)]
    again.count("one", "words")
    assert again.remarks[-1] == Remark("one", "words", count=1)


def test_many_remarks_take_linear_time():
    notes = FileNotes("a")
    start = process_time()
    for number in range(50_000):
        notes.count(f"kind {number % 20_000}", "words")
    assert process_time() - start < 5
    assert len(notes.remarks) == 20_000
