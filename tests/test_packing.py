"""Packing: every window once, in rows of one shape, with the logits and gradients that it has by itself."""

import copy
import heapq
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TAGS, tiny_bert, tiny_modernbert, tiny_roberta
from torch._dynamo.testing import CompileCounter
from torch.utils.data import DataLoader
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, BertConfig
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, flash_attention_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.bert.modeling_bert import BertForTokenClassification

from hf_tagging import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.batching import WindowCollator, WindowRows
from hf_tagging.data.packing import PackedRows, PackingCollator, _emptiest_first
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.models import add_lora, build_baseline, load_encoder
from hf_tagging.models.packing import PACKABLE, PACKING_PAYS, first_position, pack_model, packable, window_bounds
from hf_tagging.models.sequence_encoders import TransformerEncoder
from hf_tagging.training.losses import word_loss

SCHEMA = TagSchema(TAGS, "IOB2")
LENGTHS = (40, 3, 17, 9, 26, 5, 30, 12)  # of windows; ModernBERT's local layers see 8 to each side
ROW, ROWS = 64, 3
SMALL = {
    "word_size": 6, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "intermediate_size": 8, "character_size": 4,
    "character_filters": 2, "character_widths": [1, 2, 3], "feature_size": 3, "max_positions": 64,
}  # fmt: skip


def like_conll2003(count=14_000, seed=0):
    """Lengths with the mean and the spread of CoNLL-2003's."""
    return np.clip(np.random.default_rng(seed).gamma(2.2, 8.2, count).astype(int) + 3, 3, 164)


# Which windows share a batch.


def test_four_windows_in_rows_of_eight():
    """6 + 2 and 5 + 3 fill two rows; one more subword needs a third."""
    batches = PackedRows([5, 2, 6, 3], row_length=8, rows_per_batch=2)
    assert len(batches) == 1
    assert batches.real_share == 1
    (batch,) = batches
    assert sorted(map(sorted, (batch[:2], batch[2:]))) == [[0, 3], [1, 2]]
    assert len(PackedRows([5, 2, 6, 3, 1], row_length=8, rows_per_batch=1)) == 3


@pytest.mark.parametrize(("lengths", "rows"), [([300] * 10, 10), ([256] * 10, 5), ([512] * 3 + [1] * 512, 4), ([7], 1)])
def test_rows_that_are_needed(lengths, rows):
    assert len(PackedRows(lengths, row_length=512, rows_per_batch=1)) == rows


@given(
    lengths=st.lists(st.integers(1, 60), min_size=8, max_size=300),
    row_length=st.integers(60, 200),
    rows_per_batch=st.integers(1, 5),
    shares=st.integers(1, 4),
    epoch=st.integers(0, 3),
)
@settings(max_examples=300, deadline=None)
def test_every_window_once_in_every_epoch_and_every_batch_fits(lengths, row_length, rows_per_batch, shares, epoch):
    rows = {"row_length": row_length, "rows_per_batch": rows_per_batch * shares, "seed": 1}
    batches, steps = PackedRows(lengths, **rows, shares=shares), PackedRows(lengths, **rows)
    for sampler in (batches, steps):
        sampler.set_epoch(epoch)
    drawn = list(batches)
    assert len(drawn) == len(batches) == len(steps) * shares
    assert all(drawn) or len(lengths) < len(batches) * rows_per_batch
    # The windows of a step are the same, into how many shares it is cut.
    joined = [[i for share in drawn[n : n + shares] for i in share] for n in range(0, len(drawn), shares)]
    assert joined == list(steps)
    assert sorted(i for batch in drawn for i in batch) == list(range(len(lengths)))
    collate = PackingCollator(row_length=row_length, rows_per_batch=rows_per_batch, pad_token_id=0)
    for batch in filter(None, drawn):
        packed = collate([{"input_ids": [i + 1] * lengths[i]} for i in batch])
        assert packed["input_ids"].shape == (rows_per_batch, row_length)
        assert sorted(packed["input_ids"].unique().tolist()) in (found := [i + 1 for i in sorted(batch)], [0, *found])


@given(lengths=st.lists(st.integers(1, 30), max_size=200), rows=st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_many_at_once_go_where_each_would_go_in_turn(lengths, rows):
    heap = [0] * rows
    for length in lengths:
        heapq.heapreplace(heap, heap[0] + length)
    chosen, loads = _emptiest_first(np.array(lengths, dtype=np.int64), rows)
    assert sorted(loads) == sorted(heap)
    assert np.bincount(chosen, lengths, minlength=rows).tolist() == loads.tolist()


@pytest.mark.parametrize(("row_length", "rows", "shares"), [(512, 1, 1), (512, 2, 8), (512, 16, 1), (256, 4, 1)])
def test_little_padding(row_length, rows, shares):
    batches = PackedRows(like_conll2003(), row_length=row_length, rows_per_batch=rows * shares, shares=shares)
    assert batches.real_share > 0.95


@pytest.mark.real
def test_little_padding_on_conll2003(real_data, tmp_path):
    dataset = load_tagging_dataset(real_data / "conll2003", task="ner")
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path, max_length=512))
    aligned = align_dataset(dataset, tokenizer, TagSchema.detect(dataset, task="ner"))
    lengths = [len(ids) for ids in aligned["train"].features["input_ids"]]
    assert PackedRows(lengths, row_length=512, rows_per_batch=2).real_share > 0.95


def test_batches_are_drawn_anew_and_the_same_for_one_seed_and_epoch():
    lengths = like_conll2003(3000)
    one, same, other = (PackedRows(lengths, row_length=512, rows_per_batch=2, seed=seed) for seed in (1, 1, 2))
    assert list(one) == list(same) != list(other)
    first = [set(batch) for batch in one]
    one.set_epoch(1)
    assert list(one) != list(same)
    # What shared a batch is spread over all: of two windows of a batch hardly any are together again.
    again = [len(set(batch) & earlier) for batch in one for earlier in first]
    assert max(again) < 0.3 * len(first[0])
    words = [len(batch) for batch in one]  # each batch has windows of all lengths
    assert max(words) < 1.5 * min(words)
    assert not hasattr(one, "batch_size")


def test_where_only_one_way_fits_the_order_of_the_batches_is_drawn():
    batches = PackedRows([70, 10, 60, 20, 50, 30], row_length=80, rows_per_batch=1)
    assert batches.real_share == 1
    orders = set()
    for epoch in range(20):
        batches.set_epoch(epoch)
        assert sorted(map(sorted, batches)) == [[0, 1], [2, 3], [4, 5]]
        orders.add(tuple(batch[0] for batch in batches))
    assert len(orders) > 3


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([3, 9], {"row_length": 8}, r"row_length: 8 is less than the longest window, 9 subwords\. .* max_length=8"),
        ([3, 5], {"shares": 0}, r"shares: 0 is less than 1"),
        ([], {}, "0 windows are too few"),
        ([3], {"rows_per_batch": 0}, r"rows_per_batch: 0 is less than 1"),
    ],
)
def test_sizes_that_cannot_be(lengths, options, message):
    with pytest.raises(ConfigError, match=message):
        PackedRows(lengths, **{"row_length": 8, "rows_per_batch": 1, **options})


# How they become rows.


def test_three_windows_in_two_rows():
    windows = [
        {"input_ids": [11, 12, 13], "labels": [-100, 5, -100], "word_features": [0, 0, 7, 8, 0, 0]},
        {"input_ids": [21, 22], "labels": [6, 7], "word_features": [1, 2, 3, 4]},
        {"input_ids": [31, 32], "labels": [8, -100], "word_features": [5, 6, 0, 0]},
    ]
    batch = PackingCollator(row_length=6, rows_per_batch=2, pad_token_id=9, first_position=2)(windows)
    assert {name: values.tolist() for name, values in batch.items()} == {
        "input_ids": [[11, 12, 13, 21, 22, 9], [31, 32, 9, 9, 9, 9]],
        "position_ids": [[2, 3, 4, 2, 3, 2], [2, 3, 2, 2, 2, 2]],
        "sequence_ids": [[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]],
        "labels": [[-100, 5, -100, 6, 7, -100], [8, -100, -100, -100, -100, -100]],
        "word_features": [
            [[0, 0], [7, 8], [0, 0], [1, 2], [3, 4], [0, 0]],
            [[5, 6], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]],
        ],
    }


@pytest.mark.parametrize("lengths", [[6, 6, 1], [7], [4, 3, 3, 3]])
def test_windows_that_do_not_fit(lengths):
    collate = PackingCollator(row_length=6, rows_per_batch=2, pad_token_id=0)
    with pytest.raises(ValueError, match="do not fit into 2 rows of 6: pack batches that PackedRows gives"):
        collate([{"input_ids": [1] * length} for length in lengths])


# Models, window by window and in rows.


def random_windows(model, lengths=LENGTHS):
    """Windows of random subwords, none of them padding, and labels at some."""
    draw = torch.Generator().manual_seed(1)
    ids = [torch.randint(5, model.config.vocab_size, (length,), generator=draw) for length in lengths]
    labels = [torch.randint(-1, len(TAGS), (length,), generator=draw) for length in lengths]
    return [
        {"input_ids": i.numpy(), "labels": torch.where(j < 0, -100, j).numpy()}
        for i, j in zip(ids, labels, strict=True)
    ]


def pack(model, windows, rows=ROWS, row_length=ROW):
    collate = PackingCollator(
        row_length=row_length,
        rows_per_batch=rows,
        pad_token_id=model.config.pad_token_id,
        first_position=first_position(model),
    )
    return collate(windows)


def without(batch, name):
    return {key: values for key, values in batch.items() if key != name}


def logits_of_windows(model, batch):
    """Logits of a packed or padded batch at its real subwords, window by window."""
    logits = model(**without(batch, "labels")).logits
    real = (batch["sequence_ids"] if "sequence_ids" in batch else batch["attention_mask"]) > 0
    if hasattr(model, "baseline"):  # beside a word it has the logits of any
        real &= model.baseline.words.tables.subword_kind[batch["input_ids"]] > 0
    return logits[real]


def assert_packed_is_alone(model, windows, rows=ROWS, row_length=ROW):
    """The logits to 1e-5, and the gradients of `word_loss`, are those of every window in a padded batch of its own."""
    pack_model(model)
    batch = pack(model, windows, rows, row_length)
    packed = logits_of_windows(model, batch)
    alone = [WindowCollator(model.config.pad_token_id)([window]) for window in windows]
    expected = torch.cat([logits_of_windows(model, window) for window in alone])
    torch.testing.assert_close(packed, expected, rtol=0, atol=1e-5)
    assert expected.std(0).min() > 0.01  # what is compared is not all the same
    scored = int((batch["labels"] != -100).sum())
    losses, gradients = [], []
    for batches in ([batch], alone):
        model.zero_grad()
        total = 0.0
        for one in batches:
            loss = word_loss(model(**without(one, "labels")), one["labels"], scored)
            loss.backward()
            total += loss.item()
        losses.append(total)
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        scale = gradients[1][name].abs().max().item()
        torch.testing.assert_close(gradient, gradients[1][name], rtol=0, atol=1e-5 * max(scale, 1), msg=name)


def tiny(model_type, **options):
    """A tagger of this type with random weights that are large enough for tags to differ."""
    config = AutoConfig.for_model(
        model_type,
        **{
            "vocab_size": 60,
            "hidden_size": 32,
            "embedding_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "max_position_embeddings": 66,
            "pad_token_id": 1,
            "cls_token_id": 0,
            "sep_token_id": 2,
            "bos_token_id": 0,
            "eos_token_id": 2,
            "initializer_range": 0.1,
            "num_labels": len(TAGS),
            **({"local_attention": 16} if model_type == "modernbert" else {}),
        },
    )
    torch.manual_seed(0)
    return AutoModelForTokenClassification.from_config(config, **options).eval()


@pytest.mark.parametrize("model_type", PACKABLE)
def test_packed_is_alone(model_type):
    model = tiny(model_type)
    assert_packed_is_alone(model, random_windows(model))


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "modernbert"])
def test_packed_is_alone_with_eager_attention(model_type):
    model = tiny(model_type, attn_implementation="eager")
    assert_packed_is_alone(model, random_windows(model))


def test_modernbert_sees_further_than_its_local_window():
    """Were the local mask not kept, or kept for all layers, the comparison above would hold less than it says."""
    model = tiny("modernbert")
    assert set(model.config.layer_types) == {"full_attention", "sliding_attention"}
    assert max(LENGTHS) > model.config.local_attention
    masks = []
    model.model.layers[1].register_forward_pre_hook(
        lambda module, args, kwargs: masks.append(kwargs["attention_mask"]), with_kwargs=True
    )
    pack_model(model)
    logits_of_windows(model, pack(model, random_windows(model)))
    (mask,) = masks
    assert mask.shape == (ROWS, 1, ROW, ROW)
    assert mask[0, 0, 20].nonzero().flatten().tolist() == list(range(12, 29))  # of the window of 40
    assert mask[0, 0, 41].nonzero().flatten().tolist() == [40, 41, 42]  # of the window of 3 behind it


@pytest.mark.parametrize("build", [tiny_bert, tiny_roberta, tiny_modernbert])
def test_the_sample_in_rows(build, tmp_path):
    """From the loader to the loss, with a real tokenizer, as a trainer puts it together."""
    data = load_tagging_dataset("sample", task="ner")
    schema = TagSchema.detect(data, task="ner")
    model, tokenizer = load_encoder(str(build(tmp_path)), schema)
    model.eval()
    features = align_dataset(data, tokenizer, schema)["validation"].features
    lengths = [len(ids) for ids in features["input_ids"]]
    batches = PackedRows(lengths, row_length=ROW, rows_per_batch=4)
    collate = PackingCollator(
        row_length=ROW, rows_per_batch=4, pad_token_id=tokenizer.pad_token_id, first_position=first_position(model)
    )
    pack_model(model)
    loader = DataLoader(WindowRows(features), batch_sampler=batches, collate_fn=collate)
    scored = sum(label != -100 for row in features["labels"] for label in row)
    with torch.no_grad():
        packed = sum(word_loss(model(**without(batch, "labels")), batch["labels"], scored) for batch in loader)
        padded = WindowCollator(tokenizer.pad_token_id)(list(features))
        expected = word_loss(model(**without(padded, "labels")), padded["labels"])
    assert packed.item() == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize(("model_type", "first"), [("bert", 0), ("roberta", 2), ("distilbert", 0), ("modernbert", 0)])
def test_first_positions(model_type, first):
    assert first_position(tiny(model_type)) == first


def test_adapters_are_packed_too(tmp_path):
    model, _ = load_encoder(str(tiny_bert(tmp_path)), SCHEMA)
    adapted = add_lora(model, rank=2, dropout=0.0).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    assert_packed_is_alone(adapted, random_windows(adapted))


def test_what_is_not_packed_stays_as_it_was_and_the_hook_comes_off():
    model = tiny("bert")
    batch = WindowCollator(1)(random_windows(model))
    expected = logits_of_windows(model, batch)
    handle = pack_model(model)
    assert torch.equal(logits_of_windows(model, batch), expected)
    packed = pack(model, random_windows(model))
    with pytest.raises(ValueError, match="sequence_ids replace attention_mask and need position_ids"):
        model(input_ids=packed["input_ids"], sequence_ids=packed["sequence_ids"])
    handle.remove()
    assert not copy.deepcopy(model)._forward_pre_hooks
    assert torch.equal(logits_of_windows(model, batch), expected)


def test_neither_padding_nor_an_empty_row_is_no_number():
    model = tiny("bert")
    pack_model(model)
    batch = pack(model, random_windows(model, [5]))
    logits = model(**without(batch, "labels")).logits
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_a_compiled_model_is_compiled_once(model_type):
    torch._dynamo.reset()
    model = tiny(model_type)
    pack_model(model)
    counter, graphs = CompileCounter(), []
    compiled = torch.compile(model, backend=counter, fullgraph=True)
    for lengths in (LENGTHS, (60, 50), (9,) * 15):
        batch = pack(model, random_windows(model, lengths))
        torch.testing.assert_close(logits_of_windows(compiled, batch), logits_of_windows(model, batch))
        graphs.append(counter.frame_count)
    assert graphs == [2, 2, 2]  # one that makes the mask, one of the model


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "modernbert"])
def test_flex_attention(model_type):
    """Without gradients: on a CPU it has none (torch 2.13)."""
    model = tiny(model_type, attn_implementation="flex_attention")
    pack_model(model)
    windows = random_windows(model)
    with torch.no_grad():
        packed = logits_of_windows(model, pack(model, windows, row_length=128, rows=2))
        model.set_attn_implementation("sdpa")
        alone = torch.cat([logits_of_windows(model, WindowCollator(1)([window])) for window in windows])
    torch.testing.assert_close(packed, alone, rtol=0, atol=1e-5)


def test_bounds_of_windows():
    bounds = window_bounds(torch.tensor([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 3, 3]]))
    assert bounds["cu_seq_lens_q"].tolist() == bounds["cu_seq_lens_k"].tolist() == [0, 3, 5, 6, 7, 10, 12]
    assert bounds["cu_seq_lens_q"].dtype == torch.int32  # as the kernel wants it
    assert bounds["max_length_q"] == bounds["max_length_k"] == 6


@pytest.fixture
def flash_by_hand():
    """Attention over the bounds that flash attention is given, one window after the other, in plain PyTorch.

    It stands in for the kernel, which needs a GPU: what is tested is that the bounds get to every layer.
    """
    name = "flash_by_hand"

    def attend(module, query, key, value, attention_mask, scaling=None, sliding_window=None, **kwargs):
        assert attention_mask is None
        bounds, found = kwargs["cu_seq_lens_q"].tolist(), []
        query, key, value = (x.transpose(1, 2).flatten(0, 1) for x in (query, key, value))  # (subwords, heads, size)
        for begin, end in pairwise(bounds):
            q, k, v = (x[begin:end].transpose(0, 1) for x in (query, key, value))
            scores = q @ k.transpose(1, 2) * scaling
            if sliding_window is not None:  # one more than the distance, as the library hands it to the kernel
                steps = torch.arange(end - begin)
                far = (steps[:, None] - steps).abs() > sliding_window - 1
                scores = scores.masked_fill(far, -torch.inf)
            found.append((scores.softmax(-1) @ v).transpose(0, 1))
        return torch.cat(found).unflatten(0, (-1, ROW)), None

    ALL_ATTENTION_FUNCTIONS.register(name, attend)
    ALL_MASK_ATTENTION_FUNCTIONS.register(name, flash_attention_mask)
    yield name
    del ALL_ATTENTION_FUNCTIONS._global_mapping[name], ALL_MASK_ATTENTION_FUNCTIONS._global_mapping[name]


@pytest.mark.parametrize("model_type", ["bert", "roberta", "distilbert", "modernbert"])
def test_flash_attention_is_told_where_windows_begin(model_type, flash_by_hand):
    model = tiny(model_type)
    windows = random_windows(model)
    alone = torch.cat([logits_of_windows(model, WindowCollator(1)([window])) for window in windows])
    model.config._attn_implementation = flash_by_hand
    pack_model(model)
    torch.testing.assert_close(logits_of_windows(model, pack(model, windows)), alone, rtol=0, atol=1e-5)


# Taggers from scratch.


@pytest.fixture(scope="module")
def sample():
    return load_tagging_dataset("sample", task="ner")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("tokenizer"), lowercase=False))


def scratch(sample, source="vocabulary", **parts):
    """A tagger from scratch with random weights, and windows of the sample."""
    torch.manual_seed(0)
    parts = {**SMALL, "encoder": "transformer", **parts}
    schema = TagSchema.detect(sample, task="ner")
    model, tokens = build_baseline(sample, schema, words=source, parts=parts, given=parts)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.5)
    return model.eval(), list(align_dataset(sample, tokens, schema)["validation"].features.select(range(12)))


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_a_scratch_transformer_packed_is_alone(sample, positions, norm):
    model, windows = scratch(sample, positions=positions, norm=norm)
    assert_packed_is_alone(model, windows, rows=8)


@pytest.mark.parametrize("parts", [{}, {"layer_mix": True, "word_shape": True}, {"word_pooling": "mean"}])
def test_a_scratch_transformer_over_subwords_packed_is_alone(sample, tokenizer, parts):
    model, windows = scratch(sample, tokenizer, characters="cnn", **parts)
    assert_packed_is_alone(model, windows, rows=8, row_length=128)


def test_the_loss_of_a_scratch_transformer_by_its_own_labels(sample):
    model, windows = scratch(sample)
    packed = model(**pack(model, windows, rows=8)).loss
    padded = model(**WindowCollator(model.config.pad_token_id)(windows)).loss
    torch.testing.assert_close(packed, padded, rtol=0, atol=1e-5)


def test_learned_positions_end_in_a_packed_row_too(sample):
    model, windows = scratch(sample, positions="learned", max_positions=4)
    with pytest.raises(ValueError, match=r"A sentence of \d+ words is longer than the 4 learned positions"):
        model(**pack(model, windows, rows=8))


def test_a_compiled_scratch_encoder_is_compiled_once():
    torch._dynamo.reset()
    parts = {"positions": "learned", "norm": "pre", "dropout": 0.0, "layer_mix": False}
    config = type("Sizes", (), SMALL | parts)
    encoder = TransformerEncoder(config, 6).eval()
    counter = CompileCounter()
    compiled = torch.compile(encoder, backend=counter, fullgraph=True)
    for ids in ([1, 1, 2, 2, 2, 0], [1, 2, 3, 3, 4, 5]):
        sequence_ids = torch.tensor([ids])
        arguments = (torch.randn(1, 6, 6), sequence_ids > 0, sequence_ids)
        torch.testing.assert_close(compiled(*arguments), encoder(*arguments))
    assert counter.frame_count == 1


# What cannot be packed.


@pytest.mark.parametrize("encoder", ["mlp", "cnn", "rnn", "lstm", "gru", "twisted"])
def test_encoders_that_read_a_row_as_one_sentence_are_refused(sample, encoder):
    model, windows = scratch(sample, encoder=encoder)
    with pytest.raises(ModelError, match=rf"the {encoder} encoder of this tagging-baseline .* tokens_per_batch"):
        packable(model)
    with pytest.raises(ValueError, match=f"encoder {encoder} reads a row as one sentence"):
        model(**pack(model, windows, rows=8))


def test_crf_heads_are_refused(sample, tmp_path):
    model, windows = scratch(sample, head="crf")
    with pytest.raises(ModelError, match=r"the chain of tags \(CRF\) of this tagging-baseline .* tokens_per_batch"):
        packable(model)
    with pytest.raises(ValueError, match="a CRF reads a row as one sentence"):
        model(**pack(model, windows, rows=8))
    model, _ = load_encoder(str(tiny_bert(tmp_path)), SCHEMA, head="crf")
    with pytest.raises(ModelError, match=r"the chain of tags \(CRF\) of this crf-encoder .* tokens_per_batch"):
        pack_model(model)


def test_other_models_are_refused(sample):
    with pytest.raises(ModelError, match=r"a mobilebert is not among the models .* tokens_per_batch"):
        packable(tiny("mobilebert"))
    hmm, _ = build_baseline(
        sample, TagSchema.detect(sample, task="ner"), words="vocabulary", parts={"encoder": "hmm"}, given={}
    )
    with pytest.raises(ModelError, match=r"of this tagging-hmm runs through a row .* tokens_per_batch"):
        packable(hmm)
    with pytest.raises(ModelError, match="Linear is no model of Transformers"):
        packable(torch.nn.Linear(2, 2))


def test_code_and_attention_of_its_own_are_refused():
    class BertWithAlibi(BertForTokenClassification):
        pass

    config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4)
    with pytest.raises(ModelError, match="BertWithAlibi is called a bert, but its code is its own"):
        packable(BertWithAlibi(config))
    model = tiny("bert")
    model.config._attn_implementation = "paged"
    with pytest.raises(ModelError, match="attn_implementation paged is not eager, sdpa, flex_attention or flash"):
        packable(model)
    model = tiny("bert")
    model.config.is_decoder = True
    with pytest.raises(ModelError, match="this bert is a decoder"):
        packable(model)


def test_where_packing_pays():
    """Nothing packs by default before it has been measured to pay."""
    assert PACKING_PAYS == {"cpu": False, "cuda": False}
