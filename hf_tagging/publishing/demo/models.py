"""Taggers of a demo: their names, loading, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.atomic import read_json
from hf_tagging.data.files import looks_like_path
from hf_tagging.errors import ConfigError
from hf_tagging.markdown import is_number, visible

if TYPE_CHECKING:
    from hf_tagging.inference.tagger import Tagger

_RESULTS = "results.json"


def name_models(models: Sequence[str | Path]) -> dict[str, str]:
    """Return distinct names for models: the name on the Hub, or the last parts of a folder's path.

    Args:
        models: Folders and names on the Hub, without duplicates in the result.

    Returns:
        Models by name, in the order given.

    Raises:
        ConfigError: If there are none.
    """
    by_place: dict[tuple[str, ...], str] = {}
    for model in map(str, models):
        by_place.setdefault(_parts(model), model)
    unique = list(by_place.values())
    if not unique:
        raise ConfigError("demo: no model was given. Give the output folder of a run, or a name on the Hub.")
    longest = max(len(_parts(model)) for model in unique)
    for depth in range(1, longest + 1):
        names = [visible("/".join(_parts(model)[-depth:])) for model in unique]
        if len(set(names)) == len(unique):
            break
    return dict(zip(names, unique, strict=True))


def _parts(model: str) -> tuple[str, ...]:
    return Path(model).resolve().parts if Path(model).is_dir() else (model,)


def load_taggers(
    models: Mapping[str, str | Path], *, device: str | None = None, trust_remote_code: bool = False
) -> dict[str, Tagger]:
    """Load the taggers of a demo.

    Args:
        models: Folders or names on the Hub, by name.
        device: Device to run on. Default: the accelerator if there is one.
        trust_remote_code: Run code that comes with a model.

    Raises:
        ModelError: If a model does not exist, or is not a tagger.
        ConfigError: If there is no such device.
    """
    from hf_tagging.inference.tagger import Tagger

    return {
        name: Tagger.from_pretrained(str(model), device=device, trust_remote_code=trust_remote_code)
        for name, model in models.items()
    }


def known_figures(models: Mapping[str, str | Path]) -> dict[str, str]:
    """Return the score of each model in a few words, such as ``F1 0.9123 on its test split``.

    Args:
        models: Folders or names on the Hub, by name; `results.json` is read from there.

    Returns:
        Scores by name, where known.
    """
    found = {name: _figure(_results(str(model))) for name, model in models.items()}
    return {name: figure for name, figure in found.items() if figure}


def _results(model: str) -> object:
    """Return the content of `results.json`; None where there is none that can be read."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HTTPError

    try:
        is_local = Path(model).is_dir() or looks_like_path(model)
        file = Path(model) / _RESULTS if is_local else Path(hf_hub_download(model, _RESULTS))
        return read_json(file)
    except (OSError, ValueError, EntryNotFoundError, HfHubHTTPError, HTTPError):
        return None  # a demo works without scores


def _figure(results: object) -> str | None:
    """Return the F1 over entities or, for plain tags, the accuracy."""
    for split in ("test", "validation"):
        scores = results.get(split) if isinstance(results, dict) else None
        for key, label in (("f1", "F1"), ("accuracy", "accuracy")):
            if isinstance(scores, dict) and is_number(scores.get(key)):
                return f"{label} {scores[key]:.4f} on its {split} split"
    return None
