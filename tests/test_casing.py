"""Case markers and case dropout: what the tokenizer writes, what models learn from it, and who reads it alike."""

import json

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, List
from recipe_runs import pipeline_says, record, run_here
from tiny_models import TAGS, tiny_bert, tiny_encoders, tiny_roberta
from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

from hf_tagging import Tagger, TaggingConfig, TaggingTrainer, TagSchema, align_dataset, load_encoder
from hf_tagging.data.aligned import without_marked_labels
from hf_tagging.data.alignment import Aligner
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.case_dropout import drop_case
from hf_tagging.data.casing import CAPITAL, CAPITALS, is_uncased, marker_ids, with_case_markers
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.inference.export import export_tagger
from hf_tagging.training.saving import save_adapters

SCHEMA = TagSchema(TAGS, "IOB2")
STRATEGIES = ("simple", "first", "average", "max")
KINDS = ("bert", "distilbert", "mpnet", "electra", "albert")


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return tiny_encoders(tmp_path_factory.mktemp("encoders"))


@pytest.fixture(scope="module")
def tokenizer(encoders):
    return with_case_markers(AutoTokenizer.from_pretrained(encoders["bert"]))


def pieces(tokenizer, text):
    """Subwords with the part of the text that they stand for."""
    encoding = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    return [(token, text[start:end]) for token, (start, end) in zip(encoding.tokens, encoding.offsets, strict=True)]


def marked(tokenizer, text):
    """The words of a text, as markers tell them."""
    text = tokenizer.backend_tokenizer.normalizer.normalize_str(text)
    return " ".join(text.split())


# What the tokenizer writes.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Maria waved to nobody", "⇧ maria waved to nobody"),
        ("NATO and the UN", "⇑ nato and the ⇑ un"),
        ("I", "⇧ i"),
        ("iPhone eBay McDonald", "iphone ebay ⇧ mcdonald"),
        ("U.S. B2B A1", "⇧ u. ⇧ s. ⇑ b2b ⇧ a1"),
        ("NATO-led Anglo-French (Porto)", "⇑ nato-led ⇧ anglo- ⇧ french ( ⇧ porto)"),
        ("École ÉCOLE", "⇧ ecole ⇑ ecole"),
        ("E\u0301cole", "⇧ ecole"),
        ("Москва МОСКВА Ελλάδα", "⇧ москва ⇑ москва ⇧ ελλαδα"),
        ("ǅungla", "⇧ ǆungla"),
        ("東京Tokyo", "東 京 ⇧ tokyo"),
        ("\ud83d\ude00Porto".encode("utf-16", "surrogatepass").decode("utf-16"), "😀 ⇧ porto"),
        ("\u2764\ufe0fPorto, a\u0323\u0302\u0301B", "❤ ⇧ porto, ab"),  # the mark of an emoji is none of a letter
        ("ที่Bangkok", "ท ⇧ bangkok"),
        ("press ⇧ or ⇑", "press ↑ or ↑"),
        ("", ""),
        ("1,000 — ...", "1,000 — ..."),
    ],
)
def test_marks_words_by_their_casing(tokenizer, text, expected):
    assert marked(tokenizer, text) == expected


def test_a_marker_stands_where_its_capital_letter_does(tokenizer):
    found = pieces(tokenizer, "will Jordan book the LISBON table, nobody?")
    assert found[:7] == [
        ("will", "will"), (CAPITAL, "J"), ("jordan", "Jordan"), ("book", "book"), ("the", "the"), (CAPITALS, "L"),
        ("lisbon", "LISBON"),
    ]  # fmt: skip


def test_words_already_split_are_marked_as_in_running_text(tokenizer):
    words = ["Two", "old", "ships", "sailed", "past", "Porto", ";", "NOBODY", "waved", ",", "said", "Maria"]
    split = tokenizer.backend_tokenizer.encode(words, is_pretokenized=True)
    assert split.ids == tokenizer.backend_tokenizer.encode(" ".join(words)).ids
    assert split.tokens.count(CAPITAL) == 3
    assert split.tokens.count(CAPITALS) == 1
    # A marker belongs to the word behind it.
    at = split.tokens.index(CAPITALS)
    assert split.word_ids[at] == split.word_ids[at + 1] == words.index("NOBODY")


def test_text_without_capitals_costs_nothing(encoders, tokenizer):
    plain = AutoTokenizer.from_pretrained(encoders["bert"])
    for text in ("two old ships sailed past the harbour", "東京 に 行く", "1,000.50 metres!"):
        assert tokenizer(text)["input_ids"] == plain(text)["input_ids"]


def test_the_decoder_leaves_markers_out(tokenizer):
    ids = tokenizer("Maria waved to PORTO", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == "maria waved to porto"
    assert tokenizer.decode(ids[:1]) == ""
    for tokens in ([CAPITAL, "maria", "waved"], ["", "maria", "", "waved", ""]):  # as `pipeline` joins what it groups
        assert tokenizer.convert_tokens_to_string(tokens) == "maria waved"


def test_is_saved_as_an_ordinary_tokenizer(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "Maria waved to PORTO, NATO-led \u1e9eir"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.model_max_length == tokenizer.model_max_length
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert marker_ids(again).tolist() == marker_ids(tokenizer).tolist()
    assert with_case_markers(again) is again


def test_takes_unused_rows_where_the_vocabulary_has_some(encoders):
    tokenizer = AutoTokenizer.from_pretrained(encoders["bert"])
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    backend["model"]["vocab"]["[unused3]"] = backend["model"]["vocab"].pop("##z")
    backend["model"]["vocab"]["[unused7]"] = backend["model"]["vocab"].pop("##x")
    spare = type(tokenizer.backend_tokenizer).from_str(json.dumps(backend))
    tokenizer._tokenizer = spare
    marking = with_case_markers(tokenizer)
    assert len(marking) == len(tokenizer)
    assert sorted(marker_ids(marking)) == sorted(spare.token_to_id(f"[unused{i}]") for i in (3, 7))


def test_added_tokens_keep_their_ids(encoders):
    tokenizer = AutoTokenizer.from_pretrained(encoders["bert"])
    tokenizer.add_tokens(["<url>", "<user>"])
    marking = with_case_markers(tokenizer)
    assert marking.convert_tokens_to_ids(["<url>", "<user>"]) == tokenizer.convert_tokens_to_ids(["<url>", "<user>"])
    assert min(marker_ids(marking)) == len(tokenizer)
    unigram = AutoTokenizer.from_pretrained(encoders["albert"])
    unigram.add_tokens(["<url>"])
    with pytest.raises(ModelError, match="has added tokens behind its vocabulary"):
        with_case_markers(unigram)


def test_is_uncased_by_behaviour(encoders, tmp_path):
    assert is_uncased(AutoTokenizer.from_pretrained(encoders["bert"]))
    assert is_uncased(AutoTokenizer.from_pretrained(encoders["albert"]))
    assert not is_uncased(AutoTokenizer.from_pretrained(tiny_bert(tmp_path, lowercase=False)))
    assert not is_uncased(AutoTokenizer.from_pretrained(tiny_roberta(tmp_path)))


# Models with markers.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", [None, {"rank": 2}], ids=["full", "lora"])
def test_auto_gives_markers_to_every_uncased_architecture(encoders, kind, lora):
    model, tokenizer = load_encoder(str(encoders[kind]), SCHEMA, lora=lora)
    ids = marker_ids(tokenizer)
    assert len(ids) == 2
    rows = model.get_input_embeddings().weight
    assert len(rows) >= len(tokenizer)
    assert not torch.equal(rows[ids[0]], rows[ids[1]])
    first, second = tokenizer("Maria waved", add_special_tokens=False)["input_ids"][:2]
    assert first in ids
    assert second not in ids
    logits = model.eval()(**tokenizer("Maria waved", return_tensors="pt")).logits
    assert not torch.equal(logits[0, 2], model(**tokenizer("maria waved", return_tensors="pt")).logits[0, 1])
    if lora is not None:
        model.train()(**tokenizer("Maria waved", return_tensors="pt")).logits.sum().backward()
        names = [n for n, p in model.named_parameters() if "token_adapter" in n and p.requires_grad and p.grad.any()]
        assert len(names) == 1


def test_none_leaves_the_encoder_as_it_is(encoders):
    _, tokenizer = load_encoder(str(encoders["bert"]), SCHEMA, casing="none")
    assert len(marker_ids(tokenizer)) == 0


def test_a_tagger_already_trained_keeps_its_way(encoders, tmp_path):
    without = tiny_bert(tmp_path)
    assert len(marker_ids(load_encoder(str(without), SCHEMA)[1])) == 0
    assert len(marker_ids(load_encoder(str(without), SCHEMA, casing="markers")[1])) == 2
    model, tokenizer = load_encoder(str(encoders["bert"]), SCHEMA)
    save(tmp_path / "with", model, tokenizer)
    assert len(marker_ids(load_encoder(str(tmp_path / "with"), SCHEMA)[1])) == 2
    with pytest.raises(ConfigError, match="was trained with case markers"):
        load_encoder(str(tmp_path / "with"), SCHEMA, casing="none")


def test_a_vocabulary_that_takes_no_markers_is_said(tmp_path):
    with pytest.raises(ModelError, match="WordPiece and Unigram vocabularies, and this tokenizer is of the kind BPE"):
        load_encoder(str(tiny_roberta(tmp_path)), SCHEMA, casing="markers")


# What is labelled.


@pytest.mark.parametrize("strategy", ["first", "all"])
def test_marker_and_word_carry_one_entity(tokenizer, strategy):
    words, tags = ["Lisbon", "Jordan", "will", "LISBON"], [1, 2, 0, 3]
    data = DatasetDict(train=Dataset.from_dict({"tokens": [words], "tags": [tags]}))
    split = align_dataset(data, tokenizer, SCHEMA, label_strategy=strategy)["train"]
    row = split.features[0]
    subwords = tokenizer.convert_ids_to_tokens(row["input_ids"])
    carried = [(s, SCHEMA.tags[i]) for s, i in zip(subwords, row["labels"], strict=True) if i >= 0]
    assert carried == [
        (CAPITAL, "B-PER"), ("lisbon", "I-PER"), (CAPITAL, "I-PER"), ("jordan", "I-PER"), ("will", "O"),
        (CAPITALS, "B-LOC"), ("lisbon", "I-LOC"),
    ]  # fmt: skip
    assert split.words[0]["tokens"] == words


def test_a_crf_learns_words_alone(tokenizer):
    data = DatasetDict(train=Dataset.from_dict({"tokens": [["Maria", "waved"], ["PORTO"]], "tags": [[1, 0], [3]]}))
    split = without_marked_labels(align_dataset(data, tokenizer, SCHEMA)["train"], marker_ids(tokenizer))
    assert [[i for i in row["labels"] if i >= 0] for row in split.features] == [[1, 0], [3]]
    assert split.words is data["train"]


def test_words_without_known_subwords_are_counted_with_a_marker_too(tokenizer):
    windows = Aligner(tokenizer).windows([["Ωmega", "\u200b", "Maria"]])
    assert windows.unknown.sum() == 1
    assert windows.vanished.sum() == 1


# Trained taggers: who reads them alike.


def save(folder, model, tokenizer):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


WORDS = ["chef", "will", "book", "table", "jordan", "lisbon", "harbour", "douro", "old", "ships", "river", "may"]
BETWEEN = ["the", ",", "?", "(", ")", "of", "on"]
TEXTS = ("will Jordan May book DOURO, the LISBON old table?", "Chef will of (Old Ships) DOURO", "River")


def sentences(count=400):
    """Random words; whether one is a name is only in its casing: Capital Words a person, CAPITALS a place."""
    rng, rows = np.random.default_rng(0), {"tokens": [], "tags": []}
    for _ in range(count):
        words, tags = [], []
        while len(words) < 12:
            kind, length = rng.integers(4), rng.integers(1, 3)
            drawn = rng.choice(WORDS, length)
            words += [{2: str.capitalize, 3: str.upper}.get(kind, str)(str(word)) for word in drawn]
            first = {2: 1, 3: 3}.get(kind, 0)
            tags += [first, *[first + 1 if first else 0] * (length - 1)]
            if first or rng.random() < 0.3:
                words, tags = [*words, str(rng.choice(BETWEEN + WORDS))], [*tags, 0]
        rows["tokens"].append(words)
        rows["tags"].append(tags)
    return DatasetDict(train=Dataset.from_dict(rows))


def trained(encoder, steps=400, **options):
    """A tiny tagger that has learned `sentences` by heart."""
    torch.manual_seed(0)
    model, tokenizer = load_encoder(str(encoder), SCHEMA, **options)
    split = align_dataset(sentences(), tokenizer, SCHEMA)["train"]
    if options.get("head") == "crf":
        split = without_marked_labels(split, marker_ids(tokenizer))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    rows = [split.features[i] for i in range(len(split.features))]
    collate = WindowCollator(tokenizer.pad_token_id)
    for step in range(steps):
        batch = collate(rows[step * 40 % len(rows) :][:40])
        loss = model.train()(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def taggers(encoders, tmp_path_factory):
    """Folders of taggers that were trained, per kind: a linear head, a CRF, adapters merged and not."""
    folder = tmp_path_factory.mktemp("taggers")
    save(folder / "linear", *trained(encoders["bert"]))
    save(folder / "crf", *trained(encoders["bert"], head="crf"))
    model, tokenizer = trained(encoders["bert"], steps=900, lora={"rank": 16, "dropout": 0.0})
    for kind, merge in (("adapter", False), ("merged", True)):
        save(folder / kind, model, tokenizer)
        save_adapters(model, folder / kind, merge=merge)
    return {kind: folder / kind for kind in ("linear", "crf", "adapter", "merged")}


def entities(text):
    """Type, text and place of what a text of `TEXTS` names."""
    names = {"Jordan May": "PER", "DOURO": "LOC", "LISBON": "LOC", "Chef": "PER", "Old Ships": "PER", "River": "PER"}
    found = []
    for name, kind in names.items():
        at = text.find(name)
        if at >= 0 and not any(start <= at < end for _, _, start, end in found):
            found.append((kind, name, at, at + len(name)))
    return sorted(found, key=lambda span: span[2])


@pytest.mark.parametrize("kind", ["linear", "crf", "adapter", "merged"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_pipeline_finds_whole_entities(taggers, kind, strategy):
    tag = pipeline("token-classification", model=str(taggers[kind]), aggregation_strategy=strategy)
    for text in TEXTS:
        spans = [(x["entity_group"], text[x["start"] : x["end"]], x["start"], x["end"]) for x in tag(text)]
        assert spans == entities(text)
        assert [x["word"] for x in tag(text)] == [name.lower() for _, name, _, _ in spans]


@pytest.mark.parametrize("kind", ["linear", "crf", "adapter", "merged"])
def test_tagger_gives_the_tags_that_pipeline_gives(taggers, kind):
    tagger = Tagger.from_pretrained(str(taggers[kind]), device="cpu")
    tag = pipeline("token-classification", model=str(taggers[kind]), ignore_labels=[])
    for text in TEXTS:
        words = text.replace(",", " ,").replace("?", " ?").replace("(", "( ").replace(")", " )").split()
        said = tag(" ".join(words))
        starts = np.cumsum([0, *[len(word) + 1 for word in words]])[:-1].tolist()
        first = {x["start"]: x["entity"] for x in reversed(said)}
        assert tagger.tag([words]) == [[first[start] for start in starts]]
        found = [(e.type, e.start, e.end) for e in tagger.tag_text(text).entities]
        assert found == [(kind_, start, end) for kind_, _, start, end in entities(text)]


def test_needs_nothing_of_this_package(taggers, tmp_path):
    folder = taggers["linear"]
    said = {p: pipeline_says([folder], *TEXTS, package=p, scratch=tmp_path) for p in (True, False)}
    assert said[True] == said[False]
    config = json.loads((folder / "config.json").read_text())
    assert config["architectures"] == ["BertForTokenClassification"]
    assert "auto_map" not in config
    assert type(AutoModelForTokenClassification.from_pretrained(folder)).__name__ == "BertForTokenClassification"


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_a_trainer_takes_splits_that_are_aligned(encoders, tmp_path, head):
    schema = TagSchema(TAGS, "IOB2")
    model, tokenizer = load_encoder(str(encoders["bert"]), schema, head=head)
    features = sentences(40)["train"].cast_column("tags", List(ClassLabel(names=list(TAGS))))
    splits = align_dataset(DatasetDict(train=features), tokenizer, schema)
    args = TaggingConfig(output_dir=str(tmp_path / head), max_steps=2, use_cpu=True)
    trainer = TaggingTrainer(
        model=model, args=args, train_dataset=splits["train"], eval_dataset=splits["train"],
        processing_class=tokenizer,
    )  # fmt: skip
    trainer.train()
    labels = [sum(i >= 0 for i in row["labels"]) for row in trainer.train_dataset]
    words = [len(row["tokens"]) for row in features]
    assert sum(labels) == sum(words) if head == "crf" else sum(labels) > sum(words)


@pytest.mark.parametrize("target", ["onnx", "int8"])
def test_exports_write_the_markers(taggers, tmp_path, target):
    words = [row["tokens"] for row in sentences(40)["train"]]
    data = tmp_path / "words.txt"
    data.write_text("\n\n".join("\n".join(sentence) for sentence in words) + "\n")
    folder, _ = export_tagger(str(taggers["linear"]), to=target, output=tmp_path / target, data=data)
    exported, tagger = (Tagger.from_pretrained(str(f), device="cpu") for f in (folder, taggers["linear"]))
    assert exported.tag(words) == tagger.tag(words)


# Case dropout.


def test_case_dropout_changes_a_share_of_the_sentences():
    split = Dataset.from_dict({"tokens": [["Straße", "in", "Porto"]] * 2000, "tags": [[0, 0, 1]] * 2000})
    changed = drop_case(split, 0.3, seed=1)
    said = [" ".join(words) for words in changed["tokens"]]
    shares = [said.count(text) / 2000 for text in ("Straße in Porto", "straße in porto", "STRASSE IN PORTO")]
    assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.03)
    assert sum(shares) == 1
    assert changed["tags"] == split["tags"]
    assert said == [" ".join(words) for words in drop_case(split, 0.3, seed=1)["tokens"]]
    assert said != [" ".join(words) for words in drop_case(split, 0.3, seed=2)["tokens"]]


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_case_dropout_is_a_share(value, tmp_path):
    with pytest.raises(ConfigError, match=f"--case_dropout: {value} is not between 0 and 1"):
        run_here("ner_bert", "--dataset", "sample", "--output_dir", tmp_path / "out", "--case_dropout", value)


def test_what_is_learned_takes_training(tmp_path):
    flags = ("--dataset", "sample", "--do_train", "false", "--casing", "markers", "--case_dropout", "0.2")
    with pytest.raises(ConfigError) as raised:
        run_here("ner_bert", *flags, "--output_dir", tmp_path / "out")
    assert str(raised.value).count("nothing is trained; leave it out") == 2


def test_a_run_keeps_markers_and_reports_on_the_words_as_given(encoders, tmp_path):
    out = tmp_path / "out"
    run_here(
        "ner_bert", "--dataset", "sample", "--model", encoders["bert"], "--output_dir", out, "--max_train_samples", 40,
        "--max_eval_samples", 20, "--num_train_epochs", 1, "--case_dropout", 1.0, "--bf16", "false",
    )  # fmt: skip
    assert len(marker_ids(AutoTokenizer.from_pretrained(out))) == 2
    arguments = record(out)["arguments"]
    assert (arguments["casing"], arguments["case_dropout"]) == ("auto", 1.0)
    report = (out / "report.html").read_text()
    assert "casing" in report.lower()
