"""The component of spaCy, ``nlp.add_pipe("hf_tagging", config={"model": DIR})``.

spaCy imports this module, by the entry point in pyproject.toml, before any pipeline is made, whether or not it has the
component. So it imports nothing that takes time.
"""

from typing import TYPE_CHECKING, Optional, Union, cast

from spacy.language import Language

if TYPE_CHECKING:
    from hf_tagging.inference.reading import Precision
    from hf_tagging.inference.spacy_component import TaggerComponent


@Language.factory(
    "hf_tagging",
    assigns=["doc.ents", "doc.spans", "token.ent_iob", "token.ent_type", "token.tag", "token.pos"],
    default_config={
        "revision": None,
        "device": None,
        "tokens_per_batch": None,
        "precision": None,
        "min_confidence": 0.0,
        "rules": None,
        "trust_remote_code": False,
    },
)
def tagger_component(
    nlp: Language,
    name: str,
    model: str,
    revision: Optional[str],  # noqa: UP045 (spaCy reads these types)
    device: Optional[str],  # noqa: UP045
    tokens_per_batch: Optional[int],  # noqa: UP045
    precision: Optional[str],  # noqa: UP045
    min_confidence: float,
    rules: Union[str, bool, None],  # noqa: UP007
    trust_remote_code: bool,
) -> "TaggerComponent":
    """Return the component; its settings are those of `Tagger.from_pretrained`."""
    from hf_tagging.inference.spacy_component import TaggerComponent
    from hf_tagging.inference.word_tagger import TaggerOptions

    options = TaggerOptions(
        revision=revision,
        device=device,
        tokens_per_batch=tokens_per_batch,
        precision=cast("Precision | None", precision),
        min_confidence=min_confidence,
        rules=None if rules is True else rules,
        trust_remote_code=trust_remote_code,
    )
    return TaggerComponent(model, options)
