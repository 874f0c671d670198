"""What a finished run leaves for others to read: its report, its card, and the end of its record."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.schema import TagSchema
from hf_tagging.evaluation.seen import seen_in, write_seen
from hf_tagging.publishing.card import model_card, seed_results
from hf_tagging.publishing.hub import push_finished
from hf_tagging.publishing.report import analyse_run, write_page
from hf_tagging.training.environment import peak_memory
from hf_tagging.training.run import TaggingRun

logger = logging.getLogger(__name__)


def publish_run(
    run: TaggingRun, results: dict[str, dict[str, Any]], schema: TagSchema, splits: dict[str, AlignedSplit]
) -> None:
    """Writes report and card, closes the record of a run, and pushes it where that was asked.

    A report that cannot be made takes nothing else along: what went wrong is raised when all the rest is done.

    Args:
        run: After its evaluation.
        results: Per split, every figure.
        schema: The tags of the model.
        splits: The words of the run.
    """
    run.record["memory"] = peak_memory()  # before the report loads the model once more
    analysis, problem = None, None
    if run.state.is_main_process:
        try:
            analysis = _report(run, results, schema, splits)
        except Exception as error:
            problem = error
    seeds = seed_results(Path(run.folder.path))
    run.save(results, model_card(run.record, results, schema, analysis=analysis, seeds=seeds))
    push_finished(run)
    if problem is not None:
        logger.error("The run in %s is finished, but its report could not be made:", run.folder.path)
        raise problem


def _report(
    run: TaggingRun, results: dict[str, dict[str, Any]], schema: TagSchema, splits: dict[str, AlignedSplit]
) -> dict[str, Any] | None:
    """Writes what the training has seen and the report; gives the analysis, None where no split was scored."""
    folder = Path(run.folder.path)
    if run.arguments.training.do_train and "train" in splits:
        train = splits["train"].words
        write_seen(folder, {name: seen_in(train, splits[name].words, schema) for name in results})
    if not results:
        return None
    analysis = analyse_run(
        folder,
        split="test" if "test" in results else "validation",
        device=run.arguments.training.device,
        trust_remote_code=run.arguments.model.trust_remote_code,
    )
    write_page(folder, analysis)
    return analysis
