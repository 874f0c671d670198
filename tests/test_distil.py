"""Learning from a teacher: the loss by hand, tokenizers that differ, text without tags, and a run of the recipe."""

import json
import shutil

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict
from recipe_runs import ROOT, record, run_here
from tiny_models import tiny_bert, tiny_roberta
from transformers import AutoTokenizer

from hf_tagging import (
    ConfigError,
    DataConfig,
    RunConfig,
    ScratchConfig,
    Tagger,
    TaggingConfig,
    TagSchema,
    align_dataset,
    load_encoder,
    load_tagging_dataset,
)
from hf_tagging.data.aligned import IGNORED
from hf_tagging.data.batching import WindowCollator
from hf_tagging.data.casing import marker_ids
from hf_tagging.data.documents import document_bounds
from hf_tagging.inference.teaching import ask_teacher
from hf_tagging.models import LinearChainCrf
from hf_tagging.models.baseline import build_baseline
from hf_tagging.training.distilling import SoftTags, numbered_words

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-MISC", "I-MISC")
SHORT = ("--task", "ner", "--dataset", "sample", "--max_train_samples", 60, "--num_train_epochs", 1, "--use_cpu")


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teachers")
    return [tiny_bert(folder, tags=TAGS), tiny_roberta(folder, tags=TAGS[::-1])]


@pytest.fixture(scope="module")
def hmm(tmp_path_factory):
    """A teacher that is quickly made and knows something."""
    folder = tmp_path_factory.mktemp("hmm") / "run"
    run_here("ner_baseline", "--encoder", "hmm", "--dataset", "sample", "--output_dir", folder)
    return folder


class TestLoss:
    def test_by_hand(self):
        teacher = torch.tensor([[0.7, 0.3], [0.2, 0.8], [1.0, 0.0]])
        soft = SoftTags(teacher, torch.tensor([0, IGNORED, 1]), temperature=2.0, gold_weight=0.25)
        logits = torch.tensor([[[9.0, 9.0], [1.0, -1.0], [0.5, 2.0]], [[3.0, 0.0], [5.0, 5.0], [5.0, 5.0]]])
        words = torch.tensor([[IGNORED, 0, 1], [2, IGNORED, IGNORED]])
        assert soft.gold_of(words).tolist() == [[IGNORED, 0, IGNORED], [1, IGNORED, IGNORED]]
        logs = [(torch.tensor(row) / 2).log_softmax(-1) for row in ([1.0, -1.0], [0.5, 2.0], [3.0, 0.0])]
        parts = [-(teacher[i] * logs[i]).sum() * 4 for i in range(3)]
        expected = (0.75 * parts[0] + parts[1] + 0.75 * parts[2]) / 3
        assert soft.loss(logits, words, 3, crf=None).item() == pytest.approx(expected.item())

    def test_marginals_of_a_crf_are_those_of_forward_backward_and_have_their_gradient(self):
        torch.manual_seed(0)
        schema = TagSchema(TAGS[:5], "IOB2")
        start, step, end = (table.tolist() for table in schema.transitions())
        crf = LinearChainCrf(5, legal_start=start, legal_step=step, legal_end=end).double()
        for parameter in crf.parameters():
            torch.nn.init.normal_(parameter)
        emissions = torch.randn(3, 6, 5, dtype=torch.double, requires_grad=True)
        mask = torch.tensor([[1, 1, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0]]).bool()
        logs = crf.log_marginals(emissions, mask)
        torch.testing.assert_close(logs.exp()[mask], crf.marginals(emissions, mask)[mask])
        assert not logs[~mask].any()
        weights = torch.rand(3, 6, 5, dtype=torch.double)
        inputs = (emissions, crf.transitions)
        assert torch.autograd.gradcheck(
            lambda *_: (crf.log_marginals(emissions, mask).clamp(min=-30) * weights).sum(), inputs
        )
        soft = SoftTags(torch.full((6, 5), 0.2).double(), torch.zeros(6).long(), temperature=1.5, gold_weight=0.0)
        words = torch.where(mask, mask.flatten().cumsum(0).view(3, 6) - 1, IGNORED).clamp(max=5)
        flat = -(crf.log_marginals(emissions / 1.0, mask, temperature=1.5)[mask] * 0.2).sum() * 1.5**2 / 8
        assert soft.loss(emissions, words, 8, crf=crf).item() == pytest.approx(flat.item(), rel=1e-5)

    def test_marginals_of_sentences_between_borders_are_those_of_rows_of_their_own(self):
        torch.manual_seed(0)
        start, step, end = (table.tolist() for table in TagSchema(TAGS[:5], "IOB2").transitions())
        crf = LinearChainCrf(5, legal_start=start, legal_step=step, legal_end=end)
        for parameter in crf.parameters():
            torch.nn.init.normal_(parameter)
        emissions = torch.randn(1, 9, 5, dtype=torch.double, requires_grad=True)
        border = torch.tensor([[1, 0, 0, 0, 1, 0, 0, 1, 0]]).bool()
        mask = torch.tensor([[0, 1, 0, 1, 0, 1, 1, 0, 0]]).bool()
        together = crf.log_marginals(emissions, mask, temperature=1.5, borders=border)
        cuts = ((0, 4), (4, 8), (8, 9))
        apart = torch.cat([crf.log_marginals(emissions[:, a:b], mask[:, a:b], temperature=1.5) for a, b in cuts], 1)
        torch.testing.assert_close(together, apart)
        weights, inputs = torch.rand(5, dtype=torch.double), (emissions, *crf.parameters())
        ours, theirs = (torch.autograd.grad((logs * weights).sum(), inputs) for logs in (together, apart))
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other)

    @pytest.mark.parametrize("context", [0, 4, None])
    def test_a_crf_learns_on_the_sequences_that_it_sees_later(self, teachers, context):
        sentences = [["U.S.", "ships", "sailed"], ["Ask", "Maria", "of", "Porto", "!"], ["1,000.50", "metres"]]
        words = {"tokens": sentences, "tags": [[0] * len(sentence) for sentence in sentences]}
        dataset = DatasetDict(train=Dataset.from_dict(words | {"document_id": ["a"] * 3}))
        schema = TagSchema(TAGS, "IOB2")
        model, tokenizer = (
            load_encoder(str(teachers[0]), schema, head="crf")
            if context is not None
            else build_baseline(dataset, schema, parts={"encoder": "cnn", "head": "crf"}, words=str(teachers[0]))
        )
        model.config.context_subwords = context
        torch.manual_seed(0)
        for parameter in model.crf.parameters():
            torch.nn.init.normal_(parameter)
        tokenizer.model_max_length = 24  # windows overlap: words at their edges are read, and numbered elsewhere
        split = align_dataset(dataset, tokenizer, schema, overlap=4, context=context or 0)["train"]
        collate = WindowCollator(tokenizer.pad_token_id)
        batch = collate(list(numbered_words(split, np.zeros(0, np.int64))))
        ids, numbers = {name: batch[name] for name in ("input_ids", "attention_mask")}, batch["labels"]
        model.eval()
        seen = model.tag_chain(**ids)
        posterior = seen.posterior.gather(1, seen.word[..., None].expand(-1, -1, len(TAGS)))
        there = numbers != IGNORED
        assert (model.chain_places(**ids)[0] & ~there).any()
        teacher = torch.rand(int(there.sum()), len(TAGS))
        soft = SoftTags(teacher, torch.full((len(teacher),), IGNORED), 1.0, 0.5)
        emissions = model(**ids, labels=soft.gold_of(numbers)).logits
        loss = soft.loss(emissions, numbers, 1, crf=model.crf, places=model.chain_places(**ids))
        expected = -(teacher[numbers[there]] * posterior[there].log()).sum()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


class TestTeacher:
    def test_words_are_joined_by_number_whatever_the_subwords(self, teachers):
        teacher = Tagger.from_pretrained(teachers, device="cpu")
        dataset = load_tagging_dataset("sample", task="ner")
        dataset = DatasetDict(train=dataset["train"].select(range(20)))
        schema = TagSchema.detect(dataset, task="ner")
        tokenizer = AutoTokenizer.from_pretrained(teachers[0])
        split = align_dataset(dataset, tokenizer, schema, overlap=4)["train"]
        soft = ask_teacher(teacher, split, schema, TaggingConfig(use_cpu=True))
        said = np.concatenate(teacher.probabilities(list(dataset["train"]["tokens"])))
        columns = [schema.tags.index(tag) for tag in teacher.schema.tags]
        np.testing.assert_allclose(soft.probabilities[:, columns].numpy(), said, atol=1e-6)
        for window, numbered in zip(split.features, numbered_words(split, np.zeros(0, np.int64)), strict=True):
            assert [IGNORED if n < 0 else int(soft.gold[n]) for n in numbered["labels"]] == window["labels"]

    def test_a_teacher_with_context_reads_documents(self, tmp_path):
        path = tiny_bert(tmp_path, tags=TAGS) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"context_subwords": 8}))
        teacher = Tagger.from_pretrained(path.parent, device="cpu")
        dataset = DatasetDict(train=load_tagging_dataset("sample", task="ner")["train"].select(range(20)))
        schema = TagSchema(TAGS, "IOB2")
        split = align_dataset(dataset, teacher.tokenizer, schema)["train"]
        documents = np.diff(document_bounds(dataset["train"])).tolist()
        assert 1 < len(documents) < 20
        sentences = list(dataset["train"]["tokens"])
        said = np.concatenate(teacher.probabilities(sentences, documents=documents))
        soft = ask_teacher(teacher, split, schema, TaggingConfig(use_cpu=True))
        np.testing.assert_allclose(soft.probabilities.numpy(), said, atol=1e-6)
        assert np.abs(said - np.concatenate(teacher.probabilities(sentences))).max() > 1e-4

    def test_the_subword_behind_a_marker_goes_on_with_its_word(self, teachers):
        dataset = load_tagging_dataset("sample", task="ner")
        dataset = DatasetDict(train=dataset["train"].select(range(20)))
        schema = TagSchema.detect(dataset, task="ner")
        _, tokenizer = load_encoder("minilm", schema, casing="markers")
        split = align_dataset(dataset, tokenizer, schema)["train"]
        words = int(split.sentence_starts[-1])
        gold = torch.tensor([tag for tags in dataset["train"]["tags"] for tag in tags])
        soft = SoftTags(torch.nn.functional.one_hot(gold, len(schema.tags)).float(), gold, 1.0, 0.5)
        soft = soft.with_continuations(schema.continuation_ids())
        assert soft.probabilities.argmax(-1).tolist() == soft.gold.tolist()
        numbered = numbered_words(split, marker_ids(tokenizer))
        assert max(max(window["labels"]) for window in numbered) > words
        for window, row in zip(split.features, numbered, strict=True):
            assert soft.gold_of(torch.tensor(row["labels"])).tolist() == window["labels"]

    @pytest.mark.parametrize("student", [("--encoder", "lstm", "--head", "crf"), ("--encoder", "cnn")])
    def test_a_student_from_scratch_learns_the_tags_of_its_teacher(self, hmm, student, tmp_path):
        text = tmp_path / "text.txt"
        text.write_text("Jordan waved in Porto.\nThe ships of Maria sailed past London.\n")
        train = (ROOT / "hf_tagging" / "data" / "sample" / "train.txt").read_text().split("\n\n")[:40]
        (tmp_path / "train.txt").write_text("\n\n".join(train))
        run_here(
            "distil", "--task", "ner", "--train_file", tmp_path / "train.txt", *student, "--teacher", hmm,
            "--gold_weight", 0, "--text_file", text, "--num_train_epochs", 40, "--learning_rate", 0.01, "--use_cpu",
            "--per_device_train_batch_size", 8, "--output_dir", tmp_path / "run",
        )  # fmt: skip
        found = load_tagging_dataset(train_file=tmp_path / "train.txt", task="ner")["train"]
        assert record(tmp_path / "run")["dataset"]["splits"]["train"]["sentences"] == len(found) + 2
        words = [*found["tokens"], ["Jordan", "waved", "in", "Porto", "."]]  # the last one without gold tags
        said = [Tagger.from_pretrained(model, device="cpu").tag(words) for model in (hmm, tmp_path / "run")]
        pairs = [pair for sentences in zip(*said, strict=True) for pair in zip(*sentences, strict=True)]
        assert sum(ours == theirs for ours, theirs in pairs) > 0.95 * len(pairs)

    def test_a_crf_with_context_learns(self, teachers, tmp_path):
        run_here(
            "distil", *SHORT, "--model", teachers[0], "--head", "crf", "--context", "document", "--teacher", *teachers,
            "--do_predict", False, "--output_dir", tmp_path / "run",
        )  # fmt: skip
        assert record(tmp_path / "run")["status"] == "finished"

    def test_an_encoder_with_markers_learns_beside_gold_tags(self, teachers, tmp_path):
        run_here(
            "distil", *SHORT, "--model", "minilm", "--teacher", teachers[0], "--max_train_samples", 12,
            "--teacher_temperature", 2, "--max_eval_samples", 8, "--output_dir", tmp_path / "run",
        )  # fmt: skip
        assert record(tmp_path / "run")["status"] == "finished"
        assert json.loads((tmp_path / "run" / "results.json").read_text())["validation"]["words"]


class TestRefused:
    @pytest.mark.failure_mode("teacher-arguments")
    @pytest.mark.parametrize(
        ("model", "arguments", "match"),
        [
            ({}, {"gold_weight": 0.1}, "has no effect without a teacher"),
            ({}, {"teacher": ["a"], "label_smoothing_factor": 0.1}, "does not go with a teacher"),
            ({}, {"teacher": ["a"], "do_train": False}, "nothing is trained"),
            ({}, {"teacher": ["owner/name", "./none"]}, "teacher: ./none is not there"),
            ({}, {"teacher": ["a"], "gold_weight": 1.5}, "not between 0 and 1"),
            ({}, {"teacher": ["a"], "teacher_temperature": 0.0}, "not above 0"),
            ({"encoder": "hmm"}, {"teacher": ["a"]}, "cannot learn from probabilities"),
        ],
    )
    def test_arguments(self, model, arguments, match):
        with pytest.raises(ConfigError, match=match):
            RunConfig("ner", DataConfig(dataset="sample"), ScratchConfig(**model), TaggingConfig(**arguments))

    @pytest.mark.failure_mode("teacher-other-tags")
    def test_teachers_of_other_tags_or_none(self, tmp_path):
        other = tiny_bert(tmp_path, tags=("O", "B-ODD", "I-ODD"))
        arguments = (*SHORT, "--encoder", "cnn", "--output_dir", tmp_path / "run")
        with pytest.raises(ConfigError, match="tags that the training data does not have \\(B-ODD, I-ODD\\)"):
            run_here("distil", *arguments, "--teacher", other)
        with pytest.raises(ConfigError, match="there is no teacher to learn from"):
            run_here("distil", *arguments)


@pytest.mark.failure_mode("teacher-changed")
def test_a_run_goes_on_with_the_same_teacher_alone(tmp_path):
    teacher, out = tiny_bert(tmp_path / "teacher", tags=TAGS), tmp_path / "out"
    flags = (
        "--task", "ner", "--dataset", "sample", "--teacher", teacher, "--encoder", "cnn", "--head", "linear",
        "--max_train_samples", 20, "--max_eval_samples", 5, "--max_steps", 4, "--save_strategy", "steps",
        "--save_steps", 2, "--eval_strategy", "no", "--load_best_model_at_end", "false", "--use_cpu",
        "--output_dir", out,
    )  # fmt: skip
    run_here("distil", *flags)
    assert len(record(out)["teacher"]) == 16
    shutil.rmtree(out / "checkpoint-4")
    (out / "results.json").unlink()
    run_here("distil", *flags, "--resume")
    shutil.copytree(tiny_bert(tmp_path / "other", tags=TAGS, seed=5), teacher, dirs_exist_ok=True)
    shutil.rmtree(out / "checkpoint-4")
    with pytest.raises(ConfigError, match="teacher: gives other tags to the training words"):
        run_here("distil", *flags, "--resume")
