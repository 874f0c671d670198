"""Trainer of a student: it learns what a teacher says of words, beside their gold tags."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.casing import marker_ids
from hf_tagging.data.schema import TagSchema
from hf_tagging.models.packing import unwrapped
from hf_tagging.training.distilling import SoftTags, numbered_words
from hf_tagging.training.word_trainer import WordTrainer


class StudentTrainer(WordTrainer):
    """A `WordTrainer` on aligned splits that may have a teacher (`learn_from`).

    Attributes:
        schema: Tags of the model.
        splits: Aligned splits by name.
        soft_tags: Set by `learn_from`; None without a teacher.
    """

    schema: TagSchema
    splits: dict[str, AlignedSplit]
    soft_tags: SoftTags | None = None

    def learn_from(self, soft_tags: SoftTags) -> None:
        """Train on what a teacher says of the training words, beside their gold tags; see `SoftTags`.

        Args:
            soft_tags: Of the words of the training split.
        """
        assert self.model is not None
        self.run.note_teacher(soft_tags.fingerprint)
        crf = getattr(unwrapped(self.model), "crf", None)
        assert isinstance(self.processing_class, PreTrainedTokenizerBase)
        markers = marker_ids(self.processing_class)[: 0 if crf is not None else None]  # a CRF reads words
        if len(markers):
            soft_tags = soft_tags.with_continuations(self.schema.continuation_ids())
        self.soft_tags = soft_tags.to(self.args.device)
        self.train_dataset = numbered_words(self.splits["train"], markers)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the loss of a batch, see `Trainer.compute_loss`; with a teacher, the labels are numbers of words."""
        soft = self.soft_tags
        if soft is None or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        words = inputs["labels"]
        items = (words != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        labelled = {**inputs, "labels": soft.gold_of(words)}
        gold, outputs = super().compute_loss(model, labelled, True, items)
        assert self.model is not None
        student: Any = unwrapped(self.model)  # the model that is given may be wrapped for several processes
        crf, places = getattr(student, "crf", None), None
        if crf is not None:  # it learns on the sequences that it sees later
            places = student.chain_places(inputs["input_ids"], inputs.get("attention_mask"))
        learned = soft.loss(outputs["logits"], words, items, crf=crf, places=places)
        shares = self.accelerator.num_processes if self.args.average_tokens_across_devices else 1
        loss = soft.gold_weight * gold + learned * shares
        return (loss, outputs) if return_outputs else loss
