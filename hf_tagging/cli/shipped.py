"""Files that ship with the package besides its code: recipes, their configs, and configs of accelerate.

In the source tree they are at the top; a wheel brings them along as ``hf_tagging/_shipped``. Recipes are run, never
imported.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hf_tagging.console import read_text
from hf_tagging.errors import ConfigError
from hf_tagging.training.config.kinds import kind_of, recipe_that_trains, shipped_folder

RECIPE, CONFIG, ACCELERATE = KINDS = ("recipe", "config", "accelerate config")
COMPARE, PRETRAIN, SEARCH = "compare", "pretrain", "search"  # recipes that train no single tagger
_NAMED = re.compile(r"(?<![\w./~-])recipes/[\w./-]+\.(?:py|ya?ml)\b")
_END_OF_SENTENCE = re.compile(r"(?<=\.)\s+(?=[A-Z])")


@dataclass(frozen=True)
class Shipped:
    """A file that comes with the package.

    Args:
        kind: One of `KINDS`.
        name: What it is called on the command line: ``pos_bert``, ``pos/quickstart``, ``cpu``.
        path: Where it is.
    """

    kind: str
    name: str
    path: Path

    @cached_property
    def about(self) -> str:
        """Summary in one line: the start of its docstring, or of the comment at its head."""
        text = self.path.read_text(encoding="utf-8")
        if self.kind == RECIPE:
            found = ast.get_docstring(ast.parse(text)) or ""
            return found.split("\n")[0]
        return _END_OF_SENTENCE.split(_head(text))[0].rstrip(".:")


def shipped(kind: str | None = None) -> list[Shipped]:
    """Return everything that ships, recipes first, by name.

    Args:
        kind: One of `KINDS`; None for all.
    """
    folder = shipped_folder()
    configs = folder / "recipes" / "configs"
    found = [
        *(Shipped(RECIPE, path.stem, path) for path in sorted(folder.glob("recipes/*.py"))),
        *(Shipped(CONFIG, f"{path.parent.name}/{path.stem}", path) for path in sorted(configs.glob("*/*.yaml"))),
        *(Shipped(ACCELERATE, path.stem, path) for path in sorted(folder.glob("accelerate_configs/*.yaml"))),
    ]
    return [item for item in found if kind in (None, item.kind)]


def find_shipped(name: str, *, kinds: Iterable[str] = KINDS) -> Shipped:
    """Finds a file of the package by its name, or by its path in the source tree.

    Args:
        name: ``pos_bert``, ``pos/quickstart``, ``recipes/configs/pos/quickstart.yaml`` ...
        kinds: Which are meant.

    Raises:
        ConfigError: If there is none; with the nearest name.
    """
    wanted, there = _short(name), _by_name(kinds)
    if wanted in there:
        return there[wanted]
    near = difflib.get_close_matches(wanted, list(there), 1) or [n for n in there if n.endswith(f"/{wanted}")][:1]
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"{name}: is no file here, and no {' or '.join(kinds)} of this name ships.{hint} All: hf-tagging ls"
    )


def ships(name: str, *, kinds: Iterable[str] = KINDS) -> bool:
    """Return whether `find_shipped` finds it."""
    return _short(name) in _by_name(kinds)


def existing_file(given: str, *, kinds: Iterable[str]) -> Path:
    """A file as the user named it: one of their own, or else one of the package.

    Raises:
        ConfigError: If it is neither.
    """
    own = Path(given).expanduser()
    if own.exists() and not own.is_file() and not own.is_dir():
        raise ConfigError(f"{given} is no regular file, and is read more than once; write its lines to one first.")
    return own if own.is_file() else near_path(find_shipped(given, kinds=kinds).path)


def near_path(path: Path) -> Path:
    """Return the path relative to the current folder, if it is below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def recipe_for(config: Path, flags: Sequence[str], *, otherwise: str) -> Shipped:
    """Return the recipe that trains what a config asks for, by its keys `task` and `model`; flags win over it.

    Args:
        config: A YAML file; one with `runs` is a comparison's, one with `search` a search's.
        flags: ``--name value ...``
        otherwise: What to type where the config does not say its task.

    Raises:
        ConfigError: It does not say its task, or no recipe that ships trains that.
    """
    settings = [*_settings(config), *_flag_settings(flags)]
    given = dict(settings)
    if "runs" in given:
        return find_shipped(COMPARE, kinds=[RECIPE])
    if "search" in given:
        return find_shipped(SEARCH, kinds=[RECIPE])
    if "task" not in given:
        raise ConfigError(
            f"{config}: does not say its task. Add a line such as `task: pos` or `task: ner` (and `model: scratch` "
            f"for a tagger from scratch), or type: {otherwise}"
        )
    if given["task"] == "pretraining":
        return find_shipped(PRETRAIN, kinds=[RECIPE])
    if recipe := recipe_that_trains(given["task"], kind_of(settings)):
        return Shipped(RECIPE, recipe.stem, recipe)
    raise ConfigError(
        f"task {given['task']}: no recipe that ships trains it, and a task of your own needs a recipe that "
        f"registers it; type: {otherwise}"
    )


def _settings(config: Path) -> list[tuple[str, str]]:
    """Return the keys of a YAML file with their values; nested ones are left out."""
    import yaml

    from hf_tagging.training.yaml_files import compose_yaml

    node = compose_yaml(config)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [(str(key.value), value.value if isinstance(value, yaml.ScalarNode) else "") for key, value in pairs]


def _flag_settings(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Return flags with the word that follows each."""
    pairs = []
    for flag, word in zip(flags, [*flags[1:], ""], strict=False):
        if flag.startswith("--"):
            name, equals, value = flag[2:].partition("=")
            pairs.append((name.replace("-", "_"), value if equals else word))
    return pairs


def named_files(config: Path) -> list[str]:
    """Return the recipes and configs that a comparison starts, as it names them: paths from where it is started.

    Args:
        config: A YAML file. Named are those below `recipes/` alone, and not those in comments: they can be copied.

    Raises:
        ConfigError: If it cannot be read.
    """
    text = re.sub(r"(^|\s)#.*$", "", read_settings(config), flags=re.MULTILINE)
    return sorted(set(_NAMED.findall(text)))


def read_settings(path: Path) -> str:
    """Return the text of a file of settings.

    Raises:
        ConfigError: If it cannot be read.
    """
    return read_text(path, ConfigError, advice="Expected a YAML file.")


def _short(name: str) -> str:
    """Return the name of the file at a path of the source tree."""
    short = re.sub(r"^\./|^(recipes/configs|recipes|accelerate_configs)/|\.(ya?ml|py)$", "", name)
    return re.sub(r"^(recipes/configs|recipes|accelerate_configs)/", "", short)


def _by_name(kinds: Iterable[str]) -> dict[str, Shipped]:
    return {item.name: item for item in shipped() if item.kind in kinds}


def _head(text: str) -> str:
    """Return the comment at the head of a file, up to the command that it shows."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("# ") or line.startswith("#   "):
            break
        lines.append(line.removeprefix("# "))
    return " ".join(lines)
