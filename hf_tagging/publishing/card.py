"""The model card that a run leaves beside its model: what was trained on what, how good it is, where it ends.

Written from `run.json` and the figures alone. What they do not hold, the card does not say. Whatever comes from data
or from the user is escaped, and of a local path only the last part is shown.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_tagging.data.files import looks_like_path
from hf_tagging.data.hub_source import HUB_ALIASES
from hf_tagging.data.schema import PLAIN, TagSchema

Record = dict[str, Any]
Results = dict[str, dict[str, Any]]

# Models are claimed by full name alone: a bare one may as well be a baseline. These bare names are known.
_KNOWN_MODELS = {
    "minilm": "sentence-transformers/all-MiniLM-L6-v2",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-cased": "distilbert/distilbert-base-cased",
    "roberta-base": "FacebookAI/roberta-base",
}
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
_SETTINGS = [
    "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "num_train_epochs", "max_steps",
    "warmup_steps", "lr_scheduler_type", "optim", "weight_decay", "max_grad_norm", "label_smoothing_factor",
    "layerwise_lr_decay", "class_weights", "early_stopping_patience", "head_dropout", "freeze_layers", "lora",
    "lora_rank", "lora_alpha", "lora_dropout", "bf16", "fp16", "scheme", "label_strategy", "max_length",
    "window_overlap", "max_train_samples", "max_eval_samples", "seed",
]  # fmt: skip
_IDLE = {"layerwise_lr_decay": 1, "label_smoothing_factor": 0, "class_weights": "none"}  # values that do nothing
_MOST_ROWS = 100
_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~$@:]")  # what Markdown, HTML, mathematics or a mention could start with


class _Markup(str):
    """Markdown of our own making, which is not escaped again."""


class _Source(NamedTuple):
    """Where a split or a model came from: its name without folders, and its name on the Hub if it has one."""

    name: str
    hub: str | None = None


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
    name = _model_name(arguments, name)
    sections = {
        "Results": _results(results, task),
        "Training history": _history(record),
        "How to use": _usage(name, arguments, schema),
        "Training data" if _trained(record) else "Data": _data(record),
        "Hyper-parameters": _settings(record),
        "Environment": _environment(record),
        "Limits": _limits(record, results),
    }
    body = [f"# {_text(name)}", _summary(record, results, schema)]
    body += [f"## {title}\n\n{text}" for title, text in sections.items() if text]
    metadata = _metadata(record, results, name)
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(body) + "\n"))


def _metadata(record: Record, results: Results, name: str) -> ModelCardData:
    kind, task_name, _ = _TASKS[record["task"]]
    model, train = _model(record), _source(record, "train")
    limit = _cut(record, "max_eval_samples")
    figures = []
    for split, scores in results.items():
        source = _source(record, split) or _Source("unknown")
        figures += [
            EvalResult(
                task_type="token-classification",
                task_name=task_name,
                dataset_type=source.hub or _slug(source.name) or "local",
                dataset_name=source.hub or source.name,
                dataset_config=record["arguments"].get("dataset_config") if source.hub else None,
                dataset_revision=record["arguments"].get("dataset_revision") if source.hub else None,
                dataset_split=_visible(split),
                dataset_args={"max_eval_samples": limit} if limit else None,
                metric_type=metric,
                metric_name=label,
                metric_value=float(scores[key]),
            )
            for key, metric, label in _INDEXED[record["task"]]
            if _is_number(scores.get(key)) and math.isfinite(scores[key])
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
        what += f" in {schema.scheme} (entity types: {_listed(map(_text, schema.entity_types))})"
    model, train = _model(record), _source(record, "train")
    if model:
        what += f": {_link(model)}"
        if _trained(record):
            what += " fine-tuned" + (f" on {_link(train, 'datasets/')}" if train else "")
    key, label = _HEADLINE[record["task"]]
    split = "test" if "test" in results else next(iter(results), None)
    value = results[split].get(key) if split else None
    limit = _cut(record, "max_eval_samples")
    sample = f"the first {limit:,} sentences of " if limit else ""
    figure = "" if value is None else f" **{label} {_text(value)} on {sample}the {_text(split)} split.**"
    return f"{what}.{figure}"


def _results(results: Results, task: str) -> str:
    keys = [key for key in (*_SHARES, *_COUNTS) if any(r.get(key) is not None for r in results.values())]
    if not keys:
        return ""
    rows = [[_label(key), *(_count(r.get(key), key) for r in results.values())] for key in keys]
    parts = [_table(["Figure", *results], rows)]
    if task == "ner":
        parts.append(
            "An entity is right where its first word, its last word and its type are right. The plain figures read "
            "tags as the CoNLL-2003 scorer does; the strict ones count only what the scheme allows."
        )
    if "unseen_accuracy" in keys:
        parts.append("Known words occur in the training split, unknown ones do not.")
    if any("sentence" in key and key != "sentences" for key in keys):
        parts.append("Figures by sentence are not comparable with those by word or entity.")
    field, title = ("per_type", "entity type") if task == "ner" else ("per_tag", "tag")
    split = next((s for s in reversed(results) if results[s].get(field)), None)
    if split is not None:
        parts.append(f"### By {title}, {_text(split)} split\n\n" + _breakdown(results[split][field], title))
    return "\n\n".join(parts)


def _breakdown(scores: dict[str, dict[str, Any]], title: str) -> str:
    columns = ("precision", "recall", "f1", "support")
    ordered = sorted(scores.items(), key=lambda item: (-(item[1].get("support") or 0), item[0]))
    rows = [[name, *(row.get(c) for c in columns)] for name, row in ordered[:_MOST_ROWS]]
    rest = len(ordered) - len(rows)
    return _table([title.capitalize(), *map(_label, columns)], rows) + (f"\n\nAnd {rest:,} rarer." if rest else "")


def _history(record: Record) -> str:
    history = record.get("history") or []
    keys = [key for key in _HISTORY if any(entry.get(key) is not None for entry in history)]
    rows = [
        [_setting(round(entry[k], 2)) if k == "epoch" and _is_number(entry.get(k)) else entry.get(k) for k in keys]
        for entry in history[-_MOST_ROWS:]
    ]
    cut = f"The last {len(rows)} of {len(history):,} evaluations.\n\n" if len(history) > len(rows) else ""
    return cut + _table([_label(key) for key in keys], rows) if keys else ""


def _usage(name: str, arguments: dict[str, Any], schema: TagSchema) -> str:
    # The pipeline knows B- and I- only: it would cut an entity of BIOES tags into pieces.
    grouped = ', aggregation_strategy="first"' if schema.scheme in ("IOB1", "IOB2") else ""
    trust = ", trust_remote_code=True" if arguments.get("trust_remote_code") else ""
    model = json.dumps(name)
    return f"""With Transformers alone, from text:

```python
from transformers import pipeline

tagger = pipeline("token-classification", model={model}{grouped}{trust})
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
        source = _source(record, split)
        rows.append([split, source.name if source else None, *map(counts.get, ("sentences", "words", "fingerprint"))])
    parts = [_table(["Split", "Source", "Sentences", "Words", "Fingerprint"], rows)] if rows else []
    train = _source(record, "train")
    if train and train.hub:
        named = {"configuration": arguments.get("dataset_config"), "revision": arguments.get("dataset_revision")}
        details = "".join(f", {label} {_text(value)}" for label, value in named.items() if value)
        parts.append(f"On the Hub: {_link(train, 'datasets/')}{details}.")
    scheme = record.get("scheme") or {}
    if scheme.get("source") != scheme.get("target"):
        parts.append(f"Entities came in {_text(scheme.get('source'))} and are in {_text(scheme.get('target'))} here.")
    if arguments.get("validation_share"):
        share = _setting(arguments["validation_share"])
        parts.append(f"The validation split is a share of {share} of the training sentences, held out by documents.")
    for split, tags in (data.get("unseen_tags") or {}).items():
        listed = _listed(f"{_text(tag)} ({n:,})" for tag, n in sorted(tags.items(), key=lambda item: -item[1]))
        parts += [f"Tags of the {_text(split)} split that training never has, with their words: {listed}."] * bool(tags)
    return "\n\n".join(parts)


def _settings(record: Record) -> str:
    arguments = record["arguments"]
    hidden = {"scheme"} if record["task"] == "pos" else set()
    hidden.add("num_train_epochs" if (arguments.get("max_steps") or 0) > 0 else "max_steps")
    hidden |= set() if arguments.get("lora") else {name for name in _SETTINGS if name.startswith("lora_")}
    rows = []
    for name in _SETTINGS:
        value = arguments.get(name)
        if name not in hidden and value is not None and value is not False and value != _IDLE.get(name):
            share = name == "warmup_steps" and _is_number(value) and 0 < value < 1
            rows.append([_Markup(f"`{name}`"), _setting(value) + (" (share of all steps)" if share else "")])
    return _table(["Argument", "Value"], rows) if rows and _trained(record) else ""


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
    rows.append(["training time", None if seconds is None else _duration(seconds)])
    rows.append(["git revision", record.get("git_revision")])
    rows = [row for row in rows if row[1] is not None]
    return _table(["", "Value"], rows) if rows else ""


def _limits(record: Record, results: Results) -> str:
    points = [*_partial(record), *_alignment(record)]
    scheme = record.get("scheme") or {}
    if scheme.get("repaired"):
        words = f" (of {scheme['words']:,})" if scheme.get("words") else ""
        points.append(
            f"Words{words} whose tag {_text(scheme.get('source'))} does not allow, repaired before training and "
            f"evaluation: {scheme['repaired']:,}."
        )
    for split, tags in ((record.get("dataset") or {}).get("unseen_tags") or {}).items():
        if tags:
            points.append(
                f"Words of the {_text(split)} split with a tag that training never shows, so that the model cannot "
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
        found = [f"{text}: {counts[key]:,}" for key, text in told.items() if counts.get(key)]
        if found:
            points.append(f"In the {_text(split)} split, all counted in its figures: {'; '.join(found)}.")
        elif all(counts.get(key) == 0 for key in told):
            points.append(
                f"In the {_text(split)} split every sentence fits one window, and no word was lost or shortened."
            )
    return points


def _known_data(record: Record, splits: Iterable[str]) -> list[str]:
    """What is known of the data sets that have a name here."""
    arguments = record["arguments"]
    given = [source for split in splits for source in _given(arguments, record, split)]
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


def _model(record: Record) -> _Source | None:
    name = record["arguments"].get("model")
    if not name:
        return None
    full = _KNOWN_MODELS.get(name, name)
    if name == "minilm" or ("/" in full and _may_be_on_hub(name)):
        return _Source(full, full)
    return _Source(_last_part(name))


def _source(record: Record, split: str) -> _Source | None:
    """Where a split came from: its own file, the split it was held out of, or the data set."""
    arguments = record["arguments"]
    given = _given(arguments, record, split)
    if not given:
        return None
    if arguments.get(f"{split}_file") or (split == "validation" and _held_out(arguments)):
        return _Source(", ".join(map(_last_part, given)))
    name = given[0]
    if name == "sample":
        return _Source("hf_tagging sample")
    hub = HUB_ALIASES[name][0] if name in HUB_ALIASES else name if _may_be_on_hub(name) else None
    return _Source(hub or _last_part(name), hub)


def _given(arguments: dict[str, Any], record: Record, split: str) -> list[str]:
    """The names or paths of a split as the user gave them; a split's own files win over the data set."""
    if split == "validation" and _held_out(arguments):
        split = "train"
    files = arguments.get(f"{split}_file")
    if files:
        return [files] if isinstance(files, str) else [str(file) for file in files]
    name = arguments.get("dataset") or (record.get("dataset") or {}).get("name")
    return [str(name)] if name else []


def _held_out(arguments: dict[str, Any]) -> bool:
    """Whether the validation split was cut from training files."""
    return bool(arguments.get("validation_share") and arguments.get("train_file"))


def _may_be_on_hub(name: str) -> bool:
    """Whether the libraries would look for a name on the Hub: it can be one there, and is no path here."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return not looks_like_path(name) and not Path(name).exists()


def _model_name(arguments: dict[str, Any], name: str | None) -> str:
    hub = arguments.get("hub_model_id")
    if hub and not looks_like_path(hub):
        return "/".join(_slug(part) for part in hub.split("/"))
    return _slug(_last_part(name or arguments.get("output_dir") or "")) or "model"


def _last_part(path: str) -> str:
    return _visible(re.split(r"[/\\]", str(path).rstrip("/\\"))[-1])


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")[:96]


def _link(source: _Source, kind: str = "") -> str:
    return f"[{_text(source.hub)}](https://huggingface.co/{kind}{source.hub})" if source.hub else _text(source.name)


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [header, [_Markup("---"), *[_Markup("---:")] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines)


def _text(value: Any) -> str:
    """A value as Markdown that means itself: figures to four decimals, special characters as entities."""
    if value is None or isinstance(value, _Markup):
        return value or ""
    if _is_number(value):
        return f"{value:,}" if isinstance(value, Integral) else f"{value:.4f}"
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", _visible(value))


def _visible(value: Any) -> str:
    """Text in one line, with what cannot be seen (newlines, direction marks) spelled out."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return shown if len(shown) <= 120 else shown[:119] + "…"


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _count(value: Any, key: str) -> Any:
    return round(value) if key in _COUNTS and _is_number(value) and math.isfinite(value) else value


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def _label(key: str) -> str:
    words = key.replace("_", " ").replace("unseen", "unknown").replace("seen", "known").replace("f1", "F1")
    return words[0].upper() + words[1:]


def _listed(items: Iterable[str], most: int = 20) -> str:
    shown = list(items)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most:,} more" if len(shown) > most else "")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
