"""Taggers trained from scratch, assembled from the parts that the config names.

    subwords ── words in ──► (batch, words, size) ── encoder ──► (batch, words, size) ── head ──► scores of tags

Subwords become words first, so that all that follows sees words; scores go back to all subwords of a word.
This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import TokenClassifierOutput

from .configuration_baseline import BaselineConfig
from .crf import IGNORED, LinearChainCrf, has_gaps, per_item
from .crf_recursions import Chain
from .sequence_encoders import ENCODERS, TransformerEncoder
from .word_embeddings import WordInput, Words


class BaselinePreTrainedModel(PreTrainedModel):
    """Base class of the models trained from scratch: config, names and initialization."""

    config_class = BaselineConfig
    base_model_prefix = "baseline"

    @classmethod
    def is_custom_code(cls) -> bool:
        """Return False: all weights are drawn by `transformers.initialization`, which keeps what was loaded.

        For custom code Transformers skips every module without weights of its own, such as the parts here that
        initialize the modules that they hold (transformers 5.23, PreTrainedModel._initialize_weights).
        """
        return False

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """Return the tables, which are constant and equal in all processes: gloo cannot broadcast 16-bit integers."""
        return [name for name, table in self.named_buffers() if not table.is_floating_point()]

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a model, and freeze its word vectors again if its config says so."""
        found = super().from_pretrained(*args, **kwargs)
        model = found[0] if isinstance(found, tuple) else found
        model.get_input_embeddings().weight.requires_grad = not model.config.freeze_vectors
        return found

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.RNNBase):
            for weight in module.parameters(recurse=False):
                init.xavier_uniform_(weight) if weight.dim() > 1 else init.zeros_(weight)
        # Parts of ours know better; torch's own reset_parameters would draw what was loaded anew.
        own = None if type(module).__module__.startswith("torch.") else getattr(module, "reset_parameters", None)
        if own is not None:
            own()


class BaselineModel(BaselinePreTrainedModel):
    """Word input and sequence encoder, without a head.

    Args:
        config: The parts.

    Raises:
        ValueError: If the config names an encoder that there is not.
    """

    def __init__(self, config: BaselineConfig):
        super().__init__(config)
        if config.encoder not in ENCODERS:
            raise ValueError(f"encoder: {config.encoder!r} is not one of {', '.join(ENCODERS)}.")
        self.words = WordInput(config)
        self.encoder = ENCODERS[config.encoder](config, self.words.output_size)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the word vectors."""
        return self.words.vectors

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_features: Tensor | None = None,
        sequence_ids: Tensor | None = None,
    ) -> tuple[Tensor, Words]:
        """Return contextual vectors of words.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
            word_features: See `WordInput`. (batch, subwords, columns)
            sequence_ids: Instead of `attention_mask`, for rows of several windows: the number of a subword's window in
                its row, 0 at padding. (batch, subwords)

        Returns:
            Vectors (batch, words, size), zero where there is no word; which subwords the words are made of.

        Raises:
            ValueError: If there are several windows in a row, and the encoder is no Transformer.
        """
        words = self.words.tables.group(input_ids, attention_mask if sequence_ids is None else sequence_ids)
        if sequence_ids is None:
            return self.encoder(self.words(input_ids, words, word_features), words.mask), words
        if not isinstance(self.encoder, TransformerEncoder):
            raise ValueError(f"sequence_ids: encoder {self.config.encoder} reads a row as one sentence.")
        words = words._replace(sentence=words.gather(sequence_ids).masked_fill(~words.mask, 0))
        return self.encoder(self.words(input_ids, words, word_features), words.mask, words.sentence), words


class BaselineForTokenClassification(BaselinePreTrainedModel):
    """Tagger trained from scratch.

    Args:
        config: The parts, and the tags in `id2label`.

    Raises:
        ValueError: If the config names a part that there is not.
    """

    def __init__(self, config: BaselineConfig):
        super().__init__(config)
        self.baseline = BaselineModel(config)
        tags = config.num_labels or 0
        self.classifier = nn.Linear(self.baseline.encoder.output_size, tags)
        if config.head not in ("linear", "crf"):
            raise ValueError(f"head: {config.head!r} is not one of linear, crf.")
        rules = {name: getattr(config, name) for name in ("legal_start", "legal_step", "legal_end")}
        self.crf = LinearChainCrf(tags, **rules) if config.head == "crf" else None
        self.post_init()

    @property
    def computes_loss(self) -> bool:
        """True if the model computes its own loss, as with a CRF, and not a sum over words."""
        return self.crf is not None

    def reset_parameters(self) -> None:
        """Initialize the classifier."""
        init.xavier_uniform_(self.classifier.weight)
        init.zeros_(self.classifier.bias)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        word_features: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        sequence_ids: Tensor | None = None,
        **kwargs: object,
    ) -> TokenClassifierOutput:
        """Return scores of tags and, with labels, the loss.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
            word_features: Ids of the values of further columns, 0 where one is not known. (batch, subwords, columns)
            labels: Label ids at the first subword of each word, -100 elsewhere. (batch, subwords)
            num_items_in_batch: What the loss is divided by: the labelled words of the whole step; None: of this batch.
            sequence_ids: See `BaselineModel`; words have positions of their own. (batch, subwords)
            kwargs: Not used.

        Returns:
            `logits` (batch, subwords, tags), the same at all subwords of a word. A CRF's are those of its emissions
            where there are labels; without, their argmax is the best path and their softmax the posterior.

        Raises:
            ValueError: If there are several windows in a row, and a CRF or an encoder that reads it as one sentence.
        """
        if sequence_ids is not None and self.crf is not None:
            raise ValueError("sequence_ids: a CRF reads a row as one sentence.")
        if not input_ids.shape[1]:  # an empty text, from `pipeline`
            shape = (*input_ids.shape, self.classifier.out_features)
            return TokenClassifierOutput(logits=self.classifier.weight.new_zeros(shape))
        vectors, words = self.baseline(input_ids, attention_mask, word_features, sequence_ids)
        scores = self.classifier(vectors)  # (batch, words, tags)
        loss = None
        if labels is not None:
            of_words = words.gather(labels).masked_fill(~words.mask, IGNORED)  # (batch, words)
            loss = self._loss(scores, of_words, words.mask, num_items_in_batch)
        elif self.crf is not None:
            scores = self.crf(scores, words.mask)
        return TokenClassifierOutput(loss=loss, logits=words.spread(scores))

    def tag_chain(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Chain:
        """Return the probabilities of whole tag sequences; `Chain.word` says which word a subword is of.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)

        Raises:
            ValueError: If the head is no CRF.
        """
        if self.crf is None:
            raise ValueError("tag_chain: the head is linear, so that the tags of words are independent.")
        vectors, words = self.baseline(input_ids, attention_mask)
        chain = self.crf.chain(self.classifier(vectors), words.mask)
        return chain._replace(word=chain.word.gather(1, words.of))

    def chain_places(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, None]:
        """Return where the words of the CRF are, and None: a row is one sentence.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)

        Returns:
            (batch, subwords) bool
        """
        words = self.baseline.words.tables.group(input_ids, attention_mask)
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        return words.inside & (words.spread(words.first) == places), None

    def _loss(self, scores: Tensor, labels: Tensor, mask: Tensor, num_items: Tensor | int | None) -> Tensor:
        scored = labels != IGNORED
        if self.crf is None:
            total = F.cross_entropy(scores.float().flatten(0, 1), labels.flatten(), reduction="sum")
        else:
            # A subword tokenizer cuts some words into several that only the first has a label of: the others count too,
            # with all their tags, since no tagger can know which they are. So does a word that is not annotated.
            partial = self.config.word_pooling == "mean" or has_gaps(labels, mask)
            total = -self.crf(scores, mask, labels, partial=partial).sum()
        return per_item(total, scored.sum() if num_items is None else num_items)


BaselineForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
