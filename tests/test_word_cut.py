"""How the words of a corpus were cut is found, kept with the model, and used for text."""

from __future__ import annotations

import json
import logging

import pytest
from datasets import Dataset
from reading import written
from test_splitters import SCRIPTS
from tiny_models import tiny_bert

from hf_tagging import ScratchConfig, Tagger, TaggingConfig, TaggingTrainer, evaluate_tagger, load_tagging_dataset
from hf_tagging.data.splitters import get_splitter
from hf_tagging.data.word_cut import as_text, find_word_cut, word_cut
from hf_tagging.errors import ConfigError

TEXTS = (
    "Mina Falk doesn't like Ghent, but she stays.",
    'He said: "No!" and left (at once).',
    "The price rose to $1,000.50; they've paid 5% of it.",
    "Is O'Neill's well-known friend in St. Ives?",
)
CHINESE = ("李娜住在天津。", "王强去了广州，见了陈红。")


def words(splitter, texts=TEXTS):
    return [[text[a:b] for a, b in get_splitter(splitter)(text)] for text in texts]


@pytest.mark.parametrize("splitter", ["english", "blanks"])
def test_words_of_english(splitter):
    found = word_cut(words(splitter))
    assert found.splitter == splitter
    assert found.shares[splitter] > 0.95
    assert not found.is_mixed


@pytest.mark.parametrize("texts", [CHINESE, ("鈴木は大阪へ行く。",), ("เขาไปโรงเรียน",)])
def test_characters(texts):
    found = word_cut(words("characters", texts))
    assert (found.splitter, found.shares["characters"]) == ("characters", 1.0)


def test_chinese_words_are_of_no_splitter_here(monkeypatch):
    monkeypatch.setattr("hf_tagging.data.word_cut.find_spec", lambda name: None)
    found = word_cut([["李娜", "住", "在", "天津", "。"], ["王强", "去", "了", "广州", "。"]])
    assert found.is_mixed
    assert "in no way that a splitter gives back" in found.describe()


def test_chinese_words_of_jieba():
    pytest.importorskip("jieba", reason="jieba is not installed: pip install 'hf-tagging[chinese]'")
    assert word_cut([["我们", "在", "北京", "工作", "。"]] * 3).splitter == "jieba"


def test_a_mixed_corpus_is_said():
    found = word_cut([*words("english"), *words("blanks")])
    assert found.is_mixed
    assert set(found.shares) == {"english", "blanks", "characters"}


def test_without_evidence_words_are_english_and_without_words_nothing_is_said():
    assert word_cut([["maria", "sleeps"], ["\u3000", "yes"]]).splitter == "english"
    assert word_cut([["", " "], []]).splitter is None
    assert word_cut([]).splitter is None


@pytest.mark.parametrize("letters", SCRIPTS.values())
def test_joined_words_have_their_places(letters):
    split = [w for w in words("auto", [letters * 3])[0] if w]
    text, spans = as_text(split)
    assert [text[a:b] for a, b in spans] == split


def trained(tmp_path, tokens, model=None):
    data = Dataset.from_dict({"tokens": tokens, "tags": [["O"] * (len(t) - 1) + ["B-PER"] for t in tokens]})
    steps = {} if model and model.encoder == "hmm" else {"max_steps": 1, "tokens_per_batch": 64}
    args = TaggingConfig(output_dir=str(tmp_path / "run"), use_cpu=True, report_to="none", **steps)
    trainer = TaggingTrainer(model=model or str(tiny_bert(tmp_path)), args=args, train_dataset=data, task="ner")
    trainer.train()
    trainer.save_model()
    return tmp_path / "run"


@pytest.mark.parametrize("model", [None, ScratchConfig(encoder="lstm"), ScratchConfig(encoder="hmm")])
def test_the_config_keeps_the_splitter_and_text_is_cut_alike(tmp_path, model, caplog):
    with caplog.at_level(logging.INFO, "hf_tagging"):
        run = trained(tmp_path, words("blanks"), model)
    assert json.loads((run / "config.json").read_text())["word_splitter"] == "blanks"
    assert json.loads((run / "run.json").read_text())["words"]["splitter"] == "blanks"
    assert "train: words are those of the splitter blanks" in caplog.text
    tagger = Tagger.from_pretrained(str(run), device="cpu")
    assert [word.text for word in tagger.tag_text("I don't, OK?").words] == ["I", "don't,", "OK?"]
    own = tagger.tag_text("I don't", splitter="english")
    assert [word.text for word in own.words] == ["I", "do", "n't"]


def test_the_splitter_that_read_annotated_text_is_known(tmp_path):
    rows = [{"text": text, "label": [[0, 2, "PER"]]} for text in CHINESE]
    path = written(tmp_path / "corpus", {"a.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    train = load_tagging_dataset(path, task="ner", splitter="characters")["train"]
    assert train.column_names[:2] == ["tokens", "tags"]
    assert find_word_cut(train, given="characters").describe().startswith("words were cut by the splitter characters")
    args = TaggingConfig(output_dir=str(tmp_path / "run"), max_steps=1, use_cpu=True, report_to="none")
    trainer = TaggingTrainer(model=ScratchConfig(encoder="lstm"), args=args, train_dataset=train)
    assert trainer.run.record["words"] == {"splitter": "characters", "shares": {}, "given": True}


def test_a_model_whose_splitter_is_missing_tags_words_and_says_what_text_needs(tmp_path):
    folder = tiny_bert(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"word_splitter": "of-somebody"}))
    tagger = Tagger.from_pretrained(str(folder), device="cpu")
    assert len(tagger.tag(["the", "chef"])) == 2
    with pytest.raises(
        ConfigError, match=r"trained on words that the splitter 'of-somebody' has cut\. .*another splitter"
    ):
        tagger.tag_text("the chef")
    assert len(tagger.tag_text("the chef", splitter="blanks").words) == 2


def test_annotated_text_is_evaluated_in_the_words_of_training(tmp_path):
    run = trained(tmp_path, words("blanks"))
    row = {"text": "Mina Falk, who doesn't stay.", "label": [[0, 9, "PER"]]}
    path = written(tmp_path / "corpus", {"test.jsonl": json.dumps(row)})
    assert evaluate_tagger(str(run), path, device="cpu").words == [["Mina", "Falk,", "who", "doesn't", "stay."]]
    own = evaluate_tagger(str(run), path, device="cpu", splitter="english")
    assert own.words == [["Mina", "Falk", ",", "who", "does", "n't", "stay", "."]]
