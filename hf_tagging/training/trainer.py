"""Trainer for tagging: losses per scored word, figures over whole sentences."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import broadcast_object_list
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_utils import PredictionOutput, TrainOutput

from hf_tagging.data.aligned import IGNORED, AlignedSplit, without_marked_labels
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.casing import marker_ids
from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.schema import TagSchema
from hf_tagging.evaluation.fast_tagging import keep_margin
from hf_tagging.evaluation.figures import Results
from hf_tagging.evaluation.temperature import fit_temperature, note_temperature
from hf_tagging.memory import EVALUATING, enough_memory
from hf_tagging.models.compact_embedding import CompactEmbedding
from hf_tagging.models.packing import unwrapped
from hf_tagging.models.precision import exact
from hf_tagging.models.temperature import TagHead, Temperature
from hf_tagging.training.averaging import trained_weights
from hf_tagging.training.compact_vocabulary import cannot_compact, compact_embedding, find_obstacle
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.counting import counts, fit_counted
from hf_tagging.training.losses import class_weights, refuse_changes_of_loss, word_loss
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.scoring import ComputeMetrics, Score, WordPredictions, WordScorer
from hf_tagging.training.streaming import StreamTrainer
from hf_tagging.training.word_trainer import Optimizers

logger = logging.getLogger(__name__)


class AlignedTrainer(StreamTrainer):
    """A trainer of taggers on aligned splits. `hf_tagging.TaggingTrainer` is one that takes words and tags, too.

    Where it differs from `WordTrainer`:

    - The loss is the sum over scored words divided by their number in the whole step, over accumulated batches and
      processes; the stock models divide by the batch's own, which doubles the loss of 2 x 4 against 8. A model that
      says ``computes_loss`` (a CRF's is no sum over words) gets labels and that number, and its own loss is taken.
    - In evaluation logits become tags before they are gathered, so memory does not grow with the number of tags, and
      `eval_loss` is the mean over all that has a label: words, or subwords with ``label_strategy="all"`` (plain
      cross-entropy, without class weights and label smoothing). A model with a loss of its own runs without labels
      here, as in `pipeline`: `eval_loss` of a CRF is the cross-entropy of its posterior marginals.
    - Metrics see whole sentences of words, put together from windows, in the order of the split.
    - A model that is counted (`hmm`) is fitted once, see `hf_tagging.training.counting`.

    Args:
        model: From `load_encoder`, or any `*ForTokenClassification`, adapters included.
        args: The Trainer's arguments and ours.
        schema: The tags.
        processing_class: The tokenizer, saved beside the model.
        train_dataset: Windows of the training split, or None.
        eval_dataset: Windows that are evaluated while it trains, or None.
        run: The run, which keeps its folder and its record.
        compute_metrics: As of `Trainer`: further figures, from logits and labels of windows.
        score: Figures from (split, predicted, gold), in the place of the task's.
        callbacks: As of `Trainer`.
        optimizers: As of `Trainer`.

    Raises:
        ConfigError: If the arguments change a loss that is the model's own, ask for an average of the weights under
            FSDP or DeepSpeed, or for a compact vocabulary of a model that has none.
        ModelError: If windows are to be packed, and the model cannot keep them apart; or it is to be trained in mixed
            precision, and computes in float32 alone.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TaggingConfig,
        schema: TagSchema,
        processing_class: PreTrainedTokenizerBase,
        train_dataset: AlignedSplit | None,
        eval_dataset: AlignedSplit | None,
        run: TaggingRun,
        compute_metrics: ComputeMetrics | None = None,
        score: Score | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        optimizers: Optimizers = (None, None),
    ):
        chains = getattr(unwrapped(model), "computes_loss", False)
        self.markers = marker_ids(processing_class) if chains else np.zeros(0, np.int64)
        if train_dataset is not None:
            train_dataset = without_marked_labels(train_dataset, self.markers)
        if eval_dataset is not None:
            eval_dataset = without_marked_labels(eval_dataset, self.markers)
        if chains:
            refuse_changes_of_loss(args, train_dataset)
        if train_dataset is not None and args.do_train:
            run.note_words(train_dataset.words, getattr(unwrapped(model), "config", None))
        self.schema = schema
        whole = None if run.stream else train_dataset
        self.splits = {n: s for n, s in {"train": whole, "validation": eval_dataset}.items() if s is not None}
        self.validation = eval_dataset and eval_dataset.longest_first()
        self.outcomes: dict[str, WordPredictions] = {}
        self.scorer = WordScorer(
            schema,
            task=run.task,
            train=self.splits.get("train"),
            score_by=score,
            compute_metrics=compute_metrics,
            by_batch=args.batch_eval_metrics,
        )
        weight = class_weights(train_dataset, schema, args.class_weights)
        super().__init__(
            model=model,
            args=args,
            processing_class=processing_class,
            data_collator=WindowCollator(processing_class.pad_token_id or 0),
            train_dataset=train_dataset and train_dataset.features,
            eval_dataset=self.validation and self.validation.features,
            loss=partial(word_loss, weight=weight, label_smoothing=args.label_smoothing_factor),
            compute_metrics=self.scorer,
            callbacks=callbacks,
            optimizers=optimizers,
            run=run,
        )
        self.prepare_stream()
        self._compact: CompactEmbedding | None = None
        if args.compact_vocabulary == "on" and (obstacle := self._obstacle_to_compact()):
            raise cannot_compact(obstacle)

    def choose_budget(self, earlier: int | None = None) -> int | None:
        """Return the subwords of a step; see `WordTrainer.choose_budget`. A model that is counted has no steps: None.

        Args:
            earlier: The number that ``auto`` came to in the run that is resumed.
        """
        return None if counts(self.model) else super().choose_budget(earlier)

    def fit(
        self, checkpoint: str | None, trial: object = None, ignore_keys_for_eval: list[str] | None = None
    ) -> TrainOutput:
        """Train by gradients, of used rows of the embedding matrix alone where that pays, or count.

        See `WordTrainer.fit`.
        """
        self.outcomes = {}  # of other weights
        if counts(self.model):
            return fit_counted(self)
        with self._compacted():
            return super().fit(checkpoint, trial, ignore_keys_for_eval)

    def _obstacle_to_compact(self) -> str | None:
        assert self.model is not None
        if self.run.stream is not None:
            return "the training split is a stream, whose subwords are not known before"
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        return find_obstacle(self.model, self.args, sharded=sharded, optimizer=self.optimizer)

    @contextmanager
    def _compacted(self) -> Iterator[None]:
        """Cut the embedding matrix to the used rows within the block, where that is asked for or pays."""
        assert self.model is not None
        if self._compact is None:  # later trainings go on with the optimizer of the first
            self._compact = compact_embedding(
                self.model,
                [split.features for split in self.splits.values()],
                cast(PreTrainedTokenizerBase, self.processing_class),
                self.args,
                obstacle=self._obstacle_to_compact(),
            )
        if self._compact is None:
            yield
            return
        with self._compact.inside(self.model):
            rows, trained = self._compact.whole.num_embeddings, self._compact.num_embeddings
            self.run.record["vocabulary"] = {"rows": rows, "trained": trained}
            self.run.record["parameters"]["trained"] = sum(w.numel() for w in trained_weights(self.model).values())
            yield

    def aligned(self, data: object, name: str) -> AlignedSplit:
        """Return data as an aligned split.

        Args:
            data: An `AlignedSplit`.
            name: What the split is called.

        Raises:
            TypeError: If it is something else: without the split nobody knows whose subwords are whose.
        """
        if not isinstance(data, AlignedSplit):
            raise TypeError(f"{name}: expected an AlignedSplit, as align_dataset gives it, not {type(data).__name__}")
        return data

    def _labelled(self, data: object, name: str) -> AlignedSplit:
        """Return data as an aligned split with labels as the model learns them; see `aligned`."""
        if any(data is split for split in self.splits.values()):
            return cast(AlignedSplit, data)
        return without_marked_labels(self.aligned(data, name), self.markers)

    def evaluate(
        self, eval_dataset: object = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Score words of whole sentences (default: of validation); see `Trainer.evaluate`. Returns single figures.

        All figures, and the tags, are in `outcomes` under the prefix; what is called "validation" or "test" is part of
        the run's results.
        """
        if eval_dataset is None or eval_dataset is self.eval_dataset:  # the Trainer's own call while it trains
            split = self.validation
            if split is None:
                raise ValueError("evaluate: there is no eval_dataset; give the data to be scored")
        else:
            split = self._labelled(eval_dataset, metric_key_prefix)
        began = time.monotonic()
        figures = super().evaluate(self.scorer.begin(split).features, ignore_keys, metric_key_prefix)
        if metric_key_prefix != "eval":  # Transformers' table in Jupyter takes the runtime out of the figures
            self._keep(metric_key_prefix, split, figures.get(f"{metric_key_prefix}_runtime", time.monotonic() - began))
        return figures

    def predict(
        self, test_dataset: object, ignore_keys: list[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """Tag and score a split; see `Trainer.predict`. Predictions are of windows, the longest first.

        `predict_words` gives tags of words, in the order of the split.
        """
        windows = self.scorer.begin(self._labelled(test_dataset, metric_key_prefix)).features
        return super().predict(windows, ignore_keys, metric_key_prefix)

    def predict_words(self, split: object, name: str | None = None) -> WordPredictions:
        """Tag a split and score it.

        Args:
            split: The split.
            name: Its name; "validation" and "test" are part of the run's results. By default, the name that it has in
                `splits`; of a split that is not there, "test".
        """
        name = name or next((known for known, own in self.splits.items() if own is split), "test")
        aligned = self._labelled(split, name)
        windows = self.scorer.begin(aligned).features
        self.args.prediction_loss_only = False  # that flag is for the evaluations while training
        figures = super().predict(windows, metric_key_prefix=name).metrics or {}
        return self._keep(name, aligned, figures[f"{name}_runtime"])

    def _keep(self, name: str, split: AlignedSplit, seconds: float) -> WordPredictions:
        words = int(split.sentence_starts[-1])
        outcome, speed = self.scorer.outcome, round(words / seconds, 1) if seconds else None
        self.splits[name] = split
        self.outcomes[name] = replace(
            outcome, metrics={**outcome.metrics, "runtime": seconds, "words_per_second": speed}
        )
        return self.outcomes[name]

    def final_evaluation(self, test_dataset: object = None) -> Results:
        """Tag and score validation and test, as `do_eval` and `do_predict` ask, and return every figure.

        A split that was evaluated since the training, under its name, is not evaluated again. With `also_test`, the
        tags that the model gives to the test split are scored against those other tags as well.

        Args:
            test_dataset: The test split, if there is one.
        """
        training = self.run.arguments.training
        if test_dataset is not None and training.do_predict:
            self.splits["test"] = self._labelled(test_dataset, "test")
        results: Results = {}
        for name, wanted in {"validation": training.do_eval, "test": training.do_predict}.items():
            if wanted and name in self.splits and name not in self.outcomes:
                with self.run.noted_if_it_ends(), enough_memory(f"tagging {name}", advice=EVALUATING):
                    self.predict_words(self.splits[name], name)
            if name in self.outcomes:
                results[name] = self.outcomes[name].metrics
        if (other := self.run.other_tags) is not None and "test" in results:
            test = self.splits["test"]
            other.check_words(test.words)  # in Python, another split may have been scored as test
            gold = other.written_in(self.schema.scheme)
            self.outcomes[ALSO_TEST] = self.scorer.against(gold, test, self.outcomes["test"].predicted)
            results[ALSO_TEST] = self.outcomes[ALSO_TEST].metrics
        return results

    def calibrate(self) -> None:
        """Fit a temperature on the validation split and fold it into the tag head; the same on every process."""
        model = self.accelerator.unwrap_model(self.model)
        told: list[Temperature | None] = [None]
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        head = TagHead.of(model)
        if self.args.calibrate and self.validation is not None and head is not None and not sharded:
            if self.run.state.is_main_process:
                padding = getattr(self.processing_class, "pad_token_id", None) or 0
                with enough_memory("tagging validation", advice=EVALUATING):
                    told = [fit_temperature(model, self.validation, pad_token_id=padding)]
            broadcast_object_list(told)
        (found,) = told
        note_temperature(getattr(unwrapped(model), "config", None), found)
        if found is not None and head is not None:
            head.divide(found.temperature)
            self.run.record["calibration"] = asdict(found)
            logger.info(
                "Calibration: scores of tags divided by %.3f; negative log-likelihood of %s validation words %.4f -> "
                "%.4f",
                found.temperature,
                f"{found.words:,}",
                found.loss_before,
                found.loss_after,
            )

    def keep_margin(self, folder: Path, model: PreTrainedModel | None) -> None:
        """Measure the margin for fast tagging on the validation split, and write it into a saved model's config."""
        sharded = self.is_fsdp_enabled or self.is_deepspeed_enabled
        padding = getattr(self.processing_class, "pad_token_id", None) or 0
        keep_margin(folder, model, None if sharded else self.validation, pad_token_id=padding)

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, torch.Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[Any, Any, Any]:
        """Run a batch; return label ids (batch, subwords) and summed losses (batch,) in the place of logits.

        Logits (batch, subwords, tags) come with them only where the caller has a `compute_metrics` of their own.
        """
        outcome: Any
        if self.computes_loss:
            labels = inputs["labels"].to(self.args.device)
            unlabelled = {name: value for name, value in inputs.items() if name != "labels"}
            with exact(model):
                outcome = super().prediction_step(model, unlabelled, False, ignore_keys)
            logits = outcome[1]
        else:
            with exact(model):
                outcome = super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
            _, logits, labels = outcome
            if prediction_loss_only or logits is None:
                return outcome
        logits = logits[0] if isinstance(logits, tuple) else logits  # (batch, subwords, tags)
        losses = F.cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
        if prediction_loss_only:
            return losses.sum() / (labels != IGNORED).sum().clamp(min=1), None, None
        # No loss of its own: the Trainer would average it over windows. `WordScorer` gives the mean over words.
        found = [logits.argmax(-1).to(torch.int32), losses.sum(-1)]
        if self.scorer.compute_metrics is not None:
            found.append(logits)
        return None, tuple(found), labels.to(torch.int32)
