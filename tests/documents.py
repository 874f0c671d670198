"""Command lines that documents show, read as the programs read them themselves."""

import contextlib
import functools
import io
import re
import runpy
import shlex
from pathlib import Path
from unittest import mock

from recipe_runs import ROOT
from run_configs import run_config

from hf_tagging import cli
from hf_tagging.cli.data_check import DataCheck
from hf_tagging.comparison.plan import read_plan
from hf_tagging.search.command import arguments
from hf_tagging.search.config import read_search
from hf_tagging.training import RunConfig
from hf_tagging.training.config.pretraining import PretrainingConfig

PROGRAMS = (
    "accelerate", "torchrun", "python", ".venv/bin/python", "hf-tagging", "make", "pip", "hf", "trackio", "source",
    "sbatch", "sky", "curl", "docker",
)  # fmt: skip
_OURS = re.compile(r"(recipes|accelerate_configs|benchmarks|tests)/")
_FILE = re.compile(r"(PATH/)?[\w-]+\.(conllu?|tsv|txt|jsonl?)$")
_FOLDER = re.compile(r"(PATH|\w*corpus|runs/[\w-]+)/?$")


def check_command(command: str, folder: Path) -> None:
    """Reads a command line; what its program would refuse ends in an error.

    Args:
        command: As a document shows it, without its comment.
        folder: The current folder, and empty: it gets stand-ins for the reader's own files.
    """
    words = shlex.split(command)
    assert words[0] in PROGRAMS, command
    for word in words:
        if _OURS.match(word):
            assert (ROOT / word).exists(), word
        elif _FILE.match(word):
            (folder / word).parent.mkdir(exist_ok=True)
            (folder / word).touch()
        elif _FOLDER.match(word):
            (folder / word).mkdir(parents=True, exist_ok=True)
    (folder / "recipes").symlink_to(ROOT / "recipes")
    script = next((i for i, word in enumerate(words) if re.fullmatch(r"recipes/\w+\.py", word)), None)
    if script is not None:
        parse_recipe(Path(words[script]).stem, words[script + 1 :])
    elif words[0] == "hf-tagging":
        _parse_subcommand(words[1:])
    elif words[0] == "make":
        _check_targets([word for word in words[1:] if "=" not in word])


def parse_recipe(recipe: str, flags: list[str]) -> None:
    """Reads a recipe's flags as it does itself, on a machine of any kind."""
    if recipe == "compare":
        others = [flag for flag in flags if flag != "--dry_run"]
        assert others[0] == "--config"
        assert read_plan(Path(others[1]), output_dir=None, flags=others[2:]).jobs
    elif recipe == "search":
        args, others = arguments(flags)
        assert read_search(args.config, flags=[*others, "--use_cpu"]).space
    elif recipe == "pretrain":
        PretrainingConfig.from_command_line(flags)
    elif recipe == "distil":
        assert RunConfig.from_command_line([*flags, "--use_cpu"]).training.teacher
    elif match := re.fullmatch(r"(pos|ner)_(bert|baseline)", recipe):
        flags = [*flags, "--use_cpu"]  # without a GPU bfloat16 may be refused
        run_config(match[1], flags, kind="scratch" if match[2] == "baseline" else "encoder")
    else:
        given = {flag for flag in flags if flag.startswith("--")}
        assert given
        assert given <= _flags_of(recipe), f"{recipe}: {given - _flags_of(recipe)}"


@functools.cache
def _flags_of(recipe: str) -> frozenset[str]:
    """The flags that a recipe's own help names."""
    path = ROOT / "recipes" / f"{recipe}.py"
    shown = io.StringIO()
    main = runpy.run_path(str(path), run_name="recipe")["main"]
    asking = mock.patch("sys.argv", [path.name, "--help"])
    with asking, contextlib.redirect_stdout(shown), contextlib.suppress(SystemExit):
        main()
    return frozenset(re.findall(r"^ +(--\w+)", shown.getvalue(), re.MULTILINE))


def _parse_subcommand(argv: list[str]) -> None:
    args, flags = cli.make_parser().parse_known_args(argv)
    assert args.command.takes_flags or not flags, flags
    if args.command.name == "train":  # as for the recipe itself
        no_data = DataCheck("stand-in", None, [])
        with mock.patch("hf_tagging.cli.data_check.check_data", return_value=no_data):
            cli.main(["validate", args.config, *flags])


def _check_targets(targets: list[str]) -> None:
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets
    assert set(targets) <= set(known), targets
