"""A tagger and its copy with fewer subwords: what is kept, and whether the two tag alike."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.schema import TagSchema
from hf_tagging.data.trimming import inside_words, kept_ids, trimmed_tokenizer
from hf_tagging.data.windows import Aligner
from hf_tagging.disk import expanded
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.evaluation.metrics import Tags
from hf_tagging.evaluation.scoring import score
from hf_tagging.inference.sentences import encodable
from hf_tagging.inference.tagger import Tagger
from hf_tagging.models.trimming import checked, embedding_of, fixed_rows, keep_rows
from hf_tagging.problems import argument
from hf_tagging.tasks import Task, task_of_tags

logger = logging.getLogger(__name__)

Sentence = str | Sequence[str]
"""A text, or its words."""

_COMPARED = 500  # sentences of the kept texts that both taggers tag
_MOST_LOST = 0.003  # of F1 or accuracy, before there is a warning
_KEPT = "kept texts"


@dataclass(frozen=True)
class Agreement:
    """Tags of the same words by the tagger as it was and by the trimmed one.

    Args:
        words: Number of words.
        equal: Share of words with equal tags.
        score_difference: The largest between the two probabilities of a word's tag, where the tags are equal.
        before: F1 of entities or accuracy of the tagger as it was; None without gold tags.
        after: That of the trimmed one.
    """

    words: int
    equal: float
    score_difference: float
    before: float | None = None
    after: float | None = None


@dataclass(frozen=True)
class Size:
    """Number of subwords, and bytes of the weights in memory."""

    subwords: int
    bytes: int


class Trimming:
    """A tagger and a copy of it with fewer subwords.

    Args:
        name: Folder of the tagger, or its name on the Hub.
        most_common: How many subwords to keep that no text uses.
        trust_remote_code: Run code that comes with the model.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def __init__(self, name: str, most_common: int, *, trust_remote_code: bool):
        self.name, self.most_common = name, most_common
        self.before = Tagger.from_pretrained(
            name, device="cpu", trust_remote_code=trust_remote_code, precision="exact", rules=False
        )
        with _naming(name):
            self.source = checked(self.before.model, expanded(name))
        self.aligner = Aligner(self.before.tokenizer, max_length=self.before.max_length)
        self.agreement: dict[str, Agreement] = {}

    def cut(self, texts: Iterable[Sentence]) -> None:
        """Make the copy, for the subwords of texts, and check that it tags them as before."""
        words, first = set[str](), list[Sequence[str]]()
        for sentence in self._sentences(texts):
            words.update(sentence)
            if len(first) < _COMPARED:
                first.append(sentence)
        if not words:
            raise ConfigError(
                f"{argument('text_file')}: there is no word in the texts that {self.name} is to tag as before. Give "
                "texts like those that it is for."
            )
        with _naming(self.name):
            rows = self._rows(sorted(words))
            self.model = copy.deepcopy(self.source)
            keep_rows(self.model, torch.from_numpy(rows))
        self.tokenizer.model_max_length = self.before.max_length  # the same windows
        self.compare(_KEPT, first)
        if self.agreement[_KEPT].equal < 1 or self.agreement[_KEPT].score_difference > 0:
            raise ModelError(f"{self.name}: its trimmed copy tags the texts otherwise. Nothing was written.")

    def _sentences(self, texts: Iterable[Sentence]) -> Iterator[Sequence[str]]:
        for text in texts:
            yield from encodable(self.before.cutter()(text).sentences if isinstance(text, str) else [list(text)])

    def _rows(self, words: list[str]) -> np.ndarray:
        """Return the rows to keep, ascending, and set the tokenizer of these. (rows,)"""
        used = {*np.unique(self.aligner.encode(words)[0]).tolist()}
        fixed = fixed_rows(self.source)
        self.used, odd = len(used), words[:0]
        for _ in range(2):  # a word that was unknown may be cut into smaller subwords, unless all of its own are kept
            wanted = used | {*fixed} | inside_words(self.before.tokenizer, odd)
            rows, self.common = kept_ids(
                self.before.tokenizer,
                wanted,
                most_common=self.most_common,
                rows=embedding_of(self.source).num_embeddings,
            )
            self.tokenizer = trimmed_tokenizer(self.before.tokenizer, rows)
            if not (odd := self._cut_otherwise(words, rows)):
                return rows
        raise ModelError(f"its trimmed tokenizer cuts {odd[0]!r} otherwise. Nothing was written")

    def _cut_otherwise(self, words: list[str], rows: np.ndarray) -> list[str]:
        """Return the words that have other subwords now."""
        ids, sizes = self.aligner.encode(words)
        new_ids, new_sizes = Aligner(self.tokenizer, max_length=self.before.max_length).encode(words)
        if np.array_equal(sizes, new_sizes) and np.array_equal(ids, rows[new_ids]):
            return []
        old, new = (np.split(i, np.cumsum(n)[:-1]) for i, n in ((ids, sizes), (rows[new_ids], new_sizes)))
        return [word for word, a, b in zip(words, old, new, strict=True) if not np.array_equal(a, b)]

    def compare(
        self,
        name: str,
        words: Sequence[Sequence[str]],
        bounds: np.ndarray | None = None,
        gold: Tags | None = None,
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        """Tag sentences by both, and note how they compare.

        Args:
            name: Of the sentences.
            words: (sentences, words)
            bounds: Where their documents begin, and the end; None: each is alone.
            gold: Their tags, where they are known. (sentences, words)
            device: Where to tag.
        """
        sizes = None if bounds is None or not self.before.context_subwords else np.diff(bounds).tolist()
        sides = ((self.source, self.before.tokenizer), (self.model, self.tokenizer))
        taggers = [Tagger(*side, device=device, precision="exact") for side in sides]
        labels = [tagger.label(words, documents=sizes) for tagger in taggers]
        ids, scores = (
            [np.concatenate([getattr(x, of) for x in found]) for found in labels] for of in ("ids", "scores")
        )
        same = ids[0] == ids[1]
        figures = [
            None if gold is None else self._score([x.tags(self.schema) for x in found], gold) for found in labels
        ]
        self.agreement[name] = Agreement(
            len(same), float(same.mean()), float(np.abs(scores[0] - scores[1])[same].max(initial=0.0)), *figures
        )
        if figures[0] is not None and figures[1] is not None and figures[1] < figures[0] - _MOST_LOST:
            logger.warning(
                "%s: %s on %s falls from %.4f to %.4f. Keep more subwords: %s, or texts like these.",
                *(self.name, self.task.score_name, name, figures[0], figures[1], argument("most_common", "N")),
            )

    @property
    def schema(self) -> TagSchema:
        """Tags of the tagger."""
        return self.before.schema

    @property
    def task(self) -> Task:
        """Task of its tags, which decides on the figure."""
        return task_of_tags(has_entities=bool(self.schema.entity_types))

    def _score(self, predicted: Tags, gold: Tags) -> float:
        figures = score(self.task, predicted, gold, scheme=self.schema.scheme)
        return cast(float, figures["f1"] if self.task.has_entities else figures["accuracy"])

    def sizes(self) -> tuple[Size, Size]:
        """Return the sizes of both."""
        before, after = (
            Size(embedding_of(model).num_embeddings, int(model.get_memory_footprint()))
            for model in (self.source, self.model)
        )
        return before, after


@contextmanager
def _naming(model: str) -> Iterator[None]:
    """Put the name of the model before an error that says what is wrong with it."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{model}: {error}.") from None
