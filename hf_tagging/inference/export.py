"""Exporting a tagger to ONNX, in float32 or with 8-bit integers, with a comparison before the result is kept.

    DIR ── Tagger ──► graph with any batch and length ──► (int8) ──► DIR-onnx or DIR-int8
             └────────────── the same sentences ──────────────┘ parity, in export.json

The folder is one that Transformers' `ExportedModel.from_pretrained` loads, with the tokenizer beside it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import PreTrainedModel

from hf_tagging.atomic import remove_left_behind, whole_folder, write_json
from hf_tagging.data.spool import Spool
from hf_tagging.disk import check_writable, expanded, writing_to
from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.hub import first_line
from hf_tagging.inference.loading import common_rules
from hf_tagging.inference.onnx_model import (
    GRAPH,
    HOW_TO_INSTALL,
    MANIFEST,
    RECORD,
    ExportRecord,
    Int8Record,
    OnnxModel,
    read_record,
)
from hf_tagging.inference.parity import Parity, compare, examples_file, read_examples
from hf_tagging.inference.reading import CPU_BATCH, batches_of, padded
from hf_tagging.inference.tagger import Tagger
from hf_tagging.locks import LOCK, FolderLock
from hf_tagging.models.encoder import quiet
from hf_tagging.problems import argument, switch
from hf_tagging.rules.rules import RULES
from hf_tagging.training.environment import hardware, versions
from hf_tagging.training.record import HardwareRecord

if TYPE_CHECKING:
    from transformers.exporters import ExportedModel

logger = logging.getLogger(__name__)

# Share of equal tags: below it, no export in the one, a warning in the other. And what 8 bits may lose of F1 or
# accuracy before there is a warning too: where most tags are O, the few that differ may be those that count.
LEAST_EQUAL = {"onnx": 0.999, "int8": 0.98}
MOST_LOST = 0.003
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_SAMPLES = 64  # sentences that show which products 8 bits are too coarse for


def export_tagger(
    model: str,
    *,
    to: str,
    output: str | Path | None = None,
    data: str | Path | None = None,
    overwrite: bool = False,
    trust_remote_code: bool = False,
) -> tuple[Path, Parity]:
    """Export a tagger into a folder that `Tagger.from_pretrained` runs with ONNX Runtime.

    Args:
        model: The output folder of a run, or whatever else `Tagger.from_pretrained` takes.
        to: ``"onnx"``: float32. ``"int8"``: 8-bit integers, see `quantize`.
        output: The folder to write; it appears whole, or not at all. Default: the model's with ``-onnx`` or ``-int8``.
        data: A column file to compare the two on. Default: the validation data of the run.
        overwrite: Replace the export that is in `output`.
        trust_remote_code: Run code that comes with the model.

    Returns:
        The folder, and how the two compare.

    Raises:
        ModelError: If a package is missing, there is no such model, it cannot be exported, or comes out different.
        DataError: If there is nothing to compare on.
        OutputError: If `output` is there and is not to be replaced, or holds something else.
        ConfigError: If `to` is neither of the two.
    """
    if to not in LEAST_EQUAL:
        raise ConfigError(f"to: {to!r} is not one of {', '.join(LEAST_EQUAL)}.")
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ModelError(f"The export needs {', '.join(missing)}. {HOW_TO_INSTALL}")
    target = _target(model, to, output)
    check_target(target, overwrite=overwrite)  # before it is locked: what is refused is not touched
    with FolderLock(target, advice=f"give another {argument('output')}") as lock:
        with writing_to(target):
            remove_left_behind(target)
        check_target(target, overwrite=overwrite)
        return target, _export(model, to, target, lock, data, trust_remote_code)


def _export(
    model: str, to: str, target: Path, lock: FolderLock, data: str | Path | None, trust_remote_code: bool
) -> Parity:
    """Export into a folder that is locked; see `export_tagger`."""
    tagger = Tagger.from_pretrained(model, device="cpu", trust_remote_code=trust_remote_code, rules=False)
    source = _exportable(model, tagger.model)
    with Spool() as spool:
        examples = read_examples(spool.file(examples_file(model, data)), tagger.schema, of_run=data is None)
    with writing_to(target), whole_folder(target) as folder:
        exported = _trace(model, source)
        record: ExportRecord = {"to": to, "source": Path(model).resolve().name, "max_length": tagger.max_length}
        if to == "int8":
            record["int8"] = _to_int8(exported, _samples(tagger, examples.words))
        _save(exported, tagger, folder, record)
        if rules := common_rules([model], trust_remote_code=trust_remote_code):
            shutil.copyfile(rules, folder / RULES)
        result = Tagger.from_pretrained(str(folder), trust_remote_code=trust_remote_code, rules=False)
        parity = compare(tagger, result, examples, sizes=(source.get_memory_footprint(), _graph_size(folder)))
        _judge(model, to, parity)
        record |= {"parity": asdict(parity), "opset": exported.program.opset_imports[""]}
        _write_record(folder, record | {"versions": _versions(), "hardware": _machine()})
        lock.follow(folder)
    return parity


def check_target(target: Path, *, overwrite: bool) -> None:
    """Make sure that an export may be written here.

    Raises:
        OutputError: If something is there, an export without `overwrite` or anything else; or nothing can be written.
    """
    if os.path.isfile(target):
        raise OutputError(f"{target}: is no folder. Give another {argument('output')}.")
    check_writable(target)
    check_writable(Path(os.path.realpath(target)).parent)  # where it is made, and renamed
    if not target.exists() and not target.is_symlink():
        return
    inside = {path.name for path in target.iterdir()} - {LOCK}
    if foreign := sorted(inside.difference(read_record(target).get("files", ()))):
        raise OutputError(
            f"{target}: holds {', '.join(foreign[:4])}, which no export has written. Nothing was changed. "
            f"Give another {argument('output')}."
        )
    if inside and not overwrite:
        raise OutputError(
            f"{target}: holds an export already. Give {switch('overwrite')} to replace it, or give "
            f"another {argument('output')}."
        )


def _target(model: str, to: str, output: str | Path | None) -> Path:
    if output is not None:
        return expanded(output)
    folder = expanded(model)
    if not folder.exists():  # a name on the Hub
        return Path(f"{folder.name}-{to}")
    folder = folder if folder.name.strip(".") else folder.resolve()
    return folder.with_name(f"{folder.name}-{to}")


def _exportable(name: str, model: PreTrainedModel | OnnxModel) -> PreTrainedModel:
    """Return the model if it can be exported.

    Raises:
        ModelError: If it is exported already, or decodes with a loop over words.
    """
    if isinstance(model, OnnxModel):
        raise ModelError(f"{name}: is exported already. Export the model that it was made of.")
    if any(type(part).__name__ == "LinearChainCrf" for part in model.modules()):
        hmm = model.config.model_type == "tagging-hmm"
        advice = (
            f"Use a tagger that is not an HMM: {argument('encoder')} mlp, cnn or transformer"
            if hmm
            else f"Train it with {argument('head', 'linear')}"
        )
        raise ModelError(
            f"{name}: {type(model).__name__} cannot be exported to ONNX: it finds the best path of tags in a "
            f"loop of as many steps as a sentence has words, and a graph has a fixed number. {advice}."
        )
    return model


def _trace(name: str, model: PreTrainedModel) -> ExportedModel:
    """Return the graph of a model, for any number of windows of any length.

    Raises:
        ModelError: If it cannot be traced; in the words of the model where it has some.
    """
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    from transformers.exporters import OnnxConfig, OnnxExporter

    ids = torch.arange(33).reshape(3, 11) % model.config.vocab_size
    mask = (torch.arange(11) < torch.tensor([[11], [7], [2]])).long()
    inputs = {"input_ids": ids, "attention_mask": mask}
    any_shape = {name: {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC} for name in inputs}
    try:
        with _silence():
            exported = OnnxExporter().export(model, inputs, OnnxConfig(dynamic_shapes=any_shape))
    except Exception as error:  # whatever the libraries raise of a model that they cannot trace
        own = next((cause for cause in _causes(error) if isinstance(cause, NotImplementedError)), None)
        reason = str(own) if own else f"{type(model).__name__} cannot be exported to ONNX ({first_line(error)})."
        raise ModelError(f"{name}: {reason}") from error
    ClearMetadataAndDocStringPass()(exported.program)  # the trace of every node, with the paths of this machine
    return exported


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _to_int8(exported: ExportedModel, samples: list[dict[str, np.ndarray]]) -> Int8Record:
    from hf_tagging.inference.quantizing import quantize

    component = next(iter(exported.components.values()))
    with _silence():
        component.program, done = quantize(component.program, samples)
    return done


def _samples(tagger: Tagger, sentences: list[list[str]]) -> list[dict[str, np.ndarray]]:
    """Return sentences spread over all of them, in batches of the size that tagging uses."""
    chosen = [sentences[i] for i in np.linspace(0, len(sentences) - 1, min(_SAMPLES, len(sentences)), dtype=int)]
    windows = tagger.windows(chosen)
    batches = batches_of(np.diff(windows.offsets), CPU_BATCH)
    pad = tagger.tokenizer.pad_token_id or 0
    return [dict(zip(("input_ids", "attention_mask"), padded(windows, x, pad), strict=True)) for x in batches]


def _save(exported: ExportedModel, tagger: Tagger, folder: Path, record: ExportRecord) -> None:
    exported.save_pretrained(folder)
    tagger.tokenizer.model_max_length = tagger.max_length  # the same windows
    tagger.tokenizer.save_pretrained(folder)
    _write_record(folder, record)


def _write_record(folder: Path, record: ExportRecord) -> None:
    """Add our record of the export to the manifest of Transformers."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    files = sorted(path.name for path in folder.iterdir())
    write_json(folder / MANIFEST, manifest | {RECORD: record | {"files": files}}, default=None)


def _judge(name: str, to: str, parity: Parity) -> None:
    """Refuse a float32 graph with other tags; warn about an int8 graph with too many other tags or a worse score."""
    least, coarse = LEAST_EQUAL[to], "8 bits are coarse for this model"
    before, after = parity.source.score, parity.exported.score
    if to == "int8" and before is not None and after is not None and after < before - MOST_LOST:
        fall = f"{parity.metric} on {parity.examples} falls from {before:.4f} to {after:.4f}"
        logger.warning(f"%s: %s (%s). Export it {argument('to', 'onnx')}.", name, coarse, fall)
    if parity.equal >= least:
        return
    found = f"{parity.equal:.2%} of the tags of {parity.examples} are those of the model, expected at least {least:.1%}"
    if to == "onnx":
        raise ModelError(
            f"{name}: the exported graph tags otherwise ({found}). Nothing was written; use the model itself."
        )
    logger.warning(f"%s: %s (%s). Check its scores, or export it {argument('to', 'onnx')}.", name, coarse, found)


def _graph_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"{GRAPH}*"))


def _versions() -> dict[str, str]:
    return versions() | {name: metadata.version(name) for name in _PACKAGES}


def _machine() -> HardwareRecord:
    return hardware(1) | {"threads": torch.get_num_threads()}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Silence what the libraries print and log; the result is compared anyway, and errors are raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
