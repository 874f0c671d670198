"""Probabilities of entities and the best tag sequences, against all sequences there are."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TAGS, tiny_bert

from hf_tagging import TagSchema, load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference import Tagger
from hf_tagging.inference.nbest import Paths, joined_paths, list_viterbi
from hf_tagging.inference.tagger import Ensemble
from hf_tagging.models import load_encoder
from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.crf import ILLEGAL

NER = TagSchema(("O", "B-PER", "I-PER"), "IOB2")
SENTENCE = ["Jordan", "Xyzzy", "sailed", "past", "Porto"]
KINDS = ["crf", "linear", "lstm-crf", "hmm"]


def drawn(model, scale=2.0):
    torch.manual_seed(3)
    with torch.no_grad():
        (model.emissions if hasattr(model, "emissions") else model.classifier.weight).normal_(std=scale / 2)
        if getattr(model, "crf", None) is not None:
            for parameter in model.crf.parameters():
                parameter.normal_(std=scale)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_bert(tmp_path_factory.mktemp("bert"), tags=NER.tags))


def tagger_of(folder, head, **options):
    model, tokenizer = load_encoder(folder, NER, head=head)
    return Tagger(drawn(model), tokenizer, device="cpu", **options)


def scratch(encoder):
    data = load_tagging_dataset("sample", task="ner")
    parts = {"encoder": encoder, "head": "crf", "hidden_size": 8, "embedding_size": 8}
    model, tokenizer = build_baseline(data, NER, parts=parts)
    return Tagger(drawn(model), tokenizer, device="cpu")


@pytest.fixture(scope="module")
def taggers(folder):
    return {
        "crf": tagger_of(folder, "crf"),
        "linear": tagger_of(folder, "linear"),
        "lstm-crf": scratch("lstm"),
        "hmm": scratch("hmm"),
    }


def every_sequence(tagger, words):
    """Return the probability of every sequence of tags of a sentence, by enumeration over what the model reads."""
    if getattr(tagger.model, "crf", None) is None:
        table = tagger.probabilities([words])[0].astype(np.float64)
        paths = itertools.product(range(table.shape[1]), repeat=len(words))
        return {path: math.prod(table[i, tag] for i, tag in enumerate(path)) for path in paths}
    windows = tagger.windows([words])
    assert len(windows) == 1
    seen = []
    crf, chain = tagger.model.crf, tagger.model.crf.chain
    crf.chain = lambda emissions, mask, **options: seen.append((emissions, mask)) or chain(emissions, mask, **options)
    ids = torch.from_numpy(windows.input_ids[None].astype(np.int64))
    with torch.no_grad():
        word = tagger.model.tag_chain(ids, torch.ones_like(ids)).word[0]
    del crf.chain
    ((emissions, mask),) = seen
    emissions = emissions[0, mask[0]].double()  # (positions, tags)
    places = word[torch.from_numpy(windows.word_starts()[0])].tolist()  # the position of each word
    steps, start, end = (
        table.detach().double().masked_fill(~legal, ILLEGAL)
        for table, legal in (
            (crf.transitions, crf.legal_step), (crf.start, crf.legal_start), (crf.end, crf.legal_end)
        )
    )  # fmt: skip
    found = {}
    for path in itertools.product(range(crf.num_tags), repeat=len(emissions)):
        score = sum(emissions[i, tag] for i, tag in enumerate(path)) + start[path[0]] + end[path[-1]]
        score = float(score + sum(steps[a, b] for a, b in itertools.pairwise(path)))
        tags = tuple(path[i] for i in places)
        found[tags] = np.logaddexp(found.get(tags, -np.inf), score)
    total = np.logaddexp.reduce([*found.values()])
    return {tags: math.exp(score - total) for tags, score in found.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("words", [SENTENCE, SENTENCE[:1], ["U.S", "Jordan", "Porto"], ["\u200b", "Jordan"]])
class TestAgainstEnumeration:
    def test_the_best_sequences_are_the_best_there_are(self, taggers, kind, words):
        tagger = taggers[kind]
        every = every_sequence(tagger, words)

        found = tagger.tag_nbest(words, 12)

        best = sorted((p for p in every.values() if p > 1e-40), reverse=True)[:12]
        assert [p for _, p in found] == pytest.approx(best, rel=1e-5)
        for tags, probability in found:
            assert every[tuple(map(NER.tags.index, tags))] == pytest.approx(probability, rel=1e-5)
        assert len({tuple(tags) for tags, _ in found}) == len(found)

    def test_the_score_of_an_entity_is_the_sum_over_the_sequences_that_have_it(self, taggers, kind, words):
        tagger = taggers[kind]
        every = every_sequence(tagger, words)
        labels = tagger.label([words])[0]
        starts, ends, _ = NER.entity_edges(labels.ids, np.array([0, len(words)]))
        edges = [*zip(np.flatnonzero(starts), np.flatnonzero(ends), strict=True)]

        assert len(labels.entities) == len(edges)
        for (first, last), score in zip(edges, labels.entities, strict=True):
            tags = tuple(labels.ids[first : last + 1])
            having = sum(
                p
                for path, p in every.items()
                if path[first : last + 1] == tags and (last + 1 == len(path) or NER.tags[path[last + 1]] != "I-PER")
            )
            assert score == pytest.approx(having, rel=1e-4, abs=1e-7)


def test_the_sentences_hold_entities_and_words_that_a_crf_splits(taggers):
    assert sum(len(labels.entities) for tagger in taggers.values() for labels in tagger.label([SENTENCE])) > 1
    windows = taggers["crf"].windows([["U.S", "Jordan", "Porto"]])
    kinds = taggers["crf"].model.subword_kind[torch.from_numpy(windows.input_ids.astype(np.int64))]
    assert int((kinds == 1).sum()) > 3


@pytest.mark.parametrize("kind", KINDS)
class TestTagNbest:
    def test_answers_in_the_shape_of_the_question(self, taggers, kind):
        tagger = taggers[kind]
        many = [SENTENCE, [], SENTENCE[:2]]

        found = tagger.tag_nbest(many, 3)

        assert found[0] == tagger.tag_nbest(SENTENCE, 3)
        assert found[1] == [([], 1.0)]
        assert [len(tags) for tags, _ in found[2]] == [2, 2, 2]
        assert tagger.tag_nbest([], 3) == []

    def test_the_first_is_that_of_tag(self, taggers, kind):
        tagger = taggers[kind]
        words = load_tagging_dataset("sample", task="ner")["validation"][:30]["tokens"]
        found = tagger.tag_nbest(words, 1)
        plain = [all(word.isalpha() for word in sentence) for sentence in words]  # one position of a CRF for each word
        for keep, ((best, _),), tags in zip(plain, found, tagger.tag(words), strict=True):
            assert best == tags or not keep

    def test_a_number_that_is_none_is_refused(self, taggers, kind):
        for n in (0, True, 2.0, "2"):
            with pytest.raises(ConfigError, match=f"n: {n!r} is not a positive whole number"):
                taggers[kind].tag_nbest(SENTENCE, n)
        with pytest.raises(TaggingError, match="given a str"):
            taggers[kind].tag_nbest("Jordan", 2)


@pytest.mark.parametrize("head", ["crf", "linear"])
def test_windows_are_independent(folder, head):
    tagger = tagger_of(folder, head)
    words = ["Jordan", "sailed", "past"] * 40
    windows = tagger.windows([words])
    assert len(windows) > 1

    ((tags, probability), (_, second)) = tagger.tag_nbest(words, 2)

    assert (len(tags), second <= probability) == (len(words), True)
    labels = tagger.label([words])[0]
    assert len(labels.entities) == NER.entity_edges(labels.ids, np.array([0, len(words)]))[0].sum()
    assert ((labels.entities > 0) & (labels.entities <= 1)).all()
    if head == "linear":
        assert math.log(probability) == pytest.approx(float(np.log(labels.scores).sum()), rel=1e-5)
        assert tags == tagger.tag(words)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.integers(2, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_list_viterbi_and_joined_paths_equal_enumeration(words, tags, n, seed):
    rng = np.random.default_rng(seed)

    def chain():
        return rng.dirichlet(np.ones(tags)), rng.dirichlet(np.ones(tags), (words - 1, tags))

    chains = [chain() for _ in range(2)]
    every = []
    for first, steps in chains:
        paths = itertools.product(range(tags), repeat=words)
        every.append(
            [
                (first[p[0]] * math.prod(s[a, b] for s, (a, b) in zip(steps, itertools.pairwise(p), strict=True)), p)
                for p in paths
            ]
        )
    found = [list_viterbi(*chain, n) for chain in chains]
    for paths, all_of_them in zip(found, every, strict=True):
        assert np.exp(paths.logs) == pytest.approx(sorted((p for p, _ in all_of_them), reverse=True)[:n])
        by_path = {path: p for p, path in all_of_them}
        assert np.exp(paths.logs) == pytest.approx([by_path[tuple(path)] for path in paths.ids.tolist()])
    joint = joined_paths(found, n)
    best = sorted((a * b for (a, _), (b, _) in itertools.product(*every)), reverse=True)[:n]
    assert np.exp(joint.logs) == pytest.approx(best)
    assert joint.ids.shape == (len(best), 2 * words)


def test_out_of_reach_is_left_out():
    words = [Paths(np.array([[0], [1]]), np.array([0.0, -150.0])), Paths(np.array([[0], [1]]), np.array([-0.1, -2.3]))]
    assert joined_paths(words, 4).ids.tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2", "BIOES"])
def test_goes_on_says_what_entity_edges_reads(scheme):
    schema = TagSchema(TAGS, "IOB2").in_scheme(scheme)
    goes_on = schema.goes_on()
    for a, b in itertools.product(range(len(schema.tags)), repeat=2):
        starts, _, types = schema.entity_edges(np.array([a, b]), np.array([0, 2]))
        assert goes_on[a, b] == (types[1] >= 0 and not starts[1])
    assert not TagSchema(("NN", "VB")).goes_on().any()


class TestMinConfidence:
    @pytest.mark.parametrize("kind", KINDS)
    def test_leaves_out_the_entities_below_it(self, taggers, kind):
        tagger = taggers[kind]
        words = load_tagging_dataset("sample", task="ner")["validation"][:20]["tokens"]
        everything = tagger.label(words)
        scores = np.sort(np.concatenate([labels.entities for labels in everything]))
        least = float(scores[len(scores) // 2])
        choosy = Tagger(tagger.model, tagger.tokenizer, device="cpu", min_confidence=least)

        found = choosy.label(words)

        assert np.concatenate([labels.entities for labels in found]).min() >= least
        for some, every in zip(found, everything, strict=True):
            starts, ends, _ = NER.entity_edges(every.ids, np.array([0, len(every.ids)]))
            expected = every.ids.copy()
            spans = zip(np.flatnonzero(starts), np.flatnonzero(ends), every.entities, strict=True)
            for first, last, score in spans:
                expected[first : last + 1] *= score >= least
            assert some.ids.tolist() == expected.tolist()
            assert (some.scores[some.ids == every.ids] == every.scores[some.ids == every.ids]).all()
        tags = [labels.tags(NER) for labels in found]
        assert choosy.tag(words) == [*choosy.tag_stream(words)] == tags
        table = np.concatenate(tagger.probabilities(words))
        outside = np.concatenate([f.ids != e.ids for f, e in zip(found, everything, strict=True)])
        assert np.concatenate([f.scores for f in found])[outside] == pytest.approx(table[outside, 0])

    def test_holds_for_an_ensemble(self, taggers):
        members = [taggers["crf"], taggers["linear"]]
        words = load_tagging_dataset("sample", task="ner")["validation"][:10]["tokens"]
        table, entities = Ensemble(members).all_probabilities(words)
        assert np.array_equal(table, np.concatenate(Ensemble(members).probabilities(words)))
        least = float(np.median(entities))
        found = Ensemble(members, min_confidence=least).label(words)
        assert np.concatenate([labels.entities for labels in found]).tolist() == entities[entities >= least].tolist()
        assert sum((labels.ids == 0).sum() for labels in found) > (table.argmax(-1) == 0).sum()

    def test_without_entities_a_word_has_no_tag(self, tmp_path):
        folder = tiny_bert(tmp_path, tags=("NN", "VB", "."))
        every = Tagger.from_pretrained(folder, device="cpu").tag_with_scores(SENTENCE)
        least = sorted(score for _, score in every)[2]
        choosy = Tagger.from_pretrained(folder, device="cpu", min_confidence=least)
        assert choosy.tag(SENTENCE) == [tag if score >= least else "_" for tag, score in every]

    def test_predict_writes_what_is_left(self, taggers, folder, tmp_path, capsys):
        model = taggers["linear"].model
        model.save_pretrained(tmp_path / "model")
        taggers["linear"].tokenizer.save_pretrained(tmp_path / "model")
        (tmp_path / "in.conll").write_text("".join(f"{word}\n" for word in SENTENCE))
        (tmp_path / "in.text").write_text(" ".join(SENTENCE) + "\n")
        score = min(taggers["linear"].label([SENTENCE])[0].entities)
        written = {}
        for least in ("0", "1.0", str(score + 1e-6)):
            for name in ("in.conll", "in.text"):
                main(["predict", str(tmp_path / "model"), "--input", str(tmp_path / name), "--min_confidence", least,
                      "--output", str(tmp_path / "out"), "--overwrite", "--device", "cpu"])  # fmt: skip
                written[name, least] = (tmp_path / "out").read_text()
        tags = [line.split()[1] for line in written["in.conll", "0"].splitlines()]
        assert tags == taggers["linear"].tag(SENTENCE)
        assert {line.split()[1] for line in written["in.conll", "1.0"].splitlines()} == {"O"}
        entities = {least: json.loads(text)["entities"] for (name, least), text in written.items() if name == "in.text"}
        assert len(entities["0"]) > len(entities[str(score + 1e-6)])
        assert entities["1.0"] == []

    @pytest.mark.parametrize("value", [-0.1, 1.5])
    def test_refuses_what_is_no_probability(self, taggers, folder, value):
        with pytest.raises(ConfigError, match=rf"min_confidence.*{value}.*: is not between 0 and 1"):
            Tagger.from_pretrained(folder, min_confidence=value)


@pytest.mark.parametrize("kind", KINDS)
def test_all_probabilities_are_those_of_words_and_of_entities(taggers, kind):
    tagger = taggers[kind]
    words = [SENTENCE, [], SENTENCE[:2]]
    table, entities = tagger.all_probabilities(words)
    assert np.array_equal(table, np.concatenate(tagger.probabilities(words)))
    assert np.array_equal(entities, np.concatenate([labels.entities for labels in tagger.label(words)]))
