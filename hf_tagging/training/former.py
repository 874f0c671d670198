"""Steps of recipes of the release before, which warn and work for one release: copies of them can go on training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from transformers import set_seed

from hf_tagging.data.aligned import AlignedSplit
from hf_tagging.data.files import tagged_split
from hf_tagging.data.request import READ_OPTIONS
from hf_tagging.evaluation.figures import Results
from hf_tagging.training.config.data import DataConfig
from hf_tagging.training.config.encoder import EncoderConfig
from hf_tagging.training.config.scratch import ScratchConfig
from hf_tagging.training.config.tagging import TaggingConfig
from hf_tagging.training.scoring import WordPredictions

if TYPE_CHECKING:
    from hf_tagging.training.folder import RunFolder

_LOADED = (
    *("train_file", "validation_file", "test_file"), *READ_OPTIONS,
    *("validation_share", "test_share", "folds", "fold", "num_proc"),
)  # fmt: skip


class FormerConfig:
    """Arguments of the stages of a recipe, as the `RunArguments` of before gave them."""

    data: DataConfig
    model: EncoderConfig | ScratchConfig
    training: TaggingConfig

    def loading(self: Any) -> dict[str, Any]:
        """Return the arguments of `load_tagging_dataset`; deprecated, use `load_dataset`."""
        warn("RunConfig.loading()", "load_dataset()")
        return {
            "name_or_path": self.named_dataset,
            "task": self.task.name,
            "config_name": self.data.dataset_config,
            "revision": self.data.dataset_revision,
            "seed": self.split_seed,
            "word_features": getattr(self.model, "word_features", None),
        } | {name: getattr(self.data, name) for name in _LOADED}

    def source(self) -> dict[str, Any]:
        """Return the arguments of `saved_schema`; deprecated, use `RunConfig.saved_schema`."""
        warn("RunConfig.source()", "saved_schema()")
        return self._source()

    def encoder(self) -> dict[str, Any]:
        """Return the arguments of `load_encoder`; deprecated, use `build_model`. Seeds, as making a run did."""
        warn("RunConfig.encoder()", "build_model(dataset, schema)")
        set_seed(self.training.seed)
        model = self.model
        assert isinstance(model, EncoderConfig)
        return self._source() | {
            "max_length": self.data.max_length,
            "attn_implementation": model.attn_implementation,
            "dropout": model.head_dropout,
            "freeze_layers": model.freeze_layers,
            "lora": model.lora_options,
            "keep_head": not self.training.do_train,
            "head": model.head,
        }

    def baseline(self: Any) -> dict[str, Any]:
        """Return the arguments of `build_baseline`; deprecated, use `build_model`. Seeds, as `encoder` does."""
        warn("RunConfig.baseline()", "build_model(dataset, schema)")
        set_seed(self.training.seed)
        model = self.model
        assert isinstance(model, ScratchConfig)
        return {
            **model.words_read,
            "parts": model.parts,
            "given": self.given,
            "max_length": self.data.max_length,
            "model": model.model,
            "revision": model.model_revision,
            "trust_remote_code": model.trust_remote_code,
            "keep_head": not self.training.do_train,
        }

    def alignment(self) -> dict[str, Any]:
        """Return the arguments of `align_dataset`; deprecated, use `align`."""
        warn("RunConfig.alignment()", "align(dataset, tokenizer, schema, model)")
        data = self.data
        return {"overlap": data.window_overlap, "label_strategy": data.label_strategy, "num_proc": data.num_proc}

    def _source(self) -> dict[str, Any]:
        model = self.model
        names = {"name": model.model, "revision": model.model_revision}
        return names | {"trust_remote_code": model.trust_remote_code}


class FormerTrainer(Protocol):
    """Trainer of a recipe, as the steps below use it."""

    run: Any
    splits: dict[str, AlignedSplit]
    outcomes: dict[str, WordPredictions]

    def train(self) -> object:
        """Train the model."""

    def save_model(self) -> None:
        """Save the model into the folder of the run."""

    def final_evaluation(self, test_dataset: AlignedSplit | None) -> Results:
        """Score validation and test, and return every figure."""


class FormerRun:
    """Steps of a run that a trainer takes now."""

    folder: RunFolder
    trained: FormerTrainer | None = None

    def train(self: Any, trainer: FormerTrainer) -> None:
        """Train and save the model; deprecated, use `trainer.train` and `trainer.save_model`.

        Args:
            trainer: Its run is this one from now on.
        """
        warn("TaggingRun.train(trainer)", "trainer.train() and trainer.save_model()")
        self.trained, trainer.run = trainer, self
        if self.arguments.training.do_train:
            trainer.train()
        trainer.save_model()

    def evaluate(
        self: Any, trainer: FormerTrainer, splits: Mapping[str, AlignedSplit], write_predictions: Callable[..., None]
    ) -> Results:
        """Score validation and test, and keep the predictions; deprecated, use `trainer.final_evaluation`.

        Args:
            trainer: After training.
            splits: Those that exist.
            write_predictions: Of `hf_tagging.evaluation`.
        """
        warn("TaggingRun.evaluate(...)", "trainer.final_evaluation(test)")
        trainer.splits |= splits
        results = trainer.final_evaluation(splits.get("test"))
        for name in results if self.state.is_main_process else ():
            path = Path(self.folder.path) / "predictions" / f"{name}.conll"
            found = trainer.outcomes[name]
            write_predictions(path, splits[tagged_split(name)].words["tokens"], found.gold, found.predicted)
        return results

    def save(self: Any, results: Results, card: str) -> None:
        """Write results and card, and close the record; deprecated, use `publish_run(trainer)`.

        Args:
            results: Per split, every figure.
            card: Text of `README.md`.
        """
        warn("TaggingRun.save(results, card)", "publish_run(trainer)")
        self.finish(results, card)


def warn(old: str, new: str) -> None:
    """Warn that the caller of the caller uses a name of the release before.

    Args:
        old: As it is called.
        new: In its place.
    """
    warnings.warn(f"{old} is deprecated and goes with the next release; use {new}.", FutureWarning, stacklevel=3)
