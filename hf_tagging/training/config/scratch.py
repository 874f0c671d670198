"""Arguments of a tagger from scratch, and what goes with what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Literal

from hf_tagging.errors import Problem
from hf_tagging.models.baseline import VocabularyOptions
from hf_tagging.models.sequence_encoders import ENCODERS as TRAINED_ENCODERS
from hf_tagging.problems import argument
from hf_tagging.training.config.checks import below, missing_files, missing_paths, refuse, wrong_kinds
from hf_tagging.training.config.given import Config, Given, given_by, remembering
from hf_tagging.training.config.kinds import SCRATCH
from hf_tagging.training.config.models import ModelFacts, scratch_facts

ENCODERS = (*TRAINED_ENCODERS, "hmm")
# Arguments that only some values of another one use. One that would do nothing is an error.
GOES_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    setting: ("encoder", tuple(name for name, kind in TRAINED_ENCODERS.items() if setting in kind.uses))
    for setting in dict.fromkeys(chain.from_iterable(kind.uses for kind in TRAINED_ENCODERS.values()))
} | {
    "character_widths": ("characters", ("cnn",)),
    "character_filters": ("characters", ("cnn",)),
    "highway_layers": ("characters", ("cnn",)),
    "character_hidden_size": ("characters", ("lstm",)),
    "character_size": ("characters", ("cnn", "lstm")),
    "min_count": ("words", ("vocabulary",)),
    "max_words": ("words", ("vocabulary",)),
    "lowercase": ("words", ("vocabulary",)),
    "fold_digits": ("words", ("vocabulary",)),
    "fold_tweets": ("words", ("vocabulary",)),
    "word_dropout": ("words", ("vocabulary",)),
    "freeze_vectors": ("word_vectors", ()),
    "vector_words": ("word_vectors", ()),
}
# Arguments that only a model uses which learns by gradient.
_OF_GRADIENTS = (
    "learning_rate", "num_train_epochs", "max_steps", "weight_decay", "warmup_steps", "max_grad_norm",
    "head_learning_rate", "per_device_train_batch_size", "tokens_per_batch", "packing", "bf16",
    "gradient_accumulation_steps", "class_weights", "label_smoothing_factor", "ema_decay",
    "calibrate",
)  # fmt: skip
_OF_NEW_WORDS = ("words", "word_vectors", "vector_words")
_COUNTED = ("encoder", "words", "model", "min_count", "max_words", "lowercase", "fold_digits", "fold_tweets")


@remembering
@dataclass
class ScratchConfig(Config):
    """Parts of a tagger from scratch."""

    encoder: str = field(
        default="lstm",
        metadata={"choices": ENCODERS, "help": "What reads the words; `hmm` is counted and not trained."},
    )
    head: Literal["linear", "crf"] = field(
        default="linear", metadata={"help": "Tags one by one (linear), or whole sequences of them (crf)."}
    )
    model: str | None = field(
        default=None,
        metadata={"help": "Start from a folder of recipes/pretrain.py, or from a tagger from scratch."},
    )
    words: str = field(
        default="vocabulary",
        metadata={"help": "`vocabulary`: the words of the training split; or the subwords of a tokenizer: a name on "
        "the Hub, a folder, or `minilm`."},
    )  # fmt: skip
    model_revision: str | None = field(
        default=None, metadata={"help": "Revision of a model or a tokenizer on the Hub."}
    )
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with a model or tokenizer."})
    min_count: int = field(default=1, metadata={"help": "Words that training has less often are unknown."})
    max_words: int | None = field(default=None, metadata={"help": "Keep the N most frequent words. Default: all."})
    lowercase: bool = field(
        default=False,
        metadata={"help": "Look word vectors up in lower case; characters and shape still see the case."},
    )
    fold_digits: bool = field(default=False, metadata={"help": "Read every digit as 0."})
    fold_tweets: bool = field(
        default=False, metadata={"help": "Read @names, #hashtags and URLs of tweets as one word each."}
    )
    word_size: int = field(
        default=100, metadata={"help": "Dimensions of a word vector; with word_vectors, those of the file."}
    )
    word_vectors: str | None = field(
        default=None,
        metadata={"help": "A file of word vectors: word2vec, GloVe or fastText, text or binary. Default: random."},
    )
    vector_words: int = field(
        default=0,
        metadata={
            "help": "So many words from the start of the word_vectors file are known, even if training lacks them."
        },
    )
    freeze_vectors: bool = field(default=False, metadata={"help": "Leave the word vectors of the file as they are."})
    word_dropout: float = field(
        default=0.25,
        metadata={"help": "A word seen n times is hidden with probability p / (p + n) while the model learns."},
    )
    characters: Literal["none", "cnn", "lstm"] = field(default="none", metadata={"help": "What reads the characters."})
    character_size: int = field(default=30, metadata={"help": "Dimensions of a character vector."})
    character_widths: list[int] = field(
        default_factory=lambda: [1, 2, 3, 4, 5, 6, 7], metadata={"help": "Widths of the character CNN's filters."}
    )
    character_filters: int = field(default=8, metadata={"help": "Filters of width w are w times this."})
    highway_layers: int = field(default=1, metadata={"help": "Highway layers over the character CNN."})
    character_hidden_size: int = field(default=25, metadata={"help": "Of the character LSTM, per direction."})
    word_shape: bool = field(
        default=False, metadata={"help": "A vector for the kinds of characters in a word: capitals, digits, others."}
    )
    word_features: list[str] | None = field(
        default=None, metadata={"help": "Further columns of the data, one value per word, as vectors of their own."}
    )
    feature_size: int = field(default=20, metadata={"help": "Dimensions of the vectors of shape and further columns."})
    hidden_size: int = field(default=200, metadata={"help": "Of the encoder; of recurrent ones per direction."})
    num_layers: int = field(default=1, metadata={"help": "Layers of the encoder; two are what `twisted` has."})
    dropout: float = field(default=0.5, metadata={"help": "Before, between and behind the encoder's layers."})
    bidirectional: bool = field(default=True, metadata={"help": "Recurrent encoders read in both directions."})
    layer_mix: bool = field(
        default=False, metadata={"help": "A learned mix of the encoder's layers is what the head sees, as in ELMo."}
    )
    context: int = field(default=0, metadata={"help": "Neighbours on each side that the MLP sees."})
    kernel_size: int = field(default=3, metadata={"help": "Words that a filter of the CNN sees; odd."})
    dilation: int = field(
        default=1, metadata={"help": "Factor by which the distance of these words grows per layer of the CNN."}
    )
    num_heads: int = field(default=4, metadata={"help": "Attention heads of the Transformer."})
    intermediate_size: int = field(default=400, metadata={"help": "Inner size of the Transformer's layers."})
    norm: Literal["pre", "post"] = field(default="pre", metadata={"help": "Where the Transformer normalises."})
    positions: Literal["sinusoidal", "learned", "rotary"] = field(
        default="sinusoidal", metadata={"help": "How the Transformer knows the order of words."}
    )

    def __post_init__(self, given: Given | None) -> None:
        if self.model == SCRATCH:
            self.model = None
        refuse(wrong_kinds(self))
        counts = (
            "min_count", "word_size", "character_size", "character_filters", "character_hidden_size", "feature_size",
            "hidden_size", "num_layers", "dilation", "num_heads", "intermediate_size", "kernel_size", "max_words",
        )  # fmt: skip
        problems = list(below(self, 1, *counts))
        problems += below(self, 0, "context", "highway_layers", "word_dropout", "vector_words")
        if not 0 <= self.dropout < 1:
            problems.append(Problem("dropout", self.dropout, f"{self.dropout} is not from 0 up to below 1"))
        if not self.character_widths or min(self.character_widths) < 1:
            reason = f"{self.character_widths} are not widths of 1 and more"
            problems.append(Problem("character_widths", self.character_widths, reason))
        if self.kernel_size % 2 == 0:
            reason = f"{self.kernel_size} is even, so a filter would have no word in its middle"
            problems.append(Problem("kernel_size", self.kernel_size, reason))
        shares = self.num_heads * (2 if self.positions == "rotary" else 1)  # rotary positions turn pairs of dimensions
        if self.encoder == "transformer" and self.hidden_size % shares:
            reason = f"{self.hidden_size} is no multiple of {shares}, for {self.num_heads} heads"
            problems.append(Problem("hidden_size", self.hidden_size, reason))
        problems += [*missing_files(self, "word_vectors"), *missing_paths(self, "model", "words")]
        refuse(problems)

    @property
    def label(self) -> str:
        """Name of the model in the name of a folder."""
        return self.encoder if self.encoder == "hmm" or self.head == "linear" else f"{self.encoder}-{self.head}"

    @property
    def facts(self) -> ModelFacts:
        """Facts that defaults and rules depend on."""
        asked = self.model is None or "head" in given_by(self).names
        return scratch_facts(self.model, head=self.head if asked else None)

    @property
    def words_read(self) -> VocabularyOptions:
        """Options of `build_baseline` for the words of a new model."""
        return {
            "words": self.words,
            "vocabulary": {
                "min_count": self.min_count,
                "max_words": self.max_words,
                "lowercase": self.lowercase,
                "fold_digits": self.fold_digits,
                "fold_tweets": self.fold_tweets,
            },
            "word_vectors": self.word_vectors,
            "vector_words": self.vector_words,
            "word_features": self.word_features,
        }

    @property
    def parts(self) -> dict[str, object]:
        """Settings of a new model, as its config holds them."""
        return {name: getattr(self, name) for name in PARTS}

    lora = lora_merge = False  # there is no encoder to put adapters on


VOCABULARY = ("min_count", "max_words", "lowercase", "fold_digits", "fold_tweets")
# Fields of a model's config; the other ones say which words it reads and where it comes from.
_NO_PARTS = {
    "model", "words", "model_revision", "trust_remote_code", *VOCABULARY, "word_vectors", "vector_words",
    "word_features",
}  # fmt: skip
PARTS = tuple(f.name for f in fields(ScratchConfig) if f.name not in _NO_PARTS)


def idle_problems(given: Mapping[str, object]) -> Iterator[Problem]:
    """Yield arguments that have no effect for this model.

    Args:
        given: All given arguments of a run, by name.
    """

    def idle(name: str, reason: str, fix: str = "leave it out") -> Problem:
        return Problem(name, given[name], reason, fix)

    for name in ("layerwise_lr_decay", "compact_vocabulary"):
        if name in given:
            yield idle(name, "is for pretrained encoders")
    if given.get("model", SCRATCH) not in (
        None,
        SCRATCH,
    ):  # its folder says what it is made of; `build_baseline` compares
        yield from (idle(n, "the model has its words already") for n in _OF_NEW_WORDS if n in given)
        return
    encoder = given.get("encoder", "lstm")
    if encoder == "hmm":
        yield from (idle(n, "an hmm is counted, not trained") for n in _OF_GRADIENTS if n in given)
    elif "feature_size" in given and not (given.get("word_shape") or given.get("word_features")):
        needed = f"needs {argument('word_shape', True)} or {argument('word_features', ['COLUMN'])}"
        yield idle("feature_size", needed, "")
    for name in (f.name for f in fields(ScratchConfig) if f.name in given):
        if encoder == "hmm":
            if name not in _COUNTED:
                yield idle(name, "an hmm has no use for it; it counts words, tags and endings of words")
            continue
        other, good = GOES_WITH.get(name, ("", ()))
        if other == "word_vectors" and not given.get("word_vectors"):
            yield idle(name, f"needs {argument('word_vectors', 'FILE')}", "")
        elif good and (now := given.get(other, _default(other))) not in good:
            yield idle(name, f"goes with {other} {' or '.join(good)}, not {now}", "")
    if given.get("words", "vocabulary") != "vocabulary":
        if encoder == "hmm":
            yield idle("words", "an hmm counts whole words")
        elif "vector_words" in given:
            yield idle("vector_words", "adds whole words, and the tokenizer has its subwords")


def _default(name: str) -> object:
    return next(f.default for f in fields(ScratchConfig) if f.name == name)
