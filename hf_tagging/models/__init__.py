"""Models: pretrained encoders with a tag head, and the CRF layer for heads that see whole sequences."""

from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.models.encoder import add_lora, freeze, load_encoder, parameter_depths, resolve_model, saved_schema

__all__ = [
    "LinearChainCrf",
    "add_lora",
    "freeze",
    "load_encoder",
    "parameter_depths",
    "resolve_model",
    "saved_schema",
]
