"""`report.html`: the analysis of a run's predictions as a page beside its model.

Words, gold and predicted tags come from ``predictions/SPLIT.conll``. The model reads the words again for its
probabilities, and some of them in lower and upper case. If it does not reproduce the tags of the file, it is not the
model that was scored, and the parts that need probabilities are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hf_tagging.analysis.analyse import analyse
from hf_tagging.analysis.answers import Answers
from hf_tagging.analysis.confidence import scored_entities, scored_words
from hf_tagging.analysis.documents import read_documents
from hf_tagging.analysis.groups import Casings
from hf_tagging.analysis.rereading import Rereading, reread
from hf_tagging.analysis.seen import read_seen
from hf_tagging.analysis.shape import Analysis, Estimate, Uncalibrated
from hf_tagging.atomic import read_json, whole_file
from hf_tagging.data.files import ALSO_TEST
from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.disk import writing_to
from hf_tagging.errors import ConfigError, ModelError, OutputError
from hf_tagging.evaluation.metrics import Array
from hf_tagging.evaluation.predictions import read_predictions, spelled
from hf_tagging.hub import first_line
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.locks import FolderLock
from hf_tagging.markdown import is_finite
from hf_tagging.models.temperature import TagHead, Temperature
from hf_tagging.problems import argument
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.results import headline
from hf_tagging.publishing.report.heat import explain_examples
from hf_tagging.tasks import get_task
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import RECORD, RunRecord, wrong_value

if TYPE_CHECKING:
    import torch

    from hf_tagging.inference.tagger import Tagger

REPORT = "report.html"
MOST_CASED = 500  # sentences
_BLOCK = 1_000  # sentences per block
_BLOCK_VALUES = 10_000_000  # probabilities per block: words x tags, 40 MB
_NOT_NOTED = "The words of the training split were not recorded: the run did not train, or is of an older version."
_NO_WORDS = "There are no words."
_NOT_LOADED = "The model of this folder could not be loaded when the report was written."
_NO_MEMORY = "The device ran out of memory for the model. Type: hf-tagging report DIR --device cpu"
_COLUMNS = "The model reads additional columns of the data, which the predictions file does not have."

logger = logging.getLogger(__name__)


def write_report(
    folder: str | Path,
    *,
    split: str | None = None,
    device: str | torch.device | None = None,
    trust_remote_code: bool = False,
) -> Path:
    """Write ``report.html`` into the folder of a run.

    Args:
        folder: Folder of the run, with its model, ``run.json`` and ``predictions/``.
        split: "test" or "validation". Default: test if there are predictions for it, else validation.
        device: Device for the model; see `Tagger`.
        trust_remote_code: Run code that comes with the model.

    Returns:
        Path of the page.

    Raises:
        ConfigError: If the folder holds no run, or no predictions for the split, or the device does not exist.
        DataError: If the predictions cannot be read.
        OutputError: If there is a ``report.html`` that the run has not written, or that links out of the folder, or
            another process is writing into the folder.
    """
    path = Path(folder)
    _record(path)  # before it is locked: a folder that holds no run is not touched
    with FolderLock(path, advice="report on another run"):
        _refuse_foreign(path, _record(path))
        analysis = analyse_run(path, split=split, device=device, trust_remote_code=trust_remote_code)
        with writing_to(path):
            return write_page(path, analysis)


def analyse_run(
    folder: Path, *, split: str | None = None, device: str | torch.device | None = None, trust_remote_code: bool = False
) -> Analysis:
    """Analyse the predictions in a run's folder; see `write_report` and `hf_tagging.analysis.analyse.analyse`."""
    record = _record(folder)
    split = _split(folder, split)
    answers = Answers(get_task(record["task"]), *read_predictions(_predictions(folder, split)))
    documents = read_documents(folder, split, len(answers)) or [1] * len(answers)
    asked = _ask(folder, answers, documents, device, trust_remote_code)
    analysis = analyse(
        answers,
        name=provenance.model_name(record["arguments"], None),
        split=split,
        scheme=(record.get("scheme") or {}).get("target"),
        history=record.get("history") or [],
        seen=read_seen(folder, split) or _NOT_NOTED,
        reading=asked.reading,
        casings=asked.casings,
    )
    if asked.tagger is not None:
        explain_examples(analysis, answers, asked.tagger)
    analysis["rules"] = record.get("rules")
    analysis["headline"] += _by_other_tags(record) if split == "test" else []
    return analysis


def _by_other_tags(record: RunRecord) -> list[Estimate]:
    """Return the headline figure of the same predictions by the other tags of the test split, if there are any."""
    key, name = headline(get_task(record["task"]))
    value = ((record.get("results") or {}).get(ALSO_TEST) or {}).get(key)
    return [{"name": f"{name}, {ALSO_TEST}", "value": value, "low": None, "high": None}] if is_finite(value) else []


def write_page(folder: Path, analysis: Analysis) -> Path:
    """Write the page of an analysis, and list it in ``run.json``.

    Args:
        folder: Folder of the run.
        analysis: Result of `analyse_run`.

    Returns:
        Path of the page.

    Raises:
        ConfigError: If the folder holds no run.
        OutputError: If there is a ``report.html`` that the run has not written.
    """
    from hf_tagging.publishing.report.page import report_page

    record = _record(folder)
    _refuse_foreign(folder, record)
    page = report_page(analysis)
    if REPORT not in record["files"]:  # of a run from before there were reports
        RunFolder(folder).write(RECORD, record | {"files": sorted([*record["files"], REPORT])})
    with whole_file(folder / REPORT) as file:
        file.write(page)
    return folder / REPORT


def _record(folder: Path) -> RunRecord:
    record = RunFolder(folder).record()
    damage = RunFolder(folder).damage() if record is None else wrong_value(record)
    if record is None or damage:
        what = f"{RECORD} {damage}" if damage else f"holds no run (no {RECORD})"
        raise ConfigError(f"{folder}: {what}. Give the output folder of a run.")
    return record


def _refuse_foreign(folder: Path, record: RunRecord) -> None:
    RunFolder(folder).refuse_links(REPORT, RECORD)
    if (folder / REPORT).exists() and REPORT not in record["files"]:
        raise OutputError(
            f"{folder / REPORT}: was not written by the run. Nothing was changed. Move it away and type the command "
            "again."
        )


def _predictions(folder: Path, split: str) -> Path:
    return folder / "predictions" / f"{split}.conll"


def _split(folder: Path, split: str | None) -> str:
    """Return the split to report on."""
    there = [name for name in ("test", "validation") if _predictions(folder, name).is_file()]
    if split in there or (split is None and there):
        return split or there[0]
    found = f"it has predictions for {', '.join(there)}" if there else "it has no predictions: the run scored no split"
    asked = f"no predictions for {argument('split', split)}" if split else "nothing to report on"
    raise ConfigError(f"{folder}: {asked}; {found}.")


class _Asked(NamedTuple):
    """Answers of the model on the words of a split, or why there are none; the tagger if it agrees with its tags."""

    reading: Rereading | str
    casings: Casings | str
    tagger: Tagger | None = None


def _ask(
    folder: Path,
    answers: Answers,
    documents: list[int],
    device: str | torch.device | None,
    trust_remote_code: bool,
) -> _Asked:
    """Tag the words again, and in other casing; or return the reasons why that is not possible."""
    import torch

    if not answers.bounds[-1]:
        return _Asked(_NO_WORDS, _NO_WORDS)
    try:
        tagger = _tagger(folder, device, trust_remote_code)
        if isinstance(tagger, str):
            return _Asked(tagger, tagger)
        reading = _read_again(tagger, answers, documents)
        if not reading.agrees:
            changed = (
                f"Tagged again, {reading.changed:.1%} of the words get another tag than in the predictions: the model "
                "or the file has changed since, or long sentences are windowed in another way than in the run."
            )
            return _Asked(changed, changed)
        before = _uncalibrated(tagger, answers, documents)
        return _Asked(replace(reading, before=before), _casings(tagger, answers, documents, reading), tagger)
    except torch.OutOfMemoryError as error:
        logger.warning("%s: the report has no probabilities (%s)", folder, first_line(error))
        return _Asked(_NO_MEMORY, _NO_MEMORY)


def _tagger(folder: Path, device: str | torch.device | None, trust_remote_code: bool) -> Tagger | str:
    """Return the tagger of a folder, or the reason why it cannot be used, without any path: it goes into the page."""
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config

    from hf_tagging.inference.tagger import Tagger

    # After a run under ZeRO 3, loading would shard the weights and wait for processes that do not take part.
    unset_hf_deepspeed_config()
    try:
        config = read_json(folder / "config.json")
        if isinstance(config, dict) and config.get("word_features"):
            return _COLUMNS
        return Tagger.from_pretrained(str(folder), device=device, trust_remote_code=trust_remote_code, rules=False)
    except (ModelError, OSError, ValueError) as error:
        logger.warning("%s: the report has no probabilities (%s)", folder, first_line(error))
        return _NOT_LOADED


def _read_again(tagger: Tagger, answers: Answers, documents: list[int]) -> Rereading:
    """Read all words again, and score what is predicted."""
    entities: list[Array] = []
    tags = _tags_of(tagger, answers)
    reading = reread(answers, tags, _blocks(tagger, answers, documents, entities))
    if not answers.task.has_entities or not tagger.schema.entity_types:
        return reading
    schema = TagSchema(tuple(tags), tagger.schema.scheme)
    return replace(reading, items=scored_entities(answers, schema, reading.labels, np.concatenate(entities)))


def _uncalibrated(tagger: Tagger, answers: Answers, documents: list[int]) -> Uncalibrated | None:
    """Return the calibration errors without the temperature of the model; None where it has none."""
    if isinstance(tagger.model, OnnxModel) or (found := Temperature.of(tagger.model.config)) is None:
        return None
    head = TagHead.of(tagger.model)
    if head is None:
        return None
    with head.divided(1 / found.temperature):
        reading = _read_again(tagger, answers, documents)
    words = scored_words(answers, reading.confidence, reading.right)
    return {"temperature": found.temperature, "words": words.ece, "items": (reading.items or words).ece}


def _tags_of(tagger: Tagger, answers: Answers) -> list[str]:
    """Return the tags of a model as the predictions spell them; earlier releases wrote white space in one as ``_``."""
    found = {*chain(*answers.gold, *answers.predicted)}
    return [spelled(tag) if tag not in found and spelled(tag) in found else tag for tag in tagger.schema.tags]


def _blocks(tagger: Tagger, answers: Answers, documents: list[int], entities: list[Array]) -> Iterator[Array]:
    """Yield the probabilities of all words in blocks of documents, smaller for long ones or many tags.

    Args:
        tagger: The tagger.
        answers: The split.
        documents: Number of sentences in each document.
        entities: Gets the probabilities of each block's entities.
    """
    words = max(1, _BLOCK_VALUES // len(tagger.schema.tags))
    starts = row_starts(np.array(documents, np.int64))  # sentences
    first_words = answers.bounds[starts]
    cuts = [0]
    while cuts[-1] < len(documents):
        last = cuts[-1]
        fit = int(np.searchsorted(first_words, first_words[last] + words, side="right")) - 1
        block = int(np.searchsorted(starts, starts[last] + _BLOCK, side="right")) - 1
        cuts.append(max(min(fit, block), last + 1))
    for first, end in pairwise(cuts):
        sentences, begin = answers.words[starts[first] : starts[end]], int(starts[first])
        table, of_entities = tagger.all_probabilities(sentences, documents=documents[first:end], first=begin)
        entities.append(of_entities)
        yield table


def _casings(tagger: Tagger, answers: Answers, documents: list[int], reading: Rereading) -> Casings:
    """Return the tags of evenly sampled documents as they are, in lower case and in upper case."""
    starts = row_starts(np.array(documents, np.int64))
    count = max(1, min(MOST_CASED * len(documents) // len(answers), len(documents)))
    sampled = [i * len(documents) // count for i in range(count)]
    numbers = [number for i in sampled for number in range(int(starts[i]), int(starts[i + 1]))]
    words = [answers.words[i] for i in numbers]
    cased = [[list(map(change, sentence)) for sentence in words] for change in (str.lower, str.upper)]
    labelled = tagger.label(list(chain(*cased)), documents=[documents[i] for i in sampled] * 2, exact=True)
    tagged = [[reading.tags[i] for i in labels.ids.tolist()] for labels in labelled]
    as_is = reading.tags_of(answers, numbers)
    return numbers, {"as is": as_is, "lower case": tagged[: len(numbers)], "upper case": tagged[len(numbers) :]}
