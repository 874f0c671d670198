"""Training from Python: the same runs as by flags and by YAML, with the arguments that users of `Trainer` know."""

import dataclasses
import logging
import random
import runpy

import huggingface_hub
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from datasets import Dataset, DatasetDict
from hub_server import hub_on_loopback
from hub_state import TOKEN
from peft import LoraConfig
from recipe_runs import record, run_here, weights
from tiny_models import TAGS, tiny_bert
from transformers import (
    AutoModel,
    AutoModelForTokenClassification,
    AutoTokenizer,
    TrainerCallback,
    TrainingArguments,
    pipeline,
)

from hf_tagging import Tagger, TaggingConfig, TaggingTrainer, load_tagging_dataset
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.training import DataConfig, EncoderConfig, ScratchConfig

STEPS = {"max_steps": 3, "learning_rate": 1e-2, "seed": 7, "use_cpu": True, "bf16": False}
FLAGS = [f"--{name}={value}" for name, value in STEPS.items()]
ROWS = {"tokens": [["Maria", "walked"], ["to", "Porto", "."]] * 10, "tags": [["B-PER", "O"], ["O", "B-LOC", "O"]] * 10}
# Differ between two runs of the same arguments.
OF_THE_RUN = ("command", "started", "finished", "seconds", "energy", "memory", "given", "hardware")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_bert(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def sample():
    return load_tagging_dataset("sample", task="ner")


def settings(folder, **changes):
    return TaggingConfig(output_dir=str(folder), **(STEPS | changes))


def trainer(model, output, data, **options):
    return TaggingTrainer(
        model=model,
        args=settings(output),
        train_dataset=data["train"].select(range(40)),
        eval_dataset=data["validation"].select(range(20)),
        **options,
    )


def comparable(folder):
    """The record of a run without its names, its times and its speed."""
    found = {name: value for name, value in record(folder).items() if name not in OF_THE_RUN}
    names = ("output_dir", "run_name", "disable_tqdm")  # the last one follows the log level, which recipes set
    found["arguments"] = {n: v for n, v in found["arguments"].items() if n not in names}
    for figures in found["results"].values():
        for name in ("runtime", "words_per_second"):
            del figures[name]
    found["history"] = [
        {n: v for n, v in entry.items() if "second" not in n and n != "runtime"} for entry in found["history"]
    ]
    return found


@pytest.mark.slow
def test_python_flags_and_yaml_are_one_run(folder, sample, tmp_path):
    asked = {"max_train_samples": 40, "max_eval_samples": 20}
    flags = ["--model", folder, "--dataset", "sample", *FLAGS, *(f"--{name}={value}" for name, value in asked.items())]
    run_here("ner_bert", *flags, "--output_dir", tmp_path / "flags")
    config = tmp_path / "config.yaml"
    lines = {"task": "ner", "model": str(folder), "dataset": "sample", **STEPS, **asked}
    config.write_text(yaml.safe_dump(lines))
    run_here("ner_bert", "--config", config, "--output_dir", tmp_path / "yaml")
    python = TaggingTrainer(
        model=str(folder),
        args=settings(tmp_path / "python"),
        train_dataset=sample["train"],
        eval_dataset=sample["validation"],
        data=DataConfig(**asked),
    )
    python.train()
    figures = python.evaluate(sample["test"], metric_key_prefix="test")
    python.save_model()
    results = python.publish()
    assert results["test"]["f1"] == figures["test_f1"]
    for way in ("yaml", "python"):
        found = weights(tmp_path / way)
        assert all(torch.equal(weight, found[name]) for name, weight in weights(tmp_path / "flags").items()), way
        one, other = comparable(tmp_path / way), comparable(tmp_path / "flags")
        assert one.pop("arguments") == other.pop("arguments"), way
        assert one == other, way
    names = [{path.name for path in (tmp_path / way).rglob("*")} for way in ("flags", "yaml", "python")]
    assert names[0] == names[1] == names[2]


@pytest.mark.slow
def test_a_finished_trainer_is_a_tagger_and_a_folder_that_loads(folder, sample, tmp_path):
    run = trainer(str(folder), tmp_path / "run", sample)
    run.train()
    run.save_model()
    words = ["Jordan", "waved", "."]
    assert run.tagger().tag(words) == Tagger.from_pretrained(str(tmp_path / "run")).tag(words)
    assert pipeline("token-classification", model=str(tmp_path / "run"))("Jordan waved .") is not None
    assert record(tmp_path / "run")["status"] == "running"
    run.save_model(str(tmp_path / "elsewhere"))
    assert Tagger.from_pretrained(str(tmp_path / "elsewhere")).tag(words) == run.tagger().tag(words)
    with pytest.raises(OutputError, match="holds a run already"):
        trainer(str(folder), tmp_path / "run", sample).train()


def test_making_a_trainer_changes_nothing(folder, sample, tmp_path):
    level, threads = logging.getLogger("hf_tagging").level, torch.get_num_threads()
    drawn = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    trainer(str(folder), tmp_path / "run", sample)
    assert torch.equal(drawn[0], torch.get_rng_state())
    assert drawn[1:] == (np.random.get_state()[1].tolist(), random.getstate())
    assert (level, threads) == (logging.getLogger("hf_tagging").level, torch.get_num_threads())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", [pd.DataFrame(ROWS), Dataset.from_dict(ROWS)], ids=["DataFrame", "Dataset"])
def test_data_in_memory(folder, tmp_path, data):
    run = TaggingTrainer(str(folder), settings(tmp_path), train_dataset=data, eval_dataset=data, task="ner")
    run.train()
    assert run.evaluate(data, metric_key_prefix="test")["test_words"] == 50
    assert run.schema.tags == TAGS  # of the tagger that it goes on with
    assert run.run.record["arguments"]["dataset"] == "in memory"


def test_tags_in_another_scheme_are_converted_in_every_split(folder, tmp_path):
    rows = ROWS | {"tags": [[tag.replace("B-", "I-") for tag in tags] for tags in ROWS["tags"]]}
    data = load_tagging_dataset(Dataset.from_dict(rows), task="ner", validation_share=0.2)
    run = TaggingTrainer(str(folder), settings(tmp_path), train_dataset=data["train"], eval_dataset=data["validation"])
    outcome = run.predict_words(data["validation"], "test")
    assert {tag for tags in outcome.gold for tag in tags} == {"O", "B-PER", "B-LOC"}
    assert run.run.record["scheme"]["source"] == "IOB1"


class Interrupts(TrainerCallback):
    """Ctrl-C after the checkpoint of a step, once."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **named):
        if state.global_step == self.step:
            self.step = None
            raise KeyboardInterrupt


@pytest.mark.parametrize("changes", [{}, {"overwrite": True}], ids=["new", "overwrite"])
def test_an_interrupted_trainer_goes_on_from_its_checkpoint(folder, sample, tmp_path, changes):
    options = {"train_dataset": sample["train"].select(range(40)), "task": "ner"}
    steps = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2} | changes
    whole = TaggingTrainer(str(folder), settings(tmp_path / "whole", **steps), **options)
    whole.train()
    run = TaggingTrainer(str(folder), settings(tmp_path / "run", **steps), callbacks=[Interrupts(3)], **options)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert record(tmp_path / "run")["status"] == "interrupted"
    run.train(resume_from_checkpoint=True)
    assert run.run.record["resumed_from"] == "checkpoint-2"
    assert record(tmp_path / "run")["status"] == "running"
    wanted = whole.model.state_dict()
    assert all(torch.equal(weight, wanted[name]) for name, weight in run.model.state_dict().items())
    if changes:  # of another trainer, it would remove the checkpoints first
        again = TaggingTrainer(str(folder), settings(tmp_path / "run", **steps), **options)
        with pytest.raises(ConfigError, match=r"overwrite=True removes the run in .*Give one of the two"):
            again.train(resume_from_checkpoint=True)
        assert (tmp_path / "run" / "checkpoint-4").is_dir()


def test_a_deterministic_training_does_not_depend_on_what_was_drawn_before(folder, sample, tmp_path):
    try:
        found = []
        for number in range(2):
            run = TaggingTrainer(
                str(folder),
                settings(tmp_path / str(number), full_determinism=True),
                train_dataset=sample["train"].select(range(40)),
            )
            torch.manual_seed(number)
            run.train()
            found.append(run.model.state_dict())
        assert all(torch.equal(weight, found[1][name]) for name, weight in found[0].items())
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_tagger_from_scratch(sample, tmp_path):
    run = trainer(ScratchConfig(encoder="mlp", hidden_size=8), tmp_path, sample)
    run.train()
    assert run.args.metric_for_best_model == "f1"
    assert run.run.record["arguments"]["encoder"] == "mlp"


def test_a_model_of_the_callers_own_is_taken_as_it_is(folder, tmp_path):
    model, tokenizer = AutoModelForTokenClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    data = pd.DataFrame(ROWS)
    run = TaggingTrainer(model, settings(tmp_path), train_dataset=data, processing_class=tokenizer, task="ner")
    assert run.model is model
    assert run.schema.tags == TAGS
    with pytest.raises(ConfigError, match="processing_class: a model that is given as an object needs its tokenizer"):
        TaggingTrainer(model, settings(tmp_path), train_dataset=data, task="ner")
    with pytest.raises(ConfigError, match=r"model: its head is for 5 tags \(O, B-PER, .*the data has 2"):
        TaggingTrainer(
            model,
            settings(tmp_path),
            train_dataset=pd.DataFrame({"tokens": [["a", "b"]], "tags": [["DT", "NN"]]}),
            processing_class=tokenizer,
            task="pos",
        )


@pytest.mark.slow
def test_adapters_of_the_callers_own_are_trained_and_merged(folder, sample, tmp_path):
    run = trainer(str(folder), tmp_path / "run", sample, peft_config=LoraConfig(r=2, target_modules=["query"]))
    trained = {name for name, weight in run.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all("lora" in name or "classifier" in name for name in trained)
    run.train()
    run.save_model()
    assert record(tmp_path / "run")["arguments"]["lora_rank"] == 2
    assert not list((tmp_path / "run").glob("adapter*"))
    assert Tagger.from_pretrained(str(tmp_path / "run")).tag(["Jordan"]) == run.tagger().tag(["Jordan"])
    assert any("lora" in name for name, _ in run.model.named_parameters())  # it can be trained further


def test_callbacks_and_compute_metrics_are_those_of_any_trainer(folder, sample, tmp_path):
    seen = []

    class Ends(TrainerCallback):
        def on_train_end(self, args, state, control, **named):
            seen.append(state.global_step)

    def metrics(outcome):
        logits, labels = outcome
        assert logits.shape[:2] == labels.shape
        return {"share": float((logits.argmax(-1) == labels)[labels != -100].mean())}

    run = trainer(str(folder), tmp_path, sample, callbacks=[Ends()], compute_metrics=metrics)
    run.train()
    figures = run.evaluate(sample["test"], metric_key_prefix="test")
    assert seen == [3]
    assert figures["test_share"] == pytest.approx(figures["test_accuracy"])
    assert set(figures) >= {"test_f1", "test_precision", "test_loss"}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train_dataset": pd.DataFrame(ROWS)}, ConfigError, "task: the data does not say what its tags are; give one"),
        ({"train_dataset": 5, "task": "ner"}, DataError, "expected a Dataset or a pandas DataFrame with a sentence"),
        ({"train_dataset": pd.DataFrame({"text": ["a b"]}), "task": "ner"}, DataError, "no column of tags|no column"),
        ({"train_dataset": pd.DataFrame(ROWS), "task": "nre"}, ConfigError, "did you mean 'ner'"),
        ({}, ConfigError, "train_dataset: there is no data, whose tags the model is made for"),
    ],
    ids=["no task", "no data", "no tags", "no such task", "nothing"],
)
def test_wrong_inputs_end_in_a_message(folder, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        TaggingTrainer(str(folder), settings(tmp_path), **options)


def test_another_set_of_words_is_not_resumed_on(folder, tmp_path):
    TaggingTrainer(str(folder), settings(tmp_path), train_dataset=pd.DataFrame(ROWS), task="ner").train()
    other = pd.DataFrame(ROWS).head(4)
    run = TaggingTrainer(str(folder), settings(tmp_path, resume=True), train_dataset=other, task="ner")
    with pytest.raises(DataError, match=r"words or tags of train are not those that the run in .* was started with"):
        run.train()


def test_mistakes_in_the_test_data_are_found_before_training(folder, sample, tmp_path):
    data = {"train_dataset": sample["train"].select(range(40)), "test_dataset": sample["test"].select(range(20))}
    run = TaggingTrainer(str(folder), settings(tmp_path, max_steps=1), **data)
    run.train()
    assert run.final_evaluation()["test"]["words"] == sum(map(len, data["test_dataset"]["tokens"]))
    aligned = run.splits["test"]
    run.evaluate(data["test_dataset"], metric_key_prefix="test")
    assert run.splits["test"] is aligned
    first_is_empty = {"tokens": [[], ["a"]], "tags": [[], ["O"]]}
    data = {"train_dataset": pd.DataFrame(ROWS), "test_dataset": pd.DataFrame(first_is_empty)}
    with pytest.raises(DataError, match=r"test: none of its sentences \(1\) has a word"):
        TaggingTrainer(str(folder), settings(tmp_path), task="ner", data=DataConfig(max_eval_samples=1), **data)


@pytest.mark.parametrize("recipe", ["ner_baseline", "pos_baseline"])
def test_a_recipe_aligns_the_test_split_before_it_trains(tmp_path, recipe):
    words = tmp_path / "words.jsonl"
    tags = {"ner_baseline": '["B-PER", "O"]', "pos_baseline": '["NNP", "VBD"]'}[recipe]
    words.write_text(f'{{"tokens": ["Maria", "walked"], "tags": {tags}}}\n' * 4)
    nothing = tmp_path / "nothing.jsonl"
    nothing.write_text('{"tokens": [], "tags": []}\n' + words.read_text())
    files = [f"--train_file={words}", f"--validation_file={words}", f"--test_file={nothing}", "--max_eval_samples=1"]
    with pytest.raises(DataError, match=r"test: none of its sentences \(1\) has a word"):
        run_here(recipe, *files, "--encoder=mlp", *FLAGS, "--output_dir", tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


FORMER_RECIPE = """
import sys
from functools import partial
from hf_tagging.data import TagSchema, align_dataset, load_tagging_dataset
from hf_tagging.evaluation import results_table, score_entities, write_predictions
from hf_tagging.models import build_baseline, saved_schema
from hf_tagging.publishing import model_card, publish_run
from hf_tagging.training import TaggingRun, TaggingTrainer, parse_arguments

args = parse_arguments("ner", sys.argv[1:], family="baseline")
run = TaggingRun(args)
with run.main_process_first():
    found = run.select(load_tagging_dataset(**args.loading()))
    saved = saved_schema(**args.source(), scheme=args.data.scheme)
    dataset, schema, conversion = TagSchema.detect(found, task="ner").convert(found, to=args.scheme(saved))
    dataset, schema = schema.adopt(dataset, saved)
run.note_conversion(conversion)
model, tokenizer = build_baseline(dataset, schema, **args.baseline())
features = getattr(model.config, "word_features", None)
splits = run.note_alignment(align_dataset(dataset, tokenizer, schema, word_features=features, **args.alignment()))
score = partial(score_entities, scheme=schema.scheme)
trainer = TaggingTrainer(
    model=model, args=args.training, schema=schema, tokenizer=tokenizer, splits=splits, score=score
)
run.train(trainer)
results = run.evaluate(trainer, splits, write_predictions)
run.save(results, model_card(run.record, results, schema))
run.say(results_table("ner", results))
publish_run(run, results, schema, splits)
"""


@pytest.mark.slow
def test_a_recipe_of_the_release_before_warns_and_trains_as_it_did(tmp_path, monkeypatch):
    (tmp_path / "recipe.py").write_text(FORMER_RECIPE)
    flags = ["--dataset=sample", "--encoder=mlp", "--max_train_samples=60", "--max_eval_samples=20", *FLAGS]
    monkeypatch.setattr("sys.argv", ["recipe.py", *flags, "--output_dir", str(tmp_path / "former")])
    with pytest.warns(FutureWarning) as warned:
        runpy.run_path(str(tmp_path / "recipe.py"))
    told = {str(warning.message).split(" is ")[0] for warning in warned}
    assert {"TaggingTrainer", "RunConfig.baseline()", "TaggingRun.train(trainer)", "TaggingRun.evaluate(...)"} <= told
    run_here("ner_baseline", *flags, "--output_dir", tmp_path / "now")
    found = weights(tmp_path / "former")
    assert all(torch.equal(weight, found[name]) for name, weight in weights(tmp_path / "now").items())
    former, now = comparable(tmp_path / "former"), comparable(tmp_path / "now")
    assert now.pop("words")["splitter"] == "english"  # how words were cut, which the release before did not look for
    assert former == now
    names = [{path.name for path in (tmp_path / way).rglob("*")} for way in ("former", "now")]
    assert names[0] == names[1]


def test_data_with_tags_that_the_model_does_not_know(folder, tmp_path):
    run = TaggingTrainer(str(folder), settings(tmp_path), train_dataset=pd.DataFrame(ROWS), task="ner")
    other = pd.DataFrame({"tokens": [["May"]], "tags": [["B-DATE"]]})
    with pytest.raises(DataError, match="test: the model does not know the tags B-DATE, I-DATE"):
        run.evaluate(other, metric_key_prefix="test")


def test_a_config_of_an_encoder_is_a_model(folder, sample, tmp_path):
    run = trainer(EncoderConfig(model=str(folder), head="crf"), tmp_path, sample)
    assert run.computes_loss
    assert run.args.head_learning_rate == 1e-3


@pytest.mark.slow
def test_push_to_hub_finishes_the_run_and_sends_all_of_it(folder, sample, tmp_path, monkeypatch):
    run = trainer(str(folder), tmp_path / "run", sample)
    run.train()
    run.evaluate(sample["test"].select(range(10)), metric_key_prefix="test")
    training = run.run.arguments.training
    training.push_to_hub, training.hub_model_id = True, "user/of-the-arguments"  # what the call says is pushed, once
    with hub_on_loopback() as hub:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        pushed = run.push_to_hub("user/ner-from-python")
    assert [name for _, name in hub.repositories] == ["user/ner-from-python"]
    assert pushed.private
    assert set(pushed.files) >= {"config.json", "model.safetensors", "run.json", "README.md", "predictions/test.conll"}
    assert record(tmp_path / "run")["status"] == "finished"
    assert record(tmp_path / "run")["results"]["test"]["sentences"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": None}, "model: expected a name, a folder, a model, .* found NoneType"),
        ({"model": ScratchConfig}, "model: expected .* found the class ScratchConfig"),
        ({"args": TrainingArguments("x", use_cpu=True)}, "args: expected a TaggingConfig, .* found TrainingArguments"),
        (
            {"data": {"max_length": 9}, "callbacks": TrainerCallback()},
            "data: .* found dict\ncallbacks: expected a list",
        ),
        ({"peft_config": LoraConfig(task_type="CAUSAL_LM")}, 'peft_config: task_type is CAUSAL_LM; give "TOKEN_CLS"'),
        ({"peft_config": LoraConfig(target_modules=["x"])}, "peft_config: .*target.modules"),
    ],
    ids=["None", "class", "args", "data", "task type", "modules"],
)
def test_objects_of_another_kind_end_in_a_message(folder, tmp_path, options, message):
    given = {"model": str(folder), "args": settings(tmp_path), "train_dataset": pd.DataFrame(ROWS), "task": "ner"}
    with pytest.raises(ConfigError, match=message):
        TaggingTrainer(**(given | options))


def test_a_model_without_a_tag_head_is_refused(folder, tmp_path):
    options = {"train_dataset": pd.DataFrame(ROWS), "task": "ner"}
    options["processing_class"] = AutoTokenizer.from_pretrained(folder)
    with pytest.raises(ConfigError, match="model: a BertModel has no tag head; load it with AutoModelForTokenClass"):
        TaggingTrainer(AutoModel.from_pretrained(folder), settings(tmp_path), **options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            DatasetDict(train=Dataset.from_dict(ROWS)),
            r"found DatasetDict; give one of its splits, such as data\['train'",
        ),
        ("sample", "found str; load it first, with load_tagging_dataset"),
        ([{"tokens": ["a"], "tags": ["O"]}], r"found list; Dataset.from_list\(rows\)"),
        (
            pd.DataFrame({"line": [0, 0], "word": ["a", "b"], "tag": ["O", "O"]}),
            r"'tag' has a single value per row",
        ),
        (pd.DataFrame({"tokens": ["a b"], "tags": ["O O O"]}), "split the text into words"),
    ],
    ids=["DatasetDict", "name", "rows", "words", "text"],
)
def test_other_data_ends_in_a_message(folder, tmp_path, data, message):
    with pytest.raises(DataError, match=message):
        TaggingTrainer(str(folder), settings(tmp_path), train_dataset=data, task="ner")


def test_a_tagger_is_evaluated_without_training_data(folder, tmp_path, capsys):
    run = TaggingTrainer(str(folder), settings(tmp_path), eval_dataset=pd.DataFrame(ROWS), task="ner")
    assert run.evaluate()["eval_words"] == 50
    assert capsys.readouterr().out.startswith("evaluation: loss ")
    with pytest.raises(ConfigError, match="train_dataset: there is nothing to train on; give it"):
        run.train()


def test_a_figure_of_the_callers_own_picks_the_best_checkpoint(folder, sample, tmp_path, capsys):
    figures = iter([0.25, 0.75, 0.5])
    options = {"train_dataset": sample["train"].select(range(8)), "eval_dataset": sample["validation"].select(range(4))}
    asked = {"metric_for_best_model": "my_share", "tokens_per_batch": 4096}
    with pytest.raises(ConfigError, match="metric_for_best_model: 'my_share' is not one of f1"):
        TaggingTrainer(str(folder), settings(tmp_path, **asked), **options)
    run = TaggingTrainer(
        str(folder), settings(tmp_path, **asked), compute_metrics=lambda seen: {"my_share": next(figures)}, **options
    )
    run.train()
    assert (run.state.best_metric, run.state.best_global_step) == (0.75, 2)
    assert "my share 0.7500" in capsys.readouterr().out


def test_arguments_of_a_trainer_are_replaced_like_any_others(folder, tmp_path):
    def made(args):
        return TaggingTrainer(str(folder), args, train_dataset=pd.DataFrame(ROWS), task="ner")

    asked = settings(tmp_path / "one")
    first = made(asked)
    first.train()
    second = made(dataclasses.replace(first.args, seed=8, output_dir=str(tmp_path / "two")))
    assert second.args.tokens_per_batch == first.args.tokens_per_batch
    assert second.run.arguments.given == {*STEPS, "output_dir", "model", "dataset"}
    made(dataclasses.replace(first.args, resume=True)).train()


def test_values_that_no_flag_could_give_are_refused_in_python_too():
    with pytest.raises(ConfigError) as caught:
        ScratchConfig(encoder="lstmm", head="crff", hidden_size="3", bidirectional="no")
    assert str(caught.value).splitlines() == [
        "encoder: 'lstmm' is not one of mlp, cnn, rnn, lstm, gru, twisted, transformer, hmm; did you mean lstm?",
        "head: 'crff' is not one of linear, crf; did you mean crf?",
        "hidden_size: '3' is text, not a number",
        "bidirectional: 'no' is text, not True or False",
    ]
    with pytest.raises(ConfigError, match=r"learning_rate: '1e-3' is text, not a number\nclass_weights: 'balancd' is"):
        TaggingConfig(learning_rate="1e-3", class_weights="balancd")
    assert TaggingConfig(learning_rate=np.float32(1), max_steps=np.int64(2), use_cpu=True).max_steps == 2
