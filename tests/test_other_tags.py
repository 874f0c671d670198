"""A tagger that is trained further for other tags keeps what it has learned of those that are shared."""

import json
import logging

import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value
from recipe_runs import record, run_here
from tiny_models import TAGS, tiny_bert, tiny_modernbert

from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.data.plain_text import without_tags
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.models import build_baseline, load_encoder
from hf_tagging.models.language_model import build_language_model

MORE = TagSchema(("B-X", "O", "B-PER", "I-PER", "I-X", "B-LOC", "I-LOC"), "IOB2")
SAME_NUMBER = TagSchema(("O", "B-PER", "I-PER", "B-X", "I-X"), "IOB2")
SCHEMA = TagSchema(TAGS, "IOB2")


def dataset(schema):
    features = Features(
        tokens=Sequence(Value("string")), tags=Sequence(ClassLabel(names=list(schema.tags))), document_id=Value("int64")
    )
    rows = {"tokens": [["Jordan", "sailed"], ["a", "book"]], "tags": [[0, 1], [1, 0]], "document_id": [0, 1]}
    return DatasetDict(train=Dataset.from_dict(rows, features=features))


def save(folder, model, tokenizer):
    with torch.no_grad():
        for number, weight in enumerate(p for n, p in model.named_parameters() if n.startswith(("crf", "classifier"))):
            weight.copy_(torch.arange(weight.numel()).reshape(weight.shape) * 0.01 + number + 1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def saved_encoder(tmp_path, head):
    return save(tmp_path / "saved", *load_encoder(str(tiny_bert(tmp_path)), SCHEMA, head=head))


def saved_baseline(tmp_path, head):
    parts = {"encoder": "mlp", "head": head, "word_size": 8, "hidden_size": 8}
    return save(tmp_path / "saved", *build_baseline(dataset(SCHEMA), SCHEMA, parts=parts))


def loaded(kind, tmp_path, schema):
    torch.manual_seed(1)
    if kind == "encoder":
        return load_encoder(str(tmp_path / "saved"), schema)[0]
    return build_baseline(dataset(schema), schema, model=str(tmp_path / "saved"))[0]


@pytest.mark.failure_mode("other-tags")
@pytest.mark.parametrize("kind", ["encoder", "baseline"])
@pytest.mark.parametrize("head", ["linear", "crf"])
@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (MORE, "kept 5 tags of the saved head, 2 new: B-X, I-X"),
        (SAME_NUMBER, "kept 3 tags of the saved head, 2 new: B-X, I-X, 2 left out: B-LOC, I-LOC"),
    ],
    ids=["more", "as many"],
)
def test_rows_of_shared_tags_are_kept(tmp_path, caplog, kind, head, schema, said):
    """The whole head was drawn anew without a word: F1 1.0 became 0.0."""
    old = {"encoder": saved_encoder, "baseline": saved_baseline}[kind](tmp_path, head)
    with caplog.at_level(logging.INFO, "hf_tagging"):
        new = loaded(kind, tmp_path, schema)
    assert [entry.getMessage() for entry in caplog.records if "kept" in entry.getMessage()] == [
        f"{tmp_path / 'saved'}: {said}"
    ]
    shared = [tag for tag in schema.tags if tag in TAGS]
    ours, theirs = [schema.tags.index(tag) for tag in shared], [TAGS.index(tag) for tag in shared]
    names = ["classifier.weight", "classifier.bias", *(["crf.start", "crf.end"] if head == "crf" else [])]
    before, after = dict(old.named_parameters()), dict(new.named_parameters())
    for name in names:
        assert torch.equal(after[name][ours], before[name][theirs]), name
        assert len(after[name]) == len(schema.tags)
    fresh = [i for i in range(len(schema.tags)) if i not in ours]
    assert after["classifier.weight"][fresh].abs().max() < 0.9  # drawn, and no row of another tag
    if head == "crf":
        steps = after["crf.transitions"]
        assert torch.equal(steps[ours][:, ours], before["crf.transitions"][theirs][:, theirs])
        assert (steps[fresh] == 0).all()
        assert (steps[:, fresh] == 0).all()
    assert new.config.id2label == schema.id2label
    assert new.config.num_labels == len(schema.tags)


def test_an_encoder_without_a_head_has_nothing_to_keep(tmp_path, caplog):
    from transformers import AutoModel, AutoTokenizer

    folder = tiny_bert(tmp_path)
    AutoModel.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "bare")
    config = (tmp_path / "bare" / "config.json").read_text()
    (tmp_path / "bare" / "config.json").write_text(config.replace('"id2label"', '"unused"').replace("label2id", "no"))
    with caplog.at_level(logging.INFO, "hf_tagging"):
        load_encoder(str(tmp_path / "bare"), MORE)
    assert "kept" not in caplog.text


@pytest.mark.failure_mode("saved-crf")
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encoder", "baseline"])
@pytest.mark.parametrize(
    "flags", [("--label_strategy", "all"), ("--class_weights", "sqrt"), ("--label_smoothing_factor", "0.1")]
)
def test_a_saved_crf_is_checked_as_head_crf_is(tmp_path, kind, flags):
    """With label_strategy all it trained chains over subwords that inference never reads."""
    {"encoder": saved_encoder, "baseline": saved_baseline}[kind](tmp_path, "crf")
    data = ("--dataset", "sample", "--max_train_samples", 8, "--max_eval_samples", 4, "--use_cpu")
    recipe = "ner_bert" if kind == "encoder" else "ner_baseline"
    with pytest.raises(ConfigError, match=rf"{flags[0][2:]}: .* does not go with head crf"):
        run_here(recipe, "--model", tmp_path / "saved", "--output_dir", tmp_path / "out", *data, *flags)


@pytest.mark.slow
def test_a_model_of_bioes_tags_says_in_its_card_what_the_pipeline_makes_of_them(tmp_path):
    model = tiny_bert(tmp_path)
    flags = ("--dataset", "sample", "--max_train_samples", 20, "--max_eval_samples", 10, "--max_steps", 1, "--use_cpu")
    for scheme in ("BIOES", "IOB2"):
        run_here("ner_bert", "--model", model, "--output_dir", tmp_path / scheme, *flags, "--scheme", scheme)
        card = (tmp_path / scheme / "README.md").read_text()
        told = "with an `aggregation_strategy` it cuts entities at E- and S- tags" in " ".join(card.split())
        assert told is (scheme == "BIOES")
    assert record(tmp_path / "BIOES")["scheme"]["target"] == "BIOES"


def test_rows_go_by_ids_in_whatever_order_a_file_lists_them(tmp_path):
    """Other tools sort the keys of a config as words: 0, 1, 10, 11, 2."""
    schema = TagSchema(("O", *(f"{mark}-{kind}" for kind in "ABCDEF" for mark in "BI")), "IOB2")
    old = save(tmp_path / "saved", *load_encoder(str(tiny_bert(tmp_path)), schema))
    file = tmp_path / "saved" / "config.json"
    config = json.loads(file.read_text())
    config["id2label"] = dict(sorted(config["id2label"].items()))
    file.write_text(json.dumps(config))
    more = TagSchema((*schema.tags, "B-X", "I-X"), "IOB2")
    new = loaded("encoder", tmp_path, more)
    assert list(config["id2label"])[:4] == ["0", "1", "10", "11"]
    assert torch.equal(new.classifier.weight[: len(schema.tags)], old.classifier.weight)


@pytest.mark.parametrize("kind", ["encoder", "baseline"])
@pytest.mark.parametrize(
    ("before", "after", "schema", "said"),
    [
        ("linear", "crf", SCHEMA, "kept 5 tags of the saved head; the CRF's transitions start from zero"),
        ("crf", "linear", SCHEMA, "kept 5 tags of the saved head; its CRF is dropped"),
        (
            "linear",
            "crf",
            MORE,
            "kept 5 tags of the saved head, 2 new: B-X, I-X; the CRF's transitions start from zero",
        ),
    ],
)
def test_the_rows_of_a_head_pass_to_one_of_the_other_kind(tmp_path, caplog, kind, before, after, schema, said):
    """`--head crf` over a trained tagger drew everything anew without a word."""
    old = {"encoder": saved_encoder, "baseline": saved_baseline}[kind](tmp_path, before)
    folder = str(tmp_path / "saved")
    with caplog.at_level(logging.INFO, "hf_tagging"):
        if kind == "encoder":
            new = load_encoder(folder, schema, head=after)[0]
        else:
            new = build_baseline(dataset(schema), schema, model=folder, parts={"head": after}, given=["head"])[0]
    assert [entry.getMessage() for entry in caplog.records if "kept" in entry.getMessage()] == [f"{folder}: {said}"]
    ours = [schema.tags.index(tag) for tag in TAGS]
    assert torch.equal(new.classifier.weight[ours], old.classifier.weight)
    assert torch.equal(new.classifier.bias[ours], old.classifier.bias)
    steps = dict(new.named_parameters()).get("crf.transitions")
    assert (steps is None) is (after == "linear")
    assert steps is None or not steps.any()


def test_a_head_with_layers_of_its_own_is_not_taken_for_emissions(tmp_path, caplog):
    """ModernBERT has a dense layer between its encoder and the tags, which a CRF head lacks."""
    folder = tiny_modernbert(tmp_path)
    with caplog.at_level(logging.INFO, "hf_tagging"):
        load_encoder(str(folder), SCHEMA, head="crf")
    assert f"{folder}: its head is of another kind, with layers of its own, so a new one is trained" in caplog.messages
    assert "kept" not in caplog.text


@pytest.mark.failure_mode("adapters-beside")
@pytest.mark.parametrize("schema", [SCHEMA, MORE], ids=["same tags", "more"])
def test_a_model_with_adapters_beside_it_is_not_trained_further(tmp_path, schema):
    """With the same tags it ended without a config.json or weights, with others in a traceback."""
    folder = str(tiny_bert(tmp_path))
    load_encoder(folder, SCHEMA, lora={})[0].save_pretrained(folder)
    with pytest.raises(ModelError, match=r"model=.*bert: has adapters that are not merged .* lora_merge=True"):
        load_encoder(folder, schema)


@pytest.mark.failure_mode("adapters-beside")
def test_a_model_with_adapters_beside_it_is_not_saved_as_it_is_or_pretrained(tmp_path):
    """What the first run wrote had no model in it."""
    folder = str(tiny_bert(tmp_path))
    load_encoder(folder, SCHEMA, lora={})[0].save_pretrained(folder)
    with pytest.raises(
        ModelError, match=rf"cannot be saved by a run as it is. Score it by: hf-tagging evaluate {folder}"
    ):
        load_encoder(folder, SCHEMA, keep_head=True)
    words = load_tagging_dataset("sample", task="ner")
    with pytest.raises(ModelError, match="has adapters that are not merged"):
        build_language_model(without_tags(words), model=folder)
