"""Column files of all shapes: which columns are read, how sentences are told, and what is refused with the way on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import accumulate

import pytest

from hf_tagging.errors import DataError
from tests.reading import read

Word = tuple[str, str, str, str, str]
SENTENCES: list[list[Word]] = [
    [
        ("Carla", "carla", "PROPN", "NNP", "B-PER"),
        ("Voss", "voss", "PROPN", "NNP", "I-PER"),
        ("visited", "visit", "VERB", "VBD", "O"),
        ("Genoa", "genoa", "PROPN", "NNP", "B-LOC"),
        ("in", "in", "ADP", "IN", "O"),
        ("1999", "1999", "NUM", "CD", "O"),
        (".", ".", "PUNCT", ".", "O"),
    ],
    [
        ("The", "the", "DET", "DT", "O"),
        ("Blue", "blue", "PROPN", "NNP", "B-ORG"),
        ("Bank", "bank", "PROPN", "NNP", "I-ORG"),
        ("closed", "close", "VERB", "VBD", "O"),
        ("two", "two", "NUM", "CD", "O"),
        ("offices", "office", "NOUN", "NNS", "O"),
        ("quickly", "quickly", "ADV", "RB", "O"),
        (".", ".", "PUNCT", ".", "O"),
    ],
    [
        ("She", "she", "PRON", "PRP", "O"),
        ("likes", "like", "VERB", "VBZ", "O"),
        ("old", "old", "ADJ", "JJ", "O"),
        ("maps", "map", "NOUN", "NNS", "O"),
        ("and", "and", "CCONJ", "CC", "O"),
        ("tea", "tea", "NOUN", "NN", "O"),
        (".", ".", "PUNCT", ".", "O"),
    ],
    [
        ("Omar", "omar", "PROPN", "NNP", "B-PER"),
        ("left", "leave", "VERB", "VBD", "O"),
        ("Turin", "turin", "PROPN", "NNP", "B-LOC"),
        ("for", "for", "ADP", "IN", "O"),
        ("Acme", "acme", "PROPN", "NNP", "B-ORG"),
        ("Foods", "foods", "PROPN", "NNP", "I-ORG"),
        ("today", "today", "NOUN", "NN", "O"),
        (".", ".", "PUNCT", ".", "O"),
    ],
]
SIZES = {"train": (4, 30, 6)}
STARTS = [0, *accumulate(map(len, SENTENCES))]


def word(s: int, i: int) -> str:
    return SENTENCES[s][i][0]


def lemma(s: int, i: int) -> str:
    return SENTENCES[s][i][1]


def upos(s: int, i: int) -> str:
    return SENTENCES[s][i][2]


def xpos(s: int, i: int) -> str:
    return SENTENCES[s][i][3]


def ner(s: int, i: int) -> str:
    return SENTENCES[s][i][4]


def number(s: int, i: int) -> str:
    return str(i + 1)


def number_from_0(s: int, i: int) -> str:
    return str(i)


def running(s: int, i: int) -> str:
    return str(STARTS[s] + i)


def sentence(s: int, i: int) -> str:
    return str(s + 1)


def name(s: int, i: int) -> str:
    return f"news-{s + 4}"


def document(s: int, i: int) -> str:
    return str(s // 2)


def start(s: int, i: int) -> str:
    return str(7 * (STARTS[s] + i))


def end(s: int, i: int) -> str:
    return str(7 * (STARTS[s] + i) + len(word(s, i)))


def annotator(s: int, i: int) -> str:
    return ("ann1", "ann2")[s % 2]


def spare(s: int, i: int) -> str:
    return "_"


def outside(s: int, i: int) -> str:
    return "O"


def chunk(s: int, i: int) -> str:
    return {"V": "B-VP", "I": "B-PP", ".": "O"}.get(xpos(s, i)[0], "B-NP")


def columns(
    *of: Callable[[int, int], str], between: str = "\t", blank: bool = True, before: Callable[[int], str] | None = None
) -> str:
    lines = []
    for s, words in enumerate(SENTENCES):
        lines += [before(s)] if before else []
        lines += [between.join(column(s, i) for column in of) for i in range(len(words))]
        lines += [""] if blank else []
    return "\n".join(lines) + "\n"


def on_lines(*of: Callable[[int, int], str], between: str) -> str:
    return "\n".join(
        " ".join(between.join(column(s, i) for column in of) for i in range(len(words)))
        for s, words in enumerate(SENTENCES)
    )


def brackets(s: int, i: int) -> str:
    tags = [*(word[4] for word in SENTENCES[s]), "O"]
    begins = f"({tags[i][2:]}" if tags[i][0] == "B" else ""
    return f"{begins}*{')' * (tags[i] != 'O' and tags[i + 1][0] != 'I')}"


# Which columns


@pytest.mark.parametrize(
    ("of", "words", "tags"),
    [
        ([word, ner], "0", "1"),
        ([ner, word], "1", "0"),
        ([number, word, ner, outside], "1", "2"),
        ([number, word, ner, spare, annotator], "1", "2"),
        ([running, word, ner], "1", "2"),
        ([word, start, end, ner], "0", "3"),
        ([word, start, end, xpos, ner], "0", "4"),
        ([word, ner, start, end], "0", "1"),
        ([name, word, ner], "1", "2"),
        ([word, xpos, chunk, ner], "0", "3"),
        ([word, ner, chunk, xpos], "0", "1"),
        ([word, lemma, xpos, ner], "0", "3"),
        ([word, ner, word, outside], "0", "1"),
        ([ner, xpos, word], "2", "0"),
        ([word, spare, spare, ner], "0", "3"),
        ([word, xpos, chunk, ner, ner], "0", "3"),
        ([sentence, document, number, word, lemma, upos, xpos, ner], "3", "7"),
    ],
)
@pytest.mark.parametrize("between", ["\t", " "])
def test_entity_tags_and_words_are_found_by_what_stands_there(tmp_path, of, words, tags, between):
    found = read(tmp_path, columns(*of, between=between))
    notes = found.report.splits["train"][0]
    assert [(column.role, column.name) for column in notes.columns] == [("words", words), ("tags", tags)]
    assert (found.sizes(), found.types) == (SIZES, ["LOC", "ORG", "PER"])
    assert found.first[:2] == [("Carla", "B-PER"), ("Voss", "I-PER")]
    assert notes.columns[0].examples == ["Carla", "Voss", "visited"]
    assert len(notes.left_out) == len(of) - 2


@pytest.mark.parametrize(
    ("of", "tags"),
    [([number, word, lemma, upos], 3), ([word, lemma, xpos], 2), ([word, upos, xpos], 1), ([word, xpos, ner], 1)],
)
def test_parts_of_speech_are_found_by_their_names(tmp_path, of, tags):
    found = read(tmp_path, columns(*of), task="pos")
    assert found.report.splits["train"][0].columns[1].name == str(tags)
    assert found.tags[:3] == [of[tags](0, i) for i in range(3)]


@pytest.mark.parametrize(
    ("tag", "first"),
    [
        (lambda s, i: ner(s, i).replace("-", "_"), "B-PER"),
        (lambda s, i: "-".join(reversed(ner(s, i).split("-"))), "B-PER"),
        (lambda s, i: ner(s, i).lower(), "B-per"),
        (lambda s, i: ner(s, i).rpartition("-")[2], "B-PER"),
        (lambda s, i: ner(s, i).replace("O", "0") if ner(s, i) == "O" else ner(s, i), "B-PER"),
    ],
)
def test_tags_are_found_in_any_spelling(tmp_path, tag, first):
    found = read(tmp_path, columns(number, word, xpos, tag))
    assert (found.report.splits["train"][0].columns[1].name, found.tags[0]) == ("3", first)


def test_of_two_layers_the_first_is_read_and_the_other_said(tmp_path):
    other = columns(word, xpos, ner, chunk, lambda s, i: "B-X" if i == 2 else "O")
    found = read(tmp_path / "a", other)
    assert found.types == ["LOC", "ORG", "PER"]
    assert found.said("column 4 holds entity tags too: the first, 2, is read; another one with layer=4")
    assert read(tmp_path / "b", other, layer=4).types == ["X"]
    assert read(tmp_path / "c", "a\tb\touter\tpos\tinner\n" + other, layer="inner").types == ["X"]
    with pytest.raises(DataError, match="layer=6: there is no such position"):
        read(tmp_path / "d", other, layer="6")


def test_what_was_left_out_is_said(tmp_path):
    found = read(tmp_path, columns(number, word, start, xpos, chunk, ner, spare, annotator))
    assert found.report.splits["train"][0].left_out == [
        "0 (word numbers)",
        "2 (numbers)",
        "3 (parts of speech)",
        "4 (chunk tags)",
        "6 (always the same)",
        "7 (names)",
    ]


@pytest.mark.parametrize(
    ("of", "task", "message"),
    [
        (
            [word, xpos],
            "ner",
            r"column 1 holds parts of speech \(NNP.*task pos \(recipe pos_bert\), or give tags_column",
        ),
        ([number, word, upos], "ner", r"column 2 holds parts of speech .*pos_bert"),
        ([word, ner], "pos", r"column 1 holds entity tags \(O, .*task ner \(recipe ner_bert\), or give tags_column"),
        ([word, start, end, ner], "pos", r"column 3 holds entity tags"),
        ([number, ner], "ner", r"column 0 counts the words \(1, 2, 3\), and no column holds the words"),
        ([word, start], "ner", r"which one holds the tags for named-entity recognition\? Give tags_column"),
        ([word, name], "ner", r"which one holds the tags"),
    ],
)
def test_a_file_without_tags_of_the_task_is_refused(tmp_path, of, task, message):
    with pytest.raises(DataError, match=rf"train\.txt, line 1: .*{message}"):
        read(tmp_path, columns(*of), task=task)


def test_what_is_asked_for_is_read_whatever_stands_there(tmp_path):
    asked = {"tags_column": 1, "tokens_column": 0, "accept": ["entity_tags"]}
    assert read(tmp_path, columns(lemma, ner), task="pos", **asked).tags[0] == "B-PER"


def test_a_few_numbers_are_words(tmp_path):
    found = read(tmp_path, "7\tO\n.\tO\nRome\tB-LOC\n\n1\tO\n2\tO\ngo\tO\n\n1\tO\nRome\tB-LOC\n2\tO\n")
    assert [word for word, _ in found.splits["train"][1]] == ["1", "2", "go"]


# Where sentences end


@pytest.mark.parametrize(
    ("of", "header"),
    [
        ([sentence, word, xpos, ner], ""),
        ([sentence, number, word, ner], ""),
        ([document, sentence, word, ner], ""),
        ([name, word, ner], ""),
        ([number, word, ner], ""),
        ([number_from_0, word, xpos, ner], ""),
        ([sentence, word, ner], "Sentence #\tWord\tTag\n"),
        ([lambda s, i: f"Sentence: {s}" if i == 0 else "", word, ner], "Sentence #\tWord\tTag\n"),
    ],
)
def test_numbers_and_names_of_sentences_stand_for_blank_lines(tmp_path, of, header):
    found = read(tmp_path, header + columns(*of, blank=False))
    assert found.sizes() == SIZES
    assert header or found.remarks()["sentence_column"] == 1


def test_without_any_border_it_is_said_that_there_is_one_sentence(tmp_path):
    found = read(tmp_path, columns(word, ner, blank=False) * 6)
    assert found.sizes() == {"train": (1, 180, 36)}
    assert found.said("no blank line or other border between sentences: the whole file is one sentence of 180 words")


def test_a_running_index_is_no_border(tmp_path):
    assert read(tmp_path, columns(running, word, ner, blank=False)).sizes() == {"train": (1, 30, 6)}


# Headers


@pytest.mark.parametrize(
    ("header", "arguments"),
    [
        ("Wort\tAnmerkung", {"tokens_column": "Wort", "tags_column": "Anmerkung"}),
        ("mot\tétiquette", {"tags_column": "Étiquette"}),
        ("Palabra\tEtiqueta", {}),
        ("TOKEN\tGOLD", {}),
        ("x1\tx2", {}),
    ],
)
@pytest.mark.parametrize("behind", ["", "\n", "# a comment\n"])
def test_a_first_line_of_names_is_no_word(tmp_path, header, arguments, behind):
    found = read(tmp_path, f"{header}\n{behind}{columns(word, ner)}", **arguments)
    assert found.sizes() == SIZES
    assert [column.name for column in found.report.splits["train"][0].columns] == header.split("\t")
    assert found.said(f"line 1 is read as the names of the columns: {header.replace(chr(9), ', ')}")


def test_parts_of_speech_below_a_header_of_other_names(tmp_path):
    assert read(tmp_path, "Mot\tNature\n" + columns(word, upos), task="pos").first[0] == ("Carla", "PROPN")


@pytest.mark.parametrize("first", ["Genova\tB-GPE", "Marta\tO", "Word\tB-PER"])
def test_a_first_word_is_no_header(tmp_path, first):
    with_first = read(tmp_path, f"{first}\n{columns(word, ner)}", tags_column=1, tokens_column=0)
    assert with_first.words[0] == first.split("\t")[0]


def test_names_that_are_asked_for_are_not_guessed_while_line_1_has_them(tmp_path):
    text = "pos\tword\ttext\tner\n" + columns(ner, xpos, word, outside)
    found = read(tmp_path, text, tags_column="pos", tokens_column="text")
    assert found.first[0] == ("Carla", "B-PER")


def test_a_header_that_comes_again_is_left_out_and_counted(tmp_path):
    found = read(tmp_path, ("Wort\tTag\n" + columns(word, ner)) * 3)
    assert found.sizes() == {"train": (12, 90, 18)}
    assert found.remarks()["headers"] == 2


# Comments and documents


@pytest.mark.parametrize(
    "comment",
    ["# a line of many words", "#\thttp://news.example/{}\t[2020-01-02]", "## {}", "### Abstract {}", "#sent_id={}"],
)
@pytest.mark.parametrize("between", ["\t", " "])
def test_comments_are_left_out_and_counted(tmp_path, comment, between):
    found = read(tmp_path, columns(number, word, xpos, ner, between=between, before=comment.format))
    assert found.sizes() == SIZES
    assert found.remarks()["comments"] == 4


def test_a_comment_with_as_many_columns_as_a_word(tmp_path):
    found = read(tmp_path, columns(word, ner, before=lambda s: f"## korpus_{s}\t<Carla Voss:PER> visited"))
    assert (found.sizes(), found.remarks()["comments"]) == (SIZES, 4)


def test_hashes_that_are_words_stay(tmp_path):
    text = "#win\tB-EVENT\nnow\tO\n#\tO\n\n#\tO\n2\tO\n##\tO\n\n##ing\tO\nrun\tO\n\n#text\tO\nok\tO\n"
    assert [word for row in read(tmp_path / "a", text).splits["train"] for word, _ in row] == text.split()[::2]
    assert read(tmp_path / "b", "# #\n5 CD\n\nthe DT\ncat NN\n", task="pos").first == [("#", "#"), ("5", "CD")]


@pytest.mark.parametrize("comment", ["%", "//", "--"])
def test_comments_of_another_kind_are_asked_for(tmp_path, comment):
    text = columns(word, ner, before=lambda s: f"{comment} sentence {s}")
    assert read(tmp_path / "a", text.replace("Voss", f"{comment} x\nVoss"), comment=comment).sizes() == SIZES
    with pytest.raises(DataError, match=f"if such lines are comments, give comment={comment}"):
        read(tmp_path / "b", text)


def test_a_comment_that_is_asked_for_makes_other_hashes_words(tmp_path):
    found = read(tmp_path, "## x\n# A\tO\nRome\tB-LOC\n", comment="##")
    assert found.words == ["# A", "Rome"]


@pytest.mark.parametrize(
    ("mark", "names"),
    [
        ("###MEDLINE:9{}\n", ["90", "91", "92", "93"]),
        ("#begin document (nw/{}); part 000", ["nw/0", "nw/1", "nw/2", "nw/3"]),
        ("#begin document (nw/x); part 00{}", ["nw/x", "nw/x:1", "nw/x:2", "nw/x:3"]),
        ("# newdoc id = a{}", ["a0", "a1", "a2", "a3"]),
        ("# newdoc", ["1", "2", "3", "4"]),
        ("# hipe:document_id = d-{}", ["d-0", "d-1", "d-2", "d-3"]),
        ("# doc_id: {}", ["0", "1", "2", "3"]),
        ("-DOCSTART- ({} EU)", ["0 EU", "1 EU", "2 EU", "3 EU"]),
        ("-DOCSTART- -X- O", ["1", "2", "3", "4"]),
    ],
)
def test_documents_keep_their_names(tmp_path, mark, names):
    from hf_tagging.data import load_tagging_dataset

    path = tmp_path / "train.tsv"
    path.write_text(columns(word, ner, before=mark.format))
    dataset = load_tagging_dataset(path, task="ner", cache_dir=tmp_path / "cache")
    assert dataset["train"]["document_id"][:] == [f"train:{name}" for name in names]


def test_hipe_ends_sentences_in_its_last_column(tmp_path):
    misc = lambda s, i: "EndOfSentence" if word(s, i) == "." else "NoSpaceAfter"  # noqa: E731
    text = columns(word, ner, outside, misc, blank=False).replace("Voss", "# segment_iiif_link = x\nVoss")
    found = read(tmp_path, f"TOKEN\tNE-COARSE-LIT\tNE-NESTED\tMISC\n# hipe:document_id = a\n{text}")
    assert found.sizes() == SIZES
    assert found.said("NE-COARSE-LIT")


# Lines


def test_byte_order_marks_within_a_file_are_left_out(tmp_path):
    part = columns(word, ner)
    found = read(tmp_path, f"\ufeff{part}\ufeff{part}\ufeff\n{part}\n\ufeff-DOCSTART- O\n\n{part}")
    assert found.sizes() == {"train": (16, 120, 24)}
    assert found.words[0] == "Carla"
    assert found.remarks()["byte_order_marks"] == 3


def test_a_language_before_every_word_is_left_out_and_said(tmp_path):
    text = columns(lambda s, i: f"nl:{word(s, i)}", ner)
    found = read(tmp_path / "a", text)
    assert found.words[:2] == ["Carla", "Voss"]
    assert found.said("every word begins with nl:")
    found = read(tmp_path / "b", text + "niets\tO\n")
    assert found.words[:2] == ["nl:Carla", "nl:Voss"]
    assert found.said("begin with nl:, which looks like a language and is kept")


def test_position_digits_are_said(tmp_path):
    found = read(tmp_path, columns(lambda s, i: "".join(c for c in word(s, i) if c.isalpha()) + "x0", ner))
    assert found.said("every word ends in a digit (Carlax0, Vossx0, visitedx0)")


# Shapes of tags


def test_entities_in_brackets(tmp_path):
    found = read(tmp_path, columns(word, xpos, brackets, between="  "))
    assert (found.sizes(), found.tags[:4]) == (SIZES, ["B-PER", "I-PER", "O", "B-LOC"])


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        (["*", "*", "*"], ["O", "O", "O"]),
        (["(ORG)", "(ORG)", "(ORG)"], ["B-ORG", "B-ORG", "B-ORG"]),
        (["(ORG*", "(LOC)", "*)"], ["B-ORG", "I-ORG", "I-ORG"]),
    ],
)
def test_conll_2012_with_one_kind_of_brackets(tmp_path, values, tags):
    lines = [f"bn/a 0 {i} word{i} NN (NP*) - - - - {value} -" for i, value in enumerate(values)]
    text = "\n".join(["#begin document (bn/a); part 000", *lines, "", "#end document"])
    found = read(tmp_path, {"train.conll": text})
    assert found.tags == tags
    assert found.remarks()["brackets"] == 1


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize(("values", "tags"), [(["(GPE)", "*"], ["B-GPE", "O"]), (["*", "*"], ["O", "O"])])
def test_a_short_sentence_of_conll_2012_is_one(tmp_path, separator, values, tags):
    lines = [f"wb/c 0 {i} word{i} NN (NP*) - - - - {value} -" for i, value in enumerate(values)]
    lines[0] += " (ARG0*)"  # lines may have further columns
    found = read(tmp_path, {"train.conll": "\n".join(lines).replace(" ", separator)})
    assert (found.words, found.tags) == (["word0", "word1"], tags)
    assert found.sizes()["train"][0] == 1


@pytest.mark.parametrize(
    ("values", "tags"),
    [
        ("* * *", ["O", "O", "O"]),
        ("(ORG) (LOC) (ORG)", ["B-ORG", "B-LOC", "B-ORG"]),
        ("(ORG* *) (LOC)", ["B-ORG", "I-ORG", "B-LOC"]),
        ("((ORG) O (LOC)", None),
        ("(ORG) O O", None),
        ("O O ORG", None),
    ],
)
def test_tags_that_are_all_brackets(tmp_path, values, tags):
    values = values.split()
    found = read(tmp_path, {"train.txt": "".join(f"word{i} NN {value}\n" for i, value in enumerate(values))})
    assert found.remarks()["brackets"] == (tags is not None)
    if tags is None:
        assert found.types == sorted({value for value in values if value != "O"})
    else:
        assert found.tags == tags


def test_splits_of_brackets_are_read_alike(tmp_path):
    files = {"train.txt": "Mona NN (PER*\nFalk NN *)\nran VB *\n", "test.txt": "he PR *\nran VB *\n"}
    found = read(tmp_path, files)
    assert (found.types, found.sizes()["test"]) == (["PER"], (1, 2, 0))


@pytest.mark.parametrize("task", ["ner", "pos"])
def test_conll_2012_with_as_many_columns_as_a_sentence_has_predicates(tmp_path, task):
    text = columns(
        lambda s, i: "nw/x", lambda s, i: "0", number_from_0, word, xpos,
        lambda s, i: "(TOP*" if i == 0 else "*)" if word(s, i) == "." else "*",
        lemma, spare, spare, spare, brackets, lambda s, i: "   ".join("*" * (s % 3) + "-"),
        between="   ", before=lambda s: "#begin document (nw/x); part 000" if s == 0 else "#end document\n",
    )  # fmt: skip
    found = read(tmp_path, text, task=task)
    assert found.sizes()["train"][:2] == (4, 30)
    assert found.tags[:3] == (["B-PER", "I-PER", "O"] if task == "ner" else ["NNP", "NNP", "VBD"])


@pytest.mark.parametrize("between", ["|", "/", "_"])
@pytest.mark.parametrize("blank", ["\n", "\n\n"])
def test_sentences_on_a_line(tmp_path, between, blank):
    text = on_lines(word, xpos, ner, between=between).replace("\n", blank)
    assert read(tmp_path / "a", text).sizes() == SIZES
    assert read(tmp_path / "b", text, task="pos").tags[:2] == ["NNP", "NNP"]
    found = read(tmp_path / "c", on_lines(word, xpos, between=between), task="pos")
    assert found.tags[:2] == ["NNP", "NNP"]
    assert found.said(f"every line is a sentence of words as word{between}tag")


def test_a_separator_within_a_word_of_a_line(tmp_path):
    found = read(tmp_path, "and/or/CC 1\\/2/CD cups/NNS\nno/DT\n", task="pos")
    assert found.first == [("and/or", "CC"), ("1\\/2", "CD"), ("cups", "NNS")]


def misc(key: str, *, outside_too: bool) -> Callable[[int, int], str]:
    def value(s: int, i: int) -> str:
        tag = ner(s, i)
        return f"SpaceAfter=No|{key}={tag}" if tag != "O" or outside_too else "_"

    return value


@pytest.mark.parametrize("key", ["name", "NER", "ne", "Entity"])
@pytest.mark.parametrize("outside_too", [True, False])
def test_entities_in_misc_of_conllu(tmp_path, key, outside_too):
    of: Sequence[Callable[[int, int], str]] = [number, word, lemma, upos, xpos, spare, document, spare, spare]
    found = read(tmp_path, columns(*of, misc(key, outside_too=outside_too)))
    assert (found.sizes(), found.types) == (SIZES, ["LOC", "ORG", "PER"])
    assert found.said(f"entities are read from {key}= of MISC")


@pytest.mark.parametrize("declared", ["FORM UPOS PROJ:NER", "ID FORM UPOS PARSEME:NE"])
def test_a_named_column_of_conllu_plus(tmp_path, declared):
    of = [number, word, upos, ner] if declared.startswith("ID") else [word, upos, ner]
    text = f"# global.columns = {declared}\n{columns(*of)}"
    found = read(tmp_path / "a", text)
    assert found.sizes() == SIZES
    assert found.said(f"tags from column {declared.split()[-1]}")
    assert read(tmp_path / "b", text, task="pos").tags[0] == "PROPN"


# What is no column file


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Carla went home .\nShe slept .\nIt rained all day in the old town .\n", "line 1: .*looks like running text"),
        ("Carla went home .\nOmar ate fish .\nAnna sang songs .\n", "line 1: .*looks like running text"),
        ("He left.\nShe came.\nThey slept.\n", "line 1: .*looks like running text"),
        ("Carla went home\nOmar slept late\nAnna sang loudly\nJim ate fish\n", "which one holds the tags"),
        ("<?xml version='1.0'?>\n<doc/>", "line 1: this is XML, .* export it as CoNLL columns or JSON Lines"),
        ('<xmi:XMI xmlns:xmi="http://www.omg.org/XMI"><a/></xmi:XMI>', "line 1: this is UIMA XMI"),
        ("<!DOCTYPE html><html><body>404</body></html>", "line 1: this is an HTML page"),
        ("<corpus>\n<s>\nCarla\tNNP\n</s>\n</corpus>\n", "line 1: this is XML"),
        ("123|t|A title.\n123|a|A text.\n123\t0\t1\tA\tGene\t7\n", "line 1: .* is PubTator .*convert it"),
        ('{"words": ["a"], "x": 1}\n', r"line 1: .* is JSON; name the file \.jsonl"),
        ('# of May\n[{"words": ["a", "b"], "ner": ["O", "B-X"]}]\n', r"line 2: .* is JSON; .*without the lines before"),
        ("Carla\tx:y\t0.98\n", "line 1: .*which one holds the tags"),
        ("Carla\nVoss\n", "line 1: 'Carla' is a single column"),
        ("Carla|NNP|B-PER\nVoss|NNP|I-PER\n", r"another separator: separator=\|"),
        ("Carla\tB-PER\n" * 12 + "Voss\tI-PER\tx\n", "line 13: .* has 3 columns; expected 2, .* as in line 1"),
        ("A title\n" + "Carla\tB-PER\n" * 12, "line 1: 'A title' has 1 column; expected 2, .* as in line 2"),
    ],
)
def test_what_is_no_column_file_is_refused_with_the_way_on(tmp_path, content, message):
    with pytest.raises(DataError, match=rf"(?s)train\.txt.*{message}") as caught:
        read(tmp_path, content)
    assert re.search("XML|HTML", str(caught.value)) is None or "separator" not in str(caught.value)


@pytest.mark.parametrize("text", ["Lund|NNP|B-LOC sang|VBD|O\n", "Lund|B-LOC\tsang|O\n", "Lund/B-LOC sang/O .../O\n"])
def test_items_of_a_single_short_line(tmp_path, text):
    found = read(tmp_path, text)
    assert found.words[:2] == ["Lund", "sang"]
    assert found.tags[:2] == ["B-LOC", "O"]


def test_a_brace_behind_a_comment_may_be_a_word(tmp_path):
    assert read(tmp_path, '# id 7\n{"a": O\nLund B-LOC\n').words == ['{"a":', "Lund"]


@pytest.mark.parametrize("text", ["<s> O\nCarla B-PER\n</s> O\n", "<Carla> B-PER\n< O\n"])
def test_words_in_angle_brackets_are_words(tmp_path, text):
    assert read(tmp_path, text).words == text.split()[::2]


def test_a_line_without_a_word_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"train\.txt, line 3: '\\tO' has nothing in column 0; expected a word"):
        read(tmp_path, "Lisbon\tB-LOC\nis\tO\n\tO\nnice\tO\n" * 3)


def test_a_header_is_read_where_nothing_below_it_is_a_tag(tmp_path):
    """Names are names although the columns below them are masked; what stands under MISC is no entity."""
    rows = "".join(f"{word}\t_\t_\t{misc}\n" for word, misc in zip("abcdefgh", ["_", "NoSpaceAfter"] * 4, strict=True))
    with pytest.raises(
        DataError, match=r"line 1: this header names no column .*: 0 TOKEN, 1 NE-COARSE, 2 NE-FINE, 3 MISC"
    ):
        read(tmp_path, "TOKEN\tNE-COARSE\tNE-FINE\tMISC\n" + rows)


def test_a_first_row_that_is_frequent_is_no_header(tmp_path):
    found = read(tmp_path, "the B\ncat E\nthen S\n\n" * 30)
    assert found.sizes()["train"] == (30, 90, 60)


def test_one_part_of_speech_for_all_words_is_read(tmp_path):
    found = read(tmp_path, "".join(f"word{number} NN\n\n" for number in range(300)), task="pos")
    assert found.sizes()["train"][:2] == (300, 300)
    assert found.tags == ["NN"]
