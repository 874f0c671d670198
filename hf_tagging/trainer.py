"""TaggingTrainer: the stages joined in one object, from words and tags to a tagger on the Hub."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from torch import nn
from transformers import PreTrainedTokenizerBase, TrainerCallback
from transformers.trainer_utils import TrainOutput

from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.in_memory import InMemory
from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError
from hf_tagging.evaluation.figures import Results
from hf_tagging.inference.tagger import Tagger
from hf_tagging.inference.teaching import ask_teacher
from hf_tagging.memory import EVALUATING, enough_memory
from hf_tagging.publishing.hub.push import Pushed, push_folder
from hf_tagging.publishing.publish import finish_run, publish_run
from hf_tagging.tasks import Task
from hf_tagging.training.config import DataConfig, EncoderConfig, ScratchConfig, TaggingConfig
from hf_tagging.training.preparing import (
    Data,
    Prepared,
    align_further,
    check_kinds,
    find_task,
    prepare,
    prepare_aligned,
)
from hf_tagging.training.pushing import is_private, repository_name
from hf_tagging.training.run import TaggingRun
from hf_tagging.training.scoring import ComputeMetrics, Score
from hf_tagging.training.trainer import AlignedTrainer
from hf_tagging.training.word_trainer import Optimizers

if TYPE_CHECKING:
    from peft import PeftConfig

_OLD = {
    "splits": "train_dataset and eval_dataset",
    "tokenizer": "processing_class",
    "score": "compute_metrics",
    "schema": "a model whose config holds the tags",
}


class TaggingTrainer(AlignedTrainer):
    """Fine-tune an encoder, or train a tagger from scratch, as `transformers.Trainer` trains.

    ```python
    dataset = load_tagging_dataset("sample", task="ner")
    trainer = TaggingTrainer(
        model="minilm",
        args=TaggingConfig(output_dir="runs/ner", num_train_epochs=3),
        train_dataset=dataset["train"],
        eval_dataset=dataset["validation"],
    )
    trainer.train()
    print(trainer.evaluate(dataset["test"], metric_key_prefix="test"))
    ```

    Losses and figures are those of `AlignedTrainer`: per scored word, over whole sentences. The folder, its record and
    its checkpoints are those of a recipe. Making a trainer changes nothing: the folder is locked and written to, and
    generators are seeded, when it trains.

    Args:
        model: Name or folder of an encoder or tagger (`minilm` is packaged), a `ScratchConfig` or `EncoderConfig`, or a
            model, which is taken as it is.
        args: Arguments of training; None: the defaults. What is not given follows from task and model.
        train_dataset: Words and tags as `load_tagging_dataset` returns them, a `Dataset` or DataFrame with a sentence
            per row, or an `AlignedSplit`.
        eval_dataset: Likewise, evaluated while it trains; the best checkpoint is kept by it.
        test_dataset: Likewise, scored by `final_evaluation` and `publish`. It is aligned at once, so that mistakes are
            found before training.
        processing_class: Tokenizer of a model that is given as an object.
        compute_metrics: As of `Trainer`: figures from logits and labels of windows, beside those of the task.
        callbacks: As of `Trainer`.
        optimizers: As of `Trainer`.
        peft_config: Adapters to be trained in the place of the model's weights; they are merged when it is saved.
        task: "pos", "ner" or another `Task`; None: as the data knows it.
        data: How words become windows, and which scheme the model writes; None: as by default.
        run: Of a recipe: the run that was started, whose arguments count.
        schema: Deprecated, as are `tokenizer`, `splits` and `score`.
        tokenizer: Deprecated: `processing_class`.
        splits: Deprecated: `train_dataset` and `eval_dataset`.
        score: Deprecated: `compute_metrics`.

    Raises:
        ConfigError: If the arguments do not go together.
        DataError: If the data is none of words and tags.
        ModelError: If the model cannot be found, loaded or trained.
    """

    def __init__(
        self,
        model: str | nn.Module | EncoderConfig | ScratchConfig,
        args: TaggingConfig | None = None,
        *,
        train_dataset: Data | None = None,
        eval_dataset: Data | None = None,
        test_dataset: Data | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        compute_metrics: ComputeMetrics | None = None,
        callbacks: Sequence[TrainerCallback] | None = None,
        optimizers: Optimizers = (None, None),
        peft_config: PeftConfig | None = None,
        task: str | Task | None = None,
        data: DataConfig | None = None,
        run: TaggingRun | None = None,
        schema: TagSchema | None = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        splits: Mapping[str, AlignedSplit] | None = None,
        score: Score | None = None,
    ):
        old = {"splits": splits, "tokenizer": tokenizer, "score": score, "schema": schema}
        for name, value in old.items():
            if value is not None:
                warnings.warn(f"TaggingTrainer: {name} is deprecated; give {_OLD[name]}.", FutureWarning, stacklevel=2)
        check_kinds(model=model, args=args, data=data, callbacks=callbacks)
        if splits is not None:
            train_dataset, eval_dataset = splits.get("train"), splits.get("validation")
        given = {"train": train_dataset, "validation": eval_dataset, "test": test_dataset}
        self.prepared = _prepared(
            model,
            args or TaggingConfig(),
            {name: split for name, split in given.items() if split is not None},
            processing_class=processing_class or tokenizer,
            peft_config=peft_config,
            task=task,
            data=data,
            run=run,
            schema=schema,
            own_figures=bool(score or compute_metrics),
        )
        found = self.prepared
        super().__init__(
            model=found.model,
            args=found.run.arguments.training,
            schema=found.schema,
            processing_class=found.tokenizer,
            train_dataset=found.splits.get("train"),
            eval_dataset=found.splits.get("validation"),
            run=found.run,
            compute_metrics=compute_metrics,
            score=score,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self._further: dict[int, tuple[object, AlignedSplit]] = {
            id(given[name]): (given[name], split) for name, split in found.splits.items() if name != "train"
        }
        if "test" in found.splits:
            self.splits["test"] = found.splits["test"]

    def train(
        self,
        resume_from_checkpoint: str | bool | None = None,
        trial: object = None,
        ignore_keys_for_eval: list[str] | None = None,
    ) -> TrainOutput:
        """Train, see `Trainer.train`; with a `teacher` among the arguments, it tags the training words first.

        Args:
            resume_from_checkpoint: Folder of a checkpoint, or True: the last complete one.
            trial: See `Trainer.train`.
            ignore_keys_for_eval: See `Trainer.train`.
        """
        config = self.run.arguments
        if config.training.teacher and self.soft_tags is None and "train" in self.splits:
            teacher = Tagger.from_pretrained(
                config.training.teacher,
                trust_remote_code=config.model.trust_remote_code,
                device=self.args.device,
                rules=False,
            )
            with enough_memory("tagging by the teacher", advice=EVALUATING):
                self.learn_from(ask_teacher(teacher, self.splits["train"], self.schema, config.training))
        return super().train(resume_from_checkpoint, trial, ignore_keys_for_eval)

    @classmethod
    def of_run(
        cls,
        run: TaggingRun,
        splits: Mapping[str, Data],
        *,
        model: nn.Module | None = None,
        processing_class: PreTrainedTokenizerBase | None = None,
    ) -> TaggingTrainer:
        """Return the trainer of a run, as recipes make it: the arguments of the run are those of the trainer.

        Args:
            run: From `start_run`.
            splits: `train`, `validation` and `test`, as far as they exist: words and tags, or aligned splits.
            model: Model of aligned splits; None: the one that the run names is loaded or built.
            processing_class: Its tokenizer.
        """
        config = run.arguments
        return cls(
            config.model if model is None else model,
            config.training,
            train_dataset=splits.get("train"),
            eval_dataset=splits.get("validation"),
            test_dataset=splits.get("test"),
            processing_class=processing_class,
            run=run,
        )

    def aligned(self, data: object, name: str) -> AlignedSplit:
        """Return data as an aligned split; what was aligned before is not aligned again.

        Args:
            data: As for `train_dataset`.
            name: What the split is called.

        Raises:
            DataError: If the data is none of words and tags, or has tags that the model does not know.
        """
        if isinstance(data, AlignedSplit):
            return data
        if id(data) not in self._further:
            self._further[id(data)] = (data, align_further(self.prepared, cast(InMemory, data), name))
        return self._further[id(data)][1]

    def tagger(self, **options: Any) -> Tagger:
        """Return a `Tagger` of the model as it is now; without adapters, it shares the weights.

        Args:
            options: Of `Tagger`, such as ``device``.
        """
        model = self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)
        if hasattr(model, "merge_and_unload"):
            model = copy.deepcopy(model).merge_and_unload()
        assert isinstance(self.processing_class, PreTrainedTokenizerBase)
        return Tagger(model, self.processing_class, **options)

    def publish(self, test_dataset: Data | None = None) -> Results:
        """Leave in the folder what a recipe leaves: model, results, predictions, card, report and `run.json`.

        Args:
            test_dataset: Test split, if there is one and it has not been evaluated.

        Returns:
            Every figure, by split.
        """
        return publish_run(self, test_dataset)

    def push_to_hub(  # type: ignore[override]  # the Trainer pushes whatever lies in its folder
        self,
        name: str | None = None,
        *,
        private: bool | None = None,
        revision: str | None = None,
        token: str | None = None,
    ) -> Pushed | None:
        """Put the finished run on the Hub in one commit, see `push_folder`; it is finished first, if it is not yet.

        The main process pushes; on the others, None is returned.

        Args:
            name: OWNER/NAME; None: `hub_model_id`, or the name of the folder.
            private: Whether a new repository is a private one; None: `hub_private_repo`, or private.
            revision: Branch to commit to; None: `hub_revision`, or main.
            token: For the Hub; None: that of `hf auth login` or HF_TOKEN.

        Raises:
            OutputError: If a secret or a path of this machine is in a file, or the Hub refuses.
        """
        if self.run.record["status"] != "finished":
            finish_run(self)
        training = self.run.arguments.training
        if not self.run.state.is_main_process:
            return None
        return push_folder(
            self.run.folder.path,
            name or repository_name(training),
            private=is_private(training) if private is None else private,
            revision=revision or training.hub_revision,
            token=token or training.hub_token,
        )


def _prepared(
    model: str | nn.Module | EncoderConfig | ScratchConfig,
    args: TaggingConfig,
    splits: dict[str, Data],
    *,
    processing_class: PreTrainedTokenizerBase | None,
    peft_config: PeftConfig | None,
    task: str | Task | None,
    data: DataConfig | None,
    run: TaggingRun | None,
    schema: TagSchema | None,
    own_figures: bool,
) -> Prepared:
    """Return model and splits, loaded and aligned unless they are already.

    Raises:
        ConfigError: If some are and others are not.
    """
    aligned = [isinstance(split, AlignedSplit) for split in splits.values()]
    if not aligned and run is None and not isinstance(model, nn.Module):
        raise ConfigError(
            "train_dataset: there is no data, whose tags the model is made for; give it, or eval_dataset."
        )
    if not any(aligned) and (aligned or not isinstance(model, nn.Module)):
        return prepare(
            model,
            args,
            splits,
            task=run.task if run is not None and run.task is not None else find_task(task, splits),
            data=data,
            processing_class=processing_class,
            peft_config=peft_config,
            run=run,
            own_figures=own_figures,
        )
    return prepare_aligned(
        model,
        args,
        splits,
        task=task,
        data=data,
        processing_class=processing_class,
        peft_config=peft_config,
        run=run,
        schema=schema,
        own_figures=own_figures,
    )
