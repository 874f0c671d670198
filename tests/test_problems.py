"""Problems are data, and the arguments in a message are spelled as its reader types them."""

import ast
import pickle
import re
import threading
from pathlib import Path

import pytest

import hf_tagging
from hf_tagging.cli import main
from hf_tagging.console import plain_errors
from hf_tagging.errors import ConfigError, Problem
from hf_tagging.problems import ARGUMENTS, FLAGS, KEYS, Spelling, argument, labels, spelled, switch
from hf_tagging.training import RunConfig


@pytest.mark.parametrize(
    ("spelling", "name", "given", "line"),
    [
        (FLAGS, "--test_share", "--tag_names O B-X", "--folds, --test_share: give one of the two; leave the other out"),
        (KEYS, "test_share", 'tag_names: ["O", "B-X"]', "folds, test_share: give one of the two; leave the other out"),
        (ARGUMENTS, "test_share", "tag_names=['O', 'B-X']", "folds, test_share: give one of the two; leave the other "
         "out"),
        (labels({"test_share": "Share for the test"}), "Share for the test", "tag_names O B-X",
         "folds, Share for the test: give one of the two; leave the other out"),
    ],
    ids=["flags", "keys", "arguments", "labels"],
)  # fmt: skip
def test_arguments_are_spelled_as_the_reader_types_them(spelling, name, given, line):
    with spelled(spelling):
        assert argument("test_share") == name
        shown = argument("tag_names", ["O", "B-X"])
        told = str(ConfigError([Problem("folds, test_share", 0.2, "give one of the two", "leave the other out")]))
    assert shown.split() == given.split()
    assert told == line


def test_a_problem_read_from_a_file_says_where():
    problem = Problem("seed", -1, "-1 is below 0").at({"seed": "run.yaml, line 3"})
    with spelled(FLAGS):
        assert str(problem) == "run.yaml, line 3: seed: -1 is below 0"
        assert str(Problem("seed", -1, "-1 is below 0").at({"fold": "run.yaml, line 3"})) == "--seed: -1 is below 0"


def test_an_error_keeps_its_problems_and_survives_a_pipe_between_processes():
    problems = (Problem("seed", -1, "-1 is below 0"), Problem("", None, "nothing fits"))
    error = pickle.loads(pickle.dumps(ConfigError(problems, where="the arguments", advice="All arguments: --help")))
    assert str(error) == "2 problems with the arguments:\n  seed: -1 is below 0\n  nothing fits\nAll arguments: --help"
    assert error.problems == problems
    assert ConfigError("a message").problems == (Problem("", None, "a message"),)


def test_a_positional_argument_is_no_flag():
    spelling = Spelling("--", " ", positional={"model": "DIR"})
    with spelled(spelling):
        assert f"{argument('model', 'nope')}: is not there; give {argument('model')}" == "nope: is not there; give DIR"


def test_a_command_spells_flags_in_all_of_its_threads():
    found = []
    with plain_errors():
        thread = threading.Thread(target=lambda: found.append(argument("seed")))
        thread.start()
        thread.join()
    assert found == ["--seed"]
    assert argument("seed") == "seed"


# Files that are part of a command line: they make flags, print help, or say which command to type.
ABOVE = ("cli/", "console.py", "secrets.py", "inference/command.py", "training/flags.py", "comparison/plan.py",
         "training/config/reading.py", "publishing/hub/push.py",
         "annotating/command.py", "search/command.py", "search/finish.py")  # fmt: skip
COMMAND = re.compile(
    r"hf-tagging [a-z]|accelerate launch|pip install|python recipes|git|var\(--|--hue|<!--|--error-unmatch"
)


def spelled_flags(path):
    """Literals of a module, docstrings left out, that spell a flag outside of a command to type."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in documentation:
            continue
        if re.search(r"(?<![\w-])--[a-z]", node.value) and not COMMAND.search(node.value):
            yield f"{path}, line {node.lineno}: {node.value}"


def test_no_message_below_the_command_line_spells_a_flag():
    package = Path(hf_tagging.__file__).parent
    modules = [path for path in package.rglob("*.py") if not path.relative_to(package).as_posix().startswith(ABOVE)]
    assert len(modules) > 150
    assert [found for module in modules for found in spelled_flags(module)] == []


def test_predict_does_not_speak_of_a_flag_that_it_has_not(capsys):
    with pytest.raises(SystemExit):
        main(["predict", "./nope", "--text", "a"])
    told = capsys.readouterr().err
    assert "nope" in told
    assert "--model" not in told


def test_a_switch_is_spelled_as_the_reader_turns_it_on():
    said = []
    for spelling in (FLAGS, KEYS, ARGUMENTS, labels({"resume": "Go on"})):
        with spelled(spelling):
            said.append(switch("resume"))
    assert said == ["--resume", "resume: true", "resume=True", "Go on"]


def test_a_file_is_mended_by_lines_and_flags_by_flags(tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("task: ner\nmodel: scratch\nfeature_size: 3\n")
    with pytest.raises(ConfigError, match=r"run.yaml, line 3: feature_size: needs word_shape: true or word_features: "):
        RunConfig.from_command_line(["--config", str(config)])
    with pytest.raises(ConfigError, match=r"--feature_size: needs --word_shape true or --word_features COLUMN"):
        RunConfig.from_command_line(["--task", "ner", "--model", "scratch", "--feature_size", "3"])
