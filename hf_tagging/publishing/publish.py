"""What a finished run leaves for others to read: its card, and the end of its record."""

from __future__ import annotations

from typing import Any

from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.schema import TagSchema
from hf_tagging.publishing.card import model_card
from hf_tagging.training.run import TaggingRun


def publish_run(
    run: TaggingRun, results: dict[str, dict[str, Any]], schema: TagSchema, splits: dict[str, AlignedSplit]
) -> None:
    """Writes the card and closes the record of a run.

    Args:
        run: After its evaluation.
        results: Per split, every figure.
        schema: The tags of the model.
        splits: The words of the run.
    """
    run.save(results, model_card(run.record, results, schema))
