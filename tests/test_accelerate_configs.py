"""Every key of accelerate_configs/*.yaml is one that accelerate reads, nested ones too.

Accelerate refuses an unknown key at the top of a file, but takes one inside `fsdp_config` or `deepspeed_config`
without a word and runs with the default (`test_accelerate_itself_lets_a_nested_typo_pass`), hence the checker below.
"""

import importlib
import os
import re
import subprocess
import sys
from argparse import Action, Namespace
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import psutil
import pytest
import yaml
from accelerate.commands import launch as launcher
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import (
    ComputeEnvironment,
    DeepSpeedPlugin,
    DistributedType,
    FullyShardedDataParallelPlugin,
    prepare_deepspeed_cmd_env,
)
from accelerate.utils.constants import FSDP2_STATE_DICT_TYPE, FSDP_AUTO_WRAP_POLICY
from accelerate.utils.launch import prepare_multi_gpu_env

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "accelerate_configs"
NAMES = [
    "cpu",
    "deepspeed_zero2",
    "deepspeed_zero3",
    "fsdp2",
    "multi_gpu",
    "multi_node",
    "multi_node_cpu",
    "single_gpu",
]

OPTIONS: dict[str, Action] = {action.dest: action for action in launch_command_parser()._actions}
FIELDS = {field.name: get_type_hints(ClusterConfig)[field.name] for field in fields(ClusterConfig)}
SECTIONS = {"fsdp_config": "FSDP Arguments", "deepspeed_config": "DeepSpeed Arguments"}
GROUPS = {
    group.title: {action.dest for action in group._group_actions} for group in launch_command_parser()._action_groups
}
# What the launcher's own `choices` leave open.
CHOICES: dict[str, list[Any]] = {
    "compute_environment": [member.value for member in ComputeEnvironment],
    "distributed_type": [member.value for member in DistributedType],
    "mixed_precision": ["no", "fp16", "bf16", "fp8"],
    "fsdp_auto_wrap_policy": FSDP_AUTO_WRAP_POLICY,
    "fsdp_state_dict_type": FSDP2_STATE_DICT_TYPE,
    "zero_stage": [0, 1, 2, 3],
    "offload_optimizer_device": ["none", "cpu", "nvme"],
    "offload_param_device": ["none", "cpu", "nvme"],
}


def path_of(name: str) -> Path:
    return FOLDER / f"{name}.yaml"


def read(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(path_of(name).read_text(encoding="utf-8"))
    return config


def value_problem(key: str, value: Any, kinds: tuple[type, ...]) -> str | None:
    if key in CHOICES:
        return None if value in CHOICES[key] else f"{key}: {value!r} is not one of {CHOICES[key]}"
    # bool is an int to isinstance, and never a number here.
    if (isinstance(value, bool) and bool not in kinds) or not isinstance(value, kinds):
        return f"{key}: {value!r} should be {' or '.join(kind.__name__ for kind in kinds)}"
    return None


def field_kinds(key: str) -> tuple[type, ...]:
    hint = FIELDS[key]
    return tuple(kind for kind in get_args(hint) or (hint,) if kind is not type(None))


def option_kinds(option: Action) -> tuple[type, ...]:
    """The launcher declares its switches as strings and says "(true|false)" in the help, or only in the default."""
    if "(true|false)" in (option.help or "") or option.default in ("true", "false"):
        return (bool,)
    return (int, float) if option.type is float else (option.type,)  # type: ignore[return-value]


def nested_problems(section: str, values: dict[str, Any]) -> list[str | None]:
    if section not in SECTIONS:
        return [f"{section}: the checker does not know this section"]
    if not isinstance(values, dict):
        return [f"{section}: {values!r} should be a mapping"]
    known = GROUPS[SECTIONS[section]]
    found: list[str | None] = []
    for key, value in values.items():
        if key not in known:
            found.append(f"{section}.{key}: accelerate reads no such key")
        elif OPTIONS[key].choices is not None:
            allowed = list(OPTIONS[key].choices or [])
            found.append(None if str(value) in allowed else f"{key}: {value!r} is not one of {allowed}")
        else:
            found.append(value_problem(key, value, option_kinds(OPTIONS[key])))
    return found


def problems(config: dict[str, Any]) -> list[str]:
    """All that is wrong with the keys and values of one parsed file."""
    found: list[str | None] = []
    for key, value in config.items():
        if key not in FIELDS:
            found.append(f"{key}: accelerate reads no such key")
        elif dict in field_kinds(key):
            found += nested_problems(key, value)
        elif key != "debug" and key in OPTIONS and OPTIONS[key].default is not None:
            # The launcher fills in only what is None after parsing: same_network, rdzv_backend and their like never.
            found.append(f"{key}: its flag has a default, so the launcher never reads it from a file")
        else:
            found.append(value_problem(key, value, field_kinds(key)))
    return [problem for problem in found if problem is not None]


def launched(path: Path) -> Namespace:
    """What `accelerate launch --config_file PATH` makes of a file, up to starting processes."""
    args, _, _ = _validate_launch_command(
        launch_command_parser().parse_args(["--config_file", str(path), "--main_process_port", "0", "run.py"])
    )
    args.deepspeed_fields_from_accelerate_config = ""
    return args


def set_environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """The launcher's environment, as the launched process would see it."""
    for key, value in environment.items():
        if key.startswith(("ACCELERATE_", "FSDP_")):
            monkeypatch.setenv(key, value)


def test_every_key_and_value_is_one_that_accelerate_reads():
    checked = {path.stem: problems(read(path.stem)) for path in FOLDER.glob("*.yaml")}
    assert sorted(checked) == NAMES
    assert len(checked) >= 7
    assert checked == {name: [] for name in NAMES}
    assert sum(len(section) for name in NAMES for section in read(name).values() if isinstance(section, dict)) >= 17


@pytest.mark.parametrize(
    ("name", "section", "key", "value", "problem"),
    [
        ("fsdp2", "fsdp_config", "fsdp_auto_wrap_polcy", "NO_WRAP", "fsdp_config.fsdp_auto_wrap_polcy: accelerate"),
        ("fsdp2", "fsdp_config", "zero_stage", 2, "fsdp_config.zero_stage: accelerate reads no such key"),
        ("fsdp2", "fsdp_config", "fsdp_version", 3, "fsdp_version: 3 is not one of"),
        ("fsdp2", "fsdp_config", "fsdp_auto_wrap_policy", "BERT_WRAP", "'BERT_WRAP' is not one of"),
        ("fsdp2", "fsdp_config", "fsdp_state_dict_type", "LOCAL_STATE_DICT", "'LOCAL_STATE_DICT' is not one of"),
        ("fsdp2", "fsdp_config", "fsdp_offload_params", "flase", "'flase' should be bool"),
        ("fsdp2", "fsdp_config", "fsdp_min_num_params", True, "True should be int"),
        ("deepspeed_zero3", "deepspeed_config", "zero3_save_16bit", True, "zero3_save_16bit: accelerate reads no"),
        ("deepspeed_zero3", "deepspeed_config", "zero3_save_16bit_model", 1, "1 should be bool"),
        ("deepspeed_zero2", "deepspeed_config", "zero_stage", 4, "zero_stage: 4 is not one of"),
        ("cpu", None, "mixed_precision", False, "mixed_precision: False is not one of"),  # an unquoted no
        ("cpu", None, "distributed_type", "CPU", "distributed_type: 'CPU' is not one of"),
        ("cpu", None, "num_proceses", 1, "num_proceses: accelerate reads no such key"),
        ("cpu", None, "num_processes", "two", "num_processes: 'two' should be int"),
        ("multi_node", None, "same_network", True, "same_network: its flag has a default"),
        ("multi_node", None, "megatron_lm_config", {}, "the checker does not know this section"),
    ],
)
def test_the_checker_finds_a_wrong_key_or_value(name, section, key, value, problem):
    config = read(name)
    (config[section] if section else config)[key] = value
    (found,) = problems(config)
    assert problem in found


@pytest.mark.parametrize("name", NAMES)
def test_the_launcher_takes_every_value(name):
    config = read(name)
    loaded = load_config_from_file(str(path_of(name)))
    assert loaded.distributed_type == DistributedType(config["distributed_type"])
    args = vars(launched(path_of(name)))
    flat = {key: value for key, value in config.items() if not isinstance(value, dict)}
    for nested in config.values():
        flat |= nested if isinstance(nested, dict) else {}
    for key in ("compute_environment", "distributed_type", "main_process_port"):  # no launch argument, or set above
        flat.pop(key, None)
    assert {key: args[key] for key in flat} == flat


def test_fsdp2_reaches_its_plugin(monkeypatch):
    environment = prepare_multi_gpu_env(launched(path_of("fsdp2")))
    assert environment["ACCELERATE_MIXED_PRECISION"] == "bf16"
    set_environment(monkeypatch, environment)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.transformer_cls_names_to_wrap == ["BertLayer"]
    assert plugin.reshard_after_forward is True
    assert plugin.cpu_ram_efficient_loading is False
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


@pytest.mark.parametrize(
    ("name", "stage", "whole_model_saved"), [("deepspeed_zero2", 2, False), ("deepspeed_zero3", 3, True)]
)
def test_deepspeed_reaches_its_plugin(monkeypatch, name, stage, whole_model_saved):
    _, environment = prepare_deepspeed_cmd_env(launched(path_of(name)))
    set_environment(monkeypatch, environment)
    config = DeepSpeedPlugin().deepspeed_config
    assert config["zero_optimization"]["stage"] == stage
    assert config["zero_optimization"]["stage3_gather_16bit_weights_on_model_save"] is whole_model_saved
    assert config["zero_optimization"]["offload_param"]["device"] == "none"
    # "auto" is filled in from the Trainer's arguments; a number that differs from them ends the run.
    assert config["gradient_accumulation_steps"] == config["gradient_clipping"] == "auto"


@pytest.mark.parametrize("threads", [None, "2"])
def test_quickstart_leaves_accelerate_nothing_to_warn_of(monkeypatch, tmp_path, threads):
    """On a machine of any size, and with the number of threads that the user has set."""
    printed = subprocess.run(
        ["make", "--dry-run", "quickstart", f"RUN={tmp_path}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (command,) = re.findall(r"bin/accelerate launch (.*)\\\n\s*recipes", printed.stdout)
    monkeypatch.setattr(psutil, "cpu_count", lambda **_: 16)
    monkeypatch.delenv("OMP_NUM_THREADS")
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
    words = subprocess.run(["sh", "-c", f"printf '%s\n' {command}"], capture_output=True, text=True).stdout.split()
    warned = []
    monkeypatch.setattr(launcher.logger, "warning", warned.append)
    monkeypatch.chdir(ROOT)

    args, *_ = _validate_launch_command(launch_command_parser().parse_args([*words, "recipes/pos_bert.py"]))
    assert warned == []
    assert args.num_cpu_threads_per_process == int(threads or len(os.sched_getaffinity(0)))

    words = ["--config_file", str(path_of("cpu")), "recipes/pos_bert.py"]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    _validate_launch_command(launch_command_parser().parse_args(words))
    assert "`--num_cpu_threads_per_process` was set to `16`" in warned[0]  # else the flag is no longer needed


def test_accelerate_itself_lets_a_nested_typo_pass(tmp_path, recwarn):
    """The reason for the checker. Once this fails, accelerate checks nested keys, and the checker may go."""
    typo = tmp_path / "typo.yaml"
    text = path_of("fsdp2").read_text(encoding="utf-8")
    assert "fsdp_auto_wrap_policy" in text
    typo.write_text(text.replace("fsdp_auto_wrap_policy", "fsdp_auto_wrap_polcy"), encoding="utf-8")
    environment = prepare_multi_gpu_env(launched(typo))
    assert "FSDP_AUTO_WRAP_POLICY" not in environment  # the plugin falls back to NO_WRAP
    assert [str(warning.message) for warning in recwarn if "polcy" in str(warning.message)] == []

    typo.write_text(text.replace("num_processes:", "num_proceses:"), encoding="utf-8")
    with pytest.raises(ValueError, match="num_proceses"):
        launched(typo)


@pytest.mark.parametrize("name", NAMES)
def test_each_file_says_how_to_run_it(name):
    lines = path_of(name).read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert 3 <= len(head) <= 4
    command = next(line for line in head if "accelerate launch" in line).lstrip("# ").split()
    assert command[:4] == ["accelerate", "launch", "--config_file", f"accelerate_configs/{name}.yaml"]
    (script,) = [part for part in command if part.endswith(".py")]
    assert (ROOT / script).is_file()


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("bert", "BertLayer"),
        ("roberta", "RobertaLayer"),
        ("xlm_roberta", "XLMRobertaLayer"),
        ("modernbert", "ModernBertEncoderLayer"),
        ("electra", "ElectraLayer"),
        ("deberta_v2", "DebertaV2Layer"),
        ("albert", "AlbertLayer"),
        ("distilbert", "TransformerBlock"),
    ],
)
def test_the_layers_that_fsdp2_names_exist(family, layer):
    assert layer in path_of("fsdp2").read_text(encoding="utf-8")
    assert hasattr(importlib.import_module(f"transformers.models.{family}.modeling_{family}"), layer)


def run_counting_processes(tmp_path: Path, *launcher: str) -> list[str]:
    script = tmp_path / "count.py"
    script.write_text(
        "import sys\nfrom accelerate import PartialState\n"
        "sys.stdout.write(f'processes {PartialState(cpu=True).num_processes}\\n')\n"  # cpu=True is what --use_cpu gives
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ACCELERATE_", "FSDP_"))}
    done = subprocess.run(
        [sys.executable, "-m", *launcher, str(script)],
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("processes")]


@pytest.mark.slow
def test_the_cpu_file_runs(tmp_path):
    launch = ["accelerate.commands.accelerate_cli", "launch", "--config_file", "accelerate_configs/cpu.yaml"]
    assert run_counting_processes(tmp_path, *launch) == ["processes 1"]
    # As the file's head says: asked for two, accelerate still runs one, and torchrun is the way to two.
    assert run_counting_processes(tmp_path, *launch, "--num_processes", "2") == ["processes 1"]
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    assert run_counting_processes(tmp_path, *torchrun) == ["processes 2", "processes 2"]
