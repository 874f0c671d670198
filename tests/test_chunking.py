"""Chunking, a task that the package does not have: one `Task` is all it takes, from column files to a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import pipeline

from hf_tagging import (
    ConfigError,
    RunConfig,
    ScratchConfig,
    Tagger,
    TaggingTrainer,
    TagSchema,
    Task,
    load_tagging_dataset,
    register_task,
)
from hf_tagging import tasks as module
from hf_tagging.comparison.compare import compare_runs
from hf_tagging.evaluation import results_table
from hf_tagging.inference.evaluating import evaluate_tagger
from hf_tagging.publishing import publish_run
from hf_tagging.training import start_run

CHUNKING = Task(name="chunk", title="chunking", tagger="chunker", has_entities=True)
CONLL_2003 = """-DOCSTART- -X- -X- O

Maria NNP B-NP B-PER
Moss NNP I-NP I-PER
flew VBD B-VP O
to TO B-PP O
Porto NNP B-NP B-LOC
. . O O

The DT B-NP O
old JJ I-NP O
ships NNS I-NP O
have VBP B-VP O
sailed VBN I-VP O
. . O O

"""


@pytest.fixture(scope="module")
def registered():
    """The registry with chunking in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module._REGISTERED, "chunk", CHUNKING)
        yield register_task(CHUNKING)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Column files with the columns of CoNLL-2003: word, part of speech, chunk, entity."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, times in {"train": 12, "dev": 2, "test": 10}.items():
        (folder / f"{split}.txt").write_text(CONLL_2003 * times)
    return folder


@pytest.fixture(scope="module")
def chunker(registered, corpus, tmp_path_factory) -> Path:
    """The folder of a small chunker, trained in the steps of a recipe."""
    out = tmp_path_factory.mktemp("runs") / "chunk"
    flags = ["--dataset", corpus, "--encoder", "lstm", "--scheme", "BIOES", "--num_train_epochs", 15,
             "--learning_rate", 1e-2, "--tokens_per_batch", 64, "--use_cpu", "--output_dir", out]  # fmt: skip
    args = RunConfig.from_command_line(list(map(str, flags)), task="chunk", model=ScratchConfig)
    run = start_run(args)
    found = run.select(args.load_dataset())
    dataset, schema, conversion = TagSchema.detect(found, task=registered).convert(found, to=args.scheme(None))
    run.note_conversion(conversion)
    model, tokenizer = args.build_model(dataset, schema)
    splits = run.note_alignment(args.align(dataset, tokenizer, schema, model))
    trainer = TaggingTrainer.of_run(run, splits, model=model, processing_class=tokenizer)
    trainer.train()
    trainer.save_model()
    trainer.final_evaluation()
    publish_run(trainer)
    assert results_table(registered, run.record["results"]).splitlines()[0].split()[:3] == ["precision", "recall", "f1"]
    return out


def test_the_chunk_column_is_found(registered, corpus):
    dataset = load_tagging_dataset(corpus, task="chunk")
    assert dataset["train"].features["tags"].feature.names == ["O", "B-NP", "I-NP", "B-PP", "B-VP", "I-VP"]
    assert TagSchema.detect(dataset, task="chunk").scheme == "IOB2"


def test_a_run_leaves_what_every_run_leaves(chunker):
    record = json.loads((chunker / "run.json").read_text())
    assert (record["task"], record["status"], record["arguments"]["task"]) == ("chunk", "finished", "chunk")
    assert record["arguments"]["metric_for_best_model"] == "f1"
    assert record["scheme"]["target"] == "BIOES"
    assert record["results"]["test"]["f1"] > 0.9
    assert [*record["results"]["test"]["per_type"]] == ["NP", "PP", "VP"]
    lines = (chunker / "predictions" / "test.conll").read_text().splitlines()
    assert lines[0].split()[:2] == ["Maria", "B-NP"]
    page = (chunker / "report.html").read_text()
    assert "<p>Chunking, scheme BIOES, on 20 sentences" in page
    card = (chunker / "README.md").read_text()
    assert "- chunking\n" in card
    assert "A chunker with 13 tags in BIOES (entity types: NP, PP, VP)" in card
    assert "**Entity F1 " in card


def test_it_loads_as_any_tagger(chunker):
    tag = pipeline("token-classification", model=str(chunker))
    assert [word["entity"] for word in tag("The old ships have sailed .")][:3] == ["B-NP", "I-NP", "E-NP"]
    tagged = Tagger.from_pretrained(chunker).tag([["The", "old", "ships", "have", "sailed", "."]])
    assert [tags[:3] for tags in tagged] == [["B-NP", "I-NP", "E-NP"]]


def test_it_is_evaluated_and_compared_as_what_it_is(chunker, corpus):
    found = evaluate_tagger(chunker, corpus, split="test")
    assert found.task is module.TASKS["chunk"]
    assert found.figures["f1"] == json.loads((chunker / "results.json").read_text())["test"]["f1"]
    comparison = compare_runs({"one": [chunker]}, resamples=10)
    assert (comparison.task, comparison.metric, comparison.rows[0].score) == ("chunk", "f1", found.figures["f1"])


def test_without_the_registration_the_run_is_refused(chunker, corpus, monkeypatch):
    monkeypatch.delitem(module._REGISTERED, "chunk")
    with pytest.raises(ConfigError, match=r"task 'chunk' is not one of pos, ner.*register_task"):
        evaluate_tagger(chunker, corpus)
    (row,) = compare_runs({"one": [chunker]}, resamples=10).rows
    assert "of the task 'chunk', which is not one of pos, ner; register it first" in row.problems[0]
