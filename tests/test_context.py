"""Context: a sentence is read with its neighbours in the document, and its words are tagged once and are its own."""

import json
from itertools import chain, groupby, pairwise

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from recipe_runs import pipeline_says, record, run_here, weights
from run_configs import run_config
from tiny_models import TAGS, tiny_bert, tiny_modernbert, tiny_roberta
from transformers import AutoTokenizer

from hf_tagging import Aligner, Tagger, TagSchema
from hf_tagging.data import align_split, documents, window_plans
from hf_tagging.data.documents import document_bounds
from hf_tagging.errors import ConfigError, DataError, ModelError, TaggingError
from hf_tagging.inference import evaluate_tagger, tag_documents, tag_file
from hf_tagging.inference.ensemble import Ensemble
from hf_tagging.inference.odds import WordChain
from hf_tagging.models import LinearChainCrf

SCHEMA = TagSchema(TAGS, "IOB2")
WORDS = ["Jordan", "sailed", "slowly", "past", "Lisbon", "because", "nobody", "waved", "to", "Maria"]
KINDS = {"bert": tiny_bert, "roberta": tiny_roberta, "modernbert": tiny_modernbert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in KINDS.items()}


@pytest.fixture(scope="module")
def bert(folders):
    return AutoTokenizer.from_pretrained(folders["bert"])


def sentences_of(*sizes):
    """Sentences of so many words, all different in what stands in them."""
    return [[WORDS[(7 * number + place) % len(WORDS)] for place in range(size)] for number, size in enumerate(sizes)]


def split_of(sentences, documents, tags=None):
    ids = [[(number + place) % len(TAGS) for place in range(len(words))] for number, words in enumerate(sentences)]
    return Dataset.from_dict({"tokens": sentences, "tags": tags or ids, "document_id": documents})


def texts(tokenizer, windows):
    return [tokenizer.decode(windows.input_ids[a:b]) for a, b in pairwise(windows.offsets)]


# Windows.


def test_a_document_that_fits_is_one_window_with_separators(bert):
    sentences = [["the", "book"], ["a", "table"], ["nobody"]]
    windows = Aligner(bert, context=8).windows(sentences, np.array([0, 2, 3]))
    assert texts(bert, windows) == ["[CLS] the book [SEP] a table [SEP]", "[CLS] nobody [SEP]"]
    assert windows.sentence.tolist() == [0, 2]
    assert windows.words.tolist() == [-1, 0, 1, -1, 2, 3, -1, -1, 4, -1]
    assert windows.owned.tolist() == [word >= 0 for word in windows.words]


def test_sentences_of_a_long_document_have_context_on_both_sides(bert):
    sentences = [["the", "book"], ["a", "table"], ["may", "book"], ["old", "table"], ["in", "may"]]
    windows = Aligner(bert, max_length=12, context=2).windows(sentences, np.array([0, 5]))
    assert texts(bert, windows) == [
        "[CLS] the book [SEP] a table [SEP] may book [SEP] old [SEP]",  # a separator is context too
        "[CLS] book [SEP] old table [SEP] in may [SEP]",
    ]
    owned = [windows.words[a:b][windows.owned[a:b]].tolist() for a, b in pairwise(windows.offsets)]
    assert owned == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9]]


def lengths_of_sentences(max_size=12):
    return st.lists(st.integers(0, max_size), min_size=1, max_size=30)


@settings(deadline=None, max_examples=60)
@given(sizes=lengths_of_sentences(), cuts=st.lists(st.integers(0, 30), max_size=4), context=st.integers(1, 4))
def test_every_word_is_owned_once_with_the_context_it_is_to_have(bert, sizes, cuts, context):
    sentences = sentences_of(*sizes)
    bounds = np.unique([0, len(sizes), *(cut for cut in cuts if cut < len(sizes))])
    aligner = Aligner(bert, max_length=24, overlap=4, context=context)
    windows = aligner.windows(sentences, bounds)
    total = sum(sizes)
    assert windows.words[windows.owned & windows.heads].tolist() == list(range(total))
    assert np.diff(windows.offsets).max(initial=0) <= 24

    document_of_word = np.repeat(np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)), sizes)
    sentence_of_word = np.repeat(np.arange(len(sizes)), sizes)
    subwords = np.array([len(bert.tokenize(word)) for word in chain(*sentences)], int)
    for a, b in pairwise(windows.offsets):
        words, owned = windows.words[a:b], windows.owned[a:b]
        inside = words[words >= 0]
        assert len({*document_of_word[inside].tolist()}) == 1
        assert (np.diff(np.unique(inside)) == 1).all()
        own = np.unique(words[owned])
        separators = np.flatnonzero(words[1:-1] < 0) + 1
        assert [sentence_of_word[words[at + 1]] - sentence_of_word[words[at - 1]] > 0 for at in separators] == (
            [True] * len(separators)
        )
        borders = np.count_nonzero(np.diff(sentence_of_word[inside]))
        assert len(separators) == borders
        of_own = np.isin(sentence_of_word, sentence_of_word[own])
        if subwords[of_own].sum() + len({*sentence_of_word[own].tolist()}) - 1 > aligner.capacity:
            continue  # a sentence longer than a window
        assert of_own.sum() == len(own)  # whole sentences
        same = document_of_word == document_of_word[own[0]]
        left, right = (same & (np.arange(total) < own[0])), (same & (np.arange(total) > own[-1]))
        room = aligner.capacity - subwords[of_own].sum() - len({*sentence_of_word[own].tolist()}) + 1
        if room < 2 * (context + subwords.max()) + 2:
            continue  # context gives way to words that have to fit
        for side in (left, right):
            held = np.isin(np.arange(total), inside) & side
            if not held[side].all():
                gaps = np.count_nonzero(np.diff(sentence_of_word[np.unique(inside)])) + 1
                assert subwords[held].sum() + gaps >= context


def test_a_sentence_that_leaves_little_room_has_what_fits(bert):
    sentences = [["book"] * 6, ["table"] * 9, ["may"] * 6]
    windows = Aligner(bert, max_length=16, context=3).windows(sentences, np.array([0, 3]))
    middle = texts(bert, windows)[1]
    assert middle == "[CLS] book [SEP] table table table table table table table table table [SEP] may may [SEP]"


def test_a_sentence_longer_than_a_window_has_windows_of_its_own(bert):
    sentences = [["book"] * 3, ["table"] * 40, ["may"] * 3]
    alone = Aligner(bert, max_length=16, overlap=4).windows(sentences[1:2])
    windows = Aligner(bert, max_length=16, overlap=4, context=3).windows(sentences, np.array([0, 3]))
    assert texts(bert, windows)[1:-1] == texts(bert, alone)
    assert texts(bert, windows)[0] == "[CLS] book book book [SEP] table table [SEP]"


@pytest.mark.parametrize("kind", KINDS)
def test_without_context_nothing_changes(folders, kind):
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    sentences = sentences_of(3, 0, 100, 7)
    plain = Aligner(tokenizer, max_length=20).windows(sentences)
    for windows in (
        Aligner(tokenizer, max_length=20, context=0).windows(sentences, np.array([0, 4])),
        Aligner(tokenizer, max_length=20, context=4).windows(sentences),
        Aligner(tokenizer, max_length=20, context=4).windows(sentences, np.arange(5)),
    ):
        for name, values in vars(plain).items():
            np.testing.assert_array_equal(getattr(windows, name), values)


def test_the_cost_is_bounded(bert):
    sentences = sentences_of(*np.random.default_rng(0).integers(1, 9, 400).tolist())
    alone = len(Aligner(bert, max_length=64).windows(sentences).input_ids)
    windows = Aligner(bert, max_length=64, context=8).windows(sentences, np.array([0, len(sentences)]))
    assert len(windows.input_ids) < 1.6 * alone


def test_windows_are_as_long_as_the_context_asks_for(bert):
    sentences = [*[["may"] * 5] * 30, ["book"] * 40, *[["may"] * 5] * 30]
    windows = Aligner(bert, max_length=64, context=3).windows(sentences, np.array([0, len(sentences)]))
    lengths = np.diff(windows.offsets)
    assert sorted(lengths)[-2] <= 8 * 3 + 2  # special tokens
    assert lengths.max() == 40 + 2 * 3 + 2  # a separator is context too


@pytest.mark.failure_mode("context-too-large")
def test_context_that_leaves_no_room_is_refused(bert):
    with pytest.raises(ConfigError, match="context_subwords: 4 is not between 0 and a quarter of a window"):
        Aligner(bert, max_length=16, context=4)


@pytest.mark.failure_mode("context-no-separator")
def test_a_tokenizer_without_a_separator_is_refused(folders):
    tokenizer = AutoTokenizer.from_pretrained(folders["bert"], sep_token=None, eos_token=None)
    if tokenizer.sep_token_id is not None:
        tokenizer.sep_token = None
    with pytest.raises(ModelError, match="neither a separator nor an end token"):
        Aligner(tokenizer, context=2)


# Splits.


def test_a_document_is_whole_whatever_the_batches_of_datasets(bert, monkeypatch):
    generator = np.random.default_rng(1)
    sentences = sentences_of(*generator.integers(1, 8, 2_600).tolist())
    numbers = np.sort(generator.integers(0, 60, 2_600))
    split = split_of(sentences, [f"train:{number}" for number in numbers])
    aligner = Aligner(bert, context=6)
    once = align_split(split, aligner, SCHEMA)
    twice = align_split(split, aligner, SCHEMA, num_proc=2)
    bounds = document_bounds(split)
    windows = aligner.windows(sentences, bounds)
    assert len(bounds) == len({*numbers.tolist()}) + 1
    for aligned in (once, twice):
        assert aligned.features["input_ids"] == [windows.input_ids[a:b].tolist() for a, b in pairwise(windows.offsets)]
        assert aligned.features["sentence"] == windows.sentence.tolist()
    gold = once.per_sentence(once.read([np.array(labels) for labels in once.features["labels"]]))
    assert gold == split["tags"]
    assert once.counts().windows == len(windows)
    assert once.counts().windowed_sentences == 0


def test_selected_and_shuffled_rows_are_read_in_their_order(bert):
    split = split_of(sentences_of(3, 4, 5, 6), ["a", "a", "b", "b"]).select([3, 2, 0, 1])
    aligned = align_split(split, Aligner(bert, context=4), SCHEMA)
    assert aligned.features["sentence"] == [0, 2]
    assert document_bounds(split).tolist() == [0, 2, 4]
    assert document_bounds(split.select([0, 2, 1, 3])).tolist() == [0, 1, 2, 3, 4]
    assert document_bounds(split.remove_columns("document_id")).tolist() == [0, 1, 2, 3, 4]


def test_unknown_words_are_found_in_any_sentence_of_a_window(bert):
    split = split_of([["book"], ["may", "\u4e2d"], ["a"]], ["a"] * 3)
    counts = align_split(split, Aligner(bert, context=4), SCHEMA).counts()
    assert counts.unknown_examples == ("\u4e2d",)


def test_alignment_with_other_context_is_not_taken_from_the_cache(bert, tmp_path):
    split_of(sentences_of(3, 4), ["a", "a"]).save_to_disk(tmp_path / "data")
    split = Dataset.load_from_disk(tmp_path / "data")
    found = [len(align_split(split, Aligner(bert, context=context), SCHEMA).features) for context in (0, 4, 0)]
    assert found == [2, 1, 2]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=40))
def test_long_documents_are_cut_alike_in_a_split_and_in_a_stream(rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_plans, "PART_WORDS", 10)
        patch.setattr(documents, "PART_WORDS", 10)
        names = np.cumsum([new for _, new in rows]).tolist()
        split = split_of(sentences_of(*(size for size, _ in rows)), [str(name) for name in names])
        stream = []
        for _, document in groupby(zip(names, split["tokens"], strict=True), lambda row: row[0]):
            stream += [len(part) for part in window_plans.parts_of(words for _, words in document)]
        assert np.diff(document_bounds(split)).tolist() == stream


# The CRF reads sentences, however many are in a window.


def chain_crf(tags=4, seed=0):
    torch.manual_seed(seed)
    legal = torch.rand(tags, tags) > 0.2
    crf = LinearChainCrf(
        tags, legal_start=[True, True, True, False], legal_step=legal.tolist(), legal_end=[True, False, True, True]
    )
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_()
    return crf


def test_sequences_between_borders_are_those_of_rows_of_their_own():
    crf = chain_crf()
    lengths = [3, 1, 4]
    emissions = torch.randn(sum(lengths) + 4, 4, dtype=torch.float64)
    border = torch.zeros(len(emissions), dtype=torch.bool)
    border[[0, 4, 6, 11]] = True
    tags = torch.randint(0, 4, (len(emissions),)).masked_fill(border, -100)
    tags[2] = -100  # not annotated
    row = emissions.clone().requires_grad_()
    together = crf.log_likelihood(row[None], tags[None], ~border[None], partial=True, borders=border[None])
    spans = [(1, 4), (5, 6), (7, 11)]
    own = emissions.clone().requires_grad_()
    apart = sum(
        crf.log_likelihood(own[a:b][None], tags[a:b][None], torch.ones(1, b - a).bool(), partial=True) for a, b in spans
    )
    torch.testing.assert_close(together, apart)
    names = [name for name, _ in crf.named_parameters()]
    ours = torch.autograd.grad(together.sum(), [row, *crf.parameters()])
    theirs = torch.autograd.grad(apart.sum(), [own, *crf.parameters()])
    for name, one, other in zip(["emissions", *names], ours, theirs, strict=True):
        torch.testing.assert_close(one, other, msg=name)
    scores = crf.scores_for_pipeline(emissions[None], ~border[None], borders=border[None])[0]
    assert scores.shape == emissions.shape
    for a, b in spans:
        torch.testing.assert_close(
            scores[a:b], crf.scores_for_pipeline(emissions[a:b][None], torch.ones(1, b - a).bool())[0]
        )


def test_entities_end_where_their_sentence_ends():
    crf = chain_crf()
    emissions = torch.randn(9, 4, dtype=torch.float64)
    border = torch.zeros(9, dtype=torch.bool)
    border[[0, 4, 8]] = True
    chain_of_both = crf.chain(emissions[None], ~border[None], borders=border[None])
    at = torch.tensor([1, 2, 3, 5, 6, 7])
    words = WordChain(chain_of_both, torch.zeros_like(at), chain_of_both.word[0, at])
    assert words.pairs().tolist() == [0, 1, 3, 4]
    for begin, (a, b) in ((0, (1, 4)), (3, (5, 8))):
        alone = crf.chain(emissions[a:b][None], torch.ones(1, 3).bool())
        own = WordChain(alone, torch.zeros(3, dtype=torch.long), torch.arange(3))
        torch.testing.assert_close(words.posterior[begin : begin + 3], own.posterior)
        torch.testing.assert_close(chain_of_both.scores[0, words.word[begin : begin + 3]], alone.scores[0])
        known = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
        together = words.onward(torch.tensor([begin, begin + 1]), known)
        torch.testing.assert_close(together, own.onward(torch.tensor([0, 1]), known))


# Runs, and what is done with their models.


def written(path, *documents, mark="-DOCSTART- -X- O O"):
    """A column file of documents of sentences, whose tags follow from the words."""
    blocks = []
    for document in documents:
        blocks += [[mark]] if mark else []
        blocks += [[f"{word} {'B-PER' if word in ('Jordan', 'Maria') else 'O'}" for word in s] for s in document]
    path.write_text("".join("\n".join(block) + "\n\n" for block in blocks))
    return path


def some_documents(count, seed):
    generator = np.random.default_rng(seed)
    return [
        [[WORDS[i] for i in generator.integers(0, len(WORDS), generator.integers(1, 9))] for _ in range(sentences)]
        for sentences in generator.integers(1, 9, count)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {
        name: written(folder / f"{name}.conll", *some_documents(count, seed))
        for name, count, seed in (("train", 30, 0), ("validation", 8, 1), ("test", 8, 2))
    }


@pytest.fixture
def run(data, folders, tmp_path):
    def run_in(name, *flags, model="bert", files=data):
        out = tmp_path / name
        for split, path in files.items():
            flags += (f"--{split}_file", path)
        run_here(
            "ner_bert", "--model", folders.get(model, model), "--use_cpu", "--max_steps", 12, "--learning_rate", 5e-3,
            "--output_dir", out, "--report_to", "none", *flags,
        )  # fmt: skip
        return out

    return run_in


def sentences_in(path):
    found = [[line.split() for line in block.splitlines()] for block in path.read_text().split("\n\n") if block.strip()]
    return [[row[0] for row in rows] for rows in found], [[row[-1] for row in rows] for rows in found]


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_the_model_keeps_its_context_and_everything_reads_with_it(run, data, tmp_path, head):
    out = run("run", "--context", "document", "--context_subwords", 7, "--head", head)
    assert json.loads((out / "config.json").read_text())["context_subwords"] == 7
    results = record(out)["results"]["test"]
    words, predicted = sentences_in(out / "predictions" / "test.conll")
    sizes = json.loads((out / "predictions" / "documents.json").read_text())["test"]
    assert sum(sizes) == len(words)
    assert len(sizes) == 8

    tagger = Tagger.from_pretrained(out)
    assert tagger.context_subwords == 7
    ends = np.cumsum([0, *sizes]).tolist()
    by_document = [tags for a, b in pairwise(ends) for tags in tagger.tag_document(words[a:b])]
    assert by_document == predicted
    assert [labels.tags(tagger.schema) for labels in tagger.label(words, documents=sizes)] == predicted
    streamed = tagger.label_documents(([*words[a:b]] for a, b in pairwise(ends)), block=3)
    assert [labels.tags(tagger.schema) for labels in streamed] == predicted
    probabilities = tagger.probabilities(words, documents=sizes)
    alone = tagger.probabilities(words)
    assert not all(np.allclose(a, b, atol=1e-4) for a, b in zip(probabilities, alone, strict=True))
    card = " ".join((out / "README.md").read_text().split())
    assert "in the context of its document, at least 7 subwords on each side" in card
    assert record(out)["context_subwords"] == 7
    assert "get another tag than in the predictions" not in (out / "report.html").read_text()

    evaluation = evaluate_tagger(tagger, test_file=data["test"], split="test")
    assert evaluation.predicted == predicted
    assert evaluation.figures["f1"] == pytest.approx(results["f1"])
    assert not any("context" in note for note in evaluation.notes)

    tag_file(tagger, data["test"], tmp_path / "tagged.conll")
    lines = (tmp_path / "tagged.conll").read_text().split("\n")
    assert [line.split()[-1] for line in lines if line and not line.startswith("-DOC")] == [*chain(*predicted)]
    rows = [
        json.dumps({"tokens": sentence, "document_id": number})
        for number, (a, b) in enumerate(pairwise(ends))
        for sentence in words[a:b]
    ]
    (tmp_path / "words.jsonl").write_text("\n".join(rows))
    tag_file(tagger, tmp_path / "words.jsonl", tmp_path / "tagged.jsonl")
    tagged = [json.loads(line)["tags"] for line in (tmp_path / "tagged.jsonl").read_text().splitlines()]
    assert tagged == predicted


def test_a_text_is_a_document_and_a_sentence_alone_has_no_context(run, tmp_path):
    out = run("run", "--context", "document")
    assert json.loads((out / "config.json").read_text())["context_subwords"] == 8  # of 64
    tagger = Tagger.from_pretrained(out)
    text = "Jordan sailed past Lisbon . Nobody waved to Maria ."
    sentences = [text.split()[:5], text.split()[5:]]
    tagged = tagger.tag_text(text)
    scores = [labels.scores for labels in tagger.label(sentences, documents=[2])]
    assert [word.score for word in tagged.words] == pytest.approx(np.concatenate(scores).tolist())
    words = WORDS[:5]
    said = pipeline_says([out], " ".join(words), package=True, scratch=tmp_path)[out][0]
    assert [tag for _, tag, _ in said] == tagger.tag(words)
    assert tagger.tag([words, words]) == [tagger.tag(words)] * 2
    with pytest.raises(TaggingError, match=r"one sentence goes to Tagger\.tag"):
        tagger.tag_document(words)


@pytest.mark.parametrize(
    ("documents", "said"),
    [
        ([1], "they have 1 sentences together, and 3 were given"),
        ([2, 2], "they have 4 sentences together, and 3 were given"),
        ([-1, 4], "-1 is not a number of sentences"),
    ],
)
def test_documents_hold_all_sentences(run, documents, said):
    one = Tagger.from_pretrained(run("run", "--context", "document"))
    sentences = [WORDS[:2], WORDS[2:4], WORDS[4:6]]
    for tagger in (one, Ensemble([one, one])):
        for method in (tagger.label, tagger.probabilities):
            with pytest.raises(TaggingError, match=f"documents: {said}"):
                method(sentences, documents=documents)
            assert len(method(sentences, documents=[0, 2, 1])) == 3


def test_context_of_nothing_is_no_context_bit_for_bit(run):
    flags = ("--max_train_samples", 60, "--seed", 3)
    plain, none = run("plain", *flags), run("none", *flags, "--context", "none")
    zero = run("zero", *flags, "--context", "document", "--context_subwords", 0)
    for other in (none, zero):
        assert all(torch.equal(weight, weights(other)[name]) for name, weight in weights(plain).items())
        assert (plain / "config.json").read_text() == (other / "config.json").read_text()
        assert (plain / "predictions/test.conll").read_text() == (other / "predictions/test.conll").read_text()
        assert not (other / "predictions/documents.json").exists()


def test_a_run_from_a_tagger_with_context_goes_on_with_it(run):
    first = run("first", "--context", "document", "--context_subwords", 7)
    for name, flags, kept in (
        ("scored", ("--do_train", "false"), 7),
        ("further", (), 7),
        ("crf", ("--head", "crf"), 7),
        ("again", ("--context", "document"), 7),
        ("other", ("--context", "document", "--context_subwords", 5), 5),
        ("none", ("--context", "none"), None),
    ):
        out = run(name, *flags, model=first)
        assert json.loads((out / "config.json").read_text()).get("context_subwords") == kept, name
    scored = [(out.parent / name / "predictions/test.conll").read_text() for name in ("first", "scored")]
    assert scored[0] == scored[1]
    linear = run("linear", "--head", "linear", model=out.parent / "crf")
    assert json.loads((linear / "config.json").read_text())["context_subwords"] == 7


def test_a_run_with_context_is_resumed_as_it_was(run):
    flags = ("--context", "document", "--save_strategy", "steps", "--save_steps", 4, "--eval_strategy", "no",
             "--load_best_model_at_end", "false")  # fmt: skip
    whole, cut = run("whole", *flags), run("cut", *flags)
    for step in ("checkpoint-8", "checkpoint-12"):
        for file in (cut / step).iterdir():
            file.unlink()
        (cut / step).rmdir()
    run("cut", *flags, "--resume", "true")
    assert all(torch.equal(weight, weights(cut)[name]) for name, weight in weights(whole).items())
    with pytest.raises(ConfigError, match="context_subwords: was None, is 5"):
        run("cut", *flags, "--resume", "true", "--context_subwords", 5)


@pytest.mark.parametrize("kind", ["roberta", "modernbert"])
@pytest.mark.parametrize("flags", [("--label_strategy", "all"), ("--packing", "true"), ("--lora", "true")])
def test_context_goes_with(run, data, kind, flags):
    out = run("run", "--context", "document", *flags, model=kind)
    words, predicted = sentences_in(out / "predictions" / "test.conll")
    sizes = json.loads((out / "predictions" / "documents.json").read_text())["test"]
    tagger = Tagger.from_pretrained(out)
    assert [labels.tags(tagger.schema) for labels in tagger.label(words, documents=sizes)] == predicted


@pytest.mark.failure_mode("context-no-documents")
def test_data_without_documents_has_no_context(run, data, tmp_path, caplog):
    alone = {name: written(tmp_path / f"{name}.conll", *some_documents(6, 5), mark="") for name in data}
    with pytest.raises(DataError, match=r"train: no sentence has a neighbour in its document.*give context=none"):
        run("refused", "--context", "document", files=alone)
    out = run("run", "--context", "document", files=data | {"test": alone["test"]})
    assert "test: no sentence has a neighbour in its document, so there is no context" in caplog.text
    evaluation = evaluate_tagger(out, test_file=alone["test"], split="test")
    assert any("each was read alone" in note for note in evaluation.notes)
    caplog.clear()
    tagger = Tagger.from_pretrained(out)
    tag_file(tagger, alone["test"], tmp_path / "tagged.conll")
    assert "no sentence of it has a neighbour in its document" in caplog.text
    words, _ = sentences_in(alone["test"])
    lines = (tmp_path / "tagged.conll").read_text().split("\n")
    assert [line.split()[-1] for line in lines if line] == [*chain(*tagger.tag(words))]


@pytest.mark.failure_mode("context-torn")
def test_documents_that_are_torn_are_said(run, data, caplog):
    one = {"train": written(data["train"].parent / "one.conll", [*chain(*some_documents(20, 6))])}
    run("run", "--context", "document", "--test_share", 0.2, "--validation_share", 0.2, files=one)
    assert "train and test have sentences of the same documents (1)" in caplog.text


def test_arguments_that_do_not_go_together_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="--context_subwords: goes with --context document"):
        run_config("ner", ["--context_subwords", "5"])
    with pytest.raises(ConfigError, match="--context"):
        run_config("ner", ["--context", "document"], kind="scratch")  # there it is the neighbours of the MLP


def test_members_of_an_ensemble_read_with_the_context_that_they_know(run, data):
    known = run("known", "--context", "document", "--context_subwords", 7), run("plain")
    ensemble = Tagger.from_pretrained(known)
    members = [Tagger.from_pretrained(out) for out in known]
    words, _ = sentences_in(data["test"])
    sentences = [sentence for sentence in words if sentence[0] != "-DOCSTART-"][:3]
    tables = [member.probabilities(sentences, documents=[3]) for member in members]
    mean = [(one + other) / 2 for one, other in zip(*tables, strict=True)]
    expected = [[ensemble.schema.tags[i] for i in table.argmax(-1)] for table in mean]
    assert ensemble.tag_document(sentences) == expected
    assert [labels.tags(ensemble.schema) for labels in ensemble.label_documents([sentences])] == expected
    np.testing.assert_allclose(ensemble.probabilities(sentences, documents=[3])[0], mean[0], atol=1e-6)


def test_texts_of_annotation_tools_are_documents(run):
    from hf_tagging.data.formats.base import Document

    tagger = Tagger.from_pretrained(run("run", "--context", "document"))
    texts = ["Jordan sailed past Lisbon . Nobody waved to Maria .", "Maria waved ."]
    found = tag_documents(tagger, [Document(text=text, spans=[]) for text in texts])
    expected = [[(e.start, e.end, e.type) for e in tagger.tag_text(text).entities] for text in texts]
    assert [[(s.start, s.end, s.label) for s in document.spans] for document in found] == expected
