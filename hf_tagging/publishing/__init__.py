"""What goes out beside a model."""

from hf_tagging.publishing.card import model_card

__all__ = ["model_card"]
