"""One contract for every tagger from scratch: each encoder, each head, each way for words to come in."""

import json
from pathlib import Path

import pytest
import torch
from recipe_runs import pipeline_says, record, run_here, run_recipe, weights
from run_configs import run_config
from safetensors.torch import load_file, save_file
from tiny_models import tiny_bert, tiny_roberta
from transformers import AutoTokenizer

from hf_tagging import Tagger, TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.batching import WindowCollator
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.models import build_baseline
from hf_tagging.models.baseline import parts_of
from hf_tagging.models.word_tokenizer import describe_tokenizer

ENCODERS = ("mlp", "cnn", "rnn", "lstm", "gru", "twisted", "transformer", "hmm")
NEURAL = ENCODERS[:-1]
SMALL = {
    "word_size": 6, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "intermediate_size": 8, "character_size": 4,
    "character_filters": 2, "character_widths": [1, 2, 3], "character_hidden_size": 3, "feature_size": 3,
}  # fmt: skip
INPUTS = {
    "words": {},
    "characters": {"parts": {"characters": "cnn", "word_shape": True}},
    "character_lstm": {"parts": {"characters": "lstm"}, "vocabulary": {"lowercase": True, "min_count": 2}},
    "subwords": {"words": "tiny", "parts": {"characters": "cnn"}},
}
FAMILY = [(e, h, w) for e in NEURAL for h in ("linear", "crf") for w in INPUTS] + [("hmm", "linear", "words")]
TEXT = "Jordan Xyzzyfold will book 3,000 tables in Zürich ."


@pytest.fixture(scope="module")
def sample():
    return load_tagging_dataset("sample", task="ner")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> str:
    return str(tiny_bert(tmp_path_factory.mktemp("tokenizer"), lowercase=False))


def built(sample, encoder, head="linear", words="words", tokenizer=None, **parts):
    """A member of the family with random weights, in evaluation mode."""
    torch.manual_seed(0)
    options = INPUTS[words]
    parts = {**SMALL, **options.get("parts", {}), "encoder": encoder, "head": head, **parts}
    source = tokenizer if options.get("words") else "vocabulary"
    schema = TagSchema.detect(sample, task="ner")
    model, tokens = build_baseline(
        sample, schema, words=source, parts=parts, given=parts, vocabulary=options.get("vocabulary")
    )
    return model.eval(), tokens


def batch_of(sample, tokenizer, rows, sentences="validation"):
    aligned = align_dataset(sample, tokenizer, TagSchema.detect(sample, task="ner"))[sentences]
    return WindowCollator(tokenizer.pad_token_id)([aligned.features[i] for i in rows])


def starts(batch):
    """Where a word is scored. (batch, subwords)"""
    return batch["labels"] != -100


@pytest.mark.parametrize(("encoder", "head", "words"), FAMILY)
def test_contract(sample, tokenizer, tmp_path, encoder, head, words):
    model, tokens = built(sample, encoder, head, words, tokenizer)
    fit(model, sample, tokens)
    batch = batch_of(sample, tokens, range(6))
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        logits = model(**inputs).logits
    assert logits.shape == (*batch["input_ids"].shape, len(model.config.id2label))
    assert logits.isfinite().all()

    scored = starts(batch)
    with torch.no_grad():
        turned = model(**{name: value.flip(0) for name, value in inputs.items()}).logits.flip(0)
        wider = model(
            input_ids=torch.nn.functional.pad(inputs["input_ids"], (0, 7), value=tokens.pad_token_id),
            attention_mask=torch.nn.functional.pad(inputs["attention_mask"], (0, 7)),
        ).logits[:, : logits.shape[1]]
        length = int(inputs["attention_mask"][2].sum())
        alone = model(**{name: value[2:3, :length] for name, value in inputs.items()}).logits
    torch.testing.assert_close(turned[scored], logits[scored], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(wider[scored], logits[scored], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alone[0][scored[2, :length]], logits[2][scored[2]], atol=1e-5, rtol=1e-5)

    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name
    with torch.no_grad():
        # Not bit-equal: the weights are, but where they lie in memory decides which kernel multiplies them.
        torch.testing.assert_close(loaded(**inputs).logits, logits, atol=1e-6, rtol=1e-6)


def fit(model, sample, tokens):
    """Counts an HMM; anything else is left as it was drawn."""
    if hasattr(model, "fit"):
        model.fit([batch_of(sample, tokens, range(len(sample["train"])), sentences="train")])


@pytest.mark.parametrize(("encoder", "head", "words"), [x for x in FAMILY if x[0] != "hmm"])
def test_gradient_reaches_every_parameter(sample, tokenizer, encoder, head, words):
    parts = {"dropout": 0.0, "context": 1} if encoder == "mlp" else {"dropout": 0.0}
    model, tokens = built(sample, encoder, head, words, tokenizer, **parts)
    batch = batch_of(sample, tokens, range(40), sentences="train")
    model.train()(**batch).loss.backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []


@pytest.mark.parametrize("encoder", NEURAL)
def test_an_incomplete_checkpoint_is_filled_soundly(sample, tmp_path, encoder):
    model, tokens = built(sample, encoder, "crf", "characters")
    batch = batch_of(sample, tokens, range(3))
    fresh, _ = built(sample, encoder, "crf", "characters")
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    names = sorted(state)
    for dropped in (names[::2], names[1::2]):
        kept = {name: value for name, value in state.items() if name not in dropped}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path)
        for name, value in loaded.state_dict().items():
            assert value.float().isfinite().all(), name
            assert value.float().abs().max() <= max(fresh.state_dict()[name].float().abs().max(), 1.0) * 3, name
            if name in kept:
                assert torch.equal(value, kept[name]), name
            elif value.dim() == 2 and value.is_floating_point() and not name.startswith("crf."):
                assert value.std() > 0.3 * fresh.state_dict()[name].std(), name  # drawn, and not left at nothing
            if name.startswith("crf.legal"):
                assert torch.equal(value, fresh.state_dict()[name]), name
        assert loaded(**batch).loss.isfinite()


@pytest.mark.parametrize(("head", "encoder"), [("linear", "lstm"), ("crf", "gru"), ("linear", "hmm")])
def test_the_loss_is_a_sum_that_may_be_divided_later(sample, head, encoder):
    model, tokens = built(sample, encoder, head)
    fit(model, sample, tokens)
    both, first, second = (batch_of(sample, tokens, rows) for rows in ((0, 1, 2, 3), (0, 1), (2, 3)))
    count = int(starts(both).sum())
    apart = model(**first, num_items_in_batch=count).loss + model(**second, num_items_in_batch=count).loss
    torch.testing.assert_close(apart, model(**both).loss)


@pytest.fixture(scope="module")
def folders(sample, tokenizer, tmp_path_factory) -> dict[str, Path]:
    """A saved tagger of every kind, each with tags that differ from word to word."""
    saved = {}
    for encoder in ENCODERS:
        for words in ("characters", "subwords") if encoder in ("lstm", "transformer") else ("characters",):
            name = "-".join((encoder, words))
            head = "crf" if encoder in ("lstm", "cnn") else "linear"
            model, tokens = built(sample, encoder, head, "words" if encoder == "hmm" else words, tokenizer)
            fit(model, sample, tokens)
            if encoder != "hmm":
                with torch.no_grad():
                    model.classifier.weight.mul_(20)
            saved[name] = tmp_path_factory.mktemp("saved") / name
            model.save_pretrained(saved[name])
            tokens.save_pretrained(saved[name])
    return saved


@pytest.mark.slow
@pytest.mark.parametrize("package", [True, False], ids=["with", "without"])
def test_a_fresh_process_tags_as_tagger_does(folders, tmp_path, package):
    said = pipeline_says(folders.values(), TEXT, "", "  ", package=package, scratch=tmp_path)
    words = TEXT.split()
    begins = [TEXT.index(word) for word in words]
    different = 0
    for folder in folders.values():
        tagged = Tagger.from_pretrained(folder).tag_with_scores(words)
        subwords, *nothing = said[folder]
        assert nothing == [[], []]
        at = {start: (tag, score) for start, tag, score in subwords}
        for begin, (tag, score) in zip(begins, tagged, strict=True):
            assert at[begin][0] == tag, (folder.name, TEXT[begin:])
            assert at[begin][1] == pytest.approx(score, abs=2e-4)
        different += len({tag for tag, _ in tagged}) > 1
    assert different >= len(folders) - 1


def test_characters_of_an_unseen_word_count(sample):
    model, tokens = built(sample, "mlp", "linear", "characters")
    tagger = Tagger(model, tokens)
    seen = [tagger.label([[word]])[0].scores[0] for word in ("Xyzzyfold", "quuxing", "QUUX-7", "Xyzzyfolk")]
    assert len(set(seen)) == 4
    model, tokens = built(sample, "mlp", "linear", "words")
    tagger = Tagger(model, tokens)
    assert len({tagger.label([[word]])[0].scores[0] for word in ("Xyzzyfold", "quuxing", "QUUX-7")}) == 1


def test_character_cnn_reads_words_of_like_length_together(sample):
    model, _ = built(sample, "mlp", "linear", "characters")
    cnn = model.baseline.words.characters
    lengths = torch.randint(0, 20, (150,))  # three blocks; a spelling can be empty
    spelled = torch.randint(2, 30, (150, 20)).masked_fill(torch.arange(20) >= lengths[:, None], 0)
    whole = cnn._maxima(spelled, *cnn._joined_filters())
    in_blocks = cnn._filtered(spelled)
    torch.testing.assert_close(in_blocks, whole, rtol=0, atol=1e-6)
    weights = torch.randn_like(whole)
    gradients = [torch.autograd.grad((found * weights).sum(), cnn.filters[2].weight) for found in (in_blocks, whole)]
    torch.testing.assert_close(*gradients)


def test_tags_do_not_depend_on_the_size_of_batches(sample):
    model, tokens = built(sample, "lstm", "crf", "characters")
    torch.nn.init.normal_(model.crf.transitions)
    sentences = list(sample["validation"]["tokens"])
    assert Tagger(model, tokens, device="cpu").tokens_per_batch == 2048
    found = [Tagger(model, tokens, device="cpu", tokens_per_batch=n).tag(sentences) for n in (16, 512, 2048)]
    assert found[0] == found[1] == found[2]
    assert len({tag for tags in found[0] for tag in tags}) > 1


def test_lower_cased_words_share_a_vector_and_keep_their_characters(sample):
    options = {"vocabulary": {"lowercase": True}}
    schema = TagSchema.detect(sample, task="ner")
    plain, tokens = build_baseline(sample, schema, parts=SMALL | {"encoder": "mlp"}, **options)
    tag = Tagger(plain.eval(), tokens)
    assert tag.label([["The"]])[0].scores[0] == tag.label([["the"]])[0].scores[0] == tag.label([["THE"]])[0].scores[0]
    spelled, tokens = build_baseline(
        sample, schema, parts=SMALL | {"encoder": "mlp", "characters": "cnn", "word_shape": True}, **options
    )
    tag = Tagger(spelled.eval(), tokens)
    assert len({tag.label([[word]])[0].scores[0] for word in ("The", "the", "THE")}) == 3


@pytest.mark.parametrize("encoder", NEURAL)
def test_onnx_or_a_clear_refusal(sample, encoder):
    model, tokens = built(sample, encoder, "linear", "characters")
    batch = batch_of(sample, tokens, range(4))
    inputs = (batch["input_ids"], batch["attention_mask"])
    batches, subwords = torch.export.Dim("batch", min=2, max=64), torch.export.Dim("subwords", min=2, max=512)
    shapes = {"input_ids": {0: batches, 1: subwords}, "attention_mask": {0: batches, 1: subwords}}
    kinds = dict(zip(("input_ids", "attention_mask"), inputs, strict=True))
    if encoder in ("rnn", "lstm", "gru", "twisted"):
        with pytest.raises(Exception, match="cannot be exported"):
            torch.export.export(model, (), kinds, dynamic_shapes=shapes, strict=False)
        return
    program = torch.export.export(model, (), kinds, dynamic_shapes=shapes, strict=False).module()
    other = batch_of(sample, tokens, range(9))
    scored = starts(other)
    with torch.no_grad():
        expected = model(input_ids=other["input_ids"], attention_mask=other["attention_mask"]).logits
        found = program(input_ids=other["input_ids"], attention_mask=other["attention_mask"]).logits
    torch.testing.assert_close(found[scored], expected[scored], atol=1e-5, rtol=1e-5)


def test_further_columns_enter_as_vectors_and_are_missed_where_they_lack(tmp_path, caplog):
    train = tmp_path / "train.conll"
    lines = [f"word{i % 7} {'ab'[i % 2]} {'XY'[i % 2]}" for i in range(60)]
    blocks = ["\n".join(lines[i : i + 6]) for i in range(0, 60, 6)]
    train.write_text("\n\n".join(blocks) + "\n")
    dataset = load_tagging_dataset(train, task="pos", tokens_column=0, tags_column=2, word_features=["1"])
    schema = TagSchema.detect(dataset, task="pos")
    model, tokens = build_baseline(
        dataset, schema, parts=SMALL | {"encoder": "mlp", "dropout": 0.0, "feature_dropout": 0.0}, word_features=["1"]
    )
    assert model.config.word_features == {"1": ["a", "b"]}
    aligned = align_dataset(dataset, tokens, schema, word_features=model.config.word_features)["train"]
    batch = WindowCollator(tokens.pad_token_id)([aligned.features[0]])
    assert batch["word_features"][0, :, 0].tolist() == [1, 2, 1, 2, 1, 2]
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    model.train()
    for _ in range(60):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
    hidden = model(**batch | {"word_features": batch["word_features"] * 0}).loss
    assert hidden > 2 * loss
    Tagger(model, tokens)
    assert "trained with the columns 1" in caplog.text


def test_frozen_vectors_stay_frozen_when_loaded(sample, tmp_path):
    model, _ = built(sample, "mlp", freeze_vectors=True)
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    frozen = [name for name, parameter in loaded.named_parameters() if not parameter.requires_grad]
    assert frozen == ["baseline.words.vectors.weight"]


def test_the_parts_of_a_model_are_told_as_arguments_name_them(sample, tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 2 3\nbook 4 5 6\n")
    model, _ = build_baseline(
        sample,
        TagSchema.detect(sample, task="ner"),
        parts=SMALL | {"encoder": "mlp"},
        vocabulary={"lowercase": True, "min_count": 2},
        word_vectors=str(tmp_path / "vectors.txt"),
    )
    parts = parts_of(model.config)
    names = ("encoder", "word_size", "hidden_size", "lowercase", "min_count", "word_features")
    assert [parts[name] for name in names] == ["mlp", 3, 8, True, 2, None]  # 3 is what the file has, whatever was asked


def test_every_part_draws_its_own_weights(sample):
    model, _ = built(sample, "lstm", "linear", "characters")
    highway = model.baseline.words.characters.highways[0]
    assert highway.bias.tolist() == [0.0] * 12 + [-2.0] * 12
    assert model.baseline.words.vectors.weight[0].tolist() == [0.0] * SMALL["word_size"]
    assert model.classifier.weight.std() > 0.1  # Xavier, where Transformers' own default would be 0.02


# What a person may get wrong.


def test_flags_that_would_do_nothing_are_errors():
    with pytest.raises(ConfigError) as caught:
        run_config(
            "pos",
            [
                "--encoder",
                "lstm",
                "--kernel_size",
                "5",
                "--character_widths",
                "3",
                "--freeze_vectors",
                "true",
                "--vector_words",
                "9",
            ],
            kind="scratch",
        )
    message = str(caught.value)
    assert "4 problems" in message
    assert "kernel_size: goes with encoder cnn, not lstm" in message
    assert "character_widths: goes with characters cnn, not none" in message
    assert "freeze_vectors: needs --word_vectors FILE" in message
    assert "vector_words: needs --word_vectors FILE" in message
    with pytest.raises(ConfigError, match="hidden_size: an hmm has no use for it"):
        run_config("pos", ["--encoder", "hmm", "--hidden_size", "5"], kind="scratch")
    with pytest.raises(ConfigError, match="did you mean lstm"):
        run_config("pos", ["--encoder", "lstn"], kind="scratch")


def test_a_vocabulary_needs_training_words(sample):
    del (rest := sample.copy())["train"]
    with pytest.raises(DataError, match="takes its words from a training split"):
        build_baseline(type(sample)(rest), TagSchema.detect(sample, task="ner"), parts=SMALL)


def test_a_folder_to_start_from_has_to_agree(sample, folders, tokenizer):
    schema = TagSchema.detect(sample, task="ner")
    start = str(folders["lstm-characters"])
    model, _ = build_baseline(sample, schema, model=start, parts=SMALL | {"dropout": 0.1}, given=["dropout"])
    assert model.config.dropout == 0.1
    assert torch.equal(model.crf.transitions, weights(Path(start))["crf.transitions"])
    with pytest.raises(ConfigError, match=r"hidden_size: is 8 there, and 16 was asked for"):
        build_baseline(sample, schema, model=start, parts=SMALL | {"hidden_size": 16}, given=["hidden_size"])
    with pytest.raises(ConfigError, match=r"fold_digits: is None there, and True was asked for"):
        build_baseline(sample, schema, model=start, vocabulary={"fold_digits": True}, given=["fold_digits"])
    with pytest.raises(ConfigError, match=r"head: is 'crf' there"):
        build_baseline(sample, schema, model=start, parts={"head": "linear"}, given=["head"], keep_head=True)
    counted, _ = build_baseline(
        sample,
        schema,
        model=str(folders["hmm-characters"]),
        parts={"encoder": "hmm"},
        given=["encoder"],
        keep_head=True,
    )
    assert torch.equal(counted.emissions, weights(folders["hmm-characters"])["emissions"])
    with pytest.raises(ModelError, match="is a bert, not a tagger from scratch"):
        build_baseline(sample, schema, model=tokenizer, parts=SMALL)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--encoder twisted --num_layers 5", "num_layers: goes with encoder mlp or cnn"),
        ("--feature_size 5", "feature_size: needs --word_shape true"),
        ("--encoder hmm --learning_rate 0.1", "learning_rate: an hmm is counted"),
        ("--encoder hmm --ema_decay 0.9", "ema_decay: an hmm is counted"),
        ("--encoder hmm --tokens_per_batch 512", "tokens_per_batch: an hmm is counted"),
        ("--layerwise_lr_decay 0.9", "layerwise_lr_decay: is for pretrained encoders"),
        ("--model . --word_vectors .", "word_vectors: the model has its words already"),
        ("--word_vectors nowhere/vectors.txt", "word_vectors: nowhere/vectors.txt is not there"),
        ("--words nowhere/tokenizer/", "words: nowhere/tokenizer/ is not there"),
        ("--encoder transformer --hidden_size 10 --positions rotary", "hidden_size: 10 is no multiple of 8"),
    ],
)
def test_contradictions_are_told_before_anything_is_loaded(flags, message):
    with pytest.raises(ConfigError) as caught:
        run_config("ner", flags.split(), kind="scratch")
    assert message in str(caught.value)


def test_windows_longer_than_512_have_learned_positions(sample):
    model, _ = build_baseline(
        sample,
        TagSchema.detect(sample, task="ner"),
        parts=SMALL | {"encoder": "transformer", "positions": "learned"},
        max_length=600,
    )
    assert model(torch.full((1, 600), 5)).logits.shape[:2] == (1, 600)


def test_a_tokenizer_whose_first_id_is_a_word(sample, tmp_path):
    folder = tiny_roberta(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    vocabulary = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]
    assert vocabulary["<s>"] == 0  # special, so its row may be the one that never learns
    found = describe_tokenizer(tokenizer)
    assert found.vector_of_id[:3].tolist() == [0, 1, 2]
    tokenizer.add_special_tokens({"bos_token": "<pad>", "cls_token": "<pad>"})
    shifted = describe_tokenizer(tokenizer)
    assert shifted.vector_of_id[:3].tolist() == [2, 3, 4]
    assert len(shifted.row_words) == len(shifted.row_counts) == len(found.row_words) + 2


# The recipes.


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["lstm", "hmm"])
def test_recipe(tmp_path, encoder):
    flags = ["--encoder", encoder, "--dataset", "sample", "--output_dir", tmp_path / "run"]
    if encoder != "hmm":
        flags += ["--characters", "cnn", "--num_train_epochs", "12", "--hidden_size", "32", "--dropout", "0.2",
                  "--per_device_train_batch_size", "8", "--learning_rate", "5e-3"]  # fmt: skip
    done = run_recipe("pos_baseline", *flags)
    assert "accuracy" in done.stdout
    found = record(tmp_path / "run")
    assert found["status"] == "finished"
    assert found["results"]["validation"]["accuracy"] > 0.75
    tagger = Tagger.from_pretrained(tmp_path / "run")
    read = load_tagging_dataset("sample", task="pos")["test"]
    tags = [tag for sentence in tagger.tag(read["tokens"]) for tag in sentence]
    names = read.features["tags"].feature.names
    gold = [names[i] for sentence in read["tags"] for i in sentence]
    right = sum(a == b for a, b in zip(tags, gold, strict=True)) / len(gold)
    assert right == pytest.approx(found["results"]["test"]["accuracy"], abs=1e-6)


@pytest.mark.slow
def test_the_card_has_the_size_of_the_vectors_in_the_file(tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1 2 3\nbook 4 5 6\n")
    flags = ("--dataset", "sample", "--hidden_size", 8, "--max_steps", 1, "--use_cpu")
    run_here("pos_baseline", *flags, "--word_vectors", tmp_path / "vectors.txt", "--output_dir", tmp_path / "run")
    assert record(tmp_path / "run")["arguments"]["word_size"] == 100
    assert record(tmp_path / "run")["parts"]["word_size"] == 3
    assert "| `word_size` | 3 |" in (tmp_path / "run" / "README.md").read_text()
    run_here("pos_baseline", "--model", tmp_path / "run", "--dataset", "sample", "--max_steps", 1, "--use_cpu",
             "--output_dir", tmp_path / "again")  # fmt: skip
    card = (tmp_path / "again" / "README.md").read_text()
    assert "| `word_size` | 3 |" in card
    assert "| `hidden_size` | 8 |" in card


@pytest.mark.slow
def test_accumulated_batches_and_processes_are_one_batch(tmp_path):
    text = "--dataset sample --max_train_samples 64 --max_eval_samples 4 --head crf --hidden_size 8 --dropout 0"
    flags = f"{text} --word_dropout 0 --max_steps 4 --eval_strategy no --use_cpu --bf16 false".split()
    runs = {
        "one": (["--per_device_train_batch_size", "8"], 1),
        "accumulated": (["--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "4"], 1),
        "processes": (["--per_device_train_batch_size", "4"], 2),
    }
    found = {}
    for name, (more, processes) in runs.items():
        run_recipe("ner_baseline", *flags, *more, "--output_dir", tmp_path / name, processes=processes)
        found[name] = weights(tmp_path / name)
    for name in ("accumulated", "processes"):
        for key, value in found["one"].items():
            torch.testing.assert_close(found[name][key], value, atol=2e-4, rtol=2e-3, msg=f"{name}: {key}")
