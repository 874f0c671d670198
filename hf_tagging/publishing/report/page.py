"""Report of a run as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from hf_tagging.analysis.shape import (
    Analysis,
    Bin,
    Calibration,
    Confidence,
    Confusion,
    ErrorRow,
    TagRow,
)
from hf_tagging.markdown import is_finite
from hf_tagging.publishing.report.geometry import Chart, coverage, curve, reliability, shade
from hf_tagging.publishing.report.rendering import PLACE, Head, Line, asset, policy, template, with_sentences
from hf_tagging.publishing.report.sentences import LaidOut, excerpts, legible, listed_sentences
from hf_tagging.tasks import get_task

PRINTED = 20  # wrong sentences in print and without JavaScript
SHOWN_TAGS = 25  # rows of the table of tags that are not folded away
MOST_ROWS = 1_000  # rows of that table
_LINES: list[Line] = [("Gold", "gold", ["predicted"]), ("Predicted", "predicted", ["gold"])]


class _TagBars(TagRow):
    """A row of the table of tags; bars are percentages of the longest."""

    missed: int
    missed_bar: float
    cost_bar: float


class _WorstTag(TagRow):
    """Tag with most errors, and examples of them."""

    missed: int
    false: int
    examples: list[LaidOut]


class _Matrix(Confusion):
    """Confusion matrix with a shade per cell."""

    rows: list[list[tuple[int, int]]]


class _Curve(TypedDict):
    """A figure by epoch."""

    name: str
    points: list[tuple[float, float]]
    best: tuple[float, float]
    chart: Chart


class _Reliability(TypedDict):
    """Calibration with its diagram."""

    bins: list[Bin]
    ece: float
    words: int
    chart: Chart


def report_page(analysis: Analysis) -> str:
    """Return the page `report.html`.

    It works from a file, requests nothing from a server, and its content security policy forbids every script and
    style but its own. Everything except the browser of wrong sentences works without JavaScript.

    Args:
        analysis: Result of `hf_tagging.analysis.analyse.analyse`.

    Returns:
        HTML of at most 3,000,000 bytes in UTF-8; wrong sentences that do not fit are thinned out evenly, and counted.
    """
    analysis = legible(analysis)
    task, matrix, tag_rows = get_task(analysis["task"]), _matrix(analysis["confusion"]), _tag_bars(analysis["tags"])
    styles = sorted({row["tag"] for row in tag_rows} | set(matrix["tags"]))
    kinds = {row["kind"]: row["name"] for row in analysis["errors"]}
    script, style = asset("report.js"), asset("report.css")
    page = template("report.html.j2").render(
        a=analysis,
        task=task,
        thing=task.item,
        things=task.items,
        kind_names=kinds,
        style=style,
        script=script,
        policy=policy(script, style),
        worst=_worst_tag(analysis, styles),
        kind=_worst_kind(analysis["errors"]) if task.has_entities else _worst_pair(matrix, analysis["tags"]),
        tag_rows=tag_rows,
        tags_left_out=len(analysis["tags"]) - len(tag_rows),
        shown_tags=SHOWN_TAGS,
        confusion=matrix,
        curves=_curves(analysis["history"]),
        calibration=_reliability(analysis["calibration"]),
        confidence=analysis["confidence"],
        coverage=_coverage(analysis["confidence"]),
        listed=listed_sentences(analysis, styles, PRINTED),
        wrong=len(analysis["examples"]["sentences"]) + analysis["examples"]["left_out"],
        data=PLACE,
    )
    head: Head = {
        "entities": task.has_entities,
        "kinds": kinds,
        "styles": styles,
        "confused": matrix["tags"],
        "lines": _LINES,
        "leftOut": analysis["examples"]["left_out"],
    }
    return with_sentences(page, head, analysis["examples"]["sentences"])


def _worst_tag(analysis: Analysis, styles: Sequence[str]) -> _WorstTag | None:
    """Return the tag with most errors and up to three of them; None where nothing is wrong."""
    worst = max(analysis["tags"], key=lambda row: row["cost"], default=None)
    if worst is None or not worst["cost"]:
        return None
    return {
        **worst,
        "missed": worst["gold"] - worst["correct"],
        "false": worst["predicted"] - worst["correct"],
        "examples": excerpts(analysis, styles, worst["tag"], 3),
    }


def _worst_kind(errors: Sequence[ErrorRow]) -> ErrorRow | None:
    worst = max(errors, key=lambda row: row["count"], default=None)
    return worst if worst and worst["count"] else None


def _worst_pair(confusion: _Matrix, tags: Sequence[TagRow]) -> ErrorRow | None:
    """Return the most frequent confusion of two tags: plain tags have only one kind of error."""
    names = confusion["tags"]
    cells = [
        (count, f"{names[i]} predicted as {names[j]}")
        for i, row in enumerate(confusion["rows"])
        for j, (count, _) in enumerate(row)
        if i != j and count
    ]
    if not cells:
        return None
    count, name = max(cells, key=lambda cell: cell[0])
    return {
        "name": name,
        "count": count,
        "share": count / sum(row["gold"] - row["correct"] for row in tags),
        "explain": "",
    }


def _tag_bars(tags: Sequence[TagRow]) -> list[_TagBars]:
    """Return the costliest tags with their bars."""
    ordered = sorted(tags, key=lambda row: -row["cost"])[:MOST_ROWS]
    longest = max((row["cost"] for row in tags), default=0) or 1
    return [
        {
            **row,
            "missed": row["gold"] - row["correct"],
            "missed_bar": round(100 * (row["gold"] - row["correct"]) / longest, 2),
            "cost_bar": round(100 * row["cost"] / longest, 2),
        }
        for row in ordered
    ]


def _matrix(confusion: Confusion) -> _Matrix:
    rows = [[(count, shade(count, sum(row))) for count in row] for row in confusion["counts"]]
    return {**confusion, "rows": rows}


def _curves(history: Sequence[dict[str, float]]) -> list[_Curve]:
    """Return a chart of the score and one of the loss, of the evaluations that have them."""
    curves: list[_Curve] = []
    for key, name in (("f1", "F1"), ("accuracy", "accuracy"), ("loss", "loss")):
        points = [
            (entry["epoch"], entry[key])
            for entry in history
            if is_finite(entry.get("epoch")) and is_finite(entry.get(key))
        ]
        if points and not (key == "accuracy" and curves):  # a run of entities has both: F1 is its score
            best = (min if key == "loss" else max)(points, key=lambda point: point[1])
            curves.append({"name": name, "points": points, "best": best, "chart": curve(points, name)})
    return curves


def _coverage(confidence: Confidence) -> Chart | None:
    """Return the curve of coverage and precision; None where there is none."""
    if "missing" in confidence or all(row["precision"] is None for row in confidence["rows"]):
        return None
    return coverage(confidence["rows"], confidence["items"])


def _reliability(calibration: Calibration) -> Calibration | _Reliability:
    if "missing" in calibration:
        return calibration
    bins = calibration["bins"]
    return {"bins": bins, "ece": calibration["ece"], "words": calibration["words"], "chart": reliability(bins)}
