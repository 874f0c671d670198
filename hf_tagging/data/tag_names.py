"""Names of the tags of a dataset, in the order of their ids, and what the tags of its source are read as."""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import datasets
import numpy as np
import pyarrow.compute as pc

from hf_tagging.data.conventions import TagReading, entity_reading, plain_reading
from hf_tagging.data.findings import Finding, accepted_or_refused, number_tags, swapped, tag_findings, word_findings
from hf_tagging.data.notes import Remark
from hf_tagging.data.prefixes import STANDARD, UNSCORED_ID, entity_order
from hf_tagging.data.request import ReadRequest
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.source_columns import check_ids, item_kind
from hf_tagging.data.text_lines import as_number
from hf_tagging.errors import DataError
from hf_tagging.foreign.datasets import is_reordered
from hf_tagging.problems import argument, either_way

UNSET_IDS = (UNSCORED_ID, -1)
"""Ids that sources have for a word that is not annotated; -1 is that of a ClassLabel without a label."""

NULL = "null"
_FIRST_ROWS = 1_000


@dataclass(frozen=True)
class TagNames:
    """Names of the tags of a dataset, and what the tags of its source are read as.

    Args:
        names: In the order of their ids.
        read: Tag of the source to one of `names`; None for that of words that are not annotated.
        ids: Tags of the source in the order of its ids, where it has ids.
        unannotated: Split to the number of words without a tag, where there are any.
        remarks: What was done, for the report of reading.
    """

    names: list[str]
    read: Mapping[str, str | None]
    ids: tuple[str, ...] | None
    unannotated: Mapping[str, int]
    remarks: list[Remark]

    @property
    def as_they_are(self) -> bool:
        """True where every tag is read as it is written, and every word has one."""
        return not self.unannotated and all(tag == name for tag, name in self.read.items())

    def with_all_prefixes(self) -> "TagNames":
        """Return the same with B, I and the other prefixes that are used, for every entity type.

        A type may lack one of its prefixes in the sentences that were looked at, and have it in others.
        """
        parts = [STANDARD.parts(name) for name in self.names if name != "O"]
        if self.ids is not None or not all(parts):
            return self
        kinds = dict.fromkeys(part[1] for part in parts if part)
        prefixes = dict.fromkeys(["B", "I", *(part[0] for part in parts if part)])
        new = [name for kind in kinds for prefix in prefixes if (name := f"{prefix}-{kind}") not in self.names]
        return replace(self, names=[*self.names, *new], read={**{name: name for name in new}, **self.read})

    def codes(self, tags: Sequence[str]) -> np.ndarray:
        """Return the ids that tags of the source are read as, and at the end that of a word without. (tags + 1,)"""
        ids = {None: UNSCORED_ID} | {name: number for number, name in enumerate(self.names)}
        without = self.read[NULL] if NULL in tags else None
        return np.array([*(ids[self.read[tag]] for tag in tags), ids[without]], np.int64)


def read_tags(
    splits: Mapping[str, datasets.Dataset], *, request: ReadRequest, place: str
) -> tuple[dict[str, datasets.Dataset], TagNames]:
    """Read the tags of all splits: their names, and what each is read as.

    A ClassLabel or `tag_names` sets names and order; tags that are strings are collected over all splits and
    sorted. Entity tags are read by `hf_tagging.data.conventions`.

    Args:
        splits: The splits after `standard_columns`.
        request: The task of the tags, `tag_names`, `outside`, `accept`. With entities, `O` comes first and the tags of
            a type are neighbours.
        place: The source as a message names it.

    Returns:
        The splits that have a word with a tag, and the names of the tags.

    Raises:
        DataError: Splits have different ClassLabel names, ids have no names or are out of their range, a tag is not
            among the names given, a tag is empty, or the tags cannot be those of the task.
    """
    declared = _declared_names(splits, request.tag_names, place)
    counts = {
        split: _tag_counts(dataset, declared, request, f"{place}, split {split}") for split, dataset in splits.items()
    }
    total: Counter[str] = Counter(dict.fromkeys(declared or (), 0))
    for of_split in counts.values():
        total.update({tag: count for tag, count in of_split.items() if tag is not None})
    reading = _reading(total, declared, request, place)
    names = _ordered(reading.read, declared, request, place)
    unannotated = {
        split: sum(count for tag, count in of_split.items() if tag is None or reading.read[tag] is None)
        for split, of_split in counts.items()
    }
    empty = {split: count for split, count in unannotated.items() if count == counts[split].total()}
    remarks = [*reading.remarks, *_left_out(empty, splits, place)]
    kept = {split: dataset for split, dataset in splits.items() if split not in empty}
    remarks += accepted_or_refused(_findings(total, reading.read, kept, request), accept=request.accept, place=place)
    missing = {split: count for split, count in unannotated.items() if count and split in kept}
    return kept, TagNames(names, reading.read, None if declared is None else tuple(declared), missing, remarks)


def _left_out(empty: Mapping[str, int], splits: Mapping[str, datasets.Dataset], place: str) -> list[Remark]:
    """Return remarks on splits that are left out because no word of theirs is annotated.

    Raises:
        DataError: The train split is one of them, or nothing is left.
    """
    if "train" in empty or len(empty) == len(splits):
        raise DataError(
            f"{place}, split {next(iter(empty))}: no word is annotated; give another {argument('tags_column')}, or tag "
            "the words with a model first"
        )
    text = "words are all that {} has, and none is annotated: the split is left out"
    return [Remark("unscored_split", text.format(split), "suspicious", count) for split, count in empty.items()]


def _findings(
    counts: Mapping[str, int],
    read: Mapping[str, str | None],
    splits: Mapping[str, datasets.Dataset],
    request: ReadRequest,
) -> Iterator[Finding]:
    """Yield what stops a run, of tags as they are read and of the first words of each split."""
    of_names: Counter[str] = Counter()
    for tag, name in read.items():
        of_names.update({name: counts[tag]} if name is not None else {})
    yield from tag_findings(of_names, request.task)
    for dataset in splits.values():
        yield from word_findings(dataset.data.column("tokens").slice(0, _FIRST_ROWS))
    if not request.task.has_entities:
        yield from swapped(of_names, (dataset.data.column("tokens") for dataset in splits.values()))


def _reading(counts: Mapping[str, int], declared: Sequence[str] | None, request: ReadRequest, place: str) -> TagReading:
    """Return what tags are read as; a message of a convention gets the name of the source."""
    used = [tag for tag, count in counts.items() if count]
    if used in (["_"], ["-"]):
        column = argument("tags_column")
        raise DataError(f"{place}: every tag is {used[0]!r}, which means no tag; give another {column}")
    if request.outside is not None and not request.task.has_entities:
        raise DataError(
            f"{argument('outside', request.outside)}: the task {request.task.name} has no words outside of entities; "
            "leave it out"
        )
    ids = _numerals(counts, declared) if request.tag_names is not None else {}
    remarks = [] if ids else accepted_or_refused(number_tags(counts), accept=request.accept, place=place)
    named = {tag: count for tag, count in counts.items() if tag not in ids}
    for tag, name in ids.items():
        named[name] += counts[tag]
    try:
        found = entity_reading(named, outside=request.outside) if request.task.has_entities else plain_reading(named)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    read = {**found.read, **{tag: found.read[name] for tag, name in ids.items()}}
    if read.get(NULL) == NULL:  # no type is called so
        read[NULL] = None
    return TagReading(read, remarks + found.remarks)


def _ordered(
    read: Mapping[str, str | None], declared: Sequence[str] | None, request: ReadRequest, place: str
) -> list[str]:
    """Return the names that tags are read as: those that were declared in their order, then the others sorted."""
    known = [name for name in dict.fromkeys(read[tag] for tag in declared or ()) if name is not None]
    found = {name for name in read.values() if name is not None} - set(known)
    new = sorted(found, key=entity_order if request.task.has_entities else None)
    if request.tag_names is not None and new:
        near = difflib.get_close_matches(new[0], list(request.tag_names), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(
            f"{place}: the tag {new[0]!r} is not among {argument('tag_names', list(request.tag_names))}{hint}"
        )
    return [*known, *new]


def _numerals(found: Mapping[str, int], declared: Sequence[str] | None) -> dict[str, str]:
    """Return ids that are written as strings, with their names; nothing where the tags are something else."""
    tags = [tag for tag in found if tag not in (declared or ()) and tag != NULL]
    numbers = {tag: number for tag in tags if (number := as_number(tag)) is not None}
    if not declared or not tags or len(numbers) < len(tags) or max(numbers.values()) >= len(declared):
        return {}
    return {tag: declared[number] for tag, number in numbers.items()}


def _tag_counts(
    dataset: datasets.Dataset, declared: Sequence[str] | None, request: ReadRequest, place: str
) -> Counter[str | None]:
    """Return the frequency of each tag of a split as its source has it; None for a word without one.

    Where entities are written as text, null is a tag like `"null"`: data without an ``O`` may mean this by it.
    """
    is_text = item_kind(dataset, "tags") == "string"
    if not is_text and declared is None:
        raise DataError(
            f"{place}: the tags are integers without names; give the names in the order of their ids: "
            f"{either_way('tag_names', ['O', 'B-PER', 'I-PER'])}"
        )
    if not is_text:
        check_ids(dataset, "tags", len(declared or ()), what="tag", place=place, unset=UNSET_IDS)
    counts: Counter[str | None] = Counter()
    for batch in arrow_batches(dataset, "tags") if is_reordered(dataset) else [dataset.data]:
        for found in pc.value_counts(pc.list_flatten(batch.column("tags"))).to_pylist():
            tag = found["values"]
            if not is_text and tag is not None:
                tag = None if tag < 0 else (declared or ())[tag]
            elif is_text and tag is None and request.task.has_entities:
                tag = NULL
            counts[tag] += found["counts"]
    if "" in counts:
        raise DataError(f"{place}: the tag '' is empty; expected one like 'O': rename it in the data")
    return counts


def _declared_names(
    splits: Mapping[str, datasets.Dataset], tag_names: Sequence[str] | None, place: str
) -> list[str] | None:
    """Return the names fixed by the caller or by a ClassLabel; None if there are none."""
    if tag_names is not None and len(set(tag_names)) != len(tag_names):
        raise DataError(f"{argument('tag_names', list(tag_names))}: a name occurs twice")
    declared, source = (list(tag_names), argument("tag_names")) if tag_names is not None else (None, "")
    _check_tags(declared or (), source)
    for split, dataset in splits.items():
        item = dataset.features["tags"].feature
        if not isinstance(item, datasets.ClassLabel):
            continue
        if declared is not None and declared != item.names:
            raise DataError(
                f"{place}: the ClassLabel names of {split} are {' '.join(item.names)}, but those of {source} "
                f"are {' '.join(declared)}; expected the same names in the same order"
            )
        declared, source = item.names, split
        _check_tags(declared, f"{place}, split {split}")
    return declared


def _check_tags(tags: Sequence[str], place: str) -> None:
    if not all(tag.strip() for tag in tags):
        raise DataError(f"{place}: the tag '' is empty; expected one like 'O': rename it in the data")
