"""Which windows share a batch, and what is padding."""

import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_runs import without_dropout
from run_configs import encoder_trainer, run_config
from tiny_models import tiny_bert
from torch._dynamo.utils import counters
from transformers import AutoTokenizer

from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.aligned import window_lengths
from hf_tagging.data.batching import Collate, CountedWindows, TokenBudgetBatches, WindowCollator, WindowRows
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.models import load_encoder, resolve_model
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training.budget import largest_budget


def like_conll2003(count=14_000, seed=0):
    """Lengths with the mean and the spread of CoNLL-2003's."""
    return np.clip(np.random.default_rng(seed).gamma(2.2, 8.2, count).astype(int) + 3, 3, 164)


def widths(batches, lengths):
    return np.array([max((lengths[i] for i in batch), default=0) * len(batch) for batch in batches])


def test_five_windows_under_a_budget_of_ten():
    """By length 5, 4, 3, 2, 2: the first two cost 2 x 5, the other three 3 x 3."""
    batches = TokenBudgetBatches([3, 5, 2, 4, 2], 10)
    assert sorted(sorted(batch) for batch in batches) == [[0, 2, 4], [1, 3]]
    assert len(batches) == 2


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=300),
    budget=st.integers(1, 400),
    shares=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
@settings(max_examples=300, deadline=None)
def test_every_window_once_in_every_epoch_and_no_step_above_the_budget(lengths, budget, shares, epoch):
    whole, shared = (TokenBudgetBatches(lengths, budget, seed=1, shares=count) for count in (1, shares))
    for batches in (whole, shared):
        batches.set_epoch(epoch)
    steps, drawn = list(whole), list(shared)
    assert (len(steps), len(drawn)) == (len(whole), len(shared))
    assert sorted(i for step in steps for i in step) == list(range(len(lengths)))
    for step, cost, begin in zip(steps, widths(steps, lengths), range(0, len(drawn), shares), strict=True):
        assert cost <= budget or len(step) == 1
        parts = drawn[begin : begin + shares]
        assert [i for part in parts for i in part] == step  # the same steps, whoever shares them
        even = -(-len(step) // shares) * max(lengths[i] for i in step)
        assert max(widths(parts, lengths)) <= even  # no share above what as many windows for each would make it


@given(
    lengths=st.lists(st.integers(2, 60), min_size=1, max_size=300),
    windows=st.integers(1, 40),
    order=st.sampled_from(["random", "sequential", "group_by_length"]),
    drop_last=st.booleans(),
    shares=st.integers(1, 4),
)
@settings(max_examples=200, deadline=None)
def test_windows_are_counted_over_the_step_and_come_once(lengths, windows, order, drop_last, shares):
    options = {"order": order, "drop_last": drop_last, "seed": 1}
    whole, shared = (CountedWindows(lengths, windows, **options, shares=count) for count in (1, shares))
    steps = list(whole)
    assert len(steps) == len(whole)
    assert list(shared) == [step[share::shares] for step in steps for share in range(shares)]
    left_out = len(lengths) % windows if drop_last else 0
    seen = [i for step in steps for i in step]
    assert len(set(seen)) == len(seen) == len(lengths) - left_out
    assert {len(step) for step in steps[:-1]} <= {windows}
    whole.set_epoch(1)
    again = [i for step in whole for i in step]
    assert order != "sequential" or seen == again == sorted(seen)
    assert order != "random" or len(seen) < 10 or seen != again
    if order == "group_by_length":
        parts = [seen[begin : begin + 50 * windows] for begin in range(0, len(seen), 50 * windows)]
        assert all([lengths[i] for i in part] == sorted((lengths[i] for i in part), reverse=True) for part in parts)


def test_a_share_without_windows_is_one_that_nothing_is_learned_from():
    rows = {"input_ids": [[1, 5, 2], [1, 2]], "labels": [[-100, 3, -100], [-100, 4]]}
    for options in ({}, {"columns": None, "as_table": False}):
        windows = WindowRows(Dataset.from_dict(rows), **options)
        batch = Collate(WindowCollator(9))(windows.__getitems__([]))
        assert batch["input_ids"].tolist() == [[1, 5, 2]]
        assert batch["labels"].tolist() == [[-100, -100, -100]]
        assert Collate(WindowCollator(9))(windows.__getitems__([1]))["labels"].tolist() == [[-100, 4]]


@pytest.mark.parametrize(("budget", "processes"), [(256, 1), (768, 1), (768, 2), (2048, 2), (2048, 8), (8192, 1)])
def test_little_padding_and_equal_work_on_every_rank(budget, processes):
    """Each process with a budget as large as one alone would have."""
    lengths = like_conll2003()
    drawn = list(TokenBudgetBatches(lengths, budget * processes, shares=processes))
    costs = widths(drawn, lengths).reshape(-1, processes)
    real = [sum(lengths[i] for batch in drawn[rank::processes] for i in batch) for rank in range(processes)]
    assert (np.array(real) / costs.sum(0)).min() > 0.94
    assert (costs.max(1) - costs.min(1)).mean() < 0.06 * costs.mean()  # ranks wait for each other in every step


@pytest.mark.real
@pytest.mark.parametrize("processes", [1, 2])
def test_little_padding_on_conll2003(real_data, tmp_path, processes):
    dataset = load_tagging_dataset(real_data / "conll2003", task="ner")
    tokenizer = AutoTokenizer.from_pretrained(resolve_model("minilm"))
    aligned = align_dataset(dataset, tokenizer, TagSchema.detect(dataset, task="ner"))
    lengths = window_lengths(aligned["train"].features)
    batches = list(TokenBudgetBatches(lengths, 768, shares=processes))
    for rank in range(processes):
        own = [batch for batch in batches[rank::processes] if batch]
        computed = sum(len(batch) * lengths[batch].max() for batch in own)
        assert sum(lengths[batch].sum() for batch in own) > 0.93 * computed


def test_who_shares_a_batch_is_drawn_anew_and_the_same_for_one_seed_and_epoch():
    lengths = like_conll2003(3000)
    one, same, other = (TokenBudgetBatches(lengths, 768, seed=seed) for seed in (1, 1, 2))
    assert list(one) == list(same) != list(other)
    first = {frozenset(batch) for batch in one}
    one.set_epoch(1)
    assert list(one) != list(same)
    assert len(first & {frozenset(batch) for batch in one}) < 0.02 * len(one)


def test_a_table_is_collated_as_its_rows_are():
    rows = [
        {"input_ids": [1, 5, 2], "labels": [-100, 3, -100], "word_features": [0, 0, 7, 8, 0, 0]},
        {"input_ids": [1, 2], "labels": [-100, -100], "word_features": [0, 0, 0, 0]},
    ]
    by_rows, by_table = WindowCollator(9)(rows), WindowCollator(9)(pa.Table.from_pylist(rows))
    assert by_rows["input_ids"].tolist() == [[1, 5, 2], [1, 2, 9]]
    assert by_rows["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert by_rows["labels"].tolist() == [[-100, 3, -100], [-100, -100, -100]]
    assert by_rows["word_features"].tolist() == [[[0, 0], [7, 8], [0, 0]], [[0, 0], [0, 0], [0, 0]]]
    assert by_rows.keys() == by_table.keys()
    assert all(torch.equal(by_rows[name], by_table[name]) for name in by_rows)


@pytest.fixture(scope="module")
def sample():
    data = load_tagging_dataset("sample", task="pos")
    data["train"] = data["train"].select(range(40))
    return data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"), max_length=64)


def trainer(folder, sample, output, *flags):
    return encoder_trainer(folder, sample, output, *flags)[0]


def test_the_trainer_sees_every_window_and_counts_its_steps(folder, sample, tmp_path):
    run = trainer(folder, sample, tmp_path, "--tokens_per_batch", 256, "--num_train_epochs", 2)
    loader = run.get_train_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sum(len(batch["input_ids"]) for batch in batches) == len(run.train_dataset)
    assert max(batch["input_ids"].numel() for batch in batches) <= 256
    run.args.eval_strategy = run.args.save_strategy = "no"
    run.args.load_best_model_at_end = False
    run.train()
    assert run.state.max_steps == run.state.global_step == 2 * len(loader)
    assert run.optimizer.param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)  # the schedule ends where the run does


def test_rows_of_arrow_are_the_features(folder, sample, tmp_path):
    features = trainer(folder, sample, tmp_path).train_dataset
    table = WindowRows(features).__getitems__([3, 0])
    assert table.column_names == ["input_ids", "labels"]
    assert table.column("input_ids").to_pylist() == [features[3]["input_ids"], features[0]["input_ids"]]


def test_auto_finds_the_number_and_leaves_no_trace(folder, sample, tmp_path):
    run = trainer(folder, sample, tmp_path, "--tokens_per_batch", "auto")
    before = torch.get_rng_state()
    assert run.choose_budget() == 768  # a CPU is not filled
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in run.model.parameters())
    resumed = trainer(folder, sample, tmp_path, "--tokens_per_batch", "auto")
    assert resumed.choose_budget(earlier=96) == 96


@pytest.mark.parametrize(
    ("memory", "found"),
    [(10**6, 6144), (3000, 1536), (1000, 768), (400, 384), (100, 96), (60, 48), (13, 12), (1, None)],
)
def test_the_largest_budget_that_fits(memory, found):
    assert largest_budget(lambda budget: budget <= memory, first=768, most=10_000, least=20) == found


def test_a_window_that_does_not_fit_is_an_error_with_a_way_out(folder, sample, tmp_path, monkeypatch):
    run = trainer(folder, sample, tmp_path, "--tokens_per_batch", "auto")

    def runs_out(*inputs, **options):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(run, "compute_loss", runs_out)
    with pytest.raises(ConfigError, match=r"not even a single window of \d+ subwords fits .* max_length"):
        run.choose_budget()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tokens_per_batch", "many"), "tokens_per_batch: 'many' is neither a number of subwords"),
        (("--tokens_per_batch", "0"), "tokens_per_batch: 0 is neither"),
        (("--tokens_per_batch", "64", "--per_device_train_batch_size", "8"), "give one of the two"),
        (("--train_sampling_strategy", "group_by_length"), "have windows of like length already"),
        (("--auto_find_batch_size",), "give tokens_per_batch auto instead"),
        (("--dataloader_drop_last",), "have no short one at their end"),
        (("--per_device_train_batch_size", "-1"), "per_device_train_batch_size: -1 is below 1"),
    ],
)
def test_arguments_that_contradict_each_other(flags, message):
    with pytest.raises(ConfigError, match=message):
        run_config("pos", list(flags))


def test_windows_or_subwords():
    by_subwords = run_config("pos", ["--use_cpu"]).training
    assert (by_subwords.tokens_per_batch, by_subwords.per_device_train_batch_size) == (768, 0)
    by_windows = run_config("pos", ["--per_device_train_batch_size", "16"]).training
    assert (by_windows.tokens_per_batch, by_windows.per_device_train_batch_size) == (None, 16)
    assert run_config("pos", ["--tokens_per_batch", "1024"]).training.tokens_per_batch == 1024


@pytest.mark.parametrize("flags", [(), ("--lora",)])
def test_packed_training_is_training(folder, sample, tmp_path, flags):
    """The same windows in one batch, once padded and once packed: the same loss and the same gradient."""
    losses, norms = [], []
    for name, packing in (("padded", "false"), ("packed", "true")):
        steps = (
            "--max_steps",
            1,
            "--logging_steps",
            1,
            "--eval_strategy",
            "no",
            "--bf16",
            "false",
            "--warmup_steps",
            0,
        )
        torch.manual_seed(3)
        run = trainer(without_dropout(folder), sample, tmp_path / name, *steps, "--tokens_per_batch", 4096,
                      "--packing", packing, "--lora_dropout", 0, *flags)  # fmt: skip
        batch = next(iter(run.get_train_dataloader()))
        assert batch["input_ids"].shape == ((32, 128) if packing == "true" else (44, 64))
        run.train()
        losses.append(run.state.log_history[0]["loss"])
        norms.append(run.state.log_history[0]["grad_norm"])
        outcome = run.predict_words(run.validation.longest_first())
        assert len(outcome.predicted) == len(sample["validation"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_crf_is_not_packed(folder, sample, tmp_path):
    args = run_config("pos", ["--output_dir", str(tmp_path), "--use_cpu", "--packing", "true", "--head", "crf"])
    schema = TagSchema.detect(sample, task="pos")
    model, tokenizer = load_encoder(str(folder), schema, head="crf")
    with pytest.raises(ModelError, match=r"chain of tags .* runs through a row .* tokens_per_batch"):
        TaggingTrainer(model=model, args=args.training, processing_class=tokenizer)


@pytest.mark.slow
def test_a_compiled_model_takes_batches_of_every_shape_in_two_graphs(folder, sample, tmp_path):
    def losses(name, *flags):
        torch.manual_seed(7)  # of the head
        run = trainer(without_dropout(folder), sample, tmp_path / name, "--tokens_per_batch", 256, "--max_steps", 5,
                      "--eval_strategy", "no", "--save_strategy", "no", "--bf16", "false", *flags)  # fmt: skip
        shapes = {tuple(batch["input_ids"].shape) for batch in itertools.islice(run.get_train_dataloader(), 5)}
        run.train()
        return run.state.log_history[-1]["train_loss"], len(shapes)

    torch.compiler.reset()
    counters.clear()
    compiled, shapes = losses("compiled", "--torch_compile", "--torch_compile_backend", "eager")
    graphs = counters["stats"]["unique_graphs"]
    plain, _ = losses("plain")
    assert shapes >= 3
    assert 1 <= graphs <= 2
    assert compiled == pytest.approx(plain, rel=1e-5)
