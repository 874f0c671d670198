"""Arguments of a run, stated once: defaults, help and checks, the same from Python, flags and YAML."""

from typing import TYPE_CHECKING

from hf_tagging.lazy import lazy_names

if TYPE_CHECKING:
    from hf_tagging.training.config.data import DataConfig
    from hf_tagging.training.config.encoder import EncoderConfig
    from hf_tagging.training.config.run import RunConfig
    from hf_tagging.training.config.scratch import ScratchConfig
    from hf_tagging.training.config.tagging import TaggingConfig

_WHERE = {
    "data": ("DataConfig",),
    "encoder": ("EncoderConfig",),
    "run": ("RunConfig",),
    "scratch": ("ScratchConfig",),
    "tagging": ("TaggingConfig",),
}

__all__ = ["DataConfig", "EncoderConfig", "RunConfig", "ScratchConfig", "TaggingConfig"]

__getattr__, __dir__ = lazy_names(__name__, _WHERE)
