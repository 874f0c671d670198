"""Names of columns, in every kind of data: which ones hold words, tags, sentences, and how one is asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Sequence

from hf_tagging.tasks import TASKS, Task

WORD_COLUMNS = ("tokens", "words", "token", "word", "form", "forms", "text")
"""Names of a column of words, the surest first."""
WORD_NAMES = frozenset(WORD_COLUMNS)
TEXT_NAMES = frozenset({"sentence"})
"""Names of a column of words only where another one, or none, tells the sentences apart."""
DOCUMENT_COLUMNS = ("document_id", "doc_id")
"""Names of a column with the document of each sentence, where a row is a sentence."""
_NUMBERS = ("", "id", "no", "nr", "num", "number", "idx", "index")
_SENTENCE_NAMES = frozenset({f"{noun}{number}" for noun in ("sentence", "sent") for number in _NUMBERS})
_SENTENCE_NAMES |= {"sid", "idsentence"}
_DOCUMENT_NAMES = frozenset({"document", "documentid", "doc", "docid", "docno", "docnum"})


def normalized(name: str) -> str:
    """Return a name of a column as it is compared: in small letters, without blanks around it."""
    return name.strip().lower()


def names_words(name: str) -> bool:
    """Return whether a column's name is one of words, or of texts."""
    return normalized(name) in WORD_NAMES | TEXT_NAMES


def names_sentences(name: str) -> bool:
    """Return whether a column's name is that of an id of sentences: `Sentence #`, `sentence_id`, `SentenceID`."""
    return _plain(name) in _SENTENCE_NAMES


def names_documents(name: str) -> bool:
    """Return whether a column's name is that of a document, or of its id."""
    return _plain(name) in _DOCUMENT_NAMES


def tag_names(*tasks: Task) -> frozenset[str]:
    """Return the names that a column of tags may have, for any registered task and for these."""
    return frozenset(name for task in (*tasks, *TASKS.values()) for name in task.columns)


def is_position(asked: str | int) -> bool:
    """Return whether a column is asked for by what may be a position: a whole number, also as text."""
    return isinstance(asked, int) or bool(re.fullmatch(r"-?\d+", asked))


def column_position(
    asked: str | int, names: Sequence[str], *, count: int | None = None, answers: Sequence[Collection[str]] = ()
) -> int | None:
    """Return the position of a column that is asked for; None if it is not there.

    It is the first column with this name as it is written; else without blanks around it; else in any case; else with
    ``_tags`` added or left out, as ``pos`` and ``pos_tags`` are the same. A whole number that names no column is a
    position: from 0, or, if it is negative, from the end.

    Args:
        asked: Name or position.
        names: Names of the columns; none where they have no names.
        count: Number of columns. Default: that of their names.
        answers: Further names of each column, in small letters.
    """
    if isinstance(asked, str):
        written, lower = [name.strip() for name in names], [{normalized(name)} for name in names]
        for name, known in ((asked, names), (asked.strip(), written)):
            if name in known:
                return known.index(name)
        for name in _spellings(normalized(asked)):
            for columns in (lower, answers):
                if (found := next((i for i, column in enumerate(columns) if name in column), None)) is not None:
                    return found
    count = len(names) if count is None else count
    return int(asked) % count if is_position(asked) and -count <= int(asked) < count else None


def near_column(asked: str | int, names: Sequence[str]) -> str:
    """Return the question whether the column with the nearest name is meant; nothing if none is near."""
    near = [] if is_position(asked) else difflib.get_close_matches(str(asked), [name for name in names if name], n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _spellings(name: str) -> tuple[str, ...]:
    return name, f"{name}_tags", name.removesuffix("_tags")


def _plain(name: str) -> str:
    """Return a column's name without case, blanks and signs."""
    return re.sub(r"[\W_]+", "", name.lower())
