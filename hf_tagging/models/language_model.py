"""Language models to pretrain: over the parts of a tagger from scratch, or a BERT-family encoder."""

from __future__ import annotations

import copy
import logging
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from datasets import DatasetDict
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hf_tagging.data.aligned import IGNORED
from hf_tagging.data.masking import MASKED_SHARE, LanguageModelCollator, Objective, Predictable
from hf_tagging.data.plain_text import NO_TAGS
from hf_tagging.data.pretokenized import subword_kinds
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import model_errors
from hf_tagging.models.baseline import VocabularyOptions, adopt_parts, build_baseline
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.encoder import (
    PACKAGED_ENCODER,
    PACKAGED_ENCODER_ON_HUB,
    HubOptions,
    hub_options,
    load_tokenizer,
    model_options,
    quiet,
    refuse_adapter,
    resolve_model,
    window_length,
)
from hf_tagging.models.modeling_baseline_lm import BaselineForLanguageModeling
from hf_tagging.models.word_embeddings import UNKNOWN_ROW
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

AutoModelForPreTraining.register(BaselineConfig, BaselineForLanguageModeling, exist_ok=True)

_RECURRENT = ("rnn", "lstm", "gru")
_FREE = {"dropout", "word_dropout", "freeze_vectors"}  # of a folder that is gone on with, what may change


class LanguageModel(NamedTuple):
    """Language model with its tokenizer and collator."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    collator: LanguageModelCollator


def find_objective(
    wanted: str, *, encoder: str, bidirectional: bool = True, context: int = 0, separate: bool | None = None
) -> Objective:
    """Return the pretraining objective for an encoder.

    Args:
        wanted: ``"auto"``, ``"masked"`` or ``"bidirectional"``.
        encoder: See `ENCODERS` in sequence_encoders.
        bidirectional: Whether a recurrent one reads in both directions.
        context: Neighbours that an MLP sees.
        separate: Of a model that is there: whether its directions are apart.

    Raises:
        ConfigError: If it cannot.
    """
    if encoder == "hmm":
        raise ConfigError("encoder: an hmm is counted and has nothing to pretrain; choose another encoder")
    recurrent = encoder in _RECURRENT
    one_sided = recurrent and (separate is not False or not bidirectional)
    if wanted == "auto" and encoder == "twisted":
        raise ConfigError(
            "encoder: the directions of twisted cross, so neither is a language model; give "
            f"{argument('encoder', 'rnn')}, or {argument('objective', 'masked')}"
        )
    if wanted == "bidirectional" and not one_sided:
        why = "those of this model see each other" if recurrent else f"{encoder} has none"
        raise ConfigError(
            f"objective: bidirectional needs directions that do not see each other, and {why}; give "
            f"{argument('objective', 'masked')}" + ("" if recurrent else f", or {argument('encoder')} lstm, gru or rnn")
        )
    if wanted == "bidirectional" or (wanted == "auto" and one_sided):
        return "bidirectional"
    if recurrent and (separate or not bidirectional):
        raise ConfigError(
            f"objective: masked needs words that see both sides at once, and this {encoder} has none; leave it out"
        )
    if encoder == "mlp" and context < 1:
        raise ConfigError(
            f"context: an mlp without neighbours cannot tell a hidden word; give {argument('context', 2)} or more"
        )
    return "masked"


def build_language_model(
    dataset: DatasetDict,
    *,
    objective: str = "auto",
    masked_share: float = MASKED_SHARE,
    seed: int = 42,
    parts: Mapping[str, Any] | None = None,
    given: Collection[str] = (),
    model: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    max_length: int | None = None,
    **options: Unpack[VocabularyOptions],
) -> LanguageModel:
    """Build or load a language model. Weights are initialized at random: set the seed first.

    Args:
        dataset: With `train`, where the words are counted.
        objective: ``"masked"``, ``"bidirectional"``, or ``"auto"``: bidirectional where an encoder is recurrent.
        masked_share: Of the words that are predicted, for ``"masked"``.
        seed: Of the choice of these words.
        parts: Fields of `BaselineConfig`.
        given: Which of the parts were asked for: they must agree with `model`.
        model: Go on with this one: a folder of an earlier pretraining or of a tagger from scratch, or a BERT-family
            encoder: a folder, a name on the Hub, or ``minilm``.
        revision: Of a model or a tokenizer on the Hub.
        trust_remote_code: Run code that comes with a model or tokenizer.
        max_length: Subwords per window; None: what the model takes, at most 512.
        options: Words and word vectors of a new model, see `build_baseline`.

    Raises:
        ConfigError: If parts and objective contradict each other or the model that is gone on with.
        ModelError: If a model or tokenizer cannot be loaded, or has nothing to hide words with.
    """
    parts = dict(parts or {})
    if model is None:
        found, tokenizer, chosen = _new(
            dataset,
            objective,
            parts,
            given=given,
            revision=revision,
            trust_remote_code=trust_remote_code,
            max_length=max_length,
            **options,
        )
        return LanguageModel(found, tokenizer, _collator(found, tokenizer, chosen, masked_share, seed))
    source = resolve_model(model)
    hub = hub_options(source, revision, trust_remote_code)
    with model_errors(model), quiet():
        refuse_adapter(model, source, hub)
        config = AutoConfig.from_pretrained(source, **hub)
        tokenizer = load_tokenizer(source, hub)
    asked = {name: parts[name] for name in parts if name in given}
    if isinstance(config, BaselineConfig):
        found, chosen = _scratch(model, config, objective, asked, hub)
    else:
        found, chosen = _encoder(model, config, objective, asked, hub)
    tokenizer.model_max_length = window_length(found, tokenizer, max_length)
    _forget_tags(found.config)
    return LanguageModel(found, tokenizer, _collator(found, tokenizer, chosen, masked_share, seed))


def _new(
    dataset: DatasetDict,
    objective: str,
    parts: dict[str, Any],
    *,
    given: Collection[str],
    revision: str | None,
    trust_remote_code: bool,
    max_length: int | None,
    **options: Unpack[VocabularyOptions],
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Objective]:
    """Build a model from scratch with the training words as its vocabulary."""
    facts = {name: parts[name] for name in ("bidirectional", "context") if name in parts}
    chosen = find_objective(objective, encoder=parts.get("encoder", "lstm"), **facts)
    parts["separate_directions"] = chosen == "bidirectional"
    tagger, tokenizer = build_baseline(
        dataset,
        NO_TAGS,
        parts=parts,
        given=given,
        revision=revision,
        trust_remote_code=trust_remote_code,
        max_length=max_length,
        **options,
    )
    config = copy.deepcopy(tagger.config)
    assert isinstance(config, BaselineConfig)
    _forget_tags(config)
    found = BaselineForLanguageModeling(config)
    found.baseline.load_state_dict(tagger.base_model.state_dict())
    return found, tokenizer, chosen


def _forget_tags(config: PreTrainedConfig) -> None:
    """Remove the tags from a config, so that the model is not taken for a tagger."""
    config.num_labels = 2  # which names them LABEL_0 and LABEL_1, as in any config
    for name in ("tag_scheme", "word_splitter", "legal_start", "legal_step", "legal_end"):
        if hasattr(config, name):
            setattr(config, name, None)


def _scratch(
    name: str, config: BaselineConfig, objective: str, asked: dict[str, object], hub: HubOptions
) -> tuple[PreTrainedModel, Objective]:
    """Load a model that was built from scratch."""
    adopt_parts(config, asked, name=name, free=_FREE)
    chosen = find_objective(
        objective,
        encoder=config.encoder,
        bidirectional=config.bidirectional,
        context=config.context,
        separate=config.separate_directions,
    )
    config.separate_directions = chosen == "bidirectional"
    config.layer_mix = False  # it is a tagger's; language models predict from the layer on top
    with model_errors(name), quiet():
        return BaselineForLanguageModeling.from_pretrained(
            resolve_model(name), config=config, dtype=torch.float32, **hub
        ), chosen


def _encoder(
    name: str, config: PreTrainedConfig, objective: str, asked: dict[str, object], hub: HubOptions
) -> tuple[PreTrainedModel, Objective]:
    """Load a BERT-family encoder with its masked-language-modelling head."""
    if asked:
        raise ConfigError(
            f"{', '.join(sorted(asked))}: {argument('model', name)} is a {config.model_type} and has its own; leave out"
        )
    if objective == "bidirectional":
        raise ConfigError(
            f"objective: {argument('model', name)} is a {config.model_type}, which sees both sides; leave it out"
        )
    with model_errors(name), quiet():
        model, report = AutoModelForMaskedLM.from_pretrained(
            resolve_model(name),
            config=config,
            dtype=torch.float32,
            output_loading_info=True,
            **model_options(hub),
        )
    if missing := sorted(report["missing_keys"]):
        logger.warning(
            "model %s has no masked-language-modelling head: a new one is initialized (%s), "
            "which has to learn "
            "before the encoder profits",
            *(name, ", ".join(missing[:2]) + (", ..." if len(missing) > 2 else "")),
        )
    if name == PACKAGED_ENCODER:
        model.name_or_path = PACKAGED_ENCODER_ON_HUB
    return model, "masked"


def _collator(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, objective: Objective, share: float, seed: int
) -> LanguageModelCollator:
    """Return the collator.

    Raises:
        ModelError: If words are to be hidden and the tokenizer has no mask.
    """
    mask = tokenizer.mask_token_id
    if objective == "masked" and mask is None:
        raise ModelError(
            f"The tokenizer has no mask token, so no word can be hidden; choose another one ({argument('words')})."
        )
    pad = tokenizer.pad_token_id or 0
    if not isinstance(model, BaselineForLanguageModeling):
        kinds = subword_kinds(tokenizer, size=model.config.vocab_size)
        targets = np.where(np.arange(len(kinds)) < len(tokenizer), np.arange(len(kinds)), IGNORED)
        targets[tokenizer.all_special_ids] = IGNORED
        return LanguageModelCollator(objective, Predictable(kinds, targets, pad, mask), share=share, seed=seed)
    tables = model.baseline.words.tables
    spells = model.config.word_pooling == "unknown"
    targets = tables.vector_of_id.numpy().astype(np.int64)
    targets[(targets == 0) | (targets == UNKNOWN_ROW) & spells] = IGNORED
    targets[tokenizer.all_special_ids] = IGNORED
    if objective == "masked":
        _keep_masks(model, int(tables.vector_of_id[mask]))
    predictable = Predictable(tables.subword_kind.numpy(), targets, pad, mask, whole=True, spells=spells)
    return LanguageModelCollator(objective, predictable, directions=model.predictions, share=share, seed=seed)


def _keep_masks(model: BaselineForLanguageModeling, row: int) -> None:
    """Count the mask as a frequent word, so that word dropout does not hide it as an unseen one."""
    counts = model.baseline.words.row_counts
    counts[row] = 0
    counts[row] = counts.sum().clamp(min=1)
