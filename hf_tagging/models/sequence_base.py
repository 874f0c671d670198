"""Base of all sequence encoders: interface, learned mix of layers, dropout, initialization.

This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init


class SequenceEncoder(nn.Module):
    """Base class of encoders from word vectors to contextual word vectors. Rows are padded on the right.

    Padding never reaches a word: the output for a word does not depend on padding or on other rows of the batch, and is
    zero at padding. A row may be empty. Subclasses implement `layers` and list the settings that they read in `uses`.

    Args:
        config: The sizes; see `BaselineConfig`.
        input_size: Dimensions of the word vectors.
        num_layers: Number of outputs of `layers`; None: from the config.

    Raises:
        ValueError: If a size of the config is invalid.
    """

    output_size: int
    uses: ClassVar[tuple[str, ...]] = ("num_layers",)
    """Settings of the config that the encoder reads, besides `hidden_size` and `dropout`; others are refused."""

    def __init__(self, config: PreTrainedConfig, input_size: int, num_layers: int | None = None):
        super().__init__()
        self.num_layers = config.num_layers if num_layers is None else num_layers
        check_at_least(1, "num_layers", self.num_layers)
        check_at_least(1, "hidden_size", config.hidden_size)
        self.input_size = input_size
        self.output_size = config.hidden_size
        self.dropout: nn.Module = nn.Dropout(config.dropout)
        self.mix = LayerMix(self.num_layers) if config.layer_mix else None

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Return contextual vectors: the last layer's, or with `layer_mix` the mix of all.

        Args:
            vectors: Anything at padding. (batch, words, input_size)
            mask: True where a word is, all to the left of False. (batch, words) bool

        Returns:
            (batch, words, output_size)
        """
        outputs = self.layers(vectors, mask)
        return self.dropout(outputs[-1] if self.mix is None else self.mix(outputs))

    def layers(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the output of every layer, the lowest first, zero at padding.

        Args:
            vectors: Anything at padding. (batch, words, input_size)
            mask: True where a word is, all to the left of False. (batch, words) bool

        Returns:
            `num_layers` times (batch, words, output_size).
        """
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Initialize every parameter that `from_pretrained` has not loaded. A model's `_init_weights` calls this."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    init.zeros_(module.bias)
            elif isinstance(module, nn.LayerNorm):
                init.ones_(module.weight)
                init.zeros_(module.bias)
            elif isinstance(module, (nn.RNNBase, LayerMix)):
                module.reset_parameters()


class LayerMix(nn.Module):
    """Learned, softmax-weighted sum of layers, times a learned factor (Peters et al. 2018, equation 1).

    Args:
        num_layers: How many; they have one size.
    """

    def __init__(self, num_layers: int):
        super().__init__()
        self.weights = nn.Parameter(torch.empty(num_layers))
        self.gamma = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start from the mean of the layers."""
        init.zeros_(self.weights)
        init.ones_(self.gamma)

    def forward(self, outputs: list[Tensor]) -> Tensor:
        """Mix as many tensors of one shape as there are layers into one."""
        stacked = torch.stack(outputs, dim=-1)  # (batch, words, size, layers)
        return self.gamma * (stacked @ self.weights.softmax(0))


class SentenceDropout(nn.Module):
    """Dropout of the same dimensions at all words of a sentence (Gal and Ghahramani 2016).

    A recurrent network would average noise that is new at each word.

    Args:
        probability: Share of the dimensions that are hidden while the model learns.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.drop = nn.Dropout(probability)

    def forward(self, vectors: Tensor) -> Tensor:
        """Drop dimensions of (batch, words, size)."""
        if not self.training or self.drop.p == 0:
            return vectors
        return vectors * self.drop(vectors.new_ones(len(vectors), 1, vectors.shape[-1]))


def without_padding(vectors: Tensor, mask: Tensor) -> Tensor:
    """Return vectors (batch, words, size) that are zero outside the mask (batch, words)."""
    return vectors.masked_fill(~mask[..., None], 0)


def check_at_least(least: int, name: str, value: int) -> None:
    """Raise a ValueError that names the setting if its value is smaller."""
    if value < least:
        raise ValueError(f"{name}: {value} is less than {least}.")
