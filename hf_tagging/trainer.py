"""TaggingTrainer: the stages joined in one object, from words and tags to a tagger on the Hub."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase, TrainerCallback

from hf_tagging.data.alignment import AlignedSplit
from hf_tagging.data.schema import PLAIN, TagSchema
from hf_tagging.inference.tagger import Tagger
from hf_tagging.publishing.publish import publish_run
from hf_tagging.tasks import Task, get_task, task_of_tags
from hf_tagging.training.config import EncoderConfig, RunConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.config.given import given_by
from hf_tagging.training.config.models import facts_of
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.scoring import ComputeMetrics, Score
from hf_tagging.training.trainer import AlignedTrainer

_OLD = {
    "splits": "train_dataset and eval_dataset",
    "tokenizer": "processing_class",
    "score": "compute_metrics",
    "schema": "a model whose config holds the tags",
}


def _run_of(model: nn.Module, task: Task, args: TaggingConfig, *, own_figures: bool) -> RunConfig:
    """Return the config of a run of a loaded model, with the defaults that follow from it."""
    if own_figures and "metric_for_best_model" not in given_by(args).names:
        args = dataclasses.replace(args, metric_for_best_model="loss")  # the one figure that is known to be there
    facts = facts_of(model)
    encoder = EncoderConfig(lora=facts.lora, head="crf" if facts.new_crf else None)
    return RunConfig(task, model=ScratchConfig() if facts.scratch else encoder, training=args)


class TaggingTrainer(AlignedTrainer):
    """Fine-tune a tagger."""

    def __init__(
        self,
        model: nn.Module,
        args: TaggingConfig | None = None,
        *,
        train_dataset: AlignedSplit | None = None,
        eval_dataset: AlignedSplit | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        task: str | Task | None = None,
        run: TaggingRun | None = None,
        schema: TagSchema | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        splits: dict[str, AlignedSplit] | None = None,
        score: Score | None = None,
    ):
        old = {"splits": splits, "tokenizer": tokenizer, "score": score, "schema": schema}
        for name, value in old.items():
            if value is not None:
                warnings.warn(f"TaggingTrainer: {name} is deprecated; give {_OLD[name]}.", FutureWarning, stacklevel=2)
        if splits is not None:
            train_dataset, eval_dataset = splits.get("train"), splits.get("validation")
        processing_class = processing_class or tokenizer
        assert processing_class is not None
        args = args or TaggingConfig()
        schema = schema or TagSchema.from_config(model.config)
        if run is None:
            found = get_task(task) if task else task_of_tags(has_entities=schema.scheme != PLAIN)
            run = TaggingRun(_run_of(model, found, args, own_figures=bool(compute_metrics or score)))
            args = run.arguments.training
        super().__init__(
            model=model,
            args=args,
            schema=schema,
            processing_class=processing_class,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            run=run,
            compute_metrics=compute_metrics,
            score=score,
            callbacks=callbacks,
            optimizers=optimizers,
        )

    def tagger(self, **options: Any) -> Tagger:
        """Return a `Tagger` of the model as it is now; without adapters, it shares the weights.

        Args:
            options: Of `Tagger`, such as ``device``.
        """
        model: Any = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if hasattr(model, "merge_and_unload"):
            model = copy.deepcopy(model).merge_and_unload()
        assert isinstance(self.processing_class, PreTrainedTokenizerBase)
        return Tagger(model, self.processing_class, **options)

    def publish(self, test_dataset: Any = None) -> Any:
        """Finish the run, see `publish_run`."""
        return publish_run(self, test_dataset)
