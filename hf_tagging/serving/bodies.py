"""Bodies of requests and answers, as pydantic checks them and the OpenAPI page shows them."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Literal, cast

from fastapi.openapi.models import Example
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from hf_tagging.inference.reading import Precision


def _form_of_text(value: object) -> str:
    return "many" if isinstance(value, list) else "one"


def _form_of_words(value: object) -> str:
    """Return whether words are of one sentence or of many; the first item decides, as for `Tagger.tag`."""
    return "many" if isinstance(value, list) and (not value or isinstance(value[0], list)) else "one"


# At the first wrong item it is refused: a list of a million numbers is one error.
_Words = Annotated[list[str], Field(fail_fast=True)]
_Sentences = Annotated[list[_Words], Field(fail_fast=True)]
Text = Annotated[Annotated[str, Tag("one")] | Annotated[_Words, Tag("many")], Discriminator(_form_of_text)]
Words = Annotated[Annotated[_Words, Tag("one")] | Annotated[_Sentences, Tag("many")], Discriminator(_form_of_words)]

Source = Literal["model", "rule"]


class TagRequest(BaseModel):
    """Texts, or sentences of words, to tag."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Text | None = Field(
        default=None, description="A text or a list of texts, cut into sentences of words by the server."
    )
    words: Words | None = Field(default=None, description="Words of a sentence, or a list of sentences.")
    model: str | None = Field(default=None, description="Name of a model, see `/models`. Default: the first one.")
    precision: Precision | None = Field(
        default=None,
        description="How matrices are multiplied; `/models` lists what a model can do. Default: as it was loaded.",
    )
    min_confidence: float = Field(
        default=0.0,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Entities with a lower score are left out; of a model without entities, such words have the tag _. "
        "0 keeps all.",
    )

    @model_validator(mode="after")
    def can_be_tagged(self) -> TagRequest:
        """Check that there is either text or words, and that it is Unicode."""
        if (self.text is None) == (self.words is None):
            raise PydanticCustomError("text_or_words", "expected either text or words")
        try:
            "".join([*self.all_texts, *chain.from_iterable(self.all_words)]).encode()
        except UnicodeEncodeError:
            raise PydanticCustomError(
                "no_unicode", "the text holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"
            ) from None
        return self

    @property
    def all_texts(self) -> list[str]:
        """Texts, also of one."""
        return [self.text] if isinstance(self.text, str) else self.text or []

    @property
    def all_words(self) -> list[list[str]]:
        """Words of all sentences, also of one. (sentences, words)"""
        is_one = self.words and isinstance(self.words[0], str)
        return cast(list[list[str]], [self.words] if is_one else self.words or [])


class Word(BaseModel):
    """A word with its tag."""

    text: str
    start: int | None = Field(default=None, description="Offset of its first character in the text; not for words.")
    end: int | None = Field(default=None, description="Offset behind its last character.")
    tag: str
    score: float = Field(description="Probability of the tag.")
    source: Source | None = Field(default=None, description="What the tag comes from, if the model has rules.")
    rule: str | None = Field(default=None, description="Name of the rule.")


class EntityFound(BaseModel):
    """An entity."""

    type: str
    text: str
    start: int | None = Field(default=None, description="Offset of its first character in the text; not for words.")
    end: int | None = Field(default=None, description="Offset behind its last character.")
    score: float = Field(description="Probability of the whole entity.")
    first_word: int = Field(description="Index of its first word.")
    end_word: int = Field(description="Index behind its last word.")
    source: Source | None = Field(default=None, description="What its tags come from, if the model has rules.")
    rule: str | None = Field(default=None, description="Name of the rule.")


class Tagged(BaseModel):
    """Words and entities of one text or one sentence."""

    words: list[Word]
    entities: list[EntityFound]


class TagAnswer(BaseModel):
    """Answer to `TagRequest`, with a result for each text or sentence, in their order."""

    model: str
    results: list[Tagged]


class ModelDescription(BaseModel):
    """A model that is served."""

    name: str
    tags: list[str]
    entity_types: list[str]
    scheme: str = Field(description="Scheme of the tags, such as IOB2; plain for tags of single words.")
    precisions: list[str]
    exported: bool = Field(description="Whether ONNX Runtime runs it.")


class ModelList(BaseModel):
    """All models; the first one is the default."""

    models: list[ModelDescription]


class Status(BaseModel):
    """State of the server."""

    status: Literal["ok", "ready", "draining"]


EXAMPLES: dict[str, Example] = {
    "text": {"summary": "A text", "value": {"text": "Maria Duarte flew from Lisbon to Porto. She is a chef."}},
    "texts": {"summary": "Several texts", "value": {"text": ["Maria flew to Porto.", "Jordan will book a table."]}},
    "words": {"summary": "Words of a sentence", "value": {"words": ["Maria", "flew", "to", "Porto", "."]}},
    "sentences": {
        "summary": "Sentences of words, without entities that are unlikely",
        "value": {"words": [["Maria", "flew", "."], ["Jordan", "reads", "."]], "min_confidence": 0.5},
    },
}
