"""Loading a tagger from a folder, the Hub, an adapter over either, or an exported folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from huggingface_hub import constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file, find_adapter_config_file

from hf_tagging.data.files import looks_like_path
from hf_tagging.data.windows import DEFAULT_MAX_LENGTH
from hf_tagging.devices import computes_bfloat16
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import first_line, model_errors, why_unreachable
from hf_tagging.inference.onnx_model import GRAPH, MANIFEST, OnnxModel, is_exported
from hf_tagging.inference.reading import Precision, TagModel
from hf_tagging.models.encoder import (
    HubOptions,
    hub_options,
    load_tokenizer,
    model_options,
    quiet,
    resolve_model,
    window_length,
)
from hf_tagging.models.heads import crf_over
from hf_tagging.models.margins import FastTagging
from hf_tagging.models.modeling_crf_encoder import CrfEncoderConfig
from hf_tagging.models.precision import mixes_precision
from hf_tagging.problems import argument
from hf_tagging.rules.rules import RULES

logger = logging.getLogger(__name__)

Dtype = torch.dtype | Literal["auto"]

_HOW_TO_TRAIN = "Train a tagger first: accelerate launch recipes/ner_bert.py --model MODEL, or recipes/pos_bert.py."
HOW_TO_FIND = "Give the output folder of a run, or a name on the Hub that this machine can reach or has in its cache."
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
# What a tagger is read from; a repository may hold whatever else beside it.
_FILES = (*_WEIGHTS, "adapter_model.*", "*.json", "*.txt", "*.model", "*.codes", "*.py", RULES, f"{GRAPH}*")


def load_tagger(
    name: str, *, revision: str | None, trust_remote_code: bool, dtype: Dtype | None, device: torch.device | None
) -> tuple[TagModel, PreTrainedTokenizerBase]:
    """Load a model with a trained tag head, and its tokenizer.

    Args:
        name: A folder or a name on the Hub: a model, or an adapter (PEFT) with a ``config.json`` beside it that holds
            `id2label`; or a folder that `hf-tagging export` wrote. An adapter is merged into its base.
        revision: Of a name on the Hub.
        trust_remote_code: Run code that comes with the model.
        dtype: Dtype of the weights, or ``"auto"`` for the one that they were saved in; None: float32, or as they were
            exported.
        device: Device of an exported model; None: the CPU. Any other model is loaded on the CPU.

    Raises:
        ModelError: If there is no such model, or it has no trained tag head.
        ConfigError: If an exported model is asked for in another dtype, or on a device that it cannot run on.
    """
    source = existing_model(name)
    hub = hub_options(source, revision, trust_remote_code)
    with quiet(), model_errors(name, advice=HOW_TO_FIND):
        source = _as_folder(source, hub)
        exported = is_exported(Path(source))
        if exported and dtype is not None:
            raise ConfigError(f"dtype: {name} is an exported model, and stays as it was exported. Leave it out.")
        dtype = dtype or torch.float32
        config = AutoConfig.from_pretrained(source, **hub)
        tokenizer = load_tokenizer(source, hub)
        if exported:
            return OnnxModel(source, config, device=device or torch.device("cpu")), tokenizer
        _refuse_other_tasks(name, config)
        if _needs_its_base(Path(source)):
            return _load_adapter(name, source, config, tokenizer, hub, dtype), tokenizer
        return _load_model(name, source, config, hub, dtype), tokenizer


def common_rules(
    models: Sequence[str | Path], *, revision: str | None = None, trust_remote_code: bool = False
) -> Path | None:
    """Return the file of rules that comes with a model, or with each of several; None where none has one.

    Args:
        models: Folders or names on the Hub.
        revision: Of a name on the Hub.
        trust_remote_code: See `load_tagger`.

    Raises:
        ConfigError: Several models come with different rules.
        ModelError: There is no such model.
    """
    found = [_rules_of(str(model), revision, trust_remote_code) for model in models]
    contents = {None if path is None else path.read_bytes() for path in found}
    if len(contents) > 1:
        raise ConfigError(
            f"{argument('rules')}: {models[0]} and the others come with different rules. Give the file of those that "
            "apply, or in Python rules=False for none."
        )
    return next(iter(found), None)


def _rules_of(name: str, revision: str | None, trust_remote_code: bool) -> Path | None:
    source = existing_model(name)
    if Path(source).exists():
        path = Path(source) / RULES
        return path if path.is_file() else None
    hub = hub_options(source, revision, trust_remote_code)
    local = hub["local_files_only"]
    try:
        return Path(hf_hub_download(source, RULES, revision=revision, local_files_only=local))
    except LocalEntryNotFoundError as error:
        known = try_to_load_from_cache(source, RULES, revision=revision) is not None  # an answer: there is none
        if not known and not constants.HF_HUB_OFFLINE:
            reason = why_unreachable(source, repo_type="model", revision=revision) or first_line(error)
            logger.warning("%s: tags without rules; whether it has a %s is not known: %s.", name, RULES, reason)
        return None
    except EntryNotFoundError:
        return None
    except (OSError, ValueError):  # no such repository, or not to be read: loading the model says so
        return None


def longest_window(model: TagModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the subwords of the longest window: what the tokenizer says, or what the model takes if that is less."""
    if isinstance(model, OnnxModel):
        return min(tokenizer.model_max_length, model.max_length or DEFAULT_MAX_LENGTH)
    try:
        return window_length(model, tokenizer, tokenizer.model_max_length)
    except ConfigError:
        return window_length(model, tokenizer, None)


@dataclass(frozen=True)
class Margins:
    """Leads that tags need in bfloat16, see `WindowReader.reading`: for tags alone, and where scores matter."""

    tags: float | None
    scores: float | None


def margins(model: TagModel, device: torch.device, precision: Precision | None) -> Margins:
    """Return the margins for a precision.

    Raises:
        ConfigError: There is no such precision, or the model cannot run in it.
    """
    if precision not in (None, *get_args(Precision)):
        raise ConfigError(f"precision: {precision!r} is not one of {', '.join(get_args(Precision))}.")
    if isinstance(model, OnnxModel):
        if precision not in (None, "exact"):
            raise ConfigError(f"precision: an exported model runs as it was exported, not {precision}. Leave it out.")
        return Margins(None, None)
    if precision == "exact":
        return Margins(None, None)
    if precision == "bfloat16":
        if not mixes_precision(model):
            raise ConfigError(f"precision: {type(model).__name__} computes in float32 alone. Leave it out.")
        return Margins(0.0, 0.0)
    measured = FastTagging.of(model, device)
    if precision == "fast":
        if measured is None:
            raise ConfigError(
                f"precision: this model has no margin for fast tagging on {device.type}. A run measures one on "
                "the device that it trains on, for encoders with a linear tag head. Leave it out, or give exact."
            )
        return Margins(measured.margin, measured.margin)
    fast = measured is not None and measured.pays and computes_bfloat16(device.type == "cpu")
    return Margins(measured.margin if measured and fast else None, None)


def files_of_model(folder: Path) -> list[Path]:
    """Return the files of a tagger that its tags depend on, by name: weights, configs and the tokenizer's."""
    others = ("results.json", "run.json", "trainer_state.json", "predictions.json")
    found = {path for pattern in _FILES for path in folder.glob(pattern) if path.is_file()}
    return sorted(path for path in found if path.name not in others)


def existing_model(name: str) -> str:
    """Return the folder or the name on the Hub; a path must exist and hold a model."""
    source = resolve_model(name)
    folder = Path(source)
    if not folder.exists():
        if looks_like_path(source):
            raise ModelError(f"{name}: there is no such folder. Give the output folder of a run, or a name on the Hub.")
        return source
    if not (folder / "config.json").is_file():
        inside = sorted(path.parent for path in folder.glob("*/config.json")) if folder.is_dir() else []
        hint = f"Did you mean {inside[-1]}?" if inside else "Give the output folder of a run, or a name on the Hub."
        if (folder / "adapter_config.json").is_file():
            hint = "It is an adapter: copy the config.json of its base beside it and put its tags there as id2label."
        raise ModelError(f"{name}: there is no config.json in it, so it holds no tagger. {hint}")
    return str(folder)


def _as_folder(source: str, hub: HubOptions) -> str:
    """Download a repository with an adapter or an exported graph and return its folder; return others unchanged.

    Read by its name, an adapter would be put on the base that it names, and a repository that was renamed or copied
    still names the old one; PEFT asks the Hub for a name even with `local_files_only` (0.21, load_peft_weights).
    """
    if Path(source).exists():
        return source
    revision, local = hub["revision"], hub["local_files_only"]
    adapter = find_adapter_config_file(source, revision=revision, local_files_only=local)
    if not (adapter or _is_there(source, MANIFEST, hub)):
        return source
    # In these patterns a star stands for slashes too.
    return snapshot_download(
        source, revision=revision, local_files_only=local, allow_patterns=list(_FILES), ignore_patterns=["*/*"]
    )


def _is_there(source: str, file: str, hub: HubOptions) -> bool:
    """Return whether a repository has a file, as far as can be found out."""
    try:
        return cached_file(source, file, revision=hub["revision"], local_files_only=hub["local_files_only"]) is not None
    except OSError:  # not there, not to be read, not in the cache
        return False


def _refuse_other_tasks(name: str, config: PreTrainedConfig) -> None:
    """Refuse text classifiers, whose head can fit a tagger's by names and shapes and would tag without an error."""
    classifiers = [kind for kind in config.architectures or () if kind.endswith("ForSequenceClassification")]
    if classifiers:
        raise ModelError(f"{name}: {classifiers[0]} classifies whole texts, not words. {_HOW_TO_TRAIN}")


def _load_model(name: str, source: str, config: PreTrainedConfig, hub: HubOptions, dtype: Dtype) -> PreTrainedModel:
    model, report = AutoModelForTokenClassification.from_pretrained(
        source, config=config, dtype=dtype, output_loading_info=True, **model_options(hub)
    )
    _refuse_untrained(name, report["missing_keys"])
    return model


def _load_adapter(
    name: str, source: str, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, hub: HubOptions, dtype: Dtype
) -> PreTrainedModel:
    """Load the base with the tags of the adapter's own config, and merge the adapter into it.

    The libraries do not put the two together: with a config.json beside the adapter, Transformers looks for the whole
    model there; without one, it gives the base its own two unnamed tags (transformers 5.23, auto_factory.py).
    """
    from peft import PeftConfig, PeftModel

    with model_errors(f"{name} (an adapter, which needs its base model)", advice=HOW_TO_FIND):
        adapter = PeftConfig.from_pretrained(source, revision=hub["revision"])
        base = resolve_model(adapter.base_model_name_or_path)
        model, report = AutoModelForTokenClassification.from_pretrained(
            base,
            config=config.encoder if isinstance(config, CrfEncoderConfig) else config,
            dtype=dtype,
            **model_options(hub_options(base, adapter.revision, hub["trust_remote_code"])),
            ignore_mismatched_sizes=True,  # the base may tag with other tags; the adapter brings a head of its own
            output_loading_info=True,
        )
        if isinstance(config, CrfEncoderConfig):
            model = crf_over(model, config, tokenizer)
        model = PeftModel.from_pretrained(model, source, revision=hub["revision"]).merge_and_unload()
    brought = set(adapter.modules_to_save or ())
    lacking = {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}
    _refuse_untrained(name, [key for key in lacking if not brought & set(key.split("."))])
    return model


def _needs_its_base(folder: Path) -> bool:
    """Return whether a folder holds an adapter without its base beside it."""
    if not (folder / "adapter_config.json").is_file():
        return False
    return not any(path for kind in _WEIGHTS for path in folder.glob(kind))


def _refuse_untrained(name: str, missing: Iterable[str]) -> None:
    if missing := sorted(missing):
        lacking = ", ".join(missing[:4])
        raise ModelError(f"{name}: an encoder without a trained tag head (no weights for {lacking}). {_HOW_TO_TRAIN}")
