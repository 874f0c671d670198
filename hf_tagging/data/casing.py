"""Case markers: the casing of words, for encoders whose tokenizer writes everything in lower case.

An uncased tokenizer reads ``Paris`` as ``paris`` and ``US`` as ``us``, and loses what tells a name from a word. A
marker is a subword of its own before each word that begins with a capital letter: ``⇧ paris``, ``⇑ us``. That
uppercase words are worth marking is shown by Cabrera-Diego, Moreno and Doucet (2021, "Using a Frustratingly Easy Domain
and Tagset Adaptation for Creating Slavic Named Entity Recognition Systems").

The tokenizer writes the markers itself, by steps in front of its own normalizer that ``tokenizer.json`` keeps. So
`pipeline`, ONNX and every other user of the saved folder see them, without code of this package:

1. A map of characters puts a marker before every capital letter. What it inserts keeps the letter's offsets, so that an
   entity that begins with a marker begins where its first letter does.
2. Markers within a word are dropped; of a word in capitals, the first becomes ``⇑``.
3. Blanks around markers make them pre-tokens of their own.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, normalizers

from hf_tagging.data.charsmap import charsmap
from hf_tagging.errors import ModelError
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CAPITAL, CAPITALS = "⇧", "⇑"  # Paris; NATO
MARKERS = (CAPITAL, CAPITALS)
_OF_TEXTS = "↑"  # what the signs become where a text itself has them
_BASE = r"[\p{Lu}\p{Lt}\p{Ll}\p{N}]"  # a word ends where Han begins, which has no case
_CASED = r"[\p{Lu}\p{Lt}\p{Ll}\p{M}\p{N}]"
# A mark belongs to the word if its letter does: those of Thai vowels and the selector of an emoji do not.
_WITH_MARKS = "|".join(_BASE + r"\p{M}" * marks for marks in range(5))  # a look behind has a fixed width
_INSIDE = rf"(?<={_WITH_MARKS}){CAPITAL}"
_ALL = rf"{CAPITAL}(?=\p{{Lu}}[\p{{M}}\p{{N}}]*\p{{Lu}}[\p{{Lu}}\p{{M}}\p{{N}}]*(?!{_CASED}))"
_PRINTED = f"[{CAPITAL}{CAPITALS}] ?|^ +| +(?= |$)"  # of markers, and of blanks that they leave
_UNUSED = "[unused{}]"  # rows of BERT's vocabulary that were never trained
_PROBES = (("paris", "Paris"), ("nato", "NATO"), ("москва", "Москва"))


def is_uncased(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether a tokenizer gives a word the same subwords with and without capital letters."""
    pairs = [(tokenizer.tokenize(lower), tokenizer.tokenize(cased)) for lower, cased in _PROBES]
    known = [(lower, cased) for lower, cased in pairs if {*lower, *cased} - {tokenizer.unk_token}]
    return bool(known) and all(lower == cased for lower, cased in known)


def marker_ids(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Return the ids of the case markers that a tokenizer writes, none for one that writes none. (markers,)"""
    vocabulary = tokenizer.get_vocab()
    ids = (vocabulary.get(subword) for marker in MARKERS for subword in (marker, "▁" + marker))
    known = np.array([i for i in ids if i is not None], np.int64)
    if not len(known):
        return known
    encode = tokenizer.backend_tokenizer.encode
    marked, plain = (encode([w], is_pretokenized=True, add_special_tokens=False).ids[:1] for w in ("Paris", "paris"))
    return known if np.isin(marked, known).any() and not np.isin(plain, known).any() else known[:0]


def behind_markers(ids: np.ndarray, markers: np.ndarray) -> np.ndarray:
    """Return which subwords follow a case marker. (subwords,) bool

    Args:
        ids: Of windows, one after the other. (subwords,)
        markers: Ids of the case markers. (markers,)
    """
    behind = np.zeros(len(ids), bool)
    behind[1:] = np.isin(ids[:-1], markers)
    return behind


def with_case_markers(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Return a tokenizer that writes case markers.

    Args:
        tokenizer: A fast tokenizer with a WordPiece or Unigram vocabulary. A WordPiece vocabulary with unused rows
            gives two of them to the markers, so that the encoder keeps its size; else two ids follow the last.

    Returns:
        A new tokenizer of the generic class: the classes of Transformers that are named after a model build their
        normalizer anew when they are loaded (transformers 5.23), and would lose the markers. A tokenizer with markers
        is returned as it is.

    Raises:
        ModelError: If the vocabulary is of another kind, or the tokenizer is not a fast one.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{argument('casing', 'markers')}: {type(tokenizer).__name__} is not a fast tokenizer.")
    if len(marker_ids(tokenizer)):
        return tokenizer
    backend = Tokenizer.from_str(json.dumps(_with_marker_rows(json.loads(tokenizer.backend_tokenizer.to_str()))))
    backend.no_truncation()
    backend.no_padding()
    own = [] if backend.normalizer is None else [backend.normalizer]
    backend.normalizer = normalizers.Sequence([*_steps(), *own])
    own_decoder = [] if backend.decoder is None else [backend.decoder]
    leave_out = decoders.Replace(Regex(_PRINTED), "")
    backend.decoder = decoders.Sequence([*own_decoder, decoders.Fuse(), leave_out])
    return generic_tokenizer(tokenizer, backend)


def _steps() -> list[normalizers.Normalizer]:
    """Return what turns capital letters into markers, before a tokenizer's own normalizer."""
    return [
        normalizers.NFC(),  # the map replaces a letter with the accents that follow it
        normalizers.Precompiled(_map()),
        normalizers.Replace(Regex(_INSIDE), ""),
        normalizers.Replace(Regex(_ALL), CAPITALS),
        *(normalizers.Replace(marker, f" {marker} ") for marker in MARKERS),
    ]


@cache
def _map() -> bytes:
    characters = map(chr, range(0x110000))
    capitals = {c: CAPITAL + c for c in characters if unicodedata.category(c) in ("Lu", "Lt")}
    return charsmap(capitals | dict.fromkeys(MARKERS, _OF_TEXTS))


def _with_marker_rows(tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Give the markers an id each in a ``tokenizer.json``, and leave every other id as it is."""
    model, added = tokenizer["model"], tokenizer.get("added_tokens") or []
    kind, vocabulary = model.get("type"), model.get("vocab")
    taken = max((token["id"] for token in added), default=-1)
    if kind == "WordPiece":
        unused = (name for name in map(_UNUSED.format, range(1000)) if name in vocabulary)
        free = [name for name in unused if vocabulary[name] not in {token["id"] for token in added}]
        vocabulary |= {token["content"]: token["id"] for token in added}  # else they move behind the markers
        for marker in MARKERS:
            vocabulary[marker] = vocabulary.pop(free.pop(0)) if free else max(vocabulary.values()) + 1
    elif kind == "Unigram" and taken < len(vocabulary):  # whose ids are places: the next ones are free
        vocabulary += [["▁" + marker, 0.0] for marker in MARKERS]
    else:
        what = f"is of the kind {kind}" if kind != "Unigram" else "has added tokens behind its vocabulary"
        raise ModelError(
            f"{argument('casing', 'markers')}: markers go with WordPiece and Unigram vocabularies, and this tokenizer "
            f"{what}. Give {argument('casing', 'none')}."
        )
    return tokenizer


def generic_tokenizer(tokenizer: PreTrainedTokenizerBase, backend: Tokenizer) -> PreTrainedTokenizerBase:
    """Return a tokenizer of the generic class with the special tokens and settings of another one."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        clean_up_tokenization_spaces=tokenizer.clean_up_tokenization_spaces,
        **tokenizer.special_tokens_map,
    )
