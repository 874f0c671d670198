"""Exported taggers, run by ONNX Runtime with the call of a Transformers model: ids and mask in, logits out."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.modeling_outputs import TokenClassifierOutput

from hf_tagging.atomic import read_json
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import first_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from hf_tagging.training.record import HardwareRecord

logger = logging.getLogger(__name__)

GRAPH, MANIFEST = "model.onnx", "export.json"
RECORD = "hf_tagging"  # the key of the manifest, whose others are Transformers' own, for what we say of an export
HOW_TO_INSTALL = "Type: pip install 'hf-tagging[onnx]'"
_TYPES: dict[str, Callable[[object], bool]] = {
    "int8": lambda value: isinstance(value, dict),
    "files": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "max_length": lambda value: type(value) is int and value > 0,
}
_INPUTS = {"input_ids", "attention_mask"}
# On a CPU it takes 24 of 105 microseconds per subword of an int8 MiniLM, what it stands for takes 6 (onnxruntime 1.31).
_SLOW_FUSIONS = ["SkipLayerNormFusion"]


class OnnxModel:
    """A graph that maps `input_ids` and `attention_mask` to `logits`, run by ONNX Runtime.

    A session has one thread per call, and calls may overlap: the cores of a CPU are shared out among batches.

    Args:
        folder: With ``model.onnx``; where it was written by `export_tagger`, with ``export.json`` too.
        config: Of the tagger.
        device: Where to run.

    Raises:
        ModelError: If ONNX Runtime is not installed, or cannot load the graph, or the graph takes other inputs.
        ConfigError: If this ONNX Runtime has nothing for the device.
    """

    def __init__(self, folder: str | Path, config: PreTrainedConfig, *, device: torch.device):
        self.folder, self.config, self.device = Path(folder), config, device
        self.session = _session(self.folder / GRAPH, device)
        self._takes = [value.name for value in self.session.get_inputs()]
        gives = [value.name for value in self.session.get_outputs()]
        if not set(self._takes) <= _INPUTS or "logits" not in gives:
            raise ModelError(
                f"{self.folder}: {GRAPH} makes {', '.join(gives)} of {', '.join(self._takes)}; expected logits "
                "of input_ids and attention_mask. Export the model again: hf-tagging export DIR --to onnx"
            )
        eight_bits = read_record(self.folder).get("int8")
        if device.type == "cpu" and eight_bits and eight_bits.get("reduced_range") is False and saturates():
            logger.warning(
                "%s: was exported on a machine that multiplies 8-bit integers exactly; on this one products overflow, "
                "and tags may differ. Export it here.",
                self.folder,
            )

    @property
    def max_length(self) -> int | None:
        """Subwords of the longest window that it was exported for; None if unknown."""
        return read_record(self.folder).get("max_length")

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> TokenClassifierOutput:
        """Run the graph.

        Args:
            input_ids: (batch, subwords)
            attention_mask: 1 where a subword is. (batch, subwords)

        Returns:
            `logits` (batch, subwords, tags), on the device of the ids.
        """
        given = {"input_ids": input_ids, "attention_mask": attention_mask}
        (logits,) = self.session.run(["logits"], {name: given[name].cpu().numpy() for name in self._takes})
        return TokenClassifierOutput(logits=torch.from_numpy(logits).to(input_ids.device))


class Int8Record(TypedDict):
    """Record of a quantization."""

    products: int
    left_in_float: list[str]
    reduced_range: bool | None


class ExportRecord(TypedDict, total=False):
    """Record of an export, in the manifest of its folder."""

    to: str
    source: str
    max_length: int
    int8: Int8Record
    files: list[str]
    parity: dict[str, object]
    opset: int
    versions: dict[str, str]
    hardware: HardwareRecord


def read_record(folder: Path) -> ExportRecord:
    """Return what `export_tagger` says of a folder that it wrote; empty where it has not.

    The file travels with the folder: what is not of the type that `export_tagger` writes is left out.
    """
    manifest = read_json(folder / MANIFEST)
    record = manifest.get(RECORD) if isinstance(manifest, dict) else None
    if not isinstance(record, dict):
        return {}
    return cast(ExportRecord, {n: value for n, value in record.items() if n not in _TYPES or _TYPES[n](value)})


def is_exported(folder: Path) -> bool:
    """Return whether a folder holds a graph, and no weights that PyTorch would load."""
    return (folder / GRAPH).is_file() and not any(
        path for kind in ("*.safetensors", "pytorch_model*.bin") for path in folder.glob(kind)
    )


def saturates() -> bool:
    """Return whether 8-bit products overflow 16 bits here, as on x86 without special instructions."""
    able = torch.cpu.get_capabilities()
    made_for_it = ("avx512_vnni", "avx_vnni", "amx_int8")
    return platform.machine().lower() in ("x86_64", "amd64") and not any(able.get(name) for name in made_for_it)


def _session(graph: Path, device: torch.device) -> InferenceSession:
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise ModelError(f"{graph.parent}: an exported model needs onnxruntime. {HOW_TO_INSTALL}") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    on_cpu = device.type == "cpu"
    if not on_cpu and (device.type != "cuda" or "CUDAExecutionProvider" not in ort.get_available_providers()):
        raise _no_provider(device, ort.get_available_providers())
    providers: list[str | tuple[str, dict[str, int]]] = ["CPUExecutionProvider"]
    if not on_cpu:
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": device.index or 0}))
    try:
        session = ort.InferenceSession(
            str(graph), options, providers=providers, disabled_optimizers=_SLOW_FUSIONS if on_cpu else None
        )
    except Exception as error:  # ONNX Runtime's own kinds of errors have no common base but this
        raise ModelError(f"{graph.parent}: {graph.name} cannot be loaded ({first_line(error)}).") from error
    if not on_cpu and "CUDAExecutionProvider" not in session.get_providers():  # it says so in its log alone
        raise _no_provider(device, session.get_providers())
    return session


def _no_provider(device: torch.device, there: list[str]) -> ConfigError:
    return ConfigError(
        f"device: an exported model cannot run on {str(device)!r} here: ONNX Runtime has {', '.join(there)}. Give cpu, "
        "or for cuda, pip install onnxruntime-gpu in the place of onnxruntime."
    )
