"""What a model card says of how a model was made: its data and their licences, tags, settings, machine and cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hf_tagging.data.schema import TagSchema
from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, data_size, duration, energy, is_finite, is_number, listed, setting, table, text
from hf_tagging.publishing import provenance
from hf_tagging.tasks import get_task
from hf_tagging.training.record import RunRecord

_PARTS = [
    "encoder", "words", "min_count", "lowercase", "fold_digits", "fold_tweets", "word_size", "word_dropout",
    "characters", "word_shape", "word_features", "hidden_size", "num_layers", "dropout",
]  # fmt: skip
_OF_WORDS = {"encoder", "words", "min_count", "lowercase", "fold_digits", "fold_tweets", "seed"}  # what an hmm has
_SETTINGS = [
    *_PARTS,
    "learning_rate", "tokens_per_batch", "packing", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "warmup_steps", "lr_scheduler_type", "optim", "weight_decay", "max_grad_norm",
    "label_smoothing_factor", "layerwise_lr_decay", "head_learning_rate", "class_weights", "ema_decay",
    "early_stopping_patience", "head", "head_dropout", "freeze_layers", "lora", "lora_rank", "lora_alpha",
    "lora_dropout", "bf16", "fp16", "scheme", "label_strategy", "max_length", "window_overlap", "max_train_samples",
    "max_eval_samples", "seed",
]  # fmt: skip
_IDLE = {
    "per_device_train_batch_size": 0,
    "layerwise_lr_decay": 1,
    "ema_decay": 0,
    "label_smoothing_factor": 0,
    "class_weights": "none",
}  # values that do nothing
_MOST_TAGS = 100
# As their pages on the Hub say, by name there.
_MODEL_LICENCES = {
    "sentence-transformers/all-MiniLM-L6-v2": "Apache-2.0",
    "google-bert/bert-base-cased": "Apache-2.0",
    "google-bert/bert-base-uncased": "Apache-2.0",
    "google-bert/bert-large-cased": "Apache-2.0",
    "distilbert/distilbert-base-cased": "Apache-2.0",
    "FacebookAI/roberta-base": "MIT",
}


def tags_section(schema: TagSchema) -> str:
    """The tags that the model gives, in the order of their ids."""
    # Not with commas: a comma is a tag of many schemas.
    rest = len(schema.tags) - _MOST_TAGS
    named = " · ".join(map(text, schema.tags[:_MOST_TAGS])) + (f" and {rest:,} more" if rest > 0 else "")
    if not schema.entity_types:
        return f"{len(schema.tags):,} tags, one for every word: {named}"
    types = listed(map(text, schema.entity_types), _MOST_TAGS)
    return f"Entity types: {types}. They are written in {schema.scheme}, as {len(schema.tags):,} tags: {named}"


def data_section(record: RunRecord) -> str:
    """The data by split, where they are, what was done to them, and their licences."""
    arguments, data = record["arguments"], record.get("dataset") or {}
    rows = []
    for split, counts in (data.get("splits") or {}).items():
        source = provenance.source(record, split)
        rows.append([split, source.name if source else None, *map(counts.get, ("sentences", "words", "fingerprint"))])
    parts = [table(["Split", "Source", "Sentences", "Words", "Fingerprint"], rows)] if rows else []
    train = provenance.source(record, "train")
    if train and train.hub:
        named = {"configuration": arguments.get("dataset_config"), "revision": provenance.revision(record)}
        details = "".join(f", {label} {text(value)}" for label, value in named.items() if value)
        parts.append(f"On the Hub: {train.link('datasets/')}{details}.")
    parts += [*_prepared(record), *_unseen_tags(record), *_licences(record)]
    return "\n\n".join(parts)


def _prepared(record: RunRecord) -> Iterator[str]:
    """What was done to the data before training, and what was taken into the model beside them."""
    arguments, scheme = record["arguments"], record.get("scheme") or {}
    if scheme.get("source") != scheme.get("target"):
        yield f"Entities came in {text(scheme.get('source'))} and are in {text(scheme.get('target'))} here."
    for split in ("validation", "test"):
        if share := arguments.get(f"{split}_share"):
            yield (
                f"The {split} split is a share of {setting(share)} of the training sentences, held out by documents."
            )
    if arguments.get("folds"):
        yield (
            f"The training documents were cut into {setting(arguments['folds'])} parts; the test split is part "
            f"{setting(arguments.get('fold'))}, counted from 0."
        )
    if (vectors := arguments.get("word_vectors")) and provenance.trained(record):
        yield f"The vectors of words began as those of {text(provenance.last_part(vectors))}."


def _unseen_tags(record: RunRecord) -> Iterator[str]:
    unseen = (record.get("dataset") or {}).get("unseen_tags") or {}
    for split, tags in unseen.items() if provenance.trained(record) else ():
        if tags:
            missing = listed(f"{text(tag)} ({n:,})" for tag, n in sorted(tags.items(), key=lambda item: -item[1]))
            yield f"Tags of the {text(split)} split that training never has, with their words: {missing}."


def _licences(record: RunRecord) -> Iterator[str]:
    """What is known of the terms of the parts; of the model's own none is claimed."""
    train, model = provenance.source(record, "train"), provenance.model(record)
    if train and provenance.trained(record):
        yield f"Licence of the data: {_data_licence(record, train)}"
    if model and model.hub and provenance.trained(record):
        known = _MODEL_LICENCES.get(model.hub)
        yield f"Licence of {model.link()}: " + (f"{known}." if known else "see its page.")
    if train and provenance.trained(record):
        yield "What licence this model comes under is for those to say who publish it; none is claimed here."


def _data_licence(record: RunRecord, train: provenance.Source) -> str:
    if provenance.is_sample(record, ["train"]):
        return "CC0-1.0; the sample corpus was written for `hf_tagging`."
    if provenance.is_conll2003(record, ["train"]):
        return "the text of CoNLL-2003 is Reuters news (RCV1), which is for research use."
    return f"see [its page](https://huggingface.co/datasets/{train.hub})." if train.hub else "not stated."


def settings_section(record: RunRecord) -> str:
    """The arguments that made the model what it is."""
    if not provenance.trained(record):
        return ""
    arguments = _as_built(record)
    hidden = set() if get_task(record["task"]).has_entities else {"scheme"}
    hidden.add("num_train_epochs" if (arguments.get("max_steps") or 0) > 0 else "max_steps")
    hidden |= set(_SETTINGS) - _OF_WORDS if arguments.get("encoder") == "hmm" else set()
    hidden |= set() if arguments.get("lora") else {name for name in _SETTINGS if name.startswith("lora_")}
    rows = []
    for name in _SETTINGS:
        value = arguments.get(name)
        if name not in hidden and value is not None and value is not False and value != _IDLE.get(name):
            share = name == "warmup_steps" and is_number(value) and 0 < value < 1
            shown = ", ".join(map(str, value)) if isinstance(value, list) else setting(value)
            rows.append([Markup(f"`{name}`"), shown + (" (share of all steps)" if share else "")])
    return table(["Argument", "Value"], rows) if rows else ""


def _as_built(record: RunRecord) -> dict[str, Any]:
    """The arguments with the parts that the model has: what no flag asked for, a vectors file or a folder decides."""
    arguments, parts = record["arguments"], record.get("parts") or {}
    decided = {"word_size"} if arguments.get("word_vectors") else set()
    return {name: value for name, value in arguments.items() if name not in decided} | parts


def environment_section(record: RunRecord) -> str:
    """Versions and hardware."""
    hardware = record.get("hardware") or {}
    rows: list[list[Any]] = [list(item) for item in (record.get("versions") or {}).items()]
    rows += [[key, hardware.get(key)] for key in ("machine", "processor", "cpus")]
    rows.append(["GPUs", ", ".join(f"{n} x {gpu}" for gpu, n in Counter(_gpus(record)).items()) or None])
    rows += [[key, hardware.get(key)] for key in ("processes", "threads")]
    rows.append(["git revision", record.get("git_revision")])
    rows = [row for row in rows if row[1] is not None]
    return table(["", "Value"], rows) if rows else ""


def _gpus(record: RunRecord) -> list[str]:
    """The GPUs of the machine; a run on its CPU uses none."""
    found = (record.get("hardware") or {}).get("gpus") or []
    return [] if record["arguments"].get("use_cpu") else list(map(str, found))


def cost_section(record: RunRecord, results: Results) -> str:
    """Speed, size, time and energy, as they were measured in the run."""
    parameters, memory = record.get("parameters") or {}, record.get("memory") or {}
    seconds = (record.get("seconds") or {}).get("training")
    rows: list[Sequence[Any]] = [
        (f"words per second, {split} split", round(scores["words_per_second"]))
        for split, scores in results.items()
        if is_finite(scores.get("words_per_second"))
    ]
    rows.append(("parameters", parameters.get("all")))
    rows.append(("parameters trained", parameters.get("trained") if provenance.trained(record) else None))
    sizes = {"model files": record.get("model_bytes")}
    sizes |= {"peak memory of the process": memory.get("process"), "peak memory of the GPU": memory.get("gpu")}
    rows += [(name, data_size(size)) for name, size in sizes.items() if size is not None]
    if seconds is not None:
        rows.append((Markup(f"training time{_since(record)}"), duration(seconds)))
    rows = [row for row in rows if row[1] is not None]
    where = ["Words per second are those of the run's own evaluation, on the machine below."]
    parts = [table(["", "Measured"], rows)] if rows else []
    parts += where if any("words_per_second" in scores for scores in results.values()) else []
    return "\n\n".join(parts + ([] if seconds is None else [_energy(record, seconds)]))


def _since(record: RunRecord) -> str:
    """Of a resumed run, what its time and its energy are of."""
    return f" since {text(record['resumed_from'])}" if record.get("resumed_from") else ""


def _energy(record: RunRecord, seconds: float) -> str:
    """What the counters of the machine say, or the most that the drivers allow, with what is left out."""
    found, gpus, training = record.get("energy") or {}, _gpus(record), f"Energy of training{_since(record)}"
    counters = {"processors (RAPL)": found.get("processor_joules")}
    counters["GPUs (NVML)"] = None if record["arguments"].get("use_cpu") else found.get("gpu_joules")
    counted = {name: joules for name, joules in counters.items() if is_finite(joules)}
    if counted:
        told = " and ".join(f"{energy(joules)} by the {name}" for name, joules in counted.items())
        missing = "" if len(counted) == 2 or not gpus else " The " + _uncounted(counted) + " are not measured."
        return (
            f"{training}, by the counters of one machine: {told}. Other programs that ran there are counted with it; "
            f"memory, disks, cooling and power supply are not.{missing}"
        )
    if gpus and is_finite(found.get("gpu_watts")):
        most = energy(found["gpu_watts"] * seconds)
        return (
            f"{training}: not measured. The GPUs of one machine took {most} at most: {duration(seconds)} at the "
            f"{found['gpu_watts']:,.0f} W that their driver allows them."
        )
    return f"{training}: not measured."


def _uncounted(counted: dict[str, float]) -> str:
    return "processors" if any("GPU" in name for name in counted) else "GPUs"
