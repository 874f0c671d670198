"""Files of a trained model, as the Trainer saves them and as they are published."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, cast

from transformers import PreTrainedModel

from hf_tagging.data.bars import bars_on_terminals

if TYPE_CHECKING:
    from peft import PeftModel

_LEFT_OUT = ("training_args.bin", "README.md")  # a pickle, and the empty card of PEFT


@bars_on_terminals()
def save_adapters(model: PreTrainedModel, staging: Path, *, merge: bool) -> PreTrainedModel | None:
    """Save an ordinary model in the place of adapters, or beside them; the model itself stays as it is.

    Args:
        model: The model, not wrapped for several processes.
        staging: Folder in which the Trainer has saved it.
        merge: Whether adapters are merged; otherwise they lie beside the encoder that they belong to: the folder loads
            without the Hub, and the adapter can be taken out of it.

    Returns:
        The model that was saved: merged, or as it is without adapters; None where the adapters stay in files of their
        own.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    adapted = cast("PeftModel", copy.deepcopy(model))
    if not merge:
        adapted.unload().save_pretrained(staging)
        return None
    merged: PreTrainedModel = adapted.merge_and_unload()
    merged.save_pretrained(staging)
    for adapter in staging.glob("adapter_*"):
        adapter.unlink()
    return merged


def files_to_keep(staging: Path) -> list[Path]:
    """Remove files of the Trainer that are not published, and return the others.

    Args:
        staging: Folder in which the Trainer has saved the model.
    """
    for leftover in _LEFT_OUT:
        (staging / leftover).unlink(missing_ok=True)
    return sorted(staging.iterdir())
