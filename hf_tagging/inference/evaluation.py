"""Results of an evaluation, and the folder that they are written into."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hf_tagging.atomic import inside, read_json, remove_left_behind, write_json
from hf_tagging.disk import check_writable, writing_to
from hf_tagging.errors import OutputError
from hf_tagging.evaluation.figures import Figures, Results
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.predictions import results_table, write_predictions
from hf_tagging.locks import FolderLock
from hf_tagging.problems import argument, switch
from hf_tagging.tasks import Task, get_task
from hf_tagging.training.folder import RECORD

RESULTS, PREDICTIONS = "results.json", "predictions"


@dataclass(frozen=True)
class Evaluation:
    """Predictions beside gold tags, and their scores.

    Args:
        task: Task whose metric scored them.
        split: Split that was tagged, or the name of a file of predictions.
        figures: Figures of `WordMetric` or `EntityMetric`, and `words_per_second` if a model tagged.
        words: Words. (sentences, words)
        gold: Gold tags as they were scored. (sentences, words)
        predicted: Predicted tags as they were scored. (sentences, words)
        unknown: Tags or entity types that the data has and the model does not, with the number of words or entities
            that bear them. None of these can be right.
        notes: Sentences that a reader of the figures should know.
        rules: Of a tagger with rules, the name of the rule that has decided or changed each tag; empty for a tag of the
            model. (sentences, words)
    """

    task: Task
    split: str
    figures: Figures
    words: Tags
    gold: Tags
    predicted: Tags
    unknown: dict[str, int]
    notes: tuple[str, ...]
    rules: Tags = field(default_factory=list)

    def __post_init__(self) -> None:
        object.__setattr__(self, "task", get_task(self.task))

    @property
    def results(self) -> Results:
        """Figures by split, in the layout of a run's `results.json`."""
        return {self.split: self.figures}

    def table(self) -> str:
        """Return the figures as a table for a terminal, with the notes below."""
        return "\n".join([results_table(self.task, self.results), *(["", *self.notes] if self.notes else [])])

    def as_dict(self) -> dict[str, object]:
        """Return all but words and tags, for JSON."""
        return {
            "task": self.task.name,
            "split": self.split,
            "figures": self.figures,
            "unknown": self.unknown,
            "notes": list(self.notes),
        }


def check_evaluation_folder(
    folder: str | Path, *, overwrite: bool = False, predictions: str | Path | None = None
) -> None:
    """Check that an evaluation can be written into a folder, before a model is loaded.

    Args:
        folder: Folder to write into.
        overwrite: Whether an earlier evaluation may be replaced.
        predictions: File of predictions to be scored, which is never replaced.

    Raises:
        OutputError: The folder is that of a run, holds an evaluation that may not be replaced, or cannot be written.
    """
    folder = Path(folder)
    if os.path.isfile(folder):
        raise OutputError(f"{argument('output', folder)} is a file; expected a folder.")
    for path in (folder, folder / PREDICTIONS):
        check_writable(path)
    if (folder / RECORD).exists():
        raise OutputError(f"{argument('output', folder)} holds a run, with results of its own. Give another folder.")
    if predictions and Path(predictions).resolve().is_relative_to((folder / PREDICTIONS).resolve()):
        raise OutputError(
            f"{argument('output', folder)} holds the file of {argument('predictions')}. Give another folder."
        )
    there = [path for path in (folder / RESULTS, *sorted((folder / PREDICTIONS).glob("*.conll"))) if path.exists()]
    if there and not overwrite:
        raise OutputError(f"{there[0]} is there already; give another folder, or {switch('overwrite')} to replace it.")


def write_evaluation(evaluation: Evaluation, folder: str | Path, *, overwrite: bool = False) -> None:
    """Write `predictions/SPLIT.conll` and `results.json` in the layout of a run, each file atomically.

    Args:
        evaluation: Evaluation to write.
        folder: Folder to write into.
        overwrite: Replace an earlier evaluation, its predictions for another split included.

    Raises:
        OutputError: The folder holds an evaluation that may not be replaced, cannot be written, or is in use by another
            process.
    """
    folder = Path(folder)
    check_evaluation_folder(folder, overwrite=overwrite)
    file = predictions_file(evaluation.split, folder)
    with FolderLock(folder), writing_to(folder):
        remove_left_behind(file, folder / RESULTS)
        write_predictions(file, evaluation.words, evaluation.gold, evaluation.predicted)
        for old in _predictions_of_before(folder):  # as long as results.json names them
            if old != file:
                old.unlink(missing_ok=True)
        write_json(folder / RESULTS, evaluation.results, default=None)


def predictions_file(split: str, folder: Path) -> Path:
    """Return the file that the predictions of a split are written to.

    Raises:
        OutputError: The name of the split, which the data chooses, is not that of a file.
    """
    file = folder / PREDICTIONS / f"{split}.conll"
    if inside(folder / PREDICTIONS, file.name) != file:
        raise OutputError(f"{split!r}: a split of this name has no file in {folder}. Rename it.")
    return file


def _predictions_of_before(folder: Path) -> list[Path]:
    """Return the files of predictions that the results in a folder name; other files are not ours."""
    splits = read_json(folder / RESULTS)  # there may be none, or not ours
    there = (path for path in (folder / PREDICTIONS).glob("*.conll") if inside(folder, f"{PREDICTIONS}/{path.name}"))
    return [path for path in there if isinstance(splits, dict) and path.stem in splits]
