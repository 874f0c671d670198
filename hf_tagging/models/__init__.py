"""Models: pretrained encoders with a tag head, taggers from scratch, and the CRF layer that both may end in."""

from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedConfig, PreTrainedModel

from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.crf import LinearChainCrf
from hf_tagging.models.encoder import load_encoder, resolve_model, saved_schema
from hf_tagging.models.fine_tuning import add_lora, freeze, parameter_depths
from hf_tagging.models.hmm import HmmConfig, HmmForTokenClassification
from hf_tagging.models.modeling_baseline import BaselineForTokenClassification
from hf_tagging.models.modeling_crf_encoder import CrfEncoderConfig, CrfEncoderForTokenClassification

# With the package imported, our models load anywhere without trust_remote_code; without it, by the code beside them.
_TAGGERS: dict[type[PreTrainedConfig], type[PreTrainedModel]] = {
    BaselineConfig: BaselineForTokenClassification,
    CrfEncoderConfig: CrfEncoderForTokenClassification,
    HmmConfig: HmmForTokenClassification,
}
for _config, _model in _TAGGERS.items():
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModelForTokenClassification.register(_config, _model, exist_ok=True)

__all__ = [
    "BaselineConfig",
    "BaselineForTokenClassification",
    "CrfEncoderConfig",
    "CrfEncoderForTokenClassification",
    "HmmConfig",
    "HmmForTokenClassification",
    "LinearChainCrf",
    "add_lora",
    "build_baseline",
    "freeze",
    "load_encoder",
    "parameter_depths",
    "resolve_model",
    "saved_schema",
]
