"""Case markers for a pretrained encoder: its tokenizer writes them, and its embeddings have a row for each."""

from __future__ import annotations

import logging
from typing import Literal, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_tagging.data.casing import is_uncased, marker_ids, with_case_markers
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.problems import argument

logger = logging.getLogger(__name__)

Casing = Literal["auto", "markers", "none"]
_SPREAD = 0.1  # how far the rows of the markers are from the mean, in standard deviations of the embeddings


def add_casing(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, casing: Casing, *, learned: bool
) -> PreTrainedTokenizerBase:
    """Give an encoder case markers where they are wanted, and return the tokenizer to use.

    Args:
        model: As loaded. Rows of its embeddings are changed, and added if its vocabulary has none to spare.
        tokenizer: Of the model.
        casing: ``"auto"``: if the tokenizer gives a word the same subwords with and without capitals, and `learned` is
            False. ``"markers"``: in any case. ``"none"``: never.
        learned: The model is a tagger already, which has learned its tags without markers.

    Raises:
        ConfigError: If there are to be none and the model has them already.
        ModelError: If there are to be markers, and the tokenizer has a vocabulary that cannot take any.
    """
    if len(marker_ids(tokenizer)):
        if casing == "none":
            raise ConfigError(f"{argument('casing', casing)}: this model was trained with case markers. Leave it out.")
        return tokenizer
    if casing == "none" or (casing == "auto" and (learned or not is_uncased(tokenizer))):
        return tokenizer
    try:
        marking = with_case_markers(tokenizer)
    except ModelError:
        if casing == "markers":
            raise
        logger.warning("The encoder reads no capital letters, and its vocabulary takes no case markers.")
        return tokenizer
    _prepare_rows(model, marking)
    logger.info("Case markers: the encoder reads no capital letters, so a subword before a word says that it has them.")
    return marking


@torch.no_grad()
def _prepare_rows(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Set the rows of the markers near the mean of all rows, to which training adds what a marker means.

    They differ a little, so that frozen embeddings tell them apart too.
    """
    rows = cast(nn.Embedding, model.get_input_embeddings()).weight
    if len(tokenizer) > len(rows):
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        rows = cast(nn.Embedding, model.get_input_embeddings()).weight
    ids = torch.from_numpy(marker_ids(tokenizer))
    noise = torch.randn(len(ids), rows.shape[1], generator=torch.Generator().manual_seed(0))
    rows[ids] = rows.mean(0) + noise.to(rows) * rows.std() * _SPREAD
