"""Splits from one file: documents of train are held out for validation and test, or cut into folds."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset

from hf_tagging.data.files import SPLITS
from hf_tagging.errors import DataError, Problem
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

CUTS = ("folds", "test_share", "validation_share")  # arguments that draw a split


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """Options for holding out part of train, by whole documents, or by sentences if there are no documents.

    The documents are put in an order by chance, which the seed alone decides. The test split is taken from this order
    and validation from what follows it, so that for one seed the test split is the same with validation and without.

    Args:
        validation_share: Share of the sentences for validation.
        test_share: Share of the sentences for test.
        folds: Cut the order into this many parts with as equal numbers of sentences as whole documents allow, and test
            on one of them: over all folds every sentence is tested once.
        fold: Which one, from 0.
        seed: Decides the order.
    """

    validation_share: float | None = None
    test_share: float | None = None
    folds: int | None = None
    fold: int | None = None
    seed: int = 42

    def arguments(self) -> dict[str, float | int | None]:
        """Return these options under the names of `DataConfig`; without a cut, the seed decides nothing."""
        cuts = {name: getattr(self, name) for name in CUTS}
        is_cut = any(cut is not None for cut in cuts.values())
        return cuts | {"fold": self.fold, "split_seed": self.seed if is_cut else None}

    def problems(self) -> list[Problem]:
        """Return problems with shares and folds."""
        shares = {"validation_share": self.validation_share, "test_share": self.test_share}
        found = [
            Problem(name, share, f"{share} is not between 0 and 1")
            for name, share in shares.items()
            if share is not None and not 0 < share < 1
        ]
        folds, fold = self.folds, self.fold
        if folds is None:
            if fold is not None:
                found.append(Problem("fold", fold, f"{fold} of how many? Give folds too, for example 5"))
        elif self.test_share is not None:
            reason = "give one of the two; with folds, the fold is the test split"
            found.append(Problem("folds, test_share", folds, reason))
        elif folds < 2:
            found.append(Problem("folds", folds, f"{folds} is below 2"))
        elif fold is None:
            reason = f"{folds}, and which one is the test split? Give fold, from 0 to {folds - 1}"
            found.append(Problem("folds", folds, reason))
        elif not 0 <= fold < folds:
            found.append(Problem("fold", fold, f"{fold} is not from 0 to {folds - 1}, with {folds} folds"))
        test = self.test_share or (1 / folds if folds else 0)
        if not found and test + (self.validation_share or 0) >= 1:
            reason = f"{self.validation_share} leaves nothing to train on beside the test split"
            found.append(Problem("validation_share", self.validation_share, reason))
        return found

    def split(self, splits: dict[str, Dataset], place: str) -> dict[str, Dataset]:
        """Hold out the requested splits.

        Args:
            splits: The splits that there are.
            place: The source as a message names it.

        Returns:
            All splits; each keeps the order of its rows.

        Raises:
            DataError: There is no train split, the split to hold out is there already, or there are not enough
                documents.
        """
        wanted = {"validation": self._validation_flag, "test": self._test_flag}
        wanted = {split: flag for split, flag in wanted.items() if flag}
        if not wanted:
            return splits
        for split, flag in wanted.items():
            if split in splits:
                raise DataError(f"{flag}: {place} has a {split} split of its own; leave one of them out")
            if "train" not in splits:
                raise DataError(f"{flag}: {place} has no train split to hold a share of out")
        train = splits["train"]
        documents = self._documents(train, wanted, place)
        sizes = np.bincount(documents)
        taken = self._take(sizes)
        parts = {"train": train.select(np.flatnonzero(~np.isin(documents, np.concatenate(list(taken.values())))))}
        for split, chosen in taken.items():
            parts[split] = train.select(np.flatnonzero(np.isin(documents, chosen)))
            which = f"fold {self.fold} of {self.folds}, " if split == "test" and self.folds else ""
            logger.info(
                "held out %d of %d documents of train as %s (%sseed %d)",
                *(len(chosen), len(sizes), split, which, self.seed),
            )
        parts = splits | parts
        return {split: parts[split] for split in SPLITS if split in parts}

    @property
    def _validation_flag(self) -> str:
        return argument("validation_share", self.validation_share) if self.validation_share is not None else ""

    @property
    def _test_flag(self) -> str:
        if self.folds is not None:
            return argument("folds", self.folds)
        return argument("test_share", self.test_share) if self.test_share is not None else ""

    def _documents(self, train: Dataset, wanted: dict[str, str], place: str) -> np.ndarray:
        """Return the document number of each row, and check that there are enough documents. (sentences,)"""
        documents, units = _document_numbers(train), "documents"
        flags = " ".join(wanted.values())
        if documents.max() == 0:
            logger.warning("%s is a single document: a share of its sentences is held out", place)
            documents, units = np.arange(len(train)), "sentences"
        count, needed = int(documents.max()) + 1, max(len(wanted) + 1, self.folds or 0)
        if count == 1:
            flag = argument("validation_file" if "validation" in wanted else "test_file")
            raise DataError(f"{flags}: {place} is a single sentence; give {flag} instead")
        if count < needed:
            raise DataError(f"{flags}: {place} has {count} {units}; expected at least {needed}")
        return documents

    def _take(self, sizes: np.ndarray) -> dict[str, np.ndarray]:
        """Choose the documents of each split that is held out.

        Args:
            sizes: Sentences of each document. (documents,)
        """
        order = np.random.default_rng(self.seed).permutation(len(sizes))
        taken = {}
        if self.folds is not None and self.fold is not None:
            bounds = fold_bounds(sizes[order], self.folds)
            first, end = bounds[self.fold], bounds[self.fold + 1]
            order = np.roll(order, -first)  # so that every fold has other documents for validation too
            taken["test"], order = order[: end - first], order[end - first :]
        elif self.test_share is not None:
            keep = 2 if self.validation_share is not None else 1
            taken["test"], order = _share(order, sizes, self.test_share, keep=keep)
        if self.validation_share is not None:
            if len(order) < 2:  # of two folds, one may be all documents but one
                raise DataError(
                    f"{self._test_flag} {self._validation_flag}: beside the test split one document is left; expected "
                    "one to train on and one to validate on"
                )
            taken["validation"], order = _share(order, sizes, self.validation_share, keep=1)
        return taken


def fold_bounds(sizes: np.ndarray, folds: int) -> np.ndarray:
    """Cut documents into consecutive, non-empty parts with similar numbers of sentences.

    Args:
        sizes: Sentences of each document, in the order that is cut; as many documents as folds, or more.
        folds: Number of parts.

    Returns:
        Where each part begins, and the end. (folds + 1,)
    """
    reached = np.concatenate([[0], np.cumsum(sizes)])
    targets = reached[-1] * np.arange(folds + 1) / folds
    above = np.searchsorted(reached, targets)
    below = np.maximum(above - 1, 0)
    bounds = np.where(reached[above] - targets <= targets - reached[below], above, below)
    numbers = np.arange(folds + 1)
    bounds = np.maximum.accumulate(bounds - numbers) + numbers  # a large document must not leave a part empty
    return np.minimum(bounds, len(sizes) - folds + numbers)


def _share(order: np.ndarray, sizes: np.ndarray, share: float, *, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """Take documents from the front until they reach a share of all sentences; at least `keep` are left."""
    reached = np.cumsum(sizes[order])
    count = min(int(np.searchsorted(reached, share * sizes.sum())) + 1, len(order) - keep)
    return order[:count], order[count:]


def _document_numbers(dataset: Dataset) -> np.ndarray:
    """Return the document number of each row; without documents, each row is its own. (sentences,)"""
    if "document_id" not in dataset.column_names:
        return np.arange(len(dataset))
    encoded_ids = pc.dictionary_encode(dataset.data.column("document_id")).unify_dictionaries()
    return np.concatenate([chunk.indices.to_numpy() for chunk in encoded_ids.chunks])
