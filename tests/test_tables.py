"""CSV and TSV files: quotes, delimiters, headers, and how rows become sentences."""

from __future__ import annotations

import pytest

from hf_tagging.errors import DataError
from tests.reading import read

OLGA = [("Olga", "B-PER"), ("Ruiz", "I-PER"), ("saw", "O"), ("Quito", "B-LOC"), (".", "O")]
RAIN = [("Rain", "O"), (",", "O"), ("again", "O"), (".", "O")]
BOTH = [OLGA, RAIN]

KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,Olga,NNP,B-PER
,Ruiz,NNP,I-PER
,saw,VBD,O
,Quito,NNP,B-LOC
,.,.,O
Sentence: 2,Rain,NN,O
,",",",",O
,again,RB,O
,.,.,O
"""
COMMAS = 'word,tag\nOlga,B-PER\nRuiz,I-PER\nsaw,O\nQuito,B-LOC\n.,O\n\nRain,O\n",",O\nagain,O\n.,O\n'
QUOTED = "\n".join(
    ",".join(f'"{field}"' for field in row) if row else "" for row in [("word", "tag"), *OLGA, (), *RAIN]
)
SEMICOLONS = (
    "Word;Tag\r\nOlga;B-PER\r\nRuiz;I-PER\r\nsaw;O\r\nQuito;B-LOC\r\n.;O\r\n;\r\nRain;O\r\n,;O\r\nagain;O\r\n.;O\r\n"
)
IDS = (
    "sentence_id,words,labels\n0,Olga,B-PER\n0,Ruiz,I-PER\n0,saw,O\n0,Quito,B-LOC\n0,.,O\n"
    '1,Rain,O\n1,",",O\n1,again,O\n1,.,O\n'
)
LISTS = (
    "tokens,ner_tags\n"
    "\"['Olga', 'Ruiz', 'saw', 'Quito', '.']\",\"['B-PER', 'I-PER', 'O', 'B-LOC', 'O']\"\n"
    "\"['Rain', ',', 'again', '.']\",\"['O', 'O', 'O', 'O']\"\n"
)
JSON_LISTS = (
    "tokens;tags\n"
    '"[""Olga"", ""Ruiz"", ""saw"", ""Quito"", "".""]";"[""B-PER"", ""I-PER"", ""O"", ""B-LOC"", ""O""]"\n'
    '"[""Rain"", "","", ""again"", "".""]";"[""O"", ""O"", ""O"", ""O""]"\n'
)
NUMPY = (
    "tokens,tags\n\"['Olga' 'Ruiz' 'saw'\n 'Quito' '.']\",\"['B-PER' 'I-PER' 'O'\n 'B-LOC' 'O']\"\n"
    "\"['Rain' ',' 'again' '.']\",\"['O' 'O' 'O' 'O']\"\n"
)
JOINED = 'text,labels\nOlga Ruiz saw Quito .,B-PER I-PER O B-LOC O\n"Rain , again .",O O O O\n'
TEXT_AND_LIST = (
    "Sentence #,Sentence,POS,Tag\n"
    "Sentence: 1,Olga Ruiz saw Quito .,\"['NNP', 'NNP', 'VBD', 'NNP', '.']\","
    "\"['B-PER', 'I-PER', 'O', 'B-LOC', 'O']\"\n"
    "Sentence: 2,\"Rain , again .\",\"['NN', ',', 'RB', '.']\",\"['O', 'O', 'O', 'O']\"\n"
)
INDEX = "".join(
    f"{index}\t{sentence}\t{word}\t{tag}\n"
    for index, (sentence, word, tag) in enumerate([(s, *row) for s, part in enumerate(BOTH) for row in part])
)
INDEX = f"\tsentence\tword\ttag\n{INDEX}"
HEADLESS = COMMAS.removeprefix("word,tag\n")
ASKED = KAGGLE.replace("Sentence #,Word,POS,Tag", "Satz,Wort,Wortart,Etikett")


@pytest.mark.parametrize(
    "content",
    [
        KAGGLE,
        COMMAS,
        QUOTED,
        SEMICOLONS,
        IDS,
        LISTS,
        JSON_LISTS,
        NUMPY,
        JOINED,
        TEXT_AND_LIST,
        INDEX,
        HEADLESS,
        COMMAS.replace("\n", "\r\n"),
        "\ufeff" + KAGGLE,
        COMMAS.replace(",", ", ").replace('", "', '","'),
        COMMAS.replace("\n\n", "\n,\n"),
        "".join(f"{line},\n" if line else "\n" for line in COMMAS.splitlines()),
        IDS.replace(",words", ",doc_id,words").replace("0,", "0,a,").replace("1,", "0,b,"),
        IDS.replace("\n0,", "\nx7,").replace("\n1,", "\na2,"),
        IDS.replace("\n0,", "\n1.0,").replace("\n1,", "\n2.0,"),
        SEMICOLONS.replace("\r\n", "\n").replace(";O", ';"O"'),
        QUOTED.replace(",", "\t").replace('"\t"\t', '","\t'),
    ],
    ids=[
        *("kaggle", "commas", "quoted", "semicolons", "ids", "lists", "json lists", "numpy", "joined", "text and list"),
        *("index", "no header", "crlf", "bom", "blanks", "empty cells", "last comma", "documents"),
        *("named ids", "float ids", "some quoted", "quoted tabs"),
    ],
)
def test_tables_of_all_shapes_have_the_same_sentences(tmp_path, content):
    found = read(tmp_path, {"train.csv": content})
    assert found.splits["train"] == BOTH
    words, tags = (next(c for c in found.report.splits["train"][0].columns if c.role == r) for r in ("words", "tags"))
    assert words.examples == ["Olga", "Ruiz", "saw"]
    assert tags.examples == ["B-PER", "I-PER", "O"]


def test_what_was_read_is_said(tmp_path):
    found = read(tmp_path, {"ner_dataset.csv": KAGGLE.encode("latin-1")})
    [notes] = found.report.splits["train"]
    assert (notes.format, notes.encoding, notes.left_out) == ("CSV table", "UTF-8", ["POS"])
    assert [(c.role, c.name) for c in notes.columns] == [("words", "Word"), ("tags", "Tag"), ("sentence", "Sentence #")]
    assert found.said("each row is a word; the column Sentence # tells the sentences apart")


def test_parts_of_speech_of_a_table(tmp_path):
    assert read(tmp_path, {"a.csv": KAGGLE}, task="pos").tags == ["NNP", "NNP", "VBD", "NNP", "."]


def test_columns_that_are_asked_for(tmp_path):
    found = read(tmp_path, {"a.csv": ASKED}, task="pos", tokens_column="Wort", tags_column="Wortart")
    assert found.tags == ["NNP", "NNP", "VBD", "NNP", "."]
    with pytest.raises(
        DataError, match=r"cannot tell which column holds the words; .* Wort, Wortart, Etikett; give tok"
    ):
        read(tmp_path / "c", {"a.csv": ASKED})
    rows = "".join(f"Satz: {i},wort{i},NN,O\n,x,NN,B-PER\n" for i in range(3, 70))
    assert read(tmp_path / "d", {"a.csv": ASKED + rows}).splits["train"][:2] == BOTH
    with pytest.raises(DataError, match=r"tags_column=Etiket: no such column; .* Etikett; did you mean 'Etikett'"):
        read(tmp_path / "b", {"a.csv": ASKED}, tokens_column="Wort", tags_column="Etiket")


def test_further_columns_of_a_table(tmp_path):
    from hf_tagging import load_tagging_dataset

    path = tmp_path / "train.csv"
    path.write_text(KAGGLE)
    rows = load_tagging_dataset(path, task="ner", word_features=["pos"], cache_dir=tmp_path / "cache")["train"]
    assert rows["pos"][1] == ["NN", ",", "RB", "."]
    path.write_text(TEXT_AND_LIST)
    rows = load_tagging_dataset(path, task="ner", word_features=["POS"], cache_dir=tmp_path / "cache")["train"]
    assert rows["POS"][1] == ["NN", ",", "RB", "."]


def test_a_quotation_mark_as_pandas_writes_it(tmp_path):
    content = 'word\ttag\n""""\tO\nOlga\tB-PER\n""""\tO\n\t\n"7"""\tO\nfoot\tO\n'
    found = read(tmp_path, {"train.tsv": content})
    assert found.splits["train"] == [[('"', "O"), ("Olga", "B-PER"), ('"', "O")], [('7"', "O"), ("foot", "O")]]


@pytest.mark.parametrize("name", ["train.tsv", "train.txt", "train.csv"])
def test_a_quotation_mark_in_columns_is_a_word(tmp_path, name):
    content = 'word\ttag\n"\tO\nOlga\tB-PER\n"\tO\n\n"so"\tO\n""\tO\n'
    found = read(tmp_path, {name: content})
    assert found.splits["train"] == [[('"', "O"), ("Olga", "B-PER"), ('"', "O")], [('"so"', "O"), ('""', "O")]]


def test_quotation_marks_that_nobody_doubled_are_words(tmp_path):
    content = 'sentence_id,word,tag\n1,",O\n1,Olga,B-PER\n1,",O\n2,5",O\n2,pipe,O\n'
    found = read(tmp_path, {"train.csv": content})
    assert found.splits["train"] == [[('"', "O"), ("Olga", "B-PER"), ('"', "O")], [('5"', "O"), ("pipe", "O")]]


def test_a_quotation_mark_that_may_be_either_is_refused(tmp_path):
    content = 'word,tag\n"Olga",B-PER\n",O\nsaw,O\n",O\n'
    with pytest.raises(DataError, match=r"train.csv, line 3: '\",O': nothing closes"):
        read(tmp_path, {"train.csv": content})
    content = 'word,tag\nOlga,B-PER\n",O\nsaw,O\n",O\n",",O\n'
    with pytest.raises(DataError, match=r"train.csv, line \d"):
        read(tmp_path / "b", {"train.csv": content})


def test_words_that_pandas_takes_for_missing_are_words(tmp_path):
    content = "sentence_id,word,tag\n1,NA,B-ORG\n1,null,O\n1,None,O\n1,nan,O\n2,NULL,O\n2, ,O\n2,3.5,O\n"
    found = read(tmp_path, {"train.csv": content})
    assert found.words == ["NA", "null", "None", "nan"]
    assert [word for word, _ in found.splits["train"][1]] == ["NULL", " ", "3.5"]


def test_decimal_commas_between_semicolons(tmp_path):
    found = read(tmp_path, {"train.csv": "Wort;Etikett\n3,5;B-NUM\nGrad;I-NUM\n1,0;O\n\n2,0;O\n"}, task="ner")
    assert found.splits["train"] == [[("3,5", "B-NUM"), ("Grad", "I-NUM"), ("1,0", "O")], [("2,0", "O")]]


def test_blanks_in_words_between_tabs(tmp_path):
    found = read(tmp_path, {"train.tsv": "sent_id\ttoken\tlabel\n1\tSan José\tB-LOC\n1\t1 000\tO\n2\tx\tO\n"})
    assert found.splits["train"] == [[("San José", "B-LOC"), ("1 000", "O")], [("x", "O")]]


def test_a_line_break_in_quotes(tmp_path):
    content = 'sentence_id,word,tag,text\n1,Olga,B-PER,"Olga\nsaw, and"\n1,saw,O,\n2,"\n",O,x\n2,Rain,O,x\n'
    found = read(tmp_path, {"train.csv": content})
    assert found.splits["train"] == [[("Olga", "B-PER"), ("saw", "O")], [("\n", "O"), ("Rain", "O")]]


def test_a_tab_separated_file_named_csv_is_columns(tmp_path):
    content = "Olga\tB-PER\nRuiz\tI-PER\n,\tO\n\nRain\tO\n"
    assert read(tmp_path, {"train.csv": content}).sizes() == {"train": (2, 4, 1)}


def test_numbers_that_start_again_are_other_sentences(tmp_path):
    content = "sentence_id,word,tag\n1,a,O\n1,b,B-X\n2,c,O\n1,d,O\n1,e,O\n2,f,O\n"
    found = read(tmp_path, {"train.csv": content})
    assert [len(part) for part in found.splits["train"]] == [2, 1, 2, 1]
    assert found.remarks()["sentence_ids"] == 1


@pytest.mark.failure_mode("mixed-rows")
@pytest.mark.parametrize(
    "ids", [["a", "a", "b", "a"], [4, 9, 2, 9], [1, 2, 3, 2], ["Sentence: 3", "Sentence: 1", "", "Sentence: 3", 1]]
)
def test_rows_that_are_mixed_up_are_refused(tmp_path, ids):
    content = "sentence_id,word,tag\n" + "".join(f"{i},x,B-PER\n" for i in ids)
    with pytest.raises(DataError, match=r"train.csv, line \d: the sentence '.*' comes again after others"):
        read(tmp_path, {"train.csv": content})


def test_rows_without_any_border_are_one_sentence_and_that_is_said(tmp_path):
    found = read(tmp_path, {"train.csv": "word,tag\nOlga,B-PER\nsaw,O\nQuito,B-LOC\n"})
    assert found.sizes() == {"train": (1, 3, 2)}
    assert found.said("no empty row and no column parts sentences: read as one sentence of 3 words")


def test_numbers_tell_sentences_apart_whatever_their_name(tmp_path):
    content = "Satz;Wort;Etikett\n1;Olga;B-PER\n1;Ruiz;I-PER\n2;Rain;O\n2;.;O\n"
    assert read(tmp_path, {"train.csv": content}).sizes() == {"train": (2, 4, 1)}


@pytest.mark.failure_mode("table-row")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word,tag\nOlga,B-PER\nsaw\n", r"train.csv, line 3: 'saw' has 1 field; expected 2, with a comma"),
        ("word,tag\nOlga,B-PER\nx,y,O\n", r"train.csv, line 3: 'x,y,O' has 3 fields; expected 2"),
        ("word,tag\nOlga,B-PER\nsaw,\n", r"train.csv, line 3: nothing in the column 'tag' beside 'saw'"),
        ("word,tag\nOlga,B-PER\n,O\n", r"train.csv, line 3: nothing in the column 'word' beside 'O'"),
        ("text,labels\na b c,O O O\nd e,O B-X O\nf g,O O\n", r"train.csv, line 3: 2 words in 'text' but 3 in 'labels'"),
        ("tokens,tags\n\"['a']\",\"['O']\"\n\"['b']\",\"['O'\"\n\"['b']\",\"['O']\"\n", r"line 3: .*expected a list"),
        ("tokens,tags\n\"['a' ...]\",\"['O' 'O']\"\n", r"line 2: .* stands for items that were not written"),
        ("tokens,tags\n\"[f('a')]\",\"['O']\"\n", r"line 2: .*is no string, integer or null"),
        ("word,tag\n", r"train.csv: no word in this table"),
        (
            "word,POS,lemma\na,b,c\n",
            r"cannot tell which column holds the tags; there are: word, POS, lemma; give tags_",
        ),
        (
            "text,label\nI love it so much,pos\nthis is not good,neg\nfine by me now,pos\n",
            r"texts with a single tag each",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused_with_their_line(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"train.csv": content})


def test_integers_in_lists_need_names(tmp_path):
    content = "tokens,tags\n\"['Olga', 'saw']\",\"[1, 0]\"\n\"['Quito']\",[3]\n"
    with pytest.raises(DataError, match=r"the tags are numbers .*--tag_names"):
        read(tmp_path, {"train.csv": content})
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    found = read(tmp_path / "b", {"train.csv": content}, tag_names=names)
    assert found.splits["train"] == [[("Olga", "B-PER"), ("saw", "O")], [("Quito", "B-LOC")]]
    found = read(tmp_path / "c", {"train.csv": content, "labels.txt": "\n".join(names)})
    assert found.types == ["LOC", "PER"]
    assert found.said("labels.txt")


@pytest.mark.parametrize(
    ("content", "format"),
    [
        ("sep=;\r\n" + SEMICOLONS, "CSV table with semicolons"),
        (COMMAS.encode("utf-16"), "CSV table"),
        ("# exported from R\n# 2 sentences\n" + COMMAS, "CSV table"),
        (COMMAS.replace("\n", "\r"), "CSV table"),
        ("Olga Ruiz saw Quito .\tB-PER I-PER O B-LOC O\nRain , again .\tO O O O\n" + "x y z\tO O O\n" * 2, "TSV table"),
    ],
    ids=["excel", "utf-16", "comments", "carriage returns", "joined by tabs"],
)
def test_ways_to_write_tables(tmp_path, content, format):
    found = read(tmp_path, {"train.csv": content})
    assert found.splits["train"][:2] == BOTH
    assert found.report.splits["train"][0].format == format


def test_numbers_of_words_tell_sentences_apart(tmp_path):
    rows = [(number, *row) for part in BOTH for number, row in enumerate(part, start=1)]
    content = "token_id;token;label\n" + "".join(f"{';'.join(map(str, row))}\n" for row in rows)
    found = read(tmp_path, {"train.csv": content})
    assert found.splits["train"] == BOTH
    assert found.said("where token_id starts again, a sentence begins")


def test_a_document_is_a_sentence_only_where_nothing_else_tells(tmp_path):
    content = "doc_id,token,tag\nd1,Olga,B-PER\nd1,saw,O\nd2,Quito,B-LOC\nd2,.,O\n"
    found = read(tmp_path, {"train.csv": content})
    assert found.sizes() == {"train": (2, 4, 2)}
    assert found.remarks()["one_sentence"] == 1
    found = read(tmp_path / "b", {"train.csv": content.replace("d1,saw", ",,\nd1,saw")})
    assert found.sizes() == {"train": (3, 4, 2)}
    assert "one_sentence" not in found.remarks()


def test_a_layer_of_a_table(tmp_path):
    content = "token,outer,inner\nUni,B-ORG,O\nBonn,I-ORG,B-LOC\n\nx,O,O\n"
    assert read(tmp_path, {"train.csv": content}).tags == ["B-ORG", "I-ORG"]
    assert read(tmp_path / "b", {"train.csv": content}, layer="inner").tags == ["O", "B-LOC"]
    with pytest.raises(DataError, match=r"layer=innr: no such column; .* did you mean 'inner'"):
        read(tmp_path / "c", {"train.csv": content}, layer="innr")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('sentence_id,word,tag\n0,"\\"",O\n0,x,O\n', r"line 2: .* a quotation mark behind a backslash"),
        (
            "text,entities\nOlga saw it,\"[(0, 4, 'PER')]\"\nit rains now,[]\n",
            r"line 2: .* read from JSON Lines",
        ),
        ("word,tag\nOlga,B-PER\n,,O\n", r"line 3: ',,O' has 3 fields; expected 2, .*stands in quotes"),
    ],
)
def test_what_a_table_cannot_say_is_refused(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"train.csv": content})
