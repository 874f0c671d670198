import itertools
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_tagging.data import TagSchema, convert_tags
from hf_tagging.data.schema import SCHEMES
from hf_tagging.errors import ConfigError, DataError

# One sentence in three schemes: two PER side by side, a LOC of three words, a LOC after it, one MISC at the end.
SAME = {
    "IOB1": ["I-PER", "B-PER", "O", "I-LOC", "I-LOC", "I-LOC", "B-LOC", "O", "I-MISC"],
    "IOB2": ["B-PER", "B-PER", "O", "B-LOC", "I-LOC", "I-LOC", "B-LOC", "O", "B-MISC"],
    "BIOES": ["S-PER", "S-PER", "O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "O", "S-MISC"],
}


def dataset(*sentences, names=None):
    names = names or sorted({tag for sentence in sentences for tag in sentence}, key=lambda tag: (tag != "O", tag))
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=list(names)))})
    ids = [[names.index(tag) for tag in sentence] for sentence in sentences]
    words = [[f"w{i}" for i, _ in enumerate(sentence)] for sentence in sentences]
    return DatasetDict(train=Dataset.from_dict({"tokens": words, "tags": ids}, features=features))


def tags_of(split, schema):
    return [[schema.tags[i] for i in row] for row in split["tags"]]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_detects_the_scheme(scheme):
    assert TagSchema.detect(dataset(SAME[scheme]), task="ner").scheme == scheme


def test_pos_is_plain_whatever_the_tags_look_like():
    schema = TagSchema.detect(dataset(["B-X", "NN"]), task="pos")
    assert schema.scheme == "plain"
    assert schema.entity_types == ()


def test_iob2_with_some_invalid_tags_stays_iob2():
    found = TagSchema.detect(dataset(["B-PER", "I-PER", "O", "I-LOC"], ["B-LOC", "O"], ["B-PER", "O"]), task="ner")
    assert found.scheme == "IOB2"


def test_bilou_is_read_as_bioes():
    source = dataset(["B-PER", "I-PER", "L-PER", "U-LOC"])
    converted, schema, _ = TagSchema.detect(source, task="ner").convert(source, to="IOB2")
    assert tags_of(converted["train"], schema) == [["B-PER", "I-PER", "I-PER", "B-LOC"]]


def test_bmes_is_read_as_bioes():
    source = dataset(["B-PER", "M-PER", "M-PER", "E-PER", "S-LOC"])
    converted, schema, conversion = TagSchema.detect(source, task="ner").convert(source, to="IOB2")
    assert tags_of(converted["train"], schema) == [["B-PER", "I-PER", "I-PER", "I-PER", "B-LOC"]]
    assert (conversion.source, conversion.repaired) == ("BIOES", 0)


@pytest.mark.parametrize(
    ("bare", "scheme", "iob2"),
    [
        (["B", "I", "O", "B", "B"], "IOB2", ["B", "I", "O", "B", "B"]),
        (["I", "I", "B", "O", "I"], "IOB1", ["B", "I", "B", "O", "B"]),
        (["I", "I", "O"], "IOB1", ["B", "I", "O"]),
        (["B", "I", "E", "O", "S"], "BIOES", ["B", "I", "I", "O", "B"]),
        (["B", "I", "L", "O", "U"], "BIOES", ["B", "I", "I", "O", "B"]),
        (["B", "M", "E", "S"], "BIOES", ["B", "I", "I", "B"]),
    ],
)
def test_bare_prefixes_are_one_nameless_type(bare, scheme, iob2, caplog):
    source = dataset(bare)
    schema = TagSchema.detect(source, task="ner")
    assert (schema.scheme, schema.entity_types) == (scheme, ("ENT",))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "read as one type, ENT (B-ENT, I-ENT)" in caplog.text
    converted, target, conversion = schema.convert(source, to="IOB2")
    assert tags_of(converted["train"], target) == [[tag if tag == "O" else f"{tag}-ENT" for tag in iob2]]
    assert conversion.repaired == 0


def test_letters_that_are_no_bare_prefixes():
    assert TagSchema.detect(dataset(["O", "S", "L"]), task="ner").entity_types == ("L", "S")
    assert TagSchema.detect(dataset(["O", "B", "PER"]), task="ner").entity_types == ("B", "PER")
    with pytest.raises(DataError, match=r"no prefix \(B, I\)"):
        TagSchema.detect(dataset(["O", "B", "I", "B-PER"]), task="ner")


def test_prefixes_in_lower_case_stay_and_are_named(caplog):
    with caplog.at_level(logging.WARNING):
        schema = TagSchema.detect(dataset(["o", "b-per", "i-per", "x-ray"]), task="ner")
    assert schema.entity_types == ("b-per", "i-per", "o", "x-ray")
    assert [record.message.partition(":")[0] for record in caplog.records] == ["b-per i-per o"]


@pytest.mark.parametrize(
    ("tags", "scheme"),
    [
        ("O B-PER I-PER", "IOB2"),
        ("O I-PER I-LOC", "IOB1"),
        ("O B-PER I-PER E-PER S-PER", "BIOES"),
        ("O B-PER I-PER L-PER U-PER", "BIOES"),
        ("O B I", "IOB2"),
        ("B I O E S", "BIOES"),
        ("O PER LOC", "plain"),
        ("O NOUN B-PER", "plain"),
        ("ADJ NOUN X", "plain"),
    ],
)
def test_scheme_of_a_tagger_that_does_not_name_it(tags, scheme):
    id2label = dict(enumerate(tags.split()))
    assert TagSchema.from_config(SimpleNamespace(id2label=id2label)) == TagSchema(tuple(tags.split()), scheme)
    named = SimpleNamespace(id2label=id2label, tag_scheme="IOB1")
    assert TagSchema.from_config(named).scheme == "IOB1"


def test_tags_without_prefix_are_runs_of_one_entity():
    source = dataset(["PER", "PER", "O", "LOC", "PER"])
    converted, schema, _ = TagSchema.detect(source, task="ner").convert(source, to="IOB2")
    assert tags_of(converted["train"], schema) == [["B-PER", "I-PER", "O", "B-LOC", "B-PER"]]


def test_mixed_prefixes_are_refused():
    with pytest.raises(DataError, match=r"no prefix \(NN\).*tags_column"):
        TagSchema.detect(dataset(["B-PER", "NN"]), task="ner")


@pytest.mark.parametrize(("source", "target"), itertools.product(SCHEMES, SCHEMES))
def test_converts_one_sentence(source, target):
    assert convert_tags(SAME[source], source=source, target=target) == SAME[target]


@pytest.mark.parametrize(("source", "target"), itertools.product(SCHEMES, SCHEMES))
def test_converts_a_dataset_without_a_repair(source, target):
    data = dataset(SAME[source], [], ["O"], SAME[source][:3])
    converted, schema, conversion = TagSchema.detect(data, task="ner").convert(data, to=target)
    assert tags_of(converted["train"], schema) == [SAME[target], [], ["O"], SAME[target][:3]]
    assert (conversion.source, conversion.target, conversion.words, conversion.repaired) == (source, target, 13, 0)
    assert converted["train"].features["tags"].feature.names == list(schema.tags)


def test_data_of_which_nothing_changes_is_given_back():
    """A copy would be written, and mapped into memory beside what was there."""
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=["O", "B-PER", "I-PER"]))})
    whole, broken = (
        DatasetDict(train=Dataset.from_dict({"tokens": [["a", "b"]], "tags": [tags]}, features=features))
        for tags in ([1, 2], [0, 2])
    )
    schema = TagSchema(("O", "B-PER", "I-PER"), "IOB2")
    same, target, conversion = schema.convert(whole, to="IOB2")
    assert same is whole
    assert target == schema
    assert (conversion.words, conversion.repaired) == (2, 0)
    mended, _, conversion = schema.convert(broken, to="IOB2")
    assert mended["train"]["tags"][:] == [[0, 1]]
    assert conversion.repaired == 1


@pytest.mark.parametrize(
    ("scheme", "invalid", "repaired", "count"),
    [
        ("IOB2", ["O", "I-PER", "I-PER", "I-LOC"], ["O", "B-PER", "I-PER", "B-LOC"], 2),
        ("IOB2", ["I-PER", "B-PER"], ["B-PER", "B-PER"], 1),
        ("IOB1", ["B-PER", "O", "B-PER"], ["I-PER", "O", "I-PER"], 2),
        ("BIOES", ["B-PER", "O", "I-LOC", "I-LOC"], ["S-PER", "O", "B-LOC", "E-LOC"], 3),
        ("BIOES", ["E-PER", "E-PER"], ["S-PER", "S-PER"], 2),
    ],
)
def test_repairs_invalid_sequences_and_counts_them(scheme, invalid, repaired, count):
    data = dataset(invalid)
    names = tuple(data["train"].features["tags"].feature.names)
    converted, schema, conversion = TagSchema(names, scheme).convert(data, to=scheme)
    assert tags_of(converted["train"], schema) == [repaired]
    assert conversion.repaired == count


def test_entities_do_not_run_over_sentence_ends():
    data = dataset(["O", "I-PER"], ["I-PER", "O"], names=["O", "I-PER"])
    converted, schema, _ = TagSchema.detect(data, task="ner").convert(data, to="BIOES")
    assert tags_of(converted["train"], schema) == [["O", "S-PER"], ["S-PER", "O"]]


def test_conversion_completes_the_inventory_and_keeps_a_complete_one():
    hub = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    assert TagSchema(tuple(hub), "IOB2").in_scheme("IOB2").tags == tuple(hub)
    assert TagSchema(("O", "B-PER"), "IOB2").in_scheme("IOB2").tags == ("O", "B-PER", "I-PER")


def test_unknown_scheme_names_the_choices():
    with pytest.raises(ConfigError, match="IOB1, IOB2, BIOES"):
        TagSchema(("O", "B-X"), "IOB2").in_scheme("IOBES")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_legal_transitions_are_those_of_valid_sequences(scheme):
    """A sequence is legal exactly if repairing it changes nothing: checked on every sequence of three tags."""
    schema = TagSchema(("O", "B-X"), "IOB2").in_scheme(scheme)
    schema = TagSchema((*schema.tags, *(t.replace("X", "Y") for t in schema.tags[1:])), scheme)
    start, step, end = schema.transitions()
    for ids in itertools.product(range(len(schema.tags)), repeat=3):
        legal = start[ids[0]] and step[ids[0], ids[1]] and step[ids[1], ids[2]] and end[ids[2]]
        same = schema.rewrite(np.array(ids), np.array([0, 3]), schema).tolist() == list(ids)
        assert legal == same, [schema.tags[i] for i in ids]


def test_plain_transitions_are_all_legal():
    assert all(part.all() for part in TagSchema(("NN", "VB")).transitions())


def test_continuation_turns_b_into_i():
    schema = TagSchema(("O", "B-PER", "I-PER", "B-LOC"), "IOB2")
    assert schema.continuation_ids().tolist() == [0, 2, 2, 3]  # no I-LOC in the inventory: the tag itself
    assert TagSchema(("B", "I", "O"), "IOB2").continuation_ids().tolist() == [1, 1, 2]
    assert TagSchema(("B-X", "M-X", "S-X", "O"), "BIOES").continuation_ids().tolist() == [1, 1, 1, 3]
    assert TagSchema(("B-X", "NN")).continuation_ids().tolist() == [0, 1]


def test_adopts_the_label_ids_of_a_tagger_that_has_all_tags():
    data = dataset(["NN", "VB"])
    own = TagSchema.detect(data, task="pos")
    adopted, schema = own.adopt(data, TagSchema(("VB", "JJ", "NN")))
    assert adopted["train"]["tags"][0] == [2, 0]
    assert schema.tags == ("VB", "JJ", "NN")
    assert own.adopt(data, TagSchema(("VB", "JJ")))[1] == own


def test_adopts_no_label_ids_of_another_scheme():
    data = dataset(["O", "B-PER", "I-PER"])
    own = TagSchema.detect(data, task="ner")
    for tags, scheme in [
        ("O B-PER I-PER E-PER S-PER", "BIOES"),
        ("O I-PER B-PER", "IOB1"),
        ("O B-PER I-PER", "plain"),
    ]:
        adopted, schema = own.adopt(data, TagSchema(tuple(tags.split()), scheme))
        assert schema == own
        assert adopted is data
    assert own.adopt(data, TagSchema(("I-PER", "O", "B-PER"), "IOB2"))[0]["train"]["tags"][0] == [1, 2, 0]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"]), max_size=8))
def test_any_sequence_survives_the_round_trip_once_repaired(tags):
    repaired = convert_tags(tags, source="IOB2", target="IOB2")
    for scheme in SCHEMES:
        there = convert_tags(repaired, source="IOB2", target=scheme)
        assert convert_tags(there, source=scheme, target="IOB2") == repaired
