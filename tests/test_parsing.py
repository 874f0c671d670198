"""Contract 4: a flag wins over the YAML, the YAML over the default, and all mistakes are told together."""

import re

import pytest
from run_configs import run_config

from hf_tagging.errors import ConfigError
from hf_tagging.training.config.models import LORA_LEARNING_RATE


def parse(*argv, task="pos"):
    return run_config(task, [str(word) for word in argv])


def problems(*argv, task="pos"):
    with pytest.raises(ConfigError) as caught:
        parse(*argv, task=task)
    return str(caught.value)


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return path

    return write


def test_defaults():
    args = parse()
    assert args.model.model == "google-bert/bert-base-cased"
    assert args.data.dataset == "conll2003"
    assert args.training.learning_rate == 5e-5
    assert args.training.metric_for_best_model == "accuracy"
    assert args.training.load_best_model_at_end
    assert args.training.save_total_limit == 2
    assert args.training.output_dir == "runs/pos-bert-base-cased-conll2003-seed-42"
    assert parse(task="ner").training.metric_for_best_model == "f1"


def test_flag_over_yaml_over_default(config):
    path = config("learning_rate: 1e-4\nnum_train_epochs: 7\n")
    args = parse("--config", path, "--num_train_epochs", 2)
    assert args.training.learning_rate == 1e-4
    assert args.training.num_train_epochs == 2
    assert args.training.weight_decay == 0.01


def test_a_flag_wins_wherever_it_stands(config):
    assert parse("--seed", 3, "--config", config("seed: 1")).training.seed == 3


def test_yaml_values_are_what_they_say(config):
    path = config(
        "learning_rate: 5e-5\neval_strategy: no\nbf16: no\nlora: yes\nmodel: on\nmax_length:\nwindow_overlap: null\n"
        "lr_scheduler_kwargs: {num_cycles: 2}\ntag_names: [O, no, 1]\n"
    )
    args = parse("--config", path)
    assert args.training.learning_rate == 5e-5
    assert args.training.eval_strategy == "no"
    assert args.training.bf16 is False
    assert args.model.lora is True
    assert args.model.model == "on"
    assert args.data.max_length is None
    assert args.training.lr_scheduler_kwargs == {"num_cycles": 2}
    assert args.data.tag_names == ["O", "no", "1"]


def test_every_mistake_is_told_at_once_with_its_place_and_the_nearest_name(config, tmp_path):
    (tmp_path / "train.conll").write_text("x")
    path = config(
        "learning_rte: 5e-5\nnum_train_epochs: three\nscheme: IOB3\nseed: [1]\nseed: 2\n"
        f"train_file: {tmp_path}/trein.conll\n"
    )
    told = problems("--config", path, "--lernrate", 3, "--eval_strategy", "epoc", "--model")
    for line in [
        "line 1: learning_rte: there is no such argument; did you mean learning_rate?",
        "line 2: num_train_epochs: 'three' is not a number",
        "line 3: scheme: 'IOB3' is not one of IOB1, IOB2, BIOES",
        "line 4: seed: expected one value, got a list",
        "line 5: seed: occurs twice",
        f"train_file: {tmp_path}/trein.conll is not there; did you mean {tmp_path}/train.conll?",
        "--lernrate: there is no such argument; did you mean --learning_rate?",
        "--eval_strategy: 'epoc' is not one of no, steps, epoch; did you mean epoch?",
        "--model: expected one value, got none",
    ]:
        assert line in told
    assert told.startswith("9 problems")


@pytest.mark.failure_mode("number-range")
@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["run.yaml"], "run.yaml: comes before any flag; did you mean --config run.yaml?"),
        (["--config", "nope.yaml"], "--config nope.yaml: No such file"),
        (["--learn", "1"], "--learn: there is no such argument"),
        (["--max_train_samples", "0"], "max_train_samples: 0 is below 1"),
        (["--max_train_samples", "1.5"], "'1.5' is not a whole number"),
        (["--lora", "maybe"], "'maybe' is not true or false"),
        (["--validation_share", "1.5"], "validation_share: 1.5 is not between 0 and 1"),
        (["--layerwise_lr_decay", "0"], "layerwise_lr_decay: 0.0 is not above 0"),
        (["--ema_decay", "0.9", "--optim", "schedule_free_adamw"], "a schedule-free optimizer averages by itself"),
        (["--seed", "-1"], "seed: -1 is not from 0 to 4294967295"),
        (["--seed", "99999999999999"], "seed: 99999999999999 is not from 0 to 4294967295"),
        (["--head_dropout", "2"], "head_dropout: 2.0 is not from 0 up to below 1"),
        (["--adam_epsilon", "-1"], "adam_epsilon: -1.0 is not 0 or more"),
        (["--adam_beta1", "2"], "adam_beta1: 2.0 is not from 0 up to below 1"),
        (["--dataloader_num_workers", "-1"], "dataloader_num_workers: -1 is not 0 or more"),
        (["--torch_compile_backend", "inducto"], "torch_compile_backend: 'inducto' is not one of "),
        (["--torch_compile_backend", "inducto"], "; did you mean inductor?"),
        (["--output_dir", ""], "output_dir: is empty; give a folder"),
        (["--max_grad_norm", "nan"], "max_grad_norm: nan is not 0 or more"),
        (["--max_grad_norm", "-1"], "max_grad_norm: -1.0 is not 0 or more"),
        (["--weight_decay", "nan"], "weight_decay: nan is not 0 or more"),
        (["--weight_decay", "inf"], "weight_decay: inf is not finite"),
        (["--save_total_limit", "-1"], "save_total_limit: -1 is below 1"),
        (["--ema_decay", "1"], "ema_decay: 1.0 is not from 0 up to below 1"),
        (["--enable_jit_checkpoint"], "enable_jit_checkpoint: SIGTERM and SIGHUP save a checkpoint in any case"),
        (["--resume", "--overwrite"], "--resume, --overwrite: give one of the two"),
        (["--lora", "--freeze_layers", "2"], "freeze_layers: LoRA freezes"),
        (["--dataset", "./nowhere/data"], "dataset: ./nowhere/data is not there"),
        (["--class_weights", "balance"], "did you mean balanced?"),
        (["--metric_for_best_model", "f1"], "metric_for_best_model: 'f1' is not one of accuracy, macro_f1"),
        (["--early_stopping_patience", "2", "--eval_strategy", "no"], "early_stopping_patience: needs evaluations"),
        (["--output_dir", __file__], "is a file; give a folder"),
        (["--resume_from_checkpoint", "tests"], "tests is no checkpoint, it has no trainer_state.json"),
        (["--config", ""], "--config .: Is a directory"),
        (["--no_lora_merge", "3"], "--no_lora_merge: takes no value"),
        (["--report_to", "trakio"], "did you mean trackio?"),
        (["--report_to", "swanlab"], "report_to: SwanLabCallback requires"),
    ],
)
def test_single_mistakes(argv, line):
    assert line in problems(*argv)


def test_broken_yaml_is_told(config):
    assert "not YAML" in problems("--config", config("a: [1"))
    assert "line 1: expected `name: value`" in problems("--config", config("[a, b]: 1"))
    assert "expected lines of `name: value`" in problems("--config", config("- a\n- b"))


def test_flags_in_all_their_forms():
    args = parse("--learning-rate=2e-5", "--fp16_full_eval", "--no_do_predict", "--lora_merge", "false", "--bf16", "no")
    assert args.training.learning_rate == 2e-5
    assert args.training.fp16_full_eval is True
    assert args.training.do_predict is False
    assert args.model.lora_merge is False


def test_the_default_folder_keeps_what_is_no_suffix():
    assert parse("--dataset", "org/corpus.v2").training.output_dir == "runs/pos-bert-base-cased-corpus.v2-seed-42"
    assert parse("--model", "org/bert.ner").model.model == "org/bert.ner"  # a name on the Hub may have a dot


def test_one_flag_is_enough_for_one_wish():
    assert parse("--lora").training.learning_rate == LORA_LEARNING_RATE
    assert parse("--lora", "--learning_rate", "1e-3").training.learning_rate == 1e-3
    assert parse("--eval_strategy", "no").training.load_best_model_at_end is False
    assert parse("--save_strategy", "no").training.load_best_model_at_end is False
    steps = parse("--eval_strategy", "steps", "--eval_steps", "20").training
    assert (steps.save_strategy, steps.save_steps) == ("steps", 20)
    steps = parse("--save_strategy", "steps", "--save_steps", "30").training
    assert (steps.eval_strategy, steps.eval_steps) == ("steps", 30)


def test_the_record_holds_every_argument_and_no_token():
    record = parse("--hub_token", "hf_secret").as_dict()
    assert "hf_secret" not in str(record)
    assert {"dataset", "model", "learning_rate", "seed", "resume"} <= record.keys()


def test_help_names_every_argument_of_ours(capsys):
    with pytest.raises(SystemExit) as end:
        parse("--help")
    assert end.value.code == 0
    text = capsys.readouterr().out
    for name in ("--dataset", "--model", "--lora", "--resume", "--layerwise_lr_decay", "--learning_rate", "--config"):
        assert re.search(rf"^\s+{name}\b", text, re.MULTILINE)
