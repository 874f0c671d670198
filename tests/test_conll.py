import pickle
import shutil
from pathlib import Path

import datasets
import pytest

from hf_tagging.data import sources
from hf_tagging.data.builders import unique_stems
from hf_tagging.data.columns.conll import ConllBuilder, read_sentences
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.tasks import NER, POS, get_task

FOUR = (
    "-DOCSTART- -X- -X- O\n\n"
    "Ada NNP B-NP B-PER\nsleeps VBZ B-VP O\n\n"
    "Rome NNP B-NP B-LOC\n\n"
    "-DOCSTART- -X- -X- O\n\n"
    "Bob NNP B-NP B-PER\n"
)
CONLLU = (
    "# newdoc id = one\n# sent_id = 1\n# text = vámonos al mar\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tvamos\tir\tVERB\tVV\t_\t0\troot\t_\t_\n"
    "2\tnos\tnosotros\tPRON\tPP\t_\t1\tobj\t_\t_\n"
    "2.1\tnada\t_\tPRON\tPP\t_\t_\t_\t_\t_\n"
    "3\tNew York\tNY\tPROPN\tNP\t_\t1\tobl\t_\tSpaceAfter=No\n\n"
    "# newdoc id = two\n"
    "1\t#\t#\tSYM\tHASH\t_\t0\troot\t_\t_\n\n"
)


@pytest.fixture
def read(tmp_path):
    """Writes a file and reads its sentences: [(words, tags, document), ...]."""

    def _read(content, *, name="data.txt", task="ner", notes=None, **request):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with path.open("rb") as stream:
            asked = ReadRequest(task=get_task(task), **request)
            sentences = read_sentences(stream, file=path.name, request=asked, notes=notes)
            return [(sentence.words, sentence.tags, sentence.document) for sentence in sentences]

    return _read


@pytest.fixture
def builder(tmp_path):
    def _builder(*files, **columns):
        return ConllBuilder(
            cache_dir=str(tmp_path / "cache"),
            data_files={"train": [str(file) for file in files]},
            request=ReadRequest(**{"task": NER, **columns}),
        )

    return _builder


# Formats


def test_four_columns_ner_is_the_last(read):
    assert read(FOUR) == [
        (["Ada", "sleeps"], ["B-PER", "O"], 1),
        (["Rome"], ["B-LOC"], 1),
        (["Bob"], ["B-PER"], 2),
    ]


def test_four_columns_pos_is_the_second(read):
    assert [tags for _, tags, _ in read(FOUR, task="pos")] == [["NNP", "VBZ"], ["NNP"], ["NNP"]]


def test_three_columns(read):
    text = "He PRP B-NP\nsat VBD B-VP\n"
    assert read(text, task="pos") == [(["He", "sat"], ["PRP", "VBD"], 1)]
    assert read(text, task="ner") == [(["He", "sat"], ["B-NP", "B-VP"], 1)]
    assert read(text, tags_column="chunk") == [(["He", "sat"], ["B-NP", "B-VP"], 1)]


@pytest.mark.parametrize("task", ["pos", "ner"])
@pytest.mark.parametrize("separator", [" ", "\t", "   ", " \t "])
def test_two_columns_by_space_or_tab(read, separator, task):
    asked = {"separator": "space"} if separator == " \t " else {}
    assert read(f"a{separator}X\nb{separator}Y\n", task=task, **asked) == [(["a", "b"], ["X", "Y"], 1)]


def test_without_document_marks_each_sentence_is_a_document(read):
    assert [document for *_, document in read("a X\n\nb Y\n\nc Z\n")] == [1, 2, 3]


def test_sentences_before_the_first_mark_are_document_0(read):
    assert [document for *_, document in read("a X\n\n-DOCSTART- O\nb Y\n")] == [0, 1]


def test_document_mark_ends_a_sentence_and_may_have_other_columns(read):
    assert read("-DOCSTART-\na X\n-DOCSTART- -X- O O\nb Y\n") == [(["a"], ["X"], 1), (["b"], ["Y"], 2)]


def test_document_mark_with_spaces_in_a_tab_file(read):
    assert read("-DOCSTART- -X- O\n\na\tX\n") == [(["a"], ["X"], 1)]


def test_conllu(read):
    assert read(CONLLU, task="pos") == [
        (["vamos", "nos", "New York"], ["VERB", "PRON", "PROPN"], "one"),
        (["#"], ["SYM"], "two"),
    ]


@pytest.mark.parametrize("column", ["xpos", "XPOS", 4, "4", -6, "-6"])
def test_conllu_column_by_name_or_position(read, column):
    assert read(CONLLU, task="pos", tags_column=column)[1] == (["#"], ["HASH"], "two")


def test_conllu_tokens_column(read):
    assert read(CONLLU, task="pos", tokens_column="lemma")[0][0] == ["ir", "nosotros", "NY"]


def test_conllu_plus_columns_by_their_declared_names(read):
    text = "# global.columns = ID FORM UPOS NER\n1\tAda\tPROPN\tB-PER\n2-3\tam\t_\t_\n2\tan\tADP\tO\n"
    assert read(text, task="pos") == [(["Ada", "an"], ["PROPN", "ADP"], 1)]
    assert read(text, task="ner") == [(["Ada", "an"], ["B-PER", "O"], 1)]


@pytest.mark.parametrize(
    ("column", "tags"), [("pos", "NNP"), ("POS_TAGS", "NNP"), ("chunk", "B-NP"), (-2, "B-NP"), ("ner", "B-LOC")]
)
def test_column_by_name_or_position(read, column, tags):
    assert read(FOUR, tags_column=column)[1] == (["Rome"], [tags], 1)


def test_columns_without_names_by_position(read):
    text = "1 Rome x y LOC\n"
    assert read(text, tokens_column=1, tags_column=-1) == [(["Rome"], ["LOC"], 1)]
    assert read(text, tokens_column=1, task="ner") == [(["Rome"], ["LOC"], 1)]


def test_literal_separator(read):
    assert read("New York|LOC\n||SYM\n".replace("||", "a|"), separator="|") == [(["New York", "a"], ["LOC", "SYM"], 1)]


@pytest.mark.parametrize("task", ["pos", "ner"])
@pytest.mark.parametrize("header", ["word\ttag", "Token\tLabels", "TEXT\tTags"])
def test_a_header_names_the_columns_and_is_no_word(read, header, task):
    notes = FileNotes("data.txt")
    assert read(f"\ufeff{header}\n\na\tX\nb\tY\n", task=task, notes=notes) == [(["a", "b"], ["X", "Y"], 1)]
    names = header.replace("\t", ", ")
    assert [str(remark) for remark in notes.remarks] == [f"line 1 is read as the names of the columns: {names}"]
    assert [(column.role, column.name) for column in notes.columns] == list(
        zip(("words", "tags"), header.split("\t"), strict=True)
    )


def test_columns_are_found_by_the_names_of_a_header(read):
    text = "ner_tags upos chunk lemma form\nB-PER PROPN B-NP ada Ada\n"
    assert read(text, task="ner") == [(["Ada"], ["B-PER"], 1)]
    assert read(text, task="pos") == [(["Ada"], ["PROPN"], 1)]
    assert read(text, tags_column="chunk", tokens_column="lemma") == [(["ada"], ["B-NP"], 1)]
    assert read(text, tags_column="NER", tokens_column="word") == [(["Ada"], ["B-PER"], 1)]
    assert read("word text label\na b X\n", tokens_column="text") == [(["b"], ["X"], 1)]
    with pytest.raises(DataError, match=r"there are: 0 ner_tags, 1 upos, 2 chunk, 3 lemma, 4 form\. Did you mean"):
        read(text, tags_column="chunks")
    with pytest.raises(DataError, match=r"names no column for the task ner; .*: 0 word, 1 pos"):
        read("word pos\na X\n", task="ner")


@pytest.mark.parametrize("first", ["word NN", "Text text", "tag NN", "lemma lemma", "pos tag"])
def test_a_line_that_is_no_header_is_a_word(read, first):
    assert read(f"{first}\na X\n")[0][0] == [first.split()[0], "a"]


def test_a_header_alone_is_no_sentence(read):
    with pytest.raises(DataError, match="no sentence in this file"):
        read("word tag\n")


def test_lines_after_a_header_have_its_columns(read):
    with pytest.raises(DataError, match=r"line 2: 'a X Y' has 3 columns; expected 2, .* as in line 1"):
        read("word tag\na X Y\n")
    assert read("a X\nword tag\n") == [(["a", "word"], ["X", "tag"], 1)]


# Lines and characters


@pytest.mark.parametrize(
    "content",
    [
        b"a X\nb Y\n\nc Z\n",
        b"a X\nb Y\n\nc Z",
        b"\xef\xbb\xbfa X\nb Y\n\nc Z\n",
        b"a X\r\nb Y\r\n\r\nc Z\r\n",
        b"\n\n \na X  \nb Y\t\n \t \n\n\nc Z \n\n\n",
        b"  a X\nb   Y\n\n c\tZ\n",
        b"a\tX\nb\tY\n\t\nc\tZ\n",
        b"a\tX\t\nb\tY\t\n  \nc\tZ\t\n",
        b"a\tX \r\nb\tY \r\n \r\nc\tZ \r\n",
    ],
    ids=["plain", "no-end", "bom", "crlf", "blanks", "runs", "tab", "trailing-tab", "tab-crlf-space"],
)
def test_line_ends_and_blanks(read, content):
    if content.startswith(b"  a"):
        content = content.replace(b"\t", b" ")
    assert read(content) == [(["a", "b"], ["X", "Y"], 1), (["c"], ["Z"], 2)]


@pytest.mark.parametrize(
    "character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\r", "\x1c", "\u00a0", "\u3000", "\u200b"]
)
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_unusual_characters_are_data(read, character, separator):
    word = f"a{character}b"
    assert read(f"{word}{separator}X\n{character}{separator}Y\n") == [([word, character], ["X", "Y"], 1)]


def test_tab_files_keep_spaces_and_refuse_empty_words(read):
    assert read("New York\tLOC\n \tO\n") == [(["New York", " "], ["LOC", "O"], 1)]
    with pytest.raises(DataError, match=r"line 2: .* has nothing in column 0; expected a word there"):
        read("New York\tLOC\n\tO\n")


def test_bom_before_a_document_mark(read):
    assert read(b"\xef\xbb\xbf-DOCSTART- O\n\na X\n\nb Y\n") == [(["a"], ["X"], 1), (["b"], ["Y"], 1)]


def test_hash_is_a_word_where_it_has_its_columns(read):
    assert read("# SYM\n1 CD\n\na X\n# SYM\n#tag HT\n") == [
        (["#", "1"], ["SYM", "CD"], 1),
        (["a", "#", "#tag"], ["X", "SYM", "HT"], 2),
    ]


def test_comments_outside_conllu_at_the_start_of_a_sentence(read):
    text = "# a comment of many words\n# id 7\n# sent_id = 1\n# text = a b\na X\n\n# newdoc\nb Y\n\nc Z\n"
    assert read(text) == [(["a"], ["X"], 0), (["b"], ["Y"], 1), (["c"], ["Z"], 1)]


def test_no_comment_within_a_sentence(read):
    with pytest.raises(DataError, match=r"data\.txt, line 2: '# a comment here' has 4 columns; expected 2"):
        read("a X\n# a comment here\n")


def test_only_the_word_hash(read):
    assert read("# SYM\n") == [(["#"], ["SYM"], 1)]


# Errors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a X\nb\n", r"data.txt, line 2: 'b' has 1 column; expected 2, with spaces or tabs between them, as in line 1"),
        ("\na X\n\nb Y Z\n", r"data.txt, line 4: 'b Y Z' has 3 columns; expected 2, .* as in line 2"),
        ("a\tX\nb Y\n", r"data.txt, line 2: 'b Y' has 1 column; expected 2, with one tab between them"),
        (
            b"a X\nb\xe9 Y\n",
            r"data.txt, line 2: byte 0xe9 in .* is not UTF-8; .*encoding=cp1252 reads it as 'b.'; otherwise",
        ),
        (b"\x1f\x8b\x08\x00", r"data.txt, line 1: byte 0x8b in .*; the file is compressed by gzip"),
        ("", r"data.txt: the file is empty"),
        (b"\xef\xbb\xbf", r"data.txt: the file is empty"),
        (" \n\n\t\n", r"data.txt: no sentence in this file"),
        ("-DOCSTART- -X- O\n\n", r"data.txt: no sentence in this file"),
        ("# sent_id = 1\n", r"data.txt: no sentence in this file"),
        ("a\nb\n", r"data.txt, line 1: 'a' is a single column, so there are no tags"),
        ("a\tX\nb\t\n", r"data.txt, line 2: 'b\\t' has nothing in column 1; expected a tag there"),
        ("a\tX\nb\t \n", r"data.txt, line 2: 'b\\t ' has nothing in column 1; expected a tag there"),
        (f"{'x' * 100} X Y\nb\n\n", r"line 2: 'b' has 1 column"),
        (f"a X\n{'x' * 100}\n", r"line 2: 'x{59}…' has 1 column"),
    ],
)
def test_broken_files(read, content, message):
    with pytest.raises(DataError, match=message):
        read(content)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"tags_column": "nerr"}, r"tags_column=nerr: .* 0 word, 1 pos, 2 chunk, 3 ner\. Did you mean 'ner'\?"),
        ({"tags_column": 4}, r"tags_column=4: there is no such position; there are: 0 word, 1 pos"),
        ({"tags_column": "-5"}, r"tags_column=-5: there is no such position"),
        ({"tokens_column": "lemma"}, r"tokens_column=lemma: there is no such column"),
        ({"tags_column": 0}, r"column 0 would be both the word and the tag"),
        ({"separator": ""}, r"separator is empty"),
        ({"separator": "tab"}, r"is a single column"),
    ],
)
def test_columns_that_are_not_there(read, request_, message):
    with pytest.raises(DataError, match=message):
        read(FOUR, **request_)


def test_conllu_has_no_ner_column(read):
    with pytest.raises(DataError, match=r"no column of its own for the task ner .*MISC.* 4 xpos, 5 feats"):
        read(CONLLU, task="ner")


def test_conllu_lines_start_with_a_number(read):
    broken = CONLLU + "x\tb\tb\tX\tX\t_\t_\t_\t_\t_\n"
    with pytest.raises(DataError, match=r"line 13: 'x\\tb.* starts with 'x'; expected the number of a word"):
        read(broken, task="pos")


def test_conllu_plus_header_against_the_first_line(read):
    with pytest.raises(DataError, match=r"line 2: .* has 2 columns; expected 3, as `# global.columns` declares"):
        read("# global.columns = ID FORM UPOS\n1\ta\n", task="pos")


def test_many_columns_without_names_need_a_column_for_pos(read):
    with pytest.raises(DataError, match=r"0 to 4; which one holds the tags for part-of-speech tagging\?"):
        read("a b c d e\n", task="pos")


# Further columns


def test_further_columns_in_their_order(tmp_path):
    (tmp_path / "four.txt").write_text(FOUR)
    request = ReadRequest(task=NER, word_features=("chunk", "1"))
    with (tmp_path / "four.txt").open("rb") as stream:
        sentences = list(read_sentences(stream, file="four.txt", request=request))
    assert [(sentence.words, sentence.features) for sentence in sentences] == [
        (["Ada", "sleeps"], [["B-NP", "B-VP"], ["NNP", "VBZ"]]),
        (["Rome"], [["B-NP"], ["NNP"]]),
        (["Bob"], [["B-NP"], ["NNP"]]),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("chunks",), r"word_features=chunks: there is no such column; .*Did you mean 'chunk'\?"),
        (("4",), r"word_features=4: there is no such position; there are: 0 word, 1 pos"),
        (("ner",), r"word_features=ner: this is the column of the tags, and a feature would give away the answer"),
        (("-1",), r"word_features=-1: this is the column of the tags"),
        (("word",), r"word_features=word: this is the column of the words"),
        (("pos", "1"), r"word_features=\['pos', '1'\]: both are column 1"),
    ],
)
def test_further_columns_that_cannot_be(read, asked, message):
    with pytest.raises(DataError, match=message):
        read(FOUR, word_features=asked)


# Where sentences start


def test_a_sentence_starts_at_a_mention(read):
    text = "RT USR\n@ada USR\nhello UH\n\nsleepy JJ\n@bob USR\n@ IN\nhome NN\n\n\n@ada USR\n"
    assert [words for words, _, _ in read(text, task="pos", sentence_start="mention")] == [
        ["RT"], ["@ada", "hello", "sleepy"], ["@bob"], ["@", "home"], ["@ada"],
    ]  # fmt: skip
    blank = [words for words, _, _ in read(text, task="pos")]
    assert blank == [["RT", "@ada", "hello"], ["sleepy", "@bob", "@", "home"], ["@ada"]]


def test_a_document_mark_ends_a_sentence_that_starts_at_a_mention(read):
    text = "-DOCSTART- X\n\n@ada USR\n\nhello UH\n-DOCSTART- X\n\nbye UH\n"
    assert read(text, task="pos", sentence_start="mention") == [
        (["@ada", "hello"], ["USR", "UH"], 1),
        (["bye"], ["UH"], 2),
    ]


def test_comments_stand_after_blank_lines_also_within_what_mentions_start(read):
    text = "# id a\n@ada USR\nhello UH\n\n# id b\nbye UH\n# SYM\n"
    assert [words for words, _, _ in read(text, task="pos", sentence_start="mention")] == [
        ["@ada", "hello", "bye", "#"]
    ]


# The builder


def test_builder_streams(builder, tmp_path):
    (tmp_path / "train.txt").write_text(FOUR)
    rows = list(builder(tmp_path / "train.txt").as_streaming_dataset("train"))
    assert rows[1] == {"tokens": ["Rome"], "tags": ["B-LOC"], "document_id": "train:1"}
    assert [row["document_id"] for row in rows] == ["train:1", "train:1", "train:2"]


def test_builder_is_memory_mapped_and_pickles(builder, tmp_path):
    (tmp_path / "train.txt").write_text(FOUR)
    one = pickle.loads(pickle.dumps(builder(tmp_path / "train.txt", task=POS)))
    one.download_and_prepare()
    dataset = one.as_dataset("train")
    assert dataset.cache_files
    assert dataset.features["tags"] == datasets.List(datasets.Value("string"))
    assert pickle.loads(pickle.dumps(dataset))[0]["tags"] == ["NNP", "VBZ"]


@pytest.mark.parametrize("num_proc", [None, 2])
def test_builder_raises_data_error_itself(builder, tmp_path, num_proc):
    (tmp_path / "a.txt").write_text("a X\n")
    (tmp_path / "b.txt").write_text("a X\nb\n")
    with pytest.raises(DataError, match=r"b\.txt, line 2: 'b' has 1 column"):
        builder(tmp_path / "a.txt", tmp_path / "b.txt").download_and_prepare(num_proc=num_proc)


def test_builder_without_files(tmp_path):
    with pytest.raises(DataError, match="no data_files"):
        ConllBuilder(cache_dir=str(tmp_path)).download_and_prepare()


def test_unique_stems():
    assert unique_stems(["x/a.txt", "x/b.txt"]) == ["a", "b"]
    assert unique_stems(["x/a.train", "x/a.txt"]) == ["a.train", "a.txt"]
    assert unique_stems([str(Path("x/a.txt")), str(Path("y/a.txt"))]) == ["x/a.txt", "y/a.txt"]


@pytest.mark.parametrize("edited", ["columns/conll.py", "text_lines.py", "formats/doccano.py"])
def test_the_code_hash_reads_every_module_that_parses(edited, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_CODE", Path(shutil.copytree(sources._CODE, tmp_path / "data")))
    code_hash = sources._code_hash.__wrapped__
    before = code_hash()
    with open(tmp_path / "data" / edited, "a") as module:
        module.write("# edited\n")
    assert code_hash() != before
