"""Sequence encoders by name: feed-forward, convolutional, recurrent, self-attention.

Another one is one class and one line in `ENCODERS`: then the recipes know it by that name. This file is copied beside
saved models, so it imports nothing of this package.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from .recurrent import GruEncoder, LstmEncoder, RnnEncoder, TwistedEncoder
from .sequence_base import SequenceEncoder, check_at_least, without_padding

_ROTARY_BASE = 10000.0  # the longest wave has this many words, times 2 pi (Vaswani et al. 2017; Su et al. 2021)


class MlpEncoder(SequenceEncoder):
    """Linear layers with GELU over each word and `context` neighbours on each side.

    Neighbours are concatenated at the input alone, zeros beyond the sentence (the window approach of Collobert et al.
    2011), so a word sees `context` words on each side however many layers there are.
    """

    uses = ("num_layers", "context")

    def __init__(self, config: PreTrainedConfig, input_size: int):
        super().__init__(config, input_size)
        check_at_least(0, "context", config.context)
        self.window = 2 * config.context + 1
        sizes = [self.window * input_size] + [config.hidden_size] * (self.num_layers - 1)
        self.maps = nn.ModuleList(nn.Linear(size, config.hidden_size) for size in sizes)
        self.reset_parameters()

    def layers(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        """See `SequenceEncoder`."""
        hidden = without_padding(vectors, mask)
        outputs = []
        for layer, linear in enumerate(self.maps):
            hidden = self.dropout(hidden)
            hidden = F.gelu(linear(hidden if layer else _windows(hidden, self.window)))
            outputs.append(without_padding(hidden, mask))
        return outputs


class CnnEncoder(SequenceEncoder):
    """One-dimensional convolutions over words, each with a residual connection and layer normalisation.

    A linear map to the hidden size comes first. A filter of layer i, counted from 0, reads `kernel_size` words that lie
    `dilation ** i` apart, so with dilation 2 the context doubles with each layer (Strubell et al. 2017).

    Raises:
        ValueError: If the kernel has no middle.
    """

    uses = ("num_layers", "kernel_size", "dilation")

    def __init__(self, config: PreTrainedConfig, input_size: int):
        super().__init__(config, input_size)
        check_at_least(1, "dilation", config.dilation)
        check_at_least(1, "kernel_size", config.kernel_size)
        if config.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size: {config.kernel_size} is even; a filter has a word in its middle.")
        hidden = config.hidden_size
        self.kernel_size = config.kernel_size
        self.distances = [config.dilation**layer for layer in range(self.num_layers)]
        self.project = nn.Linear(input_size, hidden)
        # A convolution as a linear map of windows: on a CPU a fifth faster than nn.Conv1d with its two transpositions.
        self.filters = nn.ModuleList(nn.Linear(self.kernel_size * hidden, hidden) for _ in self.distances)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in self.distances)
        self.reset_parameters()

    def layers(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        """See `SequenceEncoder`."""
        hidden = without_padding(self.project(self.dropout(without_padding(vectors, mask))), mask)
        outputs = []
        for distance, filters, norm in zip(self.distances, self.filters, self.norms, strict=True):
            found = F.gelu(filters(_windows(self.dropout(hidden), self.kernel_size, distance)))
            hidden = without_padding(norm(hidden + found), mask)
            outputs.append(hidden)
        return outputs


class TransformerEncoder(SequenceEncoder):
    """Transformer layers (Vaswani et al. 2017) after a linear layer to the hidden size.

    `norm` ``post`` normalises after each residual connection as the paper does; ``pre`` normalises before each sublayer
    and every layer's output once more (Xiong et al. 2020), which trains without warm-up. `positions` are added
    sinusoids, added ``learned`` vectors, or ``rotary``: queries and keys are turned, so that scores depend on distances
    alone (Su et al. 2021). Dropout is on the input, the sublayers' outputs, inner activations and attention.

    Words exchange information by attention only, so that several sentences can share a row: `sequence_ids` say which
    words belong together.

    Raises:
        ValueError: If sizes do not fit together, or a name is not known.
    """

    uses = ("num_layers", "layer_mix", "num_heads", "intermediate_size", "norm", "positions")

    def __init__(self, config: PreTrainedConfig, input_size: int):
        super().__init__(config, input_size)
        _check_transformer(config)
        hidden = config.hidden_size
        self.positions = config.positions
        self.wave_size = hidden // config.num_heads if self.positions == "rotary" else hidden
        self.project = nn.Linear(input_size, hidden)
        learned = config.positions == "learned"
        self.position_vectors = nn.Parameter(torch.empty(config.max_positions, hidden)) if learned else None
        self.blocks = nn.ModuleList(_Block(config) for _ in range(self.num_layers))
        self.norm = nn.LayerNorm(hidden) if config.norm == "pre" else nn.Identity()
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize every parameter that `from_pretrained` has not loaded. A model's `_init_weights` calls this."""
        super().reset_parameters()
        if self.position_vectors is not None:
            init.normal_(self.position_vectors, std=0.02)

    def forward(self, vectors: Tensor, mask: Tensor, sequence_ids: Tensor | None = None) -> Tensor:
        """Return contextual vectors: the last layer's, or with `layer_mix` the mix of all; arguments as in `layers`.

        Returns:
            (batch, words, output_size)
        """
        outputs = self.layers(vectors, mask, sequence_ids)
        return self.dropout(outputs[-1] if self.mix is None else self.mix(outputs))

    def layers(self, vectors: Tensor, mask: Tensor, sequence_ids: Tensor | None = None) -> list[Tensor]:
        """Return the output of every layer, the lowest first, zero at padding.

        Args:
            vectors: Anything at padding. (batch, words, input_size)
            mask: True where a word is, all to the left of False. (batch, words) bool
            sequence_ids: Which sentence of its row a word is of, those of one sentence side by side, 0 at padding;
                None: a row is one sentence. (batch, words)

        Returns:
            `num_layers` times (batch, words, output_size).

        Raises:
            ValueError: If positions are learned and there are more words than positions.
        """
        hidden = self.project(without_padding(vectors, mask))
        positions = _positions(hidden, sequence_ids)
        waves = None if self.positions == "learned" else _waves(positions, self.wave_size, hidden.dtype)
        if self.positions != "rotary":
            hidden = hidden + self._added_positions(positions, waves)
        hidden = self.dropout(hidden)
        keys, waves = _attended(mask, sequence_ids), waves if self.positions == "rotary" else None
        outputs = []
        for block in self.blocks:
            hidden = block(hidden, keys, waves)
            outputs.append(without_padding(self.norm(hidden), mask))
        return outputs

    def _added_positions(self, positions: Tensor, waves: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return vectors of the positions. (words, hidden) or (batch, words, hidden)"""
        if waves is not None:
            return torch.cat(waves, -1)
        assert self.position_vectors is not None
        one_each, most = positions.dim() == 1, self.position_vectors.shape[0]
        if one_each or not torch.compiler.is_compiling():  # which may not look at values
            words = positions.shape[0] if one_each else int(positions.max()) + 1
            if words > most:
                raise ValueError(
                    f"A sentence of {words} words is longer than the {most} learned positions; "
                    "raise max_positions, or use sinusoidal or rotary positions."
                )
        return self.position_vectors[: positions.shape[0]] if one_each else self.position_vectors[positions]


class _Block(nn.Module):
    """Layer of a `TransformerEncoder`; its caller initializes it."""

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        hidden = config.hidden_size
        self.pre, self.num_heads = config.norm == "pre", config.num_heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.up = nn.Linear(hidden, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, hidden)
        self.attention_norm, self.feed_norm = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor, keys: Tensor, waves: tuple[Tensor, Tensor] | None) -> Tensor:
        """Run the layer on (batch, words, hidden); for `keys` see `_attended`; `waves` are of rotary positions."""
        if self.pre:
            hidden = hidden + self.dropout(self._attend(self.attention_norm(hidden), keys, waves))
            return hidden + self.dropout(self._feed(self.feed_norm(hidden)))
        hidden = self.attention_norm(hidden + self.dropout(self._attend(hidden, keys, waves)))
        return self.feed_norm(hidden + self.dropout(self._feed(hidden)))

    def _attend(self, hidden: Tensor, keys: Tensor, waves: tuple[Tensor, Tensor] | None) -> Tensor:
        split = self.qkv(hidden).unflatten(-1, (3, self.num_heads, -1))  # (batch, words, 3, heads, size)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (batch, heads, words, size)
        if waves is not None:
            # What differs by row is the same in all heads: (batch, 1, words, size / 2)
            waves = waves if waves[0].dim() == 2 else (waves[0][:, None], waves[1][:, None])
            query, key = rotate(query, waves), rotate(key, waves)
        dropout = self.dropout.p if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, dropout_p=dropout)
        return self.out(attended.transpose(1, 2).flatten(2))

    def _feed(self, hidden: Tensor) -> Tensor:
        return self.down(self.dropout(F.gelu(self.up(hidden))))


def rotate(vectors: Tensor, waves: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate pairs of dimensions, i and i + size / 2, by angles that grow with the position (Su et al. 2021).

    Args:
        vectors: (..., words, size)
        waves: Sines and cosines of the angles. (words, size / 2) each, or with more dimensions before

    Returns:
        Vectors whose inner products depend on positions by their difference alone. (..., words, size)
    """
    sines, cosines = waves
    left, right = vectors.chunk(2, -1)
    return torch.cat((left * cosines - right * sines, right * cosines + left * sines), -1)


def _positions(like: Tensor, sequence_ids: Tensor | None) -> Tensor:
    """Return the positions of words: (words,), or (batch, words) if sentences share rows."""
    steps = torch.arange(like.shape[1], device=like.device)
    if sequence_ids is None:
        return steps
    begins = sequence_ids != F.pad(sequence_ids, (1, 0), value=-1)[:, :-1]
    return steps - torch.where(begins, steps, 0).cummax(1).values


def _attended(mask: Tensor, sequence_ids: Tensor | None) -> Tensor:
    """Return which words each word attends to. (batch, 1, 1 or words, words) bool

    A softmax over nothing is not a number: an empty row attends to all of its padding, and where sentences share rows,
    padding attends to padding.
    """
    if sequence_ids is None:
        return (mask | ~mask.any(1, keepdim=True))[:, None, None]
    return (sequence_ids[:, :, None] == sequence_ids[:, None])[:, None]


def _waves(positions: Tensor, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return sines and cosines of positions (..., words) at size / 2 frequencies. (..., words, size / 2) each"""
    exponents = torch.arange(0, size, 2, device=positions.device, dtype=torch.float32) / size
    angles = positions[..., None].float() * _ROTARY_BASE**-exponents
    return angles.sin().to(dtype), angles.cos().to(dtype)


def _windows(vectors: Tensor, count: int, distance: int = 1) -> Tensor:
    """Concatenate each word with its neighbours on both sides, zeros beyond the edges.

    Args:
        vectors: Zero at padding. (batch, words, size)
        count: Words of a window; odd.
        distance: From one of them to the next.

    Returns:
        (batch, words, count * size)
    """
    if count == 1:
        return vectors
    words, reach = vectors.shape[1], count // 2 * distance
    padded = F.pad(vectors, (0, 0, reach, reach))
    return torch.cat([padded[:, start : start + words] for start in range(0, count * distance, distance)], -1)


def _check_transformer(config: PreTrainedConfig) -> None:
    for name, known in (("norm", ("pre", "post")), ("positions", ("sinusoidal", "learned", "rotary"))):
        if getattr(config, name) not in known:
            raise ValueError(f"{name}: {getattr(config, name)!r} is not one of {', '.join(known)}.")
    for name in ("num_heads", "intermediate_size", "max_positions"):
        check_at_least(1, name, getattr(config, name))
    hidden, heads = config.hidden_size, config.num_heads
    if hidden % heads:
        raise ValueError(f"hidden_size: {hidden} is not a multiple of num_heads {heads}.")
    if config.positions == "sinusoidal" and hidden % 2:
        raise ValueError(f"hidden_size: {hidden} is odd; sinusoidal positions are pairs of sine and cosine.")
    if config.positions == "rotary" and hidden // heads % 2:
        raise ValueError(f"hidden_size: {hidden} by num_heads {heads} is odd; rotary positions turn pairs.")


ENCODERS: dict[str, type[SequenceEncoder]] = {
    "mlp": MlpEncoder,
    "cnn": CnnEncoder,
    "rnn": RnnEncoder,
    "lstm": LstmEncoder,
    "gru": GruEncoder,
    "twisted": TwistedEncoder,
    "transformer": TransformerEncoder,
}
