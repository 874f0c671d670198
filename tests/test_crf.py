"""The CRF against all paths there are: value, gradient, best path and posterior."""

import collections
import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import PretrainedConfig, PreTrainedModel

from hf_tagging.data import TagSchema
from hf_tagging.models.crf import ILLEGAL, LinearChainCrf

TAGS = 4
NER = TagSchema(("O", "B-PER", "I-PER", "E-PER", "S-PER", "B-LOC", "I-LOC", "E-LOC", "S-LOC"), "BIOES")


def random_crf(tags=TAGS, seed=0, scale=1.0, **legal):
    crf = LinearChainCrf(tags, **legal)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return crf


def ner_crf():
    start, step, end = NER.transitions()
    return random_crf(9, legal_start=start.tolist(), legal_step=step.tolist(), legal_end=end.tolist())


def random_batch(lengths, positions=8, tags=TAGS, seed=0, scale=1.0):
    """Emissions, gold tags and masks with gaps; row i has lengths[i] scored positions at random places."""
    generator = torch.Generator().manual_seed(seed)
    emissions = scale * torch.randn(len(lengths), positions, tags, generator=generator)
    order = torch.rand(len(lengths), positions, generator=generator).argsort(1)
    mask = order.argsort(1) < torch.tensor(lengths)[:, None]
    gold = torch.randint(tags, mask.shape, generator=generator).masked_fill(~mask, -100)
    return emissions.requires_grad_(), gold, mask


def path_scores(crf, emissions, paths):
    """Scores, in float64, of paths (paths, words) over the emissions (words, tags) of one row."""
    words = torch.arange(paths.shape[1])
    steps = crf.transitions.double().masked_fill(~crf.legal_step, ILLEGAL)[paths[:, :-1], paths[:, 1:]]
    start = crf.start.double().masked_fill(~crf.legal_start, ILLEGAL)[paths[:, 0]]
    end = crf.end.double().masked_fill(~crf.legal_end, ILLEGAL)[paths[:, -1]]
    return emissions.double()[words, paths].sum(1) + steps.sum(1) + start + end


def all_paths(words, tags=TAGS):
    return torch.tensor(list(itertools.product(range(tags), repeat=words)))


def brute_force(crf, emissions, gold, mask):
    """Log partition and log-likelihood per row by enumeration; differentiable."""
    partition, likelihood = [], []
    for row, tags, scored in zip(emissions, gold, mask, strict=True):
        if not scored.any():
            partition.append(torch.zeros((), dtype=torch.float64))
            likelihood.append(partition[-1])
            continue
        paths = all_paths(int(scored.sum()), emissions.shape[-1])
        partition.append(path_scores(crf, row[scored], paths).logsumexp(0))
        likelihood.append(path_scores(crf, row[scored], tags[scored][None])[0] - partition[-1])
    return torch.stack(partition), torch.stack(likelihood)


def gradients(value, crf, emissions):
    return torch.autograd.grad(value, [emissions, *crf.parameters()], retain_graph=True)


LENGTHS = [1, 2, 3, 4, 5, 0, 5, 4, 1, 3]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", [1.0, 15.0])
def test_equals_enumeration_in_value_and_gradient(seed, scale):
    crf = random_crf(seed=seed, scale=scale)
    emissions, gold, mask = random_batch(LENGTHS, seed=seed, scale=scale)
    partition, likelihood = brute_force(crf, emissions, gold, mask)
    weights = torch.randn(len(LENGTHS), generator=torch.Generator().manual_seed(seed))  # rows count differently
    for found, expected in [
        (crf.log_partition(emissions, mask), partition),
        (crf.log_likelihood(emissions, gold, mask), likelihood),
    ]:
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-6)
        pairs = zip(
            gradients((found * weights).sum(), crf, emissions),
            gradients((expected * weights).sum(), crf, emissions),
            strict=True,
        )
        for gradient, wanted in pairs:
            torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_unknown_tags_are_summed_over(seed):
    crf = random_crf(seed=seed, legal_start=[True, True, False, True])
    emissions, gold, mask = random_batch(LENGTHS, seed=seed)
    known = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    partial = gold.masked_fill(~known, -100)
    expected = []
    for row, tags, scored in zip(emissions, partial, mask, strict=True):
        paths = all_paths(int(scored.sum()))
        fits = ((paths == tags[scored]) | (tags[scored] == -100)).all(1)
        scores = path_scores(crf, row[scored], paths) if scored.any() else torch.zeros(1, dtype=torch.float64)
        expected.append(scores[fits].logsumexp(0) - scores.logsumexp(0))
    found, expected = crf(emissions, mask, partial, partial=True), torch.stack(expected)
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)
    pairs = zip(gradients(found.sum(), crf, emissions), gradients(expected.sum(), crf, emissions), strict=True)
    for gradient, wanted in pairs:
        torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(crf(emissions, mask, gold, partial=True), crf(emissions, mask, gold))


@pytest.mark.parametrize("seed", range(3))
def test_best_path_and_marginals_equal_enumeration(seed):
    crf = random_crf(seed=seed)
    emissions, _, mask = random_batch(LENGTHS, seed=seed)
    decoded, marginals = crf.decode(emissions, mask), crf.marginals(emissions, mask)
    assert (decoded[~mask] == -100).all()
    assert (marginals[~mask] == 0).all()
    for row, tags, posterior, scored in zip(emissions, decoded, marginals, mask, strict=True):
        if not scored.any():
            continue
        paths = all_paths(int(scored.sum()))
        scores = path_scores(crf, row[scored], paths)
        assert tags[scored].tolist() == paths[scores.argmax()].tolist()
        through = torch.nn.functional.one_hot(paths, TAGS).double()  # (paths, words, tags)
        expected = torch.einsum("p,pwt->wt", scores.softmax(0), through)
        torch.testing.assert_close(posterior[scored], expected.float(), atol=1e-6, rtol=1e-5)


def test_equals_enumeration_under_bf16_autocast():
    """The linear map before the CRF computes in bf16; what follows is exact on its output, gradient included."""
    crf, (inputs, gold, mask) = random_crf(), random_batch(LENGTHS)
    linear = torch.nn.Linear(TAGS, TAGS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        emissions = linear(inputs)
        assert emissions.dtype == torch.bfloat16
        found = crf.log_likelihood(emissions, gold, mask)
        decoded, marginals = crf.decode(emissions, mask), crf.marginals(emissions, mask)
    assert found.dtype == marginals.dtype == torch.float32
    _, expected = brute_force(crf, emissions, gold, mask)
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-6)
    assert decoded.equal(crf.decode(emissions.float(), mask))
    assert marginals.equal(crf.marginals(emissions.float(), mask))
    for gradient, wanted in zip(
        gradients(found.sum(), crf, emissions), gradients(expected.sum(), crf, emissions), strict=True
    ):
        tolerance = 1e-2 if gradient.dtype == torch.bfloat16 else 1e-5  # the gradient of bf16 emissions is bf16
        torch.testing.assert_close(gradient, wanted, atol=tolerance, rtol=tolerance)


def test_gradcheck():
    crf = random_crf(3).double()
    emissions, gold, mask = random_batch([3, 0, 1, 4], positions=5, tags=3)

    def log_likelihood(emissions, *parameters):
        values = dict(zip([name for name, _ in crf.named_parameters()], parameters, strict=True))
        return torch.func.functional_call(crf, values, (emissions, mask, gold))

    inputs = [t.detach().double().requires_grad_() for t in (emissions, *crf.parameters())]
    assert torch.autograd.gradcheck(log_likelihood, inputs)


def test_illegal_steps_are_never_decoded():
    crf = ner_crf()
    start, step, end = (torch.from_numpy(table) for table in NER.transitions())
    for scale in (1.0, 30.0, 3000.0):
        emissions, _, mask = random_batch([0, 1, 2, 5, 12, 20] * 10, positions=20, tags=9, scale=scale)
        scores = crf.scores_for_pipeline(emissions, mask)
        assert scores.isfinite().all()
        for tags, printed, scored in zip(crf.decode(emissions, mask), scores.argmax(-1), mask, strict=True):
            path = tags[scored]
            assert printed[scored].equal(path)
            if len(path):
                assert start[path[0]]
                assert end[path[-1]]
                assert step[path[:-1], path[1:]].all()
        assert crf.marginals(emissions, mask).isfinite().all()


def test_illegal_tags_have_no_probability():
    crf = ner_crf()
    emissions, _, _ = random_batch([5] * 20, positions=5, tags=9, scale=10.0)
    marginals = crf.marginals(emissions, torch.ones(20, 5, dtype=torch.bool))
    start, _, end = (torch.from_numpy(table) for table in NER.transitions())
    assert marginals[:, 0, ~start].max() < 1e-30
    assert marginals[:, -1, ~end].max() < 1e-30
    assert marginals[:, 1, ~start].max() > 0.1  # the same tags elsewhere


def test_an_illegal_gold_path_has_a_finite_loss_and_gradient():
    crf = ner_crf()
    emissions, _, mask = random_batch([3, 3], positions=3, tags=9)
    gold = torch.tensor([[2, 5, 3], [0, 1, 3]])  # I-PER B-LOC E-PER: illegal in all three places; O B-PER E-PER: legal
    likelihood = crf.log_likelihood(emissions, gold, mask)
    assert -1000 < likelihood[0] < 3 * ILLEGAL < -100 < likelihood[1] < 0
    assert all(gradient.isfinite().all() for gradient in gradients(likelihood.sum(), crf, emissions))
    _, expected = brute_force(crf, emissions, gold, mask)
    torch.testing.assert_close(likelihood, expected.float())


def test_where_no_path_is_legal_the_least_illegal_one_wins():
    """One word, but every entity has to go on, and there is no O."""
    crf = random_crf(2, legal_start=[True, False], legal_step=[[False, True]] * 2, legal_end=[False, False])
    emissions, gold, mask = random_batch([1, 3, 2], positions=3, tags=2)
    partition, likelihood = brute_force(crf, emissions, gold, mask)
    torch.testing.assert_close(crf.log_partition(emissions, mask), partition.float())
    torch.testing.assert_close(crf.log_likelihood(emissions, gold, mask), likelihood.float())
    assert crf.decode(emissions, mask)[mask].tolist() == [0, 0, 1, 1, 0, 1]


def results(crf, emissions, gold, mask):
    """Every method's result at the scored positions, row after row."""
    return [
        crf.log_likelihood(emissions, gold, mask),
        crf.log_partition(emissions, mask),
        crf.decode(emissions, mask)[mask],
        crf.marginals(emissions, mask)[mask],
        crf.scores_for_pipeline(emissions, mask)[mask],
    ]


def test_padding_anywhere_changes_nothing():
    """Not on the right, on the left or in the middle, not even padding that is not a number."""
    crf = ner_crf()
    emissions, gold, mask = random_batch([4, 2, 0], positions=4, tags=9)
    expected = results(crf, emissions, gold, mask)
    gradient, *steps = gradients(expected[0].sum(), crf, emissions)
    for places in ([0, 1, 2, 3], [5, 6, 7, 8], [0, 3, 4, 8], [2, 3, 5, 6]):
        padded = torch.full((3, 9, 9), math.nan)
        padded[:, places] = emissions.detach().masked_fill(~mask[..., None], math.nan)
        padded.requires_grad_()
        labels, scored = torch.full((3, 9), -100), torch.zeros(3, 9, dtype=torch.bool)
        labels[:, places], scored[:, places] = gold, mask
        found = results(crf, padded, labels, scored)
        for value, wanted in zip(found, expected, strict=True):
            torch.testing.assert_close(value, wanted)
        spread, *spread_steps = gradients(found[0].sum(), crf, padded)
        for value, wanted in zip(spread_steps, steps, strict=True):
            torch.testing.assert_close(value, wanted)
        torch.testing.assert_close(spread[:, places], gradient)
        assert (spread[~scored] == 0).all()


def test_rows_do_not_see_each_other():
    crf = ner_crf()
    emissions, gold, mask = random_batch([7, 0, 3, 20, 1], positions=20, tags=9)
    together = [crf.log_likelihood(emissions, gold, mask), crf.decode(emissions, mask), crf.marginals(emissions, mask)]
    for order in ([4, 2, 0, 3, 1], [1], [2], [3, 1]):
        alone = [
            crf.log_likelihood(emissions[order], gold[order], mask[order]),
            crf.decode(emissions[order], mask[order]),
            crf.marginals(emissions[order], mask[order]),
        ]
        for value, wanted in zip(alone, together, strict=True):
            torch.testing.assert_close(value, wanted[order])


def test_pipeline_scores_are_the_marginals_with_the_best_path_on_top():
    crf = random_crf(scale=2.0)
    emissions, _, mask = random_batch([12] * 200, positions=16)
    probabilities = crf.scores_for_pipeline(emissions, mask).softmax(-1)
    decoded, marginals = crf.decode(emissions, mask)[mask], crf.marginals(emissions, mask)[mask]
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(mask.shape))
    outside = emissions.detach().softmax(-1)
    torch.testing.assert_close(probabilities[~mask], outside[~mask])

    found = probabilities[mask]
    assert found.argmax(-1).equal(decoded)
    agree = marginals.argmax(-1) == decoded
    assert 10 < (~agree).sum() < len(agree) / 4  # both cases are met
    torch.testing.assert_close(found[agree], marginals[agree], atol=1e-5, rtol=0)
    printed = found.gather(1, decoded[:, None])[~agree, 0]
    assert (printed > marginals.gather(1, decoded[:, None])[~agree, 0]).all()
    assert (printed < marginals.amax(1)[~agree]).all()


def test_pipeline_scores_where_best_path_and_marginals_disagree():
    """Tag 0 is on the best path (0.4), tag 1 on both others (0.3 each): 1 has the greater marginal, 0.6."""
    crf = LinearChainCrf(2)
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.4, 1e-9], [0.3, 0.3]]).log())
    emissions, mask = torch.zeros(1, 2, 2), torch.ones(1, 2, dtype=torch.bool)
    assert crf.decode(emissions, mask).tolist() == [[0, 0]]
    torch.testing.assert_close(crf.marginals(emissions, mask)[0, 0], torch.tensor([0.4, 0.6]))
    scores = crf.scores_for_pipeline(emissions, mask)
    assert scores.argmax(-1).tolist() == [[0, 0]]
    torch.testing.assert_close(scores[0, 0].exp(), torch.tensor([0.5, 0.5]), atol=1e-5, rtol=0)


def test_ties_are_printed_as_the_best_path():
    crf, mask = LinearChainCrf(5), torch.ones(2, 6, dtype=torch.bool)
    scores = crf.scores_for_pipeline(torch.zeros(2, 6, 5), mask)
    assert scores.argmax(-1).equal(crf.decode(torch.zeros(2, 6, 5), mask))
    torch.testing.assert_close(scores.exp(), torch.full((2, 6, 5), 0.2), atol=1e-5, rtol=0)


def test_at_zero_it_is_a_softmax_per_word():
    crf = LinearChainCrf(TAGS)
    emissions, gold, mask = random_batch(LENGTHS)
    loss = torch.nn.functional.cross_entropy(emissions.transpose(1, 2), gold, ignore_index=-100, reduction="none")
    torch.testing.assert_close(crf(emissions, mask, gold), -loss.sum(1))
    torch.testing.assert_close(crf(emissions, mask)[mask].exp(), emissions.softmax(-1)[mask], atol=1e-5, rtol=1e-5)


def test_two_thousand_steps():
    crf = ner_crf()
    emissions, gold, mask = random_batch([2000, 1500], positions=2000, tags=9, scale=5.0)
    likelihood = crf.log_likelihood(emissions, gold, mask)
    assert all(g.isfinite().all() for g in (likelihood, *gradients(likelihood.sum(), crf, emissions)))
    marginals = crf.marginals(emissions, mask)[mask]
    torch.testing.assert_close(marginals.sum(-1), torch.ones(3500))
    gradient = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), emissions)[0]
    torch.testing.assert_close(gradient[mask], marginals)


def test_scores_beyond_the_range_of_floats_give_finite_results():
    crf = LinearChainCrf(2)
    with torch.no_grad():
        crf.transitions.copy_(torch.tensor([[0.0, -5000.0], [-5000.0, 0.0]]))
        crf.start.copy_(torch.tensor([0.0, -5000.0]))
    emissions = torch.tensor([[[-9e4, 9e4], [9e4, -9e4], [-9e4, 9e4]]], requires_grad=True)
    mask = torch.ones(1, 3, dtype=torch.bool)
    likelihood = crf.log_likelihood(emissions, torch.tensor([[1, 1, 0]]), mask)
    assert likelihood.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients(likelihood.sum(), crf, emissions))
    assert crf.marginals(emissions, mask).argmax(-1).tolist() == crf.decode(emissions, mask).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("guard", [torch.inference_mode, torch.no_grad])
def test_without_autograd(guard):
    crf = ner_crf()
    batch = random_batch([3, 0, 6], tags=9)
    expected = results(crf, *batch)
    with guard():
        found = results(crf, *batch)
    for value, wanted in zip(found, expected, strict=True):
        assert value.equal(wanted.detach())


class Calls(TorchDispatchMode):
    """Counts the operations that run, by name."""

    def __init__(self):
        super().__init__()
        self.count = collections.Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def test_nothing_is_read_back_to_the_host():
    """On the meta device there is nothing to read: a copy to the host would raise there."""
    crf, (emissions, gold, mask) = ner_crf(), random_batch([3, 0, 6], tags=9)
    with Calls() as calls:
        results(crf, emissions, gold, mask)
        crf.log_likelihood(emissions, gold, mask).sum().backward()
    assert calls.count["gather"] > 0
    assert calls.count["_local_scalar_dense"] == 0
    crf, emissions, gold, mask = crf.to("meta"), emissions.detach().to("meta"), gold.to("meta"), mask.to("meta")
    crf.log_likelihood(emissions.requires_grad_(), gold, mask).sum().backward()
    assert crf.scores_for_pipeline(emissions, mask).shape == (3, 8, 9)


def test_as_many_steps_as_the_longest_row_has_words():
    emissions, gold, mask = random_batch([3, 0, 6], positions=200, tags=9)
    with Calls() as calls:
        ner_crf().log_likelihood(emissions, gold, mask).sum().backward()
    assert calls.count["bmm"] == 5


def test_compiles_into_one_graph():
    crf, (emissions, gold, mask) = ner_crf(), random_batch([3, 0, 4], positions=4, tags=9)
    compiled = torch.compile(lambda *batch: (crf(*batch), crf(*batch[:2])), backend="eager", fullgraph=True)
    for found, expected in zip(
        compiled(emissions, mask, gold), (crf(emissions, mask, gold), crf(emissions, mask)), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_tables_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"legal_step: its shape is \(2, 3\), but for 3 tags it must be \(3, 3\)"):
        LinearChainCrf(3, legal_step=[[True] * 3] * 2)
    with pytest.raises(ValueError, match="legal_end: its shape is"):
        LinearChainCrf(3, legal_end=[True])


class TinyConfig(PretrainedConfig):
    model_type = "tiny_crf_of_the_tests"


class TinyCrfModel(PreTrainedModel):
    config_class = TinyConfig

    def __init__(self, config):
        super().__init__(config)
        self.linear = torch.nn.Linear(2, 9)
        start, step, end = (table.tolist() for table in NER.transitions())
        self.crf = LinearChainCrf(9, legal_start=start, legal_step=step, legal_end=end)
        self.post_init()

    def _init_weights(self, module):
        super()._init_weights(module)
        if isinstance(module, LinearChainCrf):
            module.reset_parameters()


def test_built_on_the_meta_device_it_is_filled_by_reset_parameters():
    start, step, end = (table.tolist() for table in NER.transitions())
    with torch.device("meta"):
        crf = LinearChainCrf(9, legal_start=start, legal_step=step, legal_end=end)
    crf = crf.to_empty(device="cpu")
    for tensor in crf.state_dict().values():
        tensor.fill_(7)
    crf.reset_parameters()
    assert all((parameter == 0).all() for parameter in crf.parameters())
    assert [crf.legal_start.tolist(), crf.legal_step.tolist(), crf.legal_end.tolist()] == [start, step, end]


@pytest.mark.parametrize("missing", ["nothing", "crf.transitions", "crf.legal_step", "crf."])
def test_from_pretrained_keeps_what_it_loads_and_sets_what_is_missing(missing, tmp_path):
    model = TinyCrfModel(TinyConfig())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    model.crf.legal_end.fill_(True)  # not what the table says: the checkpoint counts
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith(missing)}
    model.save_pretrained(tmp_path, state_dict=dict(weights))  # it empties what it is given
    loaded = TinyCrfModel.from_pretrained(tmp_path).state_dict()
    fresh = TinyCrfModel(TinyConfig()).state_dict()
    for name, value in loaded.items():
        assert value.equal(weights.get(name, fresh[name])), name
