"""What a step on a CPU computes, and what it leaves as it was."""

import pytest
import torch
from run_configs import encoder_trainer, run_config
from tiny_models import tiny_bert
from transformers import TrainerCallback

from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.trainer import TaggingTrainer
from hf_tagging.training import start_run
from hf_tagging.training.cpu_steps import CpuSteps, drop

stock_dropout = torch.nn.functional.dropout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"), max_length=24)


def trainer(folder, output, *flags, head="linear"):
    data = load_tagging_dataset("sample", task="pos")
    data["train"] = data["train"].select(range(40))
    return encoder_trainer(folder, data, output, "--max_steps", 2, *flags, head=head)[0]


class Seen(TrainerCallback):
    """Keeps how the encoder computes attention inside its forward, and which dropout it calls."""

    def __init__(self, model):
        self.steps, self.others = set(), set()
        encoder = next(m for m in model.modules() if type(m).__name__ == "BertModel")
        encoder.register_forward_hook(self.note)

    def note(self, encoder, inputs, outputs):
        seen = self.steps if encoder.training else self.others
        seen.add((encoder.config._attn_implementation, torch.nn.functional.dropout is drop))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_of_random_bits_have_their_probability_and_keep_the_mean(p, dtype):
    torch.manual_seed(0)
    found = drop(torch.ones(400, 501, dtype=dtype), p)
    assert found.dtype == dtype
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.004)
    assert found[found != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=0.01)
    neighbours = (found[:, 1:] == 0) & (found[:, :-1] == 0)  # bits of one number do not lean on each other
    assert neighbours.float().mean().item() == pytest.approx(p * p, abs=0.006)


def test_gradients_pass_where_values_do():
    values = torch.ones(7, 15, requires_grad=True)
    found = drop(values, 0.4)
    found.sum().backward()
    assert torch.equal(values.grad, found.detach())
    assert found.count_nonzero() not in (0, values.numel())


@pytest.mark.parametrize(("p", "training", "inplace"), [(0.3, False, False), (0.0, True, False), (1.0, True, False)])
def test_what_has_no_mask_to_draw_is_left_to_pytorch(p, training, inplace):
    values, before = torch.ones(9), torch.get_rng_state()
    assert torch.equal(drop(values, p, training, inplace), stock_dropout(values, p, training, inplace))
    if not (training and p):
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_steps_are_eager_and_evaluation_and_the_saved_model_are_not(folder, tmp_path, head):
    training = trainer(folder, tmp_path / "run", "--eval_strategy", "steps", "--eval_steps", 1, head=head)
    seen = Seen(training.model)
    training.train()
    assert seen.steps == {("eager", True)}
    assert seen.others == {("sdpa", False)}
    assert torch.nn.functional.dropout is stock_dropout
    assert training.model.config._attn_implementation == "sdpa"


def test_attention_that_was_asked_for_is_kept(folder, tmp_path):
    flags = ["--model", folder, "--dataset", "sample", "--output_dir", tmp_path / "run", "--use_cpu"]
    args = run_config("pos", [*map(str, flags), "--attn_implementation", "sdpa", "--max_steps", "2"])
    run = start_run(args)
    dataset = run.select(args.load_dataset())
    schema = TagSchema.detect(dataset, task="pos")
    model, tokenizer = args.build_model(dataset, schema)
    training = TaggingTrainer.of_run(run, args.align(dataset, tokenizer, schema, model), model=model,
                                     processing_class=tokenizer)  # fmt: skip
    seen = Seen(model)
    training.train()
    assert seen.steps == {("sdpa", True)}


def test_long_windows_keep_their_attention_and_an_error_changes_nothing(folder, tmp_path):
    model = trainer(folder, tmp_path / "run").model
    steps = CpuSteps(model, keep_attention=False)
    with steps.step(steps.eager_up_to + 1):
        assert model.config._attn_implementation == "sdpa"
    with steps.step(steps.eager_up_to):
        assert model.config._attn_implementation == "eager"
    with pytest.raises(KeyError), steps.step(8):
        raise KeyError
    assert model.config._attn_implementation == "sdpa"
    assert torch.nn.functional.dropout is stock_dropout
