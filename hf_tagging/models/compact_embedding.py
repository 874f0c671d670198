"""Embedding matrix of which only some rows are trained; the model is saved and loaded with all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class CompactEmbedding(nn.Embedding):
    """An `nn.Embedding` of some rows of another one, which takes its place in a model while it is trained.

    Gradients, moments of the optimizer and averages are as small as these rows. Everything else sees the whole matrix:
    ids are those of the tokenizer, and the state dict has the whole matrix under its name, to be written and read. In
    evaluation a row that is not among them is read from the whole matrix; in training it is an IndexError.

    Args:
        whole: Embedding of all rows. It is no submodule: its weight is not among the parameters.
        rows: Rows that are trained, ascending. (rows,)
    """

    def __init__(self, whole: nn.Embedding, rows: Tensor):
        rows = rows.to(whole.weight.device)
        # An unknown row is -1, which no lookup takes.
        row_of = torch.full((whole.num_embeddings,), -1, dtype=torch.int32, device=rows.device)
        row_of[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        padding = None if whole.padding_idx is None else int(row_of[whole.padding_idx])
        super().__init__(len(rows), whole.embedding_dim, padding, device="meta")  # where no random number is drawn
        self.weight = nn.Parameter(whole.weight.detach()[rows])  # (rows, size)
        self.rows = rows  # (rows,)
        self.row_of = row_of  # (all rows,)
        self._whole = (whole,)  # a tuple hides it from PyTorch
        self.register_state_dict_post_hook(_save_whole)
        self.register_load_state_dict_pre_hook(_load_whole)

    @property
    def whole(self) -> nn.Embedding:
        """Embedding of all rows; the trained ones are as `write` left them."""
        return self._whole[0]

    def forward(self, input: Tensor) -> Tensor:
        """Look rows up by the tokenizer's ids. (batch, subwords) to (batch, subwords, size)"""
        rows = self.row_of[input]
        if not self.training and bool((rows < 0).any()):
            self.write()
            return self.whole(input)
        return super().forward(rows)

    @torch.no_grad()
    def write(self) -> None:
        """Write the trained rows into the whole matrix."""
        self.whole.weight[self.rows] = self.weight

    @torch.no_grad()
    def read(self) -> None:
        """Read the trained rows from the whole matrix."""
        self.weight.copy_(self.whole.weight[self.rows])

    @contextmanager
    def inside(self, model: nn.Module) -> Iterator[None]:
        """Take the place of the whole embedding in a model within the block."""
        self.read()
        _replace(model, self.whole, self)
        try:
            yield
        finally:
            self.write()
            _replace(model, self, self.whole)


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)  # in its place, so that the order of the parameters stays


def _save_whole(module: CompactEmbedding, state: dict[str, Tensor], prefix: str, metadata: object) -> None:
    """Put the whole matrix into a state dict."""
    module.write()
    state[f"{prefix}weight"] = module.whole.weight.detach()


def _load_whole(module: CompactEmbedding, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    """Take the whole matrix of a state dict, and leave the trained rows in it. Other shapes are left to PyTorch."""
    saved = state.get(f"{prefix}weight")
    whole = module.whole.weight
    if saved is not None and saved.shape == whole.shape:
        with torch.no_grad():
            whole.copy_(saved)
        state[f"{prefix}weight"] = whole.detach()[module.rows]
