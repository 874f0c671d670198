"""What a finished run leaves for others to read: its report, a card that quotes it, and what is pushed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hf_tagging.analysis.seen import seen_in, write_seen
from hf_tagging.atomic import whole_file
from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.schema import TagSchema
from hf_tagging.disk import refusal
from hf_tagging.errors import TaggingError
from hf_tagging.evaluation.figures import Results
from hf_tagging.hub import first_line
from hf_tagging.publishing.card.model_card import model_card, seed_results
from hf_tagging.publishing.hub.push import push_finished
from hf_tagging.publishing.report.write import REPORT, analyse_run, write_page
from hf_tagging.training.run import TaggingRun

logger = logging.getLogger(__name__)


def publish_run(run: TaggingRun, results: Results, schema: TagSchema, splits: dict[str, AlignedSplit]) -> None:
    """Write report and card of a run, and push it where that was asked.

    By the main process alone. The run was saved before and is finished: if the report cannot be made, that is logged
    and no more. The folder, with the model and a card without the report's findings, is pushed; the exit code is 0.

    Args:
        run: After `TaggingRun.save`.
        results: Per split, every figure.
        schema: The tags of the model.
        splits: The words of the run.
    """
    if not run.state.is_main_process:
        return
    folder = Path(run.folder.path)
    try:
        analysis = _report(run, folder, results, schema, splits)
        card = model_card(run.record, results, schema, analysis=analysis, seeds=seed_results(folder))
        with whole_file(folder / "README.md") as file:
            file.write(card)
        if analysis:
            logger.info("Where it is right and wrong: %s", folder / REPORT)
    except Exception as error:
        refused = refusal(error)  # by disk or folder
        is_bug = not (refused or isinstance(error, TaggingError))
        logger.error(
            "The run in %s is finished, but its report could not be made (%s). Type: hf-tagging report %s",
            folder,
            refused.removesuffix(".") or first_line(error),
            folder,
            exc_info=error if is_bug else None,
        )
    push_finished(run)


def _report(
    run: TaggingRun,
    folder: Path,
    results: Results,
    schema: TagSchema,
    splits: dict[str, AlignedSplit],
) -> dict[str, Any] | None:
    """Writes what the training has seen and the report; gives the analysis, None where no split was scored."""
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
