"""Copies of arguments, and folders, that `transformers.Trainer` would change for their owner."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import nn

from hf_tagging.errors import ModelError
from hf_tagging.models.packing import PACKING_PAYS, pack_model, packable, unwrapped
from hf_tagging.models.precision import check_mixed_precision
from hf_tagging.training.config import TaggingConfig
from hf_tagging.training.config.given import given_values, keep_as_given


@contextmanager
def no_new_folder(folder: Path) -> Iterator[None]:
    """Remove a folder that the block has made, and its parents, where they are empty."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # they are not empty
            for path in missing:
                path.rmdir()


def own_arguments(args: TaggingConfig, model: nn.Module, *, has_validation: bool) -> TaggingConfig:
    """Return a copy of the arguments that is the Trainer's own: what it changes is not the caller's business.

    Args:
        args: As given.
        model: The model to be trained.
        has_validation: Whether it can be evaluated while it trains.

    Raises:
        ModelError: If the model cannot be trained as the arguments ask.
    """
    values = given_values(args)
    args = copy.copy(args)
    if not has_validation:
        args.without_validation()
    args.save_total_limit = None  # `CompleteCheckpoints` deletes, once it is safe to
    if args.mixed_precision != "no":
        check_mixed_precision(unwrapped(model))
    if args.packing is None:
        args.packing = _packing_pays(args, model)
    if args.packing:
        pack_model(unwrapped(model))
    args.per_device_train_batch_size = args.per_device_train_batch_size or 1  # a number to print and to hand on
    args.push_to_hub = False  # the finished folder is pushed; the Trainer would push half-made ones
    args.label_names = args.label_names or ["labels"]
    if not torch.accelerator.is_available():
        args.dataloader_pin_memory = False  # PyTorch warns about it at every loader
    keep_as_given(args, values)  # so that `dataclasses.replace(trainer.args, ...)` is another run of the caller's
    return args


def _packing_pays(args: TaggingConfig, model: nn.Module) -> bool:
    """Return whether to pack windows where the arguments leave it open."""
    if args.per_device_train_batch_size or args.tokens_per_batch == "auto" or not PACKING_PAYS.get(args.device.type):
        return False
    try:
        packable(unwrapped(model))
    except ModelError:
        return False
    return True
