"""Checkpoints that can be trusted: what marks one as whole, what is wrong with one, which one a run goes on from."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import TrainerState

from hf_tagging.atomic import PARTIAL, give_usual_mode, inside, sync, write_json
from hf_tagging.errors import OutputError, TaggingError
from hf_tagging.hub import first_line
from hf_tagging.memory import out_of_memory
from hf_tagging.problems import argument, switch
from hf_tagging.training.fitting import WEIGHTS, other_model

logger = logging.getLogger(__name__)

MARK = "complete.json"
_CHECKPOINT = re.compile(r"checkpoint-\d+")
_STATE = "trainer_state.json"
# What is left out when it is not there, without a word: training would go on from another state (transformers 5.23).
_NEEDED = {
    "optimizer": ("optimizer*", "global_step*"),  # the latter is DeepSpeed's folder
    "learning rate schedule": ("scheduler.pt", "global_step*"),
    "random state": ("rng_state*.pth",),
}
_FILES = (".pt", ".pth", ".bin", ".json", ".safetensors")
_PICKLES = (".pt", ".pth")  # which PyTorch writes as ZIP archives, with checksums of their own


def checkpoints_of(folder: Path) -> list[Path]:
    """Return the checkpoints in a run's folder, the oldest first."""
    found = [path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)]
    return sorted(found, key=_number)


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def rotate(newest: Path, keep: int | None, best: str | None) -> None:
    """Remove the oldest checkpoints of a run, but never the newest or the best.

    Those of a higher number do not count: an earlier attempt has left them, and what is written now is not old.

    Args:
        newest: The one that was just written.
        keep: How many stay; None: all.
        best: The best one.
    """
    if not keep:
        return
    there = [path for path in checkpoints_of(newest.parent) if _number(path) <= _number(newest)]
    protected = {path for path in there if path == newest or (best and path.resolve() == Path(best).resolve())}
    others = [path for path in there if path not in protected]
    for checkpoint in others[: max(0, len(others) + len(protected) - keep)]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def mark_complete(checkpoint: Path) -> None:
    """Write the list of a checkpoint's files with their sizes and hashes: from now on it counts.

    The files are on disk before the list is: a list that survives a power cut is true.
    """
    files: dict[str, dict[str, int | str]] = {}
    for path in sorted(checkpoint.rglob("*")):
        name = path.relative_to(checkpoint).as_posix()
        if path.is_file() and name != MARK and not name.endswith(PARTIAL):
            give_usual_mode(path)
            sync(path)
            files[name] = {"bytes": path.stat().st_size, "sha256": _sha256(path)}
    for folder in {path.parent for path in checkpoint.rglob("*")} | {checkpoint, checkpoint.parent}:
        sync(folder)
    write_json(checkpoint / MARK, files)


def is_complete(checkpoint: Path) -> bool:
    """Return whether a checkpoint holds every file that it is said to hold, unchanged."""
    return damage(checkpoint) is None


def damage(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint's files, the end of a sentence; None where it is whole.

    Checkpoints of earlier versions list sizes without hashes. They are checked by size and, as all are, by the
    checksums that PyTorch's own files carry.
    """
    try:
        listed = _listed(checkpoint)
        if listed is None:
            return f"has no {MARK}: it was not written to its end, or not by hf-tagging"
        for entry in checkpoint.rglob("*"):
            if entry.suffix in _FILES and not entry.is_file():
                return f"{entry.name} is no file"
        for name, (size, digest) in listed.items():
            path = inside(checkpoint, name)
            if path is None:
                return f"{MARK} lists {name!r}, which is no file of the checkpoint"
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != size:
                return f"{name} is damaged (it has {path.stat().st_size:,} bytes and had {size:,})"
            if digest is not None and _sha256(path) != digest:
                return f"{name} is damaged (its hash differs)"
            if path.suffix in _PICKLES and not _archive_is_whole(path):
                return f"{name} is damaged (it cannot be read)"
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except (ValueError, RecursionError):
        return f"{MARK} is damaged"
    return None


def _listed(checkpoint: Path) -> dict[str, tuple[int, str | None]] | None:
    """Return size and hash per file as the mark has them; None where there is no mark.

    Raises:
        ValueError: If the mark is not one.
    """
    if not (checkpoint / MARK).is_file():
        return None
    content = json.loads((checkpoint / MARK).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not content:
        raise ValueError(MARK)
    listed: dict[str, tuple[int, str | None]] = {}
    for name, entry in content.items():
        size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (entry, None)
        if type(size) is not int or isinstance(entry, dict) != isinstance(digest, str):
            raise ValueError(name)
        listed[name] = (size, digest)
    return listed


def has_hashes(checkpoint: Path) -> bool:
    """Return whether the mark of a whole checkpoint lists hashes, and not sizes alone."""
    return all(digest is not None for _, digest in (_listed(checkpoint) or {}).values())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _archive_is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, ValueError):
        return False


@contextmanager
def loading(checkpoint: str | Path | None) -> Iterator[None]:
    """End in one message where the Trainer cannot load a checkpoint whose files are whole.

    Args:
        checkpoint: Its folder; None: nothing is loaded.

    Raises:
        OutputError: For whatever the libraries raise, want of memory aside.
    """
    try:
        yield
    except TaggingError:
        raise
    except Exception as error:
        if checkpoint is None or out_of_memory(error):
            raise
        if isinstance(error, pickle.UnpicklingError):  # of `weights_only`, whose text advises to leave it out
            raise OutputError(
                f"{checkpoint}: one of its .pt or .pth files was not written by training: it is a pickle with more "
                "than tensors and numbers in it, which could run code when it is loaded. Remove that "
                f"folder; {switch('resume')} "
                "then goes on from an older one."
            ) from error
        raise OutputError(
            f"{checkpoint}: training cannot go on from it ({type(error).__name__}: {first_line(error)}). Remove that "
            f"folder; {switch('resume')} then goes on from an older one."
        ) from error


@dataclass(frozen=True)
class Found:
    """A checkpoint that a run can go on from.

    Args:
        checkpoint: The newest one that is whole and fits; None: there is nothing to go on from.
        damaged: Those that are not whole, and that the run will write anew or has begun to delete.
    """

    checkpoint: Path | None
    damaged: list[Path]


def newest_checkpoint(folder: Path, model: nn.Module, *, with_best: bool) -> Found:
    """Return the newest checkpoint that is whole and fits a model; each newer one is named in the log.

    Args:
        folder: Folder of the run.
        model: What is to be trained further, not yet wrapped for several processes.
        with_best: Whether the run ends with its best checkpoint, which then has to be whole too.

    Raises:
        OutputError: If there were whole checkpoints once, and there is none that can be used.
    """
    there = checkpoints_of(folder)
    damaged = _unmarked(there)
    refused: list[str] = []
    for checkpoint in reversed(there):
        reason = damage(checkpoint)
        if reason and checkpoint not in damaged:
            damaged.append(checkpoint)
        reason = (
            reason
            or _lacking(checkpoint)
            or misfit(checkpoint, model)
            or (lost_best(checkpoint) if with_best else None)
        )
        if reason is None:
            for line in refused:
                logger.warning("%s; it is passed over", line)
            if not has_hashes(checkpoint):
                logger.warning("%s: was written by an earlier version, without hashes; checked by size", checkpoint)
            return Found(checkpoint, damaged)
        refused.append(f"{checkpoint.name}: {reason}")
    if any((checkpoint / MARK).exists() for checkpoint in there):
        lines = "".join(f"\n  {line}" for line in refused)
        raise OutputError(
            f"{folder}: training cannot go on from any of its checkpoints:{lines}\nNothing was changed. Remove these "
            f"folders and give {switch('resume')} to start from the first step, or "
            f"{switch('overwrite')} to replace the whole run."
        )
    for line in refused:
        logger.warning("%s; training starts from the first step", line)
    return Found(None, damaged)


def unusable(folder: Path, *, but: Path | None = None) -> list[Path]:
    """Return the checkpoints that are not whole, where a run does not go on from the newest one; each is logged.

    Args:
        folder: Folder of the run.
        but: One that is not looked at.

    Raises:
        OutputError: If only their marks seem to be lost.
    """
    there = [path for path in checkpoints_of(folder) if but is None or path.resolve() != but.resolve()]
    _unmarked(there)
    found = {path: reason for path in there if (reason := damage(path))}
    for path, reason in found.items():
        logger.warning("%s: %s; it is removed", path.name, reason)
    return list(found)


def _unmarked(there: list[Path]) -> list[Path]:
    """Return the checkpoints without a mark, which are to be removed.

    Raises:
        OutputError: If none has one, though more than one seems to be whole: a kill leaves one such at most.
    """
    unmarked = [path for path in there if not (path / MARK).exists()]
    full = [path for path in unmarked if (path / _STATE).is_file() and any(any(path.glob(w)) for w in WEIGHTS)]
    if len(full) > 1 and len(unmarked) == len(there):
        raise OutputError(
            f"{there[0].parent}: {', '.join(path.name for path in full)} hold weights and state, but no {MARK}, which "
            "may have been lost in a copy. Nothing was changed. Copy these files too, remove the folders to start "
            f"from the first step, or give {switch('overwrite')} to replace the whole run."
        )
    return unmarked


def _lacking(checkpoint: Path) -> str | None:
    """Return what a checkpoint lacks for training to go on as if it had never stopped, the end of a sentence."""
    missing = [part for part, kinds in _NEEDED.items() if not any(any(checkpoint.glob(kind)) for kind in kinds)]
    return f"has no {' and no '.join(missing)}" if missing else None


def read_state(checkpoint: Path) -> TrainerState:
    """Return the Trainer's state in a checkpoint, the path of the best one as it is now.

    The state names the best checkpoint by a path from where the run was started: the folder may have been moved since,
    or be given by another path. It lies beside the one that refers to it.

    Raises:
        ValueError: If it cannot be used, with the end of a sentence.
    """
    file = checkpoint / _STATE
    if not file.is_file():
        raise ValueError(f"{_STATE} is missing")
    damaged = f"{_STATE} is damaged"
    try:
        state = TrainerState.load_from_json(str(file))
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise ValueError(damaged) from error
    if type(state.global_step) is not int or state.global_step < 1 or not isinstance(state.log_history, list):
        raise ValueError(damaged)
    best = state.best_model_checkpoint
    if not isinstance(best, str | None):
        raise ValueError(damaged)
    if best is not None:
        name = Path(best).name
        own = name in (checkpoint.name, f"checkpoint-{state.global_step}")  # the folder may have another name now
        state.best_model_checkpoint = str(checkpoint if own else checkpoint.parent / name)
    return state


def lost_best(checkpoint: Path) -> str | None:
    """Return what is wrong with the best checkpoint that a newer one refers to, the end of a sentence.

    Args:
        checkpoint: One whose state can be read.
    """
    best = read_state(checkpoint).best_model_checkpoint
    if best is None or Path(best) == checkpoint:
        return None
    reason = damage(Path(best))
    return reason and f"refers to the best one, {Path(best).name}: {reason}"


def check_checkpoint(checkpoint: str | Path, model: nn.Module, *, with_best: bool) -> None:
    """Make sure that training can go on from a checkpoint that was asked for by name.

    Args:
        checkpoint: Its folder.
        model: What is to be trained further, not yet wrapped for several processes.
        with_best: See `newest_checkpoint`.

    Raises:
        OutputError: If it is damaged, lacks the state of training, or is one of another model.
    """
    folder = Path(checkpoint)
    if reason := (
        damage(folder) or _lacking(folder) or misfit(folder, model) or (lost_best(folder) if with_best else None)
    ):
        raise OutputError(
            f"{argument('resume_from_checkpoint', checkpoint)}: {reason}. Nothing was changed. Give another "
            "checkpoint, or leave "
            f"it out and give {switch('resume')}: the newest one that is whole is found by itself."
        )


def misfit(checkpoint: Path, model: nn.Module) -> str | None:
    """Return why a model cannot be trained further from a checkpoint, the end of a sentence; None where it can.

    Args:
        checkpoint: A whole one.
        model: Not yet wrapped for several processes. Weights that FSDP or DeepSpeed wrote are not looked at.
    """
    try:
        read_state(checkpoint)
    except ValueError as error:
        return str(error)
    return other_model(checkpoint, model)
