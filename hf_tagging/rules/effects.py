"""Effects of rules: what a match says of its words, and when."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, get_args

Action: TypeAlias = Literal["label", "deny", "only"]
When: TypeAlias = Literal["before", "after", "constraint"]
ACTIONS: tuple[Action, ...] = get_args(Action)
WHENS: tuple[When, ...] = get_args(When)


class Effect(NamedTuple):
    """Effect of a rule on the words that it matches.

    Args:
        action: ``"label"``: they are an entity of this type, or have this tag. ``"deny"``: never one of these types.
            ``"only"``: no other words are an entity of these types.
        labels: Entity types, tags of a plain schema, or ``O``.
        when: ``"before"``: the rule decides, and the model decodes the words around. ``"constraint"``: the rule limits
            the tags that the model chooses from. ``"after"``: the rule edits the entities that the model has found.
        overwrite: Of a label after the model: replace the entities of the model that share a word with the match.
    """

    action: Action
    labels: tuple[str, ...]
    when: When
    overwrite: bool = False


class Match(NamedTuple):
    """Words of a sentence that a rule matches.

    Args:
        rule: Number of the rule; a rule that comes first in the file has the lower one.
        first: Index of the first word.
        end: Index behind the last word.
    """

    rule: int
    first: int
    end: int
