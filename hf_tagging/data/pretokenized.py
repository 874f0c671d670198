"""Tokenizers for words that are already split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_tagging.data.casing import marker_ids
from hf_tagging.errors import ModelError
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

OUTSIDE, STARTS, CONTINUES, MARKS = 0, 1, 2, 3  # what a subword is to words, see `subword_kinds`
_SPACES = "\u0120\u2581"  # how byte-level BPE and SentencePiece write the space before a word
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # a byte of a character that SentencePiece does not know


def prepare_tokenizer(tokenizer: PreTrainedTokenizerBase) -> tuple[PreTrainedTokenizerBase, str]:
    """Make a tokenizer treat pre-split words as it treats words in text.

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
    """Return the steps of a pre-tokenizer, which may be a sequence of them."""
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
    """Return the ids that the tokenizer adds before and after a sentence."""
    encoding = tokenizer.backend_tokenizer.encode(["a"], is_pretokenized=True)
    inside = [i for i, word in enumerate(encoding.word_ids) if word is not None]
    return encoding.ids[: inside[0]], encoding.ids[inside[-1] + 1 :]


def unknown_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id for words without subwords.

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
    raise ModelError("The tokenizer has no unknown, mask, end or padding token for a word without subwords.")


def separator_token(tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the id that stands between two sentences of a window.

    Raises:
        ModelError: If the tokenizer has no token that could.
    """
    for token in (tokenizer.sep_token_id, tokenizer.eos_token_id):
        if token is not None:
            return token
    raise ModelError(
        f"{argument('context', 'document')}: the tokenizer has neither a separator nor an end token to put between "
        f"the sentences of a window. Leave {argument('context')} out."
    )


def uninformative_tokens(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Return the ids that say nothing of a word: the unknown token, marks of the space before it and of case. (ids,)"""
    vocabulary = tokenizer.get_vocab()
    ids = [tokenizer.unk_token_id, *map(vocabulary.get, _SPACES), *marker_ids(tokenizer).tolist()]
    return np.array([i for i in ids if i is not None], np.int64)


def subword_kinds(tokenizer: PreTrainedTokenizerBase, *, size: int | None = None, marks: bool = False) -> np.ndarray:
    """Return the kind of each id of a vocabulary, so that a model can find words from its input ids alone.

    WordPiece says it outright (``##ing``); the others mark the space before a word, and what has no mark continues one.
    Punctuation always starts a word: in running text no space stands before it, and BERT's own tokenizer, too, cuts it
    off and makes no mark.

    Args:
        tokenizer: A fast tokenizer. Made right for words that are already split (`prepare_tokenizer`).
        size: Rows of the model's embeddings, where they are more than the tokenizer's ids; those beyond are 1.
        marks: Tell case markers apart; without, they start a word of their own.

    Returns:
        0: outside words (padding, the tokens around a sentence), 1: starts a word (the unknown token and the
        mask too), 2: continues one, 3: starts one that the next subword continues (a case marker, with `marks`).
        (ids,) int8

    Raises:
        ModelError: If the tokenizer is not a fast one.
    """
    prepared, lead = prepare_tokenizer(tokenizer)
    kinds = np.full(max(len(prepared), size or 0), STARTS, np.int8)
    continues = _continues(prepared, lead)
    kinds[[i for subword, i in prepared.get_vocab().items() if continues(subword)]] = CONTINUES
    before, after = special_tokens(prepared)
    named = set(prepared.all_special_ids)
    kinds[[*named]] = OUTSIDE
    words = {prepared.unk_token_id, prepared.mask_token_id} - {None, prepared.pad_token_id, *before, *after}
    kinds[[*words]] = STARTS
    if marks:
        kinds[marker_ids(prepared)] = MARKS
    return kinds


def _continues(tokenizer: PreTrainedTokenizerBase, lead: str) -> Callable[[str], bool]:
    """Return whether a subword, in the spelling of the vocabulary, continues a word."""
    backend = tokenizer.backend_tokenizer
    if prefix := getattr(backend.model, "continuing_subword_prefix", None):
        return lambda subword: subword.startswith(prefix)
    probe = backend.encode([lead + "a", lead + "a"], is_pretokenized=True, add_special_tokens=False)
    space = next((subword[0] for subword, word in zip(probe.tokens, probe.word_ids, strict=True) if word), "")
    if space not in _SPACES or not space:  # whole words, or a mark at their ends: nothing is known to continue one
        return lambda subword: False

    def unmarked(subword: str) -> bool:
        first = subword[:1]
        # Byte-level BPE writes bytes as characters, and of those only ASCII ones are what they look like.
        mark = unicodedata.category(first or "a")[0] in "PS" and (space == _SPACES[1] or first.isascii())
        return first != space and (not mark or _BYTE.fullmatch(subword) is not None)

    return unmarked
