"""Which task and which kind of model settings or a script ask for; nothing here takes long to import."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError
from hf_tagging.tasks import TASKS

SCRATCH, ENCODER = "scratch", "encoder"  # kinds of models; as the value of `model`, the first is a new tagger
_PACKAGE = Path(__file__).resolve().parents[2]
_KINDS = {"EncoderConfig": ENCODER, "ScratchConfig": SCRATCH}


@dataclass(frozen=True)
class Trains:
    """Task and kind of model of a recipe.

    Args:
        task: Name of the task; None where flags or a config say it.
        kind: ``"encoder"`` or ``"scratch"``; None likewise.
    """

    task: str | None
    kind: str | None


def kind_of(settings: Iterable[tuple[str, str]]) -> str:
    """Return the kind of model that settings ask for: `SCRATCH` or `ENCODER`.

    Args:
        settings: Names and values, the last one of a name counts. ``model: scratch`` and any ``encoder`` make a tagger
            from scratch; so does a ``model`` that is the folder of one, or of a language model to start one from.
    """
    given = list(settings)
    models = [value for name, value in given if name == "model"]
    if SCRATCH in models or any(name == "encoder" for name, _ in given):
        return SCRATCH  # also under a flag that names the folder to start from
    return SCRATCH if models and _is_scratch(models[-1]) else ENCODER


def _is_scratch(folder: str) -> bool:
    try:
        config = json.loads((expanded(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and str(config.get("model_type", "")).startswith("tagging-")


def what_it_trains(recipe: Path) -> Trains | None:
    """Return what a recipe trains, from its call with ``task=...`` and ``model=...``; None if it has no such call.

    Args:
        recipe: A script, such as one with ``RunConfig.from_command_line(task="ner", model=ScratchConfig)``.
    """
    try:
        tree = ast.parse(recipe.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        called = getattr(call.func, "attr", getattr(call.func, "id", ""))
        if called == "parse_arguments" and call.args:  # recipes of the release before
            family = named.get("family")
            baseline = isinstance(family, ast.Constant) and family.value == "baseline"
            return Trains(_task(call.args[0]), SCRATCH if baseline else ENCODER)
        if called == "from_command_line" and _word(call.func).startswith("RunConfig"):
            return Trains(_task(named.get("task")), _KINDS.get(_word(named.get("model"))))
    return None


def shipped_folder() -> Path:
    """Return the folder that holds `recipes/` and `accelerate_configs/`: of the package, or of the source tree.

    Raises:
        ConfigError: If it is in neither place.
    """
    for folder in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (folder / "recipes" / "configs").is_dir():
            return folder
    raise ConfigError(
        f"The recipes are missing: neither in {_PACKAGE / '_shipped'} nor beside it. Install the package anew."
    )


def recipe_that_trains(task: str, kind: str) -> Path | None:
    """Return the recipe that ships for a task and a kind of model; None if there is none.

    Args:
        task: Name of the task.
        kind: `SCRATCH` or `ENCODER`.
    """
    for recipe in sorted(shipped_folder().glob("recipes/*.py")):
        trains = what_it_trains(recipe)
        if trains and trains.task in (None, task) and trains.kind == kind:  # recipes/distil.py is for any kind
            return recipe
    return None


def _task(node: ast.expr | None) -> str | None:
    name = str(node.value) if isinstance(node, ast.Constant) else _word(node).rpartition(".")[2].lower()
    return name if name in TASKS else None


def _word(node: ast.expr | None) -> str:
    return "" if node is None else ast.unparse(node)
