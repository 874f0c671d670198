"""The command `hf-tagging` as people and machines meet it: help, examples, answers, exit codes, what ships with it."""

import argparse
import getpass
import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from recipe_runs import ROOT, environment
from tiny_models import tiny_bert

from hf_tagging.cli import COMMANDS, main, make_parser
from hf_tagging.cli.answers import show_figures, show_table
from hf_tagging.cli.command import Command
from hf_tagging.cli.shipped import named_files, recipe_for, shipped, shipped_folder
from hf_tagging.evaluation import write_predictions
from hf_tagging.training import RunConfig

EXAMPLES = [example for command in COMMANDS for example in command.examples]
NAMES = (
    "ls", "copy", "validate", "train", "inspect", "convert", "predict", "evaluate", "compare", "export", "diff",
    "soup", "trim", "rules", "suggest", "drift", "report", "push", "demo", "serve", "env", "completion",
)  # fmt: skip
# Examples that are parsed alone: what they start takes minutes, serves until it is stopped, or needs a Hub.
NOT_RUN = (
    "hf-tagging export runs/bert --to int8",  # tests/test_export.py runs it
    "hf-tagging export runs/bert --to onnx --data my.conll --output bert.onnx --overwrite",
    "hf-tagging push runs/ner user/my-tagger",  # tests/test_hub.py has a Hub
    "hf-tagging push runs/ner user/my-tagger --public --revision v1",
    "hf-tagging demo runs/ner",  # tests/test_demo.py serves it
    "hf-tagging demo runs/ner runs/ner-2 --port 8080 --no_browser",
    "hf-tagging serve runs/ner",  # tests/test_serving_process.py serves it
    "hf-tagging serve ner=runs/ner pos=runs/pos --port 8080",
    "hf-tagging serve runs/ner-int8 --host 0.0.0.0 --token_file token.txt --root_path /tagger",
)
COMPARISONS = [item.name for item in shipped("config") if item.name.startswith("compare/")]
SCRIPT = """
import sys
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError, DataError
with plain_errors():
    print(*sys.argv[1:], flush=True)
    end = sys.argv[-1]
    if end == "config": raise ConfigError("wrong usage")
    if end == "data": raise DataError("bad input")
    if end == "wait": import time; time.sleep(60)
    if end.isdigit(): sys.exit(int(end))
"""


def words_of(example):
    """The arguments of an example, without what the shell does with its output."""
    return shlex.split(example.partition(" > ")[0])[1:]


def run(*words):
    """Runs a command in this process; its exit code."""
    try:
        main([*map(str, words)])
    except SystemExit as end:
        return end.code or 0
    return 0


class TestHelp:
    def test_names_every_command(self, capsys):
        assert tuple(command.name for command in COMMANDS) == NAMES
        assert run("--help") == 0
        shown = capsys.readouterr().out
        for name in NAMES:
            assert f"\n    {name}" in shown

    @pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
    def test_shows_examples(self, command, capsys):
        assert run(command.name, "--help") == 0
        shown = capsys.readouterr().out
        assert command.examples
        for example in command.examples:
            assert f"  {example}\n" in shown
            assert words_of(example)[0] == command.name

    @pytest.mark.parametrize("example", EXAMPLES)
    def test_every_example_parses(self, example):
        args, flags = make_parser().parse_known_args(words_of(example))
        assert not flags or args.command.takes_flags

    def test_says_where_flags_stand_and_where_they_are_listed(self, capsys):
        for name in ("validate", "train"):
            assert run(name, "--help") == 0
            shown = " ".join(capsys.readouterr().out.split())
            assert "Flags follow the config. All arguments: docs/arguments.md, or" in shown
        assert (ROOT / "docs/arguments.md").is_file()

    def test_no_word_is_cut(self, capsys):
        parser = argparse.ArgumentParser()
        details = "a " * 47 + "hf-tagging " + "y" * 120
        command = Command(name="x", summary="Does.", details=details, add=lambda _: None, run=print, examples=())
        command.add_to(parser.add_subparsers())
        with pytest.raises(SystemExit):
            parser.parse_args(["x", "--help"])
        assert f"a\nhf-tagging\n{'y' * 120}\n" in capsys.readouterr().out

    @pytest.mark.parametrize("words", [["--help"], ["evaluate", "--help"]])
    def test_is_quick(self, words):
        seconds = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-m", "hf_tagging.cli", *words], check=True, capture_output=True, cwd=ROOT)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(seconds) < 0.3

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "the following arguments are required: COMMAND"),
            (["lss"], "invalid choice: 'lss'"),
            (["ls", "--jason"], "unrecognized arguments: --jason"),
            (["env", "--js"], "unrecognized arguments: --js"),
            (["export", "runs/x"], "the following arguments are required: --to"),
        ],
    )
    def test_wrong_usage_ends_with_2(self, words, message, capsys):
        assert run(*words) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message in captured.err


class TestShelf:
    def test_everything_that_ships_is_listed_with_a_line(self, capsys):
        assert run("ls", "--json") == 0
        found = {(item["kind"], item["name"]): item for item in json.loads(capsys.readouterr().out)}

        folder = shipped_folder()
        files = [p for kind in ("*.py", "configs/*/*.yaml") for p in folder.glob(f"recipes/{kind}")]
        assert len(found) == len(files) + len([*folder.glob("accelerate_configs/*.yaml")])
        assert len(found) >= 55
        assert found["recipe", "pos_bert"]["about"] == "Fine-tune a BERT-family encoder to tag parts of speech."
        assert found["config", "pos/lstm_conll2003"]["about"] == (
            "An LSTM in both directions: parts of speech of CoNLL-2003"
        )
        assert (
            found["accelerate config", "single_gpu"]["about"]
            == "One GPU: the usual way to fine-tune a BERT-sized tagger"
        )
        for item in found.values():
            assert 20 < len(item["about"]) < 200, item
            assert Path(item["path"]).is_file()

    def test_plain_text_where_the_output_is_no_terminal(self, capsys):
        assert run("ls", "ner/lstm") == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["kind", "name", "what"]
        assert [line.split()[:2] for line in lines[1:]] == [
            ["config", "ner/lstm_conll2003"],
            ["config", "ner/lstm_crf_conll2003"],
            ["config", "ner/lstm_crf_distilled_conll2003"],
        ]
        assert run("ls", "nothing-of-the-kind") == 2
        assert "All: hf-tagging ls" in capsys.readouterr().err

    def test_tables_on_a_terminal(self, capsys, monkeypatch):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        show_table(("name", "words"), [("[bold]x[/bold]\x1b[2J", "1"), ("y", "20")], right=[1])
        lines = capsys.readouterr().out.splitlines()
        # No cell is markup, and none reaches the terminal as a command.
        assert "[bold]x[/bold]\\x1b[2J" in lines[1]
        assert [line.rstrip().endswith(end) for line, end in zip(lines[1:], (" 1", "20"), strict=True)] == [True, True]

    @pytest.mark.parametrize("terminal", [True, False])
    def test_figures_of_others_do_not_reach_the_terminal_as_commands(self, terminal, capsys, monkeypatch):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        monkeypatch.setenv("TERM", "dumb")  # no style of our own
        show_figures("  f1\nB-\x1b[2J  0.5\n\n[bold]x[/bold]")
        assert capsys.readouterr().out == "  f1\nB-\\x1b[2J  0.5\n\n[bold]x[/bold]\n"

    def test_every_config_says_its_task_and_model(self):
        configs = [item for item in shipped() if item.kind == "config"]
        recipes = {item.name for item in shipped() if item.kind == "recipe"}
        assert len(configs) >= 40
        for config in configs:
            kind = config.name.partition("/")[0]
            name = recipe_for(config.path, [], otherwise="").name
            assert name in recipes, config.name
            if kind in ("pos", "ner"):
                assert RunConfig.from_yaml(config.path, use_cpu=True).task.name == kind
            assert name.startswith(kind), config.name

    def test_copies_out_of_the_package(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert run("copy", "pos/quickstart") == 0
        assert (
            "Copied to quickstart.yaml\n\nEdit it, then type: hf-tagging train quickstart.yaml"
            in capsys.readouterr().out
        )
        source = (ROOT / "recipes/configs/pos/quickstart.yaml").read_text()
        assert Path("quickstart.yaml").read_text() == source

        Path("quickstart.yaml").write_text("mine")
        assert run("copy", "ner/quickstart") == 1
        assert "quickstart.yaml is there already; give another TARGET, or --overwrite" in capsys.readouterr().err
        assert Path("quickstart.yaml").read_text() == "mine"
        assert run("copy", "recipes/configs/pos/quickstart.yaml", "quickstart.yaml", "--overwrite") == 0
        assert Path("quickstart.yaml").read_text() == source

        assert run("copy", "ner_bert.py", "my/") == run("copy", "cpu", "my/accelerate.yaml") == 0
        assert sorted(path.name for path in Path("my").iterdir()) == ["accelerate.yaml", "ner_bert.py"]

    @pytest.mark.parametrize("name", COMPARISONS)
    def test_a_comparison_comes_with_what_it_names(self, name, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        assert run("train", name, "--dry_run") == 2
        assert f"which is not here. `hf-tagging copy {name}` brings what it names" in capsys.readouterr().err
        assert run("copy", name, "mine.yaml") == 0
        named = named_files(Path("mine.yaml"))
        assert named
        for file in named:
            assert Path(file).read_text() == (ROOT / file).read_text()
        capsys.readouterr()
        assert run("validate", "mine.yaml", "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["recipe"], answer["runs"]) == ("compare", sum(answer["per_run"].values()))
        assert answer["per_run"]["hmm"] >= 1
        assert run("train", name, "--dry_run") == 0

    def test_comparisons_are_found(self):
        assert len(COMPARISONS) >= 5
        assert {"compare/quickstart", "compare/ner_conll2003"} <= set(COMPARISONS)

    def test_a_comparison_of_ones_own_is_told_what_brings_what_it_lacks(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        Path("mine.yaml").write_text(
            "# python recipes/compare.py --config mine.yaml\nruns:\n  a: {recipe: recipes/pos_baseline.py, "
            "config: recipes/configs/pos/hmm_conll2003.yaml}\n"
        )
        assert run("validate", "mine.yaml") == 2
        told = capsys.readouterr().err
        commands = [line.strip() for line in told.splitlines() if line.startswith("  hf-tagging ")]
        assert "mine.yaml: names recipes/configs/pos/hmm_conll2003.yaml, which is not here." in told
        assert commands == [
            "hf-tagging copy pos/hmm_conll2003 recipes/configs/pos/",
            "hf-tagging copy pos_baseline recipes/",
        ]
        for command in commands:
            assert run(*words_of(command)) == 0
        assert run("validate", "mine.yaml") == 0
        Path("mine.yaml").write_text("runs:\n  a: {recipe: recipes/nobodys.py}\n")
        assert run("validate", "compare", "mine.yaml") == 2
        assert "names recipes/nobodys.py, which is not here. Paths are from the folder" in capsys.readouterr().err

    def test_named_are_files_below_recipes_and_not_in_comments(self, tmp_path):
        (tmp_path / "mine.yaml").write_text(
            "# recipes/a.py\nruns:  # recipes/b.py\n  one: {recipe: recipes/c.py, config: recipes/configs/pos/d.yaml}\n"
            "  two: {recipe: /home/me/recipes/e.py}\n  three: {recipe: ../recipes/f.py}\n"
            "  four: {recipe: ~/recipes/g.py, config: my-recipes/h.yml}\n  five: {recipe: 'recipes/i#1.py'}\n"
            '  six: {recipe: "recipes/j.py"}#\n'
        )
        assert named_files(tmp_path / "mine.yaml") == ["recipes/c.py", "recipes/configs/pos/d.yaml", "recipes/j.py"]

    def test_a_name_that_is_not_there(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        for words, near in (
            (["copy", "pos/quikstart"], "Did you mean pos/quickstart?"),
            (["train", "lstm_tweets"], "Did you mean pos/lstm_tweets?"),
            (["validate", "ner_bret", "ner/quickstart"], "Did you mean ner_bert?"),
            (["train", "ner/quickstart", "--accelerate_config", "multi_gpus"], "Did you mean multi_gpu?"),
        ):
            assert run(*words, *(["--dry_run"] if words[0] == "train" else [])) == 2
            assert near in capsys.readouterr().err


class TestValidate:
    def test_the_recipe_may_be_left_out(self, capsys):
        assert run("validate", "ner/quickstart", "--learning_rate", "3e-5", "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["recipe"], answer["output_dir"]) == ("ner_bert", "runs/quickstart-ner")
        assert {"learning_rate", "model", "dataset"} <= set(answer["arguments"])
        assert run("validate", "pos", ROOT / "recipes/configs/pos/quickstart.yaml") == 0
        assert "arguments, all right; the run would go to runs/quickstart-pos" in capsys.readouterr().out

    def test_a_config_that_names_no_recipe(self, tmp_path, capsys):
        (tmp_path / "mine.yaml").write_text("encoder: hmm\ndataset: sample\n")
        assert run("validate", tmp_path / "mine.yaml") == 2
        assert "does not say its task. Add a line such as `task: pos`" in capsys.readouterr().err
        assert run("validate", "pos_baseline", tmp_path / "mine.yaml") == 0
        (tmp_path / "own.yaml").write_text("task: punct\ndataset: sample\n")
        assert run("train", tmp_path / "own.yaml") == 2
        assert "task punct: no recipe that ships trains it, and a task of your own" in capsys.readouterr().err
        assert run("validate", "pos_bert", tmp_path / "mine.yaml") == 2
        assert (
            "mine.yaml, line 1: encoder: is for taggers from scratch, which this recipe does not train"
            in capsys.readouterr().err
        )

    def test_every_mistake_at_once(self, capsys):
        assert run("validate", "pos/quickstart", "--learning_rte", "1", "--seed", "x") == 2
        captured = capsys.readouterr()
        assert "learning_rte" in captured.err
        assert "seed: " in captured.err
        assert captured.out == ""

    def test_what_a_comparison_has_itself_wins_over_its_file(self, capsys, monkeypatch):
        monkeypatch.chdir(ROOT)
        assert run("validate", "compare/quickstart", "--output_dir", "X", "--dry_run", "--json") == 0
        assert json.loads(capsys.readouterr().out)["output_dir"] == "X"
        assert run("validate", "compare/quickstart", "--output_dri", "X") == 2
        assert "output_dri" in capsys.readouterr().err

    @pytest.mark.parametrize("words", [["mine.yaml"], ["compare", "mine.yaml"], ["pos", "mine.yaml"]])
    def test_a_file_that_is_no_text(self, words, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        Path("mine.yaml").write_bytes(b"runs: \xff\xfe")
        assert run("validate", *words) == 2
        assert "mine.yaml" in capsys.readouterr().err

    def test_a_recipe_of_ones_own(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        Path("mine.yaml").write_text("dataset: sample\n")
        Path("pos").write_text("")  # the short name is meant
        Path("mine.py").write_text("")
        assert run("copy", "ner_bert", "recipes/") == 0
        assert run("validate", "mine.py", "mine.yaml") == 2
        told = capsys.readouterr().err
        assert "mine.py: a recipe of your own cannot be checked; name the one that it was made from: hf-tagging" in told
        for given in ("pos", "recipes/ner_bert.py"):
            assert run("validate", given, "mine.yaml") == 0


class TestTrain:
    def test_says_what_it_would_start(self, capsys, monkeypatch):
        monkeypatch.chdir(ROOT)
        for words, command in (
            (
                ["pos/quickstart", "--seed", "3"],
                "accelerate launch recipes/pos_bert.py --config recipes/configs/pos/quickstart.yaml --seed 3",
            ),
            (
                ["ner/lstm_conll2003", "--accelerate_config", "cpu", "--dataset", "my data"],
                "accelerate launch --config_file accelerate_configs/cpu.yaml recipes/ner_baseline.py "
                "--config recipes/configs/ner/lstm_conll2003.yaml --dataset 'my data'",
            ),
            (
                ["pretrain/lstm_conll2003"],
                "accelerate launch recipes/pretrain.py --config recipes/configs/pretrain/lstm_conll2003.yaml",
            ),
            (
                ["compare/quickstart", "--dataset", "sample"],
                "python recipes/compare.py --config recipes/configs/compare/quickstart.yaml --dataset sample",
            ),
            (
                ["ner/hmm_conll2003", "--recipe", "ner_baseline"],
                "accelerate launch recipes/ner_baseline.py --config recipes/configs/ner/hmm_conll2003.yaml",
            ),
        ):
            assert run("train", *words, "--dry_run") == 0
            assert capsys.readouterr().out == command + "\n"

    def test_a_comparison_starts_its_runs_itself(self, capsys, monkeypatch):
        monkeypatch.chdir(ROOT)
        assert run("train", "compare/quickstart", "--accelerate_config", "cpu") == 2
        assert "give `launcher:` in its file" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("end", "code", "message"), [("0", 0, ""), ("7", 7, ""), ("config", 2, "wrong usage"), ("data", 1, "bad input")]
    )
    def test_ends_as_the_recipe_ends(self, tmp_path, capfd, end, code, message):
        (tmp_path / "mine.py").write_text(SCRIPT)
        (tmp_path / "mine.yaml").write_text("")
        assert run("train", tmp_path / "mine.yaml", "--recipe", tmp_path / "mine.py", "--end", end) == code
        captured = capfd.readouterr()
        assert captured.out == f"--config {tmp_path / 'mine.yaml'} --end {end}\n"
        assert captured.err.strip() == message

    def test_accelerate_says_what_it_does_not_like(self, tmp_path, capsys):
        (tmp_path / "mine.py").write_text(SCRIPT)
        (tmp_path / "mine.yaml").write_text("")
        (tmp_path / "accelerate.yaml").write_text("num_procs: 2\n")
        flags = ["--recipe", tmp_path / "mine.py", "--accelerate_config", tmp_path / "accelerate.yaml"]
        assert run("train", tmp_path / "mine.yaml", *flags) == 2
        assert "accelerate: " in capsys.readouterr().err

    @pytest.mark.parametrize("more", [["--dry_run"], []])
    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("a.yaml", "", "a.yaml: expected lines of `name: value`, as in: hf-tagging copy cpu"),
            ("a.yaml", "- multi_gpu\n", "a.yaml: expected lines of `name: value`"),
            ("a.yaml", "num_processes: [\n", "a.yaml: not YAML (while parsing a flow node"),
            ("a.json", "{'num_processes': 1}", "a.json: is not JSON (Expecting property name"),
        ],
    )
    def test_a_config_of_accelerate_that_is_none(self, tmp_path, capsys, name, text, message, more):
        (tmp_path / name).write_text(text)
        assert run("train", "pos/quickstart", "--accelerate_config", tmp_path / name, *more) == 2
        captured = capsys.readouterr()
        assert (message in captured.err, captured.out) == (True, "")

    def test_a_config_of_accelerate_may_be_json(self, tmp_path, capsys):
        (tmp_path / "a.json").write_text('{\n\t"num_processes": 1\n}\n')  # YAML knows no tabs
        assert run("train", "pos/quickstart", "--accelerate_config", tmp_path / "a.json", "--dry_run") == 0
        assert "a.json" in capsys.readouterr().out

    def test_ctrl_c_ends_both_with_one_message(self, tmp_path):
        (tmp_path / "mine.py").write_text(SCRIPT)
        (tmp_path / "mine.yaml").write_text("")
        command = [sys.executable, "-m", "hf_tagging.cli", "train", tmp_path / "mine.yaml"]
        process = subprocess.Popen(
            [*map(str, command), "--recipe", str(tmp_path / "mine.py"), "--end", "wait"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True,
        )  # fmt: skip
        assert "--end wait" in process.stdout.readline()
        time.sleep(0.2)  # it prints, then it sleeps
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip() == "Interrupted. The same command with --resume goes on from the last complete checkpoint."


class TestAbout:
    def test_env_is_a_fenced_block_without_anything_private(self, capsys):
        assert run("env") == 0
        shown = capsys.readouterr().out
        lines = shown.splitlines()
        assert (lines[0], lines[-1]) == ("```text", "```")
        assert {"hf_tagging", "python", "torch", "transformers", "gpus", "gradio", "onnxscript"} <= {
            x.partition(":")[0] for x in lines
        }
        private = {
            str(Path.home()),
            os.uname().nodename,
            str(ROOT),
            *(v for k, v in os.environ.items() if "TOKEN" in k),
        }
        for text in private - {"", "/"}:
            assert text not in shown
        assert f"/{getpass.getuser()}" not in shown
        assert run("env", "--json") == 0
        assert json.loads(capsys.readouterr().out)["python"].count(".") == 2

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_knows_commands_and_flags(self, shell, tmp_path, capsys):
        assert run("completion", shell) == 0
        script = capsys.readouterr().out
        for word in ("evaluate", "predictions", "accelerate_config"):
            assert word in script
        if shutil.which(shell):
            (tmp_path / "script").write_text(script)
            subprocess.run([shell, "-n", tmp_path / "script"], check=True)

    def test_bash_completes_with_it(self, capsys):
        if not shutil.which("bash"):
            pytest.skip("there is no bash")
        run("completion", "bash")
        script = capsys.readouterr().out
        ask = '\nCOMP_WORDS=(hf-tagging evaluate --pred) COMP_CWORD=2\n_shtab_hf_tagging\necho "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash", "-c", script + ask], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["--predictions"]

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self):
        process = subprocess.Popen(
            [sys.executable, "-m", "hf_tagging.cli", "ls"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)
        process.stderr.close()

    def test_another_pipe_that_breaks_is_an_error(self):
        script = (
            "from subprocess import PIPE, Popen\nfrom hf_tagging.console import quiet_end_of_pipe\n"
            "with quiet_end_of_pipe(), Popen(['true'], stdin=PIPE, bufsize=0) as other:\n"
            "    other.wait()\n    other.stdin.write(b'x')\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == 1
        assert "BrokenPipeError" in done.stderr


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """The folder that the examples speak of: a run that was really made, a copy of it that differs, a config."""
    folder = tmp_path_factory.mktemp("workshop")
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert run("copy", "ner/hmm_conll2003", "my_tagger.yaml") == 0
        assert run("train", "my_tagger.yaml", "--dataset", "sample", "--output_dir", "runs/ner") == 0
        assert run("copy", "compare/quickstart", "mine.yaml") == 0
        tiny = tiny_bert(folder / "encoder")
        short = ("--model", str(tiny), "--dataset", "sample", "--max_train_samples", "20", "--num_train_epochs", "1")
        assert run("train", "ner/minilm_conll2003", *short, "--output_dir", "runs/order-1") == 0
    finally:
        os.chdir(here)
    shutil.copytree(folder / "runs/ner", folder / "runs/ner-2")
    record = json.loads((folder / "runs/ner-2/run.json").read_text())
    record["arguments"]["fold_digits"] = not record["arguments"]["fold_digits"]
    (folder / "runs/ner-2/run.json").write_text(json.dumps(record))
    tiny_bert(folder, tags=("NN", "DT", "VB", ".")).rename(folder / "runs/pos")
    for seed in (2, 3):
        shutil.copytree(folder / "runs/order-1", folder / f"runs/order-{seed}")
    (folder / "my.conll").write_text("Jordan B-PER\nwaved O\n. O\n\nPorto B-LOC\n")
    (folder / "texts.txt").write_text("Jordan waved.\nThe ships sailed past Porto.\n")
    (folder / "texts.csv").write_text("id,body\n1,Jordan waved.\n2,The ships sailed past Porto.\n")
    (folder / "export.jsonl").write_text('{"id": 1, "text": "Jordan waved.", "label": []}\n')
    (folder / "rules.jsonl").write_text('{"label": "LOC", "pattern": "the", "ignore_case": true, "id": "article"}\n')
    (folder / "posts.jsonl").write_text('{"text": "Jordan waved."}\n')
    return folder


@pytest.mark.slow
class TestExamples:
    def test_few_are_left_out(self):
        assert set(NOT_RUN) < set(EXAMPLES)
        assert len(EXAMPLES) >= 32

    @pytest.mark.parametrize("example", [example for example in EXAMPLES if example not in NOT_RUN])
    def test_runs(self, example, workshop, tmp_path, monkeypatch, capsys):
        words = words_of(example)
        monkeypatch.chdir(tmp_path if words[0] == "copy" else workshop)
        if words[0] == "train" and "--dry_run" not in words:  # the workshop was made by one in full
            words.append("--dry_run")
        assert run(*words) == 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        if "--json" in words:
            assert json.loads(captured.out)
        elif "--output" not in words:
            assert captured.out.strip()

    def test_the_run_was_made_as_its_recipe_makes_it(self, workshop, capsys, monkeypatch):
        monkeypatch.chdir(workshop)
        assert json.loads(Path("runs/ner/run.json").read_text())["status"] == "finished"
        assert run("evaluate", "runs/ner", "--dataset", "sample", "--json") == 0
        ours = json.loads(capsys.readouterr().out)["figures"]
        theirs = json.loads(Path("runs/ner/results.json").read_text())["test"]
        same = set(ours) - {"words_per_second"}
        assert len(same) >= 15
        assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}

    def test_push_lists_what_it_would_send(self, workshop, capsys, monkeypatch):
        monkeypatch.chdir(workshop)
        assert run("push", "runs/ner", "user/my-tagger", "--dry_run", "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        sizes = {file["path"]: file["bytes"] for file in answer["files"]}
        assert {"README.md", "config.json", "model.safetensors"} <= set(sizes)
        assert answer["bytes"] == sum(sizes.values())
        assert (answer["dry_run"], answer["private"], answer["name"]) == (True, True, "user/my-tagger")

    @pytest.mark.failure_mode("rules-there")
    def test_rules_are_measured_and_saved(self, workshop, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(workshop)
        own = tmp_path / "own"
        shutil.copytree("runs/ner", own)
        assert run("rules", own, "rules.jsonl", "--save", "--json") == 0
        found = json.loads(capsys.readouterr().out)
        (rule,) = found["by_rule"]
        assert (rule["rule"], found["rules"], found["split"]) == ("article", 1, "validation")
        assert 10 * rule["right"] < rule["wrong"]
        assert rule["changed"] >= found["changed"] > 10
        assert 0 < rule["wrong"] <= rule["changed"]
        assert found["before"] == json.loads((own / "results.json").read_text())["validation"]["f1"] > found["after"]
        assert found["added"] + found["replaced"] >= rule["wrong"]
        record = json.loads((own / "run.json").read_text())
        assert record["rules"] == {name: found[name] for name in record["rules"]}
        assert "rules.jsonl" in record["files"]
        card, page = (own / "README.md").read_text(), (own / "report.html").read_text()
        assert "## Rules\n\n`rules.jsonl` has 1 rule. On the validation split it changes" in card
        assert "The pipeline of Transformers ignores them." in card
        assert "All other figures of this page are those of the model alone." in page
        assert run("predict", own, "--text", "The ships") == 0
        first, second = json.loads(capsys.readouterr().out)["words"]
        assert (first["tag"], first["source"], first["rule"], second["source"]) == ("B-LOC", "rule", "article", "model")
        assert run("rules", own, "rules.jsonl", "--save") == 1
        assert "rules.jsonl is there already. Give --overwrite to replace it." in capsys.readouterr().err
        assert run("push", own, "user/my-tagger", "--dry_run", "--json") == 0
        assert "rules.jsonl" in {file["path"] for file in json.loads(capsys.readouterr().out)["files"]}
        assert run("evaluate", own, "--dataset", "sample", "--rules", "none") == 0
        assert "Rules beside the model" not in capsys.readouterr().out

    def test_compare_answers_machines(self, workshop, capsys, monkeypatch):
        monkeypatch.chdir(workshop)
        assert run("compare", "runs/ner", "runs/ner-2", "--resamples", "100", "--json") == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["metric"], [row["name"] for row in answer["rows"]]) == ("f1", ["ner", "ner-2"])

    def test_a_report_that_cannot_be_written_is_told(self, workshop, tmp_path, capsys):
        folder = tmp_path / "run"
        shutil.copytree(workshop / "runs/ner", folder)
        (folder / "report.html").unlink()
        (folder / "report.html").mkdir()
        assert run("report", folder) == 1
        assert f"{folder / 'report.html'}: is a folder, not a file, and is left as it is." in capsys.readouterr().err

    def test_a_comparison_that_cannot_be_written_is_told(self, workshop, tmp_path, capsys):
        (tmp_path / "taken").mkdir()
        (tmp_path / "taken" / "comparison.md").mkdir()
        runs = (workshop / "runs/ner", workshop / "runs/ner-2")
        assert run("compare", *runs, "--resamples", "100", "--output", tmp_path / "taken") == 1
        assert (
            f"{tmp_path / 'taken' / 'comparison.md'}: is a folder, not a file, and is left as it is."
            in capsys.readouterr().err
        )


@pytest.mark.parametrize("words", [["compare", "nowhere"], ["evaluate", "--predictions", "nowhere.conll"]])
def test_a_folder_that_cannot_be_made_is_told_before_anything_is_read(words, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "x", *([Path("/proc/x")] if sys.platform == "linux" else [])):
        assert run(*words, "--output", folder) == 1
        assert f"{folder}: cannot be written (" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_flags_that_would_do_nothing_are_refused(capsys):
    for words, message in (
        (["demo", "x", "--space", "s", "--port", "80"], "--port: has no effect with --space"),
        (["demo", "x", "--overwrite"], "--overwrite: only with --space"),
    ):
        assert run(*words) == 2
        assert message in capsys.readouterr().err


def test_predictions_written_by_the_package_are_those_that_it_reads(tmp_path, capsys):
    write_predictions(tmp_path / "p.conll", [["New York"]], [["B-LOC"]], [["B-LOC"]])
    assert run("evaluate", "--predictions", tmp_path / "p.conll", "--json") == 0
    assert json.loads(capsys.readouterr().out)["figures"]["f1"] == 1.0
