"""Word-level vocabulary as a fast tokenizer, with tables of each id's word vector and spelling.

A known word is one id. A word that training never showed is spelled (``Xyzzy`` -> ``X ##y ##z ##z ##y``), so that its
characters reach the model wherever the tokenizer goes, `pipeline` included. All of it is an ordinary tokenizer.json: a
WordPiece model whose vocabulary holds words, characters and characters behind ``##``, folding
of words as its normalizer, and rules that split running text as its pre-tokenizer. This module builds such a tokenizer;
using one does not need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TypedDict

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_tagging.data.text_pattern import splitting_pattern
from hf_tagging.errors import DataError

PAD, UNK, MASK = "[PAD]", "[UNK]", "[MASK]"
PREFIX = "##"
UNKNOWN_ROW = 1
UNKNOWN_CHARACTER = 1
FIRST_CHARACTER = 2  # the id of characters[0]
LONGEST_SPELLING = 24
_LONGEST_WORD = 100
_OTHER_HASH = "\uff03"
_MOST_ODD_WORDS = 5_000

# An address without its scheme, as in bit.ly/1.
_SHORT = r"(?:[\p{L}\p{N}][\p{L}\p{N}-]{0,62}\.){1,4}(?:com|co|ly|me|be|gl|gd|it|in|tv|fm|us|mp|net|org)/[\p{L}\p{N}]"
_MARK = "\ue000"  # marks the first character of a URL until its end is found
# The first character of a match stays one of its own: `tokenizers` places all that a Replace inserts at the last
# character that it took out, and the word would have no more than that one as its offsets.
_TWEETS = (
    (rf"(?<![\w@#.])(?=(?i:https?://|www\.|{_SHORT}))\S", _MARK),
    (rf"{_MARK}\K(?:\S*[^\s.,;:!?'\")\]}}>»”’])?", "RL"),
    (_MARK, "U"),
    (r"(?<![\w@])@\K[\w\p{N}]+", "user"),
    (r"(?<![\w&#])#\K(?=[\w\p{N}]*\p{L})[\w\p{N}]+", "hashtag"),
)
_TWEET_WORDS = ("URL", "@user", "#hashtag")


@dataclass(frozen=True)
class WordVocabulary:
    """Tokenizer with a row in the table of word vectors and a spelling for each of its ids.

    Args:
        tokenizer: A fast tokenizer.
        vector_of_id: The row of each id: 0 padding, 1 unknown, others as `row_words` says. (ids,) int64
        row_words: Word of each row. (rows,)
        row_counts: Occurrences in training; row 1 counts the words left out of the vocabulary. (rows,) int64
        spelling: The characters of each id, their place in `characters` + 2; 1 is an unknown one, 0 behind the last.
            A subword of more than 24 has its first and last twelve. (ids, characters) int16
        characters: The known characters.
    """

    tokenizer: PreTrainedTokenizerBase
    vector_of_id: np.ndarray
    row_words: list[str] = field(repr=False)
    row_counts: np.ndarray
    spelling: np.ndarray
    characters: list[str] = field(repr=False)


class WordOptions(TypedDict, total=False):
    """Options of `build_word_tokenizer` that say what a word is."""

    min_count: int
    lowercase: bool
    fold_digits: bool
    fold_tweets: bool
    max_words: int | None


def build_word_tokenizer(
    sentences: Iterable[Sequence[str]],
    *,
    min_count: int = 1,
    lowercase: bool = False,
    fold_digits: bool = False,
    fold_tweets: bool = False,
    max_words: int | None = None,
    further: Iterable[str] = (),
    model_max_length: int = 512,
) -> WordVocabulary:
    """Build a vocabulary of words and its tokenizer.

    A word of the vocabulary is always one id, any other is spelled by several, or is ``[UNK]`` if training lacks one of
    its characters; each word starts once. Only a word with white space inside counts as several, as it does in text.
    Given words are never split. Text is, at white space and punctuation, in the spirit of `Tagger.tag_text`; what
    training writes as one word stays one. A text without white space counts as a given word.

    Args:
        sentences: The words of the training split.
        min_count: Words that training has less often are left out.
        lowercase: ``The``, ``the`` and ``THE`` share a row of the word vectors, also where training has only one of
            them; they stay three ids, so that characters and shape keep their case.
        fold_digits: Every digit is read as 0.
        fold_tweets: ``@name``, ``#tag`` and URLs are read as ``@user``, ``#hashtag`` and ``URL``.
        max_words: Keep the most frequent ones only.
        further: Words that are known besides, such as those of a file of word vectors. Left out are those with white
            space, and those that folding would change.
        model_max_length: Subwords that the model takes at once.

    Raises:
        DataError: If there is no word.
    """
    normalizer = _normalizer(fold_digits=fold_digits, fold_tweets=fold_tweets)
    counts = _normalized_counts(Counter(chain.from_iterable(sentences)), normalizer)
    if not counts:
        raise DataError("the training split has no words, so there is no vocabulary to build.")
    pre_tokenizer = _pre_tokenizer(counts)
    fold: Callable[[str], str] = str.lower if lowercase else str
    rows = _rows(counts, fold, min_count, max_words, _TWEET_WORDS if fold_tweets else ())
    for word in further:
        if _is_one_word(word, normalizer):
            rows.setdefault(fold(word), 0)
    row_of_form = _forms(rows, counts, lowercase=lowercase)
    characters = _alphabet(counts)
    subwords = [PAD, UNK, MASK, *row_of_form, *characters, *(PREFIX + character for character in characters)]
    ids = {subword: i for i, subword in enumerate(dict.fromkeys(subwords))}
    tokenizer = _word_tokenizer(ids, normalizer, pre_tokenizer, model_max_length)
    special = {PAD: 0, UNK: UNKNOWN_ROW, MASK: 2}
    row_counts = np.array([0, counts.total() - sum(rows.values()), 0, *rows.values()], np.int64)
    vector_of_id = np.fromiter((special.get(p, row_of_form.get(p, UNKNOWN_ROW)) for p in ids), np.int64, len(ids))
    texts = [subword[len(PREFIX) :] if subword.startswith(PREFIX) else subword for subword in ids]
    return WordVocabulary(
        tokenizer,
        vector_of_id,
        [PAD, UNK, MASK, *rows],
        row_counts,
        _spelling(["", None, None, *texts[3:]], characters),
        characters,
    )


def _word_tokenizer(
    ids: dict[str, int],
    normalizer: normalizers.Normalizer,
    pre_tokenizer: pre_tokenizers.PreTokenizer,
    model_max_length: int,
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(
        models.WordPiece(
            ids, unk_token=UNK, continuing_subword_prefix=PREFIX, max_input_chars_per_word=_LONGEST_WORD
        )
    )  # fmt: skip
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizer
    backend.decoder = decoders.WordPiece(prefix=PREFIX, cleanup=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNK,
        mask_token=MASK,
        padding_side="right",
        model_max_length=model_max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def describe_tokenizer(tokenizer: PreTrainedTokenizerBase) -> WordVocabulary:
    """Return the tables of any other fast tokenizer: every id has a row and characters of its own.

    Args:
        tokenizer: WordPiece, byte-level BPE or SentencePiece. Bytes that are no whole character are unknown ones.
    """
    size = max(tokenizer.get_vocab().values(), default=-1) + 1
    names = tokenizer.convert_ids_to_tokens(list(range(size)))
    special = set(tokenizer.all_special_ids)
    pad = tokenizer.pad_token_id
    read = _subword_reader(tokenizer)
    texts: list[str | None] = []
    words: list[str] = []
    for i, name in enumerate(names):
        if name is None or i in special:
            texts.append("" if i == pad else None)
            words.append(name or "")
        else:
            text, starts = read(name)
            texts.append(text or None)
            words.append(text if starts else PREFIX + text)  # "ing" inside words is not the word "ing"
    characters = sorted(set("".join(text for text in texts if text)) - {"\ufffd"})
    before = [] if 0 in special else ["", ""]  # row 0 never learns, so no subword of a word may have it
    return WordVocabulary(
        tokenizer,
        np.arange(size, dtype=np.int64) + len(before),
        before + words,
        np.zeros(len(before) + size, np.int64),
        _spelling(texts, characters),
        characters,
    )


def _normalizer(*, fold_digits: bool, fold_tweets: bool) -> normalizers.Normalizer:
    steps = [normalizers.Replace(Regex(pattern), word) for pattern, word in _TWEETS] if fold_tweets else []
    steps += [normalizers.Replace(Regex(r"\p{Nd}"), "0")] if fold_digits else []
    # A word such as ### would be taken for a character behind the prefix: its second # becomes one that looks alike.
    steps.append(normalizers.Replace(PREFIX, f"#{_OTHER_HASH}"))
    return normalizers.Sequence(steps) if len(steps) > 1 else steps[0]


def _normalized_counts(raw: Counter[str], normalizer: normalizers.Normalizer) -> Counter[str]:
    """Count the training words as the tokenizer will see them; the most frequent first."""
    counts: Counter[str] = Counter()
    for word, count in raw.items():
        normal = word if word.isalpha() else normalizer.normalize_str(word)
        for part in [normal] if normal.isalnum() else normal.split():
            counts[part] += count
    return Counter(dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))


def _is_one_word(word: str, normalizer: normalizers.Normalizer) -> bool:
    """Return whether a word can be in the vocabulary as it is."""
    if len(word) > _LONGEST_WORD or word in (PAD, UNK, MASK) or len(word.split()) != 1:
        return False
    return word.isalpha() or normalizer.normalize_str(word) == word


def _pre_tokenizer(counts: Counter[str]) -> pre_tokenizers.PreTokenizer:
    """Return a pre-tokenizer that splits text by rules but keeps words of training whole."""

    def split(words: Sequence[str] = ()) -> pre_tokenizers.PreTokenizer:
        return pre_tokenizers.Split(Regex(splitting_pattern(words)), behavior="removed", invert=True)

    by_rules = split()
    odd = (word for word in counts if _may_be_odd(word, counts))
    kept = [word for word in odd if len(by_rules.pre_tokenize_str(f"a {word}")) > 2]
    return split(kept[:_MOST_ODD_WORDS]) if kept else by_rules


def _may_be_odd(word: str, counts: Counter[str]) -> bool:
    """Return whether a word is kept whole in text: if it is frequent or looks like an abbreviation."""
    if word.isalnum() or len(word) > _LONGEST_WORD:
        return False
    if word.endswith("."):  # "Corp." is a word; "end." is none where training mostly has "end" and "." apart
        bare = word[:-1]
        return counts[word] > max(counts[bare], not bare.isalpha())
    return counts[word] > 1


def _rows(
    counts: Counter[str], fold: Callable[[str], str], min_count: int, max_words: int | None, always: Sequence[str]
) -> dict[str, int]:
    """Return the words that get a vector, with their counts; the most frequent first."""
    folded: Counter[str] = Counter()
    for word, count in counts.items():
        if len(word) <= _LONGEST_WORD and word not in (PAD, UNK, MASK):
            folded[fold(word)] += count
    frequent = [(word, count) for word, count in folded.most_common(max_words) if count >= min_count]
    return dict(frequent) | {fold(word): folded[fold(word)] for word in always}


def _forms(rows: dict[str, int], counts: Counter[str], *, lowercase: bool) -> dict[str, int]:
    """Return every form of a word of the vocabulary, and its row."""
    row = {word: i for i, word in enumerate(rows, 3)}
    if not lowercase:
        return row
    forms = {word: row[word.lower()] for word in counts if word.lower() in row}
    for word, i in row.items():
        for form in (word, word.capitalize(), word.upper()):
            forms.setdefault(form, i)
    return {form: i for form, i in sorted(forms.items(), key=lambda item: item[1]) if len(form) <= _LONGEST_WORD}


def _alphabet(counts: Counter[str]) -> list[str]:
    """Return the characters of training, of ASCII, and the letters of Latin-1."""
    latin = (chr(code) for code in range(0xC0, 0x100) if chr(code).isalpha())
    ascii = (chr(code) for code in range(0x21, 0x7F))
    return sorted({*"".join(counts), *ascii, *latin, _OTHER_HASH})


def _spelling(texts: Sequence[str | None], characters: Sequence[str]) -> np.ndarray:
    """Return the characters of texts as ids, None as one unknown character. (texts, at most 24) int16"""
    number = {character: i for i, character in enumerate(characters, FIRST_CHARACTER)}
    half = LONGEST_SPELLING // 2
    rows = [[UNKNOWN_CHARACTER] if text is None else [number.get(c, UNKNOWN_CHARACTER) for c in text] for text in texts]
    rows = [row if len(row) <= LONGEST_SPELLING else row[:half] + row[-half:] for row in rows]
    table = np.zeros((len(rows), max(map(len, rows))), np.int16)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


def _subword_reader(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], tuple[str, bool]]:
    """Return a function from a subword to its text and whether it starts a word."""
    backend = tokenizer.backend_tokenizer
    prefix = getattr(backend.model, "continuing_subword_prefix", None)
    if isinstance(backend.model, models.WordPiece):
        return lambda name: (name.removeprefix(prefix or PREFIX), not name.startswith(prefix or PREFIX))
    if "ByteLevel" in f"{backend.pre_tokenizer!r}{backend.decoder!r}":
        byte_of = _byte_of_symbol()

        def from_bytes(name: str) -> tuple[str, bool]:
            if any(symbol not in byte_of for symbol in name):  # an added token stands as it is
                return name.strip(), True
            text = bytes(byte_of[symbol] for symbol in name).decode("utf-8", errors="replace")
            return text.strip(), text[:1].isspace()

        return from_bytes
    return lambda name: (name.removeprefix("▁"), name.startswith("▁"))


def _byte_of_symbol() -> dict[str, int]:
    """Return the byte of each symbol of byte-level BPE: Latin-1, or from U+0100 on if that is not visible."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (byte for byte in range(256) if byte not in set(visible))
    return {chr(byte): byte for byte in visible} | {chr(0x100 + i): byte for i, byte in enumerate(hidden)}
