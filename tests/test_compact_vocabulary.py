"""Training of the used rows of the embedding matrix alone gives the weights that training of all rows gives."""

import logging
import shutil

import pytest
import torch
from recipe_runs import without_dropout
from run_configs import encoder_trainer, run_config
from safetensors.torch import load_file
from tiny_models import tiny_bert, tiny_roberta
from torch import nn
from transformers import AutoModelForTokenClassification, TrainerCallback, pipeline

from hf_tagging.data import load_tagging_dataset
from hf_tagging.errors import ConfigError
from hf_tagging.inference import Tagger
from hf_tagging.models.compact_embedding import CompactEmbedding
from hf_tagging.training.config.pretraining import PretrainingConfig

STEPS = ("--max_steps", 4, "--eval_strategy", "steps", "--eval_steps", 2, "--save_total_limit", 5,
         "--learning_rate", 1e-2, "--load_best_model_at_end", "false", "--bf16", "false", "--weight_decay", 0.1,
         "--max_grad_norm", 0.1)  # fmt: skip
MATRIX = "word_embeddings.weight"


@pytest.fixture(scope="module")
def sample():
    data = load_tagging_dataset("sample", task="ner")
    return data | {"train": data["train"].select(range(60)), "validation": data["validation"].select(range(20))}


@pytest.fixture(scope="module", params=[tiny_bert, tiny_roberta], ids=["bert", "roberta"])
def folder(request, tmp_path_factory):
    return request.param(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def wide(bert, tmp_path_factory):
    """A BERT with many more rows than its tokenizer has subwords."""
    folder = shutil.copytree(bert, tmp_path_factory.mktemp("wide") / "bert")
    model = AutoModelForTokenClassification.from_pretrained(folder)
    model.resize_token_embeddings(40_000, mean_resizing=False)
    model.save_pretrained(folder)
    return without_dropout(folder)


def trainer(folder, sample, output, *flags, **options):
    torch.manual_seed(0)
    return encoder_trainer(folder, sample, output, *STEPS, *flags, task="ner", **options)[0]


def matrix_of(weights):
    return next(name for name in weights if name.endswith(MATRIX))


def assert_same(found, wanted, rows, before):
    """Equal to the last bit in all weights, but for the rows that no split uses, which are as they were."""
    assert list(found) == list(wanted)
    name = matrix_of(found)
    assert [n for n in wanted if n != name and not torch.equal(found[n], wanted[n])] == []
    used = torch.zeros(len(before), dtype=torch.bool).index_fill(0, rows, True)
    assert 0 < used.sum() < len(used)
    assert torch.equal(found[name][used], wanted[name][used])
    assert not torch.equal(found[name][used], before[used])
    assert torch.equal(found[name][~used], before[~used])


def evaluations(run):
    return [{k: v for k, v in e.items() if "second" not in k and "runtime" not in k} for e in run.state.log_history]


@pytest.mark.parametrize(
    ("head", "flags"),
    [
        ("linear", ()),
        ("crf", ()),
        ("linear", ("--ema_decay", 0.5)),
        ("linear", ("--load_best_model_at_end", "true", "--metric_for_best_model", "loss")),
        ("linear", ("--layerwise_lr_decay", 0.8, "--gradient_checkpointing", "--neftune_noise_alpha", 5)),
        ("linear", ("--optim", "sgd", "--gradient_accumulation_steps", 2)),
    ],
)
def test_the_same_weights_to_the_last_bit(folder, sample, tmp_path, head, flags):
    if flags and "roberta" in str(folder):
        pytest.skip("one tokenizer is enough")
    runs = {
        on: trainer(folder, sample, tmp_path / on, "--compact_vocabulary", on, *flags, head=head)
        for on in ("on", "off")
    }
    before = runs["on"].model.get_input_embeddings().weight.detach().clone()
    for run in runs.values():
        run.train()
    rows = runs["on"]._compact.rows
    assert evaluations(runs["on"]) == evaluations(runs["off"])
    assert type(runs["on"].model.get_input_embeddings()) is nn.Embedding
    ends = {on: dict(run.model.named_parameters()) for on, run in runs.items()}
    assert_same(ends["on"], ends["off"], rows, before)
    for checkpoint in ("checkpoint-2", "checkpoint-4"):
        files = [tmp_path / on / checkpoint for on in ("on", "off")]
        assert_same(*(load_file(file / "model.safetensors") for file in files), rows, before)
        if "--ema_decay" in flags:
            assert_same(*(load_file(file / "step_weights.safetensors") for file in files), rows, before)
    counts = {on: run.run.record["parameters"]["trained"] for on, run in runs.items()}
    assert runs["on"].run.record["vocabulary"] == {"rows": len(before), "trained": len(rows)}
    assert counts["off"] - counts["on"] == (len(before) - len(rows)) * before.shape[1]


@pytest.mark.parametrize("flags", [(), ("--ema_decay", 0.5, "--optim", "sgd", "--optim_args", "momentum=0.9")])
@pytest.mark.parametrize(("first", "then"), [("on", "on"), ("on", "off"), ("off", "on")])
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(bert, sample, tmp_path, first, then, flags):
    whole = trainer(bert, sample, tmp_path / "whole", "--compact_vocabulary", then, *flags)
    whole.train()
    trainer(bert, sample, tmp_path / "first", "--compact_vocabulary", first, *flags).train()
    run = trainer(bert, sample, tmp_path / "then", "--compact_vocabulary", then, *flags)
    run.train(resume_from_checkpoint=str(tmp_path / "first" / "checkpoint-2"))
    found, wanted = dict(run.model.named_parameters()), dict(whole.model.named_parameters())
    name = matrix_of(found)
    assert all(torch.equal(found[n], wanted[n]) for n in wanted if n != name)
    if first == then:
        assert torch.equal(found[name], wanted[name])
    else:  # two steps of decay of the rows that no split uses
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-2, atol=0)


def test_a_second_training_goes_on_with_the_optimizer_of_the_first(bert, sample, tmp_path):
    runs = {on: trainer(bert, sample, tmp_path / on, "--compact_vocabulary", on) for on in ("on", "off")}
    for run in runs.values():
        run.train()
        run.train()
    found, wanted = (dict(run.model.named_parameters()) for run in runs.values())
    name, rows = matrix_of(found), runs["on"]._compact.rows
    assert all(torch.equal(found[n], wanted[n]) for n in wanted if n != name)
    assert torch.equal(found[name][rows], wanted[name][rows])


class TagWithin(TrainerCallback):
    """Tags, while training, words that no split has."""

    def on_step_end(self, args, state, control, model=None, **named):
        whole = AutoModelForTokenClassification.from_pretrained
        tagger = Tagger(model, self.tokenizer)
        self.words = [["qqq", "zzz", "1,000.50", "Porto"]]
        training = model.training
        self.tags = tagger.tag(self.words)
        model.save_pretrained(self.folder)
        self.tokenizer.save_pretrained(self.folder)
        model.train(training)
        self.saved = Tagger(whole(self.folder), self.tokenizer).tag(self.words)
        assert self.saved == self.tags


def test_the_model_is_whole_for_others_while_it_is_trained(bert, sample, tmp_path):
    run = trainer(bert, sample, tmp_path / "run", "--compact_vocabulary", "on", "--max_steps", 2, "--eval_steps", 2)
    callback = TagWithin()
    callback.tokenizer, callback.folder = run.processing_class, tmp_path / "within"
    run.add_callback(callback)
    run.train()
    run.save_model()
    tagger = pipeline("token-classification", model=str(tmp_path / "run"))
    assert tagger("Maria walks in Porto", ignore_labels=[])
    assert tagger.model.config.vocab_size == tagger.model.get_input_embeddings().num_embeddings


@pytest.mark.parametrize("asked", ["auto", "off"])
def test_by_default_where_it_leaves_out_a_million_weights(wide, bert, sample, tmp_path, caplog, asked):
    with caplog.at_level(logging.INFO, "hf_tagging"):
        run = trainer(wide, sample, tmp_path / "wide", *(() if asked == "auto" else ("--compact_vocabulary", asked)))
        run.train()
    said = [message for message in caplog.messages if message.startswith("compact_vocabulary")]
    assert bool(said) == (asked == "auto")
    if asked == "auto":
        assert "of 40,000 rows of the embedding matrix are trained" in said[0]
        state = torch.load(tmp_path / "wide" / "checkpoint-4" / "optimizer.pt", weights_only=True)
        assert max(m["exp_avg"].numel() for m in state["state"].values()) < 40_000
    small = trainer(bert, sample, tmp_path / "small")
    small.train()
    assert small._compact is None


@pytest.mark.parametrize("sharded", ["is_fsdp_enabled", "is_deepspeed_enabled"])
def test_sharded_weights_are_trained_whole_and_that_is_said(wide, sample, tmp_path, caplog, monkeypatch, sharded):
    run = trainer(wide, sample, tmp_path)
    monkeypatch.setattr(run, sharded, True)
    with caplog.at_level(logging.INFO, "hf_tagging"), run._compacted():
        assert type(run.model.get_input_embeddings()) is nn.Embedding
    assert "all rows of the embedding matrix are trained: FSDP and DeepSpeed keep the weights" in caplog.text


@pytest.mark.parametrize(
    ("flags", "options", "reason"),
    [
        ((), {"freeze_layers": 0}, r"the embedding matrix is frozen, by LoRA or freeze_layers"),
        ((), {"lora": {"rank": 2}}, r"the embedding matrix is frozen, by LoRA or freeze_layers"),
        (("--optim", "adafactor"), {}, r"optim adafactor looks at the whole matrix; adamw_torch, adamw_torch_fused"),
    ],
)
def test_what_cannot_be_cut_is_refused_where_it_is_asked_for(bert, sample, tmp_path, flags, options, reason):
    with pytest.raises(ConfigError, match=rf"compact_vocabulary: {reason}.*Leave compact_vocabulary=on out"):
        trainer(bert, sample, tmp_path, "--compact_vocabulary", "on", *flags, **options)
    run = trainer(bert, sample, tmp_path, *flags, **options)
    with run._compacted():
        assert run._compact is None


def test_an_optimizer_of_the_whole_matrix_keeps_it(wide, sample, tmp_path):
    run = trainer(wide, sample, tmp_path)
    optimizer = run.create_optimizer()
    with run._compacted():
        assert run._compact is None
    assert run.optimizer is optimizer


def test_a_matrix_that_is_shared_is_not_cut(bert, sample, tmp_path):
    run = trainer(bert, sample, tmp_path)
    run.model.further = nn.Linear(32, 8, bias=False)
    run.model.further.weight = run.model.get_input_embeddings().weight
    assert run._obstacle_to_compact() == "the embedding matrix is shared with another layer"


def test_a_model_with_code_of_its_own_is_not_cut(wide, sample, tmp_path):
    """It may read the matrix itself, by the tokenizer's ids."""
    run = trainer(wide, sample, tmp_path)
    run.model.__class__ = type("Own", (type(run.model),), {})
    with run._compacted():
        assert run._compact is None
    reason = "Own is no encoder of Transformers whose embeddings are a plain matrix"
    assert run._obstacle_to_compact() == reason


def test_models_from_scratch_have_the_words_of_the_data_already():
    asked = ["--compact_vocabulary", "on"]
    for read in (lambda: run_config("ner", asked, kind="scratch"), lambda: PretrainingConfig.from_command_line(asked)):
        with pytest.raises(ConfigError, match=r"compact_vocabulary.*is for pretrained encoders"):
            read()


def embedding():
    whole = nn.Embedding(6, 4, padding_idx=1)
    compact = CompactEmbedding(whole, torch.tensor([1, 2, 5]))
    model = nn.Sequential(whole, nn.Linear(4, 2))
    return whole, compact, model


def test_ids_state_and_gradients_of_some_rows():
    whole, compact, model = embedding()
    before = whole.weight.detach().clone()
    with compact.inside(model):
        assert [name for name, _ in model.named_parameters()] == ["0.weight", "1.weight", "1.bias"]
        assert compact.weight.shape == (3, 4)
        model(torch.tensor([[5, 1, 2, 5]])).sum().backward()
        assert compact.weight.grad.any(1).tolist() == [False, True, True]  # padding has no gradient
        with pytest.raises(IndexError):
            compact(torch.tensor([[0]]))
        with torch.no_grad():
            compact.weight += 1
        assert torch.equal(model.state_dict()["0.weight"][[0, 3, 4]], before[[0, 3, 4]])
        assert torch.equal(model.state_dict()["0.weight"][[1, 2, 5]], before[[1, 2, 5]] + 1)
        model.eval()
        assert torch.equal(compact(torch.tensor([0, 5])), before[[0, 5]] + torch.tensor([[0.0], [1.0]]))
        found = {name: weight + 2 for name, weight in model.state_dict().items()}
        model.load_state_dict(found)
        assert torch.equal(compact.weight, before[[1, 2, 5]] + 3)
        assert found["0.weight"].shape == (6, 4)  # what was given is not changed
    assert model[0] is whole
    assert torch.equal(whole.weight, found["0.weight"])


def test_a_model_that_fails_is_whole_again():
    whole, compact, model = embedding()

    def fail():
        with torch.no_grad(), compact.inside(model):
            compact.weight.zero_()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert model[0] is whole
    assert whole.weight.any(1).tolist() == [True, False, False, True, True, False]
