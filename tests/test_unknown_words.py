"""Words that are nothing but the unknown token: counted, said, and refused where they are the most."""

from __future__ import annotations

import json
import logging

import pytest
from datasets import Dataset
from tiny_models import tiny_bert

from hf_tagging import DataConfig, ScratchConfig, TaggingConfig, TaggingTrainer
from hf_tagging.errors import DataError

KNOWN, UNKNOWN = ["the", "chef", "from", "lisbon"], ["水", "火", "木", "水"]


def rows(known, unknown):
    """Sentences of four words that the encoder knows, and of four that it does not."""
    words = [KNOWN] * known + [UNKNOWN] * unknown
    return Dataset.from_dict({"tokens": words, "tags": [["O", "B-PER", "O", "B-LOC"]] * len(words)})


def trainer(tmp_path, known, unknown, model=None, **data):
    args = TaggingConfig(
        output_dir=str(tmp_path / "run"), max_steps=1, use_cpu=True, tokens_per_batch=64, report_to="none"
    )
    return TaggingTrainer(
        model=model or str(tiny_bert(tmp_path)),
        args=args,
        train_dataset=rows(known, unknown),
        eval_dataset=rows(9, 1),
        task="ner",
        data=DataConfig(dataset="in memory", **data),
    )


def test_some_are_a_warning_and_a_count_in_the_record(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "hf_tagging"):
        found = trainer(tmp_path, 9, 2)
    record = found.run.record["alignment"]["train"]
    assert record["unknown_words"] == 8
    assert list(record["unknown_examples"]) == ["水"]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and "train:" in r.getMessage()]
    assert "train: 18% of the words (8 of 44, such as '水') are nothing but the unknown token to " in warning
    assert "An encoder that was trained on text of this language or script fits better." in warning
    found.train()
    found.publish()
    card = (tmp_path / "run" / "README.md").read_text()
    assert "words that the tokenizer does not know at all, read as the unknown token: 8" in card
    assert json.loads((tmp_path / "run" / "run.json").read_text())["alignment"]["train"]["unknown_words"] == 8


def test_few_are_only_counted(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "hf_tagging"):
        found = trainer(tmp_path, 39, 1)
    assert found.run.record["alignment"]["train"]["unknown_words"] == 4
    assert not [r for r in caplog.records if "train:" in r.getMessage()]


@pytest.mark.failure_mode("unknown-words")
def test_half_of_the_words_are_refused_unless_they_are_accepted(tmp_path, caplog):
    with pytest.raises(
        DataError, match=r"train: 50% of the words \(8 of 16, such as '水'\).*bert.*accept=unknown_words"
    ):
        trainer(tmp_path, 2, 2)
    with caplog.at_level(logging.WARNING, "hf_tagging"):
        trainer(tmp_path, 2, 2, accept=["unknown_words"])
    assert "train: 50% of the words" in caplog.text
    assert "accepted by" in caplog.text


def test_a_vocabulary_of_the_training_split_is_not_judged(tmp_path, caplog):
    """Words that are rare in training are unknown to it on purpose."""
    with caplog.at_level(logging.WARNING, "hf_tagging"):
        found = trainer(tmp_path, 0, 2, model=ScratchConfig(encoder="lstm", min_count=3))
    assert "unknown token to" not in caplog.text
    assert found.run.record["alignment"]["train"]["words"] == 8
