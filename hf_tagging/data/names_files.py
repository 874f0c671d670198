"""Files that name integer tags: lists of labels, cards of datasets, configurations of models.

Known are `label.json` and the like (names by id, ids by name, or a list), `labels.txt` with a name per line, the
`class_label` features of a card (`README.md`), `dataset_infos.json`, and `id2label` of a model's `config.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from hf_tagging.atomic import Json
from hf_tagging.data.bounded_yaml import BoundedLoader
from hf_tagging.data.text_lines import BOM
from hf_tagging.errors import DataError
from hf_tagging.problems import either_way

_NAMES_FILE = re.compile(
    r"(?:(?:ner|pos|entity)[_-]?)?(?:labels?|tags?|tag[_-]?set|classes|label[_-]?(?:list|map|names|vocab|set)"
    r"|(?:label|tag)s?[_-]?(?:2|to)[_-]?ids?|ids?[_-]?(?:2|to)[_-]?(?:label|tag)s?|class[_-]?names|tag[_-]?names"
    r"|(?:label|tag)s?[_-]?dict)\.(?:json|txt|names)",
    re.IGNORECASE,
)
_CARDS = ("README.md", "dataset_infos.json", "dataset_info.json")
_CONFIG = "config.json"
_PLACEHOLDER = re.compile(r"LABEL_\d+")  # as a configuration has them where nobody has named the labels
_LARGEST = 1 << 20  # bytes of a file of names
NUMBER = re.compile(r"-?\d{1,9}")
"""Matches an integer tag that is written as text."""


def is_names_file(path: Path) -> bool:
    """Return whether a file is called like one that names integer tags."""
    return bool(_NAMES_FILE.fullmatch(path.name)) or path.name in (*_CARDS, _CONFIG)


def names_in(folder: Path, column: str, *, config: bool = True) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Yield the files of a folder that name integer tags, with the names.

    Args:
        folder: To look into.
        column: Of the tags, as a card names it.
        config: A model's `config.json` counts too.
    """
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name == _CONFIG and not config:
            continue
        if not is_names_file(path) or not path.is_file() or path.stat().st_size > _LARGEST:
            continue
        try:
            text = path.read_bytes().removeprefix(BOM).decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if path.name in _CARDS:
            names = _of_card(text, column, is_markdown=path.suffix == ".md")
        elif path.suffix.lower() == ".json":
            names = _of_json(text, only_config=path.name == _CONFIG)
        else:
            names = _of_lines(text)
        if names and not all(map(_PLACEHOLDER.fullmatch, names.values())):
            yield path, _in_order(names, path)


def _in_order(names: Mapping[int, str], path: Path) -> tuple[str, ...]:
    """Return names in the order of their ids.

    Raises:
        DataError: The ids are not those from 0 on.
    """
    if sorted(names) != list(range(len(names))):
        raise DataError(
            f"{path}: names integer tags by the ids {', '.join(map(str, sorted(names)[:8]))}; expected all from 0 on; "
            f"give the names, in the order of their ids, with {either_way('tag_names')}"
        )
    return tuple(names[i] for i in range(len(names)))


def _of_json(text: str, *, only_config: bool) -> dict[int, str]:
    """Return names by id of an object or list in JSON; empty if it is neither."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if isinstance(value, dict):
        for key in ("id2label", "label2id", *(() if only_config else ("labels", "tags", "names"))):
            if isinstance(value.get(key), dict | list):
                return _of_value(value[key])
    return {} if only_config else _of_value(value)


def _of_value(value: Json) -> dict[int, str]:
    """Return names by id of `{"O": 0}`, `{"0": "O"}` or `["O"]`; empty for anything else."""
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return {i: str(name) for i, name in enumerate(value)}
    if not isinstance(value, dict) or not value:
        return {}
    if all(NUMBER.fullmatch(key) and isinstance(name, str) for key, name in value.items()):
        return {int(key): str(name) for key, name in value.items()}
    ids = [id for id in value.values() if isinstance(id, int) and not isinstance(id, bool)]
    if len(ids) == len(value) == len(set(ids)):
        return {id: name for name, id in value.items() if isinstance(id, int)}
    return {}


def _of_lines(text: str) -> dict[int, str]:
    """Return names by id of a name per line, or of a name and its id, or an id and its name."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if all(len(row) == 1 for row in rows):
        return {i: row[0] for i, row in enumerate(rows)}
    if not all(len(row) == 2 for row in rows):
        return {}
    if all(NUMBER.fullmatch(row[0]) for row in rows):
        return {int(row[0]): row[1] for row in rows}
    if all(NUMBER.fullmatch(row[1]) for row in rows):
        return {int(row[1]): row[0] for row in rows}
    return {}


def _of_card(text: str, column: str, *, is_markdown: bool) -> dict[int, str]:
    """Return names by id from the features that a card, or `dataset_infos.json`, declares for a column."""
    if is_markdown:
        head = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
        if head is None:
            return {}
        text = head[1]
    try:
        value = yaml.load(text, Loader=BoundedLoader) if is_markdown else json.loads(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    found = {tuple(sorted(names.items())) for names in _declared(value, column)}
    return dict(found.pop()) if len(found) == 1 else {}  # several configurations, each with its own


def _declared(value: Json, column: str) -> Iterator[dict[int, str]]:
    """Yield the names of every feature called like the column, wherever it is."""
    level = [value]
    for _ in range(16):  # deep enough for every card
        inner: list[Json] = []
        for item in level[:10_000]:
            if isinstance(item, dict):
                if item.get("name") == column and (names := _class_names(item)):
                    yield names
                if names := _class_names(item.get(column)):
                    yield names
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        level = inner


def _class_names(feature: Json) -> dict[int, str]:
    """Return the names in a feature of a card or of `dataset_infos.json`: a class label, or a list of them."""
    for _ in range(4):
        if not isinstance(feature, dict):
            return {}
        names = feature.get("names")
        if names is not None and not isinstance(feature.get("class_label"), dict):
            return _of_value({str(key): value for key, value in names.items()} if isinstance(names, dict) else names)
        feature = next((feature[key] for key in ("class_label", "sequence", "list", "feature") if key in feature), None)
    return {}
