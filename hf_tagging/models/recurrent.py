"""Recurrent sequence encoders: tanh, LSTM and GRU units in one or both directions, and directions that cross.

Sentences differ in length, so a padded batch is mostly padding. On a CPU little is spent on it: rows are sorted by
length once, and each step reads only those that still have words. Where the unit is an LSTM, oneDNN's kernel for whole
blocks beats torch's loop over a packed sequence although some padding is computed; there the number of rows falls by
halves, and each block hands its last states on to the next. Measured on one core (batches of 32 sentences of 14.5 words
on average and 60 at most, 300 dimensions to twice 200, forward and backward): LSTM 43 ms, packed 55 ms, padded 79 ms;
GRU 42, 47 and 81 ms. The right-to-left direction reads mirrored rows, so it is a left-to-right unit too. On an
accelerator all rows run to the end, which needs nothing from the host: lengths are never copied to it.

This file is copied beside saved models, so it imports nothing of this package.
"""

from __future__ import annotations

import itertools
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from transformers import PreTrainedConfig
from transformers import initialization as init

from .sequence_base import SentenceDropout, SequenceEncoder, without_padding


def _draw(unit: nn.RNNBase) -> None:
    """Initialize a unit: recurrent weights orthogonal, input weights Xavier, per gate; biases 0, forget gates 1.

    Parameters that `from_pretrained` has loaded carry a flag and keep their values. Slices do not carry it, so the
    whole parameter is drawn aside.
    """
    for name, parameter in unit.named_parameters():
        if getattr(parameter, "_is_hf_initialized", False):
            continue  # init.copy_ would see to it, but orthogonal matrices take longer than to load the model
        drawn = torch.zeros_like(parameter, requires_grad=False)
        if "weight" in name:
            draw = init.orthogonal_ if "weight_hh" in name else init.xavier_uniform_
            for gate in drawn.split(unit.hidden_size):
                draw(gate)
        elif name == "bias_ih_l0" and isinstance(unit, nn.LSTM):
            drawn[unit.hidden_size : 2 * unit.hidden_size] = 1  # Jozefowicz et al. 2015
        init.copy_(parameter, drawn)


class _TanhUnit(nn.RNN):
    def reset_parameters(self) -> None:
        _draw(self)


class _LstmUnit(nn.LSTM):
    def reset_parameters(self) -> None:
        _draw(self)


class _GruUnit(nn.GRU):
    def reset_parameters(self) -> None:
        _draw(self)


class RecurrentEncoder(SequenceEncoder):
    """Layers of recurrent units that read left to right and, if `bidirectional`, right to left too.

    A layer's output is the left-to-right states, then the right-to-left ones. With `separate_directions`, each
    direction reads only its own states of the layer below, so that no state has seen both sides of its word, as a
    pair of language models needs it (Peters et al. 2018); else each reads both (Graves and Schmidhuber 2005).
    """

    unit: ClassVar[type[_TanhUnit | _LstmUnit | _GruUnit]]

    uses: ClassVar[tuple[str, ...]] = ("num_layers", "bidirectional", "layer_mix")

    def __init__(self, config: PreTrainedConfig, input_size: int, num_layers: int | None = None):
        super().__init__(config, input_size, num_layers)
        directions = 2 if config.bidirectional else 1
        self.output_size = directions * config.hidden_size
        self.separate = self._separate(config)
        above = config.hidden_size if self.separate else self.output_size
        self.dropout = SentenceDropout(config.dropout)
        sizes = [input_size] + [above] * (self.num_layers - 1)
        self.forward_units = nn.ModuleList(self.unit(size, config.hidden_size) for size in sizes)
        self.backward_units = nn.ModuleList(self.unit(size, config.hidden_size) for size in sizes * (directions - 1))

    @staticmethod
    def _separate(config: PreTrainedConfig) -> bool:
        """Return whether a unit reads only one direction of the layer below."""
        return config.separate_directions and config.bidirectional

    def layers(self, vectors: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the output of every layer, the lowest first, zero at padding.

        Args:
            vectors: Anything at padding. (batch, words, input_size)
            mask: True where a word is, all to the left of False. (batch, words) bool

        Returns:
            `num_layers` times (batch, words, output_size); the first half of the size is left to right.

        Raises:
            NotImplementedError: Under an export, which has no loop of as many steps as there are words.
        """
        if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
            raise NotImplementedError(
                f"{type(self).__name__} cannot be exported to ONNX: its loop over words has no fixed number of steps; "
                "use mlp, cnn or transformer."
            )
        rows = _Rows.of(mask, in_blocks=issubclass(self.unit, nn.LSTM) and torch.backends.mkldnn.is_available())
        output, outputs = without_padding(vectors, mask), list[Tensor]()
        for layer in range(self.num_layers):
            to_forward, to_backward = self._inputs(layer, self.dropout(output))
            output = rows.run(self.forward_units[layer], to_forward, mirrored=False)
            if self.backward_units:
                states = rows.run(self.backward_units[layer], to_backward, mirrored=True)
                output = torch.cat((output, states), -1)
            outputs.append(output)
        return outputs

    def _inputs(self, layer: int, below: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of a layer's two directions from the output of the layer below."""
        if not self.separate or layer == 0:
            return below, below
        ahead, back = below.chunk(2, -1)
        return ahead, back


class RnnEncoder(RecurrentEncoder):
    """Simple units with tanh (Elman 1990)."""

    unit = _TanhUnit


class LstmEncoder(RecurrentEncoder):
    """LSTM units (Hochreiter and Schmidhuber 1997; Gers et al. 2000)."""

    unit = _LstmUnit


class GruEncoder(RecurrentEncoder):
    """GRU units (Cho et al. 2014)."""

    unit = _GruUnit


class TwistedEncoder(RnnEncoder):
    """Two bidirectional layers of tanh units whose directions cross, after the twisted RNN of Lu, Li and Xu 2015.

    With f1 and b1 the states of the first layer, left to right and right to left, the second layer reads

        f2[t] = tanh(W b1[t] + U f2[t - 1] + c)        b2[t] = tanh(V f1[t] + R b2[t + 1] + d)

    and its output is f2 and b2. So a state that runs to the right is fed by what lies to the right, and each of the two
    has seen the whole sentence. There are two layers, whatever `num_layers` says.

    Raises:
        ValueError: If `separate_directions` is asked for, or one direction only.
    """

    uses = ()

    def __init__(self, config: PreTrainedConfig, input_size: int):
        for name, wanted in (("bidirectional", True), ("separate_directions", False)):
            if bool(getattr(config, name)) is not wanted:
                raise ValueError(f"{name}: {not wanted} does not go with twisted, whose directions cross; use rnn.")
        super().__init__(config, input_size, num_layers=2)

    @staticmethod
    def _separate(config: PreTrainedConfig) -> bool:
        return True

    def _inputs(self, layer: int, below: Tensor) -> tuple[Tensor, Tensor]:
        ahead, back = super()._inputs(layer, below)
        return back, ahead  # the first layer reads the words in both


class _Rows(NamedTuple):
    """Order in which a recurrent unit reads a batch: step by step, the longest rows first.

    A *slot* is one row at one step. `sizes` says how many rows each step has, never more than the one before.
    """

    mask: Tensor  # (batch, words) bool
    sizes: list[int]
    in_blocks: bool  # run blocks of equal sizes, else a packed sequence
    read: tuple[Tensor, Tensor]  # the word of the batch that a slot reads; rows as they are, mirrored. (slots,)
    slot: tuple[Tensor, Tensor]  # the slot of each word, any at padding; rows as they are, mirrored. (batch, words)

    @classmethod
    def of(cls, mask: Tensor, in_blocks: bool) -> _Rows:
        """Return the order for a mask (batch, words) bool; `in_blocks`: run blocks, not a packed sequence, on a CPU."""
        (batch, width), device = mask.shape, mask.device
        lengths, words = mask.sum(1), torch.arange(width, device=device)
        order = lengths.argsort(descending=True, stable=True)
        if device.type == "cpu":
            left = mask.sum(0).tolist()  # rows that have a word at each step
            sizes = [rows for rows in left if rows] or [1]
            sizes = _halving(sizes) if in_blocks else sizes
        else:
            sizes, in_blocks = [batch] * width, True
        rows = torch.tensor(sizes, device=device)
        first = rows.cumsum(0) - rows  # slot of each step's first row. (steps,)
        step = torch.repeat_interleave(rows, output_size=sum(sizes))  # (slots,)
        row = order[torch.arange(sum(sizes), device=device) - first[step]]  # (slots,)
        ahead = lengths[row] - 1 - step
        mirrored = torch.where(ahead < 0, step, ahead)  # behind a row's end: padding, whose states nobody reads
        rank = order.argsort()[:, None]  # (batch, 1)
        at = torch.where(mask, words, 0), torch.where(mask, lengths[:, None] - 1 - words, 0)  # (batch, words)
        slot = tuple((first[steps] + rank).masked_fill(~mask, 0) for steps in at)
        return cls(mask, sizes, in_blocks, (row * width + step, row * width + mirrored), (slot[0], slot[1]))

    def run(self, unit: nn.Module, vectors: Tensor, mirrored: bool) -> Tensor:
        """Return the states of a unit that reads the rows as they are, or mirrored.

        Args:
            unit: One layer, one direction.
            vectors: (batch, words, size)
            mirrored: From a row's last word to its first.

        Returns:
            Zero at padding. (batch, words, hidden)
        """
        slots = vectors.flatten(0, 1).index_select(0, self.read[mirrored])
        if self.in_blocks:
            states = self._run_blocks(unit, slots)
        else:
            states = unit(PackedSequence(slots, torch.tensor(self.sizes)))[0].data
        states = states.index_select(0, self.slot[mirrored].flatten()).view(*self.mask.shape, -1)
        return without_padding(states, self.mask)

    def _run_blocks(self, unit: nn.Module, slots: Tensor) -> Tensor:
        """Run (slots, size) to (slots, hidden), with one call of the unit for all steps of one size."""
        blocks = [(rows, len(list(steps))) for rows, steps in itertools.groupby(self.sizes)]
        states, last = list[Tensor](), None
        for (rows, steps), block in zip(blocks, slots.split([rows * steps for rows, steps in blocks]), strict=True):
            found, last = unit(block.view(steps, rows, -1), _first_rows(last, rows))
            states.append(found.flatten(0, 1))
        return torch.cat(states)


_State = Tensor | tuple[Tensor, Tensor] | None  # an LSTM has two


def _first_rows(state: _State, rows: int) -> _State:
    """Return the state of the first rows, contiguous, as kernels need it. (1, rows before, hidden)"""
    if isinstance(state, tuple):
        return state[0][:, :rows].contiguous(), state[1][:, :rows].contiguous()
    return None if state is None else state[:, :rows].contiguous()


def _halving(sizes: list[int]) -> list[int]:
    """Round falling sizes up so that they fall only when half of the rows have ended.

    >>> _halving([8, 7, 5, 4, 3, 2, 1])
    [8, 8, 8, 4, 4, 2, 1]
    """
    rounded = list[int]()
    for left in sizes:
        rounded.append(rounded[-1] if rounded and 2 * left > rounded[-1] else left)
    return rounded
