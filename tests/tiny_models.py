"""Tiny taggers with random weights, built on the spot: one per kind of tokenizer and encoder, saved as any model is."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertForTokenClassification,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    ModernBertForTokenClassification,
    MPNetConfig,
    NomicBertConfig,
    NomicBertForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForTokenClassification,
)

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
_TEXT = (
    "The chef from Lisbon will book a table in May because Jordan loves her book.",
    "Two old ships sailed slowly past the harbour of Porto; nobody on the pier waved.",
    "Is the river Douro longer than 1,000.50 metres? Ask Maria, she's been walking there for days!",
)
# With 0.02, as usual, or with 1.0, nearly all words get the same tag, and a test of tags would see little.
_SPREAD = 0.1


def tiny_bert(
    folder: Path, *, tags: Sequence[str] = TAGS, max_length: int = 64, seed: int = 0, lowercase: bool = True
) -> Path:
    """A BERT with WordPiece, saved in a folder of its own below `folder`."""
    letters = sorted({letter for line in _TEXT for letter in line if letter != " "} | set("abcdefghijklmnopqrstuvwxyz"))
    words = sorted({word.lower() if lowercase else word for line in _TEXT for word in line.split()})
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *words]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    config = BertConfig(type_vocab_size=2, **_sizes(vocabulary, max_length, pad=0))
    return _save(folder / "bert", BertForTokenClassification, config, tokenizer, tags, seed)


def tiny_roberta(
    folder: Path, *, tags: Sequence[str] = TAGS, max_length: int = 64, seed: int = 0, add_prefix_space: bool = True
) -> Path:
    """A RoBERTa with byte-level BPE, saved in a folder of its own below `folder`."""
    tokenizer = _byte_level(("<s>", "<pad>", "</s>", "<unk>", "<mask>"), add_prefix_space)
    sizes = _sizes(tokenizer.get_vocab(), max_length + 2, pad=1)  # positions begin behind the padding's
    config = RobertaConfig(type_vocab_size=1, bos_token_id=0, eos_token_id=2, **sizes)
    return _save(folder / "roberta", RobertaForTokenClassification, config, tokenizer, tags, seed)


def tiny_modernbert(
    folder: Path, *, tags: Sequence[str] = TAGS, max_length: int = 64, seed: int = 0, add_prefix_space: bool = True
) -> Path:
    """A ModernBERT with byte-level BPE, saved in a folder of its own below `folder`."""
    tokenizer = _byte_level(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), add_prefix_space)
    sizes = _sizes(tokenizer.get_vocab(), max_length, pad=0)
    config = ModernBertConfig(cls_token_id=2, sep_token_id=3, bos_token_id=2, eos_token_id=3, **sizes)
    return _save(folder / "modernbert", ModernBertForTokenClassification, config, tokenizer, tags, seed)


def tiny_encoders(folder: Path) -> dict[str, Path]:
    """Encoders that read lower case only and are no taggers: four with WordPiece, ALBERT with Unigram."""
    words = AutoTokenizer.from_pretrained(tiny_bert(folder))
    sizes = {"vocab_size": len(words), "pad_token_id": 0, "max_position_embeddings": 64}
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    configs = [
        BertConfig(**small, **sizes),
        DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=32, **sizes),
        MPNetConfig(**small, **sizes),
        ElectraConfig(embedding_size=16, **small, **sizes),
        AlbertConfig(embedding_size=16, **small, **sizes),
    ]
    return {config.model_type: _save_encoder(folder, config, words) for config in configs}


def _save_encoder(folder: Path, config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast) -> Path:
    if config.model_type == "albert":
        tokenizer = _with_special_tokens(_unigram(), config)
        config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder / config.model_type)
    tokenizer.save_pretrained(folder / config.model_type)
    return folder / config.model_type


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    special_tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special_tokens, unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT * 20, trainer)
    return tokenizer


def tiny_nomic_bert(folder: Path, *, tags: Sequence[str] = TAGS, max_length: int = 64, seed: int = 0) -> Path:
    """A Nomic BERT, whose weights Transformers saves under other names than it has them in memory."""
    tokenizer = _byte_level(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"), add_prefix_space=True)
    config = NomicBertConfig(**_sizes(tokenizer.get_vocab(), max_length, pad=0))
    return _save(folder / "nomic_bert", NomicBertForTokenClassification, config, tokenizer, tags, seed)


def _sizes(vocabulary: dict[str, int], positions: int, *, pad: int) -> dict[str, int | float]:
    return {
        "vocab_size": len(vocabulary),
        "pad_token_id": pad,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "max_position_embeddings": positions,
        "initializer_range": _SPREAD,
    }


def _byte_level(special_tokens: Sequence[str], add_prefix_space: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(special_tokens), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    return tokenizer


def _save(
    folder: Path,
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    tokenizer: Tokenizer,
    tags: Sequence[str],
    seed: int,
) -> Path:
    config.id2label = dict(enumerate(tags))
    config.label2id = {tag: i for i, tag in enumerate(tags)}
    torch.manual_seed(seed)
    model_class(config).save_pretrained(folder)
    _with_special_tokens(tokenizer, config).save_pretrained(folder)
    return folder


def _with_special_tokens(tokenizer: Tokenizer, config: PreTrainedConfig) -> PreTrainedTokenizerFast:
    """Puts the first and the last special token around a sentence, and names all of them."""
    roles = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    if config.pad_token_id == 0:
        roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    names = {role: tokenizer.id_to_token(i) for i, role in enumerate(roles)}
    around = [(names[role], tokenizer.token_to_id(names[role])) for role in ("cls_token", "sep_token")]
    single = f"{names['cls_token']} $A {names['sep_token']}"
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=around)
    positions = config.max_position_embeddings - (2 if config.model_type == "roberta" else 0)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=positions,
        model_input_names=["input_ids", "attention_mask"],
        **names,
    )
