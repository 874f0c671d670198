"""Exports of annotation tools go in, and come back in the tool's format with predictions and all else they held."""

import json

import pytest
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.data.formats import FORMATS
from hf_tagging.data.formats.base import Document
from hf_tagging.data.notes import FileNotes
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.inference import FileCounts, Tagger, tag_documents, tag_file
from hf_tagging.inference.documents import word_rows
from hf_tagging.inference.exports import read_export, tagging_request

TEXT = "Jordan 😀 moved to Porto."


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="session")
def tagger(folder):
    return Tagger.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="session")
def entities(tagger):
    """Start, end and type of each entity of TEXT."""
    found = [(e.start, e.end, e.type) for e in tagger.tag_text(TEXT).entities]
    assert len(found) >= 2
    return found


@pytest.fixture
def tag(tagger, tmp_path):
    """Tags an export of this content and gives what was written."""

    def _tag(content, name="export.jsonl", **options):
        (tmp_path / name).write_text(content, encoding="utf-8")
        tag_file(tagger, tmp_path / name, tmp_path / "tagged", overwrite=True, **options)
        return (tmp_path / "tagged").read_text(encoding="utf-8")

    return _tag


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


class TestDocuments:
    def test_spans_are_the_entities_with_their_scores(self, tagger, entities):
        document = next(tag_documents(tagger, [Document(text=TEXT, spans=[], id="7", extra={"who": "me"})]))
        assert [(s.start, s.end, s.type) for s in document.spans] == entities
        assert all(0 < s.score <= 1 for s in document.spans)
        assert (document.id, document.extra, document.model) == ("7", {"who": "me"}, "bert")

    def test_words_of_the_document_are_kept(self, tagger):
        document = Document(text="Jordan's Porto", spans=[], words=[(0, 8), (9, 14)])
        found = next(tag_documents(tagger, [document]))
        assert found.words == document.words
        assert found.spans
        assert {(s.start, s.end) for s in found.spans} <= {(0, 8), (9, 14), (0, 14)}

    def test_lines_of_a_text_are_tagged_apart_as_in_training(self, tagger):
        text = "Jordan waved\n\nPorto"
        cutter = tagger.cutter(lambda _: [(0, 6), (7, 12), (14, 19)])
        assert word_rows(Document(text=text, spans=[]), cutter) == [[(0, 6), (7, 12)], [(14, 19)]]
        both = next(tag_documents(tagger, [Document(text=text, spans=[])])).spans
        last = next(tag_documents(tagger, [Document(text="Porto", spans=[])])).spans
        assert [(s.start - 14, s.type) for s in both if s.start >= 14] == [(s.start, s.type) for s in last]

    def test_a_stream_is_tagged_as_it_comes(self, tagger):
        taken = []

        def stream():
            for number in range(12_000):
                taken.append(number)
                yield Document(text="" if number % 3 else "Porto", spans=[], id=str(number))

        found = tag_documents(tagger, stream())
        assert [next(found).id for _ in range(3)] == ["0", "1", "2"]
        assert len(taken) < 9000, "all was read before anything was tagged"
        rest = list(found)
        assert [document.id for document in rest] == [str(number) for number in range(3, 12_000)]
        assert not rest[1].spans

    @pytest.mark.parametrize("text", ["Porto", ""])
    def test_an_error_of_the_source_is_raised(self, text, tagger):
        def stream():
            yield Document(text=text, spans=[])
            raise DataError("line 2")

        with pytest.raises(DataError, match="line 2"):
            list(tag_documents(tagger, stream()))

    def test_a_tagger_of_parts_of_speech_marks_every_word(self, tmp_path):
        tagger = Tagger.from_pretrained(tiny_bert(tmp_path, tags=("NN", "VB")), device="cpu")
        document = next(tag_documents(tagger, [Document(text="Jordan waved", spans=[])]))
        assert [(s.start, s.end) for s in document.spans] == [(0, 6), (7, 12)]
        assert [s.type for s in document.spans] == tagger.tag(["Jordan", "waved"])


class TestTools:
    def test_doccano(self, tag, entities, caplog):
        rows = [{"id": 3, "text": TEXT, "label": [[0, 6, "X"]], "who": "me"}, {"id": 4, "text": "Porto", "label": []}]
        first, second = map(json.loads, tag(lines(rows)).splitlines())
        assert first == {"id": 3, "text": TEXT, "label": [list(e) for e in entities], "who": "me"}
        assert second["id"] == 4
        assert "1 text with annotated spans: the predicted ones are in their place" in caplog.text

    def test_prodigy(self, tag, tagger):
        tokens = [{"text": "Jordan", "start": 0, "end": 6, "id": 0}, {"text": "waved", "start": 7, "end": 12, "id": 1}]
        row = {"text": "Jordan waved", "tokens": tokens, "spans": [], "_input_hash": 12, "meta": {"page": 3}}
        written = json.loads(tag(lines([row])))
        assert written["tokens"] == tokens
        assert (written["_input_hash"], written["meta"]["page"]) == (12, 3)
        assert [(s["start"], s["end"]) for s in written["spans"]]
        assert all(0 < span["score"] <= 1 for span in written["spans"])

    def test_label_studio_keeps_annotations_beside_predictions(self, tag, entities, caplog):
        result = {"id": "a", "from_name": "ner", "to_name": "txt", "type": "labels", "origin": "manual",
                  "value": {"start": 0, "end": 6, "text": "Jordan", "labels": ["PER"]}}  # fmt: skip
        tasks = [
            {"id": 1, "data": {"txt": TEXT, "page": 7}, "annotations": [{"id": 5, "result": [result]}], "meta": {}},
            {"id": 2, "data": {"txt": TEXT}, "annotations": []},
        ]
        written = json.loads(tag(json.dumps(tasks), name="export.json"))
        for before, task in zip(tasks, written, strict=True):
            prediction = task.pop("predictions")
            assert task == before
            assert [p["model_version"] for p in prediction] == ["bert"]
            places = [(r["value"]["start"], r["value"]["end"], *r["value"]["labels"]) for r in prediction[0]["result"]]
            assert places == entities
            assert {(r["from_name"], r["to_name"]) for r in prediction[0]["result"]} == {("ner", "txt")}
            assert 0 < prediction[0]["score"] <= 1
        assert "in their place" not in caplog.text

    def test_brat_is_a_folder(self, tagger, entities, tmp_path):
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus/one.txt").write_text(TEXT)
        (tmp_path / "corpus/one.ann").write_text("T1\tX 0 6\tJordan\n")
        with pytest.raises(ConfigError, match=r"brat standoff is a folder of files\. Give its name: output="):
            tag_file(tagger, tmp_path / "corpus")
        counts = tag_file(tagger, tmp_path / "corpus", tmp_path / "out")
        assert (tmp_path / "out/one.txt").read_text() == TEXT
        found = (tmp_path / "out/one.ann").read_text().splitlines()
        shown = [line.split("\t")[1] for line in found if line.startswith("T")]
        assert shown == [f"{kind} {start} {end}" for start, end, kind in entities]
        assert counts == FileCounts(1, len(tagger.tag_text(TEXT).words))
        with pytest.raises(OutputError, match="is there already; give another name"):
            tag_file(tagger, tmp_path / "corpus", tmp_path / "out")
        tag_file(tagger, tmp_path / "corpus", tmp_path / "out", overwrite=True)
        (tmp_path / "out/mine.doc").write_text("mine")
        with pytest.raises(OutputError, match=r"holds mine.doc, which no conversion has written"):
            tag_file(tagger, tmp_path / "corpus", tmp_path / "out", overwrite=True)

    def test_rows_of_text_alone_are_no_export(self, tag):
        written = json.loads(tag(lines([{"text": "Porto"}])))
        assert written.keys() == {"text", "words", "tags", "entities"}
        again = json.loads(tag(lines([written | {"tags": ["X"]}])))
        assert again == written, "what was tagged before is tagged anew"
        as_rows = json.loads(tag(lines([{"text": "Porto", "label": []}]), format="jsonl"))
        assert {"label", "words", "tags"} < as_rows.keys()

    def test_a_format_that_is_only_read_says_what_to_export(self, tag):
        row = {"text": "Porto", "label": {"place": {"Porto": [[0, 4]]}}}
        with pytest.raises(
            DataError, match=r"is CLUENER.*, which predictions are not written in\. Export it as one of"
        ):
            tag(lines([row]))

    def test_a_broken_row_is_refused_and_nothing_is_written(self, tag, tmp_path):
        with pytest.raises(DataError, match=r"export.jsonl, line 2"):
            tag('{"text": "Porto", "label": []}\n{"text": "Porto", "label": [[0,\n')
        assert not (tmp_path / "tagged").exists()

    def test_annotated_spans_give_way_and_need_not_be_right(self, tag, tmp_path, caplog):
        assert json.loads(tag('{"text": "Porto", "label": [[0, 9, "X"]]}\n'))["text"] == "Porto"
        assert "dropped (line 1: a span from 0 to 9 in a text of 5 characters)" in caplog.text

    def test_advice_can_be_followed(self, tag, tagger, tmp_path):
        tasks = [{"id": 1, "data": {"head": "Porto", "body": TEXT}, "annotations": []}]
        with pytest.raises(DataError, match="tokens_column"):
            tag(json.dumps(tasks), name="export.json")
        written = json.loads(tag(json.dumps(tasks), name="export.json", tokens_column="body"))
        results = written[0]["predictions"][0]["result"]
        assert {result["value"]["text"] for result in results} == {e.text for e in tagger.tag_text(TEXT).entities}
        header = "#FORMAT=WebAnno TSV 3.3\n#T_SP=custom.Entity|value\n\n\n#Text=Porto\n1-1\t0-5\tPorto\tLOC\t\n"
        (tmp_path / "a.tsv").write_text(header)
        request = tagging_request(layer="other")
        with pytest.raises(DataError, match="layer=other: no such layer"):
            list(read_export(FORMATS["webanno"], tmp_path / "a.tsv", FileNotes("a.tsv"), request))

    def test_encoding_of_texts(self, tagger, tmp_path):
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus/one.txt").write_bytes("Jordan ging nach Köln".encode("latin-1"))
        (tmp_path / "corpus/one.ann").write_text("")
        tag_file(tagger, tmp_path / "corpus", tmp_path / "out", encoding="latin-1")
        assert (tmp_path / "out/one.txt").read_text(encoding="utf-8").endswith("Köln")

    def test_options_of_exports_are_refused_for_other_files(self, tag):
        with pytest.raises(ConfigError, match=r"layer=ner: goes with exports of annotation tools, and .* is none"):
            tag("Porto\n", name="a.txt", layer="ner")

    def test_an_empty_table_is_said_to_be_empty(self, tag):
        for options in ({}, {"text_column": "body"}):
            with pytest.raises(DataError, match=r"a.csv: is empty; expected names of columns"):
                tag("\ufeff\n", name="a.csv", **options)

    def test_an_unknown_format_is_refused_with_all_there_are(self, tag):
        with pytest.raises(ConfigError, match=r"format=xml: expected one of column, jsonl, text, csv, brat"):
            tag("", format="xml")


def test_the_command_finds_the_format_by_what_is_in_the_file(folder, tmp_path, capsys):
    (tmp_path / "export.txt").write_text(lines([{"id": 1, "text": TEXT, "label": []}]))
    main(["predict", str(folder), "--input", str(tmp_path / "export.txt")])
    printed = capsys.readouterr()
    assert json.loads(printed.out).keys() == {"id", "text", "label"}
    assert printed.err.endswith("words in 1 sentences.\n")
