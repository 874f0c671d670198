"""Learning from the probabilities that a teacher gives to the tags of words (Hinton et al. 2015).

They are kept in one table with a row per word of the training split, so teacher and student may cut words into other
subwords. The windows that are trained on hold the numbers of words in the place of labels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from torch import Tensor

from hf_tagging.data.aligned import IGNORED, AlignedSplit
from hf_tagging.data.rows import flat_lists
from hf_tagging.models.crf import LinearChainCrf, per_item


@dataclass(frozen=True)
class SoftTags:
    """What a teacher says of the words of a split, and their gold tags.

    Args:
        probabilities: Of the teacher, at `temperature`. (words, tags)
        gold: Label ids, -100 of a word that is not annotated. (words,)
        temperature: The student's logits are divided by it where it learns from the teacher, and that loss is
            multiplied by its square.
        gold_weight: Share of the gold tag in the loss of a word that has one.
    """

    probabilities: Tensor
    gold: Tensor
    temperature: float
    gold_weight: float

    @property
    def fingerprint(self) -> str:
        """Hash of the tags that are most probable, which other numbers of threads do not change."""
        tags = self.probabilities.argmax(-1).to(torch.int32).cpu().numpy()
        return hashlib.sha256(tags.tobytes()).hexdigest()[:16]

    def to(self, device: torch.device) -> SoftTags:
        """Return a copy on a device."""
        return replace(self, probabilities=self.probabilities.to(device), gold=self.gold.to(device))

    def with_continuations(self, ids: np.ndarray) -> SoftTags:
        """Return a copy with a further row for each word, of a subword that goes on with it.

        Args:
            ids: Label id that continues each label, as of `TagSchema.continuation_ids`. (tags,)
        """
        to = torch.from_numpy(ids.astype(np.int64))
        further = torch.zeros_like(self.probabilities).index_add_(1, to, self.probabilities)
        gold = torch.where(self.gold == IGNORED, IGNORED, to[self.gold.clamp(min=0)])
        return replace(self, probabilities=torch.cat([self.probabilities, further]), gold=torch.cat([self.gold, gold]))

    def gold_of(self, words: Tensor) -> Tensor:
        """Return the gold tags of words.

        Args:
            words: Numbers of words, -100 where there is none. (batch, subwords)

        Returns:
            Label ids, -100 where there is none. (batch, subwords)
        """
        return torch.where(words == IGNORED, IGNORED, self.gold[words.clamp(min=0)])

    def loss(
        self,
        logits: Tensor,
        words: Tensor,
        items: Tensor | int,
        *,
        crf: LinearChainCrf | None,
        places: tuple[Tensor, Tensor | None] | None = None,
    ) -> Tensor:
        """Return the cross-entropy with the teacher, divided by the number of words.

        Args:
            logits: Of the student; of a CRF its emissions. (batch, subwords, tags)
            words: Numbers of words, -100 where there is none. (batch, subwords)
            items: Words in all batches and processes of the step.
            crf: Its posterior marginals are what learns; None: the softmax of the logits.
            places: Where the CRF has words, further ones than the numbered too, and where it has borders of sentences,
                as the model's `chain_places` gives them; None: the numbered words of a row are one sentence. (batch,
                subwords) bool each

        Returns:
            A scalar.
        """
        there = words != IGNORED
        if crf is None:
            logs = (logits[there].float() / self.temperature).log_softmax(-1)  # (words, tags)
        else:
            starts, borders = places or (there, None)
            borders = None if borders is None else borders & ~there
            known = crf.log_marginals(logits.float(), starts | there, temperature=self.temperature, borders=borders)
            logs = known[there]
        numbers = words[there]
        share = torch.where(self.gold[numbers] == IGNORED, 1.0, 1.0 - self.gold_weight)
        found = -(self.probabilities[numbers] * logs).sum(-1) * share
        return per_item(found.sum() * self.temperature**2, items)


def numbered_words(split: AlignedSplit, markers: np.ndarray) -> Dataset:
    """Return the windows of a split with the numbers of their words, at first subwords, in the place of labels.

    Args:
        split: Aligned words.
        markers: Ids of case markers, each a word's first subword; the one behind carries the number of the word in the
            rows of `SoftTags.with_continuations`. (markers,)
    """
    numbers, bounds = [], [np.zeros(1, np.int64)]
    for batch, row, starts, words in split.owned_words("input_ids"):
        ids, offsets = flat_lists(batch.column("input_ids"))
        found = np.full(offsets[-1], IGNORED, np.int32)
        places = offsets[row] + starts
        found[places] = words
        marked = np.isin(ids[places], markers)
        found[places[marked] + 1] = words[marked] + split.sentence_starts[-1]
        numbers.append(found)
        bounds.append(offsets[1:] + bounds[-1][-1])
    column = pa.ListArray.from_arrays(pa.array(np.concatenate(bounds), pa.int32()), pa.array(np.concatenate(numbers)))
    return split.features.remove_columns("labels").add_column("labels", column)
