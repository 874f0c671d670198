"""Quantizing the matrices of a float32 graph to 8-bit integers, except for those that would lose too much."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime as ort
import torch
from onnxruntime.quantization import QuantType
from transformers.exporters import ExportFormat, OnnxExporter, OnnxRuntimeDynamicConfig, OnnxRuntimeQuantizer

from hf_tagging.inference.onnx_model import Int8Record, saturates

Inputs = dict[str, np.ndarray]  # `input_ids` and `attention_mask`, (batch, subwords) each
# Of the 37 matrix products of a MiniLM trained on CoNLL-2003 one is below, the second of the first layer's feed-forward
# part, with 20.4; the next has 21.7. With it in float, at 3 to 7 % of the speed, 99.5 % of the tags of the first 1,000
# test sentences are those of float32, without 99.3 %. A range of 7 bits costs 0.1 more where 8 do not overflow; the tag
# head in float changes nothing.
_LEAST_RATIO = 21.0  # decibels
_LEVELS = 255


def quantize(program: onnx_ir.Model, samples: Sequence[Inputs]) -> tuple[onnx_ir.Model, Int8Record]:
    """Quantize the weights of matrix products and embeddings to 8-bit integers, with a scale per column.

    The other factor of a product is rounded to 8 bits when it is known, with one scale for a whole batch (dynamic
    quantisation). Where a few of its numbers are far larger than the rest, as in some layers of BERT (Bondarenko et al.
    2021), the rest drowns in the rounding: such products stay in float. Which those are is measured.

    Args:
        program: The graph, in float32.
        samples: What it will be given, some batches.

    Returns:
        The new graph, and what was done: `products` in all, those `left_in_float`, and whether the weights have a
        `reduced_range` of 7 bits.
    """
    ratios = rounding_ratios(program, samples)
    left = [name for name, ratio in ratios.items() if ratio < _LEAST_RATIO]
    settings = OnnxRuntimeDynamicConfig(
        op_types_to_quantize=["MatMul", "Gather"],  # convolutions are slower in integers (onnxruntime 1.31, on a CPU)
        per_channel=True,
        reduce_range=saturates(),
        weight_type=QuantType.QInt8,
        nodes_to_exclude=[*left, *(f"{name}_MatMul" for name in left)],  # what a Gemm is turned into
    )
    # `samples` go unused: activations are measured when the graph runs.
    quantized = OnnxRuntimeQuantizer(settings).quantize(program, {}, ExportFormat.ONNX)
    return quantized, {"products": len(ratios), "left_in_float": left, "reduced_range": settings.reduce_range}


def rounding_ratios(program: onnx_ir.Model, samples: Sequence[Inputs]) -> dict[str, float]:
    """Return the signal-to-noise ratio of rounding the input of each product with weights to 8 bits.

    Args:
        program: The graph.
        samples: What it is given, some batches.

    Returns:
        Mean square of the input to that of the error of rounding, in decibels, by name of the product.
    """
    inputs = {
        str(node.name): node.inputs[0]
        for node in program.graph
        if node.op_type in ("MatMul", "Gemm") and node.inputs[1] is not None and node.inputs[1].is_initializer()
    }
    values = {str(value.name): value for value in inputs.values() if value is not None}
    ratios: dict[str, list[float]] = {name: [] for name in values}
    with _session_that_gives(program, values) as session:
        takes = [value.name for value in session.get_inputs()]
        for sample in samples:
            found = session.run(list(values), {name: sample[name] for name in takes})
            for name, array in zip(values, found, strict=True):
                ratios[name].append(_ratio(array))
    return {product: float(np.mean(ratios[str(value.name)])) for product, value in inputs.items() if value is not None}


@contextmanager
def _session_that_gives(program: onnx_ir.Model, values: Mapping[str, onnx_ir.Value]) -> Iterator[ort.InferenceSession]:
    """Yield a session of the graph with inner values as outputs; the graph itself is not changed."""
    own = list(program.graph.outputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        try:
            program.graph.outputs.extend(value for value in values.values() if value not in own)
            OnnxExporter.save_program(program, path)
        finally:
            program.graph.outputs.clear()
            program.graph.outputs.extend(own)
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        yield ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _ratio(values: np.ndarray) -> float:
    """Signal to rounding noise in decibels; a step of size s makes an error of mean square s²/12 (Bennett 1948)."""
    step = (max(float(values.max()), 0.0) - min(float(values.min()), 0.0)) / _LEVELS
    power = float(np.mean(np.square(values, dtype=np.float64)))
    return 10 * float(np.log10(power / (step**2 / 12))) if power and step else np.inf
