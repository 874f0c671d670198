"""Arguments of a pretrained encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hf_tagging.errors import Problem
from hf_tagging.models.fine_tuning import LoraOptions
from hf_tagging.problems import argument
from hf_tagging.training.config.checks import below, missing_paths, out_of_range, refuse, wrong_kinds
from hf_tagging.training.config.given import Config, Given, remembering
from hf_tagging.training.config.kinds import SCRATCH
from hf_tagging.training.config.models import ModelFacts, encoder_facts


@remembering
@dataclass
class EncoderConfig(Config):
    """A pretrained encoder with a tag head, and which of its weights are trained."""

    model: str = field(
        default="google-bert/bert-base-cased",
        metadata={"help": "A name on the Hub, a folder, or `minilm` (the packaged all-MiniLM-L6-v2)."},
    )
    model_revision: str | None = field(default=None, metadata={"help": "Revision of a model on the Hub."})
    trust_remote_code: bool = field(default=False, metadata={"help": "Run code that comes with a model."})
    head: Literal["linear", "crf"] | None = field(
        default=None,
        metadata={
            "help": "Tags word by word (linear), or whole sequences of them (crf). Default: as the model has it; "
            "linear where it is no tagger yet."
        },
    )
    casing: Literal["auto", "markers", "none"] = field(
        default="auto",
        metadata={
            "help": "Case markers, subwords that say which words have capital letters: auto gives them to an encoder "
            "that reads lower case only and is no tagger yet; markers to any encoder; none leaves them out."
        },
    )
    context: Literal["none", "document"] | None = field(
        default=None,
        metadata={
            "help": "What a sentence is read with: nothing else (none), or its neighbors in its document (document). "
            "Default: as a model that tags was trained; none where it is no tagger yet."
        },
    )
    context_subwords: int | None = field(
        default=None,
        metadata={
            "help": "Subwords of its document that a sentence has on each side at least, where there are as many. "
            "A window has eight times as many. Default: as the model was trained, or 16, but at most an eighth of the "
            "longest window."
        },
    )
    head_dropout: float | None = field(
        default=None, metadata={"help": "Dropout of the tag head. Default: the model's."}
    )
    attn_implementation: str | None = field(
        default=None,
        metadata={
            "help": "How attention is computed, as Transformers calls it: eager, sdpa, flex_attention, "
            "flash_attention_2. With packing, flash attention keeps windows apart without a mask. Default: the "
            "model's."
        },
    )
    freeze_layers: int | None = field(
        default=None,
        metadata={"help": "Freeze the embeddings and the first N layers; -1: all but the tag head."},
    )
    lora: bool = field(default=False, metadata={"help": "Train low-rank adapters instead of the encoder's weights."})
    lora_rank: int = field(default=16, metadata={"help": "Rank of the adapters."})
    lora_alpha: int = field(default=32, metadata={"help": "The adapters' update is scaled by alpha / rank."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout on the adapters' input."})
    lora_target_modules: list[str] | None = field(
        default=None,
        metadata={"help": "Linear maps that get an adapter, by name. Default: all in the encoder."},
    )
    lora_merge: bool = field(
        default=True,
        metadata={"help": "Save an ordinary model with the adapters merged into it; without, they stand beside it."},
    )

    def __post_init__(self, given: Given | None) -> None:
        refuse(wrong_kinds(self))
        problems = [*below(self, -1, "freeze_layers"), *out_of_range(self), *missing_paths(self, "model")]
        problems += below(self, 0, "context_subwords")
        if self.context_subwords is not None and self.context != "document":
            reason = f"goes with {argument('context', 'document')}"
            problems.append(Problem("context_subwords", self.context_subwords, reason, "give both, or leave it out"))
        if self.lora and self.freeze_layers is not None:
            reason = "LoRA freezes the whole encoder already"
            problems.append(Problem("freeze_layers", self.freeze_layers, reason, "give one of the two"))
        if self.model == SCRATCH:
            fix = "give the name or folder of an encoder"
            problems.append(Problem("model", self.model, "scratch is for taggers from scratch", fix))
        refuse(problems)

    @property
    def label(self) -> str:
        """Name of the model in the name of a folder."""
        return self.model

    @property
    def facts(self) -> ModelFacts:
        """Facts that defaults and rules depend on."""
        return encoder_facts(self.model, head=self.head, lora=self.lora)

    @property
    def lora_options(self) -> LoraOptions | None:
        """Options of `add_lora`, None without adapters."""
        if not self.lora:
            return None
        return {
            "rank": self.lora_rank,
            "alpha": self.lora_alpha,
            "dropout": self.lora_dropout,
            "target_modules": self.lora_target_modules,
        }
