"""Data of a model card: splits, conversion, held-out parts, licences."""

from __future__ import annotations

from dataclasses import dataclass

from hf_tagging.markdown import Markup, table
from hf_tagging.publishing import provenance
from hf_tagging.publishing.card.reading import ReadingView, reading_view
from hf_tagging.training.record import RunRecord

# As stated on their pages on the Hub.
_MODEL_LICENCES = {
    "sentence-transformers/all-MiniLM-L6-v2": "Apache-2.0",
    "google-bert/bert-base-cased": "Apache-2.0",
    "google-bert/bert-base-uncased": "Apache-2.0",
    "google-bert/bert-large-cased": "Apache-2.0",
    "distilbert/distilbert-base-cased": "Apache-2.0",
    "FacebookAI/roberta-base": "MIT",
}


@dataclass(frozen=True)
class DataView:
    """Data of a run and what was done to it."""

    splits: Markup | None
    reading: ReadingView | None
    configuration: str | None
    revision: str | None
    converted: tuple[str | None, str | None] | None
    shares: list[tuple[str, float]]
    folds: tuple[int, int | None] | None
    word_vectors: str | None
    unseen_tags: list[tuple[str, list[tuple[str, int]]]]
    is_sample: bool
    is_conll2003: bool
    base_licence: str | None


def data_view(record: RunRecord) -> DataView:
    """Return the data of a run.

    Args:
        record: Record of the run, with `task` and `arguments`.
    """
    arguments, data, scheme = record["arguments"], record.get("dataset") or {}, record.get("scheme") or {}
    trained, base = provenance.trained(record), provenance.model(record)
    shares = (("validation", arguments.get("validation_share")), ("test", arguments.get("test_share")))
    folds, vectors = arguments.get("folds"), arguments.get("word_vectors")
    unseen = (data.get("unseen_tags") or {}) if trained else {}
    is_converted = scheme.get("source") != scheme.get("target")
    return DataView(
        splits=_splits(record),
        reading=reading_view(record),
        configuration=arguments.get("dataset_config"),
        revision=provenance.revision(record),
        converted=(scheme.get("source"), scheme.get("target")) if is_converted else None,
        shares=[(split, share) for split, share in shares if share],
        folds=(folds, arguments.get("fold")) if folds else None,
        word_vectors=provenance.last_part(vectors) if vectors and trained else None,
        unseen_tags=[(split, sorted(tags.items(), key=lambda tag: -tag[1])) for split, tags in unseen.items() if tags],
        is_sample=provenance.is_sample(record, ["train"]),
        is_conll2003=provenance.is_conll2003(record, ["train"]),
        base_licence=_MODEL_LICENCES.get(base.hub) if base and base.hub else None,
    )


def _splits(record: RunRecord) -> Markup | None:
    rows = []
    for split, counts in ((record.get("dataset") or {}).get("splits") or {}).items():
        source = provenance.source(record, split)
        name = source.name if source else None
        is_stream = split == "train" and record["arguments"].get("streaming")
        shown = "train, a stream: its first sentences" if is_stream else split
        rows.append([shown, name, counts.get("sentences"), counts.get("words"), counts.get("fingerprint")])
    return table(["Split", "Source", "Sentences", "Words", "Fingerprint"], rows) if rows else None
