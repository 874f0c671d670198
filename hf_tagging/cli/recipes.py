"""`ls`, `copy`, `validate`, `train`: what ships with the package, taken from the shelf, checked and run."""

from __future__ import annotations

import argparse
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from hf_tagging.atomic import whole_file
from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json
from hf_tagging.cli.shipped import (
    ACCELERATE,
    CONFIG,
    RECIPE,
    existing_file,
    find_shipped,
    named_files,
    near_path,
    recipe_named_by,
    shipped,
    shipped_folder,
)
from hf_tagging.console import GO_ON
from hf_tagging.errors import ConfigError, OutputError

_SHORT = {"pos": "pos_bert", "ner": "ner_bert"}
_COMPARE = "compare"
_CONFIG_HELP = "a YAML file of your own, or one that ships (hf-tagging ls), such as pos/quickstart"


def _add_ls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", nargs="?", metavar="WORD", help="only what has it in its name or description")
    add_json(parser)


def _ls(args: argparse.Namespace) -> Answer:
    word = (args.word or "").lower()
    found = [item for item in shipped() if word in f"{item.name} {item.about}".lower()]
    rows = [(item.kind, item.name, item.about) for item in found]
    data = [{"kind": i.kind, "name": i.name, "about": i.about, "path": str(i.path)} for i in found]
    if not found:
        raise ConfigError(f"{args.word}: is in no name and no description. All: hf-tagging ls")
    return Answer(data, lambda: show_table(("kind", "name", "what"), rows))


def _add_copy(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of a recipe, a config or an accelerate config: hf-tagging ls")
    parser.add_argument("target", nargs="?", default=".", metavar="TARGET", help="file or folder; left out: here")
    parser.add_argument("--overwrite", action="store_true", help="replace the file that is there")


def _copy(args: argparse.Namespace) -> None:
    item = find_shipped(args.name)
    target = Path(args.target).expanduser()
    if target.is_dir() or args.target.endswith(("/", os.sep)):
        target /= item.path.name
    if target.is_dir():
        raise OutputError(f"{target} is a folder; give the name of a file.")
    if target.exists() and not args.overwrite:
        raise OutputError(f"{target} is there already; give another TARGET, or --overwrite to replace it.")
    _copy_file(item.path, target)
    # The paths in a comparison's file are from where it is started.
    for name in named_files(item.path) if item.name.startswith(f"{_COMPARE}/") else []:
        if not Path(name).exists():
            _copy_file(shipped_folder() / name, Path(name))
    if item.kind == CONFIG:
        print(f"\nEdit it, then type: hf-tagging train {shlex.quote(str(target))}")


def _copy_file(source: Path, target: Path) -> None:
    try:
        with whole_file(target) as file:
            file.write(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}).") from error
    print(f"Copied to {target}")


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="+",
        metavar="[RECIPE] CONFIG",
        help=f"the config: {_CONFIG_HELP}; before it the recipe, where the config does not name one in its head",
    )
    add_json(parser)


def _validate(args: argparse.Namespace) -> Answer:
    if len(args.names) > 2:
        args.parser.error(f"expected [RECIPE] CONFIG, got {' '.join(args.names)}")
    config = existing_file(args.names[-1], kinds=[CONFIG])
    recipe = _recipe_name(args.names[0] if len(args.names) == 2 else None, config, "hf-tagging validate RECIPE FILE")
    data = {"config": str(config), "recipe": recipe} | _checked(recipe, config, args.flags)
    what = f"{data['runs']} runs" if "runs" in data else f"{len(data['arguments'])} arguments"
    would = "they would go to" if "runs" in data else "the run would go to"
    return Answer(data, lambda: print(f"{args.names[-1]}: {what}, all right; {would} {data['output_dir']}"))


def _checked(recipe: str, config: Path, flags: list[str]) -> dict[str, Any]:
    """What a recipe makes of a config; all that is wrong with it ends in one error."""
    from hf_tagging.evaluation.experiments import read_plan, recipe_kind
    from hf_tagging.training.parsing import RunArguments, parse_arguments
    from hf_tagging.training.pretraining import parse_pretraining

    if recipe == _COMPARE:
        _check_named_files(config)
        plan = read_plan(config, flags=flags)
        return {
            "runs": len(plan.jobs),
            "per_run": Counter(job.name for job in plan.jobs),
            "output_dir": str(plan.output_dir),
        }
    parsed: RunArguments
    if recipe == "pretrain":
        parsed = parse_pretraining(["--config", str(config), *flags])
    elif kind := recipe_kind(recipe):
        parsed = parse_arguments(kind[0], ["--config", str(config), *flags], family=kind[1])
    else:
        raise ConfigError(f"{recipe}: takes no config that can be checked. Type: hf-tagging validate pos_bert FILE")
    return {"arguments": sorted(parsed.given), "output_dir": str(parsed.training.output_dir)}


def _recipe_name(given: str | None, config: Path, usage: str) -> str:
    """The name of a recipe that ships: as given, or as the config says in its head."""
    name = _SHORT.get(given, given) if given else recipe_named_by(config)
    if name is None:
        raise ConfigError(
            f"{config}: does not say in its head which recipe it is for (a comment such as "
            f"`# accelerate launch recipes/pos_bert.py --config FILE`). Type: {usage}"
        )
    return find_shipped(name, kinds=[RECIPE]).name


def _check_named_files(config: Path) -> None:
    missing = [name for name in named_files(config) if not Path(name).exists()]
    if missing:
        raise ConfigError(
            f"{config}: names {missing[0]}, which is not here. `hf-tagging copy {_COMPARE}/quickstart` brings what a "
            "comparison names along; start it from the folder where that was typed."
        )


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help=_CONFIG_HELP)
    parser.add_argument(
        "--recipe", metavar="NAME", help="one that ships, or a file; left out: as the config's head says"
    )
    parser.add_argument(
        "--accelerate_config",
        metavar="FILE",
        help="for accelerate: a file, or one that ships, such as cpu or multi_gpu",
    )
    parser.add_argument("--dry_run", action="store_true", help="print the command and start nothing")


def _train(args: argparse.Namespace) -> None:
    config = existing_file(args.config, kinds=[CONFIG])
    recipe = _recipe_file(args.recipe, config)
    asked = [str(recipe), "--config", str(config), *args.flags]
    if recipe.stem == _COMPARE:
        if args.accelerate_config:
            raise ConfigError("--accelerate_config: a comparison starts its runs itself; give `launcher:` in its file.")
        _check_named_files(config)
    elif args.accelerate_config:
        asked = ["--config_file", str(existing_file(args.accelerate_config, kinds=[ACCELERATE])), *asked]
    if args.dry_run:
        print(shlex.join([*(["python"] if recipe.stem == _COMPARE else ["accelerate", "launch"]), *asked]))
        return
    from hf_tagging.cli.launching import launch, run_script

    raise SystemExit(run_script(asked) if recipe.stem == _COMPARE else launch(asked))


def _recipe_file(given: str | None, config: Path) -> Path:
    if given and Path(given).expanduser().is_file():
        return Path(given).expanduser()
    name = _recipe_name(given, config, f"hf-tagging train {config} --recipe NAME")
    return near_path(find_shipped(name, kinds=[RECIPE]).path)


COMMANDS = (
    Command(
        name="ls",
        summary="Lists the recipes and configs that ship with the package, a line each.",
        add=_add_ls,
        run=_ls,
        examples=("hf-tagging ls", "hf-tagging ls lstm", "hf-tagging ls conll2003 --json"),
    ),
    Command(
        name="copy",
        summary="Copies a recipe or config out of the package, to be edited.",
        details="With a comparison's config come the recipes and configs that it names, where there are none yet.",
        add=_add_copy,
        run=_copy,
        examples=(
            "hf-tagging copy pos/quickstart",
            "hf-tagging copy ner/lstm_crf_conll2003 my_tagger.yaml",
            "hf-tagging copy ner_bert my_recipes/",
        ),
    ),
    Command(
        name="validate",
        summary="Checks a config and flags without loading anything.",
        details="Every mistake is told at once, with the nearest name that would be right. Flags win over the file.",
        add=_add_validate,
        run=_validate,
        takes_flags=True,
        examples=(
            "hf-tagging validate pos/quickstart",
            "hf-tagging validate ner/quickstart --learning_rate 3e-5 --json",
            "hf-tagging validate ner_baseline my_tagger.yaml --dataset sample",
        ),
    ),
    Command(
        name="train",
        summary="Runs the recipe that a config is for, under accelerate.",
        details="All flags that are not its own go to the recipe and win over the file; the exit code is the recipe's. "
        "Comparisons and pretraining are started in the same way.",
        add=_add_train,
        run=_train,
        takes_flags=True,
        interrupted=GO_ON,
        examples=(
            "hf-tagging train pos/quickstart --dry_run",
            "hf-tagging train my_tagger.yaml --dataset sample --output_dir runs/mine",
            "hf-tagging train ner/bert_base_conll2003 --accelerate_config multi_gpu --seed 1",
            "hf-tagging train compare/quickstart",
        ),
    ),
)
