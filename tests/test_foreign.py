"""Private names of other libraries are used in `hf_tagging/foreign` alone, and are what it takes them for."""

import inspect
import pydoc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import accelerate
import datasets
import datasets.packaged_modules
import evaluate
import pytest
import torch
import transformers
from datasets.utils import _filelock
from foreign_names import find_touches
from recipe_runs import without_dropout
from safetensors import safe_open
from tiny_models import tiny_bert, tiny_nomic_bert
from torch.nn.parallel import DistributedDataParallel
from transformers import initialization

from hf_tagging import foreign
from hf_tagging.foreign.datasets import fingerprint_of, is_file_format, is_reordered, lock_file
from hf_tagging.foreign.evaluate import InMemoryMetric
from hf_tagging.foreign.trainer import TrainerHooks
from hf_tagging.foreign.transformers import attention_of, draw_weights, under_names_in_memory, without_autocast

ROOT = Path(__file__).parent.parent
FENCE = "hf_tagging/foreign/"

# What their documentation tells to define in a class of one's own. They may be defined anywhere.
DOCUMENTED = frozenset(
    ("_info", "_split_generators", "_generate_tables", "_compute", "_init_weights", "_supports_sdpa",
     "_supports_flash_attn", "_supports_flex_attn", "_supports_attention_backend")
)  # fmt: skip
# Files that are saved with models, which cannot import the fence.
SAVED = {
    ("hf_tagging/models/modeling_baseline.py", "_ddp_params_and_buffers_to_ignore"),
    ("hf_tagging/models/recurrent.py", "_is_hf_initialized"),
    ("hf_tagging/models/word_embeddings.py", "_is_hf_initialized"),
}


def tree() -> list[Path]:
    return [path for part in ("hf_tagging", "recipes", "benchmarks") for path in sorted((ROOT / part).rglob("*.py"))]


@pytest.fixture(scope="module")
def touches():
    return find_touches(ROOT, tree())


def outside(touches):
    allowed = (lambda t: t.file.startswith(FENCE), lambda t: (t.file, t.name) in SAVED, lambda t: t.name in DOCUMENTED)
    return [str(touch) for touch in touches if not any(is_allowed(touch) for is_allowed in allowed)]


def test_private_names_are_used_in_the_fence_alone(touches):
    assert len(tree()) > 100
    assert len(touches) > 25
    assert not outside(touches), "Move these to hf_tagging/foreign, with a contract in tests/test_foreign.py."


def test_every_exception_is_still_needed_and_named_in_the_documentation(touches):
    assert {(touch.file, touch.name) for touch in touches} >= SAVED
    assert {touch.name for touch in touches} >= DOCUMENTED
    for file, name in SAVED:
        assert Path(file).name in foreign.__doc__
        assert name in foreign.__doc__


def test_every_name_has_a_contract(touches):
    held = {contract.name for contract in CONTRACTS}
    assert {touch.name for touch in touches} == held


PLANTED = {
    "import torch\n\ntorch._foreach_norm([])": "_foreach_norm",
    "from datasets.utils._filelock import FileLock": "_filelock",
    "from transformers.trainer import _is_peft_model": "_is_peft_model",
    "import torch._dynamo": "_dynamo",
    "def f(dataset):\n    return dataset._data": "_data",
    "def f(weight):\n    return getattr(weight, '_local_tensor', weight)": "_local_tensor",
    "from transformers.utils import cached_file\n\ncached_file('a', 'b', _commit_hash='c')": "_commit_hash",
    "from transformers import Trainer\n\nclass A(Trainer):\n    def f(self):\n        self._save('a')": "_save",
    "from transformers import Trainer\n\nclass A(Trainer):\n    def _save(self, a):\n        pass": "_save",
    "from transformers import Trainer\n\nclass A(Trainer):\n    def f(self):\n        self._created_lr_scheduler = 1":
        "_created_lr_scheduler",
    "from hf_tagging.training import TaggingTrainer\n\nclass A(TaggingTrainer):\n    def _wrap_model(self):\n        1":
        "_wrap_model",
    "from torch import nn\n\nclass A(nn.Module):\n    def _replicate_for_data_parallel(self):\n        pass":
        "_replicate_for_data_parallel",
    "from transformers import Trainer\n\nclass A(Trainer):\n    def save_model(self, a, _internal_call):\n        pass":
        "_internal_call",
    "class A:\n    @property\n    def _no_split_modules(self):\n        return []": "_no_split_modules",
    "import datasets\n\ndatasets.config.HF_ENDPOINT = 'x'": "HF_ENDPOINT",
    "def f(model):\n    model.save_pretrained = print": "save_pretrained",
}  # fmt: skip


@pytest.mark.parametrize("code", PLANTED, ids=PLANTED.values())
def test_a_planted_name_is_found(code, tmp_path):
    (tmp_path / "planted.py").write_text(code)
    found = find_touches(tmp_path, [tmp_path / "planted.py"])
    if "hf_tagging" in code:  # a class of ours in between
        trainers = [path for path in tree() if path.name in ("trainer.py", "word_trainer.py", "steps.py")]
        for path in trainers:
            (tmp_path / path.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path.relative_to(ROOT)).write_text(path.read_text())
        found = find_touches(tmp_path, sorted(tmp_path.rglob("*.py")))
    assert PLANTED[code] in {touch.name for touch in found if touch.file == "planted.py"}


def test_names_of_our_own_are_nobodys_business(tmp_path):
    (tmp_path / "own.py").write_text(
        "from transformers import Trainer\n\n\nclass A(Trainer):\n    def _ours(self):\n        self._mine = 1\n"
        "        return self._ours, self._mine\n\n\ndef _f(a):\n    return a._mine, _f\n"
    )
    assert find_touches(tmp_path, [tmp_path / "own.py"]) == []


# What the fence takes for granted


@dataclass(frozen=True)
class Contract:
    """Args: a private name, what needs it, and a check that returns what has changed, or None."""

    library: str
    name: str
    needed_by: str
    check: Callable[[], str | None]

    def sentence(self) -> str | None:
        """What to tell whoever has installed another release."""
        changed = self.check()
        return changed and f"{self.library} {version(self.library)} {changed}; {self.needed_by} needs it"


def has(owner: object, name: str, *parameters: str) -> Callable[[], str | None]:
    """A function is there, and takes these parameters and none beside them that must be given."""

    def check() -> str | None:
        shown = f"{owner.__name__}.{name}"
        found = getattr(owner, name, None)
        if found is None:
            return f"no longer has {shown}({', '.join(parameters)})"
        taken = [p for p in inspect.signature(found).parameters.values() if p.name != "self"]
        names = tuple(p.name for p in taken)
        if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in taken):
            return None
        must = {p.name for p in taken if p.default is p.empty}
        if names[: len(parameters)] != parameters or not must <= set(parameters):
            return f"has {shown}({', '.join(names)}) in the place of {shown}({', '.join(parameters)})"
        return None

    return check


def calls(owner: object, caller: str, text: str) -> Callable[[], str | None]:
    """The source of a method speaks of a name."""
    return lambda: (
        None
        if text in inspect.getsource(getattr(owner, caller))
        else f"has {owner.__name__}.{caller}, which no longer uses {text}"
    )


def both(*checks: Callable[[], str | None]) -> Callable[[], str | None]:
    return lambda: next((changed for check in checks if (changed := check())), None)


def holds(what: str, question: Callable[[], bool]) -> Callable[[], str | None]:
    def check() -> str | None:
        try:
            kept = question()
        except (AttributeError, ImportError, KeyError, TypeError) as error:
            return f"no longer has {what} ({error})"
        return None if kept else f"has another {what}"

    return check


def _fingerprints() -> bool:
    one, same, other = (datasets.Dataset.from_dict({"a": [n]}) for n in (1, 1, 2))
    return fingerprint_of(one) == fingerprint_of(same) != fingerprint_of(other) != fingerprint_of(one.map(lambda x: x))


def _reordered() -> bool:
    dataset = datasets.Dataset.from_dict({"a": [1, 2, 3]})
    return not is_reordered(dataset) and is_reordered(dataset.select([2, 0]))


def _formats() -> bool:
    return is_file_format("json") and is_file_format("parquet") and not is_file_format("conll2003")


def _locks() -> bool:
    short, long = ROOT / "a.lock", ROOT / f"{'a' * 300}.lock"
    with _filelock.FileLock(str(short)) as lock:
        kept = Path(lock.lock_file).exists()
    short.unlink(missing_ok=True)
    return kept and lock_file(short) == short and len(lock_file(long).name) <= 255


def _no_folder() -> bool:
    class _Plain(InMemoryMetric):
        def _info(self):
            return evaluate.MetricInfo(description="", citation="", features=datasets.Features({}))

    return not Path(_Plain(keep_in_memory=True, cache_dir=str(ROOT / "no_such_folder")).data_dir).is_absolute()


def _attention() -> bool:
    config = transformers.BertConfig(attn_implementation="eager")
    return attention_of(config) == "eager"


def _drawn() -> bool:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = transformers.BertModel(transformers.BertConfig(vocab_size=3, initializer_range=0.5, **sizes))
    fresh = torch.nn.Linear(100, 100)
    torch.nn.init.zeros_(fresh.weight)
    draw_weights(model, fresh)
    return 0.4 < fresh.weight.std().item() < 0.6 and not fresh.bias.any()


def _flag() -> bool:
    kept, drawn = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    kept._is_hf_initialized = True
    initialization.zeros_(kept)
    initialization.zeros_(drawn)
    return bool(kept.all()) and not drawn.any()


def _unwrapped() -> bool:
    model = torch.nn.Linear(1, 1)
    model._original_forward, model.forward = model.forward, lambda x: x + 1
    with without_autocast(model):
        inside = model.forward
    return inside == model._original_forward and "forward" in vars(model)


_TRAINER = transformers.Trainer
_HOOKS = "hf_tagging.foreign.trainer.TrainerHooks"
_STATE = ("max_steps", "num_update_steps_per_epoch", "num_train_epochs", "resume_from_checkpoint", "trial")
CONTRACTS = [
    Contract("transformers", "_save_checkpoint", f"{_HOOKS}.saving_checkpoint",
             both(has(_TRAINER, "_save_checkpoint", "model", "trial"),
                  calls(_TRAINER, "_maybe_log_save_evaluate", "self._save_checkpoint("))),
    Contract("transformers", "_load_from_checkpoint", f"{_HOOKS}.load_weights",
             both(has(_TRAINER, "_load_from_checkpoint", "resume_from_checkpoint", "model"),
                  calls(_TRAINER, "train", "self._load_from_checkpoint("))),
    Contract("transformers", "_load_best_model", f"{_HOOKS}.load_best_weights", has(_TRAINER, "_load_best_model")),
    Contract("transformers", "_remove_unused_columns", f"{_HOOKS}.model_columns",
             has(_TRAINER, "_remove_unused_columns", "dataset", "description")),
    Contract("transformers", "_init_training_state", f"{_HOOKS}.loading_checkpoint",
             both(has(_TRAINER, "_init_training_state", *_STATE),
                  calls(_TRAINER, "_inner_training_loop", "self._init_training_state("))),
    Contract("transformers", "_load_optimizer_and_scheduler", f"{_HOOKS}.resumed",
             both(has(_TRAINER, "_load_optimizer_and_scheduler", "checkpoint"),
                  calls(_TRAINER, "_prepare_for_training", "self._load_optimizer_and_scheduler("))),
    Contract("transformers", "_load_rng_state", f"{_HOOKS}.loading_checkpoint",
             both(has(_TRAINER, "_load_rng_state", "checkpoint"),
                  calls(_TRAINER, "_run_epoch", "self._load_rng_state("))),
    Contract("transformers", "_internal_call", f"{_HOOKS}.saving_model",
             has(_TRAINER, "save_model", "output_dir", "_internal_call")),
    Contract("transformers", "_attn_implementation", "hf_tagging.foreign.transformers.attention_of",
             holds("PreTrainedConfig._attn_implementation", _attention)),
    Contract("transformers", "_init_weights", "hf_tagging.foreign.transformers.draw_weights",
             both(has(transformers.PreTrainedModel, "_init_weights", "module"),
                  holds("PreTrainedModel._init_weights(module)", _drawn))),
    Contract("transformers", "save_pretrained", "hf_tagging.foreign.transformers.under_names_in_memory",
             calls(transformers.PreTrainedModel, "save_pretrained", "save_original_format")),
    Contract("transformers", "_is_hf_initialized", "hf_tagging.models.word_embeddings.WordInput",
             holds("flag _is_hf_initialized on loaded parameters", _flag)),
    *(Contract("transformers", name, "hf_tagging.models.modeling_crf_encoder.CrfEncoderForTokenClassification",
               holds(f"PreTrainedModel.{name}", lambda name=name: hasattr(transformers.PreTrainedModel, name)))
      for name in sorted(DOCUMENTED) if name.startswith("_supports")),
    Contract("accelerate", "_original_forward", "hf_tagging.foreign.transformers.without_autocast",
             both(calls(accelerate.Accelerator, "prepare_model", "model._original_forward = model.forward"),
                  holds("forward to be put back", _unwrapped))),
    Contract("accelerate", "forward", "hf_tagging.foreign.transformers.without_autocast",
             calls(accelerate.Accelerator, "prepare_model", "model.forward = ")),
    Contract("datasets", "_fingerprint", "hf_tagging.foreign.datasets.fingerprint_of",
             holds("Dataset._fingerprint", _fingerprints)),
    Contract("datasets", "_indices", "hf_tagging.foreign.datasets.is_reordered", holds("Dataset._indices", _reordered)),
    Contract("datasets", "_PACKAGED_DATASETS_MODULES", "hf_tagging.foreign.datasets.is_file_format",
             holds("datasets.packaged_modules._PACKAGED_DATASETS_MODULES", _formats)),
    Contract("datasets", "_filelock", "hf_tagging.foreign.datasets.lock_file",
             holds("datasets.utils._filelock.FileLock", _locks)),
    Contract("datasets", "HF_HUB_OFFLINE", "hf_tagging.foreign.datasets.offline",
             holds("datasets.config.HF_HUB_OFFLINE", lambda: isinstance(datasets.config.HF_HUB_OFFLINE, bool))),
    Contract("datasets", "_prepare_split_single", "hf_tagging.foreign.datasets.OwnErrorsBuilder",
             calls(datasets.ArrowBasedBuilder, "_prepare_split_single", "raise DatasetGenerationError(")),
    Contract("datasets", "_output_dir", "hf_tagging.foreign.datasets.KeepingBuilder",
             both(calls(datasets.DatasetBuilder, "download_and_prepare", 'temporary_assignment(self, "_output_dir"'),
                  calls(datasets.ArrowBasedBuilder, "_prepare_split", "self._output_dir"))),
    *(Contract("datasets", name, "hf_tagging.data.builders.FileBuilder",
               has(datasets.ArrowBasedBuilder, name, *parameters))
      for name, parameters in {"_info": (), "_split_generators": ("dl_manager",), "_generate_tables": ()}.items()),
    Contract("evaluate", "_info", "hf_tagging.evaluation.metrics", has(evaluate.Metric, "_info")),
    Contract("evaluate", "_compute", "hf_tagging.evaluation.metrics",
             both(has(evaluate.Metric, "_compute", "predictions", "references"),
                  calls(evaluate.Metric, "compute", "self._compute(**inputs, **compute_kwargs)"))),
    Contract("evaluate", "_build_data_dir", "hf_tagging.foreign.evaluate.InMemoryMetric",
             both(has(evaluate.Metric, "_build_data_dir"), holds("Metric.data_dir", _no_folder))),
    Contract("transformers", "_no_split_modules", "hf_tagging.foreign.transformers.layer_classes",
             holds("BertModel._no_split_modules", lambda: "BertLayer" in transformers.BertModel._no_split_modules)),
    Contract("torch", "dropout", "hf_tagging.foreign.torch.own_dropout",
             calls(torch.nn.Dropout, "forward", "F.dropout(")),
    Contract("torch", "_ddp_params_and_buffers_to_ignore", "hf_tagging.models.modeling_baseline",
             calls(DistributedDataParallel, "__init__", "module._ddp_params_and_buffers_to_ignore")),
]  # fmt: skip


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: f"{contract.library}-{contract.name}")
def test_it_is_what_the_fence_takes_it_for(contract):
    sentence = contract.sentence()
    assert sentence is None, sentence
    assert pydoc.locate(contract.needed_by)


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (has(_TRAINER, "_gone", "model", "trial"), "no longer has Trainer._gone(model, trial)"),
        (has(_TRAINER, "_save_checkpoint", "model"), "has Trainer._save_checkpoint(model, trial) in the place of "
         "Trainer._save_checkpoint(model)"),
        (calls(_TRAINER, "train", "self._gone("), "has Trainer.train, which no longer uses self._gone("),
        (holds("Dataset._gone", lambda: datasets.Dataset._gone), "no longer has Dataset._gone (type object 'Dataset' "
         "has no attribute '_gone')"),
        (holds("Dataset._indices", lambda: False), "has another Dataset._indices"),
    ],
    ids=range(5),
)  # fmt: skip
def test_a_broken_contract_says_who_needs_what(check, sentence):
    found = Contract(
        "transformers", "_gone", "hf_tagging.foreign.trainer.TrainerHooks.saving_checkpoint", check
    ).sentence()
    assert found == (
        f"transformers {version('transformers')} {sentence}; "
        "hf_tagging.foreign.trainer.TrainerHooks.saving_checkpoint needs it"
    )


class Noted(TrainerHooks):
    """Notes its hooks, and the callbacks between them."""

    def __init__(self, *args, **options):
        self.noted = []
        super().__init__(*args, **options)

    @contextmanager
    def _note(self, what, *place) -> Iterator[None]:
        self.noted.append((f"{what} begins", *(Path(p).name for p in place)))
        yield
        self.noted.append((f"{what} ends", *(Path(p).name for p in place)))

    def saving_checkpoint(self, checkpoint):
        return self._note("saving", checkpoint)

    def saving_model(self):
        return self._note("model")

    def loading_checkpoint(self, checkpoint):
        return self._note("loading", checkpoint)

    def resumed(self, checkpoint):
        self.noted.append(("resumed", Path(checkpoint).name, self.state.global_step))


class Callback(transformers.TrainerCallback):
    trainer: Noted

    def on_train_begin(self, args, state, control, **named):
        self.trainer.noted.append(("on_train_begin",))

    def on_save(self, args, state, control, **named):
        self.trainer.noted.append(("on_save",))


def noted_trainer(folder, output, **options):
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder)
    rows = datasets.Dataset.from_dict({"input_ids": [[1, 2, 3, n] for n in range(5)], "labels": [[0, 1, 2, 3]] * 5})
    args = transformers.TrainingArguments(
        output, use_cpu=True, max_steps=2, save_steps=1, per_device_train_batch_size=2, report_to=[], **options
    )
    callback = Callback()
    trainer = Noted(model=model, args=args, train_dataset=rows, eval_dataset=rows, callbacks=[callback])
    callback.trainer = trainer
    return trainer


def test_hooks_are_called_where_they_say(tmp_path):
    folder = without_dropout(tiny_bert(tmp_path))
    trainer = noted_trainer(folder, tmp_path / "run")
    trainer.train()
    saved = [("saving begins", "checkpoint-{}"), ("model begins",), ("model ends",), ("saving ends", "checkpoint-{}"),
             ("on_save",)]  # fmt: skip
    first, second = ([tuple(text.format(n) for text in event) for event in saved] for n in (1, 2))
    assert trainer.noted == [("on_train_begin",), *first, *second]

    again = noted_trainer(folder, tmp_path / "run")
    again.train(resume_from_checkpoint=str(tmp_path / "run/checkpoint-1"))
    read = [("loading begins", "checkpoint-1"), ("loading ends", "checkpoint-1")]
    last = [("loading begins", "checkpoint-1"), ("resumed", "checkpoint-1", 1), ("loading ends", "checkpoint-1")]
    assert again.noted == [*read, *read, *last, ("on_train_begin",), *read, *second]  # weights, state, optimizer; RNG
    for name, weight in trainer.model.named_parameters():
        assert torch.equal(weight, again.model.get_parameter(name)), name

    with torch.no_grad():
        again.model.classifier.bias.zero_()
    again.load_weights(tmp_path / "run/checkpoint-2")
    assert torch.equal(again.model.classifier.bias, trainer.model.classifier.bias)
    again.state.best_model_checkpoint = str(tmp_path / "run/checkpoint-1")
    again.load_best_weights()
    assert not torch.equal(again.model.classifier.bias, trainer.model.classifier.bias)


@pytest.mark.parametrize("kind", ["get_eval_dataloader", "get_test_dataloader"])
def test_what_is_scored_is_scored_whole_and_in_order(tmp_path, kind):
    options = {"dataloader_drop_last": True, "train_sampling_strategy": "group_by_length"}
    trainer = noted_trainer(tiny_bert(tmp_path), tmp_path / "run", per_device_eval_batch_size=2, **options)
    batches = list(getattr(trainer, kind)(trainer.train_dataset))
    assert [row[-1] for batch in batches for row in batch["input_ids"].tolist()] == [0, 1, 2, 3, 4]
    assert trainer.args.dataloader_drop_last
    assert trainer.args.train_sampling_strategy == "group_by_length"


def test_names_in_memory_are_kept_where_transformers_would_not(tmp_path):
    model = transformers.AutoModelForTokenClassification.from_pretrained(tiny_nomic_bert(tmp_path))
    saved = {}
    for name in ("kept", "usual"):
        if name == "kept":
            with under_names_in_memory(model):
                model.save_pretrained(tmp_path / name)
        else:
            model.save_pretrained(tmp_path / name)
        with safe_open(tmp_path / name / "model.safetensors", "pt") as file:
            saved[name] = set(file.keys())
    assert saved["kept"] == set(model.state_dict())
    assert saved["usual"] != saved["kept"]
