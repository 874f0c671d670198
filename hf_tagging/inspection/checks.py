"""All checks, and what is made of their remarks: ranked, and those that are known to be right accepted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import chain

from datasets import DatasetDict

from hf_tagging.data.findings import FINDINGS
from hf_tagging.data.notes import Remark, Severity
from hf_tagging.data.origin import origin_of
from hf_tagging.data.reading import reading_report
from hf_tagging.errors import DataError
from hf_tagging.inspection import characters, entities, overlap, sentences, tags
from hf_tagging.inspection.corpus import Corpus
from hf_tagging.problems import argument
from hf_tagging.tasks import Task

logger = logging.getLogger("hf_tagging")

Check = Callable[[Corpus], Iterator[Remark]]

QUICK: tuple[Check, ...] = (
    sentences.counters,
    tags.numbers_as_tags,
    tags.too_many_types,
    tags.outside_words,
    tags.schemes,
    tags.imbalance,
    sentences.giant_sentences,
    sentences.single_words,
    sentences.unsplit_words,
    characters.mojibake,
    characters.replacement_characters,
    characters.invisible_characters,
    overlap.shared_sentences,
    overlap.near_sentences,
    overlap.repeated_sentences,
    overlap.repeated_documents,
    overlap.unseen_words,
)
"""Checks that every run makes of its data: together a second or two for a million words."""

FURTHER: tuple[Check, ...] = (
    overlap.unseen_tags,  # a load says it itself
    tags.few_sentences,
    tags.sentences_without,
    sentences.empty_sentences,
    entities.border_marks,
    entities.unclosed_pairs,
    entities.several_types,
    entities.forgotten,
)
"""Checks that `inspect` makes besides."""

SEVERITIES: tuple[Severity, ...] = ("wrong", "suspicious", "note")
"""From bad to good."""


def ranked(remarks: Iterable[Remark], accept: Collection[str] = ()) -> list[Remark]:
    """Return remarks from wrong to worth knowing; what is accepted is no longer wrong.

    Args:
        remarks: In any order, which is kept within a severity.
        accept: Kinds that are known to be right.
    """
    found = [
        replace(remark, severity="suspicious") if remark.severity == "wrong" and remark.kind in accept else remark
        for remark in remarks
    ]
    return sorted(found, key=lambda remark: SEVERITIES.index(remark.severity))


def run_checks(corpus: Corpus, checks: Iterable[Check]) -> list[Remark]:
    """Return what checks find in a corpus, in their order."""
    return list(chain.from_iterable(check(corpus) for check in checks))


def without_told(remarks: Iterable[Remark], told: Iterable[Remark]) -> list[Remark]:
    """Return the remarks of checks without those of a kind that was told while reading."""
    kinds = {remark.kind for remark in told}
    return [remark for remark in remarks if remark.kind not in kinds]


def accepted(dataset: DatasetDict) -> tuple[str, ...]:
    """Return the kinds of findings that a dataset was loaded to accept."""
    origin = next(filter(None, map(origin_of, dataset.values())), None)
    return tuple(origin.arguments.get("accept", ())) if origin else ()


def check_before_training(
    dataset: DatasetDict, task: Task, *, place: str, accept: Collection[str] = ()
) -> list[Remark]:
    """Check data before a model is trained or evaluated on it; what is suspicious is logged as a warning.

    Args:
        dataset: Words and tags, as `load_tagging_dataset` returns them.
        task: The task of the tags.
        place: The data as a message names it.
        accept: Kinds of findings that are known to be right.

    Returns:
        What was found and is suspicious, from here alone; what was found while reading is in the reading report.

    Raises:
        DataError: If something is wrong and not accepted.
    """
    report = reading_report(dataset) if dataset else None
    while_reading = [remark for _, remark in report] if report else []
    accept = {*accept, *accepted(dataset)}
    found = ranked(without_told(run_checks(Corpus.of(dataset, task), QUICK), while_reading), accept)
    wrong = [remark for remark in (*ranked(while_reading, accept), *found) if remark.severity == "wrong"]
    if wrong:
        kinds = [kind for kind in dict.fromkeys(remark.kind for remark in wrong) if kind in FINDINGS]
        accept_them = f" If it is right as it is: {argument('accept', kinds)}" if kinds else ""
        raise DataError(
            "\n  ".join([f"{place}: the data looks wrong.", *map(str, wrong)])
            + f"\n  Look at it with `hf-tagging inspect`.{accept_them}"
        )
    suspicious = [remark for remark in found if remark.severity == "suspicious"]
    for remark in suspicious:
        logger.warning("%s: %s", place, remark)
    return suspicious
