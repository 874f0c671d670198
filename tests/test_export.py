"""Exported taggers: the same calls and the same tags, a folder that is whole, and a clear word where it cannot be."""

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnx_ir
import pytest
import torch
from fastapi.testclient import TestClient
from onnx import TensorProto, helper, numpy_helper
from peft import LoraConfig, get_peft_model
from recipe_runs import ROOT, environment
from tiny_models import TAGS, tiny_bert, tiny_modernbert, tiny_roberta
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer
from transformers.exporters import ExportedModel

from hf_tagging import EntityMetric, Tagger, TagSchema, load_encoder, load_tagging_dataset
from hf_tagging.cli import main
from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError
from hf_tagging.evaluation.predictions import write_predictions
from hf_tagging.inference.export import LEAST_EQUAL, check_target, export_tagger
from hf_tagging.inference.parity import compare, examples_file, read_examples
from hf_tagging.inference.quantizing import quantize, rounding_ratios
from hf_tagging.models import build_baseline
from hf_tagging.serving.app import build_app
from hf_tagging.serving.models import load_models, named_models

WORDS = (  # noqa: SIM905
    "The chef from Lisbon will book a table in May because Jordan loves her book . Two old ships sailed slowly past "
    "the harbour of Porto ; nobody on the pier waved ! Is 1,000.50 metres long ? Ask Maria , she 's walking naïvely Ωm"
).split()
ODD = [[], ["Jordan"], ["\u200b", "", "\ud800", "a b", "x" * 500], WORDS * 9, ["waved", "\x00"]]
FILES = ["config.json", "export.json", "model.onnx", "model.onnx.data", "tokenizer.json", "tokenizer_config.json"]


def sentences(count, seed=0):
    rng = random.Random(seed)
    return [rng.choices(WORDS, k=rng.randint(1, 20)) for _ in range(count)]


def with_predictions(folder: Path, count: int = 40) -> Path:
    """Puts beside a model what a run leaves of its validation; every third gold tag is another than the model's."""
    words = sentences(count, seed=1)
    predicted = Tagger.from_pretrained(str(folder), device="cpu").tag(words)
    gold = [[TAGS[(TAGS.index(t) + (i % 3 == 0)) % 5] for i, t in enumerate(tags)] for tags in predicted]
    write_predictions(folder / "predictions" / "validation.conll", words, gold, predicted)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return with_predictions(tiny_bert(tmp_path_factory.mktemp("run"), max_length=64))


@pytest.fixture(scope="module")
def source(run):
    return Tagger.from_pretrained(str(run), device="cpu")


@pytest.fixture(scope="module")
def exports(run):
    """Folder and parity per format, under the names that they get where none is given."""
    return {to: export_tagger(str(run), to=to) for to in ("onnx", "int8")}


@pytest.fixture
def copy(exports, tmp_path):
    """An exported folder to spoil."""
    return shutil.copytree(exports["onnx"][0], tmp_path / "copy")


class TestTagger:
    @pytest.mark.parametrize("to", ["onnx", "int8"])
    def test_is_served(self, to, exports):
        folder, many = str(exports[to][0]), sentences(60)
        served = load_models(named_models([f"mine={folder}"]).items())
        client = TestClient(build_app(served))
        answer = client.post("/tag", json={"words": many}).json()
        tags = [[word["tag"] for word in result["words"]] for result in answer["results"]]
        assert tags == Tagger.from_pretrained(folder).tag(many)
        (described,) = client.get("/models").json()["models"]
        assert (described["name"], described["exported"], described["precisions"]) == ("mine", True, ["exact"])
        assert client.post("/tag", json={"text": "a", "precision": "bfloat16"}).status_code == 422

    def test_gives_the_same_answers_to_the_same_calls(self, exports, source):
        tagger, many = Tagger.from_pretrained(str(exports["onnx"][0])), [*sentences(60), *ODD]

        assert type(tagger) is Tagger
        assert tagger.schema == source.schema
        assert tagger.tag(many) == source.tag(many)
        assert len({tag for tags in source.tag(many) for tag in tags}) > 1  # else this would see nothing
        assert tagger.tag(WORDS) == source.tag(WORDS)
        assert list(tagger.tag_stream(iter(many), block=7)) == source.tag(many)
        assert [[tag for tag, _ in row] for row in tagger.tag_with_scores(many)] == source.tag(many)
        ours, theirs = tagger.tag_text("Jordan can't wave."), source.tag_text("Jordan can't wave.")
        assert [(w.text, w.start, w.tag) for w in ours.words] == [(w.text, w.start, w.tag) for w in theirs.words]
        assert [(e.type, e.start, e.end) for e in ours.entities] == [(e.type, e.start, e.end) for e in theirs.entities]
        for found, expected in zip(tagger.label(many), source.label(many), strict=True):
            assert found.scores == pytest.approx(expected.scores, abs=1e-5)

    def test_does_not_depend_on_the_batch_or_the_threads(self, exports, source):
        many = sentences(60)
        narrow = Tagger.from_pretrained(str(exports["onnx"][0]), tokens_per_batch=1)
        assert narrow.tag(many) == source.tag(many)
        tagger = Tagger.from_pretrained(str(exports["int8"][0]), tokens_per_batch=64)
        alone = [labels.scores.tolist() for labels in tagger.label(many)]
        torch.set_num_threads(3)
        try:
            assert [labels.scores.tolist() for labels in tagger.label(many)] == alone
        finally:
            torch.set_num_threads(1)

    def test_cuts_the_windows_that_the_model_was_cut_to(self, exports, source):
        assert Tagger.from_pretrained(str(exports["onnx"][0])).max_length == source.max_length == 64

    def test_stays_as_it_was_exported(self, exports):
        folder = str(exports["onnx"][0])
        with pytest.raises(ConfigError, match=r"dtype: .* is an exported model, and stays as it was exported"):
            Tagger.from_pretrained(folder, dtype="float32")
        with pytest.raises(
            ConfigError, match=r"an exported model cannot run on 'meta' here: ONNX Runtime has .*CPUExec"
        ):
            Tagger.from_pretrained(folder, device="meta")
        model, tokenizer = Tagger.from_pretrained(folder).model, AutoTokenizer.from_pretrained(folder)
        with pytest.raises(ConfigError, match="precision: an exported model runs as it was exported, not fast"):
            Tagger(model, tokenizer, precision="fast")

    def test_says_what_is_missing_or_broken(self, copy, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxruntime", None)
        with pytest.raises(ModelError, match=r"needs onnxruntime\. Type: pip install 'hf-tagging\[onnx\]'"):
            Tagger.from_pretrained(str(copy))
        monkeypatch.undo()
        (copy / "model.onnx.data").unlink()
        with pytest.raises(ModelError, match=r".*copy: model\.onnx cannot be loaded \("):
            Tagger.from_pretrained(str(copy))
        (copy / "model.onnx").write_text("cut short")
        with pytest.raises(ModelError, match=r".*copy: model\.onnx cannot be loaded \("):
            Tagger.from_pretrained(str(copy))

    def test_refuses_a_graph_of_something_else(self, copy):
        onnx.save(graph(np.ones((1, 1), np.float32), takes="pixels"), copy / "model.onnx")
        with pytest.raises(ModelError, match=r"model\.onnx makes logits of pixels; expected logits of input_ids and"):
            Tagger.from_pretrained(str(copy))


class TestFolder:
    @pytest.mark.parametrize("to", ["onnx", "int8"])
    def test_holds_what_it_says_and_no_path(self, exports, run, to):
        folder, parity = exports[to]

        assert folder == run.with_name(f"bert-{to}")
        assert sorted(path.name for path in folder.iterdir()) == FILES
        manifest = json.loads((folder / "export.json").read_text())
        record = manifest["hf_tagging"]
        assert (record["to"], record["source"], record["max_length"], record["files"]) == (to, "bert", 64, FILES)
        assert {"torch", "transformers", "onnx", "onnxruntime", "onnxscript"} <= set(record["versions"])
        assert record["opset"] >= 18
        assert record["parity"]["equal"] == parity.equal
        assert record["parity"]["exported"]["size"] == parity.exported.size == graph_size(folder)
        for place in (str(run.parent), str(ROOT), "site-packages"):
            assert not any(place.encode() in (folder / name).read_bytes() for name in FILES)

    def test_is_one_of_transformers_own(self, exports, source):
        exported = ExportedModel.from_pretrained(exports["onnx"][0])
        inputs = {"input_ids": torch.tensor([[2, 9, 8, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}

        with torch.no_grad():
            torch.testing.assert_close(exported(**inputs).logits, source.model(**inputs).logits, atol=1e-5, rtol=1e-5)

    def test_in_int8_has_integer_products_with_a_scale_per_column(self, exports):
        model = onnx.load(exports["int8"][0] / "model.onnx")
        constants = {value.name: value for value in model.graph.initializer}
        products = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
        left = json.loads((exports["int8"][0] / "export.json").read_text())["hf_tagging"]["int8"]

        assert len(products) == left["products"] - len(left["left_in_float"]) == 13  # 2 layers of 6, and the tag head
        assert {constants[node.input[1]].data_type for node in products} == {TensorProto.INT8}
        scales = [value for name, value in constants.items() if name.endswith("_scale") and list(value.dims) == [32]]
        assert len(scales) == 12
        assert graph_size(exports["int8"][0]) < 0.75 * graph_size(exports["onnx"][0])

    def test_is_written_whole_or_not_at_all(self, run, tmp_path, monkeypatch):
        target = tmp_path / "out"

        def interrupted(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("hf_tagging.inference.export.compare", interrupted)
        with pytest.raises(KeyboardInterrupt):
            export_tagger(str(run), to="onnx", output=target)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.slow
    def test_is_replaced_only_when_asked_and_only_by_a_whole_one(self, run, copy, monkeypatch):
        before = (copy / "export.json").read_bytes()
        with pytest.raises(OutputError, match=r"copy: holds an export already. Give overwrite=True to replace it"):
            export_tagger(str(run), to="int8", output=copy)
        monkeypatch.setitem(LEAST_EQUAL, "onnx", 1.1)
        with pytest.raises(ModelError, match=r"tags otherwise \(100\.00% of the tags of predictions/validation\.conll"):
            export_tagger(str(run), to="onnx", output=copy, overwrite=True)
        assert (copy / "export.json").read_bytes() == before

        export_tagger(str(run), to="int8", output=copy, overwrite=True)
        assert [path.name for path in copy.parent.iterdir()] == ["copy"]
        assert json.loads((copy / "export.json").read_text())["hf_tagging"]["to"] == "int8"

    @pytest.mark.failure_mode("killed-export")
    def test_that_was_moved_away_by_a_killed_one_is_given_back(self, run, copy):
        old, new = (copy.with_name(f".{copy.name}.0123456789ab.{end}") for end in ("old", "partial"))
        copy.rename(old)
        new.mkdir()
        with pytest.raises(OutputError, match="holds an export already"):
            export_tagger(str(run), to="int8", output=copy)
        assert sorted(path.name for path in copy.iterdir()) == FILES
        assert not old.exists()
        assert not new.exists()

    @pytest.mark.parametrize(
        "odd", [{"int8": 5}, {"int8": [1]}, {"files": [[1]]}, {"files": 3}, {"max_length": "64"}, {"max_length": -1}]
    )
    def test_with_odd_values_in_its_manifest(self, copy, odd):
        manifest = json.loads((copy / "export.json").read_text())
        manifest["hf_tagging"] |= odd
        (copy / "export.json").write_text(json.dumps(manifest))
        assert Tagger.from_pretrained(str(copy)).tag(["a", "book"])
        if "files" in odd:
            with pytest.raises(OutputError, match="which no export has written"):
                check_target(copy, overwrite=True)
        else:
            check_target(copy, overwrite=True)

    def test_by_a_link_is_made_beside_what_the_link_leads_to(self, copy, tmp_path, monkeypatch):
        (tmp_path / "links").mkdir()
        (tmp_path / "links" / "out").symlink_to(copy)
        asked = []
        monkeypatch.setattr("hf_tagging.inference.export.check_writable", asked.append)
        check_target(tmp_path / "links" / "out", overwrite=True)
        assert asked == [tmp_path / "links" / "out", copy.resolve().parent]

    def test_of_somebody_else_is_left_alone(self, run, copy, tmp_path):
        (copy / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match=r"copy: holds notes\.txt, which no export has written\. Nothing was"):
            export_tagger(str(run), to="onnx", output=copy, overwrite=True)
        with pytest.raises(OutputError, match=r"holds config\.json, model\.safetensors, predictions, tokenizer\.json"):
            export_tagger(str(run), to="onnx", output=run, overwrite=True)
        (tmp_path / "file").write_text("mine")
        with pytest.raises(OutputError, match="file: is no folder"):
            export_tagger(str(run), to="onnx", output=tmp_path / "file", overwrite=True)


class TestParity:
    def test_compares_on_the_words_of_the_validation(self, exports, run, source):
        parity = exports["onnx"][1]
        rows = [line.split(" ") for line in (run / "predictions" / "validation.conll").read_text().split("\n") if line]
        words = sentences(40, seed=1)

        assert (parity.sentences, parity.words) == (40, len(rows) == sum(map(len, words)) and len(rows))
        assert parity.equal == 1.0
        assert parity.score_difference < 1e-5
        gold = iter([row[1] for row in rows])
        gold = [[next(gold) for _ in sentence] for sentence in words]
        expected = EntityMetric().compute(predictions=source.tag(words), references=gold)["f1"]
        assert 0 < parity.source.score == parity.exported.score == expected < 1

    def test_shows_a_table(self, exports):
        rows = [line.split() for line in exports["int8"][1].table(("runs/ner", "runs/ner-int8")).splitlines()]

        assert rows[0] == ["sentences/s", "MB", "f1"]
        assert [row[0] for row in rows[1:3]] == ["runs/ner", "runs/ner-int8"]
        assert rows[3][:2] == ["Equal", "tags:"]

    @pytest.mark.parametrize(
        ("content", "gold"),
        [("Jordan NNP O\nwaved VBD O\n", [["O", "O"]]), ("Jordan X\nwaved Y\n", None), ("Jordan\nwaved\n", None)],
    )
    def test_takes_a_file_with_tags_or_without(self, exports, source, tmp_path, content, gold):
        data = tmp_path / "data.columns.conll"
        data.write_text(content)
        examples = read_examples(examples_file("nowhere", data), source.schema, of_run=False)
        assert (examples.name, examples.words, examples.gold) == ("data.columns.conll", [["Jordan", "waved"]], gold)

        parity = compare(
            source, Tagger.from_pretrained(str(exports["onnx"][0])), examples, sizes=(2_000_000, 1_000_000)
        )
        assert (parity.sentences, parity.words, parity.equal) == (1, 2, 1.0)
        assert [line.split()[2:] for line in parity.table(("a", "b")).splitlines()[1:3]] == (
            [["2.0", "0.0000"], ["1.0", "0.0000"]] if gold else [["2.0"], ["1.0"]]
        )

    def test_is_asked_for(self, run, tmp_path):
        bare = shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("predictions"))
        with pytest.raises(DataError, match=r"bare: has no predictions/validation\.conll, .* Give data=FILE"):
            export_tagger(str(bare), to="onnx")
        with pytest.raises(DataError, match="does not exist"):
            export_tagger(str(bare), to="onnx", data=tmp_path / "nowhere.conll")
        (tmp_path / "empty.conll").write_text("\n")
        with pytest.raises(DataError, match="there are no words in it"):
            export_tagger(str(bare), to="onnx", data=tmp_path / "empty.conll")
        assert [path.name for path in tmp_path.glob("bare*")] == ["bare"]

    def test_warns_where_eight_bits_are_coarse(self, run, tmp_path, monkeypatch, caplog):
        monkeypatch.setitem(LEAST_EQUAL, "int8", 1.1)
        export_tagger(str(run), to="int8", output=tmp_path / "out")

        assert "8 bits are coarse for this model" in caplog.text
        assert (tmp_path / "out" / "model.onnx").is_file()

    def test_warns_where_eight_bits_cost_too_much_of_the_score(self, run, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr("hf_tagging.inference.export.MOST_LOST", -2.0)
        export_tagger(str(run), to="int8", output=tmp_path / "out")

        assert re.search(r"8 bits are coarse for this model \(\w+ on .* falls from \d\.\d+ to \d\.\d+\)", caplog.text)

    def test_warns_on_a_machine_whose_products_overflow(self, run, tmp_path, monkeypatch, caplog):
        monkeypatch.setattr("hf_tagging.inference.quantizing.saturates", lambda: False)
        folder, _ = export_tagger(str(run), to="int8", output=tmp_path / "out")
        assert "products overflow" not in caplog.text

        monkeypatch.setattr("hf_tagging.inference.onnx_model.saturates", lambda: True)
        Tagger.from_pretrained(str(folder))
        assert "products overflow, and tags may differ. Export it here." in caplog.text


class TestQuantizing:
    # Of ids 0 and 1, half of them each, the mean square is 1/2, that of rounding in steps of 1/255 is 1/(12 * 255²).
    EVEN = 10 * np.log10(0.5 * 12 * 255**2)

    def test_measures_what_rounding_would_lose(self):
        ids = np.array([[0, 1, 0, 1]])
        program = onnx_ir.from_proto(graph(np.ones((1, 3), np.float32)))

        found = rounding_ratios(program, [{"input_ids": ids}, {"input_ids": 1 - ids}])
        assert found == {"product": pytest.approx(self.EVEN)}
        assert [value.name for value in program.graph.outputs] == ["logits"]

    @pytest.mark.parametrize(("largest", "left"), [(1, []), (2_000, ["product"])])
    def test_leaves_in_float_what_would_drown(self, largest, left):
        # 8,191 numbers of 1 beside one of 2,000: 19.8 dB.
        ids = np.ones((1, 8192), np.int64)
        ids[0, 0] = largest
        program = onnx_ir.from_proto(graph(np.ones((1, 3), np.float32)))

        quantized, done = quantize(program, [{"input_ids": ids}])
        assert done["left_in_float"] == left
        assert ("MatMul" in {node.op_type for node in quantized.graph}) == bool(left)


@pytest.fixture(scope="module")
def sample():
    return load_tagging_dataset("sample", task="ner")


def baseline(sample, folder, encoder, **parts):
    torch.manual_seed(0)
    sizes = {"word_size": 8, "hidden_size": 8, "num_heads": 2, "intermediate_size": 8, "character_filters": 2}
    parts = {**sizes, "encoder": encoder, **parts}
    model, tokenizer = build_baseline(sample, TagSchema.detect(sample, task="ner"), parts=parts)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def column_file(tmp_path):
    path = tmp_path / "data.columns.conll"
    path.write_text("\n\n".join("\n".join(words) for words in sentences(20)) + "\n")
    return path


class TestArchitectures:
    @pytest.mark.slow
    @pytest.mark.parametrize("build", [tiny_roberta, tiny_modernbert])
    def test_pretrained(self, build, tmp_path, column_file):
        folder = build(tmp_path, max_length=64)
        target, parity = export_tagger(str(folder), to="onnx", data=column_file)

        assert parity.equal == 1.0
        tagger, source = Tagger.from_pretrained(str(target)), Tagger.from_pretrained(str(folder), device="cpu")
        assert tagger.max_length == source.max_length == 64
        assert tagger.tag([*sentences(20, seed=3), *ODD]) == source.tag([*sentences(20, seed=3), *ODD])

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            ("distilbert", {"hidden_dim": 32}),
            ("electra", {"embedding_size": 16}),
            ("xlm-roberta", {}),
            ("deberta-v2", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "norm_rel_ebd": "layer_norm"}),
        ],
    )
    def test_of_other_kinds(self, kind, options, tmp_path, column_file):
        """With the words of a BERT: what is looked at is the graph."""
        tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path))
        sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        tags = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}}
        words = {"vocab_size": len(tokenizer), "pad_token_id": 0, "max_position_embeddings": 70}
        config = AutoConfig.for_model(kind, **sizes, **words, **tags, **options, initializer_range=0.1)
        torch.manual_seed(0)
        AutoModelForTokenClassification.from_config(config).save_pretrained(tmp_path / kind)
        tokenizer.save_pretrained(tmp_path / kind)
        target, parity = export_tagger(str(tmp_path / kind), to="onnx", data=column_file)

        assert parity.equal == 1.0
        tagger, source = Tagger.from_pretrained(str(target)), Tagger.from_pretrained(str(tmp_path / kind), device="cpu")
        assert tagger.tag([*sentences(20, seed=3), *ODD]) == source.tag([*sentences(20, seed=3), *ODD])

    @pytest.mark.slow
    @pytest.mark.parametrize("to", ["onnx", "int8"])
    @pytest.mark.parametrize("encoder", ["mlp", "cnn", "transformer"])
    def test_from_scratch(self, sample, tmp_path, column_file, encoder, to):
        folder = baseline(sample, tmp_path / "run", encoder, characters="cnn", word_shape=True)
        target, parity = export_tagger(str(folder), to=to, data=column_file)

        assert parity.equal >= LEAST_EQUAL[to]
        tagger, source = Tagger.from_pretrained(str(target)), Tagger.from_pretrained(str(folder), device="cpu")
        many = [*sentences(20, seed=3), *ODD]
        assert [len(tags) for tags in tagger.tag(many)] == [len(words) for words in many]
        if to == "onnx":
            assert tagger.tag(many) == source.tag(many)

    def test_an_adapter_is_merged(self, run, tmp_path, column_file):
        model = get_peft_model(
            AutoModelForTokenClassification.from_pretrained(run),
            LoraConfig(task_type="TOKEN_CLS", r=4, target_modules=["query", "value"]),
        )
        torch.manual_seed(1)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_" in name:
                    weight.normal_(0, 0.3)
        adapter = tmp_path / "adapter"
        model.save_pretrained(adapter)
        model.config.save_pretrained(adapter)
        AutoTokenizer.from_pretrained(run).save_pretrained(adapter)
        target, parity = export_tagger(str(adapter), to="onnx", data=column_file)

        assert (parity.examples, parity.sentences, parity.equal) == ("data.columns.conll", 20, 1.0)
        words = sentences(20)
        tags = Tagger.from_pretrained(str(target)).tag(words)
        assert tags == Tagger.from_pretrained(str(adapter), device="cpu").tag(words)
        assert tags != Tagger.from_pretrained(str(run), device="cpu").tag(words)


class TestRefusals:
    def refused(self, folder, data, message):
        with pytest.raises(ModelError, match=message) as refusal:
            export_tagger(str(folder), to="onnx", data=data)
        assert str(refusal.value).startswith(f"{folder}: ")
        assert "\n" not in str(refusal.value)
        assert not list(folder.parent.glob("*-onnx")) + list(folder.parent.glob(".*partial"))

    def test_of_a_crf(self, run, sample, tmp_path, column_file):
        model, tokenizer = load_encoder(str(run), TagSchema(TAGS, "IOB2"), head="crf")
        model.save_pretrained(tmp_path / "crf")
        tokenizer.save_pretrained(tmp_path / "crf")
        message = r"cannot be exported to ONNX: it finds the best path .* Train it with head=linear\.$"
        self.refused(tmp_path / "crf", column_file, f"CrfEncoderForTokenClassification {message}")
        folder = baseline(sample, tmp_path / "mlp", "mlp", head="crf")
        self.refused(folder, column_file, f"BaselineForTokenClassification {message}")

    def test_of_an_hmm(self, sample, tmp_path, column_file):
        folder = baseline(sample, tmp_path / "hmm", "hmm")
        self.refused(folder, column_file, r"HmmForTokenClassification cannot .* encoder mlp, cnn or transformer\.$")

    @pytest.mark.parametrize(
        ("parts", "message"),
        [
            ({"encoder": "lstm"}, r"cannot be exported to ONNX: its loop over words .* use mlp, cnn or transformer\.$"),
            (
                {"encoder": "mlp", "characters": "lstm"},
                r"A character LSTM cannot be exported: use a .* character CNN\.$",
            ),
        ],
    )
    def test_of_a_loop_in_its_own_words(self, sample, tmp_path, column_file, parts, message):
        self.refused(baseline(sample, tmp_path / "run", **parts), column_file, message)

    def test_of_what_is_no_model_to_export(self, exports, run):
        with pytest.raises(ModelError, match=r"is exported already\. Export the model that it was made of"):
            export_tagger(str(exports["onnx"][0]), to="int8")
        with pytest.raises(ModelError, match=r"^\./nowhere: there is no such folder"):
            export_tagger("./nowhere", to="onnx")
        with pytest.raises(ConfigError, match="to: 'xml' is not one of onnx, int8"):
            export_tagger(str(run), to="xml")

    def test_without_a_package(self, run, monkeypatch):
        monkeypatch.setitem(sys.modules, "onnxscript", None)
        with pytest.raises(ModelError, match=r"needs onnxscript\. Type: pip install 'hf-tagging\[onnx\]'"):
            export_tagger(str(run), to="onnx")


class TestCommand:
    def test_exports_and_prints_how_the_two_compare(self, run, tmp_path, capsys):
        target = tmp_path / "out"
        main(["export", str(run), "--to", "int8", "--output", str(target)])

        out = capsys.readouterr().out
        assert out.splitlines()[0].split() == ["sentences/s", "MB", "f1"]
        assert out.splitlines()[2].startswith(str(target))
        assert out.endswith(f"\nWritten to {target}\n")
        with pytest.raises(SystemExit, match="1"):
            main(["export", str(run), "--to", "int8", "--output", str(target)])
        assert "holds an export already" in capsys.readouterr().err

    @pytest.mark.slow
    def test_predicts_with_what_it_wrote_by_the_same_flags(self, exports, source, tmp_path):
        (tmp_path / "in.conll").write_text("Jordan x\nwaved y\n")
        expected = "".join(
            f"{w} {x} {t}\n" for w, x, t in zip(("Jordan", "waved"), "xy", source.tag(["Jordan", "waved"]), strict=True)
        )
        for command in (["recipes/predict.py", "--model"], ["-m", "hf_tagging.cli", "predict"]):
            flags = [str(exports["onnx"][0]), "--input", str(tmp_path / "in.conll"), "--device", "cpu"]
            done = subprocess.run(
                [sys.executable, *command, *flags],
                capture_output=True,
                text=True,
                cwd=ROOT,
                env=environment(),
                check=True,
            )
            assert done.stdout == expected

    @pytest.mark.parametrize("flags", [["--help"], ["export", "--help"], ["predict", "--help"]])
    def test_help_waits_for_no_library(self, flags):
        code = (
            f"import sys; from hf_tagging.cli import main\ntry: main({flags})\nexcept SystemExit: print(*sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)

        assert {"torch", "transformers", "onnxruntime", "numpy"}.isdisjoint(done.stdout.splitlines()[-1].split())


def graph(weights, takes="input_ids"):
    """A graph of one product with these weights, of ids as numbers. (1, ids) to (1, ids, columns)"""
    nodes = [
        helper.make_node("Cast", [takes], ["numbers"], to=TensorProto.FLOAT, name="cast"),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["rows"], name="unsqueeze"),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"], name="product"),
    ]
    given = [helper.make_tensor_value_info(takes, TensorProto.INT64, ["batch", "subwords"])]
    made = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "subwords", weights.shape[1]])]
    inner = [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["batch", "subwords", 1])]
    constants = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([-1]), "last")]
    found = helper.make_graph(nodes, "one product", given, made, constants, value_info=inner)
    return helper.make_model(found, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def graph_size(folder):
    return sum(path.stat().st_size for path in folder.glob("model.onnx*"))
