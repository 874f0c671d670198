"""The HTML of the demo: texts with their tags or entities, what the taggers are, and what went wrong.

Whatever comes from a text, a file or a model's name is escaped. A colour never says anything alone: the tag stands
beside it.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.results import Entity, TaggedText, TaggedWord

Hues = Mapping[str, int]  # of an entity type or a tag, in degrees

_MOST_NAMED = 30  # tags that the line on a tagger names
MOST_SHOWN = 5000  # words of a text that the page shows
_GOLDEN_ANGLE = 137.508  # turned by it, however many hues never come to lie on one another


@dataclass(frozen=True)
class Answer:
    """What one tagger says of a text.

    Args:
        name: What the tagger is called.
        tagged: The text with words and entities.
        schema: The tagger's tags.
        differing: Numbers of the words that another tagger with the same tags reads differently.
    """

    name: str
    tagged: TaggedText
    schema: TagSchema
    differing: frozenset[int] = frozenset()


def escaped(value: object) -> str:
    """Text as HTML that means itself."""
    return html.escape(str(value))


def hues_of(schemas: Iterable[TagSchema]) -> dict[str, int]:
    """A hue for every entity type, and for every tag where there are no entities; the same for all taggers."""
    names = sorted({name for schema in schemas for name in shown_names(schema)})
    return {name: round(210 + i * _GOLDEN_ANGLE) % 360 for i, name in enumerate(names)}


def shown_names(schema: TagSchema) -> tuple[str, ...]:
    """What a text is marked with: entity types, or else tags."""
    return schema.entity_types or schema.tags


def models_note(schemas: Mapping[str, TagSchema], figures: Mapping[str, str]) -> str:
    """What each tagger tags with and, where it is known, how good it is; with its name where there are several."""
    lines = {name: _model_line(schema, figures.get(name)) for name, schema in schemas.items()}
    if len(lines) == 1:
        return f'<p class="ht-models">{next(iter(lines.values()))}</p>'
    items = (f"<li><strong>{escaped(name)}</strong> {line}</li>" for name, line in lines.items())
    return f'<ul class="ht-models">{"".join(items)}</ul>'


def _model_line(schema: TagSchema, figure: str | None) -> str:
    names = shown_names(schema)
    rest = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    kind = "Named entities" if schema.entity_types else "Parts of speech"
    known = f" ({escaped(figure)})" if figure else ""
    return f"{kind}{known}: {', '.join(map(escaped, names[:_MOST_NAMED]))}{rest}"


def error_note(message: str) -> str:
    """What went wrong, where a result would be."""
    return f'<p class="ht-error" role="alert">{escaped(message)}</p>'


def answers_page(answers: Sequence[Answer], hues: Hues) -> str:
    """All answers to one text, side by side where there is room."""
    note = ""
    if words := {number for answer in answers for number in answer.differing if number < MOST_SHOWN}:
        is_one = len(words) == 1
        note = (
            f'<p class="ht-note">{len(words):,} word{"" if is_one else "s"} on which taggers differ '
            f"{'is' if is_one else 'are'} underlined with dots.</p>"
        )
    return f'{note}<div class="ht-answers">{"".join(_answer(answer, hues) for answer in answers)}</div>'


def _answer(answer: Answer, hues: Hues) -> str:
    tagged = answer.tagged
    of_entities = bool(answer.schema.entity_types)
    shown = _entities(answer, hues) if of_entities else _words(answer, hues)
    counts = [_count(len(tagged.words), "word", "words")]
    counts += [_count(len(tagged.entities), "entity", "entities")] if of_entities else []
    return (
        f'<section class="ht-answer" aria-label="{escaped(answer.name)}"><h3>{escaped(answer.name)}</h3>'
        f'<p class="ht-text">{shown}</p><p class="ht-note">{", ".join(counts)}.{_cut(tagged)}</p>'
        f"{_details(tagged)}</section>"
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _cut(tagged: TaggedText) -> str:
    if len(tagged.words) <= MOST_SHOWN:
        return ""
    return f" The first {MOST_SHOWN:,} words are shown; as a file, the text comes back whole."


def _entities(answer: Answer, hues: Hues) -> str:
    """The text as it runs, with a mark around every entity."""
    text, words = answer.tagged.text, answer.tagged.words
    starts = {entity.first_word: entity for entity in answer.tagged.entities}
    parts, place, inside = [], 0, None
    for number, word in enumerate(words[:MOST_SHOWN]):
        parts.append(escaped(text[place : word.start]))
        if number in starts:
            inside = starts[number]
            parts.append(f'<mark class="ht-entity" style="--hue:{hues[inside.type]}">')
        parts.append(_word(word, number in answer.differing))
        place = word.end
        if inside and number + 1 == inside.end_word:
            parts.append(_entity_end(inside))
            inside = None
    parts.append(_entity_end(inside) if inside else "")
    parts.append(escaped(text[place:]) if len(words) <= MOST_SHOWN else " …")
    return "".join(parts)


def _entity_end(entity: Entity) -> str:
    return (
        f'&nbsp;<span class="ht-tag"><bdi>{escaped(entity.type)}</bdi> '
        f'<span class="ht-score">{entity.score:.2f}</span></span></mark>'
    )


def _words(answer: Answer, hues: Hues) -> str:
    """The text as it runs, with its tag below every word."""
    text, words = answer.tagged.text, answer.tagged.words
    parts, place = [], 0
    for number, word in enumerate(words[:MOST_SHOWN]):
        parts.append(escaped(text[place : word.start]))
        parts.append(
            f'<span class="ht-word" style="--hue:{hues[word.tag]}">{_word(word, number in answer.differing)}'
            f'<span class="ht-tag"><bdi>{escaped(word.tag)}</bdi> '
            f'<span class="ht-score">{word.score:.2f}</span></span></span>'
        )
        place = word.end
    parts.append(escaped(text[place:]) if len(words) <= MOST_SHOWN else " …")
    return "".join(parts)


def _word(word: TaggedWord, differs: bool) -> str:
    shown = f"<bdi>{escaped(word.text)}</bdi>"
    return f'<span class="ht-differs" title="{escaped(word.tag)}">{shown}</span>' if differs else shown


def _details(tagged: TaggedText) -> str:
    """A table of every word, folded away: what a screen reader or a careful reader wants."""
    rows = "".join(
        f"<tr><td><bdi>{escaped(word.text)}</bdi></td><td>{escaped(word.tag)}</td><td>{word.score:.3f}</td></tr>"
        for word in tagged.words[:MOST_SHOWN]
    )
    return (
        '<details><summary>Every word with its tag</summary><div class="ht-scroll"><table><thead><tr>'
        f"<th>word</th><th>tag</th><th>score</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def file_note(sentences: int, words: int, name: str, preview: str) -> str:
    """What was tagged in a file, and how its tagged form begins."""
    counts = f"{_count(words, 'word', 'words')} in {_count(sentences, 'sentence', 'sentences')}"
    return (
        f'<div class="ht-answer"><p class="ht-note">Tagged {counts}. <bdi>{escaped(name)}</bdi> begins so:</p>'
        f'<pre class="ht-preview" tabindex="0">{escaped(preview)}</pre></div>'
    )


# gradio puts a selector of its own before each of ours, and before `.dark` only where a rule has nothing else: one rule
# per selector of the dark mode.
STYLE = """
#about, #answer, #file-note { padding: 0; }
#about .html-container, #answer .html-container, #file-note .html-container { padding: 0; }
footer .divider { display: none; }
.ht-models { margin: 0; }
ul.ht-models { padding-left: 1.1em; list-style: disc; }
.ht-models li { margin: 2px 0; overflow-wrap: anywhere; }
.ht-answers { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); }
.ht-answer { border: 1px solid var(--border-color-primary); border-radius: 8px; padding: 12px 16px; min-width: 0;
  background: var(--block-background-fill); }
.ht-answer h3 { margin: 0 0 6px; font-size: 15px; font-weight: 600; overflow-wrap: anywhere; }
.ht-text { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 17px; line-height: 2; margin: 0; max-height: 60vh;
  overflow-y: auto; color: var(--body-text-color); }
.ht-note { font-size: 14px; margin: 6px 0; opacity: 0.8; }
.ht-entity { background: hsl(var(--hue) 80% 89%); color: #111827; border-radius: 5px; padding: 3px 5px;
  box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.ht-word { display: inline-flex; flex-direction: column; align-items: center; vertical-align: top; line-height: 1.35;
  padding: 1px 5px 2px; margin: 2px 1px; border-radius: 5px; background: hsl(var(--hue) 80% 92%); color: #111827; }
.ht-tag { font-size: 12px; font-weight: 600; color: hsl(var(--hue) 75% 24%); white-space: nowrap; }
.ht-score { font-weight: 400; font-variant-numeric: tabular-nums; }
.ht-differs { text-decoration: underline dotted 2px; text-underline-offset: 4px; }
.dark .ht-entity { background: hsl(var(--hue) 42% 24%); color: #f3f4f6; }
.dark .ht-word { background: hsl(var(--hue) 42% 24%); color: #f3f4f6; }
.dark .ht-tag { color: hsl(var(--hue) 85% 84%); }
.ht-answer details { margin-top: 4px; font-size: 14px; }
.ht-answer summary { cursor: pointer; opacity: 0.8; }
.ht-scroll { max-height: 320px; overflow: auto; margin-top: 6px; }
.ht-scroll table { border-collapse: collapse; border: 0; width: min(100%, 480px); }
.ht-scroll tr { border: 0; }
.ht-scroll th, .ht-scroll td { text-align: left; padding: 3px 10px 3px 0; border: 0;
  border-bottom: 1px solid var(--border-color-primary); overflow-wrap: anywhere; }
.ht-scroll td:last-child, .ht-scroll th:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.ht-preview { font-size: 13px; overflow: auto; max-height: 320px; margin: 0; white-space: pre; tab-size: 16; }
.ht-error { border-left: 4px solid #b91c1c; padding: 8px 12px; border-radius: 4px; background: #fef2f2; color: #7f1d1d;
  overflow-wrap: anywhere; }
.dark .ht-error { background: #3f1518; color: #fecaca; }
"""
