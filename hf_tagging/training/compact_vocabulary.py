"""Training of those rows of an encoder's embedding matrix alone that the data uses: which, whether, and resuming."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from hf_tagging.data.rows import arrow_batches, flat_lists
from hf_tagging.errors import ConfigError
from hf_tagging.models.compact_embedding import CompactEmbedding
from hf_tagging.models.packing import unwrapped
from hf_tagging.problems import argument
from hf_tagging.training.config import TaggingConfig

logger = logging.getLogger("hf_tagging")

# Weights left out, and their share of all trained ones, below which nothing is gained that can be measured.
_LEAST_WEIGHTS, _LEAST_SHARE = 1_000_000, 0.05
# Optimizers that change a weight by its own gradient alone. Adafactor, LAMB and the like look at the whole matrix.
_BY_WEIGHT = frozenset(("adamw_torch", "adamw_torch_fused", "sgd"))
_ROWS = "compact_rows"  # of an optimizer's saved state


def compact_embedding(
    model: nn.Module,
    splits: Iterable[Dataset],
    tokenizer: PreTrainedTokenizerBase,
    args: TaggingConfig,
    *,
    obstacle: str | None,
) -> CompactEmbedding | None:
    """Return the embedding that takes the place of the model's while it is trained; None where it stays as it is.

    Args:
        model: The tagger, adapters included.
        splits: Windows of all splits of the run: training reads no other ids, and figures do not depend on it.
        tokenizer: Its special and added tokens are kept.
        args: `compact_vocabulary`.
        obstacle: From `find_obstacle`.

    Raises:
        ConfigError: If it is asked for, and there is an obstacle.
    """
    asked = args.compact_vocabulary
    if asked == "off":
        return None
    if asked == "on" and obstacle:
        raise cannot_compact(obstacle)
    whole = input_embedding(model)
    if whole is None or not whole.weight.requires_grad:
        return None
    rows = used_rows(splits, tokenizer, whole)
    if asked == "auto" and not _pays(model, whole, len(rows)):
        return None
    if obstacle:
        logger.info("compact_vocabulary: all rows of the embedding matrix are trained: %s", obstacle)
        return None
    logger.info(
        "compact_vocabulary: %s of %s rows of the embedding matrix are trained, those that the data uses; the others "
        "stay as they are, without weight decay",
        f"{len(rows):,}",
        f"{whole.num_embeddings:,}",
    )
    return CompactEmbedding(whole, rows)


def cannot_compact(obstacle: str) -> ConfigError:
    """Return the error of a run that asks for what there is an obstacle to."""
    return ConfigError(f"compact_vocabulary: {obstacle}. Leave {argument('compact_vocabulary', 'on')} out.")


def _pays(model: nn.Module, whole: nn.Embedding, kept: int) -> bool:
    left_out = (whole.num_embeddings - kept) * whole.embedding_dim
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    return left_out >= max(_LEAST_WEIGHTS, _LEAST_SHARE * trained)


def find_obstacle(
    model: nn.Module, args: TaggingConfig, *, sharded: bool, optimizer: torch.optim.Optimizer | None
) -> str | None:
    """Return why the embedding matrix of a model cannot be cut to some rows, the end of a sentence; None if it can.

    Args:
        model: The tagger, adapters included.
        args: For the optimizer and the number of devices.
        sharded: FSDP or DeepSpeed keeps the weights.
        optimizer: One that was made on the whole matrix.
    """
    inner = unwrapped(model)
    optim = str(getattr(args.optim, "value", args.optim))
    whole = input_embedding(model)
    if whole is None:
        return f"{type(inner).__name__} is no encoder of Transformers whose embeddings are a plain matrix"
    if not whole.weight.requires_grad:
        return "the embedding matrix is frozen, by LoRA or freeze_layers, so that there is nothing to be saved"
    if sum(weight is whole.weight for _, weight in inner.named_parameters(remove_duplicate=False)) > 1:
        return "the embedding matrix is shared with another layer"
    if sharded:
        return "FSDP and DeepSpeed keep the weights their own way"
    if args.n_gpu > 1:
        return "several GPUs in one process copy the model in every step; start a process per GPU"
    if optimizer is not None:
        return "the optimizer was made for the whole matrix"
    if optim not in _BY_WEIGHT:
        return f"optim {optim} looks at the whole matrix; {', '.join(sorted(_BY_WEIGHT))} do not"
    return None


def input_embedding(model: nn.Module) -> nn.Embedding | None:
    """Return the embedding of all rows of an encoder's vocabulary; None of models that may use it in another way.

    Args:
        model: A tagger, adapters included.
    """
    inner = unwrapped(model)
    encoder = getattr(inner, "base_model", inner)
    if not _is_from(inner, "transformers.", "hf_tagging.") or not _is_from(encoder, "transformers."):
        return None
    try:
        found = inner.get_input_embeddings()
    except NotImplementedError:
        return None
    if type(found) is not nn.Embedding or type(found.weight.data) is not Tensor:
        return None
    return None if found.max_norm or found.sparse or found.scale_grad_by_freq else found


def _is_from(model: nn.Module, *packages: str) -> bool:
    return type(model).__module__.startswith(packages)  # other code may read the matrix itself


def used_rows(splits: Iterable[Dataset], tokenizer: PreTrainedTokenizerBase, whole: nn.Embedding) -> Tensor:
    """Return the rows of a matrix that data uses, and those of special and added tokens, ascending. (rows,)

    Args:
        splits: Windows with `input_ids`.
        tokenizer: That made them.
        whole: The matrix.
    """
    used = np.zeros(whole.num_embeddings, bool)
    kept = [*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values(), tokenizer.pad_token_id or 0]
    kept += [] if whole.padding_idx is None else [whole.padding_idx]
    used[[row for row in kept if row < len(used)]] = True
    for split in splits:
        for table in arrow_batches(split, "input_ids"):
            ids, _ = flat_lists(table["input_ids"])
            used[ids[ids < len(used)]] = True  # the model itself refuses an id that it has no row for
    return torch.from_numpy(used.nonzero()[0])


def follow_rows(optimizer: torch.optim.Optimizer, model: nn.Module) -> None:
    """Let the saved state of an optimizer say which rows it has, and load a state of other rows, or of all.

    A row that a state does not have was never seen: its moments are 0.

    Args:
        optimizer: A new one.
        model: The model that it trains.
    """
    compact = next((module for module in model.modules() if isinstance(module, CompactEmbedding)), None)
    embedding = compact or input_embedding(model)
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    place = next((n for n, weight in enumerate(weights) if embedding and weight is embedding.weight), None)
    if embedding is None or place is None:
        return
    size = compact.whole.num_embeddings if compact else embedding.num_embeddings
    every = torch.arange(size)
    rows = compact.rows.cpu() if compact else every

    def note_rows(_: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        state[_ROWS] = rows

    def take_rows(_: torch.optim.Optimizer, state: dict[str, Any]) -> dict[str, Any] | None:
        saved, found = state.get(_ROWS, every), state["state"]
        if place not in found or torch.equal(saved, rows):
            return None
        moved = {name: _moved(value, saved, rows, size) for name, value in found[place].items()}
        return {**state, "state": {**found, place: moved}}

    if compact:
        optimizer.register_state_dict_post_hook(note_rows)
    optimizer.register_load_state_dict_pre_hook(take_rows)


def _moved(value: object, saved: Tensor, rows: Tensor, size: int) -> object:
    """Return a moment of saved rows (saved, width) as one of other rows (rows, width); what is none stays as it is."""
    if not isinstance(value, Tensor) or value.dim() != 2:
        return value
    table = value.new_zeros(size, value.shape[1])
    table[saved] = value
    return table[rows]
