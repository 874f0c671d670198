"""conlleval's figures from its own kind of lines: an oracle for the metrics that shares no code with seqeval.

The scorer of the CoNLL-2000 and 2003 shared tasks (Tjong Kim Sang and De Meulder, 2003) never builds
entities. It walks the lines once, asks of each column whether an entity ends before this word or starts at
it, and counts an entity as right where both columns start it together, agree to its end, and end it together.
The script of 2003 knows no S, and leaves out a start at B after E; both rules here are those of later ports.
"""

from collections import Counter
from collections.abc import Iterable

OUTSIDE = ("O", "")


def score(lines: Iterable[str]) -> dict:
    """Score lines `word ... gold predicted`, with a blank line between sentences; figures are in 0..1.

    As in the script, a -DOCSTART- line counts as a word: leave it out where the other side has none.
    """
    right, guessed, gold = Counter(), Counter(), Counter()
    words = right_words = 0
    before = (OUTSIDE, OUTSIDE)
    open_type = None  # of the entity that both columns have agreed on since its start
    for line in [*lines, ""]:
        columns = line.split()
        here = (_split(columns[-2]), _split(columns[-1])) if columns else (OUTSIDE, OUTSIDE)
        ends = [_ends(a, b) for a, b in zip(before, here, strict=True)]
        starts = [_starts(a, b) for a, b in zip(before, here, strict=True)]
        if open_type is not None:
            right[open_type] += all(ends)
            if any(ends):  # in one column alone: the entity is wrong
                open_type = None
        if all(starts) and here[0][1] == here[1][1]:
            open_type = here[0][1]
        gold[here[0][1]] += starts[0]
        guessed[here[1][1]] += starts[1]
        words += bool(columns)
        right_words += bool(columns) and columns[-2] == columns[-1]
        before = here
    types = sorted(name for name in gold | guessed)
    return {
        **_figures(right.total(), guessed.total(), gold.total()),
        "accuracy": right_words / words if words else 0.0,
        "per_type": {name: _figures(right[name], guessed[name], gold[name]) for name in types},
    }


def _split(tag: str) -> tuple[str, str]:
    prefix, _, kind = tag.partition("-")
    return prefix, kind


def _ends(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Whether an entity ends between these two (prefix, type)."""
    if before[0] == "O":
        return False
    return before[0] in "ES" or here[0] in "OBS" or before[1] != here[1]


def _starts(before: tuple[str, str], here: tuple[str, str]) -> bool:
    """Whether an entity starts at the second of these two (prefix, type)."""
    if here[0] == "O":
        return False
    return here[0] in "BS" or before[0] in "OES" or before[1] != here[1]


def _figures(right: int, guessed: int, gold: int) -> dict:
    precision = right / guessed if guessed else 0.0
    recall = right / gold if gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if right else 0.0
    return {"precision": precision, "recall": recall, "f1": f1, "support": gold}
