"""Metadata of a model card: tags, base model, datasets, and the index of its figures.

The index follows the model card specification of the Hub (`model-index`): every figure with its task, and with name,
split and revision of the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import NamedTuple, TypedDict

from huggingface_hub import EvalResult, ModelCardData

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import is_finite, visible
from hf_tagging.publishing import provenance
from hf_tagging.tasks import get_task
from hf_tagging.training.record import RunRecord

# Key, metric on the Hub, and name of every figure in the index.
_OF_WORDS = (("accuracy", "accuracy", "Accuracy"), ("macro_f1", "f1", "Macro F1"))
_OF_ENTITIES = (
    ("precision", "precision", "Entity precision"),
    ("recall", "recall", "Entity recall"),
    ("f1", "f1", "Entity F1"),
    ("accuracy", "accuracy", "Word accuracy"),
)


class SeedSpread(NamedTuple):
    """A figure over runs that differ only in their seed: number of runs, mean and sample standard deviation."""

    runs: int
    mean: float
    deviation: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.deviation:.4f}"


def over_seeds(results: Results, seeds: Sequence[Results], split: str, key: str) -> SeedSpread | None:
    """Return a figure over all seeds of a run; None for one seed, or where a seed lacks it."""
    values = [(run.get(split) or {}).get(key) for run in (results, *seeds)]
    measured = [float(value) for value in values if is_finite(value)]
    if not seeds or len(measured) < len(values):
        return None
    return SeedSpread(len(measured), fmean(measured), stdev(measured))


def metadata(record: RunRecord, results: Results, seeds: Sequence[Results], name: str) -> ModelCardData:
    """Return the metadata of a card.

    Args:
        record: Record of the run, with `task` and `arguments`.
        results: Figures by split.
        seeds: Results of the same run with other seeds.
        name: Name of the model.
    """
    model, train = provenance.model(record), provenance.source(record, "train")
    figures = list(_figures(record, results, seeds))
    english = provenance.is_sample(record, ["train"]) or bool(train and train.hub == "eriktks/conll2003")
    return ModelCardData(
        language="en" if english and provenance.trained(record) else None,
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["token-classification", "hf_tagging", get_task(record["task"]).hub_tag],
        base_model=model.hub if model else None,
        datasets=[train.hub] if train and train.hub and provenance.trained(record) else None,
        metrics=list(dict.fromkeys(figure.metric_type for figure in figures)) or None,
        model_name=name if figures else None,
        eval_results=figures or None,
    )


def _figures(record: RunRecord, results: Results, seeds: Sequence[Results]) -> Iterator[EvalResult]:
    """Yield the figures of the model, each followed by its mean over seeds if there are any."""
    for split, scores in results.items():
        where = _where(record, split)
        for key, metric, label in _OF_ENTITIES if get_task(record["task"]).has_entities else _OF_WORDS:
            if not is_finite(value := scores.get(key)):
                continue
            yield EvalResult(**where, metric_type=metric, metric_name=label, metric_value=float(value))
            if found := over_seeds(results, seeds, split, key):
                yield EvalResult(
                    **where,
                    metric_type=metric,
                    metric_name=f"{label} (mean of {found.runs} seeds)",
                    metric_value=round(found.mean, 6),
                    metric_args={"seeds": found.runs, "standard_deviation": round(found.deviation, 6)},
                )


class _Where(TypedDict):
    """Arguments of `EvalResult` that say on which data a figure was measured."""

    task_type: str
    task_name: str
    dataset_type: str
    dataset_name: str
    dataset_config: str | None
    dataset_revision: str | None
    dataset_split: str
    dataset_args: dict[str, object] | None


def _where(record: RunRecord, split: str) -> _Where:
    """Return the data that a figure was measured on, as arguments of `EvalResult`."""
    source = provenance.source(record, split) or provenance.Source("unknown")
    limit = provenance.limit(record, "max_eval_samples")
    # A split that the run cut from the training split is not the Hub's split of that name.
    cut = {name: value for name, value in provenance.held_out(record["arguments"], split).items() if value is not None}
    options = ({"held_out_of": "train"} | cut if cut else {}) | ({"max_eval_samples": limit} if limit else {})
    return {
        "task_type": "token-classification",
        "task_name": get_task(record["task"]).heading,
        "dataset_type": source.hub or provenance.slug(source.name) or "local",
        "dataset_name": source.hub or source.name,
        "dataset_config": record["arguments"].get("dataset_config") if source.hub else None,
        "dataset_revision": provenance.revision(record) if source.hub else None,
        "dataset_split": visible(split),
        "dataset_args": {**options} or None,
    }
