"""Tagged text as HTML: entities in colour, or every word with its tag.

Everything from a text or a model is escaped. Colour is never the only sign: the tag is written beside it.
"""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping, Sequence

from hf_tagging.inference.spans import Entity, TaggedWord

MOST_SHOWN = 5000
"""Words of a text that are shown."""

_GOLDEN_ANGLE = 137.508  # successive turns by it never coincide, so any number of hues stays distinct

STYLE = """
.ht-entity { background: hsl(var(--hue) 80% 89%); color: #111827; border-radius: 5px; padding: 3px 5px;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.ht-word { display: inline-flex; flex-direction: column; align-items: center; vertical-align: top; line-height: 1.35;
  padding: 1px 5px 2px; margin: 2px 1px; border-radius: 5px; background: hsl(var(--hue) 80% 92%); color: #111827; }
.ht-tag { font-size: 12px; font-weight: 600; color: hsl(var(--hue) 75% 24%); white-space: nowrap; }
.ht-score { font-weight: 400; font-variant-numeric: tabular-nums; }
.ht-differs { text-decoration: underline dotted 2px; text-underline-offset: 4px; }
"""


def escaped(value: object) -> str:
    """Return a value as HTML text."""
    return html.escape(str(value))


def hues(names: Iterable[str]) -> dict[str, int]:
    """Return a hue in degrees for each entity type or tag."""
    return {name: round(210 + i * _GOLDEN_ANGLE) % 360 for i, name in enumerate(sorted(set(names)))}


def entities_html(
    text: str,
    words: Sequence[TaggedWord],
    entities: Sequence[Entity],
    hues: Mapping[str, int],
    differing: Collection[int] = (),
) -> str:
    """Return the text with a mark around every entity.

    Args:
        text: The text.
        words: Its words; those behind the first `MOST_SHOWN` are cut off.
        entities: Its entities.
        hues: Hue of each entity type.
        differing: Indices of words to underline.
    """
    starts = {entity.first_word: entity for entity in entities}
    parts, place, inside = [], 0, None
    for number, word in enumerate(words[:MOST_SHOWN]):
        parts.append(escaped(text[place : word.start]))
        if number in starts:
            inside = starts[number]
            parts.append(f'<mark class="ht-entity" style="--hue:{hues[inside.type]}">')
        parts.append(_word(word, number in differing))
        place = word.end
        if inside and number + 1 == inside.end_word:
            parts.append(f"&nbsp;{_tag(inside.type, inside.score)}</mark>")
            inside = None
    parts.append(f"&nbsp;{_tag(inside.type, inside.score)}</mark>" if inside else "")
    parts.append(escaped(text[place:]) if len(words) <= MOST_SHOWN else " …")
    return "".join(parts)


def words_html(text: str, words: Sequence[TaggedWord], hues: Mapping[str, int], differing: Collection[int] = ()) -> str:
    """Return the text with a tag below every word; see `entities_html`."""
    parts, place = [], 0
    for number, word in enumerate(words[:MOST_SHOWN]):
        parts.append(escaped(text[place : word.start]))
        parts.append(
            f'<span class="ht-word" style="--hue:{hues[word.tag]}">{_word(word, number in differing)}'
            f"{_tag(word.tag, word.score)}</span>"
        )
        place = word.end
    parts.append(escaped(text[place:]) if len(words) <= MOST_SHOWN else " …")
    return "".join(parts)


def _tag(name: str, score: float) -> str:
    return f'<span class="ht-tag"><bdi>{escaped(name)}</bdi> <span class="ht-score">{score:.2f}</span></span>'


def _word(word: TaggedWord, differs: bool) -> str:
    shown = f"<bdi>{escaped(word.text)}</bdi>"
    return f'<span class="ht-differs" title="{escaped(word.tag)}">{shown}</span>' if differs else shown
