"""Corpora annotated shard by shard: what is written, what is set aside, and what a kill costs."""

import io
import json
import multiprocessing
import signal
import subprocess
import sys
import threading
import time

import datasets
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from recipe_runs import ROOT, environment, recipe_command
from tiny_models import tiny_bert

from hf_tagging import Tagger
from hf_tagging.annotating import AnnotationRequest, annotate_corpus
from hf_tagging.annotating import lines as annotating_lines
from hf_tagging.annotating.lines import csv_rows
from hf_tagging.annotating.rows import Rejected
from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError
from hf_tagging.inference import tag_file

TEXTS = [
    "The chef from Lisbon will book a table in May.",
    "Jordan loves her book. Two old ships sailed past Porto; nobody waved.",
    "Is the river Douro longer than 1,000.50 metres?",
    "Ask Maria, she's been walking there for days!",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model")))


@pytest.fixture
def annotate(model, tmp_path):
    """Annotates by one worker, and returns the summary and the rows that were written."""

    def _annotate(*paths, output="out", overwrite=False, **arguments):
        arguments = {"workers": 1, "rows_per_shard": 3, "device": "cpu"} | arguments
        folder = tmp_path / output
        request = AnnotationRequest(
            **{"model": [model], "input": [str(path) for path in paths], "output": str(folder)} | arguments
        )
        return annotate_corpus(request, overwrite=overwrite), rows_of(folder)

    return _annotate


def rows_of(folder):
    parts = sorted(folder.glob("part-*"))
    if parts[0].suffix == ".jsonl":
        return [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    return [row for part in parts for row in pq.read_table(part).to_pylist()]


def rejected_of(folder):
    return [json.loads(line) for line in (folder / "rejected.jsonl").read_text().splitlines()]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def numbered(path, count=10):
    return write_jsonl(path, [{"id": i, "text": f"{TEXTS[i % 4]} {i}"} for i in range(count)])


class TestRows:
    @pytest.mark.parametrize("format", ["parquet", "jsonl"])
    def test_have_what_predict_gives_them_beside_their_columns(self, annotate, model, tmp_path, format):
        source = numbered(tmp_path / "in.jsonl")
        tag_file(Tagger.from_pretrained(model, device="cpu"), source, tmp_path / "tagged.jsonl", format="jsonl")
        summary, rows = annotate(source, format=format)
        expected = [json.loads(line) for line in (tmp_path / "tagged.jsonl").read_text().splitlines()]
        assert rows == expected
        assert sorted(path.name for path in (tmp_path / "out").glob("part-*")) == [
            f"part-0000{number}.{format}" for number in range(4)
        ]
        assert (summary["rows"], summary["annotated"], summary["rejected"], summary["shards"]) == (10, 10, 0, 4)
        assert summary["words"] == sum(len(row["tags"]) for row in expected)
        assert summary["entities"] == sum(len(row["entities"]) for row in expected) > 0
        assert json.loads((tmp_path / "out" / "annotation.json").read_text()) == summary

    def test_of_words_get_a_tag_and_a_score_each(self, annotate, model, tmp_path):
        words = [text.split() for text in TEXTS]
        pq.write_table(pa.table({"tokens": words, "name": list("abcd")}), tmp_path / "in.parquet")
        _, rows = annotate(tmp_path / "in.parquet")
        tagger = Tagger.from_pretrained(model, device="cpu")
        found = tagger.tag_with_scores(words)
        assert [row["name"] for row in rows] == list("abcd")
        assert [row["tokens"] for row in rows] == words
        assert [row["tags"] for row in rows] == [[tag for tag, _ in tagged] for tagged in found]
        assert rows[0]["scores"] == [round(score, 6) for _, score in found[0]]
        for entity in (entity for row in rows for entity in row["entities"]):
            assert set(entity) == {"type", "text", "score", "first_word", "end_word"}
        entity = rows[1]["entities"][0]
        assert entity["text"] == " ".join(words[1][entity["first_word"] : entity["end_word"]])

    def test_keep_their_types_and_the_features_of_datasets(self, annotate, tmp_path):
        features = datasets.Features(
            {"text": datasets.Value("string"), "kind": datasets.ClassLabel(names=["news", "mail"]),
             "when": datasets.Value("timestamp[us]"), "parts": datasets.List(datasets.Value("int16"))}
        )  # fmt: skip
        rows = {"text": TEXTS, "kind": [0, 1, 1, 0], "when": [1, 2, None, 4], "parts": [[1], [], None, [2, 3]]}
        data = datasets.Dataset.from_dict(rows, features=features)
        data.to_parquet(tmp_path / "in.parquet")
        data.save_to_disk(tmp_path / "saved")
        _, ours = annotate(tmp_path / "in.parquet")
        assert {name: [row[name] for row in ours] for name in ("text", "kind", "parts")} == {
            name: rows[name] for name in ("text", "kind", "parts")
        }
        read = datasets.load_dataset("parquet", data_files=f"{tmp_path}/out/part-*.parquet", split="train")
        assert {name: read.features[name] for name in features} == features
        assert read[0]["words"][1] == ours[0]["words"][1]
        assert annotate(tmp_path / "saved", output="of-saved")[1] == ours

    def test_of_csv_and_text_are_those_of_json_lines(self, annotate, tmp_path):
        (tmp_path / "in.txt").write_text("\n".join([TEXTS[0], "", *TEXTS[1:]]) + "\n")
        (tmp_path / "in.csv").write_text(
            "id;body\n" + "".join(f'{i};"{text}"\n' for i, text in enumerate([*TEXTS[:3], 'Ask ""Maria"",\nand wait.']))
        )
        _, of_text = annotate(tmp_path / "in.txt", output="text")
        _, of_csv = annotate(tmp_path / "in.csv", output="csv", text_column="body", rows_per_shard=2)
        assert [row["text"] for row in of_text] == TEXTS
        assert [(row["id"], row["body"]) for row in of_csv] == [
            *((str(i), text) for i, text in enumerate(TEXTS[:3])), ("3", 'Ask "Maria",\nand wait.')
        ]  # fmt: skip
        assert [row["words"] for row in of_csv[:3]] == [row["words"] for row in of_text[:3]]

    def test_of_several_files_are_in_their_order(self, annotate, tmp_path):
        (tmp_path / "corpus" / "deep").mkdir(parents=True)
        numbered(tmp_path / "corpus" / "b.jsonl", 4)
        numbered(tmp_path / "corpus" / "deep" / "c.ndjson", 2)
        (tmp_path / "corpus" / "notes.xyz").write_text("no data")
        _, rows = annotate(tmp_path / "corpus", rows_per_shard=3)
        assert [row["id"] for row in rows] == [0, 1, 2, 3, 0, 1]

    def test_of_json_lines_of_many_types_become_columns_that_all_shards_have(self, annotate, tmp_path):
        rows = [{"text": TEXTS[0], "a": 1, "b": 1, "c": "x"}, {"text": TEXTS[1], "b": 1.5, "d": {"e": [1]}},
                {"text": TEXTS[2], "c": 2}, {"text": TEXTS[3], "f": None, "g": ["x"], "h": 2**70}]  # fmt: skip
        source = write_jsonl(tmp_path / "in.jsonl", rows)
        _, found = annotate(source, rows_per_shard=1)
        kept = [{name: row[name] for name in "abcdfgh"} for row in found]
        nothing = dict.fromkeys("abcdfgh")
        assert kept == [
            nothing | {"a": 1, "b": 1.0, "c": '"x"'}, nothing | {"b": 1.5, "d": '{"e": [1]}'},
            nothing | {"c": "2"}, nothing | {"g": ["x"], "h": str(2**70)},
        ]  # fmt: skip
        _, as_lines = annotate(source, output="lines", format="jsonl")
        assert [
            {name: value for name, value in row.items() if name in rows[i]} for i, row in enumerate(as_lines)
        ] == rows

    def test_may_be_null_in_files_that_say_so(self, annotate, tmp_path):
        required = pa.schema([("text", pa.string()), pa.field("id", pa.int64(), nullable=False)])
        pq.write_table(pa.table({"text": TEXTS[:1], "id": [1]}, schema=required), tmp_path / "a.parquet")
        pq.write_table(pa.table({"text": TEXTS[:2], "id": [2, None]}), tmp_path / "b.parquet")
        _, rows = annotate(tmp_path / "a.parquet", tmp_path / "b.parquet")
        assert [row["id"] for row in rows] == [1, 2, None]

    @pytest.mark.parametrize("format", ["parquet", "jsonl"])
    def test_of_strings_as_polars_writes_them(self, annotate, tmp_path, format):
        views = {"text": pa.string_view(), "keys": pa.list_(pa.string_view())}
        columns = {"text": [TEXTS[0], None, *TEXTS[1:3]], "keys": [["a"], ["b"], [], ["c", None]]}
        table = pa.table({name: pa.array(columns[name], of_type) for name, of_type in views.items()})
        with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as file:
            file.write_table(table)
        _, rows = annotate(tmp_path / "in.arrow", format=format, rows_per_shard=10)
        assert [row["text"] for row in rows] == TEXTS[:3]
        assert [row["keys"] for row in rows] == [["a"], [], ["c", None]]

    def test_features_that_cannot_be_read_are_left_out(self, annotate, tmp_path):
        damaged = pa.table({"text": TEXTS[:1]}).replace_schema_metadata({b"huggingface": b"damaged"})
        pq.write_table(damaged, tmp_path / "in.parquet")
        assert [row["text"] for row in annotate(tmp_path / "in.parquet")[1]] == TEXTS[:1]

    def test_begin_anywhere_in_a_parquet_file(self, annotate, tmp_path):
        table = pa.table({"text": [f"{TEXTS[i % 4]} {i}" for i in range(20)]})
        pq.write_table(table, tmp_path / "in.parquet", row_group_size=6)
        _, rows = annotate(tmp_path / "in.parquet", rows_per_shard=4)
        assert [row["text"] for row in rows] == table["text"].to_pylist()


class TestSetAside:
    @pytest.mark.failure_mode("annotate-rows")
    def test_are_rows_that_cannot_be_tagged(self, annotate, tmp_path):
        lines = [
            json.dumps({"text": TEXTS[0]}).encode(), b'{"text": ', b'{"text": 5}', b'{"text": "\xff"}', b"{}", b"[1]",
            b"", b'{"text": "\\ud800"}', b'{"text": " "}', json.dumps({"text": "x" * 101}).encode(),
            b"[" * 50_000, json.dumps({"text": TEXTS[2]}).encode(),
        ]  # fmt: skip
        (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
        summary, rows = annotate(tmp_path / "in.jsonl", max_characters=100)
        assert [row["text"] for row in rows] == [TEXTS[0], TEXTS[2]]
        found = rejected_of(tmp_path / "out")
        assert {row["file"] for row in found} == {str(tmp_path / "in.jsonl")}
        reasons = {row["row"]: row["reason"] for row in found}
        assert list(reasons) == [2, 3, 4, 5, 6, 8, 9, 10, 11]
        for row, said in {2: "is not JSON: Expecting value", 3: "'5' is no string", 4: "byte 0xff", 5: "no text",
                          6: "no JSON object", 8: "half of a surrogate pair", 9: "no word in the text",
                          10: "101 characters; the most is 100", 11: "nested too deep"}.items():  # fmt: skip
            assert said in reasons[row]
        assert (summary["annotated"], summary["rejected"]) == (2, 9)
        assert sum(summary["rejected_because"].values()) == 9

    def test_are_broken_rows_of_csv_and_not_those_behind(self, annotate, tmp_path):
        (tmp_path / "in.csv").write_bytes(
            b'text,id\nOne book.,1\nTwo,2,3\n"Three,4\nFour ships.,5\nFive\xff,6\n"Six\nships.",7\n'
        )
        _, rows = annotate(tmp_path / "in.csv")
        assert [(row["text"], row["id"]) for row in rows] == [
            ("One book.", "1"), ("Four ships.", "5"), ("Six\nships.", "7")
        ]  # fmt: skip
        found = rejected_of(tmp_path / "out")
        assert [row["row"] for row in found] == [3, 4, 6]
        assert "3 columns; expected 2" in found[0]["reason"]
        assert "not CSV" in found[1]["reason"]
        assert "byte 0xff" in found[2]["reason"]

    def test_is_a_quote_that_is_never_closed_in_bounded_memory(self, monkeypatch):
        monkeypatch.setattr(annotating_lines, "LONGEST_CSV_ROW", 100)
        stream = io.BytesIO(b'a,b\n"open,1\n' + b"good,2\n" * 50)
        rows = [*csv_rows(",", 2)(stream, 1)]
        assert [row.number for row in rows if isinstance(row.value, Rejected)] == [2]
        assert [row.value for row in rows if not isinstance(row.value, Rejected)] == [["a", "b"], *[["good", "2"]] * 50]

    def test_is_a_line_without_an_end(self, monkeypatch):
        monkeypatch.setattr(annotating_lines, "LONGEST_LINE", 10)
        rows = [*annotating_lines.text_rows(io.BytesIO(b"one\n" + b"x" * 35 + b"\n0123456789\ntwo"), 1)]
        assert [(row.number, row.end) for row in rows] == [(1, 4), (2, 40), (3, 51), (4, 54)]
        assert [row.value for row in rows if isinstance(row.value, str)] == ["one", "two"]

    def test_are_rows_of_a_damaged_part_of_parquet(self, annotate, tmp_path):
        table = pa.table({"text": [f"{TEXTS[i % 4]} {i}" for i in range(12)]})
        path = tmp_path / "in.parquet"
        pq.write_table(table, path, row_group_size=4, compression="zstd", use_dictionary=False)
        chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
        content = bytearray(path.read_bytes())
        middle = chunk.data_page_offset + chunk.total_compressed_size // 2
        content[middle : middle + 20] = bytes(20)
        path.write_bytes(content)
        summary, rows = annotate(path, rows_per_shard=4)
        texts = table["text"].to_pylist()
        assert [row["text"] for row in rows] == [*texts[:4], *texts[8:]]
        assert summary["rejected_because"] == {"damaged": 4}
        assert [row["row"] for row in rejected_of(tmp_path / "out")] == [5, 6, 7, 8]

    def test_are_rows_of_a_damaged_row_group_and_not_those_behind(self, annotate, tmp_path):
        path = tmp_path / "in.parquet"
        pq.write_table(pa.table({"text": TEXTS * 10, "id": range(40)}), path, row_group_size=4, use_dictionary=False)
        damaged = bytearray(path.read_bytes())
        start = pq.read_metadata(path).row_group(4).column(0).data_page_offset  # of rows 17 to 20
        damaged[start : start + 20] = b"\xff" * 20
        path.write_bytes(damaged)
        summary, rows = annotate(path, rows_per_shard=35)
        assert [row["id"] for row in rows] == [*range(16), *range(20, 40)]
        assert [row["row"] for row in rejected_of(tmp_path / "out")] == [17, 18, 19, 20]
        assert summary["rejected_because"] == {"damaged": 4}


class TestFolders:
    def test_what_is_left_out_is_told(self, annotate, tmp_path, caplog):
        corpus = tmp_path / "corpus"
        (corpus / "deep").mkdir(parents=True)
        (tmp_path / "elsewhere").mkdir()
        (corpus / "linked").symlink_to(tmp_path / "elsewhere")
        (corpus / "b.jsonl.gz").write_bytes(b"\x1f\x8b")
        (corpus / ".hidden").write_text("")
        numbered(corpus / "a.jsonl", 2)
        assert len(annotate(corpus)[1]) == 2
        assert f"{corpus}: left out 'linked, b.jsonl.gz'. What is read ends with .parquet" in caplog.text

    def test_may_hold_the_output(self, annotate, tmp_path):
        corpus = tmp_path / "corpus"
        corpus.mkdir()
        numbered(corpus / "a.jsonl", 7)
        _, rows = annotate(corpus, output="corpus/annotated")
        (corpus / "annotated" / "part-00001.parquet").unlink()
        summary, again = annotate(corpus, output="corpus/annotated")
        assert (again, summary["rows"], summary["last_start"]["rows"]) == (rows, 7, 3)
        with pytest.raises(DataError, match=r"part-00000\.parquet is in the folder that is written"):
            annotate(corpus / "annotated" / "part-00000.parquet", output="corpus/annotated")

    def test_a_file_is_one_by_any_path(self, annotate, tmp_path):
        (tmp_path / "corpus").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "corpus")
        source = numbered(tmp_path / "corpus" / "a.jsonl")
        for same in (tmp_path / "corpus" / ".." / "corpus" / "a.jsonl", tmp_path / "link" / "a.jsonl"):
            with pytest.raises(DataError, match=r"a\.jsonl is given twice"):
                annotate(source, same)


class TestRefused:
    @pytest.mark.failure_mode("annotate-other")
    def test_is_to_go_on_with_something_else(self, annotate, model, tmp_path):
        source = numbered(tmp_path / "in.jsonl")
        _, rows = annotate(source)
        with pytest.raises(
            OutputError, match=r"(?s)asked something else:\n  min_confidence: was 0.0, is 0.5.*overwrite"
        ):
            annotate(source, min_confidence=0.5)
        other = tiny_bert(tmp_path / "other", seed=1)
        with pytest.raises(OutputError, match="bert is not the one that has begun"):
            annotate(source, model=[str(other)])
        with pytest.raises(OutputError, match=r"also .*more\.jsonl"):
            annotate(source, numbered(tmp_path / "more.jsonl"))
        numbered(source, 11)
        with pytest.raises(OutputError, match=r"in\.jsonl: has changed since"):
            annotate(source)
        assert rows_of(tmp_path / "out") == rows
        assert len(annotate(source, overwrite=True)[1]) == 11

    def test_is_a_folder_with_other_files(self, annotate, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("mine")
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=r"holds files that are of no annotation \(thesis\.tex"):
                annotate(numbered(tmp_path / "in.jsonl"), overwrite=overwrite)
        assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"

    @pytest.mark.failure_mode("annotate-columns")
    def test_are_columns_that_would_be_there_twice(self, annotate, tmp_path):
        source = write_jsonl(tmp_path / "in.jsonl", [{"text": TEXTS[0], "tags": ["x"]}])
        with pytest.raises(
            DataError, match=r"has the column tags, and .* words, tags, entities\. Give prefix=predicted_"
        ):
            annotate(source)
        _, rows = annotate(source, prefix="predicted_")
        assert (rows[0]["tags"], set(rows[0])) == (
            ["x"], {"text", "tags", "predicted_words", "predicted_tags", "predicted_entities"}
        )  # fmt: skip

    def test_are_inputs_that_hold_no_rows_to_tag(self, annotate, tmp_path):
        refused = {
            "empty.jsonl": (b"", "there is no row to annotate"),
            "empty.csv": (b"", "there is no row to annotate"),
            "head.csv": (b"text\n", "there is no row to annotate"),
            "array.json": (b'[{"text": "a"}]', "is a JSON array; expected an object per line"),
            "body.jsonl": (b'{"body": "a"}\n', r"no column is called text or tokens; .*text_column=body"),
            "numbers.csv": (b"a,b\n1,2\n", "no column is called text or tokens"),
            "words.txt": (b"The DT\nbook NN\n\n" * 4, "looks like columns"),
            "pretty.json": (b'{\n  "text": "a"\n}\n', r"no line is a JSON object with a key; .*jq -c \. pretty\.json"),
            "in.jsonl.gz": (b"\x1f\x8b\x08text", "compressed by gzip"),
            "zipped.csv": (b"\x1f\x8b\x08text", "compressed by gzip"),
            "wide.txt": ("text".encode("utf-16"), "UTF-16"),
            "what.bin": (b"abc", "does not tell what it is"),
            "cut.parquet": (b"PAR1abc", "cannot be read as Parquet"),
        }
        for name, (content, said) in refused.items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match=said):
                annotate(tmp_path / name)
        with pytest.raises(DataError, match=r"no-such\.jsonl does not exist"):
            annotate(tmp_path / "no-such.jsonl")
        pq.write_table(pa.table({"text": ["a"]}), tmp_path / "one.parquet")
        numbered(tmp_path / "in.jsonl")
        with pytest.raises(DataError, match=r"in\.jsonl has the columns 'id .*'; .*one\.parquet has"):
            annotate(tmp_path / "one.parquet", tmp_path / "in.jsonl")
        assert not list((tmp_path / "out").glob("part-*"))

    def test_are_class_names_that_differ(self, annotate, tmp_path):
        for name, classes in (("a", ["news", "mail"]), ("b", ["mail", "news"])):
            features = datasets.Features({"text": datasets.Value("string"), "kind": datasets.ClassLabel(names=classes)})
            rows = datasets.Dataset.from_dict({"text": TEXTS[:1], "kind": [0]}, features=features)
            rows.to_parquet(tmp_path / f"{name}.parquet")
        with pytest.raises(DataError, match=r"b\.parquet: the column 'kind' is .*'mail', 'news'.*; in .*a\.parquet"):
            annotate(tmp_path / "a.parquet", tmp_path / "b.parquet")

    def test_are_columns_that_the_format_cannot_hold(self, annotate, tmp_path):
        table = pa.table({"text": TEXTS[:1], "span": pa.array([pa.MonthDayNano([1, 2, 3])])})
        with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as file:
            file.write_table(table)
        with pytest.raises(DataError, match=r"'span' holds month_day_nano_interval, .*Parquet.*format=jsonl"):
            annotate(tmp_path / "in.arrow")
        assert annotate(tmp_path / "in.arrow", format="jsonl")[1][0]["span"] == [1, 2, 3]
        broken = pa.array([b"fine", b"bad \xff"]).view(pa.string())
        pq.write_table(pa.table({"text": TEXTS[:2], "note": broken}), tmp_path / "in.parquet")
        with pytest.raises(DataError, match=r"'note' holds text that is not UTF-8, .*format=parquet"):
            annotate(tmp_path / "in.parquet", format="jsonl", output="lines")

    def test_are_arguments_together(self, model):
        with pytest.raises(ConfigError) as raised:
            AnnotationRequest(model=[model], input=["x"], output="y", format="xml", workers=0, ray_address="here")
        assert [problem.field for problem in raised.value.problems] == ["format", "workers", "ray_address"]

    def test_is_an_engine_that_is_not_installed(self, annotate, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(ConfigError, match=r"engine=ray: Ray is not installed.*hf-tagging\[ray\]"):
            annotate(numbered(tmp_path / "in.jsonl"), engine="ray")

    def test_is_a_missing_model_before_the_input_is_read(self, annotate, tmp_path):
        with pytest.raises(ModelError, match="there is no such folder"):
            annotate(tmp_path / "no.jsonl", model=[str(tmp_path / "none")])


def begin(model, source, output, *flags):
    """Starts the recipe."""
    command = recipe_command("annotate", "--model", model, "--input", source, "--output", output, "--workers", 2,
                             "--rows_per_shard", 10, "--format", "jsonl", "--device", "cpu", *flags)  # fmt: skip
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def wait_until(is_so, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def records(folder):
    return sorted((folder / "progress").glob("part-?????.json"))


class TestInterrupted:
    @pytest.mark.failure_mode("annotate-killed")
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
    def test_goes_on_with_the_first_shard_that_is_not_written(self, annotate, model, tmp_path, number):
        source = numbered(tmp_path / "in.jsonl", 1500)
        process = begin(model, source, tmp_path / "killed")
        wait_until(lambda: len(records(tmp_path / "killed")) >= 3 or process.poll() is not None)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        written = {path: path.stat().st_mtime_ns for path in records(tmp_path / "killed")}
        assert 3 <= len(written) < 150
        if number != signal.SIGKILL:
            assert not list((tmp_path / "killed").rglob("*.partial"))
            assert process.returncode == 128 + number
            assert told.rstrip().endswith("The shards that are written stay. The same command goes on with the others.")
        psutil.wait_procs(workers, timeout=30)
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
        summary, rows = annotate(source, output="killed", rows_per_shard=10, format="jsonl", workers=1)
        assert [row["id"] for row in rows] == list(range(1500))
        assert summary["last_start"]["rows"] == 1500 - 10 * len(written)
        assert {path: path.stat().st_mtime_ns for path in written} == written
        assert not list((tmp_path / "killed").rglob("*.partial"))

    @pytest.mark.failure_mode("annotate-worker")
    def test_a_worker_that_is_killed_is_started_again_once(self, annotate, tmp_path):
        source = numbered(tmp_path / "in.jsonl", 2000)
        with killing(1):
            summary, rows = annotate(source, rows_per_shard=1000)
        assert [row["id"] for row in rows] == list(range(2000))
        assert summary["annotated"] == 2000

    def test_a_fork_server_that_is_killed_while_it_starts_a_worker_is_started_again(
        self, annotate, tmp_path, monkeypatch
    ):
        started = multiprocessing.context.ForkServerProcess.start
        failures = [EOFError("unexpected EOF")]

        def start(process):
            if failures:
                raise failures.pop()
            started(process)

        monkeypatch.setattr(multiprocessing.context.ForkServerProcess, "start", start)
        source = numbered(tmp_path / "in.jsonl", 4)
        assert len(annotate(source)[1]) == 4
        failures += [EOFError("unexpected EOF")] * 2
        with pytest.raises(ModelError, match=r"No worker can be started\. .* give fewer workers\. The shards"):
            annotate(source, overwrite=True)

    def test_a_shard_that_ends_two_workers_is_named(self, annotate, tmp_path):
        source = numbered(tmp_path / "in.jsonl", 4000)
        with (
            killing(2),
            pytest.raises(ModelError, match=r"worker of shard 0 was ended by SIGKILL, .* second one.*workers"),
        ):
            annotate(source, rows_per_shard=4000)

    @pytest.mark.failure_mode("annotate-disk")
    def test_a_shard_that_cannot_be_written_ends_it_with_the_reason(self, annotate, tmp_path):
        source = numbered(tmp_path / "in.jsonl")
        annotate(source)
        (tmp_path / "out" / "part-00002.parquet").unlink()
        (tmp_path / "out" / "part-00002.parquet").mkdir()
        with pytest.raises(OutputError, match=r"part-00002\.parquet: is a folder"):
            annotate(source)


class killing:
    """Kills workers of this process as soon as they are there."""

    def __init__(self, times):
        self._left, self._seen, self._ended = times, set(), False
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *error):
        self._ended = True
        self._thread.join()

    def _look(self):
        while self._left and not self._ended:
            for server in psutil.Process().children():
                for worker in server.children():
                    if worker.pid not in self._seen:
                        self._seen.add(worker.pid)
                        self._left -= 1
                        worker.kill()
            time.sleep(0.005)
