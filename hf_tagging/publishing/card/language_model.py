"""Model card of a pretrained language model."""

from __future__ import annotations

from collections.abc import Mapping

from huggingface_hub import ModelCard, ModelCardData

from hf_tagging.evaluation.figures import Results
from hf_tagging.markdown import Markup, setting, table
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.template import render
from hf_tagging.training.record import RunRecord

_PREDICTS = {
    "masked": "masked words",
    "bidirectional": "each word from the words before it and, with a second stack, from the words after it",
}
_SETTINGS = (
    "masked_share", "learning_rate", "tokens_per_batch", "per_device_train_batch_size", "gradient_accumulation_steps",
    "num_train_epochs", "max_steps", "warmup_steps", "weight_decay", "max_grad_norm", "ema_decay", "dropout", "seed",
)  # fmt: skip


def language_model_card(record: RunRecord, results: Results, *, objective: str, scratch: bool) -> str:
    """Return the text of `README.md` for a pretrained language model.

    Args:
        record: Content of `run.json`.
        results: `loss`, `perplexity` and `predictions` by split.
        objective: ``"masked"`` or ``"bidirectional"``.
        scratch: The model has the project's own architecture, for taggers from scratch.
    """
    base = provenance.model(record)
    page = render(
        "language_model_card.md.j2",
        {
            "name": provenance.model_name(record["arguments"], None),
            "predicts": _PREDICTS[objective],
            "base": base,
            "recipe": "pos_baseline.py" if scratch else "pos_bert.py",
            "results": _results(results),
            "data": _data(record),
            "settings": _settings(record, objective, scratch),
            "seconds": (record.get("seconds") or {}).get("training"),
        },
    )
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag=None if scratch else "fill-mask",
        tags=["hf_tagging", "language-model"],
        base_model=base.hub if base else None,
    )
    return str(ModelCard(f"---\n{metadata.to_yaml()}\n---\n\n{page}"))


def _results(results: Results) -> Markup | None:
    rows = [[s, figures["loss"], figures["perplexity"], figures["predictions"]] for s, figures in results.items()]
    return table(["Split", "Loss (nats)", "Perplexity", "Predictions"], rows) if rows else None


def _data(record: RunRecord) -> Markup:
    splits = record.get("dataset", {}).get("splits", {})
    rows = [[name, s.get("sentences"), s.get("words"), s.get("fingerprint")] for name, s in splits.items()]
    return table(["Split", "Sentences", "Words", "Fingerprint"], rows)


def _settings(record: RunRecord, objective: str, scratch: bool) -> Markup:
    arguments: Mapping[str, object] = record["arguments"]
    hidden = {"masked_share"} if objective == "bidirectional" else set()
    hidden |= {"num_train_epochs"} if record["arguments"].get("max_steps", -1) > 0 else {"max_steps"}
    hidden |= set() if scratch else {"dropout"}
    if_given = ("tokens_per_batch", "per_device_train_batch_size", "ema_decay")
    hidden |= {name for name in if_given if not arguments.get(name)}
    rows = [[Markup(f"`{n}`"), setting(arguments[n])] for n in _SETTINGS if n in arguments and n not in hidden]
    return table(["Argument", "Value"], rows)
