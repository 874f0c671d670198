"""Configuration of taggers trained from scratch. This file is copied beside saved models."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig


class BaselineConfig(PreTrainedConfig):
    """Configuration of a `BaselineForTokenClassification`.

    Args:
        vocabulary: Options of the word vocabulary; None with a subword tokenizer.
        vocab_size: Ids of the tokenizer.
        pad_token_id: Of the tokenizer.
        unk_token_id: Of the tokenizer.
        word_pooling: Vector of a word of several subwords: ``"unknown"`` (its subwords only spell a word that is not
            in the vocabulary) or ``"mean"`` (the mean of its subwords' vectors, for subword tokenizers).
        num_vectors: Rows of the table of word vectors; several ids may share one.
        word_size: Dimensions of a word vector.
        word_dropout: In training, a word that occurs n times is replaced by the unknown word with probability
            word_dropout / (word_dropout + n) (Kiperwasser and Goldberg 2016).
        freeze_vectors: Do not train the word vectors.
        characters: ``"none"``, ``"cnn"`` or ``"lstm"``.
        num_characters: Known characters, with those for padding and for any other.
        max_subword_characters: Characters of a subword that the table of spellings holds.
        max_word_characters: Characters of a word that are read.
        character_size: Dimensions of a character vector.
        character_widths: Widths of the filters of the character CNN.
        character_filters: Filters of width w are w times this (Kim et al. 2016).
        highway_layers: Highway layers over the character CNN.
        character_hidden_size: Of the character LSTM, per direction.
        word_shape: Add a vector for the shape of a word: capital letters, digits and the like.
        word_features: Columns of further features, each with the names of its values.
        feature_size: Dimensions of a feature's vector, of the shape's too.
        feature_dropout: Share of sentences whose features are hidden in training, so that the model can tag text
            without them.
        encoder: See `ENCODERS` in sequence_encoders.
        hidden_size: Hidden size of the encoder; of recurrent ones per direction.
        num_layers: Of the encoder.
        dropout: Dropout before, between and after the layers.
        bidirectional: Recurrent encoders read in both directions.
        separate_directions: Each direction is a separate stack, as bidirectional language-model pretraining needs it.
        layer_mix: The encoder's output is a learned mix of its layers (Peters et al. 2018).
        context: Of the MLP: neighbours on each side that it sees.
        kernel_size: Of the CNN: words that a filter sees.
        dilation: Of the CNN: factor by which the distance of these words grows per layer.
        num_heads: Of the Transformer.
        intermediate_size: Of the Transformer.
        norm: Of the Transformer: ``"pre"`` or ``"post"``.
        positions: Of the Transformer: ``"sinusoidal"``, ``"learned"`` or ``"rotary"``.
        max_positions: Subwords per window; learned positions have as many.
        head: ``"linear"`` or ``"crf"``.
        tag_scheme: How entities are written as tags.
        word_splitter: Splitter that cut the words of training, and cuts text that is tagged.
        legal_start: Whether a sentence may start with the tag; None: with any. (tags,)
        legal_step: Whether the second tag may follow the first. (tags, tags)
        legal_end: Whether a sentence may end with the tag. (tags,)
    """

    model_type = "tagging-baseline"

    vocabulary: dict[str, Any] | None = None
    vocab_size: int = 3
    pad_token_id: int | None = 0
    unk_token_id: int | None = 1
    word_pooling: str = "unknown"
    num_vectors: int = 3
    word_size: int = 100
    word_dropout: float = 0.25
    freeze_vectors: bool = False
    characters: str = "none"
    num_characters: int = 2
    max_subword_characters: int = 1
    max_word_characters: int = 32
    character_size: int = 30
    character_widths: list[int] | tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
    character_filters: int = 8
    highway_layers: int = 1
    character_hidden_size: int = 25
    word_shape: bool = False
    word_features: dict[str, list[str]] | None = None
    feature_size: int = 20
    feature_dropout: float = 0.1
    encoder: str = "lstm"
    hidden_size: int = 200
    num_layers: int = 1
    dropout: float = 0.5
    bidirectional: bool = True
    separate_directions: bool = False
    layer_mix: bool = False
    context: int = 0
    kernel_size: int = 3
    dilation: int = 1
    num_heads: int = 4
    intermediate_size: int = 400
    norm: str = "pre"
    positions: str = "sinusoidal"
    max_positions: int = 512
    head: str = "linear"
    tag_scheme: str | None = None
    word_splitter: str | None = None
    legal_start: list[bool] | None = None
    legal_step: list[list[bool]] | None = None
    legal_end: list[bool] | None = None


BaselineConfig.register_for_auto_class()
