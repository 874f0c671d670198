"""Layout of a column file, found by what stands in its first lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from hf_tagging.data.column_names import names_sentences
from hf_tagging.data.columns.choosing import Choice, choose_tags, choose_words, described, first_text
from hf_tagging.data.columns.cutting import CONLL2012_COLUMNS, Cut, Sample, cut
from hf_tagging.data.columns.headers import is_header, note_first_line
from hf_tagging.data.columns.kinds import Column, Table, are_brackets, column_kinds
from hf_tagging.data.columns.layout import ColumnLayout
from hf_tagging.data.columns.names import ColumnFinder, column_names, header_names, index_of, names_by_kind
from hf_tagging.data.columns.refusals import refuse_sentences
from hf_tagging.data.columns.shapes import misc_key, misc_values
from hf_tagging.data.notes import ColumnNote, FileNotes
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import as_number, shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_PREFIX = re.compile(r"([a-z]{2,3}(?:-[A-Za-z]+)?:)(?=.)")
_POSITION_DIGIT = re.compile(r"\D+\d")
_ENOUGH_WORDS = 20
_MANY = 100
_REPEATED = 3  # times that the names of columns may stand again in a short file
_SENTENCE_END = "EndOfSentence"  # HIPE


def find_layout(
    lines: Iterable[tuple[int, str]],
    *,
    file: str,
    request: ReadRequest,
    notes: FileNotes | None = None,
    tagged: bool = True,
) -> ColumnLayout:
    """Find a file's layout by its first lines.

    Args:
        lines: Line numbers from 1 and lines without their ends; read as far as needed.
        file: The file's name for messages.
        request: Column options.
        notes: Filled in with the columns that are read and those that are left out.
        tagged: The file has a column of tags; otherwise only the words are looked for.

    Returns:
        The layout.

    Raises:
        DataError: No data line, a single column, or a column that is not there or cannot be found.
    """
    sample = Sample.of(lines, file=file, comment=request.comment, tagged=tagged)
    form = cut(sample, file=file, request=request, tagged=tagged)
    first = form.table.rows[0]
    header, table, columns = _header(form, request)
    key = _read_misc(form, table, columns)
    finder = _finder(form, file, header)
    if form.count == 1 and str(request.tokens_column or 0) not in ("0", "-1"):
        number, line = sample.lines[0]
        asked = argument("tokens_column", request.tokens_column)
        raise DataError(f"{file}, line {number}: {asked}: {shortened(line)} is a single column.")
    if not finder.is_named:
        finder = replace(finder, names=names_by_kind(columns, first_text(columns)))
    tokens = choose_words(columns, finder, request, len(table.rows))
    if not finder.is_named:
        finder = replace(finder, names=names_by_kind(columns, tokens))
    choice = Choice(tokens)
    if tagged:
        refuse_sentences(sample.lines, columns, request, file=file)
        choice = choose_tags(columns, finder, request, tokens=tokens, rows=len(table.rows))
        if tokens == choice.position:
            raise DataError(
                f"{file}: column {tokens} would be both the word and the tag; there are: {finder.listing}; "
                f"give another {argument('tags_column')} or {argument('tokens_column')}"
            )
    layout = _layout(form, table, columns, header, finder, request, tokens=tokens, tags=choice.position)
    if tagged:
        tags = columns[choice.position]
        layout = replace(
            layout,
            features=finder.feature_positions(request, tokens=tokens, tags=choice.position),
            known_tags=frozenset(tags.counts),
            comment_marks=sample.comment_marks(),
            tag_key=key if finder.names[choice.position] == {"misc"} else None,
            brackets=tags.brackets or (request.task.has_entities and are_brackets(tags.counts)),
        )
    if notes is not None and tagged:
        if not header:
            note_first_line(notes, first, columns, words=tokens, tags=choice.position, line=layout.first_line)
        _note(notes, layout, columns, finder, choice, request)
    return layout


def _header(form: Cut, request: ReadRequest) -> tuple[Sequence[str], Table, list[Column]]:
    """Return the first line where it names the columns, the rows below it, and the kinds of their columns."""
    first = form.table.rows[0]
    below = _without(form.table, first)
    columns = [] if form.declared else column_kinds(below)
    header = first if not form.declared and is_header(first, columns, len(below.rows), request) else ()
    table = below if header and below.rows else form.table
    if not columns or len(below.rows) < max(_MANY, len(form.table.rows) - 1):  # one more row changes nothing in many
        columns = column_kinds(table)
    if form.open_ended:
        part, ner = map(CONLL2012_COLUMNS.index, ("part", "ner"))
        columns[part] = replace(columns[part], kind="numbers")  # of a document, in however short a file
        columns[ner] = replace(columns[ner], kind="entities", fit=0.7, brackets=True)  # be it nothing but `*`
    return header, table, columns


def _layout(
    form: Cut,
    table: Table,
    columns: Sequence[Column],
    header: Sequence[str],
    finder: ColumnFinder,
    request: ReadRequest,
    *,
    tokens: int,
    tags: int,
) -> ColumnLayout:
    """Return the layout of the words, and of where sentences start and end."""
    return ColumnLayout(
        separator=form.separator,
        count=form.count,
        tokens=tokens,
        tags=tags,
        word_id=_word_id(form, columns, finder),
        conllu=form.conllu,
        first_line=form.first_line,
        header=tuple(header),
        comment=request.comment,
        numbers=next((index for index, column in enumerate(columns) if column.kind == "word numbers"), None),
        sentences=() if form.inside else tuple(_sentence_columns(columns, table, header, {tokens, tags})),
        counter=_counter(columns, table),
        sentence_end=_sentence_end(columns),
        open_ended=form.open_ended,
        inside=form.inside,
        prefix=_prefix(columns[tokens]),
    )


def _without(table: Table, first: Sequence[str]) -> Table:
    """Return a table without its first row, and without the same row again where it is rare, as repeated names are."""
    repeated = sum(row == first for row in table.rows[1:])
    rare = repeated <= max(_REPEATED, len(table.rows) // 20)
    kept = [index for index, row in enumerate(table.rows) if index and not (rare and row == first)]
    return Table([table.rows[index] for index in kept], [table.starts[index] for index in kept])


def _read_misc(form: Cut, table: Table, columns: list[Column]) -> str | None:
    """Return the key of MISC in CoNLL-U that holds entity tags, and put their kind in the place of the column's."""
    names = [name.lower() for name in form.declared]
    if not (form.conllu and "misc" in names):
        return None
    index = names.index("misc")
    key = misc_key(table.values(index))
    if key is not None:
        tags = [misc_values(value).get(key, "O") for value in table.values(index)]
        columns[index] = column_kinds(Table([[tag] for tag in tags], table.starts))[0]
    return key


def _finder(form: Cut, file: str, header: Sequence[str]) -> ColumnFinder:
    """Return the search by the names that the file has; without any, its names are empty."""
    if header:
        names = header_names(header)
    else:
        names = column_names(form.count, [name.lower() for name in form.declared], conllu=True) if form.declared else []
    return ColumnFinder(
        file=file,
        number=form.first_line,
        count=form.count,
        names=names,
        conllu=form.conllu,
        has_header=bool(header),
        written=[field.strip() for field in header] or list(form.declared),
    )


def _word_id(form: Cut, columns: Sequence[Column], finder: ColumnFinder) -> int | None:
    """Return the position of word numbers among which there may be ranges, which are no words."""
    if form.conllu:
        return index_of("id", finder.names)
    return next(
        (
            index
            for index, column in enumerate(columns)
            if column.kind == "word numbers" and not all(value.isdecimal() for value in column.counts)
        ),
        None,
    )


def _sentence_columns(columns: Sequence[Column], table: Table, header: Sequence[str], taken: set[int]) -> Iterator[int]:
    """Yield the columns that change where a sentence starts; none where blank lines say so."""
    if table.is_split:
        return
    for index, column in enumerate(columns):
        named = bool(header) and names_sentences(header[index])
        if index not in taken and column.distinct > 1 and (column.kind in ("sentence numbers", "names") or named):
            yield index


def _counter(columns: Sequence[Column], table: Table) -> int | None:
    """Return the word numbers that start anew with a sentence, where neither a blank line nor a column says so."""
    numbers = [index for index, column in enumerate(columns) if column.kind == "word numbers"]
    if table.is_split or not numbers or any(column.kind == "sentence numbers" for column in columns):
        return None
    values = [number for value in table.values(numbers[0]) if (number := as_number(value)) is not None]
    starts_anew = len(values) == len(table.rows) and any(b <= a for a, b in pairwise(values))
    return numbers[0] if starts_anew else None


def _sentence_end(columns: Sequence[Column]) -> tuple[int, str] | None:
    ends = (index for index, column in enumerate(columns) if any(_SENTENCE_END in value for value in column.counts))
    return next(((index, _SENTENCE_END) for index in ends), None)


def _prefix(words: Column) -> str:
    """Return the language code that every word begins with, as in `nl:Deze`."""
    found = {match[1] if (match := _PREFIX.match(word)) else "" for word in words.counts}
    return found.pop() if len(found) == 1 and words.counts.total() >= _ENOUGH_WORDS else ""


def _note(
    notes: FileNotes,
    layout: ColumnLayout,
    columns: Sequence[Column],
    finder: ColumnFinder,
    choice: Choice,
    request: ReadRequest,
) -> None:
    """Say which columns are read, which are left out, and what is odd about the words."""
    shown = finder.name
    words = [word.removeprefix(layout.prefix) for word in list(columns[layout.tokens].counts)[:3]]
    notes.columns = [
        ColumnNote("words", shown(layout.tokens), words),
        ColumnNote(
            "tags",
            f"{shown(layout.tags)} {layout.tag_key}=" if layout.tag_key else shown(layout.tags),
            _example_tags(columns[layout.tags]),
        ),
    ]
    roles = dict(zip(layout.features, request.word_features, strict=True)) | dict.fromkeys(layout.sentences, "sentence")
    for position, role in roles.items():
        notes.columns.append(ColumnNote(role, shown(position), list(columns[position].counts)[:3]))
    read = {layout.tokens, layout.tags, *roles}
    notes.left_out = [f"{shown(i)} ({described(columns[i])})" for i in range(layout.count) if i not in read]
    if layout.header:
        notes.remark(
            "header", f"line {layout.first_line} is read as the names of the columns: {', '.join(finder.written)}"
        )
    if choice.others:
        others = ", ".join(shown(position) for position in choice.others)
        plural = len(choice.others) > 1
        notes.remark(
            "layers",
            f"column{'s' * plural} {others} hold{'s' * (not plural)} {described(columns[layout.tags])} too: the first, "
            f"{shown(layout.tags)}, is read; another one with {argument('layer', choice.others[0])}",
        )
    _note_form(notes, layout, columns)


def _note_form(notes: FileNotes, layout: ColumnLayout, columns: Sequence[Column]) -> None:
    """Say how words and tags are written where that is not plain."""
    if layout.inside:
        form = layout.inside.join(("word", *["..."] * (layout.count - 2), "tag"))
        notes.remark("sentence_a_line", f"every line is a sentence of words as {form}")
    if layout.brackets:
        notes.remark("brackets", "entities are written in brackets: the outermost ones are read")
    if layout.tag_key:
        notes.remark("misc", f"entities are read from {layout.tag_key}= of MISC; a word without it is outside of them")
    if layout.sentences:
        notes.remark(
            "sentence_column", "a sentence starts where its column changes, since no blank line separates them"
        )
    if layout.counter is not None:
        notes.remark(
            "sentence_column", "a sentence starts where the word numbers start anew: no blank line separates them"
        )
    if layout.prefix:
        notes.remark("prefix", f"every word begins with {layout.prefix}, which is left out")
    words = columns[layout.tokens].counts
    begin = Counter(match[1] for word in words if (match := _PREFIX.match(word)))
    if begin and not layout.prefix and words.total() >= _ENOUGH_WORDS and 2 * begin.total() > len(words):
        notes.remark(
            "prefix",
            f"{begin.total():,} of the first {len(words):,} different words begin with {' '.join(sorted(begin)[:5])}, "
            "which looks like a language and is kept: take it off in the file if so",
            severity="suspicious",
        )
    with_digit = sum(count for word, count in words.items() if _POSITION_DIGIT.fullmatch(word))
    if words.total() >= _ENOUGH_WORDS and with_digit > 0.95 * words.total():
        examples = ", ".join(list(words)[:3])
        notes.remark(
            "position_digits",
            f"every word ends in a digit ({examples}), which is kept; if it is a position, take it off in the file",
            severity="suspicious",
        )


def _example_tags(column: Column) -> list[str]:
    """Return three tags, the most frequent one and those that are not like it."""
    tags = [tag for tag, _ in column.counts.most_common()]
    return tags[:3]
