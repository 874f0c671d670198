"""Packing of several windows into a row: each attends only to itself, with the logits that it has alone.

The collator of such rows gives `sequence_ids`, the number of each subword's window in its row, instead of an attention
mask; see `hf_tagging.data.packing`.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.masking_utils import (
    create_bidirectional_mask,
    create_bidirectional_sliding_window_mask,
    packed_sequence_mask_function,
)
from transformers.utils.generic import is_flash_attention_requested

from hf_tagging.errors import ModelError
from hf_tagging.foreign.transformers import attention_of
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.modeling_baseline import BaselineForTokenClassification
from hf_tagging.problems import spell

# Encoders of which tests/test_packing.py proves that packed logits are the unpacked ones. Some that were tried are not
# here: MobileBERT, ConvBERT, FNet, I-BERT, Luke and Nystromformer gave other logits, DeBERTa and YOSO failed on a mask
# of pairs (transformers 5.23).
PACKABLE = (
    "albert",
    "bert",
    "camembert",
    "distilbert",
    "electra",
    "ernie",
    "eurobert",
    "megatron-bert",
    "modernbert",
    "nomic_bert",
    "rembert",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
)

# Whether packing is faster than batches of windows of like length, by the type of the device. Measured by
# benchmarks/packing.py (benchmarks/results/packing-*.json): on two cores of an AMD EPYC, in bfloat16, rows of 128, 256
# and 512 subwords train at 0.79, 0.61 and 0.39 times the speed, for attention is computed between all subwords of a
# row, and most of it is masked. No GPU has been measured.
PACKING_PAYS: dict[str, bool] = {"cpu": False, "cuda": False}

_MASKED = ("eager", "sdpa", "flex_attention")
_INSTEAD = "Leave {packing} out: {tokens_per_batch} makes batches of windows of like length, with as little padding."


def packable(model: nn.Module) -> None:
    """Check that a model gives packed windows the logits that each of them has alone.

    Args:
        model: A tagger, adapters included.

    Raises:
        ModelError: If it does not, or if that was never verified.
    """
    if reason := _obstacle(unwrapped(model)):
        raise ModelError(f"packing: {reason}. {spell(_INSTEAD)}")


def _obstacle(model: nn.Module) -> str | None:
    config = getattr(model, "config", None)
    if not isinstance(config, PreTrainedConfig):
        return f"{type(model).__name__} is no model of Transformers"
    kind = config.model_type
    if getattr(model, "crf", None) is not None:
        return f"the chain of tags (CRF) of this {kind} runs through a row as if it were one sentence"
    if isinstance(config, BaselineConfig) and config.encoder != "transformer":
        return f"the {config.encoder} encoder of this {kind} reads a row as if it were one sentence"
    if isinstance(model, BaselineForTokenClassification):
        return None
    if kind not in PACKABLE:
        return f"a {kind} is not among the models that keep neighbours in a row apart ({', '.join(PACKABLE)})"
    if not type(model).__module__.startswith("transformers."):  # Jina's first encoders say bert, and have ALiBi
        return f"{type(model).__name__} is called a {kind}, but its code is its own"
    if getattr(config, "is_decoder", False):
        return f"this {kind} is a decoder (is_decoder)"
    attention = attention_of(config)
    if attention not in _MASKED and not is_flash_attention_requested(config):
        return f"attn_implementation {attention} is not {', '.join(_MASKED)} or flash attention"
    return None


def first_position(model: nn.Module) -> int:
    """Return the position of a window's first subword: 0, or for RoBERTa-like models the one after the padding's.

    Args:
        model: A tagger, adapters included.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings"):
            return 0 if module.padding_idx is None else module.padding_idx + 1
    return 0


def pack_model(model: nn.Module) -> RemovableHandle | None:
    """Let a model take `sequence_ids` instead of `attention_mask`; without them nothing changes.

    Nothing of it is saved with the model. How neighbours are kept apart is a matter of the model's
    `attn_implementation`, each in Transformers' own way: ``sdpa`` and ``eager`` get a mask of pairs (rows, 1, subwords,
    subwords), ``flex_attention`` a block mask, flash attention the places where windows begin. Run on a CPU: the masks,
    flex attention without gradients. Flash attention, and all of it on a GPU, has not been run yet. Models from scratch
    take `sequence_ids` by themselves.

    Args:
        model: A tagger, adapters included; not yet wrapped for several processes.

    Returns:
        A handle that removes the hook; None if there is none.

    Raises:
        ModelError: See `packable`.
    """
    packable(model)
    inner = unwrapped(model)
    if isinstance(inner, BaselineForTokenClassification):
        return None
    return inner.register_forward_pre_hook(_translate, with_kwargs=True)


def _translate(
    model: PreTrainedModel, args: tuple[object, ...], kwargs: dict[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Translate `sequence_ids` into arguments that the model's forward takes."""
    sequence_ids = kwargs.get("sequence_ids")
    if not isinstance(sequence_ids, Tensor):
        return args, kwargs
    if kwargs.get("attention_mask") is not None or kwargs.get("position_ids") is None:
        raise ValueError("sequence_ids replace attention_mask and need position_ids.")
    others = {name: value for name, value in kwargs.items() if name not in ("sequence_ids", "attention_mask")}
    return args, others | _attention(model, sequence_ids)


def _attention(model: PreTrainedModel, sequence_ids: Tensor) -> dict[str, object]:
    """Return the arguments that keep windows apart: masks of pairs or blocks, or bounds. Padding is a window too.

    Args:
        model: For its config and its type of numbers.
        sequence_ids: (rows, subwords)
    """
    config = model.config
    if is_flash_attention_requested(config):
        return {"attention_mask": None, **window_bounds(sequence_ids)}
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, Tensor)
    shape = weight.new_empty(*sequence_ids.shape, 0)  # asked for its shape, type and device alone
    # Padding may look at padding: a softmax over nothing is NaN. Its result is never read.
    apart = packed_sequence_mask_function(sequence_ids)
    full = create_bidirectional_mask(config, shape, None, and_mask_function=apart)
    if "sliding_attention" not in (getattr(config, "layer_types", None) or ()):
        return {"attention_mask": full}
    # Words of a sentence are as far from each other in a row as in the sentence: ModernBERT's local layers look as far.
    local = create_bidirectional_sliding_window_mask(config, shape, None, and_mask_function=apart)
    return {"attention_mask": {"full_attention": full, "sliding_attention": local}}


def window_bounds(sequence_ids: Tensor) -> dict[str, Tensor | int]:
    """Return the bounds of windows in all rows, as variable-length flash attention takes them.

    Args:
        sequence_ids: (rows, subwords)

    Returns:
        `cu_seq_lens_q` and `cu_seq_lens_k`, the first subword of each window and the end (windows + 1,) int32;
        `max_length_q` and `max_length_k`, the length of a row: an upper bound that no value has to be read for.
    """
    begins = sequence_ids != F.pad(sequence_ids, (1, 0), value=-1)[:, :-1]
    starts = F.pad(begins.flatten().nonzero().flatten(), (0, 1), value=begins.numel()).to(torch.int32)
    longest = sequence_ids.shape[1]
    return {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts, "max_length_q": longest, "max_length_k": longest}


def unwrapped(model: nn.Module) -> PreTrainedModel:
    """Return the model inside a PEFT wrapper, or the model itself."""
    inner = getattr(model, "get_base_model", None)
    return cast(PreTrainedModel, model if inner is None else inner())
