"""One config: equal values by Python, by flags and by YAML are equal runs, with equal defaults and equal checks."""

import copy
import dataclasses
import pickle
import sys

import pytest
from run_configs import run_config
from tiny_models import tiny_bert
from transformers import TrainingArguments

import hf_tagging
from hf_tagging.errors import ConfigError
from hf_tagging.tasks import NER, POS
from hf_tagging.training import DataConfig, EncoderConfig, RunConfig, ScratchConfig, TaggingConfig, parse_arguments
from hf_tagging.training.config.given import given_by
from hf_tagging.training.config.pretraining import PretrainingConfig, TextConfig


def runs():
    """Runs made in Python, each with the same values as flags or keys.

    Made anew for each test: what earlier tests tell Transformers to log decides a default of `TrainingArguments`.
    """
    return {
        "encoder": (
            RunConfig(NER, DataConfig("sample", scheme="BIOES"), EncoderConfig("minilm"), TaggingConfig(seed=3)),
            {"task": "ner", "dataset": "sample", "scheme": "BIOES", "model": "minilm", "seed": "3"},
        ),
        "lora": (
            RunConfig(
                POS,
                DataConfig("sample", test_share=0.1, split_seed=1),
                EncoderConfig("minilm", lora=True, lora_target_modules=["query", "value"]),
                TaggingConfig(output_dir="runs/x", eval_strategy="steps", eval_steps=5, lr_scheduler_kwargs={"a": 1}),
            ),
            {"task": "pos", "dataset": "sample", "test_share": "0.1", "split_seed": "1", "model": "minilm",
             "lora": "true", "lora_target_modules": ["query", "value"], "output_dir": "runs/x",
             "eval_strategy": "steps", "eval_steps": "5", "lr_scheduler_kwargs": '{"a": 1}'},
        ),
        "scratch": (
            RunConfig(NER, DataConfig("sample"), ScratchConfig(encoder="lstm", head="crf"), TaggingConfig(max_steps=5)),
            {"task": "ner", "dataset": "sample", "model": "scratch", "encoder": "lstm", "head": "crf",
             "max_steps": "5"},
        ),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["encoder", "lora", "scratch"])
def test_python_flags_and_yaml_make_the_same_run(name, tmp_path):
    python, values = runs()[name]
    flags = []
    for key, value in values.items():
        flags += [f"--{key}", *(value if isinstance(value, list) else [value])]
    path = tmp_path / "run.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in values.items()))
    by_flags, by_yaml = RunConfig.from_command_line(flags), RunConfig.from_yaml(path)
    by_both = RunConfig.from_command_line(["--config", str(path)])
    assert python == by_flags == by_yaml == by_both
    assert python.as_dict() == by_flags.as_dict() == by_yaml.as_dict()
    assert python.given | {"model"} == by_flags.given | {"model"} == by_yaml.given | {"model"}


def test_defaults_follow_from_task_and_model():
    encoder, lora, scratch = (run.training for run, _ in runs().values())
    assert (encoder.metric_for_best_model, encoder.greater_is_better) == ("f1", True)
    assert (lora.metric_for_best_model, lora.learning_rate) == ("accuracy", 5e-4)
    assert (lora.save_strategy, lora.save_steps) == ("steps", 5)
    assert (scratch.learning_rate, scratch.num_train_epochs, scratch.max_grad_norm) == (2e-3, 10.0, 5.0)
    assert scratch.output_dir == "runs/ner-lstm-crf-sample-seed-42"
    crf = RunConfig(NER, model=EncoderConfig("minilm", head="crf")).training
    assert crf.head_learning_rate == 1e-3
    given = RunConfig(NER, model=EncoderConfig("minilm", lora=True), training=TaggingConfig(learning_rate=5e-5))
    assert given.training.learning_rate == 5e-5  # the default of an encoder, but it was given


def test_defaults_are_chosen_anew_where_a_part_is_replaced():
    scratch = runs()["scratch"][0]
    encoder = dataclasses.replace(scratch, model=EncoderConfig("minilm"), task=POS)
    assert (encoder.training.learning_rate, encoder.training.num_train_epochs) == (5e-5, 3.0)
    assert (encoder.training.metric_for_best_model, encoder.training.max_steps) == ("accuracy", 5)
    assert encoder.training.output_dir == "runs/pos-minilm-sample-seed-42"


def test_replace_keeps_what_was_given_and_nothing_else():
    config = TaggingConfig(output_dir="x", use_cpu=True)
    other = dataclasses.replace(config, seed=2, per_device_train_batch_size=8)
    assert (other.seed, other.tokens_per_batch, config.tokens_per_batch) == (2, None, 768)
    assert given_by(other).names == {"output_dir", "use_cpu", "seed", "per_device_train_batch_size"}
    assert dataclasses.replace(other, seed=42, per_device_train_batch_size=0) == config
    assert dataclasses.replace(ScratchConfig(encoder="cnn"), encoder="lstm").encoder == "lstm"


def test_what_is_set_later_counts_as_given():
    config = TaggingConfig(use_cpu=True)
    config.learning_rate = 0.5
    assert RunConfig(POS, model=EncoderConfig("minilm", lora=True), training=config).training.learning_rate == 0.5


def test_copies_are_equal_and_pickles_hold_no_token():
    config = TaggingConfig(use_cpu=True, seed=4, hub_token="hf_secret", lr_scheduler_kwargs={"num_cycles": 2})
    for other in (copy.copy(config), copy.deepcopy(config)):
        assert (type(other), other) == (TaggingConfig, config)
        assert other.hub_token == dataclasses.replace(other, seed=5).hub_token == "hf_secret"
        assert given_by(other) == given_by(config)
        other.seed = 6
        assert config.seed == 4
    assert copy.copy(config).lr_scheduler_kwargs is config.lr_scheduler_kwargs
    assert copy.deepcopy(config).lr_scheduler_kwargs is not config.lr_scheduler_kwargs
    pickled = pickle.loads(pickle.dumps(config))
    assert (pickled.hub_token, pickled.seed) == (None, 4)
    assert given_by(pickled).names == {"use_cpu", "seed", "lr_scheduler_kwargs"}
    assert dataclasses.replace(pickled, seed=5).seed == 5
    assert b"hf_secret" not in pickle.dumps(config)
    assert b"hf_secret" not in pickle.dumps(copy.copy(config))
    assert isinstance(config, TrainingArguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaggingConfig(seed=-1), "seed: -1 is not from 0 to 4294967295"),
        (lambda: TaggingConfig(resume=True, overwrite=True), "resume, overwrite: give one of the two"),
        (lambda: TaggingConfig(hub_strategy="end"), "hub_strategy: a run is pushed once"),
        (lambda: DataConfig(train_file=["nowhere.txt"]), "train_file: nowhere.txt is not there"),
        (lambda: EncoderConfig(lora=True, freeze_layers=1), "freeze_layers: LoRA freezes the whole encoder already"),
        (lambda: EncoderConfig("scratch"), "model: scratch is for taggers from scratch"),
        (lambda: RunConfig(NER, model=ScratchConfig(encoder="lstm", kernel_size=3)), "kernel_size: goes with encoder"),
        (lambda: RunConfig(NER, model=ScratchConfig(word_dropout=0.1, encoder="hmm")), "word_dropout: an hmm has no"),
        (lambda: RunConfig(NER, training=TaggingConfig(metric_for_best_model="macro_f2")), "did you mean macro_f1?"),
        (lambda: RunConfig(NER, DataConfig(label_strategy="all"), EncoderConfig(head="crf")), "does not go with head"),
    ],
)
def test_python_is_checked_as_flags_are(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)
    assert "--" not in str(caught.value)
    assert caught.value.problems[0].field


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaggingConfig(learning_rte=1), "learning_rte: there is no such argument; did you mean learning_rate?"),
        (lambda: ScratchConfig(encodr="cnn"), "encodr: there is no such argument; did you mean encoder?"),
        (lambda: EncoderConfig("minilm", hed="crf"), "hed: there is no such argument; did you mean head?"),
        (lambda: DataConfig(train_fle=["a"]), "train_fle: there is no such argument; did you mean train_file?"),
        (lambda: TextConfig(text_fle=["a"]), "text_fle: there is no such argument; did you mean text_file?"),
        (lambda: RunConfig(NER, trainin=TaggingConfig()), "trainin: there is no such argument; did you mean training?"),
        (lambda: RunConfig(task=NER, zzz=1), "zzz: there is no such argument"),
        (lambda: PretrainingConfig(modl=None), "modl: there is no such argument; did you mean model?"),
        (lambda: dataclasses.replace(TaggingConfig(), sed=1), "sed: there is no such argument; did you mean seed?"),
    ],
)
def test_a_misspelt_keyword_is_named(make, message):
    for kind in (ConfigError, TypeError):  # the latter is what Python raises for it
        with pytest.raises(kind) as caught:
            make()
        assert str(caught.value) == message


def test_all_misspelt_keywords_are_named_together():
    with pytest.raises(ConfigError) as caught:
        TaggingConfig(sed=1, output_dirr="x", seed=-1)
    assert [problem.field for problem in caught.value.problems] == ["sed", "output_dirr"]


def test_a_rule_is_for_what_the_model_is(tmp_path):
    from hf_tagging import TagSchema, load_encoder

    schema = TagSchema(("O", "B-X", "I-X"), "IOB2")
    model, tokenizer = load_encoder(str(tiny_bert(tmp_path)), schema, head="crf")
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "crf")
    with pytest.raises(ConfigError, match="class_weights: balanced does not go with head crf"):
        RunConfig(NER, model=EncoderConfig(str(tmp_path / "crf")), training=TaggingConfig(class_weights="balanced"))
    again = RunConfig(NER, model=EncoderConfig(str(tmp_path / "crf"), head="crf"))
    assert again.training.head_learning_rate is None  # its transitions have learned already


def test_problems_of_a_file_say_where_and_those_of_flags_do_not(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("task: ner\nseed: -1\nfreeze_layers: 1\n")
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_command_line(["--config", str(path), "--lora", "--save_total_limit", "0"])
    message = str(caught.value)
    assert f"{path}, line 2: seed: -1 is not from 0 to" in message
    assert f"{path}, line 3: freeze_layers: LoRA freezes" in message
    assert "\n  --save_total_limit: 0 is below 1\n" in message
    with pytest.raises(ConfigError, match="seed: 'x' is not a whole number"):
        RunConfig.from_yaml(path, seed="x")


@pytest.mark.parametrize(
    ("argv", "options", "message"),
    [
        ([], {}, "--task: is missing; give pos or ner"),
        (["--task", "nerd"], {}, "--task: 'nerd' is not one of pos, ner; did you mean ner?"),
        (["--task", "pos"], {"task": "ner"}, "--task: pos, but this recipe is for ner"),
        (["--task", "pos", "--task", "ner"], {}, "--task: ner, but a flag says it is for pos"),
        (["--model", "scratch"], {"task": "ner", "model": EncoderConfig}, "--model: scratch is for taggers from"),
        (["--task", "ner", "--kernel_size", "3"], {}, "--kernel_size: is for taggers from scratch; give model scratch"),
    ],
)
def test_task_and_model_are_arguments(argv, options, message):
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_command_line(argv, **options)
    assert message in str(caught.value)


def test_an_encoder_of_its_own_is_a_tagger_from_scratch():
    assert isinstance(RunConfig.from_command_line(["--task", "ner", "--encoder", "cnn"]).model, ScratchConfig)
    assert RunConfig.from_command_line(["--task", "ner"], task=NER) == run_config("ner", [])


def test_a_flag_is_read_from_a_script_alone(monkeypatch):
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    monkeypatch.setattr(sys, "argv", ["kernel", "-f", "kernel.json"])
    with pytest.raises(ConfigError, match=r"No script is running .* argv=\[\.\.\.\]"):
        RunConfig.from_command_line(task="ner")
    with pytest.warns(FutureWarning), pytest.raises(ConfigError, match="No script is running"):
        parse_arguments("pos")


def test_old_names_warn():
    with pytest.warns(FutureWarning, match="TaggingArguments is now TaggingConfig"):
        assert hf_tagging.TaggingArguments is TaggingConfig
    with pytest.warns(FutureWarning, match="RunArguments is now RunConfig"):
        assert hf_tagging.training.RunArguments is RunConfig
    with pytest.warns(FutureWarning, match=r"use RunConfig\.from_command_line"):
        assert parse_arguments("pos", [], family="baseline") == run_config("pos", [], kind="scratch")
