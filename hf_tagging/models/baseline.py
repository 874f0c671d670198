"""Taggers from scratch: the vocabulary of the training split, the parts, the tags."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import torch
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.pretokenized import subword_kinds
from hf_tagging.data.rows import arrow_batches
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import DEFAULT_MAX_LENGTH
from hf_tagging.data.word_features import feature_values
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.hub import model_errors
from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.encoder import HubOptions, hub_options, load_tokenizer, quiet, resolve_model
from hf_tagging.models.heads import is_tagger, keep_shared_tags, legal_tables, saved_head, with_rules
from hf_tagging.models.hmm import HmmConfig, HmmForTokenClassification
from hf_tagging.models.modeling_baseline import BaselineForTokenClassification
from hf_tagging.models.word_embeddings import DIGIT, LOWER, OTHER, UPPER
from hf_tagging.models.word_tokenizer import WordOptions, WordVocabulary, build_word_tokenizer, describe_tokenizer
from hf_tagging.models.word_vectors import initial_vectors, read_vectors
from hf_tagging.problems import argument

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict
    from gensim.models import KeyedVectors

logger = logging.getLogger(__name__)

VOCABULARY = "vocabulary"
# What may differ from the folder that a tagger starts from; everything else fixes the shape of its weights.
_FREE = {"head", "dropout", "word_dropout", "layer_mix", "freeze_vectors"}
_OF_WEIGHTS = {"head", "layer_mix"}  # what would be drawn anew, so not where the model is evaluated as it is


class VocabularyOptions(TypedDict, total=False):
    """Options of `build_baseline` for the words of a new model."""

    words: str
    vocabulary: WordOptions
    word_vectors: str | None
    vector_words: int
    word_features: Sequence[str] | None


def build_baseline(
    dataset: DatasetDict,
    schema: TagSchema,
    *,
    words: str = VOCABULARY,
    vocabulary: WordOptions | None = None,
    parts: Mapping[str, object] | None = None,
    given: Collection[str] = (),
    word_vectors: str | None = None,
    vector_words: int = 0,
    word_features: Sequence[str] | None = None,
    max_length: int | None = None,
    model: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    keep_head: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Build a tagger from scratch and its tokenizer. Weights are initialized at random: set the seed first.

    Args:
        dataset: With `train`, where the words and the values of further columns are counted.
        schema: The tags.
        words: ``"vocabulary"``: the words of training; else a tokenizer's subwords: a folder, a name on the Hub, or
            ``minilm``.
        vocabulary: Options of `build_word_tokenizer`.
        parts: Fields of `BaselineConfig`; ``encoder="hmm"`` builds an `HmmForTokenClassification`.
        given: Which of the parts were asked for, and not left to their default: they must agree with `model`.
        word_vectors: A file of word vectors to start from, see `initial_vectors`.
        vector_words: Words from the start of this file that are known too, whether or not training has them.
        word_features: Further columns of the dataset.
        max_length: Subwords per window; None: 512.
        model: Start from this folder (of recipes/pretrain.py, or a tagger from scratch) instead.
        revision: Of a model or a tokenizer on the Hub.
        trust_remote_code: Run code that comes with a model or tokenizer.
        keep_head: Insist on the tag head that the model has, for evaluation without training.

    Raises:
        ConfigError: If parts contradict each other or the folder that is started from.
        DataError: If there is no training split to take the words from.
        ModelError: If a folder, a tokenizer or a file of vectors cannot be read.
    """
    asked = {n: v for n, v in (dict(vocabulary or {}) | dict(parts or {})).items() if n in given}
    if model is not None:
        if "word_features" in given:
            asked["word_features"] = word_features
        hub = hub_options(resolve_model(model), revision, trust_remote_code)
        return _continued(model, schema, asked, hub, keep_head=keep_head, max_length=max_length)
    if "train" not in dataset:
        raise DataError(
            f"a tagger from scratch takes its words from a training split; give {argument('train_file')}, "
            f"or {argument('model')}."
        )
    read = read_vectors(word_vectors) if word_vectors else None
    further = read.index_to_key[:vector_words] if read else []
    found = _vocabulary(dataset["train"], words, vocabulary or {}, further, revision, trust_remote_code)
    found.tokenizer.model_max_length = max_length or DEFAULT_MAX_LENGTH
    settings: dict[str, Any] = _sizes(found) | _tags(schema) | dict(parts or {})
    settings["vocabulary"] = dict(vocabulary or {}) if words == VOCABULARY else None
    if settings.get("encoder") == "hmm":
        return _counted(found, settings), found.tokenizer
    settings["word_features"] = feature_values(dataset["train"], word_features) if word_features else None
    settings["word_pooling"] = "unknown" if words == VOCABULARY else "mean"
    vectors = None
    if word_vectors:
        asked_size = settings["word_size"] if "word_size" in given else None
        vectors = _looked_up(word_vectors, read, found, size=asked_size)
    return _drawn(found, settings, vectors), found.tokenizer


def _counted(found: WordVocabulary, settings: Mapping[str, Any]) -> PreTrainedModel:
    """Return a hidden Markov model that has not counted anything yet."""
    names = {field.name for field in fields(HmmConfig)}
    tagger = HmmForTokenClassification(HmmConfig(**{n: v for n, v in settings.items() if n in names}))
    tagger.tables.fill(_tables(found))
    return tagger


def _drawn(found: WordVocabulary, settings: dict[str, Any], vectors: np.ndarray | None) -> PreTrainedModel:
    """Return a tagger with random weights, except for the word vectors (rows, size) if there are any."""
    if vectors is not None:
        settings = settings | {"word_size": vectors.shape[1]}
    tagger = BaselineForTokenClassification(BaselineConfig(**settings))
    words = tagger.baseline.words
    words.tables.fill(_tables(found))
    with torch.no_grad():
        words.row_counts.copy_(torch.from_numpy(found.row_counts))
        if vectors is not None:
            words.vectors.weight.copy_(torch.from_numpy(vectors))
    return tagger


def _looked_up(file: str, read: KeyedVectors | None, found: WordVocabulary, size: int | None) -> np.ndarray:
    generator = np.random.default_rng(torch.initial_seed() % 2**32)
    vectors, coverage = initial_vectors(file, found, size=size, generator=generator, vectors=read)
    logger.info("%s: %s", file, coverage.describe())
    return vectors


def _vocabulary(
    train: Dataset,
    words: str,
    options: WordOptions,
    further: Sequence[str],
    revision: str | None,
    trust_remote_code: bool,
) -> WordVocabulary:
    if words == VOCABULARY:
        return build_word_tokenizer(_sentences(train), **options, further=further)
    source = resolve_model(words)
    with model_errors(words), quiet():
        return describe_tokenizer(load_tokenizer(source, hub_options(source, revision, trust_remote_code)))


def _sentences(split: Dataset) -> Iterator[list[str]]:
    for batch in arrow_batches(split, "tokens"):
        yield from batch.column("tokens").to_pylist()


def _sizes(found: WordVocabulary) -> dict[str, object]:
    """Return the fields of the config that depend on the vocabulary."""
    return {
        "vocab_size": len(found.vector_of_id),
        "num_vectors": len(found.row_words),
        "num_characters": len(found.characters) + 2,
        "max_subword_characters": found.spelling.shape[1],
        "max_positions": found.tokenizer.model_max_length,
        "pad_token_id": found.tokenizer.pad_token_id,
        "unk_token_id": found.tokenizer.unk_token_id,
    }


def _tags(schema: TagSchema) -> dict[str, object]:
    """Return the fields of the config that depend on the tags."""
    named = {"id2label": schema.id2label, "label2id": schema.label2id, "tag_scheme": schema.scheme}
    return named | legal_tables(schema)


def _tables(found: WordVocabulary) -> dict[str, torch.Tensor]:
    """Return the arguments of `SubwordTables.fill`."""
    classes = [0, OTHER, *(_character_class(character) for character in found.characters)]
    tables = {
        "subword_kind": subword_kinds(found.tokenizer, size=len(found.vector_of_id)),
        "vector_of_id": found.vector_of_id,
        "spelling": found.spelling,
        "character_class": np.array(classes, np.int8),
    }
    return {name: torch.as_tensor(table) for name, table in tables.items()}


def _character_class(character: str) -> int:
    if character.isdigit():
        return DIGIT
    if character.isupper():
        return UPPER
    return LOWER if character.islower() else OTHER


def _continued(
    name: str,
    schema: TagSchema,
    asked: Mapping[str, object],
    hub: HubOptions,
    *,
    keep_head: bool,
    max_length: int | None,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a tagger with the words and encoder of a folder, and its head if that has the same tags."""
    source = resolve_model(name)
    with model_errors(name), quiet():
        config = AutoConfig.from_pretrained(source, **hub)
        tokenizer = load_tokenizer(source, hub)
    if not isinstance(config, BaselineConfig | HmmConfig):
        raise ModelError(
            f"{argument('model', name)}: is a {config.model_type}, not a tagger from scratch or a folder of "
            "recipes/pretrain.py. "
            f"Fine-tune it with recipes/pos_bert.py or recipes/ner_bert.py, or leave {argument('model')} out."
        )
    if isinstance(config, HmmConfig) and not keep_head:
        raise ModelError(
            f"{argument('model', name)}: an hmm counts everything anew; leave {argument('model')} out, or "
            f"type {argument('do_train', False)}."
        )
    saved_as = getattr(config, "head", None)
    adopt_parts(config, asked, name=name, free=_FREE - _OF_WEIGHTS if keep_head else _FREE)
    if keep_head and config.id2label != schema.id2label:
        raise ModelError(
            f"{argument('model', name)}: its tag head is for other tags. Leave out {argument('do_train', False)}."
        )
    config.auto_map = None  # of a pretrained model, it names code that a tagger does not need
    pretrained = "BaselineForLanguageModeling" in (config.architectures or ())
    if pretrained and config.separate_directions and config.num_layers > 1 and "layer_mix" not in asked:
        config.layer_mix = True  # what language-model pretraining is for (Peters et al. 2018)
    with model_errors(name), quiet():
        same_head = saved_as == getattr(config, "head", None)
        model = _with_schema(name, config, schema, hub, same_head=same_head, pretrained=pretrained)
    if max_length is not None:
        tokenizer.model_max_length = max_length
    return model, tokenizer


def _with_schema(
    name: str,
    config: BaselineConfig | HmmConfig,
    schema: TagSchema,
    hub: HubOptions,
    *,
    same_head: bool,
    pretrained: bool,
) -> PreTrainedModel:
    """Load a model with a head for the schema, which keeps what the saved head has learned of shared tags.

    Args:
        name: The model, as the user gave it.
        config: Config of the folder, with the requested parts.
        schema: The tags.
        hub: See `hub_options`.
        same_head: The folder's head is of the kind that the config says.
        pretrained: It is a language model, without a head for tags.
    """
    source, options = resolve_model(name), {"dtype": torch.float32, **hub}
    same_tags = config.id2label == schema.id2label
    kind: type[HmmForTokenClassification] | type[BaselineForTokenClassification] = (
        HmmForTokenClassification if isinstance(config, HmmConfig) else BaselineForTokenClassification
    )
    learned = None
    if is_tagger(config) and not (same_tags and same_head) and not pretrained:
        learned = saved_head(kind.from_pretrained(source, **options))
    for field, value in _tags(schema).items():
        setattr(config, field, value)
    model = kind.from_pretrained(source, config=config, ignore_mismatched_sizes=True, **options)
    if isinstance(config, BaselineConfig) and model.crf is not None:
        # The rules are the data's, and not those of the folder; what was learned of other tags' steps is forgotten.
        model.crf = with_rules(model.crf, config, same_tags)
    if learned is not None:
        keep_shared_tags(model, learned, schema, name=name)
    tagger: PreTrainedModel = model
    return tagger


def parts_of(config: BaselineConfig | HmmConfig) -> dict[str, object]:
    """Return the settings of a tagger by the names of their arguments, with the rest of its config.

    Args:
        config: Of the tagger.
    """
    parts = config.to_dict() | (config.vocabulary or {})
    return parts | {"word_features": list(parts.get("word_features") or []) or None}


def adopt_parts(
    config: BaselineConfig | HmmConfig, asked: Mapping[str, object], *, name: str, free: Collection[str]
) -> None:
    """Check that a folder has the parts that were asked for, and set those that may differ.

    Args:
        config: Of the folder.
        asked: Its fields, and options of its vocabulary, with the values that were asked for.
        name: What `--model` was given.
        free: Fields that need not agree with the weights; they are set.

    Raises:
        ConfigError: Listing every part that the folder has otherwise.
    """
    there = parts_of(config)
    lines = [
        f"{n}: is {there.get(n)!r} there, and {value!r} was asked for"
        for n, value in sorted(asked.items())
        if n not in free and there.get(n) != value
    ]
    if lines:
        raise ConfigError(f"{argument('model', name)} has other parts:\n  " + "\n  ".join(lines))
    for part in asked.keys() & set(free):
        setattr(config, part, asked[part])
