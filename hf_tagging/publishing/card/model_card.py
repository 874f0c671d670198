"""The model card that a run leaves beside its model: what was trained on what, how good it is, where it ends.

Written from `run.json`, the figures and the report's analysis alone. What they do not hold, the card does not say.
Whatever comes from data or from the user is escaped, and of a local path only the last part is shown.

Its rooms: `metadata`, `results` (figures), `limits`, `making` (data, settings, cost) and
`citation`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import is_finite, listed, spread, text
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.citation import citation_section
from hf_tagging.publishing.card.limits import limits_section
from hf_tagging.publishing.card.making import (
    cost_section,
    data_section,
    environment_section,
    settings_section,
    tags_section,
)
from hf_tagging.publishing.card.metadata import metadata, over_seeds
from hf_tagging.publishing.card.results import headline, history_section, results_section
from hf_tagging.tasks import get_task, task_of_tags
from hf_tagging.training.record import RunRecord


def model_card(
    record: RunRecord,
    results: Results,
    schema: TagSchema,
    *,
    name: str | None = None,
    analysis: dict[str, Any] | None = None,
    seeds: Sequence[Results] | None = None,
) -> str:
    """Writes the text of `README.md` for the model of one run.

    Args:
        record: What `run.json` holds; any key may be missing or None.
        results: Per split, what the metric gave.
        schema: The tags of the model.
        name: What to call the model; default: `hub_model_id`, else the name of the run's folder.
        analysis: Of the model's predictions, as the report shows it; its findings become limits.
        seeds: Results of the same run with other seeds, as `seed_results` finds them: figures then have a spread.

    Returns:
        Metadata and Markdown, as `huggingface_hub.ModelCard` reads and writes them.
    """
    arguments = record.get("arguments") or {}
    task = get_task(record.get("task") or task_of_tags(has_entities=schema.scheme != PLAIN))
    record = {**record, "arguments": arguments, "task": task.name}
    results = {s: results[s] for s in sorted(results, key=lambda s: s == "test") if results[s]}
    seeds = list(seeds or ())
    name = provenance.model_name(arguments, name)
    sections = {
        "How to use": _usage(name, record, schema),
        "Results": results_section(results, seeds, task),
        "Limits": limits_section(record, results, analysis),
        "Tags": tags_section(schema),
        "Training data" if provenance.trained(record) else "Data": data_section(record),
        "Training history": history_section(record),
        "Hyper-parameters": settings_section(record),
        "Speed, size and energy": cost_section(record, results),
        "Environment": environment_section(record),
        "Citation": citation_section(record, provenance.splits(record, results)),
    }
    body = [f"# {text(name)}", _summary(record, results, seeds, schema, analysis or {})]
    body += [f"## {title}\n\n{content}" for title, content in sections.items() if content]
    head = metadata(record, results, seeds, name)
    return str(ModelCard(f"---\n{head.to_yaml()}\n---\n\n" + "\n\n".join(body) + "\n"))


def seed_results(folder: Path) -> list[Results]:
    """The results of finished runs beside one that differ from it in their seed alone.

    Args:
        folder: Of a run, named as `recipes/compare.py` does, ``comparison/lstm/seed-1``, or by default,
            ``runs/pos-lstm-sample-seed-1``: of any other name nobody knows what lies beside it.

    Returns:
        Theirs without its own, one for each seed; none where the folders beside it are other runs.
    """
    from hf_tagging.comparison.runs import ONE_OF_MANY, find_runs  # takes the training stage along
    from hf_tagging.training.folder import RunFolder

    own = RunFolder(folder).record() if ONE_OF_MANY.fullmatch(folder.name) else None
    if own is None:
        return []
    runs = find_runs([folder.resolve().parent]).values()
    beside = next((found for found in runs if folder.resolve() in found), [])
    by_seed: dict[Any, Results] = {_seed(own): {}}
    for record in filter(None, (RunFolder(path).record() for path in beside)):
        if record["status"] == "finished" and _same_data(own, record):
            by_seed.setdefault(_seed(record), record.get("results") or {})
    return [results for results in by_seed.values() if results]


def _seed(record: RunRecord) -> Any:
    return record["arguments"].get("seed")


def _same_data(one: RunRecord, other: RunRecord) -> bool:
    folds = [record["arguments"].get("fold") for record in (one, other)]
    splits = [(record.get("dataset") or {}).get("splits") for record in (one, other)]
    return folds[0] == folds[1] and splits[0] == splits[1]


def _summary(
    record: RunRecord, results: Results, seeds: Sequence[Results], schema: TagSchema, analysis: dict[str, Any]
) -> str:
    tagger = get_task(record["task"]).tagger
    what = f"{'An' if tagger[0] in 'aeiouAEIOU' else 'A'} {tagger} with {len(schema.tags):,} tags"
    if schema.entity_types:
        what += f" in {schema.scheme} (entity types: {listed(map(text, schema.entity_types))})"
    return f"{what}{_origin(record)}.{_headline(record, results, seeds, analysis)}"


def _origin(record: RunRecord) -> str:
    """What the model started from, and what it was trained on."""
    model, train = provenance.model(record), provenance.source(record, "train")
    data = f" on {train.link('datasets/')}" if train else ""
    if model:
        return f": {model.link()}" + (f" fine-tuned{data}" if provenance.trained(record) else "")
    encoder = (record.get("parts") or record["arguments"]).get("encoder")
    if not (encoder and provenance.trained(record)):
        return ""
    return f", trained from scratch{data} (encoder: {text(encoder)})"


def _headline(record: RunRecord, results: Results, seeds: Sequence[Results], analysis: dict[str, Any]) -> str:
    """The figure that the model is for, with its interval and its spread over seeds where they are known."""
    key, label = headline(get_task(record["task"]))
    split = "test" if "test" in results else next(iter(results), None)
    value = results[split].get(key) if split else None
    if split is None or value is None:
        return ""
    limit = provenance.limit(record, "max_eval_samples")
    sample = f"the first {limit:,} sentences of " if limit else ""
    edges = _interval(analysis, split, key, value)
    sure = f" (95 % interval {edges[0]:.4f} to {edges[1]:.4f})" if edges else ""
    found = over_seeds(results, seeds, split, key)
    others = f" Over {found.runs} seeds it is {spread(found.mean, found.deviation)}." if found else ""
    return f" **{label} {text(value)}{sure} on {sample}the {text(split)} split.**{others}"


def _interval(analysis: dict[str, Any], split: str, key: str, value: Any) -> tuple[float, float] | None:
    """The report's interval of a figure, if the report is of the same split and comes to the same figure."""
    for figure in (analysis.get("headline") or []) if analysis.get("split") == split else []:
        edges = (figure.get("low"), figure.get("high"))
        known = all(map(is_finite, (value, figure.get("value"), *edges)))
        if str(figure.get("name")).lower() == key and known and abs(figure["value"] - value) < 1e-6:
            return edges
    return None


def _usage(name: str, record: RunRecord, schema: TagSchema) -> str:
    arguments = record["arguments"]
    # The pipeline knows B- and I- only: it would cut an entity of BIOES tags into pieces.
    grouped = ', aggregation_strategy="first"' if schema.scheme in ("IOB1", "IOB2") else ""
    flag = ", trust_remote_code=True"
    trust = flag if arguments.get("trust_remote_code") else ""
    # Code of ours stands beside the model; Transformers alone has to be told to run it.
    alone, why = (flag, " (the model's code comes with it)") if record.get("own_code") else (trust, "")
    beside = arguments.get("lora") and arguments.get("lora_merge") is False
    adapter = "\n\nIts LoRA adapter needs `peft`: where that is missing, Transformers leaves it out." if beside else ""
    each = "" if grouped else "\n\nIt answers for every subword; the tag of a word is that of its first."
    model = json.dumps(name)
    return f"""With Transformers alone{why}, from text:

```python
from transformers import pipeline

tagger = pipeline("token-classification", model={model}{grouped}{alone})
print(tagger("Ada Lovelace was born in London ."))
```{each}

With `hf_tagging`, one tag for every word, however long the sentence:

```python
from hf_tagging import Tagger

tagger = Tagger.from_pretrained({model}{trust})
print(tagger.tag(["Ada", "Lovelace", "was", "born", "in", "London", "."]))
```{adapter}"""
