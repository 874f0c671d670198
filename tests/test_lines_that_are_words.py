"""Words that look like something else in column files, and something else that looks like words."""

import pytest

from hf_tagging.data.columns.marks import document_mark
from hf_tagging.errors import DataError
from tests.reading import read

FILLER = "".join(f"Anna PER\nmet O\nbob{n} O\nin O\nRiga LOC\n\n" for n in range(8))


def test_types_come_before_bare_prefixes_of_words(tmp_path):
    text = "大 B B-LOC\n阪 E E-LOC\n私 S O\n行 B O\n く E O\n。 S O\n\n".replace(" く", "く") * 4
    found = read(tmp_path, {"train.txt": text})
    assert found.types == ["LOC"]
    assert found.tags[:3] == ["B-LOC", "I-LOC", "O"]


def test_bare_prefixes_are_read_where_nothing_has_types(tmp_path):
    found = read(tmp_path, {"train.txt": "deep B\nnets I\nare O\nfun O\n\n" * 6})
    assert found.tags == ["B-ENT", "I-ENT", "O", "O"]


@pytest.mark.parametrize("line", ["#title/O is/O Olga/B-PER", "##/O Olga/B-PER", "#doc:/O Olga/B-PER"])
def test_a_line_of_items_is_no_comment(tmp_path, line):
    plain = "Olga/B-PER went/O to/O Bergen/B-LOC\n" * 5
    found = read(tmp_path, {"train.txt": f"# from http://example.org\n{plain}{line}\n"})
    assert found.sizes()["train"][0] == 6
    assert found.splits["train"][-1][0][0] == line.split("/")[0]
    assert found.remarks()["comments"] == 1


@pytest.mark.parametrize("line", ["#doc: O", "###Olga: O"])
def test_a_word_with_a_known_tag_is_no_mark_of_a_document(tmp_path, line):
    found = read(tmp_path, {"train.txt": f"Olga B-PER\nran O\n\n{line}\nran O\n\nhome O\n"})
    assert found.splits["train"][1] == [(line.split()[0], "O"), ("ran", "O")]


def test_a_mark_of_a_document_is_none_of_a_word(tmp_path):
    found = read(tmp_path, {"train.txt": "# doc: a\nOlga B-PER\nran O\n\n#doc: b\nhome O\n"})
    assert found.sizes()["train"] == (2, 3, 1)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("# newdoc id = a b  ", "a b"),
        ("# newdoc", ""),
        ("# newdoc  = a", "a"),
        ("#doc: x\t", "x"),
        ("### Doc: y ", "y"),
    ],
)
def test_names_of_documents(line, name):
    assert document_mark(line) == name


SENTENCE = "Olga B-PER\nran O\nhome O\n\n"


@pytest.mark.parametrize("line", ["## 1", "# 1", "## note", "### a"])
def test_a_mark_before_a_sentence_is_a_comment(tmp_path, line):
    found = read(tmp_path, {"train.txt": f"{line}\n{SENTENCE}{SENTENCE}"})
    assert found.types == ["PER"]
    assert found.sizes()["train"] == (2, 6, 2)
    assert found.remarks()["comments"] == 1


def test_marks_that_come_again_are_comments_beside_the_same_word(tmp_path):
    inner = "a O\n## O\n# O\n\n"
    found = read(tmp_path, {"train.txt": f"## one\n{SENTENCE}{inner}## two\n{SENTENCE}"})
    assert found.sizes()["train"] == (3, 9, 2)
    assert found.remarks()["comments"] == 2


@pytest.mark.parametrize("line", ["## O", "## B-MISC", "## I_PER", "# O", "# MISC", "##rome MISC"])
def test_a_mark_with_a_tag_is_a_word(tmp_path, line):
    tag = "B-PER" if "MISC" not in line or "-" in line else "PER"
    found = read(tmp_path, {"train.txt": f"{line}\n{SENTENCE}{SENTENCE}".replace("B-PER", tag)})
    assert found.first[0][0] == line.split()[0]


def test_numbers_are_words_tags_where_others_are(tmp_path):
    found = read(tmp_path, {"train.txt": "## 2\nOlga 1\nran 0\n\nhome 0\n"}, tag_names=["O", "B-PER", "I-PER"])
    assert found.words[0] == "##"


def test_numbers_of_thousands_of_digits_are_text(tmp_path):
    rows = "".join(f"{n}\tword{n}\t{'O' if n % 2 else 'B-PER'}\n" for n in range(1, 100))
    found = read(tmp_path, {"train.tsv": f"{rows}\n{'7' * 5000}\tx\tO\n"})
    assert found.sizes()["train"] == (2, 100, 49)
    found = read(tmp_path / "tags", {"train.txt": f"a {'7' * 5000}\nb O\nc O\n"})
    assert found.tags[1:] == ["O", "O"]


def _separated(text: str, name: str) -> str:
    return text.replace(" ", ",") if name.endswith(".csv") else text


class TestHeaders:
    @pytest.mark.parametrize("name", ["NE", "Entity"])
    def test_of_entities(self, tmp_path, name):
        text = "".join(f"Olga\tB-PER\nsaw{n}\tO\n\n" for n in range(6))
        found = read(tmp_path, {"train.tsv": f"Token\t{name}\n{text}"})
        assert found.first == [("Olga", "B-PER"), ("saw0", "O")]

    @pytest.mark.parametrize("name", ["train.txt", "train.csv"])
    @pytest.mark.parametrize("header", ["mot etiquette", "tok iob", "wort klasse"])
    def test_over_types_without_prefixes(self, tmp_path, name, header):
        found = read(tmp_path, {name: _separated(f"{header}\n{FILLER}", name)})
        assert found.types == ["LOC", "PER"]
        assert found.words[0] == "Anna"

    @pytest.mark.parametrize("name", ["train.txt", "train.csv"])
    def test_a_type_of_the_first_line_alone_is_said(self, tmp_path, name):
        found = read(tmp_path, {name: _separated(f"Mot TYP\n{FILLER}", name)})
        assert found.remarks()["first_line"] == 1
        assert found.said("line 1 alone has the tag 'TYP', of the word 'Mot'")
        assert found.types == ["LOC", "PER", "TYP"]

    @pytest.mark.parametrize("name", ["train.txt", "train.csv"])
    def test_a_word_that_comes_again_is_no_header(self, tmp_path, name):
        found = read(tmp_path, {name: _separated(f"Riga city\n{FILLER}", name)})
        assert found.words[0] == "Riga"


class TestPrefixes:
    @pytest.mark.parametrize("dash", ["\u2010", "\u2011", "\u2013"])
    def test_other_dashes(self, tmp_path, dash):
        found = read(tmp_path, {"train.txt": f"Olga B{dash}PER\nLund I{dash}PER\nran O\nin O\nRiga B{dash}LOC\n"})
        assert found.tags == ["B-PER", "I-PER", "O", "O", "B-LOC"]
        assert found.remarks()["spelling"] == 1

    @pytest.mark.parametrize("tags", [("[B-PER]", "[I-PER]"), ("BPER", "IPER"), ("BEG-PER", "IN-PER")])
    def test_unknown_ones_are_refused(self, tmp_path, tags):
        with pytest.raises(DataError, match=r"look like the beginning and the inside of entities") as error:
            read(tmp_path, {"train.txt": f"Olga {tags[0]}\nLund {tags[1]}\nran O\nin O\nthe O\n\n" * 3})
        assert all(tag in str(error.value) for tag in tags)
