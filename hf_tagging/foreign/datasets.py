"""Private names of `datasets`: what a dataset knows of itself, and its builders' errors and locks.

Seen in datasets 5.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import datasets
from datasets import ArrowBasedBuilder, Dataset
from datasets.exceptions import DatasetGenerationError
from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES
from datasets.utils._filelock import FileLock

from hf_tagging.atomic import whole_file


def fingerprint_of(dataset: Dataset) -> str:
    """Return the hash that tells a dataset's content and every step that led to it.

    Upstream: `Dataset._fingerprint`. Its documentation tells to read it there; there is no other name.
    """
    found: str = dataset._fingerprint
    return found


def is_reordered(dataset: Dataset) -> bool:
    """Return whether a dataset's rows are others, or in another order, than those of its Arrow table.

    Upstream: `Dataset._indices`. The public `flatten_indices` copies a dataset even where there is nothing to flatten.
    """
    return dataset._indices is not None


def is_file_format(name: str) -> bool:
    """Return whether `load_dataset` takes a name for a format of files, such as ``json``, before it asks the Hub.

    Upstream: `datasets.packaged_modules._PACKAGED_DATASETS_MODULES`. `load_dataset` looks there and exports no list.
    """
    return name in _PACKAGED_DATASETS_MODULES


def lock_file(path: Path) -> Path:
    """Return the file in which `datasets` keeps a lock: the path, or a hash in its place where the name is too long.

    Upstream: `datasets.utils._filelock.FileLock`. Nothing else knows the hash, and nothing removes the file.
    """
    return Path(FileLock(str(path)).lock_file)


@contextmanager
def offline(active: bool) -> Iterator[None]:
    """Load datasets from the cache alone.

    Patched: `datasets.config.HF_HUB_OFFLINE`, which is read from the environment once, at import. `load_dataset` has no
    argument for it.

    Args:
        active: False: as the environment says.
    """
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or active
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


class OwnErrorsBuilder(ArrowBasedBuilder):
    """A builder whose own errors reach the caller as they were raised, from worker processes too.

    Upstream: `ArrowBasedBuilder._prepare_split_single`, which wraps whatever `_generate_tables` raises in a
    `DatasetGenerationError`. A worker's error loses its cause on the way back, so that it has to be unwrapped there.
    """

    own_errors: ClassVar[tuple[type[Exception], ...]] = ()

    def _prepare_split_single(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        try:
            yield from super()._prepare_split_single(*args, **kwargs)
        except DatasetGenerationError as error:
            if isinstance(error.__cause__, self.own_errors):
                raise error.__cause__ from None
            raise


class KeepingBuilder(OwnErrorsBuilder):
    """A builder that leaves files beside its rows in the cache, from worker processes too.

    Upstream: `DatasetBuilder._output_dir`, the folder that becomes the cache once all is written. There is no public
    way to leave a file there.
    """

    def keep(self, name: str, text: str) -> None:
        """Leave a file in the folder of the rows, which is `cache_dir` afterwards; none where rows are streamed."""
        folder = Path(self._output_dir)
        if folder.is_dir():
            with whole_file(folder / name) as file:
                file.write(text)
