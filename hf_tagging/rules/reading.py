"""Reading of `rules.jsonl`: every line is checked, and all problems are told together."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import get_args

from hf_tagging.atomic import Json
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.text_lines import numbered_lines, shortened
from hf_tagging.errors import ConfigError, DataError, Problem
from hf_tagging.problems import argument
from hf_tagging.rules.effects import ACTIONS, WHENS, Action, Effect, When
from hf_tagging.rules.patterns import PatternError, nearest, possible_lengths, read_pattern
from hf_tagging.rules.rules import Rules, labels_of, unwritable

Cut = Callable[[str], Sequence[tuple[int, int]]]
_KEYS = (*ACTIONS, "pattern", "phrases", "when", "overwrite", "ignore_case", "id")
_SHOWN_PROBLEMS = 20


def read_rules(path: str | Path, schema: TagSchema, *, cut: Cut | None = None) -> Rules:
    """Read a file of rules, one JSON object a line.

    Args:
        path: The file, in UTF-8.
        schema: Tags of the model.
        cut: Cuts a text into words, as the tagger does. A phrase is looked for in the words that it gives, and in those
            between the blanks of the phrase.

    Raises:
        DataError: The file cannot be read.
        ConfigError: A rule is wrong; of all that are, with their lines.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        wanted = "Give a file with a JSON object a line."
        raise DataError(f"{argument('rules', path)}: cannot be read ({error.strerror}). {wanted}") from error
    return _rules_of(zlib.compress(content, 1), Path(path), schema.tags, schema.scheme, cut)


def _rules_of(content: bytes, path: Path, tags: tuple[str, ...], scheme: str, cut: Cut | None) -> Rules:
    """Return the rules of a compressed file: what a pickle of them calls."""
    schema = TagSchema(tags, scheme)
    rules, count = Rules(path, schema), 0
    rules.again = partial(_rules_of, content, path, tags, scheme, cut)
    problems: list[Problem] = []
    reader = _RuleReader(rules, schema, cut)
    for number, line in numbered_lines(io.BytesIO(zlib.decompress(content)), str(path)):
        if not line.strip():
            continue
        for field, text in reader.read(number, line):
            count += 1
            if len(problems) < _SHOWN_PROBLEMS:
                problems.append(Problem(field, None, text, place=f"line {number}"))
    if problems:
        more = f"... and {count - len(problems):,} more" if count > len(problems) else ""
        raise ConfigError(problems, where=f"the rules in {path}", advice=more)
    if not len(rules):
        raise ConfigError(f"{argument('rules', path)}: has no rule; expected a JSON object a line.")
    rules.finish()
    return rules


class _RuleReader:
    """Reads lines into `Rules`; what is wrong comes back as the name of a key and a sentence."""

    def __init__(self, rules: Rules, schema: TagSchema, cut: Cut | None):
        self._rules, self._cut = rules, cut
        self._labels = labels_of(schema)
        self._has_entities, self._has_o = bool(schema.entity_types), "O" in schema.tags
        self._unwritable = {label: unwritable(schema, label) for label in schema.entity_types}

    def read(self, line: int, text: str) -> list[tuple[str, str]]:
        """Add the rule of a line, or return its problems: a key each, and what is wrong with it."""
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            return [("", f"{shortened(text.strip())} is not JSON ({error})")]
        if not isinstance(row, dict):
            return [("", f"{shortened(text.strip())}; expected an object")]
        problems = [(key, f"there is no such key{nearest(key, _KEYS)}") for key in row if key not in _KEYS]
        effect = self._effect(row, problems)
        phrases, described = self._patterns(row, problems)
        if not isinstance(row.get("id", ""), str):
            problems.append(("id", f"{row['id']!r:.40}; expected a string"))
        if problems or effect is None:
            return problems
        if lacking := self._lacking(effect, phrases, described):
            return [lacking]
        rule = self._rules.add(effect, line, str(row.get("id", "")))
        for phrase in phrases:
            for words in self._words(phrase):
                self._rules.add_phrase(words, rule, ignore_case=row.get("ignore_case") is True)
        if described:
            every = effect.action == "only" or (effect.action, effect.when) == ("deny", "after")
            self._rules.patterns.add(read_pattern(described), rule, every=every)
        return []

    def _effect(self, row: dict[str, Json], problems: list[tuple[str, str]]) -> Effect | None:
        given = [action for action in ACTIONS if action in row]
        if len(given) != 1:
            found = f"has {' and '.join(given)}" if given else f"has none of {', '.join(ACTIONS)}"
            problems.append(("", f"{found}; expected exactly one of them"))
            return None
        action = given[0]
        when, overwrite = row.get("when", self._usual(action)), row.get("overwrite", False)
        if when not in WHENS:
            problems.append(("when", f"{when!r:.20}; expected one of {', '.join(WHENS)}"))
            return None
        if not isinstance(overwrite, bool):
            problems.append(("overwrite", f"{overwrite!r:.20}; expected true or false"))
        labels = self._label_names(action, row[action], problems)
        effect = Effect(action, labels, next(one for one in get_args(When) if one == when), overwrite is True)
        problems += self._contradictions(effect)
        return effect

    def _usual(self, action: Action) -> When:
        """Return when a rule applies that does not say."""
        if action == "label":
            return "before"
        return "after" if self._has_entities else "constraint"

    def _label_names(self, action: Action, value: Json, problems: list[tuple[str, str]]) -> tuple[str, ...]:
        """Return the entity types or tags of a rule that the model has."""
        names = value if isinstance(value, list) and value else [value]
        what = "entity type" if self._has_entities else "tag"
        for name in names:
            if not isinstance(name, str):
                problems.append((action, f"{value!r:.40}; expected the name of an {what}, or a list of them"))
            elif name not in self._labels:
                problems.append((action, f"the model has no {what} {name!r}{nearest(name, self._labels)}"))
        return tuple(str(name) for name in names)

    def _contradictions(self, effect: Effect) -> list[tuple[str, str]]:
        """Return what a rule asks for that has no meaning for this model."""
        action, labels, when, overwrite = effect
        found = []
        if when == "before" and action != "label":
            found.append(("when", f"before goes with label alone; expected after or constraint with {action}"))
        if action == "label" and when != "constraint" and len(labels) > 1:
            found.append(("label", f"several go with when: constraint alone; expected one with {when}"))
        if overwrite and (action, when) != ("label", "after"):
            found.append(("overwrite", "goes with label and when: after alone; leave it out"))
        if action != "label" and "O" in labels and self._has_entities:
            found.append((action, "O is no entity type; leave it out"))
        if action != "label" and {*self._labels} == {*labels}:
            found.append((action, "leaves no tag; expected fewer"))
        if when == "after" and action != "label" and not (self._has_entities and self._has_o):
            found.append(("when", "after edits entities, which this model has not; expected constraint"))
        if when == "after" and action == "label" and not overwrite and (not self._has_o or labels == ("O",)):
            found.append(("overwrite", "after fills words that are O; expected true, to replace what the model says"))
        return found

    def _lacking(self, effect: Effect, phrases: Sequence[str], described: Sequence[Json]) -> tuple[str, str] | None:
        """Return what is wrong with a rule whose entities the tags of the model cannot write."""
        unwritable = self._unwritable.get(effect.labels[0], []) if effect.action == "label" else []
        if not unwritable or effect.when == "constraint":
            return None
        lengths = {min(len(words), 3) for phrase in phrases for words in self._words(phrase)}
        if described:
            lengths = possible_lengths(read_pattern(described))
        for length in sorted(lengths.intersection(unwritable)):
            words = f"{length} word{'s' * (length > 1)}{' or more' * (length > 2)}"
            wanted = "expected matches of other lengths, or when: constraint"
            return "label", f"the model lacks the tags for a {effect.labels[0]} of {words}; {wanted}"
        return None

    def _patterns(self, row: dict[str, Json], problems: list[tuple[str, str]]) -> tuple[list[str], list[Json]]:
        """Return the phrases of a rule, and the descriptions of its pattern."""
        given = [key for key in ("pattern", "phrases") if key in row]
        if len(given) != 1:
            problems.append(("", f"has {' and '.join(given) or 'no pattern'}; expected pattern, or phrases: a list"))
            return [], []
        key, value = given[0], row[given[0]]
        is_described = key == "pattern" and isinstance(value, list)
        if "ignore_case" in row and (is_described or not isinstance(row["ignore_case"], bool)):
            problems.append(
                ("ignore_case", "is true or false, and goes with phrases; in descriptions of words write LOWER")
            )
        if key == "pattern" and isinstance(value, list) and value:
            try:
                read_pattern(value)
            except PatternError as error:
                problems.append(("", str(error)))
            return [], value
        phrases = [value] if key == "pattern" else value
        if isinstance(phrases, list) and phrases and all(isinstance(one, str) and one.strip() for one in phrases):
            return [str(one) for one in phrases], []
        wanted = "a phrase or a list of descriptions of words" if key == "pattern" else "a list of phrases"
        problems.append((key, f"{shortened(json.dumps(value))}; expected {wanted}, none of them empty"))
        return [], []

    def _words(self, phrase: str) -> list[list[str]]:
        """Return the words of a phrase: those between blanks and, where they differ, those that the tagger cuts."""
        blanks = phrase.split()
        if self._cut is None:
            return [blanks]
        cut = [phrase[start:end] for start, end in self._cut(phrase)]
        return [blanks] if cut == blanks or not cut else [blanks, cut]
