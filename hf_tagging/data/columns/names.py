"""Names of columns in column files, and how a requested column is found."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from hf_tagging.data.request import ReadRequest
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import ANY_TAGS, TASKS, Task

CONLLU_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
WORD_NAMES = frozenset({"word", "words", "token", "tokens", "form", "forms", "text"})
_TAG_NAMES = frozenset(ANY_TAGS)
SENTENCE_STARTS = ("blank", "mention")


def feature_is_taken(asked: str, what: str) -> str:
    """Return the message about a further column that is the column of the words or of the tags."""
    why = "a feature would give away the answer" if what == "tags" else "the model sees the words already"
    given = argument("word_features", asked)
    return f"{given}: this is the column of the {what}, and {why}; ask for another one, or for none"


def header_tag_names(task: Task) -> frozenset[str]:
    """Return the names that a header may give a column of tags, of this or any registered task."""
    return frozenset().union(task.columns, *(known.columns for known in TASKS.values()))


def header_names(fields: Sequence[str]) -> list[frozenset[str]]:
    """Return the names that each column of a header answers to; the only column of words answers to all of them."""
    names = [field.strip().lower() for field in fields]
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

    @property
    def listing(self) -> str:
        """Columns as messages list them: `0 word, 1 pos, ...`."""
        if not self.names:
            return f"{self.count} columns without names, 0 to {self.count - 1}"
        return ", ".join(f"{index} {self._shown(names)}" for index, names in enumerate(self.names))

    @staticmethod
    def _shown(names: frozenset[str]) -> str:
        if names == WORD_NAMES:
            return "word"
        return "/".join(sorted(names - _TAG_NAMES or names))

    def tokens_position(self, request: ReadRequest) -> int:
        """Return the position of the words: the requested column, or that of the format."""
        if request.tokens_column is not None:
            return self.position(request.tokens_column, "tokens_column")
        if self.has_header:
            return next(index for index, names in enumerate(self.names) if names & WORD_NAMES)
        return self.position("form", "tokens_column") if self.conllu else 0

    def tags_position(self, request: ReadRequest) -> int:
        """Return the position of the tags: the requested column, or that of the task in this format."""
        if request.tags_column is not None:
            return self.position(request.tags_column, "tags_column")
        place = f"{self.file}, line {self.number}"
        task = request.task
        found = next((i for name in task.columns if (i := index_of(name, self.names)) is not None), None)
        if found is not None:
            return found
        if self.has_header:
            raise DataError(
                f"{place}: this header names no column for the task {task.name}; give {argument('tags_column')} with "
                f"one of: {self.listing}"
            )
        if self.conllu:
            raise DataError(
                f"{place}: this CoNLL-U file has no column of its own for the task {task.name} (MISC is not parsed); "
                f"give {argument('tags_column')} with one of: {self.listing}"
            )
        if self.count == 2:
            return 1
        if task.unnamed_column is None:
            raise DataError(
                f"{place}: {self.listing}; which one holds the tags for {task.title}? Give "
                f"{argument('tags_column')} (0 is the first, -1 the last)"
            )
        return self.position(task.unnamed_column, "tags_column")

    def feature_positions(self, request: ReadRequest, *, tokens: int, tags: int) -> tuple[int, ...]:
        """Return the positions of further columns, each once and none with words or tags, in the order requested."""
        found: dict[int, str] = {}
        for asked in request.word_features:
            position = self.position(asked, "word_features")
            if position in (tokens, tags):
                raise DataError(f"{self.file}: {feature_is_taken(asked, 'tags' if position == tags else 'words')}")
            if position in found:
                both = argument("word_features", [found[position], asked])
                raise DataError(f"{self.file}: {both}: both are column {position}")
            found[position] = asked
        return tuple(found)

    def position(self, asked: str | int, name: str) -> int:
        """Return the position of a column given by name or by position."""
        if isinstance(asked, int) or re.fullmatch(r"-?\d+", asked):
            index = int(asked)
            if not -self.count <= index < self.count:
                raise DataError(
                    f"{self.file}: {argument(name, asked)}: there is no such position; there are: {self.listing}"
                )
            return index % self.count
        lower = asked.lower()
        found = index_of(lower, self.names)
        found = index_of(lower.removesuffix("_tags"), self.names) if found is None else found
        if found is None:
            there = f"there are: {self.listing}{self._near(lower)}"
            raise DataError(f"{self.file}: {argument(name, asked)}: there is no such column; {there}")
        return found

    def _near(self, name: str) -> str:
        near = difflib.get_close_matches(name, sorted({known for names in self.names for known in names}), n=1)
        return f". Did you mean {near[0]!r}?" if near else ""
