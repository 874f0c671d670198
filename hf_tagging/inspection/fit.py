"""Checks of words against a model: what its tokenizer knows, and what fits its window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedTokenizerBase

from hf_tagging.data.alignment import Aligner
from hf_tagging.data.findings import SUSPICIOUS_UNKNOWN, TOO_MANY_UNKNOWN, UNKNOWN_WORDS
from hf_tagging.data.notes import Remark
from hf_tagging.hub import model_errors
from hf_tagging.inspection.corpus import Corpus
from hf_tagging.inspection.remarks import counted, percent
from hf_tagging.models.encoder import hub_options, load_tokenizer, quiet, resolve_model, window_length


@dataclass(frozen=True)
class Reader:
    """What reads the words for a model.

    Args:
        name: Of the model, as it was given.
        aligner: Its tokenizer, with the length of its window.
    """

    name: str
    aligner: Aligner

    @classmethod
    def of(cls, name: str, *, revision: str | None = None, trust_remote_code: bool = False) -> Reader:
        """Load the tokenizer of a model, and find the length of its window; the weights are left alone.

        Args:
            name: A folder, a name on the Hub, or `minilm`.
            revision: Of a name on the Hub.
            trust_remote_code: Run code that comes with the model.

        Raises:
            ModelError: If there is no such model, or it has no fast tokenizer.
        """
        source = resolve_model(name)
        hub = hub_options(source, revision, trust_remote_code)
        with model_errors(name), quiet():
            config = AutoConfig.from_pretrained(source, **hub)
            tokenizer = load_tokenizer(source, hub)
            with torch.device("meta"):  # the layers and the sizes of their tables, with no memory for weights
                model = AutoModelForTokenClassification.from_config(config, trust_remote_code=trust_remote_code)
        return cls(name, Aligner(tokenizer, max_length=window_length(model, tokenizer, None)))

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Tokenizer of the model."""
        return self.aligner.tokenizer


def model_fit(corpus: Corpus, reader: Reader) -> Iterator[Remark]:
    """Yield words that are nothing but the unknown token, words without subwords, and sentences beyond a window.

    Args:
        corpus: Words and tags.
        reader: Of the model.
    """
    sizes, unknown = reader.aligner.measured(corpus.vocabulary.to_pylist())
    for split in corpus.splits.values():
        chosen = split.words[unknown[split.words]]
        share = len(chosen) / max(len(split.words), 1)
        advice = "; another encoder fits better" if share > SUSPICIOUS_UNKNOWN else ""
        yield from counted(
            UNKNOWN_WORDS,
            f"words of {split.name} are wholly the unknown token for {reader.name} "
            f"({percent(len(chosen), len(split.words))}), so it cannot tell them from each other{advice}",
            len(chosen),
            severity="wrong" if share >= TOO_MANY_UNKNOWN else "suspicious" if share > SUSPICIOUS_UNKNOWN else "note",
            examples=corpus.quoted(chosen),
        )
        nothing = split.words[sizes[split.words] == 0]
        yield from counted(
            "vanished_words",
            f"words of {split.name} have no subword for {reader.name} and are read as the unknown token",
            len(nothing),
            examples=corpus.quoted(nothing),
        )
        subwords = np.zeros(len(split.words) + 1, np.int64)
        np.cumsum(np.maximum(sizes, 1)[split.words], out=subwords[1:])
        lengths = np.diff(subwords[split.offsets])
        long = np.flatnonzero(lengths > reader.aligner.capacity)
        yield from counted(
            "long_sentences",
            f"sentences of {split.name} are longer than the window of {reader.name} ({reader.aligner.max_length} "
            f"subwords; the longest has {int(lengths.max(initial=0)):,}): they are read in overlapping windows",
            len(long),
            examples=corpus.examples(split, long),
        )
