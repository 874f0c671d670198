"""Files of a model's folder that are published, without the paths of this machine.

These are the files that a run lists as its own. In a folder without `run.json`, the names decide.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from huggingface_hub import constants

from hf_tagging.atomic import Json, json_text
from hf_tagging.console import read_text
from hf_tagging.data.files import looks_like_path
from hf_tagging.errors import ModelError, OutputError
from hf_tagging.inference.onnx_model import GRAPH, MANIFEST
from hf_tagging.problems import argument, switch
from hf_tagging.publishing.provenance import model_name
from hf_tagging.rules.rules import RULES
from hf_tagging.training.folder import RECORD, RunFolder

Content = Path | bytes
"""A file to send as it is, or the content to send in its place."""

CARD, REPORT = "README.md", "report.html"
_WEIGHTS = ("model*.safetensors", "adapter_model.safetensors", GRAPH)
MODEL_FILES = (
    "config.json", "model*.safetensors", "model.safetensors.index.json", "adapter_config.json",
    "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "vocab.json", "merges.txt", "added_tokens.json", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    f"{GRAPH}*", MANIFEST, RULES,
)  # fmt: skip
"""Files that determine a model's output; code beside them is sent if a configuration names it."""

_ADAPTER, _BASE = "adapter_config.json", "base_model_name_or_path"
_ORIGINS = ("_name_or_path", "name_or_path", _BASE)
# An absolute path, or one that begins with a dot or a tilde, at the start of a value or after a separator.
_PATH = re.compile(r"(?:(?<=[=\s,:'\"(\[])|^)(?:[A-Za-z]:[\\/]|\\\\|~[\w.-]*[\\/]|\.{1,2}[\\/]|/(?!/))[^\s,:'\")\]]+")
_FOLDERS = {"output_dir", "logging_dir"}  # arguments that are always paths


def bundle(folder: Path, repository: str) -> dict[str, Content]:
    """Collect the files to publish.

    Args:
        folder: Folder of a model.
        repository: Name of the repository, which an adapter beside its base refers to.

    Returns:
        Files by their name in the repository, `run.json` and configurations without the paths of this machine.

    Raises:
        ModelError: If there is no model, or one of its files is missing.
        OutputError: If the run in the folder has not finished.
    """
    if not (folder / "config.json").is_file() and not (folder / _ADAPTER).is_file():
        raise ModelError(f"{folder}: there is no config.json in it, so it holds no model. Give the folder of a run.")
    names = _of_run(folder) if (folder / RECORD).exists() else _by_name(folder)
    if not any(is_kind(name, _WEIGHTS) for name in names):
        raise ModelError(f"{folder}: there are no weights in it (safetensors or {GRAPH}); pickles are not published.")
    _refuse_links(folder, names)
    return {name: _clean(folder, name, repository) for name in sorted(names)}


def is_kind(name: str, kinds: Iterable[str]) -> bool:
    """Return True if a file matches one of these patterns, in which ``*`` does not match a slash."""
    return any(name.count("/") == kind.count("/") and fnmatchcase(name, kind) for kind in kinds)


def _of_run(folder: Path) -> set[str]:
    record = RunFolder(folder).record()
    if record is None:
        raise OutputError(f"{folder / RECORD}: {RunFolder(folder).damage()}. Train the model again, or remove it.")
    if record["status"] != "finished":
        raise OutputError(
            f"{folder}: its run has not finished (status: {record['status']}). Run its command again, with "
            f"{switch('resume')}, to finish it."
        )
    names = {name for name in (*record["files"], REPORT, RECORD) if "\\" not in name}
    # A run lists its predictions and its report before it writes them.
    missing = sorted(name for name in names if not (folder / name).is_file())
    if lost := [name for name in missing if is_kind(name, (*MODEL_FILES, "*.py"))]:
        raise ModelError(f"{folder}: {', '.join(lost[:4])} is missing, which its run has written. Train it again.")
    return names - set(missing)


def _refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Refuse files that link out of the folder, which may come from a stranger.

    Raises:
        OutputError: For the first of them. Links into the Hub's own cache are allowed.
    """
    roots = [Path(root).resolve() for root in (folder, constants.HF_HUB_CACHE)]
    for name in sorted(names):
        path = (folder / name).resolve()
        if not any(path.is_relative_to(root) for root in roots):
            raise OutputError(
                f"{folder / name}: is a link to {path}, outside of the folder, which is not published. Put a copy of "
                "the file in its place if it is the model's."
            )


def _by_name(folder: Path) -> set[str]:
    kinds = (*MODEL_FILES, CARD, REPORT, *(["*.py"] if _names_code(folder) else []))
    return {path.name for kind in kinds for path in folder.glob(kind) if path.is_file()}


def _names_code(folder: Path) -> bool:
    return any("auto_map" in _json(path) for path in folder.glob("*config.json"))


def _json(path: Path) -> dict[str, Json]:
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is no JSON ({error}).") from error
    return content if isinstance(content, dict) else {}


def _text(path: Path) -> str:
    return read_text(path, ModelError, advice="Save it so.")


def _clean(folder: Path, name: str, repository: str) -> Content:
    """Return a file as it is, or its content without paths if it has any."""
    path = folder / name
    if name == CARD:
        return _card(folder, repository)
    if name == RECORD:
        before = _json(path)
        after = portable(before)
    elif name.endswith("config.json"):
        before = _json(path)
        after = before | {key: without_paths(text) for key in _ORIGINS if isinstance(text := before.get(key), str)}
        if name == _ADAPTER:
            after |= {_BASE: _base(folder, before, repository)}
    else:
        return path
    return path if before == after else (json_text(after) + "\n").encode()


def _card(folder: Path, repository: str) -> Content:
    """Return the card with examples that load the model by its name on the Hub."""
    path = folder / CARD
    before, record = _text(path), RunFolder(folder).record() or {"arguments": {}}
    # The card has the folder's name at the time of the run.
    written_for = model_name(record["arguments"], None if record["arguments"].get("output_dir") else folder.name)
    names = json.dumps(written_for), json.dumps(repository)
    after = re.sub(
        r"^```python\n.*?^```", lambda block: block[0].replace(*names), before, flags=re.DOTALL | re.MULTILINE
    )
    return path if before == after else after.encode()


def _base(folder: Path, adapter: dict[str, Json], repository: str) -> Json:
    """Return the base of an adapter as others will find it.

    With its base beside it, that is the repository itself: Transformers would load the model that the adapter was
    trained from, without its tags and head (pipelines/__init__.py, 5.23).
    """
    if any(folder.glob("model*.safetensors")):
        return repository
    base = adapter.get(_BASE)
    if isinstance(base, str) and without_paths(base) != base:
        raise ModelError(
            f"{folder / _ADAPTER}: belongs to {base}, a model of this machine, which nobody else has. Train with "
            f"{argument('lora_merge', True)}, or put the base beside it."
        )
    return base


def portable(record: Json) -> Json:
    """Return a record in which every path is cut to its last part."""
    return _each_text(record, "", lambda key, text: _name(text) if key in _FOLDERS else without_paths(text))


def _each_text(value: Json, key: str, change: Callable[[str, str], str]) -> Json:
    if isinstance(value, str):
        return change(key, value)
    if isinstance(value, list):
        return [_each_text(item, key, change) for item in value]
    if isinstance(value, dict):
        return {name: _each_text(item, str(name), change) for name, item in value.items()}
    return value


def without_paths(text: str) -> str:
    """Return a text with every path in it cut to its last part; a path with spaces only if it is the whole text."""
    there = os.path.exists(os.path.expanduser(text))
    if re.search(r"[/\\]", text) and (there or (looks_like_path(text) and not re.search(r"\s|:/|=", text))):
        return _name(text)
    return _PATH.sub(lambda found: _name(found[0]), text)


def _name(path: str) -> str:
    parts = [part for part in re.split(r"[\\/]", path) if part not in ("", ".", "..", "~")]
    return parts[-1] if parts else "."
