"""Hidden Markov model: a tagger that counts the training words once and learns nothing by gradient.

A path of tags has the probability of its steps from tag to tag times that of each word given its tag. Counted numbers
are few, so all of them are smoothed:

- steps: bigrams and unigrams of tags, interpolated with the weight that deleted interpolation finds (Brants 2000);
- known words: counts of their tags, and a little of what their ending says;
- unknown words: tags of the words that end alike, from the longest ending that training has to none at all (Samuelsson
  1993; Brants 2000). Each ending is smoothed by the one a letter shorter (Witten and Bell 1991), each word counts once,
  and digits are all one. Words of different shapes (capitals, digits, other characters) are kept apart.

Such a model is a linear-chain CRF whose weights are log-probabilities, so best path and posterior are that layer's.
This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import TokenClassifierOutput

from .crf import IGNORED, ILLEGAL, LinearChainCrf, has_gaps, per_item
from .crf_recursions import Chain
from .word_embeddings import SHAPES, UNKNOWN_ROW, SubwordTables, Words
from .word_endings import Endings, sums_by

UNSEEN = 0.5  # what is added to counts where nothing may be impossible


class HmmConfig(PreTrainedConfig):
    """Configuration of an `HmmForTokenClassification`: sizes and smoothing.

    Args:
        encoder: What it is called among the taggers from scratch.
        vocabulary: How the words were read, see `BaselineConfig`.
        vocab_size: Ids of the tokenizer.
        pad_token_id: Of the tokenizer.
        unk_token_id: Of the tokenizer.
        num_vectors: Different words; several ids may share one, as ``The`` and ``the``.
        num_characters: Known characters, with those for padding and for any other.
        max_subword_characters: Characters of a subword that the table of spellings holds.
        max_word_characters: Characters of a word that are read.
        suffix_length: Characters of the longest ending.
        min_suffix_words: Different words that must have an ending for it to count.
        suffix_weight: The ending of a known word counts as if the word had been seen this often.
        num_suffixes: Endings known; `HmmForTokenClassification.fit` sets it.
        tag_scheme: How entities are written as tags.
        word_splitter: Splitter that cut the words of training, and cuts text that is tagged.
        legal_start: May a sentence start with the tag; None: with any. (tags,)
        legal_step: May the second tag follow the first. (tags, tags)
        legal_end: May a sentence end with the tag. (tags,)
    """

    model_type = "tagging-hmm"

    encoder: str = "hmm"
    vocabulary: dict[str, Any] | None = None
    vocab_size: int = 3
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1
    num_vectors: int = 3
    num_characters: int = 2
    max_subword_characters: int = 1
    max_word_characters: int = 100
    suffix_length: int = 10
    min_suffix_words: int = 2
    suffix_weight: float = 0.1
    num_suffixes: int = SHAPES
    tag_scheme: str | None = None
    word_splitter: str | None = None
    legal_start: list[bool] | None = None
    legal_step: list[list[bool]] | None = None
    legal_end: list[bool] | None = None


class HmmForTokenClassification(PreTrainedModel):
    """A first-order hidden Markov model over words. Until `fit` all tags are equally probable.

    Emissions are log P(word | tag) up to a number per word, which is the same for all paths: by Bayes' rule they are
    log P(tag | word) - log P(tag).

    Args:
        config: The sizes, and the tags in `id2label`.
    """

    config_class = HmmConfig
    base_model_prefix = "hmm"
    computes_loss = True

    known: Tensor

    def __init__(self, config: HmmConfig):
        super().__init__(config)
        tags = config.num_labels or 0
        self.tables = SubwordTables(config)
        self.endings = Endings(config)
        self.emissions = nn.Parameter(torch.empty(config.num_vectors, tags))
        self.register_buffer("known", torch.empty(config.num_vectors, dtype=torch.bool))
        self.crf = LinearChainCrf(
            tags, legal_start=config.legal_start, legal_step=config.legal_step, legal_end=config.legal_end
        )
        self.post_init()
        self.requires_grad_(False)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load a model; no parameter requires a gradient."""
        found = super().from_pretrained(*args, **kwargs)
        (found[0] if isinstance(found, tuple) else found).requires_grad_(False)
        return found

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (SubwordTables, Endings, LinearChainCrf, HmmForTokenClassification)):
            module.reset_parameters()

    def reset_parameters(self) -> None:
        """Forget all words, except what `from_pretrained` has loaded."""
        init.zeros_(self.emissions)
        init.zeros_(self.known)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: object,
    ) -> TokenClassifierOutput:
        """Return scores of tags and, with labels, the loss.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
            labels: Label ids at the first subword of each word, -100 elsewhere. (batch, subwords)
            num_items_in_batch: What the loss is divided by: the labelled words of the whole step; None: of this batch.
            kwargs: Not used.

        Returns:
            `logits` (batch, subwords, tags), the same at all subwords of a word. With labels, the emissions, and as
            `loss` minus the log-probability of the tags given the words; without, scores whose argmax is the best path
            and whose softmax the posterior.
        """
        if not input_ids.shape[1]:  # an empty text, from `pipeline`
            return TokenClassifierOutput(logits=self.emissions.new_zeros((*input_ids.shape, self.crf.num_tags)))
        words = self.tables.group(input_ids, attention_mask)
        scores = self._scores(input_ids, words)  # (batch, words, tags)
        if labels is None:
            return TokenClassifierOutput(logits=words.spread(self.crf(scores, words.mask)))
        tags = _tags_of_words(labels, words)
        total = -self.crf(scores, words.mask, tags, partial=has_gaps(tags, words.mask)).sum()
        loss = per_item(total, (tags != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
        return TokenClassifierOutput(loss=loss, logits=words.spread(scores))

    def tag_chain(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Chain:
        """Return the probabilities of whole tag sequences; `Chain.word` says which word a subword is of.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)
        """
        words = self.tables.group(input_ids, attention_mask)
        chain = self.crf.chain(self._scores(input_ids, words), words.mask)
        return chain._replace(word=chain.word.gather(1, words.of))

    def _scores(self, input_ids: Tensor, words: Words) -> Tensor:
        """Return log-probabilities. (batch, words, tags)"""
        rows = self.tables.rows(input_ids, words)
        unknown = words.mask & ~self.known[rows]
        characters = self.tables.characters(input_ids, words)[unknown]
        by_ending = self.endings(characters, self.tables.character_class[characters])
        return self.emissions[rows].masked_scatter(unknown[..., None], by_ending)

    @torch.no_grad()
    def fit(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Count the training split anew. The order of the batches does not matter.

        Args:
            batches: Each with `input_ids`, `labels` as in `forward`, and perhaps `attention_mask`. (batch, subwords)
                Words labelled -100 are not counted, nor are steps from, to or over them.

        Raises:
            ValueError: If no word has a label, or a label is none of the model's tags.
        """
        counts = _Counts(self.config.vocab_size, self.config.max_word_characters, self.crf.num_tags)
        for batch in batches:
            self._count(counts, {name: values.to(self.device) for name, values in batch.items()})
        spelled, of_spelled = counts.spelled_words()
        of_tags = counts.of_ids.sum(0) + of_spelled.sum(0)
        if not of_tags.any():
            raise ValueError("labels: every word has -100. Give the first subword of each word the id of its tag.")
        prior = _relative(of_tags + UNSEEN)
        self._set_steps(counts.steps.double())
        ids = counts.of_ids.sum(1).nonzero()[:, 0]
        whole = self.tables.spelling.cpu()[ids].long()
        characters = torch.cat([F.pad(whole, (0, spelled.shape[1] - whole.shape[1])), spelled])
        of_words = torch.cat([counts.of_ids[ids], of_spelled])
        classes = self.tables.character_class.cpu()[characters]
        by_ending = self.endings.fit(characters, classes, _relative(of_words), prior)
        self.config.num_suffixes = len(self.endings.codes)
        self._set_words(ids, of_words[: len(ids)].double(), by_ending[: len(ids)], prior)

    def _count(self, counts: _Counts, batch: Mapping[str, Tensor]) -> None:
        input_ids = batch["input_ids"]
        words = self.tables.group(input_ids, batch.get("attention_mask"))
        tags = _tags_of_words(batch["labels"], words)  # (batch, words)
        if (highest := int(tags.max())) >= counts.tags:
            raise ValueError(f"labels: {highest} is none of the model's tags; they are 0 to {counts.tags - 1}.")
        counts.add_steps(tags, words.mask.sum(1))
        subwords = torch.zeros_like(words.first).scatter_add(1, words.of, words.inside.long())
        whole, spelled = (tags != IGNORED) & (subwords == 1), (tags != IGNORED) & (subwords > 1)
        counts.add_words(words.gather(input_ids)[whole], tags[whole])
        counts.add_spelled(self.tables.characters(input_ids, words)[spelled], tags[spelled])

    def _set_steps(self, counts: Tensor) -> None:
        """Smooth the transitions. (from each tag and the start, to each tag and the end)"""
        legal = torch.zeros_like(counts, dtype=torch.bool)
        legal[:-1, :-1], legal[-1, :-1], legal[:-1, -1] = self.crf.legal_step, self.crf.legal_start, self.crf.legal_end
        weight = _bigram_weight(counts)
        bigrams = counts / counts.sum(1, keepdim=True).clamp(min=1)
        chances = weight * bigrams + (1 - weight) * _relative(counts.sum(0) + UNSEEN)
        logs = torch.where(legal, _relative(chances * legal).log(), ILLEGAL)
        self.crf.transitions.copy_(logs[:-1, :-1])
        self.crf.start.copy_(logs[-1, :-1])
        self.crf.end.copy_(logs[:-1, -1])

    def _set_words(self, ids: Tensor, counts: Tensor, by_ending: Tensor, prior: Tensor) -> None:
        """Smooth the tags of known words.

        Args:
            ids: Those seen in training. (ids,)
            counts: How often they had each tag. (ids, tags)
            by_ending: P(tag | ending). (ids, tags)
            prior: P(tag). (tags,)
        """
        rows = self.tables.vector_of_id.cpu()[ids].long()
        of_rows = sums_by(rows, counts, self.config.num_vectors)
        seen = of_rows.sum(1, keepdim=True)
        # A row that several ids share has their mean.
        by_ending = sums_by(rows, counts.sum(1, keepdim=True) * by_ending, self.config.num_vectors) / seen.clamp(min=1)
        weight = self.config.suffix_weight
        chances = (of_rows + weight * by_ending) / (seen + weight)
        known = (seen > 0).index_fill(0, torch.tensor([UNKNOWN_ROW]), False)
        self.known.copy_(known[:, 0])
        self.emissions.copy_(torch.where(known, chances.log() - prior.log(), 0))


class _Counts:
    """Counts over the training split, on the CPU. They are integers, so that the order of batches does not matter.

    Args:
        ids: Of the tokenizer.
        characters: Of the longest word.
        tags: Of the model.
    """

    def __init__(self, ids: int, characters: int, tags: int):
        self.tags = tags
        self.steps = torch.zeros(tags + 1, tags + 1, dtype=torch.long)  # (each tag and the start, each tag and the end)
        self.of_ids = torch.zeros(ids, tags, dtype=torch.long)  # words of one subword
        self._spelled = [
            torch.zeros(0, characters + 1, dtype=torch.long)
        ]  # words of several: their characters, then their tag

    def add_steps(self, tags: Tensor, lengths: Tensor) -> None:
        """Count transitions between neighbours that both have a tag. (batch, words), (batch,)"""
        path = F.pad(tags, (1, 1), value=IGNORED)
        path[:, 0] = self.tags
        path.scatter_(1, lengths[:, None] + 1, self.tags)
        before, after = path[lengths > 0, :-1], path[lengths > 0, 1:]
        counted = (before != IGNORED) & (after != IGNORED)
        _add_one(self.steps, before[counted], after[counted])

    def add_words(self, ids: Tensor, tags: Tensor) -> None:
        """Count words of one subword. (words,), (words,)"""
        _add_one(self.of_ids, ids, tags)

    def add_spelled(self, characters: Tensor, tags: Tensor) -> None:
        """Count words of several subwords. (words, characters), (words,)"""
        self._spelled.append(torch.cat([characters, tags[:, None]], 1).cpu())

    def spelled_words(self) -> tuple[Tensor, Tensor]:
        """Return distinct words of several subwords: characters (words, n), and counts of their tags (words, tags)."""
        every = torch.cat(self._spelled)
        words, which = every[:, :-1].unique(dim=0, return_inverse=True)
        counts = torch.zeros(len(words), self.tags, dtype=torch.long)
        _add_one(counts, which, every[:, -1])
        return words, counts


def _tags_of_words(labels: Tensor, words: Words) -> Tensor:
    """Return the label ids of words, -100 if there is none. (batch, subwords) to (batch, words)"""
    return words.gather(labels).masked_fill(~words.mask, IGNORED)


def _bigram_weight(counts: Tensor) -> float:
    """Return the interpolation weight of bigrams against unigrams, by deleted interpolation (Brants 2000).

    Args:
        counts: How often the second follows the first. (first, second)
    """
    bigram = (counts - 1) / (counts.sum(1, keepdim=True) - 1).clamp(min=1)
    unigram = (counts.sum(0) - 1) / (counts.sum() - 1).clamp(min=1)
    return float((counts[bigram > unigram].sum() + UNSEEN) / (counts.sum() + 2 * UNSEEN))


def _relative(counts: Tensor) -> Tensor:
    return counts.double() / counts.sum(-1, keepdim=True)


def _add_one(table: Tensor, rows: Tensor, columns: Tensor) -> None:
    places = (rows * table.shape[1] + columns).cpu()
    table.view(-1).index_add_(0, places, torch.ones_like(places))


HmmConfig.register_for_auto_class()
HmmForTokenClassification.register_for_auto_class("AutoModelForTokenClassification")
