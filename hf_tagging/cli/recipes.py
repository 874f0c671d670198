"""`ls`, `copy`, `validate`, `train`: what ships with the package, taken from the shelf, checked and run."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hf_tagging.atomic import whole_file
from hf_tagging.cli.answers import Answer, show_table
from hf_tagging.cli.command import Command, add_json
from hf_tagging.cli.shipped import (
    ACCELERATE,
    COMPARE,
    CONFIG,
    PRETRAIN,
    RECIPE,
    SEARCH,
    Shipped,
    existing_file,
    find_shipped,
    named_files,
    near_path,
    read_settings,
    recipe_for,
    shipped,
    shipped_folder,
    ships,
)
from hf_tagging.console import GO_ON
from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import ConfigError, OutputError, printable
from hf_tagging.secrets import by_environment, masked

_SHORT = {"pos": "pos_bert", "ner": "ner_bert"}
_FLAGS = "Flags follow the config. All arguments: docs/arguments.md, or `python recipes/pos_bert.py --help`."
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
    check_writable(target.parent)
    if target.exists() and not args.overwrite:
        raise OutputError(f"{target} is there already; give another TARGET, or --overwrite to replace it.")
    _copy_file(item.path, target)
    # The paths in a comparison's file are from where it is started.
    for name in named_files(item.path) if item.name.startswith(f"{COMPARE}/") else []:
        if not Path(name).exists():
            _copy_file(shipped_folder() / name, Path(name))
    if item.kind == CONFIG:
        print(f"\nEdit it, then type: hf-tagging train {shlex.quote(str(target))}")


def _copy_file(source: Path, target: Path) -> None:
    text = read_settings(source)
    with writing_to(target), whole_file(target) as file:
        file.write(text)
    print(f"Copied to {target}")


def _add_validate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names",
        nargs="+",
        metavar="[RECIPE] CONFIG",
        help=f"the config: {_CONFIG_HELP}; before it the recipe, where the config does not say its task",
    )
    add_json(parser)


def _validate(args: argparse.Namespace) -> Answer:
    if len(args.names) > 2:
        args.parser.error(f"expected [RECIPE] CONFIG, got {' '.join(args.names)}")
    config = existing_file(args.names[-1], kinds=[CONFIG])
    given = args.names[0] if len(args.names) == 2 else None
    if given and Path(given).expanduser().is_file() and not ships(_SHORT.get(given, given), kinds=[RECIPE]):
        raise ConfigError(
            f"{given}: a recipe of your own cannot be checked; name the one that it was made from: "
            f"hf-tagging validate ner_bert {config}"
        )
    recipe = _recipe(given, config, args.flags, f"hf-tagging validate RECIPE {config}")
    data = {"config": str(config), "recipe": recipe.name} | _checked(recipe, config, args.flags)
    what = f"{data['runs']} runs" if "runs" in data else f"{len(data['arguments'])} arguments"
    would = "they would go to" if "runs" in data else "the run would go to"
    checks = data.pop("checks")
    data["data"] = [asdict(check) for check in checks]

    def show() -> None:
        print(f"{args.names[-1]}: {what}, all right; {would} {data['output_dir']}")
        print(*(printable(line) for check in checks for line in check.lines()), sep="\n", end="\n" if checks else "")

    return Answer(data, show)


def _checked(recipe: Shipped, config: Path, flags: list[str]) -> dict[str, Any]:
    """Return what a recipe makes of a config; all that is wrong with it is in one error."""
    from hf_tagging.cli.data_check import check_data, check_jobs
    from hf_tagging.comparison.plan import read_plan
    from hf_tagging.training.config import RunConfig
    from hf_tagging.training.config.kinds import what_it_trains
    from hf_tagging.training.config.pretraining import PretrainingConfig
    from hf_tagging.training.config.reading import KINDS

    if recipe.name == COMPARE:
        _check_named_files(config)
        own, common = _own_flags(flags)
        plan = read_plan(config, output_dir=own.output_dir, flags=common)
        return {
            "runs": len(plan.jobs),
            "per_run": Counter(job.name for job in plan.jobs),
            "output_dir": str(plan.output_dir),
            "checks": check_jobs(plan.jobs),
        }
    argv = ["--config", str(config), *flags]
    if recipe.name == SEARCH:
        return _checked_search(argv)
    parsed: RunConfig
    if recipe.name == PRETRAIN:
        parsed = PretrainingConfig.from_command_line(argv)
    elif trains := what_it_trains(recipe.path):
        kind = KINDS[trains.kind] if trains.kind else None
        parsed = RunConfig.from_command_line(argv, task=trains.task, model=kind)
    else:
        raise ConfigError(
            f"{recipe.name}: takes no config that can be checked. Type: hf-tagging validate pos_bert FILE"
        )
    checks = [] if recipe.name == PRETRAIN else [check_data(parsed)]
    return {"arguments": sorted(parsed.given), "output_dir": str(parsed.training.output_dir), "checks": checks}


def _checked_search(argv: list[str]) -> dict[str, Any]:
    from hf_tagging.cli.data_check import check_data
    from hf_tagging.search.command import arguments
    from hf_tagging.search.config import read_search

    own, common = arguments(argv)
    search = read_search(own.config, output_dir=own.output_dir, flags=common)
    return {
        "arguments": sorted(search.config.given),
        "space": {name: parameter.written() for name, parameter in search.space.items()},
        "output_dir": str(search.output_dir),
        "checks": [check_data(search.config)],
    }


def _own_flags(flags: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the flags that recipes/compare.py has itself, and those that are for its runs."""
    parser = argparse.ArgumentParser(prog=f"hf-tagging validate {COMPARE}", add_help=False, allow_abbrev=False)
    parser.add_argument("--output_dir", type=Path, metavar="DIR")
    parser.add_argument("--dry_run", action="store_true")
    return parser.parse_known_args(flags)


def _recipe(given: str | None, config: Path, flags: list[str], usage: str) -> Shipped:
    """Return a recipe that ships: as given, or the one that trains what the config asks for."""
    if given is None:
        return recipe_for(config, flags, otherwise=usage)
    return find_shipped(_SHORT.get(given, given), kinds=[RECIPE])


def _check_named_files(config: Path) -> None:
    missing = [name for name in named_files(config) if not Path(name).exists()]
    if missing:
        raise ConfigError(f"{config}: names {missing[0]}, which is not here. {_what_brings(missing, config)}")


def _what_brings(missing: list[str], config: Path) -> str:
    """Return the command that brings the files that a comparison names."""
    itself = next((item.name for item in shipped(CONFIG) if item.path.samefile(config)), None)
    if itself:
        return f"`hf-tagging copy {itself}` brings what it names; start it from the folder where that was typed."
    known = [name for name in missing if (shipped_folder() / name).is_file()]
    lines = [f"hf-tagging copy {find_shipped(name).name} {Path(name).parent}/" for name in known]
    return "\n  ".join(["To get what ships:", *lines]) if lines else "Paths are from the folder where it is started."


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help=_CONFIG_HELP)
    parser.add_argument(
        "--recipe", metavar="NAME", help="one that ships, or a file; left out: the one for the config's task and model"
    )
    parser.add_argument(
        "--accelerate_config",
        metavar="FILE",
        help="for accelerate: a file, or one that ships, such as cpu or multi_gpu",
    )
    parser.add_argument("--dry_run", action="store_true", help="print the command and start nothing")


def _train(args: argparse.Namespace) -> None:
    config = existing_file(args.config, kinds=[CONFIG])
    recipe = _recipe_file(args.recipe, config, args.flags)
    flags, secrets = by_environment(args.flags)
    asked = [str(recipe), "--config", str(config), *flags]
    if recipe.stem == COMPARE:
        if args.accelerate_config:
            raise ConfigError("--accelerate_config: a comparison starts its runs itself; give `launcher:` in its file.")
        _check_named_files(config)
    elif recipe.stem == SEARCH:
        if args.accelerate_config:
            raise ConfigError("--accelerate_config: a search starts its processes itself; give --workers N.")
    elif args.accelerate_config:
        accelerate = existing_file(args.accelerate_config, kinds=[ACCELERATE])
        _check_accelerate(accelerate)
        asked = ["--config_file", str(accelerate), *asked]
    is_alone = recipe.stem in (COMPARE, SEARCH)
    if args.dry_run:
        asked = [*asked[: len(asked) - len(flags)], *masked(args.flags)]  # what a person would type
        print(shlex.join([*(["python"] if is_alone else ["accelerate", "launch"]), *asked]))
        return
    from hf_tagging.cli.launching import launch, run_script

    os.environ |= secrets
    raise SystemExit(run_script(asked) if is_alone else launch(asked))


def _check_accelerate(path: Path) -> None:
    """Refuse a file on which accelerate would end with a traceback; its content, accelerate checks itself."""
    import yaml
    from yaml.constructor import SafeConstructor

    from hf_tagging.training.yaml_files import compose_yaml

    expected = "expected lines of `name: value`, as in: hf-tagging copy cpu"
    try:
        if path.suffix == ".json":
            found = json.loads(read_settings(path))
        else:  # what is made of nodes within bounds is small; accelerate reads the same file without any
            root = compose_yaml(path, named_by="accelerate_config")
            found = root and SafeConstructor().construct_document(root)
    except ConfigError as error:
        raise ConfigError(f"{error}; {expected}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        raise ConfigError(f"{path}: is not {kind} ({' '.join(str(error).split())}); {expected}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: {expected}")


def _recipe_file(given: str | None, config: Path, flags: list[str]) -> Path:
    if given and Path(given).expanduser().is_file():
        return Path(given).expanduser()
    return near_path(_recipe(given, config, flags, f"hf-tagging train {config} --recipe NAME").path)


COMMANDS = (
    Command(
        name="ls",
        summary="List the recipes and configs that ship with the package, a line each.",
        add=_add_ls,
        run=_ls,
        examples=("hf-tagging ls", "hf-tagging ls lstm", "hf-tagging ls conll2003 --json"),
    ),
    Command(
        name="copy",
        summary="Copy a recipe or config out of the package, to be edited.",
        details="With a comparison's config come the recipes and configs that it names, where there are none yet.",
        add=_add_copy,
        run=_copy,
        examples=(
            "hf-tagging copy pos/quickstart",
            "hf-tagging copy ner/lstm_crf_conll2003 my_tagger.yaml",
            "hf-tagging copy ner_bert my_recipes/",
            "hf-tagging copy compare/quickstart mine.yaml",
        ),
    ),
    Command(
        name="validate",
        summary="Check a config, flags and the data without training.",
        details="All mistakes are reported together, with the nearest name. Data of this machine is read and "
        "checked as by a run; the Hub is not asked. Flags win over the file. " + _FLAGS,
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
        summary="Train a tagger from a config, with accelerate.",
        details="All flags that are not its own go to the recipe and win over the file; the exit code is the recipe's. "
        "Comparisons, searches and pretraining are started in the same way. " + _FLAGS,
        add=_add_train,
        run=_train,
        takes_flags=True,
        interrupted=GO_ON,
        examples=(
            "hf-tagging train pos/quickstart --dry_run",
            "hf-tagging train my_tagger.yaml --dataset sample --output_dir runs/mine",
            "hf-tagging train ner/bert_base_conll2003 --accelerate_config multi_gpu --seed 1",
            "hf-tagging train mine.yaml",
        ),
    ),
)
