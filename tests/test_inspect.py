"""Inspection: every check finds its fault, in the right words and severity, and sound data gets none of them."""

from __future__ import annotations

import json
import random
import string
import time

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from tiny_models import tiny_modernbert, tiny_roberta

from hf_tagging import (
    DataConfig,
    DataError,
    EncoderConfig,
    RunConfig,
    TaggingConfig,
    TaggingRun,
    TagSchema,
    inspect_dataset,
    load_tagging_dataset,
)
from hf_tagging.cli import main
from hf_tagging.data.inventory import Inventory, SplitInventory
from hf_tagging.data.notes import ColumnNote, FileNotes, Remark
from hf_tagging.data.reading import reading_report
from hf_tagging.inspection.checks import FURTHER, QUICK, check_before_training, run_checks
from hf_tagging.inspection.corpus import Corpus
from hf_tagging.models.encoder import load_encoder
from hf_tagging.publishing.card import model_card
from hf_tagging.tasks import NER, POS

PLACES = ("Porto", "Lima", "Oslo", "Cork", "Turin")
VERBS = ("visited", "left", "liked", "saw", "painted", "mapped")


def words_of(number, seed=0):
    """Different words of letters, none twice."""
    generator = random.Random(seed)
    found = set()
    while len(found) < number:
        found.add("".join(generator.choices(string.ascii_lowercase, k=7)))
    return sorted(found)


def sentences(number, seed=0):
    """Sound sentences with an entity of two types each, of words that no other seed has."""
    words = words_of(5 * number, seed)
    rows = []
    for row in range(number):
        five = words[5 * row : 5 * row + 5]
        rows.append([(word, "O") for word in five])
        rows[-1] += [(PLACES[row % 5], "B-LOC"), (VERBS[row % 6], "O"), (five[0].title(), "B-PER"), (".", "O")]
    return rows


def dataset(rows=None, *, task="ner", **splits):
    """A dataset as it is loaded, of rows of (word, tag) by split; rows alone are train."""
    given = {"train": rows, **splits} if rows is not None else splits
    return load_tagging_dataset(
        {
            name: Dataset.from_dict(
                {"tokens": [[w for w, _ in r] for r in part], "tags": [[t for _, t in r] for r in part]}
            )
            for name, part in given.items()
        },
        task=task,
    )


def found(kind, data, model=None, **options):
    """The remarks of a kind."""
    return [remark for remark in inspect_dataset(data, model, **options).remarks if remark.kind == kind]


def one(kind, data, model=None):
    """The only remark of a kind."""
    remarks = found(kind, data, model)
    assert len(remarks) == 1, [str(remark) for remark in remarks]
    return remarks[0]


@pytest.fixture(scope="module")
def sound():
    return dataset(sentences(40), validation=sentences(10, seed=1))


def test_sound_data_has_nothing_suspicious(sound):
    inspection = inspect_dataset(sound, "minilm")
    assert not inspection.of_severity("wrong")
    assert not inspection.of_severity("suspicious")
    assert inspection.splits["train"].entities == 80
    assert inspection.splits["train"].types == {"LOC": 40, "PER": 40}
    assert (inspection.task, inspection.scheme, inspection.window) == ("ner", "IOB2", 512)


@pytest.mark.parametrize("task", ["ner", "pos"])
def test_the_sample_has_nothing_suspicious(task):
    inspection = inspect_dataset(load_tagging_dataset("sample", task=task), "minilm")
    assert {remark.severity for remark in inspection.remarks} <= {"note"}


class TestBetweenSplits:
    def test_shared_sentences(self):
        rows = sentences(20)
        remark = one("shared_sentences", dataset(rows, test=rows[:3] + sentences(7, seed=1)))
        assert (remark.count, remark.severity) == (3, "suspicious")
        assert "(30 % of those with 5 words or more)" in remark.text

    def test_few_shared_sentences_are_a_note(self):
        rows = sentences(100)
        assert one("shared_sentences", dataset(rows, test=rows[:1] + sentences(99, seed=1))).severity == "note"

    def test_short_sentences_recur_in_any_text(self):
        short = [[("1996-08-22", "O")], [("LONDON", "B-LOC")]]
        assert not found("shared_sentences", dataset(sentences(5) + short, test=short))

    def test_nearly_the_same_sentence(self):
        rows = sentences(20)
        near = [[*rows[0], ("!", "O")]]
        remark = one("near_sentences", dataset(rows, test=near + sentences(5, seed=1)))
        assert remark.count == 1
        assert rows[0][0][0] in remark.examples[0]

    def test_an_exact_copy_is_no_near_one(self):
        rows = sentences(5)
        assert not found("near_sentences", dataset(rows, test=rows[:2]))

    def test_unseen_words(self, sound):
        remark = one("unseen_words", sound)
        assert (remark.count, remark.severity) == (60, "note")

    def test_unseen_types(self):
        new = [[("Acme", "B-ORG"), ("fell", "O")]]
        remark = one("unseen_tags", dataset(sentences(5), test=new))
        assert (remark.count, remark.examples, remark.severity) == (1, ["ORG (1)"], "suspicious")

    def test_repeated_sentences(self):
        rows = sentences(10)
        remark = one("repeated_sentences", dataset(rows + rows[:5]))
        assert (remark.count, remark.severity) == (5, "suspicious")

    def test_documents_of_two_splits(self, tmp_path):
        document = (
            "-DOCSTART- -X- O O\n\n" + "\n\n".join(f"{word} NN O O\nfell VBD O O" for word in words_of(3)) + "\n\n"
        )
        other = document.replace("fell", "rose")
        (tmp_path / "train.txt").write_text(document + other + document)
        (tmp_path / "test.txt").write_text(document + document.replace("fell", "ran"))
        data = load_tagging_dataset(tmp_path, task="ner", cache_dir=tmp_path / "cache")
        assert one("shared_documents", data).count == 1
        assert one("repeated_documents", data).count == 1


class TestTags:
    def test_types_nearly_as_many_as_words(self):
        rows = [[(word, f"B-{tag}"), ("ran", "O")] for word, tag in zip(words_of(30), words_of(30, 1), strict=True)]
        remark = one("types_like_words", dataset(rows))
        assert remark.severity == "suspicious"
        assert "30 entity types are nearly as many as the 31 different words" in remark.text

    def test_one_type_is_nearly_everything(self):
        rows = [[("Porto", "B-LOC"), ("fell", "O")]] * 120 + [[("Ada", "B-PER"), ("fell", "O")]]
        assert "99 % of the entities of train are LOC" in one("one_type", dataset(rows)).text
        rare = one("rare_types", dataset(rows))
        assert (rare.count, rare.examples, rare.severity) == (1, ["PER (1)"], "note")

    def test_hardly_an_entity(self):
        rows = [[(word, "O") for word in words_of(100, seed)] for seed in range(11)]
        rows[0][0] = (rows[0][0][0], "B-LOC")
        remark = one("few_entities", dataset(rows))
        assert (remark.count, remark.severity) == (1, "suspicious")

    def test_no_word_is_outside(self):
        rows = [
            [(word, f"B-{kind}") for word, kind in zip(words_of(10, seed), "ABCDE" * 2, strict=True)]
            for seed in range(6)
        ]
        assert one("no_outside", dataset(rows)).severity == "suspicious"

    def test_few_sentences_and_none_without_an_entity(self):
        assert one("few_sentences", dataset(sentences(20))).count == 20
        everywhere = one("entities_everywhere", dataset(sentences(120)))
        assert "every one of 120 sentences" in everywhere.text
        assert not found("entities_everywhere", dataset([*sentences(120), [("no", "O")]]))

    def test_two_schemes_in_one_split(self):
        iob2 = [[("Porto", "B-LOC"), ("fell", "O")]] * 20
        iob1 = [[("Porto", "I-LOC"), ("fell", "O")]] * 10
        remark = one("mixed_schemes", dataset(iob2 + iob1))
        assert remark.severity == "suspicious"


class TestSentences:
    def test_one_sentence(self):
        remark = one("one_sentence", dataset([[pair for row in sentences(40) for pair in row]]))
        assert "train is one sentence of 360 words" in remark.text
        assert remark.severity == "suspicious"

    def test_a_giant_among_others(self):
        giant = [pair for row in sentences(120) for pair in row]
        remark = one("giant_sentences", dataset([*sentences(10, seed=1), giant]))
        assert remark.count == 1
        assert "the longest 1,080" in remark.text

    def test_a_sentence_per_word(self):
        remark = one("one_word_sentences", dataset([[pair] for row in sentences(5) for pair in row]))
        assert (remark.count, remark.severity) == (45, "suspicious")

    def test_words_that_count_up(self):
        rows = [[(str(n), "O") for n in range(1, 9)] + [("9", "B-LOC")] for _ in range(10)]
        try:
            data = dataset(rows)
        except DataError as refused:  # where loading looks too
            assert "count" in str(refused)  # noqa: PT017
        else:
            assert one("counter_words", data).severity == "wrong"
            with pytest.raises(DataError, match="counter_words"):
                check_before_training(data, NER, place="numbers")

    def test_scores_and_dates_do_not_count_up(self):
        rows = [[("1", "O"), ("-", "O"), ("2", "O"), (",", "O"), ("3", "O"), (word, "O")] for word in words_of(30)]
        assert not found("counter_words", dataset(rows))

    def test_text_that_is_not_cut_into_words(self):
        rows = [[("我们明天早上坐火车去上海开会", "O"), ("。", "O")]] * 5
        remark = one("unsplit_text", dataset(rows))
        assert (remark.count, remark.severity) == (5, "suspicious")
        assert not found("unsplit_text", dataset([[("上海", "B-LOC"), ("开会", "O")]] * 5))

    def test_blanks_and_length(self):
        rows = [*sentences(5), [("New York", "B-LOC"), ("x" * 300, "O")]]
        assert one("blanks_in_words", dataset(rows)).examples == ["'New York'"]
        assert one("long_words", dataset(rows)).count == 1


class TestCharacters:
    @pytest.mark.parametrize("word", ["café", "Zürich", "Łódź", "Москва", "naïve", "“quoted”", "日本"])
    @pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
    def test_mojibake(self, word, encoding):
        try:
            wrong = word.encode().decode(encoding)
        except UnicodeDecodeError:
            pytest.skip("not in this encoding")
        assert one("mojibake", dataset([*sentences(5), [(wrong, "O")] * 12])).severity == "suspicious"
        assert not found("mojibake", dataset([*sentences(5), [(word, "O")] * 12]))

    @pytest.mark.parametrize("word", ["NÃO", "Ã", "SÃO", "Âge", "São", "Ørsted", "ÅÄÖ", "ИÐ", "câ€"])
    def test_letters_that_words_have(self, word):
        assert not found("mojibake", dataset([*sentences(5), [(word, "O")] * 12]))

    def test_lost_letters(self):
        remark = one("replacement_characters", dataset([*sentences(5), [("Caf\ufffd", "O")]]))
        assert (remark.count, remark.severity) == (1, "suspicious")

    @pytest.mark.parametrize("character", ["\u200b", "\ufeff", "\u00ad", "\x07", "\u202e", "\u2060"])
    def test_invisible_characters(self, character):
        assert one("invisible_characters", dataset([*sentences(50), [(f"Por{character}to", "B-LOC")]])).count == 1

    @pytest.mark.parametrize("word", ["می‌خواهم", "👩‍👧", "❤️", "क्‍ष"])
    def test_joiners_belong_to_words(self, word):
        assert not found("invisible_characters", dataset([*sentences(5), [(word, "O")]]))


class TestEntities:
    def test_marks_at_a_border(self):
        rows = [*sentences(5), [("Porto", "B-LOC"), (",", "I-LOC"), ("we", "O")], [("Cork,", "B-LOC"), ("we", "O")]]
        assert one("punctuation_at_border", dataset(rows)).examples == ["'Porto ,' LOC"]
        assert one("punctuation_in_word", dataset(rows)).examples == ["'Cork,' LOC"]

    def test_periods_of_abbreviations(self):
        rows = [*sentences(5), [("U.S.", "B-LOC"), ("we", "O")], [("Acme", "B-ORG"), ("Inc.", "I-ORG")]]
        assert not [r for kind in ("punctuation_at_border", "punctuation_in_word") for r in found(kind, dataset(rows))]

    def test_half_a_pair(self):
        rows = [*sentences(5), [("Acme", "B-ORG"), ("(", "I-ORG"), ("UK", "I-ORG"), (")", "O")]]
        assert one("unclosed_pair", dataset(rows)).count == 1
        whole = [*sentences(5), [("Acme", "B-ORG"), ("(", "I-ORG"), ("UK", "I-ORG"), (")", "I-ORG")]]
        assert not found("unclosed_pair", dataset(whole))

    def test_one_name_of_several_types(self):
        rows = [[("Jordan", "B-LOC"), ("fell", "O")]] * 3 + [[("Jordan", "B-PER"), ("ran", "O")]]
        remark = one("several_types", dataset(rows))
        assert remark.examples == ["'Jordan' LOC 3 / PER 1"]
        assert (remark.count, remark.severity) == (1, "suspicious")

    def test_forgotten_entities(self):
        rows = [[("Porto", "B-LOC"), ("fell", "O")]] * 19 + [[("in", "O"), ("Porto", "O")]]
        assert one("forgotten_entities", dataset(rows)).examples == ["'Porto' 1 of 20"]


class TestModel:
    def test_words_that_the_model_does_not_know(self):
        rows = [[("ⵣⵣⵣ", "O"), ("Porto", "B-LOC"), ("ⵥⵥ", "O")]] * 5
        remark = one("unknown_words", dataset(rows), "minilm")
        assert (remark.count, remark.severity) == (10, "wrong")
        few = one("unknown_words", dataset([*sentences(100), rows[0]]), "minilm")
        assert (few.count, few.severity) == (2, "note")

    def test_vanished_words_and_windows(self):
        rows = [*sentences(5), [("\u200b", "O"), *(("Porto", "B-LOC") for _ in range(600))]]
        assert one("vanished_words", dataset(rows), "minilm").count == 1
        assert "512 subwords" in one("long_sentences", dataset(rows), "minilm").text

    @pytest.mark.parametrize("build", [tiny_roberta, tiny_modernbert])
    def test_the_window_is_that_of_a_run(self, build, sound, tmp_path):
        folder = str(build(tmp_path, max_length=30))
        _, tokenizer = load_encoder(folder, TagSchema.detect(sound, task="ner"))
        assert inspect_dataset(sound, folder).window == tokenizer.model_max_length == 30

    def test_without_a_model_nothing_is_said_of_one(self, sound):
        assert not {"unknown_words", "long_sentences"} & {remark.kind for remark in inspect_dataset(sound).remarks}


class TestInspection:
    def test_json_and_html(self, sound):
        inspection = inspect_dataset(sound, sentences=1)
        data = json.loads(json.dumps(inspection.as_dict()))
        assert data["splits"]["validation"]["sentences"] == 10
        assert data["sentences"][0]["entities"] == [[5, 6, "LOC"], [7, 8, "PER"]]
        html = inspect_dataset(dataset([[("<b>", "B-LOC"), ("fell", "O")]]))._repr_html_()
        assert "&lt;b&gt;" in html
        assert "<b>fell" not in html

    def test_every_check_bears_no_words_at_all(self):
        data = dataset([[], [("a", "O")]], validation=[[], [("b", "O")]])
        empty = DatasetDict({name: split.select([0]) for name, split in data.items()})
        kinds = {remark.kind for remark in inspect_dataset(empty, "minilm").remarks}
        assert kinds <= {"empty_sentences", "few_sentences"}

    def test_a_large_split_is_looked_at_in_part(self, monkeypatch):
        monkeypatch.setattr("hf_tagging.inspection.corpus.MOST_WORDS", 50)
        data = dataset(sentences(10_500))
        assert "the first 10,000 of 10,500 sentences" in one("looked_at", data).text

    def test_checks_have_names_of_their_own(self):
        assert len({check.__name__ for check in (*QUICK, *FURTHER)}) == len(QUICK) + len(FURTHER) > 20


@pytest.mark.real
def test_what_is_said_of_conll2003_is_true(real_data):
    data = load_tagging_dataset(real_data / "conll2003", task="ner")
    inspection = inspect_dataset(data, "minilm")
    assert not inspection.of_severity("wrong")
    assert not inspection.of_severity("suspicious")
    said = {
        (remark.kind, split): remark.count for remark in inspection.remarks for split in data if split in remark.text
    }
    rows = {split: [tuple(row) for row in data[split]["tokens"]] for split in data}
    known, words = set(rows["train"]), {word for row in rows["train"] for word in row}
    grams = {row[i : i + 8] for row in known for i in range(len(row) - 7)}
    for split in ("validation", "test"):
        assert said["shared_sentences", split] == sum(len(row) >= 5 and row in known for row in rows[split])
        assert said["unseen_words", split] == sum(word not in words for row in rows[split] for word in row)
        near = [row for row in rows[split] if len(row) >= 8 and row not in known]
        shares = [sum(row[i : i + 8] in grams for i in range(len(row) - 7)) / (len(row) - 7) for row in near]
        assert said["near_sentences", split] == sum(share >= 0.5 for share in shares)
    for split, part in rows.items():
        long = [row for row in part if len(row) >= 5]
        assert said["repeated_sentences", split] == len(long) - len(set(long))
    assert said["unclosed_pair", "train"] == 1  # Videoton(*
    assert inspection.splits["test"].types == {"LOC": 1668, "ORG": 1661, "PER": 1617, "MISC": 702}


@pytest.mark.real
def test_the_check_before_training_is_quick(real_data):
    data = load_tagging_dataset(real_data / "conll2003", task="ner")
    began = time.process_time()
    assert check_before_training(data, NER, place="conll2003") == []
    assert time.process_time() - began < 2  # a quarter of a second on an idle core


@pytest.mark.parametrize("task", [NER, POS])
def test_before_training_the_sample_is_passed(task):
    assert check_before_training(load_tagging_dataset("sample", task=task), task, place="sample") == []


class TestCommand:
    def run(self, capsys, *words):
        code = 0
        try:
            main(["inspect", *map(str, words)])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    def test_a_table_sentences_and_remarks(self, capsys):
        code, out, _ = self.run(capsys, "sample", "--model", "minilm")
        assert code == 0
        assert "train             337  4,616" in out
        assert "[Amazon ORG] said on Monday" in out
        assert "there are tags for pos too" in out
        assert "Nothing wrong and nothing suspicious was found." in out

    def test_json(self, capsys):
        code, out, _ = self.run(capsys, "sample", "--task", "pos", "--json", "--sentences", "0")
        data = json.loads(out)
        assert (code, data["task"], data["sentences"]) == (0, "pos", [])

    def test_tags_without_entities_are_parts_of_speech(self, capsys, tmp_path):
        (tmp_path / "words.txt").write_text("Dogs N\nbark V\n. P\n\nBirds N\nsing V\nsoftly R\n. P\n")
        code, out, _ = self.run(capsys, tmp_path / "words.txt", "--json")
        assert (code, json.loads(out)["task"]) == (0, "pos")

    def test_entity_tags_that_are_refused_are_not_read_as_parts_of_speech(self, capsys, tmp_path):
        (tmp_path / "train.txt").write_text("Ada B-PER|B-ORG\nleft O\nLima B-LOC\n")
        code, out, _ = self.run(capsys, tmp_path / "train.txt", "--json")
        assert code == 1
        assert "B-PER|B-ORG" in json.loads(out)["error"]

    @pytest.mark.failure_mode("inspect-refused")
    def test_what_was_refused_is_shown(self, capsys, tmp_path):
        (tmp_path / "train.txt").write_text("Dogs\tN\nbark\n")
        code, out, err = self.run(capsys, tmp_path / "train.txt", "--task", "ner")
        assert code == 1
        assert "UTF-8" in out
        assert "'Dogs\\tN'" in out
        assert err.count("line 2") == 1
        code, out, err = self.run(capsys, tmp_path / "train.txt", "--json")
        assert code == 1
        assert "line 2" in json.loads(out)["error"]

    def test_nothing_to_inspect(self, capsys):
        code, _, err = self.run(capsys)
        assert code == 2
        assert "--train_file" in err


def test_a_report_of_reading_as_text_and_in_a_notebook(tmp_path):
    for name in ("a.train.txt", "b.train.txt", "dev.txt"):
        (tmp_path / name).write_text(f"<{name}> B-PER\nleft O\n\n" * 3)
    report = reading_report(load_tagging_dataset(tmp_path, task="ner", cache_dir=tmp_path / "cache"))
    lines = str(report).splitlines()
    assert lines[0].startswith(f"train: {tmp_path / 'a.train.txt'}, {tmp_path / 'b.train.txt'}: column file; UTF-8")
    assert "train: 6 sentences, 12 words, 6 entities: PER 6" in lines
    assert "validation: 3 sentences, 6 words, 3 entities: PER 3" in lines
    assert any(line.startswith("entities are in IOB2: 9 ") for line in lines)
    assert "<a.train" not in report._repr_html_()


class TestRun:
    def run_of(self, tmp_path, **data):
        training = TaggingConfig(output_dir=str(tmp_path / "run"), use_cpu=True)
        return TaggingRun(RunConfig(NER, DataConfig(**data), EncoderConfig(model="minilm"), training))

    @pytest.mark.failure_mode("suspicious-data")
    def test_what_is_suspicious_is_logged_and_kept(self, tmp_path, caplog):
        rows = sentences(20)
        run = self.run_of(tmp_path)
        run.select(dataset(rows, validation=rows[:10]))
        finding = run.record["dataset"]["findings"][0]
        assert (finding["kind"], finding["severity"], finding["count"]) == ("shared_sentences", "suspicious", 10)
        assert "10 sentences of validation are in train too" in caplog.text

    def test_how_it_was_read_is_kept(self, tmp_path):
        run = self.run_of(tmp_path, dataset="sample")
        run.select(run.arguments.load_dataset())
        assert run.record["dataset"]["findings"] == []
        reading = run.record["dataset"]["reading"]
        assert reading["splits"]["train"][0]["format"] == "column file"
        assert reading["contents"]["splits"]["test"]["types"] == {"LOC": 27, "ORG": 27, "PER": 25, "MISC": 19}
        assert reading["contents"]["scheme"] == "IOB2"

    @pytest.mark.failure_mode("wrong-data")
    def test_what_is_wrong_stops_it_unless_it_is_accepted(self, tmp_path, monkeypatch):
        data = dataset(sentences(5))
        wrong = Remark("many_types", "there are many types", "wrong")
        monkeypatch.setattr("hf_tagging.inspection.checks.QUICK", (lambda corpus: iter([wrong]),))
        with pytest.raises(DataError, match=r"(?s)looks wrong.*there are many types.*accept=\['many_types'\]"):
            self.run_of(tmp_path).select(data)
        run = self.run_of(tmp_path, accept=["many_types"])
        run.select(data)
        assert run.record["dataset"]["findings"][0]["severity"] == "suspicious"

    def test_the_card_names_files_without_folders_and_what_is_suspicious(self, tmp_path):
        record = {
            "task": "ner",
            "arguments": {},
            "dataset": {
                "reading": {
                    "splits": {
                        "train": [
                            FileNotes(
                                "/home/me/corpus/train.tsv",
                                "column file",
                                "UTF-8",
                                [ColumnNote("words", "0"), ColumnNote("tags", "3")],
                                ["lemma"],
                                [Remark("skipped", "lines are comments", "note", 4)],
                            ).as_dict()
                        ]
                    },
                    "remarks": [vars(Remark("outside", "the tag '_' is read as O, by /home/me/names.json"))],
                    "contents": Inventory(
                        {"train": SplitInventory(9, 81, 0, 5, {"PER": 5}, "IOB2", {})}, "IOB2", "5 B-"
                    ).as_dict(),
                },
                "findings": [vars(Remark("mojibake", "words look like UTF-8 read as Latin-1", "suspicious", 30))],
            },
        }
        card = model_card(record, {}, TagSchema(("O", "B-PER"), "IOB2"))
        assert "/home/me" not in card
        assert "- train, train.tsv: column file, UTF-8; words from 0, tags from 3; left out: lemma" in card
        assert "- train.tsv: 4 lines are comments" in card
        assert "- train: 9 sentences, 81 words, 5 entities: PER 5\n- entities are in IOB2: 5 B-" in card
        assert "- Suspicious in the data: 30 words look like UTF-8 read as Latin-1." in card

    @pytest.mark.parametrize(
        "reading", [1, [], {}, {"splits": {"train": [3]}, "remarks": []}, {"splits": {}, "remarks": [{"kind": 1}]}]
    )
    def test_a_record_of_a_stranger_is_left_out_of_the_card(self, reading):
        record = {"task": "ner", "arguments": {}, "dataset": {"reading": reading, "findings": [{"text": []}]}}
        assert "How it was read" not in model_card(record, {}, TagSchema(("O", "B-PER"), "IOB2"))


class TestValidate:
    def validate(self, capsys, *words):
        code = 0
        try:
            main(["validate", *map(str, words)])
        except SystemExit as ended:
            code = ended.code
        return code, *capsys.readouterr()

    def test_reads_and_checks_the_data(self, capsys, tmp_path):
        for name, number in (("train", 12), ("dev", 4)):
            text = "\n".join(f"Ada B-PER\nleft O\nthe O\ntown O\n{row} O\n" for row in range(number))
            (tmp_path / f"{name}.txt").write_text(text)
        code, out, _ = self.validate(capsys, "ner/quickstart", "--dataset", tmp_path)
        assert code == 0
        assert "read, sentences of train 12, validation 4" in out
        assert "suspicious: 4 sentences of validation are in train too" in out

    def test_data_that_cannot_be_read(self, capsys, tmp_path):
        (tmp_path / "train.txt").write_text("Ada B-PER\nleft\n")
        code, out, err = self.validate(capsys, "ner/quickstart", "--train_file", tmp_path / "train.txt", "--json")
        assert (code, out) == (1, "")
        assert "train.txt, line 2" in err

    @pytest.mark.failure_mode("validate-hub-data")
    def test_the_hub_is_not_asked(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr("hf_tagging.hub._ask", lambda *_: pytest.fail("it was asked"))
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
        code, out, _ = self.validate(capsys, "ner/bert_base_conll2003", "--json")
        assert code == 0
        assert json.loads(out)["data"] == [{"name": "conll2003", "read": None, "suspicious": []}]

    def test_the_data_of_a_comparison_is_read_once(self, capsys, tmp_path):
        runs = {name: {"task": "pos", "model": "scratch", "encoder": name} for name in ("hmm", "lstm")}
        plan = {"seeds": [1, 2], "runs": runs, "arguments": {"dataset": "sample"}}
        (tmp_path / "mine.yaml").write_text(json.dumps(plan))
        code, out, err = self.validate(capsys, tmp_path / "mine.yaml", "--json")
        assert code == 0, err
        assert [check["name"] for check in json.loads(out)["data"]] == ["sample"]


def test_misfits_are_listed_beyond_the_first_three(capsys, tmp_path):
    rows = [{"text": f"Ada left Lima{n} early", "label": [[9, 12, "LOC"]]} for n in range(8)]
    (tmp_path / "export.jsonl").write_text("\n".join(map(json.dumps, rows)))
    main(["inspect", str(tmp_path / "export.jsonl"), "--task", "ner"])
    out = capsys.readouterr().out
    lines = [line.strip() for line in out.splitlines()]
    assert [line for line in lines if line.startswith("line ")] == [f"line {n}: 'Lim'" for n in range(4, 9)]
    main(["inspect", str(tmp_path / "export.jsonl"), "--task", "ner", "--json"])
    remarks = json.loads(capsys.readouterr().out)["remarks"]
    misfit = next(remark for remark in remarks if remark["kind"] == "misfit")
    assert (misfit["count"], len(misfit["examples"])) == (8, 8)


def test_an_entity_goes_on_behind_a_word_that_is_not_annotated():
    rows = [[("Ada", "B-PER"), ("May", "I-PER"), ("?", None), ("Moss", "I-PER"), ("left", "O")]] * 3
    inspection = inspect_dataset(dataset(rows))
    assert inspection.splits["train"].entities == 3
    assert [remark.count for remark in inspection.remarks if remark.kind == "unscored_words"] == [3]
    assert inspection.sentences[0].tags[2] is None


@pytest.mark.parametrize("task", [NER, POS])
def test_random_corpora_are_inspected_without_an_error(task):
    generator = random.Random(7)
    words = [
        "",
        " ",
        "a",
        "B",
        "1",
        "2",
        ",",
        "(",
        "\u200b",
        "Ã©",
        "我们",
        "\ufffd",
        "x" * 120,
        "a b",
        "-DOCSTART-",
        "``",
    ]
    names = ["O", "B-A", "I-A", "E-B", "S-B", "B-C d", "I-C d"]
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=names))})
    for number in range(150):
        used = generator.sample(range(len(names)), generator.randint(1, len(names)))
        splits = {}
        for name in generator.sample(["train", "validation", "test"], generator.randint(1, 3)):
            lengths = [generator.choice([0, 1, 2, 9, 30]) for _ in range(generator.choice([0, 1, 2, 25]))]
            rows = {
                "tokens": [generator.choices(words, k=length) for length in lengths],
                "tags": [generator.choices([*used, -100], k=length) for length in lengths],
            }
            splits[name] = Dataset.from_dict(rows, features=features)
        corpus = Corpus.of(DatasetDict(splits), task)
        remarks = run_checks(corpus, (*QUICK, *FURTHER))
        assert all(remark.count is None or remark.count > 0 for remark in remarks), number
        assert all(len(str(remark)) < 1_000 for remark in remarks)


def test_spans_to_mend_are_listed_one_by_one_and_other_places_are_not(tmp_path, capsys):
    rows = [{"text": f"\U0001f600 Porto{n} fell", "label": [[3, 7, "LOC"]], "said": n} for n in range(6)]
    (tmp_path / "misfits.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["inspect", str(tmp_path / "misfits.jsonl"), "--task", "ner"])
    shown = capsys.readouterr().out
    assert "6 annotated spans with a border inside a word" in shown
    assert sum(line.strip().startswith("line ") for line in shown.splitlines()) == 3
    rows = [{"text": f"\U0001f600 Porto{n} fell", "entities": [
        {"start": 3, "end": 9, "label": "LOC", "text": f"Porto{n}"}]} for n in range(6)]  # fmt: skip
    (tmp_path / "offsets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["inspect", str(tmp_path / "offsets.jsonl"), "--task", "ner"])
    shown = capsys.readouterr().out
    assert "6 texts whose offsets count UTF-16" in shown
    assert not any(line.strip().startswith("line ") for line in shown.splitlines())
