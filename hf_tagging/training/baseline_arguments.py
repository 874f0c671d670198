"""Every argument of a tagger from scratch, stated once: its default, its help, what it goes with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import Any, Literal

from hf_tagging.errors import ConfigError
from hf_tagging.models.sequence_encoders import ENCODERS as TRAINED_ENCODERS

ENCODERS = (*TRAINED_ENCODERS, "hmm")
# What only some values of another argument have a use for. A flag that would do nothing is an error.
_GOES_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
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
}
# What only a model that learns by gradient has a use for.
_OF_GRADIENTS = (
    "learning_rate", "num_train_epochs", "max_steps", "weight_decay", "warmup_steps", "max_grad_norm",
    "head_learning_rate", "per_device_train_batch_size", "tokens_per_batch", "packing", "bf16",
    "gradient_accumulation_steps", "class_weights", "label_smoothing_factor", "ema_decay",
)  # fmt: skip
_OF_NEW_WORDS = ("words", "word_vectors")
_COUNTED = ("encoder", "words", "model", "min_count", "max_words", "lowercase", "fold_digits", "fold_tweets")


@dataclass
class ScratchConfig:
    """What a tagger from scratch is put together from."""

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

    def __post_init__(self) -> None:
        counts = (
            "min_count", "word_size", "character_size", "character_filters", "character_hidden_size", "feature_size",
            "hidden_size", "num_layers", "dilation", "num_heads", "intermediate_size", "kernel_size", "max_words",
        )  # fmt: skip
        problems = [_below(self, name, 1) for name in counts]
        problems += [_below(self, name, 0) for name in ("context", "highway_layers", "word_dropout")]
        if not 0 <= self.dropout < 1:
            problems.append(f"dropout: {self.dropout} is not from 0 up to below 1")
        if not self.character_widths or min(self.character_widths) < 1:
            problems.append(f"character_widths: {self.character_widths} are not widths of 1 and more")
        if self.kernel_size % 2 == 0:
            problems.append(f"kernel_size: {self.kernel_size} is even, so a filter would have no word in its middle")
        shares = self.num_heads * (2 if self.positions == "rotary" else 1)  # rotary positions turn pairs of dimensions
        if self.encoder == "transformer" and self.hidden_size % shares:
            problems.append(f"hidden_size: {self.hidden_size} is no multiple of {shares}, for {self.num_heads} heads")
        if found := [problem for problem in problems if problem]:
            raise ConfigError("\n".join(found))

    @property
    def label(self) -> str:
        """What the model is called in the name of a folder."""
        return self.encoder if self.encoder == "hmm" or self.head == "linear" else f"{self.encoder}-{self.head}"

    lora = lora_merge = False  # there is no encoder to put adapters on


PARTS = tuple(
    f.name
    for f in fields(ScratchConfig)
    if f.name not in ("model", "words", "model_revision", "trust_remote_code", "min_count", "max_words", "lowercase",
                      "fold_digits", "fold_tweets", "word_vectors", "word_features")
)  # fmt: skip


def useless(values: dict[str, Any]) -> Iterable[str]:
    """What was given and would have no effect.

    Args:
        values: Arguments by name, as given.

    Yields:
        One line for each.
    """
    if "layerwise_lr_decay" in values:
        yield "layerwise_lr_decay: is for pretrained encoders; leave it out"
    if values.get("model"):  # its folder says what it is made of; `build_baseline` compares
        yield from (f"{n}: the model has its words already; leave it out" for n in _OF_NEW_WORDS if n in values)
        return
    encoder = values.get("encoder", "lstm")
    if encoder == "hmm":
        yield from (f"{n}: an hmm is counted, not trained; leave it out" for n in _OF_GRADIENTS if n in values)
    elif "feature_size" in values and not (values.get("word_shape") or values.get("word_features")):
        yield "feature_size: needs --word_shape true or --word_features COLUMN"
    for name in (f.name for f in fields(ScratchConfig) if f.name in values):
        if encoder == "hmm":
            if name not in _COUNTED:
                yield f"{name}: an hmm has no use for it; it counts words, tags and endings of words. Leave it out"
            continue
        other, good = _GOES_WITH.get(name, ("", ()))
        if other == "word_vectors" and not values.get("word_vectors"):
            yield f"{name}: needs --word_vectors FILE"
        elif good and values.get(other, _default(other)) not in good:
            yield f"{name}: goes with {other} {' or '.join(good)}, not {values.get(other, _default(other))}"
    if encoder == "hmm" and values.get("words", "vocabulary") != "vocabulary":
        yield "words: an hmm counts whole words; leave it out"


def _default(name: str) -> Any:
    return next(f.default for f in fields(ScratchConfig) if f.name == name)


def _below(arguments: object, name: str, least: int) -> str | None:
    value = getattr(arguments, name)
    return None if value is None or value >= least else f"{name}: {value} is below {least}"
