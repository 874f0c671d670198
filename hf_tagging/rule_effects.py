"""Rules measured on annotated data, and saved with a model.

The data is tagged by the model alone and with the rules; both are compared with each other and with the gold tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Unpack, cast

import numpy as np
from datasets import Dataset, DatasetDict

from hf_tagging.atomic import whole_path
from hf_tagging.console import text_table
from hf_tagging.data.files import tagged_split
from hf_tagging.data.in_memory import InMemory
from hf_tagging.data.prefixes import UNSCORED
from hf_tagging.data.rows import row_starts
from hf_tagging.data.schema import TagSchema
from hf_tagging.disk import expanded, writing_to
from hf_tagging.errors import ConfigError, OutputError
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.predictions import read_predictions
from hf_tagging.inference.evaluating import DataOptions, evaluate_tagger, task_of_model
from hf_tagging.inference.evaluation import Evaluation
from hf_tagging.inference.onnx_model import is_exported
from hf_tagging.inference.parity import VALIDATION
from hf_tagging.inference.tagger import Tagger
from hf_tagging.locks import FolderLock
from hf_tagging.models.encoder import saved_schema
from hf_tagging.problems import argument, switch
from hf_tagging.publishing.card.results import headline
from hf_tagging.publishing.card.tagger import model_card, seed_results
from hf_tagging.publishing.report.write import analyse_run, write_page
from hf_tagging.rules.rules import RULES
from hf_tagging.tasks import Task
from hf_tagging.training.folder import RECORD, RunFolder
from hf_tagging.training.record import RulesRecord, RunRecord

_SHOWN = 20
_CARD = "README.md"


@dataclass(frozen=True)
class RuleEffect:
    """Words whose tag a rule has changed.

    Args:
        rule: Id or line of the rule.
        changed: Number of words with another tag than the model's.
        right: How many of these are right now, and were not.
        wrong: How many of these were right, and are not.
    """

    rule: str
    changed: int
    right: int
    wrong: int


@dataclass(frozen=True)
class RuleEffects:
    """Changes that rules make on annotated data.

    Args:
        rules: Number of rules.
        split: Split that was tagged.
        metric: Name of the figure.
        sentences: Number of sentences.
        changed: How many of them are tagged in another way.
        before: The figure of the model alone.
        after: The figure with the rules.
        items: ``"entities"`` or ``"words"``.
        added: Entities that the model alone does not find.
        removed: Entities that it finds, and that are none with the rules.
        replaced: Entities, or tags of words, in the place of others.
        by_rule: The rules that have changed a tag, those with the most changes first.
    """

    rules: int
    split: str
    metric: str
    sentences: int
    changed: int
    before: float
    after: float
    items: str
    added: int
    removed: int
    replaced: int
    by_rule: tuple[RuleEffect, ...]

    def table(self) -> str:
        """Return everything as text for a terminal."""
        rows = [(one.rule, f"{one.changed:,}", f"{one.right:,}", f"{one.wrong:,}") for one in self.by_rule[:_SHOWN]]
        figures = [("", "model", "with rules"), (self.metric, f"{self.before:.4f}", f"{self.after:.4f}")]
        counts = f"{self.replaced:,} replaced"
        if self.items == "entities":
            counts = f"{self.added:,} added, {self.removed:,} removed, {counts}"
        rules = "1 rule changes" if self.rules == 1 else f"{self.rules:,} rules change"
        parts = [
            text_table(figures),
            f"{rules} {self.changed:,} of {self.sentences:,} sentences of {self.split}; {self.items}: {counts}.",
        ]
        if rows:
            parts.append(text_table([("rule", "words changed", "now right", "now wrong"), *rows]))
        if len(self.by_rule) > _SHOWN:
            parts.append(f"And {len(self.by_rule) - _SHOWN:,} rules that change fewer words.")
        return "\n\n".join(parts)

    def as_dict(self) -> dict[str, object]:
        """Return everything, for JSON."""
        return asdict(self)


def measure_rules(
    model: str | Path,
    rules: str | Path,
    dataset: str | Path | InMemory | None = None,
    *,
    split: str | None = None,
    device: str | None = None,
    trust_remote_code: bool = False,
    **options: Unpack[DataOptions],
) -> RuleEffects:
    """Measure what rules change on annotated data.

        print(measure_rules("runs/ner", "rules.jsonl").table())

    Args:
        model: Folder of a tagger, or a name on the Hub.
        rules: File of rules.
        dataset: Data with gold tags, see `evaluate_tagger`. Default: the validation split of the run in the folder, as
            its predictions have it.
        split: Split to tag. Default: validation, or else the one that `evaluate_tagger` takes.
        device: See `Tagger`.
        trust_remote_code: Run code that comes with the model.
        **options: Further arguments of `load_tagging_dataset`.

    Raises:
        ConfigError: A rule is wrong, or there is no data.
        DataError: The rules or the data cannot be read.
        ModelError: There is no such model.
    """
    tagger = Tagger.from_pretrained(model, rules=rules, device=device, trust_remote_code=trust_remote_code)
    task = task_of_model(expanded(model), tagger.schema)
    files = any(name.endswith("_file") for name in options)
    if dataset is None and not files:
        dataset, split = _validation(expanded(model), task), "validation"
    found, tagger.rules = tagger.rules, None
    assert found is not None
    before = evaluate_tagger(tagger, dataset, split=split, task=task, **options)
    tagger.rules = found
    after = evaluate_tagger(tagger, dataset, split=before.split, task=task, **options)
    return _compared(before, after, len(found), tagger.schema)


def save_rules(
    model: str | Path,
    rules: str | Path,
    effects: RuleEffects,
    *,
    overwrite: bool = False,
    trust_remote_code: bool = False,
) -> Path:
    """Save rules in the folder of a model, where `Tagger.from_pretrained` finds them.

    Card, report and `run.json` of a run say that they are there and what they change.

    Args:
        model: Folder of the model.
        rules: File of rules, which `measure_rules` has read.
        effects: What they change.
        overwrite: Replace rules that are there.
        trust_remote_code: Run code that comes with the model, for the report.

    Returns:
        The file.

    Raises:
        ConfigError: The model is no folder of a tagger, or is an export.
        OutputError: There are rules already, or the folder cannot be written or is in use.
    """
    folder, source = expanded(model), expanded(rules)
    check_saving(folder, source, overwrite=overwrite)
    target, run = folder / RULES, RunFolder(folder)
    run.refuse_links(RULES, _CARD, RECORD)
    with FolderLock(folder) if run.record() else nullcontext(), writing_to(folder):
        record = run.record()  # under the lock: others write it too
        if source.resolve() != target.resolve():
            with whole_path(target) as partial:
                partial.write_bytes(source.read_bytes())
        if record is not None:
            _publish(folder, record, effects, trust_remote_code)
    return target


def check_saving(folder: Path, rules: Path, *, overwrite: bool) -> None:
    """Make sure that rules can be saved in a folder, before anything is measured; see `save_rules`."""
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder}: is no folder of a model to save rules in. Leave {switch('save')} out.")
    if is_exported(folder):
        raise ConfigError(f"{folder}: is an export. Save the rules with its model, and export that again.")
    target = folder / RULES
    if target.exists() and not overwrite and rules.resolve() != target.resolve():
        raise OutputError(f"{target} is there already. Give {switch('overwrite')} to replace it.")


def _validation(folder: Path, task: Task) -> DatasetDict:
    """Return the words and gold tags of a run's validation split."""
    path = folder / VALIDATION
    if not path.is_file():
        raise ConfigError(
            f"{folder}: has no {VALIDATION}, so there is nothing to measure the rules on. Give {argument('dataset')}."
        )
    words, gold, _ = read_predictions(path)
    return DatasetDict({"validation": Dataset.from_dict({"tokens": words, task.columns[0]: gold})})


def _compared(before: Evaluation, after: Evaluation, rules: int, schema: TagSchema) -> RuleEffects:
    scheme = schema.scheme if schema.entity_types else "IOB1"
    has_entities, (key, label) = after.task.has_entities, headline(after.task)
    changed = [n for n, pair in enumerate(zip(before.predicted, after.predicted, strict=True)) if pair[0] != pair[1]]
    was, now = ([side[n] for n in changed] for side in (before.predicted, after.predicted))
    added, removed, replaced = _entities(was, now, scheme) if has_entities else (0, 0, _differing(was, now))
    return RuleEffects(
        rules=rules,
        split=after.split,
        metric=label,
        sentences=len(after.words),
        changed=len(changed),
        before=cast(Mapping[str, float], before.figures)[key],
        after=cast(Mapping[str, float], after.figures)[key],
        items="entities" if has_entities else "words",
        added=added,
        removed=removed,
        replaced=replaced,
        by_rule=_by_rule(before, after),
    )


def _differing(before: Tags, after: Tags) -> int:
    return sum(a != b for a, b in zip(chain(*before), chain(*after), strict=True))


def _entities(before: Tags, after: Tags, scheme: str) -> tuple[int, int, int]:
    """Return the number of entities that are new, that are gone, and that took the place of others."""
    sides = [_spans(tags, scheme) for tags in (before, after)]
    new, gone = sides[1] - sides[0], sides[0] - sides[1]
    lost = {word for first, last, _ in gone for word in range(first, last + 1)}
    gained = {word for first, last, _ in new for word in range(first, last + 1)}
    replacing = sum(not lost.isdisjoint(range(first, last + 1)) for first, last, _ in new)
    replaced = sum(not gained.isdisjoint(range(first, last + 1)) for first, last, _ in gone)
    return len(new) - replacing, len(gone) - replaced, replacing


def _spans(tags: Tags, scheme: str) -> set[tuple[int, int, str]]:
    """Return first word, last word and type of entities; words count through all sentences."""
    schema = TagSchema(tuple(dict.fromkeys(["O", *chain(*tags)])), scheme)
    ids = np.array([schema.label2id[tag] for tag in chain(*tags)], np.int64)
    bounds = row_starts(np.array([*map(len, tags)], np.int64))
    starts, ends, types = schema.entity_edges(ids, bounds)
    edges = zip(np.flatnonzero(starts).tolist(), np.flatnonzero(ends).tolist(), strict=True)
    return {(first, last, schema.entity_types[types[first]]) for first, last in edges}


def _by_rule(before: Evaluation, after: Evaluation) -> tuple[RuleEffect, ...]:
    """Return what each rule has changed, those with the most changes first."""
    counts: dict[str, Counter[str]] = {}
    words: Sequence[Sequence[str]] = [
        [*chain(*side)] for side in (after.rules, before.predicted, after.predicted, after.gold)
    ]
    for rule, old, new, gold in zip(*words, strict=True):
        if rule and old != new:
            found = counts.setdefault(rule, Counter())
            found["changed"] += 1
            if gold != UNSCORED:
                found.update({"right": new == gold, "wrong": old == gold})
    rows = [RuleEffect(rule, found["changed"], found["right"], found["wrong"]) for rule, found in counts.items()]
    return tuple(sorted(rows, key=lambda row: -row.changed))


def _publish(folder: Path, record: RunRecord, effects: RuleEffects, trust_remote_code: bool) -> None:
    """Note rules in `run.json`, and write card and report anew."""
    kept = {name: value for name, value in effects.as_dict().items() if name in RulesRecord.__annotations__}
    record = cast(RunRecord, {**record, "rules": kept, "files": sorted({*record["files"], RULES})})
    RunFolder(folder).write(RECORD, record)
    if _CARD not in record["files"]:
        return
    results = record.get("results") or {}
    schema = cast(TagSchema, saved_schema(str(folder), trust_remote_code=trust_remote_code))  # it is a tagger
    analysis = None
    if any(name == tagged_split(name) for name in results):
        analysis = analyse_run(folder, trust_remote_code=trust_remote_code)
        write_page(folder, analysis)
    with whole_path(folder / _CARD) as partial:
        card = model_card(record, results, schema, analysis=analysis, seeds=seed_results(folder))
        partial.write_text(card, encoding="utf-8")
