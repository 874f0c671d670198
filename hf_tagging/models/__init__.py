"""Models: pretrained encoders with a tag head."""

from hf_tagging.models.encoder import (
    add_lora,
    freeze,
    load_encoder,
    parameter_depths,
    resolve_model,
    saved_schema,
)

__all__ = ["add_lora", "freeze", "load_encoder", "parameter_depths", "resolve_model", "saved_schema"]
