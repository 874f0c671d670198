import json
import os
import re
import runpy
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tiny_models import TAGS, tiny_bert

from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.inference import FileCounts, Tagger, tag_file

RECIPE = Path(__file__).parent.parent / "recipes" / "predict.py"
COLUMNS = (
    "-DOCSTART- -X- -X- O\n\n"
    "# text = Jordan waved .\n"
    "Jordan NNP B-NP B-PER\nwaved  VBD B-VP O\n. . O O\n\n\n"
    "# # O O\n"
    "Porto NNP B-NP B-LOC\n"
)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def tagger(model):
    return Tagger.from_pretrained(str(model), device="cpu")


@pytest.fixture
def tag(tagger, tmp_path):
    """Tags a file of this content and gives the output."""

    def _tag(content, name="in.conll", **options):
        source, target = tmp_path / name, tmp_path / "out" / "tagged"
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        tag_file(tagger, source, target, **options)
        assert [path.name for path in target.parent.iterdir()] == ["tagged"]  # nothing half-written beside it
        return target.read_bytes().decode()

    return _tag


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


class TestColumns:
    def test_appends_the_tag_and_keeps_every_other_line(self, tag, tagger):
        first = tagger.tag(["Jordan", "waved", "."])
        second = tagger.tag(["#", "Porto"])

        assert tag(COLUMNS) == (
            "-DOCSTART- -X- -X- O\n\n"
            "# text = Jordan waved .\n"
            f"Jordan NNP B-NP B-PER {first[0]}\nwaved  VBD B-VP O {first[1]}\n. . O O {first[2]}\n\n\n"
            f"# # O O {second[0]}\n"
            f"Porto NNP B-NP B-LOC {second[1]}\n"
        )

    def test_takes_words_alone(self, tag, tagger):
        tags = tagger.tag(["Jordan", "#", "waved"])

        assert tag("Jordan\n#\nwaved\n\n") == f"Jordan\t{tags[0]}\n#\t{tags[1]}\nwaved\t{tags[2]}\n\n"
        assert tag("#Porto\n", overwrite=True) == f"#Porto\t{tagger.tag(['#Porto'])[0]}\n"

    def test_keeps_what_is_in_words_and_columns(self, tag, tagger):
        # A no-break space, U+2028 and an empty column are data; Windows line ends and a byte-order mark are not.
        tags = tagger.tag(["New\u00a0York", "\u2028", "\u200b"])

        assert tag(b"\xef\xbb\xbf" + "New\u00a0York\t\tx\r\n\u2028\t\ty\r\n\u200b\ta\t\r\n".encode()) == (
            f"New\u00a0York\t\tx\t{tags[0]}\n\u2028\t\ty\t{tags[1]}\n\u200b\ta\t\t{tags[2]}\n"
        )

    def test_reads_conllu(self, tag, tagger):
        tags = tagger.tag(["de", "el", "mar"])
        rest = "\t_" * 8

        assert tag(
            f"# sent_id = 1\n1-2\tdel{rest}\n1\tde{rest}\n2\tel{rest}\n2.1\tnada{rest}\n3\tmar{rest}\n\n", "in.conllu"
        ) == (
            f"# sent_id = 1\n1-2\tdel{rest}\t_\n1\tde{rest}\t{tags[0]}\n2\tel{rest}\t{tags[1]}\n"
            f"2.1\tnada{rest}\t_\n3\tmar{rest}\t{tags[2]}\n\n"
        )

    @pytest.mark.parametrize("column", [1, "1", -1, "-1"])
    def test_finds_the_words_where_it_is_told(self, tag, tagger, column):
        tags = tagger.tag(["Jordan", "waved"])

        assert tag("x,Jordan\ny,waved\n", tokens_column=column, separator=",") == (
            f"x,Jordan,{tags[0]}\ny,waved,{tags[1]}\n"
        )

    @pytest.mark.parametrize("blank", ["\n", ""])
    @pytest.mark.parametrize("mark", ["{word}", "{sentence}", "news-{sentence}"])
    def test_numbers_and_names_of_sentences_are_no_words(self, tag, tagger, mark, blank):
        given = written = ""
        for number, words in enumerate([["Jordan", "waved", "."], ["Porto", "is", "far"]] * 4):
            for index, (word, predicted) in enumerate(zip(words, tagger.tag(words), strict=True)):
                line = f"{mark.format(word=index + 1, sentence=number + 1)}\t{word}\tX"
                given, written = f"{given}{line}\n", f"{written}{line}\t{predicted}\n"
            given, written = given + blank, written + blank

        assert tag(given) == written

    def test_ends_a_sentence_at_a_document_mark(self, tag, tagger):
        tags = tagger.tag(["Jordan"]) + tagger.tag(["Porto"])

        assert tag("Jordan x\n-DOCSTART- O\nPorto x\n") == f"Jordan x {tags[0]}\n-DOCSTART- O\nPorto x {tags[1]}\n"

    @pytest.mark.parametrize(
        ("content", "options", "message"),
        [
            ("a B C\nd E\n", {}, r"in\.conll, line 2: 'd E' has 2 columns; expected 3"),
            ("a\nb c\n", {}, r"in\.conll, line 2: 'b c' has 2 columns; expected 1"),
            ("a B\n", {"tokens_column": 2}, r"tokens_column=2: there is no such position"),
            ("a B\n", {"tokens_column": "lemma"}, r"tokens_column=lemma: there is no such column"),
            ("a\n", {"tokens_column": "lemma"}, r"in\.conll, line 1: tokens_column=lemma: 'a' is a single column"),
            (b"a B\nb \xff\n", {}, r"in\.conll, line 2: byte 0xff"),
        ],
    )
    def test_says_what_is_broken_and_where(self, tagger, tmp_path, content, options, message):
        source = tmp_path / "in.conll"
        source.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(DataError, match=message):
            tag_file(tagger, source, tmp_path / "out", **options)
        assert [path.name for path in tmp_path.iterdir()] == ["in.conll"]


class TestJsonLines:
    def test_tags_words_and_text_and_keeps_other_keys(self, tag, tagger):
        found = rows(
            tag(
                '{"id": 7, "tokens": ["Jordan", "waved"], "né": "ñ"}\n\n{"text": "Jordan can\'t.", "id": 8}\n'
                '{"tokens": []}\n{"text": ""}\n',
                "in.jsonl",
            )
        )

        assert found[0] == {
            "id": 7,
            "tokens": ["Jordan", "waved"],
            "né": "ñ",
            "tags": tagger.tag(["Jordan", "waved"]),
        }
        tags = tagger.tag(["Jordan", "ca", "n't", "."])
        assert found[1]["id"] == 8
        assert found[1]["tags"] == tags
        assert [(w["text"], w["start"], w["end"], w["tag"]) for w in found[1]["words"]] == [
            ("Jordan", 0, 6, tags[0]),
            ("ca", 7, 9, tags[1]),
            ("n't", 9, 12, tags[2]),
            (".", 12, 13, tags[3]),
        ]
        assert all(0 <= word["score"] <= 1 for word in found[1]["words"])
        assert {"type", "text", "start", "end", "score", "first_word", "end_word"} == set(found[1]["entities"][0])
        assert found[2:] == [{"tokens": [], "tags": []}, {"text": "", "words": [], "tags": [], "entities": []}]

    def test_writes_strict_json(self, tag):
        assert rows(tag('{"tokens": ["a"], "x": [NaN, 1]}\n', "in.jsonl"))[0]["x"] == [None, 1]

    def test_writes_what_utf8_cannot(self, tag):
        assert rows(tag('{"tokens": ["\\ud800", "ñ"]}\n', "in.jsonl"))[0]["tokens"] == ["\ud800", "ñ"]

    def test_takes_another_key_for_the_words(self, tag, tagger):
        found = rows(tag('{"words": ["Jordan"], "text": "x"}\n', "in.jsonl", tokens_column="words"))

        assert found == [{"words": ["Jordan"], "text": "x", "tags": tagger.tag(["Jordan"])}]

    def test_has_no_entities_for_parts_of_speech(self, tmp_path):
        tagger = Tagger.from_pretrained(str(tiny_bert(tmp_path, tags=("NN", "VB"))), device="cpu")
        (tmp_path / "in.jsonl").write_text('{"text": "Jordan"}\n')
        tag_file(tagger, tmp_path / "in.jsonl", tmp_path / "out")

        assert set(rows((tmp_path / "out").read_text())[0]) == {"text", "words", "tags"}

    @pytest.mark.parametrize(
        ("line", "options", "message"),
        [
            ('{"tokens": ["a"', {}, "is not JSON"),
            ("[" * 100_000, {}, "is not JSON"),
            ('["a"]', {}, 'expected an object with "tokens", a list of strings, or "text", a string'),
            ('{"tokens": ["a", 1]}', {}, 'expected an object with "tokens"'),
            ('{"tokens": "a b"}', {}, 'expected an object with "tokens"'),
            ('{"text": "a"}', {"tokens_column": "words"}, 'expected an object with "words", a list of strings\\.'),
        ],
    )
    def test_says_what_is_broken_and_where(self, tagger, tmp_path, line, options, message):
        source = tmp_path / "in.jsonl"
        source.write_text('{"tokens": ["a"], "words": ["a"]}\n' + line + "\n")
        with pytest.raises(DataError, match=r"in\.jsonl, line 2: .*" + message):
            tag_file(tagger, source, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()


class TestText:
    def test_makes_a_row_of_every_line(self, tag, tagger):
        found = rows(tag("Jordan waved.\n\nPorto", "in.text"))

        assert [row["text"] for row in found] == ["Jordan waved.", "", "Porto"]
        assert found[0]["tags"] == tagger.tag(["Jordan", "waved", "."])


class TestFormat:
    def test_is_told_by_lines_where_the_suffix_does_not(self, tag):
        assert tag(COLUMNS, "in.txt").startswith("-DOCSTART- -X- -X- O\n")
        assert rows(tag("Jordan waved .\nPorto .\nThe chef from Lisbon .\n", "in.txt", overwrite=True))
        assert tag("a B\n" * 5, "in.txt", overwrite=True).startswith("a B ")

    @pytest.mark.parametrize("content", ["", "Jordan waved .\n", "a B\nc D\ne\n"])
    def test_is_not_guessed(self, tagger, tmp_path, content):
        (tmp_path / "in.txt").write_text(content)
        said = r"do not tell .* Give format=column or format=text" if content else r"the file is empty.* With format,"
        with pytest.raises(DataError, match=said):
            tag_file(tagger, tmp_path / "in.txt", tmp_path / "out")
        tag_file(tagger, tmp_path / "in.txt", tmp_path / "out", format="text")

    def test_is_one_of_those_that_there_are(self, tagger, tmp_path):
        (tmp_path / "in.txt").write_text("a")
        with pytest.raises(ConfigError, match="format=xml: expected one of column, jsonl, text, csv, brat"):
            tag_file(tagger, tmp_path / "in.txt", format="xml")


class TestOutput:
    def test_is_not_replaced_unless_asked(self, tagger, tmp_path):
        source, target = tmp_path / "in.conll", tmp_path / "out.conll"
        source.write_text("Jordan x\n")
        target.write_text("old")

        with pytest.raises(OutputError, match=r"out\.conll is there already; .*overwrite"):
            tag_file(tagger, source, target)
        assert target.read_text() == "old"
        assert tag_file(tagger, source, target, overwrite=True) == FileCounts(sentences=1, words=1)
        assert target.read_text().startswith("Jordan x ")

    def test_may_be_the_input(self, tagger, tmp_path):
        source = tmp_path / "in.conll"
        source.write_text("Jordan x\n")
        tag_file(tagger, source, source, overwrite=True)

        assert source.read_text() == f"Jordan x {tagger.tag(['Jordan'])[0]}\n"

    @pytest.mark.parametrize("error", [KeyboardInterrupt, DataError, MemoryError])
    def test_stays_as_it_was_when_something_goes_wrong(self, tagger, tmp_path, monkeypatch, error):
        source, target = tmp_path / "in.conll", tmp_path / "out.conll"
        source.write_text("Jordan x\n\n" * 3)
        target.write_text("old")
        windows, seen = tagger._aligner.windows, []

        def failing(sentences):
            seen.append(len(sentences))
            if len(seen) == 2:
                raise error
            return windows(sentences)

        monkeypatch.setattr(tagger._aligner, "windows", failing)
        monkeypatch.setattr("hf_tagging.inference.sentences.BLOCK_WORDS", 1)
        with pytest.raises(error):
            tag_file(tagger, source, target, overwrite=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.conll", "out.conll"]
        assert target.read_text() == "old"

    def test_is_checked_before_anything_is_read(self, tagger, tmp_path):
        with pytest.raises(OutputError, match="is a folder; expected the name of a file"):
            tag_file(tagger, __file__, tmp_path, overwrite=True)
        with pytest.raises(DataError, match="does not exist; did you mean"):
            tag_file(tagger, Path(__file__).with_name("test_predict.pi"))
        with pytest.raises(DataError, match="is a folder; expected a file"):
            tag_file(tagger, tmp_path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_that_cannot_be_written_is_named(self, tagger, tmp_path):
        (tmp_path / "in.conll").write_text("a B\n")
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(OutputError, match=r"closed/out: cannot be written \(Permission denied\)"):
            tag_file(tagger, tmp_path / "in.conll", tmp_path / "closed" / "out")

    def test_goes_to_standard_output(self, tagger, tmp_path, capsys):
        (tmp_path / "in.conll").write_text("Jordan x\n")
        tag_file(tagger, tmp_path / "in.conll")
        tag_file(tagger, tmp_path / "in.conll", "-")

        assert capsys.readouterr().out == f"Jordan x {tagger.tag(['Jordan'])[0]}\n" * 2

    def test_does_not_wait_for_the_whole_input(self, tagger, tmp_path, monkeypatch):
        (tmp_path / "in.conll").write_text("Jordan x\n\n" * 5000)
        read, windows = [], tagger._aligner.windows
        monkeypatch.setattr(tagger._aligner, "windows", lambda batch: read.append(len(batch)) or windows(batch))

        assert tag_file(tagger, tmp_path / "in.conll", tmp_path / "out").words == 5000
        assert read == [1000] * 5


class TestRecipe:
    @pytest.fixture
    def predict(self, monkeypatch, capsys, model):
        """Runs the recipe in this process: exit code, standard output, standard error."""

        def _predict(*flags):
            monkeypatch.setattr(sys, "argv", ["predict.py", "--model", str(model), "--device", "cpu", *map(str, flags)])
            monkeypatch.setattr(sys.stdout, "reconfigure", lambda **_: None, raising=False)
            code = 0
            try:
                runpy.run_path(str(RECIPE), run_name="__main__")
            except SystemExit as end:
                code = end.code
            return code, *capsys.readouterr()

        return _predict

    def test_tags_a_file(self, predict, tmp_path, tagger):
        (tmp_path / "in.conll").write_text("Jordan x\nwaved y\n")
        tags = tagger.tag(["Jordan", "waved"])

        code, out, err = predict("--input", tmp_path / "in.conll", "--output", tmp_path / "out.conll")

        assert (code, out) == (0, "")
        assert err.endswith("Tagged 2 words in 1 sentences.\n")
        assert (tmp_path / "out.conll").read_text() == f"Jordan x {tags[0]}\nwaved y {tags[1]}\n"

    def test_tags_a_text(self, predict, tagger):
        code, out, _ = predict("--text", "Jordan waved.")

        assert code == 0
        assert json.loads(out)["tags"] == tagger.tag(["Jordan", "waved", "."])

    @pytest.mark.parametrize(
        "flags",
        [
            ("--dtype", "float32"),
            ("--precision", "exact"),
            ("--precision", "bfloat16"),
            ("--tokens_per_batch", "8"),
            ("--batch_subwords", "8"),
        ],
    )
    def test_takes_how_to_compute(self, predict, tagger, flags):
        code, out, told = predict("--text", "Jordan waved.", *flags)
        assert (code, json.loads(out)["tags"]) == (0, tagger.tag(["Jordan", "waved", "."]))
        assert ("--batch_subwords is now --tokens_per_batch" in told) is (flags[0] == "--batch_subwords")

    def test_shows_a_table_on_a_terminal(self, predict, tagger, tmp_path, monkeypatch):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        tags = tagger.tag(["Jordan", "waved", "."])

        _, out, _ = predict("--text", "Jordan waved.")
        table = [line.split() for line in out.splitlines()]
        assert table[0] == ["word", "tag", "score"]
        assert [row[:2] for row in table[1:4]] == [["Jordan", tags[0]], ["waved", tags[1]], [".", tags[2]]]

        predict("--text", "Jordan waved.", "--output", tmp_path / "out")
        assert json.loads((tmp_path / "out").read_text())["tags"] == tags

    @pytest.mark.parametrize(
        ("flags", "code", "message"),
        [
            (["--input", "nowhere.conll"], 1, "nowhere.conll does not exist"),
            (["--input", "in.conll", "--output", "in.conll"], 1, "in.conll is there already"),
            (
                ["--input", "in.conll", "--model", "./nowhere"],
                1,
                "\n./nowhere: there is no such folder. Give the output folder of a run",
            ),
            (["--input", "in.conll", "--tokens_per_batch", "0"], 2, "tokens_per_batch: 0"),
            (["--input", "in.conll", "--precision", "fast"], 2, "no margin for fast tagging on cpu"),
            (["--input", "in.conll", "--dtype", "float33"], 2, "argument --dtype: invalid choice: 'float33'"),
            (["--input", "in.conll", "--device", "cuda:99"], 2, "device: 'cuda:99'"),
            (["--input", "in.conll", "--device", "gpu"], 2, "device: 'gpu'"),
            (["--input", "in.conll", "--inp", "x"], 2, "unrecognized arguments: --inp x"),
            (["--input", "in.conll", "--text", "x"], 2, "not allowed with"),
            ([], 2, "one of the arguments --input --text is required"),
        ],
    )
    def test_prints_the_message_alone(self, predict, tmp_path, monkeypatch, flags, code, message):
        monkeypatch.chdir(tmp_path)
        Path("in.conll").write_text("Jordan x\n")

        found, out, err = predict(*flags)

        assert (found, out) == (code, "")
        assert message in err
        assert "Traceback" not in err

    def test_runs_as_a_program(self, model, tmp_path):
        source = tmp_path / "in.text"
        source.write_text("Jordan waved naïvely.\n" * 2000)
        command = [sys.executable, str(RECIPE), "--model", str(model), "--input", str(source), "--device", "cpu"]
        environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "OMP_NUM_THREADS": "1"}

        ended = subprocess.run(command, capture_output=True, env=environment, check=True)
        lines = ended.stdout.decode("utf-8").splitlines()
        assert len(lines) == 2000
        assert json.loads(lines[-1])["words"][2]["text"] == "naïvely"
        assert set(json.loads(lines[0])["tags"]) <= set(TAGS)

        # A reader that has seen enough ends it quietly.
        pipe = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        pipe.stdout.readline()
        pipe.stdout.close()
        err = pipe.stderr.read().decode()
        pipe.stderr.close()
        assert pipe.wait() == 0
        assert "Traceback" not in err
        assert not re.search("BrokenPipe", err)


def test_a_header_row_is_no_word(tagger, tmp_path):
    source, target = tmp_path / "in.tsv", tmp_path / "out.tsv"
    source.write_text("word\ttag\nJordan\tO\n\nwill\tO\n")
    counts = tag_file(tagger, source, target)
    assert (counts.sentences, counts.words) == (2, 2)
    assert target.read_text().splitlines()[0] == "word\ttag\tpredicted"
    assert tag_file(tagger, target, tmp_path / "again.tsv").words == 2


@pytest.mark.failure_mode("input-other-kind")
@pytest.mark.parametrize("name", ["x.parquet", "x.txt", "x"])
def test_parquet_is_refused_before_the_model(tmp_path, tagger, name, capsys):
    from hf_tagging.cli import main

    pa = pytest.importorskip("pyarrow")
    __import__("pyarrow.parquet").parquet.write_table(pa.table({"tokens": [["a", "b"]]}), tmp_path / name)
    with pytest.raises(SystemExit, match="1"):
        main(["predict", "no-such-model", "--input", str(tmp_path / name), "--format", "text"])
    said = capsys.readouterr().err
    assert f"{name}: is a file of Parquet, which is not read here. Expected columns" in said
    assert "iconv" not in said
    os.mkfifo(tmp_path / "pipe")
    content = (tmp_path / name).read_bytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,), daemon=True)
    writer.start()
    with pytest.raises(DataError, match="is a file of Parquet"):
        tag_file(tagger, tmp_path / "pipe", tmp_path / "out")
