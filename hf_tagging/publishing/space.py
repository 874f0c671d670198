"""The demo as a folder for a Space on the Hub: a card, a short `app.py`, what it needs, and the models' own files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import RepoCard
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_tagging.atomic import whole_file
from hf_tagging.data.files import looks_like_path
from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.markdown import text
from hf_tagging.publishing.demo_models import name_models
from hf_tagging.publishing.provenance import slug

MANIFEST = "space.json"  # lists what was written here: anything else is somebody else's
# What a tagger needs, and its figures. No record of the run, checkpoint or prediction: they may hold what is private.
_MODEL_FILES = (
    "config.json", "*.safetensors", "*.safetensors.index.json", "adapter_config.json", "model.onnx*", "export.json",
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "*.model", "*.py", "results.json",
)  # fmt: skip
_APP = '''"""A demo of taggers, made by `hf-tagging demo --space`. Here: python app.py"""

from pathlib import Path

from hf_tagging.publishing.demo import build_demo, known_figures, launch_options, load_taggers

HERE = Path(__file__).resolve().parent
MODELS = {{
{models}
}}

demo = build_demo(load_taggers(MODELS), known_figures(MODELS))

if __name__ == "__main__":
    demo.launch(**launch_options())
'''


def write_space(models: Sequence[str], folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Writes the demo as a folder that can be pushed as a Space.

    Args:
        models: Output folders of runs, which are copied as far as a tagger needs them, or names on the Hub, which the
            Space downloads when it starts.
        folder: The folder; it need not be there.
        overwrite: Replace a Space that was written here before. A file of somebody else is never replaced.

    Returns:
        The files written, the card first.

    Raises:
        ConfigError: If no model was given, or gradio is not installed, whose version the Space names.
        ModelError: If a folder holds no tagger, or one that needs another folder of this machine.
        OutputError: If there is a Space already and `overwrite` is not set, or a file of somebody else in the way.
    """
    named = name_models(models)
    places = {name: _place(model, number) for number, (name, model) in enumerate(named.items(), 1)}
    written: dict[str, str | Path] = {
        "README.md": _card(named),
        "app.py": _APP.format(models="\n".join(_app_line(name, places[name], named[name]) for name in named)),
        "requirements.txt": _requirements(named.values()),
    }
    for name, place in places.items():
        if place is not None:
            written |= {f"{place}/{file.name}": file for file in _model_files(Path(named[name]))}
    folder = Path(folder)
    before = _checked_folder(folder, written, overwrite=overwrite)
    _write(folder, written, before)
    return [folder / name for name in (*written, MANIFEST)]


def _place(model: str, number: int) -> str | None:
    """Where a model's folder goes in the Space; None for a name on the Hub."""
    if Path(model).is_dir():
        return f"models/{number}-{slug(Path(model).resolve().name) or 'model'}"
    try:
        validate_repo_id(model)
    except HFValidationError:
        is_path = True
    else:
        is_path = looks_like_path(model)
    if is_path:
        raise ModelError(f"{model}: there is no such folder. Give the output folder of a run, or a name on the Hub.")
    return None


def _app_line(name: str, place: str | None, model: str) -> str:
    return f"    {name!r}: {model!r}," if place is None else f"    {name!r}: HERE / {place!r},"


def _model_files(folder: Path) -> Iterator[Path]:
    """The files of a tagger, if it is one that needs no others.

    Raises:
        ModelError: If it is not.
    """
    files = sorted({file for kind in _MODEL_FILES for file in folder.glob(kind) if file.is_file()})
    names = {file.name for file in files}
    has_weights = any(name.startswith("model") for name in names)
    if "config.json" not in names or not (has_weights or "adapter_config.json" in names):
        raise ModelError(
            f"{folder}: there is no config.json with model.safetensors or model.onnx beside it, so it holds no tagger. "
            "Give the output folder of a run."
        )
    base = str(_json(folder / "adapter_config.json").get("base_model_name_or_path"))
    if not has_weights and not _is_on_hub(base):
        raise ModelError(
            f"{folder}: an adapter whose base, {base}, is not on the Hub. Train with --lora_merge true, or give a "
            "folder that holds the whole model."
        )
    yield from files


def _is_on_hub(name: str) -> bool:
    return name.count("/") == 1 and not looks_like_path(name) and not Path(name).exists()


def _card(named: Mapping[str, str]) -> str:
    """`README.md`: the settings of the Space, and a line on what it is."""
    names = list(named)
    on_hub = [model for model in named.values() if not Path(model).is_dir()]
    title = names[0].rsplit("/", 1)[-1] if len(names) == 1 else "Taggers side by side"
    settings: dict[str, Any] = {
        "title": title,
        "emoji": "🏷️",
        "colorFrom": "indigo",
        "colorTo": "blue",
        "sdk": "gradio",
        "sdk_version": _gradio_version(),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "pinned": False,
        "tags": ["token-classification", "hf_tagging"],
    }
    settings |= {"models": on_hub} if on_hub else {}
    settings |= {"license": found} if (found := _license(named.values())) else {}
    front = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
    listed = "\n".join(f"- {text(name)}" for name in names)
    return (
        f"---\n{front}---\n\n# {text(title)}\n\nType a text, or give a file, and see what these taggers make of it:\n\n"
        f"{listed}\n\nMade with `hf_tagging`. To try it on your machine: `pip install -r requirements.txt`, then "
        "`python app.py`.\n"
    )


def _license(models: Iterable[str]) -> str | None:
    """The licence that the cards of all models state, if each has a card here and they agree."""
    stated: set[str | None] = set()
    for model in models:
        card = Path(model) / "README.md"
        try:
            stated.add(RepoCard(card.read_text(encoding="utf-8"), ignore_metadata_errors=True).data.get("license"))
        except (OSError, ValueError, yaml.YAMLError):
            return None
    return stated.pop() if len(stated) == 1 else None


def _requirements(models: Iterable[str]) -> str:
    extras = "demo,onnx" if any((Path(model) / "model.onnx").is_file() for model in models) else "demo"
    return (
        "# A release that is not on the package index: put its wheel beside this file, and its name here.\n"
        f"hf-tagging[{extras}]=={version('hf-tagging')}\n"
        f"gradio=={_gradio_version()}\n"
    )


def _gradio_version() -> str:
    try:
        return version("gradio")
    except PackageNotFoundError as error:
        raise ConfigError(
            "space: needs gradio, whose version it names. Type: pip install 'hf-tagging[demo]'"
        ) from error


def _checked_folder(folder: Path, written: Mapping[str, Any], *, overwrite: bool) -> list[str]:
    """The files of a Space that was written here before, if all that is in the way is its.

    Raises:
        OutputError: If it is not, or nothing is to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; expected a folder to write the Space to.")
    before = _json(folder / MANIFEST).get("files")
    own = [name for name in before if _is_inside(name)] if isinstance(before, list) else []
    foreign = [name for name in (*written, MANIFEST) if (folder / name).exists() and name not in own]
    if foreign:
        raise OutputError(
            f"{folder}: holds {', '.join(foreign[:4])}, which is not of a Space that was written here. Nothing was "
            "changed. Choose another folder."
        )
    if own and not overwrite:
        raise OutputError(
            f"{folder}: holds a Space already. Nothing was changed. Type --overwrite to replace it, or choose another."
        )
    return own


def _is_inside(name: Any) -> bool:
    return isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts


def _write(folder: Path, written: Mapping[str, str | Path], before: Sequence[str]) -> None:
    """Says first what will be there, so that a Space that was cut short can be written again."""
    names = [*written, MANIFEST]
    _write_manifest(folder, sorted({*names, *before}))
    for name in set(before) - set(names):
        (folder / name).unlink(missing_ok=True)
    for name, content in written.items():
        if isinstance(content, Path):
            _copy(content, folder / name)
        else:
            with whole_file(folder / name) as file:
                file.write(content)
    _write_manifest(folder, names)


def _write_manifest(folder: Path, names: Sequence[str]) -> None:
    with whole_file(folder / MANIFEST) as file:
        json.dump({"written_by": f"hf_tagging {version('hf-tagging')}", "files": list(names)}, file, indent=1)
        file.write("\n")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.copyfile(source, partial)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _json(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
