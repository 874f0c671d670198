"""Two taggers compared sentence by sentence: counts, the paired test, the terminal and the page."""

import json
import re

import pytest
from browser import browser  # noqa: F401
from tiny_models import tiny_bert

from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.differences import diff_taggers, differences
from hf_tagging.cli import main
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.evaluation import approximate_randomization, count_sentences
from hf_tagging.inference import Tagger
from hf_tagging.publishing.report.diff_page import diff_page
from hf_tagging.tasks import NER, POS

WORDS = [["Jordan", "flew", "to", "Porto"], ["Maria", "slept"], ["rain"], ["Douro", "river"], ["ships"]]
GOLD = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O"], ["O"], ["B-LOC", "I-LOC"], ["O"]]
FIRST = [["B-PER", "O", "O", "B-LOC"], ["B-LOC", "O"], ["O"], ["B-LOC", "O"], ["B-PER"]]
SECOND = [["B-LOC", "O", "O", "B-LOC"], ["B-PER", "O"], ["O"], ["O", "B-LOC"], ["B-PER"]]
BIOES = [["S-LOC", "O", "O", "S-LOC"], ["S-PER", "O"], ["O"], ["O", "S-LOC"], ["S-PER"]]


def compared(task=NER, words=WORDS, gold=GOLD, first=FIRST, second=SECOND, names=("old", "new")):
    sides = (Answers(task, words, gold, tags) for tags in (first, second))
    return differences(*sides, names=names, split="test", resamples=500)


def predictions(path, words=WORDS, gold=GOLD, predicted=FIRST):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        "\n".join(map(" ".join, zip(*columns, strict=True))) for columns in zip(words, gold, predicted, strict=True)
    )
    path.write_text("\n\n".join(rows) + "\n\n")
    return path


class TestDifferences:
    def test_sentences_are_counted_by_who_has_them_right(self):
        found = compared()
        assert found.sentences == {
            "both_right": 1, "first": 1, "second": 1, "both_wrong_alike": 1, "both_wrong_differently": 1,
        }  # fmt: skip
        assert sum(found.sentences.values()) == len(WORDS)
        assert found.items == {"both": 1, "first": 1, "second": 1, "neither": 1}
        assert [(row["number"], row["outcome"]) for row in found.different] == [
            (1, "first"), (2, "second"), (4, "both_wrong"),
        ]  # fmt: skip

    def test_a_sentence_has_its_spans_and_the_errors_of_each_side(self):
        first, _, last = compared().different
        assert first["words"] == WORDS[0]
        assert list(map(tuple, first["gold"])) == [(0, 1, "PER"), (3, 4, "LOC")]
        assert list(map(tuple, first["second"])) == [(0, 1, "LOC"), (3, 4, "LOC")]
        assert [(error["side"], error["kind"]) for error in first["errors"]] == [(1, "type")]
        assert [(error["side"], error["kind"]) for error in last["errors"]] == [(0, "boundary"), (1, "boundary")]

    def test_the_test_is_the_projects_paired_one(self):
        found = compared()
        ours, theirs = (count_sentences("ner", GOLD, tags) for tags in (FIRST, SECOND))
        assert found.scores == (ours.score, theirs.score)
        assert found.difference == theirs.score - ours.score
        assert found.p_value == approximate_randomization(theirs, ours, resamples=500)
        assert found.interval[0] <= found.difference <= found.interval[1]

    def test_schemes_do_not_matter(self):
        assert compared(second=BIOES).sentences == compared().sentences

    def test_plain_tags_are_compared_word_by_word(self):
        words, gold = [["the", "old", "ship"], ["waves"]], [["DT", "JJ", "NN"], ["NNS"]]
        found = compared(POS, words, gold, [["DT", "NN", "NN"], ["NNS"]], [["DT", "JJ", "NN"], ["VBZ"]])
        assert found.metric == "accuracy"
        assert found.scores == (0.75, 0.75)
        assert found.items == {"both": 2, "first": 1, "second": 1, "neither": 0}
        row = found.different[0]
        assert [list(map(tuple, row[key])) for key in ("gold", "first", "second")] == [
            [(1, 2, "JJ")], [(1, 2, "NN")], [(1, 2, "JJ")],
        ]  # fmt: skip

    def test_words_that_are_not_annotated_do_not_count(self):
        gold = [["-100", "O", "O", "B-LOC"], *GOLD[1:]]
        found = compared(gold=gold)
        assert found.sentences["both_right"] == 2
        assert 1 not in {row["number"] for row in found.different}

    @pytest.mark.failure_mode("diff-other-data")
    def test_other_sentences_or_gold_tags_are_refused(self):
        with pytest.raises(DataError, match=r"old has 5 sentences and new 4; expected the same"):
            differences(Answers(NER, WORDS, GOLD, FIRST), Answers(NER, WORDS[:4], GOLD[:4], FIRST[:4]),
                        names=("old", "new"), split="test")  # fmt: skip
        other = [*WORDS[:2], ["sun"], *WORDS[3:]]
        with pytest.raises(DataError, match=r"Sentence 3 of old and new differs: 'rain' and 'sun'"):
            differences(Answers(NER, WORDS, GOLD, FIRST), Answers(NER, other, GOLD, FIRST),
                        names=("old", "new"), split="test")  # fmt: skip
        with pytest.raises(DataError, match=r"Sentence 1 has other gold tags for old than for new"):
            differences(Answers(NER, WORDS, GOLD, FIRST), Answers(NER, WORDS, SECOND, FIRST),
                        names=("old", "new"), split="test")  # fmt: skip


class TestModels:
    @pytest.fixture(scope="class")
    def folders(self, tmp_path_factory):
        made = tmp_path_factory.mktemp("diff")
        return tiny_bert(made / "a"), tiny_bert(made / "b", seed=7)

    def test_models_files_and_taggers_mix(self, folders, tmp_path):
        data = tmp_path / "my.conll"
        data.write_text("".join("".join(f"{w} {t}\n" for w, t in zip(*s, strict=True)) + "\n"
                                for s in zip(WORDS, GOLD, strict=True)))  # fmt: skip
        tagger = Tagger.from_pretrained(folders[1], device="cpu")
        found = diff_taggers(folders[0], tagger, data, resamples=50, device="cpu")
        assert found.names == ("bert", "tagger 2")
        assert sum(found.sentences.values()) == len(WORDS)
        file = predictions(tmp_path / "ner/predictions/test.conll", predicted=GOLD)
        beside = diff_taggers(file, folders[1], data, resamples=50, device="cpu")
        assert (beside.names, beside.scores[0]) == (("ner", "bert"), 1.0)
        assert beside.scores[1] == found.scores[1]
        itself = diff_taggers(folders[0], folders[0], data, resamples=50, device="cpu")
        assert itself.names == ("bert (1)", "bert (2)")
        assert (itself.difference, itself.p_value, itself.different) == (0.0, 1.0, [])

    def test_mistakes(self, folders, tmp_path):
        with pytest.raises(ConfigError, match="dataset: a model is compared on data"):
            diff_taggers(*folders)
        with pytest.raises(ModelError):
            diff_taggers(tmp_path / "none", folders[0], "sample")


class TestCommand:
    @pytest.fixture
    def run(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        predictions(tmp_path / "old/predictions/test.conll")
        predictions(tmp_path / "new/predictions/test.conll", predicted=SECOND)

        def _run(*words):
            try:
                files = ("old/predictions/test.conll", "new/predictions/test.conll")
                main(["diff", *files, *words, "--resamples", "50"])
            except SystemExit as ended:
                return ended.code, capsys.readouterr().err
            return capsys.readouterr().out

        return _run

    def test_prints_figures_counts_and_sentences(self, run):
        shown = run("--number", "2")
        assert re.search(r"old +0\.\d{4} +0\.\d{4} +0\.\d{4}\n", shown)
        assert re.search(r"old right, new wrong +1 +1\n", shown)
        assert "Sentence 1: old right, new wrong\n" in shown
        assert "  gold  [Jordan PER] flew to [Porto LOC]\n" in shown
        assert "  new   [Jordan LOC*] flew to [Porto LOC]\n" in shown
        assert shown.endswith("1 more sentence tagged differently.\n")

    def test_json_has_every_sentence(self, run):
        found = json.loads(run("--json"))
        assert found["sentences"]["first"] == 1
        assert [row["number"] for row in found["different"]] == [1, 2, 4]

    def test_writes_a_page_and_replaces_it_if_asked(self, run, tmp_path):
        assert run("--output", "out").endswith("Written to out/differences.html\n")
        assert json.loads((tmp_path / "out/differences.json").read_text())["names"] == ["old", "new"]
        code, told = run("--output", "out")
        assert (code, "--overwrite" in told) == (1, True)
        run("--output", "out", "--overwrite")

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["sample"], "sample: of no use with two predictions files"),
            (["--split", "test"], "--split: of no use with two predictions files"),
            (["--number", "-1"], "--number -1: expected 0 or more"),
            (["--overwrite"], "--overwrite: goes with --output"),
        ],
    )
    def test_mistakes_end_in_a_message(self, words, message, run):
        code, told = run(*words)
        assert code == 2
        assert message in told


class TestPage:
    def test_the_list_needs_no_script(self):
        page = diff_page(compared())
        assert page.count('class="place">Sentence') == 3
        assert "Sentence 1: old right, new wrong" in page
        assert page.count('<span class="who">old</span>') == 3
        assert "http://" not in page.replace("http-equiv", "")
        assert "<script src" not in page

    def test_markup_in_words_tags_and_names_stays_text(self):
        words = [["<img src=x onerror=alert(1)>"]]
        page = diff_page(compared(NER, words, [["B-</script>"]], [["O"]], [["B-</script>"]], names=("<b>", "new")))
        assert "<img src=x" not in page
        assert page.count("</script>") == 2
        assert "<b>, missed" not in page

    def test_nothing_differs(self):
        page = diff_page(compared(second=FIRST))
        assert "None: what one tagger has wrong, the other has wrong in the same way." in page
        assert 'id="shown"' not in page

    def test_the_browser_shows_three_lines_and_filters_by_outcome(self, browser, tmp_path):  # noqa: F811
        path = tmp_path / "differences.html"
        path.write_text(diff_page(compared()), encoding="utf-8")
        page = browser.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        assert page.locator("#count").inner_text() == "1 of 3"
        assert page.locator("#shown .who").all_inner_texts() == ["Gold", "old", "new"]
        assert "new, wrong type" in page.locator("#shown .said").inner_text()
        assert page.locator("#shown mark.wrong").count() == 2, "in the gold line and in that of the one that is wrong"
        page.locator("a[data-kind=second]").click()
        assert page.locator("#count").inner_text() == "1 of 1"
        assert page.locator("#shown .place").inner_text() == "Sentence 2"
        page.close()
        assert not complaints
