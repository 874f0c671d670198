"""Words to ids: known words whole, unseen ones spelled, text split as it was meant."""

import time

import numpy as np
import pytest
from tiny_models import tiny_bert, tiny_roberta
from transformers import AutoTokenizer

from hf_tagging.data import Aligner
from hf_tagging.data import text as splitting
from hf_tagging.errors import DataError
from hf_tagging.models.word_tokenizer import build_word_tokenizer, describe_tokenizer

SENTENCES = [
    ["The", "U.S.", "dollar", "did", "n't", "fall", "on", "1996-08-22", "."],
    ["the", "chef", "'s", "US$", "5", "book", ",", "said", "Acme", "Oyj.", "US$", ":-)", ":-)"],
]


def subwords(vocabulary, word):
    encoded = vocabulary.tokenizer.backend_tokenizer.encode([word], is_pretokenized=True, add_special_tokens=False)
    return encoded.tokens


def split(vocabulary, text):
    return [word for word, _ in vocabulary.tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def test_a_known_word_is_one_id_and_an_unseen_one_is_spelled():
    vocabulary = build_word_tokenizer(SENTENCES)
    for word in (word for sentence in SENTENCES for word in sentence):
        assert subwords(vocabulary, word) == [word]
    assert subwords(vocabulary, "Xyzzy") == ["X", "##y", "##z", "##z", "##y"]
    assert subwords(vocabulary, "1996-08") == ["1", "##9", "##9", "##6", "##-", "##0", "##8"]
    assert subwords(vocabulary, "ün") == ["ü", "##n"]
    assert subwords(vocabulary, "snow☃") == ["[UNK]"]  # training never showed ☃
    assert subwords(vocabulary, "x" * 101) == ["[UNK]"]


@pytest.mark.parametrize("word", ["##", "###", "##a", "a##b", "#"])
@pytest.mark.parametrize("seen", [True, False])
def test_a_word_that_looks_like_a_continuation_starts_all_the_same(word, seen):
    vocabulary = build_word_tokenizer([*SENTENCES, [word]] if seen else SENTENCES)
    first, *others = subwords(vocabulary, word)
    assert not first.startswith("##")
    assert all(subword.startswith("##") for subword in others)
    assert not (seen and others)


def test_rows_stand_for_words_the_most_frequent_first():
    vocabulary = build_word_tokenizer([["b", "a", "b", "c", "c", "b"], ["d"]], min_count=2)
    assert vocabulary.row_words == ["[PAD]", "[UNK]", "[MASK]", "b", "c"]
    assert vocabulary.row_counts.tolist() == [0, 2, 0, 3, 2]  # a and d are unknown
    ids = vocabulary.tokenizer.get_vocab()
    assert [ids[subword] for subword in ("[PAD]", "[UNK]", "[MASK]", "b", "c")] == [0, 1, 2, 3, 4]
    assert [vocabulary.vector_of_id[ids[subword]] for subword in ("b", "c", "a", "##b")] == [3, 4, 1, 1]
    assert vocabulary.vector_of_id[:3].tolist() == [0, 1, 2]
    assert len(vocabulary.vector_of_id) == len(vocabulary.spelling) == len(vocabulary.tokenizer)
    assert build_word_tokenizer([["b", "a", "b", "c"]], max_words=1).row_words[3:] == ["b"]


def test_lowercase_shares_rows_and_keeps_the_case_of_subwords():
    vocabulary = build_word_tokenizer([["The", "iPhone", "the", "rain"]], lowercase=True)
    ids = vocabulary.tokenizer.get_vocab()
    row = {form: vocabulary.row_words[vocabulary.vector_of_id[ids[form]]] for form in ids}
    assert {form for form in row if row[form] == "the"} == {"the", "The", "THE"}
    assert {form for form in row if row[form] == "rain"} == {"rain", "Rain", "RAIN"}
    assert {form for form in row if row[form] == "iphone"} == {"iphone", "iPhone", "Iphone", "IPHONE"}
    assert vocabulary.row_counts[vocabulary.row_words.index("the")] == 2
    spelled = [vocabulary.spelling[ids[form]][:4].tolist() for form in ("rain", "Rain", "RAIN")]
    assert spelled[0] != spelled[1] != spelled[2]


def test_digits_and_tweets_are_folded_in_training_and_in_text():
    vocabulary = build_word_tokenizer([["I", "paid", "1998", "@ann"]], fold_digits=True, fold_tweets=True)
    assert {"0000", "@user", "#hashtag", "URL"} <= set(vocabulary.row_words)
    assert subwords(vocabulary, "2024") == ["0000"]
    for word, folded in {
        "@Joe_1": "@user", "#Lisbon2024": "#hashtag", "#1": None, "http://t.co/Ab1": "URL", "www.a.org": "URL",
        "https://a.b/c?d=e": "URL", "bit.ly/xY": "URL", "me@example.org": None, "URL": "URL",
    }.items():  # fmt: skip
        assert (subwords(vocabulary, word) == [folded]) == (folded is not None), word


def test_offsets_are_those_of_the_text_where_words_are_folded():
    vocabulary = build_word_tokenizer([["saw", "and"]], fold_tweets=True)
    text = "@joe saw http://t.co/abc, and #tag"
    encoded = vocabulary.tokenizer(text, return_offsets_mapping=True)
    places = [
        (text[start:end], token)
        for (start, end), token in zip(encoded["offset_mapping"], encoded.tokens(), strict=True)
    ]
    assert places == [("@joe", "@user"), ("saw", "saw"), ("http://t.co/abc", "URL"), (",", ","), ("and", "and"),
                      ("#tag", "#hashtag")]  # fmt: skip


def test_spelling_is_that_of_the_subwords():
    vocabulary = build_word_tokenizer([["abc", "x" * 12 + "-" + "y" * 12]])
    ids = vocabulary.tokenizer.get_vocab()

    def spelled(subword):
        return "".join(vocabulary.characters[i - 2] if i > 1 else "?" for i in vocabulary.spelling[ids[subword]] if i)

    assert [spelled(subword) for subword in ("abc", "##b", "b", "[PAD]", "[UNK]")] == ["abc", "b", "b", "", "?"]
    assert spelled("x" * 12 + "-" + "y" * 12) == "x" * 12 + "y" * 12
    assert vocabulary.spelling.shape[1] == 24


TEXTS = [
    "John's house won't've moved, said Mr. Smith (of Foo Corp.).",
    "I paid $1,000.50 at 10:30 on 1996-08-22 -- e.g. 5% more...",
    "Mail me@example.org or see https://a.org/x?y=1, ok?",
    "@foo likes #bar #1 & AT&T's O'Neill",
    "well-known -5 U.S.-based J. Smith No. 5 don't can't cannot it's ``hi''",
    "été e\u0301te\u0301 \u0939\u093f\u0928\u094d\u0926\u0940 👩\u200d👩\u200d👧 🇵🇹 日本 語 ½ x_y",
    "\tWho  is\u00a0it?\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_split_as_tag_text_does(text):
    vocabulary = build_word_tokenizer(SENTENCES)
    assert split(vocabulary, text) == [text[start:end] for start, end in splitting.split_words(text)]


def test_what_training_has_as_one_word_stays_one_in_text():
    vocabulary = build_word_tokenizer([*SENTENCES, ["end", "end", "end."]])
    assert split(vocabulary, "Acme Oyj. paid US$ 5 (US$ 6) :-)") == \
        ["Acme", "Oyj.", "paid", "US$", "5", "(", "US$", "6", ")", ":-)"]  # fmt: skip
    assert split(vocabulary, "the end.") == ["the", "end", "."]  # written apart more often
    assert split(vocabulary, "the XUS$Y") == ["the", "XUS", "$", "Y"]


def test_a_given_word_is_never_split():
    vocabulary = build_word_tokenizer(SENTENCES)
    words = ["U.N.-led", "don't", "(a)", "12.5%", "--x--", "a/b", "", "\u200b", "\u0301", "日本", "a b"]
    windows = Aligner(vocabulary.tokenizer).windows([words])
    assert windows.words[windows.heads].tolist() == list(range(len(words)))  # one start each, none lost
    assert windows.vanished.tolist() == [1]  # the empty string
    starts = [not subword.startswith("##") for subword in vocabulary.tokenizer.convert_ids_to_tokens(windows.input_ids)]
    assert starts[:-1] == windows.heads[:-1].tolist()  # but "b" of the last one, which white space splits
    assert windows.input_ids[windows.words == words.index("")].tolist() == [1]


def test_it_loads_from_its_folder_alone(tmp_path):
    vocabulary = build_word_tokenizer(SENTENCES, lowercase=True, fold_tweets=True, model_max_length=99)
    vocabulary.tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.pad_token_id, loaded.unk_token_id, loaded.mask_token_id) == (0, 1, 2)
    assert (loaded.model_max_length, loaded.padding_side, loaded.cls_token) == (99, "right", None)
    text = "The chef's dollar, @joe did n't fall!"
    assert dict(loaded(text)) == dict(vocabulary.tokenizer(text))
    assert set(loaded(text)) == {"input_ids", "attention_mask"}
    assert loaded.decode(loaded("The chef saw").input_ids) == "The chef saw"


def test_no_words_are_refused():
    with pytest.raises(DataError, match="no words"):
        build_word_tokenizer([[], []])


def test_any_tokenizer_can_be_described(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(tmp_path))
    described = describe_tokenizer(tokenizer)
    ids = tokenizer.get_vocab()
    assert described.vector_of_id.tolist() == list(range(len(ids)))
    assert described.row_words[ids["chef"]] == "chef"
    assert described.row_words[ids["##e"]] == "##e"

    def spelled(subword, described=described):
        row = described.spelling[described.tokenizer.convert_tokens_to_ids(subword)]
        return "".join(described.characters[i - 2] if i > 1 else "?" for i in row if i)

    assert [spelled(subword) for subword in ("chef", "##e", "[PAD]", "[CLS]")] == ["chef", "e", "", "?"]


def test_subwords_of_bytes_are_read_as_characters(tmp_path):
    described = describe_tokenizer(AutoTokenizer.from_pretrained(tiny_roberta(tmp_path)))
    ids = described.tokenizer.get_vocab()
    spelling = {
        subword: [described.characters[i - 2] if i > 1 else "?" for i in described.spelling[ids[subword]] if i]
        for subword in ("Ġbook", "a", "Ġ", "Ã", "<pad>")
    }
    assert spelling == {"Ġbook": list("book"), "a": ["a"], "Ġ": ["?"], "Ã": ["?"], "<pad>": []}
    assert (described.row_words[ids["Ġbook"]], described.row_words[ids["a"]]) == ("book", "##a")


@pytest.mark.real
def test_joined_words_of_conll2003_come_out_as_they_went_in(real_data):
    train, test = (read_words(real_data / "conll2003" / f"{split}.txt") for split in ("train", "test"))
    started = time.perf_counter()
    vocabulary = build_word_tokenizer(train)
    assert time.perf_counter() - started < 4  # 0.2 to 0.5 s on a free core
    assert len(vocabulary.row_words) == 23_626
    pre_tokenizer = vocabulary.tokenizer.backend_tokenizer.pre_tokenizer
    kept = 0
    for words in test:
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        spans = {(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)}
        kept += len(spans & {span for _, span in pre_tokenizer.pre_tokenize_str(" ".join(words))})
    total = sum(map(len, test))
    assert kept / total > 0.994
    started = time.perf_counter()
    windows = Aligner(vocabulary.tokenizer).windows(test)
    assert total / (time.perf_counter() - started) > 20_000  # 130,000 to 300,000 on a free core
    sizes = np.bincount(windows.words)
    assert int(windows.heads.sum()) == total
    assert 0.11 < (sizes > 1).mean() < 0.13


def read_words(path):
    blocks = path.read_text(encoding="utf-8").split("\n\n")
    sentences = [[line.split()[0] for line in block.splitlines() if line.strip()] for block in blocks]
    return [words for words in sentences if words and words[0] != "-DOCSTART-"]
