"""Fitting the temperature of a tagger on its validation split; see `hf_tagging.models.temperature`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from hf_tagging.data.aligned import IGNORED, AlignedSplit, window_lengths
from hf_tagging.data.batching import WindowCollator
from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.models.precision import exact
from hf_tagging.models.temperature import KEY, TagHead, Temperature

MAX_WORDS = 50_000
_BATCH_SUBWORDS = 2048

# The negative log-likelihood of all words, with scores of tags multiplied by a number.
_Loss = Callable[[Tensor], Tensor]


def fit_temperature(model: nn.Module, split: AlignedSplit, *, pad_token_id: int) -> Temperature | None:
    """Fit the temperature of a model; its weights stay as they are.

    The loss is convex in 1 / temperature. Where there are few words, the temperature stays near 1: its logarithm has a
    normal prior with the standard deviation 1.

    Args:
        model: The tagger.
        split: Aligned words that it was not trained on. About `MAX_WORDS` of them are read, spread over the split.
        pad_token_id: Padding of `input_ids`.

    Returns:
        The temperature; None where the head is none that can be divided, there are no tags, or weights are not finite.
    """
    head = TagHead.of(model)
    if head is None:
        return None
    training = model.training
    model.eval()
    try:
        with exact(model), torch.no_grad():
            loss, words = _loss_of(model, head, split, pad_token_id)
    finally:
        model.train(training)
    return _fit(loss, words) if words else None


def note_temperature(config: object, found: Temperature | None) -> None:
    """Write a temperature into a model's config, in the place of an earlier one."""
    if found is not None:
        setattr(config, KEY, asdict(found))
    elif hasattr(config, KEY):
        delattr(config, KEY)


def _fit(loss: _Loss, words: int) -> Temperature | None:
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=50, tolerance_grad=1e-7, line_search_fn="strong_wolfe")

    def value() -> Tensor:
        return loss((-log_temperature).exp()) / words

    def closure() -> Tensor:
        optimizer.zero_grad()
        objective = value() + log_temperature**2 / (2 * words)
        objective.backward()
        return objective

    before = value().item()
    optimizer.step(closure)
    temperature, after = log_temperature.exp().item(), value().item()
    if not all(map(math.isfinite, (before, after, temperature))) or after > before:
        return None
    return Temperature(temperature, words, before, after)


def _loss_of(model: nn.Module, head: TagHead, split: AlignedSplit, pad_token_id: int) -> tuple[_Loss, int]:
    """Run a model over words, and return their loss by what the scores are multiplied with, and their number."""
    device = next(model.parameters()).device
    batches = _batches(split, pad_token_id, device)
    return (_of_words if head.crf is None else _of_sequences)(model, head, batches)


_Batches = Iterator[tuple[dict[str, Tensor], Tensor, Tensor]]


def _of_words(model: nn.Module, head: TagHead, batches: _Batches) -> tuple[_Loss, int]:
    found: list[Tensor] = []
    gold: list[Tensor] = []
    for inputs, rows, places in batches:
        labels = inputs.pop("labels")[rows, places]
        known = labels != IGNORED
        logits = model(**inputs).logits[rows, places]  # (words, tags)
        if not found and not _is_last(model, head, inputs, logits, (rows, places)):
            return lambda scale: scale, 0
        found.append(logits[known].double())
        gold.append(labels[known])
    if not found:
        return lambda scale: scale, 0
    logits, tags = torch.cat(found), torch.cat(gold)
    return lambda scale: F.cross_entropy(logits * scale.to(logits.device), tags, reduction="sum").cpu(), len(tags)


def _is_last(
    model: nn.Module, head: TagHead, inputs: dict[str, Tensor], logits: Tensor, at: tuple[Tensor, Tensor]
) -> bool:
    """Return whether dividing the head divides the logits: whether nothing comes behind it."""
    with head.divided(2.0):
        halves = model(**inputs).logits[at]
    return torch.allclose(2 * halves, logits, rtol=1e-3, atol=1e-4)


def _of_sequences(model: nn.Module, head: TagHead, batches: _Batches) -> tuple[_Loss, int]:
    crf, calls, words = head.crf, [], 0
    assert crf is not None

    def note_call(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append((args, kwargs))

    hook = crf.register_forward_pre_hook(note_call, with_kwargs=True)
    try:
        for inputs, rows, places in batches:
            words += int((inputs["labels"][rows, places] != IGNORED).sum())
            model(**inputs)
    finally:
        hook.remove()

    def loss(scale: Tensor) -> Tensor:
        return torch.stack([_of_call(crf, scale, args, kwargs) for args, kwargs in calls]).sum().cpu()

    return loss, words


def _of_call(crf: LinearChainCrf, scale: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the loss of a batch, by the scores that the CRF was called with."""
    emissions, *others = args
    scale = scale.to(emissions.device, emissions.dtype)
    weights = {name: weight.detach() * scale for name, weight in crf.named_parameters()}
    likelihood: Tensor = functional_call(crf, weights, (emissions * scale, *others), kwargs)
    return -likelihood.double().sum()


def _batches(split: AlignedSplit, pad_token_id: int, device: torch.device) -> _Batches:
    """Yield batches of windows of like length, spread over a split.

    Yields:
        What a model is called with, and row and position of every word. (words,) each
    """
    lengths, collate = window_lengths(split.features), WindowCollator(pad_token_id)
    step = max(1, math.ceil(int(split.sentence_starts[-1]) / MAX_WORDS))
    chosen = np.argsort(-lengths, kind="stable")[::step]
    while len(chosen):
        size = max(1, _BATCH_SUBWORDS // int(lengths[chosen[0]]))
        windows = [split.features[int(row)] for row in chosen[:size]]
        chosen = chosen[size:]
        starts = [window["word_starts"] for window in windows]
        rows = torch.repeat_interleave(torch.tensor([len(x) for x in starts]))
        places = torch.tensor([place for x in starts for place in x], dtype=torch.long)
        yield {name: x.to(device) for name, x in collate(windows).items()}, rows.to(device), places.to(device)
