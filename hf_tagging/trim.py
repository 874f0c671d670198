"""Taggers with a smaller vocabulary: what texts use, what spells any other text, and the most common of the rest.

    training words, texts ──► subwords that they use ─┐
    vocabulary ──► single characters, most common ────┴─► rows of the embedding matrix, tokenizer.json
             the same sentences, read by both ──► an ordinary model folder, and how the two compare

Texts whose subwords are kept get the same tags and probabilities, to the last bit. Other words are cut into smaller
subwords than before.
"""

from __future__ import annotations

import copy
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import cast

from hf_tagging.atomic import whole_folder
from hf_tagging.console import text_table
from hf_tagging.data.case_dropout import drop_case
from hf_tagging.data.documents import document_bounds
from hf_tagging.data.files import tagged_split
from hf_tagging.data.in_memory import InMemory
from hf_tagging.disk import check_writable, expanded, writing_to
from hf_tagging.errors import ConfigError, OutputError
from hf_tagging.evaluation.figures import Results
from hf_tagging.inference.loading import common_rules
from hf_tagging.inference.trimming import Agreement, Sentence, Size, Trimming
from hf_tagging.problems import argument
from hf_tagging.rules.rules import RULES
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.preparing import as_words_and_tags
from hf_tagging.training.record import RECORD, RunRecord, TrimmedRecord
from hf_tagging.training.rescoring import (
    check_same_splits,
    finished_record,
    load_splits,
    note_origin,
    rescoring_config,
)
from hf_tagging.training.run import TaggingRun

MOST_COMMON = 10_000
_IN_PYTHON = "In Python, give it: trim_vocabulary(model, output_dir, dataset=...)."
logger = logging.getLogger("hf_tagging")

_CARRIED = ("soup", "teacher", "calibration")  # of the record of the training


@dataclass(frozen=True)
class Trimmed:
    """Result of trimming a vocabulary.

    Args:
        folder: Folder of the result.
        source: Name of the tagger as it was.
        before: Its size.
        after: Size of the result.
        used: How many of the subwords the texts use.
        most_common: How many are kept because they are common.
        metric: Figure of the agreements: F1 or accuracy.
        agreement: By name of the texts: ``"kept texts"``, and the validation and test split of a run.
        results: Every figure of the result, by split, where it was a run.
    """

    folder: Path
    source: str
    before: Size
    after: Size
    used: int
    most_common: int
    metric: str
    agreement: dict[str, Agreement]
    results: Results = field(default_factory=dict)

    def table(self) -> str:
        """Return sizes and agreement, as tables for a terminal."""
        sides = ((self.source, self.before), (self.folder.name, self.after))
        sizes = [(name, f"{side.subwords:,}", f"{side.bytes / 1e6:,.1f}") for name, side in sides]
        rows = [
            (
                name,
                f"{one.words:,}",
                f"{one.equal:.2%}",
                f"{one.score_difference:.2g}",
                *map(_figure, (one.before, one.after)),
            )
            for name, one in self.agreement.items()
        ]
        head = ("", "words", "equal tags", "scores differ by", f"{self.metric} before", "after")
        return f"{text_table([('', 'subwords', 'MB'), *sizes])}\n\n{text_table([head, *rows])}"

    def as_dict(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self) | {"folder": str(self.folder)}


def trim_vocabulary(
    model: str | Path,
    output_dir: str | Path,
    *,
    texts: Iterable[Sentence] = (),
    most_common: int = MOST_COMMON,
    dataset: Mapping[str, InMemory] | None = None,
    overwrite: bool = False,
    trust_remote_code: bool = False,
) -> Trimmed:
    """Write a tagger with fewer subwords, whose embedding matrix and tokenizer are as much smaller.

    Kept are the subwords that the training split and `texts` use, special and added tokens, case markers, single
    characters or bytes, so that any text can still be spelled, and the most common of the rest. The texts get the tags
    and probabilities that they had; that they are cut alike is checked, and nothing is written otherwise.

        print(trim_vocabulary("runs/ner", "runs/ner-small").table())

    Args:
        model: Output folder of a finished run with a pretrained encoder. The result is a run too, with card, figures
            and report. Or any other tagger, a folder or a name on the Hub; then `texts` are needed, and the result is
            model and tokenizer alone.
        output_dir: Folder to write.
        texts: Texts, or sentences of words, that are to be tagged as before.
        most_common: How many further subwords to keep. How common they are is what the vocabulary itself tells:
            WordPiece by its order, BPE by the order of its merges, Unigram by its scores.
        dataset: Words and tags by split, where the run was trained on data in memory.
        overwrite: Replace the run in `output_dir`.
        trust_remote_code: Run code that comes with a model.

    Raises:
        ConfigError: The run is not finished, or there is no text.
        DataError: The data cannot be read, or has changed since.
        ModelError: The model cannot be loaded or trimmed.
        OutputError: `output_dir` holds something already, or cannot be written.
    """
    if most_common < 0:
        raise ConfigError(f"{argument('most_common', most_common)}: is not a number of subwords.")
    name, folder, target = str(model), expanded(model), expanded(output_dir)
    if folder.exists() and folder.resolve() == target.resolve():
        raise ConfigError(f"{argument('output_dir', output_dir)} is the tagger itself. Give another.")
    if not (folder / RECORD).exists():
        return _trim_model(name, target, texts, most_common, trust_remote_code)
    record = finished_record(folder)
    config = rescoring_config(record, target, overwrite=overwrite, trust_remote_code=trust_remote_code)
    run = TaggingRun(config, resumable=False)
    with run.opened():
        trimming = Trimming(name, most_common, trust_remote_code=trust_remote_code)
        splits = load_splits(config, advice=_IN_PYTHON) if dataset is None else dataset
        trimming.cut(chain(_training_words(record, splits, run), texts))
        # A copy, because accelerate leaves its autocast on the model that a trainer has evaluated (1.15).
        evaluated = copy.deepcopy(trimming.model)
        trainer = TaggingTrainer.of_run(run, splits, model=evaluated, processing_class=trimming.tokenizer)
        check_same_splits(record, run.record, config.dataset_name)
        for scored in trainer.final_evaluation():
            split, gold = trainer.splits[tagged_split(scored)].words, trainer.outcomes[scored].gold
            trimming.compare(scored, split["tokens"], document_bounds(split), gold, device=trainer.args.device)
        trimmed = _result(trimming, target)
        _note(run.record, trimmed, record)
        results = trainer.publish()
        if _keep_rules(name, run.folder.path, trust_remote_code):
            run.record["files"] = sorted({*run.record["files"], RULES})
            run.folder.write(RECORD, run.record)
        return replace(trimmed, results=results)


def _trim_model(
    model: str, target: Path, texts: Iterable[Sentence], most_common: int, trust_remote_code: bool
) -> Trimmed:
    """Trim a tagger that is no run: model and tokenizer are all there is to write."""
    if target.is_file() or (target.exists() and any(target.iterdir())):
        raise OutputError(f"{target}: is there already. Give another {argument('output_dir')}.")
    check_writable(target)
    trimming = Trimming(model, most_common, trust_remote_code=trust_remote_code)
    trimming.cut(texts)
    with writing_to(target), whole_folder(target) as staging:
        trimming.model.save_pretrained(staging)
        trimming.tokenizer.save_pretrained(staging)
        _keep_rules(model, staging, trust_remote_code)
    return _result(trimming, target)


def _keep_rules(model: str, target: Path, trust_remote_code: bool) -> bool:
    """Copy the rules that come with a tagger; return whether there are any."""
    rules = common_rules([model], trust_remote_code=trust_remote_code)
    if rules is not None:
        shutil.copyfile(rules, target / RULES)
    return rules is not None


def _result(trimming: Trimming, folder: Path) -> Trimmed:
    """Return what came of it."""
    own = expanded(trimming.name)
    return Trimmed(
        folder,
        own.resolve().name if own.exists() else trimming.name,
        *trimming.sizes(),
        used=trimming.used,
        most_common=trimming.common,
        metric=trimming.task.score_name,
        agreement=trimming.agreement,
    )


def _training_words(record: RunRecord, splits: Mapping[str, InMemory], run: TaggingRun) -> Iterator[Sequence[str]]:
    """Yield the words of the training split, and those that case dropout made of some of them."""
    found = as_words_and_tags(splits, run.arguments.task).get("train")
    if found is None:
        return
    if record["arguments"].get("streaming"):
        logger.warning(
            "The training split was a stream: of its words, those of the first %s sentences are kept. Give the texts "
            "that are to be tagged as before: %s",
            f"{len(found):,}",
            argument("text_file"),
        )
    yield from found["tokens"]
    if share := record["arguments"].get("case_dropout"):
        yield from drop_case(found, share, seed=record["seed"])["tokens"]


def _note(record: RunRecord, trimmed: Trimmed, source: RunRecord) -> None:
    """Note what was trimmed, and the training of the source, in the record of the result."""
    note_origin(record, source, trimmed=trimmed.source)
    content = {name: value for name, value in trimmed.as_dict().items() if name not in ("folder", "results")}
    record["trimmed"] = cast(TrimmedRecord, content)
    record.update(cast(RunRecord, {name: source.get(name) for name in _CARRIED if name in source}))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
