"""Entity tags as people write them: other spellings of prefixes, other words for outside, words without a tag."""

import pytest

from hf_tagging.data.prefixes import Spelling, entity_likeness, find_spelling


@pytest.mark.parametrize(
    ("tags", "likeness"),
    [
        ("O O B-PER I-PER O", 1.0),
        ("B-X M-X E-X W-Y O", 1.0),
        ("B-LOC|B-ORG O O", 1.0),
        ("O B_PER I_PER O", 0.9),
        ("o b-per i-per o", 0.9),
        ("PER-B PER-I O", 0.9),
        ("B I O O", 0.8),
        ("B E S S", 0.8),
        ("0 0 0 PER LOC 0", 0.5),
        ("OTHER OTHER PER OTHER", 0.5),
        ("O O O", 0.3),
        ("_ _ _", 0.1),
        ("NN VB DT IN . ,", 0.0),
        ("1 2 3 4", 0.0),
        ("the cat sat o", 0.0),
        ("", 0.0),
    ],
)
def test_values_of_a_column_look_like_entities_or_not(tags, likeness):
    assert entity_likeness(tags.split()) == likeness


def test_a_few_other_values_lower_the_likeness():
    assert 0.95 <= entity_likeness({"O": 900, "B-PER": 60, "I-PER": 30, "Paris": 10}) < 1
    assert entity_likeness({"O": 500, "B-PER": 60, "I-PER": 30, "Paris": 410}) == 0


def test_spelling_is_certain_where_a_type_begins_and_goes_on():
    assert find_spelling(["B:PER", "I:PER", "B:LOC"]) == (Spelling(":"), True)
    assert find_spelling(["B_PER", "B_LOC"]) == (Spelling("_"), False)
    assert find_spelling(["B_cell", "T_cell"]) is None
    assert find_spelling(["Vitamin_B", "Hepatitis_B"]) is None
    assert find_spelling(["B-B", "I-B", "S-Corp"]) == (Spelling(), True)
