"""Tag heads of an encoder: a linear layer, or a CRF over it."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import nn
from transformers import AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.pretokenized import subword_kinds
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ModelError
from hf_tagging.foreign.transformers import draw_weights
from hf_tagging.markdown import listed
from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.models.modeling_crf_encoder import CrfEncoderConfig, CrfEncoderForTokenClassification
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

Head = Literal["linear", "crf"]


def head_of(config: PreTrainedConfig) -> Head:
    """Return the kind of head of a saved model."""
    return "crf" if isinstance(config, CrfEncoderConfig) else "linear"


def legal_tables(schema: TagSchema) -> dict[str, object]:
    """Return the fields of a config that say which tag sequences are legal; None if all of them are."""
    start, step, end = schema.transitions()
    tables = {"legal_start": start, "legal_step": step, "legal_end": end}
    free = all(table.all() for table in tables.values())
    return {name: None if free else table.tolist() for name, table in tables.items()}


def set_schema(config: PreTrainedConfig, schema: TagSchema) -> None:
    """Set the tags of a config, and for a CRF which sequences of them are legal."""
    config.id2label, config.label2id = schema.id2label, schema.label2id
    config.tag_scheme = schema.scheme
    if isinstance(config, CrfEncoderConfig):
        for name, table in legal_tables(schema).items():
            setattr(config, name, table)


def with_head(
    model: PreTrainedModel, head: Head, schema: TagSchema, tokenizer: PreTrainedTokenizerBase, *, same_tags: bool
) -> PreTrainedModel:
    """Return a model with a head of the given kind for these tags.

    Args:
        model: As loaded, with a config for these tags.
        head: ``"linear"`` or ``"crf"``. In the place of a head of the other kind a new one is drawn; `keep_shared_tags`
            then puts in what was learned.
        schema: The tags.
        tokenizer: Of the model; says which subwords start a word.
        same_tags: Whether the model was a tagger for these tags, so that what its CRF has learned still holds.

    Raises:
        ModelError: If the architecture is not one of Transformers' own, and is to carry a CRF.
    """
    if head == head_of(model.config):
        tagger = model
        if head == "crf":
            tagger.crf = with_rules(cast(LinearChainCrf, tagger.crf), tagger.config, same_tags)
        return tagger
    if head == "linear":
        return _linear(model, schema)
    if not type(model.config).__module__.startswith("transformers.models."):
        raise ModelError(
            f"{argument('head', 'crf')}: the encoder must be one that Transformers itself has, and "
            f"{type(model).__name__} comes with "
            f"code of its own. Leave {argument('head')} out."
        )
    config = copy.deepcopy(model.config)
    config.name_or_path = ""  # no path of this machine into what is saved
    config.num_labels = 2  # of tags, the encoder's config says nothing
    del config.tag_scheme
    context = vars(config).pop("context_subwords", None)
    own = CrfEncoderConfig(encoder=config, classifier_dropout=_dropout(model), context_subwords=context)
    set_schema(own, schema)
    return crf_over(model, own, tokenizer)


def crf_over(
    model: PreTrainedModel, config: CrfEncoderConfig, tokenizer: PreTrainedTokenizerBase
) -> CrfEncoderForTokenClassification:
    """Return the encoder of a model with a new CRF head.

    Args:
        model: A tagger with a linear head, which is dropped.
        config: Of the result.
        tokenizer: Of the model.
    """
    tagger = CrfEncoderForTokenClassification(config)
    tagger.encoder, tagger.name_or_path = model.base_model, model.name_or_path
    rows = len(tagger.subword_kind)
    tagger.subword_kind.copy_(torch.from_numpy(subword_kinds(tokenizer, size=rows, marks=True)[:rows]))
    return tagger.to(model.dtype).train(model.training)  # type: ignore[arg-type]


def with_rules(crf: LinearChainCrf, config: PreTrainedConfig, same_tags: bool) -> LinearChainCrf:
    """Return a CRF with the legal transitions of a config; what it learned of other tags is dropped."""
    rules = {name: getattr(config, name) for name in ("legal_start", "legal_step", "legal_end")}
    result = LinearChainCrf(config.num_labels or 0, **rules)
    if same_tags:
        learned = {name: value for name, value in crf.state_dict().items() if name not in rules}
        result.load_state_dict(learned, strict=False)
    return result


def _linear(model: PreTrainedModel, schema: TagSchema) -> PreTrainedModel:
    config = copy.deepcopy(model.config.encoder)
    set_schema(config, schema)
    if model.config.context_subwords:
        config.context_subwords = model.config.context_subwords
    tagger = AutoModelForTokenClassification.from_config(config)
    setattr(tagger, tagger.base_model_prefix, model.base_model)
    tagger.name_or_path = model.name_or_path
    return tagger.train(model.training)


def _dropout(model: PreTrainedModel) -> float:
    """Return the dropout before a model's tag head."""
    beside = (m for name, m in model.named_children() if name != model.base_model_prefix)
    return next((module.p for module in beside if isinstance(module, nn.Dropout)), 0.1)


@dataclass(frozen=True)
class SavedHead:
    """Weights of a tagger's head, with its tags.

    Args:
        tags: In the order of its label ids.
        weights: By name, those beside its encoder.
    """

    tags: list[str]
    weights: dict[str, torch.Tensor]


def is_tagger(config: PreTrainedConfig) -> bool:
    """Return whether a saved model has a tag head; the config of a bare encoder has LABEL_0, LABEL_1."""
    return not all(str(tag).startswith("LABEL_") for tag in (config.id2label or {}).values())


def saved_head(model: PreTrainedModel) -> SavedHead:
    """Return a copy of the tag head of a model that is loaded with its own tags."""
    beside = (named for named in model.named_parameters() if not named[0].startswith(f"{model.base_model_prefix}."))
    # In the order of the file, which may be that of the ids as words: 1, 10, 2.
    named = {int(label): tag for label, tag in (model.config.id2label or {}).items()}
    tags = [named[label] for label in range(len(named))]
    return SavedHead(tags, {name: weight.detach().clone() for name, weight in beside})


@torch.no_grad()
def keep_shared_tags(model: PreTrainedModel, saved: SavedHead, schema: TagSchema, *, name: str) -> None:
    """Copy the rows of shared tags from a saved head into a new one; the rest stays as initialized.

    Args:
        model: With a head for the schema. Between a linear map and a CRF over it the map's rows pass in both
            directions, where nothing else lies between encoder and tags.
        saved: The head that was saved.
        schema: The tags.
        name: What `--model` was given, for the log.
    """
    shared = [tag for tag in schema.tags if tag in saved.tags]
    weights = _fitting(saved_head(model).weights, saved.weights)
    if weights is None:
        logger.info("%s: its head is of another kind, with layers of its own, so a new one is trained", name)
        return
    ours = torch.tensor([schema.tags.index(tag) for tag in shared], dtype=torch.long)
    theirs = torch.tensor([saved.tags.index(tag) for tag in shared], dtype=torch.long)
    if len(saved.tags) == len(schema.tags):  # no shape differed, so that rows of other tags were loaded
        _draw_anew(model, SavedHead(saved.tags, weights))
    for key, weight in model.named_parameters():
        old = weights.get(key)
        if old is None or old.shape[:1] != (len(saved.tags),) or weight.shape[:1] != (len(schema.tags),):
            continue
        if key.endswith("transitions"):  # from tag to tag
            weight[ours[:, None], ours] = old[theirs[:, None], theirs].to(weight)
        else:
            weight[ours] = old[theirs].to(weight)
    if not shared:
        logger.info("%s: its head is for other tags (%s), so a new one is trained", name, listed(saved.tags))
        return
    new, left = ([tag for tag in tags if tag not in shared] for tags in (schema.tags, saved.tags))
    told = [f"kept {len(shared)} tags of the saved head"]
    told += [f"{len(tags)} {what}: {listed(tags)}" for what, tags in (("new", new), ("left out", left)) if tags]
    crf = [any(key.startswith("crf.") for key in keys) for keys in (saved.weights, dict(model.named_parameters()))]
    change = {(False, True): "; the CRF's transitions start from zero", (True, False): "; its CRF is dropped"}
    logger.info("%s: %s%s", name, ", ".join(told), change.get((crf[0], crf[1]), ""))


def _fitting(ours: dict[str, torch.Tensor], saved: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """Return the saved weights under the names of a head; None if the heads are built differently."""
    here, there = ({k.rpartition(".")[0] for k in named if not k.startswith("crf.")} for named in (ours, saved))
    if here == there:
        return saved
    if len(here) != 1 or len(there) != 1:
        return None
    (new,), (old,) = here, there
    return {k if k.startswith("crf.") else new + k.removeprefix(old): weight for k, weight in saved.items()}


def _draw_anew(model: PreTrainedModel, saved: SavedHead) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and f"{name}.weight" in saved.weights:
            if module.out_features != len(saved.tags):
                continue
            fresh = nn.Linear(module.in_features, module.out_features, bias=module.bias is not None)
            draw_weights(model, fresh)
            module.load_state_dict(fresh.state_dict())
