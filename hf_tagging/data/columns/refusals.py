"""Files that are no columns: markup, PubTator, and text without tags, each refused with the way on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from hf_tagging.data.columns.kinds import Column
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.text_lines import shortened
from hf_tagging.errors import DataError
from hf_tagging.problems import argument

_MARKUP = re.compile(
    r"\s*<(\?xml|!doctype|!--|[a-z][\w.:-]*(\s+[\w:.-]+\s*=\s*[\"'][^<]*>|\s*/?>\s*$|[^<>]*>[^<>\t]*<))", re.IGNORECASE
)
_JSON = re.compile(r"\s*(\[\s*)?\{\s*\"[^\"]*\"\s*:")
_PUBTATOR = re.compile(r"\d+\|[ta]\|")
_SENTENCE_END = re.compile(r"[\W_]*[^\W_].*[.!?。！？…]['\"”’»)]*\s*$", re.DOTALL)
_ATTACHED_END = re.compile(r".*\w[.!?。！？…]['\"”’»)]*\s*", re.DOTALL)


def refuse_other_files(first: str, file: str) -> None:
    """Refuse a file that begins like markup, JSON or PubTator.

    Args:
        first: Its first line, or the beginning of it.
        file: Its name for messages.

    Raises:
        DataError: It does.
    """
    if _MARKUP.match(first):
        raise DataError(f"{file}, line 1: {_markup(first)}")
    if _JSON.match(first):
        raise _json(1, first, file)
    if _PUBTATOR.match(first):
        raise DataError(
            f"{file}, line 1: {shortened(first)} is PubTator (id|t|title, id|a|abstract, then offsets), which is not "
            "read here; convert it to BioC JSON or to columns, a word and its tag per line, or to JSON Lines with "
            '"text" and "entities" as [start, end, type]'
        )


def _json(number: int, line: str, file: str) -> DataError:
    behind = ", without the lines before it" if number > 1 else ""
    return DataError(
        f"{file}, line {number}: {shortened(line)} is JSON; name the file .jsonl (a row per line) or .json{behind}, "
        "and its rows are read"
    )


def _markup(first: str) -> str:
    begin = first[:4096].lower()
    if "<html" in begin or "<!doctype html" in begin:
        return (
            "this is an HTML page, not the data: a web page was saved in the place of the file; download the file "
            "itself (a page of a repository has a button Raw), or convert it to columns or JSON Lines"
        )
    kind = "UIMA XMI" if "xmi:" in begin else "XML"
    tool = (
        "INCEpTION and WebAnno export WebAnno TSV and CoNLL 2002" if kind == "UIMA XMI" else "most tools export these"
    )
    return f"this is {kind}, which is not read here; export it as CoNLL columns or JSON Lines ({tool}), or convert it"


def refuse_text(lines: Sequence[tuple[int, str]], counts: Sequence[int], *, file: str) -> None:
    """Refuse running text, whose lines of words differ in length, and JSON.

    Args:
        lines: First lines of data with their numbers.
        counts: Words of each.
        file: Its name for messages.

    Raises:
        DataError: It is text, or JSON.
    """
    number, first = lines[0]
    if _JSON.match(first) and first.rstrip().endswith(("}", "]", ",")):  # behind comments
        raise _json(number, first, file)
    most = Counter(counts).most_common(1)[0][1] / len(counts)
    if most < 0.6 and max(counts) - min(counts) > 2 and len(counts) > 2:
        raise _text(lines[0], counts, file)


def refuse_sentences(
    lines: Sequence[tuple[int, str]], columns: Sequence[Column], request: ReadRequest, *, file: str
) -> None:
    """Refuse running text whose lines happen to be of one length: they end as sentences do, and nothing is like tags.

    Args:
        lines: First lines of data with their numbers.
        columns: What stands in their columns.
        request: Nothing is refused where it names a column of tags.
        file: The file's name for messages.

    Raises:
        DataError: It is text.
    """
    if request.tags_column is not None or request.layer is not None:
        return
    if any(column.kind in ("entities", "chunks", "pos", "tags") and column.fit >= 0.5 for column in columns):
        return
    end = _SENTENCE_END if len(columns) > 2 else _ATTACHED_END  # a sign of its own may be a tag of two columns
    if sum(bool(end.fullmatch(line)) for _, line in lines) > 0.8 * len(lines):
        raise _text(lines[0], [len(columns)], file)


def _text(first: tuple[int, str], counts: Sequence[int], file: str) -> DataError:
    number, line = first
    length = f"{min(counts)} to {max(counts)}" if max(counts) > min(counts) else f"{counts[0]}"
    return DataError(
        f"{file}, line {number}: {shortened(line)} looks like running text: there is no column of tags in lines of "
        f"{length} words; expected a word and its tag per line. Text is tagged by `hf-tagging predict` with a trained "
        f"model; to train on it, it has to be annotated. If these are columns, say so with {argument('tags_column')}."
    )
