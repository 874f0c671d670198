"""Demo as a folder for a Space on the Hub: card, `app.py`, requirements, and the files of the models."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import yaml
from huggingface_hub.errors import HFValidationError
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.utils import validate_repo_id

from hf_tagging.atomic import inside, read_json, remove_left_behind, whole_path, write_json
from hf_tagging.data.files import looks_like_path
from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.inference.onnx_model import GRAPH
from hf_tagging.locks import FolderLock
from hf_tagging.markdown import text
from hf_tagging.problems import switch
from hf_tagging.publishing.demo.models import name_models
from hf_tagging.publishing.hub.bundle import CARD, REPORT, Content, bundle
from hf_tagging.publishing.hub.leaks import refuse_leaks
from hf_tagging.publishing.provenance import slug
from hf_tagging.training.folder import RECORD
from hf_tagging.training.yaml_files import compose_text, plain_value

MANIFEST = "space.json"  # lists the files written here; all others are left alone
# Files of a model that a demo does not need; they may quote the data.
_LEFT_OUT = {CARD, REPORT, RECORD}
_FIGURES = "results.json"
_HOW_TO_READ_PRIVATE = "A private model needs a secret `HF_TOKEN` in the settings of the Space.\n\n"
_APP = '''"""A demo of taggers, written by `hf-tagging demo --space`. Run it with: python app.py"""

from pathlib import Path

from hf_tagging.publishing.demo.app import build_demo, known_figures, launch_options, load_taggers

HERE = Path(__file__).resolve().parent
MODELS = {{
{models}
}}

demo = build_demo(load_taggers(MODELS), known_figures(MODELS))

if __name__ == "__main__":
    demo.launch(**launch_options())
'''


def write_space(models: Sequence[str | Path], folder: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Write the demo as a folder that can be pushed as a Space.

    Args:
        models: Output folders of runs, whose tagger files are copied, or names on the Hub, which the Space downloads
            when it starts.
        folder: Folder to write to; it is created if it does not exist.
        overwrite: Replace a Space that was written there before. Other files are never replaced.

    Returns:
        The files written, the card first.

    Raises:
        ConfigError: If no model was given, or gradio is not installed, whose version the Space pins.
        ModelError: If a folder holds no tagger, or one that needs another folder of this machine.
        OutputError: If the folder holds a Space and `overwrite` is not set, or other files in the way; if a run has
            not finished; if a file contains a secret or a path of this machine.
    """
    folder = Path(folder)
    if os.path.isfile(folder):
        raise OutputError(f"{folder} is a file; expected a folder to write the Space to.")
    check_writable(folder)
    named = name_models(models)
    places = {name: _place(model, number) for number, (name, model) in enumerate(named.items(), 1)}
    of_models: dict[str, Content] = {}
    for name, place in places.items():
        if place is not None:
            of_models |= {f"{place}/{file}": content for file, content in _tagger(Path(named[name]), place).items()}
    app = _APP.format(models="\n".join(_app_line(name, places[name], named[name]) for name in named))
    ours = {"README.md": _card(named), "app.py": app, "requirements.txt": _requirements(of_models)}
    written = {name: content.encode() for name, content in ours.items()} | of_models
    _checked_folder(folder, written, overwrite=overwrite)  # before it is locked: what is refused is not touched
    with FolderLock(folder), writing_to(folder):
        before = _checked_folder(folder, written, overwrite=overwrite)
        remove_left_behind(*(folder / name for name in {*written, *before, MANIFEST}))
        _write(folder, written, before)
    return [folder / name for name in (*written, MANIFEST)]


def _place(model: str, number: int) -> str | None:
    """Return the folder of a model in the Space; None for a name on the Hub."""
    if Path(model).is_dir():
        return f"models/{number}-{slug(Path(model).resolve().name) or 'model'}"
    try:
        validate_repo_id(model)
    except HFValidationError:
        is_path = True
    else:
        is_path = looks_like_path(model) or ("/" in model and Path(model).parent.is_dir())
    if is_path:
        raise ModelError(f"{model}: there is no such folder. Give the output folder of a run, or a name on the Hub.")
    return None


def _app_line(name: str, place: str | None, model: str) -> str:
    return f"    {name!r}: {model!r}," if place is None else f"    {name!r}: HERE / {place!r},"


def _tagger(folder: Path, place: str) -> dict[str, Content]:
    """Return the files of a self-contained tagger, and its scores.

    Raises:
        ModelError: If it is not such a tagger.
        OutputError: If its run has not finished, or a file must not be published.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"{folder}: there is no config.json in it, so it holds no tagger. Give the output folder of a run."
        )
    found = {name: content for name, content in bundle(folder, place).items() if _is_used(name)}
    if (folder / _FIGURES).is_file():
        found[_FIGURES] = folder / _FIGURES
    refuse_leaks(folder, found)
    return found


def _is_used(name: str) -> bool:
    return name not in _LEFT_OUT and PurePosixPath(name).parts[0] != "predictions"


def _card(named: Mapping[str, str]) -> str:
    """Return `README.md`: the settings of the Space, and a description."""
    names = list(named)
    on_hub = [model for model in named.values() if not Path(model).is_dir()]
    title = names[0].rsplit("/", 1)[-1] if len(names) == 1 else "Taggers side by side"
    settings: dict[str, object] = {
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
        f"---\n{front}---\n\n# {text(title)}\n\nTag a text or a file with these models:\n\n"
        f"{listed}\n\n{_HOW_TO_READ_PRIVATE if on_hub else ''}Made with `hf_tagging`. To run it locally: "
        "`pip install -r requirements.txt`, then `python app.py`.\n"
    )


def _license(models: Iterable[str]) -> str | None:
    """Return the licence that the cards of all models state; None unless all are local and agree."""
    stated: set[str | None] = set()
    for model in models:
        card = Path(model) / "README.md"
        try:
            head = REGEX_YAML_BLOCK.search(card.read_text(encoding="utf-8"))
            settings = plain_value(compose_text(head[2])) if head else None  # untrusted: read within bounds
        except (OSError, ValueError, yaml.YAMLError, ConfigError):
            return None
        license = settings.get("license") if isinstance(settings, dict) else None
        stated.add(license if isinstance(license, str) else None)
    return stated.pop() if len(stated) == 1 else None


def _requirements(files: Iterable[str]) -> str:
    extras = "demo,onnx" if any(PurePosixPath(name).name == GRAPH for name in files) else "demo"
    return (
        "# For a release that is not on the package index: put its wheel beside this file, and its name here.\n"
        f"hf-tagging[{extras}]=={version('hf-tagging')}\n"
        f"gradio=={_gradio_version()}\n"
    )


def _gradio_version() -> str:
    try:
        return version("gradio")
    except PackageNotFoundError as error:
        raise ConfigError("space: needs gradio, whose version it pins. Type: pip install 'hf-tagging[demo]'") from error


def _checked_folder(folder: Path, written: Mapping[str, Content], *, overwrite: bool) -> list[str]:
    """Return the files of a Space that was written here before, if nothing else is in the way.

    Raises:
        OutputError: If something else is, or nothing may be replaced.
    """
    before = _json(folder / MANIFEST).get("files")
    own = before if isinstance(before, list) else []
    if outside := [name for name in own if not isinstance(name, str) or inside(folder, name) is None]:
        raise OutputError(
            f"{folder / MANIFEST}: is damaged: it lists {outside[0]!r}, which is not a file of this folder. Nothing "
            "was changed. Choose another folder."
        )
    foreign = [name for name in (*written, MANIFEST) if (folder / name).exists() and name not in own]
    if foreign:
        raise OutputError(
            f"{folder}: holds {', '.join(foreign[:4])}, which no earlier Space here has written. Nothing was "
            "changed. Choose another folder."
        )
    if own and not overwrite:
        raise OutputError(
            f"{folder}: holds a Space already. Nothing was changed. Give {switch('overwrite')} to replace it, or "
            "choose another folder."
        )
    return own


def _write(folder: Path, written: Mapping[str, Content], before: Sequence[str]) -> None:
    """Write the manifest first, so that an interrupted Space can be written again."""
    names = [*written, MANIFEST]
    _write_manifest(folder, sorted({*names, *before}))
    for name, content in written.items():
        _put(content, folder / name)
    _remove(folder, set(before) - set(names))  # last: a model may have been copied from among them
    _write_manifest(folder, names)


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Remove files, and the folders that are empty without them."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
        for parent in list((folder / name).relative_to(folder).parents)[:-1]:
            if not (folder / parent).is_dir() or any((folder / parent).iterdir()):
                break
            (folder / parent).rmdir()


def _write_manifest(folder: Path, names: Sequence[str]) -> None:
    write_json(folder / MANIFEST, {"written_by": f"hf_tagging {version('hf-tagging')}", "files": list(names)})


def _put(content: Content, target: Path) -> None:
    with whole_path(target) as partial:
        if isinstance(content, bytes):
            partial.write_bytes(content)
        else:
            shutil.copyfile(content, partial)


def _json(file: Path) -> Mapping[str, object]:
    """Return a JSON object; empty where there is none."""
    found = read_json(file)
    return found if isinstance(found, dict) else {}
