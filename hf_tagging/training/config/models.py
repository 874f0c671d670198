"""Defaults and rules that depend on the task and on what the model is, from Python, flags and YAML alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from hf_tagging.disk import expanded
from hf_tagging.errors import ModelError, Problem
from hf_tagging.models.encoder import is_chain
from hf_tagging.tasks import Task
from hf_tagging.training.config.checks import did_you_mean

LORA_LEARNING_RATE = 5e-4  # low-rank updates start from zero and want about ten times a full fine-tuning's rate
CRF_LEARNING_RATE = 1e-3  # transitions start from zero, and at an encoder's rate they would stay near it
# Weights that start at random want larger steps and more of them than a fine-tuned encoder's.
FROM_SCRATCH = {"learning_rate": 2e-3, "num_train_epochs": 10.0, "max_grad_norm": 5.0}

# Arguments that say how the words of a loss are summed, with the value that changes nothing.
_OF_SUMS = {"label_strategy": "first", "class_weights": "none", "label_smoothing_factor": 0.0}


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model that defaults and rules depend on.

    Args:
        scratch: Its weights start at random, or in a language model that did.
        crf: It tags whole sequences; its loss is no sum over words.
        new_crf: Its transitions are new.
        lora: Adapters are trained in the place of its weights.
    """

    scratch: bool = False
    crf: bool = False
    new_crf: bool = False
    lora: bool = False


def encoder_facts(name: str | None, *, head: str | None, lora: bool = False) -> ModelFacts:
    """Return the facts of an encoder before it is loaded.

    Args:
        name: See `load_encoder`. Only a folder on this machine is looked into.
        head: Kind of tag head that was asked for; None: that of the model.
        lora: Train adapters.
    """
    saved = _saved_chain(name)
    return ModelFacts(crf=saved if head is None else head == "crf", new_crf=head == "crf" and not saved, lora=lora)


def scratch_facts(name: str | None, *, head: str | None) -> ModelFacts:
    """Return the facts of a tagger from scratch before it is built.

    Args:
        name: Folder that it starts from, None for a new one.
        head: Kind of tag head that was asked for; None: that of the folder, linear for a new one.
    """
    return ModelFacts(scratch=True, crf=_saved_chain(name) if head is None else head == "crf")


def facts_of(model: object) -> ModelFacts:
    """Return the facts of a loaded model.

    Args:
        model: A `*ForTokenClassification`, with or without adapters.
    """
    plain = getattr(model, "get_base_model", lambda: model)()
    crf = getattr(plain, "crf", None)
    scratch = str(getattr(getattr(plain, "config", None), "model_type", "")).startswith("tagging-")
    new = crf is not None and not scratch and not any(bool(p.detach().any()) for p in crf.parameters())
    return ModelFacts(scratch=scratch, crf=crf is not None, new_crf=new, lora=plain is not model)


def training_defaults(task: Task, model: ModelFacts, given: Mapping[str, object]) -> dict[str, object]:
    """Return defaults of arguments of training that follow from the task and the model.

    Args:
        task: Its headline figure picks the best checkpoint.
        model: What is trained.
        given: Arguments of training that were given.
    """
    defaults: dict[str, object] = dict(FROM_SCRATCH) if model.scratch else {}
    defaults["metric_for_best_model"] = "loss" if given.get("prediction_loss_only") else task.headline
    if model.lora:
        defaults["learning_rate"] = LORA_LEARNING_RATE
    if model.new_crf:
        defaults["head_learning_rate"] = CRF_LEARNING_RATE
    return defaults


def metric_problems(task: Task, given: Mapping[str, object]) -> Iterator[Problem]:
    """Yield a figure to choose by that no evaluation computes: better now than after the first epoch."""
    asked = given.get("metric_for_best_model")
    name = str(asked or "loss").removeprefix("eval_")
    if name not in task.figures:
        reason = f"{name!r} is not one of {', '.join(task.figures)}{did_you_mean(name, task.figures)}"
        yield Problem("metric_for_best_model", asked, reason)


def loss_problems(model: ModelFacts, values: Mapping[str, object], *, of: str = "head crf") -> Iterator[Problem]:
    """Yield what can be done to a loss that is a sum over words, and not to a CRF's.

    Args:
        model: What is trained.
        values: Arguments by name; those that are missing have their default.
        of: Whose loss it is, for the messages.
    """
    if not model.crf:
        return
    for name, idle in _OF_SUMS.items():
        if (value := values.get(name, idle)) != idle:
            reason = f"{value} does not go with {of}, whose loss is of whole sequences of words"
            yield Problem(name, value, reason, "leave it out")


def teacher_problems(given: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what does not go with learning from a teacher, or does nothing without one.

    Args:
        given: All given arguments of the run, by name.
    """
    if not given.get("teacher"):
        idle = [name for name in ("teacher_temperature", "gold_weight", "text_file") if given.get(name) is not None]
        fix = "give teacher with it, or leave it out"
        yield from (Problem(name, given[name], "has no effect without a teacher", fix) for name in idle)
        return
    for name, idle_value in {**_OF_SUMS, "label_strategy": "first"}.items():
        if given.get(name, idle_value) != idle_value:
            yield Problem(name, given[name], "does not go with a teacher, which gives probabilities", "leave it out")
    if given.get("encoder") == "hmm":
        yield Problem(
            "encoder", "hmm", "is estimated by counting, and cannot learn from probabilities", "give another encoder"
        )
    if given.get("do_train") is False:
        yield Problem("teacher", given["teacher"], "nothing is trained", "leave it out")
    if given.get("text_file") and given.get("max_train_samples"):
        reason = "would leave out the text of text_file, which comes last"
        yield Problem("max_train_samples", given["max_train_samples"], reason, "leave one of them out")
    if given.get("text_file") and given.get("word_features"):
        yield Problem("text_file", given["text_file"], "text has no further columns", "leave word_features out")


def _saved_chain(name: str | None) -> bool:
    """Return whether a folder on this machine holds a tagger of whole sequences."""
    with suppress(ModelError):  # a damaged folder is reported when it is loaded
        return bool(name) and (expanded(str(name)) / "config.json").is_file() and is_chain(name)
    return False
