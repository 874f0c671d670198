"""The temperature of a tagger: fitted on validation, folded into the head, the same after a resume."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from run_configs import run_config
from safetensors.torch import load_file
from tiny_models import TAGS, tiny_bert, tiny_modernbert
from transformers import pipeline

from hf_tagging import Tagger, TaggingTrainer, TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.evaluation.temperature import fit_temperature, note_temperature
from hf_tagging.models import LinearChainCrf, load_encoder
from hf_tagging.models.baseline import build_baseline
from hf_tagging.models.fine_tuning import add_lora
from hf_tagging.models.temperature import TagHead, Temperature

KINDS = {"bert": tiny_bert, "modernbert": tiny_modernbert}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: build(tmp_path_factory.mktemp(name)) for name, build in KINDS.items()}


@pytest.fixture(scope="module")
def sample():
    data = load_tagging_dataset("sample", task="ner")
    return data.filter(lambda row: len(row["tokens"]) < 25)


def sure_of_itself(folder, sample, head):
    """A model that gives its own tags too much probability: gold is what it says, but for a fifth of the words."""
    schema = TagSchema(TAGS, "IOB2")
    torch.manual_seed(0)
    model, tokenizer = load_encoder(str(folder), schema, head=head)
    with torch.no_grad():
        model.classifier.weight.normal_(std=3.0)
        if head == "crf":
            model.crf.transitions.normal_(std=2.0)
    tagger = Tagger(model, tokenizer, device="cpu")
    split = sample["validation"].select(range(40))
    rng = np.random.default_rng(0)
    said = tagger.tag(split["tokens"])
    gold = [[TAGS.index(rng.choice(TAGS) if rng.random() < 0.2 else tag) for tag in tags] for tags in said]
    split = split.remove_columns("tags").add_column("tags", gold, feature=sample["validation"].features["tags"])
    aligned = align_dataset(type(sample)({"validation": split}), tokenizer, schema)["validation"]
    return tagger, aligned


def loss_of_words(tagger, aligned):
    logs = np.concatenate([np.log(table.clip(1e-44)) for table in tagger.probabilities(aligned.words["tokens"])])
    gold = np.concatenate([np.array(tags) for tags in aligned.words["tags"]])
    return float(-logs[np.arange(len(gold)), gold].mean())


@pytest.mark.parametrize(("name", "head"), [("bert", "linear"), ("modernbert", "linear"), ("bert", "crf")])
def test_the_temperature_has_the_least_loss_and_changes_no_tag(folders, sample, name, head):
    tagger, aligned = sure_of_itself(folders[name], sample, head)
    words = aligned.words["tokens"]
    tags, weights = tagger.tag(words), {n: w.clone() for n, w in tagger.model.named_parameters()}

    found = fit_temperature(tagger.model, aligned, pad_token_id=0)

    assert all(torch.equal(weight, weights[n]) for n, weight in tagger.model.named_parameters())
    assert found.words == sum(map(len, words))
    assert found.temperature > 1.2
    assert found.loss_after < found.loss_before
    fitted = TagHead.of(tagger.model)
    for factor in (0.97, 1.03):
        with fitted.divided(found.temperature * factor):
            near = fit_temperature(tagger.model, aligned, pad_token_id=0)
        assert near.loss_before > found.loss_after
        assert near.temperature * factor == pytest.approx(1, abs=0.01)
    before = loss_of_words(tagger, aligned)
    fitted.divide(found.temperature)
    assert tagger.tag(words) == tags
    assert loss_of_words(tagger, aligned) < before
    if head == "linear":
        assert before == pytest.approx(found.loss_before, rel=1e-4)
        assert loss_of_words(tagger, aligned) == pytest.approx(found.loss_after, rel=1e-4)


def test_of_a_linear_head_it_is_the_one_of_a_search(folders, sample):
    tagger, aligned = sure_of_itself(folders["bert"], sample, "linear")
    logits = torch.from_numpy(np.concatenate([np.log(t) for t in tagger.probabilities(aligned.words["tokens"])]))
    gold = torch.from_numpy(np.concatenate([np.array(tags) for tags in aligned.words["tags"]]))
    grid = np.exp(np.linspace(-1, 3, 2001))
    best = min(grid, key=lambda t: float(F.cross_entropy(logits.double() / t, gold)) + math.log(t) ** 2 / 2 / len(gold))
    assert fit_temperature(tagger.model, aligned, pad_token_id=0).temperature == pytest.approx(best, rel=0.003)


def test_where_there_are_few_words_it_stays_near_one(folders, sample):
    tagger, aligned = sure_of_itself(folders["bert"], sample, "linear")
    tags = tagger.tag(aligned.words["tokens"])
    right = [[TAGS.index(tag) for tag in sentence] for sentence in tags]
    split = aligned.words.remove_columns("tags").add_column("tags", right, feature=aligned.words.features["tags"])
    data = type(sample)({"validation": split.select(range(2))})
    few = align_dataset(data, tagger.tokenizer, tagger.schema)["validation"]
    assert 0.1 < fit_temperature(tagger.model, few, pad_token_id=0).temperature < 1


def test_heads_of_other_models(folders, sample):
    schema = TagSchema(TAGS, "IOB2")
    model, _ = load_encoder(str(folders["bert"]), schema, head="crf")
    adapted = add_lora(model, rank=2)
    head = TagHead.of(adapted)
    assert all(weight.requires_grad for weight in head.weights)  # those that are trained, not the copies of PEFT
    assert isinstance(head.crf, LinearChainCrf)
    for parts in ({"encoder": "lstm"}, {"encoder": "cnn", "head": "crf"}):
        scratch, _ = build_baseline(sample, schema, parts=parts)
        assert TagHead.of(scratch).linear is scratch.classifier
    counted, _ = build_baseline(sample, schema, parts={"encoder": "hmm"})
    assert TagHead.of(counted) is None


@pytest.mark.parametrize(
    "said", [None, {}, {"temperature": 2}, {"temperature": -1, "words": 1, "loss_before": 1, "loss_after": 1}]
)
def test_a_config_may_say_anything(folders, said):
    model, _ = load_encoder(str(folders["bert"]), TagSchema(TAGS, "IOB2"))
    model.config.calibration = said
    assert Temperature.of(model.config) is None
    note_temperature(model.config, None)
    assert not hasattr(model.config, "calibration")


def trainer(folder, sample, output, *flags, head="linear"):
    flags = ["--output_dir", str(output), "--use_cpu", "--head", head, "--num_train_epochs", "2", *map(str, flags)]
    args = run_config("ner", ["--model", str(folder), *flags])
    return TaggingTrainer(
        model=args.model,
        args=args.training,
        train_dataset=sample["train"].select(range(60)),
        eval_dataset=sample["validation"].select(range(30)),
        task="ner",
    )


@pytest.mark.parametrize("head", ["linear", "crf"])
def test_a_run_folds_it_into_what_it_saves(folders, sample, tmp_path, head):
    for name, flags in {"with": (), "without": ("--calibrate", "false")}.items():
        run = trainer(folders["bert"], sample, tmp_path / name, *flags, head=head)
        run.train()
        run.publish()
    configs = {n: json.loads((tmp_path / n / "config.json").read_text()) for n in ("with", "without")}
    found = configs["with"]["calibration"]
    assert "calibration" not in configs["without"]
    assert found == json.loads((tmp_path / "with" / "run.json").read_text())["calibration"]
    saved = {n: load_file(tmp_path / n / "model.safetensors") for n in ("with", "without")}
    for name, weight in saved["without"].items():
        divided = name.startswith(("classifier.", "crf.")) and weight.is_floating_point()
        expected = weight / found["temperature"] if divided else weight
        torch.testing.assert_close(saved["with"][name], expected, rtol=1e-6, atol=0)
    words = sample["validation"]["tokens"][:20]
    taggers = [Tagger.from_pretrained(tmp_path / n, device="cpu") for n in ("with", "without")]
    assert taggers[0].tag(words) == taggers[1].tag(words)
    if head == "linear":
        (said,) = taggers[0].tag_with_scores([["Jordan"]])
        shown = pipeline("token-classification", model=str(tmp_path / "with"), ignore_labels=[])("Jordan")
        assert shown[0]["score"] == pytest.approx(said[0][1], abs=1e-5)


def test_a_resumed_run_has_the_same_and_one_that_goes_on_has_its_own(folders, sample, tmp_path):
    run = trainer(folders["bert"], sample, tmp_path / "run")
    run.train()
    run.save_model()
    before = load_file(tmp_path / "run" / "model.safetensors")
    found = json.loads((tmp_path / "run" / "config.json").read_text())["calibration"]

    again = trainer(folders["bert"], sample, tmp_path / "run", "--resume")
    again.train()
    again.save_model()

    after = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert json.loads((tmp_path / "run" / "config.json").read_text())["calibration"] == found
    further = trainer(tmp_path / "run", sample, tmp_path / "further", "--calibrate", "false")
    further.train()
    further.save_model()
    assert "calibration" not in json.loads((tmp_path / "further" / "config.json").read_text())
