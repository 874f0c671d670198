"""load_tagging_dataset(): datasets from the Hub, saved datasets, files and the embedded sample."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from datasets import DatasetDict

from hf_tagging.data.bars import bars_on_terminals
from hf_tagging.data.columns.names import SENTENCE_STARTS
from hf_tagging.data.documents import count_documents
from hf_tagging.data.files import (
    SPLITS,
    files_by_flag,
    is_saved_dataset,
    looks_like_path,
    missing_path,
)
from hf_tagging.data.findings import check_accept
from hf_tagging.data.folders import find_split_files
from hf_tagging.data.hub_source import HUB_ALIASES, read_hub
from hf_tagging.data.in_memory import PLACE, InMemory, is_in_memory, read_in_memory
from hf_tagging.data.integer_tags import tag_names_beside, with_integer_tags
from hf_tagging.data.inventory import inventory
from hf_tagging.data.notes import FileNotes
from hf_tagging.data.origin import Origin, with_origin
from hf_tagging.data.reading import ReadingReport
from hf_tagging.data.request import READ_OPTIONS, ReadArguments, ReadRequest, given_options
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.source_columns import standard_columns
from hf_tagging.data.sources import BuilderCache, RawSplit, read_files, read_saved, refuse_column_options
from hf_tagging.data.splitters import get_splitter
from hf_tagging.data.splitting import HoldOut
from hf_tagging.data.spool import Spool
from hf_tagging.data.streaming import StreamCache, stream_of, with_stream
from hf_tagging.data.tag_columns import encoded, tag_counts
from hf_tagging.data.tag_names import TagNames, read_tags
from hf_tagging.data.word_features import check_feature_names
from hf_tagging.disk import expanded
from hf_tagging.errors import DataError
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, get_task

logger = logging.getLogger(__name__)

PATH_ALIASES = {"sample": Path(__file__).parent / "sample"}

Files = str | Path | Sequence[str | Path]


@bars_on_terminals()
def load_tagging_dataset(
    name_or_path: str | Path | InMemory | None = None,
    *,
    task: str | Task,
    config_name: str | None = None,
    revision: str | None = None,
    train_file: Files | None = None,
    validation_file: Files | None = None,
    test_file: Files | None = None,
    word_features: Sequence[str] | None = None,
    validation_share: float | None = None,
    test_share: float | None = None,
    folds: int | None = None,
    fold: int | None = None,
    seed: int = 42,
    streaming: bool = False,
    num_proc: int | None = None,
    cache_dir: str | Path | None = None,
    **reading: Unpack[ReadArguments],
) -> DatasetDict:
    """Load a dataset of words and tags from the Hub, from files, from a saved dataset or from memory.

    Args:
        name_or_path: An alias (`conll2003`, `sample`), a file, a folder of files or of `save_to_disk`, or a
            name on the Hub. Column files (CoNLL-2003, CoNLL-U, two columns), tables (CSV, TSV), JSON, Parquet and
            exports of annotation tools are read. Or data that is there already: a `Dataset`, a `DatasetDict` or a
            pandas DataFrame, with a sentence per row, or a word and the id of its sentence; several by the name of
            their split.
        task: Name of a task ("pos", "ner" or a registered one), or a `Task`.
        config_name: Configuration of a dataset on the Hub.
        revision: Branch, tag or commit of a dataset on the Hub.
        train_file: File or files of the train split, instead of those of `name_or_path`.
        validation_file: The same for validation.
        test_file: The same for test.
        word_features: Further columns to keep, one value per word, by name or by position ("1").
        validation_share: Share of the train sentences, by whole documents, to hold out as validation.
        test_share: The same for test.
        folds: Instead of `test_share`: cut train into this many parts, by whole documents, and hold out one as test.
        fold: Which one, from 0. Over all folds of a seed, every sentence is tested once.
        seed: Seed of the choice of these documents.
        streaming: Load no more of train than its first sentences, by which its tags are known; a trainer that is given
            them reads the rest while it trains. For JSON Lines, Parquet, column files, tables, and the Hub.
        num_proc: Processes to read the files of a split with.
        cache_dir: Folder of the cache; None is that of `datasets`.
        **reading: How words and tags are read:

            - `tokens_column`: Column of the words, by name or by position from 0 (negative: from the end). Default:
              detected.
            - `tags_column`: Column of the tags, likewise.
            - `separator`: Separator of the columns of column files: "tab", "space" or a literal. Default: detected.
            - `sentence_start`: Where a sentence of a column file starts. "blank": after a blank line; "mention": at
              every word that begins with `@`, and blank lines mean nothing.
            - `comment`: How comment lines of column files begin, for example "##". Default: detected.
            - `encoding`: Encoding of text files. Default: UTF-8, or else detected where it is certain.
            - `outside`: Tag of words outside of entities. Default: "O", or detected.
            - `layer`: Annotation layer to read where a file has several. Default: the first that fits the task.
            - `splitter`: How text of annotated spans is split into words: "english", "blanks", "characters", "auto",
              "pythainlp", "sudachi", "jieba", or the name of an installed splitter. Default: "auto", by script.
            - `misfit`: "widen" (default) a span with a border inside a word to the word, or "drop" it.
            - `tag_names`: Names of integer tags that bring none, in the order of their ids. With tags that are
              strings, it fixes the names and their order.
            - `accept`: Findings that would stop a run and are known to be right, by the name in their message.

    Returns:
        The splits that exist of `train`, `validation` and `test`, in this order, each with the columns
        `tokens` (List(string)), `tags` (List(ClassLabel), the same names in every split), `document_id`
        (string) and, under their requested names, `word_features` (List(string) each). Formats that annotate texts
        add `text`, `starts` and `ends`: the text of the row, and the offsets of its words in it. The splits know their
        task, so that a trainer need not be given it again.

    Raises:
        DataError: Anything that keeps the data from being words with one tag each; the cache is left as it
            was.
        ConfigError: No task of this name is registered.
    """
    hold_out = HoldOut(validation_share=validation_share, test_share=test_share, folds=folds, fold=fold, seed=seed)
    task = get_task(task)
    check_feature_names(word_features or ())
    request = read_request(task, reading, word_features=tuple(word_features or ()))
    check_accept(request.accept)
    _check_arguments(request.sentence_start, hold_out)
    _check_hub_only(name_or_path, {"dataset_config": config_name, "dataset_revision": revision})
    cache = str(cache_dir) if cache_dir is not None else None
    files = {"train": train_file, "validation": validation_file, "test": test_file}
    kind = StreamCache if streaming else BuilderCache
    with Spool() as spool, kind(cache_dir=cache, num_proc=num_proc) as builders:
        given = files_by_flag(files, spool)
        raw = {split: read_files(found, split, request=request, builders=builders) for split, found in given.items()}
        if name_or_path is not None and len(raw) < len(SPLITS):
            raw |= _read_named(
                name_or_path,
                config_name=config_name,
                revision=revision,
                request=request,
                builders=builders,
                left_out=set(given),
                spool=spool,
            )
        place = _place(name_or_path, raw)
        dataset, tags = _as_dataset(raw, request, hold_out=hold_out, place=place, builders=builders)
    found = inventory(dataset, task=task)
    notes = {split: list(raw[split].notes) for split in SPLITS if split in raw}
    report = ReadingReport(notes, tags.remarks + found.remarks, found)
    report.log()
    _log_sizes(dataset, place, task)
    origin = Origin.of(
        task,
        dataset=name_or_path if isinstance(name_or_path, str | Path) else None,
        dataset_config=config_name,
        dataset_revision=revision,
        num_proc=num_proc,
        streaming=streaming or None,
        **{f"{split}_file": paths for split, paths in files.items()},
        **hold_out.arguments(),
        **given_options(request),
    )
    return with_origin(dataset, replace(origin, reading=report.as_dict()))


def unseen_tags(dataset: DatasetDict) -> dict[str, dict[str, int]]:
    """Count the tags of validation and test that never occur in train; no model trained there predicts them.

    Args:
        dataset: From `load_tagging_dataset`.

    Returns:
        Split to tag to number of words; only splits and tags that have any. Empty without a train split.
    """
    if "train" not in dataset:
        return {}
    seen = tag_counts(dataset["train"]) > 0
    names = dataset["train"].features["tags"].feature.names
    unseen = {}
    for split in dataset:
        counts = np.where(seen, 0, tag_counts(dataset[split]))
        if counts.any():
            unseen[str(split)] = {names[index]: int(counts[index]) for index in np.flatnonzero(counts)}
    return unseen


def read_request(task: Task, reading: ReadArguments, *, word_features: tuple[str, ...] = ()) -> ReadRequest:
    """Return the options of reading as one request; None is the default of each."""
    unknown = [name for name in reading if name not in READ_OPTIONS]
    if unknown:
        near = difflib.get_close_matches(unknown[0], READ_OPTIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"load_tagging_dataset() got an unexpected keyword argument {unknown[0]!r}{hint}")
    given: dict[str, Any] = {name: value for name, value in reading.items() if value is not None}
    for name in ("tag_names", "accept"):
        if name in given:
            given[name] = tuple(given[name])
    if "tags_column" in given and "layer" in given:
        both = f"{argument('tags_column', given['tags_column'])} and {argument('layer', given['layer'])}"
        raise DataError(f"{both}: both say which tags are read; give one of them")
    get_splitter(given.get("splitter"))  # one that is not there is refused as such, whatever is read
    return ReadRequest(task=task, word_features=word_features, **given)


def _place(name_or_path: str | Path | InMemory | None, raw: Mapping[str, RawSplit]) -> str:
    """Return a dataset as messages name it.

    Raises:
        DataError: Nothing was given to read.
    """
    if not raw:
        raise DataError(f"no data was named; give {argument('dataset', 'NAME')} or {argument('train_file', 'FILE')}")
    if is_in_memory(name_or_path):
        return PLACE
    return str(next(iter(raw.values())).place if name_or_path is None else name_or_path)


def _as_dataset(
    raw: Mapping[str, RawSplit], request: ReadRequest, *, hold_out: HoldOut, place: str, builders: BuilderCache
) -> tuple[DatasetDict, TagNames]:
    """Return the splits with the columns that every dataset has, and how their tags were read."""
    cache_dir = builders.cache_dir
    splits = {split: standard_columns(raw[split], cache_dir=cache_dir) for split in SPLITS if split in raw}
    splits = hold_out.split(splits, place)
    names = request.tag_names or tag_names_beside(raw, splits)
    splits = with_integer_tags(splits, names=names)
    splits, tags = read_tags(splits, request=replace(request, tag_names=names), place=place)
    stream = builders.stream if isinstance(builders, StreamCache) else None
    if stream and request.task.has_entities:
        tags = tags.with_all_prefixes()
    found = {split: encoded(splits[split], tags=tags, split=split, cache_dir=cache_dir) for split in splits}
    if stream and "train" in found:
        with_stream(found["train"], stream(raw["train"], splits["train"], tags))
    return DatasetDict(found), tags


def _check_arguments(sentence_start: str, hold_out: HoldOut) -> None:
    if sentence_start not in SENTENCE_STARTS:
        raise DataError(f"{argument('sentence_start', sentence_start)}: expected {' or '.join(SENTENCE_STARTS)}")
    for name in ("validation_share", "test_share"):
        share = getattr(hold_out, name)
        if share is not None and not 0 < share < 1:
            raise DataError(f"{argument(name, share)}: expected a share between 0 and 1, for example 0.1")
    for problem in hold_out.problems():
        raise DataError(str(problem))


def _check_hub_only(name_or_path: str | Path | InMemory | None, options: dict[str, str | None]) -> None:
    """Refuse options that only apply to datasets on the Hub, instead of ignoring them."""
    given = [argument(name) for name, value in options.items() if value is not None]
    if given and (name_or_path is None or is_in_memory(name_or_path) or not _is_on_hub(str(name_or_path))):
        what = "what files hold" if name_or_path is None else PLACE if is_in_memory(name_or_path) else name_or_path
        raise DataError(f"{what} is not on the Hub; leave {' and '.join(given)} out")


def _is_on_hub(name: str) -> bool:
    """Return whether a name belongs to the Hub: an alias, or a name that is neither a local path nor in the package."""
    path = PATH_ALIASES.get(name, expanded(name))
    return name in HUB_ALIASES or not (path.exists() or looks_like_path(name))


def _read_named(
    data: str | Path | InMemory,
    *,
    config_name: str | None,
    revision: str | None,
    request: ReadRequest,
    builders: BuilderCache,
    left_out: set[str],
    spool: Spool,
) -> dict[str, RawSplit]:
    """Read the dataset that `name_or_path` names: an alias, an existing path, or a name on the Hub; or is itself."""
    name = PLACE if is_in_memory(data) else str(data)
    if (name in PATH_ALIASES or name in HUB_ALIASES) and Path(name).exists():
        logger.warning("%s is read as the alias; for the local %s write ./%s", name, name, name)
    path = PATH_ALIASES.get(name, expanded(name))
    if is_in_memory(data):
        loaded, form = read_in_memory(data), "data in memory"
    elif _is_on_hub(name):
        form = "dataset of the Hub"
        loaded = read_hub(name, config_name=config_name, revision=revision, builders=builders)
    elif not path.exists():
        raise missing_path(path)
    elif path.is_dir() and is_saved_dataset(path):
        loaded, form = read_saved(path), "saved dataset"
    else:
        found = {split: files for split, files in find_split_files(path, spool).items() if split not in left_out}
        return {split: read_files(files, split, request=request, builders=builders) for split, files in found.items()}
    refuse_column_options(name, request)
    return {
        split: RawSplit(
            dataset=part,
            place=f"{name}, split {split}",
            request=request,
            notes=(FileNotes(f"{name}, split {split}", form),),
        )
        for split, part in loaded.items()
        if split not in left_out
    }


def _log_sizes(dataset: DatasetDict, place: str, task: Task) -> None:
    """Log the size of each split, and tags that cannot be learned."""
    for split, part in dataset.items():
        documents = count_documents(part)
        if documents == len(part):
            logger.info("%s: no document marks, each sentence counts as a document of its own", split)
        else:
            logger.info("%s: %d documents", split, documents)
    if missing := [split for split in SPLITS if split not in dataset]:
        level = logging.WARNING if "validation" in missing and "train" in dataset else logging.INFO
        logger.log(level, "%s has no %s split", place, " and no ".join(missing))
    if stream := stream_of(dataset["train"]) if "train" in dataset else None:
        logger.info(
            "train is a stream; what is said of it is true of its first %s sentences", f"{len(stream.sample.dataset):,}"
        )
        return
    if unseen := _unseen_types(dataset) if task.has_entities else unseen_tags(dataset):
        counts = "; ".join(
            f"{split}: " + ", ".join(f"{tag} ({count})" for tag, count in tags.items())
            for split, tags in unseen.items()
        )
        logger.warning("%s: %s that train never has, with their words: %s", place, task.classes, counts)


def _unseen_types(dataset: DatasetDict) -> dict[str, dict[str, int]]:
    """Count unseen entity types as `unseen_tags` counts tags: in two schemes, the same entities have different tags."""
    if "train" not in dataset:
        return {}
    schema = TagSchema(tuple(dataset["train"].features["tags"].feature.names), "IOB2")  # types are so in any scheme
    of_type = schema.types[:, None] == np.arange(len(schema.entity_types))  # (tags, types); O is of none
    seen = tag_counts(dataset["train"]) @ of_type > 0
    unseen = {}
    for split in dataset:
        counts = np.where(seen, 0, tag_counts(dataset[split]) @ of_type)
        if counts.any():
            unseen[str(split)] = {schema.entity_types[index]: int(counts[index]) for index in np.flatnonzero(counts)}
    return unseen
