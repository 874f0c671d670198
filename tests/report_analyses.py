"""Analyses made by hand for the tests of the report's page; every sentence was invented for them."""

from typing import Any

from hf_tagging.analysis.error_kinds import KINDS

TYPES = ("MISC", "ORG", "LOC", "PER")


def sentence(number: int, text: str, gold: list, predicted: list, errors: list) -> dict[str, Any]:
    """A wrong sentence; errors are (kind, place among the gold spans or None, place among the predicted or None)."""
    made = [
        {
            "kind": kind,
            "gold": None if one is None else gold[one],
            "predicted": None if other is None else predicted[other],
        }
        for kind, one, other in errors
    ]
    return {"number": number, "words": text.split(), "gold": gold, "predicted": predicted, "errors": made}


SENTENCES = [
    sentence(
        3,
        "The Lantern Prize went to Mira Holt of Westmoor .",
        [[1, 3, "MISC"], [5, 7, "PER"], [8, 9, "LOC"]],
        [[5, 7, "PER"], [8, 9, "LOC"]],
        [("missed", 0, None)],
    ),
    sentence(
        8,
        "Orchard Rail said on Monday that Greyfield would get a new station .",
        [[0, 2, "ORG"], [6, 7, "LOC"]],
        [[0, 2, "ORG"], [6, 7, "ORG"]],
        [("type", 1, 1)],
    ),
    sentence(
        15,
        "She sang two Arvonian songs at the Festival of Small Boats .",
        [[3, 4, "MISC"], [7, 11, "MISC"]],
        [[3, 4, "LOC"], [10, 11, "MISC"]],
        [("type", 0, 0), ("boundary", 1, 1)],
    ),
    sentence(21, "May is late this year .", [], [[0, 1, "PER"]], [("spurious", None, 0)]),
    sentence(
        34,
        "Bank of Tolland shares fell after Dr. Ines Varga left .",
        [[0, 3, "ORG"], [7, 9, "PER"]],
        [[2, 3, "LOC"], [7, 9, "PER"]],
        [("both", 0, 0)],
    ),
    sentence(
        40,
        "Nobody in Quill read the Quill Weekly .",
        [[2, 3, "LOC"], [5, 7, "MISC"]],
        [[2, 3, "LOC"], [5, 7, "ORG"]],
        [("type", 1, 1)],
    ),
]


def ner_analysis(**changes: Any) -> dict[str, Any]:
    """Named entities: 78 sentences, six of them wrong, with seven errors, four of them with MISC."""
    counts = {"MISC": (4, 1, 0), "ORG": (5, 6, 4), "LOC": (6, 7, 5), "PER": (8, 9, 8)}
    bins = [filled(place, words) for place, words in ((4, 6), (6, 31), (8, 90), (9, 1021))]
    lengths = [("1", 0.81, 0.7, 0.9, 16), ("2", 0.7, 0.5, 0.85, 5), ("5 or more", 0.0, None, None, 1)]
    history = [{"epoch": float(i), "loss": 1.2 / i + 0.05, "f1": 0.9 - 0.6 / i, "accuracy": 0.97} for i in range(1, 7)]
    return {
        "name": "tiny-tagger",
        "task": "ner",
        "split": "test",
        "scheme": "IOB2",
        "sentences": 78,
        "words": 1148,
        "entities": 23,
        "headline": [
            {"name": "F1", "value": 0.7391, "low": 0.661, "high": 0.8127},
            {"name": "Precision", "value": 0.7391, "low": 0.65, "high": 0.82},
            {"name": "Recall", "value": 0.7391, "low": None, "high": None},
        ],
        "tags": [tag_row(tag, *numbers) for tag, numbers in counts.items()],
        "confusion": {
            "tags": [*TYPES, "O"],
            "counts": [[1, 1, 1, 0, 1], [0, 4, 1, 0, 0], [0, 1, 5, 0, 0], [0, 0, 0, 8, 0], [0, 0, 0, 1, 0]],
            "left_out": 0,
        },
        "history": history,
        "calibration": {"bins": bins, "ece": 0.02, "words": 1148},
        "confidence": {
            "items": "entities",
            "count": 23,
            "ece": 0.031,
            "before": {"temperature": 1.234, "words": 0.029, "items": 0.0555},
            "rows": [threshold_row(*numbers) for numbers in ((0.0, 23, 17), (0.5, 20, 16), (0.9, 10, 9), (0.99, 0, 0))],
        },
        "groups": [
            group("Entity length", lengths),
            {"title": "Words seen in training", "missing": "predictions/seen.json is not there."},
        ],
        "errors": [error_row(kind, count) for kind, count in zip(KINDS, (1, 1, 3, 1, 1, 0, 0), strict=True)],
        "examples": {"sentences": SENTENCES, "left_out": 0},
        "suspects": {
            "rows": [
                {
                    "number": 40,
                    "word": 5,
                    "text": "Quill",
                    "gold": "B-MISC",
                    "predicted": "B-ORG",
                    "score": 0.0412,
                    "context": ["read", "the", "Quill", "Weekly", "."],
                    "at": 2,
                },
            ],
            "method": "Words whose predicted tag differs from the data's, by the quality of the data's tag.",
        },
    } | changes


def pos_analysis(tags: int = 45, sentences: int = 120) -> dict[str, Any]:
    """Plain tags T00, T01, ... with as many wrong sentences as asked; T00 is worst."""
    names = [f"T{i:02}" for i in range(tags)]
    rows = [tag_row(name, 1000 + i, 1010, 990 - max(0, 40 - i)) for i, name in enumerate(names)]
    made = []
    for i in range(sentences):
        gold, predicted = names[i % min(tags, 3)], names[(i + 1) % tags]
        spans = [[[1, 2, gold]], [[1, 2, predicted]]]
        made.append(sentence(i + 1, f"Word{i} stands beside another one", *spans, [("tag", 0, 0)]))
    few = names[:25]
    counts = [[990 if i == j else (i * j) % 4 for j in range(len(few))] for i in range(len(few))]
    return ner_analysis(
        name="pos-tagger",
        task="pos",
        scheme=None,
        entities=None,
        words=46_435,
        sentences=3_684,
        headline=[{"name": "Accuracy", "value": 0.9345, "low": 0.93, "high": 0.939}],
        tags=rows,
        confusion={"tags": few, "counts": counts, "left_out": tags - len(few)},
        errors=[{"kind": "tag", "name": "wrong tag", "count": sentences, "share": 1.0, "explain": ""}],
        examples={"sentences": made, "left_out": 0},
        suspects={"missing": "This needs cleanlab."},
        calibration={"missing": "The tagger gives no probabilities."},
        confidence={"missing": "The tagger gives no probabilities."},
        history=[],
    )


def flawless_analysis() -> dict[str, Any]:
    """One sentence without an error."""
    return ner_analysis(
        sentences=1,
        words=4,
        entities=1,
        headline=[{"name": "F1", "value": 1.0, "low": None, "high": None}],
        tags=[tag_row("PER", 1, 1, 1)],
        confusion={"tags": ["PER", "O"], "counts": [[1, 0], [0, 0]], "left_out": 0},
        errors=[error_row(kind, 0, 1) for kind in KINDS],
        examples={"sentences": [], "left_out": 0},
        suspects={"rows": [], "method": "By the quality of the tag."},
        groups=[],
        history=[{"epoch": 1.0, "loss": 0.5, "f1": 1.0}],
        calibration={"bins": [filled(9, 4)], "ece": 0.05, "words": 4},
        confidence={"items": "entities", "count": 1, "ece": 0.1, "before": None, "rows": [threshold_row(0.0, 1, 1, 1)]},
    )


def tag_row(tag: str, gold: int, predicted: int, correct: int) -> dict[str, Any]:
    precision, recall = correct / predicted if predicted else 0.0, correct / gold if gold else 0.0
    f1 = 2 * correct / (gold + predicted)
    scores = {"tag": tag, "precision": precision, "recall": recall, "f1": f1}
    return scores | {"gold": gold, "predicted": predicted, "correct": correct, "cost": gold + predicted - 2 * correct}


def threshold_row(threshold: float, kept: int, right: int, items: int = 23) -> dict[str, Any]:
    row = {"threshold": threshold, "kept": kept, "coverage": kept / items, "recall": right / items}
    return row | {"precision": right / kept if kept else None}


def error_row(kind: str, count: int, total: int = 7) -> dict[str, Any]:
    name, explain = KINDS[kind]
    sides = {"gold": 0 if kind in ("spurious", "split") else count}
    sides["predicted"] = 0 if kind in ("missed", "merged") else count
    return {"kind": kind, "name": name, "count": count, "share": count / total, **sides, "explain": explain}


def filled(place: int, words: int) -> dict[str, Any]:
    mean = {"confidence": place / 10 + 0.05, "accuracy": place / 10}
    return {"low": place / 10, "high": (place + 1) / 10, **mean, "words": words}


def group(title: str, rows: list[tuple]) -> dict[str, Any]:
    names = ("name", "value", "low", "high", "count")
    made = [dict(zip(names, row, strict=True)) for row in rows]
    return {"title": title, "unit": "words", "counted": "entities", "metric": "recall", "note": None, "rows": made}
