import copy
import inspect
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub.constants
import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from huggingface_hub.utils import validate_repo_id
from recipe_runs import environment, run_recipe
from tiny_models import tiny_bert

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.tagger import Tagger
from hf_tagging.publishing import model_card
from hf_tagging.publishing.card.tagger import seed_results
from hf_tagging.publishing.hub.leaks import find_leaks

HOSTILE = (
    "a|b",
    "<script>alert(1)</script>",
    "`x`",
    "one\ntwo",
    "[x](http://evil.example)",
    "\u202eNN",
    "\ud800",
    "{{ 7*7 }}",
    "www.evil.example",
)


def scores(precision, recall, f1, support):
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


POS_SCHEMA = TagSchema(("NN", "DT", "SYM"))
NER_SCHEMA = TagSchema(("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), "IOB2")
POS_RESULTS = {
    "validation": {"accuracy": 0.95, "macro_f1": 0.9, "per_tag": {"NN": scores(0.5, 0.5, 0.5, 4)}, "loss": 0.25},
    "test": {
        "accuracy": 0.93126,
        "sentence_accuracy": 0.4,
        "mean_sentence_accuracy": 0.912345,
        "macro_f1": 0.81,
        "per_tag": {"DT": scores(1.0, 0.9, 0.94736, 10), "NN": scores(0.8, 0.7, 0.74666, 1234)},
        "words": 46435,
        "sentences": 3453,
        "unseen_accuracy": 0.71,
        "unseen_words": 2000,
        "seen_accuracy": 0.96,
        "loss": 0.31,
        "runtime": 12.5,
        "words_per_second": 3714.8,
    },
}
NER_RESULTS = {
    "test": {
        **scores(0.89, 0.91, 0.89989, 30),
        **{f"macro_{name}": 0.5 for name in ("precision", "recall", "f1")},
        "per_type": {"LOC": scores(0.9, 0.8, 0.84706, 10), "PER": scores(0.88, 0.95, 0.91366, 20)},
        "sentence_f1": 0.77,
        "strict_precision": 0.9,
        "strict_recall": 0.91,
        "strict_f1": 0.90497,
        "strict_per_type": {},
        "accuracy": 0.98,
        "words": 500,
        "sentences": 40,
        "mode": "default",
        "strict_mode": "strict",
        "scheme": "IOB2",
        "loss": 0.1,
    }
}
ALIGNMENT = {
    "sentences": 3453, "words": 46435, "windows": 3453,
    "windowed_sentences": 0, "vanished_words": 0, "shortened_words": 0,
}  # fmt: skip


@pytest.fixture
def pos_record():
    return {
        "task": "pos",
        "arguments": {
            "model": "minilm", "dataset": "conll2003", "train_file": None, "output_dir": "runs/pos-minilm-conll2003",
            "learning_rate": 5e-5, "per_device_train_batch_size": 16, "num_train_epochs": 3.0, "max_steps": -1,
            "warmup_steps": 0.1, "seed": 42, "scheme": "IOB2", "label_strategy": "first", "lora": False,
            "lora_rank": 16, "bf16": False, "class_weights": "none", "hub_model_id": None, "do_train": True,
        },
        "dataset": {
            "name": "conll2003",
            "splits": {
                "train": {"sentences": 14041, "words": 203621, "fingerprint": "0123abcd"},
                "test": {"sentences": 3453, "words": 46435, "fingerprint": "4567ef00"},
            },
            "unseen_tags": {"test": {"SYM": 3}},
        },
        "alignment": {"test": {**ALIGNMENT, "windowed_sentences": 2, "vanished_words": 1, "shortened_words": 5}},
        "scheme": None,
        "versions": {"hf_tagging": "0.1.0", "python": "3.11.9", "torch": "2.13.0", "transformers": "5.23.0"},
        "hardware": {"machine": "Linux-x86_64", "processor": "x86_64", "cpus": 2, "gpus": ["H200", "H200"]},
        "parameters": {"all": 22714000, "trained": 1155},
        "model_bytes": 90_856_000,
        "memory": {"process": 1_540_000_000},
        "history": [
            {"epoch": 1.0, "step": 878, "loss": 0.4, "accuracy": 0.9, "macro_f1": 0.7, "runtime": 3.0},
            {"epoch": 2.0, "step": 1756, "loss": 0.3, "accuracy": 0.93, "macro_f1": 0.8},
        ],
        "seconds": {"training": 423.4},
        "git_revision": "abc123",
        "status": "running",
    }  # fmt: skip


@pytest.fixture
def ner_record():
    return {
        "task": "ner",
        "arguments": {
            "model": "google-bert/bert-base-cased", "dataset": "someone/news", "dataset_config": "en",
            "dataset_revision": "v2", "hub_model_id": "me/news-ner", "max_steps": 200, "num_train_epochs": 3.0,
            "scheme": "IOB2", "lora": True, "lora_rank": 8, "max_train_samples": 100, "max_eval_samples": 40,
        },
        "dataset": {"name": "someone/news", "splits": {"train": {"sentences": 100, "words": 900}}, "unseen_tags": {}},
        "alignment": {"test": ALIGNMENT},
        "scheme": {"source": "IOB1", "target": "IOB2", "words": 1400, "repaired": 12},
    }  # fmt: skip


def section(card, title):
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)[1].strip()


def figures(card):
    return {(r.dataset_split, r.metric_name): r.metric_value for r in ModelCard(card).data.eval_results}


def test_pos_metadata_in_full(pos_record):
    card = model_card(pos_record, {"test": {"accuracy": 0.93126, "macro_f1": 0.81}}, POS_SCHEMA)
    assert yaml.safe_load(card.split("---\n")[1]) == {
        "base_model": "sentence-transformers/all-MiniLM-L6-v2",
        "datasets": ["eriktks/conll2003"],
        "language": "en",
        "library_name": "transformers",
        "metrics": ["accuracy", "f1"],
        "pipeline_tag": "token-classification",
        "tags": ["token-classification", "hf_tagging", "part-of-speech"],
        "model-index": [
            {
                "name": "pos-minilm-conll2003",
                "results": [
                    {
                        "task": {"type": "token-classification", "name": "Part-of-speech tagging"},
                        "dataset": {
                            "name": "eriktks/conll2003",
                            "type": "eriktks/conll2003",
                            "split": "test",
                            "revision": "refs/convert/parquet",
                        },
                        "metrics": [
                            {"type": "accuracy", "value": 0.93126, "name": "Accuracy"},
                            {"type": "f1", "value": 0.81, "name": "Macro F1"},
                        ],
                    }
                ],
            }
        ],
    }


def test_pos_sections(pos_record):
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    titles = [
        "How to use", "Results", "Limits", "Tags", "Training data", "Training history", "Hyper-parameters",
        "Speed, size and energy", "Environment", "Citation",
    ]  # fmt: skip
    assert re.findall(r"^## (.*)", card, re.MULTILINE) == titles
    assert (
        "A part-of-speech tagger with 3 tags: [sentence-transformers/all-MiniLM-L6-v2]"
        "(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) fine-tuned on [eriktks/conll2003]"
        "(https://huggingface.co/datasets/eriktks/conll2003). **Accuracy 0.9313 on the test split.**" in card
    )
    assert section(card, "Results") == (
        "| Figure | validation | test |\n"
        "| --- | ---: | ---: |\n"
        "| Accuracy | 0.9500 | 0.9313 |\n"
        "| Macro F1 | 0.9000 | 0.8100 |\n"
        "| Sentence accuracy |  | 0.4000 |\n"
        "| Mean sentence accuracy |  | 0.9123 |\n"
        "| Seen accuracy |  | 0.9600 |\n"
        "| Unseen accuracy |  | 0.7100 |\n"
        "| Loss | 0.2500 | 0.3100 |\n"
        "| Unseen words |  | 2,000 |\n"
        "| Words |  | 46,435 |\n"
        "| Sentences |  | 3,453 |\n\n"
        "Seen words occur in the training split, unseen words do not.\n\n"
        "Figures per sentence are not comparable with figures per word or entity.\n\n"
        "### By tag, test split\n\n"
        "| Tag | Precision | Recall | F1 | Support |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| NN | 0.8000 | 0.7000 | 0.7467 | 1,234 |\n"
        "| DT | 1.0000 | 0.9000 | 0.9474 | 10 |"
    )
    assert section(card, "Tags") == "3 tags, one for every word: NN · DT · SYM"
    assert section(card, "Training history") == (
        "| Epoch | Step | Loss | Accuracy | Macro F1 |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| 1 | 878 | 0.4000 | 0.9000 | 0.7000 |\n"
        "| 2 | 1,756 | 0.3000 | 0.9300 | 0.8000 |"
    )
    assert section(card, "Training data") == (
        "| Split | Source | Sentences | Words | Fingerprint |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| train | eriktks/conll2003 | 14,041 | 203,621 | 0123abcd |\n"
        "| test | eriktks/conll2003 | 3,453 | 46,435 | 4567ef00 |\n\n"
        "On the Hub: [eriktks/conll2003](https://huggingface.co/datasets/eriktks/conll2003), revision "
        "refs/convert/parquet.\n\n"
        "Tags of the test split that do not occur in the training split, with their number of words: SYM (3).\n\n"
        "Licence of the data: the text of CoNLL-2003 is Reuters news (RCV1), which is for research use.\n\n"
        "Licence of [sentence-transformers/all-MiniLM-L6-v2]"
        "(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2): Apache-2.0.\n\n"
        "The licence of this model is for its publisher to state; none is claimed here."
    )
    assert section(card, "Hyper-parameters") == (
        "| Argument | Value |\n"
        "| --- | ---: |\n"
        "| `learning_rate` | 5e-05 |\n"
        "| `per_device_train_batch_size` | 16 |\n"
        "| `num_train_epochs` | 3 |\n"
        "| `warmup_steps` | 0.1 (share of all steps) |\n"
        "| `label_strategy` | first |\n"
        "| `seed` | 42 |"
    )
    assert section(card, "Environment").splitlines()[2:] == [
        "| hf_tagging | 0.1.0 |",
        "| python | 3.11.9 |",
        "| torch | 2.13.0 |",
        "| transformers | 5.23.0 |",
        "| machine | Linux-x86_64 |",
        "| processor | x86_64 |",
        "| cpus | 2 |",
        "| GPUs | 2 x H200 |",
        "| git revision | abc123 |",
    ]
    assert section(card, "Speed, size and energy") == (
        "|  | Measured |\n"
        "| --- | ---: |\n"
        "| words per second, test split | 3,715 |\n"
        "| parameters | 22,714,000 |\n"
        "| parameters trained | 1,155 |\n"
        "| model files | 90.9 MB |\n"
        "| peak memory of the process | 1.5 GB |\n"
        "| training time | 7.1 min |\n\n"
        "Words per second were measured in the run's own evaluation, on the machine below.\n\n"
        "Energy of training: not measured."
    )
    assert section(card, "Limits").splitlines() == [
        "- In the test split (all counted in its figures): sentences longer than a window, read in overlapping "
        "windows: 2; words without subwords, read as the unknown token: 1; words longer than a window, cut to their "
        "beginning: 5.",
        "- Words of the test split whose tag does not occur in the training split, so that the model cannot have "
        "learned it: 3.",
        "- The part-of-speech column of CoNLL-2003 was produced by a tagger, not by hand: accuracy on it is agreement "
        "with that tagger.",
    ]
    assert 'pipeline("token-classification", model="pos-minilm-conll2003")' in card
    assert 'Tagger.from_pretrained("pos-minilm-conll2003")' in card
    assert "The pipeline returns one tag per subword; the tag of a word is that of its first subword." in card


def test_ner_card(ner_record):
    card = model_card(ner_record, NER_RESULTS, NER_SCHEMA)
    data = ModelCard(card).data
    assert data.base_model == "google-bert/bert-base-cased"
    assert data.datasets == ["someone/news"]
    assert data.tags == ["token-classification", "hf_tagging", "named-entity-recognition"]
    assert data.metrics == ["precision", "recall", "f1", "accuracy"]
    assert data.model_name == "me/news-ner"
    assert figures(card) == {
        ("test", "Entity precision"): 0.89,
        ("test", "Entity recall"): 0.91,
        ("test", "Entity F1"): 0.89989,
        ("test", "Word accuracy"): 0.98,
    }
    assert {(r.dataset_config, r.dataset_revision) for r in data.eval_results} == {("en", "v2")}
    assert "5 tags in IOB2 (entity types: PER, LOC)" in card
    assert "**Entity F1 0.8999 on the first 40 sentences of the test split.**" in card
    assert data.eval_results[0].dataset_args == {"max_eval_samples": 40}
    assert section(card, "Results").splitlines()[-4:] == [
        "| Entity type | Precision | Recall | F1 | Support |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| PER | 0.8800 | 0.9500 | 0.9137 | 20 |",
        "| LOC | 0.9000 | 0.8000 | 0.8471 | 10 |",
    ]
    assert "| Strict F1 | 0.9050 |" in card
    assert "configuration en, revision v2." in card
    assert "Entities were converted from IOB1 to IOB2." in card
    settings = section(card, "Hyper-parameters")
    assert "`max_steps` | 200" in settings
    assert "`lora_rank` | 8" in settings
    assert "num_train_epochs" not in settings  # max_steps wins
    assert section(card, "Limits").splitlines() == [
        "- **A partial run**: training used only the first 100 sentences of a split (`max_train_samples`). The "
        "figures are not comparable with those on the full data.",
        "- **A partial run**: evaluation used only the first 40 sentences of a split (`max_eval_samples`). The "
        "figures are not comparable with those on the full data.",
        "- In the test split every sentence fits one window, and no word was lost or shortened.",
        "- Tags that are invalid in IOB1, repaired before training and evaluation: 12 of 1,400.",
    ]
    assert 'model="me/news-ner", aggregation_strategy="first")' in card
    bioes = TagSchema(("O", "S-PER"), "BIOES")  # the pipeline does not know S-
    assert "aggregation_strategy" not in model_card(ner_record, NER_RESULTS, bioes)
    assert "one tag per subword" not in card


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_metadata_is_read_back_unchanged(task, pos_record, ner_record):
    record, results, schema = {
        "pos": (pos_record, POS_RESULTS, POS_SCHEMA),
        "ner": (ner_record, NER_RESULTS, NER_SCHEMA),
    }[task]
    before = copy.deepcopy((record, results))
    card = model_card(record, results, schema)
    assert str(ModelCard(card)) == card
    for (split, name), value in figures(card).items():
        key = {"Macro F1": "macro_f1"}.get(name, name.split()[-1].lower())
        assert value == results[split][key]
    assert (record, results) == before


def test_nothing_is_claimed_of_an_empty_record():
    card = model_card({}, {}, POS_SCHEMA)
    assert ModelCard(card).data.to_dict() == {
        "library_name": "transformers",
        "pipeline_tag": "token-classification",
        "tags": ["token-classification", "hf_tagging", "part-of-speech"],
    }
    assert re.findall(r"^#+ (.*)", card, re.MULTILINE) == ["model", "How to use", "Tags"]
    assert "\n\nA part-of-speech tagger with 3 tags.\n\n" in card
    assert model_card({}, {}, POS_SCHEMA, name="mine").count('"mine"') == 2


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_every_key_may_be_missing_or_none(task, pos_record, ner_record):
    record = ner_record if task == "ner" else pos_record
    results, schema = (NER_RESULTS, NER_SCHEMA) if task == "ner" else (POS_RESULTS, POS_SCHEMA)
    for key in record:
        without = {k: v for k, v in record.items() if k != key}
        for variant in (without, {**record, key: None}):
            assert "None" not in model_card(variant, results, schema)
    for key in record["arguments"]:
        arguments = {**record["arguments"], key: None}
        assert "None" not in model_card({**record, "arguments": arguments}, results, schema)
    for key in results["test"]:
        partial = {"test": {**results["test"], key: None}, "validation": {}}
        assert "None" not in model_card(record, partial, schema)


def test_hostile_names_stay_text(pos_record):
    per_tag = {tag: scores(0.5, 0.5, 0.5, n) for n, tag in enumerate(HOSTILE)}
    pos_record["dataset"]["unseen_tags"] = {"te|st": dict.fromkeys(HOSTILE, 1)}
    pos_record["dataset"]["splits"]["a|b<b>"] = {"sentences": 1, "words": 1, "fingerprint": "`"}
    pos_record["arguments"] |= {"dataset": "---\n<b>|x", "model": "<i>`m|\n---", "output_dir": "x\n---\n\"); evil('"}
    pos_record["versions"]["a|b"] = "<b>"
    pos_record["hardware"]["processor"] = "`|<b>"
    results = {"test": {"accuracy": 0.5, "per_tag": per_tag}, "te|st\n---\n": {"accuracy": 0.25}}
    card = model_card(pos_record, results, TagSchema(HOSTILE))
    card.encode("utf-8")
    assert len(ModelCard(card).data.eval_results) == 2
    assert str(ModelCard(card)) == card
    body = ModelCard(card).text
    assert "<" not in body
    assert "http://" not in body
    assert "www." not in body
    assert body.count("`") == body.count("```") * 3 + 2 * len(re.findall(r"`\w+`", body))
    for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    rows = re.search(r"### By tag.*\n\n((?:\|.*\n)+)", body)[1].splitlines()[2:]
    assert [row.split(" | ")[0] for row in reversed(rows)] == [
        "| a&#124;b",
        "| &#60;script&#62;alert(1)&#60;/script&#62;",
        "| &#96;x&#96;",
        "| one&#92;ntwo",
        "| &#91;x&#93;(http&#58;//evil.example)",
        "| &#92;u202eNN",
        "| &#92;ud800",
        "| {{ 7&#42;7 }}",
        "| www&#46;evil.example",
    ]
    code = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    assert len(code) == 2
    for snippet in code:
        compile(snippet, "card", "exec")
        assert '"x-n-n-evil"' in snippet


def test_no_local_path_leaks(pos_record):
    pos_record["arguments"] |= {
        "model": "/home/someone/secret/minilm",
        "dataset": "/data/private/x.conll",
        "validation_file": ["C:\\Users\\someone\\dev.txt", "~/private/more.txt"],
        "output_dir": "/tmp/y",
    }
    pos_record["dataset"]["name"] = "/data/private/x.conll"
    pos_record["dataset"]["splits"]["validation"] = {"sentences": 1, "words": 2}
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    for leak in ("/home", "someone", "secret", "/data/", "private", "/tmp", "Users", "~"):
        assert leak not in card.replace("Figures by", "")
    assert find_leaks("README.md", card.encode(), folders=[Path.cwd()], secrets=()) == []
    data = ModelCard(card).data
    assert data.base_model is None
    assert data.datasets is None
    assert data.model_name == "y"
    assert {r.dataset_split: (r.dataset_name, r.dataset_type) for r in data.eval_results} == {
        "validation": ("dev.txt, more.txt", "dev.txt-more.txt"),
        "test": ("x.conll", "x.conll"),
    }
    assert ": minilm fine-tuned on x.conll." in card
    assert "CoNLL-2003" not in card


def test_files_are_not_called_by_the_default_data_set(pos_record):
    # The record holds the default `dataset` also where only files were given.
    pos_record["arguments"] |= {"train_file": ["a/my.conll"], "validation_share": 0.1}
    card = model_card(pos_record, {"validation": POS_RESULTS["validation"]}, POS_SCHEMA)
    data = ModelCard(card).data
    assert data.datasets is None
    assert {r.dataset_type for r in data.eval_results} == {"my.conll"}
    assert "fine-tuned on my.conll." in card
    assert "RCV1" not in card
    assert "a share of 0.1 of the training sentences, held out by documents" in card


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("minilm", "sentence-transformers/all-MiniLM-L6-v2"),
        ("bert-base-cased", "google-bert/bert-base-cased"),
        ("org/model", "org/model"),
        ("./org/model", None),
        ("runs/mine", None),
        ("bilstm", None),
        ("a/b/c", None),
        (None, None),
    ],
)
def test_base_model_is_a_name_on_the_hub_or_missing(model, base, pos_record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    pos_record["arguments"]["model"] = model
    assert ModelCard(model_card(pos_record, POS_RESULTS, POS_SCHEMA)).data.base_model == base


def test_the_sample_is_for_demonstration(pos_record):
    pos_record["arguments"]["dataset"] = pos_record["dataset"]["name"] = "sample"
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert ModelCard(card).data.datasets is None
    assert "The sample corpus is for demonstration" in card
    assert "RCV1" not in card


def test_a_limit_above_the_data_is_no_partial_run(pos_record):
    pos_record["arguments"]["max_train_samples"] = 20_000
    assert "partial run" not in model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    pos_record["arguments"]["max_train_samples"] = 14_041
    assert "partial run" in model_card(pos_record, POS_RESULTS, POS_SCHEMA)


def test_a_tagger_from_scratch_is_described_as_it_was_built(pos_record):
    pos_record["arguments"] |= {
        "model": None, "encoder": "lstm", "words": "vocabulary", "word_size": 100, "hidden_size": 200,
        "word_vectors": "/home/someone/glove.txt",
    }  # fmt: skip

    def settings():
        return section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Hyper-parameters")

    assert "word_size" not in settings()  # 100 is what it would be without a file, whose size nobody has said
    assert "| `hidden_size` | 200 |" in settings()
    pos_record["parts"] = {"encoder": "lstm", "word_size": 3, "hidden_size": 200}
    assert "| `word_size` | 3 |" in settings()
    # A folder that the run went on with: what was not asked for is as it is there.
    pos_record["arguments"] |= {"word_vectors": None, "model": "runs/mine"}
    pos_record["parts"] = {"encoder": "transformer", "word_size": 50, "hidden_size": 64}
    assert "| `encoder` | transformer |" in settings()
    assert "| `word_size` | 50 |" in settings()
    assert "| `hidden_size` | 64 |" in settings()


def test_an_evaluation_alone_claims_no_training(pos_record, ner_record):
    pos_record["arguments"] |= {"max_train_samples": 100, "word_vectors": "glove.txt"}
    claims = ("not occur in the training split", "training used only the first", "Word vectors were initialised")
    assert all(claim in model_card(pos_record, POS_RESULTS, POS_SCHEMA) for claim in claims)
    pos_record["arguments"]["do_train"] = False
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert not any(claim in card for claim in claims)
    assert "fine-tuned" not in card
    assert "Hyper-parameters" not in card
    assert "parameters trained" not in card
    assert ModelCard(card).data.datasets is None
    ner_record["arguments"]["do_train"] = False
    limits = section(model_card(ner_record, NER_RESULTS, NER_SCHEMA), "Limits")
    assert "evaluation used only the first 40 sentences of a split (`max_eval_samples`)" in limits
    assert "- Tags that are invalid in IOB1, repaired before evaluation: 12 of 1,400." in limits


def test_what_became_of_the_training_data_is_counted_in_no_figure(pos_record):
    pos_record["alignment"]["train"] = {**ALIGNMENT, "windowed_sentences": 7}
    limits = section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Limits")
    assert "- In the train split: sentences longer than a window, read in overlapping windows: 7." in limits
    assert "- In the test split (all counted in its figures): sentences" in limits


def test_an_undefined_figure_is_left_out_of_the_index(pos_record):
    card = model_card(pos_record, {"test": {"accuracy": float("nan"), "macro_f1": 0.5}}, POS_SCHEMA)
    assert figures(card) == {("test", "Macro F1"): 0.5}


def test_an_adapter_says_what_it_needs(ner_record):
    needs = "Its LoRA adapter needs `peft`"
    assert needs not in model_card(ner_record, NER_RESULTS, NER_SCHEMA)  # merged
    ner_record["arguments"]["lora_merge"] = False
    assert needs in model_card(ner_record, NER_RESULTS, NER_SCHEMA)


def test_the_snippets_call_what_is_there(ner_record):
    ner_record["arguments"]["trust_remote_code"] = True
    usage = section(model_card(ner_record, NER_RESULTS, NER_SCHEMA), "How to use")
    assert 'Tagger.from_pretrained("me/news-ner", trust_remote_code=True)' in usage
    assert "tagger.tag([" in usage
    assert usage.count("trust_remote_code=True") == 2
    inspect.signature(Tagger.from_pretrained).bind("me/news-ner", trust_remote_code=True)
    inspect.signature(Tagger.tag).bind(None, ["Ada"])


# What the Hub says of the metadata.


def check_metadata(content):
    """The rules of the Hub's specification for model cards, as far as they are written down there."""
    head = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)[1])
    assert head["pipeline_tag"] == "token-classification"
    assert re.fullmatch("[a-z]{2,3}", head.get("language", "en"))
    for name in [head.get("base_model"), *head.get("datasets", [])]:
        validate_repo_id(name or "org/name")
    for index in head.get("model-index", []):
        assert isinstance(index["name"], str)
        for result in index["results"]:
            assert result["task"]["type"] == "token-classification"
            assert all(isinstance(result["dataset"][key], str) and result["dataset"][key] for key in ("type", "name"))
            assert isinstance(result["dataset"].get("args", {}), dict)
            for metric in result["metrics"]:
                assert metric["type"] in head["metrics"]
                assert isinstance(metric["value"], float | int | str)
                assert metric["value"] == metric["value"]  # not NaN
                assert isinstance(metric.get("args", {}), dict)


class Validator(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, answer = 200, b"ok"
        try:
            assert self.path == "/api/validate-yaml"
            assert body["repoType"] == "model"
            check_metadata(body["content"])
        except Exception as error:
            status, answer = 400, f"{type(error).__name__} {error}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def validator(monkeypatch):
    """A small Hub that checks metadata when huggingface_hub asks it to."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Validator)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    server.server_close()


def test_the_validator_accepts_the_metadata(validator, pos_record, ner_record):
    files = copy.deepcopy(pos_record)
    files["arguments"] |= {"model": None, "encoder": "lstm", "train_file": ["~/x y.conll"], "test_share": 0.2}
    undefined = {"test": {"accuracy": float("nan"), "macro_f1": 0.5}}
    others = [{"test": dict.fromkeys(("precision", "recall", "f1", "accuracy"), 0.9)}]
    for card in (
        model_card(pos_record, POS_RESULTS, POS_SCHEMA),
        model_card(ner_record, NER_RESULTS, NER_SCHEMA, seeds=others),
        model_card(files, POS_RESULTS, POS_SCHEMA),
        model_card(pos_record, undefined, POS_SCHEMA),
        model_card({}, {}, POS_SCHEMA),
    ):
        ModelCard(card).validate()
    broken = model_card(ner_record, NER_RESULTS, NER_SCHEMA).replace("base_model: google-bert/", "base_model: a/b/")
    with pytest.raises(ValueError, match="HFValidationError"):
        ModelCard(broken).validate()


def test_a_split_that_was_cut_from_training_is_not_taken_for_the_hubs(pos_record):
    pos_record["arguments"] |= {"folds": 5, "fold": 0, "validation_share": 0.1}
    found = {
        r.dataset_split: r.dataset_args
        for r in ModelCard(model_card(pos_record, POS_RESULTS, POS_SCHEMA)).data.eval_results
    }
    assert found == {
        "validation": {"held_out_of": "train", "validation_share": 0.1, "split_seed": 42},
        "test": {"held_out_of": "train", "folds": 5, "fold": 0, "split_seed": 42},
    }
    # Only the files are the source of what was cut from them; `dataset` is a default that was not used.
    pos_record["arguments"] |= {"folds": None, "fold": None, "test_share": 0.2, "train_file": "a/mine.conll"}
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert {r.dataset_name for r in ModelCard(card).data.eval_results} == {"mine.conll"}
    assert "The test split is a share of 0.2 of the training sentences, held out by documents." in card


# Runs of one kind with several seeds.


def test_seeds_give_figures_a_spread(ner_record):
    own = {"test": {"f1": 0.91, "accuracy": 0.98, "words": 500}}
    others = [{"test": {"f1": 0.90, "accuracy": 0.98, "words": 500}}, {"test": {"f1": 0.92, "words": 500}}]
    card = model_card(ner_record, own, NER_SCHEMA, seeds=others)
    # Mean 0.91; deviation sqrt((0.01^2 + 0.01^2) / 2) = 0.01. One run has no accuracy: there is no mean of it.
    assert section(card, "Results").splitlines()[:5] == [
        "| Figure | test | test, mean ± deviation of 3 seeds |",
        "| --- | ---: | ---: |",
        "| F1 | 0.9100 | 0.9100 ± 0.0100 |",
        "| Accuracy | 0.9800 |  |",
        "| Words | 500 |  |",
    ]
    assert "the test split.** Over 3 seeds it is 0.9100 ± 0.0100." in card
    _, found = model_index_to_eval_results(yaml.safe_load(card.split("---\n")[1])["model-index"])
    assert [(r.metric_name, r.metric_value, r.metric_args) for r in found] == [
        ("Entity F1", 0.91, None),
        ("Entity F1 (mean of 3 seeds)", 0.91, {"seeds": 3, "standard_deviation": 0.01}),
        ("Word accuracy", 0.98, None),
    ]
    assert "± is the standard deviation" in card
    alone = model_card(ner_record, own, NER_SCHEMA)
    assert "seeds" not in alone
    assert "±" not in alone
    # Seeds that were scored on another split tell nothing of this one.
    assert "±" not in model_card(ner_record, own, NER_SCHEMA, seeds=[{"validation": {"f1": 0.9}}])


def write_record(folder, *, seed, f1, status="finished", **arguments):
    folder.mkdir(parents=True)
    record = {
        "task": "ner", "status": status, "files": [], "results": {"test": {"f1": f1}},
        "arguments": {"seed": seed, "output_dir": str(folder), "encoder": "lstm", **arguments},
        "dataset": {"splits": {"test": {"sentences": 1, "words": 2, "fingerprint": "ab"}}},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def test_seeds_of_a_run_are_found_beside_it(tmp_path):
    own = write_record(tmp_path / "seed-1", seed=1, f1=0.1)
    write_record(tmp_path / "seed-2", seed=2, f1=0.2)
    write_record(tmp_path / "seed-3", seed=3, f1=0.3)
    write_record(tmp_path / "seed-9-again", seed=2, f1=0.25)
    write_record(tmp_path / "seed-4", seed=4, f1=0.4, status="running")
    write_record(tmp_path / "wide", seed=5, f1=0.5, hidden_size=7)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    found = sorted(results["test"]["f1"] for results in seed_results(own))
    assert found == [0.2, 0.3]
    assert seed_results(tmp_path / "wide") == []
    for seed in (1, 2):  # in folders that nobody has chosen
        write_record(tmp_path / "runs" / f"ner-lstm-x-seed-{seed}", seed=seed, f1=seed / 10)
    assert seed_results(tmp_path / "runs" / "ner-lstm-x-seed-2") == [{"test": {"f1": 0.1}}]
    assert seed_results(tmp_path / "damaged") == []


# What the report finds.

ANALYSIS = {
    "task": "ner",
    "split": "test",
    "headline": [{"name": "F1", "value": 0.89989, "low": 0.88, "high": 0.915}],
    "tags": [
        {"tag": "MISC", "f1": 0.71234, "gold": 700, "cost": 321},
        {"tag": "ORG", "f1": 0.88, "gold": 1661, "cost": 300},
        {"tag": "RARE", "f1": 0.0, "gold": 29, "cost": 58},
        {"tag": "PER", "f1": 0.96, "gold": 1617, "cost": 90},
    ],
    "errors": [
        {"kind": "missed", "name": "missed", "count": 60},
        {"kind": "split", "name": "split", "count": 140, "explain": "A further part of an entity."},
    ],
    "groups": [
        {
            "title": "Words", "metric": "recall",
            "rows": [
                {"name": "seen", "value": 0.95, "low": 0.94, "high": 0.96, "count": 4000},
                {"name": "unseen", "value": 0.80, "low": 0.77, "high": 0.83, "count": 600},
                {"name": "never", "value": 0.10, "low": 0.0, "high": 0.3, "count": 29},
            ],
        },
        {
            "title": "Sentence length", "metric": "F1", "unit": "words",
            "rows": [
                {"name": "1 to 5", "value": 0.90, "low": 0.85, "high": 0.95, "count": 100},
                {"name": "6 or more", "value": 0.93, "low": 0.92, "high": 0.94, "count": 900},
            ],
        },
        {
            "title": "Entity length", "metric": "recall", "unit": "words",
            "rows": [
                {"name": "1", "value": 0.92, "low": 0.91, "high": 0.93, "count": 3000},
                {"name": "4 or more", "value": 0.70, "low": 0.60, "high": 0.80, "count": 60},
            ],
        },
        {"title": "Casing", "missing": "there is no model"},
    ],
    "calibration": {
        "bins": [
            {"low": 0.0, "high": 0.5, "confidence": 0.4, "accuracy": 0.2, "words": 100},
            {"low": 0.5, "high": 1.0, "confidence": 0.9, "accuracy": 0.8, "words": 300},
        ],
        "ece": 0.125,
        "words": 400,
    },
}  # fmt: skip


def found_by_the_report(analysis, ner_record):
    limits = section(model_card(ner_record, NER_RESULTS, NER_SCHEMA, analysis=analysis), "Limits")
    return limits.partition("Found by the report on the test split:\n\n")[2].splitlines()


def test_findings_of_the_report_are_limits(ner_record):
    assert found_by_the_report(ANALYSIS, ner_record) == [
        "- Entity types most often missed or wrongly predicted: MISC 321 times (F1 0.7123); ORG 300 times "
        "(F1 0.8800); PER 90 times (F1 0.9600).",
        "- The most frequent of 200 errors is “split”: 140 (70%). A further part of an entity.",
        "- Words: recall 0.8000 (0.7700 to 0.8300) for “unseen”, 0.9500 (0.9400 to 0.9600) for “seen”.",
        "- Entity length (words): recall 0.7000 (0.6000 to 0.8000) for “4 or more”, 0.9200 (0.9100 to 0.9300) for “1”.",
        "- Expected calibration error 0.1250 over 400 words: the mean score is 0.7750, and 0.6500 of the words are "
        "correct.",
    ]


def test_the_headline_has_the_reports_interval_if_it_is_of_the_same_figure(ner_record):
    def headline(**changes):
        analysis = {**ANALYSIS, **changes}
        return re.search(r"\*\*Entity F1 .*\*\*", model_card(ner_record, NER_RESULTS, NER_SCHEMA, analysis=analysis))[0]

    plain = "**Entity F1 0.8999 on the first 40 sentences of the test split.**"
    assert headline() == plain.replace("0.8999", "0.8999 (95 % interval 0.8800 to 0.9150)")
    assert headline(split="validation") == plain
    assert headline(headline=[{"name": "F1", "value": 0.89, "low": 0.88, "high": 0.9}]) == plain
    assert headline(headline=[{"name": "F1", "value": 0.89989, "low": None, "high": None}]) == plain


def test_nothing_is_found_without_evidence(ner_record):
    few = copy.deepcopy(ANALYSIS)
    for row in few["tags"]:
        row["gold"] = 29
    few["errors"] = [{"kind": "missed", "count": 15}, {"kind": "spurious", "count": 14}]
    few["groups"] = [{**few["groups"][0], "rows": [{**row, "low": None} for row in few["groups"][0]["rows"]]}]
    few["calibration"] = {"missing": "the model gives no scores"}
    assert found_by_the_report(few, ner_record) == []
    assert found_by_the_report({}, ner_record) == []
    few["errors"] = [{"kind": "tag", "name": "wrong tag", "count": 1000}]  # of one kind only: nothing to tell
    assert found_by_the_report(few, ner_record) == []


def test_an_analysis_may_lack_anything(ner_record):
    for key in ANALYSIS:
        for variant in ({k: v for k, v in ANALYSIS.items() if k != key}, {**ANALYSIS, key: None}):
            assert "None" not in model_card(ner_record, NER_RESULTS, NER_SCHEMA, analysis=variant)


def test_hostile_names_in_findings_stay_text(ner_record):
    hostile = copy.deepcopy(ANALYSIS)
    hostile["split"] = "<b>|"
    for row, name in zip(hostile["tags"], HOSTILE, strict=False):
        row["tag"] = name
    hostile["groups"][0]["title"] = "<i>"
    hostile["groups"][0]["rows"][1]["name"] = "[x](http://evil.example)"
    ner_record["arguments"] |= {"word_features": ["<u>", "`x`"], "word_vectors": "/home/someone/<s>.txt"}
    body = ModelCard(model_card(ner_record, NER_RESULTS, NER_SCHEMA, analysis=hostile)).text
    body.encode("utf-8")
    for bad in ("<", "http://", "`x`", "/home"):
        assert bad not in body
    assert "&#60;i&#62;: recall" in body
    assert "Word vectors were initialised from &#60;s&#62;.txt." in body


# Licences, works, cost.


@pytest.mark.parametrize(
    ("arguments", "licences"),
    [
        (
            {"dataset": "sample", "model": "minilm"},
            [
                "Licence of the data: CC0-1.0; the sample corpus was written for `hf_tagging`.",
                "Licence of [sentence-transformers/all-MiniLM-L6-v2]"
                "(https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2): Apache-2.0.",
            ],
        ),
        (
            {"dataset": "someone/news", "model": "someone/bert"},
            [
                "Licence of the data: see [its page](https://huggingface.co/datasets/someone/news).",
                "Licence of [someone/bert](https://huggingface.co/someone/bert): see its page.",
            ],
        ),
        ({"train_file": "my.conll", "model": None}, ["Licence of the data: not stated."]),
    ],
)
def test_licences_are_those_that_are_known(arguments, licences, pos_record):
    pos_record["arguments"] |= arguments
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert re.findall("^Licence of .*", card, re.MULTILINE) == licences
    assert ModelCard(card).data.license is None
    pos_record["arguments"]["do_train"] = False
    assert "Licence of" not in model_card(pos_record, POS_RESULTS, POS_SCHEMA)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ({"model": "minilm"}, ["tjong-kim-sang-de-meulder-2003", "reimers-gurevych-2019"]),
        (
            {"model": "bert-base-cased", "lora": True},
            ["tjong-kim-sang-de-meulder-2003", "devlin-etal-2019", "hu-etal-2021"],
        ),
        ({"model": None, "encoder": "lstm", "head": "crf", "dataset": "sample"}, ["lample-etal-2016"]),
        ({"model": None, "encoder": "lstm", "head": "crf", "characters": "cnn", "dataset": "x/y"}, ["ma-hovy-2016"]),
        ({"model": None, "encoder": "hmm", "dataset": "x/y"}, ["brants-2000"]),
    ],
)
def test_works_are_cited_by_what_the_record_names(arguments, keys, pos_record):
    pos_record["arguments"] |= arguments
    cited = section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Citation")
    assert re.findall(r"^@\w+\{(.*),$", cited, re.MULTILINE) == [*keys, "hf-tagging"]
    assert "version = {0.1.0}" in cited
    assert cited.count("{") == cited.count("}")


@pytest.mark.parametrize(
    ("energy", "told"),
    [
        ({"processor_joules": 9_000.0}, "Energy of training, by the counters of one machine: 2.5 Wh by the processors "
         "(RAPL). Other programs that ran there are counted as well; memory, disks, cooling and power supply are not. "
         "The GPUs are not measured."),
        ({"processor_joules": 900.0, "gpu_joules": 7_200_000.0}, "Energy of training, by the counters of one machine: "
         "900 J by the processors (RAPL) and 2 kWh by the GPUs (NVML). Other programs that ran there are counted as "
         "well; memory, disks, cooling and power supply are not."),
        ({"gpu_watts": 1_400.0}, "Energy of training: not measured. The GPUs of one machine used at most 165 Wh: 7.1 "
         "min at their power limit of 1,400 W."),
        (None, "Energy of training: not measured."),
    ],
)  # fmt: skip
def test_energy_is_what_was_measured(energy, told, pos_record):
    pos_record["energy"] = energy
    cost = section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Speed, size and energy")
    assert cost.splitlines()[-1] == told


def test_gpus_that_a_run_on_the_cpu_leaves_alone_are_not_spoken_of(pos_record):
    pos_record["arguments"]["use_cpu"] = True
    for counted in ({"processor_joules": 9_000.0}, {"gpu_joules": 5.0}, {"gpu_watts": 700.0}):
        pos_record["energy"] = counted
        assert "GPU" not in model_card(pos_record, POS_RESULTS, POS_SCHEMA)


@pytest.mark.parametrize(
    ("energy", "told"),
    [
        ({"processor_joules": 9_000.0}, ", by the counters of one machine: 2.5 Wh"),
        ({"gpu_watts": 700.0}, ": not measured. The GPUs of one machine used at most 82.3 Wh"),
        (None, ": not measured."),
    ],
)
def test_a_resumed_run_says_what_its_time_and_energy_are_of(energy, told, pos_record):
    pos_record |= {"resumed_from": "checkpoint-878", "energy": energy}
    cost = section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Speed, size and energy")
    assert "| training time since checkpoint-878 | 7.1 min |" in cost
    assert cost.splitlines()[-1].startswith(f"Energy of training since checkpoint-878{told}")


def test_a_longer_history_has_a_curve(pos_record):
    values = (0.5, 0.75, 0.85, 0.8, 0.9)
    pos_record["history"] = [{"epoch": float(n), "accuracy": value} for n, value in enumerate(values, 1)]
    shown = section(model_card(pos_record, POS_RESULTS, POS_SCHEMA), "Training history")
    assert shown.splitlines()[-1] == "Accuracy, from 0.5000 to 0.9000: ▁▅▇▆█"


def test_a_tagger_from_scratch_says_where_it_comes_from(pos_record):
    pos_record["arguments"] |= {"model": None, "encoder": "lstm", "word_features": ["chunk"]}
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert (
        "A part-of-speech tagger with 3 tags, trained from scratch on [eriktks/conll2003]"
        "(https://huggingface.co/datasets/eriktks/conll2003) (encoder: lstm). **Accuracy" in card
    )
    assert "- The figures use additional columns of the data (chunk)." in section(card, "Limits")


# The snippets of a real card, in a process that knows nothing of the run.

SMALL = (
    "--dataset", "sample", "--max_train_samples", 80, "--max_eval_samples", 20, "--num_train_epochs", 1,
    "--learning_rate", 1e-2, "--use_cpu",
)  # fmt: skip


def snippets(folder):
    """The two of a card: with Transformers alone, and with the package."""
    card = (folder / "README.md").read_text()
    assert ModelCard(card).data.model_name == folder.name
    assert str(folder.parent) not in card
    alone, with_package = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    return alone, with_package


@pytest.mark.slow
def test_the_snippets_run(tmp_path):
    encoder, baseline = tmp_path / "encoder", tmp_path / "baseline"
    run_recipe("ner_bert", "--model", tiny_bert(tmp_path), *SMALL, "--output_dir", encoder)
    run_recipe("pos_baseline", "--encoder", "lstm", "--hidden_size", 16, *SMALL, "--output_dir", baseline)
    both = [snippets(encoder), snippets(baseline)]
    assert ["trust_remote_code=True" in alone for alone, _ in both] == [False, True]
    alone, with_package = ("\nprint('---')\n".join(parts) for parts in zip(*both, strict=True))
    program = f"import sys\n{alone}\nassert 'hf_tagging' not in sys.modules\nprint('---')\n{with_package}"
    # A name is that of a folder: beside it, the snippets run as they stand.
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(HF_HOME=str(tmp_path / "hf")),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    entities, words, *tags = done.stdout.split("---")
    assert entities.strip().startswith("[")
    assert {0, 4, 13, 17, 22, 25, 32} <= set(map(int, re.findall(r"'start': (\d+)", words)))  # where words start
    assert [len(yaml.safe_load(shown)) for shown in tags] == [7, 7]  # one tag for every word
