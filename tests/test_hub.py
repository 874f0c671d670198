"""Handing a tagger on over HTTP: the real client against a small Hub on loopback, in processes with empty caches."""

import json
import logging
import re
import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import huggingface_hub.constants
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from hub_server import hub_on_loopback
from hub_state import TOKEN, Fault
from recipe_runs import ROOT, environment
from run_configs import run_config
from tiny_models import tiny_bert

from hf_tagging import Tagger
from hf_tagging.annotating import AnnotationRequest
from hf_tagging.annotating.model import describe_model
from hf_tagging.errors import ConfigError, ModelError, OutputError, TaggingError
from hf_tagging.inference.export import export_tagger
from hf_tagging.publishing.hub.bundle import bundle, portable, without_paths
from hf_tagging.publishing.hub.push import push_folder
from hf_tagging.training.config.pretraining import PretrainingConfig

TEXT = "Mira Okonkwo moved from Porto to the Lakeview Institute in May ."
KINDS = ("encoder", "crf", "adapter", "merged", "baseline")

TAG = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "hf_tagging":
            raise ImportError(name)
refuse = Refuse()
sys.meta_path.insert(0, refuse)
from transformers import pipeline
text, *names = sys.argv[1:]
said = {name: [] for name in names}
for name in names:
    tag = pipeline("token-classification", model=name, ignore_labels=[], trust_remote_code=True)
    said[name].append([[x["start"], x["entity"], float(x["score"]).hex()] for x in tag(text)])
sys.meta_path.remove(refuse)
from hf_tagging import Tagger
for name in names:
    found = Tagger.from_pretrained(name, trust_remote_code=True).tag_with_scores(text.split())
    said[name].append([[tag, float(score).hex()] for tag, score in found])
print("SAID" + json.dumps(said))
"""

LOAD = """
import json, sys
from hf_tagging import load_tagging_dataset
said = {}
for name, task in json.loads(sys.argv[1]):
    data = load_tagging_dataset(name.removeprefix("streamed "), task=task, streaming=name.startswith("streamed "))
    names = data["train"].features["tags"].feature.names
    said[f"{name} {task}"] = {
        split: [list(rows["tokens"]), [[names[i] for i in ids] for ids in rows["tags"]]] for split, rows in data.items()
    }
print("SAID" + json.dumps(said))
"""


HOME_OF_ROOT = "/root"


@pytest.fixture(scope="module")
def hub():
    """A Hub that the client in this process talks to."""
    with hub_on_loopback() as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        files = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        patch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", files)
        patch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        patch.setenv("HF_TOKEN", TOKEN)
        yield hub


@pytest.fixture
def fresh(hub, tmp_path):
    """Runs code in a process of its own, with an empty cache; gives what it says."""

    def _fresh(code, *args):
        places = {"HF_HOME": str(tmp_path / "home"), "HF_DATASETS_CACHE": str(tmp_path / "home" / "datasets")}
        env = environment(HF_HUB_DISABLE_XET="1", HF_ENDPOINT=hub.address, HF_TOKEN=TOKEN, **places)
        command = [sys.executable, "-c", code, *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=300)
        assert "SAID" in done.stdout, done.stdout + done.stderr
        return json.loads(done.stdout.rpartition("SAID")[2])

    return _fresh


@pytest.fixture
def tiny(tmp_path):
    return tiny_bert(tmp_path)


# A run and what it pushes.


@pytest.fixture(scope="module")
def pushed(hub, tmp_path_factory):
    """Five recipes with --push_to_hub, and three that the Hub stops; their folders, and what was said."""
    folder = tmp_path_factory.mktemp("runs")
    bert = tiny_bert(folder)
    short = ("--dataset", "sample", "--max_train_samples", 20, "--max_eval_samples", 6, "--max_steps", 2, "--use_cpu",
             "--per_device_train_batch_size", 4, "--learning_rate", 1e-3, "--save_strategy", "steps", "--save_steps", 1,
             "--eval_strategy", "no", "--load_best_model_at_end", "false", "--push_to_hub", "true")  # fmt: skip
    kinds = {
        "encoder": ("ner_bert", "--model", bert),
        "crf": ("ner_bert", "--model", bert, "--head", "crf"),
        "adapter": ("ner_bert", "--model", bert, "--lora", "true", "--lora_merge", "false", "--calibrate", "false"),
        "merged": ("ner_bert", "--model", bert, "--lora", "true"),
        "baseline": ("ner_baseline", "--encoder", "lstm", "--hidden_size", 16, "--word_size", 16),
        "stopped": ("ner_bert", "--model", bert),
        "refused": ("ner_bert", "--model", bert),
        "theirs": ("ner_bert", "--model", bert),
        "language": ("pretrain", "--encoder", "lstm", "--hidden_size", 16, "--word_size", 16),
    }
    hub.faults.append(Fault("POST /api/models/user/stopped/commit/", status=403))
    hub.add("models", "other/theirs", {"README.md": b"# Theirs\n"})
    said = {}
    for kind, (recipe, *start) in kinds.items():
        name = f"other/{kind}" if kind in ("refused", "theirs") else f"user/{kind}"
        said[kind] = run_here(recipe, *start, *short, "--hub_model_id", name, "--output_dir", folder / kind)
    logging.getLogger("hf_tagging").setLevel(logging.NOTSET)
    return folder, said


def run_here(recipe, *flags):
    """Runs a recipe in this process; gives the message that it ends with, if any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{recipe}.py", *map(str, flags)])
        try:
            runpy.run_path(str(ROOT / "recipes" / f"{recipe}.py"), run_name="recipe")["main"]()
        except TaggingError as error:
            return f"{type(error).__name__}: {error}"


@pytest.mark.slow
def test_what_was_pushed_tags_elsewhere_as_it_does_here(pushed, fresh):
    folders, names = [str(pushed[0] / kind) for kind in KINDS], [f"user/{kind}" for kind in KINDS]
    said = fresh(TAG, TEXT, *names, *folders)
    for name, folder in zip(names, folders, strict=True):
        by_pipeline, by_tagger = said[name]
        assert by_pipeline == said[folder][0], name
        assert [tag for tag, _ in by_tagger] == [tag for tag, _ in said[folder][1]], name
        scores, expected = ([float.fromhex(score) for _, score in x] for x in (by_tagger, said[folder][1]))
        assert scores == pytest.approx(expected, abs=1e-6)  # an adapter may be merged in the one, and not in the other
        assert len(by_tagger) == len(TEXT.split())
        assert len({tag for tag, _ in by_tagger}) > 1, name
    assert len({json.dumps(said[name]) for name in names}) == len(names)


@pytest.mark.slow
def test_an_adapter_whose_repository_was_renamed_tags_as_before(hub, pushed):
    there = hub.model("user/adapter").files()
    assert json.loads(there["adapter_config.json"])["base_model_name_or_path"] == "user/adapter"
    hub.add("models", "user/moved", there)
    kept = hub.repositories.pop(("models", "user/adapter"))
    try:
        assert scores_of("user/moved") == scores_of(pushed[0] / "adapter")
    finally:
        hub.repositories["models", "user/adapter"] = kept


@pytest.mark.slow
def test_a_pushed_export_is_loaded_by_its_name(hub, tiny, tmp_path):
    examples = tmp_path / "examples.conll"
    examples.write_text("".join(f"{word} O\n" for word in TEXT.split()))
    exported, _ = export_tagger(str(tiny), to="onnx", data=examples)
    push_folder(exported, "user/exported")
    assert scores_of("user/exported") == scores_of(exported)
    with pytest.raises(ConfigError, match="dtype: user/exported is an exported model"):
        Tagger.from_pretrained("user/exported", dtype="bfloat16")


def test_another_commit_of_a_model_is_another_annotation(hub, tiny):
    """What was annotated by one is not gone on with by the other."""
    facts = []
    for seed in range(2):
        push_folder(tiny_bert(tiny.parent / str(seed), seed=seed), "user/annotator")
        facts.append(
            describe_model(AnnotationRequest(model=["user/annotator"], input=["a.txt"], output="out")).fingerprints
        )
    commits = hub.repositories["models", "user/annotator"].history
    assert facts == [(f"user/annotator@{commit}",) for commit in commits[-2:]]


def scores_of(model):
    return [(word.tag, word.score) for word in Tagger.from_pretrained(str(model), device="cpu").tag_text(TEXT).words]


@pytest.mark.slow
def test_without_its_adapter_the_model_would_tag_otherwise(pushed, tmp_path):
    alone = shutil.copytree(pushed[0] / "adapter", tmp_path / "alone", ignore=shutil.ignore_patterns("adapter_*"))
    found = [
        Tagger.from_pretrained(folder).label([TEXT.split()])[0].scores for folder in (pushed[0] / "adapter", alone)
    ]
    assert max(abs(a - b) for a, b in zip(*found, strict=True)) > 1e-3


@pytest.mark.slow
def test_a_run_pushes_its_own_files_in_one_commit_and_says_nothing_of_this_machine(hub, pushed):
    for kind in KINDS:
        folder, repository = pushed[0] / kind, hub.model(f"user/{kind}")
        assert pushed[1][kind] is None
        assert repository.private
        assert len(repository.history) == 2  # the one that made it, and the push
        files = repository.files()
        assert list(folder.glob("checkpoint-*"))
        assert not [name for name in files if "checkpoint" in name or "optimizer" in name or name.endswith(".bin")]
        expected = {"README.md", "config.json", "model.safetensors", "run.json", "results.json", "tokenizer.json",
                    "predictions/test.conll", "report.html"}  # fmt: skip
        assert expected <= files.keys()
        for name, content in files.items():
            assert str(folder.parent).encode() not in content, (kind, name)
        assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
        record = json.loads(files["run.json"])
        assert record["arguments"]["output_dir"] == kind
        assert record["status"] == "finished"
    assert json.loads(hub.model("user/adapter").files()["adapter_config.json"])["base_model_name_or_path"] == (
        "user/adapter"
    )
    assert "adapter_model.safetensors" not in hub.model("user/merged").files()
    assert "modeling_baseline.py" in hub.model("user/baseline").files()


@pytest.mark.slow
def test_the_examples_of_the_card_load_the_model_by_its_name_there(hub, pushed):
    there = hub.model("user/merged").files()["README.md"].decode()
    assert 'model="user/merged"' in there
    moved = bundle(pushed[0] / "merged", "other/name")["README.md"].decode()
    assert moved.count('"other/name"') == there.count('"user/merged"') == 2
    assert '"user/merged"' not in moved


@pytest.mark.slow
def test_a_language_model_is_pushed_too(hub, pushed):
    assert pushed[1]["language"] is None
    files = hub.model("user/language").files()
    assert {"README.md", "config.json", "model.safetensors", "run.json", "modeling_baseline_lm.py"} <= files.keys()


@pytest.mark.slow
def test_a_hub_that_fails_at_the_end_leaves_the_run_whole(hub, pushed):
    folder, message = pushed[0] / "stopped", pushed[1]["stopped"]
    assert message.startswith("OutputError: push to user/stopped: the Hub answered 403 (as the test wants it).")
    assert f"`hf-tagging push {folder} user/stopped`" in message
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"
    assert (folder / "README.md").is_file()
    assert list(hub.model("user/stopped").files()) == [".gitattributes"]


@pytest.mark.slow
def test_a_hub_that_refuses_is_asked_before_anything_is_trained(pushed):
    message = pushed[1]["refused"]
    assert message.startswith("OutputError: push_to_hub=other/refused: the Hub answered 403 (You don't have the rights")
    assert not (pushed[0] / "refused").exists()


@pytest.mark.slow
def test_a_repository_that_can_only_be_read_is_refused_before_anything_is_trained(hub, pushed):
    assert pushed[1]["theirs"].startswith(
        "OutputError: push_to_hub=other/theirs: the Hub answered 403 (You need write access to this repository.)."
    )
    assert not (pushed[0] / "theirs").exists()
    assert hub.model("other/theirs").files() == {"README.md": b"# Theirs\n"}


# Faults.


def push_all(folder, asked):
    """Pushes at the same time, so that the waits are one wait; gives addresses and messages."""

    def push(name, options):
        try:
            return push_folder(folder, name, **options).address
        except TaggingError as error:
            return f"{type(error).__name__}: {error}"

    with ThreadPoolExecutor(len(asked)) as pool:
        jobs = {name: pool.submit(push, name, options) for name, options in asked.items()}
        return {name: job.result() for name, job in jobs.items()}


@pytest.mark.slow
def test_faults_end_in_retries_or_in_one_message_and_never_in_half_a_model(hub, tiny):
    names = ("cut", "chunks", "busy", "lost", "limited", "later", "denied", "broken", "forbidden", "gone")
    asked = {f"user/{name}": {} for name in names}
    asked |= {
        "other/x": {"private": False, "revision": "v2"},
        "user/stranger": {"token": "hf_" + "x" * 30},
        "user/branch": {"revision": "v2"},
    }
    hub.faults += [
        Fault("PUT /lfs/user/cut/", after=1000),
        Fault("user/chunks/commit", after=10),
        Fault("user/busy/commit", status=503, headers={"Retry-After": "1"}),
        Fault("user/lost/commit", answered=True),
        Fault("user/limited/preupload", status=429, headers={"Retry-After": "1"}),
        Fault("user/later/commit", status=429, times=99, headers={"Retry-After": "3600"}),
        Fault("user/denied/commit", status=401),
        Fault("user/broken/commit", status=500, times=99),
        Fault("user/forbidden/preupload", status=403),
        Fault("PUT /lfs/user/gone/", times=99, after=1000),
    ]
    said = push_all(tiny, asked)
    whole = {path.name: path.read_bytes() for path in tiny.iterdir()}
    for name in ("cut", "chunks", "busy", "lost", "limited"):
        repository = hub.model(f"user/{name}")
        assert said[f"user/{name}"] == f"{hub.address}/user/{name}/commit/{repository.branches['main']}"
        assert len(repository.history) == 2, name
        assert {k: v for k, v in repository.files().items() if k != ".gitattributes"} == whole, name
    branch = hub.model("user/branch")
    assert list(branch.files()) == [".gitattributes"]
    assert branch.files("v2").keys() == {".gitattributes", *whole}
    expected = {
        "user/later": "the Hub answered 429 (as the test wants it). Those were too many requests: try again in some",
        "user/denied": "the Hub answered 401 (as the test wants it). Log in with `hf auth login`",
        "user/broken": "the Hub answered 500 (as the test wants it). The Hub has trouble of its own: try again later.",
        "user/forbidden": "the Hub answered 403 (as the test wants it). The token may not do this there",
        "user/gone": f"the connection to {hub.address} did not come about, or was lost (",
        "other/x": "the Hub answered 403 (You don't have the rights to create a model under the namespace",
        "user/stranger": "the Hub answered 401 (Invalid username or password.). Log in with `hf auth login`",
    }
    for name, message in expected.items():
        assert said[name].startswith(f"OutputError: push to {name}: {message}"), said[name]
        assert said[name].endswith(
            f"Nothing of this was published, and {tiny} is complete: `hf-tagging push {tiny} {name}"
            f"{' --revision v2 --public' if name == 'other/x' else ''}` sends it and skips files that have arrived."
        )
        assert "\n" not in said[name]
    for name in ("later", "denied", "broken", "forbidden", "gone"):
        assert list(hub.model(f"user/{name}").files()) == [".gitattributes"], name
    assert hub.asked("PUT /lfs/user/cut/") == 2
    assert hub.asked("user/chunks/commit") == 2
    assert hub.asked("user/broken/commit") == 5
    assert hub.asked("user/later/commit") == 1

    # What has arrived is not sent again.
    assert hub.asked("PUT /lfs/user/denied/") == 1
    assert push_folder(tiny, "user/denied").address.startswith(f"{hub.address}/user/denied/commit/")
    assert hub.asked("PUT /lfs/user/denied/") == 1
    assert hub.model("user/denied").files()["model.safetensors"] == whole["model.safetensors"]


# A new model over an older one, and pushes that end before the network.


def test_what_an_older_model_left_goes_with_the_same_commit(hub, tiny):
    push_folder(tiny, "user/twice")
    repository = hub.model("user/twice")
    older = {"adapter_config.json": b"{}", "model-00002-of-00002.safetensors": b"x", "notes.md": b"mine"}
    older["models/other.safetensors"] = b"mine too"
    repository.commit(repository.files() | older)
    push_folder(tiny, "user/twice")
    assert repository.files().keys() == {".gitattributes", "notes.md", "models/other.safetensors"} | {
        path.name for path in tiny.iterdir()
    }
    assert len(repository.history) == 4
    push_folder(tiny, "user/twice")
    assert len(repository.history) == 4  # nothing has changed


def test_a_card_that_the_hub_cannot_read_is_said(hub, tiny):
    (tiny / "README.md").write_text("---\ntags: [\n---\n")
    with pytest.raises(OutputError, match=r"push to user/card: Invalid metadata in README.md. - while parsing"):
        push_folder(tiny, "user/card")
    assert list(hub.model("user/card").files()) == [".gitattributes"]


def test_a_public_repository_is_asked_for_and_warned_of(hub, tiny, caplog):
    push_folder(tiny, "user/public", private=False)
    assert not hub.model("user/public").private
    assert "public" not in caplog.text
    (tiny / "report.html").write_text("<p>A sentence")
    assert not push_folder(tiny, "user/public").private  # it stays public, whatever is asked for
    assert "user/public is public, and report and predictions quote the data" in caplog.text


def test_a_dry_run_lists_sizes_and_asks_nobody(tiny, connections):
    (tiny / "notes.md").write_text("not ours")
    (tiny / "optimizer.pt").write_bytes(b"0")
    (tiny / "own.py").write_text("x = 1\n")
    (tiny / "README.md").write_text("# Tiny\n")
    pushed = push_folder(tiny, "user/tiny", dry_run=True)
    names = ("README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    assert pushed.files == {name: (tiny / name).stat().st_size for name in names}
    assert pushed.bytes == sum(pushed.files.values())
    assert pushed.private
    assert connections == []


def test_code_is_sent_where_a_configuration_names_it(tiny):
    (tiny / "own.py").write_text("x = 1\n")
    config = json.loads((tiny / "config.json").read_text()) | {"auto_map": {"AutoConfig": "own.Own"}}
    (tiny / "config.json").write_text(json.dumps(config))
    assert "own.py" in push_folder(tiny, "user/tiny", dry_run=True).files


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("README.md", "# A\n\nkey: hf_" + "aB3" * 11, "README.md, line 3: a Hugging Face token (hf_aB3…)"),
        ("README.md", "AKIA" + "A1" * 8, "README.md, line 1: an AWS key (AKIAA1…)"),
        ("README.md", "ghp_" + "a1" * 18, "README.md, line 1: a GitHub token (ghp_a1…)"),
        ("README.md", "sk-" + "a1" * 20, "README.md, line 1: an API key (sk-a1a…)"),
        ("README.md", "-----BEGIN RSA PRIVATE KEY-----", "README.md, line 1: a private key (-----B…)"),
        ("README.md", "https://me:pass1@host/x", "README.md, line 1: a password in an address (https:…)"),
        ("README.md", "in /home/ada/corpora/x", "README.md, line 1: a path of this machine (/home/ada)"),
        ("README.md", "in /Users/ada/x", "README.md, line 1: a path of this machine (/Users/ada)"),
        ("README.md", "see file:///home/ada/x", "README.md, line 1: a path of this machine (/home/ada)"),
        ("README.md", "PATH=/usr/bin:/home/ada/bin", "README.md, line 1: a path of this machine (/home/ada)"),
        ("README.md", f"in ({HOME_OF_ROOT}/x)", "README.md, line 1: a path of this machine (/root)"),
        ("README.md", r"in C:\Users\ada\x", r"README.md, line 1: a path of this machine (C:\Users\ada)"),
        ("report.html", "<p>hf_" + "aB3" * 11, "report.html, line 1: a Hugging Face token (hf_aB3…)"),
        (
            "README.md",
            "of a variable: 73aa61f0-9c5e-11",
            "README.md, line 1: a secret of this machine (73aa61…)",
        ),
        ("README.md", "xhf_" + "q1" * 12, "README.md, line 1: a secret of this machine (hf_q1q…)"),
        ("README.md", "eyJ" + "a" * 400, "README.md, line 1: a secret of this machine (eyJaaa…)"),
        # An end of line in JSON is a backslash and a letter.
        (
            "special_tokens_map.json",
            json.dumps({"note": "key:\nhf_" + "aB3" * 11}),
            "special_tokens_map.json, line 1: a Hugging Face token (hf_aB3…)",
        ),
        (
            "special_tokens_map.json",
            json.dumps({"note": "it is\n/home/ada/x"}),
            "special_tokens_map.json, line 1: a path of this machine (/home/ada)",
        ),
    ],
)
def test_secrets_and_paths_are_refused_with_their_place_and_never_shown_whole(tiny, monkeypatch, file, text, found):
    monkeypatch.setenv("SOME_API_KEY", "73aa61f0-9c5e-11")
    monkeypatch.setenv("CI_TOKEN", "eyJ" + "a" * 400)  # longer than the name of any file
    monkeypatch.setenv("HF_TOKEN", "hf_" + "q1" * 12)
    (tiny / file).write_text(text)
    with pytest.raises(OutputError) as error:
        push_folder(tiny, "user/tiny", dry_run=True)
    assert f"\n  {found}\n" in str(error.value)
    assert not re.search("aB3aB3|q1q1q1|aaaaaa", str(error.value))


def test_the_folder_itself_is_not_named(tiny):
    (tiny / "report.html").write_text(f"<p>{tiny}/model.safetensors")
    with pytest.raises(OutputError, match=r"report.html, line 1: a path of this machine"):
        push_folder(tiny, "user/tiny", dry_run=True)


@pytest.mark.parametrize(
    "text",
    ["hf_tagging and hf_" + "a" * 8, "https://host/home/ada/x", "runs/root and rooted/", "sk-learn", "a/home/b/c"],
)
def test_what_only_looks_like_a_secret_is_sent(tiny, text):
    (tiny / "README.md").write_text(text)
    assert "README.md" in push_folder(tiny, "user/tiny", dry_run=True).files


def test_words_of_a_corpus_may_look_like_paths(tiny):
    (tiny / "report.html").write_text("<p>see /home/ada and /Users/x")
    finished(tiny, "report.html", "predictions/seen.json")
    (tiny / "predictions").mkdir()
    (tiny / "predictions" / "seen.json").write_text('{"words": ["/home/ada"]}')
    assert {"report.html", "predictions/seen.json"} <= push_folder(tiny, "user/tiny", dry_run=True).files.keys()


def finished(folder, *files, **arguments):
    """Makes a model the run that it might be of."""
    files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", *files]
    record = {"task": "ner", "status": "finished", "arguments": arguments, "files": files}
    (folder / "run.json").write_text(json.dumps(record))


def test_the_card_of_a_folder_that_was_renamed_loads_the_model_from_the_hub(tiny):
    finished(tiny, "README.md", output_dir="/srv/runs/first name")
    (tiny / "README.md").write_text('"first-name"\n```python\npipeline(model="first-name")\n```\n')
    card = bundle(tiny, "user/x")["README.md"].decode()
    assert card == '"first-name"\n```python\npipeline(model="user/x")\n```\n'


def test_a_card_in_another_encoding_ends_in_a_message(tiny):
    (tiny / "README.md").write_bytes(b"# Caf\xe9\n")
    with pytest.raises(ModelError, match=r"README.md: is not in UTF-8 \(invalid continuation byte at byte 5\)"):
        push_folder(tiny, "user/x", dry_run=True)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_file_that_fails_to_be_read_ends_in_a_message(tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/proc/self")  # where links may lead
    (tiny / "vocab.txt").symlink_to("/proc/self/mem")
    with pytest.raises(ModelError, match=r"vocab.txt: cannot be read \(Input/output error\)"):
        push_folder(tiny, "user/x", dry_run=True)


@pytest.mark.failure_mode("links-not-pushed")
@pytest.mark.parametrize("of_a_run", [True, False], ids=["run", "model"])
def test_links_out_of_the_folder_are_not_handed_on(tiny, tmp_path, of_a_run):
    (tmp_path / "diary").write_text("Dear diary")
    (tiny / "vocab.txt").unlink(missing_ok=True)
    (tiny / "vocab.txt").symlink_to(tmp_path / "diary")
    if of_a_run:
        finished(tiny, "vocab.txt")
    with pytest.raises(OutputError, match=r"vocab.txt: is a link to .*diary, outside of the folder"):
        bundle(tiny, "user/x")
    (tiny / "vocab.txt").unlink()
    (tiny / "vocab.txt").symlink_to("tokenizer.json")
    assert "vocab.txt" in bundle(tiny, "user/x")


def test_links_into_the_cache_of_the_hub_are_handed_on(tiny):
    blob = Path(huggingface_hub.constants.HF_HUB_CACHE, "models--user--x", "blobs", "1f")
    blob.parent.mkdir(parents=True)
    (tiny / "tokenizer.json").rename(blob)
    (tiny / "tokenizer.json").symlink_to(blob)
    assert "tokenizer.json" in bundle(tiny, "user/x")


@pytest.mark.parametrize("odd", [{"files": "config.json"}, {"files": ["a", 1]}, {"files": None}, {"arguments": []}])
def test_an_odd_record_is_called_damaged(tiny, odd):
    finished(tiny)
    record = json.loads((tiny / "run.json").read_text()) | odd
    (tiny / "run.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match=r"run.json: is damaged"):
        push_folder(tiny, "user/x", dry_run=True)


@pytest.mark.parametrize("parse", [partial(run_config, "ner"), PretrainingConfig.from_command_line])
def test_a_run_is_not_pushed_while_it_trains(parse):
    with pytest.raises(ConfigError) as error:
        parse(["--dataset", "sample", "--hub_strategy", "end", "--hub_always_push", "true"])
    for name in ("hub_strategy", "hub_always_push"):
        assert f"{name}: a run is pushed once, when it is finished; leave it out" in str(error.value)


def test_paths_of_a_record_are_cut_to_their_last_part(tmp_path, monkeypatch):
    (tmp_path / "with space").mkdir()
    record = {
        "command": ["ner_bert.py", "--model", "google-bert/bert-base-cased", "--train_file", "/data/ada/a.conll",
                    "--output_dir=/srv/runs/x", "--text", "a b/c"],
        "arguments": {"output_dir": "runs/mine", "train_file": ["../x/a.conll", r"C:\\data\\b.conll"], "seed": 1,
                      "config": "deep/in/folders/c.yaml", "dataset": str(tmp_path / "with space")},
        "hardware": {"machine": "Linux-6.1-x86_64", "gpus": []},
        "address": "https://host/a/b",
    }  # fmt: skip
    assert portable(record) == {
        "command": ["ner_bert.py", "--model", "google-bert/bert-base-cased", "--train_file", "a.conll",
                    "--output_dir=x", "--text", "a b/c"],
        "arguments": {"output_dir": "mine", "train_file": ["a.conll", "b.conll"], "seed": 1, "config": "c.yaml",
                      "dataset": "with space"},
        "hardware": {"machine": "Linux-6.1-x86_64", "gpus": []},
        "address": "https://host/a/b",
    }  # fmt: skip
    assert without_paths("~/x/y") == "y"


def test_an_adapter_of_a_model_of_this_machine_is_refused(tiny):
    (tiny / "model.safetensors").rename(tiny / "adapter_model.safetensors")
    (tiny / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/srv/models/bert"}))
    with pytest.raises(ModelError, match="belongs to /srv/models/bert, a model of this machine"):
        push_folder(tiny, "user/tiny", dry_run=True)
    (tiny / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "google-bert/bert-base-cased"}))
    assert "adapter_model.safetensors" in push_folder(tiny, "user/tiny", dry_run=True).files


def test_what_is_no_finished_model_is_refused(tiny, tmp_path):
    with pytest.raises(ModelError, match=r"there is no config.json in it"):
        push_folder(tmp_path, "user/x", dry_run=True)
    with pytest.raises(ConfigError, match="user/a b: not a name that the Hub takes"):
        push_folder(tiny, "user/a b", dry_run=True)
    record = {"task": "ner", "status": "running", "arguments": {}, "files": ["config.json", "vocab.txt"]}
    (tiny / "run.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match=r"its run has not finished \(status: running\)"):
        push_folder(tiny, "user/x", dry_run=True)
    (tiny / "run.json").write_text(json.dumps(record | {"status": "finished"}))
    with pytest.raises(ModelError, match=r"vocab.txt is missing, which its run has written"):
        push_folder(tiny, "user/x", dry_run=True)
    names = ["config.json", "model.safetensors", "predictions/test.conll"]
    for outside in ("../../secret", "/etc/hosts"):
        (tiny / "run.json").write_text(json.dumps(record | {"status": "finished", "files": [*names, outside]}))
        with pytest.raises(OutputError, match=f"is damaged: it lists '{outside}', which is not a file of this folder"):
            push_folder(tiny, "user/x", dry_run=True)
    (tiny / "run.json").write_text(json.dumps(record | {"status": "finished", "files": names}))
    assert push_folder(tiny, "user/x", dry_run=True).files.keys() == {"config.json", "model.safetensors", "run.json"}
    (tiny / "run.json").write_text("{}")
    with pytest.raises(OutputError, match="is damaged"):
        push_folder(tiny, "user/x", dry_run=True)
    (tiny / "run.json").unlink()
    (tiny / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="there are no weights in it"):
        push_folder(tiny, "user/x", dry_run=True)


def test_without_a_token_or_a_network_nothing_is_tried(tiny, monkeypatch, connections):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(OutputError, match=r"push to user/x: there is no token. Log in with `hf auth login`"):
        push_folder(tiny, "user/x")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(OutputError, match=r"push to user/x: HF_HUB_OFFLINE is set. Unset it to reach the Hub."):
        push_folder(tiny, "user/x", token=TOKEN)
    assert connections == []


# Data sets.

_NAMES = {
    "pos_tags": ["DT", "IN", "NN", "NNP", "VBD", "."],
    "chunk_tags": ["O", "B-NP", "I-NP", "B-VP", "B-PP"],
    "ner_tags": ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"],
}
_ROWS = {
    "train": [(["Mira", "Okonkwo", "slept", "."], [3, 3, 4, 5], [1, 2, 3, 0], [1, 2, 0, 0])],
    "validation": [(["The", "boat", "sank"], [0, 2, 4], [1, 2, 3], [0, 0, 0])],
    "test": [(["Porto", "slept"], [3, 4], [1, 3], [5, 0]), (["In", "Velt", "."], [1, 3, 5], [4, 1, 0], [0, 5, 0])],
}


def parquet(folder, split):
    """A split as the Hub's own Parquet copy of CoNLL-2003 has it: names of tags in the file, ids in the rows."""
    classes = {name: Sequence(ClassLabel(names=names)) for name, names in _NAMES.items()}
    features = Features({"id": Value("string"), "tokens": Sequence(Value("string")), **classes})
    words, *ids = zip(*_ROWS[split], strict=True)
    columns = {"id": [str(i) for i in range(len(words))], "tokens": words, **dict(zip(_NAMES, ids, strict=True))}
    file = folder / f"{split}.parquet"
    Dataset.from_dict({name: list(column) for name, column in columns.items()}, features=features).to_parquet(file)
    return file.read_bytes()


@pytest.mark.slow
def test_datasets_of_the_hub_are_read_over_http(hub, fresh, tmp_path):
    files = {split: parquet(tmp_path, split) for split in _ROWS}
    plain = {f"data/{split}-00000-of-00001.parquet": content for split, content in files.items()}
    hub.add("datasets", "user/data", {"README.md": b"# Data\n", **plain})
    hub.add("datasets", "eriktks/conll2003", {"conll2003.py": b"raise RuntimeError\n", "README.md": b"# Script\n"})
    copies = {f"conll2003/{split}/0000.parquet": content for split, content in files.items()}
    hub.add("datasets", "eriktks/conll2003", copies, branch="refs/convert/parquet")
    hub.faults.append(Fault("GET /datasets/user/data/resolve/.*train", after=100))

    wanted = [("eriktks/conll2003", "pos"), ("user/data", "ner"), ("conll2003", "ner"), ("conll2003", "pos")]
    wanted.append(("streamed conll2003", "ner"))
    said = fresh(LOAD, json.dumps(wanted))
    assert hub.asked("GET /datasets/user/data/resolve/.*train") == 2  # the rest of it came with the second
    ner = {
        "train": [[["Mira", "Okonkwo", "slept", "."]], [["B-PER", "I-PER", "O", "O"]]],
        "validation": [[["The", "boat", "sank"]], [["O", "O", "O"]]],
        "test": [[["Porto", "slept"], ["In", "Velt", "."]], [["B-LOC", "O"], ["O", "B-LOC", "O"]]],
    }
    assert said["user/data ner"] == said["conll2003 ner"] == said["streamed conll2003 ner"] == ner
    pos = {
        "train": [[["Mira", "Okonkwo", "slept", "."]], [["NNP", "NNP", "VBD", "."]]],
        "validation": [[["The", "boat", "sank"]], [["DT", "NN", "VBD"]]],
        "test": [[["Porto", "slept"], ["In", "Velt", "."]], [["NNP", "VBD"], ["IN", "NNP", "."]]],
    }
    assert said["conll2003 pos"] == said["eriktks/conll2003 pos"] == pos
