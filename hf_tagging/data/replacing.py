"""What stands where a corpus is to be written: replaced only where nothing else than an earlier one goes with it."""

from __future__ import annotations

import os
from pathlib import Path

from hf_tagging.data.files import SPLITS
from hf_tagging.data.formats import format_of
from hf_tagging.data.formats.base import Format
from hf_tagging.data.formats.brat import SETTINGS
from hf_tagging.disk import expanded
from hf_tagging.errors import OutputError
from hf_tagging.problems import switch

_OF_FOLDERS = (".txt", ".ann")


def check_target(form: Format, target: Path, *, source: Path | None = None, overwrite: bool) -> None:
    """Check that a file or folder can be written in a format without a loss of anything else.

    Args:
        form: The format.
        target: File or folder to write.
        source: File or folder that is read for it, if any.
        overwrite: Replace an earlier one.

    Raises:
        OutputError: It is there and is not to be replaced, it is read, or it is or holds what this package has not
            written.
    """
    if not os.path.lexists(target) or (form.write_folder and target.is_dir() and not any(target.iterdir())):
        return
    if form.write_folder is not None and not target.is_dir():
        raise _file_for_folder(target)
    if not overwrite:
        raise OutputError(f"{target} is there already; give another name, or {switch('overwrite')} to replace it.")
    if source is not None and _is_read(source, target):
        raise OutputError(f"{target}: what is to be converted is there; give another name.")
    if target.is_dir():
        check_folder_content(form, target)


def check_folder_content(form: Format, folder: Path) -> None:
    """Check that a folder holds nothing but an earlier corpus in a format.

    Raises:
        OutputError: It does, naming the file.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or not _is_written(form, path, folder):
            name = path.relative_to(folder)
            raise OutputError(f"{folder} holds {name}, which no conversion has written. Give another name.")


def check_no_file(target: Path) -> None:
    """Check that no file stands where a folder is to be written.

    Raises:
        OutputError: One does.
    """
    if os.path.lexists(target) and not target.is_dir():
        raise _file_for_folder(target)


def _file_for_folder(target: Path) -> OutputError:
    return OutputError(f"{target} is a file; expected the name of a folder to write.")


def _is_read(source: Path, target: Path) -> bool:
    """Return whether a target is read, holds what is read, or lies in the folder that is."""
    source = expanded(source)
    if not source.exists():  # a name on the Hub
        return False
    form = format_of(source)
    written = Path(os.path.realpath(target))
    for path in (source, *(form.beside(source) if form is not None else ())):
        real = Path(os.path.realpath(path))
        if real == written or written in real.parents or real in written.parents:
            return True
    return False


def _is_written(form: Format, path: Path, folder: Path) -> bool:
    """Return whether a file is one that the format writes, in a folder that nobody but this package has filled."""
    if form.write_folder is None:
        return path.parent == folder and path.name in {f"{split}{form.suffix}" for split in SPLITS}
    ours = path.parent == folder or (path.parent.parent == folder and path.parent.name in SPLITS)
    there = path.suffix in _OF_FOLDERS or path.name == SETTINGS
    return ours and there and (path.parent / SETTINGS).is_file()
