"""Averages of the weights of runs, kept where the validation split says that they tag better.

    runs ── scored on validation, best first ──► best run
                                              ├─► greedy average: each next run, unless the average gets worse
                                              └─► uniform average of all
             the best of the three ──► an ordinary model folder with card, figures and report

Models that are fine-tuned from the same weights often lie in one basin of the loss, where their average generalizes
better than each of them and costs nothing at inference (Wortsman et al. 2022, "Model soups").
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.console import text_table
from hf_tagging.data.in_memory import InMemory
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.figures import Results
from hf_tagging.evaluation.temperature import note_temperature
from hf_tagging.inference.loading import load_tagger
from hf_tagging.models.temperature import Temperature
from hf_tagging.problems import argument
from hf_tagging.rules.rules import RULES
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.averaging import add_to_mean, all_weights, put_weights
from hf_tagging.training.record import PartRecord, RunRecord
from hf_tagging.training.rescoring import check_same_splits, load_splits, note_origin, rescoring_config
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.same_origin import Part, check_models, differing_arguments, read_parts
from hf_tagging.training.scoring import WordPredictions

logger = logging.getLogger(__name__)

_IN_PYTHON = "In Python, give it: average_runs(runs, output_dir, dataset=...)."
BEST_RUN, GREEDY, UNIFORM = "best run", "greedy", "uniform"
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class SoupPart:
    """A run that was averaged, or left out.

    Args:
        name: Name of its folder.
        validation: Its figure on the validation split.
        averaged: Whether its weights are in the result.
        seconds: Training time; None where it is not known.
        differs: Arguments in which the runs differ.
    """

    name: str
    validation: float
    averaged: bool
    seconds: float | None
    differs: dict[str, object]


@dataclass(frozen=True)
class Soup:
    """Result of averaging runs.

    Args:
        folder: Folder of the result.
        kind: ``"greedy"``: average of the parts that are marked; ``"uniform"``: of all. ``"best run"``: no average was
            better than the best run, whose weights these are.
        metric: Figure that decides: the headline of the task.
        validation: This figure on the validation split, by kind.
        parts: The runs, the best first.
        results: Every figure of the result, by split.
    """

    folder: Path
    kind: str
    metric: str
    validation: dict[str, float]
    parts: tuple[SoupPart, ...]
    results: Results = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """Sentence that says which weights were kept."""
        if self.kind == BEST_RUN:
            return f"No average was better than the best run: these are the weights of {self.parts[0].name}."
        count, gain = sum(part.averaged for part in self.parts), self.validation[self.kind] - self.validation[BEST_RUN]
        return f"The {self.kind} average of {count} runs was kept: {gain:+.4f} over the best run."

    def table(self) -> str:
        """Return runs and averages with their figures, as a table for a terminal."""
        rows = [(part.name, f"{part.validation:.4f}", "yes" if part.averaged else "no") for part in self.parts]
        rows += [(f"{kind} average", f"{value:.4f}", "") for kind, value in self.validation.items() if kind != BEST_RUN]
        return text_table([("", f"validation {self.metric}", "averaged"), *rows]) + f"\n\n{self.outcome}"

    def as_dict(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def average_runs(
    runs: Sequence[str | Path],
    output_dir: str | Path,
    *,
    dataset: Mapping[str, InMemory] | None = None,
    overwrite: bool = False,
    trust_remote_code: bool = False,
) -> Soup:
    """Average the weights of runs that started from the same weights (Wortsman et al. 2022).

    Two averages are tried: the uniform one of all runs, and the greedy one, which adds the runs from the best to the
    worst and keeps each that does not make it worse on the validation split. The better of the two is written; if
    neither is better there than the best run, the weights of that run are written, and result and card say so.

        print(average_runs(["runs/order-1", "runs/order-2", "runs/order-3"], "runs/soup").table())

    Args:
        runs: Output folders of finished runs: of one encoder, or of taggers from scratch that have one seed or start
            from one folder; with the same tags, tag head, vocabulary and evaluation data, which is read as they read
            it.
        output_dir: Folder to write, like that of a run: model, card, figures, predictions, report, `run.json`.
        dataset: Words and tags by split, where the runs were trained on data in memory.
        overwrite: Replace the run in `output_dir`.
        trust_remote_code: Run code that comes with a model.

    Raises:
        ConfigError: The runs cannot be averaged: a single one, not finished, or different in what must be the same.
        DataError: The data cannot be read, or has changed since.
        ModelError: A model cannot be loaded.
        OutputError: `output_dir` holds a run already, or cannot be written.
    """
    parts = read_parts(runs)
    if any(part.folder.resolve() == Path(output_dir).resolve() for part in parts):
        raise ConfigError(f"{argument('output_dir', output_dir)} is one of the runs. Give another.")
    if ruled := [part.name for part in parts if (part.folder / RULES).is_file()]:
        logger.warning("The result has no rules: the %s of %s is left out. Save it anew.", RULES, ", ".join(ruled))
    config = rescoring_config(parts[0].record, output_dir, overwrite=overwrite, trust_remote_code=trust_remote_code)
    run = TaggingRun(config, resumable=False)
    with run.opened():
        averaging = _Averaging(parts, run, dataset)
        tried = averaging.candidates()
        best = max(tried, key=lambda candidate: candidate.figure)  # of equal ones the first, which is the run
        soup = Soup(
            folder=run.folder.path,
            kind=best.kind,
            metric=averaging.metric,
            validation={candidate.kind: candidate.figure for candidate in tried},
            parts=averaging.ranked(best),
        )
        _note(run.record, soup, tried[0].parts[0].record)
        results = averaging.publish(best)
    return replace(soup, results=results)


@dataclass(frozen=True)
class _Candidate:
    """Weights with figure and tags of the validation split; those of a single run are in its folder."""

    kind: str
    parts: tuple[Part, ...]
    figure: float
    outcome: WordPredictions
    weights: Weights | None


class _Averaging:
    """Runs, and averages of them, scored on the validation split by one trainer.

    Args:
        parts: The runs.
        run: Run of the result.
        dataset: Words and tags by split; None: as the runs read them.
    """

    def __init__(self, parts: Sequence[Part], run: TaggingRun, dataset: Mapping[str, InMemory] | None):
        self.first, self.parts, self.run = parts[0], list(parts), run
        self.metric = run.arguments.task.headline
        self.model, self.tokenizer = self._load(parts[0])
        for part in parts[1:]:  # before anything is scored
            self._weights(part)
        splits = load_splits(run.arguments, advice=_IN_PYTHON) if dataset is None else dataset
        self.trainer = TaggingTrainer.of_run(run, splits, model=self.model, processing_class=self.tokenizer)
        check_same_splits(parts[0].record, run.record, run.arguments.dataset_name)

    def candidates(self) -> list[_Candidate]:
        """Score the runs; return the best one, the greedy average and the uniform one, as far as they differ."""
        scored = [self._scored(BEST_RUN, (part,), self._weights(part)) for part in self.parts]
        scored.sort(key=lambda candidate: -candidate.figure)
        self.parts, self.figures = [one.parts[0] for one in scored], [one.figure for one in scored]
        best = greedy = scored[0]
        mean = self._copy(best)
        for count, part in enumerate(self.parts[1:], 1):
            weights, both = self._weights(part), self._copy(greedy)
            add_to_mean(mean, weights, count)
            add_to_mean(both, weights, len(greedy.parts))
            tried = self._scored(GREEDY, (*greedy.parts, part), both)
            greedy = tried if tried.figure >= greedy.figure else greedy
        if len(greedy.parts) == len(self.parts):
            return [best, replace(greedy, kind=UNIFORM)]
        uniform = self._scored(UNIFORM, tuple(self.parts), mean)
        return [best, *([greedy] if greedy is not best else []), uniform]

    def ranked(self, best: _Candidate) -> tuple[SoupPart, ...]:
        """Return the runs, the best first, and whether they are in the result."""
        return tuple(
            SoupPart(part.name, figure, part in best.parts, (part.record.get("seconds") or {}).get("training"), differs)
            for part, figure, differs in zip(self.parts, self.figures, differing_arguments(self.parts), strict=True)
        )

    def publish(self, best: _Candidate) -> Results:
        """Write the folder of the result, and return all figures."""
        put_weights(self.model, self._copy(best))
        if best.weights is None:
            note_temperature(self.model.config, Temperature.of(self._load(best.parts[0])[0].config))
            self.trainer.outcomes = {"validation": best.outcome}
        else:  # the temperatures of its parts are in the weights that were averaged; it has one of its own
            self.trainer.calibrate()
            self.trainer.outcomes = {}  # whose losses are those before it
        return self.trainer.publish()

    def _scored(self, kind: str, parts: tuple[Part, ...], weights: Weights) -> _Candidate:
        put_weights(self.model, weights)
        outcome = self.trainer.predict_words(self.trainer.splits["validation"], "validation")
        figure = cast(float, dict(outcome.metrics)[self.metric])
        logger.info("%s: validation %s %.4f", " + ".join(part.name for part in parts), self.metric, figure)
        return _Candidate(kind, parts, figure, outcome, weights if len(parts) > 1 else None)

    def _copy(self, candidate: _Candidate) -> Weights:
        if candidate.weights is None:
            return self._weights(candidate.parts[0])
        return {name: weight.clone() for name, weight in candidate.weights.items()}

    def _weights(self, part: Part) -> Weights:
        """Read the weights of a run, on the CPU, once it is sure that they fit those of the first."""
        model, tokenizer = self._load(part)
        check_models((self.first, part), (self.model, model), (self.tokenizer, tokenizer))
        return all_weights(model)

    def _load(self, part: Part) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        trusted = self.run.arguments.model.trust_remote_code
        model, tokenizer = load_tagger(
            str(part.folder), revision=None, trust_remote_code=trusted, dtype=None, device=None
        )
        assert isinstance(model, PreTrainedModel)  # an exported one has no run.json
        return model, tokenizer


def _note(record: RunRecord, soup: Soup, best: RunRecord) -> None:
    """Note the parts, and the arguments of the best run, which the card shows as those of the training."""
    record["soup"] = {
        "kind": soup.kind,
        "metric": soup.metric,
        "validation": soup.validation,
        "parts": [cast(PartRecord, asdict(part)) for part in soup.parts],
    }
    note_origin(record, best, soup=[part.name for part in soup.parts])
