"""A linear-chain conditional random field: the likelihood, the best path and the marginals of whole tag sequences.

Lafferty, McCallum and Pereira 2001; as a layer over a network, Lample et al. 2016. This file is copied beside saved
models, so it imports nothing of this package.

Sums over paths and best paths are computed in `crf_recursions.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .crf_recursions import Chain, LogPartition, Rows, Scores, best_path, forward_backward, log_marginals, path_score

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

    def forward(
        self,
        emissions: Tensor,
        mask: Tensor,
        tags: Tensor | None = None,
        *,
        partial: bool = False,
        borders: Tensor | None = None,
    ) -> Tensor:
        """Return `log_likelihood` of tags if there are any, else `scores_for_pipeline`.

        Hooks of a module (DeepSpeed's gathering of parameters, PEFT's wrapper) run only for calls of the module itself.
        """
        if tags is None:
            return self.scores_for_pipeline(emissions, mask, borders=borders)
        return self.log_likelihood(emissions, tags, mask, partial=partial, borders=borders)

    def log_likelihood(
        self,
        emissions: Tensor,
        tags: Tensor,
        mask: Tensor,
        *,
        partial: bool = False,
        borders: Tensor | None = None,
    ) -> Tensor:
        """Return the log-probability of tag sequences; the loss is minus its sum.

        Args:
            emissions: Scores of each tag at each position. (batch, positions, tags)
            tags: Label ids; anything, -100 too, outside the mask. (batch, positions)
            mask: Which positions are scored. (batch, positions) bool
            partial: Whether there may be -100 inside the mask too: a tag that is not known. The probability is then
                that of the known ones, summed over all tags of the others (Tsuboi et al. 2008).
            borders: Positions outside the mask at which one sequence ends and the next one begins: a row is then
                several sequences, and its log-probability the sum of theirs. Only with `partial`. (batch, positions)
                bool

        Returns:
            In nats, at most 0. (batch,)
        """
        with _no_autocast(emissions):
            rows = _rows(mask, borders)
            scores = self._scores(rows, emissions, ILLEGAL, borders)
            gold = rows.pack(tags)  # (batch, words)
            if partial:
                every = torch.arange(scores.emissions.shape[-1], device=gold.device)
                other = (every != gold[..., None]) & (gold != IGNORED)[..., None]
                with_gold = scores._replace(emissions=scores.emissions.masked_fill(other, -torch.inf))
                total = LogPartition.apply(*with_gold, rows)
            else:
                total = path_score(scores, rows, gold.clamp(min=0))
            return (total - LogPartition.apply(*scores, rows)).to(_result_dtype(emissions))

    def log_partition(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Return the log partition function (the log-sum-exp of all tag sequences' scores) by the forward algorithm.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool

        Returns:
            (batch,)
        """
        with _no_autocast(emissions):
            rows = Rows.of(mask)
            return LogPartition.apply(*self._scores(rows, emissions, ILLEGAL), rows).to(_result_dtype(emissions))

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
            rows = Rows.of(mask)
            return rows.unpack(best_path(self._scores(rows, emissions, _NEVER), rows), fill=IGNORED)

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
            rows = Rows.of(mask)
            posterior = forward_backward(self._scores(rows, emissions, ILLEGAL), rows).posterior
            return rows.unpack(posterior, fill=0.0).to(_result_dtype(emissions))

    def log_marginals(
        self, emissions: Tensor, mask: Tensor, *, temperature: float = 1.0, borders: Tensor | None = None
    ) -> Tensor:
        """Return the logarithms of `marginals`, which can be differentiated; slower.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool
            temperature: All scores are divided by it.
            borders: See `log_likelihood`.

        Returns:
            Zeros outside the mask. (batch, positions, tags)
        """
        with _no_autocast(emissions):
            rows = _rows(mask, borders)
            scores = Scores(*(score / temperature for score in self._scores(rows, emissions, ILLEGAL, borders)))
            logs = rows.unpack(log_marginals(scores, rows)[..., : self.num_tags], fill=0.0)
            return torch.where(mask[..., None], logs, 0.0).to(_result_dtype(emissions))

    @torch.no_grad()
    def scores_for_pipeline(self, emissions: Tensor, mask: Tensor, *, borders: Tensor | None = None) -> Tensor:
        """Return log-probabilities whose argmax is the Viterbi tag and whose softmax is the posterior marginal.

        `pipeline` takes softmax and argmax of a model's logits. The two aims collide where the best path does not pass
        through a position's most probable tag. There the Viterbi tag is raised to just above that tag, and all are
        normalised: the printed score lies between the marginals of the two, and all other tags keep their ratios.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool
            borders: See `log_likelihood`.

        Returns:
            Normalised; outside the mask the log-softmax of the emissions alone. (batch, positions, tags)
        """
        with _no_autocast(emissions):
            rows, dtype = _rows(mask, borders), _result_dtype(emissions)
            posterior = forward_backward(self._scores(rows, emissions, ILLEGAL, borders), rows).posterior
            scores = rows.unpack(self._shown(rows, emissions, posterior, borders).to(dtype), fill=0.0)
            return torch.where(mask[..., None], scores, emissions.to(dtype).log_softmax(-1))

    @torch.no_grad()
    def chain(self, emissions: Tensor, mask: Tensor, *, borders: Tensor | None = None) -> Chain:
        """Return the probabilities of whole tag sequences as a Markov chain, which the posterior of a CRF is.

        Args:
            emissions: (batch, positions, tags)
            mask: (batch, positions) bool
            borders: See `log_likelihood`.
        """
        with _no_autocast(emissions):
            rows, tags = _rows(mask, borders), self.num_tags
            found = forward_backward(self._scores(rows, emissions, ILLEGAL, borders), rows)
            scores = self._shown(rows, emissions, found.posterior, borders).to(_result_dtype(emissions))
            sequence = None if borders is None else rows.pack(borders).cumsum(1)
            posterior, back, factors = found.posterior[..., :tags], found.back[..., :tags], found.factors[:tags, :tags]
            return Chain(scores, posterior, back, factors, rows.rank, sequence)

    def _shown(self, rows: Rows, emissions: Tensor, posterior: Tensor, borders: Tensor | None) -> Tensor:
        """Return the log-probabilities of `scores_for_pipeline`, packed. (batch, words, tags)"""
        best = best_path(self._scores(rows, emissions, _NEVER, borders), rows)[..., None]  # (batch, words, 1)
        logs = posterior.clamp(min=torch.finfo(posterior.dtype).tiny).log()
        logs = logs.scatter(-1, best, logs.amax(-1, keepdim=True) + _MARGIN)
        return logs[..., : self.num_tags].log_softmax(-1)

    def _scores(self, rows: Rows, emissions: Tensor, illegal: float, borders: Tensor | None = None) -> Scores:
        """Return all scores of paths, packed and in the dtype of the recursions."""
        dtype = torch.float32 if emissions.device.type == "mps" else torch.float64
        scores = Scores(
            rows.pack(emissions).to(dtype),
            self.transitions.to(dtype).masked_fill(~self.legal_step, illegal),
            self.start.to(dtype).masked_fill(~self.legal_start, illegal),
            self.end.to(dtype).masked_fill(~self.legal_end, illegal),
        )
        return scores if borders is None else _with_borders(scores, rows.pack(borders))


def _rows(mask: Tensor, borders: Tensor | None) -> Rows:
    return Rows.of(mask if borders is None else mask | borders)


def _with_borders(scores: Scores, border: Tensor) -> Scores:
    """Return scores with one more tag, which borders have and no word has: a step to it ends a sequence.

    So the paths over a row are those over its sequences, each with its own first and last tag, in the same recursion.

    Args:
        scores: Of a row as one sequence.
        border: Which of its positions are borders. (batch, words) bool
    """
    emissions, transitions, start, end = scores
    only = torch.where(border, 0.0, -torch.inf).to(emissions.dtype)[..., None]
    free = start.new_zeros(1)
    return Scores(
        torch.cat([emissions.masked_fill(border[..., None], -torch.inf), only], -1),
        torch.cat([torch.cat([transitions, end[:, None]], 1), torch.cat([start, free])[None]]),
        torch.cat([start, free]),
        torch.cat([end, free]),
    )


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
