import shutil
import time

import pytest
import torch
from tiny_models import TAGS, tiny_bert
from transformers import (
    AlbertConfig,
    AlbertForTokenClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForTokenClassification,
)

from hf_tagging.data.schema import TagSchema
from hf_tagging.errors import ConfigError, ModelError
from hf_tagging.hub import first_line, forget_answers, model_errors, why_unreachable
from hf_tagging.models.encoder import PACKAGED_ENCODER_ON_HUB, load_encoder, resolve_model, saved_schema
from hf_tagging.models.fine_tuning import freeze
from hf_tagging.publishing.provenance import Source
from hf_tagging.publishing.provenance import model as model_of

SCHEMA = TagSchema(TAGS, "IOB2")


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
def distilbert(bert, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bert)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, hidden_dim=32, n_layers=2, n_heads=2, max_position_embeddings=64
    )
    DistilBertForTokenClassification(config).save_pretrained(tmp_path / "distilbert")
    tokenizer.save_pretrained(tmp_path / "distilbert")
    return tmp_path / "distilbert"


class TestBrokenFiles:
    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("model.safetensors", "cut short", "Error while deserializing header"),
            ("tokenizer.json", "", "its tokenizer: Expecting value: line 1 column 1"),
            ("tokenizer.json", "[]", "its tokenizer: "),
            ("tokenizer.json", "{}", "its tokenizer: KeyError: "),
            ("tokenizer.json", '{"added_tokens": [], "model": {}}', "its tokenizer: "),
            ("config.json", "{", r".*config\.json"),
        ],
    )
    def test_end_in_a_message(self, bert, tmp_path, file, content, message):
        folder = shutil.copytree(bert, tmp_path / "broken")
        (folder / file).write_text(content)

        with pytest.raises(ModelError, match=rf"{folder}: cannot be loaded \({message}.*\)\. Is every file"):
            load_encoder(str(folder), SCHEMA)

    def test_are_worded_in_one_place(self):
        with (
            pytest.raises(ModelError, match=r"^x: cannot be loaded \(first\)\. Do this\.$"),
            model_errors("x", advice="Do this."),
        ):
            raise OSError("first\nsecond")
        with pytest.raises(ModelError, match="give trust_remote_code to run it"), model_errors("x"):
            raise ValueError("Please pass the argument `trust_remote_code=True`")
        for own in (ModelError("own"), ConfigError("own")):
            with pytest.raises(type(own), match=r"^own$"), model_errors("x"):
                raise own

    def test_first_line(self):
        assert first_line(OSError("\n one\ntwo")) == "one"
        assert first_line(KeyError("bert")) == "KeyError: 'bert'"
        assert first_line(ValueError()) == "ValueError"


class TestName:
    def test_may_begin_with_the_home_folder(self, bert, monkeypatch):
        monkeypatch.setenv("HOME", str(bert.parent))

        assert resolve_model("~/bert") == str(bert)
        assert resolve_model("google-bert/bert-base-cased") == "google-bert/bert-base-cased"
        assert saved_schema("~/bert") == SCHEMA
        load_encoder("~/bert", SCHEMA)

    @pytest.mark.failure_mode("hub-away")
    def test_is_asked_for_once(self, monkeypatch):
        asked = []

        def repo_info(self, name, **options):
            asked.append((name, options["repo_type"], options["revision"]))
            raise ConnectionError("no route")

        monkeypatch.setattr("hf_tagging.hub.HfApi.repo_info", repo_info)
        for _ in range(3):
            assert "cannot be reached (no route)" in why_unreachable("some/x", repo_type="model", revision=None)
        why_unreachable("some/x", repo_type="dataset", revision=None)
        why_unreachable("some/x", repo_type="model", revision="v1")
        assert asked == [("some/x", "model", None), ("some/x", "dataset", None), ("some/x", "model", "v1")]

        forget_answers()
        why_unreachable("some/x", repo_type="model", revision=None)
        assert len(asked) == 4

        clock = time.monotonic() + 300  # a process may outlive an outage
        monkeypatch.setattr("hf_tagging.hub.time.monotonic", lambda: clock)
        monkeypatch.setattr("hf_tagging.hub.HfApi.repo_info", lambda *_, **__: None)
        assert why_unreachable("some/x", repo_type="model", revision=None) is None

    def test_in_the_cache_is_loaded_without_a_retry_where_the_hub_is_away(self, bert, in_cache, connections):
        in_cache(bert, "some/bert")

        assert saved_schema("some/bert") == SCHEMA
        load_encoder("some/bert", SCHEMA)
        assert len(connections) == 1  # asked once for both

    def test_of_the_packaged_encoder_is_the_same_in_the_card(self):
        assert model_of({"arguments": {"model": "minilm"}}) == Source(PACKAGED_ENCODER_ON_HUB, PACKAGED_ENCODER_ON_HUB)


class TestHeadDropout:
    def test_of_bert_is_set_and_survives_saving(self, bert, tmp_path):
        model, _ = load_encoder(str(bert), SCHEMA, dropout=0.4)
        model.save_pretrained(tmp_path)

        assert model.dropout.p == 0.4
        assert model.bert.embeddings.dropout.p == 0.1
        assert AutoModelForTokenClassification.from_pretrained(tmp_path).dropout.p == 0.4

    def test_of_distilbert_is_set(self, distilbert):
        model, _ = load_encoder(str(distilbert), SCHEMA, dropout=0.4)

        assert model.dropout.p == 0.4
        assert model.distilbert.embeddings.dropout.p == 0.1

    def test_is_left_as_it_is_unless_given(self, bert):
        assert load_encoder(str(bert), SCHEMA)[0].dropout.p == 0.1

    def test_is_refused_where_there_is_none(self, bert, monkeypatch):
        model, _ = load_encoder(str(bert), SCHEMA)
        model.dropout = torch.nn.Identity()
        monkeypatch.setattr(AutoModelForTokenClassification, "from_pretrained", lambda *_, **__: model)

        with pytest.raises(ConfigError, match="head_dropout: BertForTokenClassification has no dropout"):
            load_encoder(str(bert), SCHEMA, dropout=0.4)


class TestFreeze:
    def trained(self, model):
        return {name for name, parameter in model.named_parameters() if parameter.requires_grad}

    def test_the_whole_encoder_needs_no_list_of_layers(self):
        sizes = {"hidden_size": 32, "embedding_size": 8, "intermediate_size": 32, "num_attention_heads": 2}
        albert = AlbertForTokenClassification(AlbertConfig(vocab_size=50, num_hidden_layers=3, **sizes))
        freeze(albert, -1)

        assert self.trained(albert) == {"classifier.weight", "classifier.bias"}
        with pytest.raises(ModelError, match="AlbertForTokenClassification has no list of 3 layers"):
            freeze(albert, 1)

    def test_the_first_layers(self, bert):
        model, _ = load_encoder(str(bert), SCHEMA, freeze_layers=1)

        assert "bert.encoder.layer.1.output.dense.weight" in self.trained(model)
        assert not any(name.startswith(("bert.embeddings", "bert.encoder.layer.0")) for name in self.trained(model))
        with pytest.raises(ConfigError, match="freeze_layers: 3 is more than the 2 layers"):
            freeze(model, 3)
