"""Tests of tasks: what follows from their fields, and the registry."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest

import hf_tagging
from hf_tagging import ConfigError, Task, register_task
from hf_tagging import tasks as module
from hf_tagging.evaluation import score, score_entities, score_words
from hf_tagging.tasks import NER, POS, TASKS, get_task, task_of_tags


@pytest.fixture
def registry(monkeypatch):
    """A registry that forgets what a test registers."""
    monkeypatch.setitem(module._REGISTERED, "chunk", NER)  # so that its end takes back what the test leaves there
    monkeypatch.delitem(module._REGISTERED, "chunk")


def test_the_two_tasks_that_ship():
    assert [*TASKS] == ["pos", "ner"]
    assert (POS.has_entities, POS.headline, POS.items, POS.classes) == (False, "accuracy", "words", "tags")
    assert (NER.has_entities, NER.headline, NER.items, NER.classes) == (True, "f1", "entities", "entity types")
    assert NER.hub_tag == "named-entity-recognition"
    assert task_of_tags(has_entities=True) is NER
    assert task_of_tags(has_entities=False) is POS


def test_a_task_of_three_fields_has_everything_else():
    task = Task(name="chunk", title="chunking", has_entities=True)
    assert task.columns == ("chunk_tags", "chunk", "tags", "labels", "tag", "label")
    assert (task.tagger, task.headline, task.hub_tag) == ("tagger for chunking", "f1", "chunking")
    assert task.headline in task.figures
    assert set(task.table) <= set(task.figures)
    assert task.unnamed_column is None


def test_a_task_does_not_change_and_travels_to_other_processes():
    with pytest.raises(FrozenInstanceError):
        NER.name = "other"
    assert pickle.loads(pickle.dumps(NER)) == NER
    assert hash(NER) == hash(pickle.loads(pickle.dumps(NER)))


def test_a_headline_that_the_scorer_computes_may_be_chosen():
    punctuation = {"name": "punct", "title": "punctuation restoration", "has_entities": False}
    assert Task(**punctuation, headline="macro_f1").headline == "macro_f1"
    with pytest.raises(ConfigError, match=r"headline 'f1' is not one of accuracy, macro_f1"):
        Task(**punctuation, headline="f1")


def test_a_name_is_fit_for_files_and_records():
    with pytest.raises(ConfigError, match=r"task 'a/b': expected a name of letters"):
        Task(name="a/b", title="x", has_entities=False)


def test_tasks_are_found_by_name(registry):
    chunking = Task(name="chunk", title="chunking", has_entities=True)
    assert get_task(chunking) is chunking
    with pytest.raises(ConfigError, match=r"task 'chunk' is not one of pos, ner\. .*register_task"):
        get_task("chunk")
    assert register_task(chunking) is chunking
    assert get_task("chunk") is chunking
    assert register_task(Task(name="chunk", title="chunking", has_entities=True)) == chunking
    with pytest.raises(ConfigError, match="registered already"):
        register_task(Task(name="chunk", title="chunking", has_entities=False))


def test_the_nearest_name_is_named():
    with pytest.raises(ConfigError, match=r"task 'nre' is not one of pos, ner; did you mean 'ner'\?"):
        get_task("nre")


def test_the_front_door_has_tasks():
    assert {"Task", "register_task"} <= set(hf_tagging.__all__)


def test_score_takes_any_task_and_the_old_functions_warn():
    chunking = Task(name="chunk", title="chunking", has_entities=True)
    tags = [["B-NP", "I-NP", "O"]]
    assert score(chunking, tags, tags)["per_type"]["NP"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    assert score("pos", tags, tags)["per_tag"]["O"]["f1"] == 1.0
    with pytest.warns(FutureWarning, match="score_entities is now score"):
        assert score_entities(None, tags, tags, scheme="IOB2") == score("ner", tags, tags)
    with pytest.warns(FutureWarning, match="score_words is now score"):
        assert score_words(None, tags, tags) == score("pos", tags, tags)
