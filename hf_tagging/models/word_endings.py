"""Tags of words with the same ending, the evidence for words that training never showed.

Samuelsson 1993; Brants 2000. This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from .word_embeddings import DIGIT, SHAPES, word_shapes


class Endings(nn.Module):
    """Scores of tags by a word's longest known ending: log P(tag | ending) - log P(tag).

    Endings are a tree in breadth-first order. Its first nodes, one per shape of a word, are its roots: the ending
    without a character. Any other node has a code, parent * (characters + 1) + the character before the parent's. These
    ascend, so that a binary search finds a node, and its place among the codes is its number. A parent is known
    wherever its child is.

    Args:
        config: An `HmmConfig`.
    """

    codes: Tensor

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        tags = config.num_labels or 0
        self.digit, self.base = config.num_characters, config.num_characters + 1
        self.longest, self.min_words = config.suffix_length, config.min_suffix_words
        self.register_buffer("codes", torch.empty(config.num_suffixes, dtype=torch.int64))
        self.scores = nn.Parameter(torch.empty(config.num_suffixes, tags), requires_grad=False)

    def reset_parameters(self) -> None:
        """Forget all endings, except what `from_pretrained` has loaded."""
        init.zeros_(self.codes)
        init.zeros_(self.scores)

    def forward(self, characters: Tensor, classes: Tensor) -> Tensor:
        """Return scores of tags.

        Args:
            characters: Of each word, 0 behind the last. (..., characters)
            classes: What each is: lower, upper, digit, other. (..., characters)

        Returns:
            (..., tags)
        """
        node = word_shapes(classes)
        known = torch.ones_like(node, dtype=torch.bool)
        for character in self._backwards(characters, classes):
            code = node * self.base + character
            place = torch.searchsorted(self.codes, code).clamp(max=len(self.codes) - 1)
            known = known & (character > 0) & (self.codes[place] == code)
            node = torch.where(known, place, node)
        return self.scores[node]

    @torch.no_grad()
    def fit(self, characters: Tensor, classes: Tensor, shares: Tensor, prior: Tensor) -> Tensor:
        """Build the tree, level by level.

        Args:
            characters: As in `forward`, a row for each different word; like all that follows on the CPU. (words, n)
            classes: (words, n)
            shares: P(tag | word). (words, tags)
            prior: P(tag). (tags,)

        Returns:
            P(tag | ending) of these words. (words, tags)
        """
        node = word_shapes(classes)
        codes = torch.arange(-SHAPES, 0)  # roots are never searched
        chances = witten_bell(sums_by(node, shares, SHAPES), prior)  # (nodes, tags)
        growing = torch.arange(len(node))  # words whose ending is known so far
        for character in self._backwards(characters, classes):
            growing = growing[character[growing] > 0]
            code = node[growing] * self.base + character[growing]
            found, which, words = code.unique(return_inverse=True, return_counts=True)
            kept = words >= self.min_words
            growing, which = growing[kept[which]], (kept.cumsum(0) - 1)[which[kept[which]]]
            node[growing] = len(codes) + which
            found = found[kept]
            sums = sums_by(which, shares[growing], len(found))
            chances = torch.cat([chances, witten_bell(sums, chances[found // self.base])])
            codes = torch.cat([codes, found])
        self.codes = codes.to(self.scores.device)
        self.scores = nn.Parameter((chances.log() - prior.log()).to(self.scores), requires_grad=False)
        return chances[node]

    def _backwards(self, characters: Tensor, classes: Tensor) -> tuple[Tensor, ...]:
        """Return each word's last characters, the last one first, digits all one; 0 before the first. (...) each"""
        folded = characters.masked_fill(classes == DIGIT, self.digit)
        steps = torch.arange(1, self.longest + 1, device=characters.device)
        place = (characters > 0).sum(-1, keepdim=True) - steps
        return folded.gather(-1, place.clamp(min=0)).masked_fill(place < 0, 0).unbind(-1)


def witten_bell(counts: Tensor, lower: Tensor) -> Tensor:
    """Return relative frequencies, smoothed with `lower` by Witten and Bell (1991)."""
    different = (counts > 0).sum(-1, keepdim=True).clamp(min=1)
    return (counts + different * lower) / (counts.sum(-1, keepdim=True) + different)


def sums_by(index: Tensor, values: Tensor, size: int) -> Tensor:
    """Return sums of the rows of `values` (n, tags) by their `index` (n,). (size, tags)"""
    return values.new_zeros(size, values.shape[1]).index_add(0, index, values)
