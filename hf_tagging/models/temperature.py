"""Temperature of a tagger: the number that all scores of tags are divided by, folded into the weights of its head.

Guo et al. 2017, On Calibration of Modern Neural Networks. Dividing the logits of a linear head by a temperature is
dividing its weight and bias; a CRF divides the scores of tags and of steps between them. Tags stay the same, and what
loads the model, `pipeline` and an ONNX graph among them, shows the calibrated probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.models.packing import unwrapped

KEY = "calibration"


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, as `config.json` holds it under the key `calibration`.

    Args:
        temperature: Above 1, probabilities were too high before.
        words: Number of words that it was fitted on.
        loss_before: Negative log-likelihood of their tags, in nats per word.
        loss_after: The same, with the temperature.
    """

    temperature: float
    words: int
    loss_before: float
    loss_after: float

    @classmethod
    def of(cls, config: object) -> Temperature | None:
        """Return the temperature that a config says was folded into the weights; None if it says none."""
        found = getattr(config, KEY, None)
        try:
            said = cls(**found) if isinstance(found, dict) else None
            return said if said is not None and 0 < said.temperature < float("inf") else None
        except TypeError:  # written by another version, or by hand
            return None


@dataclass(frozen=True)
class TagHead:
    """The layers of a model that its scores of tags are a linear function of.

    Args:
        linear: The last layer.
        crf: The CRF over it, if there is one.
    """

    linear: nn.Linear
    crf: LinearChainCrf | None

    @classmethod
    def of(cls, model: nn.Module) -> TagHead | None:
        """Return the head of a model, adapters included; None where it is built in another way, as a Markov model's."""
        tagger = unwrapped(model)
        config, encoder = getattr(tagger, "config", None), getattr(tagger, "base_model", None)
        if config is None or encoder is None or encoder is tagger:
            return None
        inside = {id(module) for module in encoder.modules()}
        # PEFT keeps the head that it found beside the one that it trains.
        own = [m for n, m in tagger.named_modules() if id(m) not in inside and "original_module" not in n]
        linear = [m for m in own if isinstance(m, nn.Linear) and m.out_features == config.num_labels]
        crf = [m for m in own if isinstance(m, LinearChainCrf)]
        return cls(linear[0], crf[0] if crf else None) if len(linear) == 1 and len(crf) < 2 else None

    @property
    def weights(self) -> list[nn.Parameter]:
        """Everything that is divided."""
        return [*self.linear.parameters(), *(() if self.crf is None else self.crf.parameters())]

    @torch.no_grad()
    def divide(self, temperature: float) -> None:
        """Divide all scores of tags by a temperature."""
        for weight in self.weights:
            weight.div_(temperature)

    @contextmanager
    def divided(self, temperature: float) -> Iterator[None]:
        """Divide all scores of tags within the block."""
        before = [weight.detach().clone() for weight in self.weights]
        self.divide(temperature)
        try:
            yield
        finally:
            with torch.no_grad():
                for weight, value in zip(self.weights, before, strict=True):
                    weight.copy_(value)
