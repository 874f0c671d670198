"""Suggestions of texts to annotate next, with what was left out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from hf_tagging.data.formats.base import Document

By = Literal["uncertainty", "diversity", "disagreement"]
Measure = Literal["entropy", "margin"]


@dataclass(frozen=True)
class Doubt:
    """A word that the model is least certain of.

    Args:
        word: The word.
        tag: Most probable tag.
        score: Its probability.
        other: Second most probable tag.
        other_score: Its probability.
    """

    word: str
    tag: str
    score: float
    other: str
    other_score: float


@dataclass(frozen=True)
class Suggestion:
    """A text to annotate.

    Args:
        document: The text, with the spans that the model predicts.
        number: Its number among the texts, from 1.
        score: What it was chosen by: its uncertainty, the disagreement about it, or its distance from the texts that
            are chosen before it or annotated; from 0 to 1.
        entropy: Entropy of the tags of its least certain words, from 0 to 1.
        margin: Lead of the best tag in its least certain words, from 0 to 1.
        doubts: Its least certain words, the least certain first.
    """

    document: Document
    number: int
    score: float
    entropy: float
    margin: float
    doubts: list[Doubt] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """Texts to annotate next, the best first, and what was left out.

    Args:
        by: What they were chosen by.
        chosen: The texts.
        texts: Number of texts that were read.
        repeated: Of them, texts that are the same as an earlier one but for white space.
        annotated: Of them, texts that are annotated already.
        empty: Of them, texts without a word.
        similar: Texts that were passed over since they are nearly the same as one that is chosen.
        drawn: Texts that were compared; fewer than there are only where diversity drew a sample of them.
    """

    by: By
    chosen: list[Suggestion]
    texts: int
    repeated: int
    annotated: int
    empty: int
    similar: int
    drawn: int

    def note(self) -> str:
        """Return in a sentence or two what was read, left out and chosen."""
        counts = (
            (self.repeated, "repeated"),
            (self.annotated, "annotated already"),
            (self.empty, "without a word"),
        )
        out = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        left = self.texts - self.repeated - self.annotated - self.empty
        lines = [f"{self.texts:,} text{'s' * (self.texts != 1)}" + (f", left out: {out}" if out else "")]
        if self.drawn < left:
            lines.append(f"{self.drawn:,} of the {left:,} others drawn at random to be compared")
        if self.similar:
            lines.append(f"{self.similar:,} passed over: nearly the same as one that is chosen")
        lines.append(f"{len(self.chosen):,} chosen by {self.by}")
        return "; ".join(lines) + "."

    def as_dict(self) -> dict[str, object]:
        """Return numbers, texts and spans, for JSON."""
        rows = [
            {name: value for name, value in asdict(row).items() if name != "document"}
            | {"text": row.document.text, "spans": [asdict(span) for span in row.document.spans]}
            for row in self.chosen
        ]
        return asdict(self) | {"chosen": rows}
