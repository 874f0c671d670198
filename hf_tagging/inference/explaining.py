"""Explanations of tags: the share of every word of the sentence in the probability of a tag.

Occlusion asks what changes where a word is unknown (Li, Monroe and Jurafsky 2016, Understanding Neural Networks through
Representation Erasure) and works for every tagger. Integrated gradients follow the gradient from a sentence of unknown
words to the sentence (Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks) and need an encoder.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from hf_tagging.data.pretokenized import unknown_token
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Windows
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.inference.onnx_model import OnnxModel
from hf_tagging.inference.reading import TagModel

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Method = Literal["occlusion", "integrated_gradients"]
METHODS: tuple[str, ...] = get_args(Method)
_FOR, _AGAINST, _DARKEST = "37 99 235", "234 88 12", 0.34  # blue, orange, and their opacity: as in report.css
_STEPS = 64  # of the integral: the sum of the contributions is then within 0.004 of the limit with MiniLM, with 32 0.07
_AT_ONCE = 8  # sentences in a forward and backward pass


@dataclass(frozen=True)
class Transition:
    """Score that a CRF gives to a tag after another one, in nats; higher is more likely.

    Args:
        previous: Tag before; None: the sentence begins.
        tag: Tag after; None: the sentence ends.
        score: Learned weight.
    """

    previous: str | None
    tag: str | None
    score: float


@dataclass(frozen=True)
class Explanation:
    """Contributions of the words of a sentence to the tag of one of them. Jupyter shows it as a heat line.

    Args:
        words: The sentence. (words,)
        position: Number of the word that is explained, from 0.
        tag: Tag that is explained.
        probability: Its probability there.
        contributions: Of every word to this probability, positive where the word speaks for the tag. (words,) float64
        method: How they were found.
        transitions: Of a CRF: from the tag of the word before and to the tag of the word after.
    """

    words: list[str]
    position: int
    tag: str
    probability: float
    contributions: np.ndarray
    method: Method
    transitions: tuple[Transition, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return it as JSON can hold it."""
        return {
            "words": self.words,
            "position": self.position,
            "tag": self.tag,
            "probability": self.probability,
            "contributions": self.contributions.tolist(),
            "method": self.method,
            "transitions": [vars(transition) for transition in self.transitions],
        }

    def to_html(self) -> str:
        """Return the sentence as a heat line: blue words speak for the tag, orange ones against it."""
        return heat_line(self.words, self.contributions, self.position, self.tag, self.probability)

    _repr_html_ = to_html


def heat_line(words: list[str], contributions: np.ndarray, position: int, tag: str, probability: float) -> str:
    """Return words as HTML, each on a background as strong as its contribution; arguments as of `Explanation`."""
    most = max(float(np.abs(contributions).max(initial=0)), 1e-9)
    cells = []
    for number, (word, value) in enumerate(zip(words, contributions.tolist(), strict=True)):
        colour, strength = (_FOR if value >= 0 else _AGAINST), abs(value) / most
        shown = f"<bdi>{html.escape(word)}</bdi>"
        if number == position:
            shown = f"<strong>{shown}</strong>&nbsp;<small>{html.escape(tag)} {probability:.2f}</small>"
        cells.append(
            f'<span style="background: rgb({colour} / {_DARKEST * strength:.2f}); border-radius: 4px; '
            f'padding: 2px 4px" title="{value:+.4f}">{shown}</span>'
        )
    return f'<p style="line-height: 2">{" ".join(cells)}</p>'


def checked_method(method: str) -> Method:
    """Return a method.

    Raises:
        ConfigError: There is none of this name.
    """
    if method not in METHODS:
        raise ConfigError(f"method: {method!r} is not one of {', '.join(METHODS)}.")
    return cast(Method, method)


def checked_position(words: list[str], position: int) -> int:
    """Return the number of a word, counted from the front.

    Args:
        words: The sentence.
        position: Number of the word; negative ones count from the end.

    Raises:
        ConfigError: There is no such word, or the position is no integer.
    """
    if isinstance(position, bool) or not isinstance(position, Integral):
        raise ConfigError(f"position: {position!r} is not the number of a word. Give an integer; words count from 0.")
    if not -len(words) <= position < len(words):
        raise ConfigError(f"position: {position} is not a word of this sentence, which has {len(words):,} words.")
    return int(position) % len(words)


def occlusion(
    logits: Callable[[np.ndarray, np.ndarray, np.ndarray], Tensor],
    windows: Windows,
    words: int,
    position: int,
    label: int,
    unknown: int,
    budget: int,
) -> np.ndarray:
    """Return the probability that a tag loses where each word is unknown, in the window that its word is read in.

    Args:
        logits: Reads some rows: `input_ids` and `attention_mask` (rows, subwords), and where to read (rows,), to
            (rows, tags).
        windows: Of the sentence alone.
        words: Number of words in the sentence.
        position: Number of the word that is explained.
        label: Label id that is explained.
        unknown: Id of the unknown token, which takes the place of a word's subwords.
        budget: Subwords that are read at once.

    Returns:
        (words,) float64; 0 for words outside the window
    """
    window, at = _place(windows, position)
    inside = slice(int(windows.offsets[window]), int(windows.offsets[window + 1]))
    ids, of_word = windows.input_ids[inside].astype(np.int64), windows.words[inside]
    hidden = np.unique(of_word[of_word >= 0])
    rows, places = [ids], [at]
    for word in hidden.tolist():
        where = np.flatnonzero(of_word == word)
        rows.append(np.concatenate([ids[: where[0]], [unknown], ids[where[-1] + 1 :]]))
        places.append(at - (len(where) - 1) * (word < position))
    at_once = max(1, budget // len(ids))
    found = [
        logits(*_padded(rows[i : i + at_once]), np.array(places[i : i + at_once])).double().softmax(-1)[:, label]
        for i in range(0, len(rows), at_once)
    ]
    probabilities = torch.cat(found).numpy()
    contributions = np.zeros(words)
    contributions[hidden] = probabilities[0] - probabilities[1:]
    return contributions


def _padded(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of ids side by side and where they have any, (rows, subwords) each; padding is 0, and not read."""
    lengths = np.array([len(row) for row in rows])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate(rows)
    return ids, mask.astype(np.int64)


@torch.enable_grad()
def integrated_gradients(
    model: TagModel, tokenizer: PreTrainedTokenizerBase, windows: Windows, words: int, position: int, label: int
) -> np.ndarray:
    """Return the contribution of every word by integrated gradients, from unknown words to the words.

    The contributions of the subwords of a word are added up. For a model with a CRF the probability is that of the
    word alone, before transitions.

    Args:
        model: An encoder with a linear tag head or a CRF, in evaluation mode.
        tokenizer: Its tokenizer.
        windows: Of the sentence alone.
        words: Number of words in the sentence.
        position: Number of the word that is explained.
        label: Label id that is explained.

    Returns:
        (words,) float64; 0 for words outside the window in which the word is read

    Raises:
        ModelError: The model is not an encoder: a tagger from scratch, or an exported one.
        ConfigError: captum is not installed.
    """
    # Imported here: a tagger need not wait for the modeling code of Transformers.
    from hf_tagging.models.configuration_baseline import BaselineConfig
    from hf_tagging.models.hmm import HmmConfig

    if isinstance(model, OnnxModel) or isinstance(model.config, BaselineConfig | HmmConfig):
        raise ModelError("method: integrated_gradients needs an encoder with its gradients. Use occlusion instead.")
    try:
        from captum.attr import LayerIntegratedGradients
    except ImportError as error:
        raise ConfigError(
            "method: integrated_gradients needs captum. Install it with pip install 'hf-tagging[explain]', "
            "or use occlusion."
        ) from error
    window, at = _place(windows, position)
    inside = slice(int(windows.offsets[window]), int(windows.offsets[window + 1]))
    of_word = windows.words[inside]
    ids = torch.from_numpy(windows.input_ids[inside].astype(np.int64))[None].to(model.device)
    unknown = ids.masked_fill(torch.from_numpy(of_word >= 0).to(ids.device), unknown_token(tokenizer))
    emissions = _emissions(model)

    def probability(input_ids: Tensor) -> Tensor:
        return emissions(input_ids)[:, at].float().softmax(-1)[:, label]

    gradients = LayerIntegratedGradients(probability, model.get_input_embeddings())
    found = gradients.attribute(ids, unknown, n_steps=_STEPS, internal_batch_size=_AT_ONCE)
    of_subwords = found[0].sum(-1).cpu().double().numpy()  # (subwords,)
    return np.bincount(of_word[of_word >= 0], of_subwords[of_word >= 0], minlength=words)


def crf_transitions(model: TagModel, schema: TagSchema, ids: np.ndarray, position: int) -> tuple[Transition, ...]:
    """Return the scores of a CRF into the tag of a word and out of it; none where the model has no CRF.

    Args:
        model: The tagger's.
        schema: Its tags.
        ids: Label ids of the sentence, that of the explained word among them. (words,)
        position: Number of the word that is explained.
    """
    crf = getattr(model, "crf", None)
    if crf is None:
        return ()
    tag = int(ids[position])
    before = int(ids[position - 1]) if position else None
    after = int(ids[position + 1]) if position + 1 < len(ids) else None
    into = crf.start[tag] if before is None else crf.transitions[before, tag]
    out = crf.end[tag] if after is None else crf.transitions[tag, after]
    names = [None if i is None else schema.tags[i] for i in (before, tag, after)]
    return Transition(names[0], names[1], into.item()), Transition(names[1], names[2], out.item())


def _place(windows: Windows, position: int) -> tuple[int, int]:
    """Return the window that owns a word of a single sentence, and where it is read there."""
    starts, counts = windows.word_starts()
    window = int(np.searchsorted(windows.first_word, position, side="right")) - 1
    return window, int(starts[counts[window] + position - windows.first_word[window]])


def _emissions(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """Return what gives the scores of tags at subwords, of a CRF those before transitions.

    (batch, subwords) to (batch, subwords, tags)
    """
    from hf_tagging.models.modeling_crf_encoder import CrfEncoderForTokenClassification
    from hf_tagging.models.packing import unwrapped

    inner = unwrapped(model)
    if isinstance(inner, CrfEncoderForTokenClassification):
        encoder, head = inner.encoder, inner.classifier
        return lambda ids: head(encoder(input_ids=ids, attention_mask=torch.ones_like(ids))[0])
    return lambda ids: model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
