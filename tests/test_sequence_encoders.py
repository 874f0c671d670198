"""Sequence encoders: padding and neighbours in the batch never reach a word, whatever the encoder and its options."""

import types

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim
from transformers import initialization as init

from hf_tagging.models.configuration_baseline import BaselineConfig
from hf_tagging.models.sequence_encoders import ENCODERS, rotate
from hf_tagging.models.word_embeddings import CharacterCnn

SIZE = 6
SIZES = {
    "hidden_size": 8,
    "num_layers": 2,
    "dropout": 0.0,
    "bidirectional": True,
    "separate_directions": False,
    "layer_mix": False,
    "context": 1,
    "kernel_size": 3,
    "dilation": 2,
    "num_heads": 2,
    "intermediate_size": 12,
    "norm": "pre",
    "positions": "sinusoidal",
    "max_positions": 40,
}
VARIANTS = {
    **{name: (name, {}) for name in ENCODERS},
    "one layer": ("lstm", {"num_layers": 1}),
    "one direction": ("gru", {"bidirectional": False}),
    "one separate direction": ("rnn", {"bidirectional": False, "separate_directions": True}),
    "separate": ("lstm", {"separate_directions": True, "layer_mix": True}),
    "separate gru": ("gru", {"separate_directions": True, "num_layers": 3}),
    "each word alone": ("mlp", {"context": 0}),
    "wide": ("mlp", {"context": 4}),
    "dilated": ("cnn", {"num_layers": 4, "kernel_size": 5}),
    "not dilated": ("cnn", {"dilation": 1, "kernel_size": 1}),
    "post": ("transformer", {"norm": "post"}),
    "learned": ("transformer", {"positions": "learned"}),
    "rotary": ("transformer", {"positions": "rotary", "norm": "post"}),
    **{f"{name} mix": (name, {"layer_mix": True}) for name in ENCODERS},
}
EXPORTABLE = ["each word alone", "mlp mix", "dilated", "transformer", "learned", "rotary"]
RECURRENT = [name for name in ENCODERS if name not in ("mlp", "cnn", "transformer")]
every_variant = pytest.mark.parametrize("variant", VARIANTS)
both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def settings(**options):
    return types.SimpleNamespace(**{**SIZES, **options})


def build(name, **options):
    torch.manual_seed(0)
    return ENCODERS[name](settings(**options), SIZE)


def build_variant(variant, **options):
    name, own = VARIANTS[variant]
    return build(name, **{**own, **options})


def batch(lengths, width=None, fill=0.0, dtype=torch.float32):
    """Random words, the same at each call, of rows of these lengths, and something else at padding."""
    mask = torch.arange(width or max(lengths))[None] < torch.tensor(lengths)[:, None]
    vectors = torch.full((*mask.shape, SIZE), fill, dtype=dtype)
    vectors[mask] = torch.randn(sum(lengths), SIZE, generator=torch.Generator().manual_seed(0)).to(dtype)
    return vectors, mask


def assert_same(output, expected):
    """Equal but for rounding, of which layer normalisation makes most."""
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12 if expected.dtype == torch.float64 else 3e-6)


@every_variant
def test_shape_and_zeros_at_padding(variant):
    encoder = build_variant(variant)
    vectors, mask = batch([5, 0, 7, 1], width=9, fill=3.0)
    output = encoder(vectors, mask)
    assert output.shape == (4, 9, encoder.output_size)
    assert not output[~mask].any()
    assert output[mask].any(-1).all()


@every_variant
def test_needs_nothing_from_the_host_off_the_cpu(variant):
    with torch.device("meta"):
        output = build_variant(variant)(torch.empty(4, 9, SIZE), torch.ones(4, 9, dtype=torch.bool))
    assert output.shape[:2] == (4, 9)  # a value that is asked for raises on this device


def test_output_sizes():
    assert {name: build(name).output_size for name in ENCODERS} == {
        "mlp": 8,
        "cnn": 8,
        "rnn": 16,
        "lstm": 16,
        "gru": 16,
        "twisted": 16,
        "transformer": 8,
    }
    assert build("gru", bidirectional=False).output_size == 8


@every_variant
@both_precisions
def test_padding_and_what_stands_there_change_nothing(variant, dtype):
    encoder, lengths = build_variant(variant).to(dtype), [3, 11, 0, 1, 6, 6, 2]
    vectors, mask = batch(lengths, dtype=dtype)
    expected = encoder(vectors, mask)
    for width, fill in ((11, 100.0), (12, float("nan")), (29, -7.0)):
        output = encoder(*batch(lengths, width, fill=fill, dtype=dtype))
        assert_same(output[:, :11], expected)
    for row, length in enumerate(lengths):
        if length:
            alone = encoder(vectors[row : row + 1, :length], mask[row : row + 1, :length])
            assert_same(alone[0], expected[row, :length])


@every_variant
@both_precisions
def test_order_of_the_batch_changes_nothing(variant, dtype):
    encoder = build_variant(variant).to(dtype)
    vectors, mask = batch([4, 9, 2, 9, 1], dtype=dtype)
    order = torch.tensor([3, 0, 4, 2, 1])
    assert_same(encoder(vectors[order], mask[order]), encoder(vectors, mask)[order])


@every_variant
@pytest.mark.parametrize("lengths", [[0], [0, 0, 0], [1], [0, 1]])
def test_empty_rows_and_single_words(variant, lengths):
    encoder = build_variant(variant)
    vectors, mask = batch(lengths, width=2)
    output = encoder(vectors.requires_grad_(), mask)
    output.sum().backward()
    assert output.isfinite().all()
    assert not output[~mask].any()
    for tensor in (vectors, *encoder.parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all()


@every_variant
def test_gradient_reaches_every_parameter_and_no_padding(variant):
    encoder = build_variant(variant, dropout=0.1)
    vectors, mask = batch([5, 7, 1], width=8)
    (encoder(vectors.requires_grad_(), mask) ** 2 * torch.rand(encoder.output_size)).sum().backward()
    without = [name for name, parameter in encoder.named_parameters() if not parameter.grad.any()]
    assert without == []
    assert vectors.grad[mask].any(-1).all()
    assert not vectors.grad[~mask].any()


@every_variant
def test_dropout_is_for_training_alone(variant):
    encoder = build_variant(variant, dropout=0.5)
    vectors, mask = batch([5, 3])
    assert not torch.equal(encoder(vectors, mask), encoder(vectors, mask))
    encoder.eval()
    assert torch.equal(encoder(vectors, mask), encoder(vectors, mask))
    assert torch.equal(encoder(vectors, mask), build_variant(variant).eval()(vectors, mask))


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_dropout_hides_the_same_dimensions_at_all_words_of_a_sentence(name):
    encoder = build(name, dropout=0.5, hidden_size=40)
    hidden = encoder(*batch([6, 6, 6])) == 0  # (batch, words, size)
    assert torch.equal(hidden, hidden[:, :1].expand_as(hidden))
    assert 0.3 < hidden.float().mean() < 0.7
    assert not torch.equal(hidden[0], hidden[1])


@every_variant
def test_layers(variant):
    encoder = build_variant(variant)
    vectors, mask = batch([5, 0, 2], width=6)
    outputs = encoder.layers(vectors, mask)
    assert len(outputs) == encoder.num_layers
    assert all(output.shape == (3, 6, encoder.output_size) and not output[~mask].any() for output in outputs)
    if encoder.mix is None:
        assert torch.equal(encoder(vectors, mask), outputs[-1])
    else:
        torch.testing.assert_close(encoder(vectors, mask), torch.stack(outputs).mean(0))


def test_mix_of_layers_is_weighted_by_a_softmax_times_gamma():
    encoder = build("lstm", layer_mix=True)
    with torch.no_grad():
        encoder.mix.weights.copy_(torch.tensor([0.0, 3.0]).log1p())  # 1 to 4
        encoder.mix.gamma.fill_(10.0)
    words = batch([5, 2])
    lower, upper = encoder.layers(*words)
    torch.testing.assert_close(encoder(*words), 2 * lower + 8 * upper)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("separate", [True, False])
def test_separate_directions_see_one_side_of_a_word_in_every_layer(name, separate):
    encoder = build(name, separate_directions=separate, num_layers=3)
    vectors, mask = batch([7, 4])
    for layer in range(3):
        for half, unseen in ((slice(0, 8), slice(4, 7)), (slice(8, 16), slice(0, 3))):
            words = vectors.clone().requires_grad_()
            encoder.layers(words, mask)[layer][0, 3, half].sum().backward()
            assert words.grad[0, 3].any()
            assert words.grad[0, unseen].any() == (layer > 0 and not separate)


@pytest.mark.parametrize("lengths", [[6], [9, 9, 8, 7, 4, 3, 3, 1, 1]])
@pytest.mark.parametrize(("name", "peer"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_bidirectional_module_of_torch(name, peer, dtype, lengths):
    encoder = build(name).to(dtype)
    module = peer(SIZE, 8, num_layers=2, bidirectional=True, batch_first=True).to(dtype)
    weights = {}
    for suffix, units in (("", encoder.forward_units), ("_reverse", encoder.backward_units)):
        for layer, unit in enumerate(units):
            for key, value in unit.state_dict().items():
                weights[f"{key[:-1]}{layer}{suffix}"] = value
    module.load_state_dict(weights)
    vectors, mask = batch(lengths)
    packed = nn.utils.rnn.pack_padded_sequence(vectors.to(dtype), mask.sum(1), batch_first=True, enforce_sorted=False)
    expected = nn.utils.rnn.pad_packed_sequence(module(packed)[0], batch_first=True)[0]
    output = encoder(vectors.to(dtype), mask)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6 if dtype == torch.float32 else 1e-12)
    output.square().sum().backward()
    expected.square().sum().backward()
    for layer in range(2):
        ours = encoder.backward_units[layer].weight_hh_l0.grad
        torch.testing.assert_close(ours, getattr(module, f"weight_hh_l{layer}_reverse").grad)


def test_twisted_is_two_layers_whose_directions_cross():
    encoder = build("twisted").double()
    vectors, mask = batch([5, 3])
    vectors = vectors.double()
    output = encoder(vectors, mask)

    def run(unit, inputs):
        state, states = torch.zeros(8).double(), []
        for word in inputs:
            state = torch.tanh(unit.weight_ih_l0 @ word + unit.bias_ih_l0 + unit.weight_hh_l0 @ state + unit.bias_hh_l0)
            states.append(state)
        return states

    (f1, f2), (b1, b2) = encoder.forward_units, encoder.backward_units
    for row, length in ((0, 5), (1, 3)):
        words = list(vectors[row, :length])
        ahead, back = run(f1, words), run(b1, words[::-1])[::-1]
        upper_ahead, upper_back = run(f2, back), run(b2, ahead[::-1])[::-1]
        expected = torch.cat((torch.stack(upper_ahead), torch.stack(upper_back)), -1)
        torch.testing.assert_close(output[row, :length], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("option", "value"), [("bidirectional", False), ("separate_directions", True)])
def test_twisted_needs_both_directions_together(option, value):
    with pytest.raises(ValueError, match=f"{option}: {value} does not go with twisted"):
        build("twisted", **{option: value})


def sees(encoder, word, words=21):
    """Which words have an influence on this one."""
    vectors, mask = batch([words])
    (encoder(vectors.requires_grad_(), mask)[0, word] @ torch.arange(float(encoder.output_size))).backward()
    return vectors.grad[0].any(-1).nonzero().flatten().tolist()


def test_how_far_an_encoder_sees():
    assert sees(build("mlp", context=0), 10) == [10]
    assert sees(build("mlp", context=2), 10) == [8, 9, 10, 11, 12]
    assert sees(build("cnn", num_layers=2, dilation=1), 10) == [8, 9, 10, 11, 12]
    assert sees(build("cnn", num_layers=3, dilation=2), 10) == list(range(3, 18))
    assert sees(build("cnn", num_layers=2, dilation=4), 10) == [5, 6, 7, 9, 10, 11, 13, 14, 15]
    assert sees(build("lstm", bidirectional=False), 10) == list(range(11))
    assert sees(build("twisted"), 10) == list(range(21))
    assert sees(build("transformer"), 10) == list(range(21))


def test_cnn_equals_a_convolution():
    encoder = build("cnn", num_layers=1, kernel_size=3).double()
    vectors, mask = batch([9])
    hidden = encoder.project(vectors.double())
    kernel = encoder.filters[0].weight.unflatten(-1, (3, 8)).transpose(1, 2)  # (out, in, words)
    found = nn.functional.conv1d(hidden.transpose(1, 2), kernel, padding=1).transpose(1, 2)
    expected = nn.functional.layer_norm(hidden + nn.functional.gelu(found), (8,))
    torch.testing.assert_close(encoder(vectors.double(), mask), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_transformer_equals_the_layer_of_torch(norm):
    encoder = build("transformer", norm=norm, positions="learned", num_layers=1).double()
    with torch.no_grad():
        encoder.position_vectors.zero_()
    peer = nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    block = encoder.blocks[0]
    ours = (block.qkv, block.out, block.up, block.down, block.attention_norm, block.feed_norm)
    theirs = ("self_attn.in_proj_", "self_attn.out_proj.", "linear1.", "linear2.", "norm1.", "norm2.")
    state = {
        name + kind: getattr(module, kind)
        for module, name in zip(ours, theirs, strict=True)
        for kind in ("weight", "bias")
    }
    with torch.no_grad():
        for tensor in state.values():
            tensor.add_(torch.randn_like(tensor), alpha=0.3)
    peer.load_state_dict(state)
    vectors, mask = batch([5, 8, 1])
    hidden = peer(encoder.project(vectors.double()), src_key_padding_mask=~mask)
    torch.testing.assert_close(encoder(vectors.double(), mask)[mask], encoder.norm(hidden)[mask], rtol=0, atol=1e-12)


def test_rotary_scores_depend_on_the_distance_alone():
    size, words = 10, 12
    angles = torch.arange(words).double()[:, None] * torch.rand(size // 2).double()
    waves = (angles.sin(), angles.cos())
    query, key = torch.randn(size).double(), torch.randn(size).double()
    turned = [rotate(vector.expand(words, size), waves) for vector in (query, key)]
    scores = turned[0] @ turned[1].T  # (words, words)
    for distance in range(-words + 1, words):
        diagonal = scores.diagonal(distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert scores[0, 0].item() == pytest.approx((query @ key).item())
    assert not torch.allclose(scores[0], scores[0, 0].expand(words))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_positions_tell_equal_words_in_another_order(positions):
    encoder = build("transformer", positions=positions, num_layers=2)
    vectors, mask = batch([3])
    swapped = vectors[:, [0, 2, 1]]
    assert not torch.allclose(encoder(vectors, mask)[0, 0], encoder(swapped, mask)[0, 0], atol=1e-5)


def test_learned_positions_end():
    encoder = build("transformer", positions="learned", max_positions=4)
    encoder(*batch([4, 2]))
    with pytest.raises(ValueError, match="A sentence of 5 words is longer than the 4 learned positions; raise max_pos"):
        encoder(*batch([2, 5]))
    for positions in ("sinusoidal", "rotary"):
        build("transformer", positions=positions, max_positions=4)(*batch([60]))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"num_layers": 0}, "num_layers: 0 is less than 1"),
        ("mlp", {"context": -1}, "context: -1 is less than 0"),
        ("cnn", {"kernel_size": 4}, "kernel_size: 4 is even"),
        ("cnn", {"dilation": 0}, "dilation: 0 is less than 1"),
        ("lstm", {"hidden_size": 0}, "hidden_size: 0 is less than 1"),
        ("transformer", {"norm": "middle"}, "norm: 'middle' is not one of pre, post"),
        ("transformer", {"positions": "absolute"}, "'absolute' is not one of sinusoidal, learned, rotary"),
        ("transformer", {"num_heads": 3}, "hidden_size: 8 is not a multiple of num_heads 3"),
        ("transformer", {"hidden_size": 9, "num_heads": 3}, "hidden_size: 9 is odd"),
        ("transformer", {"num_heads": 8, "positions": "rotary"}, "8 by num_heads 8 is odd; rotary"),
    ],
)
def test_settings_that_cannot_be(name, options, message):
    with pytest.raises(ValueError, match=message):
        build(name, **options)


def test_draws_of_recurrent_units():
    (unit,) = build("lstm", num_layers=1, bidirectional=False).forward_units
    for gate in unit.weight_hh_l0.split(8):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), rtol=0, atol=1e-5)
    bound = (6 / (8 + SIZE)) ** 0.5
    assert 0.8 * bound < unit.weight_ih_l0.abs().max() <= bound
    assert unit.bias_ih_l0.tolist() == [0.0] * 8 + [1.0] * 8 + [0.0] * 16
    assert not unit.bias_hh_l0.any()
    assert not any(unit.bias_ih_l0.any() for unit in build("gru").forward_units)


@every_variant
def test_every_parameter_is_drawn_and_what_was_loaded_stays(variant):
    with torch.device("meta"):
        encoder = build_variant(variant)
    encoder.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.fill_(float("nan"))
    encoder.reset_parameters()
    assert all(parameter.isfinite().all() for parameter in encoder.parameters())
    for number, parameter in enumerate(encoder.parameters()):
        init.constant_(parameter, 7.0)
        parameter._is_hf_initialized = number % 2 == 0
    encoder.reset_parameters()
    for number, parameter in enumerate(encoder.parameters()):
        assert (parameter == 7).all() == (number % 2 == 0)


@every_variant
def test_bfloat16_autocast(variant):
    encoder = build_variant(variant)
    vectors, mask = batch([5, 9, 0, 3, 2])
    expected = encoder(vectors, mask)
    with torch.autocast("cpu", torch.bfloat16):
        output = encoder(vectors, mask)
    output.float().square().sum().backward()
    torch.testing.assert_close(output.float(), expected, rtol=0, atol=0.1)


@pytest.mark.parametrize("variant", EXPORTABLE)
def test_exports_with_any_batch_and_length(variant):
    encoder = build_variant(variant).eval()
    shapes = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    program = torch.export.export(encoder, batch([4, 6, 3]), dynamic_shapes=(shapes, shapes))
    for lengths in ([9, 0, 2, 5, 1], [2, 3]):
        words = batch(lengths)
        torch.testing.assert_close(program.module()(*words), encoder(*words), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_encoders_refuse_export(name):
    with pytest.raises(NotImplementedError, match=r"cannot be exported to ONNX: .* use mlp, cnn or transformer"):
        torch.export.export(build(name).eval(), batch([4, 6, 3]))


def test_character_filters_in_one_matrix_are_the_convolutions():
    """Width 1, 2 and 4 on words of 1, 3 and 5 characters, each filter ending where the word does."""
    config = BaselineConfig(characters="cnn", character_widths=[1, 2, 4], character_filters=3, highway_layers=0,
                            character_size=6, num_characters=20)  # fmt: skip
    cnn = CharacterCnn(config)
    cnn.embedding.reset_parameters()
    cnn.reset_parameters()
    spelled = torch.tensor([[4, 0, 0, 0, 0], [5, 6, 7, 0, 0], [9, 8, 7, 6, 5]])
    vectors, lengths = cnn.embedding(spelled)
    expected = []
    for word, length in zip(vectors, lengths.tolist(), strict=True):
        found = []
        for layer, width in zip(cnn.filters, cnn.widths, strict=True):
            inside = F.pad(word.T[None, :, :length], (0, width - 1))
            found.append(layer(inside).amax(2)[0])
        expected.append(torch.relu(torch.cat(found)))
    torch.testing.assert_close(cnn(spelled), torch.stack(expected), atol=1e-6, rtol=1e-5)
