"""Training loss: cross-entropy per scored word, optionally with a weight per tag."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from transformers.utils import ModelOutput

from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.tag_columns import tag_counts
from hf_tagging.models.crf import per_item
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.config.checks import refuse
from hf_tagging.training.config.models import ModelFacts, loss_problems


def word_loss(
    outputs: ModelOutput,
    labels: torch.Tensor,
    num_items_in_batch: torch.Tensor | int | None = None,
    *,
    weight: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy summed over scored words and divided by their number in the whole step.

    Args:
        outputs: With `logits` (batch, subwords, tags).
        labels: Label ids, -100 where nothing is scored. (batch, subwords)
        num_items_in_batch: Scored words in all batches and processes of the step; None: of this batch.
        weight: Factor per tag. (tags,)
        label_smoothing: Share of the probability that is spread over all tags (Szegedy et al. 2016).

    Returns:
        A scalar.
    """
    logits = outputs["logits"] if isinstance(outputs, dict) else outputs[0]
    total = F.cross_entropy(
        logits.float().flatten(0, 1),
        labels.flatten(),
        weight=None if weight is None else weight.to(logits.device),
        ignore_index=IGNORED,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return per_item(total, (labels != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)


def class_weights(train: AlignedSplit | None, schema: TagSchema, kind: str) -> torch.Tensor | None:
    """Weights per tag whose mean over the scored words of training is 1. (tags,)

    Args:
        train: The training split.
        schema: The tags.
        kind: ``"none"``; ``"balanced"``: inverse of the count; ``"sqrt"``: inverse of its square root. A tag without
            an example in training gets the weight of a tag with one.
    """
    if kind == "none" or train is None:
        return None
    counts = np.zeros(len(schema.tags), np.int64)
    for batch in arrow_batches(train.features, "labels"):
        labels = batch.column("labels").combine_chunks().flatten().to_numpy()
        counts += np.bincount(labels[labels != IGNORED], minlength=len(counts))
    inverse = 1.0 / np.maximum(counts, 1) ** (1.0 if kind == "balanced" else 0.5)
    return torch.tensor(inverse * counts.sum() / (inverse * counts).sum(), dtype=torch.float32)


def refuse_changes_of_loss(args: TaggingConfig, train: AlignedSplit | None) -> None:
    """Refuse changes of a sum over words for a model with a loss over whole sequences; see `loss_problems`.

    Args:
        args: May ask for weights per word.
        train: May have labels for more subwords than words, of ``label_strategy="all"``: the model would learn chains
            of subwords, and tag chains of words.

    Raises:
        ConfigError: If there are any.
    """
    asked: dict[str, object] = {name: getattr(args, name) for name in ("class_weights", "label_smoothing_factor")}
    if train is not None and _scored(train) > int(tag_counts(train.words).sum()):
        asked["label_strategy"] = "all"
    refuse(loss_problems(ModelFacts(crf=True), asked, of="this model"))


def _scored(split: AlignedSplit) -> int:
    batches = (batch.column("labels").combine_chunks().flatten() for batch in arrow_batches(split.features, "labels"))
    return sum(int((labels.to_numpy() != IGNORED).sum()) for labels in batches)
