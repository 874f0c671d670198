"""Recursions of a linear-chain CRF: sums over all paths, the best path, and the score of one.

The scored positions of each row are moved to the left first, so a recursion has as many steps as the longest row has
words, and no step needs a mask. Sums over paths are scaled forward-backward (Rabiner 1989): messages are probabilities
that each step normalises, so a step is one small matrix product instead of a logsumexp over (batch, tags, tags), and
both directions share the step. It runs in float64: the numbers are few, and its range down to
e**-700 leaves room for illegal steps and for any emissions a network gives. Apple's GPUs have float32 only; there sums
are right while the scores at a word lie within about 80 nats. The gradient of the log partition is the posterior, so no
autograd graph runs through the recursion.

This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Scores(NamedTuple):
    """Scores of paths: of tags at words, of steps between them, and of the first and the last one."""

    emissions: Tensor  # (batch, words, tags)
    transitions: Tensor  # (tags, tags)
    start: Tensor  # (tags,)
    end: Tensor  # (tags,)


class Rows(NamedTuple):
    """Positions of each row that are scored; packing moves them to the left."""

    mask: Tensor  # (batch, positions) bool
    rank: Tensor  # which word of its row a position is; anything outside the mask. (batch, positions)
    source: Tensor  # the position of each word, 0 behind a row's last. (batch, words)
    valid: Tensor  # (batch, words) bool
    mirror: Tensor  # the word at the same distance from the row's other end. (batch, words)
    last: Tensor  # a row's last word, 0 for a row without any. (batch, 1)

    @classmethod
    def of(cls, mask: Tensor) -> Rows:
        """Return the rows of a mask. (batch, positions) bool"""
        mask = mask.bool()
        width = mask.shape[1]
        steps = torch.arange(width, device=mask.device)
        count = mask.cumsum(1)
        lengths, rank = count[:, -1:], (count - 1).clamp(min=0)
        unpacked = mask.new_zeros(len(mask), width + 1, dtype=torch.long)  # the last column takes what is not scored
        source = unpacked.scatter(1, torch.where(mask, rank, width), steps.expand_as(rank))[:, :-1]
        valid = steps < lengths
        if mask.device.type == "cpu" and not torch.compiler.is_compiling():
            # As many steps as the longest row has words. Elsewhere this number would have to be waited for.
            reached = valid.any(0)
            reached[0] = True
            source, valid, steps = source[:, reached], valid[:, reached], steps[reached]
        mirror = (lengths - 1 - steps).clamp(min=0)
        return cls(mask, rank, source, valid, mirror, (lengths - 1).clamp(min=0))

    def pack(self, values: Tensor) -> Tensor:
        """Pack (batch, positions, ...) into (batch, words, ...)."""
        return _pick(values, self.source)

    def unpack(self, values: Tensor, fill: float) -> Tensor:
        """Unpack (batch, words, ...) into (batch, positions, ...)."""
        inside = self.mask.view(*self.mask.shape, *[1] * (values.dim() - 2))
        return torch.where(inside, _pick(values, self.rank), fill)


class Messages(NamedTuple):
    """Messages of forward-backward: `ahead` times `factors` times `back` is the posterior of a transition."""

    log_partition: Tensor  # (batch,)
    posterior: Tensor  # (batch, words, tags)
    ahead: Tensor  # from the left, at all words but the last. (batch, words - 1, tags)
    back: Tensor  # from the right, at all words but the first. (batch, words - 1, tags)
    factors: Tensor  # exponentiated transitions. (tags, tags)


class Chain(NamedTuple):
    """Probabilities of the tags of each row's words as a Markov chain, and what `pipeline` is shown of them."""

    scores: Tensor  # log-probabilities as `LinearChainCrf.scores_for_pipeline` gives them. (batch, words, tags)
    posterior: Tensor  # (batch, words, tags)
    back: Tensor  # messages from the right, at all words but the first. (batch, words - 1, tags)
    factors: Tensor  # exponentiated transitions. (tags, tags)
    word: Tensor  # the word of each position, any where there is none. (batch, positions)
    sequence: Tensor | None = None  # the sequence of its row that a word is in; None: a row is one. (batch, words)

    def onward(self, tags: Tensor, row: Tensor, first: Tensor, last: Tensor) -> Tensor:
        """Return the probabilities of a word's tags, given those of a word before it; words between are summed over.

        Args:
            tags: Probabilities of the first word's tags. (n, any, tags)
            row: Row of each pair of words. (n,)
            first: The first word of each pair. (n,)
            last: The second one; it comes later. (n,)
        """
        for step in range(1, int((last - first).max()) + 1 if len(row) else 0):
            on = first + step <= last
            back = self.back[row[on], first[on] + step - 1][:, None]  # (pairs, 1, tags)
            tags = tags.clone()
            tags[on] = (tags[on] / (back @ self.factors.T)) @ self.factors * back
        return tags


class LogPartition(torch.autograd.Function):
    """Log partition function whose gradient is the posterior, of tags for emissions and of transitions."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, rows: Rows) -> Tensor:
        """Return the log partition of each row. (batch,)"""
        found = forward_backward(Scores(emissions, transitions, start, end), rows)
        ctx.save_for_backward(found.posterior, found.ahead, found.back, found.factors, rows.last)
        return found.log_partition

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of emissions, transitions, starts and ends: posteriors."""
        posterior, ahead, back, factors, last = ctx.saved_tensors
        tags = posterior * gradient[:, None, None]
        steps = (ahead * gradient[:, None, None]).flatten(0, 1).T @ back.flatten(0, 1)
        return tags, steps * factors, tags[:, 0].sum(0), _pick(tags, last)[:, 0].sum(0), None


def forward_backward(scores: Scores, rows: Rows) -> Messages:
    """Run scaled forward-backward, both directions in one loop over time.

    Behind a row's last word the recursion goes on over anything; nothing of that is read.
    """
    tops = scores.emissions.amax(-1)  # (batch, words)
    emissions = (scores.emissions - tops[..., None]).exp()
    top, top_start, top_end = scores.transitions.amax(), scores.start.amax(), scores.end.amax()
    factors = _floored_exp(scores.transitions - top)
    # The backward direction reads each row from its last word: mirrored, it starts at the left as the forward one does.
    local = torch.stack([emissions, _pick(emissions, rows.mirror)]).transpose(0, 2).transpose(1, 2).contiguous()
    both = torch.stack([factors, factors.T])  # (2, tags, tags)
    ends = torch.stack([_floored_exp(scores.start - top_start), _floored_exp(scores.end - top_end)])
    before, after, sums = _run(local, both, ends[:, None].expand(local.shape[1:]))

    ahead, back = after[:, 0].transpose(0, 1), _pick(after[:, 1].transpose(0, 1), rows.mirror)
    joint = ahead * _pick(before[:, 1].transpose(0, 1), rows.mirror)  # (batch, words, tags)
    totals = joint.sum(-1, keepdim=True)
    per_word = sums[:, 0].T.log() + tops
    log_partition = torch.where(rows.valid, per_word, 0).sum(1) + _pick(totals[..., 0].log(), rows.last)[:, 0]
    log_partition = log_partition + top_start + top_end + rows.last[:, 0] * top
    return Messages(
        torch.where(rows.valid[:, 0], log_partition, 0),
        torch.where(rows.valid[..., None], joint / totals, 0),
        torch.where(rows.valid[:, 1:, None], (ahead / totals)[:, :-1], 0),
        torch.where(rows.valid[:, 1:, None], back[:, 1:], 0),
        factors,
    )


def log_marginals(scores: Scores, rows: Rows) -> Tensor:
    """Return the logarithms of the posterior of each word's tags, which can be differentiated.

    `forward_backward` is faster and gives no gradient. This one is the textbook recursion in logarithms, for losses
    that are functions of the posterior.

    Returns:
        Anything behind a row's last word. (batch, words, tags)
    """
    emissions, words = scores.emissions, scores.emissions.shape[1]
    ahead = [scores.start + emissions[:, 0]]
    for word in range(1, words):
        ahead.append((ahead[-1][..., None] + scores.transitions).logsumexp(1) + emissions[:, word])
    back = [scores.end.expand_as(emissions[:, 0])]
    for word in range(words - 1, 0, -1):
        step = (scores.transitions + (emissions[:, word] + back[-1])[:, None]).logsumexp(-1)
        back.append(torch.where(rows.valid[:, word, None], step, scores.end))
    return (torch.stack(ahead, 1) + torch.stack(back[::-1], 1)).log_softmax(-1)


def _run(local: Tensor, factors: Tensor, message: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return messages before a word's emissions, after them (normalized), and the normalizers.

    Args:
        local: Exponentiated emissions. (words, 2, batch, tags)
        factors: Exponentiated transitions. (2, tags, tags)
        message: Before the first word. (2, batch, tags)

    Returns:
        (words, 2, batch, tags), the same, (words, 2, batch)
    """
    before: list[Tensor] = [message]
    after: list[Tensor] = []
    sums: list[Tensor] = []
    for emissions in local.unbind():
        if after:
            before.append(torch.bmm(after[-1], factors))
        product = before[-1] * emissions
        sums.append(product.sum(-1, keepdim=True))
        after.append(product / sums[-1])
    return torch.stack(before), torch.stack(after), torch.stack(sums)[..., 0]


def best_path(scores: Scores, rows: Rows) -> Tensor:
    """Return the best path by the Viterbi algorithm. (batch, words)"""
    into = scores.transitions.T.contiguous()  # (to, from): the maximum over the last dimension is the fast one
    best = [scores.start + scores.emissions[:, 0]]  # (batch, tags)
    origins = []  # (batch, tags) each
    for emissions in scores.emissions[:, 1:].unbind(1):
        value, origin = (best[-1][:, None] + into).max(-1)
        best.append(value + emissions)
        origins.append(origin)
    tag = (_pick(torch.stack(best, 1), rows.last)[:, 0] + scores.end).argmax(-1, keepdim=True)  # (batch, 1)
    path = [tag]
    # Behind a row's last word the way back stays where it is, so that all rows can be followed from the last column.
    stay = torch.arange(len(scores.start), device=tag.device)
    for origin, valid in zip(reversed(origins), reversed(rows.valid[:, 1:].unbind(1)), strict=True):
        path.append(torch.where(valid[:, None], origin, stay).gather(1, path[-1]))
    return torch.cat(path[::-1], 1)


def path_score(scores: Scores, rows: Rows, tags: Tensor) -> Tensor:
    """Return the score of one path per row. (batch, words) label ids to (batch,)"""
    words = scores.emissions.gather(2, tags[..., None])[..., 0]
    steps = scores.transitions[tags[:, :-1], tags[:, 1:]]
    ends = scores.start[tags[:, 0]] + scores.end[_pick(tags, rows.last)[:, 0]]
    inside = torch.where(rows.valid, words, 0).sum(1) + torch.where(rows.valid[:, 1:], steps, 0).sum(1)
    return inside + torch.where(rows.valid[:, 0], ends, 0)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return `values` (batch, n, ...) at `index` (batch, m) of the second dimension. (batch, m, ...)"""
    shape = index.shape + values.shape[2:]
    return values.gather(1, index.view(*index.shape, *[1] * (values.dim() - 2)).expand(shape))


def _floored_exp(values: Tensor) -> Tensor:
    """Return the exponential of values of at most 0, at least e**-637 in float64 and e**-78 in float32.

    Every word has a tag whose emission counts 1, and every step to it counts something: so no sum over tags is 0, and
    no division by one has to be guarded.
    """
    return values.clamp(min=0.9 * math.log(torch.finfo(values.dtype).tiny)).exp()
