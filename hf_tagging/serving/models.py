"""Models that are served: their names, and a tagger for each way to multiply matrices."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

from hf_tagging.errors import ConfigError
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import Precision
from hf_tagging.inference.tagger import Tagger
from hf_tagging.problems import argument


class ServedModel:
    """A tagger under a name, and the thread that calls it.

    A model is never called in another thread, not even for the first time. OpenMP keeps a team of threads for each
    thread that computes. As soon as all teams together have more threads than there are cores, idle ones no longer wait
    actively, and a short sentence takes up to 1.8 times as long.

    Args:
        name: As requests give it.
        tagger: The tagger.

    Raises:
        ConfigError: The splitter of its training is not installed.
    """

    def __init__(self, name: str, tagger: Tagger):
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"tagger-{name}")
        self.name, self.schema, self.cutter = name, tagger.schema, tagger.cutter()
        self.tokens_per_batch = tagger.tokens_per_batch
        self.exported = isinstance(tagger.model, OnnxModel)
        self._taggers: dict[Precision | None, Tagger] = {None: tagger}
        self._refusals: dict[Precision, str] = {}
        for precision in get_args(Precision):
            try:
                other = Tagger(
                    tagger.model,
                    tagger.tokenizer,
                    device=tagger.device,
                    tokens_per_batch=tagger.tokens_per_batch,
                    precision=precision,
                )
            except ConfigError as error:
                self._refusals[precision] = str(error)
            else:
                other.rules = tagger.rules
                self._taggers[precision] = other

    @property
    def precisions(self) -> list[Precision]:
        """Ways to multiply matrices that requests may ask for."""
        return [precision for precision in get_args(Precision) if precision in self._taggers]

    def refusal(self, precision: Precision | None) -> str:
        """Return why the model cannot run in a precision; empty if it can."""
        return "" if precision is None else self._refusals.get(precision, "")

    def tagger(self, precision: Precision | None, min_confidence: float) -> Tagger:
        """Return the tagger for requests of one kind; all of them share the weights.

        Args:
            precision: One of `precisions`, or None for that of the tagger that was given.
            min_confidence: See `Tagger`.
        """
        tagger = copy.copy(self._taggers[precision])
        tagger.min_confidence = min_confidence
        return tagger


def named_models(models: Sequence[str]) -> dict[str, str]:
    """Return folders and names on the Hub by the names that requests give.

    Args:
        models: ``NAME=MODEL``, or a model alone, whose name is the last part of its path.

    Raises:
        ConfigError: There are none, or two have one name.
    """
    found: dict[str, str] = {}
    for given in models:
        name, model = _named(given)
        if name in found:
            raise ConfigError(
                f"{argument('models')}: {found[name]} and {model} have the name {name!r}. Give another: NAME={model}"
            )
        found[name] = model
    if not found:
        raise ConfigError(
            f"{argument('models')}: none was given. Give the output folder of a run, or a name on the Hub."
        )
    return found


def _named(given: str) -> tuple[str, str]:
    name, equals, model = given.partition("=")
    if equals and name and model and not Path(given).exists():
        return name, model
    return Path(given).resolve().name if Path(given).exists() else given.rstrip("/").rpartition("/")[2], given


def load_models(
    models: Iterable[tuple[str, str]],
    *,
    device: str | None = None,
    precision: Precision | None = None,
    trust_remote_code: bool = False,
    revision: str | None = None,
    rules: str | Path | Literal[False] | None = None,
) -> list[ServedModel]:
    """Load models.

    Args:
        models: Names, and folders or names on the Hub, from `named_models`.
        device: Device to run on. Default: the accelerator if there is one; the CPU for an exported model.
        precision: Of requests that ask for none, see `Tagger`.
        trust_remote_code: Run code that comes with a model.
        revision: Branch, tag or commit of a model on the Hub.
        rules: File of rules beside each model; False: without rules. Default: `rules.jsonl` of a model, if it has one.

    Raises:
        ModelError: A model does not exist, or is not a tagger.
        ConfigError: It cannot run on this device or in this precision.
    """
    served = []
    for name, model in models:
        tagger = Tagger.from_pretrained(
            model,
            device=device,
            precision=precision,
            trust_remote_code=trust_remote_code,
            revision=revision,
            rules=rules,
        )
        one = ServedModel(name, tagger)
        one.thread.submit(tagger.tag_text, "The first call is slow.").result()
        served.append(one)
    return served
