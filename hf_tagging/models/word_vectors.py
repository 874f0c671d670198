"""Pretrained word vectors: word2vec, GloVe and fastText files, and their coverage of a vocabulary.

What a file is, is found by looking into it; its name does not count. A file of vectors is untrusted input, so only
formats of plain numbers are read. gensim's own `save` format is a pickle, which can run code, and is refused.
"""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_tagging.data.files import missing_path
from hf_tagging.data.spool import Spool
from hf_tagging.errors import ConfigError, DataError
from hf_tagging.models.word_tokenizer import WordVocabulary

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

_FASTTEXT = struct.pack("<i", 793_712_314)  # fasttext.cc: FASTTEXT_FILEFORMAT_MAGIC_INT32
_GZIP, _PICKLE, _ZIP, _NUMPY = b"\x1f\x8b", b"\x80", b"PK\x03\x04", b"\x93NUMPY"
_LONGEST_LINE = 1 << 20
_BLOCK = 10_000
_BEST_COMPRESSION = 1032  # of gzip: what a file's size still says of its content
# GloVe's vectors of tweets have names of their own for what a tokenizer folds (preprocess-twitter.py).
_OTHER_NAMES = {"@user": "<user>", "#hashtag": "<hashtag>", "URL": "<url>", "url": "<url>"}


@dataclass(frozen=True)
class Coverage:
    """Coverage of a vocabulary by a file of word vectors.

    Args:
        words: Words of the vocabulary.
        exact: Of these, found as they are written.
        by_case: Found in lower case, capitalised or in capitals, or by another name.
        composed: Put together from the n-grams of their characters (fastText).
        missing: Not found; their vectors are random.
        tokens: Share of the words of training, counted with repetition, that are not missing; NaN where
            nothing was counted.
    """

    words: int
    exact: int
    by_case: int
    composed: int
    missing: int
    tokens: float

    def describe(self) -> str:
        """Return a summary in one line."""
        found = self.words - self.missing
        parts = [f"{self.exact:,} as written", f"{self.by_case:,} in another case"]
        parts += [f"{self.composed:,} composed from n-grams"] if self.composed else []
        text = "" if np.isnan(self.tokens) else f", {self.tokens:.1%} of the words in training"
        share = found / max(self.words, 1)
        return f"vectors for {found:,} of {self.words:,} words ({share:.1%}: {', '.join(parts)}){text}"


def initial_vectors(
    path: str | Path,
    vocabulary: WordVocabulary,
    *,
    size: int | None = None,
    generator: np.random.Generator | None = None,
    vectors: KeyedVectors | None = None,
) -> tuple[np.ndarray, Coverage]:
    """Return the initial table of word vectors of a vocabulary.

    Args:
        path: What `read_vectors` reads.
        vocabulary: Its words.
        size: Dimensions that are expected. Default: those of the file.
        generator: Draws the vectors of words that the file lacks, with the standard deviation of those found.
        vectors: What the file holds, where it was read already.

    Returns:
        Vectors (rows, size) float32, that of padding zero, and how many were found.

    Raises:
        ConfigError: If the vectors have another size than expected, or gensim is missing.
        DataError: If the file cannot be read as vectors, or has none of the words.
    """
    vectors = read_vectors(path) if vectors is None else vectors
    if size is not None and size != vectors.vector_size:
        raise ConfigError(
            f"word_size: {size} was asked for, but the vectors of {path} have {vectors.vector_size} dimensions; "
            f"give {vectors.vector_size}, or leave it out."
        )
    matrix, how, words = _copied(vectors, vocabulary)
    found = how != "missing"
    if not found.any():
        sample = ", ".join(map(repr, vectors.index_to_key[:5]))
        raise DataError(f"{path}: has none of the {words.sum():,} words of the vocabulary; it begins with {sample}.")
    generator = generator or np.random.default_rng(0)
    matrix[~found] = generator.normal(0.0, matrix[found].std(), (int((~found).sum()), matrix.shape[1]))
    if (pad := vocabulary.tokenizer.pad_token_id) is not None:
        matrix[vocabulary.vector_of_id[pad]] = 0.0
    counts = vocabulary.row_counts
    share = float(counts[found].sum() / counts.sum()) if counts.sum() else float("nan")
    exact, by_case, composed = (int((how == kind).sum()) for kind in ("exact", "case", "composed"))
    return matrix, Coverage(int(words.sum()), exact, by_case, composed, int((words & ~found).sum()), share)


def _copied(vectors: KeyedVectors, vocabulary: WordVocabulary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return vectors (rows, size), how each was found or "missing" (rows,), and whether a row is of a word (rows,)."""
    matrix = np.zeros((len(vocabulary.row_words), vectors.vector_size), np.float32)
    special = _special_rows(vocabulary)
    how = np.full(len(matrix), "missing", "<U8")
    for row, word in enumerate(vocabulary.row_words):
        if row not in special:
            how[row] = _look_up(vectors, word, matrix[row])
    return matrix, how, np.array([row not in special for row in range(len(matrix))])


def read_vectors(path: str | Path) -> KeyedVectors:
    """Read word vectors: word2vec text or binary, GloVe, fastText ``.vec`` or ``.bin``; also gzipped.

    Args:
        path: The file.

    Returns:
        gensim's `KeyedVectors`; of a fastText ``.bin`` the kind that composes vectors of unseen words.

    Raises:
        ConfigError: If gensim is not installed.
        DataError: If the file is not there, is of another kind, or is damaged; with the line where there is one.
    """
    check_gensim()
    path = Path(path).expanduser().absolute()
    if not path.exists():
        raise missing_path(path)
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file of word vectors.")
    with Spool() as spool:
        return _read(spool.file(path))


def _read(path: Path) -> KeyedVectors:
    kind = _kind(path)
    if kind == "text":
        return _read_text(path)
    from gensim.models import KeyedVectors
    from gensim.models.fasttext import load_facebook_vectors

    try:
        if kind == "fasttext":
            return load_facebook_vectors(str(path))
        return KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    except Exception as error:  # whatever a reader of binary files stumbles over in a damaged one
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: damaged, or not all of it is there ({reason}). Download it again.") from error


def check_gensim() -> None:
    """Check that gensim is installed.

    Raises:
        ConfigError: If it is not, with what to type.
    """
    if find_spec("gensim") is None:
        raise ConfigError("word vectors need gensim, which is not installed: pip install 'hf-tagging[vectors]'")


def _special_rows(vocabulary: WordVocabulary) -> set[int]:
    rows = {int(vocabulary.vector_of_id[i]) for i in vocabulary.tokenizer.all_special_ids}
    return rows | {row for row, word in enumerate(vocabulary.row_words) if not word}


def _look_up(vectors: KeyedVectors, word: str, row: np.ndarray) -> str:
    """Write the vector of a word into `row`, and return how it was found."""
    known = vectors.key_to_index
    if word in known:
        row[:] = vectors.vectors[known[word]]
        return "exact"
    for form in (word.lower(), word.capitalize(), word.upper(), _OTHER_NAMES.get(word, "")):
        if form in known:
            row[:] = vectors.vectors[known[form]]
            return "case"
    if getattr(vectors, "bucket", 0):  # a fastText model; a word shorter than its n-grams has none
        row[:] = vectors.get_vector(word)
        return "composed" if row.any() else "missing"
    return "missing"


def _is_gzipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == _GZIP


@contextmanager
def _opened(path: Path) -> Iterator[gzip.GzipFile | BufferedReader]:
    with gzip.open(path, "rb") if _is_gzipped(path) else open(path, "rb") as file:
        yield file


def _kind(path: Path) -> str:
    """Return ``"fasttext"``, ``"binary"`` or ``"text"``, from the first bytes.

    Raises:
        DataError: If it is none of them.
    """
    try:
        with _opened(path) as file:
            line = file.readline(_LONGEST_LINE)
            following = file.readline(_LONGEST_LINE)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read ({error}).") from None
    if line.startswith(_PICKLE):
        raise DataError(
            f"{path}: is a pickle (gensim's own format), which could run code when it is read. Convert it where you "
            "trust it: KeyedVectors.load(FILE).save_word2vec_format('vectors.bin', binary=True), "
            "for a whole model Word2Vec.load(FILE).wv.save_word2vec_format(...)."
        )
    if line.startswith((_ZIP, _NUMPY)):
        raise DataError(f"{path}: is an archive or an array of numpy; expected the file of word vectors inside it.")
    kind = "fasttext" if line.startswith(_FASTTEXT) else _kind_of_lines(line, following)
    if kind is None:
        raise DataError(
            f"{path}, line 1: {line[:60]!r} begins no file of word vectors; expected word2vec (text or binary), GloVe, "
            "or fastText (.vec or .bin)."
        )
    zipped = _is_gzipped(path)
    if zipped and kind != "text" and path.suffix != ".gz":  # gensim goes by the name
        raise DataError(f"{path}: is gzipped; give it a name that ends in .gz, or unpack it.")
    words, size = _header(line) or (0, 0)
    if words * size > path.stat().st_size * (_BEST_COMPRESSION if zipped else 1):
        raise DataError(
            f"{path}, line 1: says {words:,} words of {size:,} dimensions, which the file is too small for."
        )
    return kind


def _kind_of_lines(line: bytes, following: bytes) -> str | None:
    header = _header(line)
    if header is None:
        return "text" if _numbers(line, line.count(b" ")) is not None else None
    return "text" if not following or _numbers(following, header[1]) is not None else "binary"


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and dimensions at the start of a word2vec file."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _numbers(line: bytes, size: int) -> np.ndarray | None:
    """Return the last `size` fields of a line if all are numbers after a word."""
    fields = line.rstrip(b" \t\r\n").rsplit(b" ", size)
    if size < 1 or len(fields) != size + 1:
        return None
    try:
        return np.array(fields[1:], np.float32)
    except ValueError:
        return None


def _read_text(path: Path) -> KeyedVectors:
    """Read a word and its numbers per line, with or without a header.

    Not by gensim, whose reader takes no words with spaces (GloVe's largest file has some) and names no line.
    """
    from gensim.models import KeyedVectors

    words: dict[str, None] = {}
    blocks: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    expected, size, number = None, 0, 0
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            header = _header(line) if number == 1 else None
            if header is not None:
                expected, size = header
                continue
            size = size or line.rstrip(b" \t\r\n").count(b" ")
            numbers = _numbers(line, size)
            if numbers is None or not np.isfinite(numbers).all():
                raise DataError(f"{path}, line {number}: {line[:60]!r} is not a word and {size} numbers.")
            word = line.rstrip(b" \t\r\n").rsplit(b" ", size)[0].decode("utf-8", errors="replace")
            if word in words:  # the first one counts, as it does for gensim
                expected = expected and expected - 1
                continue
            words[word] = None
            rows.append(numbers)
            if len(rows) == _BLOCK:
                blocks.append(np.stack(rows))
                rows = []
    if expected is not None and len(words) != expected:
        raise DataError(
            f"{path}, line {number}: the file ends after {len(words):,} words, its first line says {expected:,}."
        )
    if not words:
        raise DataError(f"{path}: has no word vectors.")
    vectors = KeyedVectors(size, count=0)
    vectors.add_vectors(list(words), np.concatenate([*blocks, *([np.stack(rows)] if rows else [])]))
    return vectors
