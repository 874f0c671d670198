"""A linear-chain conditional random field: the likelihood, the best path and the marginals of whole tag sequences.

Lafferty, McCallum and Pereira 2001; as a layer over a network, Lample et al. 2016. This file is copied beside saved
models, so it imports nothing of this package.

How it is computed. The scored positions of each row are moved to the left first, so a recursion has as many steps as
the longest row has words, and no step needs a mask. Sums over paths are scaled forward-backward (Rabiner 1989):
messages are probabilities that each step normalises, so a step is one small matrix product instead of a logsumexp over
(batch, tags, tags), and both directions share the step. It runs in float64: the numbers are few, and its range down to
e**-700 leaves room for illegal steps and for any emissions a network gives. Apple's GPUs have float32 only; there sums
are right while the scores at a word lie within about 80 nats. The gradient of the log partition is the posterior, so no
autograd graph runs through the recursion.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import initialization as init

IGNORED = -100
ILLEGAL = -200.0  # nats of an illegal step: e**-200 is nothing, and a float64 can still hold it
_NEVER = -1e9  # the same for the best path, which must not buy an illegal step, whatever the emissions are
_MARGIN = 1e-5  # nats by which a printed tag leads: far above float32 rounding, far below a printed digit


class LinearChainCrf(nn.Module):
    """Linear-chain CRF layer: scores of emissions, of transitions between tags, and of the first and last tag.

    Masks may have gaps: positions outside are skipped and their neighbours joined. A row without any position has one
    path, the empty one: log-likelihood and log partition 0. An illegal step, start or end costs 200 nats, so a gold
    path with one has a large but finite loss, and that step gets no gradient. All results are at least float32, under
    autocast too.

    Args:
        num_tags: Number of tags.
        legal_start: May a row start with the tag; None: with any. (tags,)
        legal_step: May the second tag follow the first. (tags, tags)
        legal_end: May a row end with the tag. (tags,)

    Raises:
        ValueError: If one of the tables has another shape.
    """

    legal_start: Tensor
    legal_step: Tensor
    legal_end: Tensor

    def __init__(
        self,
        num_tags: int,
        *,
        legal_start: Sequence[bool] | None = None,
        legal_step: Sequence[Sequence[bool]] | None = None,
        legal_end: Sequence[bool] | None = None,
    ):
        super().__init__()
        self.num_tags = num_tags
        self.transitions = nn.Parameter(torch.empty(num_tags, num_tags))
        self.start = nn.Parameter(torch.empty(num_tags))
        self.end = nn.Parameter(torch.empty(num_tags))
        # The tables stay lists too: built on the meta device, a buffer holds nothing until reset_parameters fills it.
        self._legal = {"legal_start": legal_start, "legal_step": legal_step, "legal_end": legal_end}
        for name, table in self._legal.items():
            shape = (num_tags, num_tags) if name == "legal_step" else (num_tags,)
            _check_shape(name, table, shape)
            self.register_buffer(name, torch.empty(shape, dtype=torch.bool))
        self.reset_parameters()

    def extra_repr(self) -> str:
        """Return the number of tags, for `print`."""
        return f"num_tags={self.num_tags}"

    def reset_parameters(self) -> None:
        """Set every parameter to zero and every table as given, except what `from_pretrained` has loaded.

        At zero the layer is a softmax per word. A model's `_init_weights` has to call this.
        """
        for parameter in (self.transitions, self.start, self.end):
            init.zeros_(parameter)
        for name, table in self._legal.items():
            buffer = getattr(self, name)
            if table is None:
                init.ones_(buffer)
            else:
                init.copy_(buffer, torch.tensor(table, dtype=torch.bool, device=buffer.device))

    def forward(self, emissions: Tensor, mask: Tensor, tags: Tensor | None = None, *, partial: bool = False) -> Tensor:
        """Return `log_likelihood` of tags if there are any, else `scores_for_pipeline`.

        Hooks of a module (DeepSpeed's gathering of parameters, PEFT's wrapper) run only for calls of the module itself.
        """
        if tags is None:
            return self.scores_for_pipeline(emissions, mask)
        return self.log_likelihood(emissions, tags, mask, partial=partial)

    def log_likelihood(self, emissions: Tensor, tags: Tensor, mask: Tensor, *, partial: bool = False) -> Tensor:
        """Return the log-probability of tag sequences; the loss is minus its sum.

        Args:
            emissions: Scores of each tag at each position. (batch, positions, tags)
            tags: Label ids; anything, -100 too, outside the mask. (batch, positions)
            mask: Which positions are scored. (batch, positions) bool
            partial: Whether there may be -100 inside the mask too: a tag that is not known. The probability is then
                that of the known ones, summed over all tags of the others (Tsuboi et al. 2008).

        Returns:
            In nats, at most 0. (batch,)
        """
        with _no_autocast(emissions):
            rows = _Rows.of(mask)
            scores = self._scores(rows, emissions, ILLEGAL)
            gold = rows.pack(tags)  # (batch, words)
            if partial:
                other = (torch.arange(self.num_tags, device=gold.device) != gold[..., None]) & (gold != IGNORED)[
                    ..., None
                ]
                with_gold = scores._replace(emissions=scores.emissions.masked_fill(other, -torch.inf))
                total = _LogPartition.apply(*with_gold, rows)
            else:
                total = _path_score(scores, rows, gold.clamp(min=0))
            return (total - _LogPartition.apply(*scores, rows)).to(_result_dtype(emissions))

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the log partition function (the log-sum-exp of all tag sequences' scores) by the forward algorithm.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool

        Returns:
            (batch,)
        """
        with _no_autocast(emissions):
            rows = _Rows.of(mask)
            return _LogPartition.apply(*self._scores(rows, emissions, ILLEGAL), rows).to(_result_dtype(emissions))

    @torch.no_grad()
    def decode(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the best tag sequence (Viterbi 1967). It has an illegal transition only if no sequence is legal.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool

        Returns:
            Label ids, -100 outside the mask. (batch, positions)
        """
        with _no_autocast(emissions):
            rows = _Rows.of(mask)
            return rows.unpack(_best_path(self._scores(rows, emissions, _NEVER), rows), fill=IGNORED)

    @torch.no_grad()
    def marginals(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the posterior probability of each tag at each position, by forward-backward; not differentiable.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool

        Returns:
            Zeros outside the mask. (batch, positions, tags)
        """
        with _no_autocast(emissions):
            rows = _Rows.of(mask)
            posterior = _forward_backward(self._scores(rows, emissions, ILLEGAL), rows).posterior
            return rows.unpack(posterior, fill=0.0).to(_result_dtype(emissions))

    @torch.no_grad()
    def scores_for_pipeline(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return log-probabilities whose argmax is the Viterbi tag and whose softmax is the posterior marginal.

        `pipeline` takes softmax and argmax of a model's logits. The two aims collide where the best path does not pass
        through a position's most probable tag. There the Viterbi tag is raised to just above that tag, and all are
        normalised: the printed score lies between the marginals of the two, and all other tags keep their ratios.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool

        Returns:
            Normalised; outside the mask the log-softmax of the emissions alone. (batch, positions, tags)
        """
        with _no_autocast(emissions):
            rows, dtype = _Rows.of(mask), _result_dtype(emissions)
            posterior = _forward_backward(self._scores(rows, emissions, ILLEGAL), rows).posterior
            best = _best_path(self._scores(rows, emissions, _NEVER), rows)[..., None]  # (batch, words, 1)
            logs = posterior.clamp(min=torch.finfo(posterior.dtype).tiny).log()
            logs = logs.scatter(-1, best, logs.amax(-1, keepdim=True) + _MARGIN)
            scores = rows.unpack(logs.log_softmax(-1).to(dtype), fill=0.0)
            return torch.where(mask[..., None], scores, emissions.to(dtype).log_softmax(-1))

    def _scores(self, rows: _Rows, emissions: Tensor, illegal: float) -> _Scores:
        """Return all scores of paths, packed and in the dtype of the recursions."""
        dtype = torch.float32 if emissions.device.type == "mps" else torch.float64
        return _Scores(
            rows.pack(emissions).to(dtype),
            self.transitions.to(dtype).masked_fill(~self.legal_step, illegal),
            self.start.to(dtype).masked_fill(~self.legal_start, illegal),
            self.end.to(dtype).masked_fill(~self.legal_end, illegal),
        )


class _Scores(NamedTuple):
    emissions: Tensor  # (batch, words, tags)
    transitions: Tensor  # (tags, tags)
    start: Tensor  # (tags,)
    end: Tensor  # (tags,)


class _Rows(NamedTuple):
    """Positions of each row that are scored; packing moves them to the left."""

    mask: Tensor  # (batch, positions) bool
    rank: Tensor  # which word of its row a position is; anything outside the mask. (batch, positions)
    source: Tensor  # the position of each word, 0 behind a row's last. (batch, words)
    valid: Tensor  # (batch, words) bool
    mirror: Tensor  # the word at the same distance from the row's other end. (batch, words)
    last: Tensor  # a row's last word, 0 for a row without any. (batch, 1)

    @classmethod
    def of(cls, mask: Tensor) -> _Rows:
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


class _Messages(NamedTuple):
    """Messages of forward-backward: `ahead` times `factors` times `back` is the posterior of a transition."""

    log_partition: Tensor  # (batch,)
    posterior: Tensor  # (batch, words, tags)
    ahead: Tensor  # from the left, at all words but the last. (batch, words - 1, tags)
    back: Tensor  # from the right, at all words but the first. (batch, words - 1, tags)
    factors: Tensor  # exponentiated transitions. (tags, tags)


class _LogPartition(torch.autograd.Function):
    """Log partition function whose gradient is the posterior, of tags for emissions and of transitions."""

    @staticmethod
    def forward(ctx: Any, emissions: Tensor, transitions: Tensor, start: Tensor, end: Tensor, rows: _Rows) -> Tensor:
        found = _forward_backward(_Scores(emissions, transitions, start, end), rows)
        ctx.save_for_backward(found.posterior, found.ahead, found.back, found.factors, rows.last)
        return found.log_partition

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        posterior, ahead, back, factors, last = ctx.saved_tensors
        tags = posterior * gradient[:, None, None]
        steps = (ahead * gradient[:, None, None]).flatten(0, 1).T @ back.flatten(0, 1)
        return tags, steps * factors, tags[:, 0].sum(0), _pick(tags, last)[:, 0].sum(0), None


def _forward_backward(scores: _Scores, rows: _Rows) -> _Messages:
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
    return _Messages(
        torch.where(rows.valid[:, 0], log_partition, 0),
        torch.where(rows.valid[..., None], joint / totals, 0),
        torch.where(rows.valid[:, 1:, None], (ahead / totals)[:, :-1], 0),
        torch.where(rows.valid[:, 1:, None], back[:, 1:], 0),
        factors,
    )


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


def _best_path(scores: _Scores, rows: _Rows) -> Tensor:
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


def _path_score(scores: _Scores, rows: _Rows, tags: Tensor) -> Tensor:
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


def _no_autocast(emissions: Tensor) -> contextlib.AbstractContextManager[object]:
    device = emissions.device.type
    return (
        torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else contextlib.nullcontext()
    )


def per_item(total: Tensor, items: Tensor | int) -> Tensor:
    """Return a sum divided by the number of its items, and the sum itself for none: a batch may have no word to score.

    Args:
        total: A scalar.
        items: Their number.
    """
    return total / (items.clamp(min=1) if isinstance(items, Tensor) else max(items, 1))


def has_gaps(labels: Tensor, mask: Tensor) -> bool:
    """Return whether a word has no label; always while a graph is compiled, which cannot depend on it.

    Args:
        labels: Label ids, -100 of a word that is not annotated. (batch, words)
        mask: Where words are. (batch, words) bool
    """
    return torch.compiler.is_compiling() or bool((mask & (labels == IGNORED)).any())


def _result_dtype(emissions: Tensor) -> torch.dtype:
    return torch.promote_types(emissions.dtype, torch.float32)


def _check_shape(name: str, table: Sequence[Any] | None, shape: tuple[int, ...]) -> None:
    if table is None:
        return
    found = (len(table), *{len(row) for row in table}) if len(shape) == 2 else (len(table),)
    if found != shape:
        raise ValueError(f"{name}: its shape is {found}, but for {shape[0]} tags it must be {shape}.")
