"""Trimmed vocabularies: the texts that are kept have the same tags and probabilities, and every text can be spelled."""

import json
import logging
import shutil

import pytest
import torch
from recipe_runs import pipeline_says, record, run_here, weights
from tiny_models import TAGS, tiny_bert, tiny_encoders, tiny_modernbert, tiny_roberta
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    BertTokenizer,
    PreTrainedTokenizerFast,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaForTokenClassification,
    XLMRobertaTokenizer,
)

from hf_tagging import (
    Tagger,
    TagSchema,
    average_runs,
    evaluate_tagger,
    load_encoder,
    load_tagging_dataset,
    trim_vocabulary,
)
from hf_tagging.cli import main
from hf_tagging.data.trimming import inside_words, kept_ids, trimmed_tokenizer, vocabulary_of
from hf_tagging.errors import ConfigError, DataError, ModelError, OutputError
from hf_tagging.inference.export import export_tagger
from hf_tagging.training.folder import RunFolder
from hf_tagging.training.record import wrong_value

SCHEMA = TagSchema(TAGS, scheme="IOB2")
TEXTS = [["The", "chef", "from", "Lisbon", "waved", "."], ["Two", "ships", "of", "MARIA"], ["1,000.50", "ñ"]]
OTHER = [["harbour", "sailed", "slowly", "past", "Jordan"], ["Porto", "zoë", "☃"]]


def tiny_xlm_roberta(folder):
    """An XLM-R with its own tokenizer class: Unigram, and positions that are counted from the id of the padding."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -9.0 - i / 100) for i, letter in enumerate("abcdefghijklmnopqrstuvwxyzTLM.,015ARI")]
    words = ("▁the", "▁The", "▁chef", "ship", "▁ship", "▁wav", "ed", "▁har", "bour", "▁Lisbon", "▁of", "▁Jordan", "an")
    pieces += [(word, -3.0 - i / 10) for i, word in enumerate(words)]
    tokenizer = XLMRobertaTokenizer(vocab=pieces)
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer) + 3,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=66,
        initializer_range=0.1,
        id2label=dict(enumerate(TAGS)),
        label2id={tag: i for i, tag in enumerate(TAGS)},
    )
    tokenizer.model_max_length = 64
    XLMRobertaForTokenClassification(config).save_pretrained(folder / "xlm-r")
    tokenizer.save_pretrained(folder / "xlm-r")
    return folder / "xlm-r"


@pytest.fixture(scope="module")
def taggers(tmp_path_factory):
    """Taggers of every kind of vocabulary, by name."""
    folder = tmp_path_factory.mktemp("taggers")
    found = {
        "bert-cased": tiny_bert(folder, lowercase=False),
        "roberta": tiny_roberta(folder),
        "modernbert": tiny_modernbert(folder),
        "xlm-r": tiny_xlm_roberta(folder),
    }
    for kind, encoder in tiny_encoders(folder / "encoders").items():
        torch.manual_seed(0)
        model, tokenizer = load_encoder(str(encoder), SCHEMA, head="crf" if kind == "electra" else None)
        model.save_pretrained(folder / kind)
        tokenizer.save_pretrained(folder / kind)
        found[kind] = folder / kind
    return found


KINDS = ("bert-cased", "roberta", "modernbert", "xlm-r", "bert", "distilbert", "mpnet", "electra", "albert")


def odds(tagger, sentences):
    return [tagger.tag_with_scores(sentence) for sentence in sentences]


class TestKinds:
    @pytest.mark.parametrize("kind", KINDS)
    def test_kept_texts_have_the_same_tags_and_probabilities(self, taggers, kind, tmp_path):
        trimmed = trim_vocabulary(taggers[kind], tmp_path / "small", texts=TEXTS, most_common=5)
        before, after = (Tagger.from_pretrained(folder, device="cpu") for folder in (taggers[kind], tmp_path / "small"))
        assert odds(after, TEXTS) == odds(before, TEXTS)
        assert before.tag(TEXTS[:1]) == after.tag(TEXTS[:1])
        assert [len(tags) for tags in after.tag(OTHER)] == [5, 3]
        sizes = [len(tagger.tokenizer) for tagger in (before, after)]
        rows = [tagger.model.get_input_embeddings().num_embeddings for tagger in (before, after)]
        assert trimmed.after.subwords == rows[1] == sizes[1] < min(sizes[0], trimmed.before.subwords)
        assert trimmed.before.subwords == rows[0]
        assert trimmed.most_common == 5
        assert trimmed.after.bytes < trimmed.before.bytes
        assert trimmed.agreement["kept texts"].equal == 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_every_subword_keeps_its_row(self, taggers, kind, tmp_path):
        trim_vocabulary(taggers[kind], tmp_path / "small", texts=TEXTS, most_common=0)
        loaded = [Tagger.from_pretrained(folder, device="cpu") for folder in (taggers[kind], tmp_path / "small")]
        old, new = (tagger.tokenizer.get_vocab() for tagger in loaded)
        whole, kept = (tagger.model.get_input_embeddings().weight for tagger in loaded)
        assert {*new} <= {*old}
        for subword, i in new.items():
            assert torch.equal(kept[i], whole[old[subword]])
        config = loaded[1].model.config
        config = getattr(config, "encoder", config)
        assert config.pad_token_id == loaded[1].tokenizer.pad_token_id
        assert config.vocab_size == len(new)

    @pytest.mark.parametrize("kind", KINDS)
    def test_all_texts_are_spelled_and_the_most_common_are_cut_as_before(self, taggers, kind, tmp_path):
        trim_vocabulary(taggers[kind], tmp_path / "small", texts=TEXTS, most_common=10_000)
        before, after = (Tagger.from_pretrained(folder, device="cpu") for folder in (taggers[kind], tmp_path / "small"))
        assert odds(after, OTHER) == odds(before, OTHER)
        trim_vocabulary(taggers[kind], tmp_path / "least", texts=TEXTS, most_common=0)
        least = Tagger.from_pretrained(tmp_path / "least", device="cpu")
        unknown = [
            [tagger.windows([[word]]).unknown.sum() for word in ("harbour", "sailed", "Jordan", "☃")]
            for tagger in (before, least)
        ]
        assert unknown[0] == unknown[1]

    def test_the_pipeline_says_the_same_without_this_package(self, taggers, tmp_path):
        kinds = ("roberta", "xlm-r", "mpnet", "electra")
        for kind in kinds:
            trim_vocabulary(taggers[kind], tmp_path / kind, texts=TEXTS, most_common=0)
        folders = [folder for kind in kinds for folder in (taggers[kind], tmp_path / kind)]
        said = pipeline_says(folders, "The chef from Lisbon", package=False, scratch=tmp_path)
        for kind in kinds:
            assert said[tmp_path / kind] == said[taggers[kind]]
            assert said[tmp_path / kind][0]

    def test_texts_are_cut_as_the_tagger_cuts_them(self, taggers, tmp_path):
        text = "The chef from Lisbon waved. Two ships sailed!"
        trim_vocabulary(taggers["roberta"], tmp_path / "small", texts=[text], most_common=0)
        before, after = (
            Tagger.from_pretrained(folder, device="cpu") for folder in (taggers["roberta"], tmp_path / "small")
        )
        assert after.tag_text(text) == before.tag_text(text)

    def test_a_trimmed_tagger_is_exported_and_trimmed_again(self, taggers, tmp_path):
        trim_vocabulary(taggers["modernbert"], tmp_path / "small", texts=TEXTS, most_common=20)
        (tmp_path / "mine.conll").write_text("\n\n".join("\n".join(words) for words in TEXTS) + "\n")
        _, parity = export_tagger(str(tmp_path / "small"), to="onnx", data=tmp_path / "mine.conll")
        assert parity.equal == 1
        again = trim_vocabulary(tmp_path / "small", tmp_path / "smaller", texts=TEXTS[:1], most_common=0)
        assert again.after.subwords < again.before.subwords


class TestTokenizers:
    def test_the_most_common_are_the_first_of_the_vocabulary(self):
        vocabulary = ["[PAD]", "[UNK]", "[unused0]", "a", "b", "##a", "##b", "ab", "##ab", "ba", "aba"]
        tokenizer = BertTokenizer(vocab={piece: i for i, piece in enumerate(vocabulary)})
        ids, common = kept_ids(tokenizer, [vocabulary.index("ba")], most_common=1, rows=len(vocabulary))
        names = tokenizer.convert_ids_to_tokens(ids.tolist())
        assert common == 1
        assert [name for name in names if name in vocabulary] == [
            "[PAD]", "[UNK]", "a", "b", "##a", "##b", "ab", "ba",
        ]  # fmt: skip

    def test_merges_that_lead_to_a_subword_are_kept_with_it(self):
        vocabulary = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "c", "ab", "abc", "cb", "bc"]
        merges = [("c", "b"), ("b", "c"), ("a", "b"), ("ab", "c")]
        tokenizer = RobertaTokenizer(vocab={piece: i for i, piece in enumerate(vocabulary)}, merges=merges)
        ids, common = kept_ids(tokenizer, [vocabulary.index("abc")], most_common=1, rows=20)
        assert common == 1
        small = trimmed_tokenizer(tokenizer, ids)
        assert {*tokenizer.get_vocab()} - {*small.get_vocab()} == {"bc"}
        assert json.loads(small.backend_tokenizer.to_str())["model"]["merges"] == [["c", "b"], ["a", "b"], ["ab", "c"]]

    def test_scores_of_unknown_characters_stay(self, taggers):
        """They are computed from the lowest score of all subwords, which may decide between two paths."""
        tokenizer = Tagger.from_pretrained(taggers["albert"], device="cpu").tokenizer
        scores = dict(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"])
        ids, _ = kept_ids(tokenizer, [], most_common=0, rows=10_000)
        assert min(scores, key=scores.get) in tokenizer.convert_ids_to_tokens(ids.tolist())

    def test_a_word_that_was_unknown_stays_so(self, tmp_path):
        """Of abc, WordPiece takes ab and finds no ##c; without ab, it would take a and ##bc."""
        folder = tiny_bert(tmp_path)
        pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "x", "##x", "ab", "##bc"]
        backend = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
        backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]")
        tokenizer.save_pretrained(folder)
        assert tokenizer.tokenize("abc") == ["[UNK]"]
        assert tokenizer.convert_ids_to_tokens(sorted(inside_words(tokenizer, ["abc"]))) == ["a", "ab", "##bc"]
        trim_vocabulary(folder, tmp_path / "small", texts=[["xbc", "abc"]], most_common=0)
        small = Tagger.from_pretrained(tmp_path / "small", device="cpu").tokenizer
        assert small.tokenize("xbc abc") == ["x", "##bc", "[UNK]"]

    def test_a_vocabulary_of_words_is_refused(self):
        backend = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
        with pytest.raises(ModelError, match="of the kind WordLevel, which cannot be trimmed; WordPiece, Unigram, BPE"):
            vocabulary_of(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]"))


SHORT = ("--dataset", "sample", "--max_train_samples", 120, "--num_train_epochs", 4, "--use_cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that has learned a little, with case markers and sentences of other casing."""
    folder = tmp_path_factory.mktemp("runs")
    encoder = tiny_encoders(folder)["bert"]
    flags = ("--learning_rate", 3e-3, "--case_dropout", 0.2, "--output_dir", folder / "pos")
    run_here("pos_bert", "--model", encoder, *SHORT, *flags)
    return folder / "pos"


@pytest.fixture(scope="module")
def trimmed(run):
    result = trim_vocabulary(run, run.parent / "small", most_common=3)
    return result


class TestRun:
    def test_rules_are_kept(self, run, taggers, tmp_path):
        shutil.copytree(run, tmp_path / "run")
        (tmp_path / "run" / "rules.jsonl").write_text('{"label": "NN", "pattern": "The"}\n')
        trimmed = trim_vocabulary(tmp_path / "run", tmp_path / "trimmed", most_common=3)
        assert "rules.jsonl" in record(trimmed.folder)["files"]
        assert Tagger.from_pretrained(trimmed.folder, device="cpu").tag(["The"]) == ["NN"]
        shutil.copytree(taggers["bert"], tmp_path / "ruled")
        (tmp_path / "ruled" / "rules.jsonl").write_text('{"label": "PER", "pattern": "The"}\n')
        trim_vocabulary(tmp_path / "ruled", tmp_path / "small", texts=TEXTS)
        assert Tagger.from_pretrained(tmp_path / "small", device="cpu").tag(["The"]) == ["B-PER"]

    def test_the_training_data_is_tagged_as_before(self, run, trimmed):
        words = load_tagging_dataset("sample", task="pos")["train"]["tokens"][:80]
        words += [[word.upper() for word in sentence] for sentence in words[:5]]
        before, after = (Tagger.from_pretrained(folder, device="cpu") for folder in (run, trimmed.folder))
        assert odds(after, words) == odds(before, words)
        assert len({tag for tags in before.tag(words) for tag in tags}) > 3

    def test_figures_are_those_of_both_taggers(self, run, trimmed):
        for name in ("validation", "test"):
            before, after = (evaluate_tagger(folder, "sample", split=name).figures for folder in (run, trimmed.folder))
            agreement = trimmed.agreement[name]
            assert agreement.after == pytest.approx(after["accuracy"])
            assert agreement.before == pytest.approx(before["accuracy"])
            assert 0.8 < agreement.equal <= 1
            assert agreement.words == record(run)["dataset"]["splits"][name]["words"]
        assert trimmed.results == json.loads((trimmed.folder / "results.json").read_text())

    def test_it_is_a_run_with_a_card_that_says_so(self, run, trimmed):
        folder, found = trimmed.folder, RunFolder(trimmed.folder).record()
        names = {path.relative_to(run) for path in run.rglob("*") if "checkpoint" not in str(path)}
        assert {path.relative_to(folder) for path in folder.rglob("*")} == names
        assert found["status"] == "finished"
        assert wrong_value(found) == ""
        assert "trimmed.after.subwords is of type str" in wrong_value(found | {"trimmed": {"after": {"subwords": "1"}}})
        assert found["trimmed"]["after"] == {"subwords": trimmed.after.subwords, "bytes": trimmed.after.bytes}
        assert found["arguments"]["trimmed"] == "pos"
        assert found["arguments"]["learning_rate"] == 3e-3
        assert found["calibration"] == record(run)["calibration"]
        card = (folder / "README.md").read_text()
        sizes = f"{trimmed.before.subwords:,} to {trimmed.after.subwords:,} subwords"
        assert f"The vocabulary of pos was trimmed from {sizes}" in card
        assert f"| validation | {trimmed.agreement['validation'].words:,} |" in card
        assert "bert fine-tuned on" in card
        assert str(run.parent) not in card

    def test_the_table_shows_both(self, trimmed):
        lines = trimmed.table().splitlines()
        assert lines[0].split() == ["subwords", "MB"]
        assert lines[1].split()[0] == "pos"
        assert [line.split()[0] for line in lines[-3:]] == ["kept", "validation", "test"]

    def test_case_markers_stay(self, run, trimmed):
        tokenizer = Tagger.from_pretrained(trimmed.folder, device="cpu").tokenizer
        assert tokenizer.tokenize("Lisbon")[0] == "⇧"
        assert tokenizer.tokenize("LISBON")[0] == "⇑"

    @pytest.mark.failure_mode("trimmed-resume")
    def test_it_is_trained_further_and_not_resumed(self, run, trimmed, tmp_path):
        flags = ("--model", trimmed.folder, *SHORT, "--max_steps", 2)
        run_here("pos_bert", *flags, "--output_dir", tmp_path / "further")
        assert len(weights(tmp_path / "further")["bert.embeddings.word_embeddings.weight"]) == trimmed.after.subwords
        with pytest.raises(ConfigError, match="is a run with a trimmed vocabulary, with no training to go on with"):
            run_here("pos_bert", *flags, "--output_dir", trimmed.folder, "--resume")

    def test_averages_want_one_vocabulary(self, run, trimmed, tmp_path):
        with pytest.raises(ConfigError, match="cannot be averaged: they have different tokenizers or vocabularies"):
            average_runs([run, trimmed.folder], tmp_path / "soup")

    def test_text_is_kept_beside_the_training_data(self, run, tmp_path, capsys):
        (tmp_path / "mine.txt").write_text("The harbour of zzyzx\n", encoding="utf-8")
        arguments = ["trim", str(run), "--output", str(tmp_path / "small"), "--most_common", "0"]
        main([*arguments, "--text_file", str(tmp_path / "mine.txt"), "--json"])
        answer = json.loads(capsys.readouterr().out)
        assert answer["most_common"] == 0
        assert answer["agreement"]["kept texts"]["equal"] == 1
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 1
        assert "Give --overwrite to replace it or choose another --output_dir." in capsys.readouterr().err

    @pytest.mark.failure_mode("trim-loses")
    def test_a_loss_on_other_words_is_warned_of(self, run, tmp_path, caplog, monkeypatch):
        monkeypatch.setattr("hf_tagging.inference.trimming._MOST_LOST", -1.0)
        with caplog.at_level(logging.WARNING, logger="hf_tagging"):
            trim_vocabulary(run, tmp_path / "small", most_common=0)
        assert "Keep more subwords: most_common" in caplog.text


class TestRefused:
    def refuse(self, error, match, *arguments, **options):
        with pytest.raises(error, match=match):
            trim_vocabulary(*arguments, **options)

    def test_what_has_no_texts(self, run, taggers, tmp_path):
        self.refuse(ConfigError, "there is no word in the texts", taggers["bert"], tmp_path / "small")
        self.refuse(ConfigError, "is the tagger itself", run, run)
        self.refuse(ConfigError, "is not a number of subwords", run, tmp_path / "small", most_common=-1)
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / "mine").write_text("")
        self.refuse(OutputError, "there: is there already", taggers["bert"], tmp_path / "there", texts=TEXTS)
        assert not (tmp_path / "small").exists()

    @pytest.mark.failure_mode("trim-refused")
    def test_taggers_from_scratch(self, tmp_path):
        flags = ("--encoder", "lstm", "--hidden_size", 16, "--output_dir", tmp_path / "lstm")
        run_here("pos_baseline", *SHORT, *flags)
        self.refuse(ModelError, "is a tagger from scratch.*min_count", tmp_path / "lstm", tmp_path / "small")
        assert not (tmp_path / "small" / "run.json").exists()

    @pytest.mark.failure_mode("trim-refused")
    def test_exports(self, taggers, tmp_path):
        (tmp_path / "mine.conll").write_text("\n".join(TEXTS[0]) + "\n")
        folder, _ = export_tagger(
            str(taggers["bert-cased"]), to="onnx", output=tmp_path / "onnx", data=tmp_path / "mine.conll"
        )
        self.refuse(ModelError, "is an export.*Trim the model, and export", folder, tmp_path / "small", texts=TEXTS)

    @pytest.mark.failure_mode("trim-refused")
    def test_adapters(self, run, tmp_path):
        encoder = run.parent / "bert"
        flags = ("--lora", "true", "--lora_merge", "false", "--output_dir", tmp_path / "lora")
        run_here("pos_bert", "--model", encoder, *SHORT, "--max_steps", 1, *flags)
        self.refuse(ModelError, "has adapters that are not merged.*lora_merge", tmp_path / "lora", tmp_path / "small")

    def test_other_data_than_that_of_the_run(self, run, tmp_path):
        other = shutil.copytree(run, tmp_path / "other", ignore=shutil.ignore_patterns("checkpoint-*"))
        content = record(other)
        content["dataset"]["splits"]["test"]["fingerprint"] = "another"
        (other / "run.json").write_text(json.dumps(content))
        self.refuse(DataError, "sample: the test split is not the one", other, tmp_path / "small")
