"""What the pages of this package share: templates, policy, and sentences as data for the page's script."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping, Sequence
from typing import TypedDict

import jinja2
from markupsafe import Markup

from hf_tagging.analysis.examples import fitting
from hf_tagging.atomic import json_text
from hf_tagging.markdown import is_finite, is_number

MOST_BYTES = 3_000_000  # of a page
# Escaped text cannot contain it. It is replaced by the sentences once the size of the page is known.
PLACE = Markup("<!--sentences-->")

Line = tuple[str, str, list[str]]
"""A line of a sentence: its name, the key of its spans, and the keys of those in which a right span is as well."""


class Head(TypedDict):
    """Data for the script of a page, besides the sentences."""

    entities: bool
    kinds: dict[str, str]
    styles: list[str]
    confused: list[str]
    lines: list[Line]
    leftOut: int


def template(name: str) -> jinja2.Template:
    """Return a template of this package."""
    return _environment().get_template(name)


def with_sentences(page: str, head: Head, sentences: Sequence[Mapping[str, object]]) -> str:
    """Return a page with the data of its script in the place of `PLACE`, as many sentences as there is room for."""
    return page.replace(PLACE, _data(head, sentences, MOST_BYTES - len(page.encode())), 1)


def _data(head: Head, sentences: Sequence[Mapping[str, object]], budget: int) -> str:
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


def policy(script: str, style: str) -> str:
    """Return a content security policy for this script and style; `data:` is for the empty icon."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def asset(name: str) -> Markup:
    """Return a file of the package that is included in the page verbatim."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0].replace("\r\n", "\n"))


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hf_tagging.publishing.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": _figure, "number": _number, "counted": counted, "epoch": "{:.4g}".format}
    environment.globals["finite"] = is_finite
    return environment


def _figure(value: object, digits: int = 4) -> str:
    """Return a score, or a dash where there is none."""
    return f"{value:.{digits}f}" if is_finite(value) else "–"


def _number(value: object) -> str:
    return f"{value:,}" if is_number(value) else "–"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: 1 word, 1,148 words."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
