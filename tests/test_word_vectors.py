"""Word vectors from files of any kind, what they cover, and the recipe that trains them."""

import os
import pickle
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from gensim.models import FastText, KeyedVectors
from gensim.models.fasttext import save_facebook_model
from tiny_models import tiny_bert

from hf_tagging import TagSchema
from hf_tagging.errors import ConfigError, DataError, OutputError
from hf_tagging.models import build_baseline
from hf_tagging.models.encoder_vectors import encoder_vectors
from hf_tagging.models.vector_training import train_vectors, write_vectors
from hf_tagging.models.word_tokenizer import build_word_tokenizer
from hf_tagging.models.word_vectors import initial_vectors, read_vectors

RECIPE = Path(__file__).parent.parent / "recipes" / "word_vectors.py"
VECTORS = {"the": [1.0, 2.0, 3.0], "Lisbon": [0.5, -0.5, 0.25], "dog": [-1.0, 0.0, 1.0]}
SENTENCES = [["the", "cat", "sat"], ["a", "dog", "ran", "in", "Lisbon"]] * 20


def keyed():
    vectors = KeyedVectors(3)
    vectors.add_vectors(list(VECTORS), np.array(list(VECTORS.values()), np.float32))
    return vectors


@pytest.mark.parametrize("name", ["v.txt", "v.bin", "v.txt.gz", "v.bin.gz", "glove.txt", "wrong_name.bin"])
def test_every_kind_of_file_gives_the_same_vectors(tmp_path, name):
    path = tmp_path / name
    if name in ("glove.txt", "wrong_name.bin"):  # text without a header
        path.write_text("".join(f"{word} {' '.join(map(str, row))}\n" for word, row in VECTORS.items()))
    else:
        keyed().save_word2vec_format(str(path), binary=".bin" in name)
    vectors = read_vectors(path)
    assert vectors.index_to_key == list(VECTORS)
    assert vectors.vectors.tolist() == list(VECTORS.values())


def test_words_with_spaces_and_words_that_stand_twice(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 1 2\n. . . 3 4\nthe 5 6\n\u00a0 7 8\n", encoding="utf-8")
    vectors = read_vectors(path)
    assert vectors.index_to_key == ["the", ". . .", "\u00a0"]
    assert vectors["the"].tolist() == [1, 2]


def test_fasttext_binaries_compose_unseen_words(tmp_path):
    model = FastText(SENTENCES, vector_size=4, min_count=1, bucket=50, epochs=1, workers=1, seed=1)
    save_facebook_model(model, str(tmp_path / "f.bin"))
    vectors = read_vectors(tmp_path / "f.bin")
    assert np.allclose(vectors["Lisbonner"], model.wv["Lisbonner"], atol=1e-6)
    vocabulary = build_word_tokenizer([["dog", "Dogs", "THE"]])
    matrix, coverage = initial_vectors(tmp_path / "f.bin", vocabulary)
    assert (coverage.exact, coverage.by_case, coverage.composed, coverage.missing) == (1, 1, 1, 0)
    assert np.allclose(matrix[vocabulary.row_words.index("Dogs")], model.wv["Dogs"], atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the 0.1 0.2\ncat 0.1\n", "line 2: b'cat 0.1.n' is not a word and 2 numbers"),
        (b"the 0.1 0.2\ncat 0.1 nan\n", "line 2"),
        (b"3 2\nthe 0.1 0.2\n", "line 2: the file ends after 1 words, its first line says 3"),
        (b"99999999999 300\nthe \x00\x01\xfe\xff\n", "too small"),
        (b"2 3\nthe " + bytes(12) + b"\ncat " + bytes(5), "damaged"),
        (b"This is prose.\nTwo lines.\n", "line 1: b'This is prose..n' begins no file of word vectors"),
        (b"", "begins no file"),
        (b"PK\x03\x04rest", "archive"),
        (b"\xba\x16\x4f\x2f\x0c\x00\x00\x00", "damaged"),
    ],
)
def test_what_is_no_file_of_vectors_is_said(tmp_path, content, message):
    path = tmp_path / "vectors.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as raised:
        read_vectors(path)
    assert str(path) in str(raised.value)


class _Harmful:
    def __reduce__(self):
        return os.mkdir, (os.environ["HARM"],)


@pytest.mark.parametrize("name", ["vectors.kv", "vectors.txt", "vectors.bin"])
def test_pickles_are_refused_unread(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HARM", str(tmp_path / "harm"))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / name).write_bytes(pickle.dumps(_Harmful(), protocol))
        with pytest.raises(DataError, match="save_word2vec_format" if protocol > 1 else "begins no file"):
            read_vectors(tmp_path / name)
    assert not (tmp_path / "harm").exists()


def test_a_file_that_is_not_there_has_a_neighbour(tmp_path):
    (tmp_path / "vectors.txt").write_text("the 1\n")
    with pytest.raises(DataError, match=r"did you mean .*vectors\.txt"):
        read_vectors(tmp_path / "vectors.tx")
    with pytest.raises(DataError, match="is a folder"):
        read_vectors(tmp_path)


def test_without_gensim_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(ConfigError, match=r"pip install 'hf-tagging\[vectors\]'"):
        read_vectors("vectors.txt")


def test_rows_are_found_as_written_then_in_another_case(tmp_path):
    keyed().save_word2vec_format(str(tmp_path / "v.txt"))
    vocabulary = build_word_tokenizer([["The", "the", "lisbon", "zebra", "zebra"]])
    matrix, coverage = initial_vectors(tmp_path / "v.txt", vocabulary, generator=np.random.default_rng(3))
    row = dict(zip(vocabulary.row_words, matrix.tolist(), strict=True))
    assert (row["the"], row["The"], row["lisbon"]) == (VECTORS["the"], VECTORS["the"], VECTORS["Lisbon"])
    assert row["[PAD]"] == [0, 0, 0]
    assert np.any(row["[UNK]"])
    assert np.any(row["zebra"])
    assert (matrix.shape, matrix.dtype) == ((7, 3), np.float32)
    assert coverage.describe() == (
        "vectors for 3 of 4 words (75.0%: 1 as written, 2 in another case), 60.0% of the words in training"
    )
    again, _ = initial_vectors(tmp_path / "v.txt", vocabulary, generator=np.random.default_rng(3))
    assert np.array_equal(matrix, again)


def test_words_of_the_file_that_training_lacks_are_known_on_request(tmp_path):
    lines = ["The 0 1", "Porto 2 3", "0000 4 5", "1990 6 7", "two words 6 7", "[PAD] 8 9", "late 10 11"]
    (tmp_path / "v.txt").write_text("\n".join(lines))
    train = Dataset.from_dict({"tokens": [["the", "harbour"]]})
    schema = TagSchema(("O", "B-LOC", "I-LOC"), "IOB2")
    options = {"vocabulary": {"lowercase": True, "fold_digits": True}, "word_vectors": str(tmp_path / "v.txt")}

    def rows(count):
        parts = {"encoder": "mlp", "hidden_size": 4}
        model, tokens = build_baseline(
            DatasetDict(train=train), schema, parts=parts, given=parts, vector_words=count, **options
        )
        ids = [tokens([word], is_split_into_words=True)["input_ids"] for word in ("PORTO", "2001", "late", "the")]
        table = model.baseline.words
        return [[table.vectors.weight[table.tables.vector_of_id[i].long()].tolist() for i in word] for word in ids]

    assert rows(6)[:2] == [[[2.0, 3.0]], [[4.0, 5.0]]]
    assert len(rows(6)[2]) == 4  # spelled: it is the file's seventh word
    assert rows(7)[2] == [[10.0, 11.0]]
    assert [len(word) for word in rows(0)] == [5, 4, 4, 1]
    assert rows(0)[3] == rows(7)[3] == [[0.0, 1.0]]


def test_random_rows_spread_like_those_found(tmp_path):
    words = [f"w{i}" for i in range(2_000)]
    vectors = KeyedVectors(10)
    vectors.add_vectors(words[:500], np.random.default_rng(0).normal(0, 0.3, (500, 10)).astype(np.float32))
    vectors.save_word2vec_format(str(tmp_path / "v.bin"), binary=True)
    matrix, coverage = initial_vectors(tmp_path / "v.bin", build_word_tokenizer([words]))
    assert coverage.missing == 1_500
    assert abs(matrix[1:].std() - 0.3) < 0.01


def test_names_of_gloves_tweets(tmp_path):
    (tmp_path / "glove.txt").write_text("<user> 1 2\n<url> 3 4\nhi 5 6\n")
    vocabulary = build_word_tokenizer([["hi"]], fold_tweets=True)
    matrix, _ = initial_vectors(tmp_path / "glove.txt", vocabulary)
    assert matrix[vocabulary.row_words.index("@user")].tolist() == [1, 2]
    assert matrix[vocabulary.row_words.index("URL")].tolist() == [3, 4]


def test_other_dimensions_or_other_words_are_refused(tmp_path):
    keyed().save_word2vec_format(str(tmp_path / "v.txt"))
    with pytest.raises(ConfigError, match=r"word_size: 100 was asked for, but the vectors of .* have 3 dimensions"):
        initial_vectors(tmp_path / "v.txt", build_word_tokenizer([["the"]]), size=100)
    with pytest.raises(DataError, match="none of the 1 words of the vocabulary; it begins with 'the', 'Lisbon'"):
        initial_vectors(tmp_path / "v.txt", build_word_tokenizer([["zebra"]]))


@pytest.mark.parametrize("algorithm", ["skipgram", "cbow", "fasttext"])
def test_training_repeats_bit_for_bit(tmp_path, algorithm):
    options = {"algorithm": algorithm, "size": 8, "min_count": 1, "epochs": 2, "seed": 7, "buckets": 50}
    models = [train_vectors(SENTENCES, **options) for _ in range(2)]
    assert np.array_equal(models[0].wv.vectors, models[1].wv.vectors)
    for suffix in (".txt", ".vec", ".bin"):
        write_vectors(models[0], tmp_path / f"v{suffix}")
        read = read_vectors(tmp_path / f"v{suffix}")
        assert read.index_to_key == models[0].wv.index_to_key
        assert np.allclose(read["dog"], models[0].wv["dog"], atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.bin", "v.txt", "v.vec"]  # nothing else is left
    with pytest.raises(OutputError, match="overwrite"):
        write_vectors(models[0], tmp_path / "v.bin")
    with pytest.raises(OutputError, match=r"ends in none of \.txt"):
        write_vectors(models[0], tmp_path / "v.kv")
    with pytest.raises(DataError, match="no word occurs 99 times"):
        train_vectors(SENTENCES, min_count=99)


@pytest.fixture
def recipe(monkeypatch, capsys):
    """Runs the recipe in this process; gives its exit code and what it printed."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["word_vectors.py", *map(str, words)])
        try:
            runpy.run_path(str(RECIPE), run_name="__main__")
        except SystemExit as end:
            return end.code, capsys.readouterr().err
        return 0, capsys.readouterr().out

    return run


def test_the_recipe_trains_on_text_whatever_the_hash_seed(recipe, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The dog's owner walks.\n\nThe cat sleeps, the dog does not.\n" * 30, encoding="utf-8")
    config = tmp_path / "run.yaml"
    config.write_text(f"text_file: {text}\nsize: 6\nepochs: 2\nlowercase: true\n")
    code, printed = recipe("--config", config, "--output", tmp_path / "1.txt")
    assert (code, printed.splitlines()[0]) == (0, "450 words in 60 sentences")
    assert "walks" in printed
    command = [sys.executable, RECIPE, "--config", config, "--output", tmp_path / "2.txt"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": "3"})
    assert (tmp_path / "1.txt").read_bytes() == (tmp_path / "2.txt").read_bytes()
    assert {"the", "dog", "'s", "."} <= set(read_vectors(tmp_path / "1.txt").index_to_key)
    assert recipe("--config", config, "--output", tmp_path / "1.txt")[0] == 1  # it is there already
    assert recipe("--config", config, "--output", tmp_path / "1.txt", "--overwrite")[0] == 0


def test_the_recipe_reads_the_words_of_tagging_data(recipe, tmp_path):
    code, printed = recipe("--dataset", "sample", "--output", tmp_path / "v.txt", "--size", 4, "--epochs", 1)
    assert code == 0, printed
    assert {"the", "."} <= set(read_vectors(tmp_path / "v.txt").index_to_key)


@pytest.mark.parametrize(
    ("column", "row"), [("body", '{"body": "Rain in Lisbon."}'), ("words", '{"words": ["Rain", "in", "Lisbon", "."]}')]
)
def test_the_recipe_reads_a_column(recipe, tmp_path, column, row):
    posts = tmp_path / "posts.jsonl"
    posts.write_text(f"{row}\n" * 5)
    output = tmp_path / "v.bin"
    code, printed = recipe("--train_file", posts, "--text_column", column, "--output", output, "--size", 4)
    assert code == 0, printed
    assert sorted(read_vectors(output).index_to_key) == [".", "Lisbon", "Rain", "in"]
    code, printed = recipe("--dataset", posts, "--text_column", "text", "--output", tmp_path / "w.bin")
    assert (code, f"text is none of the columns {column}." in printed) == (1, True)


def test_the_recipe_names_all_mistakes_at_once(recipe, tmp_path):
    code, printed = recipe("--algorithm", "cbov", "--sizes", 3, "--epochs", 0, "--text_file", tmp_path / "none.txt")
    assert code == 2
    for part in (
        "5 problems",
        "did you mean cbow?",
        "did you mean --size?",
        "epochs: 0",
        "none.txt",
        "--output: is missing",
    ):
        assert part in printed, part


def test_vectors_of_an_encoder(monkeypatch, capsys, tmp_path):
    """Each word alone: it has the same vector whichever words are read with it, but for the axes that all choose."""
    words = ["chef", "lisbon", "00", "book", "zqx", "an extraordinarily-long-word", "a", "may"]
    model = str(tiny_bert(tmp_path / "encoder"))
    vectors = encoder_vectors(words, model, size=4, device="cpu")
    assert vectors.index_to_key == words
    assert vectors.vectors.shape == (8, 4)
    assert np.isclose(vectors.vectors.std(), 0.5)
    turned = encoder_vectors(words[::-1], model, size=4, device="cpu")
    np.testing.assert_allclose(np.abs(turned.vectors[::-1]), np.abs(vectors.vectors), atol=1e-2)
    with pytest.raises(ConfigError, match=r"size=9: 8 words and this encoder give 8 at most"):
        encoder_vectors(words, model, size=9)

    (tmp_path / "words.txt").write_text("Porto\nporto\n\n1990\n")
    monkeypatch.setattr(sys, "argv", ["encoder_vectors.py", "--model", model, "--dataset", "sample", "--size", "4",
        "--words_file", str(tmp_path / "words.txt"), "--lowercase", "--fold_digits",
        "--output", str(tmp_path / "v.txt")])  # fmt: skip
    runpy.run_path(str(RECIPE.with_name("encoder_vectors.py")), run_name="__main__")
    written = read_vectors(tmp_path / "v.txt").index_to_key
    assert {"porto", "0000", "the"} <= set(written)
    assert not [word for word in written if word != word.lower() or "1" in word]
    found = re.search(r"([\d,]+) words, ([\d,]+) of them from training", capsys.readouterr().out)
    total, trained = (int(number.replace(",", "")) for number in found.groups())
    assert total == len(written)
    assert trained < total <= trained + 2  # porto and 0000
