import copy
import inspect
import re

import pytest
import yaml
from huggingface_hub import ModelCard

from hf_tagging.data.schema import TagSchema
from hf_tagging.inference.tagger import Tagger
from hf_tagging.publishing import model_card

HOSTILE = (
    "a|b",
    "<script>alert(1)</script>",
    "`x`",
    "one\ntwo",
    "[x](http://evil.example)",
    "\u202eNN",
    "\ud800",
    "{{ 7*7 }}",
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
                        "dataset": {"name": "eriktks/conll2003", "type": "eriktks/conll2003", "split": "test"},
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
    titles = ["Results", "Training history", "How to use", "Training data", "Hyper-parameters", "Environment", "Limits"]
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
        "| Sentences |  | 3,453 |\n"
        "| Words per second |  | 3,715 |\n\n"
        "Seen words occur in the training split, unseen ones do not.\n\n"
        "Figures by sentence are not comparable with those by word or entity.\n\n"
        "### By tag, test split\n\n"
        "| Tag | Precision | Recall | F1 | Support |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| NN | 0.8000 | 0.7000 | 0.7467 | 1,234 |\n"
        "| DT | 1.0000 | 0.9000 | 0.9474 | 10 |"
    )
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
        "On the Hub: [eriktks/conll2003](https://huggingface.co/datasets/eriktks/conll2003).\n\n"
        "Tags of the test split that training never has, with their words: SYM (3)."
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
        "| parameters | 22,714,000 |",
        "| parameters trained | 1,155 |",
        "| training time | 7.1 min |",
        "| git revision | abc123 |",
    ]
    assert section(card, "Limits").splitlines() == [
        "- In the test split, all counted in its figures: sentences longer than a window, read in overlapping "
        "windows: 2; words without a subword, read as the unknown token: 1; words longer than a window, read by their "
        "beginning: 5.",
        "- Words of the test split with a tag that training never shows, so that the model cannot have learned it "
        "there: 3.",
        "- The part-of-speech column of CoNLL-2003 was made by a tagger, not by hand: accuracy on it is agreement with "
        "that tagger.",
        "- The text of CoNLL-2003 is Reuters news (RCV1), which is for research use.",
    ]
    assert 'pipeline("token-classification", model="pos-minilm-conll2003")' in card
    assert 'Tagger.from_pretrained("pos-minilm-conll2003")' in card


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
    assert "Entities came in IOB1 and are in IOB2 here." in card
    settings = section(card, "Hyper-parameters")
    assert "`max_steps` | 200" in settings
    assert "`lora_rank` | 8" in settings
    assert "num_train_epochs" not in settings  # max_steps wins
    assert section(card, "Limits").splitlines() == [
        "- **A partial run**: training saw the first sentences of a split only (`max_train_samples`: 100). The "
        "figures are of a sample and not comparable with those of the whole data.",
        "- **A partial run**: evaluation saw the first sentences of a split only (`max_eval_samples`: 40). The "
        "figures are of a sample and not comparable with those of the whole data.",
        "- In the test split every sentence fits one window, and no word was lost or shortened.",
        "- Words (of 1,400) whose tag IOB1 does not allow, repaired before training and evaluation: 12.",
    ]
    assert 'model="me/news-ner", aggregation_strategy="first")' in card
    bioes = TagSchema(("O", "S-PER"), "BIOES")  # the pipeline does not know S-
    assert "aggregation_strategy" not in model_card(ner_record, NER_RESULTS, bioes)


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
    assert re.findall(r"^#+ (.*)", card, re.MULTILINE) == ["model", "How to use"]
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


def test_an_evaluation_alone_claims_no_training(pos_record):
    pos_record["arguments"]["do_train"] = False
    card = model_card(pos_record, POS_RESULTS, POS_SCHEMA)
    assert "fine-tuned" not in card
    assert "Hyper-parameters" not in card
    assert "parameters trained" not in card
    assert ModelCard(card).data.datasets is None


def test_an_undefined_figure_is_left_out_of_the_index(pos_record):
    card = model_card(pos_record, {"test": {"accuracy": float("nan"), "macro_f1": 0.5}}, POS_SCHEMA)
    assert figures(card) == {("test", "Macro F1"): 0.5}


def test_the_snippets_call_what_is_there(ner_record):
    ner_record["arguments"]["trust_remote_code"] = True
    usage = section(model_card(ner_record, NER_RESULTS, NER_SCHEMA), "How to use")
    assert 'Tagger.from_pretrained("me/news-ner", trust_remote_code=True)' in usage
    assert "tagger.tag([" in usage
    assert usage.count("trust_remote_code=True") == 2
    inspect.signature(Tagger.from_pretrained).bind("me/news-ner", trust_remote_code=True)
    inspect.signature(Tagger.tag).bind(None, ["Ada"])
