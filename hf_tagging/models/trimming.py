"""Embedding matrices with fewer rows, for a tokenizer with fewer subwords."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from hf_tagging.errors import ModelError
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.hmm import HmmConfig
from hf_tagging.models.modeling_crf_encoder import CrfEncoderForTokenClassification
from hf_tagging.problems import argument

_OWN = ("transformers.", "hf_tagging.")


def checked(model: object, folder: Path) -> PreTrainedModel:
    """Return a tagger whose vocabulary can be trimmed.

    Args:
        model: The tagger.
        folder: Where it was loaded from.

    Raises:
        ModelError: If it cannot be trimmed, the end of a sentence that begins with its name.
    """
    config = getattr(model, "config", None)
    if isinstance(config, BaselineConfig | HmmConfig):
        raise ModelError(
            "is a tagger from scratch: its vocabulary is words of its own training data, and no encoder's. Train it "
            f"with a larger {argument('min_count')} for a smaller one"
        )
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            "has adapters that are not merged into it (adapter_config.json), whose base keeps its vocabulary. Train it "
            f"with {argument('lora_merge', True)}"
        )
    if not isinstance(model, PreTrainedModel):
        raise ModelError("is an export, whose graph has its vocabulary built in. Trim the model, and export the result")
    found = model.get_input_embeddings() if type(model).__module__.startswith(_OWN) else None
    if type(found) is not nn.Embedding:
        raise ModelError(
            f"{type(model).__name__} is no encoder of Transformers with a plain embedding matrix. It stays as it is"
        )
    if sum(weight is found.weight for _, weight in model.named_parameters(remove_duplicate=False)) > 1:
        raise ModelError("shares its embedding matrix with another layer. It stays as it is")
    return model


def embedding_of(model: PreTrainedModel) -> nn.Embedding:
    """Return the embedding matrix of the subwords."""
    return cast(nn.Embedding, model.get_input_embeddings())


def fixed_rows(model: PreTrainedModel) -> list[int]:
    """Return rows that have to stay where they are, or at least stay.

    The ids that a config names stay. Where positions are counted from the id of the padding, as RoBERTa counts them,
    that id may not change either, nor anything before it.
    """
    embedding = embedding_of(model)
    named = [i for config in _configs(model) for _, ids in _token_ids(config) for i in ids]
    padding = [m.padding_idx for m in model.modules() if isinstance(m, nn.Embedding) and m is not embedding]
    last = max((i for i in padding if i is not None), default=-1)
    own = [] if embedding.padding_idx is None else [embedding.padding_idx]
    return [i for i in (*named, *own, *range(last + 1)) if 0 <= i < embedding.num_embeddings]


@torch.no_grad()
def keep_rows(model: PreTrainedModel, rows: Tensor) -> None:
    """Leave some rows in the embedding matrix of a tagger, and number the ids in its config anew.

    Args:
        model: The tagger; it is changed.
        rows: Rows to keep, ascending, with those of `fixed_rows`. (rows,)
    """
    embedding = embedding_of(model)
    numbers = {old: new for new, old in enumerate(rows.tolist())}
    padding = None if embedding.padding_idx is None else numbers[embedding.padding_idx]
    weight = embedding.weight[rows].clone()
    model.set_input_embeddings(nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=padding))
    if isinstance(model, CrfEncoderForTokenClassification):
        model.subword_kind = model.subword_kind[rows].clone()
    for config in _configs(model):
        if hasattr(config, "vocab_size"):
            config.vocab_size = len(rows)
        for name, ids in _token_ids(config):
            new = [numbers[i] for i in ids if i in numbers]
            setattr(config, name, new if isinstance(getattr(config, name), list) else new[0] if new else None)


def _configs(model: PreTrainedModel) -> list[PreTrainedConfig]:
    """Return the config of a tagger and, below a CRF, that of its encoder."""
    own = cast(Any, model.config)
    encoder = getattr(own, "encoder", None)
    found = [own, encoder, model.base_model.config]
    return list({id(config): config for config in found if isinstance(config, PreTrainedConfig)}.values())


def _token_ids(config: PreTrainedConfig) -> Iterator[tuple[str, list[int]]]:
    """Yield the ids of tokens that a config names, such as ``pad_token_id``."""
    for name, value in list(vars(config).items()):
        if name.endswith("_token_id") and value is not None:
            ids = value if isinstance(value, list) else [value]
            yield name, [i for i in ids if isinstance(i, int)]
