"""Page of the sentences that two taggers tag differently, with the sentence browser of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from hf_tagging.analysis.differences import OUTCOMES, Differences, Different, Outcome, SideError
from hf_tagging.analysis.error_kinds import KINDS
from hf_tagging.publishing.report.rendering import PLACE, Head, Line, asset, policy, template, with_sentences
from hf_tagging.publishing.report.sentences import Run, legible, marked_line, shown_words

PRINTED = 20  # sentences in print and without JavaScript


class _ShownError(SideError):
    """An error with what is written before it."""

    label: str


class _LaidOut(TypedDict):
    """A sentence as three lines of marked words."""

    number: int
    outcome: str
    lines: list[tuple[str, list[Run]]]
    before: bool
    after: bool


def diff_page(found: Differences) -> str:
    """Return the page `differences.html`.

    As the report, it works from a file, requests nothing from a server, and its content security policy forbids every
    script and style but its own. Without JavaScript it lists the first sentences.

    Args:
        found: Result of `hf_tagging.analysis.differences.diff_taggers`.

    Returns:
        HTML of at most 3,000,000 bytes in UTF-8; sentences that do not fit are thinned out evenly, and counted.
    """
    names, different = legible(found.names), legible(found.different)
    sides = (side for row in different for side in (row["gold"], row["first"], row["second"]))
    styles = sorted({span[2] for side in sides for span in side})
    kinds = outcome_names(names)
    script, style = asset("report.js"), asset("report.css")
    page = template("differences.html.j2").render(
        found=found,
        names=names,
        task=found.task,
        outcomes=kinds,
        listed=[_laid_out(row, names, kinds, styles) for row in different[:PRINTED]],
        style=style,
        script=script,
        policy=policy(script, style),
        data=PLACE,
    )
    head: Head = {
        "entities": found.task.has_entities,
        "kinds": kinds,
        "styles": styles,
        "confused": [],
        "lines": _lines(names),
        "leftOut": 0,
    }
    return with_sentences(page, head, [_shown(row, names) for row in different])


def outcome_names(names: Sequence[str]) -> dict[str, str]:
    """Return what each outcome of a sentence is called."""
    first, second = names
    texts = (f"{first} right, {second} wrong", f"{second} right, {first} wrong", "both wrong, differently")
    return dict(zip(OUTCOMES, texts, strict=True))


def _lines(names: Sequence[str]) -> list[Line]:
    return [("Gold", "gold", ["first", "second"]), (names[0], "first", ["gold"]), (names[1], "second", ["gold"])]


def _shown(row: Different, names: Sequence[str]) -> dict[str, object]:
    """Return a sentence as the script reads it: an error is of the sentence's outcome, and says whose it is."""
    errors = [_labelled(error, row["outcome"], names) for error in row["errors"]]
    return {**row, "errors": errors}


def _labelled(error: SideError, outcome: Outcome, names: Sequence[str]) -> _ShownError:
    kind = KINDS[error["kind"]][0] if error["kind"] in KINDS else "wrong tag"
    return {**error, "kind": outcome, "label": f"{names[error['side']]}, {kind}"}


def _laid_out(row: Different, names: Sequence[str], kinds: dict[str, str], styles: Sequence[str]) -> _LaidOut:
    start, end = shown_words(len(row["words"]), row["errors"])
    sides = {"gold": row["gold"], "first": row["first"], "second": row["second"]}
    lines = [
        (who, marked_line(row["words"], sides[key], [sides[other] for other in others], start, end, styles))
        for who, key, others in _lines(names)
    ]
    return {
        "number": row["number"],
        "outcome": kinds[row["outcome"]],
        "lines": lines,
        "before": start > 0,
        "after": end < len(row["words"]),
    }
