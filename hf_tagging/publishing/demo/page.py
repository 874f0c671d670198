"""HTML of the demo: tagged texts side by side, a line on each tagger, error messages.

Everything from a text, a file or the name of a model is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.explaining import Explanation
from hf_tagging.inference.html import MOST_SHOWN, entities_html, escaped, hues, words_html
from hf_tagging.inference.html import STYLE as MARKS
from hf_tagging.inference.tagged_text import TaggedText

Hues = Mapping[str, int]  # of an entity type or a tag, in degrees

_MOST_NAMED = 30  # tags that the line on a tagger names


@dataclass(frozen=True)
class Answer:
    """Result of one tagger for a text.

    Args:
        name: Name of the tagger.
        tagged: The text with words and entities.
        schema: Tags of the tagger.
        differing: Indices of words that another tagger with the same tags tags differently.
    """

    name: str
    tagged: TaggedText
    schema: TagSchema
    differing: frozenset[int] = frozenset()


def hues_of(schemas: Iterable[TagSchema]) -> dict[str, int]:
    """Return a hue for every entity type, and for every tag of taggers without entities; the same in all answers."""
    return hues(name for schema in schemas for name in shown_names(schema))


def shown_names(schema: TagSchema) -> tuple[str, ...]:
    """Return the names that mark a text: entity types, or tags where there are none."""
    return schema.entity_types or schema.tags


def models_note(schemas: Mapping[str, TagSchema], figures: Mapping[str, str]) -> str:
    """Return the tags and, where known, the score of each tagger; with its name if there are several."""
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
    """Return an error message in place of a result."""
    return f'<p class="ht-error" role="alert">{escaped(message)}</p>'


def answers_page(answers: Sequence[Answer], hues: Hues) -> str:
    """Return all answers for one text, side by side if there is room."""
    note = ""
    if words := {number for answer in answers for number in answer.differing if number < MOST_SHOWN}:
        is_one = len(words) == 1
        note = (
            f'<p class="ht-note">{len(words):,} word{"" if is_one else "s"} with different tags '
            f"{'is' if is_one else 'are'} underlined.</p>"
        )
    return f'{note}<div class="ht-answers">{"".join(_answer(answer, hues) for answer in answers)}</div>'


def _answer(answer: Answer, hues: Hues) -> str:
    tagged = answer.tagged
    of_entities = bool(answer.schema.entity_types)
    if of_entities:
        shown = entities_html(tagged.text, tagged.words, tagged.entities, hues, answer.differing)
    else:
        shown = words_html(tagged.text, tagged.words, hues, answer.differing)
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
    return f" Only the first {MOST_SHOWN:,} words are shown; upload the text as a file to tag all of it."


def _details(tagged: TaggedText) -> str:
    """Return a table of all words, folded away; also the accessible form of the coloured text."""
    rows = "".join(
        f"<tr><td><bdi>{escaped(word.text)}</bdi></td><td>{escaped(word.tag)}</td><td>{word.score:.3f}</td></tr>"
        for word in tagged.words[:MOST_SHOWN]
    )
    return (
        '<details><summary>Every word with its tag</summary><div class="ht-scroll"><table><thead><tr>'
        f"<th>word</th><th>tag</th><th>score</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def explanations_page(explanations: Mapping[str, Explanation]) -> str:
    """Return the heat line of each tagger, by the taggers' names, with what its colours mean."""
    parts = []
    for name, explanation in explanations.items():
        title = f"<h3>{escaped(name)}</h3>" if len(explanations) > 1 else ""
        steps = "; ".join(
            f"{escaped(step.previous or 'beginning')} → {escaped(step.tag or 'end')} {step.score:+.2f}"
            for step in explanation.transitions
        )
        note = f'<p class="ht-note">Transitions of the CRF: {steps}.</p>' if steps else ""
        parts.append(
            f'<section class="ht-answer">{title}<div class="ht-text">{explanation.to_html()}</div>{note}</section>'
        )
    return (
        '<p class="ht-note">Blue words speak for the tag, orange ones against it: how much of its probability is lost '
        "where the word is unknown.</p>" + f'<div class="ht-answers">{"".join(parts)}</div>'
    )


def file_note(sentences: int, words: int, name: str, preview: str) -> str:
    """Return the number of tagged words and a preview of the tagged file."""
    counts = f"{_count(words, 'word', 'words')} in {_count(sentences, 'sentence', 'sentences')}"
    return (
        f'<div class="ht-answer"><p class="ht-note">Tagged {counts}. <bdi>{escaped(name)}</bdi> begins with:</p>'
        f'<pre class="ht-preview" tabindex="0">{escaped(preview)}</pre></div>'
    )


# gradio puts a selector of its own before each of ours, and before `.dark` only where a rule has nothing else: one rule
# per selector of the dark mode.
STYLE = (
    MARKS
    + """
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
)
