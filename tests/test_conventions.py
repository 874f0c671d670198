"""Entity tags as people write them: other spellings of prefixes, other words for outside, words without a tag."""

import json

import pytest

from hf_tagging.data.prefixes import Spelling, entity_likeness, find_spelling
from hf_tagging.errors import DataError
from tests.reading import read


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


def test_likeness_of_separators_that_also_join_tags():
    assert entity_likeness(["O", "B/PER", "I/PER"]) == 0.9
    assert entity_likeness(["O", "B-Invoice Number", "I-Invoice Number"]) == 1.0


def test_a_few_other_values_lower_the_likeness():
    assert 0.95 <= entity_likeness({"O": 900, "B-PER": 60, "I-PER": 30, "Paris": 10}) < 1
    assert entity_likeness({"O": 500, "B-PER": 60, "I-PER": 30, "Paris": 410}) == 0


def test_spelling_is_certain_where_a_type_begins_and_goes_on():
    assert find_spelling(["B:PER", "I:PER", "B:LOC"]) == (Spelling(":"), True)
    assert find_spelling(["B_PER", "B_LOC"]) == (Spelling("_"), False)
    assert find_spelling(["B_cell", "T_cell"]) is None
    assert find_spelling(["Vitamin_B", "Hepatitis_B"]) is None
    assert find_spelling(["B-B", "I-B", "S-Corp"]) == (Spelling(), True)


def column(text, tags):
    """A file of two columns: a sentence per line, its tags beside."""
    sentences = zip(text.splitlines(), tags.splitlines(), strict=True)
    return "".join(
        "".join(f"{w}\t{t}\n" for w, t in zip(words.split(), of.split(), strict=True)) + "\n" for words, of in sentences
    )


TEXT = "Ada Byron met Babbage\nhe left Turin early"
GOOD = "B-PER I-PER O B-PER\nO O B-LOC O"
MEANT = ["B-PER", "I-PER", "O", "B-PER"]


def respelled(change):
    return column(TEXT, "\n".join(" ".join(map(change, line.split())) for line in GOOD.splitlines()))


@pytest.mark.parametrize("outside", ["0", "OTHER", "Other", "_", "-", "NONE", "null", "o", "OUT", "NA"])
@pytest.mark.parametrize("plain", [False, True])
def test_outside_is_read_whatever_it_is_called(tmp_path, outside, plain):
    found = read(tmp_path, respelled(lambda tag: outside if tag == "O" else tag[2:] if plain else tag))
    assert found.tags == MEANT
    assert found.types == ["LOC", "PER"]
    assert found.remarks()["outside"] == 1
    assert found.said(f"the tag {outside!r} is read as O, outside of entities: 4 of 8 words")


@pytest.mark.failure_mode("outside-unclear")
def test_outside_can_be_named(tmp_path):
    nothing = respelled(lambda tag: "nothing" if tag == "O" else tag)
    with pytest.raises(DataError, match=r"no prefix .*nothing.*outside"):
        read(tmp_path / "a", nothing)
    assert read(tmp_path / "b", nothing, outside="nothing").tags == MEANT
    with pytest.raises(DataError, match=r"outside=notihng: no word has this tag; .* did you mean 'nothing'"):
        read(tmp_path / "c", nothing, outside="notihng")
    two = column("a b c d", "0 _ 0 B-X")
    with pytest.raises(DataError, match=r"'0' \(2 words\) and '_' \(1 word\) may each mean .* outside=0"):
        read(tmp_path / "d", two)
    assert read(tmp_path / "e", two, outside="0").tags == ["O", None, "O", "B-X"]
    with pytest.raises(DataError, match="the task pos has no words outside"):
        read(tmp_path / "f", column("a b", "DT NN"), task="pos", outside="DT")


def test_a_type_may_be_called_o_where_outside_is_named(tmp_path):
    found = read(tmp_path, column("group A or O .", "- A - O -"), outside="-")
    assert found.tags == ["O", "B-A", "O", "B-O", "O"]


@pytest.mark.parametrize("separator", "_:/.")
def test_prefixes_with_other_separators(tmp_path, separator):
    found = read(tmp_path, respelled(lambda tag: tag.replace("-", separator)))
    assert found.tags == MEANT
    assert found.said(f"'B{separator}LOC' as B-LOC")
    assert found.remarks()["spelling"] == 1


@pytest.mark.parametrize("separator", "-_")
def test_prefixes_behind_the_type(tmp_path, separator):
    found = read(tmp_path, respelled(lambda tag: separator.join(reversed(tag.split("-")))))
    assert found.tags == MEANT
    assert found.said(f"'LOC{separator}B' as B-LOC")


def test_tags_in_lower_case(tmp_path):
    found = read(tmp_path / "a", respelled(str.lower))
    assert found.tags == ["B-per", "I-per", "O", "B-per"]
    assert found.said("in lower case")
    bare = read(tmp_path / "b", column("a b c", "b i o"))
    assert bare.tags == ["B-ENT", "I-ENT", "O"]


def test_bmewo_and_bilou(tmp_path):
    tags = "B-PER M-PER E-PER O W-LOC"
    assert read(tmp_path / "a", column("a b c d e", tags)).tags == ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]
    tags = "B-PER I-PER E-PER 0 1-LOC"
    assert read(tmp_path / "d", column("a b c d e", tags)).tags == ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]
    tags = "B-PER I-PER L-PER O U-LOC"
    assert read(tmp_path / "b", column("a b c d e", tags)).tags == ["B-PER", "I-PER", "I-PER", "O", "B-LOC"]
    assert read(tmp_path / "c", column("a b c d", "B M E W")).tags == ["B-ENT", "I-ENT", "I-ENT", "B-ENT"]


def test_only_beginnings_are_likely_prefixes_and_warned_of(tmp_path):
    found = read(tmp_path, column("Ada met Bob in Rome", "B_PER O B_PER O B_LOC"))
    assert found.tags == ["B-PER", "O", "B-PER", "O", "B-LOC"]
    assert [remark.severity for _, remark in found.report if remark.kind == "spelling"] == ["suspicious"]


@pytest.mark.parametrize(
    ("tags", "types"),
    [
        ("B-B I-B S-Corp E-Corp", ["B", "Corp"]),
        ("B_cell O T_cell O", ["B_cell", "T_cell"]),
        ("Vitamin_B O Hepatitis_B O", ["Hepatitis_B", "Vitamin_B"]),
        ("B-O I-O O B-x:y", ["O", "x:y"]),
        ("OTHER O PER O", ["OTHER", "PER"]),
        ("B-GPE/LOC I-GPE/LOC O B-A,B", ["A,B", "GPE/LOC"]),
    ],
)
def test_types_that_look_like_something_else_survive(tmp_path, tags, types):
    found = read(tmp_path, column("a b c d", tags))
    assert found.types == types
    assert not found.remarks().keys() & {"spelling", "outside", "mixed_spelling"}


@pytest.mark.parametrize("tags", [("LOC-B",), ("B_LOC",), ("b-loc",), ("LOC-B", "I_ORG")])
def test_types_that_may_have_a_prefix_are_warned_of(tmp_path, tags):
    found = read(tmp_path, "".join(f"Lund {tag}\nis O\nold O\n\n" for tag in tags) * 3)
    assert found.types == sorted(tags)
    assert [(r.kind, r.severity) for _, r in found.report] == [("doubtful_types", "suspicious")]


@pytest.mark.parametrize("tag", ["HEPATITIS-E", "GROUP_A", "E_MAIL"])
def test_types_that_are_no_beginnings_are_not_doubted(tmp_path, tag):
    found = read(tmp_path, f"Lund {tag}\nis O\nold O\n\n" * 3)
    assert "doubtful_types" not in found.remarks()


def test_a_few_tags_in_another_spelling_are_read_with_a_warning(tmp_path):
    found = read(tmp_path, column("Ada Byron met Bob Lee", "B-PER I-PER 0 b-PER I_PER"))
    assert found.tags == ["B-PER", "I-PER", "O", "B-PER", "I-PER"]
    assert found.said("tags of 2 words are spelled otherwise than the rest")
    assert {remark.severity for _, remark in found.report if remark.kind == "mixed_spelling"} == {"suspicious"}


@pytest.mark.failure_mode("two-tags-in-one")
@pytest.mark.parametrize(
    "tag", ["B-LOC|B-ORG", "I-LOC;O", "B-LOC/B-ORG", "LOC-B|ORG-B", "B-LOC,I-ORG", "B-A+B-B", "B-LOC B-ORG"]
)
def test_two_tags_in_one_are_refused(tmp_path, tag):
    with pytest.raises(DataError, match=r"train\.txt: the tag .* \(1 word in this column\) is 2 tags in one"):
        read(tmp_path, f"Oslo\t{tag}\nvoted\tO\n")


def test_blanks_in_a_type_become_underscores(tmp_path):
    found = read(tmp_path / "a", "No\tO\n4711\tB-Invoice Number\n12\tI-Invoice Number\n")
    assert found.tags == ["O", "B-Invoice_Number", "I-Invoice_Number"]
    assert found.said("'B-Invoice Number' as B-Invoice_Number")
    found = read(tmp_path / "b", "the\tdeterminer\nMay\tproper noun\n", task="pos")
    assert found.tags == ["determiner", "proper_noun"]


def test_part_of_speech_tags_are_left_alone(tmp_path):
    tags = ["_", "o", "b-x", "i-x", "0"]
    assert read(tmp_path, column("a b c d e", " ".join(tags)), task="pos").tags == tags


def test_conventions_of_class_labels_and_named_ids(tmp_path):
    rows = '{"tokens": ["Ada", "Byron", "slept"], "ner_tags": [1, 2, 0]}\n'
    found = read(tmp_path, {"train.jsonl": rows}, tag_names=["0", "B_PER", "I_PER"])
    assert found.tags == ["B-PER", "I-PER", "O"]


@pytest.mark.failure_mode("not-annotated")
class TestWordsThatAreNotAnnotated:
    def test_null_minus_100_and_minus_1(self, tmp_path):
        names = ["O", "B-PER"]
        for name, value in (("null", "null"), ("ignored", "-100"), ("unset", "-1")):
            rows = f'{{"tokens": ["Ada", "met", "Bob"], "ner_tags": [1, {value}, 1]}}\n'
            found = read(tmp_path / name, {"train.jsonl": rows}, tag_names=names)
            assert found.tags == ["B-PER", None, "B-PER"]
            assert found.remarks()["unscored_words"] == 1
            assert found.said("1 word is not annotated in train")

    def test_strings(self, tmp_path):
        rows = '{"tokens": ["Ada", "met", "Bob", "."], "ner_tags": ["B-PER", null, "-100", "O"]}\n'
        found = read(tmp_path, {"train.jsonl": rows})
        assert found.tags == ["B-PER", None, None, "O"]
        assert found.said("2 words are not annotated in train")

    @pytest.mark.parametrize("mark", ["-", "_", "null", "None", "nan", "-100"])
    def test_marks_beside_o(self, tmp_path, mark):
        found = read(tmp_path, column("Lima is big\nRome is far", f"B-LOC {mark} O\nB-LOC O O"))
        assert found.tags == ["B-LOC", None, "O"]
        assert found.remarks()["unscored_words"] == 1

    def test_a_split_without_any_tag_is_left_out(self, tmp_path):
        rows = '{"tokens": ["Ada", "met"], "ner_tags": [1, 0]}\n'
        blind = '{"tokens": ["Bob", "left"], "ner_tags": [-1, -1]}\n'
        found = read(tmp_path / "a", {"train.jsonl": rows, "test.jsonl": blind}, tag_names=["O", "B-PER"])
        assert list(found.splits) == ["train"]
        assert found.said("2 words are all that test has, and none is annotated: the split is left out")
        with pytest.raises(DataError, match="split train: no word is annotated"):
            read(tmp_path / "b", {"train.jsonl": blind, "test.jsonl": rows}, tag_names=["O", "B-PER"])

    def test_other_ids_without_a_name_are_refused(self, tmp_path):
        rows = '{"tokens": ["Ada", "met"], "ner_tags": [-2, 0]}\n'
        with pytest.raises(DataError, match="row 1: the tag id -2 has no name"):
            read(tmp_path, {"train.jsonl": rows}, tag_names=["O", "B-PER"])


@pytest.mark.failure_mode("tags-not-tags")
class TestFindings:
    def test_numbers_for_tags(self, tmp_path):
        rows = '{"tokens": ["Ada", "met", "Bob"], "ner_tags": ["1", "0", "2"]}\n'
        with pytest.raises(
            DataError, match=r"tags are numbers \('1', '0', '2'\).*tag_names=.*accept=\['number_tags'\]"
        ):
            read(tmp_path / "a", {"train.jsonl": rows})
        found = read(tmp_path / "b", {"train.jsonl": rows}, tag_names=["O", "B-PER", "I-PER"])
        assert found.tags == ["B-PER", "O", "B-PER"]
        assert read(tmp_path / "c", {"train.jsonl": rows}, accept=["number_tags"]).remarks()["number_tags"] == 1

    def test_parts_of_speech_for_entities(self, tmp_path):
        tags = column("the cat sat on mats .", "DT NN VBD IN NNS .")
        with pytest.raises(
            DataError, match=r"parts of speech and no entities .*column.*pos_bert.*accept=\['pos_tags'\]"
        ):
            read(tmp_path / "a", tags)
        assert read(tmp_path / "b", tags, accept=["pos_tags"]).types == [".", "DT", "IN", "NN", "NNS", "VBD"]

    def test_no_word_outside(self, tmp_path):
        text = column("\n".join(["Ada met Bob"] * 400), "\n".join(["B-PER B-ACT B-PER"] * 400))
        with pytest.raises(DataError, match=r"not one of 1,200 words is outside .*accept=\['no_outside'\]"):
            read(tmp_path / "a", text)
        assert read(tmp_path / "b", text, accept=["no_outside"]).types == ["ACT", "PER"]
        segments = column("\n".join(["a b c"] * 400), "\n".join(["B E S"] * 400))
        assert read(tmp_path / "c", segments).types == ["ENT"]

    def test_words_for_tags(self, tmp_path):
        words = [f"word{number}" for number in range(300)]
        text = column(" ".join(f"x{number}" for number in range(600)), " ".join(["O", "B-"] * 300).replace("B-", "{}"))
        with pytest.raises(DataError, match=r"300 entity types among 300 entities .*accept=\['many_types'\]"):
            read(tmp_path, text.format(*words))

    def test_more_tags_than_words_for_parts_of_speech(self, tmp_path):
        text = column(" ".join(["a", "b"] * 150), " ".join(f"t{number}" for number in range(300)))
        with pytest.raises(DataError, match="300 different tags and only 2 different words"):
            read(tmp_path, text, task="pos", tokens_column=0, tags_column=1)

    def test_numbers_that_count_up_for_words(self, tmp_path):
        text = column("\n".join(["1 2 3 4 5"] * 4), "\n".join(["B-PER I-PER O O O"] * 4))
        with pytest.raises(DataError, match=r"column 0 counts the words \(1, 2, 3\).*tokens_column"):
            read(tmp_path / "a", text)
        with pytest.raises(DataError, match=r"words are numbers that count up \(1, 2, 3\).*counter_words"):
            read(tmp_path / "b", text, tokens_column=0)

    def test_unknown_names_are_refused(self, tmp_path):
        with pytest.raises(DataError, match=r"accept=\['many_type'\]: .*did you mean 'many_types'"):
            read(tmp_path, column("a", "O"), accept=["many_type"])


class TestInventory:
    def test_contents_are_logged_and_kept(self, tmp_path):
        found = read(tmp_path, respelled(str))
        assert found.said("entities are in IOB2: 3 entities begin with B-, 0 with I-")
        contents = found.report.contents
        assert contents.splits["train"].types == {"PER": 2, "LOC": 1}
        assert (contents.scheme, contents.splits["train"].words) == ("IOB2", 8)

    @pytest.mark.parametrize(
        ("tags", "evidence"),
        [
            ("I-PER I-PER B-PER O", "IOB1: 1 entities begin with I-, 1 with B- right after one of their type"),
            ("B-PER E-PER S-LOC O", "BIOES: 1 entities of one word have S-, 0 have not; 1 longer ones end with E-, 0"),
            ("PER PER LOC O", "IOB1: types without prefixes, a run of equal tags is an entity"),
        ],
    )
    def test_scheme_and_its_evidence(self, tmp_path, tags, evidence):
        assert read(tmp_path, column("a b c d", tags)).said(f"entities are in {evidence}")

    def test_words_of_tags_without_entities(self, tmp_path):
        found = read(tmp_path, column("the cat sat", "DT NN DT"), task="pos")
        assert found.report.contents.splits["train"].types == {"DT": 2, "NN": 1}

    def test_splits_in_different_schemes(self, tmp_path):
        first, second = column("a b\nc d", "I-PER O\nI-LOC O"), column("a b\nc d", "S-PER O\nB-LOC E-LOC")
        found = read(tmp_path, {"train.txt": first, "test.txt": second})
        (remark,) = [remark for _, remark in found.report if remark.kind == "mixed_schemes"]
        assert remark.severity == "suspicious"
        assert "train like IOB1 (2 entities begin with I-" in remark.text
        assert "test like BIOES (1 entities of one word have S-" in remark.text

    def test_two_schemes_in_one_file(self, tmp_path):
        found = read(tmp_path, column("a b\nc d\ne f", "B-PER O\nI-LOC O\nB-PER I-PER"))
        assert found.said(
            "train looks as if it were partly in another scheme than IOB2: 2 entities begin with B-, 1 with I-"
        )

    def test_types_that_differ_in_case_only(self, tmp_path):
        assert read(tmp_path, column("a b c", "B-PER O B-Per")).said("entity types that differ in case only: PER, Per")


class TestNulls:
    def rows(self, *tags):
        words = [f"w{number}" for number in range(len(tags))]
        return {"train.jsonl": json.dumps({"tokens": words, "ner_tags": tags}) + "\n"}

    def test_beside_o_they_are_not_annotated(self, tmp_path):
        found = read(tmp_path, self.rows("B-PER", None, "O", None))
        assert found.tags == ["B-PER", None, "O", None]
        assert {remark.severity for _, remark in found.report if "annotated" in remark.text} == {"note"}

    def test_without_an_o_they_are_outside(self, tmp_path):
        found = read(tmp_path, self.rows("B-PER", None, "B-LOC", None))
        assert found.tags == ["B-PER", "O", "B-LOC", "O"]
        assert found.said("the tag 'null' is read as O, outside of entities: 2 of 4 words")
        assert "unscored_words" not in found.remarks()

    def test_a_few_beside_plain_types_are_not_annotated(self, tmp_path):
        assert read(tmp_path, self.rows("PER", None, "PER", "LOC")).tags == ["B-PER", None, "I-PER", "B-LOC"]

    def test_parts_of_speech(self, tmp_path):
        rows = self.rows("DT", None, "NN", "NN")
        assert read(tmp_path, {"train.jsonl": rows["train.jsonl"].replace("ner_", "pos_")}, task="pos").tags == [
            "DT", None, "NN", "NN"
        ]  # fmt: skip

    def test_numerals(self, tmp_path):
        found = read(tmp_path, self.rows("1", None, "0"), tag_names=["O", "B-PER"])
        assert found.tags == ["B-PER", None, "O"]
