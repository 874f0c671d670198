"""Rules for the arguments of a run on a stream, and how often such a run is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hf_tagging.errors import Problem
from hf_tagging.models.baseline import VOCABULARY

_TENTH = 0.1  # of all steps
_HELD_OUT = "is drawn from all of training, and a stream is not read before", "give validation_file and test_file"
# Arguments that need the whole training split, with the value that changes nothing, why, and what to do.
_OF_WHOLE: dict[str, tuple[object, str, str]] = {
    "validation_share": (None, *_HELD_OUT),
    "test_share": (None, *_HELD_OUT),
    "folds": (None, *_HELD_OUT),
    "max_train_samples": (None, "does not cut a stream: max_steps says how much is read", "leave it out"),
    "class_weights": ("none", "counts the tags of all of training, and a stream is not read before", "leave it out"),
    "compact_vocabulary": (
        "off",
        "needs the subwords of all of training, and a stream is not read before",
        "leave it out",
    ),
    "packing": (False, "plans rows for all of training, and a stream is not read before", "leave it out"),
    "teacher": (None, "tags all of training first, and a stream is not read before", "leave streaming out"),
    "word_features": (None, "needs all values of the column, and a stream is not read before", "leave streaming out"),
    "context": ("none", "needs whole documents, and a stream gives sentences", "leave one of them out"),
}


def streaming_problems(given: Mapping[str, object], *, scratch: bool) -> Iterator[Problem]:
    """Yield what does not go with `streaming`.

    Args:
        given: All given arguments of the run, by name.
        scratch: The tagger is one from scratch.
    """
    if not given.get("streaming") or given.get("do_train") is False:  # then no more of it is read than its sample
        return
    steps = given.get("max_steps")
    if not isinstance(steps, int) or steps < 1:
        yield Problem("max_steps", steps, "a stream has no length, so that epochs do not end", "give it, such as 10000")
    for name, (idle, reason, fix) in _OF_WHOLE.items():
        if given.get(name) not in (None, idle, "auto"):
            yield Problem(name, given[name], f"{reason} (streaming)", fix)
    if given.get("tokens_per_batch") == "auto":
        reason = "tries the longest sentences of training, and a stream is not read before (streaming)"
        yield Problem("tokens_per_batch", "auto", reason, "give a number")
    if not scratch:
        return
    if given.get("encoder") == "hmm":
        yield Problem("encoder", "hmm", "counts all of training (streaming)", "leave streaming out")
    elif given.get("words", VOCABULARY) == VOCABULARY and not given.get("model"):
        reason = "the vocabulary is that of all of training, and a stream is not read before (streaming)"
        yield Problem("words", VOCABULARY, reason, "give a tokenizer, such as words minilm, or leave streaming out")


def streaming_defaults(given: Mapping[str, object]) -> dict[str, object]:
    """Return when a run on a stream is evaluated and saved: ten times in all, unless the arguments say otherwise.

    Args:
        given: Arguments of training that were given.
    """
    if "eval_strategy" in given or "save_strategy" in given:
        return {"packing": False}
    every = given.get("eval_steps", given.get("save_steps", _TENTH))
    return {
        "packing": False,
        "eval_strategy": "steps",
        "save_strategy": "steps",
        "eval_steps": every,
        "save_steps": every,
    }
