"""Pretrained encoder with a CRF over the words of a sentence. This file is copied beside saved models.

    subwords ── encoder ──► (batch, subwords, size) ── linear ──► emissions ── CRF over the first subwords of words

Which subwords start a word is read off the input ids: `pipeline` knows nothing else, and is to see the same words.
A case marker starts a word, and the subword behind it continues it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.configuration_utils import SubConfigSpec
from transformers.modeling_outputs import TokenClassifierOutput

from .crf import IGNORED, LinearChainCrf, per_item
from .crf_recursions import Chain

STARTS, MARKS = 1, 3  # kinds of subwords: starts a word; is a case marker, which the next one continues
_NEVER = -1e4  # score of a tag that a subword cannot have


class CrfEncoderConfig(PreTrainedConfig):
    """Configuration of a `CrfEncoderForTokenClassification`.

    Args:
        encoder: The encoder's own config, or a dict of it with its `model_type`, one that Transformers knows.
        classifier_dropout: Before the tag head.
        tag_scheme: How entities are written as tags.
        word_splitter: Splitter that cut the words of training, and cuts text that is tagged.
        context_subwords: How many subwords of its document a sentence is read with on each side, in windows of several
            sentences with a separator between them; None: each window holds words of one sentence.
        legal_start: May a sentence start with the tag; None: with any. (tags,)
        legal_step: May the second tag follow the first. (tags, tags)
        legal_end: May a sentence end with the tag. (tags,)
    """

    model_type = "crf-encoder"
    sub_configs_defaults = {"encoder": SubConfigSpec(config_class=AutoConfig, model_type="bert")}  # noqa: RUF012

    encoder: dict[str, Any] | PreTrainedConfig | None = None
    classifier_dropout: float = 0.1
    tag_scheme: str | None = None
    word_splitter: str | None = None
    context_subwords: int | None = None
    legal_start: list[bool] | None = None
    legal_step: list[list[bool]] | None = None
    legal_end: list[bool] | None = None


class CrfEncoderForTokenClassification(PreTrainedModel):
    """Encoder with a linear layer for emissions of tags and a linear-chain CRF over words.

    Args:
        config: The encoder, and the tags in `id2label`.
    """

    config_class = CrfEncoderConfig
    base_model_prefix = "encoder"
    computes_loss = True  # a sum over whole sequences, which logits alone do not give
    # The encoder is asked itself which kind of attention it has.
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True

    subword_kind: Tensor

    def __init__(self, config: CrfEncoderConfig):
        super().__init__(config)
        # As stock taggers have it: without a pooler, whose weights would never learn.
        self.encoder = AutoModelForTokenClassification.from_config(config.encoder).base_model
        self.supports_gradient_checkpointing = self.encoder.supports_gradient_checkpointing
        embeddings = self.encoder.get_input_embeddings()
        tags = config.num_labels or 0
        self.dropout = nn.Dropout(config.classifier_dropout)
        self.classifier = nn.Linear(self.encoder.config.hidden_size, tags)
        self.crf = LinearChainCrf(
            tags,
            legal_start=config.legal_start,
            legal_step=config.legal_step,
            legal_end=config.legal_end,
        )
        self.register_buffer("subword_kind", torch.ones(embeddings.num_embeddings, dtype=torch.int8))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, LinearChainCrf):
            module.reset_parameters()
        elif module is self:
            init.ones_(self.subword_kind)  # every subword a word: what is known without a tokenizer

    def get_input_embeddings(self) -> nn.Module:
        """Return the input embeddings of the encoder."""
        return self.encoder.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Set the input embeddings of the encoder."""
        self.encoder.set_input_embeddings(value)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: object,
    ) -> TokenClassifierOutput:
        """Return scores of tags; with labels, the loss and the emissions only.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
            token_type_ids: For encoders that have them. (batch, subwords)
            labels: Label ids at the first subword of each word, -100 elsewhere. (batch, subwords)
            num_items_in_batch: Divisor of the loss: the labelled words of the whole step; None: of this batch.
            kwargs: For the encoder.

        Returns:
            `logits` (batch, subwords, tags). Without labels, a word's first subword has scores whose argmax is the best
            path's tag and whose softmax is the posterior, and its further subwords have the same; behind a case marker,
            which `pipeline` takes for a word, those of ``B-X`` and ``I-X`` are summed up for ``I-X``. `loss`: minus the
            log-probability of the labels in nats per word. Words without a label are summed over: input ids do not say
            that the three words of ``U . S`` are one word of the data, or that words at a window's edge are not scored,
            so the CRF is trained on the sequences that it sees later.
        """
        kwargs.pop("return_dict", None)
        if token_type_ids is not None:
            kwargs["token_type_ids"] = token_type_ids
        outputs = self.encoder(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        emissions = self.classifier(self.dropout(outputs[0]))
        starts, inside, marked = self._words(input_ids, attention_mask)
        borders = self._borders(inside, attention_mask)
        if labels is None:
            loss, logits = None, self._scores(emissions, starts, inside, marked, borders)
        else:
            loss, logits = self._loss(emissions, starts, labels, num_items_in_batch, borders), emissions
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.get("hidden_states"), attentions=outputs.get("attentions")
        )

    def tag_chain(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Chain:
        """Return the probabilities of whole tag sequences; `Chain.word` says which word a subword is of.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
        """
        outputs = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        starts, borders = self.chain_places(input_ids, attention_mask)
        return self.crf.chain(self.classifier(self.dropout(outputs[0])), starts, borders=borders)

    def chain_places(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return where the words of the CRF are, and where one sentence ends and the next one begins, if any does.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)

        Returns:
            Both (batch, subwords) bool
        """
        starts, inside, _ = self._words(input_ids, attention_mask)
        return starts, self._borders(inside, attention_mask)

    def _loss(
        self,
        emissions: Tensor,
        starts: Tensor,
        labels: Tensor,
        num_items: Tensor | int | None,
        borders: Tensor | None,
    ) -> Tensor:
        known = labels != IGNORED
        borders = None if borders is None else borders & ~known
        total = -self.crf(emissions, starts | known, labels, partial=True, borders=borders).sum()
        return per_item(total, known.sum() if num_items is None else num_items)

    def _words(self, input_ids: Tensor, attention_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return where a word starts, where a word is, and where a case marker is. (batch, subwords) bool each"""
        kind = self.subword_kind[input_ids]
        inside = kind > 0 if attention_mask is None else (kind > 0) & attention_mask.bool()
        first = ~F.pad(inside, (1, 0))[:, :-1]  # a text may begin without the mark of a word's start
        marker = inside & (kind == MARKS)
        behind = F.pad(marker, (1, 0))[:, :-1]
        return inside & (marker | ((kind == STARTS) & ~behind) | first), inside, marker

    def _borders(self, inside: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        """Return what stands between sentences; None where a window has words of one. (batch, subwords) bool"""
        if not self.config.context_subwords:
            return None
        return ~inside if attention_mask is None else ~inside & attention_mask.bool()

    def _scores(
        self, emissions: Tensor, starts: Tensor, inside: Tensor, marker: Tensor, borders: Tensor | None
    ) -> Tensor:
        scores = self.crf(emissions, starts, borders=borders)  # (batch, subwords, tags)
        places = torch.arange(starts.shape[1], device=starts.device)
        head = torch.where(starts, places, 0).cummax(1).values  # the first subword of the same word
        spread = torch.where(inside[..., None], scores.gather(1, head[..., None].expand_as(scores)), scores)
        behind = inside & ~starts & marker.gather(1, head)
        return torch.where(behind[..., None], self._continued(spread), spread)

    def _continued(self, scores: Tensor) -> Tensor:
        """Return scores in which the probability of each ``B-X`` is added to that of its ``I-X``."""
        tags = [(int(i), tag) for i, tag in (self.config.id2label or {}).items()]
        ids = {tag: i for i, tag in tags}
        moved = scores.clone()
        for i, tag in tags:
            inside = ids.get(f"I-{tag[2:]}") if tag.startswith(("B-", "S-")) else None
            if inside is not None:
                moved[..., inside] = torch.logaddexp(moved[..., inside], scores[..., i])
                moved[..., i] = _NEVER
        return moved


CrfEncoderConfig.register_for_auto_class()
CrfEncoderForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
