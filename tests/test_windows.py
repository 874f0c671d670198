"""Contract 1: no word lost, whatever it is and however long its sentence."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_models import tiny_bert, tiny_modernbert, tiny_roberta
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_tagging.data import Aligner, TagSchema, align_split, alignment
from hf_tagging.data.alignment import label_subwords
from hf_tagging.data.pretokenized import prepare_tokenizer
from hf_tagging.errors import ConfigError, ModelError

# facts: what a BERT tokenizer turns into nothing
VANISHING = ["\u200b", "\ufe0f", "\x00", "\x07", "\xad", "\ufeff", "", "  ", "\u0301", "\u2028", "\u3000", "\ufffd"]
NASTY = [*VANISHING, "x" * 5_000, "\U0001f600" * 300, "[SEP]", "[CLS]", "<s>", "a b", "\n", "don't", "U.S.", "I'm"]


@pytest.fixture(scope="module", params=[tiny_bert, tiny_roberta, tiny_modernbert])
def tokenizer(request, tmp_path_factory):
    return AutoTokenizer.from_pretrained(request.param(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return AutoTokenizer.from_pretrained(tiny_bert(tmp_path_factory.mktemp("bert")))


def window_tokens(tokenizer, windows):
    bounds = zip(windows.offsets[:-1], windows.offsets[1:], strict=True)
    return [tokenizer.convert_ids_to_tokens(windows.input_ids[a:b].tolist()) for a, b in bounds]


def owned_words(windows):
    """Words in the order in which windows own them."""
    return windows.words[windows.owned & windows.heads].tolist()


def test_short_sentences_are_what_the_tokenizer_makes_of_them(tokenizer):
    sentences = [["the", "house", "in", "the", "street"], ["a"], ["Unaffable", "Jordan", "!"]]
    windows = Aligner(tokenizer).windows(sentences)
    expected = tokenizer(sentences, is_split_into_words=True)["input_ids"]
    bounds = zip(windows.offsets[:-1], windows.offsets[1:], strict=True)
    assert [windows.input_ids[a:b].tolist() for a, b in bounds] == expected
    assert windows.sentence.tolist() == [0, 1, 2]


@pytest.mark.parametrize("scheme", ["first", "always", None])
def test_a_word_is_cut_alike_whatever_stands_beside_it(tokenizer, scheme):
    """That is what lets words that come again be cut once: the tokenizer's own answer for whole sentences."""
    if scheme:
        vocabulary = [
            (piece, -1.0) for piece in ["<unk>", "\u2581", "\u2581the", "the", *"abcdefghijklmnopqrstuvwxyz.'IJ!"]
        ]
        pieces = Tokenizer(models.Unigram(vocabulary, unk_id=0))
        pieces.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="<unk>", model_max_length=512)
    words = ["the", "house", *NASTY, "the", "Jordan", *NASTY[::-1], "!", "house"]
    sentences = [words, words[::-1], ["the"], [], ["the", "the"]]
    aligner = Aligner(tokenizer, max_length=200_000)
    windows = aligner.windows(sentences)
    backend = aligner.tokenizer.backend_tokenizer
    whole = [backend.encode(s, is_pretokenized=True, add_special_tokens=False) for s in sentences if s]
    found = [(int(w), int(i)) for w, i in zip(windows.words, windows.input_ids, strict=True) if w >= 0]
    first = np.cumsum([0, *(len(s) for s in sentences if s)])
    expected = [
        (int(w + b), i) for e, b in zip(whole, first, strict=False) for w, i in zip(e.word_ids, e.ids, strict=True)
    ]
    seen = {word for word, _ in expected}
    assert [pair for pair in found if pair[0] in seen] == expected
    assert sum(windows.vanished) == sum(map(len, sentences)) - len(seen)


def test_vanished_words_are_the_unknown_token_and_counted(bert):
    windows = Aligner(bert).windows([["a", word, "b"] for word in VANISHING])
    assert window_tokens(bert, windows) == [["[CLS]", "a", "[UNK]", "b", "[SEP]"]] * len(VANISHING)
    assert windows.vanished.tolist() == [1] * len(VANISHING)


def test_windows_own_each_word_once_where_it_has_most_context(bert):
    """Ten words of one subword, six to a window: the middle words go to the window that holds them deeper."""
    sentence = list("abcdefghij")
    windows = Aligner(bert, max_length=8, overlap=3).windows([sentence])
    assert window_tokens(bert, windows) == [
        ["[CLS]", *"abcdef", "[SEP]"],
        ["[CLS]", *"defghi", "[SEP]"],
        ["[CLS]", *"efghij", "[SEP]"],
    ]
    # e: one neighbour on its short side in the first and in the second window, the first keeps it. f: none in the
    # first, two in the second. g: two in both. h: one in the second; in the last three, whose end is the sentence's.
    assert windows.first_word.tolist() == [0, 5, 7]
    assert owned_words(windows) == list(range(10))


def test_a_word_longer_than_a_window_keeps_its_beginning(bert):
    windows = Aligner(bert, max_length=6).windows([["a", "abcdefghij" * 9, "b"]])
    assert owned_words(windows) == [0, 1, 2]
    assert windows.shortened.sum() == 1
    assert max(np.diff(windows.offsets)) <= 6


def test_empty_sentences_have_no_window(bert):
    windows = Aligner(bert).windows([[], ["a"], []])
    assert windows.sentence.tolist() == [1]
    assert len(Aligner(bert).windows([])) == 0


def test_window_length_and_overlap_are_checked(bert):
    with pytest.raises(ConfigError, match="no room"):
        Aligner(bert, max_length=2)
    with pytest.raises(ConfigError, match="half a window"):
        Aligner(bert, max_length=12, overlap=6)


def test_slow_tokenizers_are_refused():
    with pytest.raises(ModelError, match="not a fast tokenizer"):
        prepare_tokenizer(type("Slow", (), {"is_fast": False})())


def test_a_tokenizer_without_a_vocabulary_is_refused():
    empty = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordPiece({"[UNK]": 0})), unk_token="[UNK]")
    with pytest.raises(ModelError, match="no words at all"):
        prepare_tokenizer(empty)


def test_words_come_out_of_a_list_as_they_come_out_of_text(tokenizer):
    """Byte-level tokenizers built without add_prefix_space are put right."""
    aligner = Aligner(tokenizer)
    words = ["house", "the", "house", "street"]
    ids = aligner.windows([words]).input_ids.tolist()
    text = tokenizer(" ".join(words))["input_ids"]
    assert ids[3:] == text[len(text) - len(ids) + 3 :]
    same = aligner.windows([["house", "house", "house"]])
    heads = same.input_ids[same.heads & same.owned]
    assert len(set(heads.tolist())) == 1  # at the start and in the middle alike


def test_labels_first_and_all(bert):
    schema = TagSchema(("O", "B-PER", "I-PER"), "IOB2")
    windows = Aligner(bert).windows([["a", "unaffable", "b"]])
    tags = np.array([0, 1, 2])
    subwords = len(windows.input_ids) - 4  # subwords of the middle word
    assert subwords > 1
    assert label_subwords(windows, tags, schema).tolist() == [-100, 0, 1, *[-100] * (subwords - 1), 2, -100]
    assert label_subwords(windows, tags, schema, "all").tolist() == [-100, 0, 1, *[2] * (subwords - 1), 2, -100]


def test_edited_code_never_meets_stale_features(bert, monkeypatch):
    dataset = Dataset.from_dict({"tokens": [["a", "b"]]})
    schema = TagSchema(("X",))

    def fingerprint():
        return align_split(dataset, Aligner(bert), schema).features._fingerprint

    before = fingerprint()
    assert fingerprint() == before
    monkeypatch.setattr(alignment, "_code_hash", lambda: "edited")
    assert fingerprint() != before


@pytest.mark.parametrize(
    "edited", ["windows", "rows", "pretokenized", "schema", "prefixes", "word_features", "alignment"]
)
def test_the_code_hash_reads_every_module_that_makes_features(edited, tmp_path, monkeypatch):
    module = importlib.import_module(f"hf_tagging.data.{edited}")
    copy = tmp_path / "edited.py"
    copy.write_bytes(Path(module.__file__).read_bytes() + b"# edited\n")
    code_hash = alignment._code_hash.__wrapped__
    before = code_hash()
    monkeypatch.setattr(module, "__file__", str(copy))
    assert code_hash() != before


def test_labels_stand_only_in_the_window_that_owns_the_word(bert):
    schema = TagSchema(tuple("ABCDEFGHIJ"))
    windows = Aligner(bert, max_length=8, overlap=3).windows([list("abcdefghij")])
    labels = label_subwords(windows, np.arange(10), schema)
    assert labels[labels >= 0].tolist() == list(range(10))


words = st.one_of(st.sampled_from(NASTY), st.text(max_size=12), st.text("abcdefg.,!-' ", max_size=30))


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    sentences=st.lists(st.lists(words, max_size=40), min_size=1, max_size=4),
    max_length=st.integers(4, 64),
    share=st.floats(0, 0.5),
)
def test_every_word_is_owned_once_in_order(tokenizer, sentences, max_length, share):
    capacity = max_length - 2
    aligner = Aligner(tokenizer, max_length=max_length, overlap=int(capacity * share) // 2)
    windows = aligner.windows(sentences)
    assert owned_words(windows) == list(range(sum(map(len, sentences))))
    assert np.diff(windows.offsets).max(initial=0) <= max_length
    starts, bounds = windows.word_starts()
    assert len(starts) == bounds[-1] == sum(map(len, sentences))
    first = np.concatenate([[0], np.cumsum([len(s) for s in sentences])])[windows.sentence] + windows.first_word
    assert windows.words[windows.offsets[:-1] + starts[bounds[:-1]]].tolist() == first.tolist()


def test_three_thousand_words(tokenizer):
    sentence = [f"word{i}" for i in range(2_990)] + NASTY[:10]
    windows = Aligner(tokenizer, max_length=128).windows([sentence])
    assert owned_words(windows) == list(range(3_000))


def test_code_that_is_saved_with_models_repeats_the_constants_of_data():
    from hf_tagging.data import pretokenized
    from hf_tagging.models import crf, word_embeddings

    assert crf.IGNORED == alignment.IGNORED
    for name in ("OUTSIDE", "STARTS", "CONTINUES"):
        assert getattr(word_embeddings, name) == getattr(pretokenized, name)


def test_words_of_nothing_but_the_unknown_token_are_counted(bert):
    """A word with one known subword is known; a word that vanished is not unknown as well."""
    windows = Aligner(bert).windows([["the", "水", "x水", "\u200b"], ["火", "火火"], ["a"]])
    assert windows.unknown.tolist() == [1, 2, 0]
    assert windows.first_unknown.tolist() == [1, 0, -1]
    assert windows.vanished.tolist() == [1, 0, 0]


def test_the_mark_of_a_space_does_not_make_a_word_known():
    pieces = Tokenizer(models.Unigram([("<unk>", -9.0), ("\u2581", -1.0), ("\u2581the", -1.0), ("a", -1.0)], unk_id=0))
    pieces.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="<unk>", model_max_length=64)
    windows = Aligner(tokenizer).windows([["the", "水", "a水", "火火"]])
    assert windows.unknown.tolist() == [2]
    assert windows.first_unknown.tolist() == [1]


def test_a_tokenizer_without_an_unknown_token_knows_every_word(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_roberta(tmp_path))
    tokenizer.unk_token = None
    assert Aligner(tokenizer).windows([["水", "the"]]).unknown.tolist() == [0]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sentences=st.lists(st.lists(st.sampled_from(["the", "水", "火", "\u200b", "a", "x" * 30]), max_size=80), max_size=4)
)
def test_every_unknown_word_is_counted_in_the_window_that_owns_it(bert, sentences):
    aligner = Aligner(bert, max_length=16)
    windows = aligner.windows(sentences)
    flat = [word for words in sentences for word in words]
    for window, (begin, end) in enumerate(zip(windows.offsets, windows.offsets[1:], strict=False)):
        at = slice(begin, end)
        owned = windows.words[at][windows.owned[at] & windows.heads[at]].tolist()
        unknown = [word for word in owned if flat[word] in "水火"]
        assert windows.unknown[window] == len(unknown)
        origin = sum(map(len, sentences[: windows.sentence[window]]))
        assert windows.first_unknown[window] == (unknown[0] - origin if unknown else -1)
