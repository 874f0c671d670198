"""Tokenizers that are given words which are split already."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase

from hf_tagging.errors import ModelError


def prepare_tokenizer(tokenizer: PreTrainedTokenizerBase) -> tuple[PreTrainedTokenizerBase, str]:
    """Makes a tokenizer treat words that are already split as it treats them in text.

    Byte-level tokenizers mark the space before a word (``Ġthe``). With `add_prefix_space` off they take pre-split words
    without an error, but without the mark too, as a model has only seen the first word of a text; ModernBERT loses a
    point of F1 by it. What counts is behaviour, not the name of a class: a word must come out of a list of words as it
    comes out of running text.

    Returns:
        The tokenizer, its pre-tokenizer's `add_prefix_space` set where that helps, and a string that has to stand
        before every word where it does not: ``""`` or ``" "``.

    Raises:
        ModelError: If the tokenizer is not a fast one.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{type(tokenizer).__name__} is not a fast tokenizer, so it cannot say which subword belongs to which "
            "word. Use a model that ships a tokenizer.json."
        )
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # what a folder without tokenizer files loads as
        raise ModelError("The tokenizer has no words at all: the model's folder lacks its tokenizer.json.")
    if _splits_like_text(tokenizer, ""):
        return tokenizer, ""
    steps = tokenizer.backend_tokenizer.pre_tokenizer
    for step in _flatten(steps):
        if hasattr(step, "add_prefix_space"):
            step.add_prefix_space = True
    if _splits_like_text(tokenizer, ""):
        return tokenizer, ""
    return tokenizer, " " if _splits_like_text(tokenizer, " ") else ""


def _flatten(step: Any) -> list[Any]:
    """The steps of a pre-tokenizer, which may be a sequence of them."""
    if type(step).__name__ != "Sequence":
        return [step] if step is not None else []
    return [inner for i in range(len(step)) for inner in _flatten(step[i])]


def _splits_like_text(tokenizer: PreTrainedTokenizerBase, lead: str) -> bool:
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    probe = ["the", "house", "in", "the", "street"]
    split = backend.encode([lead + word for word in probe], is_pretokenized=True, add_special_tokens=False)
    text = backend.encode(" ".join(probe), add_special_tokens=False)
    after_first = [i for i, word in zip(split.ids, split.word_ids, strict=True) if word]
    return bool(after_first) and text.ids[-len(after_first) :] == after_first


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The ids that the tokenizer puts before and after a sentence."""
    encoding = tokenizer.backend_tokenizer.encode(["a"], is_pretokenized=True)
    inside = [i for i, word in enumerate(encoding.word_ids) if word is not None]
    return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]


def unknown_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """The id that stands for a word without subwords.

    Raises:
        ModelError: If the tokenizer has no token that could.
    """
    for token in (
        tokenizer.unk_token_id,
        tokenizer.mask_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    ):
        if token is not None:
            return token
    raise ModelError("The tokenizer has no unknown, mask, end or padding token to stand for a word without subwords.")
