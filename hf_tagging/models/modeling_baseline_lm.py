"""Language models made of the parts of a tagger from scratch, to pretrain its words and encoder.

    masked words         a word that the encoder does not see, from both sides of it (Devlin et al. 2019)
    forward, backward    the next word from all up to here, the one before from all from here (Peters et al. 2018)

A tagger takes over `baseline.*` from the folder of such a model by name, and draws its head anew. This file is copied
beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init
from transformers.utils import ModelOutput

from .configuration_baseline import BaselineConfig
from .crf import IGNORED
from .modeling_baseline import BaselineModel, BaselinePreTrainedModel
from .recurrent import RecurrentEncoder, TwistedEncoder


@dataclass
class LanguageModelOutput(ModelOutput):
    """Output of a `BaselineForLanguageModeling`.

    Args:
        loss: Mean negative log-likelihood of the predictions, in nats. ()
        losses: Negative log-likelihood per word, 0 if nothing was predicted. (batch, words, predictions)
        logits: Without labels: scores of all rows of the table of word vectors. (batch, words, predictions, rows)
    """

    loss: Tensor | None = None
    losses: Tensor | None = None
    logits: Tensor | None = None


class BaselineForLanguageModeling(BaselinePreTrainedModel):
    """Word-level language model, made of the same parts as a tagger from scratch.

    If each direction of a recurrent encoder is a separate stack (`separate_directions`), the left-to-right state at a
    word predicts the next word and the right-to-left state the previous one; no state has seen the word it predicts.
    Any other encoder predicts words that were masked in its input. Input and output share the table of word vectors
    (Press and Wolf 2017): the score of a word is the product of its vector and the encoder's state after a linear
    layer. Row 0, padding, is never predicted.

    Args:
        config: The parts.

    Raises:
        ValueError: If the config names a part that there is not, or a recurrent encoder in one direction is to predict
            hidden words.
    """

    computes_loss = True

    def __init__(self, config: BaselineConfig):
        super().__init__(config)
        self.baseline = BaselineModel(config)
        encoder = self.baseline.encoder
        recurrent = isinstance(encoder, RecurrentEncoder) and not isinstance(encoder, TwistedEncoder)
        self.one_sided = recurrent and config.separate_directions
        if recurrent and not self.one_sided and not config.bidirectional:
            raise ValueError("bidirectional: without it no word sees its right side; set separate_directions.")
        self.predictions = 2 if self.one_sided and config.bidirectional else 1
        size = encoder.output_size // self.predictions
        self.maps = nn.ModuleList(nn.Linear(size, config.word_size) for _ in range(self.predictions))
        self.bias = nn.Parameter(torch.empty(config.num_vectors - 1))
        self.post_init()

    def reset_parameters(self) -> None:
        """Initialize the parts that a tagger does not have."""
        for weight in self.maps.parameters():
            init.xavier_uniform_(weight) if weight.dim() > 1 else init.zeros_(weight)
        init.zeros_(self.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_features: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: object,
    ) -> LanguageModelOutput:
        """Return losses if there are labels, else scores.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
            word_features: See `WordInput`. (batch, subwords, columns)
            labels: Rows to predict at the first subword of each word, -100 for nothing: of the word itself; or with
                directions apart, of the next word, then of the one before. (batch, subwords, predictions)
            num_items_in_batch: What the loss is divided by: the labels of the whole step; None: of this batch.
            kwargs: Not used.
        """
        vectors, words = self.baseline(input_ids, attention_mask, word_features)
        parts = vectors.chunk(self.predictions, -1)  # each (batch, words, size)
        if labels is None:
            scores = [F.pad(self._scores(part, i), (1, 0), value=-torch.inf) for i, part in enumerate(parts)]
            return LanguageModelOutput(logits=torch.stack(scores, 2))
        wanted = words.gather(labels)  # (batch, words, predictions)
        wanted = wanted.masked_fill(~words.mask[..., None], IGNORED)
        losses = torch.stack([self._losses(part, i, wanted[..., i]) for i, part in enumerate(parts)], -1)
        count = (wanted != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        return LanguageModelOutput(loss=losses.sum() / torch.as_tensor(count).clamp(min=1), losses=losses)

    def _losses(self, vectors: Tensor, which: int, wanted: Tensor) -> Tensor:
        """Return the loss of each word, with scores, the expensive part, of predicted words only. (batch, words)"""
        chosen = wanted != IGNORED
        scores = self._scores(vectors[chosen], which).float()  # (predicted words, rows - 1)
        found = F.cross_entropy(scores, wanted[chosen] - 1, reduction="none")
        return found.new_zeros(wanted.shape).masked_scatter(chosen, found)

    def _scores(self, vectors: Tensor, which: int) -> Tensor:
        """Return scores of all words but padding, whose vector stays zero. (..., size) to (..., rows - 1)"""
        return F.linear(self.maps[which](vectors), self.baseline.words.vectors.weight[1:], self.bias)


BaselineForLanguageModeling.register_for_auto_class("AutoModelForPreTraining")
