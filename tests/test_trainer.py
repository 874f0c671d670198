"""What the loss is divided by, and which weights evaluation sees."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from datasets import Dataset, DatasetDict
from recipe_runs import check_batches_of_8, without_dropout
from run_configs import encoder_trainer, run_config
from safetensors.torch import load_file
from tiny_models import tiny_bert
from transformers import (
    AutoTokenizer,
    DebertaConfig,
    DebertaForTokenClassification,
    DebertaV2Config,
    DebertaV2ForTokenClassification,
    ElectraConfig,
    ElectraForTokenClassification,
    TrainerCallback,
)

from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.devices import computes_bfloat16
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.evaluation import score
from hf_tagging.inference import Tagger
from hf_tagging.models import freeze, load_encoder, parameter_depths
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.losses import class_weights, word_loss
from hf_tagging.training.rates import parameter_groups

STEPS = ("--dataset", "sample", "--max_train_samples", 60, "--max_eval_samples", 30, "--max_steps", 4, "--seed", 7,
         "--learning_rate", 1e-2, "--logging_steps", 1, "--eval_strategy", "steps", "--eval_steps", 2,
         "--warmup_steps", 0, "--use_cpu", "--bf16", "false")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return without_dropout(tiny_bert(tmp_path_factory.mktemp("tiny"), max_length=24))


@pytest.fixture(scope="module")
def sample():
    data = load_tagging_dataset("sample", task="pos")
    data["train"] = data["train"].select(range(40))
    return data


def trainer(folder, sample, output, *flags, head="linear"):
    return encoder_trainer(folder, sample, output, *flags, head=head)


class Steps(TrainerCallback):
    """Keeps a model's weights as each step leaves them."""

    def __init__(self):
        self.weights = []

    def on_step_end(self, args, state, control, model=None, **named):
        self.weights.append({name: weight.detach().clone() for name, weight in model.named_parameters()})


@pytest.mark.slow
def test_batches_of_8_are_2_times_4_are_2_processes_of_4(folder, tmp_path):
    """Loss, gradient norm, eval_loss and weights; the stock Trainer gives twice the loss in the last two."""
    check_batches_of_8("pos_bert", tmp_path, "--model", folder, *STEPS)


def test_eval_loss_and_figures_do_not_depend_on_batches_or_on_how_they_are_gathered(folder, sample, tmp_path):
    ways = {
        "eight": ["--per_device_eval_batch_size", 8],
        "one": ["--per_device_eval_batch_size", 1],
        "padded": ["--eval_do_concat_batches", "true"],
        "accumulated": ["--eval_accumulation_steps", 2],
        "by batch": ["--batch_eval_metrics"],
        "last batch": ["--per_device_eval_batch_size", 7, "--dataloader_drop_last", "--per_device_train_batch_size", 8],
        "grouped": ["--train_sampling_strategy", "group_by_length", "--per_device_train_batch_size", 8],
    }
    found = {}
    for name, flags in ways.items():
        torch.manual_seed(0)
        run, _ = trainer(folder, sample, tmp_path / "out", *flags)
        found[name] = {k: v for k, v in run.evaluate().items() if k in ("eval_loss", "eval_accuracy", "eval_macro_f1")}
    for name, figures in found.items():
        assert figures == pytest.approx(found["eight"], abs=1e-6), name


def test_eval_loss_is_the_mean_over_words(folder, sample, tmp_path):
    run, splits = trainer(folder, sample, tmp_path / "out")
    total = words = 0.0
    model = run.model.eval()
    for row in splits["validation"].features:
        ids, labels = torch.tensor([row["input_ids"]]), torch.tensor([row["labels"]])
        with torch.no_grad():
            total += F.cross_entropy(model(input_ids=ids).logits[0], labels[0], reduction="sum").item()
        words += (labels != -100).sum().item()
    assert words == sum(map(len, sample["validation"]["tokens"]))
    assert run.evaluate()["eval_loss"] == pytest.approx(total / words, abs=1e-5)


def test_windows_do_not_change_which_words_are_scored(folder, sample, tmp_path):
    """The tiny model takes 24 subwords, most sentences have more: each word still counts once."""
    run, splits = trainer(folder, sample, tmp_path / "out")
    assert splits["validation"].counts().windowed_sentences > 10
    outcome = run.predict_words(splits["validation"], "validation")
    assert [len(tags) for tags in outcome.predicted] == [len(words) for words in sample["validation"]["tokens"]]
    names = sample["validation"].features["tags"].feature.names
    assert outcome.gold == [[names[i] for i in row] for row in sample["validation"]["tags"]]
    assert outcome.metrics["words"] == sum(map(len, sample["validation"]["tokens"]))


def test_evaluation_gathers_tags_not_logits(folder, sample, tmp_path):
    run, _ = trainer(folder, sample, tmp_path / "out")
    gathered = []
    run.compute_metrics = lambda outcome: gathered.append(outcome) or {}
    run.evaluate()
    tags, losses = gathered[0].predictions[0]
    assert (tags.dtype, tags.ndim, losses.ndim) == (np.int32, 2, 1)  # no axis of tags


def test_word_loss_by_hand():
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]]))
    labels = torch.tensor([[0, -100]])
    assert word_loss({"logits": logits}, labels).item() == pytest.approx(np.log(2))
    assert word_loss({"logits": logits}, labels, num_items_in_batch=2).item() == pytest.approx(np.log(2) / 2)
    weight = torch.tensor([3.0, 1.0, 1.0])
    assert word_loss({"logits": logits}, labels, weight=weight).item() == pytest.approx(3 * np.log(2))
    smooth = 0.9 * np.log(2) + 0.1 * (np.log(2) + 2 * np.log(4)) / 3
    assert word_loss({"logits": logits}, labels, label_smoothing=0.1).item() == pytest.approx(smooth)


def test_class_weights_average_to_one_over_the_words(folder, sample, tmp_path):
    _, splits = trainer(folder, sample, tmp_path / "out")
    schema = TagSchema.detect(sample, task="pos")
    counts = np.bincount(np.concatenate(sample["train"]["tags"]), minlength=len(schema.tags))
    assert class_weights(splits["train"], schema, "none") is None
    for kind in ("balanced", "sqrt"):
        weight = class_weights(splits["train"], schema, kind).numpy()
        assert (weight * counts).sum() / counts.sum() == pytest.approx(1)
    common, rare = np.argsort(-counts)[0], np.flatnonzero(counts == counts[counts > 0].min())[0]
    assert weight[rare] / weight[common] == pytest.approx((counts[common] / counts[rare]) ** 0.5)


def test_layerwise_rates_fall_from_the_head_down(folder, sample, tmp_path):
    run, _ = trainer(folder, sample, tmp_path / "out", "--layerwise_lr_decay", 0.5, "--learning_rate", 1.0)
    depths = parameter_depths(run.model)
    assert depths["classifier.weight"] == 3
    assert depths["bert.encoder.layer.0.output.dense.weight"] == 1
    assert depths["bert.embeddings.word_embeddings.weight"] == 0
    rates = {id(p): g["lr"] for g in parameter_groups(run.model, set(), run.args) for p in g["params"]}
    for name, parameter in run.model.named_parameters():
        assert rates[id(parameter)] == 0.5 ** (3 - depths[name]), name
    assert {group["lr"] for group in run.create_optimizer().param_groups} == {1.0, 0.5, 0.25, 0.125}


TINY = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.mark.parametrize(
    ("model", "below"),
    [
        (ElectraForTokenClassification(ElectraConfig(embedding_size=8, **TINY)), {"electra.embeddings_project.weight"}),
        (
            DebertaV2ForTokenClassification(
                DebertaV2Config(relative_attention=True, norm_rel_ebd="layer_norm", **TINY)
            ),
            {"deberta.encoder.rel_embeddings.weight", "deberta.encoder.LayerNorm.weight"},
        ),
    ],
    ids=["electra", "deberta-v2"],
)
def test_what_all_layers_read_lies_below_them(model, below):
    """Left to learn beside frozen layers, it would have gradients run through all of them."""
    depths = parameter_depths(model)
    assert {depths[name] for name in below} == {0}
    assert {depth for name, depth in depths.items() if name.startswith("classifier")} == {3}
    freeze(model, 2)
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learns == {"classifier.weight", "classifier.bias"}


def test_a_split_without_words_gets_no_tags(folder, sample, tmp_path):
    """It has no batch, and the figures of the split before it are not its own."""
    run, splits = trainer(folder, sample, tmp_path / "out")
    run.predict_words(splits["test"])
    empty = Dataset.from_dict(
        {"tokens": [[], []], "tags": [[], []]}, features=sample["test"].select_columns(["tokens", "tags"]).features
    )
    split = align_dataset(DatasetDict(test=empty), run.processing_class, run.schema)["test"]
    outcome = run.predict_words(split)
    assert outcome.predicted == outcome.gold == [[], []]
    assert "accuracy" not in outcome.metrics


def test_a_split_keeps_its_name_unless_it_is_given_another(folder, sample, tmp_path):
    """The figures of validation were kept as those of the test split."""
    run, splits = trainer(folder, sample, tmp_path / "out")
    run.predict_words(splits["validation"])
    assert run.splits["validation"] is splits["validation"]
    assert list(run.outcomes) == ["validation"]
    run.predict_words(splits["test"])
    assert list(run.outcomes) == ["validation", "test"]


def test_a_split_is_scored_as_itself_whoever_asks(folder, sample, tmp_path):
    """Trainer.predict was scored with the split that was evaluated before."""
    run, splits = trainer(folder, sample, tmp_path / "out")
    expected = run.predict_words(splits["test"]).metrics
    run.evaluate()
    figures = run.predict(splits["test"]).metrics
    assert {name: figures[f"test_{name}"] for name in ("loss", "accuracy", "words")} == {
        name: expected[name] for name in ("loss", "accuracy", "words")
    }
    with pytest.raises(DataError, match=r"split test: no column of tokens; expected one of .*, found input_ids"):
        run.predict(splits["test"].features)


class Counter(torch.nn.Module):
    """The most frequent tag of each subword that starts a word: a model that counts, and has no gradient."""

    def __init__(self, ids: int, tags: int):
        super().__init__()
        self.register_buffer("counts", torch.zeros(ids, tags))
        self.fitted = []

    def fit(self, batches):
        assert not self.training
        for batch in batches:
            known = batch["labels"] != -100
            self.counts.index_put_(
                (batch["input_ids"][known], batch["labels"][known]), torch.tensor(1.0), accumulate=True
            )
            self.fitted.append(len(known))

    def forward(self, input_ids, attention_mask=None, labels=None, **kwargs):
        return {"logits": torch.log(self.counts[input_ids] + 0.5)}


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--eval_strategy", "no"),
        ("--dataloader_drop_last", "--per_device_train_batch_size", "8", "--prediction_loss_only"),
    ],
)
def test_a_model_that_counts_is_fitted_once_over_all_of_training(folder, sample, tmp_path, flags):
    args = run_config("pos", ["--output_dir", str(tmp_path), "--use_cpu", *flags]).training
    schema = TagSchema.detect(sample, task="pos")
    _, tokenizer = load_encoder(str(folder), schema)
    splits = align_dataset(sample, tokenizer, schema)
    model = Counter(len(tokenizer), len(schema.tags))
    with pytest.warns(FutureWarning, match="splits is deprecated; give train_dataset and eval_dataset"):
        run = TaggingTrainer(
            model=model,
            args=args,
            schema=schema,
            tokenizer=tokenizer,
            splits=splits,
            score=lambda split, predicted, gold: score("pos", predicted, gold),
        )
    output = run.train(resume_from_checkpoint=None)
    assert output.metrics["train_runtime"] > 0
    assert sum(model.fitted) == len(splits["train"].features)
    assert model.counts.sum() == sum(map(len, sample["train"]["tokens"]))
    evaluations = [entry for entry in run.state.log_history if "eval_loss" in entry]
    assert len(evaluations) == (0 if "no" in flags else 1)
    outcome = run.predict_words(splits["validation"], "validation")
    if not flags:
        assert evaluations[0]["eval_accuracy"] == outcome.metrics["accuracy"]
        assert evaluations[0]["epoch"] == 1
    assert outcome.metrics["accuracy"] > 0.3
    assert not list(tmp_path.glob("checkpoint-*"))


@pytest.mark.parametrize(("layers", "trained"), [(0, 2), (1, 1), (2, 0), (-1, 0)])
def test_freezing(folder, sample, layers, trained):
    schema = TagSchema.detect(sample, task="pos")
    model, _ = load_encoder(str(folder), schema, freeze_layers=layers)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "classifier.weight" in learns
    assert not any("embeddings" in name for name in learns)
    assert len({name.split(".")[3] for name in learns if "encoder.layer" in name}) == trained


def test_what_is_trained_in_bfloat16_is_evaluated_as_the_saved_model_tags(folder, sample, tmp_path):
    """accelerate leaves its autocast on in evaluation: figures would be of a model that nobody gets."""
    run, splits = trainer(folder, sample, tmp_path / "out", *STEPS, "--bf16", "true")
    run.train()
    inside = []
    run.model.classifier.register_forward_hook(lambda module, inputs, output: inside.append(output.dtype))
    outcome = run.predict_words(splits["test"])
    assert set(inside) == {torch.float32}
    tagger = Tagger(run.accelerator.unwrap_model(run.model, keep_fp32_wrapper=False), run.processing_class)
    assert outcome.predicted == tagger.tag(list(sample["test"]["tokens"]))


BEST_IS_STEP_2 = ("--metric_for_best_model", "loss", "--greater_is_better", "true")


@pytest.mark.parametrize("best", [False, True])
def test_the_average_of_the_weights_is_evaluated_and_saved(folder, sample, tmp_path, best):
    flags = (*STEPS, "--load_best_model_at_end", best, *BEST_IS_STEP_2, "--calibrate", "false")
    steps = {}
    for name, decay in {"plain": (), "averaged": ("--ema_decay", 0.3)}.items():
        torch.manual_seed(0)
        run, _ = trainer(folder, sample, tmp_path / name, *flags, *decay)
        average = {name: weight.detach().clone() for name, weight in run.model.named_parameters()}
        steps[name] = Steps()
        run.add_callback(steps[name])
        run.train()
    for of_step, plain in zip(steps["averaged"].weights, steps["plain"].weights, strict=True):
        assert all(torch.equal(of_step[name], plain[name]) for name in plain)  # evaluation has put all of them back
    for decay, of_step in zip([2 / 11, 3 / 12, 0.3, 0.3], steps["averaged"].weights, strict=True):
        average = {name: decay * average[name] + (1 - decay) * weight for name, weight in of_step.items()}

    saved = load_file(tmp_path / "averaged" / "checkpoint-4" / "model.safetensors")
    for name, weight in average.items():
        torch.testing.assert_close(saved[name], weight, msg=name)
    kept = load_file(f"{run.state.best_model_checkpoint}/model.safetensors") if best else saved
    assert all(torch.equal(weight, kept[name]) for name, weight in run.model.named_parameters())
    losses = {entry["step"]: entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry}
    assert run.state.best_global_step == 2
    assert run.evaluate()["eval_loss"] == losses[2 if best else 4]


def test_the_weights_of_the_step_are_back_where_an_evaluation_fails(folder, sample, tmp_path):
    run, _ = trainer(folder, sample, tmp_path, *STEPS, "--ema_decay", 0.3)
    steps = Steps()
    run.add_callback(steps)

    def fail(*rows):
        raise ZeroDivisionError

    run.scorer.score = fail
    with pytest.raises(ZeroDivisionError):
        run.train()
    assert all(torch.equal(weight, steps.weights[-1][name]) for name, weight in run.model.named_parameters())


@pytest.mark.parametrize("sharded", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_sharded_weights_are_not_averaged(folder, sample, tmp_path, monkeypatch, sharded):
    create = TaggingTrainer.create_accelerator_and_postprocess

    def as_launched_there(self):
        create(self)
        setattr(self, sharded, True)

    monkeypatch.setattr(TaggingTrainer, "create_accelerator_and_postprocess", as_launched_there)
    with pytest.raises(ConfigError, match=r"ema_decay: under FSDP and DeepSpeed.* give ema_decay=0"):
        trainer(folder, sample, tmp_path, "--ema_decay", 0.9)


def test_training_is_in_bfloat16_where_the_device_has_it(folder, sample, tmp_path):
    for flags, expected in ((["--bf16", "true"], torch.bfloat16), (["--bf16", "false"], torch.float32)):
        once = ("--max_steps", 1, "--eval_strategy", "no", "--calibrate", "false")
        run, _ = trainer(folder, sample, tmp_path / flags[1], *once, *flags)
        seen = []
        run.model.classifier.register_forward_hook(lambda module, inputs, output, seen=seen: seen.append(output.dtype))
        run.train()
        assert set(seen) == {expected}
    assert run_config("pos", ["--use_cpu"]).training.bf16 is computes_bfloat16(on_cpu=True)


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_a_model_that_computes_in_float32_alone(folder, sample, tmp_path, head):
    """DeBERTa's mask holds a number that the halves do not have: PyTorch would end the first step."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    own = tmp_path / "deberta"
    DebertaForTokenClassification(DebertaConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(own)
    tokenizer.save_pretrained(own)

    with pytest.raises(ModelError, match=r"ForTokenClassification computes in float32 alone.* bf16=False"):
        trainer(own, sample, tmp_path / "out", "--bf16", "true", head=head)
    flags = ("--bf16", "false", "--max_steps", 1, "--eval_strategy", "no")
    run, _ = trainer(own, sample, tmp_path / "out", *flags, head=head)
    run.train()

    assert len(Tagger(run.model, tokenizer, device="cpu").tag(["Jordan", "waved"])) == 2  # in bfloat16 it would fail
    with pytest.raises(ConfigError, match=r"precision: .*ForTokenClassification computes in float32 alone"):
        Tagger(run.model, tokenizer, device="cpu", precision="bfloat16")
