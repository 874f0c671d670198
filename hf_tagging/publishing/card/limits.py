"""The limits of a model card: what the run left out or lost on its way, and what the report found.

A finding is told only where there is evidence for it: 30 words, entities or errors at least, and where two groups are
set against each other, 95 % intervals that do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import is_finite, listed, text
from hf_tagging.publishing import provenance
from hf_tagging.tasks import POS, get_task
from hf_tagging.training.record import RunRecord

_ENOUGH = 30  # words, entities or errors; of fewer nothing is said
_WORST_TAGS = 3


def limits_section(record: RunRecord, results: Results, analysis: dict[str, Any] | None) -> str:
    """What to know before the model is used.

    Args:
        record: Of the run, with `task` and `arguments`.
        results: Per split, every figure.
        analysis: Of the model's predictions, as `hf_tagging.analysis.analyse` makes it.
    """
    points = [*_partial(record), *_alignment(record, results), *_features(record), *_tags(record)]
    points += _scheme(record)
    points += _known_data(record, provenance.splits(record, results))
    parts = [_bullets(points)] if points else []
    if analysis and (found := list(_findings(analysis))):
        split = text(analysis.get("split") or "evaluated")
        parts.append(f"Found by the report on the {split} split:\n\n{_bullets(found)}")
    return "\n\n".join(parts)


def _bullets(points: Sequence[str]) -> str:
    return "\n".join(f"- {point}" for point in points)


def _partial(record: RunRecord) -> list[str]:
    """What was cut short on purpose."""
    uses: dict[str, Literal["max_train_samples", "max_eval_samples"]] = {
        "training": "max_train_samples",
        "evaluation": "max_eval_samples",
    }
    if not provenance.trained(record):
        del uses["training"]
    return [
        f"**A partial run**: {use} saw the first sentences of a split only (`{key}`: {limit:,}). The figures are of a "
        "sample and not comparable with those of the whole data."
        for use, key in uses.items()
        if (limit := provenance.limit(record, key))
    ]


def _alignment(record: RunRecord, results: Results) -> list[str]:
    """What became of sentences and words on their way into the model."""
    told = {
        "windowed_sentences": "sentences longer than a window, read in overlapping windows",
        "vanished_words": "words without a subword, read as the unknown token",
        "shortened_words": "words longer than a window, read by their beginning",
    }
    points, whole = [], []
    for split, counts in (record.get("alignment") or {}).items():
        found = [f"{what}: {n:,}" for key, what in told.items() if is_finite(n := counts.get(key)) and n]
        if found:
            counted = ", all counted in its figures" if split in results else ""
            points.append(f"In the {text(split)} split{counted}: {'; '.join(found)}.")
        elif all(counts.get(key) == 0 for key in told):
            whole.append(text(split))
    if whole:
        named = " and ".join(filter(None, [", ".join(whole[:-1]), whole[-1]]))
        splits = "splits" if len(whole) > 1 else "split"
        points.append(f"In the {named} {splits} every sentence fits one window, and no word was lost or shortened.")
    return points


def _features(record: RunRecord) -> list[str]:
    """Columns that the evaluation had and a user has not."""
    columns = record["arguments"].get("word_features") or []
    if not columns:
        return []
    named = listed(text(column) for column in columns)
    return [
        f"The figures are with further columns of the data ({named}). From words alone, as the snippets above read, "
        "the model tags without them and less well; how much less was not measured."
    ]


def _tags(record: RunRecord) -> Iterator[str]:
    """Tags that were repaired, and tags that training never shows."""
    trained, scheme = provenance.trained(record), record.get("scheme") or {}
    if scheme.get("repaired"):
        words = f" (of {scheme['words']:,})" if scheme.get("words") else ""
        yield (
            f"Words{words} whose tag {text(scheme.get('source'))} does not allow, repaired before "
            f"{'training and ' if trained else ''}evaluation: {scheme['repaired']:,}."
        )
    unseen = (record.get("dataset") or {}).get("unseen_tags") or {}
    for split, tags in unseen.items() if trained else ():
        if tags:
            yield (
                f"Words of the {text(split)} split with a tag that training never shows, so that the model cannot "
                f"have learned it there: {sum(tags.values()):,}."
            )


def _scheme(record: RunRecord) -> Iterator[str]:
    """Say what the pipeline of Transformers makes of a scheme that it does not know."""
    if (record.get("scheme") or {}).get("target") == "BIOES":
        yield (
            "Its tags are BIOES, and the pipeline of Transformers knows the prefixes B- and I- alone: with an "
            "`aggregation_strategy` it cuts entities at E- and S- tags. Read its tags as they are, or let `Tagger` of "
            "`hf_tagging` join them."
        )


def _known_data(record: RunRecord, splits: Sequence[str]) -> Iterator[str]:
    """What is known of the data sets that have a name here."""
    if provenance.is_conll2003(record, splits) and get_task(record["task"]) == POS:
        yield (
            "The part-of-speech column of CoNLL-2003 was made by a tagger, not by hand: accuracy on it is agreement "
            "with that tagger."
        )
    if provenance.is_sample(record, splits):
        yield "The sample corpus is for demonstration: its figures say nothing of other text."


def _findings(analysis: dict[str, Any]) -> Iterator[str]:
    yield from _costly_tags(analysis)
    yield from _frequent_error(analysis.get("errors") or [])
    for group in analysis.get("groups") or []:
        yield from _weak_group(group)
    yield from _calibration(analysis.get("calibration") or {})


def _costly_tags(analysis: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in analysis.get("tags") or [] if row.get("cost") and (row.get("gold") or 0) >= _ENOUGH]
    worst = sorted(rows, key=lambda row: -row["cost"])[:_WORST_TAGS]
    if worst:
        what = get_task(analysis["task"]).classes.capitalize() if analysis.get("task") else "Tags"
        named = "; ".join(f"{text(row['tag'])} {row['cost']:,} times (F1 {text(row.get('f1'))})" for row in worst)
        yield f"{what} that are most often missed or wrongly given: {named}."


def _frequent_error(errors: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The kind that most errors are of; nothing where there is one kind only."""
    total = sum(error.get("count") or 0 for error in errors)
    if len(errors) < 2 or total < _ENOUGH:
        return
    most = max(errors, key=lambda error: error.get("count") or 0)
    kind = text(most.get("name") or most.get("kind"))
    explained = f" {text(most['explain'])}" if most.get("explain") else ""
    yield (
        f"Of {total:,} errors the most frequent kind is “{kind}”: {most['count']:,} ({most['count'] / total:.0%})."
        f"{explained}"
    )


def _weak_group(group: dict[str, Any]) -> Iterator[str]:
    """The worst row of a group beside its best, where their difference is more than chance."""
    rows = [r for r in group.get("rows") or [] if is_finite(r.get("value")) and (r.get("count") or 0) >= _ENOUGH]
    if len(rows) < 2:
        return
    worst, best = (edge(rows, key=lambda row: row["value"]) for edge in (min, max))
    if worst["value"] < best["value"] and _apart(worst, best):
        metric = f" {text(group['metric'])}" if group.get("metric") else ""
        numbers = group.get("unit") and any(c.isdigit() for c in str(worst["name"]))
        unit = f" ({text(group['unit'])})" if numbers else ""
        yield (
            f"{text(group.get('title'))}{unit}:{metric} {_with_interval(worst)} for “{text(worst['name'])}”, "
            f"{_with_interval(best)} for “{text(best['name'])}”."
        )


def _apart(worst: dict[str, Any], best: dict[str, Any]) -> bool:
    top, bottom = worst.get("high"), best.get("low")
    known = is_finite(worst.get("low")) and is_finite(best.get("high"))
    return known and is_finite(top) and is_finite(bottom) and top < bottom


def _with_interval(row: dict[str, Any]) -> str:
    return f"{row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f})"


def _calibration(calibration: dict[str, Any]) -> Iterator[str]:
    """How far the scores of the model are from the share of words that it gets right."""
    bins = [bin_ for bin_ in calibration.get("bins") or [] if bin_.get("words")]
    words = sum(bin_["words"] for bin_ in bins)
    if not is_finite(calibration.get("ece")) or words < _ENOUGH:
        return
    means = [sum(bin_[key] * bin_["words"] for bin_ in bins) / words for key in ("confidence", "accuracy")]
    yield (
        f"A word's score is off by {calibration['ece']:.4f} on average (expected calibration error over {words:,} "
        f"words): the mean score is {means[0]:.4f}, and {means[1]:.4f} of the words are right."
    )
