"""Formats of corpora and of other libraries, such as spaCy, WebAnno and GLiNER."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
from reading import read, written

from hf_tagging.data.formats import format_of
from hf_tagging.errors import DataError


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


ZOE = [("Zoe", "B-PER"), ("Quist", "I-PER"), ("drinks", "O"), ("in", "O"), ("Gouda", "B-LOC"), (".", "O")]
TEXT = "Zoe Quist drinks in Gouda."
WORDS = [word for word, _ in ZOE]
SAME = {
    "text-entities": lines({"text": TEXT, "entities": [[0, 9, "PER"], [20, 25, "LOC"]]}),
    "text-entities, objects": lines(
        {"text": "Nothing.", "entities": []},
        {"text": TEXT, "entities": [{"start": 0, "end": 9, "label": "PER"}, {"start": 20, "end": 25, "label": "LOC"}]},
    ),
    "text-entities, ranges": json.dumps(
        [{"curid": "7", "text": TEXT, "entities": [{"name": "Zoe Quist", "span": [0, 9], "type": "PER"},
                                                   {"name": "Gouda", "span": [20, 25], "type": "LOC"}]}]
    ),
    "text-entities, displacy": json.dumps(
        {"text": TEXT, "ents": [{"start": 0, "end": 9, "label": "PER"}, {"start": 20, "end": 25, "label": "LOC"}]}
    ),
    "text-entities, lengths": lines(
        {"text": TEXT, "entities": [{"offset": 0, "length": 9, "category": "PER"},
                                    {"offset": 20, "length": 5, "category": "LOC"}]}
    ),
    "spacy-pairs": json.dumps([[TEXT, {"entities": [[0, 9, "PER"], [20, 25, "LOC"]]}]], indent=1),
    "spacy-pairs, lines": lines([TEXT, {"entities": [[0, 9, "PER"], [20, 25, "LOC"]]}], ["No.", {"entities": []}]),
    "spacy-pairs, annotator": json.dumps(
        {"classes": ["PER"], "annotations": [None, [TEXT, {"entities": [[0, 9, "PER"], [20, 25, "LOC"]]}]]}
    ),
    "cluener": lines({"text": "No.", "label": {}},
                     {"text": TEXT, "label": {"PER": {"Zoe Quist": [[0, 8]]}, "LOC": {"Gouda": [[20, 24]]}}}),
    "gliner": json.dumps([{"tokenized_text": WORDS, "ner": [[0, 1, "PER"], [4, 4, "LOC"]], "negatives": ["ORG"]}]),
    "spert": json.dumps([{"tokens": WORDS, "entities": [{"type": "PER", "start": 0, "end": 2},
                                                        {"type": "LOC", "start": 4, "end": 5}]}]),
    "w2ner": json.dumps([{"sentence": WORDS, "ner": [{"index": [0, 1], "type": "PER"},
                                                     {"index": [4], "type": "LOC"}]}]),
    "dygie": lines({"doc_key": "a", "sentences": [["No", "."], WORDS], "ner": [[], [[2, 3, "PER"], [6, 6, "LOC"]]],
                    "relations": [[], [[2, 3, 6, 6, "in"]]]}),
}  # fmt: skip


@pytest.mark.parametrize("name", SAME)
def test_every_format_reads_the_same_entities(tmp_path, name):
    path = written(tmp_path / "in", {"train.json": SAME[name]})
    assert format_of(path).name == name.partition(",")[0]
    found = read(tmp_path, {"train.json": SAME[name]})
    assert ZOE in found.splits["train"]
    assert sum(entities for _, _, entities in found.sizes().values()) == 2


BROKEN = {
    "text-entities": (lines({"text": "Zoe.", "entities": [[0, 3, "PER"]]},
                            {"text": "Zoe.", "entities": [[0, 9, "PER"]]}),
                      r"line 2: a span from 0 to 9 in a text of 4 characters"),
    "text-entities, order": (lines({"text": "Zoe.", "entities": [[3, 0, "PER"]]}),
                             r"line 1: a span ends at 0, before it begins at 3"),
    "text-entities, kind": (lines({"text": "Zoe.", "entities": [[0, 3, "PER"]]},
                                  {"text": "Zoe.", "entities": [["zero", 3, "PER"]]}),
                            r"line 2: .*expected a span as \[start, end, type\]"),
    "cluener": (lines({"text": "Zoe.", "label": {"PER": {"Ben": [[0, 2]]}}}), r"'Zoe', but the span says 'Ben'"),
    "gliner": (json.dumps([{"tokenized_text": ["Zoe"], "ner": [[0, 1, "PER"]]}]), r"row 1: .*among the 1 words"),
    "spert": (json.dumps([{"tokens": ["Zoe"], "entities": [{"type": "PER", "start": 0, "end": 2}]}]),
              r"among the 1 words"),
    "w2ner": (json.dumps([{"sentence": ["Zoe"], "ner": [{"index": [1], "type": "PER"}]}]),
              r"list of positions below 1"),
    "dygie": (lines({"doc_key": "a", "sentences": [["No"], ["Zoe"]], "ner": [[], [[0, 0, "PER"]]]}),
              r"line 1, sentence 2: .*expected positions in the document, 1 to 1 in this sentence"),
    "spacy-pairs": (json.dumps([["Zoe.", {"entities": [[0, 9, "PER"]]}]]), r"row 1: a span from 0 to 9"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_entities_that_cannot_be_are_refused_with_their_place(tmp_path, name):
    content, message = BROKEN[name]
    with pytest.raises(DataError, match=message):
        read(tmp_path, {"train.json": content})


def test_rows_of_words_and_tags_are_no_format(tmp_path):
    row = {
        "text": "Zoe.",
        "tokens": ["Zoe", "."],
        "ner_tags": ["B-PER", "O"],
        "entities": [{"start": 0, "end": 3, "type": "X"}],
    }
    assert format_of(written(tmp_path, {"train.jsonl": lines(row)})) is None


def test_spert_with_ends_that_are_last_words(tmp_path):
    rows = [{"tokens": ["Zoe", "drinks"], "entities": [{"type": "PER", "start": 0, "end": 0}], "relations": []}]
    found = read(tmp_path, {"train.json": json.dumps(rows)})
    assert found.tags == ["B-PER", "O"]
    assert found.said("ends are read as the last word, and not as the one behind it")


def test_w2ner_discontinuous_entities(tmp_path):
    rows = [{"sentence": ["sore", "legs", "and", "arms"], "ner": [{"index": [0, 3], "type": "ADR"}], "word": []}]
    assert read(tmp_path / "a", {"train.json": json.dumps(rows)}).tags == ["B-ADR", "I-ADR", "I-ADR", "I-ADR"]
    dropped = read(tmp_path / "b", {"train.json": json.dumps(rows)}, misfit="drop")
    assert dropped.tags == ["O"] * 4
    assert dropped.remarks()["discontinuous"] == 1


def test_tokens_and_sentences_of_spacy_are_kept(tmp_path):
    row = {
        "text": "Zoe-Lou drinks. Then\nsleeps.",
        "ents": [{"start": 0, "end": 7, "label": "PER"}],
        "sents": [{"start": 0, "end": 15}, {"start": 16, "end": 28}],
        "tokens": [{"id": i, "start": s, "end": e} for i, (s, e) in enumerate(
            [(0, 3), (3, 4), (4, 7), (8, 14), (14, 15), (16, 20), (20, 21), (21, 27), (27, 28)])],
    }  # fmt: skip
    found = read(tmp_path, {"train.json": json.dumps([row])})
    assert [[word for word, _ in sentence] for sentence in found.splits["train"]] == [
        ["Zoe", "-", "Lou", "drinks", "."], ["Then", "sleeps", "."],
    ]  # fmt: skip
    assert found.tags == ["B-PER", "I-PER", "I-PER", "O", "O"]


def spacy_tokens(*pairs):
    return {"tokens": [{"id": i, "orth": word, "tag": "X", "ner": ner} for i, (word, ner) in enumerate(pairs)]}


def test_spacy_json_has_sentences_in_documents(tmp_path):
    paragraph = {
        "raw": "Zoe de Wit drinks.  Gouda too",
        "sentences": [
            spacy_tokens(("Zoe", "B-PER"), ("de", "I-PER"), ("Wit", "L-PER"), ("drinks", "O"), (".", "O"), (" ", "O")),
            spacy_tokens(("Gouda", "U-LOC"), ("too", "-")),
        ],
    }
    other = {"sentences": [spacy_tokens(("No", "-"), ("tags", "-"))]}
    files = {"train.json": json.dumps([{"id": 3, "paragraphs": [paragraph, other]}])}
    found = read(tmp_path, files)
    assert found.splits["train"] == [
        [("Zoe", "B-PER"), ("de", "I-PER"), ("Wit", "I-PER"), ("drinks", "O"), (".", "O")],
        [("Gouda", "B-LOC"), ("too", None)],
    ]
    assert found.remarks()["unused"] == 1
    assert read(tmp_path / "pos", files, task="pos").tags[:2] == ["X", "X"]


WEBANNO = """\
#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|coarseValue|PosValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
#T_SP=webanno.custom.Frame|name|ROLE_webanno.custom.Frame:who_webanno.custom.FrameLink|webanno.custom.Who
#T_RL=webanno.custom.Love|kind|BT_webanno.custom.Frame


#Text=🍺 Zoe Quist \\\\ Co
1-1\t0-2\t🍺\t*\tSYM\t_\t_\t_\t_\t_\t_\t_\t
1-2\t3-6\tZoe\t*\tNNP\t*[1]|*[2]\tPER[1]|FULL\\_NAME[2]\t_\t_\t_\t_\t_\t
1-3\t7-12\tQuist\t*\tNNP\t*[1]\tPER[1]\t_\t_\t_\t_\t_\t
1-3.1\t7-9\tQu\t_\t_\t*\tLOC\t_\t_\t_\t_\t_\t
1-4\t13-14\t\\\\\t*\t:\t_\t_\t_\t_\t_\t_\t_\t
1-5\t15-17\tCo\t*\tNNP\t*\tORG\t_\t_\t_\t_\t_\t

#Text=Gouda
2-1\t20-25\tGouda\t*\tNNP\t*\tLOC\tdrink\t_\t_\t_\t_\t
"""


def test_webanno_entities_words_and_escapes(tmp_path):
    found = read(tmp_path, {"train.tsv": WEBANNO})
    assert found.splits["train"] == [
        [("🍺", "O"), ("Zoe", "B-PER"), ("Quist", "I-PER"), ("\\", "O"), ("Co", "B-ORG")],
        [("Gouda", "B-LOC")],
    ]
    assert (found.remarks()["overlap"], found.remarks()["misfit"]) == (2, 1)
    assert read(tmp_path / "pos", {"train.tsv": WEBANNO}, layer="POS").tags[1] == "B-NNP"
    frames = read(tmp_path / "frames", {"train.tsv": WEBANNO}, layer="webanno.custom.Frame")
    assert frames.splits["train"][1] == [("Gouda", "B-drink")]
    with pytest.raises(DataError, match=r"no such layer; found POS, NamedEntity, Frame"):
        read(tmp_path / "no", {"train.tsv": WEBANNO}, layer="Love")


def test_webanno_refuses_words_that_are_not_in_the_text(tmp_path):
    with pytest.raises(DataError, match=r"train.tsv, sentence 1: the word 'Zoe' is not at 4-7"):
        read(tmp_path / "a", {"train.tsv": WEBANNO.replace("3-6", "4-7")})
    with pytest.raises(DataError, match=r"train.tsv, line 9: '1-1 0-2 🍺' is no word; expected 1-1, a tab"):
        read(tmp_path / "b", {"train.tsv": WEBANNO.replace("1-1\t0-2\t🍺\t", "1-1 0-2 🍺\n")})


# --- DocBin


def test_a_docbin_says_what_it_needs(tmp_path):
    try:
        import spacy  # noqa: F401
    except ImportError:
        packed = zlib.compress(b"\x85\xa7version\xa30.1\xa5attrs\x90")
        with pytest.raises(DataError, match=r"train.spacy: .*DocBin.*pip install 'hf-tagging\[spacy\]'"):
            read(tmp_path, {"train.spacy": packed})
    else:
        pytest.skip("spaCy is installed")


@pytest.mark.failure_mode("docbin")
@pytest.mark.parametrize("content", [b"no zlib", zlib.compress(b"x" * 1000)[:-8], b""])
def test_a_damaged_docbin_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"train.spacy: a damaged binary file of spaCy \(DocBin\)"):
        read(tmp_path, {"train.spacy": content})


@pytest.mark.failure_mode("docbin")
def test_a_bomb_is_not_unpacked(tmp_path):
    packer = zlib.compressobj(9)
    content = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    with pytest.raises(DataError, match=r"train.spacy: unpacks to more than 18 MiB"):
        read(tmp_path, {"train.spacy": content})


def docbin(path: Path):
    spacy = pytest.importorskip("spacy", reason="spaCy is not installed: pip install 'hf-tagging[spacy]'")
    from spacy.tokens import Doc, DocBin, Span

    vocab = spacy.blank("en").vocab
    first = Doc(vocab, ["Zoe", "Quist", "\n", "drinks", "🍺", "."], spaces=[True, False, False, True, False, False],
                sent_starts=[True, False, False, True, False, False],
                tags=["N", "N", "_SP", "V", "S", "."])  # fmt: skip
    first.ents = [Span(first, 0, 2, label="PER")]
    first.spans["drinks"] = [Span(first, 4, 5, label="BEER")]
    second = Doc(vocab, ["Gouda", "or", "so"])
    second.set_ents([Span(second, 0, 1, label="LOC")], missing=[second[2:3]], default="outside")
    unseen = Doc(vocab, ["Not", "annotated"])
    DocBin(docs=[first, second, unseen], store_user_data=True).to_disk(path)


def test_a_docbin_is_read_by_spacy(tmp_path):
    docbin(tmp_path / "made.spacy")
    files = {"train.spacy": (tmp_path / "made.spacy").read_bytes()}
    found = read(tmp_path, files)
    assert found.splits["train"] == [
        [("Zoe", "B-PER"), ("Quist", "I-PER")],
        [("drinks", "O"), ("🍺", "O"), (".", "O")],
        [("Gouda", "B-LOC"), ("or", "O"), ("so", None)],
    ]
    assert found.remarks()["unused"] == 1
    layer = read(tmp_path / "b", {"train.spacy": files["train.spacy"]}, task="pos")
    assert layer.tags == ["N", "N"]
    with pytest.raises(DataError, match="no such group of spans; found drinks"):
        read(tmp_path / "c", files, layer="beer")
    content = bytearray(zlib.decompress(files["train.spacy"]))
    content[len(content) // 2 :] = b""
    with pytest.raises(DataError, match="a damaged binary file of spaCy"):
        read(tmp_path / "d", {"train.spacy": zlib.compress(bytes(content))})
