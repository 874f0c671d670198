"""Several taggers as one: the mean of their probabilities, word by word."""

import json

import numpy as np
import pytest
import torch
from tiny_models import TAGS, tiny_bert, tiny_roberta
from transformers import AutoModelForTokenClassification, AutoTokenizer

from hf_tagging import Tagger, TagSchema, evaluate_tagger
from hf_tagging.cli import main
from hf_tagging.errors import ConfigError, TaggingError
from hf_tagging.inference.ensemble import Ensemble
from hf_tagging.models import load_encoder

SENTENCES = [["Jordan", "waved", "in", "Porto", "."], ["ships"], ["Maria", "asks", "Jordan"] * 40]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two kinds of subwords, lengths and orders of the tags, and a CRF over the first."""
    folder = tmp_path_factory.mktemp("models")
    bert = tiny_bert(folder)
    roberta = tiny_roberta(folder, tags=("B-LOC", "I-PER", "O", "I-LOC", "B-PER"), max_length=32, seed=3)
    model, tokenizer = load_encoder(str(bert), TagSchema(TAGS, "IOB2"), head="crf")
    torch.manual_seed(1)
    torch.nn.init.normal_(model.crf.transitions)
    model.save_pretrained(folder / "crf")
    tokenizer.save_pretrained(folder / "crf")
    return {"bert": bert, "roberta": roberta, "crf": folder / "crf"}


@pytest.fixture(scope="module")
def tagger(folders):
    return Tagger.from_pretrained([*folders.values()], device="cpu")


def test_probabilities_are_the_mean_by_name_of_the_tag(folders, tagger):
    assert isinstance(tagger, Ensemble)
    assert tagger.name == "bert+roberta+crf"
    members = [Tagger.from_pretrained(folder, device="cpu") for folder in folders.values()]
    for i, found in enumerate(tagger.probabilities(SENTENCES)):
        assert found.shape == (len(SENTENCES[i]), len(TAGS))
        for tag in TAGS:
            said = [one.probabilities(SENTENCES)[i][:, one.schema.tags.index(tag)] for one in members]
            np.testing.assert_allclose(found[:, tagger.schema.tags.index(tag)], np.mean(said, axis=0), atol=1e-6)


def test_tags_scores_and_streams_come_of_the_mean(tagger):
    means = tagger.probabilities(SENTENCES)
    tags = [[tagger.schema.tags[i] for i in mean.argmax(-1)] for mean in means]
    assert tagger.tag(SENTENCES) == tags
    assert tagger.tag(SENTENCES[0]) == tags[0]
    assert list(tagger.tag_stream(iter(SENTENCES), block=2)) == tags
    for mean, found in zip(means, tagger.tag_with_scores(SENTENCES), strict=True):
        assert [score for _, score in found] == pytest.approx(mean.max(-1).tolist())
    best = tagger.tag_nbest(SENTENCES[0], 3)
    assert best[0][0] == tags[0]
    assert best[0][1] == pytest.approx(float(means[0].max(-1).prod()), rel=1e-5)
    assert tagger.tag([[]]) == [[]]
    with pytest.raises(TaggingError, match="sentence 1, word 0 is a int"):
        tagger.tag([["fine"], [3]])


def test_entities_of_a_text_have_the_product_of_the_means(tagger):
    found = tagger.tag_text("Jordan waved in Porto. Maria asks Jordan.")
    assert found.entities
    words = [word.text for word in found.words]
    means = np.concatenate(tagger.probabilities([words[:5], words[5:]]))
    for entity in found.entities:
        assert words[entity.first_word] in entity.text
        assert 0 < entity.score <= float(means[entity.first_word : entity.end_word].max(-1).prod()) + 1e-6


def test_one_model_twice_is_that_model(folders):
    one = Tagger.from_pretrained(folders["crf"], device="cpu")
    two = Tagger.from_pretrained([folders["crf"], str(folders["crf"])], device="cpu")
    assert two.tag(SENTENCES) == one.tag(SENTENCES)
    assert not isinstance(Tagger.from_pretrained([folders["crf"]]), Ensemble)


@pytest.mark.failure_mode("ensemble-other-tags", "ensemble-saved")
def test_what_is_refused(folders, tagger, tmp_path):
    with pytest.raises(ConfigError, match="an ensemble needs models"):
        Tagger.from_pretrained([])
    with pytest.raises(ConfigError, match="revision"):
        Tagger.from_pretrained([*folders.values()], revision="v1")
    other = tiny_bert(tmp_path, tags=(*TAGS[:4], "I-ODD"))
    with pytest.raises(ConfigError, match="cannot be an ensemble: only one of them has the tags I-LOC, I-ODD"):
        Tagger.from_pretrained([folders["bert"], other])
    config = json.loads((folders["bert"] / "config.json").read_text()) | {"tag_scheme": "IOB1"}
    model = AutoModelForTokenClassification.from_pretrained(folders["bert"])
    model.save_pretrained(tmp_path / "iob1")
    AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path / "iob1")
    (tmp_path / "iob1" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="they write entities in IOB2 and IOB1"):
        Tagger.from_pretrained([folders["bert"], tmp_path / "iob1"])
    for use in (lambda: tagger.save_pretrained(tmp_path), lambda: tagger.model, lambda: tagger.windows(SENTENCES)):
        with pytest.raises(ConfigError, match=r"is an ensemble.*hf-tagging soup"):
            use()


def test_on_the_command_line(folders, tagger, tmp_path, capsys):
    models = [str(folder) for folder in folders.values()]
    (tmp_path / "words.txt").write_text("Jordan\nwaved\nin\nPorto\n.\n")
    main(["predict", *models, "--input", str(tmp_path / "words.txt"), "--format", "column", "--device", "cpu"])
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines() if line] == tagger.tag(SENTENCES[0])
    (tmp_path / "gold.conll").write_text("Jordan B-PER\nwaved O\nin O\nPorto B-LOC\n. O\n")
    main(["evaluate", *models, "--test_file", str(tmp_path / "gold.conll"), "--json", "--device", "cpu"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["model"] == models
    figures = evaluate_tagger(tagger, test_file=tmp_path / "gold.conll").figures
    assert answer["figures"]["per_type"] == figures["per_type"]
    assert answer["figures"]["words"] == 5
