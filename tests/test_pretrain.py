"""Language models: what is hidden, what each direction may see, that they learn, and that taggers start from them."""

import time

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from recipe_runs import ROOT, record, run_here, run_recipe, start_recipe, weights
from safetensors.torch import load_file, save_file
from tiny_models import tiny_bert
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

from hf_tagging import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.data.masking import LanguageModelCollator, Predictable
from hf_tagging.data.plain_text import NO_TAGS, load_text, without_tags
from hf_tagging.data.text import split_words
from hf_tagging.errors import ConfigError, DataError, ModelError
from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.language_model import build_language_model, find_objective
from hf_tagging.training.config.pretraining import PretrainingConfig

SMALL = {"word_size": 8, "hidden_size": 8, "num_layers": 2, "num_heads": 2, "intermediate_size": 8, "dropout": 0.0}
RECURRENT = ("rnn", "lstm", "gru")
MASK, A, B, C, REST = 2, 3, 4, 5, 6  # of a vocabulary of words, after padding and unknown; then subwords that spell


@pytest.fixture(scope="module")
def sample():
    return without_tags(load_tagging_dataset("sample", task="pos"))


def corpus(sentences) -> DatasetDict:
    rows = {"tokens": sentences, "tags": [[0] * len(words) for words in sentences]}
    return DatasetDict(train=Dataset.from_dict(rows))


def built(dataset, encoder, objective="auto", **parts):
    torch.manual_seed(0)
    parts = {**SMALL, "encoder": encoder, **parts}
    return build_language_model(dataset, parts=parts, given=parts, objective=objective)


def windows_of(dataset, found, rows=None):
    train = DatasetDict(train=dataset["train"] if rows is None else dataset["train"].select(rows))
    return align_dataset(train, found.tokenizer, NO_TAGS, label_strategy="all")["train"].features.to_list()


def batch_of(dataset, found, rows=None):
    return found.collator(windows_of(dataset, found, rows))


def words_only(objective="masked", **options):
    """A vocabulary of words: three of them known, one id that spells, of which it may have several in a row."""
    kinds = np.array([0, 1, 1, 1, 1, 1, 1, 2], np.int8)
    targets = np.array([-100, -100, -100, A, B, C, -100, -100])
    return LanguageModelCollator(objective, Predictable(kinds, targets, 0, MASK, whole=True, spells=True), **options)


def window(*ids, owned=None):
    labels = [0] * len(ids) if owned is None else [0 if mine else -100 for mine in owned]
    return {"input_ids": list(ids), "labels": labels}


def test_what_is_hidden():
    collator, rng = words_only(), np.random.default_rng(0)
    rows = [window(*rng.choice([A, B, C, 1, REST], 50), owned=[True] * 40 + [False] * 10) for _ in range(1000)]
    batch = collator(rows)
    ids = np.array([row["input_ids"] for row in rows])
    seen, labels = batch["input_ids"].numpy(), batch["labels"].numpy()[..., 0]
    chosen, known = labels != -100, np.isin(ids, [A, B, C]) & (np.arange(50) < 40)
    assert (labels[chosen] == ids[chosen]).all()
    assert not chosen[~known].any()
    assert (seen[~chosen] == ids[~chosen]).all()
    assert chosen.sum() / known.sum() == pytest.approx(0.15, abs=0.01)
    assert (seen[chosen] == MASK).mean() == pytest.approx(0.8, abs=0.02)
    # Of three words, a third of those drawn at random is the one that stood there.
    assert (seen[chosen] == ids[chosen]).mean() == pytest.approx(0.1 + 0.1 / 3, abs=0.02)
    assert set(seen[chosen]) == {MASK, A, B, C}


def test_other_shares():
    labels = words_only(share=0.5)([window(*[A] * 10_000)])["labels"]
    assert (labels != -100).double().mean().item() == pytest.approx(0.5, abs=0.02)


def subwords(**options):
    """[PAD] [UNK] [CLS] [SEP] [MASK], then a word, one more, and what continues words."""
    kinds = np.array([0, 1, 0, 0, 1, 1, 1, 2, 2], np.int8)
    targets = np.array([-100] * 5 + [5, 6, 7, 8])
    return LanguageModelCollator("masked", Predictable(kinds, targets, 0, 4, **options), share=0.5)


def test_all_subwords_of_a_word_share_its_fate():
    batch = subwords()([window(2, 5, 7, 8, 6, 7, 5, 3)] * 500)
    hidden = (batch["labels"] != -100).numpy()
    assert not hidden[:, [0, 7]].any()
    assert (hidden[:, 1] == hidden[:, 2]).all()
    assert (hidden[:, 1] == hidden[:, 3]).all()
    assert (hidden[:, 4] == hidden[:, 5]).all()
    assert (hidden[:, 1] != hidden[:, 4]).any()
    masked = (batch["input_ids"] == 4).numpy()
    assert (masked[:, 1] == masked[:, 3]).all()
    assert batch["labels"][hidden].tolist() == np.tile([2, 5, 7, 8, 6, 7, 5, 3], (500, 1))[hidden].tolist()


def test_a_word_that_is_predicted_whole_becomes_one_mask():
    rows = subwords(whole=True).examples([window(2, 5, 7, 8, 6, 3)] * 300, np.random.default_rng(0))
    kinds = {(tuple(row["input_ids"]), tuple(row["targets"][:, 0])) for row in rows}
    assert ((2, 4, 6, 3), (-100, 5, -100, -100)) in kinds
    assert ((2, 5, 7, 8, 4, 3), (-100, -100, -100, -100, 6, -100)) in kinds
    assert ((2, 4, 4, 3), (-100, 5, 6, -100)) in kinds
    assert ((2, 5, 7, 8, 6, 3), (-100, 5, -100, -100, -100, -100)) in kinds  # to be predicted, and left as it was


def test_neighbours_are_predicted():
    # A B C, an unknown word of two subwords, A; a window with the last three words its own.
    batch = words_only("bidirectional")([window(A, B, C, REST, 7, A), window(A, B, C, owned=[False, True, True])])
    ahead, back = batch["labels"].unbind(-1)
    assert ahead.tolist() == [[B, C, -100, A, -100, -100], [B, C, -100, -100, -100, -100]]
    assert back.tolist() == [[-100, A, B, C, -100, -100], [-100, -100, B, -100, -100, -100]]
    assert batch["input_ids"].tolist() == [[A, B, C, REST, 7, A], [A, B, C, 0, 0, 0]]
    assert words_only("bidirectional", directions=1)([window(A, B)])["labels"].tolist() == [[[B], [-100]]]


def test_chance_follows_from_seed_epoch_and_batch():
    collator, rows = words_only(share=0.5), [window(*[A, B, C] * 10), window(*[B] * 20)]
    first = collator(rows)["input_ids"]
    torch.rand(3)
    assert torch.equal(collator(rows)["input_ids"], first)
    collator.epoch = 1
    assert not torch.equal(collator(rows)["input_ids"], first)
    assert not torch.equal(words_only(share=0.5, seed=1)(rows)["input_ids"], first)


def test_what_is_evaluated_stays_the_same():
    collator, rows = words_only(share=0.5), [window(*[A, B, C] * length) for length in range(1, 9)]
    fixed = collator.fixed(Dataset.from_list(rows))
    collator.epoch = 3
    for size in (2, 8):
        batches = [collator(fixed[start : start + size]) for start in range(0, 8, size)]
        seen = [row[row > 0].tolist() for batch in batches for row in batch["input_ids"]]
        assert seen == [row["input_ids"].tolist() for row in fixed]


@pytest.mark.parametrize("encoder", RECURRENT)
def test_no_direction_sees_what_it_predicts(sample, encoder):
    found = built(sample, encoder, characters="cnn", word_shape=True)
    batch = batch_of(sample, found, [0])
    inputs = []
    found.model.baseline.words.register_forward_hook(lambda _, __, vectors: inputs.append(vectors))
    losses = found.model(**batch).losses[0]  # (words, predictions)
    for t in range(len(losses)):
        for direction, unseen in ((0, slice(t + 1, None)), (1, slice(None, t))):
            if losses[t, direction] == 0:
                continue  # nothing to predict beyond the edge
            gradient = torch.autograd.grad(losses[t, direction], inputs[0], retain_graph=True)[0][0].abs().sum(-1)
            assert gradient[unseen].sum() == 0
            assert gradient[t] > 0


@pytest.mark.parametrize("encoder", [*RECURRENT, "transformer", "cnn", "mlp"])
def test_loss_is_a_sum_that_may_be_divided_later(sample, encoder):
    found = built(sample, encoder, context=1, word_dropout=0.0)
    fixed = found.collator.fixed(Dataset.from_list(windows_of(sample, found, range(6))))
    both, first, second = (found.collator(rows) for rows in (fixed, fixed[:2], fixed[2:]))
    count = int((both["labels"] != -100).sum())
    apart = sum(found.model(**part, num_items_in_batch=count).loss for part in (first, second))
    torch.testing.assert_close(apart, found.model(**both).loss)
    assert found.model(**both).loss.item() == pytest.approx(np.log(found.model.config.num_vectors), rel=0.2)


def test_scores_of_words(sample):
    found = built(sample, "lstm")
    batch = batch_of(sample, found, [0, 1])
    labels = batch.pop("labels")
    found.model.eval()
    with torch.no_grad():
        scores = found.model(**batch).logits  # (batch, words, predictions, rows)
        losses = found.model(**batch, labels=labels).losses
    assert scores[..., 0].isneginf().all()
    at = labels != -100
    expected = -scores.log_softmax(-1)[at].gather(-1, labels[at][:, None])[:, 0]
    torch.testing.assert_close(losses[at], expected)


def test_a_batch_in_which_nothing_is_hidden_has_no_loss(sample):
    found = built(sample, "transformer")
    batch = batch_of(sample, found, [0])
    batch["labels"].fill_(-100)
    for count in (None, 0, torch.tensor(0)):
        loss = found.model(**batch, num_items_in_batch=count).loss
        loss.backward()
        assert loss.item() == 0
    assert all(p.grad is None or p.grad.isfinite().all() for p in found.model.parameters())


@pytest.mark.parametrize(
    ("encoder", "parts"),
    [("lstm", {}), ("gru", {"bidirectional": False}), ("transformer", {}), ("cnn", {}), ("mlp", {"context": 2})],
)
def test_they_learn(encoder, parts):
    """Words that follow each other in a circle: with one neighbour known, nothing is left to guess."""
    circle = [f"word{i}" for i in range(12)]
    data = corpus([[circle[(start + step) % 12] for step in range(10)] for start in range(12)] * 2)
    found = built(data, encoder, word_size=16, hidden_size=16, intermediate_size=32, word_dropout=0.0, **parts)
    optimizer = torch.optim.Adam(found.model.parameters(), lr=0.005)
    losses, windows = [], windows_of(data, found)
    for epoch in range(250):
        found.collator.epoch = epoch
        losses.append(found.model(**found.collator(windows)).loss)
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[0] > 2
    assert torch.stack(losses[-5:]).mean() < 0.5


def test_padding_stays_zero(sample):
    found = built(sample, "lstm")
    found.model(**batch_of(sample, found, range(4))).loss.backward()
    assert found.model.baseline.words.vectors.weight.grad[0].abs().sum() == 0
    assert found.model.baseline.words.vectors.weight.grad[3:].abs().sum() > 0


def test_word_dropout_leaves_masks_alone(sample):
    found = built(sample, "transformer", word_dropout=0.25)
    counts = found.model.baseline.words.row_counts
    assert counts[2] == counts.sum() / 2  # as frequent as all words together
    assert 0.25 / (0.25 + counts[2]) < 0.001


def test_each_word_is_predicted_once_however_long_the_sentence():
    words = [f"w{i % 50}" for i in range(300)]
    found = build_language_model(corpus([words]), parts={**SMALL, "encoder": "lstm"}, max_length=40)
    windows = windows_of(corpus([words]), found)
    assert len(windows) > 8
    batch = found.collator(windows)
    ahead, back = ((batch["labels"][..., i] != -100).sum().item() for i in (0, 1))
    assert (ahead, back) == (299, 299)


@pytest.mark.parametrize("encoder", ["lstm", "transformer"])
def test_a_tagger_starts_from_the_folder(sample, tmp_path, encoder):
    found = built(sample, encoder, characters="cnn", dropout=0.3)
    found.model.save_pretrained(tmp_path)
    found.tokenizer.save_pretrained(tmp_path)
    tagging = load_tagging_dataset("sample", task="pos")
    schema = TagSchema.detect(tagging, task="pos")
    tagger, tokenizer = build_baseline(tagging, schema, model=str(tmp_path), parts={}, given=())
    ours, theirs = found.model.state_dict(), tagger.state_dict()
    shared = ours.keys() & theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    new = {"classifier.weight", "classifier.bias"}
    if encoder == "lstm":  # a mix of the layers is what the tagger adds
        new |= {"baseline.encoder.mix.weights", "baseline.encoder.mix.gamma"}
    assert theirs.keys() - shared == new
    assert all(name.startswith(("maps.", "bias")) for name in ours.keys() - shared)
    assert tagger.config.num_labels == len(schema.tags)
    assert tokenizer("Jordan Xyzzy")["input_ids"] == found.tokenizer("Jordan Xyzzy")["input_ids"]


def test_going_on_with_a_folder(sample, tmp_path):
    found = built(sample, "lstm")
    found.model.save_pretrained(tmp_path)
    found.tokenizer.save_pretrained(tmp_path)
    again = build_language_model(sample, model=str(tmp_path), parts={"dropout": 0.2}, given={"dropout"})
    assert again.collator.objective == "bidirectional"
    assert again.model.config.dropout == 0.2
    assert all(torch.equal(v, again.model.state_dict()[n]) for n, v in found.model.state_dict().items())
    with pytest.raises(ConfigError, match="hidden_size: is 8 there, and 9 was asked for"):
        build_language_model(sample, model=str(tmp_path), parts={"hidden_size": 9}, given={"hidden_size"})
    with pytest.raises(ConfigError, match="objective: masked needs words that see both sides"):
        build_language_model(sample, model=str(tmp_path), objective="masked")


def test_going_on_with_a_tagger(sample, tmp_path):
    """Its directions see each other, so it learns from hidden words."""
    tagging = load_tagging_dataset("sample", task="ner")
    schema = TagSchema.detect(tagging, task="ner")
    parts = {**SMALL, "encoder": "lstm", "head": "crf", "layer_mix": True}
    tagger, tokenizer = build_baseline(tagging, schema, parts=parts, given=parts)
    tagger.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    found = build_language_model(sample, model=str(tmp_path))
    assert found.collator.objective == "masked"
    assert found.model.predictions == 1
    assert found.model.config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert found.model.config.legal_step is None
    vectors = found.model.baseline.words.vectors.weight
    assert torch.equal(vectors, tagger.baseline.words.vectors.weight)
    with pytest.raises(ConfigError, match="those of this model see each other"):
        build_language_model(sample, model=str(tmp_path), objective="bidirectional")


def test_an_incomplete_checkpoint_is_filled_soundly(sample, tmp_path):
    found = built(sample, "lstm")
    found.model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: value for name, value in state.items() if not name.startswith(("maps", "bias"))}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = AutoModelForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(loaded.bias, torch.zeros_like(loaded.bias))
    for layer in loaded.maps:
        assert 0 < layer.weight.abs().max() < 1
        assert layer.bias.abs().max() == 0
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in kept.items())


def test_an_encoder_goes_on(sample, tmp_path, caplog):
    folder = tiny_bert(tmp_path)  # a tagger: its head for words is new
    found = build_language_model(sample, model=str(folder))
    assert "no masked-language-modelling head: a new one is initialized (cls.predictions." in caplog.text
    assert found.model.config.num_labels == 2
    batch = batch_of(sample, found, range(20))
    hidden = batch["labels"] != -100
    special = torch.tensor(found.tokenizer.all_special_ids)
    assert not torch.isin(batch["labels"][hidden], special).any()
    assert found.model(**batch).loss.isfinite()
    found.model.save_pretrained(tmp_path / "again")
    found.tokenizer.save_pretrained(tmp_path / "again")
    caplog.clear()
    again = build_language_model(sample, model=str(tmp_path / "again"))
    assert caplog.text == ""
    assert all(torch.equal(v, again.model.state_dict()[n]) for n, v in found.model.state_dict().items())
    with pytest.raises(ConfigError, match=r"hidden_size: model=.* is a bert and has its own"):
        build_language_model(sample, model=str(folder), parts={"hidden_size": 9}, given={"hidden_size"})
    with pytest.raises(ConfigError, match="is a bert, which sees both sides"):
        build_language_model(sample, model=str(folder), objective="bidirectional")


def test_without_a_mask_nothing_can_be_hidden(sample, tmp_path):
    folder = tiny_bert(tmp_path)
    tokens = (folder / "tokenizer_config.json").read_text()
    (folder / "tokenizer_config.json").write_text(tokens.replace('"mask_token": "[MASK]"', '"mask_token": null'))
    with pytest.raises(ModelError, match="no mask token"):
        build_language_model(sample, model=str(folder))


@pytest.mark.parametrize(
    ("wanted", "facts", "found"),
    [
        ("auto", {"encoder": "lstm"}, "bidirectional"),
        ("auto", {"encoder": "lstm", "bidirectional": False}, "bidirectional"),
        ("auto", {"encoder": "lstm", "separate": False}, "masked"),
        ("auto", {"encoder": "gru", "separate": False, "bidirectional": False}, "bidirectional"),
        ("masked", {"encoder": "rnn"}, "masked"),
        ("masked", {"encoder": "twisted"}, "masked"),
        ("auto", {"encoder": "transformer"}, "masked"),
        ("auto", {"encoder": "mlp", "context": 1}, "masked"),
        ("auto", {"encoder": "mlp"}, "give context"),
        ("auto", {"encoder": "twisted"}, "directions of twisted cross"),
        ("auto", {"encoder": "hmm"}, "nothing to pretrain"),
        ("bidirectional", {"encoder": "cnn"}, "cnn has none"),
        ("bidirectional", {"encoder": "lstm", "separate": False}, "see each other"),
        ("masked", {"encoder": "lstm", "separate": True}, "see both sides"),
        ("masked", {"encoder": "lstm", "bidirectional": False}, "see both sides"),
    ],
)
def test_objective_follows_from_the_encoder(wanted, facts, found):
    if found in ("masked", "bidirectional"):
        assert find_objective(wanted, **facts) == found
    else:
        with pytest.raises(ConfigError, match=found):
            find_objective(wanted, **facts)


def test_all_mistakes_at_once():
    flags = ("--encoder=twisted", "--masked_share=2", "--head=crf", "--text_file=no.txt", "--dataset=x")
    with pytest.raises(ConfigError) as error:
        PretrainingConfig.from_command_line([*flags, "--learing_rate=3"])
    for line in (
        "--learing_rate: there is no such argument; did you mean --learning_rate?",
        "head: only taggers have a use for it",
        "encoder: the directions of twisted cross",
        "dataset: does not go with text_file",
        "text_file: no.txt is not there",
        "masked_share: 2.0 is not between 0 and 1",
    ):
        assert line in str(error.value)
    with pytest.raises(ConfigError, match="min_count: the model has its words already"):
        PretrainingConfig.from_command_line(["--model", "some/name", "--min_count", "2"])
    with pytest.raises(ConfigError, match="masked_share: goes with objective masked"):
        PretrainingConfig.from_command_line(["--masked_share", "0.2"])


def test_a_device_is_not_its_own_nearest_name():
    with pytest.raises(ConfigError) as error:
        PretrainingConfig.from_command_line(["--text_file=/dev/zero"])
    assert "text_file: /dev/zero is a device, not a file; give a file or a pipe\n" in str(error.value)


def test_defaults_follow_from_what_is_trained():
    new = PretrainingConfig.from_command_line([])
    old = PretrainingConfig.from_command_line(["--model", "google-bert/bert-base-cased"])
    assert (new.training.learning_rate, old.training.learning_rate) == (2e-3, 5e-5)
    assert (new.training.output_dir, old.training.output_dir) == (
        "runs/pretraining-lstm-conll2003-seed-42", "runs/pretraining-bert-base-cased-conll2003-seed-42",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["lstm_conll2003", "transformer_conll2003", "bert_base_text"])
def test_every_config_parses(name):
    path = ROOT / "recipes" / "configs" / "pretrain" / f"{name}.yaml"
    assert len(PretrainingConfig.from_command_line(["--config", str(path)]).given) > 5
    assert f"recipes/configs/pretrain/{name}.yaml" in path.read_text()  # its head shows how to run it


def test_a_file_is_checked_without_running_it(tmp_path, capsys):
    main(["validate", "pretrain", str(ROOT / "recipes/configs/pretrain/lstm_conll2003.yaml"), "--num_layers", "3"])
    assert "all right; the run would go to runs/pretraining-lstm-conll2003" in capsys.readouterr().out
    path = tmp_path / "run.yaml"
    path.write_text("encoder: lstm\nhead: crf\nmasked_shar: 0.2\n")
    with pytest.raises(SystemExit) as end:
        main(["validate", "pretrain", str(path)])
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert f"{path}, line 3: masked_shar: there is no such argument; did you mean masked_share?" in told
    assert "head: only taggers have a use for it; leave it out" in told


def test_text_is_split_into_words(tmp_path):
    file = tmp_path / "news.txt"
    file.write_bytes("\ufeffThe house isn't old.\n\n  \nZürich, 3,000 m.\n".encode() + b"caf\xe9\n")
    data = load_text([file], split_words)
    assert data["train"]["tokens"][:2] == [
        ["The", "house", "is", "n't", "old", "."],
        ["Zürich", ",", "3,000", "m", "."],
    ]
    assert len(data["train"]) == 3
    assert data["train"]["tags"][1] == [0] * 5
    held = load_text([file], split_words, validation_share=0.3)
    assert {name: len(split) for name, split in held.items()} == {"train": 2, "validation": 1}
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(DataError, match="there is no word in it"):
        load_text([tmp_path / "empty.txt"], split_words)


@pytest.mark.slow
def test_recipe_from_text_to_tagger(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("\n".join(["The old house stands in the street .", "A dog barks at the old house ."] * 30))
    out = tmp_path / "lm"
    flags = ("--text_file", text, "--encoder", "lstm", "--hidden_size", 16, "--num_layers", 2, "--word_size", 16,
             "--dropout", 0, "--learning_rate", 0.02, "--num_train_epochs", 15, "--tokens_per_batch", 128,
             "--use_cpu")  # fmt: skip
    done = run_recipe("pretrain", *flags, "--output_dir", out)
    results = record(out)["results"]["validation"]
    assert results["predictions"] == 3 * 14  # of 60 lines three are held out
    assert results["perplexity"] == pytest.approx(np.exp(results["loss"]))
    assert results["perplexity"] < 2.5  # of 13 words
    assert "over 42 predictions" in done.stdout
    done = run_recipe("pretrain", *flags, "--output_dir", out, check=False)
    assert "--resume" in done.stderr
    tagger = tmp_path / "tagger"
    run_here("pos_baseline", "--model", out, "--dataset", "sample", "--num_train_epochs", 1, "--output_dir", tagger)
    assert record(tagger)["status"] == "finished"


@pytest.mark.slow
def test_recipe_with_an_encoder(tmp_path):
    out, tagger = tmp_path / "lm", tmp_path / "tagger"
    run_here("pretrain", "--model", tiny_bert(tmp_path), "--dataset", "sample", "--num_train_epochs", 2,
             "--learning_rate", 0.01, "--output_dir", out, "--use_cpu")  # fmt: skip
    losses = [entry["loss"] for entry in record(out)["history"]]
    assert losses[1] < losses[0]
    assert isinstance(AutoModelForMaskedLM.from_pretrained(out), torch.nn.Module)
    run_here("pos_bert", "--model", out, "--dataset", "sample", "--max_steps", 1, "--output_dir", tagger)
    assert record(tagger)["status"] == "finished"


@pytest.mark.slow
def test_killed_and_resumed_is_bit_for_bit_unbroken(tmp_path):
    """In the middle of an epoch: what was hidden in the batches that were fetched ahead is hidden again."""
    flags = ("--dataset", "sample", "--encoder", "transformer", "--hidden_size", 16, "--num_train_epochs", 3,
             "--tokens_per_batch", 256, "--eval_strategy", "steps", "--eval_steps", 7, "--use_cpu")  # fmt: skip
    run_recipe("pretrain", *flags, "--output_dir", tmp_path / "unbroken")
    out = tmp_path / "killed"
    process = start_recipe("pretrain", *flags, "--output_dir", out)
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoint-35")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    assert record(out)["status"] == "running"
    run_recipe("pretrain", *flags, "--output_dir", out, "--resume")
    assert record(out)["resumed_from"] == "checkpoint-28"
    expected = weights(tmp_path / "unbroken")
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(out).items())
    assert record(out)["results"] == record(tmp_path / "unbroken")["results"]
