"""End of a run: its results, its predictions, its card, its report, and the push."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import numpy as np
from torch import nn

from hf_tagging.analysis.documents import write_documents
from hf_tagging.analysis.seen import seen_in, write_seen
from hf_tagging.analysis.shape import Analysis
from hf_tagging.atomic import whole_file
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.files import tagged_split
from hf_tagging.disk import refusal
from hf_tagging.errors import TaggingError
from hf_tagging.evaluation.figures import Results
from hf_tagging.evaluation.predictions import results_table
from hf_tagging.hub import first_line
from hf_tagging.models.packing import unwrapped
from hf_tagging.publishing.card.tagger import model_card, seed_results
from hf_tagging.publishing.hub.push import push_finished
from hf_tagging.publishing.provenance import trained
from hf_tagging.publishing.report.write import REPORT, analyse_run, write_page
from hf_tagging.training.former import warn
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.trainer import AlignedTrainer

logger = logging.getLogger(__name__)


def publish_run(trainer: AlignedTrainer | TaggingRun, test_dataset: object = None, *former: object) -> Results:
    """Finish the run of a trainer, see `finish_run`, and push its folder if the arguments ask for it.

    Args:
        trainer: After training.
        test_dataset: Test split, if there is one and it has not been evaluated.
        former: Deprecated, as is a run in the place of the trainer: (run, results, schema, splits).

    Returns:
        Every figure, by split.
    """
    if isinstance(trainer, TaggingRun):
        warn("publish_run(run, results, schema, splits)", "publish_run(trainer)")
        return _publish_saved(trainer, cast(Results, test_dataset))
    results = finish_run(trainer, test_dataset)
    push_finished(trainer.run)
    return results


def finish_run(trainer: AlignedTrainer, test_dataset: object = None) -> Results:
    """Score what is not scored yet, and leave all files of a run in its folder.

    These are the model, unless it is saved already, `results.json`, the predictions, `report.html`, a card that quotes
    it, and `run.json`. A report that cannot be made is logged and no more: the run is finished, and its exit code is 0.

    Args:
        trainer: After training.
        test_dataset: Test split, if there is one and it has not been evaluated.

    Returns:
        Every figure, by split.
    """
    run = trainer.run
    with run.opened():
        if not run.is_saved:
            trainer.save_model()
        results = trainer.final_evaluation(test_dataset)
        for name in results:
            outcome = trainer.outcomes[name]
            words = trainer.splits[tagged_split(name)].words["tokens"]
            run.write_predictions(name, words, outcome.gold, outcome.predicted)
        run.finish(results, model_card(run.record, results, trainer.schema))
        run.say(results_table(trainer.scorer.task, results))
        if run.state.is_main_process:
            _write_report(trainer, results)
    return results


def _publish_saved(run: TaggingRun, results: Results) -> Results:
    """Write the report of a run that `TaggingRun.train` and `save` have finished, and push it."""
    assert isinstance(run.trained, AlignedTrainer), "publish_run: the run has not trained; give the trainer"
    with run.opened():
        if run.state.is_main_process:
            _write_report(run.trained, results)
    push_finished(run)
    return results


def _write_report(trainer: AlignedTrainer, results: Results) -> None:
    """Write the report of a finished run, and the card anew with what it found."""
    run, folder = trainer.run, Path(trainer.run.folder.path)
    try:
        analysis = _report(trainer, run, folder, results)
        card = model_card(run.record, results, trainer.schema, analysis=analysis, seeds=seed_results(folder))
        with whole_file(folder / "README.md") as file:
            file.write(card)
        if analysis:
            logger.info("Report: %s", folder / REPORT)
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


def _report(trainer: AlignedTrainer, run: TaggingRun, folder: Path, results: Results) -> Analysis | None:
    """Write which words and tags training has seen, and the report; return the analysis, None without results."""
    if trained(run.record) and "train" in trainer.splits:
        train = trainer.splits["train"].words
        read = [name for name in results if name == tagged_split(name)]
        write_seen(folder, {name: seen_in(train, trainer.splits[name].words, trainer.schema) for name in read})
    if getattr(unwrapped(cast(nn.Module, trainer.model)).config, "context_subwords", None):
        bounds = {name: document_bounds(trainer.splits[name].words) for name in results if name == tagged_split(name)}
        write_documents(folder, {name: np.diff(starts).tolist() for name, starts in bounds.items()})
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
