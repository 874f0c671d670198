"""Any tagger on any tagged data, and anybody's predictions: scored with the figures of seqeval and of conlleval."""

import json
from itertools import chain

import conlleval
import numpy as np
import pytest
from datasets import DatasetDict
from seqeval.metrics import classification_report
from seqeval.scheme import IOB1, IOB2, IOBES
from tiny_models import tiny_bert

from hf_tagging.cli import main
from hf_tagging.data import convert_tags, load_tagging_dataset
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.evaluation import write_predictions
from hf_tagging.inference import Tagger
from hf_tagging.inference.evaluating import evaluate_model, evaluate_predictions, evaluate_tagger
from hf_tagging.inference.evaluation import write_evaluation
from hf_tagging.training.environment import describe_split

SEQEVAL = {"IOB1": IOB1, "IOB2": IOB2, "BIOES": IOBES}
LETTERS = {"IOB1": "BI", "IOB2": "BI", "BIOES": "BIES"}
TYPES = ("PER", "LOC", "GPE-LOC")
WORDS = [["Jordan", "will", "book", "a", "table"], ["Lisbon"], ["Maria", "Porto", "waved", "."]]
# PER (0), ORG (3-4); LOC (0); PER (0), LOC (1).
GOLD = [["B-PER", "O", "O", "B-ORG", "I-ORG"], ["B-LOC"], ["B-PER", "B-LOC", "O", "O"]]


def random_tags(rng, scheme, lengths, *, valid):
    """Tags (sentences, words): any row of tags, or, where they are to be valid, entities as the scheme writes them."""
    names = ["O", *(f"{letter}-{kind}" for letter in LETTERS[scheme] for kind in TYPES)]
    rows = [[names[i] for i in rng.integers(0, len(names), length)] for length in lengths]
    return [convert_tags(row, source=scheme, target=scheme) for row in rows] if valid else rows


def columns(path, gold, predicted, words=None):
    words = words or [[f"w{i}" for i, _ in enumerate(tags)] for tags in gold]
    write_predictions(path, words, gold, predicted)
    return path


def conll(path, words, tags):
    lines = ["\n".join(f"{w} {t}" for w, t in zip(*pair, strict=True)) for pair in zip(words, tags, strict=True)]
    path.write_text("\n\n".join(lines) + "\n")
    return path


class TestPredictions:
    @pytest.mark.parametrize("valid", [True, False], ids=["valid", "any"])
    @pytest.mark.parametrize("scheme", list(SEQEVAL))
    @pytest.mark.parametrize("seed", range(3))
    def test_figures_are_those_of_conlleval_and_seqeval(self, tmp_path, scheme, valid, seed):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 13, 80)
        gold, other = (random_tags(rng, scheme, lengths, valid=v) for v in (valid, False))
        predicted = [theirs if rng.random() < 0.35 else ours for ours, theirs in zip(gold, other, strict=True)]
        path = columns(tmp_path / "p.conll", gold, predicted)

        figures = evaluate_predictions(path, scheme=scheme).figures

        theirs = conlleval.score(path.read_text().splitlines())
        assert 0 < theirs["f1"] < 1
        for name in ("precision", "recall", "f1", "accuracy"):
            assert figures[name] == pytest.approx(theirs[name], abs=5e-5), name
        for mode, prefix in ((None, ""), ("strict", "strict_")):
            options = {"mode": mode, "scheme": SEQEVAL[scheme]} if mode else {}
            report = classification_report(gold, predicted, output_dict=True, zero_division=0, **options)
            total = report.pop("micro avg")
            assert figures[f"{prefix}f1"] == pytest.approx(total["f1-score"], abs=5e-5)
            assert figures[f"{prefix}precision"] == pytest.approx(total["precision"], abs=5e-5)
            assert figures[f"{prefix}recall"] == pytest.approx(total["recall"], abs=5e-5)
            for kind, row in figures[f"{prefix}per_type"].items():
                assert row["f1"] == pytest.approx(report[kind]["f1-score"], abs=5e-5), kind
                assert row["support"] == report[kind]["support"]

    @pytest.mark.parametrize("scheme", list(SEQEVAL))
    def test_the_scheme_is_found(self, tmp_path, scheme):
        gold = random_tags(np.random.default_rng(1), scheme, [9] * 40, valid=True)
        found = evaluate_predictions(columns(tmp_path / "p.conll", gold, gold))

        assert (found.task.name, found.figures["scheme"], found.figures["strict_f1"]) == ("ner", scheme, 1.0)
        assert found.notes == ()

    @pytest.mark.parametrize(
        ("scheme", "spell"),
        [
            ("IOB2", lambda tag: tag),
            ("BIOES", lambda tag: {"E": "L", "S": "U"}.get(tag[0], tag[0]) + tag[1:]),  # BILOU
            ("IOB1", lambda tag: tag.partition("-")[2] or tag),  # no prefixes
        ],
    )
    def test_gold_and_predictions_may_be_in_two_schemes(self, tmp_path, scheme, spell):
        gold = [["I-PER", "O", "I-ORG", "I-ORG"], ["I-LOC", "O", "I-PER"], ["I-LOC", "B-LOC", "O"]]
        right = [[spell(tag) for tag in convert_tags(tags, source="IOB1", target=scheme)] for tags in gold[:2]]
        wrong = [spell(tag) for tag in convert_tags(["I-LOC", "O", "O"], source="IOB1", target=scheme)]
        path = columns(tmp_path / "p.conll", gold, [*right, wrong])

        found = evaluate_predictions(path)
        # Gold: 6 entities; predicted: 5, all right.
        assert (found.figures["precision"], found.figures["recall"]) == (1.0, pytest.approx(5 / 6))
        assert (found.figures["scheme"], found.predicted[0]) == ("IOB1", gold[0])
        told = f"The predictions are in {scheme} and were written as IOB1."
        assert found.notes == (() if scheme == "IOB1" else (told,))

    @pytest.mark.failure_mode("other-scheme")
    def test_errors_of_a_model_are_no_other_scheme(self, tmp_path):
        """An `I-` that begins an entity is wrong in IOB2, also where every prediction has it."""
        gold = [["B-PER", "I-PER", "O"], ["B-LOC", "O", "O"]]
        found = evaluate_predictions(
            columns(tmp_path / "p.conll", gold, [[t.replace("B-", "I-") for t in s] for s in gold])
        )

        assert (found.figures["f1"], found.figures["strict_f1"], found.figures["scheme"]) == (1.0, 0.0, "IOB2")
        assert found.notes[0].startswith("The gold tags are in IOB2 and the predictions look like IOB1: both were read")
        # B- alone beside BIOES: an S- that was taken for a B-.
        path = columns(tmp_path / "q.conll", [["S-PER", "O"], ["B-LOC", "E-LOC"]], [["B-PER", "O"], ["B-LOC", "I-LOC"]])
        assert evaluate_predictions(path).figures["strict_f1"] == 0.0

    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("letters", ["I", "BI", "IIIB", "BBBI"])
    @pytest.mark.parametrize("scheme", ["IOB2", "BIOES"])
    def test_strict_figures_are_those_of_seqeval_for_any_predictions(self, tmp_path, scheme, letters, seed):
        rng = np.random.default_rng(seed)
        gold = random_tags(rng, scheme, rng.integers(1, 13, 60), valid=True)
        kept = [[t if t == "O" or rng.random() < 0.1 else f"{rng.choice([*letters])}-{t[2:]}" for t in s] for s in gold]
        figures = evaluate_predictions(columns(tmp_path / "p.conll", gold, kept)).figures

        options = {"mode": "strict", "scheme": SEQEVAL[scheme], "zero_division": 0, "output_dict": True}
        assert figures["scheme"] == scheme
        assert figures["strict_f1"] == pytest.approx(
            classification_report(gold, kept, **options)["micro avg"]["f1-score"]
        )

    def test_what_was_invalid_in_its_own_scheme_is_told(self, tmp_path):
        gold = [["B-PER", "I-PER", "O"], ["B-LOC", "O", "O"]]
        predicted = [["B-PER", "I-PER", "O"], ["S-LOC", "O", "O"]]  # the PER has no E-
        found = evaluate_predictions(columns(tmp_path / "p.conll", gold, predicted))

        assert found.figures["f1"] == 1.0
        assert found.notes == (
            "The predictions are in BIOES and were written as IOB2; 1 of the predictions were invalid in BIOES and "
            "were repaired.",
        )

    def test_parts_of_speech(self, tmp_path):
        path = columns(tmp_path / "pos.conll", [["DT", "NN"], ["VB", "."]], [["DT", "VB"], ["VB", "."]])
        found = evaluate_predictions(path)

        assert (found.task.name, found.split) == ("pos", "pos")
        assert (found.figures["accuracy"], found.figures["sentence_accuracy"]) == (0.75, 0.5)

    def test_lines_as_others_write_them(self, tmp_path):
        path = tmp_path / "p.conll"
        path.write_text(
            "-DOCSTART- -X- O O\n\n# text = Jordan waved\nJordan NNP B-PER B-PER\nwaved VBD O O\n\n"
            "# # O O\nPorto\tNNP\tB-LOC\tB-ORG\n\n\n"
        )
        found = evaluate_predictions(path)

        assert found.words == [["Jordan", "waved"], ["#", "Porto"]]
        assert (found.figures["words"], found.figures["f1"]) == (4, 0.5)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"p\.conll: holds no word; expected lines of `word \.\.\. gold predicted`"),
            ("a B\n", r"p\.conll, line 1: 'a B' has 2 columns; expected `word gold predicted`"),
            ("a O O\nb O\n", r"p\.conll, line 2: 'b O' has 2 columns; expected 3, .* as in line 1"),
            ("a B-PER PER\nb PER O\n", "Some tags have no prefix"),
        ],
    )
    def test_says_what_is_broken_and_where(self, tmp_path, text, message):
        (tmp_path / "p.conll").write_text(text)
        with pytest.raises(DataError, match=message):
            evaluate_predictions(tmp_path / "p.conll")

    def test_a_scheme_is_checked(self, tmp_path):
        path = columns(tmp_path / "p.conll", [["E-PER"]], [["S-PER"]])
        with pytest.raises(DataError, match="'S-PER' is not a tag of scheme IOB2"):
            evaluate_predictions(path, scheme="IOB2")
        with pytest.raises(ConfigError, match=r"scheme: 'BIO' is not one of IOB1, IOB2, BIOES"):
            evaluate_predictions(path, scheme="BIO")
        with pytest.raises(ConfigError, match=r"the tags of part-of-speech tagging \(task pos\) have none"):
            evaluate_predictions(path, task="pos", scheme="IOB2")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("model")))


class TestModel:
    @pytest.mark.parametrize("scheme", list(SEQEVAL))
    def test_scores_what_the_tagger_says(self, model, tmp_path, scheme):
        gold = [convert_tags(tags, source="IOB2", target=scheme) for tags in GOLD]
        source = conll(tmp_path / "mine.conll", WORDS, gold)
        predicted = Tagger.from_pretrained(model, device="cpu").tag(WORDS)

        found = evaluate_tagger(model, test_file=source, scheme=scheme, device="cpu")

        theirs = conlleval.score(columns(tmp_path / "p.conll", gold, predicted, WORDS).read_text().splitlines())
        for name in ("precision", "recall", "f1"):
            assert found.figures[name] == pytest.approx(theirs[name], abs=5e-5)
        assert (found.split, found.words, found.predicted, found.gold) == ("test", WORDS, predicted, GOLD)
        assert (found.figures["scheme"], found.figures["words"]) == ("IOB2", 10)
        assert found.figures["words_per_second"] > 0
        told = f"The gold tags are in {scheme} and were written as IOB2." if scheme != "IOB2" else None
        assert (told in found.notes) == (told is not None)

    def test_tells_what_the_model_does_not_know(self, model, tmp_path):
        found = evaluate_tagger(model, test_file=conll(tmp_path / "mine.conll", WORDS, GOLD), device="cpu")

        assert found.unknown == {"ORG": 1}
        assert found.notes == ("Entity types that the model does not have, with their entities: ORG (1).",)
        assert found.table().endswith("\n\nEntity types that the model does not have, with their entities: ORG (1).")

    @pytest.mark.parametrize(
        ("tags", "task"),
        [
            (("O", "B-PER", "I-PER", "L-PER", "U-PER", "B-LOC", "I-LOC", "L-LOC", "U-LOC"), None),
            (("O", "PER", "LOC"), "ner"),
        ],
        ids=["BILOU", "no prefixes"],
    )
    def test_models_of_others_spell_their_tags_as_they_like(self, tmp_path, tags, task):
        model = str(tiny_bert(tmp_path, tags=tags))
        source = conll(tmp_path / "mine.conll", WORDS, GOLD)
        predicted = Tagger.from_pretrained(model, device="cpu").tag(WORDS)
        spelled = [[tag.replace("L-", "E-").replace("U-", "S-") for tag in row] for row in predicted]
        if task:
            spelled = [[tag if tag == "O" else f"I-{tag}" for tag in row] for row in predicted]

        found = evaluate_tagger(model, test_file=source, task=task, device="cpu")

        theirs = conlleval.score(columns(tmp_path / "p.conll", GOLD, spelled, WORDS).read_text().splitlines())
        assert found.predicted == spelled
        assert found.figures["f1"] == pytest.approx(theirs["f1"], abs=5e-5)
        assert found.figures["scheme"] == ("IOB1" if task else "BIOES")

    def test_parts_of_speech_of_another_tag_set(self, tmp_path):
        model = str(tiny_bert(tmp_path, tags=("NN", "VB")))
        source = conll(
            tmp_path / "mine.conll", WORDS, [["NN", "MD", "VB", "DT", "NN"], ["NN"], ["NN", "NN", "VB", "."]]
        )
        predicted = Tagger.from_pretrained(model, device="cpu").tag(WORDS)

        found = evaluate_tagger(model, test_file=source, device="cpu")

        right = np.concatenate(predicted) == np.concatenate(found.gold)
        assert (found.task.name, found.figures["accuracy"]) == ("pos", right.mean())
        assert found.unknown == {".": 1, "DT": 1, "MD": 1}
        assert "unseen_accuracy" not in found.figures  # nobody knows what it was trained on

    def test_unseen_words_where_the_run_was_trained_on_this_very_data(self, tmp_path):
        folder = tiny_bert(tmp_path, tags=("NN", "VB"))
        train = conll(tmp_path / "train.conll", [["Jordan", "waved"], ["Porto"]], [["NN", "VB"], ["NN"]])
        test = conll(tmp_path / "test.conll", [["Jordan", "sailed"], ["Porto", "ships"]], [["NN", "VB"], ["NN", "VB"]])
        data = {"train_file": train, "test_file": test}
        split = describe_split(load_tagging_dataset(**data, task="pos")["train"])
        record = {
            "task": "pos",
            "status": "finished",
            "arguments": {},
            "files": [],
            "dataset": {"splits": {"train": split}},
        }
        (folder / "run.json").write_text(json.dumps(record))

        with pytest.warns(FutureWarning, match="evaluate_model is now evaluate_tagger"):
            found = evaluate_model(folder, data, device="cpu", batch_subwords=64)
        right = [a == b for a, b in zip(np.concatenate(found.predicted), ["NN", "VB", "NN", "VB"], strict=True)]
        assert found.figures["unseen_words"] == 2  # sailed, ships
        assert found.figures["unseen_accuracy"] == (right[1] + right[3]) / 2
        assert found.figures["seen_accuracy"] == (right[0] + right[2]) / 2

        conll(train, [["Jordan", "sailed"]], [["NN", "VB"]])  # other data: what the model has seen is not known
        assert "unseen_words" not in evaluate_tagger(folder, **data, device="cpu").figures

    def test_refuses_a_tagger_that_leaves_words_without_a_tag(self, tmp_path, model):
        source = conll(tmp_path / "mine.conll", [["Ada", "sails"]], [["NN", "VB"]])
        choosy = Tagger.from_pretrained(tiny_bert(tmp_path, tags=("NN", "VB")), device="cpu", min_confidence=0.9)
        with pytest.raises(
            ConfigError, match=r"min_confidence=0\.9: leaves words without a tag, which cannot be scored"
        ):
            evaluate_tagger(choosy, test_file=source)
        entities = Tagger.from_pretrained(model, device="cpu", min_confidence=1.0)
        found = evaluate_tagger(entities, test_file=conll(tmp_path / "ner.conll", WORDS, GOLD))
        assert {*chain(*found.predicted)} == {"O"}

    def test_refuses_tags_that_have_nothing_in_common(self, tmp_path, model):
        source = conll(tmp_path / "mine.conll", [["a", "b"]], [["B-Chemical", "O"]])
        with pytest.raises(DataError, match=r"none of their entity types in common: LOC, PER and Chemical\. Is it"):
            evaluate_tagger(model, test_file=source, device="cpu")
        named = str(tiny_bert(tmp_path, tags=("LABEL_0", "LABEL_1")))
        with pytest.raises(DataError, match="none of their tags in common: LABEL_0, LABEL_1 and B-Chemical, O"):
            evaluate_tagger(named, test_file=source, device="cpu")

    def test_takes_the_split_that_is_there(self, tmp_path, model):
        source = conll(tmp_path / "mine.conll", WORDS, GOLD)
        tagger = Tagger.from_pretrained(model, device="cpu")

        assert evaluate_tagger(tagger, source).split == "train"  # a single file
        assert evaluate_tagger(tagger, validation_file=source, train_file=source).split == "validation"
        with pytest.raises(ConfigError, match="split=test: the data has none of this name; it has train"):
            evaluate_tagger(tagger, source, split="test")

    def test_a_split_that_is_no_file_name_is_refused_before_it_is_tagged(self, tmp_path, model, monkeypatch):
        source = str(conll(tmp_path / "mine.conll", WORDS, GOLD))
        odd = DatasetDict({"../odd": load_tagging_dataset(source, task="ner")["train"]})
        monkeypatch.setattr("hf_tagging.inference.evaluating.load_tagging_dataset", lambda *_, **__: odd)
        tagger = Tagger.from_pretrained(model, device="cpu")
        assert evaluate_tagger(tagger).split == "../odd"
        monkeypatch.setattr(tagger, "label_stream", None)
        with pytest.raises(OutputError, match=r"'\.\./odd': a split of this name has no file in"):
            evaluate_tagger(tagger, output=tmp_path / "out")

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({"name_or_path": "sample", "revision": "v1"}, "sample is not on the Hub; leave dataset_revision out"),
            (
                {"name_or_path": "mine.conll", "config_name": "en", "revision": "v1"},
                r"mine\.conll is not on the Hub; leave dataset_config and dataset_revision out",
            ),
            (
                {"test_file": "mine.conll", "config_name": "en"},
                "what files hold is not on the Hub; leave dataset_config out",
            ),
        ],
    )
    def test_what_only_the_hub_has_is_refused_elsewhere(self, data, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        conll(tmp_path / "mine.conll", WORDS, GOLD)
        with pytest.raises(DataError, match=message):
            load_tagging_dataset(**data, task="ner")

    def test_the_embedded_sample(self, model, tmp_path):
        tagger = Tagger.from_pretrained(model, device="cpu")
        found = evaluate_tagger(tagger, "sample", split="validation")

        assert (found.split, len(found.words), found.figures["words"]) == ("validation", 78, 1067)
        assert set(found.unknown) == {"ORG", "MISC"}
        path = columns(tmp_path / "p.conll", found.gold, found.predicted)
        theirs = conlleval.score(path.read_text().splitlines())
        assert found.figures["f1"] == pytest.approx(theirs["f1"], abs=5e-5)


class TestCommand:
    @pytest.fixture
    def source(self, tmp_path):
        return str(conll(tmp_path / "mine.conll", WORDS, GOLD))

    def test_writes_what_a_run_writes(self, model, source, tmp_path, capsys):
        target = tmp_path / "out"
        main(["evaluate", model, "--test_file", source, "--device", "cpu", "--output", str(target)])

        shown = capsys.readouterr().out
        assert shown.splitlines()[0].split() == [
            "precision",
            "recall",
            "f1",
            "strict",
            "f1",
            "accuracy",
            "words",
            "words/s",
        ]
        assert shown.endswith(f"\n\nWritten to {target}\n")
        results = json.loads((target / "results.json").read_text())
        again = evaluate_predictions(target / "predictions" / "test.conll", scheme="IOB2")
        assert results["test"]["f1"] == again.figures["f1"]
        assert results["test"]["strict_f1"] == again.figures["strict_f1"]
        assert sorted(path.name for path in target.rglob("*")) == ["predictions", "results.json", "test.conll"]

        with pytest.raises(SystemExit) as end:
            main(["evaluate", model, "--test_file", source, "--output", str(target)])
        assert end.value.code == 1
        assert "results.json is there already" in capsys.readouterr().err
        main(["evaluate", model, "--test_file", source, "--device", "cpu", "--output", str(target), "--overwrite"])

    def test_prints_json_alone(self, model, source, capsys):
        main(["evaluate", model, "--test_file", source, "--device", "cpu", "--json"])
        answer = json.loads(capsys.readouterr().out)

        assert (answer["model"], answer["task"], answer["split"]) == (model, "ner", "test")
        assert answer["unknown"] == {"ORG": 1}
        assert set(answer["figures"]["per_type"]) >= {"PER", "LOC", "ORG"}

    def test_scores_predictions(self, tmp_path, capsys):
        path = columns(tmp_path / "p.conll", GOLD, [GOLD[0], ["O"], GOLD[2]], WORDS)
        main(["evaluate", "--predictions", str(path), "--json"])
        answer = json.loads(capsys.readouterr().out)

        # 5 gold entities, 4 predicted and right.
        assert answer["figures"]["f1"] == pytest.approx(8 / 9)
        assert (answer["model"], answer["predictions"]) == (None, str(path))
        main(["evaluate", "--predictions", str(path)])
        assert capsys.readouterr().out.splitlines()[1].split()[:5] == ["p", "1.0000", "0.8000", "0.8889", "0.8889"]

    @pytest.mark.parametrize(
        ("flags", "code", "message"),
        [
            ([], 2, "Give the folder of a model, or --predictions FILE"),
            (["m", "--predictions", "p"], 2, "one of the two"),
            (["m"], 2, "Give --dataset NAME, --dataset PATH or --test_file FILE"),
            (["--predictions", "p", "--dataset", "sample", "--split", "test"], 2, "--dataset, --split: of no use with"),
            (["m", "--dataset", "sample", "--overwrite"], 2, "--overwrite: goes with --output"),
            (["./nowhere", "--dataset", "sample"], 1, "there is no such folder"),
            (["--predictions", "nowhere.conll"], 1, "nowhere.conll: cannot be read (No such file or directory)"),
            (["m", "--dataset", "sample", "--scheme", "BIO"], 2, "invalid choice: 'BIO'"),
        ],
    )
    def test_says_what_is_wrong(self, flags, code, message, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            main(["evaluate", *flags])
        captured = capsys.readouterr()
        assert (end.value.code, captured.out) == (code, "")
        assert message in captured.err

    @pytest.mark.parametrize("more", [[], ["--overwrite"]])
    def test_never_replaces_the_predictions_that_it_scores(self, tmp_path, capsys, more):
        folder = tmp_path / "out"
        path = columns(folder / "predictions" / "test.conll", GOLD, GOLD, WORDS)
        path.write_text("# mine\n" + path.read_text())
        before = path.read_text()
        with pytest.raises(SystemExit) as end:
            main(["evaluate", "--predictions", str(path), "--output", str(folder), *more])
        assert end.value.code == 1
        assert f"--output {folder} holds the file of --predictions. Give another folder." in capsys.readouterr().err
        assert path.read_text() == before
        assert [p.name for p in folder.rglob("*")] == ["predictions", "test.conll"]

    def test_predictions_of_others_are_not_replaced_unasked(self, tmp_path):
        found = evaluate_predictions(columns(tmp_path / "p.conll", GOLD, GOLD))
        theirs = columns(tmp_path / "out" / "predictions" / "other.conll", GOLD, GOLD)
        with pytest.raises(OutputError, match=r"predictions/other\.conll is there already; give another"):
            write_evaluation(found, tmp_path / "out")
        write_evaluation(found, tmp_path / "out", overwrite=True)
        assert theirs.exists()

    def test_what_an_earlier_evaluation_wrote_goes_with_its_results(self, tmp_path):
        out = tmp_path / "out"
        first, second = (evaluate_predictions(columns(tmp_path / name, GOLD, GOLD)) for name in ("a.conll", "b.conll"))
        write_evaluation(first, out)
        (out / "predictions" / "mine.conll").write_text("")
        write_evaluation(second, out, overwrite=True)
        assert sorted(path.name for path in (out / "predictions").iterdir()) == ["b.conll", "mine.conll"]
        assert list(json.loads((out / "results.json").read_text())) == ["b"]

        (out / "results.json").write_text("[1]")  # nobody's
        write_evaluation(first, out, overwrite=True)
        assert sorted(path.name for path in (out / "predictions").iterdir()) == ["a.conll", "b.conll", "mine.conll"]

    @pytest.mark.failure_mode("killed-evaluation")
    def test_what_a_killed_evaluation_left_goes(self, tmp_path):
        found = evaluate_predictions(columns(tmp_path / "p.conll", GOLD, GOLD))
        (tmp_path / "out" / "predictions").mkdir(parents=True)
        for name in (".results.json.0123456789ab.partial", "predictions/.p.conll.0123456789ab.partial"):
            (tmp_path / "out" / name).write_text("half")
        write_evaluation(found, tmp_path / "out")
        assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["p.conll", "predictions", "results.json"]

    def test_a_file_that_cannot_be_written_is_told(self, tmp_path):
        found = evaluate_predictions(columns(tmp_path / "p.conll", GOLD, GOLD))
        (tmp_path / "out" / "results.json").mkdir(parents=True)
        with pytest.raises(OutputError, match=r"out/results\.json: is a folder, not a file, and is left as it is"):
            write_evaluation(found, tmp_path / "out", overwrite=True)
        (tmp_path / "flat").mkdir()
        (tmp_path / "flat" / "predictions").write_text("")
        with pytest.raises(OutputError, match=r"flat/predictions: cannot be written \(Not a directory\)"):
            write_evaluation(found, tmp_path / "flat")

    def test_a_tag_is_no_command_for_the_terminal(self, tmp_path, capsys):
        path = tmp_path / "p.conll"
        path.write_text("Jordan B-\x1b[2J B-\x1b[2J\n")
        main(["evaluate", "--predictions", str(path)])
        shown = capsys.readouterr().out
        assert "\x1b" not in shown
        assert "  \\x1b[2J  " in shown

    def test_leaves_the_folder_of_a_run_alone(self, tmp_path, model):
        (tmp_path / "run.json").write_text("{}")
        found = evaluate_predictions(columns(tmp_path / "p.conll", GOLD, GOLD))
        with pytest.raises(OutputError, match="holds a run, with results of its own"):
            write_evaluation(found, tmp_path, overwrite=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["p.conll", "run.json"]
