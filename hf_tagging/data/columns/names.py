"""Names of columns in column files, and how a requested column is found."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.column_names import WORD_NAMES, column_position, is_position, normalized
from hf_tagging.data.columns.kinds import Column
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.word_features import features_by_column
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import ANY_TAGS

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_TAG_NAMES = frozenset(ANY_TAGS)
_NAMES_OF_KIND = {"entities": frozenset({"ner"}), "chunks": frozenset({"chunk"}), "pos": frozenset({"pos"})}
_NO_TAGS = ("word numbers", "sentence numbers", "numbers")
SENTENCE_STARTS = ("blank", "mention")


def header_names(fields: Sequence[str]) -> list[frozenset[str]]:
    """Return the names that each column of a header answers to; the only column of words answers to all of them."""
    names = [normalized(field) for field in fields]
    one_of_words = sum(name in WORD_NAMES for name in names) == 1
    return [
        WORD_NAMES if one_of_words and name in WORD_NAMES else frozenset({name, name.removesuffix("_tags")})
        for name in names
    ]


def column_names(count: int, header: Sequence[str], conllu: bool) -> list[frozenset[str]]:
    """Return the names that each column answers to, in the order of columns; empty if the format is unknown."""
    if conllu:
        return [WORD_NAMES if name == "form" else frozenset({name}) for name in header or CONLLU_COLUMNS]
    known: dict[int, list[frozenset[str]]] = {
        2: [WORD_NAMES, frozenset({"pos", "ner"}) | _TAG_NAMES],
        3: [WORD_NAMES, frozenset({"pos"}), frozenset({"chunk", "ner"}) | _TAG_NAMES],
        4: [WORD_NAMES, frozenset({"pos"}), frozenset({"chunk"}), frozenset({"ner"})],
    }
    return known.get(count, [])


def names_by_kind(columns: Sequence[Column], tokens: int) -> list[frozenset[str]]:
    """Return the names that columns answer to in a file without names: by what stands in them, else by their number.

    Args:
        columns: Kinds of the columns.
        tokens: Position of the words.
    """
    usual = column_names(len(columns), (), False)
    found = [WORD_NAMES if index == tokens else _NAMES_OF_KIND.get(column.kind) for index, column in enumerate(columns)]
    numbered = any(column.kind in _NO_TAGS for column in columns)
    if usual and not numbered and all(names is None or names <= usual[index] for index, names in enumerate(found)):
        return usual
    taken: set[str] = set()
    for index, names in enumerate(found):
        if names is None or (names != WORD_NAMES and not taken.isdisjoint(names)):
            found[index] = frozenset()
        taken |= found[index] or set()
    if len(columns) == 2:
        found[1 - tokens] = frozenset({"pos", "ner"}) | _TAG_NAMES
    return [names or frozenset() for names in found]


def index_of(name: str, names: Sequence[frozenset[str]]) -> int | None:
    """Return the first column that answers to a name; None if there is none."""
    return next((index for index, known in enumerate(names) if name in known), None)


@dataclass(frozen=True, kw_only=True)
class ColumnFinder:
    """Search for columns by name or by position, with messages that list the columns."""

    file: str
    number: int
    count: int
    names: list[frozenset[str]]
    conllu: bool
    has_header: bool
    written: Sequence[str] = ()

    @property
    def is_named(self) -> bool:
        """True where the file or its format names the columns."""
        return bool(self.written)

    @property
    def listing(self) -> str:
        """Columns as messages list them: `0 word, 1 pos, ...`."""
        if all(not names or names == WORD_NAMES for names in self.names):
            return f"{self.count} columns without names, 0 to {self.count - 1}"
        if self.has_header:
            return ", ".join(f"{index} {name}" for index, name in enumerate(self.written))
        return ", ".join(f"{index} {self._shown(names)}".rstrip() for index, names in enumerate(self.names))

    @staticmethod
    def _shown(names: frozenset[str]) -> str:
        if names == WORD_NAMES:
            return "word"
        return "/".join(sorted(names - _TAG_NAMES or names))

    def name(self, position: int) -> str:
        """Return the name of a column as the file writes it, or else its position."""
        return self.written[position] if position < len(self.written) else str(position)

    def feature_positions(self, request: ReadRequest, *, tokens: int, tags: int) -> tuple[int, ...]:
        """Return the positions of further columns, each once and none with words or tags, in the order requested."""
        return tuple(
            features_by_column(
                request.word_features,
                lambda asked: self.position(asked, "word_features"),
                taken={tokens: "words", tags: "tags"},
                place=self.file,
                shown=lambda position: f"column {position}",
            )
        )

    def position(self, asked: str | int, name: str) -> int:
        """Return the position of a column given by name or by position."""
        found = column_position(asked, self.written, count=self.count, answers=self.names)
        if found is None:
            what = "position" if is_position(asked) else "column"
            there = f"there are: {self.listing}{self._near(asked)}"
            raise DataError(f"{self.file}: {argument(name, asked)}: there is no such {what}; {there}")
        return found

    def _near(self, asked: str | int) -> str:
        known = () if is_position(asked) else sorted(set().union(*self.names))
        near = difflib.get_close_matches(str(asked).lower(), known, n=1)
        return f". Did you mean {near[0]!r}?" if near else ""
