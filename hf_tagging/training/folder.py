"""Folder of a run: files of the run, files of others, and checkpoints that can be trusted."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from hf_tagging.atomic import PARTIAL, inside, place, remove, write_json
from hf_tagging.disk import check_writable
from hf_tagging.errors import OutputError
from hf_tagging.locks import LOCK
from hf_tagging.problems import argument, switch
from hf_tagging.training.checkpoints import checkpoints_of, is_complete
from hf_tagging.training.record import RECORD, RunRecord, read_record

# What a run writes at its end. A file of such a name that no run has listed as its own belongs to somebody else.
_WRITTEN = (
    "results.json", "README.md", "config.json", "model*.safetensors*", "adapter_config.json",
    "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt",
    "vocab.json", "merges.txt", "added_tokens.json", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    "predictions/validation.conll", "predictions/test.conll", "predictions/also_test.conll", "predictions/seen.json",
    "predictions/documents.json", "report.html",
)  # fmt: skip
# What `atomic.whole_path` calls a file while it is being written.
_HALF_WRITTEN = re.compile(rf"\..+\.[0-9a-f]{{12}}{re.escape(PARTIAL)}")


class RunFolder:
    """A folder that a run writes into.

    Args:
        path: The folder; it need not be there.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def record(self) -> RunRecord | None:
        """Return the content of `run.json`; None without a run, or where `damage` says why it cannot be used."""
        return read_record(self.path / RECORD)[0]

    def damage(self) -> str:
        """Return what is wrong with `run.json`; empty where it can be used, or is not there."""
        return read_record(self.path / RECORD)[1]

    def check(self, *, resume: bool, overwrite: bool, resumable: bool = True) -> None:
        """Make sure that a run may write here.

        Args:
            resume: Go on with the run that is there.
            overwrite: Replace it.
            resumable: There is a flag to go on with it.

        Raises:
            OutputError: If there is a run and neither flag is set, or files that are not a run's would be lost or
                written through a link, or the folder cannot be written.
        """
        check_writable(self.path)
        record, damage = read_record(self.path / RECORD)
        own = {*record["files"], RECORD} if record else set()
        removed = own | {path.name for path in self.checkpoints()} if overwrite and record else set()
        self.refuse_links(RECORD, "predictions", "checkpoint-*", *_WRITTEN, *own, removed=removed)
        if damage:
            raise OutputError(
                f"{self.path / RECORD}: {damage}, so it is not known which files here are the run's. Nothing was "
                f"changed. Move the folder away or choose another {argument('output_dir')}."
            )
        foreign = self._foreign(record)
        if foreign:
            raise OutputError(
                f"{self.path}: holds {', '.join(foreign[:4])}, which a run would write over and no run has written. "
                f"Nothing was changed. Choose another {argument('output_dir')}."
            )
        if record is not None and not (resume or overwrite):
            ways = [f"{switch('resume')} to go on with it"] if resumable else []
            ways.append(f"{switch('overwrite')} to replace it")
            raise OutputError(
                f"{self.path}: holds a run already (status: {record['status']}). Nothing was changed. "
                f"Give {', '.join(ways)}{',' if resumable else ''} or choose another {argument('output_dir')}."
            )

    def _foreign(self, record: RunRecord | None) -> list[str]:
        own = set(record["files"]) if record else set()
        found = [p.relative_to(self.path).as_posix() for kind in _WRITTEN for p in self.path.glob(kind)]
        found += [path.name for path in self.checkpoints()] if record is None else []
        return sorted(set(found) - own)

    def refuse_links(self, *kinds: str, removed: Iterable[str] = ()) -> None:
        """Make sure that nothing is written through links to the outside: a folder may come from an untrusted source.

        Args:
            kinds: What is written, names with ``*``.
            removed: Names of those that are removed first, as links.

        Raises:
            OutputError: If a link of such a name leads out of the folder.
        """
        root = Path(os.path.realpath(self.path))
        there = {
            path.relative_to(self.path).as_posix(): Path(os.path.realpath(path))
            for path in (*self.path.glob("*"), *self.path.glob("predictions/*"))
        }
        if outside := sorted(
            name
            for name, real in there.items()
            if name not in set(removed) and not real.is_relative_to(root) and any(fnmatchcase(name, k) for k in kinds)
        ):
            raise OutputError(
                f"{self.path / outside[0]}: is a link that leads out of the folder, to {there[outside[0]]}, and would "
                "be written through. Nothing was changed. Remove it, or put the file itself there."
            )

    def remove_run(self) -> None:
        """Remove what the run here has written, and nothing that a person may have put beside it."""
        record = self.record()
        if record is None:
            return
        for checkpoint in self.checkpoints():
            remove(checkpoint)
        for name in (*record["files"], RECORD):
            file = inside(self.path, name)
            if file is not None and file.name != LOCK and (file.is_symlink() or not file.is_dir()):
                file.unlink(missing_ok=True)
        predictions = self.path / "predictions"
        if predictions.is_dir() and not any(predictions.iterdir()):
            predictions.rmdir()

    def remove_left_behind(self) -> None:
        """Remove the files that a killed run was writing: nobody else may be writing here."""
        for file in (*self.path.glob(f".*{PARTIAL}"), *self.path.glob(f"predictions/.*{PARTIAL}")):
            if _HALF_WRITTEN.fullmatch(file.name):
                remove(file)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints, the oldest first."""
        return checkpoints_of(self.path)

    def last_checkpoint(self) -> Path | None:
        """Return the newest checkpoint that was written to its end and is unchanged, or None."""
        return next((path for path in reversed(self.checkpoints()) if is_complete(path)), None)

    def write(self, name: str, content: object) -> None:
        """Write a JSON file, whole."""
        write_json(self.path / name, content)

    def take(self, files: Iterable[Path]) -> None:
        """Move files into the folder, each at once."""
        files = list(files)
        self.refuse_links(*(file.name for file in files))
        for file in files:
            place(file, self.path / file.name)
