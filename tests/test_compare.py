"""Comparisons of runs: of folders made by hand, of processes that take no time, and once of real recipes."""

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from recipe_runs import ROOT, environment
from tiny_models import tiny_bert

from hf_tagging.analysis.seen import read_seen
from hf_tagging.atomic import read_json
from hf_tagging.comparison.children import why_it_failed
from hf_tagging.comparison.compare import compare_runs
from hf_tagging.comparison.page import markdown_page, write_comparison
from hf_tagging.comparison.plan import Job, Plan, read_plan
from hf_tagging.comparison.plots import draw_plots
from hf_tagging.comparison.runner import carry_out, describe_plan
from hf_tagging.comparison.runs import find_runs, name_of
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.evaluation import write_predictions
from hf_tagging.evaluation.predictions import read_predictions
from hf_tagging.inference.evaluation import _predictions_of_before
from hf_tagging.inference.onnx_model import MANIFEST, read_record
from hf_tagging.publishing.report.write import analyse_run
from hf_tagging.training.environment import cores

CONFIGS = sorted(ROOT.glob("recipes/configs/compare/*.yaml"))
WORDS = [["the", "house", "sleeps"], ["a", "book"], ["ships", "sail", "by"], ["stop"]]
GOLD = [["DT", "NN", "VB"], ["DT", "NN"], ["NN", "VB", "RB"], ["VB"]]
HARDWARE = {"processor": "x86_64", "threads": 2, "processes": 1, "gpus": []}


def make_run(folder, *, wrong=(), words=WORDS, gold=GOLD, task="pos", status="finished", **arguments):
    """A run's folder; `wrong` are the (sentence, word) places of its errors."""
    predicted = [
        ["O" if (i, j) in wrong and task == "ner" else "X" if (i, j) in wrong else tag for j, tag in enumerate(tags)]
        for i, tags in enumerate(gold)
    ]
    write_predictions(folder / "predictions" / "test.conll", words, gold, predicted)
    seed = arguments.setdefault("seed", 1)
    record = {
        "task": task, "status": status, "files": [], "arguments": {"fold": None, "folds": None} | arguments,
        "hardware": HARDWARE, "parameters": {"all": 1_000 * seed}, "model_bytes": 4_200_000,
        "seconds": {"training": 10.0 * seed}, "memory": {"process": 100_000_000 * seed},
        "results": {"test": {"words_per_second": 2_000.0}},
        "history": [{"epoch": 1.0, "accuracy": 0.5, "f1": 0.5}, {"epoch": 2.0, "accuracy": 0.6 + seed / 10, "f1": 0.6}],
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def runs(tmp_path):
    """An hmm with four errors in nine words, an lstm whose three seeds have two, one and none."""
    errors = [[(0, 1), (2, 0)], [(2, 0)], []]
    return {
        "hmm": [make_run(tmp_path / "hmm" / "seed-1", wrong=[(0, 1), (1, 1), (2, 0), (2, 2)])],
        "lstm": [make_run(tmp_path / "lstm" / f"seed-{s}", wrong=w, seed=s) for s, w in enumerate(errors, 1)],
    }


def test_predictions_are_read_as_they_are_written(tmp_path):
    words = [["New York", ""], ["\u2028", "a_b", "\u200b"]]
    tags, other = [["A", "B"], ["C", "D", "E"]], [["X", "B"], ["C", "Y", "E"]]
    write_predictions(tmp_path / "p.conll", words, tags, other)
    read = read_predictions(tmp_path / "p.conll")
    assert read == (words, tags, other)
    (tmp_path / "p.conll").write_text("a B B\nc D\n")
    with pytest.raises(DataError, match=r"p\.conll, line 2: expected `word gold predicted`, found 'c D'"):
        read_predictions(tmp_path / "p.conll")


def test_figures_of_a_row_by_hand(runs):
    comparison = compare_runs(runs, reference="hmm")
    hmm, lstm = comparison.rows
    assert (comparison.task, comparison.metric, comparison.sentences) == ("pos", "accuracy", 4)
    assert (hmm.score, hmm.deviation, hmm.difference, hmm.p_value) == (pytest.approx(5 / 9), None, None, None)
    assert lstm.seeds == (1, 2, 3)
    assert lstm.scores == pytest.approx((7 / 9, 8 / 9, 1.0))
    assert lstm.score == pytest.approx(8 / 9)
    assert lstm.deviation == pytest.approx(1 / 9)
    assert lstm.difference == pytest.approx(3 / 9)
    # By sentence, of three seeds, hmm has 6, 3, 3, 3 right and lstm 8, 6, 7, 3: one sign, so only 4 of 16 swaps do.
    assert lstm.p_value == pytest.approx(4 / 16, abs=0.02)
    assert lstm.interval[0] < lstm.score < lstm.interval[1] == 1.0
    assert 0 <= lstm.difference_interval[0] < lstm.difference < lstm.difference_interval[1]


def test_costs_are_means_and_memory_is_the_most(runs):
    cost = compare_runs(runs).rows[1].cost
    assert (cost.parameters, cost.model_bytes, cost.training_seconds) == (2_000, 4_200_000, 20.0)
    assert (cost.words_per_second, cost.memory_bytes, cost.gpu_memory_bytes) == (2_000.0, 300_000_000, None)
    assert (cost.hardware, cost.resumed) == ("x86_64, 2 threads", False)


def test_the_time_of_a_resumed_run_does_not_count(runs):
    change(runs["lstm"][2], resumed_from="checkpoint-3")
    change(runs["hmm"][0], resumed_from="checkpoint-9")
    hmm, lstm = compare_runs(runs).rows
    assert (lstm.cost.training_seconds, lstm.cost.resumed) == (15.0, False)
    assert (hmm.cost.training_seconds, hmm.cost.resumed) == (10.0, True)
    assert "over 10.0 s" in compare_runs(runs).table()


def test_folders_are_compared_by_one_call(runs, tmp_path):
    runs["gru"] = [make_run(tmp_path / "gru" / f"seed-{seed}", seed=seed, encoder="gru") for seed in (1, 2)]
    del runs["hmm"]
    comparison = compare_runs([tmp_path / "lstm", str(tmp_path / "gru")], reference=tmp_path / "gru", resamples=99)
    assert comparison == compare_runs(runs, reference="gru", resamples=99)
    assert [(row.name, len(row.seeds)) for row in comparison.rows] == [("lstm", 3), ("gru", 2)]
    assert str(comparison) == comparison.table()
    with pytest.raises(ConfigError, match=r"reference: '.*gru' is not one of the runs: lstm"):
        compare_runs([tmp_path / "lstm"], reference=tmp_path / "gru")
    assert [row.name for row in compare_runs(tmp_path / "lstm", resamples=99).rows] == ["lstm"]
    with pytest.raises(ConfigError, match="runs: there are none to compare"):
        compare_runs([])


def test_a_notebook_shows_a_comparison_as_a_table(runs, tmp_path):
    name = "<b>lstm</b>"
    shown = compare_runs({"hmm": runs["hmm"], name: runs["lstm"]}, reference=name, resamples=99)._repr_html_()
    assert "<b>" not in shown
    assert "<td>&lt;b&gt;lstm&lt;/b&gt;</td><td>0.8889 ± 0.1111</td>" in shown
    assert shown.count("<tr>") == 3


def test_table_for_a_terminal(runs):
    lines = compare_runs(runs, resamples=500).table().splitlines()
    assert lines[0].split() == ["run", "accuracy", "95%", "interval", "against", "hmm", "p", "seeds", "parameters",
                                "size", "training", "words/s", "memory", "hardware"]  # fmt: skip
    assert lines[1].startswith("hmm            0.5556  ")
    assert lines[2].startswith("lstm  0.8889 ± 0.1111  ")
    assert lines[2].endswith("3      2.00 k  4.20 MB    20.0 s    2,000  300 MB  x86_64, 2 threads")
    assert "bootstrap over the 4 sentences, 500 resamples" in lines[5]


def test_folds_are_one_test(tmp_path):
    """Fold 0 tests on the first two sentences, fold 1 on the others."""
    parts = {0: slice(0, 2), 1: slice(2, 4)}

    def fold(name, seed, part, wrong):
        folder, where = tmp_path / name / f"seed-{seed}-fold-{part}", parts[part]
        return make_run(folder, words=WORDS[where], gold=GOLD[where], wrong=wrong, seed=seed, fold=part, folds=2)

    runs = {
        "a": [fold("a", 1, 1, [(0, 0)]), fold("a", 1, 0, [])],
        "b": [fold("b", 1, 0, []), fold("b", 1, 1, []), fold("b", 2, 0, [])],
    }
    comparison = compare_runs(runs)
    a, b = comparison.rows
    assert comparison.sentences == 4
    assert a.scores == pytest.approx((8 / 9,))
    assert (b.seeds, b.scores, b.problems) == ((1,), (1.0,), ("seed 2: not all folds are there",))
    runs["c"] = [make_run(tmp_path / "c", seed=1)]
    with pytest.raises(DataError, match=r"seed-1-fold-1 and .*c cannot be compared: folds is 2, and not set"):
        compare_runs(runs)


def test_entities_count_whatever_the_scheme(tmp_path):
    words = [["Ada", "Lovelace", "slept"], ["Lisbon"]]
    iob2 = [["B-PER", "I-PER", "O"], ["B-LOC"]]
    bioes = [["B-PER", "E-PER", "O"], ["S-LOC"]]
    runs = {
        "iob2": [make_run(tmp_path / "a", words=words, gold=iob2, task="ner")],
        "bioes": [make_run(tmp_path / "b", words=words, gold=bioes, task="ner", wrong=[(1, 0)])],
    }
    first, second = compare_runs(runs).rows
    assert (first.score, second.score) == (1.0, pytest.approx(2 / 3))  # one of two found: P 1, R 1/2
    shorter = [["B-PER", "O", "O"], ["B-LOC"]]
    runs["other"] = [make_run(tmp_path / "c", words=words, gold=shorter, task="ner")]
    with pytest.raises(DataError, match=r"entities of sentence 1 of test differ \(\('PER', 0, 1\) in the first, \('"):
        compare_runs(runs)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"words": [["the", "home", "sleeps"], *WORDS[1:]]},
         "the words of sentence 1 of test differ ('house' in the first, 'home' in the second)"),
        ({"gold": [*GOLD[:3], ["NN"]]},
         "the tags of sentence 4 of test differ ('VB' in the first, 'NN' in the second)"),
        ({"words": WORDS[:3], "gold": GOLD[:3]}, "test has 4 sentences in the first, 3 in the second"),
        ({"task": "ner", "gold": [["O"] * len(s) for s in WORDS]}, "the first is a run of pos, the second of ner"),
    ],
)  # fmt: skip
def test_runs_that_were_asked_something_else_are_refused(runs, tmp_path, changed, message):
    runs["other"] = [make_run(tmp_path / "other", **changed)]
    with pytest.raises(DataError) as error:
        compare_runs(runs)
    assert str(error.value).startswith(f"{runs['hmm'][0]} and {tmp_path / 'other'} cannot be compared: {message}.")
    assert "--split_seed" not in str(error.value)


def test_splits_that_were_drawn_want_one_split_seed(tmp_path):
    runs = {"a": [make_run(tmp_path / "1", test_share=0.1),
                  make_run(tmp_path / "2", test_share=0.1, seed=2, words=WORDS[::-1], gold=GOLD[::-1])]}  # fmt: skip
    with pytest.raises(DataError, match="Draw splits with the same split_seed in all runs"):
        compare_runs(runs)


def test_counts_are_kept_and_never_stale(runs):
    folder = runs["hmm"][0]
    path = folder / "predictions" / "test.conll"
    assert compare_runs(runs).rows[0].score == pytest.approx(5 / 9)
    kept = json.loads((path.parent / ".test.counts.json").read_text())
    assert kept["counts"] == [[2, 3], [1, 2], [1, 3], [1, 1]]
    stat = path.stat()
    content = path.read_text()
    assert content.count(" X\n") == 4
    path.write_text(content.replace("stop VB VB", "stop VB XX"))  # as long, and as old
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert compare_runs(runs).rows[0].score == pytest.approx(4 / 9)
    for damaged in ("", "{}", "[1]", '{"version": 1}'):
        (path.parent / ".test.counts.json").write_text(damaged)
        assert compare_runs(runs).rows[0].score == pytest.approx(4 / 9)


def change(folder, **values):
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | values))


def test_runs_without_figures_have_a_row_that_says_why(runs, tmp_path):
    runs["torn"] = [make_run(tmp_path / "torn", status="running")]
    runs["none"] = [tmp_path / "none" / "seed-1"]
    runs["mute"] = [make_run(tmp_path / "mute")]
    (tmp_path / "mute" / "predictions" / "test.conll").unlink()
    runs["dead"] = [tmp_path / "dead" / "seed-1"]
    runs["half"] = [make_run(tmp_path / "half" / "seed-1"), tmp_path / "half" / "seed-2"]
    problems = {tmp_path / "dead" / "seed-1": "ValueError: no", tmp_path / "half" / "seed-2": "OSError: full"}
    rows = {row.name: row for row in compare_runs(runs, problems=problems).rows}
    assert {name: row.problems for name, row in rows.items()} == {
        "hmm": (), "lstm": (),
        "torn": ("torn: not finished",),
        "none": ("seed-1: not started",),
        "mute": ("mute: has no predictions/test.conll",),
        "dead": ("seed-1: ValueError: no",),
        "half": ("seed-2: OSError: full",),
    }  # fmt: skip
    assert [name for name, row in rows.items() if row.failed] == ["mute", "dead", "half"]
    assert (rows["half"].score, rows["half"].seeds) == (1.0, (1,))
    lines = compare_runs(runs, problems=problems, resamples=9).table().splitlines()
    shown = {line.split()[0]: line for line in lines if line}
    assert shown["dead"].split()[1] == "failed"
    assert shown["dead"].endswith("seed-1: ValueError: no")
    assert " not finished " in shown["torn"]


BAD = [
    ({"task": None}, "task is of type NoneType"),
    ({"task": ["pos"]}, "task is of type list"),
    ({"results": 5}, "results.test is of type int; expected an object"),
    ({"results": {"test": [1]}}, "results.test is of type list; expected an object"),
    ({"results": {"test": {"words_per_second": "fast"}}}, "results.test.words_per_second is of type str"),
    ({"seconds": [1]}, "seconds is of type list; expected an object"),
    ({"seconds": {"training": 10**400}}, "seconds.training is of type int; expected a finite number"),
    ({"hardware": "x86"}, "or of another version"),
    ({"hardware": {"gpus": 2}}, "hardware.gpus is of type int; expected a list"),
    ({"hardware": {"processes": 1.5}}, "or of another version"),
    ({"hardware": {"threads": 1.5}}, "hardware.threads is of type float; expected a whole number"),
    ({"parameters": {"all": math.nan}}, "parameters.all is of type float; expected a finite number"),
    ({"memory": 5}, "memory is of type int; expected an object"),
    ({"model_bytes": {}}, "model_bytes is of type dict"),
    ({"history": 5}, "history is of type int; expected a list of objects"),
    ({"history": [5]}, "history is of type list; expected a list of objects"),
    ({"scheme": 5}, "scheme is of type int; expected an object"),
    ({"arguments": {}}, "it has no seed"),
    ({"arguments": {"seed": [1]}}, "arguments.seed is of type list; expected a whole number"),
    ({"arguments": {"seed": 1, "folds": "2"}}, "arguments.folds is of type str"),
]


def test_a_run_of_a_task_that_is_not_registered_is_a_row_that_says_so(runs, tmp_path):
    runs["odd"] = [make_run(tmp_path / "odd")]
    change(runs["odd"][0], task="zzz")
    comparison = compare_runs(runs, resamples=9)
    assert [row.failed for row in comparison.rows] == [False, False, True]
    said = "odd: run.json is of the task 'zzz', which is not one of pos, ner; register it first, with hf_tagging"
    assert comparison.rows[2].problems[0].startswith(said)


@pytest.mark.failure_mode("compare-damaged-run")
@pytest.mark.parametrize(("damage", "why"), BAD, ids=lambda value: str(value)[:40])
def test_a_damaged_record_is_a_row_that_says_why(runs, tmp_path, damage, why):
    runs["odd"] = [make_run(tmp_path / "odd")]
    change(runs["odd"][0], **damage)
    comparison = compare_runs(runs, resamples=9)
    assert [row.failed for row in comparison.rows] == [False, False, True]
    assert re.match(rf"odd: run\.json is damaged[:,] {re.escape(why)}", comparison.rows[2].problems[0])
    write_comparison(comparison, tmp_path / "out", draw_plots(comparison, tmp_path / "out"))
    assert "run.json is damaged" in comparison.table()
    assert find_runs([tmp_path])
    if "seed" not in why:
        with pytest.raises(ConfigError, match=r"odd: run\.json is damaged.*Give the output folder of a run"):
            analyse_run(runs["odd"][0])


def test_curves_of_anything_are_drawn_as_far_as_they_can(runs, tmp_path):
    change(runs["hmm"][0], history=[{"epoch": "1", "accuracy": 1}, {"epoch": 1, "accuracy": [1]}, {"epoch": math.nan}])
    assert "plots/learning_curves.png" in draw_plots(compare_runs(runs, resamples=9), tmp_path)


@pytest.mark.failure_mode("compare-damaged-run")
@pytest.mark.parametrize("content", [b"caf\xe9 NN NN\n", b"a b\n"])
def test_damaged_predictions_stop_no_comparison(plan, runs, tmp_path, capsys, content):
    """Neither where the run was finished before, nor where others are still to be run."""
    odd = make_run(tmp_path / "odd")
    (odd / "predictions" / "test.conll").write_bytes(content)
    jobs = [("odd", 1, 0, odd), ("a", 1, 0, runs["hmm"][0]), ("b", 1, 0, runs["hmm"][0])]
    for _ in range(2):
        comparison = carry_out(plan(*jobs, parallel=1))
        assert [row.failed for row in comparison.rows] == [True, False, False]
        assert "odd, seed 1: " in capsys.readouterr().out
        assert f"{Path('predictions', 'test.conll')}" in comparison.rows[0].problems[0]


DEEP = "[" * 100_000


def test_json_that_is_nested_too_deep_is_none_that_can_be_read(runs, tmp_path):
    folder = runs["hmm"][0]
    assert compare_runs(runs, resamples=9).rows[0].score == pytest.approx(5 / 9)
    for name in ("predictions/.test.counts.json", "predictions/seen.json", "space.json", "results.json", "config.json"):
        (folder / name).write_text(DEEP)
    assert compare_runs(runs, resamples=9).rows[0].score == pytest.approx(5 / 9)
    assert read_seen(folder, "test") is None
    assert read_json(folder / "config.json") is None
    for manifest in (DEEP, "[]", '{"hf_tagging": []}'):
        (folder / MANIFEST).write_text(manifest)
        assert read_record(folder) == {}
    assert _predictions_of_before(folder) == []
    for config in (DEEP, "[]"):
        (folder / "config.json").write_text(config)
        assert "could not be loaded" in analyse_run(folder, device="cpu")["calibration"]["missing"]


def test_nothing_is_finished(tmp_path):
    comparison = compare_runs({"a": [tmp_path / "a"], "b": [tmp_path / "b"]})
    assert (comparison.task, [row.score for row in comparison.rows]) == (None, [None, None])
    assert "No run is finished yet." in comparison.table()
    assert draw_plots(comparison, tmp_path) == []


def test_without_the_reference_there_is_no_p(runs, tmp_path):
    comparison = compare_runs(runs | {"none": [tmp_path / "none"]}, reference="none")
    assert [row.p_value for row in comparison.rows] == [None] * 3
    assert comparison.rows[0].interval is not None
    with pytest.raises(ConfigError, match="reference: 'gru' is not one of the runs: hmm, lstm"):
        compare_runs(runs, reference="gru")
    with pytest.raises(ConfigError, match="are the same seed of hmm"):
        compare_runs({"hmm": [*runs["hmm"], make_run(tmp_path / "copy")]})


def test_markdown_means_itself(runs, tmp_path):
    name, why = "a|b <b>*x*</b> [l](u) $1$ snake_case", "Error: `x` | @me\nand \u202e more"
    comparison = compare_runs(runs | {name: [tmp_path / "x"]}, reference=name, problems={tmp_path / "x": why})
    page = markdown_page(comparison, ["plots/a.png"])
    assert "![a](plots/a.png)" in page
    line = next(line for line in page.splitlines() if line.startswith("| a&#124;"))
    assert line.count("|") == len(page.splitlines()[2].split("|")) - 1  # as many cells as the header
    assert "&#60;b&#62;&#42;x&#42;&#60;/b&#62; &#91;l&#93;(u) &#36;1&#36; snake_case" in line
    assert "Error&#58; &#92;" not in line
    assert "&#96;x&#96; &#124; &#64;me&#92;nand &#92;u202e more" in line


def test_files_and_figures(runs, tmp_path):
    out = tmp_path / "out"
    comparison = compare_runs(runs)
    plots = draw_plots(comparison, out)
    assert plots == [f"plots/{n}.png" for n in ("score_by_parameters", "score_by_training_time", "learning_curves")]
    for plot in plots:
        assert (out / plot).read_bytes().startswith(b"\x89PNG")
    write_comparison(comparison, out, plots)
    read = json.loads((out / "comparison.json").read_text())
    assert (read["metric"], read["reference"], read["split"]) == ("accuracy", "hmm", "test")
    assert [row["name"] for row in read["rows"]] == ["hmm", "lstm"]
    assert read["rows"][1]["scores"] == pytest.approx([7 / 9, 8 / 9, 1.0])
    assert read["rows"][1]["cost"]["parameters"] == 2_000
    assert "score_by_parameters.png" in (out / "comparison.md").read_text()
    for folder in (*runs["hmm"], *runs["lstm"]):
        change(folder, parameters={}, history=[])
    assert draw_plots(compare_runs(runs), out) == ["plots/score_by_training_time.png"]
    assert [path.name for path in (out / "plots").iterdir()] == ["score_by_training_time.png"]


def test_learning_curves_are_whole_however_low_they_begin(runs, tmp_path, monkeypatch):
    for place, folder in enumerate(folder for folders in runs.values() for folder in folders):
        values = (0.1, 0.90, 0.95 + place / 1000)
        change(folder, history=[{"epoch": float(i), "accuracy": value} for i, value in enumerate(values, start=1)])
    drawn, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **options: (drawn.append(self), save(self, *a, **options)))
    draw_plots(compare_runs(runs), tmp_path)

    (axes,) = (axes for figure in drawn for axes in figure.axes if axes.get_xlabel() == "epoch")
    lowest, highest = axes.get_ylim()
    for line in axes.lines:
        assert list(line.get_xdata()) == [1.0, 2.0, 3.0]
        assert lowest <= min(line.get_ydata()) < max(line.get_ydata()) <= highest


def test_seeds_of_a_run_are_found_and_named(runs, tmp_path):
    assert find_runs([tmp_path / "hmm"]) == {"hmm": runs["hmm"]}
    assert find_runs([tmp_path / "lstm"]) == {"lstm": runs["lstm"]}
    assert find_runs(runs["lstm"][:2]) == {"lstm": runs["lstm"][:2]}


def test_seeds_in_default_folders_are_one_run(tmp_path):
    for name in ("pos-lstm-x-seed-1", "pos-lstm-x-seed-2", "pos-gru-x-seed-1"):
        make_run(tmp_path / name, seed=int(name[-1]), encoder=name.split("-")[1])
    found = find_runs([tmp_path])
    assert {name: [path.name for path in paths] for name, paths in found.items()} == {
        "pos-gru-x": ["pos-gru-x-seed-1"], "pos-lstm-x": ["pos-lstm-x-seed-1", "pos-lstm-x-seed-2"],
    }  # fmt: skip
    assert find_runs([tmp_path / "pos-lstm-x-seed-2"]) == {"pos-lstm-x": [tmp_path / "pos-lstm-x-seed-2"]}


def test_runs_that_differ_in_more_than_the_seed_of_their_names(tmp_path):
    for seed in (1, 2):
        make_run(tmp_path / f"a-seed-{seed}", seed=seed, encoder=f"encoder-{seed}")
    found = find_runs([tmp_path])
    assert found == {str(folder): [folder] for folder in (tmp_path / "a-seed-1", tmp_path / "a-seed-2")}


def test_runs_that_differ_are_rows_of_their_own(tmp_path):
    for encoder in ("cnn", "gru"):
        for seed in (2, 10):
            make_run(tmp_path / encoder / f"seed-{seed}", seed=seed, encoder=encoder, output_dir=f"{encoder}{seed}")
    make_run(tmp_path / "old" / "best", encoder="rnn")
    make_run(tmp_path / "old" / "worst", encoder="mlp", status="running")
    found = find_runs([tmp_path / "gru", tmp_path / "cnn" / "seed-2", tmp_path / "old"])
    assert {name: [path.name for path in paths] for name, paths in found.items()} == {
        "gru": ["seed-2", "seed-10"], "cnn": ["seed-2"], "best": ["best"], "worst": ["worst"],
    }  # fmt: skip
    assert name_of(tmp_path / "gru", found) == name_of(tmp_path / "gru" / "seed-10", found) == "gru"
    assert name_of(tmp_path / "old" / "best", found) == "best"
    with pytest.raises(ConfigError, match=r"holds several runs \(best, worst\)"):
        name_of(tmp_path / "old", found)
    with pytest.raises(ConfigError, match="is not one of the runs: gru, cnn, best, worst"):
        name_of(tmp_path, found)
    with pytest.raises(ConfigError, match=r"cn: is not a folder; did you mean .*cnn"):
        find_runs([tmp_path / "cn"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty: holds no run"):
        find_runs([tmp_path / "empty"])


def test_the_command_compares_folders(tmp_path):
    make_run(tmp_path / "a", encoder="cnn")
    make_run(tmp_path / "b", encoder="rnn", wrong=[(0, 0)])
    command = [sys.executable, "-m", "hf_tagging.cli", "compare", str(tmp_path / "a"), str(tmp_path / "b"),
               "--reference", str(tmp_path / "b"), "--resamples", "100", "--output", str(tmp_path / "out")]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 0, done.stderr
    assert "against b" in done.stdout
    assert re.search(r"^a +1\.0000 +1\.0000 to 1\.0000 +\+0\.1111 \(", done.stdout, re.MULTILINE)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"comparison.md", "comparison.json", "plots"}


# The plan


def write_plan(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    return path


def test_every_config_is_a_plan():
    assert len(CONFIGS) >= 4
    for path in CONFIGS:
        name = path.relative_to(ROOT).as_posix()
        assert f"python recipes/compare.py --config {name}" in path.read_text()
        assert len(read_plan(path).runs) >= 2


def test_a_plan_becomes_commands(tmp_path):
    path = write_plan(tmp_path, """
        output_dir: out
        seeds: [3, 4]
        reference: b
        arguments: {dataset: sample, learning_rate: 1e-3, weight_decay: 0.1}
        runs:
          a: {recipe: recipes/pos_bert.py, config: recipes/configs/pos/quickstart.yaml, learning_rate: 5e-4, bf16: no}
          b: {recipe: recipes/pos_bert.py, model: minilm, weight_decay: ~, seeds: [7], report_to: [none]}
    """)  # fmt: skip
    plan = read_plan(path, flags=["--num_train_epochs", "2"])
    assert [str(job) for job in plan.jobs] == ["a, seed 3", "a, seed 4", "b, seed 7"]
    assert plan.runs == {"a": [Path("out/a/seed-3"), Path("out/a/seed-4")], "b": [Path("out/b/seed-7")]}
    a, _, b = plan.jobs
    assert shlex.join(a.command[1:]) == (
        "recipes/pos_bert.py --dataset sample --learning_rate 5e-4 --weight_decay 0.1 --config "
        "recipes/configs/pos/quickstart.yaml --bf16 no --num_train_epochs 2 --seed 3 --output_dir out/a/seed-3 --resume"
    )
    assert a.command[0] == sys.executable
    assert shlex.join(b.command[1:]) == (
        "recipes/pos_bert.py --dataset sample --learning_rate 1e-3 --model minilm --report_to none "
        "--num_train_epochs 2 --seed 7 --output_dir out/b/seed-7 --resume"
    )
    assert (b.arguments["learning_rate"], b.arguments["weight_decay"], b.arguments["seed"]) == (1e-3, 0.01, 7)
    assert a.log == Path("out/a/seed-3.log")
    assert read_plan(path, output_dir=tmp_path).jobs[2].folder == tmp_path / "b" / "seed-7"


def test_task_and_model_name_a_run_without_its_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = read_plan(write_plan(tmp_path, """
        output_dir: out
        arguments: {dataset: sample}
        runs:
          scratch: {task: pos, encoder: mlp}
          new: {task: pos, model: scratch}
          tuned: {task: pos, model: minilm}
          own: {config: recipes/configs/pos/quickstart.yaml}
    """))  # fmt: skip
    recipes = {job.name: job.command[1] for job in plan.jobs}
    assert recipes == {
        "scratch": "recipes/pos_baseline.py", "new": "recipes/pos_baseline.py", "tuned": "recipes/pos_bert.py",
        "own": "recipes/pos_bert.py",
    }  # fmt: skip
    assert "--dataset sample --task pos --encoder mlp" in " ".join(plan.jobs[0].command)


def test_folds_and_one_seed_for_what_is_drawn(tmp_path):
    text = "output_dir: out\nseeds: [5, 6]\nfolds: 3\nruns:\n  a: {recipe: recipes/pos_bert.py, dataset: sample%s}\n"
    jobs = read_plan(write_plan(tmp_path, text % "")).jobs
    assert [(job.seed, job.fold) for job in jobs] == [(5, 0), (5, 1), (5, 2), (6, 0), (6, 1), (6, 2)]
    assert jobs[4].folder == Path("out/a/seed-6-fold-1")
    assert "--split_seed 5 --seed 6 --folds 3 --fold 1 " in shlex.join(jobs[4].command)
    assert {name: jobs[4].arguments[name] for name in ("seed", "fold", "folds", "split_seed", "data_seed")} == {
        "seed": 6, "fold": 1, "folds": 3, "split_seed": 5, "data_seed": None,
    }  # fmt: skip
    jobs = read_plan(write_plan(tmp_path, text % ", split_seed: 42")).jobs
    assert jobs[0].arguments["split_seed"] == 42
    assert jobs[0].command.count("--split_seed") == 1
    jobs = read_plan(write_plan(tmp_path, text % ", data_seed: 42")).jobs
    assert (jobs[0].arguments["data_seed"], jobs[0].arguments["split_seed"]) == (42, None)  # one for all runs already


def test_all_mistakes_in_a_plan_are_told_at_once(tmp_path):
    path = write_plan(tmp_path, """output_dir: out
seeds: [1, two]
sedes: [1]
reference: lstn
split: tset
parallel: 0
launcher: acelerate
arguments: {dataset: sample, seed: 4}
runs:
  lstm: {recipe: recipes/pos_bert.py, learning_rat: 1, num_train_epochs: many}
  gone: {recipe: recipes/pos_brt.py}
  none: {dataset: sample}
  odd: {recipe: recipes/predict.py}
  ner: {recipe: recipes/ner_bert.py, seeds: [1, 1], resume: true}
  pos: {recipe: recipes/pos_bert.py, do_predict: false}
  ../up: {recipe: recipes/pos_bert.py}
  lstm: {recipe: recipes/pos_bert.py}
""")  # fmt: skip
    with pytest.raises(ConfigError) as error:
        read_plan(path)
    message = str(error.value)
    for expected in (
        "seeds: ['1', 'two'] is not a list of whole numbers, as [1, 2, 3]",
        f"{path}: sedes: there is no such key; did you mean seeds?",
        "reference: 'lstn' is not one of the runs lstm, gone, none, odd, ner, pos, ../up; did you mean lstm?",
        "split: 'tset' is not one of test, validation, also_test; did you mean test?",
        "parallel: '0' is not a whole number from 1 up",
        "launcher: 'acelerate' is not a list of words, as [accelerate, launch]",
        "arguments: seed is set for every run; give seeds: [1, 2, 3]",
        "runs.gone.recipe: recipes/pos_brt.py is not there; did you mean recipes/pos_bert.py?",
        "runs.none: has no task; give task: pos or task: ner (and model: scratch",
        "runs.odd: task: is missing; give pos or ner",
        "runs.ner.seeds: a seed occurs twice",
        "runs.ner: resume is set for every run; every run is resumed anyway",
        "runs.../up: names a folder",
        f"{path}, line 17: lstm: occurs twice",
        "Nothing was started.",
    ):
        assert expected in message, f"{expected}\nis not in\n{message}"
    assert str(error.value).startswith("1")


def test_mistakes_in_the_arguments_of_a_run(tmp_path):
    path = write_plan(tmp_path, """runs:
  a: {recipe: recipes/pos_bert.py, learning_rat: 1, num_train_epochs: many}
  b: {recipe: recipes/pos_bert.py, do_predict: false}
  c: {recipe: recipes/ner_bert.py}
""")  # fmt: skip
    with pytest.raises(ConfigError) as error:
        read_plan(path, flags=["--datset", "sample"])
    lines = str(error.value).splitlines()[1:-1]
    assert "  runs.a: learning_rat: there is no such argument; did you mean learning_rate?" in lines
    assert "  runs.a: num_train_epochs: 'many' is not a number" in lines
    assert sum("datset: there is no such argument; did you mean dataset?" in line for line in lines) == 3
    with pytest.raises(ConfigError) as error:
        read_plan(path, flags=["--dataset", "sample"])
    assert "  runs.b: do_predict is false, so there would be nothing to compare on test" in str(error.value)
    assert "  runs: of different tasks cannot be compared: b is pos, c is ner" in str(error.value)
    for text, message in {"runs: {}": "runs: there are none", "a": "expected output_dir", "a: [": "not YAML"}.items():
        with pytest.raises(ConfigError, match=message):
            read_plan(write_plan(tmp_path, text))
    with pytest.raises(ConfigError, match=r"plam\.yaml: No such file or directory; did you mean .*plan\.yaml"):
        read_plan(tmp_path / "plam.yaml")


# Carrying it out, with processes that take no time

CHILD = f"""
import signal, sys, time
from pathlib import Path
sys.path[:0] = [{str(ROOT / "tests")!r}]
def told(number, frame):
    sys.exit(f"was told by {{signal.Signals(number).name}}")
signal.signal(signal.SIGINT, told)
signal.signal(signal.SIGTERM, told)
folder, seconds, wrong = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
folder.mkdir(parents=True, exist_ok=True)
(folder / "starts").open("a").write("x")
print("begins", flush=True)
time.sleep(seconds)
if wrong == "fail":
    raise ValueError("on purpose")
from shutil import copytree
copytree(wrong, folder, dirs_exist_ok=True)
"""


@pytest.fixture
def plan(tmp_path, runs):
    """A plan over runs that only copy what a real one would have left."""

    def _plan(*jobs, parallel=2):
        made = []
        for name, seed, seconds, source in jobs:
            folder = tmp_path / "out" / name / f"seed-{seed}"
            command = (sys.executable, "-S", "-c", CHILD, str(folder), str(seconds), str(source))
            made.append(Job(name, seed, None, folder, command, {"seed": seed}))
        return Plan(tmp_path / "out", "test", made[0].name, parallel, tuple(made))

    return _plan


def starts(folder):
    return (folder / "starts").read_text()


def test_runs_are_carried_out_and_never_repeated(plan, runs, tmp_path, capsys):
    jobs = [("hmm", 1, 0, runs["hmm"][0]), *(("lstm", s, 0, runs["lstm"][s - 1]) for s in (1, 2))]
    bad = ("bad", 1, 0, "fail")
    comparison = carry_out(plan(*jobs, bad))
    printed = capsys.readouterr().out
    assert "4 runs, 0 finished before" in printed
    assert "lstm, seed 2: accuracy 0.8889, 0 s (" in printed
    assert "bad, seed 1: failed after 0 s: ValueError: on purpose (see " in printed
    assert [row.failed for row in comparison.rows] == [False, False, True]
    out = tmp_path / "out"
    assert "failed" in (out / "comparison.md").read_text()
    assert (out / "plots" / "score_by_parameters.png").exists()
    assert (out / "bad" / "seed-1.log").read_text().startswith("$ ")
    jobs.append(("lstm", 3, 0, runs["lstm"][2]))
    comparison = carry_out(plan(*jobs, ("bad", 1, 0, runs["hmm"][0])))
    assert "5 runs, 3 finished before" in capsys.readouterr().out
    assert [row.failed for row in comparison.rows] == [False, False, False]
    assert comparison.rows[1].seeds == (1, 2, 3)
    assert [starts(out / job) for job in ("hmm/seed-1", "lstm/seed-2", "lstm/seed-3", "bad/seed-1")] == [
        "x", "x", "x", "xx",
    ]  # fmt: skip


@pytest.mark.failure_mode("compare-other-arguments")
def test_a_run_that_was_asked_something_else_stops_everything(plan, runs, tmp_path):
    made = plan(("hmm", 1, 0, runs["hmm"][0]), ("lstm", 1, 0, runs["lstm"][0]))
    make_run(tmp_path / "out" / "lstm" / "seed-1", seed=1, learning_rate=0.1, output_dir="elsewhere")
    asked = [Job(j.name, j.seed, j.fold, j.folder, j.command, {"seed": 1, "learning_rate": 0.2, "output_dir": "x"})
             for j in made.jobs]  # fmt: skip
    with pytest.raises(OutputError, match=r"seed-1:\n    learning_rate: was 0\.1, is 0\.2\nNothing was started"):
        carry_out(Plan(made.output_dir, "test", "hmm", 1, tuple(asked)))
    assert not (tmp_path / "out" / "hmm").exists()


def test_runs_that_cannot_be_compared_stop_the_rest(plan, runs, tmp_path):
    other = make_run(tmp_path / "other", words=WORDS[:2], gold=GOLD[:2])
    jobs = plan(("a", 1, 0, runs["hmm"][0]), ("b", 1, 0, other), ("c", 1, 0, runs["hmm"][0]), parallel=1)
    with pytest.raises(DataError, match="test has 4 sentences in the first, 2 in the second"):
        carry_out(jobs)
    assert not (tmp_path / "out" / "c").exists()


@pytest.mark.failure_mode("compare-other-data")
def test_what_is_wrong_with_a_comparison_ends_no_other_run(plan, runs, tmp_path, capsys):
    """Runs at work go on to their end; where a run cannot be compared, no further one is started."""
    other = make_run(tmp_path / "other", words=WORDS[:2], gold=GOLD[:2])
    a, b, c, d = (("a", 1, 0, runs["hmm"][0]), ("b", 1, 0, other), ("c", 1, 2, runs["hmm"][0]), ("d", 1, 0, other))
    carry_out(plan(a))
    with pytest.raises(DataError, match="test has 4 sentences in the first, 2 in the second"):
        carry_out(plan(a, b, c, d, parallel=2))
    assert "could not be compared, no further run is started: " in capsys.readouterr().out
    assert (tmp_path / "out" / "c" / "seed-1" / "run.json").exists()
    assert not (tmp_path / "out" / "d").exists()


@pytest.mark.failure_mode("compare-unwritable")
def test_a_table_that_cannot_be_written_ends_no_run(plan, runs, tmp_path, capsys):
    (tmp_path / "out" / "comparison.json").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"comparison\.json: is a folder"):
        carry_out(plan(("a", 1, 0, runs["hmm"][0]), ("b", 1, 0, runs["hmm"][0]), parallel=1))
    assert "could not be compared, the runs go on: " in capsys.readouterr().out
    assert (tmp_path / "out" / "b" / "seed-1" / "run.json").exists()


@pytest.mark.failure_mode("compare-not-started")
def test_a_run_that_cannot_be_started_ends_no_other(plan, runs, tmp_path, capsys):
    made = plan(("a", 1, 0, runs["hmm"][0]), ("b", 1, 0, runs["hmm"][0]))
    gone = Job("a", 1, None, made.jobs[0].folder, (str(tmp_path / "no-program"),), {"seed": 1})
    comparison = carry_out(Plan(made.output_dir, "test", "b", 2, (gone, made.jobs[1])))
    assert [row.failed for row in comparison.rows] == [True, False]
    assert "a, seed 1: could not be started: [Errno 2]" in capsys.readouterr().out


@pytest.mark.failure_mode("compare-threads")
@pytest.mark.parametrize(("users", "threads"), [(None, max(1, cores() // 2)), ("3", 3)])
def test_runs_side_by_side_share_the_cores(tmp_path, monkeypatch, users, threads):
    monkeypatch.delenv("OMP_NUM_THREADS")
    if users:
        monkeypatch.setenv("OMP_NUM_THREADS", users)
    code = "import os; print('threads', os.environ['OMP_NUM_THREADS'])"
    jobs = [Job(n, 1, None, tmp_path / n / "seed-1", (sys.executable, "-c", code), {}) for n in ("a", "b")]
    carry_out(Plan(tmp_path, "test", "a", 2, tuple(jobs)))
    assert [f"\nthreads {threads}\n" in job.log.read_text() for job in jobs] == [True, True]


@pytest.mark.failure_mode("compare-precision")
def test_only_what_was_given_has_to_be_as_it_was(tmp_path):
    """What a launcher or a device decides is another thing for who plans the runs and for who carries them out."""
    path = write_plan(tmp_path, f"""
        output_dir: {tmp_path}
        runs: {{a: {{recipe: recipes/pos_bert.py, model: minilm, dataset: sample, weight_decay: 0.1}}}}
    """)  # fmt: skip
    (job,) = read_plan(path).jobs
    there = job.arguments | {"bf16": not job.arguments["bf16"], "tokens_per_batch": 2048, "use_cpu": True}
    make_run(job.folder, **there)
    change(job.folder, given=["model", "dataset", "weight_decay", "seed", "config"])
    assert job.changes() == []
    change(job.folder, given=["model", "dataset", "weight_decay", "seed", "bf16"])
    assert job.changes() == [f"bf16: was {there['bf16']}, is {not there['bf16']}"]
    change(job.folder, given=None, arguments=there | {"weight_decay": 0.2, "seed": 2})
    assert job.changes() == ["seed: was 2, is 1", "weight_decay: was 0.2, is 0.1"]


COMPARE = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from pathlib import Path
from hf_tagging.console import plain_errors
from hf_tagging.comparison.plan import Job, Plan
from hf_tagging.comparison.runner import GO_ON, carry_out
folder = Path(sys.argv[1])
job = Job("a", 1, None, folder / "a" / "seed-1", tuple(sys.argv[2:]), {{}})
with plain_errors(interrupted=GO_ON):
    carry_out(Plan(folder, "test", "a", 1, (job,)))
"""


def hear_ctrl_c():
    """Undoes what a shell does to jobs in the background: there SIGINT is ignored, and processes inherit it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def begin(tmp_path, job):
    """A comparison in a process of its own, once its run has begun."""
    process = subprocess.Popen([sys.executable, "-c", COMPARE, tmp_path / "out", *job.command], env=environment(),
                               preexec_fn=hear_ctrl_c,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    wait_until(lambda: job.log.exists() and "\nbegins\n" in job.log.read_text())
    return process


def wait_until(true, seconds=180):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.failure_mode("compare-interrupted")
@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_comparison_ends_its_runs(plan, runs, tmp_path, how):
    (job,) = plan(("a", 1, 600, runs["hmm"][0])).jobs
    process = begin(tmp_path, job)
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + how
    assert "Type the same command again to go on" in errors
    assert f"was told by {how.name}" in job.log.read_text()  # what was heard is handed on, and it ended by itself
    carry_out(plan(("a", 1, 0, runs["hmm"][0])))  # its log is free
    assert starts(job.folder) == "xx"


@pytest.mark.slow
def test_a_run_that_outlives_its_comparison_is_not_started_again(plan, runs, tmp_path):
    again = plan(("a", 1, 8, runs["hmm"][0]))
    (job,) = again.jobs
    process = begin(tmp_path, job)
    process.kill()
    process.communicate()
    with pytest.raises(OutputError, match=r"seed-1\.log: the run that writes it is running"):
        carry_out(again)
    wait_until(lambda: job.finished)
    time.sleep(0.5)  # it has still to end
    carry_out(again)
    assert starts(job.folder) == "x"


@pytest.mark.parametrize(
    ("printed", "code", "why"),
    [
        ("epoch 1\n\nThere is no data.\n", 1, "There is no data."),
        ("x\n\n2 problems with the arguments:\n  --a: b\nAll: --help\n", 2,
         "2 problems with the arguments: --a: b All: --help"),
        ("a\nTraceback (most recent call last):\n  File x\n    y\ntorch.OutOfMemoryError: full\n\nE1121 x\n", 1,
         "torch.OutOfMemoryError: full"),
        ("", 3, "ended with exit code 3"),
        ("epoch 1\n", -9, "ended by SIGKILL (out of memory?)"),
        ("epoch 1\n", -15, "ended by SIGTERM"),
    ],
)  # fmt: skip
def test_why_a_run_failed(printed, code, why):
    assert why_it_failed(printed, code) == why


# With real recipes


@pytest.mark.slow
def test_killed_in_the_middle_and_gone_on(tmp_path):
    model, out = tiny_bert(tmp_path), tmp_path / "out"
    (tmp_path / "nothing").mkdir()
    path = write_plan(tmp_path, f"""
        output_dir: {out}
        seeds: [3]
        reference: slow
        arguments:
          model: {model}
          dataset: sample
          max_train_samples: 80
          max_eval_samples: 40
          num_train_epochs: 5
          learning_rate: 1e-2
          use_cpu: true
        runs:
          slow: {{recipe: recipes/pos_bert.py, learning_rate: 1e-3}}
          fast: {{task: pos}}
          broken: {{recipe: recipes/pos_bert.py, model: {tmp_path / "nothing"}}}
    """)  # fmt: skip
    command = [sys.executable, str(ROOT / "recipes" / "compare.py"), "--config", str(path)]
    assert describe_plan(read_plan(path)).count(" (to do):\n") == 3
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,
    )
    wait_until(lambda: list((out / "fast" / "seed-3").glob("checkpoint-*/complete.json")), 120)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, b"Type the same command again" in errors) == (130, True)
    left = json.loads((out / "comparison.json").read_text())
    assert [row["seeds"] for row in left["rows"]] == [[3], [], []]
    assert json.loads((out / "fast" / "seed-3" / "run.json").read_text())["status"] == "interrupted"
    first = (out / "slow" / "seed-3" / "model.safetensors").stat().st_mtime_ns

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 1, done.stderr
    assert "3 runs, 1 finished before" in done.stdout
    assert "broken, seed 3: failed after" in done.stdout
    assert "nothing: cannot be loaded" in done.stdout
    assert (out / "slow" / "seed-3" / "model.safetensors").stat().st_mtime_ns == first
    rows = {row["name"]: row for row in json.loads((out / "comparison.json").read_text())["rows"]}
    assert {name: row["seeds"] for name, row in rows.items()} == {"slow": [3], "fast": [3], "broken": []}
    assert rows["broken"]["failed"]
    results = json.loads((out / "fast" / "seed-3" / "results.json").read_text())
    assert rows["fast"]["scores"][0] == pytest.approx(results["test"]["accuracy"])
    assert rows["fast"]["p_value"] < 0.01
    assert rows["fast"]["cost"]["model_bytes"] > 50_000
    assert {path.name for path in (out / "plots").iterdir()} == {
        "score_by_parameters.png", "score_by_training_time.png", "learning_curves.png",
    }  # fmt: skip

    assert describe_plan(read_plan(path)).count(" (finished):\n") == 2
    path.write_text(path.read_text().replace("num_train_epochs: 5", "num_train_epochs: 6"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 1
    assert "num_train_epochs: was 5.0, is 6.0" in done.stderr
    assert "Nothing was started" in done.stderr
