"""Rendering of Markdown templates: every printed value is escaped unless it is Markdown of our own."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping

import jinja2
import markupsafe

from hf_tagging.markdown import Markup, duration, energy, listed, setting, table, text

_MOST_TAGS = 100


def render(name: str, context: Mapping[str, object]) -> str:
    """Return a template of `templates/` as Markdown, with runs of blank lines collapsed.

    Args:
        name: File name of the template.
        context: Its variables.
    """
    page = _environment().get_template(name).render(context)
    return re.sub(r"\n{3,}", "\n\n", str(page)).strip() + "\n"


@functools.cache
def _environment() -> jinja2.Environment:
    # With autoescape, macros and blocks return Markup, so that `_printed` leaves them as they are.
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hf_tagging.publishing.card"),
        autoescape=True,
        finalize=_printed,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "setting": setting,
        "duration": duration,
        "energy": energy,
        "percent": "{:.0%}".format,
        "rounded": "{:,.0f}".format,
        "raw": Markup,
        "listed": _listed,
        "dotted": _dotted,
        "enumerated": _enumerated,
        "in_full": lambda value: Markup(text(value, 600)),
    }
    environment.globals["table"] = table
    return environment


def _printed(value: object) -> markupsafe.Markup:
    """Return a value as Markdown; strings are escaped unless they are `Markup`."""
    is_markdown = isinstance(value, (Markup, markupsafe.Markup))
    return markupsafe.Markup(value if is_markdown else text(value))


def _listed(items: Iterable[str], most: int = 20) -> Markup:
    return Markup(listed(map(text, items), most))


def _dotted(tags: list[str]) -> Markup:
    """Return tags with dots between them: a comma is a tag of many schemas."""
    rest = len(tags) - _MOST_TAGS
    return Markup(" · ".join(map(text, tags[:_MOST_TAGS])) + (f" and {rest:,} more" if rest > 0 else ""))


def _enumerated(names: list[str]) -> Markup:
    *first, last = map(text, names)
    return Markup(" and ".join(filter(None, [", ".join(first), last])))
