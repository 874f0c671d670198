"""Input layer from a tokenizer's ids to one vector per word: word vectors, characters, shape, further columns.

A word is one or more subwords. With a word vocabulary a known word is a single subword, and an unseen word is spelled
by subwords of one character each, so that its characters reach the model. This file is copied beside saved models, so
it imports nothing of this package.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers import initialization as init

OUTSIDE, STARTS, CONTINUES = 0, 1, 2  # what a subword is
UNKNOWN_ROW = 1
# What a character is; the shape of a word is which of these it has.
LOWER, UPPER, DIGIT, OTHER = 1, 2, 3, 4
SHAPES = 64
_WORDS = 64  # that the character CNN reads at once; more is more padding, fewer is more calls


class Words(NamedTuple):
    """Subwords of each word; the words of a row are padded on the right."""

    mask: Tensor  # where a word is. (batch, words) bool
    first: Tensor  # the position of each word's first subword, 0 where there is none. (batch, words)
    of: Tensor  # the word of each subword; any outside words. (batch, subwords)
    inside: Tensor  # which subwords belong to a word. (batch, subwords) bool
    sentence: Tensor | None = None  # each word's sentence, where several share a row, 0 at padding. (batch, words)

    def gather(self, values: Tensor) -> Tensor:
        """Return values at each word's first subword. (batch, subwords, ...) to (batch, words, ...)"""
        return _pick(values, self.first)

    def spread(self, values: Tensor) -> Tensor:
        """Return a word's values at all of its subwords. (batch, words, ...) to (batch, subwords, ...)"""
        return _pick(values, self.of)


class SubwordTables(nn.Module):
    """Constant tables about every id of the tokenizer.

    Args:
        config: A `BaselineConfig`, or any other with its names of sizes.
    """

    subword_kind: Tensor
    vector_of_id: Tensor
    spelling: Tensor
    character_class: Tensor

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.longest = config.max_word_characters
        self.register_buffer("subword_kind", torch.empty(config.vocab_size, dtype=torch.int8))
        self.register_buffer("vector_of_id", torch.empty(config.vocab_size, dtype=torch.int32))
        self.register_buffer(
            "spelling", torch.empty(config.vocab_size, config.max_subword_characters, dtype=torch.int16)
        )
        self.register_buffer("character_class", torch.empty(config.num_characters, dtype=torch.int8))

    def reset_parameters(self) -> None:
        """Make every subword an unknown word of unknown spelling, until `fill`."""
        init.constant_(self.subword_kind, STARTS)
        init.constant_(self.vector_of_id, UNKNOWN_ROW)
        init.zeros_(self.spelling)
        init.constant_(self.character_class, OTHER)

    @torch.no_grad()
    def fill(self, tables: Mapping[str, Tensor]) -> None:
        """Set the tables.

        Args:
            tables: `subword_kind` (ids,), `vector_of_id` (ids,), `spelling` (ids, characters), `character_class`
                (characters,).
        """
        for name, table in tables.items():
            getattr(self, name).copy_(torch.as_tensor(table))

    def group(self, input_ids: Tensor, attention_mask: Tensor | None) -> Words:
        """Find the words of a batch of subwords, each (batch, subwords)."""
        kind = self.subword_kind[input_ids]
        inside = kind != OUTSIDE
        if attention_mask is not None:
            inside = inside & attention_mask.bool()
        # A row that begins in the middle of a word begins with a word all the same.
        starts = inside & ((kind == STARTS) | (inside.cumsum(1) == 1))
        of = (starts.cumsum(1) - 1).clamp(min=0)
        width = input_ids.shape[1]
        steps = torch.arange(width, device=input_ids.device)
        places = input_ids.new_zeros(input_ids.shape[0], width + 1)  # the last column takes what starts no word
        first = places.scatter(1, torch.where(starts, of, width), steps.expand_as(of))[:, :-1]
        mask = steps < starts.sum(1, keepdim=True)
        if not torch.compiler.is_compiling():
            widest = max(int(starts.sum(1).max()), 1)
            mask, first = mask[:, :widest], first[:, :widest]
        return Words(mask, first, of, inside)

    def rows(self, input_ids: Tensor, words: Words) -> Tensor:
        """Return each word's row in the table of vectors, the unknown word's if it is spelled out. (batch, words)"""
        rows = words.gather(self.vector_of_id[input_ids].long())
        subwords = torch.zeros_like(words.first).scatter_add(1, words.of, words.inside.long())
        return torch.where(subwords > 1, UNKNOWN_ROW, rows)

    def characters(self, input_ids: Tensor, words: Words) -> Tensor:
        """Return each word's characters, over all of its subwords, padded with 0. (batch, words, n)"""
        spelling = self.spelling[input_ids].long()  # (batch, subwords, subword characters)
        known = (spelling > 0) & words.inside[..., None]
        lengths = known.sum(-1)
        before = lengths.cumsum(1) - lengths  # characters in front of a subword in its row
        place = before - words.spread(words.gather(before))  # and in its word
        column = place[..., None] + torch.arange(spelling.shape[2], device=spelling.device)
        batch, width = words.mask.shape
        row = (torch.arange(batch, device=spelling.device)[:, None] * width + words.of)[..., None]
        nowhere = batch * width * self.longest
        target = torch.where(known & (column < self.longest), row * self.longest + column, nowhere)
        flat = spelling.new_zeros(nowhere + 1).scatter(0, target.flatten(), spelling.flatten())
        return flat[:-1].view(batch, width, self.longest)


class WordInput(nn.Module):
    """One vector per word: the concatenated parts that the config names.

    Args:
        config: A `BaselineConfig`.

    Raises:
        ValueError: If the config names a part that there is not.
    """

    row_counts: Tensor

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.tables = SubwordTables(config)
        self.pooling = _one_of("word_pooling", config.word_pooling, ("unknown", "mean"))
        self.word_dropout, self.feature_dropout = config.word_dropout, config.feature_dropout
        self.vectors = nn.Embedding(config.num_vectors, config.word_size, padding_idx=0)
        self.vectors.weight.requires_grad = not config.freeze_vectors
        self.register_buffer("row_counts", torch.empty(config.num_vectors))
        kind = _one_of("characters", config.characters, CHARACTER_ENCODERS)
        encoder = CHARACTER_ENCODERS[kind]
        self.characters = encoder(config) if encoder else None
        self.shape = nn.Embedding(SHAPES, config.feature_size) if config.word_shape else None
        values = (config.word_features or {}).values()
        self.features = nn.ModuleList(nn.Embedding(len(names) + 1, config.feature_size) for names in values)
        of_characters = self.characters.output_size if self.characters else 0
        self.output_size = (
            config.word_size + of_characters + config.feature_size * (len(self.features) + config.word_shape)
        )

    def reset_parameters(self) -> None:
        """Initialize word vectors, uniform with variance 1/size (Ma and Hovy 2016); the padding row is zero."""
        bound = math.sqrt(3 / self.vectors.embedding_dim)
        init.uniform_(self.vectors.weight, -bound, bound)
        if not getattr(self.vectors.weight, "_is_hf_initialized", False):
            init.zeros_(self.vectors.weight[0])
        init.zeros_(self.row_counts)
        for table in (self.shape, *self.features):
            if table is not None:
                init.normal_(table.weight, std=0.3)

    def forward(self, input_ids: Tensor, words: Words, word_features: Tensor | None = None) -> Tensor:
        """Return vectors of words.

        Args:
            input_ids: (batch, subwords)
            words: From `tables.group`.
            word_features: Ids of the values of the further columns, 0 where one is not known; None: nowhere.
                (batch, subwords, columns)

        Returns:
            (batch, words, output_size)
        """
        parts = [self._word_vectors(input_ids, words)]
        if self.characters is not None or self.shape is not None:
            spelled = self.tables.characters(input_ids, words)  # (batch, words, characters)
            if self.characters is not None:
                parts.append(self._per_real_word(spelled, words.mask))
            if self.shape is not None:
                parts.append(self.shape(word_shapes(self.tables.character_class[spelled])))
        parts += self._feature_vectors(words, word_features)
        return torch.cat(parts, -1)

    def _word_vectors(self, input_ids: Tensor, words: Words) -> Tensor:
        if self.pooling == "mean":
            vectors = self.vectors(self.tables.vector_of_id[input_ids].long()) * words.inside[..., None]
            total = vectors.new_zeros(*words.mask.shape, vectors.shape[-1])
            total = total.scatter_add(1, words.of[..., None].expand_as(vectors), vectors)
            count = vectors.new_zeros(words.mask.shape).scatter_add(1, words.of, words.inside.to(vectors.dtype))
            return total / count.clamp(min=1)[..., None]
        rows = self.tables.rows(input_ids, words)
        if self.training and self.word_dropout:
            unknown = self.word_dropout / (self.word_dropout + self.row_counts[rows])
            rows = torch.where(torch.rand_like(unknown) < unknown, UNKNOWN_ROW, rows)
        return self.vectors(rows)

    def _per_real_word(self, spelled: Tensor, mask: Tensor) -> Tensor:
        """Run the character encoder once per distinct spelling of a batch, without padding."""
        assert self.characters is not None
        if torch.compiler.is_compiling():
            return self.characters(spelled.flatten(0, 1)).unflatten(0, mask.shape)
        rows = spelled[mask]  # (real words, characters)
        if not len(rows):  # a text without a word
            return self.vectors.weight.new_zeros(*mask.shape, self.characters.output_size)
        rows = rows[:, : max(int((rows > 0).sum(1).max()), 1)]
        distinct, which = torch.unique(rows, dim=0, return_inverse=True)
        found = self.characters(distinct)[which]
        return found.new_zeros(*mask.shape, found.shape[-1]).masked_scatter(mask[..., None], found)

    def _feature_vectors(self, words: Words, word_features: Tensor | None) -> list[Tensor]:
        if not self.features:
            return []
        if word_features is None:
            ids = words.first.new_zeros(*words.first.shape, len(self.features))
        else:
            ids = words.gather(word_features)  # (batch, words, columns)
        if self.training and self.feature_dropout:
            sentences = 1 if words.sentence is None else ids.shape[1] + 1  # of a row, at most; 0 is padding
            hidden = torch.rand(len(ids), sentences, device=ids.device) < self.feature_dropout
            hidden = hidden if words.sentence is None else hidden.gather(1, words.sentence)
            ids = ids.masked_fill(hidden[..., None], 0)
        return [table(ids[..., i]) for i, table in enumerate(self.features)]


class CharacterCnn(nn.Module):
    """Character CNN: filters, max-pooling, then highway layers (Kim et al. 2016; as in ELMo).

    Args:
        config: A `BaselineConfig`.
    """

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        size = config.character_size
        self.embedding = _Spelled(config.num_characters, size)
        self.widths = tuple(config.character_widths)
        self.filters = nn.ModuleList(nn.Conv1d(size, config.character_filters * w, w) for w in config.character_widths)
        self.output_size = sum(config.character_filters * w for w in config.character_widths)
        self.highways = nn.ModuleList(
            nn.Linear(self.output_size, 2 * self.output_size) for _ in range(config.highway_layers)
        )

    def reset_parameters(self) -> None:
        """Initialize weights (Xavier); highway layers carry at first (Srivastava et al. 2015)."""
        filters: list[Any] = list(self.filters)
        highways: list[Any] = list(self.highways)
        for layer in filters + highways:
            init.xavier_uniform_(layer.weight)
        for layer in filters:
            init.zeros_(layer.bias)
        carry = torch.cat([torch.zeros(self.output_size), torch.full((self.output_size,), -2.0)])
        for layer in highways:
            init.copy_(layer.bias, carry)

    def forward(self, characters: Tensor) -> Tensor:
        """Encode (words, characters) ids as (words, output_size)."""
        result = self._filtered(characters)
        for layer in self.highways:
            new, gate = layer(result).chunk(2, -1)
            gate = gate.sigmoid()
            result = gate * torch.relu(new) + (1 - gate) * result
        return result

    def _filtered(self, characters: Tensor) -> Tensor:
        """Return the maximum of each filter over a word. (words, characters) to (words, filters)

        On a CPU, words of like length are read together: padded to the longest word, a batch is mostly padding.
        """
        weight, bias = self._joined_filters()
        if torch.compiler.is_compiling() or characters.device.type != "cpu":
            return self._maxima(characters, weight, bias)
        lengths, order = (characters > 0).sum(1).sort(stable=True)
        blocks = zip(characters[order].split(_WORDS), lengths.split(_WORDS), strict=True)
        found = [self._maxima(block[:, : int(sizes[-1])], weight, bias) for block, sizes in blocks]
        return torch.cat(found)[order.argsort()]

    def _joined_filters(self) -> tuple[Tensor, Tensor]:
        """Return all filters as one matrix (filters, widest * size), and their biases (filters,).

        The narrow ones have zeros behind them: a third of the time of a convolution each.
        """
        layers: list[Any] = list(self.filters)
        widest = max(self.widths)
        weight = torch.cat([F.pad(layer.weight, (0, widest - layer.weight.shape[2])) for layer in layers])
        return weight.transpose(1, 2).flatten(1), torch.cat([layer.bias for layer in layers])

    def _maxima(self, characters: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        vectors, lengths = self.embedding(characters)  # (words, characters, size)
        steps, widest = vectors.shape[1], max(self.widths)
        behind = torch.arange(steps, device=vectors.device) >= lengths[:, None]  # a filter there sees padding alone
        padded = F.pad(vectors, (0, 0, 0, widest - 1))
        seen = torch.cat([padded[:, i : i + steps] for i in range(widest)], 2)  # (words, characters, widest * size)
        found = F.linear(seen, weight, bias)  # (words, characters, filters)
        return torch.relu(found.masked_fill(behind[..., None], -torch.inf).amax(1))


class CharacterLstm(nn.Module):
    """Character LSTM: the last states of both directions (Lample et al. 2016).

    Args:
        config: A `BaselineConfig`.
    """

    def __init__(self, config: PreTrainedConfig):
        super().__init__()
        self.embedding = _Spelled(config.num_characters, config.character_size)
        self.lstm = nn.LSTM(config.character_size, config.character_hidden_size, batch_first=True, bidirectional=True)
        self.output_size = 2 * config.character_hidden_size

    def reset_parameters(self) -> None:
        """Initialize input weights (Xavier) and recurrent weights (orthogonal)."""
        for name, weight in self.lstm.named_parameters():
            {"weight_ih": init.xavier_uniform_, "weight_hh": init.orthogonal_}.get(name[:9], init.zeros_)(weight)

    def forward(self, characters: Tensor) -> Tensor:
        """Encode (words, characters) ids as (words, output_size)."""
        if torch.compiler.is_exporting():
            raise NotImplementedError("A character LSTM cannot be exported: use a model with a character CNN.")
        vectors, lengths = self.embedding(characters)
        packed = nn.utils.rnn.pack_padded_sequence(vectors, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, (last, _) = self.lstm(packed)  # (2, words, hidden)
        return last.transpose(0, 1).flatten(1)


CHARACTER_ENCODERS: dict[str, type[CharacterCnn | CharacterLstm] | None] = {
    "none": None,
    "cnn": CharacterCnn,
    "lstm": CharacterLstm,
}


class _Spelled(nn.Module):
    """Vectors of a word's characters, with one before and one after them."""

    def __init__(self, num_characters: int, size: int):
        super().__init__()
        self.begin, self.end = num_characters, num_characters + 1
        self.table = nn.Embedding(num_characters + 2, size, padding_idx=0)

    def reset_parameters(self) -> None:
        bound = math.sqrt(3 / self.table.embedding_dim)
        init.uniform_(self.table.weight, -bound, bound)
        if not getattr(self.table.weight, "_is_hf_initialized", False):
            init.zeros_(self.table.weight[0])

    def forward(self, characters: Tensor) -> tuple[Tensor, Tensor]:
        """Return vectors (words, n + 2, size) of (words, n) ids, and lengths (words,)."""
        lengths = (characters > 0).sum(1)
        ids = F.pad(characters, (1, 1))
        ids[:, 0] = self.begin
        ids = ids.scatter(1, (lengths + 1)[:, None], self.end)
        return self.table(ids), lengths + 2


def word_shapes(classes: Tensor) -> Tensor:
    """Return the shape of words: lower case, capitals, an initial capital, digits, other characters, combinations.

    Args:
        classes: 0 behind the word's last character. (..., characters)

    Returns:
        Numbers below `SHAPES`. (...)
    """
    capitals = (classes == UPPER).sum(-1)
    facts = (
        (classes == LOWER).any(-1),
        capitals > 1,
        classes[..., 0] == UPPER,
        (classes == DIGIT).any(-1),
        (classes == OTHER).any(-1),
        capitals > 0,
    )
    return sum(fact.long() << i for i, fact in enumerate(facts))  # type: ignore[return-value]


def _one_of(name: str, value: str, choices: Collection[str]) -> str:
    if value not in choices:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(choices)}.")
    return value


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return `values` (batch, n, ...) at `index` (batch, m) of the second dimension. (batch, m, ...)"""
    shape = index.shape + values.shape[2:]
    return values.gather(1, index.view(*index.shape, *[1] * (values.dim() - 2)).expand(shape))
