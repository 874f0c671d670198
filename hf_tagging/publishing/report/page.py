"""Report of a run as one self-contained HTML page."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from typing import TypedDict

import jinja2
from markupsafe import Markup

from hf_tagging.analysis.examples import fitting
from hf_tagging.analysis.shape import (
    Analysis,
    Bin,
    Calibration,
    Confusion,
    ErrorRow,
    TagRow,
    WrongSentence,
)
from hf_tagging.atomic import json_text
from hf_tagging.markdown import is_finite, is_number
from hf_tagging.publishing.report.geometry import Chart, curve, reliability, shade
from hf_tagging.publishing.report.sentences import LaidOut, excerpts, legible, listed_sentences
from hf_tagging.tasks import get_task

MOST_BYTES = 3_000_000  # of the page
PRINTED = 20  # wrong sentences in print and without JavaScript
SHOWN_TAGS = 25  # rows of the table of tags that are not folded away
MOST_ROWS = 1_000  # rows of that table
# Escaped text cannot contain it. It is replaced by the sentences once the size of the page is known.
_PLACE = Markup("<!--sentences-->")


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


class _Head(TypedDict):
    """Data for the script of the page, besides the sentences."""

    entities: bool
    kinds: dict[str, str]
    styles: list[str]
    confused: list[str]
    leftOut: int


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
    script, style = _asset("report.js"), _asset("report.css")
    page = _template().render(
        a=analysis,
        task=task,
        thing=task.item,
        things=task.items,
        kind_names=kinds,
        style=style,
        script=script,
        policy=_policy(script, style),
        worst=_worst_tag(analysis, styles),
        kind=_worst_kind(analysis["errors"]) if task.has_entities else _worst_pair(matrix, analysis["tags"]),
        tag_rows=tag_rows,
        tags_left_out=len(analysis["tags"]) - len(tag_rows),
        shown_tags=SHOWN_TAGS,
        confusion=matrix,
        curves=_curves(analysis["history"]),
        calibration=_reliability(analysis["calibration"]),
        listed=listed_sentences(analysis, styles, PRINTED),
        wrong=len(analysis["examples"]["sentences"]) + analysis["examples"]["left_out"],
        data=_PLACE,
    )
    head: _Head = {
        "entities": task.has_entities,
        "kinds": kinds,
        "styles": styles,
        "confused": matrix["tags"],
        "leftOut": analysis["examples"]["left_out"],
    }
    return page.replace(_PLACE, _data(head, analysis["examples"]["sentences"], MOST_BYTES - len(page.encode())), 1)


def _data(head: _Head, sentences: Sequence[WrongSentence], budget: int) -> str:
    """Return the wrong sentences as JSON for the page's script, thinned out evenly until they fit."""
    budget = max(0, budget - len(_json(head).encode()) - 100)
    texts = [_json(sentence) for sentence in sentences]
    sizes = [len(text.encode()) + 1 for text in texts]
    kept = fitting(sizes, budget)
    head = {**head, "leftOut": head["leftOut"] + len(sentences) - len(kept)}
    return _json(head)[:-1] + ',"sentences":[' + ",".join(texts[i] for i in kept) + "]}"


def _json(value: object) -> str:
    """Return JSON that is safe in a script element: it can neither end the element nor open a comment."""
    text = json_text(value, indent=None, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(script: str, style: str) -> str:
    """Return a content security policy for this script and style; `data:` is for the empty icon."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hf_tagging.publishing.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "number": _number, "counted": counted, "epoch": "{:.4g}".format}
    environment.globals["finite"] = is_finite
    return environment.get_template("report.html.j2")


@functools.cache
def _asset(name: str) -> Markup:
    """Return a file of the package that is included in the page verbatim."""
    environment = _template().environment
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0].replace("\r\n", "\n"))


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


def _reliability(calibration: Calibration) -> Calibration | _Reliability:
    if "missing" in calibration:
        return calibration
    bins = calibration["bins"]
    return {"bins": bins, "ece": calibration["ece"], "words": calibration["words"], "chart": reliability(bins)}


def _figure(value: object, digits: int = 4) -> str:
    """Return a score, or a dash where there is none."""
    return f"{value:.{digits}f}" if is_finite(value) else "–"


def _number(value: object) -> str:
    return f"{value:,}" if is_number(value) else "–"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 word, 1,148 words."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
