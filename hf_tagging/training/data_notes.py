"""Data of a run, as its record describes it: how much there is, and what was changed before it is learned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from datasets import Dataset, DatasetDict
from transformers import PreTrainedConfig

from hf_tagging.data.aligned import AlignedSplit, AlignmentCounts
from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.findings import SUSPICIOUS_UNKNOWN, TOO_MANY_UNKNOWN, UNKNOWN_WORDS
from hf_tagging.data.loading import unseen_tags
from hf_tagging.data.origin import origin_of
from hf_tagging.data.other_tags import OtherTags
from hf_tagging.data.prefixes import PLAIN
from hf_tagging.data.reading import reading_report
from hf_tagging.data.schema import Conversion
from hf_tagging.data.streaming import Stream, stream_of
from hf_tagging.data.word_cut import find_word_cut
from hf_tagging.errors import DataError
from hf_tagging.inspection.checks import check_before_training
from hf_tagging.models.baseline import VOCABULARY
from hf_tagging.problems import argument
from hf_tagging.tasks import TASKS
from hf_tagging.training.config import RunConfig, ScratchConfig
from hf_tagging.training.environment import describe_split
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import AlignmentRecord, RemarkRecord, RunRecord, SchemeRecord
from hf_tagging.training.resuming import check_same_data

logger = logging.getLogger("hf_tagging")


class DataNotes:
    """Notes in the record of a run about its data, which is held to that of the run that is resumed.

    Args:
        arguments: All arguments of the run.
        record: Record that the notes are written into.
    """

    def __init__(self, arguments: RunConfig, record: RunRecord):
        self.arguments = arguments
        self.record = record
        self.folder = RunFolder(str(arguments.training.output_dir))
        self._before: RunRecord = {}  # the record of the run that is resumed
        self._splits: dict[str, AlignedSplit] = {}
        self.other_tags: OtherTags | None = None
        self.stream: Stream | None = None

    def select(self, dataset: DatasetDict) -> DatasetDict:
        """Keep the first `max_train_samples` and `max_eval_samples` sentences, and note what there is.

        Raises:
            DataError: If there is nothing to train on, what there is looks wrong, or the run to be resumed had other
                data.
        """
        data = self.arguments.data
        limits = {"train": data.max_train_samples, "validation": data.max_eval_samples, "test": data.max_eval_samples}
        kept = DatasetDict()
        for name, split in dataset.items():
            limit = limits.get(name)
            kept[name] = split if limit is None else split.select(range(min(limit, len(split))))
        self.stream = stream_of(kept["train"]) if "train" in kept else None
        if data.streaming and self.stream is None and "train" in kept:
            raise DataError(
                f"{self.arguments.dataset_name}: the training split is no stream any more, as {argument('streaming')} "
                "asks for; give it as load_tagging_dataset has returned it, neither mapped nor selected from."
            )
        if self.arguments.training.do_train and "train" not in kept:
            raise DataError(
                f"{self.arguments.dataset_name}: has no training split (there is {', '.join(kept)}); give "
                f"{argument('train_file')}, or {argument('do_train', False)} to evaluate alone."
            )
        self.note_data(kept)
        self.note_reading(kept)
        self.note_other_tags(dataset, limit=limits["test"])
        return kept

    def note_other_tags(self, dataset: Mapping[str, Dataset], *, limit: int | None = None) -> None:
        """Read the other tags of the test split, if `also_test` names some, and note them like a split.

        Args:
            dataset: The splits, whole.
            limit: Sentences of the test split that are scored; None: all.

        Raises:
            DataError: If they do not fit the test split, or the run to be resumed had others.
        """
        found = self.arguments.load_other_tags(dataset)
        if found is None:
            return
        self.other_tags = found.first(limit)
        self.note_data({ALSO_TEST: self.other_tags.words})
        read, also = reading_report(dataset["test"]), reading_report(found.words)
        if read and also:
            read.splits[ALSO_TEST] = also.splits.get("test", [])
            self.record["dataset"]["reading"] = read.as_dict()

    def note_data(self, splits: Mapping[str, Dataset]) -> None:
        """Note how large splits are, and what they hold.

        Args:
            splits: With `tokens` and `tags`.

        Raises:
            DataError: If the run to be resumed had other data.
        """
        name = self.arguments.dataset_name
        found = {split: describe_split(words) for split, words in splits.items()}
        noted = self.record.setdefault("dataset", {"name": name, "splits": {}})
        noted["splits"] = noted.get("splits", {}) | found
        check_same_data(self._before, found, name=name, folder=self.folder.path)

    def note_reading(self, dataset: DatasetDict) -> None:
        """Note how data was read, and what is suspicious about it, which is logged as well.

        Args:
            dataset: Words and tags, as they were loaded.

        Raises:
            DataError: If they look wrong, and nobody has said that they are right.
        """
        noted = self.record.setdefault("dataset", {})
        if dataset and (report := reading_report(dataset)):
            noted["reading"] = report.as_dict()
        if dataset and self.arguments.task.name in TASKS:  # not of pretraining, which reads words alone
            accept = self.arguments.data.accept or ()
            place = self.arguments.dataset_name
            found = check_before_training(dataset, self.arguments.task, place=place, accept=accept)
            noted["findings"] = [cast(RemarkRecord, asdict(remark)) for remark in found]

    def note_conversion(self, conversion: Conversion) -> None:
        """Log and note which scheme the data had, and how many tags were repaired; further splits are added up."""
        changed = "kept" if conversion.source == conversion.target else f"written as {conversion.target}"
        repaired = f"; {conversion.repaired:,} of {conversion.words:,} tags were invalid and are repaired"
        logger.info("Entities are in %s, %s%s", conversion.source, changed, repaired if conversion.repaired else "")
        noted = cast(SchemeRecord, asdict(conversion))
        if earlier := self.record.get("scheme"):
            noted["words"] += earlier.get("words", 0)
            noted["repaired"] += earlier.get("repaired", 0)
        self.record["scheme"] = noted

    def note_alignment(self, splits: dict[str, AlignedSplit]) -> dict[str, AlignedSplit]:
        """Log and note what alignment did; return the splits.

        Raises:
            DataError: If a split has no words at all, or half of them are nothing to a pretrained tokenizer.
        """
        counts = {name: split.counts() for name, split in splits.items()}
        for name, count in counts.items():
            if not count.windows:
                what = "learn from" if name == "train" else "evaluate on"
                raise DataError(
                    f"{name}: none of its sentences ({count.sentences:,}) has a word, so there is nothing to {what}. "
                    f"Look at the file, and at {argument('max_train_samples')} and "
                    f"{argument('max_eval_samples')}, which take the first ones."
                )
            if changes := count.describe():
                logger.info("%s: %s", name, changes)
            self._check_unknown(name, count)
        noted = {name: cast(AlignmentRecord, asdict(count)) for name, count in counts.items()}
        self.record["alignment"] = self.record.get("alignment", {}) | noted
        self._splits |= splits
        # Counted here and not when it was loaded: by now every split is in one scheme.
        whole = {n: s for n, s in self._splits.items() if n != "train" or self.stream is None}
        words = DatasetDict({name: split.words for name, split in whole.items()})
        self.record.setdefault("dataset", {})["unseen_tags"] = unseen_tags(words) | self._unseen_other_tags(words)
        return splits

    def _unseen_other_tags(self, splits: Mapping[str, Dataset]) -> dict[str, dict[str, int]]:
        """Count, and warn of, the other tags of the test split that training never has."""
        if self.other_tags is None or "train" not in splits:
            return {}
        scheme = self.record.get("scheme", {}).get("target", PLAIN)
        if not (unseen := self.other_tags.unseen_in(splits["train"], scheme)):
            return {}
        counts = ", ".join(f"{tag} ({count:,})" for tag, count in unseen.items())
        logger.warning("%s: tags that train never has, with their words: %s", self.other_tags.given, counts)
        return {ALSO_TEST: unseen}

    def note_words(self, words: Dataset, config: PreTrainedConfig | None) -> None:
        """Find out, log and note how the words of training were cut; the model's config keeps the splitter.

        Text that the model tags is cut alike.

        Args:
            words: Training split.
            config: Of the model; None: it has none.
        """
        origin = origin_of(words)
        named = origin.arguments.get("splitter") if origin else None
        cut = find_word_cut(words, given=named if named and "text" in words.column_names else None)
        self.record["words"] = {"splitter": cut.splitter, "shares": cut.shares, "given": cut.given}
        if config is not None and cut.splitter is not None:
            config.word_splitter = cut.splitter
        if cut.splitter is not None:
            logger.log(logging.WARNING if cut.is_mixed else logging.INFO, "train: %s", cut.describe())

    def _check_unknown(self, split: str, count: AlignmentCounts) -> None:
        """Warn of a pretrained tokenizer that does not know the words of a split, or refuse it.

        A vocabulary that is made of the training split is not judged: its unknown words are rare ones.

        Raises:
            DataError: If it knows less than half of them, and nobody has said that this is known.
        """
        model = self.arguments.model
        if isinstance(model, ScratchConfig) and model.words == VOCABULARY:
            return
        if count.unknown_share <= SUSPICIOUS_UNKNOWN:
            return
        name = model.words if isinstance(model, ScratchConfig) else model.label
        examples = ", ".join(map(repr, count.unknown_examples))
        found = (
            f"{split}: {count.unknown_share:.0%} of the words ({count.unknown_words:,} of {count.words:,}, such as "
            f"{examples}) are nothing but the unknown token to {name}"
        )
        if count.unknown_share < TOO_MANY_UNKNOWN:
            logger.warning("%s. An encoder that was trained on text of this language or script fits better.", found)
            return
        accept = argument("accept", UNKNOWN_WORDS)
        if UNKNOWN_WORDS not in (self.arguments.data.accept or ()):
            raise DataError(
                f"{found}: it cannot tell them apart. Choose an encoder that was trained on text of this language or "
                f"script, such as a multilingual one. To go on with this one, give {accept}."
            )
        logger.warning("%s; accepted by %s.", found, accept)
