"""What `Tagger.explain` says of words, against what the tagger itself says without them."""

import json

import numpy as np
import pytest
import torch
from tiny_models import tiny_bert
from transformers import BertConfig

from hf_tagging.data import TagSchema, load_tagging_dataset
from hf_tagging.errors import ConfigError, ModelError, TaggingError
from hf_tagging.inference import Tagger
from hf_tagging.inference.ensemble import Ensemble
from hf_tagging.models import load_encoder
from hf_tagging.models.baseline import build_baseline

SHORT = ["in", "May", "book"]
WORDS = ["Ask", "Maria", "in", "Lisbon", "<b>", "metres"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"), max_length=16)


@pytest.fixture(scope="module")
def tagger(folder):
    return Tagger.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def crf(folder):
    model, tokenizer = load_encoder(str(folder), TagSchema.from_config(BertConfig.from_pretrained(folder)), head="crf")
    with torch.no_grad():
        for parameter in model.crf.parameters():
            parameter.normal_()
    return Tagger(model, tokenizer, device="cpu")


def probability(tagger, words, position, tag):
    return tagger.probabilities([words])[0][position, tagger.schema.label2id[tag]]


@pytest.mark.parametrize("kind", ["tagger", "crf"])
def test_occlusion_is_what_the_tagger_says_without_a_word(kind, request):
    tagger = request.getfixturevalue(kind)
    found = tagger.explain(SHORT, 1)
    assert found.tag == tagger.tag(SHORT)[1]
    assert found.probability == pytest.approx(probability(tagger, SHORT, 1, found.tag))
    assert found.contributions.shape == (len(SHORT),)
    for number in range(len(SHORT)):
        without = [*SHORT]
        without[number] = "\u200b"  # which the tokenizer turns into nothing: the unknown token
        lost = found.probability - probability(tagger, without, 1, found.tag)
        assert found.contributions[number] == pytest.approx(lost, abs=1e-6)
    assert np.abs(found.contributions).max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("kind", ["tagger", "crf"])
def test_integrated_gradients_add_up_to_the_change_from_unknown_words(kind, request):
    tagger = request.getfixturevalue(kind)
    found = tagger.explain(SHORT, 1, method="integrated_gradients")
    label = tagger.schema.label2id[found.tag]

    windows = tagger.windows([SHORT])
    at = int(np.flatnonzero(windows.heads & (windows.words == 1))[0])

    def alone(ids):  # the probability by the word alone, before any transitions
        model = tagger.model
        hidden = getattr(model, "encoder", model.base_model)(input_ids=torch.from_numpy(ids.astype(np.int64))[None])[0]
        return model.classifier(hidden)[0, at].softmax(-1)[label].item()

    unknown = np.where(windows.words >= 0, tagger.tokenizer.unk_token_id, windows.input_ids)
    assert len(windows) == 1
    assert found.contributions.shape == (len(SHORT),)
    assert found.contributions.sum() == pytest.approx(alone(windows.input_ids) - alone(unknown), abs=1e-3)
    assert np.abs(found.contributions).max() > 1e-3


def test_a_tagger_from_scratch_is_explained_by_occlusion():
    data = load_tagging_dataset("sample", task="ner")
    data["train"] = data["train"].select(range(40))
    parts = {"encoder": "hmm", "head": "crf", "hidden_size": 8, "embedding_size": 8}
    model, tokenizer = build_baseline(data, TagSchema.detect(data, task="ner"), parts=parts)
    tagger = Tagger(model, tokenizer, device="cpu")
    assert tagger.explain(WORDS, 1).contributions.shape == (len(WORDS),)
    with pytest.raises(ModelError, match="integrated_gradients needs an encoder with its gradients"):
        tagger.explain(WORDS, 1, method="integrated_gradients")


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients"])
@pytest.mark.parametrize("kind", ["tagger", "crf"])
def test_a_long_sentence_is_explained_in_the_window_that_reads_the_word(kind, method, request):
    tagger = request.getfixturevalue(kind)
    words = WORDS * 8
    windows = tagger.windows([words])
    assert len(windows) > 1
    found = tagger.explain(words, 40, method=method)
    window = int(np.searchsorted(windows.first_word, 40, side="right")) - 1
    read = set(windows.words[windows.offsets[window] : windows.offsets[window + 1]].tolist())
    assert 0 < len(read) < len(words) / 2
    assert not found.contributions[[i for i in range(len(words)) if i not in read]].any()
    assert np.abs(found.contributions).max() > 1e-4
    assert found.probability == pytest.approx(probability(tagger, words, 40, found.tag))


def test_a_crf_says_its_transitions(crf, tagger):
    found = crf.explain(WORDS, 1)
    tags, table = crf.tag(WORDS), crf.schema.label2id
    expected = crf.model.crf.transitions[table[tags[0]], table[tags[1]]].item()
    assert (found.transitions[0].previous, found.transitions[0].tag) == (tags[0], tags[1])
    assert found.transitions[0].score == pytest.approx(expected)
    first, last = crf.explain(WORDS, 0).transitions[0], crf.explain(WORDS, -1).transitions[1]
    assert (first.previous, first.score) == (None, pytest.approx(crf.model.crf.start[table[tags[0]]].item()))
    assert (last.tag, last.score) == (None, pytest.approx(crf.model.crf.end[table[tags[-1]]].item()))
    assert tagger.explain(WORDS, 1).transitions == ()


def test_an_ensemble_is_explained_as_the_mean_of_its_members(tagger, crf):
    both = Ensemble([tagger, crf])
    for method in ("occlusion", "integrated_gradients"):
        parts = [one.explain(WORDS, 1, tag="B-LOC", method=method).contributions for one in (tagger, crf)]
        found = both.explain(WORDS, 1, tag="B-LOC", method=method)
        np.testing.assert_allclose(found.contributions, np.mean(parts, axis=0), atol=1e-6)


def test_is_shown_as_a_heat_line_and_kept_as_json(tagger):
    found = tagger.explain(WORDS, 1)
    page = found.to_html()
    assert page == found._repr_html_()
    assert "<bdi>&lt;b&gt;</bdi>" in page
    assert "<b>" not in page
    assert page.count("<span") == len(WORDS)
    assert json.loads(json.dumps(found.to_dict()))["words"] == WORDS


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"position": 6}, ConfigError, "position: 6 is not a word of this sentence, which has 6 words"),
        ({"position": "0"}, ConfigError, "position: '0' is not the number of a word. Give an integer"),
        ({"position": 1.0}, ConfigError, "position: 1.0 is not the number of a word"),
        ({"position": True}, ConfigError, "position: True is not the number of a word"),
        ({"words": []}, TaggingError, "the words of one sentence"),
        ({"words": "Ask Maria"}, TaggingError, "words"),
        ({"words": [["Ask"], ["Maria"]]}, TaggingError, "the words of one sentence"),
        ({"tag": "B-ORG"}, ConfigError, "tag: 'B-ORG' is not a tag of this model, which has O, B-PER"),
        ({"method": "lime"}, ConfigError, "method: 'lime' is not one of occlusion, integrated_gradients"),
    ],
)
def test_what_cannot_be_explained_is_refused(tagger, change, error, message):
    with pytest.raises(error, match=message):
        tagger.explain(**{"words": WORDS, "position": 0, **change})
