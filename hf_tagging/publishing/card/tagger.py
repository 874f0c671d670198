"""Model card of a run: training data, results, limits, cost.

It is written from `run.json`, the figures and the report's analysis alone. `templates/model_card.md.j2` is its text;
everything from data or the user is escaped there, and of a local path only the last part is shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import ModelCard

from hf_tagging.analysis.shape import Analysis
from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, is_finite, is_number
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.citation import citation
from hf_tagging.publishing.card.cost import cost_view, environment_table, settings_table
from hf_tagging.publishing.card.limits import findings_view, limits_view
from hf_tagging.publishing.card.metadata import SeedSpread, metadata, over_seeds
from hf_tagging.publishing.card.results import headline, history_view, results_view
from hf_tagging.publishing.card.rules import rules_view
from hf_tagging.publishing.card.soup import soup_view
from hf_tagging.publishing.card.template import render
from hf_tagging.publishing.card.training_data import data_view
from hf_tagging.publishing.card.trimmed import trimmed_view
from hf_tagging.tasks import get_task, task_of_tags
from hf_tagging.training.record import RunRecord

_LAST = {"test": 1, ALSO_TEST: 2}


@dataclass(frozen=True)
class Headline:
    """Figure that the model is judged by, with its interval and its spread over seeds where they are known."""

    label: str
    value: float
    split: str
    limit: int | None
    interval: tuple[float, float] | None
    seeds: SeedSpread | None


@dataclass(frozen=True)
class Usage:
    """Options of the snippets that load the model."""

    model: Markup
    grouped: bool
    trust: bool
    own_code: bool
    adapter: bool
    splitter: str | None
    context: int | None


@dataclass(frozen=True)
class Tags:
    """Tags of the model."""

    names: list[str]
    types: list[str]
    scheme: str


def model_card(
    record: RunRecord,
    results: Results,
    schema: TagSchema,
    *,
    name: str | None = None,
    analysis: Analysis | None = None,
    seeds: Sequence[Results] | None = None,
) -> str:
    """Return the text of `README.md` for the model of one run.

    Args:
        record: Content of `run.json`; any key may be missing or None.
        results: Figures by split.
        schema: Tags of the model.
        name: Name of the model. Default: `hub_model_id`, else the name of the run's folder.
        analysis: Analysis of the model's predictions; its findings become limits.
        seeds: Results of the same run with other seeds, as `seed_results` finds them.

    Returns:
        Metadata and Markdown, as `huggingface_hub.ModelCard` reads and writes them.
    """
    arguments = record.get("arguments") or {}
    task = get_task(record.get("task") or task_of_tags(has_entities=schema.scheme != PLAIN))
    record = {**record, "arguments": arguments, "task": task.name}
    results = {s: results[s] for s in sorted(results, key=lambda s: _LAST.get(s, 0)) if results[s]}
    seeds, name = list(seeds or ()), provenance.model_name(arguments, name)
    trained, base = provenance.trained(record), provenance.model(record)
    encoder = (record.get("parts") or dict(arguments)).get("encoder")
    page = render(
        "model_card.md.j2",
        {
            "name": name,
            "article": "An" if task.tagger[0] in "aeiouAEIOU" else "A",
            "tagger": task.tagger,
            "trained": trained,
            "base": base,
            "train": provenance.source(record, "train"),
            "encoder": encoder if trained and not base else None,
            "headline": _headline(record, results, seeds, analysis or {}),
            "usage": _usage(name, record, schema),
            "soup": soup_view(record),
            "trimmed": trimmed_view(record),
            "rules": rules_view(record),
            "results": results_view(results, seeds, task),
            "other_tags": provenance.source(record, ALSO_TEST) if ALSO_TEST in results else None,
            "limits": limits_view(record, results),
            "findings": findings_view(analysis),
            "tags": Tags(list(schema.tags), list(schema.entity_types), schema.scheme),
            "data": data_view(record),
            "history": history_view(record),
            "settings": settings_table(record),
            "cost": cost_view(record, results),
            "environment": environment_table(record),
            "citation": citation(record, provenance.splits(record, results)),
        },
    )
    head = metadata(record, results, seeds, name)
    return str(ModelCard(f"---\n{head.to_yaml()}\n---\n\n{page}"))


def _headline(record: RunRecord, results: Results, seeds: Sequence[Results], analysis: Analysis) -> Headline | None:
    key, label = headline(get_task(record["task"]))
    split = "test" if "test" in results else next(iter(results), "")
    value = results[split].get(key) if split else None
    if not is_number(value):
        return None
    return Headline(
        label=label,
        value=value,
        split=split,
        limit=provenance.limit(record, "max_eval_samples"),
        interval=_interval(analysis, split, key, value),
        seeds=over_seeds(results, seeds, split, key),
    )


def _interval(analysis: Analysis, split: str, key: str, value: float) -> tuple[float, float] | None:
    """Return the report's interval of a figure if the report has the same figure for the same split."""
    for figure in (analysis.get("headline") or []) if analysis.get("split") == split else []:
        low, high, known = figure.get("low"), figure.get("high"), figure.get("value")
        if str(figure.get("name")).lower() != key or not (is_finite(low) and is_finite(high) and is_finite(known)):
            continue
        if is_finite(value) and abs(known - value) < 1e-6:
            return float(low), float(high)
    return None


def _usage(name: str, record: RunRecord, schema: TagSchema) -> Usage:
    arguments = record["arguments"]
    return Usage(
        model=Markup(json.dumps(name)),
        grouped=schema.scheme in ("IOB1", "IOB2"),  # the pipeline would cut entities of BIOES tags
        trust=bool(arguments.get("trust_remote_code")),
        own_code=bool(record.get("own_code")),
        splitter=(record.get("words") or {}).get("splitter"),
        context=record.get("context_subwords"),
        adapter=bool(arguments.get("lora")) and arguments.get("lora_merge") is False,
    )


def seed_results(folder: Path) -> list[Results]:
    """Return the results of the finished runs beside a run that differ from it only in their seed.

    Args:
        folder: Folder of the run. Only names that `recipes/compare.py` or the default gives are looked at
            (``comparison/lstm/seed-1``, ``runs/pos-lstm-sample-seed-1``).

    Returns:
        Results of the other runs, one per seed.
    """
    from hf_tagging.comparison.runs import ONE_OF_MANY, find_runs  # takes the training stage along
    from hf_tagging.training.folder import RunFolder

    own = RunFolder(folder).record() if ONE_OF_MANY.fullmatch(folder.name) else None
    if own is None:
        return []
    runs = find_runs([folder.resolve().parent]).values()
    beside = next((found for found in runs if folder.resolve() in found), [])
    by_seed: dict[int | None, Results] = {_seed(own): {}}
    for record in filter(None, (RunFolder(path).record() for path in beside)):
        if record["status"] == "finished" and _same_data(own, record):
            by_seed.setdefault(_seed(record), record.get("results") or {})
    return [results for results in by_seed.values() if results]


def _seed(record: RunRecord) -> int | None:
    return record["arguments"].get("seed")


def _same_data(one: RunRecord, other: RunRecord) -> bool:
    folds = [record["arguments"].get("fold") for record in (one, other)]
    splits = [(record.get("dataset") or {}).get("splits") for record in (one, other)]
    return folds[0] == folds[1] and splits[0] == splits[1]
