"""What goes out beside a model."""

from hf_tagging.publishing.card import model_card
from hf_tagging.publishing.publish import publish_run

__all__ = ["model_card", "publish_run"]
