"""Smaller vocabularies: which subwords to keep, and a tokenizer of these alone.

A tokenizer cuts a word by the subwords that occur in it. WordPiece takes the longest one each time, Unigram the most
probable path, BPE the earliest merge. If all subwords of the result are kept, with the merges that lead to them, then
what was best among all is best among fewer: the word is cut as before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from hf_tagging.data.casing import generic_tokenizer, marker_ids
from hf_tagging.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")  # of characters that a vocabulary does not have
_UNUSED = re.compile(r"[\[<]unused_?\d+[\]>]")  # rows that were never trained


@dataclass(frozen=True)
class Vocabulary:
    """Subwords of a tokenizer, by what is needed of them.

    Args:
        ids: Id of each subword, without added tokens.
        spelling: Ids of subwords that spell any text: single characters or bytes, and the unknown token.
        by_rank: Ids, the most common subword first, as far as the vocabulary tells: WordPiece by its order, BPE by the
            order of its merges, Unigram by its scores.
        parts: Ids of the subwords that BPE merges into a longer one, by its id.
    """

    ids: dict[str, int]
    spelling: list[int]
    by_rank: list[int]
    parts: dict[int, list[int]] = field(default_factory=dict)

    def with_parts(self, ids: Iterable[int]) -> set[int]:
        """Return ids with those of all subwords that they are merged from."""
        found, todo = set[int](), list(ids)
        while todo:
            if (one := todo.pop()) not in found:
                found.add(one)
                todo += self.parts.get(one, [])
        return found

    def inside(self, pieces: Collection[str], prefix: str) -> set[int]:
        """Return ids of the subwords that occur in strings; `prefix` marks those that continue a word."""
        return {i for word, i in self.ids.items() if any(word.removeprefix(prefix) in piece for piece in pieces)}


def vocabulary_of(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """Return the vocabulary of a tokenizer.

    Args:
        tokenizer: A fast tokenizer.

    Raises:
        ModelError: If it is of a kind that cannot be trimmed.
    """
    model = _content(tokenizer)["model"]
    if model["type"] not in _KINDS:
        raise ModelError(
            f"its vocabulary is of the kind {model['type']}, which cannot be trimmed; {', '.join(_KINDS)} can"
        )
    return _KINDS[model["type"]](model)


def _word_piece(model: dict[str, Any]) -> Vocabulary:
    ids: dict[str, int] = model["vocab"]
    prefix = model["continuing_subword_prefix"]
    spelling = [i for piece, i in ids.items() if len(piece.removeprefix(prefix)) == 1]
    spelling += [ids[model["unk_token"]]] if model["unk_token"] in ids else []
    return Vocabulary(ids, spelling, sorted(ids.values()))


def _unigram(model: dict[str, Any]) -> Vocabulary:
    pieces, scores = zip(*model["vocab"], strict=True)
    spelling = [i for i, piece in enumerate(pieces) if len(piece) == 1 or _BYTE.fullmatch(piece)]
    spelling += [] if model["unk_id"] is None else [model["unk_id"]]
    spelling.append(int(np.argmin(scores)))  # from which the score of unknown characters is computed
    by_rank = np.argsort(-np.array(scores), kind="stable").tolist()
    return Vocabulary({piece: i for i, piece in enumerate(pieces)}, spelling, by_rank)


def _bpe(model: dict[str, Any]) -> Vocabulary:
    ids: dict[str, int] = model["vocab"]
    parts: dict[int, list[int]] = {}
    for first, second in model["merges"]:
        merged = ids[_merged(first, second, model)]
        parts.setdefault(merged, []).extend((ids[first], ids[second]))
    return Vocabulary(ids, [i for i in ids.values() if i not in parts], list(parts), parts)


def _merged(first: str, second: str, model: dict[str, Any]) -> str:
    return first + second.removeprefix(model["continuing_subword_prefix"] or "")


_KINDS = {"WordPiece": _word_piece, "Unigram": _unigram, "BPE": _bpe}


def kept_ids(
    tokenizer: PreTrainedTokenizerBase, used: Iterable[int], *, most_common: int, rows: int
) -> tuple[np.ndarray, int]:
    """Return the ids that a smaller vocabulary keeps, ascending, and how many of them are most common ones. (ids,)

    Args:
        tokenizer: Of all ids.
        used: Ids to keep. Beside them stay all special and added tokens, case markers, and what spells any text.
        most_common: How many more to keep, the most common of the rest.
        rows: Rows of the embedding matrix; ids beyond are left out.
    """
    vocabulary = vocabulary_of(tokenizer)
    added = tokenizer.get_added_vocab().values()
    kept = vocabulary.with_parts([*used, *vocabulary.spelling, *added, *marker_ids(tokenizer).tolist()])
    names = {i: piece for piece, i in vocabulary.ids.items()}
    rest = [i for i in vocabulary.by_rank if i not in kept and not _UNUSED.fullmatch(names[i])]
    common = vocabulary.with_parts(rest[:most_common]) - kept
    ids = np.array(sorted(kept | common), np.int64)
    return ids[ids < rows], len(common)


def inside_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> set[int]:
    """Return the ids of all subwords that occur in words. With them kept, the words are cut as before in any case."""
    backend, pieces = tokenizer.backend_tokenizer, set[str]()
    for word in words:
        plain = backend.normalizer.normalize_str(word) if backend.normalizer else word
        cut = backend.pre_tokenizer.pre_tokenize_str(plain) if backend.pre_tokenizer else [(plain, None)]
        pieces |= {piece for piece, _ in cut}
    prefix = getattr(backend.model, "continuing_subword_prefix", None) or ""
    return vocabulary_of(tokenizer).inside(pieces, prefix)


def trimmed_tokenizer(tokenizer: PreTrainedTokenizerBase, ids: np.ndarray) -> PreTrainedTokenizerBase:
    """Return a tokenizer that has some subwords of another one, and numbers them anew from 0.

    Args:
        tokenizer: A fast tokenizer.
        ids: Ids to keep, ascending, from `kept_ids`. (ids,)

    Raises:
        ModelError: If it cannot be written so.
    """
    content, numbers = _content(tokenizer), {old: new for new, old in enumerate(ids.tolist())}
    _trim_model(content["model"], numbers)
    added = [token for token in content["added_tokens"] if token["id"] in numbers]
    content["added_tokens"] = [token | {"id": numbers[token["id"]]} for token in added]
    content["post_processor"] = _renumbered(content["post_processor"], numbers)
    backend = Tokenizer.from_str(json.dumps(content))
    found = backend.get_vocab(with_added_tokens=True)
    wanted = {piece: numbers[i] for piece, i in tokenizer.get_vocab().items() if i in numbers}
    if found != wanted:
        odd = next(piece for piece in {**found, **wanted} if found.get(piece) != wanted.get(piece))
        raise ModelError(f"its tokenizer cannot be written with fewer subwords: {odd!r} gets another id")
    return generic_tokenizer(tokenizer, backend)


def _content(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Return a ``tokenizer.json`` without truncation and padding, which are the caller's."""
    content: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return content | {"truncation": None, "padding": None}


def _trim_model(model: dict[str, Any], numbers: dict[int, int]) -> None:
    if model["type"] == "Unigram":
        model["vocab"] = [piece for i, piece in enumerate(model["vocab"]) if i in numbers]
        model["unk_id"] = numbers.get(model["unk_id"])
        return
    vocabulary = {piece: numbers[i] for piece, i in model["vocab"].items() if i in numbers}
    model["vocab"] = vocabulary
    if model["type"] == "BPE":
        pairs = model["merges"]
        model["merges"] = [(a, b) for a, b in pairs if {a, b, _merged(a, b, model)} <= vocabulary.keys()]


def _renumbered(step: Any, numbers: dict[int, int]) -> Any:
    """Return a post-processor with other ids: those of templates, and the pairs of token and id of BERT and RoBERTa."""
    if isinstance(step, list):
        return [_renumbered(part, numbers) for part in step]
    if not isinstance(step, dict):
        return step
    new = {name: _renumbered(part, numbers) for name, part in step.items()}
    if step.get("type") in ("BertProcessing", "RobertaProcessing"):
        new |= {name: [step[name][0], numbers[step[name][1]]] for name in ("cls", "sep")}
    if "ids" in step:
        new["ids"] = [numbers[i] for i in step["ids"]]
    return new
