"""Rules beside a model: what a file of rules may say, what it matches, and what becomes of the tags."""

import json
import os
import pickle
import sys
from itertools import pairwise
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from datasets.fingerprint import Hasher
from tiny_models import TAGS, tiny_bert

from hf_tagging import ConfigError, DataError, Tagger, TagSchema
from hf_tagging.errors import TaggingError
from hf_tagging.inference.evaluating import evaluate_tagger
from hf_tagging.models import load_encoder
from hf_tagging.rules.patterns import shape
from hf_tagging.rules.reading import read_rules

SCHEMA = TagSchema(TAGS, "IOB2")
POS = TagSchema(("NOUN", "VERB", "PROPN"))
SENTENCE = ["Maria", "asks", "Jordan", "from", "Porto"]
LONG = ["Maria", "asks", "Jordan", "from", "Porto", "."] * 30  # several windows


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tagger with a linear head, and one with a CRF whose transitions matter."""
    folder = tmp_path_factory.mktemp("models")
    bert = tiny_bert(folder)
    model, tokenizer = load_encoder(str(bert), SCHEMA, head="crf")
    torch.manual_seed(1)
    torch.nn.init.normal_(model.crf.transitions)
    model.save_pretrained(folder / "crf")
    tokenizer.save_pretrained(folder / "crf")
    return {"linear": bert, "crf": folder / "crf", "ensemble": [bert, folder / "crf"]}


def write(folder, *rules):
    path = folder / "some.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    return path


def found(folder, rules, words, schema=SCHEMA):
    """Return id or line, first word and end of the matches in a sentence."""
    read = read_rules(write(folder, *rules), schema)
    return sorted((match.first, match.end, read.name(match.rule)) for match in read.matches(words.split()).chosen)


# What a file may say.


@pytest.mark.failure_mode("rules-wrong")
def test_all_problems_of_a_file_are_told_together_with_their_lines(tmp_path):
    path = write(
        tmp_path,
        {"label": "LOC", "pattern": "Porto"},
        {"labl": "LOC", "pattern": "Porto"},
        {"label": "LOK", "pattern": "Porto"},
        {"label": "LOC", "pattern": [{"LOWR": "porto"}]},
        {"label": "LOC", "pattern": [{"TEXT": {"REGEX": "("}}]},
        {"label": "LOC", "pattern": [{"OP": "*"}]},
        {"deny": "LOC", "pattern": "Porto", "when": "before"},
        {"label": ["LOC", "PER"], "pattern": "Porto"},
        {"label": "LOC", "phrases": ["Porto", " "]},
        {"label": "LOC", "pattern": "Porto", "overwrite": True},
    )
    with open(path, "a") as file:
        file.write("{no\n[1]\n")
    with pytest.raises(ConfigError) as caught:
        read_rules(path, SCHEMA)
    told = str(caught.value).splitlines()
    assert told[0].startswith("12 problems with the rules in ")
    for line, text in [
        (2, "labl: there is no such key; did you mean 'label'?"),
        (2, "has none of label, deny, only"),
        (3, "label: the model has no entity type 'LOK'; did you mean 'LOC'?"),
        (4, "pattern, word 1: there is no key 'LOWR'; did you mean 'LOWER'?"),
        (5, "is not a regular expression (missing )"),
        (6, "every word may be left out"),
        (7, "before goes with label alone"),
        (8, "several go with when: constraint alone"),
        (9, "expected a list of phrases, none of them empty"),
        (10, "goes with label and when: after alone"),
        (11, "is not JSON"),
        (12, "expected an object"),
    ]:
        assert any(one.strip().startswith(f"line {line}: ") and text in one for one in told), (line, text)


def test_many_problems_are_counted_and_the_first_ones_shown(tmp_path):
    with pytest.raises(ConfigError, match=r"(?s)20 problems.*line 20: .*and 80 more") as caught:
        read_rules(write(tmp_path, *[{"label": "X", "pattern": "x"}] * 100), SCHEMA)
    assert "line 21" not in str(caught.value)


def test_a_file_that_is_not_there_or_has_no_rule(tmp_path):
    with pytest.raises(DataError, match=r"rules=.*none\.jsonl: cannot be read \(No such file"):
        read_rules(tmp_path / "none.jsonl", SCHEMA)
    with pytest.raises(ConfigError, match="has no rule"):
        read_rules(write(tmp_path), SCHEMA)


def test_rules_that_only_a_model_with_entities_has(tmp_path):
    for rule, message in [
        ({"deny": "NOUN", "pattern": "x", "when": "after"}, "after edits entities"),
        ({"label": "NOUN", "pattern": "x", "when": "after"}, "expected true, to replace"),
        ({"deny": ["NOUN", "VERB", "PROPN"], "pattern": "x"}, "leaves no tag"),
        ({"label": "LOC", "pattern": "x"}, "the model has no tag 'LOC'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            read_rules(write(tmp_path, rule), POS)


# What matches.


def test_phrases_match_whole_words_and_the_longest_wins_then_the_first_rule(tmp_path):
    rules = [
        {"label": "PER", "pattern": "York"},
        {"label": "LOC", "phrases": ["New York", "York"]},
        {"label": "LOC", "pattern": "new york times", "ignore_case": True, "id": "paper"},
    ]
    assert found(tmp_path, rules, "in New York") == [(1, 3, "line 2")]
    assert found(tmp_path, rules, "York Yorkshire NewYork york") == [(0, 1, "line 1")]
    assert found(tmp_path, rules, "The NEW York Times") == [(1, 4, "paper")]
    same = [{"label": "PER", "pattern": "a b"}, {"label": "LOC", "pattern": "b c"}]
    assert found(tmp_path, same, "a b c") == [(0, 2, "line 1")]
    assert found(tmp_path, same[::-1], "a b c") == [(1, 3, "line 1")]


def test_phrases_without_case_are_compared_as_unicode_says(tmp_path):
    rules = [{"label": "LOC", "phrases": ["Lange Straße", "ΟΔΟΣ", "İzmir"], "ignore_case": True}]
    sentence = "LANGE STRASSE lange straße οδος οδοσ i̇zmir strasse izmir"
    assert [match[:2] for match in found(tmp_path, rules, sentence)] == [(0, 2), (2, 4), (4, 5), (5, 6), (6, 7)]


def test_a_phrase_is_found_as_the_tagger_cuts_text_and_as_it_has_blanks(folders, tmp_path):
    rules = write(tmp_path, {"label": "LOC", "pattern": "St. John's"})
    tagger = Tagger.from_pretrained(folders["linear"], device="cpu", rules=rules)
    (entity,) = [
        entity for entity in tagger.tag_text("He left St. John's early.").entities if entity.text == "St. John's"
    ]
    assert (entity.type, entity.source, entity.rule) == ("LOC", "rule", "line 1")
    assert tagger.tag(["St.", "John's"]) == ["B-LOC", "I-LOC"]


def test_patterns_of_words(tmp_path):
    title = [{"LOWER": {"IN": ["mr.", "mrs."]}}, {"SHAPE": "Xxxxx", "OP": "+"}]
    flight = [{"TEXT": {"REGEX": "^[A-Z]{2}$"}}, {"LENGTH": {">=": 3, "<=": 4}, "TEXT": {"NOT_IN": ["none"]}}]
    optional = [{"TEXT": "the", "OP": "?"}, {"TEXT": "very", "OP": "*"}, {"TEXT": "end"}]
    gap = [{"TEXT": "from"}, {}, {"TEXT": "to", "OP": "1"}]
    rules = [{"label": "PER", "pattern": pattern} for pattern in (title, flight, optional, gap)]
    assert found(tmp_path, rules, "MR. Smith Brown left") == [(0, 3, "line 1")]
    assert found(tmp_path, rules, "Mr. X") == []
    assert found(tmp_path, rules, "LH 123 LH 12345 LH none") == [(0, 2, "line 2")]
    assert found(tmp_path, rules, "the very very end") == [(0, 4, "line 3")]
    assert found(tmp_path, rules, "end the very") == [(0, 1, "line 3")]
    assert found(tmp_path, rules, "from here to there from to") == [(0, 3, "line 4")]
    assert [shape(word) for word in ("Apple", "iPhone7", "3.14", "ABCDEF")] == ["Xxxxx", "xXxxxxd", "d.dd", "XXXX"]


def test_a_match_of_a_pattern_has_at_most_100_words(tmp_path):
    rules = [{"label": "PER", "pattern": [{"TEXT": "a", "OP": "+"}]}]
    assert found(tmp_path, rules, " ".join("a" * 150)) == [(0, 100, "line 1"), (100, 150, "line 1")]


@pytest.mark.failure_mode("rules-slow")
def test_a_regular_expression_has_a_limit_of_time(tmp_path):
    rules = read_rules(
        write(tmp_path, {"label": "PER", "pattern": [{"TEXT": {"REGEX": "((a{1,1000}){1,1000}){1,1000}b"}}]}), SCHEMA
    )
    with pytest.raises(TaggingError, match=r"1000}b' takes more than 0\.1 seconds for the word 'aa"):
        rules.matches(["a" * 200])


# What becomes of the tags.


def paths(tagger, words):
    """Return all tag sequences that the scheme allows, with the probability that the model gives each."""
    starts, follows, ends = SCHEMA.transitions()
    legal = []
    for tags, probability in tagger.tag_nbest(words, len(TAGS) ** len(words)):
        ids = [SCHEMA.label2id[tag] for tag in tags]
        if starts[ids[0]] and ends[ids[-1]] and all(follows[a, b] for a, b in pairwise(ids)):
            legal.append((tags, probability))
    return legal


LIMITS = {
    "before": (
        [{"label": "LOC", "pattern": "Jordan from"}, {"label": "O", "pattern": "Maria"}],
        lambda tags: tags[0] == "O" and tags[2:4] == ["B-LOC", "I-LOC"] and tags[4] != "I-LOC",
    ),
    "constraint": (
        [{"label": ["PER", "O"], "phrases": ["asks Jordan", "Porto"], "when": "constraint"}],
        lambda tags: not {tags[1], tags[2], tags[4]} & {"B-LOC", "I-LOC"},
    ),
    "deny": (
        [{"deny": "LOC", "phrases": ["Maria", "Jordan from Porto"], "when": "constraint"}],
        lambda tags: not {tags[0], *tags[2:]} & {"B-LOC", "I-LOC"},
    ),
    "only": (
        [{"only": "LOC", "phrases": ["Porto"], "when": "constraint"}],
        lambda tags: not {*tags[:4]} & {"B-LOC", "I-LOC"},
    ),
}


@pytest.mark.parametrize("kind", ["linear", "crf", "ensemble"])
@pytest.mark.parametrize("name", LIMITS)
def test_limits_give_the_best_of_the_paths_that_are_left(folders, tmp_path, kind, name):
    rules, holds = LIMITS[name]
    tagger = Tagger.from_pretrained(folders[kind], device="cpu", rules=write(tmp_path, *rules))
    left = [(tags, probability) for tags, probability in paths(tagger, SENTENCE) if holds(tags)]
    assert 0 < len(left) < len(paths(tagger, SENTENCE))
    total = sum(probability for _, probability in left)
    best = max(left, key=lambda path: path[1])[0]
    assert tagger.tag(SENTENCE) == best
    (labels,) = tagger.label([SENTENCE])
    for place, tag in enumerate(best):
        same = {t: sum(p for tags, p in left if tags[place] == t) / total for t in TAGS}
        if max(same, key=same.get) == tag:  # else it is raised to just above the most probable one
            assert labels.scores[place] == pytest.approx(same[tag], abs=2e-4)
    starts, ends, _ = SCHEMA.entity_edges(labels.ids, np.array([0, len(SENTENCE)]))
    for first, last, score in zip(np.flatnonzero(starts), np.flatnonzero(ends), labels.entities, strict=True):
        goes = f"I-{best[first].partition('-')[2]}"
        same = sum(
            p
            for tags, p in left
            if tags[first : last + 1] == best[first : last + 1] and (last == 4 or tags[last + 1] != goes)
        )
        assert score == pytest.approx(same / total, abs=2e-4)


@pytest.mark.parametrize("kind", ["linear", "crf", "ensemble"])
def test_other_sentences_are_tagged_as_without_rules(folders, tmp_path, kind):
    rules = write(tmp_path, {"label": "LOC", "pattern": "Porto"})
    ruled, plain = (Tagger.from_pretrained(folders[kind], device="cpu", rules=r) for r in (rules, False))
    others = [["The", "chef", "waved"], SENTENCE, ["ships", "sailed"]]
    with_rules, without = ruled.label(others), plain.label(others)
    for number in (0, 2):
        assert with_rules[number].ids.tolist() == without[number].ids.tolist()
        np.testing.assert_array_equal(with_rules[number].scores, without[number].scores)
        np.testing.assert_array_equal(with_rules[number].entities, without[number].entities)
    assert [*ruled.tag_stream(others, block=1)] == ruled.tag(others)
    assert ruled.tag_document(others) == ruled.tag(others)
    np.testing.assert_array_equal(ruled.probabilities(others)[1], plain.probabilities(others)[1])
    assert ruled.tag_nbest(SENTENCE, 2) == plain.tag_nbest(SENTENCE, 2)


@pytest.mark.parametrize("kind", ["linear", "crf"])
def test_limits_hold_across_windows_and_in_bfloat16(folders, tmp_path, kind):
    rules = write(tmp_path, {"label": "PER", "pattern": "Porto . Maria"}, {"label": "O", "pattern": "asks"})
    options = {} if kind == "crf" else {"precision": "bfloat16"}
    tagger = Tagger.from_pretrained(folders[kind], device="cpu", rules=rules, **options)
    assert len(tagger.windows([LONG]).sentence) > 1
    tags = tagger.tag(LONG)
    for start in range(4, 174, 6):
        assert tags[start : start + 4] == ["B-PER", "I-PER", "I-PER", "O"]


def test_before_writes_the_tags_of_every_scheme(tmp_path):
    from hf_tagging.inference.constrained import Lattice
    from hf_tagging.inference.limits import limits_of

    for scheme, expected in [
        ("IOB1", ["I-LOC", "B-LOC", "I-LOC", "B-LOC"]),
        ("IOB2", ["B-LOC", "B-LOC", "I-LOC", "B-LOC"]),
        ("BIOES", ["S-LOC", "B-LOC", "E-LOC", "S-LOC"]),
    ]:
        schema = SCHEMA.in_scheme(scheme)
        rules = read_rules(write(tmp_path, {"label": "LOC", "pattern": "New York"}), schema)
        bounds = np.array([0, 4])
        limits = limits_of(rules, [rules.matches(["Porto", "New", "York", "Lima"])], bounds)
        lattice = Lattice(limits, schema, 4)
        says = np.where([name.endswith("LOC") for name in schema.tags], 0.9, 0.1)  # the model finds places everywhere
        lattice.keep(np.arange(4), torch.from_numpy(np.tile(says / says.sum(), (4, 1))), None)
        assert [schema.tags[i] for i in lattice.decoded().ids] == expected
        starts, ends, _ = schema.entity_edges(lattice.decoded().ids, bounds)
        assert [ends[0], starts[1], ends[2], starts[3]] == [True] * 4


class Fixed:
    """Labels of a sentence as a model gave them."""

    def __init__(self, tags, scores=0.5):
        ids = np.array([SCHEMA.label2id[tag] for tag in tags])
        self.starts = SCHEMA.entity_edges(ids, np.array([0, len(ids)]))[0]
        self.ids, self.scores = ids, np.full(len(ids), scores, np.float32)


def after(tmp_path, rules, words, tags):
    """Return what rules after the model make of tags: tags, scores of entities, and rules."""
    from hf_tagging.inference.edits import edited
    from hf_tagging.inference.results import WordLabels

    read, given = read_rules(write(tmp_path, *rules), SCHEMA), Fixed(tags)
    labels = WordLabels(
        given.ids, given.scores, np.full(given.starts.sum(), 0.5, np.float32), np.full(len(tags), "", object)
    )
    found = edited(labels, read.matches(words.split()), read, np.full(len(tags), 0.25, np.float32))
    return found.tags(SCHEMA), found.entities.tolist(), found.rules.tolist(), found.scores.tolist()


def test_after_the_model_a_rule_fills_what_is_free_or_replaces(tmp_path):
    words, rule = "of New York Times", {"label": "LOC", "pattern": "New York", "when": "after"}
    assert after(tmp_path, [rule], words, ["O"] * 4)[:3] == (
        ["O", "B-LOC", "I-LOC", "O"],
        [1.0],
        ["", "line 1", "line 1", ""],
    )
    taken = ["O", "B-PER", "I-PER", "I-PER"]
    assert after(tmp_path, [rule], words, taken)[:2] == (taken, [0.5])
    tags, entities, by, scores = after(tmp_path, [rule | {"overwrite": True}], words, taken)
    assert (tags, entities) == (["O", "B-LOC", "I-LOC", "O"], [1.0])
    assert (by, scores) == (["", "line 1", "line 1", "line 1"], [0.5, 1.0, 1.0, 0.25])
    nothing = {"label": "O", "pattern": "York", "when": "after", "overwrite": True}
    assert after(tmp_path, [nothing], words, taken)[:3] == (["O"] * 4, [], ["", *["line 1"] * 3])


def test_after_the_model_deny_and_only_leave_entities_out(tmp_path):
    words, tags = "May met Theresa May in Porto", ["B-PER", "O", "B-PER", "I-PER", "O", "B-LOC"]
    deny = {"deny": "PER", "pattern": "May", "id": "month"}
    assert after(tmp_path, [deny], words, tags)[:3] == (["O", *tags[1:]], [0.5, 0.5], ["month", *[""] * 5])
    only = {"only": ["PER", "LOC"], "phrases": ["Theresa May", "Porto"]}
    assert after(tmp_path, [only], words, tags)[:2] == (["O", *tags[1:]], [0.5, 0.5])
    assert after(tmp_path, [only | {"phrases": ["May"]}], words, tags)[0] == ["B-PER", *["O"] * 5]
    # What a rule has set, no list takes away.
    both = [only, {"label": "PER", "pattern": "in Porto", "when": "after", "overwrite": True}]
    assert after(tmp_path, both, words, tags)[0] == ["O", "O", "B-PER", "I-PER", "B-PER", "I-PER"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_rule_whose_entity_the_tags_of_the_model_cannot_write_is_refused(tmp_path, when):
    bare = TagSchema(("O", "B-LOC", "B-PER", "I-PER"), "IOB2")
    spans = TagSchema(("O", "B-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"), "BIOES")
    many = [{"SHAPE": "Xxxxx", "OP": "+"}]
    for schema, phrase, words in [(bare, "New York", "2 words"), (spans, "New York City", "3 words or more")]:
        for pattern in (phrase, many, [{"TEXT": word} for word in phrase.split()]):
            with pytest.raises(ConfigError, match=f"line 1: label: the model lacks the tags for a LOC of {words}; exp"):
                read_rules(write(tmp_path, {"label": "LOC", "pattern": pattern, "when": when}), schema)
            read_rules(write(tmp_path, {"label": "PER", "pattern": pattern, "when": when}), schema)
            read_rules(write(tmp_path, {"label": "LOC", "pattern": pattern, "when": "constraint"}), schema)
    for phrase in ("New York", "Porto"):
        read_rules(write(tmp_path, {"label": "LOC", "pattern": phrase, "when": when}), spans)
    for scheme in ("IOB1", "BIO"):
        inside = TagSchema(("I-LOC", "O"), scheme)
        read_rules(
            write(tmp_path, {"label": "LOC", "pattern": many, "when": when, "overwrite": when == "after"}), inside
        )


def test_every_match_of_a_list_and_of_a_denial_counts(tmp_path):
    words, tags = "Maria Duarte Lisbon", ["B-PER", "I-PER", "O"]
    names = [{"SHAPE": "Xxxxx", "OP": "+"}]
    assert after(tmp_path, [{"only": "PER", "pattern": names}], words, tags)[0] == tags
    assert after(tmp_path, [{"deny": "PER", "pattern": names}], words, tags)[0] == ["O"] * 3


def test_denials_of_the_same_words_go_together(folders, tmp_path):
    both = [{"deny": "PER", "pattern": "Jordan"}, {"deny": "LOC", "pattern": "Jordan"}]
    for tag in ("B-PER", "B-LOC"):
        assert after(tmp_path, both, "Jordan", [tag])[0] == ["O"]
    label = {"label": "LOC", "pattern": "Jordan", "when": "after"}
    assert after(tmp_path, [both[0], label], "Jordan", ["B-PER"])[0] == ["B-LOC"]
    rules = write(tmp_path, *[rule | {"pattern": "asks", "when": "constraint"} for rule in both])
    assert Tagger.from_pretrained(folders["linear"], device="cpu", rules=rules).tag(SENTENCE)[1] == "O"


def test_a_match_hides_those_that_apply_at_the_same_time_alone(folders, tmp_path):
    rules = [
        {"label": "PER", "pattern": "asks Jordan from", "when": "after"},
        {"label": ["PER", "O"], "pattern": "Jordan from Porto", "when": "constraint"},
        {"label": "LOC", "pattern": "Jordan"},
    ]
    assert found(tmp_path, rules, " ".join(SENTENCE)) == [(1, 4, "line 1"), (2, 3, "line 3"), (2, 5, "line 2")]
    tagger = Tagger.from_pretrained(folders["linear"], device="cpu", rules=write(tmp_path, *rules))
    assert tagger.tag(SENTENCE)[2] == "B-LOC"  # before the model decides


def test_strings_that_no_word_in_lower_case_is_are_refused(tmp_path):
    for value in ("Flight", {"IN": ["bus", "Flight"]}):
        with pytest.raises(ConfigError, match="word 1, LOWER: 'Flight' is not in lower case; expected 'flight'"):
            read_rules(write(tmp_path, {"label": "LOC", "pattern": [{"LOWER": value}]}), SCHEMA)


def test_long_words_are_not_remembered(tmp_path):
    rules = read_rules(write(tmp_path, {"label": "LOC", "pattern": [{"LENGTH": {">": 3}}]}), SCHEMA)
    assert [match.first for match in rules.matches(["a" * 101, "short"]).chosen] == [0, 1]
    assert rules.patterns._beginning.cache_info().currsize == 1


def test_the_rule_that_forbids_the_tag_of_the_model_is_named(tmp_path):
    from hf_tagging.inference.ruling import Ruling

    def by(rules, tags):
        read, labels = read_rules(write(tmp_path, *rules), SCHEMA), Fixed(tags)
        bounds = np.array([0, len(tags)])
        ruling = Ruling(read, [SENTENCE[: len(tags)]], bounds)
        says = np.full((len(tags), len(TAGS)), 0.02)
        says[np.arange(len(tags)), labels.ids] = 0.9
        ruling.keep(np.arange(len(tags)), torch.from_numpy(says), None)
        (found,) = ruling.labels(labels.ids, labels.scores, bounds, None)
        return found.tags(SCHEMA), found.rules.tolist()

    lists = [{"only": kind, "pattern": "x", "when": "constraint", "id": kind} for kind in ("PER", "LOC")]
    assert by(lists, ["B-PER", "O", "B-LOC"]) == (["O", "O", "O"], ["PER", "", "LOC"])
    # The second word goes on with the entity of the first, until that is no entity.
    outside = [{"label": "O", "pattern": "Maria", "id": "no"}]
    tags, rules = by(outside, ["B-PER", "I-PER", "O"])
    assert tags[1] != "I-PER"
    assert rules == ["no", "no", ""]


def test_rules_of_a_tagger_without_entities(tmp_path):
    folder = tiny_bert(tmp_path, tags=POS.tags)
    rules = write(
        tmp_path,
        {"label": "VERB", "pattern": "Maria asks"},
        {"deny": ["NOUN", "VERB"], "pattern": "from"},
        {"label": "NOUN", "pattern": "Porto", "when": "after", "overwrite": True},
    )
    tagger = Tagger.from_pretrained(folder, device="cpu", rules=rules)
    tags = tagger.tag(SENTENCE)
    assert (tags[:2], tags[3:]) == (["VERB", "VERB"], ["PROPN", "NOUN"])
    words = tagger.tag_text("Maria asks Porto").words
    assert [(word.source, word.rule) for word in words] == [("rule", "line 1")] * 2 + [("rule", "line 3")]


def test_dictionaries_and_tables_say_what_comes_of_a_rule(folders, tmp_path):
    rules = write(tmp_path, {"label": "LOC", "pattern": "Porto", "id": "place"})
    tagger = Tagger.from_pretrained(folders["linear"], device="cpu", rules=rules)
    found = tagger.tag_text("Porto")
    expected = {"type": "LOC", "text": "Porto", "start": 0, "end": 5, "score": 1.0, "first_word": 0, "end_word": 1}
    assert found.to_dict()["entities"] == [expected | {"rule": "place", "source": "rule"}]
    assert found.to_dataframe()["rule"].tolist() == ["place"]
    rows = Dataset.from_dict({"text": ["Porto"]}).map(tagger.pipe, batched=True, features=None)
    assert rows["words"][0][0]["source"] == "rule"
    assert rows.features["entities"] == tagger.pipe_features["entities"]


def test_min_confidence_leaves_what_rules_decide(folders, tmp_path):
    rules = write(tmp_path, {"label": "LOC", "pattern": "Porto"}, {"label": "PER", "pattern": "Maria", "when": "after"})
    tagger = Tagger.from_pretrained(folders["linear"], device="cpu", rules=rules, min_confidence=0.99)
    assert tagger.tag(SENTENCE) == ["B-PER", "O", "O", "O", "B-LOC"]


@pytest.mark.parametrize("kind", ["linear", "crf", "ensemble"])
def test_min_confidence_leaves_out_nothing_that_a_constraint_asks_for(folders, tmp_path, kind):
    rules = write(tmp_path, {"label": "LOC", "pattern": "Jordan from", "when": "constraint"})
    tagger = Tagger.from_pretrained(folders[kind], device="cpu", rules=rules, min_confidence=0.99)
    tags = tagger.tag(SENTENCE)
    assert {*tags[2:4]} <= {"B-LOC", "I-LOC"}
    words = tagger.tag_text(" ".join(SENTENCE)).words
    assert not any(word.rule for word in words if word.tag == "O")
    others = write(tmp_path, {"label": ["LOC", "PER", "O"], "pattern": "Jordan", "when": "constraint"})
    tagger = Tagger.from_pretrained(folders[kind], device="cpu", rules=others, min_confidence=0.99)
    assert [word.rule for word in tagger.tag_text("Jordan").words] == [""]


@pytest.mark.parametrize("kind", ["linear", "crf"])
def test_in_bfloat16_a_sentence_without_rules_is_read_the_same_whatever_its_neighbours(folders, tmp_path, kind):
    rules = write(tmp_path, {"label": "LOC", "pattern": "Porto"})
    ruled, plain, exact = (
        Tagger.from_pretrained(folders[kind], device="cpu", rules=given, precision=precision, tokens_per_batch=1)
        for given, precision in ((rules, "bfloat16"), (False, "bfloat16"), (rules, "exact"))
    )
    sentences = [["The", "chef", "waved"], *[SENTENCE] * 9]
    found, without, exactly = (tagger.label(sentences) for tagger in (ruled, plain, exact))
    np.testing.assert_array_equal(found[0].scores, without[0].scores)
    assert (found[0].scores != exactly[0].scores).any()
    np.testing.assert_array_equal(found[1].scores, exactly[1].scores)


@pytest.mark.parametrize("kind", ["linear", "ensemble"])
def test_a_tagger_with_rules_can_be_pickled_and_is_known_again(folders, tmp_path, kind):
    path = write(
        tmp_path, {"label": "LOC", "pattern": "St. John's"}, {"label": "PER", "pattern": [{"TEXT": {"REGEX": "^M"}}]}
    )
    tagger = Tagger.from_pretrained(folders[kind], device="cpu", rules=path)
    before = Hasher.hash(tagger.pipe)
    words = tagger.tag_text("Maria left St. John's.").words
    path.unlink()
    assert Hasher.hash(tagger.pipe) == before
    again = pickle.loads(pickle.dumps(tagger))
    assert again.tag_text("Maria left St. John's.").words == words
    assert pickle.loads(pickle.dumps(again.rules)).name(1) == "line 2"


@pytest.mark.failure_mode("rules-package")
def test_a_missing_package_is_named(tmp_path, monkeypatch):
    for package, rule in [
        ("ahocorasick", {"label": "PER", "pattern": "x"}),
        ("regex", {"label": "PER", "pattern": [{"TEXT": {"REGEX": "x"}}]}),
    ]:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ConfigError, match=r"not installed\. Type: pip install 'hf-tagging\[rules\]'"):
                read_rules(write(tmp_path, rule), SCHEMA)


# Rules that come with a model.


def test_where_the_hub_cannot_be_asked_for_rules_a_warning_says_so(folders, in_cache, monkeypatch, caplog):
    in_cache(folders["linear"], "someone/tagger")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert Tagger.from_pretrained("someone/tagger", device="cpu").rules is None
    assert "someone/tagger: tags without rules; whether it has a rules.jsonl is not known: the Hub at" in caplog.text
    caplog.clear()
    absent = Path(huggingface_hub.constants.HF_HUB_CACHE, "models--someone--tagger", ".no_exist", "0" * 40)
    absent.mkdir(parents=True)
    (absent / "rules.jsonl").touch()  # as the client notes what the Hub has answered
    assert Tagger.from_pretrained("someone/tagger", device="cpu").rules is None
    assert "rules" not in caplog.text


@pytest.mark.failure_mode("rules-differ")
def test_rules_in_the_folder_of_a_model_are_found(folders, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    for file in folders["linear"].iterdir():
        os.link(file, own / file.name)
    write(own, {"label": "LOC", "pattern": "asks", "id": "test"}).rename(own / "rules.jsonl")
    tagger = Tagger.from_pretrained(own, device="cpu")
    assert tagger.tag(SENTENCE)[1] == "B-LOC"
    assert Tagger.from_pretrained(own, device="cpu", rules=False).rules is None
    assert Tagger.from_pretrained([own, own], device="cpu").tag(SENTENCE)[1] == "B-LOC"
    with pytest.raises(ConfigError, match="come with different rules"):
        Tagger.from_pretrained([own, folders["crf"]], device="cpu")
    assert Tagger.from_pretrained([own, folders["crf"]], device="cpu", rules=False).rules is None
    data = {"test": {"tokens": [SENTENCE], "ner_tags": [["O", "B-LOC", "O", "O", "O"]]}}
    splits = DatasetDict({name: Dataset.from_dict(columns) for name, columns in data.items()})
    assert evaluate_tagger(str(own), splits, device="cpu").predicted[0][1] == "B-LOC"
