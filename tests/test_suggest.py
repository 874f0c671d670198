"""Which texts to annotate next: scores of words and texts, what is left out, and the files that annotators get."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_models import tiny_bert, tiny_roberta

from hf_tagging import ScratchConfig, TaggingConfig, TaggingTrainer, load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.data.formats.base import Document, Span
from hf_tagging.data.tag_lists import rewritten
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.inference import Tagger, suggest_texts
from hf_tagging.inference.doubt import entropies, margins, of_text, spread_out, vote_entropies, votes_of
from hf_tagging.inference.texts import annotated_texts, read_documents
from hf_tagging.tasks import NER

TEXTS = (
    "Jordan moved to Porto.",
    "Two old ships sailed slowly past the harbour of Porto; nobody waved.",
    "",
    "Is the river longer than 1,000.50 metres?",
    "Two old ships sailed  slowly past the harbour of Porto; nobody waved.",
    "a",
    "The chef from Lisbon will book a table in May because Jordan loves her book.",
)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("suggest")
    tiny_bert(made)
    tiny_bert(made / "other", seed=5)
    return made


@pytest.fixture(scope="session")
def tagger(folder):
    return Tagger.from_pretrained(folder / "bert", device="cpu")


@pytest.fixture(scope="session")
def other(folder):
    return Tagger.from_pretrained(folder / "other/bert", device="cpu")


def numbers(suggestions):
    return [suggestion.number for suggestion in suggestions.chosen]


class TestScores:
    def test_the_entropy_of_a_word_is_a_share_of_the_greatest(self):
        table = np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]], np.float32)
        assert entropies(table).tolist() == pytest.approx([1.0, 0.0, 0.5])
        assert entropies(np.ones((2, 1), np.float32)).tolist() == [0.0, 0.0]

    def test_the_margin_is_the_lead_of_the_best_tag(self):
        table = np.array([[0.2, 0.7, 0.1], [0.4, 0.2, 0.4]], np.float32)
        assert margins(table).tolist() == pytest.approx([0.5, 0.0], abs=1e-6)
        assert margins(np.ones((1, 1), np.float32)).tolist() == [1.0]

    def test_votes_of_models_that_agree_or_all_differ(self):
        votes = votes_of([["O", "A", "A"], ["O", "B", "A"], ["O", "C", "B"]])
        two_to_one = -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)) / math.log(3)
        assert vote_entropies(votes).tolist() == pytest.approx([0.0, 1.0, two_to_one])

    def test_a_text_is_as_uncertain_as_its_least_certain_words(self):
        assert of_text(np.array([0.1, 0.9, 0.6, 0.3])) == pytest.approx(0.6)  # of three
        long = np.array([0.9, 0.6, 0.3] + [0.0] * 12)
        assert of_text(long) == pytest.approx(0.6)  # a fifth of 15 words is three as well
        assert of_text(np.concatenate([long, long])) == pytest.approx(0.6), "twice as long is as uncertain"
        assert of_text(np.array([0.9])) == pytest.approx(0.3), "a single word does not outdo three"

    def test_spread_out_vectors_are_far_from_each_other_and_from_what_is_covered(self):
        corners = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
        vectors = np.repeat(corners, 10, axis=0)
        for seed in range(5):
            assert {place // 10 for place, _ in spread_out(vectors, 3, seed=seed)} == {0, 1, 2}
            beside = spread_out(vectors, 2, covered=corners[:1], seed=seed)
            assert {place // 10 for place, _ in beside} == {1, 2}
        assert spread_out(vectors, 4, seed=1) == spread_out(vectors, 4, seed=1)
        assert sorted(place for place, _ in spread_out(vectors, 99)) == list(range(30)), "each once"


class TestUncertainty:
    def test_the_scores_are_those_of_the_probabilities(self, tagger):
        found = suggest_texts(tagger, TEXTS, number=2)
        words = ["The", "chef", "from", "Lisbon", "will", "book", "a", "table", "in", "May", "because", "Jordan",
                 "loves", "her", "book", "."]  # fmt: skip
        by_hand = of_text(entropies(tagger.probabilities([words])[0]))
        every = suggest_texts(tagger, TEXTS, number=10)
        scores = {suggestion.number: suggestion.score for suggestion in every.chosen}
        assert scores[7] == pytest.approx(by_hand, abs=1e-6)
        assert numbers(found) == sorted(scores, key=lambda number: -scores[number])[:2]
        assert [s.score for s in every.chosen] == sorted(scores.values(), reverse=True)
        assert all(s.score == pytest.approx(s.entropy, abs=1e-6) for s in every.chosen)

    def test_by_margin_it_is_the_least_lead(self, tagger):
        found = suggest_texts(tagger, TEXTS, number=3, measure="margin").chosen
        assert [s.margin for s in found] == sorted(s.margin for s in found)
        assert found[0].score == pytest.approx(1 - found[0].margin, abs=1e-6)

    def test_what_is_left_out_is_counted(self, tagger):
        found = suggest_texts(tagger, TEXTS, number=10, annotated=["Jordan moved to\nPorto ."])
        assert (found.texts, found.repeated, found.annotated, found.empty) == (7, 1, 1, 1)
        assert sorted(numbers(found)) == [2, 4, 6, 7]
        assert found.note() == (
            "7 texts, left out: 1 repeated, 1 annotated already, 1 without a word; 4 chosen by uncertainty."
        )

    def test_near_repetitions_are_passed_over_while_there_are_others(self, tagger):
        texts = [f"Maria slept for {hours} hours in Porto" for hours in range(10, 20)] + ["Lisbon waved", "the river"]
        found = suggest_texts(tagger, texts, number=3)
        assert {11, 12} < set(numbers(found)), found.chosen
        assert found.similar >= 1
        assert "nearly the same as one that is chosen" in found.note()
        assert len(suggest_texts(tagger, texts, number=5).chosen) == 5, "filled up with those that are left"

    def test_a_suggestion_has_predictions_and_the_words_in_doubt(self, tagger):
        best = suggest_texts(tagger, TEXTS, number=1).chosen[0]
        assert best.document.model == "bert"
        expected = tagger.tag_text(best.document.text).entities
        assert [(s.start, s.end, s.type) for s in best.document.spans] == [(e.start, e.end, e.type) for e in expected]
        doubt = best.doubts[0]
        assert doubt.word in best.document.text
        assert doubt.score >= doubt.other_score
        assert doubt.tag != doubt.other

    def test_documents_keep_what_they_brought(self, tagger):
        given = [
            Document(text="Jordan waved", spans=[], id="7", extra={"who": "me"}),
            Document(text="Porto", spans=[Span(0, 5, "LOC")]),
        ]
        found = suggest_texts(tagger, given)
        assert [(s.document.id, s.document.extra) for s in found.chosen] == [("7", {"who": "me"})]
        assert found.annotated == 1

    def test_it_reads_a_stream_once(self, tagger):
        stream = (f"{text}\n" for text in TEXTS)
        assert numbers(suggest_texts(tagger, stream, number=3)) == numbers(suggest_texts(tagger, TEXTS, number=3))
        assert next(stream, None) is None


class TestOthers:
    def test_disagreement_counts_votes(self, tagger, other):
        found = suggest_texts(tagger, TEXTS, number=10, by="disagreement", models=[other])
        scores = [suggestion.score for suggestion in found.chosen]
        assert scores == sorted(scores, reverse=True)
        alone = suggest_texts(tagger, TEXTS, number=10, by="disagreement", models=[tagger])
        assert {suggestion.score for suggestion in alone.chosen} == {0.0}, "a model agrees with itself"
        assert numbers(alone) == numbers(suggest_texts(tagger, TEXTS, number=10)), "equal ones by entropy"

    def test_models_of_other_schemes_may_agree(self, folder, tagger, monkeypatch):
        types = sorted(tagger.schema.entity_types)
        bioes = ("O", *(f"{prefix}-{kind}" for kind in types for prefix in "SBIE"))
        tiny_roberta(folder / "bioes", tags=bioes)
        other = Tagger.from_pretrained(folder / "bioes/roberta", device="cpu")
        apart = suggest_texts(tagger, TEXTS, number=5, by="disagreement", models=[other])
        assert max(found.score for found in apart.chosen) > 0

        def label(rows, documents):
            """Find the spans that the first model finds."""
            found = [[tagger.schema.tags[i] for i in table.argmax(-1)] for table in tagger.probabilities(rows)]
            same = rewritten(found, tagger.schema, "BIOES")[0]
            assert any(tag[0] in "SE" for row in same for tag in row)
            return [SimpleNamespace(ids=np.array([other.schema.tags.index(tag) for tag in row])) for row in same]

        monkeypatch.setattr(other, "label", label)
        agreed = suggest_texts(tagger, TEXTS, number=5, by="disagreement", models=[other])
        assert [found.score for found in agreed.chosen] == [0.0] * 5

    def test_diversity_is_the_same_for_a_seed(self, tagger):
        first, again = (suggest_texts(tagger, TEXTS, number=3, by="diversity", seed=4) for _ in range(2))
        assert numbers(first) == numbers(again)
        assert sorted(numbers(suggest_texts(tagger, TEXTS, number=10, by="diversity"))) == [1, 2, 4, 6, 7]

    def test_diversity_keeps_away_from_what_is_annotated(self, tagger):
        texts = ["two old ships sailed", "two old ships waved", "1,000.50 1,000.50 1,000.50"]
        for seed in range(4):
            found = suggest_texts(tagger, texts, number=1, by="diversity", annotated=["two old ships"], seed=seed)
            assert found.chosen[0].score > 0
        covered = suggest_texts(tagger, texts, number=1, by="diversity", annotated=["1,000.50 1,000.50"], seed=0)
        assert numbers(covered)[0] in (1, 2)

    def test_a_sample_is_drawn_of_many(self, tagger, monkeypatch):
        monkeypatch.setattr("hf_tagging.inference.suggesting.MOST_VECTORS", 3)
        found = suggest_texts(tagger, TEXTS, number=2, by="diversity")
        assert found.drawn == 3
        assert "3 of the 5 others drawn at random to be compared" in found.note()

    @pytest.mark.parametrize("scratch", [{"encoder": "lstm", "head": "crf"}, {"encoder": "hmm"}])
    def test_taggers_from_scratch(self, scratch, tmp_path):
        dataset = load_tagging_dataset("sample", task="ner")
        steps = {"eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}
        steps = {} if scratch["encoder"] == "hmm" else {"max_steps": 2, **steps}
        args = TaggingConfig(output_dir=str(tmp_path / "run"), use_cpu=True, **steps)
        trainer = TaggingTrainer(ScratchConfig(**scratch), args, train_dataset=dataset["train"].select(range(40)))
        trainer.train()
        tagger = trainer.tagger()
        found = suggest_texts(tagger, TEXTS, number=2)
        assert all(0 <= suggestion.score <= 1 for suggestion in found.chosen)
        if scratch["encoder"] == "hmm":
            with pytest.raises(ConfigError, match="has no encoder of its own, so it gives no vectors"):
                suggest_texts(tagger, TEXTS, by="diversity")
        else:
            assert len(suggest_texts(tagger, TEXTS, number=2, by="diversity").chosen) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"number": 0}, "number=0: expected 1 or more"),
        ({"by": "length"}, "by=length: expected one of uncertainty, diversity, disagreement"),
        ({"measure": "f1"}, "measure=f1: expected one of entropy, margin"),
        ({"by": "disagreement"}, "takes two models or more"),
        ({"by": "diversity", "measure": "margin"}, "has an effect with by=uncertainty only"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(options, message, tagger):
    with pytest.raises(ConfigError, match=message):
        suggest_texts(tagger, TEXTS, **options)


def test_models_of_other_tags_are_refused(folder, tagger, other):
    tiny_roberta(folder / "pos", tags=("NN", "VB"))
    pos = Tagger.from_pretrained(folder / "pos/roberta", device="cpu")
    with pytest.raises(ConfigError, match="no tag in common: LOC, PER and NN, VB"):
        suggest_texts(tagger, TEXTS, by="disagreement", models=[pos])
    with pytest.raises(ConfigError, match="has an effect with by=disagreement only"):
        suggest_texts(tagger, TEXTS, models=[other])


def test_models_that_leave_out_tags_are_refused(tagger, other):
    choosy = Tagger(other.model, other.tokenizer, device="cpu", min_confidence=0.5)
    with pytest.raises(ConfigError, match=r"min_confidence=0\.5: leaves out tags that models vote with"):
        suggest_texts(tagger, TEXTS, by="disagreement", models=[choosy])


@pytest.mark.failure_mode("nothing-to-suggest")
def test_nothing_to_choose_from_is_said(tagger):
    with pytest.raises(DataError, match="no text to choose: of 2, 1 are annotated already, 0 are repeated, 1 have no"):
        suggest_texts(tagger, ["Porto", " "], annotated=["Porto"])
    with pytest.raises(DataError, match="no text to choose: none was read"):
        suggest_texts(tagger, [])


class TestReading:
    def texts(self, path, content, **options):
        path.write_bytes(content.encode())
        return [document.text for document in read_documents(path, **options)]

    def test_plain_text_columns_and_rows(self, tmp_path):
        assert self.texts(tmp_path / "a.text", "Jordan waved.\n\nPorto\n") == ["Jordan waved.", "", "Porto"]
        assert self.texts(tmp_path / "a.conll", "Jordan B-PER\nwaved O\n\nPorto B-LOC\n") == ["Jordan waved", "Porto"]
        assert self.texts(tmp_path / "a.jsonl", '{"text": "Porto"}\n{"tokens": ["a", "b"]}\n') == ["Porto", "a b"]
        assert self.texts(tmp_path / "b.jsonl", '{"body": "Porto"}\n', text_column="body") == ["Porto"]

    def test_a_format_that_is_given_wins(self, tmp_path):
        content = '{"text": "Porto"}\n'
        assert self.texts(tmp_path / "a.jsonl", content, input_format="text") == ['{"text": "Porto"}']
        assert self.texts(tmp_path / "a.csv", content, input_format="jsonl") == ["Porto"]
        with pytest.raises(ConfigError, match=r"text_column=body: goes with CSV .*, and not with input_format=text"):
            self.texts(tmp_path / "a.jsonl", content, input_format="text", text_column="body")
        with pytest.raises(ConfigError, match="input_format=xml: expected one of column, jsonl, text, csv"):
            self.texts(tmp_path / "a.jsonl", content, input_format="xml")
        with pytest.raises(DataError, match="Give input_format=column or input_format=text"):
            self.texts(tmp_path / "a.txt", "Porto\n")

    def test_csv_with_quotes_and_further_columns(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text('id;body\n1;"Jordan; ""waved"""\n2;"a\nb"\n')
        found = list(read_documents(path, text_column="body"))
        assert [(d.text, dict(d.extra)) for d in found] == [('Jordan; "waved"', {"id": "1"}), ("a\nb", {"id": "2"})]
        with pytest.raises(DataError, match=r"a.csv: text_column=text: the first line names no .*it has 'id, body'"):
            list(read_documents(path))

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.csv", "text,id\nPorto,1,2\n", "a.csv, line 2: has 3 columns; expected 2"),
            ("a.csv", "", "a.csv: is empty; expected names of columns"),
            ("a.csv", 'text\n"Porto', "a.csv, line 2: is not CSV"),
            ("a.jsonl", '{"words": []}\n', "a.jsonl, line 1: .* expected an object with 'text'"),
            ("a.jsonl", "[1]\n", "a.jsonl, row 1"),
        ],
    )
    def test_what_holds_no_text_is_refused_with_its_place(self, name, content, message, tmp_path):
        with pytest.raises(DataError, match=message):
            self.texts(tmp_path / name, content)

    def test_annotated_texts_of_files_and_folders(self, tmp_path):
        (tmp_path / "corpus").mkdir()
        (tmp_path / "corpus/train.txt").write_text("Jordan B-PER\nwaved O\n\n")
        (tmp_path / "done.jsonl").write_text('{"text": "Porto", "label": [[0, 5, "LOC"]]}\n')
        assert list(annotated_texts(tmp_path / "corpus", task=NER)) == ["Jordan waved"]
        assert list(annotated_texts(tmp_path / "done.jsonl", task=NER)) == ["Porto"]

    def test_annotated_texts_of_a_folder_are_whole(self, tmp_path):
        (tmp_path / "a.txt").write_text("Jordan waved\nPorto\n")
        (tmp_path / "a.ann").write_text("T1\tPER 0 6\tJordan\n")
        assert list(annotated_texts(tmp_path, task=NER)) == ["Jordan waved\nPorto\n"]
        (tmp_path / "two").mkdir()
        (tmp_path / "two/train.jsonl").write_text('{"text": "Jordan\\nwaved", "label": [[0, 6, "PER"]]}\n')
        (tmp_path / "two/test.conll").write_text("Porto B-LOC\nburns O\n\n")
        assert sorted(annotated_texts(tmp_path / "two", task=NER)) == ["Jordan\nwaved", "Porto burns"]

    def test_texts_without_an_annotation_are_not_annotated(self, tmp_path):
        tasks = [
            {"id": 1, "data": {"text": "Porto"}, "annotations": [{"id": 5, "result": []}]},
            {"id": 2, "data": {"text": "Jordan"}, "annotations": []},
        ]
        (tmp_path / "train.json").write_text(json.dumps(tasks))
        assert list(annotated_texts(tmp_path / "train.json", task=NER)) == ["Porto"]
        assert list(annotated_texts(tmp_path, task=NER)) == ["Porto"]

    def test_options_of_exports(self, tmp_path):
        tasks = [{"id": 1, "data": {"head": "Porto", "body": "Jordan waved"}, "annotations": []}]
        (tmp_path / "a.json").write_text(json.dumps(tasks))
        with pytest.raises(DataError, match="tokens_column"):
            list(read_documents(tmp_path / "a.json"))
        assert [d.text for d in read_documents(tmp_path / "a.json", tokens_column="body")] == ["Jordan waved"]
        (tmp_path / "a.txt").write_text("Porto\n")
        with pytest.raises(ConfigError, match="encoding=latin-1: goes with exports of annotation tools"):
            list(read_documents(tmp_path / "a.txt", encoding="latin-1"))


class TestCommand:
    @pytest.fixture
    def run(self, folder, tmp_path, monkeypatch, capsys):
        """Runs the command in an empty folder; gives what it printed, or its exit code and message."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")

        def _run(*words):
            try:
                main(["suggest", str(folder / "bert"), *words])
            except SystemExit as ended:
                return ended.code, capsys.readouterr().err
            printed = capsys.readouterr()
            return printed.out if printed.out else printed.err

        return _run

    def test_prints_a_table(self, run):
        shown = run("texts.txt", "--number", "2").splitlines()
        assert shown[0].split() == ["text", "uncertainty", "least", "certain"]
        assert shown[-1] == "7 texts, left out: 1 repeated, 1 without a word; 2 chosen by uncertainty."

    @pytest.mark.parametrize("form", ["label-studio", "label_studio", "doccano", "prodigy", "brat"])
    def test_writes_what_it_reads_again(self, form, run, tmp_path):
        told = run("texts.txt", "--number", "3", "--output", "next", "--format", form)
        assert told.endswith("3 chosen by uncertainty. Written to next.\n")
        again = list(read_documents(tmp_path / "next"))
        assert len(again) == 3
        assert {document.text for document in again} < set(TEXTS)
        refused = run("texts.txt", "--output", "next", "--format", form)
        assert refused[0] == 1
        assert "--overwrite" in refused[1]

    def test_writes_to_standard_output_in_the_tools_own_format(self, run, tmp_path):
        (tmp_path / "export.jsonl").write_text(
            '{"id": 1, "text": "Jordan waved", "label": [[0, 6, "PER"]]}\n'
            '{"id": 2, "text": "Porto", "label": [], "who": "me"}\n'
        )
        rows = [json.loads(line) for line in run("export.jsonl", "--format", "doccano").splitlines()]
        assert [(row["id"], row["text"], row["who"]) for row in rows] == [(2, "Porto", "me")]
        assert 0 <= rows[0]["uncertainty"] <= 1

    def test_tasks_of_label_studio_without_annotation_are_the_pool(self, run, tmp_path):
        result = {"from_name": "ner", "to_name": "txt", "type": "labels", "id": "x",
                  "value": {"start": 0, "end": 5, "text": "Porto", "labels": ["LOC"]}}  # fmt: skip
        tasks = [
            {"id": 1, "data": {"txt": "Porto"}, "annotations": [{"id": 5, "result": [result]}]},
            {"id": 2, "data": {"txt": "nobody"}, "annotations": [{"id": 6, "result": []}]},
            {"id": 3, "data": {"txt": "Jordan waved", "page": 4}, "annotations": []},
        ]
        (tmp_path / "export.json").write_text(json.dumps(tasks))
        assert "left out: 2 annotated already; 1 chosen" in run("export.json", "--output", "next.json")
        task, *others = json.loads((tmp_path / "next.json").read_text())
        assert not others
        assert (task["id"], task["data"], task["annotations"]) == (3, tasks[2]["data"], [])
        prediction = task["predictions"][0]
        assert prediction["model_version"] == "bert"
        assert {(r["from_name"], r["to_name"]) for r in prediction["result"]} == {("ner", "txt")}

    def test_json_and_annotated_files(self, run, tmp_path):
        (tmp_path / "done.conll").write_text("Jordan B-PER\nmoved O\nto O\nPorto B-LOC\n. O\n\n")
        found = json.loads(run("texts.txt", "--annotated", "done.conll", "--number", "1", "--json"))
        assert (found["annotated"], found["texts"], len(found["chosen"])) == (1, 7, 1)
        assert found["chosen"][0].keys() == {"number", "score", "entropy", "margin", "doubts", "text", "spans"}

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["none.txt"], "none.txt"),
            (["texts.txt", "--format", "xml"], "--format xml: expected one of"),
            (["texts.txt", "--overwrite"], "--overwrite: goes with --output"),
            (["texts.txt", "--format", "brat"], "Give its name: --output"),
            (["texts.txt", "--by", "disagreement"], "Give others as --models"),
        ],
    )
    def test_mistakes_end_in_a_message(self, words, message, run):
        code, told = run(*words)
        assert code in (1, 2)
        assert message in told
        assert "Traceback" not in told
