"""The report of a run as one page of HTML that needs nothing but itself."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import jinja2
from markupsafe import Markup

from hf_tagging.analysis.examples import fitting
from hf_tagging.atomic import json_text
from hf_tagging.markdown import is_number
from hf_tagging.publishing.report.geometry import curve, finite, reliability, shade
from hf_tagging.publishing.report.sentences import excerpts, legible, listed_sentences
from hf_tagging.tasks import get_task

Analysis = dict[str, Any]

MOST_BYTES = 3_000_000  # of the page
PRINTED = 20  # wrong sentences on paper, and where JavaScript is off
SHOWN_TAGS = 25  # rows of the table of tags that are not folded away
MOST_ROWS = 1_000  # of that table; the tags behind them are counted
# What no escaped text can hold: the sentences take its place when it is known how much room they have.
_PLACE = Markup("<!--sentences-->")


def report_page(analysis: Analysis) -> str:
    """Makes the page `report.html`.

    It opens from a file, asks no server for anything, and its content policy forbids every script and style but its
    own. All but the browser of wrong sentences works without JavaScript.

    Args:
        analysis: What `hf_tagging.analysis.analyse.analyse` returns.

    Returns:
        HTML of at most 3,000,000 bytes as UTF-8, unless words and tags alone are endless; wrong sentences that would
        not fit are left out evenly, and counted.
    """
    analysis = legible(analysis)
    view = _view(analysis)
    page = _template().render(view, data=_PLACE)
    head = {
        "entities": view["task"].has_entities,
        "kinds": view["kind_names"],
        "styles": view["styles"],
        "confused": view["confusion"]["tags"],
        "leftOut": analysis["examples"]["left_out"],
    }
    return page.replace(_PLACE, _data(head, analysis["examples"]["sentences"], MOST_BYTES - len(page.encode())), 1)


def _view(analysis: Analysis) -> dict[str, Any]:
    """What the template names, besides the sentences for the script."""
    script, style = _asset("report.js"), _asset("report.css")
    task = get_task(analysis["task"])
    confusion, tag_rows = _confusion(analysis["confusion"]), _tag_rows(analysis["tags"])
    styles = _styles(tag_rows, confusion)
    return {
        "a": analysis,
        "task": task,
        "thing": task.item,
        "things": task.items,
        "kind_names": {row["kind"]: row["name"] for row in analysis["errors"]},
        "style": style,
        "script": script,
        "policy": _policy(script, style),
        "styles": styles,
        "worst": _worst_tag(analysis, styles),
        "kind": _worst_kind(analysis["errors"]) if task.has_entities else _worst_pair(confusion, analysis["tags"]),
        "tag_rows": tag_rows,
        "tags_left_out": len(analysis["tags"]) - len(tag_rows),
        "shown_tags": SHOWN_TAGS,
        "confusion": confusion,
        "curves": _curves(analysis["history"]),
        "calibration": _calibration(analysis["calibration"]),
        "listed": listed_sentences(analysis, styles, PRINTED),
        "wrong": len(analysis["examples"]["sentences"]) + analysis["examples"]["left_out"],
    }


def _styles(tag_rows: Sequence[dict[str, Any]], confusion: dict[str, Any]) -> list[str]:
    """Every tag of the page's tables, in the order by which its mark is drawn; any further one looks like the first."""
    return sorted({row["tag"] for row in tag_rows} | set(confusion["tags"]))


def _data(head: dict[str, Any], sentences: Sequence[dict[str, Any]], budget: int) -> str:
    """The wrong sentences as JSON for the page's script, thinned out evenly until they fit."""
    budget = max(0, budget - len(_json(head).encode()) - 100)
    texts = [_json(sentence) for sentence in sentences]
    sizes = [len(text.encode()) + 1 for text in texts]
    kept = fitting(sizes, budget)
    head = head | {"leftOut": head["leftOut"] + len(sentences) - len(kept)}
    return _json(head)[:-1] + ',"sentences":[' + ",".join(texts[i] for i in kept) + "]}"


def _json(value: Any) -> str:
    """JSON that may stand in a script element: it can neither end it nor open a comment."""
    text = json_text(value, indent=None, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _policy(script: str, style: str) -> str:
    """Forbids everything but these two, by their hashes; `data:` is for the empty icon."""
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
    environment.globals["finite"] = finite
    return environment.get_template("report.html.j2")


@functools.cache
def _asset(name: str) -> Markup:
    """A file of ours that goes into the page as it is."""
    environment = _template().environment
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0].replace("\r\n", "\n"))


def _worst_tag(analysis: Analysis, styles: Sequence[str]) -> dict[str, Any] | None:
    """The tag that costs most, with up to three of its errors; none where nothing is wrong."""
    worst = max(analysis["tags"], key=lambda row: row["cost"], default=None)
    if worst is None or not worst["cost"]:
        return None
    return worst | {
        "missed": worst["gold"] - worst["correct"],
        "false": worst["predicted"] - worst["correct"],
        "examples": excerpts(analysis, styles, worst["tag"], 3),
    }


def _worst_kind(errors: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    worst = max(errors, key=lambda row: row["count"], default=None)
    return worst if worst and worst["count"] else None


def _worst_pair(confusion: dict[str, Any], tags: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The commonest confusion of two tags: words have one kind of error, which says nothing."""
    names = confusion["tags"]
    cells = [
        (count, f"{names[i]} taken for {names[j]}")
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


def _tag_rows(tags: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The costliest tags, with the two parts of the bar as percent of the longest."""
    ordered = sorted(tags, key=lambda row: -row["cost"])[:MOST_ROWS]
    longest = max((row["cost"] for row in tags), default=0) or 1
    return [
        row
        | {
            "missed": row["gold"] - row["correct"],
            "missed_bar": round(100 * (row["gold"] - row["correct"]) / longest, 2),
            "cost_bar": round(100 * row["cost"] / longest, 2),
        }
        for row in ordered
    ]


def _confusion(confusion: dict[str, Any]) -> dict[str, Any]:
    """The matrix with a shade per cell."""
    return confusion | {"rows": [[(count, shade(count, sum(row))) for count in row] for row in confusion["counts"]]}


def _curves(history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One chart for the loss and one for the score, of the evaluations that have them."""
    curves: list[dict[str, Any]] = []
    for key, name in (("f1", "F1"), ("accuracy", "accuracy"), ("loss", "loss")):
        points = [
            (entry["epoch"], entry[key]) for entry in history if finite(entry.get("epoch")) and finite(entry.get(key))
        ]
        if points and not (key == "accuracy" and curves):  # a run of entities has both: F1 is its score
            best = (min if key == "loss" else max)(points, key=lambda point: point[1])
            curves.append({"name": name, "points": points, "best": best, "chart": curve(points, name)})
    return curves


def _calibration(calibration: dict[str, Any]) -> dict[str, Any]:
    if "missing" in calibration:
        return calibration
    return calibration | {"chart": reliability(calibration["bins"])}


def _figure(value: Any, digits: int = 4) -> str:
    """A score, or a dash where there is none."""
    return f"{value:.{digits}f}" if finite(value) else "–"


def _number(value: Any) -> str:
    return f"{value:,}" if is_number(value) else "–"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: 1 word, 1,148 words."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
