"""The CRF head on pretrained encoders: what it scores, how it is loaded, trained, saved and read elsewhere."""

import json
import shutil
from contextlib import nullcontext
from itertools import pairwise

import pytest
import torch
from datasets import DatasetDict
from recipe_runs import check_batches_of_8, pipeline_says, record, run_here, weights, without_dropout
from run_configs import run_config
from safetensors.torch import load_file, save_file
from tiny_models import TAGS, tiny_bert, tiny_modernbert, tiny_roberta
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerFast

from hf_tagging import Tagger, TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.pretokenized import subword_kinds
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.models import CrfEncoderForTokenClassification, LinearChainCrf, load_encoder
from hf_tagging.trainer import TaggingTrainer

SCHEMA = TagSchema(TAGS, "IOB2")
PLAIN = "Jordan sailed slowly past Lisbon because nobody waved to Xyzzy"
KINDS = {"bert": tiny_bert, "roberta": tiny_roberta, "modernbert": tiny_modernbert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in KINDS.items()}


@pytest.fixture(scope="module")
def sample():
    data = load_tagging_dataset("sample", task="ner")
    return data.filter(lambda row: len(row["tokens"]) < 25)


def crf(folder, schema=SCHEMA, **options):
    """A tagger with a CRF head whose weights are large enough for tags to differ, and for the CRF to matter."""
    torch.manual_seed(1)
    model, tokenizer = load_encoder(str(folder), schema, head="crf", **options)
    with torch.no_grad():
        model.classifier.weight.normal_(std=0.7)
        for parameter in model.crf.parameters():
            parameter.normal_()
    return model.eval(), tokenizer


def saved(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# What a subword is to words.


@pytest.mark.parametrize("name", KINDS)
def test_kinds_say_where_the_words_of_a_text_start(folders, name):
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    kinds = subword_kinds(tokenizer)
    encoding = tokenizer.backend_tokenizer.encode(PLAIN.split(), is_pretokenized=True)
    words = encoding.word_ids
    expected = [0 if w is None else 1 if w != words[i - 1] else 2 for i, w in enumerate(words)]
    assert kinds[encoding.ids].tolist() == expected
    assert 2 in expected
    assert kinds[[tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.mask_token_id]].tolist() == [0, 1, 1]
    assert len(subword_kinds(tokenizer, size=len(tokenizer) + 3)) == len(tokenizer) + 3
    assert subword_kinds(tokenizer, size=len(tokenizer) + 3)[-3:].tolist() == [1, 1, 1]


@pytest.mark.parametrize("build", [tiny_roberta, tiny_modernbert])
def test_kinds_of_a_tokenizer_that_takes_split_words_for_beginnings(tmp_path, build):
    tokenizer = AutoTokenizer.from_pretrained(build(tmp_path, add_prefix_space=False))
    kinds = subword_kinds(tokenizer)
    encoding = tokenizer.backend_tokenizer.encode(PLAIN.split(), is_pretokenized=True, add_special_tokens=False)
    words = encoding.word_ids
    starts = [w != before for w, before in zip(words, [None, *words], strict=False)]
    assert [kind == 1 for kind in kinds[encoding.ids]] == starts


def test_kinds_of_sentencepiece():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=60, special_tokens=["<pad>", "<unk>"], show_progress=False)
    tokenizer.train_from_iterator([PLAIN, "sailed, “slowly”."], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    kinds, of = subword_kinds(fast), fast.get_vocab()
    assert {subword: int(kinds[of[subword]]) for subword in ("<pad>", "<unk>", "▁", "▁s", "ed", ",", "”", ".")} == {
        "<pad>": 0, "<unk>": 1, "▁": 1, "▁s": 1, "ed": 2, ",": 1, "”": 1, ".": 1,
    }  # fmt: skip


# What it scores.


@pytest.mark.parametrize("name", KINDS)
def test_scores_are_the_best_path_and_the_posterior_of_words(folders, name):
    model, tokenizer = crf(folders[name])
    encoding = tokenizer(PLAIN.split(), is_split_into_words=True, return_tensors="pt")
    words = encoding.word_ids()
    heads = [i for i, w in enumerate(words) if w is not None and w != words[i - 1]]
    inputs = {"input_ids": encoding["input_ids"], "attention_mask": encoding["attention_mask"]}
    with torch.no_grad():
        scores = model(**inputs).logits[0]
        emissions = model(**inputs, labels=torch.full_like(inputs["input_ids"], -100)).logits
    mask = torch.zeros_like(inputs["input_ids"], dtype=torch.bool)
    mask[0, heads] = True
    assert scores.argmax(-1)[heads].tolist() == model.crf.decode(emissions, mask)[0, heads].tolist()
    marginals = model.crf.marginals(emissions, mask)[0]
    agree = marginals.argmax(-1) == scores.argmax(-1)
    torch.testing.assert_close(scores.softmax(-1)[mask[0] & agree], marginals[mask[0] & agree], atol=1e-4, rtol=1e-4)
    for i, word in enumerate(words):
        expected = emissions[0, i].log_softmax(-1) if word is None else scores[heads[word]]
        torch.testing.assert_close(scores[i], expected)


def test_loss_is_the_likelihood_of_the_labels(folders, sample):
    model, tokenizer = crf(folders["bert"], TagSchema.detect(sample, task="ner"))
    batch = batch_of(sample, tokenizer)
    outcome = model(**batch)
    labels, known = batch["labels"], batch["labels"] != -100
    starts = torch.from_numpy(subword_kinds(tokenizer))[batch["input_ids"]] == 1
    assert (starts != known).any()  # punctuation within words, which is summed over
    expected = -model.crf.log_likelihood(outcome.logits, labels, starts, partial=True).sum()
    torch.testing.assert_close(outcome.loss, expected / known.sum())
    torch.testing.assert_close(model(**batch, num_items_in_batch=10).loss, expected / 10)
    outcome.loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []

    plain = batch | {"labels": labels.masked_fill(starts & ~known, 0)}
    expected = -model.crf.log_likelihood(outcome.logits, plain["labels"], starts).sum()
    torch.testing.assert_close(model(**plain, num_items_in_batch=10).loss, expected / 10)


def batch_of(sample, tokenizer):
    rows = align_dataset(sample, tokenizer, TagSchema.detect(sample, task="ner"))["train"].features
    return WindowCollator(tokenizer.pad_token_id)([rows[i] for i in range(8)])


def test_no_illegal_step_is_predicted(folders):
    """Weights that draw to the steps which IOB2 forbids; a plain schema allows them."""
    sentences = [(PLAIN.split() * 2)[i:][:12] for i in range(10)]
    illegal = {}
    for scheme in ("IOB2", "plain"):
        schema = TagSchema(TAGS, scheme)
        model, tokenizer = crf(folders["bert"], schema)
        assert (model.config.legal_step is None) == (scheme == "plain")
        with torch.no_grad():
            model.crf.transitions[0, [2, 4]] = 5.0
        _, step, _ = TagSchema(TAGS, "IOB2").transitions()
        ids = [[TAGS.index(tag) for tag in tags] for tags in Tagger(model, tokenizer).tag(sentences)]
        illegal[scheme] = sum(not step[a, b] for row in ids for a, b in pairwise(row))
    assert illegal["IOB2"] == 0 < illegal["plain"]


# Loading and saving.


def test_an_incomplete_checkpoint_is_filled_soundly(folders, tmp_path):
    model, tokenizer = crf(folders["bert"])
    saved(tmp_path, model, tokenizer)
    state = load_file(tmp_path / "model.safetensors")
    names = sorted(state)
    for dropped in (names[::2], names[1::2], [n for n in names if not n.startswith("encoder.")]):
        kept = {name: value for name, value in state.items() if name not in dropped}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        found = CrfEncoderForTokenClassification.from_pretrained(tmp_path).state_dict()
        assert found.keys() == state.keys()
        for name, value in found.items():
            if name in kept or name.startswith("crf.legal"):
                assert torch.equal(value, state[name]), name
            elif name.startswith("crf."):
                assert not value.any(), name
            elif name == "subword_kind":
                assert value.tolist() == [1] * len(value)
            else:
                assert value.isfinite().all(), name
                assert value.abs().max() < 10, name


@pytest.mark.parametrize("name", KINDS)
def test_the_encoder_is_that_of_the_model(folders, name):
    linear, _ = load_encoder(str(folders[name]), SCHEMA)
    model, _ = load_encoder(str(folders[name]), SCHEMA, head="crf")
    assert type(model.encoder) is type(linear.base_model)
    for key, value in linear.base_model.state_dict().items():
        assert torch.equal(value, model.encoder.state_dict()[key]), key
    assert model.encoder.config._attn_implementation == linear.config._attn_implementation == "sdpa"
    assert str(folders[name].parent) not in json.dumps(model.config.to_dict(), default=str)


def test_a_folder_with_a_crf_goes_on_with_it(folders, tmp_path):
    model, tokenizer = crf(folders["bert"])
    saved(tmp_path, model, tokenizer)
    again, _ = load_encoder(str(tmp_path), SCHEMA, keep_head=True)
    assert again.state_dict().keys() == model.state_dict().keys()
    for name, value in again.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name

    for tags in (("O", "B-X", "I-X"), ("O", "B-X", "I-X", "B-Y", "I-Y")):  # another number of tags, and the same
        other, _ = load_encoder(str(tmp_path), TagSchema(tags, "IOB2"))
        assert isinstance(other, CrfEncoderForTokenClassification)
        assert other.crf.transitions[0, 0] == model.crf.transitions[0, 0]  # O is the only tag that is shared
        assert not other.crf.transitions.flatten()[1:].any()
        assert other.crf.legal_step.tolist() == TagSchema(tags, "IOB2").transitions()[1].tolist()
        assert torch.equal(other.encoder.get_input_embeddings().weight, model.encoder.get_input_embeddings().weight)
        with pytest.raises(ModelError, match="its tag head is not one for the tags of this dataset"):
            load_encoder(str(tmp_path), TagSchema(tags, "IOB2"), keep_head=True)

    linear, _ = load_encoder(str(tmp_path), SCHEMA, head="linear")
    assert type(linear).__name__ == "BertForTokenClassification"
    assert linear.config.id2label == SCHEMA.id2label
    assert torch.equal(linear.bert.embeddings.word_embeddings.weight, model.get_input_embeddings().weight)
    with pytest.raises(ModelError, match=r"head=linear: the tag head of model=.* is crf"):
        load_encoder(str(tmp_path), SCHEMA, head="linear", keep_head=True)


def test_settings_of_an_encoder_hold_with_a_crf(folders):
    model, tokenizer = crf(folders["modernbert"], max_length=32, dropout=0.4, freeze_layers=1)
    assert (tokenizer.model_max_length, model.dropout.p, model.config.classifier_dropout) == (32, 0.4, 0.4)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"classifier.weight", "crf.transitions", "encoder.layers.1.mlp.Wi.weight"} <= trained
    assert not any(name.startswith(("encoder.embeddings", "encoder.layers.0.")) for name in trained)
    with pytest.raises(ConfigError, match=r"max_length: 65 is more than this model takes \(64 subwords\)"):
        load_encoder(str(folders["modernbert"]), SCHEMA, head="crf", max_length=65)


def test_a_model_with_code_of_its_own_is_refused(folders, tmp_path, monkeypatch):
    linear, _ = load_encoder(str(folders["bert"]), SCHEMA)
    monkeypatch.setattr(type(linear.config), "__module__", "transformers_modules.some.code")
    with pytest.raises(ModelError, match="head=crf: the encoder must be one that Transformers itself has"):
        load_encoder(str(folders["bert"]), SCHEMA, head="crf")


@pytest.mark.slow
@pytest.mark.parametrize("package", [True, False], ids=["with", "without"])
def test_a_fresh_process_tags_as_tagger_does(folders, tmp_path, package):
    places = [saved(tmp_path / name, *crf(folder)) for name, folder in folders.items()]
    said = pipeline_says(places, PLAIN, package=package, scratch=tmp_path)
    words = PLAIN.split()
    for place in places:
        tagged = Tagger.from_pretrained(place).tag_with_scores(words)
        assert len({tag for tag, _ in tagged}) > 1
        for start, tag, score in said[place][0]:  # every subword says what its word is
            word = PLAIN[: start + 1].count(" ")  # byte-level subwords begin with the space
            assert tag == tagged[word][0], (place.name, start)
            assert score == pytest.approx(tagged[word][1], abs=2e-4)


# Training.


@pytest.fixture
def run(folders, tmp_path):
    """Runs a recipe in this process; gives its folder."""

    def _run(*flags, recipe="ner_bert", model="bert", name="run"):
        out = tmp_path / name
        few = ("--dataset", "sample", "--max_train_samples", 16, "--max_eval_samples", 8, "--max_steps", 2, "--use_cpu",
               "--per_device_train_batch_size", 4, "--eval_strategy", "steps", "--eval_steps", 2,
               "--warmup_steps", 0)  # fmt: skip
        run_here(recipe, "--model", folders.get(model, model), "--output_dir", out, *few, *flags)
        return out

    return _run


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--bf16",),
        ("--bf16_full_eval",),
        ("--gradient_checkpointing",),
        ("--prediction_loss_only",),
        ("--batch_eval_metrics",),
        ("--layerwise_lr_decay", 0.5, "--freeze_layers", 1),
        ("--ema_decay", 0.5),
        ("--lora",),
        ("--lora", "--lora_merge", "false", "--layerwise_lr_decay", 0.9, "--head_learning_rate", 0.01),
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_flag_runs_with_a_crf(run, flags):
    out = run("--head", "crf", *flags)
    found = record(out)
    assert found["status"] == "finished"
    assert found["arguments"]["head"] == "crf"
    tagger = Tagger.from_pretrained(out)
    assert hasattr(tagger.model, "crf")
    assert len(tagger.tag([["a", "book"], []])[0]) == 2
    assert "crf.transitions" in weights(out)
    assert "trust_remote_code=True" in (out / "README.md").read_text()
    assert {"crf.py", "modeling_crf_encoder.py"} <= set(found["files"])


@pytest.mark.parametrize("model", ["roberta", "modernbert"])
def test_a_run_goes_on_from_a_run(run, model):
    first = run("--head", "crf", "--head_learning_rate", 0.1, model=model)
    learned = weights(first)["crf.transitions"]
    assert learned.any()
    same = run("--do_train", "false", model=first, name="same")
    assert torch.equal(weights(same)["crf.transitions"], learned)
    assert record(same)["results"]["test"]["per_type"] == record(first)["results"]["test"]["per_type"]
    second = run(model=first, name="second")
    assert hasattr(Tagger.from_pretrained(second).model, "crf")
    linear = run("--head", "linear", model=first, name="linear")
    assert not any(name.startswith("crf.") for name in weights(linear))


def test_an_adapter_alone_carries_its_crf(run, tmp_path, folders):
    out = run("--head", "crf", "--lora", "--lora_merge", "false", "--learning_rate", 0.05)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    for file in out.iterdir():
        if file.is_file() and file.name != "model.safetensors":
            shutil.copy(file, adapter)
    words = [PLAIN.split()]
    whole, alone = Tagger.from_pretrained(out), Tagger.from_pretrained(adapter)
    assert torch.equal(alone.model.subword_kind, whole.model.subword_kind)
    assert alone.tag_with_scores(words)[0] == [
        (t, pytest.approx(p, abs=1e-5)) for t, p in whole.tag_with_scores(words)[0]
    ]


STEPS = ("--dataset", "sample", "--max_train_samples", 60, "--max_eval_samples", 30, "--max_steps", 4, "--seed", 7,
         "--learning_rate", 1e-2, "--logging_steps", 1, "--eval_strategy", "steps", "--eval_steps", 2, "--head", "crf",
         "--warmup_steps", 0, "--use_cpu", "--bf16", "false")  # fmt: skip


@pytest.mark.slow
def test_batches_of_8_are_2_times_4_are_2_processes_of_4(tmp_path):
    folder = without_dropout(tiny_bert(tmp_path, max_length=24))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"classifier_dropout": 0.0}))
    check_batches_of_8("ner_bert", tmp_path, "--model", folder, *STEPS)


def trainer(folder, sample, output, *flags, model=None):
    args = run_config("ner", ["--output_dir", str(output), "--use_cpu", *map(str, flags)])
    schema = TagSchema.detect(sample, task="ner")
    loaded, tokenizer = load_encoder(str(folder), schema, head="crf")
    splits = align_dataset(sample, tokenizer, schema)
    return TaggingTrainer(
        model=model or loaded,
        args=args.training,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
    ), splits


def test_evaluation_is_of_what_pipeline_and_tagger_see(folders, sample, tmp_path):
    run, splits = trainer(folders["bert"], sample, tmp_path)
    with torch.no_grad():
        run.model.classifier.weight.normal_(std=0.7)
        run.model.crf.transitions.normal_()
    loss = words = 0.0
    run.model.eval()
    for row in splits["validation"].features:
        labels = torch.tensor(row["labels"])
        with torch.no_grad():
            logits = run.model(input_ids=torch.tensor([row["input_ids"]])).logits[0]
        loss -= logits.log_softmax(-1)[labels != -100].gather(1, labels[labels != -100][:, None]).sum().item()
        words += (labels != -100).sum().item()
    assert run.evaluate()["eval_loss"] == pytest.approx(loss / words, rel=1e-5)
    predicted = run.predict_words(splits["validation"]).predicted
    tagger = Tagger(run.accelerator.unwrap_model(run.model, keep_fp32_wrapper=False), run.processing_class)
    assert predicted == tagger.tag(sample["validation"]["tokens"])
    assert len({tag for tags in predicted for tag in tags}) > 2


def test_the_head_has_a_rate_of_its_own(folders, sample, tmp_path):
    run, _ = trainer(folders["bert"], sample, tmp_path, "--learning_rate", 0.5, "--head_learning_rate", 2.0)
    rates = {id(p): group["lr"] for group in run.create_optimizer().param_groups for p in group["params"]}
    for name, parameter in run.model.named_parameters():
        assert rates[id(parameter)] == (0.5 if name.startswith("encoder.") else 2.0), name


def test_what_does_not_go_with_a_crf_is_told_at_once(folders, sample, tmp_path):
    flags = ["--head", "crf", "--label_strategy", "all", "--class_weights", "sqrt", "--label_smoothing_factor", "0.1"]
    with pytest.raises(ConfigError) as caught:
        run_config("ner", [*flags, "--sede", "1"])
    message = str(caught.value)
    assert "4 problems" in message
    for name in ("label_strategy: all", "class_weights: sqrt", "label_smoothing_factor: 0.1"):
        assert f"{name} does not go with head crf" in message
    with pytest.raises(ConfigError, match=r"head: .*did you mean crf"):
        run_config("ner", ["--head", "crv"])
    with pytest.raises(ConfigError, match="class_weights: sqrt does not go with head crf, whose loss is of"):
        trainer(folders["bert"], sample, tmp_path, "--class_weights", "sqrt")  # its head is known only once loaded
    assert run_config("ner", ["--head", "crf"]).training.head_learning_rate == 1e-3
    assert run_config("ner", ["--head", "crf", "--head_learning_rate", "0.1"]).training.head_learning_rate == 0.1
    assert run_config("ner", []).training.head_learning_rate is None


def test_the_layer_is_the_one_that_is_public(folders):
    assert isinstance(crf(folders["bert"])[0].crf, LinearChainCrf)
    assert type(AutoModelForTokenClassification.from_config(crf(folders["bert"])[0].config)).__name__ == (
        "CrfEncoderForTokenClassification"
    )


@pytest.mark.failure_mode("saved-crf")
def test_labels_of_all_subwords_do_not_go_with_a_crf_in_python_either(folders, sample, tmp_path):
    data = sample["train"].select(range(20))
    schema = TagSchema.detect(DatasetDict(train=data), task="ner")
    args = run_config("ner", ["--dataset", "sample", "--output_dir", str(tmp_path / "run"), "--use_cpu"]).training
    for head, strategy in (("crf", "first"), ("linear", "all"), ("crf", "all")):
        model, tokenizer = load_encoder(str(folders["bert"]), schema, head=head)
        splits = align_dataset(DatasetDict(train=data), tokenizer, schema, label_strategy=strategy)
        refused = (head, strategy) == ("crf", "all")
        with pytest.raises(ConfigError, match="label_strategy: all does not go with") if refused else nullcontext():
            TaggingTrainer(model=model, args=args, schema=schema, tokenizer=tokenizer, splits=splits)
