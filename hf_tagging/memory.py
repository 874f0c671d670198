"""Out of memory: told apart from a broken file or model, with what to type about it."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Iterator

from hf_tagging.errors import ModelError
from hf_tagging.problems import spell

# The kinds of errors have no common base, and some are a plain RuntimeError.
_KINDS = ("MemoryError", "OutOfMemoryError", "ArrowMemoryError")
_WORDS = re.compile(
    r"out of memory|can't allocate memory|not enough memory|Cannot allocate memory|std::bad_alloc", re.I
)
LOADING = "Free some memory, or give a smaller model or less data."
TRAINING = (
    "Give a smaller {tokens_per_batch} or {per_device_train_batch_size}, {gradient_accumulation_steps 2} (the same "
    "training, in half as much memory a step), a smaller {max_length}, {lora true}, or a smaller {model}."
)
EVALUATING = "Give a smaller {per_device_eval_batch_size} or {max_length}."


def out_of_memory(error: BaseException | None) -> str | None:
    """Return what is said of memory in an error or in what caused it; None where it is about something else."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        said = " ".join(str(error).split())
        if (
            type(error).__name__ in _KINDS
            or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
            or (isinstance(error, RuntimeError) and _WORDS.search(said))
        ):
            return said[:200].rstrip(". ") or type(error).__name__
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def enough_memory(doing: str, *, advice: str) -> Iterator[None]:
    """End in one message where there is not enough memory.

    Args:
        doing: What it was needed for, as ``"training"``.
        advice: What to do about it, a sentence; see `spell` for the arguments in it.

    Raises:
        ModelError: For what PyTorch, Arrow and Python raise then. Anything else goes through.
    """
    try:
        yield
    except Exception as error:
        if not (said := out_of_memory(error)):
            raise
        raise ModelError(f"Out of memory while {doing} ({said}). {spell(advice)}") from error
