"""Searches: spaces that are refused, and real trials of tiny taggers that are stopped, killed, shared and repeated."""

import html
import json
import os
import re
import signal
import time
from dataclasses import fields, replace

import psutil
import pytest
from recipe_runs import ROOT, record, run_here, start_recipe

from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.search.config import Options, read_search
from hf_tagging.search.page import search_page
from hf_tagging.search.result import SearchResult, TrialResult
from hf_tagging.search.space import Choices, Numbers, read_parameter, values_to_check
from hf_tagging.training.config import RunConfig

CONFIGS = sorted(ROOT.glob("recipes/configs/search/*.yaml"))
QUICKSTART = ROOT / "recipes/configs/search/quickstart.yaml"
RUN = "task: pos\nmodel: scratch\nencoder: mlp\ndataset: sample\nnum_train_epochs: 2\nmax_train_samples: 60\n"
SPACE = "  space:\n    learning_rate: {low: 1e-3, high: 3e-2, log: true}\n    hidden_size: [16, 32]\n"


def write_search(folder, *lines, run=RUN, space=SPACE):
    path = folder / "search.yaml"
    path.write_text(run + "search:\n" + "".join(f"  {line}\n" for line in lines) + space)
    return path


# The file and its space


def test_every_config_is_a_search():
    assert len(CONFIGS) >= 2
    for path in CONFIGS:
        assert f"python recipes/search.py {path.relative_to(ROOT).as_posix()}" in path.read_text()
        assert read_search(path, flags=["--use_cpu"]).space
        with pytest.raises(ConfigError, match="search: there is no such argument"):
            RunConfig.from_yaml(path)


def test_the_quickstart_shows_every_key():
    text = QUICKSTART.read_text()
    assert [f.name for f in fields(Options) if f"  {f.name}:" not in text] == []


def test_values_of_a_space():
    rate = read_parameter("learning_rate", {"low": "1e-4", "high": "1e-2", "log": "true"}, "x.yaml, line 1")
    size = read_parameter("hidden_size", {"low": "32", "high": "96", "step": "32"}, "")
    epochs = read_parameter("num_train_epochs", {"low": "2", "high": "4", "step": "0.5"}, "")
    head = read_parameter("head_learning_rate", ["1e-3", None], "")
    widths = read_parameter("character_widths", [["1", "2"], ["3"]], "")
    assert isinstance(rate, Numbers)
    assert isinstance(head, Choices)
    assert (rate.checked(), rate.whole, rate.log) == ([1e-4, 1e-2], False, True)
    assert (size.checked(), size.whole) == ([32, 64, 96], True)
    assert epochs.checked() == [2.0, 2.5, 3.0, 3.5, 4.0]
    assert [size.setting(64).values, epochs.setting(3.0).values, rate.setting(0.00123).values] == [
        ["64"], ["3"], ["0.00123"],
    ]  # fmt: skip
    assert [choice and choice.values for choice in map(head.setting, head.checked())] == [["1e-3"], None]
    assert [(s.values, s.is_list) for s in map(widths.setting, widths.checked())] == [(["1", "2"], True), (["3"], True)]
    assert [parameter.written() for parameter in (rate, size, head, widths)] == [
        "{low: 0.0001, high: 0.01, log: true}", "{low: 32, high: 96, step: 32}", "[1e-3, ~]", '[["1", "2"], ["3"]]',
    ]  # fmt: skip
    space = {"hidden_size": size, "head_learning_rate": head}
    assert [tuple(values.values()) for values in values_to_check(space)] == [
        (32, '"1e-3"'), (64, '"1e-3"'), (96, '"1e-3"'), (32, "null"),
    ]  # fmt: skip


WRONG_SPACES = {
    "learning_rat: {low: 1, high: 2}": "there is no such argument; did you mean learning_rate?",
    "learning_rate: {low: 1e-3}": "has no high; write learning_rate: {low: 1, high: 3}",
    "learning_rate: {low: 1e-3, hihg: 1}": "hihg: there is no such key; did you mean high?",
    "learning_rate: {low: 1e-2, high: 1e-3}": "low 0.01 is not below high 0.001",
    "learning_rate: {low: many, high: 1}": "low: 'many' is not a number",
    "learning_rate: {low: 0, high: 1, log: true}": "low 0 is not above 0, and has no logarithm",
    "learning_rate: {low: 1, high: 2, log: maybe}": "log: 'maybe' is not true or false",
    "learning_rate: {low: 1, high: 2, log: true, step: 1}": "step and log do not go together",
    "learning_rate: 1e-3": "'1e-3' is neither a range nor a list",
    "learning_rate: [1e-3]": "is a list of one value or of equal ones",
    "learning_rate: {low: 0, high: 1}": "learning_rate: 0.0 is not above 0",  # as the config of a run says
    "hidden_size: {low: 16.5, high: 32}": "takes whole numbers",
    "hidden_size: {low: 16, high: 33, step: 8}": "steps of 8 from 16 do not end at 33; give high: 32",
    "hidden_size: [16, large]": "'large' is not a whole number",
    "head: [linear, cfr]": "'cfr' is not one of linear, crf; did you mean crf?",
    "head: {low: 1, high: 2}": "is not an argument of numbers; give a list",
    "kernel_size: {low: 3, high: 5, step: 2}": "goes with encoder cnn, not mlp",
    "layerwise_lr_decay: {low: 0.7, high: 1}": "is for pretrained encoders",
    "seed: [1, 2]": "cannot be searched: give seeds under search",
    "dataset: [a, b]": "cannot be searched: all trials are scored on the same data",
    "logging_steps: [1, 2]": "cannot be searched: it changes nothing that is learned",
    "num_train_epochs: [1, 2]": "is given, and searched in",
}


@pytest.mark.failure_mode("search-space")
@pytest.mark.parametrize(("line", "message"), WRONG_SPACES.items(), ids=WRONG_SPACES)
def test_spaces_that_are_refused(tmp_path, line, message):
    path = write_search(tmp_path, "trials: 3", space=f"  space:\n    {line}\n")
    with pytest.raises(ConfigError) as error:
        read_search(path)
    assert message in str(error.value)
    place = "line 5" if line.startswith("num_train_epochs") else "line 10"
    assert f"search.yaml, {place}" in str(error.value)
    assert str(error.value).endswith("Nothing was started.")


def test_all_mistakes_are_told_at_once(tmp_path):
    path = tmp_path / "search.yaml"
    path.write_text(
        RUN + "resume: true\nmetric_for_best_model: loss\nsearch:\n  trails: 3\n  trials: none\n  seeds: [1, 1]\n"
        "  sampler: tpa\n  space: {weight_decay: [0, 1], word_siz: [1, 2]}\n"
    )
    with pytest.raises(ConfigError) as error:
        read_search(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"7 problems with {path}:"
    told = "\n".join(lines)
    for expected in (
        "line 10: trails: there is no such key; did you mean trials?",
        "line 11: trials: 'none' is not a whole number from 1 up",
        "line 12: seeds: ['1', '1'] is not a list of different whole numbers",
        "line 13: sampler: 'tpa' is not one of tpe, random",
        "line 14: search.space.word_siz: there is no such argument; did you mean word_size?",
        "line 7: resume: every trial is resumed anyway",
        "line 8: metric_for_best_model: trials are compared by the headline figure",
    ):
        assert expected in told
    (tmp_path / "none.yaml").write_text(RUN)
    with pytest.raises(ConfigError, match="search: is missing; give search: with trials and a space"):
        read_search(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match=r"search\.space: has no argument"):
        read_search(write_search(tmp_path, "trials: 3", space=""))


def test_a_split_that_is_drawn_is_the_same_for_every_seed(tmp_path):
    search = read_search(write_search(tmp_path, run=RUN + "seed: 7\nvalidation_share: 0.2\n"))
    settings = {setting.name: setting.values for setting in search.run_settings({})}
    assert settings["split_seed"] == ["7"]
    trial = search.trial({"hidden_size": '"16"'}, tmp_path / "0")
    assert (trial.data.split_seed, trial.training.do_predict, trial.training.resume) == (7, False, True)


def test_the_space_on_the_page_can_be_searched(tmp_path):
    blocks = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs/search.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    for text in blocks:
        (tmp_path / "search.yaml").write_text(text)
        assert read_search(tmp_path / "search.yaml", flags=["--dataset", "sample", "--use_cpu"]).space


# Trials

optuna = pytest.importorskip("optuna")


def trials_of(folder):
    storage = f"sqlite:///{folder / 'study.db'}"
    return optuna.load_study(study_name="search", storage=storage).get_trials(deepcopy=False)


def search_here(path, folder, *flags):
    run_here("search", path, "--output_dir", folder, *flags)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A search with trials of all three kinds, whose best trial was trained again with one seed."""
    folder = tmp_path_factory.mktemp("search")
    run = RUN.replace("encoder: mlp", "encoder: transformer")
    space = SPACE.replace("[16, 32]", "[24, 32]\n    num_heads: [4, 3]")  # 32 of 3 heads is refused by the config
    path = write_search(
        folder, "trials: 5", "sampler: random", "sampler_seed: 2", "pruner: halving", "seeds: [3]", run=run, space=space
    )
    search_here(path, folder / "out")
    return folder / "out", path


@pytest.mark.failure_mode("search-trial-fails")
def test_trials_that_fail_are_counted_and_the_search_goes_on(finished):
    folder, _ = finished
    trials = trials_of(folder)
    failed = [trial for trial in trials if trial.params["hidden_size"] == '"32"' and trial.params["num_heads"] == '"3"']
    assert failed
    assert {trial.state.name for trial in failed} == {"FAIL"}
    assert "hidden_size: 32 is no multiple of 3, for 3 heads" in failed[0].user_attrs["reason"]
    assert any(trial.state.name == "COMPLETE" for trial in trials)


def test_trials_that_fall_behind_are_stopped_early(finished):
    folder, _ = finished
    stopped = [trial for trial in trials_of(folder) if trial.state.name == "PRUNED"]
    assert stopped
    for trial in stopped:
        run = record(folder / "trials" / str(trial.number))
        assert run["status"] == "stopped early"
        assert re.fullmatch(r"accuracy 0\.\d{4} at epoch 1 is below what the best third of trials had", run["reason"])
        assert [entry["epoch"] for entry in run["history"]] == [1.0]
        assert trial.value == run["history"][0]["accuracy"]
    whole = next(trial for trial in trials_of(folder) if trial.state.name == "COMPLETE")
    history = record(folder / "trials" / str(whole.number))["history"]
    assert [entry["epoch"] for entry in history] == [1.0, 2.0]
    assert whole.value == max(entry["accuracy"] for entry in history)
    assert not list(folder.glob("trials/*/checkpoint-*"))
    assert not list(folder.glob("trials/*/model.safetensors"))


def test_the_best_run_is_a_file_that_runs(finished, tmp_path):
    folder, _ = finished
    result = json.loads((folder / "search.json").read_text())
    text = (folder / "best.yaml").read_text()
    best = max((t for t in trials_of(folder) if t.state.name == "COMPLETE"), key=lambda trial: trial.value)
    again = record(folder / "finalists" / f"trial-{best.number}" / "seed-3")["results"]
    assert text.startswith(f"# Trial {best.number} of 5, the best of {folder}/study.db")
    assert (
        f"# Validation accuracy: {best.value:.4f} in the trial, {again['validation']['accuracy']:.4f} with seed 3."
        in text
    )
    assert f"#   python recipes/pos_baseline.py --config {folder}/best.yaml" in text
    assert f"learning_rate: {best.params['learning_rate']}" in text
    assert set(again) == {"validation"}  # the test split is looked at once, for the winner
    assert list(result["test"]) == ["3"]
    assert f"# Test accuracy: {result['test']['3']:.4f} with seed 3." in text

    run_here("pos_baseline", "--config", folder / "best.yaml", "--output_dir", tmp_path / "best")
    results = record(tmp_path / "best")["results"]
    assert results["validation"]["accuracy"] == best.value  # with the seed of the trial
    assert "test" in results


@pytest.mark.failure_mode("search-other-arguments")
def test_a_finished_search_trains_nothing_again(finished, capsys):
    folder, path = finished
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("run.json")}
    assert len(before) > 3
    search_here(path, folder)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("run.json")} == before
    said = capsys.readouterr().out
    assert "seed 3: accuracy " in said
    assert "finished before" in said
    with pytest.raises(OutputError, match=r"asked something else:\n  num_train_epochs: was 2.0, is 3.0\nNothing"):
        search_here(path, folder, "--num_train_epochs", 3)


def test_the_page_is_self_contained(finished):
    folder, _ = finished
    page = html.unescape((folder / "search.html").read_text())
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)
    assert "<script" not in page
    result = json.loads((folder / "search.json").read_text())
    assert page.count("<circle") + page.count('<path d="M') == 3 * sum(
        trial["value"] is not None for trial in result["trials"]
    )
    for trial in result["trials"]:
        assert f"<td>{trial['values']['learning_rate']}</td>" in page
    assert sum(result["importances"].values()) == pytest.approx(1.0) or result["importances"] == {}


def test_what_is_shown_is_escaped(finished):
    folder, path = finished
    data = json.loads((folder / "search.json").read_text())
    trials = tuple(TrialResult(**trial) for trial in data.pop("trials"))
    odd = replace(trials[0], state="failed", reason="<b>no</b>", values=dict.fromkeys(trials[0].values, "<i>"))
    page = search_page(SearchResult(**data, trials=(odd, *trials[1:])), read_search(path))
    assert "failed: &lt;b&gt;no&lt;/b&gt;" in page
    assert "<i>" not in page


def wait_for(found, process, seconds=120):
    deadline = time.monotonic() + seconds
    while not found():
        assert process.poll() is None, process.communicate(1)
        assert time.monotonic() < deadline, process.communicate(1)
        time.sleep(0.01)


def checkpoints(folder, number):
    return list(folder.glob(f"trials/{number}/checkpoint-*/complete.json"))


@pytest.mark.failure_mode("search-interrupted", "search-killed")
def test_a_search_goes_on_after_ctrl_c_and_after_a_kill(tmp_path, capsys):
    path = write_search(tmp_path, "trials: 3", "pruner: none", "seeds: []", run=RUN.replace("epochs: 2", "epochs: 8"))
    folder = tmp_path / "out"
    process = start_recipe("search", path, "--output_dir", folder)
    wait_for(lambda: checkpoints(folder, 0), process)
    os.kill(process.processes[0], signal.SIGINT)
    code, _, said = process.communicate(60)
    assert (code, "Type the same command again to go on: finished trials are kept" in said) == (130, True)

    process = start_recipe("search", path, "--output_dir", folder)
    wait_for(lambda: checkpoints(folder, 1), process)
    process.kill()
    first = (folder / "trials" / "0" / "run.json").read_text()
    assert json.loads(first)["resumed_from"].startswith("checkpoint-")
    assert [trial.state.name for trial in trials_of(folder)] == ["COMPLETE", "RUNNING"]

    search_here(path, folder)
    said = capsys.readouterr().out
    assert "trial 1 goes on: " in said
    assert not re.search("^trial 0", said, re.MULTILINE)
    assert (folder / "trials" / "0" / "run.json").read_text() == first
    assert record(folder / "trials" / "1")["resumed_from"].startswith("checkpoint-")
    trials = trials_of(folder)
    assert [(trial.number, trial.state.name) for trial in trials] == [(n, "COMPLETE") for n in range(3)]
    assert [len(trial.intermediate_values) for trial in trials] == [8] * 3


def test_two_commands_share_a_search(tmp_path):
    path = write_search(tmp_path, "trials: 5", "pruner: none", "seeds: []")
    folder = tmp_path / "out"
    both = [start_recipe("search", path, "--output_dir", folder) for _ in range(2)]
    said = [process.communicate(180) for process in both]
    assert [code for code, _, _ in said] == [0, 0], said
    trained = [sorted(map(int, re.findall(r"^trial (\d+): learning_rate", out, re.MULTILINE))) for _, out, _ in said]
    assert sorted(trained[0] + trained[1]) == [0, 1, 2, 3, 4]
    trials = trials_of(folder)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 5
    assert len({json.dumps(trial.params) for trial in trials}) == 5


@pytest.mark.slow
@pytest.mark.failure_mode("search-worker-killed")
def test_a_worker_that_is_killed_is_replaced(tmp_path):
    path = write_search(tmp_path, "trials: 3", "pruner: none", "seeds: []", run=RUN.replace("epochs: 2", "epochs: 8"))
    folder = tmp_path / "out"
    process = start_recipe("search", path, "--output_dir", folder, "--workers", 2)
    wait_for(lambda: checkpoints(folder, 0), process)
    holder = json.loads((folder / "trials" / "0.taken" / ".hf-tagging.lock").read_text())["process"]
    assert psutil.Process(holder).ppid() == process.processes[0]
    psutil.Process(holder).kill()
    code, said, errors = process.communicate(240)
    assert code == 0, said + errors
    assert "A process ended by SIGKILL (out of memory?); another one goes on with its trial" in said
    assert [trial.state.name for trial in trials_of(folder)] == ["COMPLETE"] * 3
    assert record(folder / "trials" / "0")["resumed_from"].startswith("checkpoint-")


def test_the_study_is_in_a_folder_of_any_name(tmp_path, monkeypatch):
    from hf_tagging.search.study import SearchStudy

    monkeypatch.chdir(tmp_path)
    path = write_search(tmp_path, "trials: 3")
    for name in ("a?b=1", "a?b=2", "50 %20 #1", "{SCHEMA}"):
        search = read_search(path, output_dir=tmp_path / name)
        taken = SearchStudy(search).take()
        assert taken.number == 0  # of a study of its own
        taken.release()
        assert (tmp_path / name / "study.db").stat().st_size
        assert [trial.number for trial in SearchStudy(search).trials] == [0]
    assert not [*tmp_path.glob("study.db"), *tmp_path.glob("a")]


def test_a_study_that_cannot_be_read_is_named(tmp_path):
    from hf_tagging.search.study import SearchStudy

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.db").write_text("no database " * 100)
    search = read_search(write_search(tmp_path), output_dir=tmp_path / "out")
    with pytest.raises(OutputError, match=r"study\.db: cannot be read as the study .*file is not a database.*Move it"):
        SearchStudy(search)


def test_weights_are_removed_by_two_processes_at_once(tmp_path, monkeypatch):
    import hf_tagging.search.trial as search_trial

    def remove_beside_another(path, *args, **options):
        monkeypatch.undo()
        (path / "model.safetensors").unlink()
        raise FileNotFoundError(2, "No such file or directory", "model.safetensors")

    checkpoint = tmp_path / "checkpoint-3"
    checkpoint.mkdir()
    for name in ("model.safetensors", "trainer_state.json"):
        (checkpoint / name).write_text("{}")
    monkeypatch.setattr("shutil.rmtree", remove_beside_another)
    search_trial.remove_weights(tmp_path)
    assert not checkpoint.exists()


def test_workers_that_all_die_before_any_trial_end_the_search(tmp_path, monkeypatch):
    from hf_tagging.comparison import children
    from hf_tagging.search.work import work_in_parallel

    def start_child(command, log, **options):
        return children.start_child(["sh", "-c", "kill -KILL $$"], log, **options)

    monkeypatch.setattr("hf_tagging.search.work.start_child", start_child)
    monkeypatch.setattr("hf_tagging.search.work._LOOK", 0.01)
    search = read_search(write_search(tmp_path, "trials: 3"), output_dir=tmp_path / "out")
    with pytest.raises(OutputError, match=r"4 processes have ended before any trial did, .*SIGKILL.*fewer workers"):
        work_in_parallel(search, 1, [])


@pytest.mark.slow
@pytest.mark.failure_mode("search-ray-process")
def test_ray_tune_trains_the_same_trials_again_after_a_kill_and_ctrl_c(tmp_path, capsys):
    pytest.importorskip("ray")
    path = write_search(tmp_path, "trials: 2", "pruner: none", "seeds: []", run=RUN.replace("epochs: 2", "epochs: 8"))
    folder = tmp_path / "out"
    process = start_recipe("search", path, "--output_dir", folder, "--engine", "ray")
    wait_for(lambda: checkpoints(folder, 0), process, 400)
    trainer = json.loads((folder / "trials" / "0" / ".hf-tagging.lock").read_text())["process"]
    psutil.Process(trainer).kill()
    wait_for(lambda: checkpoints(folder, 1), process, 400)
    os.kill(process.processes[0], signal.SIGINT)
    code, said, errors = process.communicate(120)
    assert (code, "Type the same command again to go on" in errors) == (130, True), said + errors
    assert record(folder / "trials" / "0")["resumed_from"].startswith("checkpoint-")

    search_here(path, folder)  # what Ray has begun goes on without it
    assert re.findall(r"^trial (\d+) goes on", capsys.readouterr().out, re.MULTILINE) == ["1"]
    assert record(folder / "trials" / "1")["resumed_from"].startswith("checkpoint-")
    search_here(path, tmp_path / "alone")
    ours, rays = trials_of(tmp_path / "alone"), trials_of(folder)
    assert [trial.state.name for trial in rays] == ["COMPLETE"] * 2
    assert [(t.params, t.value, t.intermediate_values) for t in rays] == [
        (t.params, t.value, t.intermediate_values) for t in ours
    ]


def test_a_space_without_further_values_ends_the_search(tmp_path, capsys):
    path = write_search(tmp_path, "trials: 4", "seeds: []", space="  space:\n    hidden_size: [16, 32]\n")
    search_here(path, tmp_path / "out")
    said = capsys.readouterr().out
    assert "2 trials: 2 finished, 0 stopped early, 0 failed" in said
    assert "The space has no further values: 2 of 4 trials." in said


@pytest.mark.failure_mode("search-no-validation")
def test_data_without_a_validation_split_is_refused(tmp_path):
    (tmp_path / "train.conll").write_text("Ada B-PER\nsleeps O\n\n" * 9)
    run = f"task: ner\nmodel: scratch\ntrain_file: {tmp_path}/train.conll\n"
    with pytest.raises(DataError, match=r"has no validation split, .* Give .*validation_share"):
        search_here(write_search(tmp_path, "trials: 2", run=run), tmp_path / "out")


def test_without_optuna_the_command_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_tagging.search.command.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"A search needs Optuna. Type: pip install 'hf-tagging\[search\]'"):
        search_here(QUICKSTART, tmp_path / "out")
    with pytest.raises(ConfigError, match=r"A search needs Optuna"):
        search_here(QUICKSTART, tmp_path / "out", "--engine", "ray")
    assert not (tmp_path / "out").exists()
