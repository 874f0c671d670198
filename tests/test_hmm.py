"""The hidden Markov model: what it counts, how it smooths, what it makes of unknown words."""

import json
import subprocess
import sys
import time
from fractions import Fraction as Part
from itertools import pairwise, product

import pytest
import torch
from recipe_runs import environment
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_tagging import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.data.batching import WindowCollator
from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.crf import ILLEGAL
from hf_tagging.models.hmm import HmmConfig, HmmForTokenClassification
from hf_tagging.models.word_embeddings import DIGIT, LOWER, SHAPES, UPPER

D, N, V = range(3)
TAGS = ("D", "N", "V")
CORPUS = (("the dog barks", (D, N, V)), ("the cat runs", (D, N, V)), ("dogs run", (N, V)))
CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
WORDS = " ".join(sentence for sentence, _ in CORPUS).split()


def words_of(words):
    """A tokenizer that spells what it does not know, and the tables of its ids."""
    rows = dict.fromkeys(words)
    letters = [*CHARACTERS, *(f"##{c}" for c in CHARACTERS)]
    subwords = [*dict.fromkeys(["[PAD]", "[UNK]", *rows, *letters])]
    backend = Tokenizer(models.WordPiece({p: i for i, p in enumerate(subwords)}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    spellings = [[], [1], *([CHARACTERS.index(c) + 2 for c in p.removeprefix("##")] for p in subwords[2:])]
    width = max(map(len, spellings))
    tables = {
        "subword_kind": torch.tensor([0, 1, *(2 if p.startswith("##") else 1 for p in subwords[2:])]),
        "vector_of_id": torch.tensor([0, 1, *(i if p in rows else 1 for i, p in enumerate(subwords[2:], 2))]),
        "spelling": torch.tensor([[*s, *[0] * (width - len(s))] for s in spellings]),
        "character_class": torch.tensor([0, 4, *[LOWER] * 26, *[UPPER] * 26, *[DIGIT] * 10]),
    }
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    )
    return tokenizer, tables


def model_of(words=WORDS, tags=TAGS, **options):
    """A model that has counted nothing, and its tokenizer."""
    tokenizer, tables = words_of(words)
    config = HmmConfig(
        vocab_size=len(tokenizer),
        num_vectors=len(set(words)) + 2,
        num_characters=len(CHARACTERS) + 2,
        max_subword_characters=tables["spelling"].shape[1],
        id2label=dict(enumerate(tags)),
        label2id={tag: i for i, tag in enumerate(tags)},
        **options,
    )
    model = HmmForTokenClassification(config).eval()
    model.tables.fill(tables)
    return model, tokenizer


def batch_of(tokenizer, sentences, labelled=True):
    """Sentences with a tag per word, at its first subword."""
    encoded = tokenizer([text for text, _ in sentences], padding=True, return_tensors="pt")
    labels = torch.full_like(encoded["input_ids"], -100)
    for row, (_, tags) in enumerate(sentences):
        before = None
        for at, word in enumerate(encoded.word_ids(row)):
            if word is not None and word != before:
                labels[row, at] = tags[word]
            before = word
    return dict(encoded) | ({"labels": labels} if labelled else {})


def fitted(corpus=CORPUS, words=WORDS, tags=TAGS, **options):
    model, tokenizer = model_of(words, tags, **options)
    model.fit([batch_of(tokenizer, corpus)])
    return model, tokenizer


def emissions(model, tokenizer, word):
    """P(word | tag), up to a number. (tags,)"""
    batch = batch_of(tokenizer, [(word, [0])])
    return model(**batch).logits[0, 0].double().exp()


def tagged(model, tokenizer, text):
    """The tag of each word."""
    batch = batch_of(tokenizer, [(text, [0] * 99)])
    first = batch.pop("labels")[0] >= 0
    return [model.config.id2label[i] for i in model(**batch).logits[0, first].argmax(-1).tolist()]


def close(found, *expected):
    torch.testing.assert_close(
        found.double(), torch.tensor([float(x) for x in expected]).double(), atol=1e-6, rtol=1e-5
    )


# What is counted, by hand.

# The bigrams are start-D 2, start-N 1, D-N 2, N-V 3, V-end 3. Left out once, every bigram but start-N foretells its
# second better than the frequency of the second does: start-D (2 - 1)/(3 - 1) against (2 - 1)/(11 - 1), start-N
# (1 - 1)/(3 - 1) against (3 - 1)/(11 - 1). So 10 steps speak for bigrams and 1 for unigrams, and half a step for each.
BIGRAMS, UNIGRAMS = Part(7, 8), Part(1, 8)
# Of 11 steps 2 lead to D, 3 to N, 3 to V, 3 to the end, and each has half a step more.
TO = dict(zip("DNVE", (Part(5, 26), Part(7, 26), Part(7, 26), Part(7, 26)), strict=True))
# Of 8 words 2 are D, 3 N, 3 V, and each has half a word more.
PRIOR = (Part(5, 19), Part(7, 19), Part(7, 19))


def test_steps_by_hand():
    model, _ = fitted()
    close(model.crf.transitions[D].exp(), UNIGRAMS * TO["D"], BIGRAMS + UNIGRAMS * TO["N"], UNIGRAMS * TO["V"])
    close(model.crf.transitions[V].exp(), *(UNIGRAMS * TO[tag] for tag in "DNV"))
    close(model.crf.end.exp(), UNIGRAMS * TO["E"], UNIGRAMS * TO["E"], BIGRAMS + UNIGRAMS * TO["E"])
    some = 1 - UNIGRAMS * TO["E"]  # no sentence ends before it starts
    starts = (BIGRAMS * Part(2, 3) + UNIGRAMS * TO["D"], BIGRAMS * Part(1, 3) + UNIGRAMS * TO["N"], UNIGRAMS * TO["V"])
    close(model.crf.start.exp(), *(chance / some for chance in starts))


def smoothed(counts, lower):
    """With as many words more as there are different tags, spread as `lower`."""
    different = sum(count > 0 for count in counts)
    return [(count + different * p) / (sum(counts) + different) for count, p in zip(counts, lower, strict=True)]


def by_prior(chances, prior=PRIOR):
    return [p / q for p, q in zip(chances, prior, strict=True)]


def test_words_by_hand():
    model, tokenizer = fitted(suffix_length=1, suffix_weight=0.5)
    # Seven different words: D 1, N 3, V 3.
    any_ending = smoothed((1, 3, 3), PRIOR)
    assert any_ending[0] == (1 + 3 * Part(5, 19)) / 10
    # "dogs", "barks" and "runs" end in s: N 1, V 2. All other endings are of one word and do not count.
    in_s = smoothed((0, 1, 2), any_ending)
    assert in_s[1] == (1 + 2 * any_ending[1]) / 5
    assert model.config.num_suffixes == SHAPES + 1
    close(emissions(model, tokenizer, "cows"), *by_prior(in_s))
    close(emissions(model, tokenizer, "cow"), *by_prior(any_ending))
    half = Part(1, 2)
    of_dogs = [(count + half * p) / (1 + half) for count, p in zip((0, 1, 0), in_s, strict=True)]
    of_the = [(count + half * p) / (2 + half) for count, p in zip((2, 0, 0), any_ending, strict=True)]
    close(emissions(model, tokenizer, "dogs"), *by_prior(of_dogs))
    close(emissions(model, tokenizer, "the"), *by_prior(of_the))


def test_longer_endings_are_smoothed_by_shorter_ones():
    corpus = [("walking talking king", (V, V, N)), ("song ring", (N, N))]
    model, tokenizer = fitted(corpus, [])
    prior = (Part(1, 13), Part(7, 13), Part(5, 13))  # N 3, V 2
    in_ng = smoothed((0, 3, 2), smoothed((0, 3, 2), smoothed((0, 3, 2), prior)))  # of ng, of g, of all
    in_ing = smoothed((0, 2, 2), in_ng)
    in_king = smoothed((0, 1, 2), in_ing)
    in_lking = smoothed((0, 0, 2), in_king)
    for word, chances in (("ung", in_ng), ("sing", in_ing), ("making", in_king), ("silking", in_lking)):
        close(emissions(model, tokenizer, word), *by_prior(chances, prior))
    assert model.config.num_suffixes == SHAPES + len(("g", "ng", "ing", "king", "lking", "alking"))


def test_the_path_and_its_probability_are_those_of_all_paths():
    model, tokenizer = fitted()
    text = "the cows run dogs"
    batch = batch_of(tokenizer, [(text, (D, N, V, N))])
    words = [emissions(model, tokenizer, word).log() for word in text.split()]
    crf = {name: getattr(model.crf, name).double() for name in ("start", "transitions", "end")}

    def log_joint(path):
        steps = sum(crf["transitions"][a, b] for a, b in pairwise(path))
        return (
            crf["start"][path[0]] + steps + crf["end"][path[-1]] + sum(w[t] for w, t in zip(words, path, strict=True))
        )

    paths = {path: float(log_joint(path)) for path in product(range(3), repeat=4)}
    everything = torch.tensor(list(paths.values())).logsumexp(0)
    assert float(model(**batch).loss) == pytest.approx((float(everything) - paths[D, N, V, N]) / 4, abs=1e-5)
    best = max(paths, key=paths.__getitem__)
    assert tagged(model, tokenizer, text) == [TAGS[i] for i in best]
    first = batch.pop("labels")[0] >= 0
    posterior = model(**batch).logits[0, first].softmax(-1)
    of_cows = [sum(torch.tensor(s).exp() for p, s in paths.items() if p[1] == t) / everything.exp() for t in range(3)]
    torch.testing.assert_close(posterior[1], torch.stack(of_cows), atol=2e-5, rtol=1e-4)


def test_words_without_a_tag_are_not_counted_and_no_step_goes_over_them():
    model, tokenizer = fitted([("the dog barks", (D, -100, V)), ("dogs run", (-100, -100))])
    # What is left is start-D and V-end: D is followed by nothing that was counted.
    close(model.crf.transitions[D].exp(), Part(3, 8), Part(1, 8), Part(1, 8))
    assert tagged(model, tokenizer, "the barks") == ["D", "V"]
    seen = [tokenizer.decode([i]) for i in range(len(tokenizer)) if model.known[model.tables.vector_of_id[i].long()]]
    assert sorted(seen) == ["barks", "the"]


def test_a_known_word_may_have_another_tag():
    nouns = [("the runs", (D, N)), ("the run", (D, N)), ("the dogs", (D, N)), ("the cat", (D, N))]
    corpus = [*CORPUS, *nouns * 5]
    model, tokenizer = fitted(corpus)
    assert tagged(model, tokenizer, "the barks") == ["D", "N"]  # which training has as a verb alone
    assert tagged(model, tokenizer, "the dog barks") == ["D", "N", "V"]


# Unknown words.

SHAPED = [
    ("Ada Bell sang", (N, N, V)), ("Cory slept", (N, V)), ("he sang 1994", (D, V, D)), ("she had 20 30", (D, V, D, D)),
]  # fmt: skip


def test_unknown_words_by_shape_ending_and_digits():
    model, tokenizer = fitted(SHAPED, " ".join(text for text, _ in SHAPED).split())
    best = {
        word: TAGS[int(emissions(model, tokenizer, word).argmax())] for word in ("Zoe", "75", "1776", "kept", "Kell")
    }
    assert best == {"Zoe": "N", "75": "D", "1776": "D", "kept": "V", "Kell": "N"}
    assert torch.equal(emissions(model, tokenizer, "75"), emissions(model, tokenizer, "91"))


def test_words_left_out_of_the_vocabulary_teach_their_endings():
    model, tokenizer = fitted()
    without, spelling = fitted(words=[word for word in WORDS if word not in ("dogs", "barks", "t")])
    assert torch.equal(without.endings.codes, model.endings.codes)
    for word in ("cows", "cow", "Cows", "t", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeees"):
        assert torch.equal(emissions(without, spelling, word), emissions(model, tokenizer, word)), word
    assert torch.equal(without.crf.transitions, model.crf.transitions)
    long = emissions(model, tokenizer, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeees")
    assert torch.equal(long, emissions(model, tokenizer, "cows"))
    assert not torch.equal(long, emissions(model, tokenizer, "cow"))


# What may not matter, and what may not happen.


def test_neither_batches_nor_their_order_matter():
    words = [word for word in WORDS if word != "dogs"]
    model, tokenizer = fitted(words=words)
    other, _ = model_of(words)
    other.fit([batch_of(tokenizer, CORPUS)])  # what is forgotten
    other.fit(batch_of(tokenizer, [sentence]) for sentence in CORPUS[::-1])
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    logits = model(**batch_of(tokenizer, CORPUS, labelled=False)).logits
    for row, sentence in enumerate(CORPUS):
        alone = model(**batch_of(tokenizer, [sentence], labelled=False)).logits[0]
        torch.testing.assert_close(logits[row, : len(alone)], alone)


def test_illegal_steps_are_not_taken_though_training_has_them():
    tags = ("O", "B-X", "I-X")
    legal = {
        "legal_start": [True, True, False],
        "legal_step": [[True, True, False], [True, True, True], [True, True, True]],
        "legal_end": [True, True, True],
    }
    model, tokenizer = fitted([("the dog barks", (0, 2, 0)), ("the cat runs", (0, 1, 2))], tags=tags, **legal)
    assert model.crf.transitions[0, 2] == model.crf.start[2] == ILLEGAL
    close(model.crf.start.exp().sum(0, keepdim=True), 1)
    close(model.crf.transitions.exp().sum(1) + model.crf.end.exp(), 1, 1, 1)
    assert tagged(model, tokenizer, "the dog") != ["O", "I-X"]


def test_saved_and_loaded_it_is_the_same_and_takes_no_gradient(tmp_path):
    model, tokenizer = fitted()
    model.save_pretrained(tmp_path)
    loaded, info = HmmForTokenClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
        assert loaded.state_dict()[name].dtype == value.dtype, name
    batch = batch_of(tokenizer, CORPUS, labelled=False)
    assert torch.equal(loaded(**batch).logits, model(**batch).logits)
    assert not any(p.requires_grad for p in (*model.parameters(), *loaded.parameters()))
    loaded.fit([batch_of(tokenizer, CORPUS)])
    assert torch.equal(loaded.endings.scores, model.endings.scores)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_an_incomplete_checkpoint_is_filled_soundly(tmp_path):
    model, tokenizer = fitted()
    batch = batch_of(tokenizer, CORPUS)
    model.save_pretrained(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    for name in state:
        kept = {key: value for key, value in state.items() if key != name}
        save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
        loaded = HmmForTokenClassification.from_pretrained(tmp_path)
        for key, value in kept.items():
            assert torch.equal(loaded.state_dict()[key], value), (name, key)
        fresh, _ = model_of(num_suffixes=model.config.num_suffixes)
        if name.startswith("tables"):
            fresh.tables.reset_parameters()
        assert torch.equal(loaded.state_dict()[name], fresh.state_dict()[name]), name
        assert loaded(**batch).loss.isfinite()


def test_before_it_has_counted_all_tags_are_equal():
    model, tokenizer = model_of()
    chances = model(**batch_of(tokenizer, CORPUS, labelled=False)).logits.softmax(-1)
    torch.testing.assert_close(chances, torch.full_like(chances, 1 / 3), atol=1e-4, rtol=0)


def test_nothing_to_count_and_unknown_tags_are_errors():
    model, tokenizer = model_of()
    with pytest.raises(ValueError, match="labels: every word has -100"):
        model.fit([batch_of(tokenizer, [("the dog", (-100, -100))])])
    with pytest.raises(ValueError, match="labels: every word has -100"):
        model.fit([])
    with pytest.raises(ValueError, match="labels: 3 is none of the model's tags; they are 0 to 2"):
        model.fit([batch_of(tokenizer, [("the dog", (0, 3))])])


_FRESH = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_tagging":
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from transformers import pipeline
tag = pipeline("token-classification", model=sys.argv[1], trust_remote_code=True, ignore_labels=[])
print("SAID" + json.dumps([[x["word"], x["entity"]] for x in tag(sys.argv[2])]))
"""


@pytest.mark.slow
def test_a_fresh_process_without_the_package_spells_unknown_words(tmp_path):
    model, tokenizer = fitted()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    command = [sys.executable, "-c", _FRESH, str(tmp_path), "the zebra talks"]
    env = environment(HF_MODULES_CACHE=str(tmp_path / "modules"))
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=120)
    assert "SAID" in done.stdout, done.stdout + done.stderr
    said = json.loads(done.stdout.partition("SAID")[2])
    spelled = [["z", "N"], *(["##" + c, "N"] for c in "ebra"), ["t", "V"], *(["##" + c, "V"] for c in "alks")]
    assert said == [["the", "D"], *spelled]
    assert tagged(model, tokenizer, "the zebra talks") == ["D", "N", "V"]


@pytest.mark.real
@pytest.mark.slow
def test_conll2003(real_data):
    dataset = load_tagging_dataset(real_data / "conll2003", task="pos")
    schema = TagSchema.detect(dataset, task="pos")
    model, tokenizer = build_baseline(dataset, schema, parts={"encoder": "hmm"})
    aligned = align_dataset(dataset, tokenizer, schema)
    collate = WindowCollator(tokenizer.pad_token_id)

    def batches(split):
        for rows in aligned[split].features.select_columns(["input_ids", "labels"]).iter(batch_size=64):
            yield collate(
                [{"input_ids": i, "labels": t} for i, t in zip(rows["input_ids"], rows["labels"], strict=True)]
            )

    began = time.perf_counter()
    model.fit(batches("train"))
    assert time.perf_counter() - began < 10
    right = words = 0
    with torch.no_grad():
        for batch in batches("test"):
            labels = batch.pop("labels")
            right += int((model(**batch).logits.argmax(-1) == labels).sum())
            words += int((labels != -100).sum())
    assert words == 46_435
    assert right / words > 0.94
