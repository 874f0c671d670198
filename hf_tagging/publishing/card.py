"""The model card that a run leaves beside its model: what was trained on what, how good it is, where it ends.

Written from `run.json` and the figures alone. What they do not hold, the card does not say. Whatever comes from data
or from the user is escaped, and of a local path only the last part is shown.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.markdown import Markup, duration, is_number, listed, setting, table, text, visible
from hf_tagging.publishing import provenance
from hf_tagging.publishing.provenance import Record

Results = dict[str, dict[str, Any]]

_TASKS = {
    "pos": ("part-of-speech", "Part-of-speech tagging", "A part-of-speech tagger"),
    "ner": ("named-entity-recognition", "Named-entity recognition", "A named-entity recogniser"),
}
# In the model index, by the Hub's own metric names. Word accuracy of a NER model is said to be that.
_INDEXED = {
    "pos": (("accuracy", "accuracy", "Accuracy"), ("macro_f1", "f1", "Macro F1")),
    "ner": (
        ("precision", "precision", "Entity precision"),
        ("recall", "recall", "Entity recall"),
        ("f1", "f1", "Entity F1"),
        ("accuracy", "accuracy", "Word accuracy"),
    ),
}
_HEADLINE = {"pos": ("accuracy", "Accuracy"), "ner": ("f1", "Entity F1")}
_SHARES = [
    "precision", "recall", "f1", "accuracy", "macro_precision", "macro_recall", "macro_f1", "strict_precision",
    "strict_recall", "strict_f1", "sentence_accuracy", "mean_sentence_accuracy", "sentence_f1", "seen_accuracy",
    "unseen_accuracy", "loss",
]  # fmt: skip
_COUNTS = ["support", "unseen_words", "words", "sentences", "words_per_second"]
_HISTORY = ["epoch", "step", "loss", "accuracy", "precision", "recall", "f1", "macro_f1"]
_PARTS = [
    "encoder", "words", "min_count", "lowercase", "fold_digits", "fold_tweets", "word_size", "word_dropout",
    "characters", "word_shape", "word_features", "hidden_size", "num_layers", "dropout",
]  # fmt: skip
_OF_WORDS = {"encoder", "words", "min_count", "lowercase", "fold_digits", "fold_tweets", "seed"}  # what an hmm has
_SETTINGS = [
    *_PARTS,
    "learning_rate", "tokens_per_batch", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "warmup_steps", "lr_scheduler_type", "optim", "weight_decay", "max_grad_norm",
    "label_smoothing_factor", "layerwise_lr_decay", "head_learning_rate", "class_weights", "early_stopping_patience",
    "head", "head_dropout", "freeze_layers", "lora", "lora_rank", "lora_alpha", "lora_dropout", "bf16", "fp16",
    "scheme", "label_strategy", "max_length", "window_overlap", "max_train_samples", "max_eval_samples", "seed",
]  # fmt: skip
_IDLE = {
    "per_device_train_batch_size": 0,
    "layerwise_lr_decay": 1,
    "label_smoothing_factor": 0,
    "class_weights": "none",
}  # values that do nothing
_MOST_ROWS = 100


def model_card(record: Record, results: Results, schema: TagSchema, *, name: str | None = None) -> str:
    """Writes the text of `README.md` for the model of one run.

    Args:
        record: What `run.json` holds; any key may be missing or None.
        results: Per split, what the metric gave.
        schema: The tags of the model.
        name: What to call the model; default: `hub_model_id`, else the name of the run's folder.

    Returns:
        Metadata and Markdown, as `huggingface_hub.ModelCard` reads and writes them.
    """
    arguments = record.get("arguments") or {}
    task = record.get("task") or ("pos" if schema.scheme == PLAIN else "ner")
    record = {**record, "arguments": arguments, "task": task}
    results = {s: results[s] for s in sorted(results, key=lambda s: s == "test") if results[s]}
    name = provenance.model_name(arguments, name)
    sections = {
        "Results": _results(results, task),
        "Training history": _history(record),
        "How to use": _usage(name, record, schema),
        "Training data" if _trained(record) else "Data": _data(record),
        "Hyper-parameters": _settings(record),
        "Environment": _environment(record),
        "Limits": _limits(record, results),
    }
    body = [f"# {text(name)}", _summary(record, results, schema)]
    body += [f"## {title}\n\n{content}" for title, content in sections.items() if content]
    metadata = _metadata(record, results, name)
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(body) + "\n"))


def _metadata(record: Record, results: Results, name: str) -> ModelCardData:
    kind, task_name, _ = _TASKS[record["task"]]
    model, train = provenance.model(record), provenance.source(record, "train")
    limit = _cut(record, "max_eval_samples")
    figures = []
    for split, scores in results.items():
        source = provenance.source(record, split) or provenance.Source("unknown")
        figures += [
            EvalResult(
                task_type="token-classification",
                task_name=task_name,
                dataset_type=source.hub or provenance.slug(source.name) or "local",
                dataset_name=source.hub or source.name,
                dataset_config=record["arguments"].get("dataset_config") if source.hub else None,
                dataset_revision=record["arguments"].get("dataset_revision") if source.hub else None,
                dataset_split=visible(split),
                dataset_args={"max_eval_samples": limit} if limit else None,
                metric_type=metric,
                metric_name=label,
                metric_value=float(scores[key]),
            )
            for key, metric, label in _INDEXED[record["task"]]
            if is_number(scores.get(key)) and math.isfinite(scores[key])
        ]
    return ModelCardData(
        library_name="transformers",
        pipeline_tag="token-classification",
        tags=["token-classification", "hf_tagging", kind],
        base_model=model.hub if model else None,
        datasets=[train.hub] if train and train.hub and _trained(record) else None,
        metrics=list(dict.fromkeys(figure.metric_type for figure in figures)) or None,
        model_name=name if figures else None,
        eval_results=figures or None,
    )


def _summary(record: Record, results: Results, schema: TagSchema) -> str:
    what = f"{_TASKS[record['task']][2]} with {len(schema.tags):,} tags"
    if schema.entity_types:
        what += f" in {schema.scheme} (entity types: {listed(map(text, schema.entity_types))})"
    model, train = provenance.model(record), provenance.source(record, "train")
    if model:
        what += f": {_link(model)}"
        if _trained(record):
            what += " fine-tuned" + (f" on {_link(train, 'datasets/')}" if train else "")
    key, label = _HEADLINE[record["task"]]
    split = "test" if "test" in results else next(iter(results), None)
    value = results[split].get(key) if split else None
    limit = _cut(record, "max_eval_samples")
    sample = f"the first {limit:,} sentences of " if limit else ""
    figure = "" if value is None else f" **{label} {text(value)} on {sample}the {text(split)} split.**"
    return f"{what}.{figure}"


def _results(results: Results, task: str) -> str:
    keys = [key for key in (*_SHARES, *_COUNTS) if any(r.get(key) is not None for r in results.values())]
    if not keys:
        return ""
    rows = [[_label(key), *(_count(r.get(key), key) for r in results.values())] for key in keys]
    parts = [table(["Figure", *results], rows)]
    if task == "ner":
        parts.append(
            "An entity is right where its first word, its last word and its type are right. The plain figures read "
            "tags as the CoNLL-2003 scorer does; the strict ones count only what the scheme allows."
        )
    if "unseen_accuracy" in keys:
        parts.append("Seen words occur in the training split, unseen ones do not.")
    if any("sentence" in key and key != "sentences" for key in keys):
        parts.append("Figures by sentence are not comparable with those by word or entity.")
    field, title = ("per_type", "entity type") if task == "ner" else ("per_tag", "tag")
    split = next((s for s in reversed(results) if results[s].get(field)), None)
    if split is not None:
        parts.append(f"### By {title}, {text(split)} split\n\n" + _breakdown(results[split][field], title))
    return "\n\n".join(parts)


def _breakdown(scores: dict[str, dict[str, Any]], title: str) -> str:
    columns = ("precision", "recall", "f1", "support")
    ordered = sorted(scores.items(), key=lambda item: (-(item[1].get("support") or 0), item[0]))
    rows = [[name, *(row.get(c) for c in columns)] for name, row in ordered[:_MOST_ROWS]]
    rest = len(ordered) - len(rows)
    return table([title.capitalize(), *map(_label, columns)], rows) + (f"\n\nAnd {rest:,} rarer." if rest else "")


def _history(record: Record) -> str:
    history = record.get("history") or []
    keys = [key for key in _HISTORY if any(entry.get(key) is not None for entry in history)]
    rows = [
        [setting(round(entry[k], 2)) if k == "epoch" and is_number(entry.get(k)) else entry.get(k) for k in keys]
        for entry in history[-_MOST_ROWS:]
    ]
    cut = f"The last {len(rows)} of {len(history):,} evaluations.\n\n" if len(history) > len(rows) else ""
    return cut + table([_label(key) for key in keys], rows) if keys else ""


def _usage(name: str, record: Record, schema: TagSchema) -> str:
    # The pipeline knows B- and I- only: it would cut an entity of BIOES tags into pieces.
    grouped = ', aggregation_strategy="first"' if schema.scheme in ("IOB1", "IOB2") else ""
    flag = ", trust_remote_code=True"
    trust = flag if record["arguments"].get("trust_remote_code") else ""
    # Code of ours stands beside the model; Transformers alone has to be told to run it.
    alone, why = (flag, " (the model's code comes with it)") if record.get("own_code") else (trust, "")
    model = json.dumps(name)
    return f"""With Transformers alone{why}, from text:

```python
from transformers import pipeline

tagger = pipeline("token-classification", model={model}{grouped}{alone})
print(tagger("Ada Lovelace was born in London ."))
```

With `hf_tagging`, one tag for every word, however long the sentence:

```python
from hf_tagging import Tagger

tagger = Tagger.from_pretrained({model}{trust})
print(tagger.tag(["Ada", "Lovelace", "was", "born", "in", "London", "."]))
```"""


def _data(record: Record) -> str:
    arguments, data = record["arguments"], record.get("dataset") or {}
    rows = []
    for split, counts in (data.get("splits") or {}).items():
        source = provenance.source(record, split)
        rows.append([split, source.name if source else None, *map(counts.get, ("sentences", "words", "fingerprint"))])
    parts = [table(["Split", "Source", "Sentences", "Words", "Fingerprint"], rows)] if rows else []
    train = provenance.source(record, "train")
    if train and train.hub:
        named = {"configuration": arguments.get("dataset_config"), "revision": arguments.get("dataset_revision")}
        details = "".join(f", {label} {text(value)}" for label, value in named.items() if value)
        parts.append(f"On the Hub: {_link(train, 'datasets/')}{details}.")
    scheme = record.get("scheme") or {}
    if scheme.get("source") != scheme.get("target"):
        parts.append(f"Entities came in {text(scheme.get('source'))} and are in {text(scheme.get('target'))} here.")
    if arguments.get("validation_share"):
        share = setting(arguments["validation_share"])
        parts.append(f"The validation split is a share of {share} of the training sentences, held out by documents.")
    for split, tags in (data.get("unseen_tags") or {}).items():
        missing = listed(f"{text(tag)} ({n:,})" for tag, n in sorted(tags.items(), key=lambda item: -item[1]))
        parts += [f"Tags of the {text(split)} split that training never has, with their words: {missing}."] * bool(tags)
    return "\n\n".join(parts)


def _settings(record: Record) -> str:
    arguments = _as_built(record)
    hidden = {"scheme"} if record["task"] == "pos" else set()
    hidden.add("num_train_epochs" if (arguments.get("max_steps") or 0) > 0 else "max_steps")
    hidden |= set(_SETTINGS) - _OF_WORDS if arguments.get("encoder") == "hmm" else set()
    hidden |= set() if arguments.get("lora") else {name for name in _SETTINGS if name.startswith("lora_")}
    rows = []
    for name in _SETTINGS:
        value = arguments.get(name)
        if name not in hidden and value is not None and value is not False and value != _IDLE.get(name):
            share = name == "warmup_steps" and is_number(value) and 0 < value < 1
            rows.append([Markup(f"`{name}`"), setting(value) + (" (share of all steps)" if share else "")])
    return table(["Argument", "Value"], rows) if rows and _trained(record) else ""


def _as_built(record: Record) -> dict[str, Any]:
    """The arguments with the parts that the model has: what no flag asked for, a vectors file or a folder decides."""
    arguments, parts = record["arguments"], record.get("parts") or {}
    decided = {"word_size"} if arguments.get("word_vectors") else set()
    return {name: value for name, value in arguments.items() if name not in decided} | parts


def _environment(record: Record) -> str:
    hardware, parameters = record.get("hardware") or {}, record.get("parameters") or {}
    gpus = Counter(map(str, hardware.get("gpus") or []))
    rows: list[list[Any]] = [list(item) for item in (record.get("versions") or {}).items()]
    rows += [[key, hardware.get(key)] for key in ("machine", "processor", "cpus")]
    rows.append(["GPUs", ", ".join(f"{n} x {gpu}" for gpu, n in gpus.items()) or None])
    rows.append(["processes", hardware.get("processes")])
    rows.append(["parameters", parameters.get("all")])
    rows.append(["parameters trained", parameters.get("trained") if _trained(record) else None])
    seconds = (record.get("seconds") or {}).get("training")
    rows.append(["training time", None if seconds is None else duration(seconds)])
    rows.append(["git revision", record.get("git_revision")])
    rows = [row for row in rows if row[1] is not None]
    return table(["", "Value"], rows) if rows else ""


def _limits(record: Record, results: Results) -> str:
    points = [*_partial(record), *_alignment(record)]
    scheme = record.get("scheme") or {}
    if scheme.get("repaired"):
        words = f" (of {scheme['words']:,})" if scheme.get("words") else ""
        points.append(
            f"Words{words} whose tag {text(scheme.get('source'))} does not allow, repaired before training and "
            f"evaluation: {scheme['repaired']:,}."
        )
    for split, tags in ((record.get("dataset") or {}).get("unseen_tags") or {}).items():
        if tags:
            points.append(
                f"Words of the {text(split)} split with a tag that training never shows, so that the model cannot "
                f"have learned it there: {sum(tags.values()):,}."
            )
    points += _known_data(record, [*results, "train"])
    return "\n".join(f"- {point}" for point in points)


def _partial(record: Record) -> list[str]:
    """What was cut short on purpose."""
    return [
        f"**A partial run**: {use} saw the first sentences of a split only (`{key}`: {limit:,}). The figures are of a "
        "sample and not comparable with those of the whole data."
        for use, key in (("training", "max_train_samples"), ("evaluation", "max_eval_samples"))
        if (limit := _cut(record, key))
    ]


def _cut(record: Record, key: str) -> int | None:
    """The limit on sentences, None where there is none, or where no split reaches it so that it cut nothing."""
    names = ("train",) if key == "max_train_samples" else ("validation", "test")
    limit, splits = record["arguments"].get(key), (record.get("dataset") or {}).get("splits") or {}
    sizes = [splits[name].get("sentences") for name in names if name in splits]
    whole = sizes and limit and all(size is not None and size < limit for size in sizes)
    return None if whole else limit


def _alignment(record: Record) -> list[str]:
    """What became of sentences and words on their way into the model."""
    told = {
        "windowed_sentences": "sentences longer than a window, read in overlapping windows",
        "vanished_words": "words without a subword, read as the unknown token",
        "shortened_words": "words longer than a window, read by their beginning",
    }
    points = []
    for split, counts in (record.get("alignment") or {}).items():
        found = [f"{what}: {counts[key]:,}" for key, what in told.items() if counts.get(key)]
        if found:
            points.append(f"In the {text(split)} split, all counted in its figures: {'; '.join(found)}.")
        elif all(counts.get(key) == 0 for key in told):
            points.append(
                f"In the {text(split)} split every sentence fits one window, and no word was lost or shortened."
            )
    return points


def _known_data(record: Record, splits: Iterable[str]) -> list[str]:
    """What is known of the data sets that have a name here."""
    arguments = record["arguments"]
    given = [source for split in splits for source in provenance.given(arguments, record, split)]
    points = []
    if any("conll2003" in re.split(r"[/\\]", re.sub("[-_]", "", path.lower())) for path in given):
        if record["task"] == "pos":
            points.append(
                "The part-of-speech column of CoNLL-2003 was made by a tagger, not by hand: accuracy on it is "
                "agreement with that tagger."
            )
        points.append("The text of CoNLL-2003 is Reuters news (RCV1), which is for research use.")
    if "sample" in given:
        points.append("The sample corpus is for demonstration: its figures say nothing of other text.")
    return points


def _trained(record: Record) -> bool:
    return record["arguments"].get("do_train") is not False


def _link(source: provenance.Source, kind: str = "") -> str:
    return f"[{text(source.hub)}](https://huggingface.co/{kind}{source.hub})" if source.hub else text(source.name)


def _count(value: Any, key: str) -> Any:
    return round(value) if key in _COUNTS and is_number(value) and math.isfinite(value) else value


def _label(key: str) -> str:
    words = key.replace("_", " ").replace("f1", "F1")
    return words[0].upper() + words[1:]
