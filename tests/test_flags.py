"""Flags of TrainingArguments and of ours, each through a whole recipe."""

import json

import pytest
import torch
from recipe_runs import ROOT, record, run_here, training_log, weights
from run_configs import run_config
from tiny_models import tiny_bert, tiny_modernbert, tiny_roberta

from hf_tagging import Tagger, TagSchema, load_encoder, load_tagging_dataset
from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError

FEW = ("--dataset", "sample", "--max_train_samples", 16, "--max_eval_samples", 8, "--max_steps", 4, "--use_cpu",
       "--per_device_train_batch_size", 4, "--learning_rate", 1e-2, "--eval_strategy", "steps", "--eval_steps", 2,
       "--logging_steps", 1, "--warmup_steps", 0)  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return {"bert": tiny_bert(folder), "roberta": tiny_roberta(folder), "modernbert": tiny_modernbert(folder)}


@pytest.fixture
def run(models, tmp_path):
    """Runs a recipe in this process; gives its folder."""

    def _run(*flags, recipe="pos_bert", model="bert", name="run"):
        out = tmp_path / name
        run_here(recipe, "--model", models.get(model, model), "--output_dir", out, *FEW, *flags)
        return out

    return _run


@pytest.mark.parametrize(
    "flags",
    [
        ["--bf16"],
        ["--gradient_checkpointing"],
        ["--gradient_accumulation_steps", 2],
        ["--eval_on_start"],
        ["--eval_strategy", "no"],
        ["--save_strategy", "no"],
        ["--save_strategy", "best"],
        ["--save_only_model"],
        ["--prediction_loss_only"],
        ["--batch_eval_metrics"],
        ["--eval_do_concat_batches", "true"],
        ["--eval_accumulation_steps", 1],
        ["--include_for_metrics", "inputs", "loss"],
        ["--train_sampling_strategy", "group_by_length"],
        ["--train_sampling_strategy", "sequential"],
        ["--dataloader_num_workers", 1],
        ["--dataloader_drop_last"],
        ["--optim", "adafactor"],
        ["--lr_scheduler_type", "cosine_with_restarts", "--lr_scheduler_kwargs", '{"num_cycles": 2}'],
        ["--max_grad_norm", 0],
        ["--neftune_noise_alpha", 5],
        ["--metric_for_best_model", "loss"],
        ["--bf16_full_eval"],
        ["--full_determinism"],
        ["--auto_find_batch_size"],
        ["--include_num_input_tokens_seen", "true"],
        ["--logging_strategy", "epoch"],
        ["--no_do_eval"],
        ["--no_do_predict"],
        ["--label_smoothing_factor", 0.1],
        ["--class_weights", "balanced"],
        ["--layerwise_lr_decay", 0.8],
        ["--ema_decay", 0],
        ["--ema_decay", 0.5],
        ["--ema_decay", 0.5, "--save_only_model", "--freeze_layers", 1],
        ["--ema_decay", 0.5, "--lora"],
        ["--label_strategy", "all"],
        ["--max_length", 16, "--window_overlap", 4],
        ["--head_dropout", 0.3],
        ["--num_proc", 2],
        ["--lora", "--layerwise_lr_decay", 0.9, "--lora_target_modules", "query", "value"],
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_flag_runs(run, flags):
    out = run(*flags)
    assert record(out)["status"] == "finished"
    assert {weight.dtype for weight in weights(out).values()} == {torch.float32}
    assert Tagger.from_pretrained(out).tag([["a", "book"], []])[1] == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--gradient_accumulation_steps", 3],
        ["--dataloader_num_workers", 1, "--dataloader_in_order", "false"],
        ["--gradient_checkpointing"],
        ["--packing", "true"],
        ["--packing", "true", "--bf16", "true", "--gradient_accumulation_steps", 2, "--lora"],
        ["--attn_implementation", "eager"],
    ],
    ids=lambda flags: " ".join(map(str, flags)),
)
def test_flag_runs_with_batches_of_subwords(run, flags):
    out = run(*flags, "--per_device_train_batch_size", 0, "--tokens_per_batch", 130)
    assert record(out)["status"] == "finished"
    assert training_log(out)[-1]["step"] == 4


def test_attention_is_computed_as_asked(models):
    schema = TagSchema(("A", "B"), "")
    for name in ("eager", "sdpa"):
        assert (
            load_encoder(str(models["bert"]), schema, attn_implementation=name)[0].config._attn_implementation == name
        )
    with pytest.raises(ModelError, match="by_hand"):
        load_encoder(str(models["bert"]), schema, attn_implementation="by_hand")


@pytest.mark.parametrize(("split", "what"), [("train", "learn from"), ("test", "evaluate on")])
def test_a_split_without_a_word_is_said_before_training(models, tmp_path, split, what):
    rows = dict.fromkeys(("train", "validation", "test"), '{"tokens": ["a", "book"], "tags": ["X", "Y"]}\n' * 4)
    rows[split] = '{"tokens": [], "tags": []}\n' + rows[split]
    for name, text in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    files = [word for name in rows for word in (f"--{name}_file", tmp_path / f"{name}.jsonl")]
    first = ("--max_train_samples", 1, "--max_eval_samples", 1)
    with pytest.raises(DataError, match=rf"{split}: none of its sentences \(1\) has a word, .* nothing to {what}"):
        run_here("pos_bert", "--model", models["bert"], "--output_dir", tmp_path / "out", *files, *first, "--use_cpu")


@pytest.mark.parametrize("model", ["roberta", "modernbert"])
@pytest.mark.parametrize("flags", [(), ("--lora",), ("--freeze_layers", 1, "--layerwise_lr_decay", 0.5)], ids=str)
def test_other_encoders(run, model, flags):
    out = run(*flags, recipe="ner_bert", model=model)
    results = record(out)["results"]["test"]
    assert results["sentences"] == 8
    assert "strict_f1" in results


@pytest.mark.slow
def test_torch_compile(run):
    # aot_eager traces as the default does and leaves out a minute of compiling C++.
    flags = ["--torch_compile", "--torch_compile_backend", "aot_eager", "--max_steps", 2]
    assert record(run(*flags))["status"] == "finished"


def test_early_stopping_stops(run):
    out = run("--early_stopping_patience", 1, "--max_steps", 40, "--early_stopping_threshold", 2.0)
    assert training_log(out)[-1]["step"] < 40


def test_frozen_layers_do_not_move(run, models):
    before, after = weights(models["bert"]), weights(run("--freeze_layers", 1))
    moved = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    assert any("encoder.layer.1." in name for name in moved)
    assert not any("encoder.layer.0." in name or "embeddings" in name for name in moved)


def test_best_checkpoint_is_the_one_that_is_kept(run):
    out = run("--learning_rate", 0.3)  # far too high: it gets worse
    state = [entry for entry in training_log(out) if "eval_accuracy" in entry]
    best = max(entry["eval_accuracy"] for entry in state)
    assert record(out)["results"]["validation"]["accuracy"] == pytest.approx(best)


@pytest.mark.parametrize("scheme", ["IOB1", "BIOES"])
def test_the_model_writes_the_scheme_that_was_asked_for(run, scheme):
    out = run("--scheme", scheme, recipe="ner_bert")
    config = json.loads((out / "config.json").read_text())
    assert config["tag_scheme"] == scheme
    assert ("E-PER" in config["label2id"]) == (scheme == "BIOES")
    assert record(out)["results"]["test"]["scheme"] == scheme
    assert Tagger.from_pretrained(out).schema.scheme == scheme


def test_a_tagger_for_more_tags_keeps_its_label_ids(run, models, tmp_path):
    tags = load_tagging_dataset("sample", task="pos")["train"].features["tags"].feature.names
    tagger = tiny_bert(tmp_path, tags=["XX", *reversed(tags)])
    out = run(model=tagger)
    assert json.loads((out / "config.json").read_text())["id2label"]["0"] == "XX"


@pytest.mark.parametrize("flags", [(), ("--ema_decay", 0.5), ("--ema_decay", 0.5, "--lora")], ids=str)
def test_resume_from_a_checkpoint_that_is_named(run, flags):
    flags = ("--load_best_model_at_end", "false", *flags)
    first = run(*flags, name="first")
    again = run(*flags, "--resume_from_checkpoint", first / "checkpoint-2", name="second")
    assert all(torch.equal(w, weights(again)[name]) for name, w in weights(first).items())


def test_a_run_without_an_average_goes_on_from_the_weights_of_the_step(run):
    last = ("--load_best_model_at_end", "false")
    plain, averaged = run(*last, name="plain"), run(*last, "--ema_decay", 0.5, name="averaged")
    assert not torch.equal(weights(averaged)["classifier.weight"], weights(plain)["classifier.weight"])
    again = run(*last, "--resume_from_checkpoint", averaged / "checkpoint-2", name="again")
    assert all(torch.equal(w, weights(again)[name]) for name, w in weights(plain).items())


def test_a_checkpoint_in_the_folder_that_is_emptied_is_refused(run):
    first = run(name="first")
    with pytest.raises(ConfigError, match="lies in the folder that overwrite=True empties"):
        run("--overwrite", "--resume_from_checkpoint", first / "checkpoint-2", name="first")
    assert (first / "checkpoint-2").is_dir()


def test_an_iob1_tagger_that_does_not_say_so_is_told(run):
    first = run("--scheme", "IOB1", recipe="ner_bert", name="first")
    config = json.loads((first / "config.json").read_text())
    del config["tag_scheme"]
    (first / "config.json").write_text(json.dumps(config))
    again = run("--do_train", "false", "--scheme", "IOB1", recipe="ner_bert", model=first, name="again")
    assert record(again)["results"]["test"]["per_type"] == record(first)["results"]["test"]["per_type"]


def test_mistakes_leave_no_folder(run, tmp_path):
    with pytest.raises(ConfigError, match="max_length: 9999 is more than this model takes"):
        run("--max_length", 9999)
    with pytest.raises(DataError, match="cannot be reached"):
        run("--dataset", "conll2003")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["BIOES", "IOB1"])
def test_a_tagger_keeps_its_scheme(run, scheme):
    first = run("--scheme", scheme, recipe="ner_bert", name="first")
    again = run("--do_train", "false", recipe="ner_bert", model=first, name="again")
    assert record(again)["results"]["test"]["scheme"] == scheme
    assert record(again)["results"]["test"]["per_type"] == record(first)["results"]["test"]["per_type"]
    other = run("--scheme", "IOB2", recipe="ner_bert", model=first, name="other")
    assert json.loads((other / "config.json").read_text())["tag_scheme"] == "IOB2"


def test_files_name_the_run(tmp_path):
    args = run_config("ner", ["--train_file", str(ROOT / "README.md"), "--model", "minilm"])
    assert args.training.output_dir == "runs/ner-minilm-README-seed-42"
    assert args.dataset_name == "README.md"


def test_the_token_is_nowhere(run):
    out = run("--hub_token", "hf_secret_1", "--hub-token=hf_secret_2", "--trackio_space_id", "x")
    for file in ("run.json", "README.md"):
        assert "hf_secret" not in (out / file).read_text()


def test_pushing_without_the_hub_ends_in_a_message_before_training(run, tmp_path):
    with pytest.raises(OutputError, match="push_to_hub=run: "):
        run("--push_to_hub", "--hub_token", "hf_secret")
    assert list(tmp_path.iterdir()) == []
