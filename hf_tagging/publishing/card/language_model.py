"""The card of a pretrained language model: what it predicts, how well, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, duration, setting, table, text
from hf_tagging.publishing import provenance
from hf_tagging.training.record import RunRecord

_TASKS = {
    "masked": "words that were hidden from it",
    "bidirectional": "each word from those before it and, with a stack of its own, from those behind it",
}
_SETTINGS = (
    "masked_share", "learning_rate", "tokens_per_batch", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "warmup_steps", "weight_decay", "max_grad_norm", "ema_decay", "dropout", "seed",
)  # fmt: skip


def language_model_card(record: RunRecord, results: Results, *, objective: str, scratch: bool) -> str:
    """Writes the text of `README.md` for a pretraining.

    Args:
        record: What `run.json` holds.
        results: Per split, `loss`, `perplexity` and `predictions`.
        objective: ``"masked"`` or ``"bidirectional"``.
        scratch: Whether it is a model of `hf_tagging`'s own, for its taggers from scratch.
    """
    arguments: Mapping[str, object] = record["arguments"]
    name = provenance.model_name(record["arguments"], None)
    started = provenance.model(record)
    base = f"It goes on from {text(started.name)}. " if started else ""
    what = f"A language model that predicts {_TASKS[objective]}. {base}It is a start for taggers and is none itself."
    recipe = "pos_baseline.py" if scratch else "pos_bert.py"
    files = record.get("dataset", {}).get("splits", {})
    hidden = {"masked_share"} if objective == "bidirectional" else set()
    hidden |= {"num_train_epochs"} if record["arguments"].get("max_steps", -1) > 0 else {"max_steps"}
    hidden |= set() if scratch else {"dropout"}
    if_given = ("tokens_per_batch", "per_device_train_batch_size", "ema_decay")
    hidden |= {name for name in if_given if not arguments.get(name)}
    values = [[Markup(f"`{n}`"), setting(arguments[n])] for n in _SETTINGS if n in arguments and n not in hidden]
    seconds = record.get("seconds", {}).get("training")
    sections = {
        "How to use": f"```\naccelerate launch recipes/{recipe} --model FOLDER\n```",
        "Results": table(["Split", "Loss (nats)", "Perplexity", "Predictions"], _rows(results)) if results else "",
        "Data": table(
            ["Split", "Sentences", "Words", "Fingerprint"],
            [[split, *map(facts.get, ("sentences", "words", "fingerprint"))] for split, facts in files.items()],
        ),
        "Hyper-parameters": table(["Argument", "Value"], values),
        "Training time": duration(seconds) if seconds is not None else "",
    }
    body = [f"# {text(name)}", what, *(f"## {title}\n\n{content}" for title, content in sections.items() if content)]
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag=None if scratch else "fill-mask",
        tags=["hf_tagging", "language-model"],
        base_model=started.hub if started else None,
    )
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(body) + "\n"))


def _rows(results: Results) -> list[list[Any]]:
    return [
        [split, figures["loss"], figures["perplexity"], figures["predictions"]] for split, figures in results.items()
    ]
