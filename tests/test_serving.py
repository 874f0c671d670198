"""The application of `hf-tagging serve`, in this process: tags, queue, limits, token, and whatever clients may send."""

import asyncio
import contextlib
import json
import logging
import math
import random
import re
import threading
import time

import httpx
import pytest
from tiny_models import tiny_bert, tiny_roberta
from transformers import BertForTokenClassification

from hf_tagging import Tagger
from hf_tagging.errors import ConfigError
from hf_tagging.serving.app import build_app
from hf_tagging.serving.batcher import Batcher
from hf_tagging.serving.bodies import EXAMPLES
from hf_tagging.serving.limits import Limits
from hf_tagging.serving.models import ServedModel, load_models, named_models
from hf_tagging.serving.server import read_token, warn_if_open

TEXTS = (
    "Maria Duarte flew from Lisbon to Porto. She is a chef, and Jordan isn't.",
    "Two old ships sailed slowly past the harbour of Porto; nobody on the pier waved.",
    "",
    "  \n ",
    "葡萄牙 Porto \U0001f6a2 naïve",
    "Is the river Douro longer than 1,000.50 metres? Ask Maria! " * 6,
)
SENTENCES = [["Maria", "flew", "to", "Porto", "."], [], ["Jordan"], ["a", "b c", ""], ["ships"] * 70]
POS = ("NN", "VB", "DT", "IN", ".")


@pytest.fixture(scope="module")
def taggers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "ner": Tagger.from_pretrained(tiny_bert(folder), device="cpu"),
        "pos": Tagger.from_pretrained(tiny_roberta(folder, tags=POS), device="cpu"),
    }


@pytest.fixture(scope="module")
def models(taggers):
    return [ServedModel(name, tagger) for name, tagger in taggers.items()]


@contextlib.asynccontextmanager
async def client_of(models, **options):
    app = build_app(models, **options)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://here", timeout=60) as client:
        client.app = app
        yield client


def test_a_model_is_called_in_one_thread_from_the_first_call_on(tmp_path, monkeypatch):
    """A second thread that computes costs a request up to 1.8 times its time."""
    threads, forward = [], BertForTokenClassification.forward

    def called(*args, **options):
        threads.append(threading.current_thread())
        return forward(*args, **options)

    monkeypatch.setattr(BertForTokenClassification, "forward", called)
    served = load_models({"ner": tiny_bert(tmp_path)}.items(), device="cpu")
    assert len(threads) == 1  # as soon as it is loaded: the first request is not slow
    (answer,) = ask(served, {"text": "Two ships sailed."})
    assert answer.status_code == 200
    assert len(threads) == 2
    assert len({thread.ident for thread in threads} - {threading.main_thread().ident}) == 1


def ask(models, *requests, headers=None, **options):
    """Answers to requests that are sent one after the other: a body for /tag, or the path of a page."""

    async def send():
        async with client_of(models, **options) as client:
            for request in requests:
                if isinstance(request, str):
                    yield await client.get(request, headers=headers)
                else:
                    yield await client.post("/tag", json=request, headers=headers)

    async def collect():
        return [answer async for answer in send()]

    return asyncio.run(collect())


def is_result_of(result, tagged, *, places=True):
    """Compares a result with what `Tagger` says; scores up to what differs with the batch."""
    assert [word["text"] for word in result["words"]] == [word.text for word in tagged.words]
    for kind in ("words", "entities"):
        expected = tagged.to_dict()[kind]
        assert len(result[kind]) == len(expected)
        for found, wanted in zip(result[kind], expected, strict=True):
            assert found.pop("score") == pytest.approx(wanted["score"], abs=2e-5)
            wanted = {key: value for key, value in wanted.items() if key != "score"}
            if not places:
                wanted = {key: value for key, value in wanted.items() if key not in ("start", "end")}
            assert found == wanted
    return True


class TestTags:
    @pytest.mark.parametrize("name", ["ner", "pos"])
    def test_of_texts_are_those_of_the_tagger(self, name, models, taggers):
        one, many = ask(models, {"text": TEXTS[0], "model": name}, {"text": list(TEXTS), "model": name})
        assert (one.status_code, one.json()["model"]) == (200, name)
        assert is_result_of(one.json()["results"][0], taggers[name].tag_text(TEXTS[0]))
        assert len(many.json()["results"]) == len(TEXTS)
        for text, result in zip(TEXTS, many.json()["results"], strict=True):
            assert is_result_of(result, taggers[name].tag_text(text))

    @pytest.mark.parametrize("name", ["ner", "pos"])
    def test_of_words_are_those_of_the_tagger(self, name, models, taggers):
        answers = ask(
            models, {"words": SENTENCES, "model": name}, *({"words": s, "model": name} for s in SENTENCES if s)
        )
        results = answers[0].json()["results"]
        assert [[word["tag"] for word in result["words"]] for result in results] == taggers[name].tag(SENTENCES)
        assert [[word["text"] for word in result["words"]] for result in results] == SENTENCES
        assert [answer.json()["results"] for answer in answers[1:]] == [
            [result] for result in results if result["words"]
        ]
        assert all(word.keys() == {"text", "tag", "score"} for result in results for word in result["words"])
        scores = taggers[name].tag_with_scores(SENTENCES[0])
        assert [word["score"] for word in results[0]["words"]] == pytest.approx([s for _, s in scores], abs=2e-5)
        if name == "ner":
            assert results[0]["entities"]
            first = results[0]["entities"][0]
            assert first["text"] == " ".join(SENTENCES[0][first["first_word"] : first["end_word"]])

    def test_nothing_has_no_results(self, models):
        nothing, empty, none = ask(models, {"words": []}, {"text": ""}, {"text": []})
        assert nothing.json()["results"] == none.json()["results"] == []
        assert empty.json()["results"] == [{"words": [], "entities": []}]

    def test_in_another_precision_and_without_unlikely_entities(self, models, taggers):
        body = {"text": TEXTS[1], "precision": "bfloat16", "min_confidence": 0.25}
        answer, kept = ask(models, body, {"text": TEXTS[1]})
        ner = taggers["ner"]
        options = {"device": "cpu", "precision": "bfloat16", "min_confidence": 0.25}
        alone = Tagger(ner.model, ner.tokenizer, **options).tag_text(TEXTS[1])
        assert 0 < len(alone.entities) < len(kept.json()["results"][0]["entities"])
        assert is_result_of(answer.json()["results"][0], alone)

    def test_of_rules_beside_the_model_say_so(self, taggers, tmp_path):
        rules = tmp_path / "rules.jsonl"
        rules.write_text('{"label": "LOC", "pattern": "ships", "id": "harbour"}\n')
        tagger = Tagger(taggers["ner"].model, taggers["ner"].tokenizer, device="cpu", rules=rules)
        answers = ask(
            [ServedModel("ner", tagger)], *({"text": "Two ships", "precision": p} for p in (None, "bfloat16"))
        )
        for answer in answers:
            (result,) = answer.json()["results"]
            assert {word["text"]: (word["source"], word["rule"]) for word in result["words"]} == {
                "Two": ("model", ""),
                "ships": ("rule", "harbour"),
            }
            assert result["entities"][-1] | {"type": "LOC", "rule": "harbour"} == result["entities"][-1]

    def test_what_a_model_cannot_do_is_refused(self, models):
        precision, model = ask(models, {"text": "a", "precision": "fast"}, {"text": "a", "model": "nre"})
        assert precision.status_code == 422
        assert "precision: this model has no margin for fast tagging on cpu" in precision.json()["error"]["message"]
        assert (model.status_code, model.json()["error"]["code"]) == (404, "no_such_model")
        assert "there are ner, pos" in model.json()["error"]["message"]

    def test_models_are_described(self, models):
        (answer,) = ask(models, "/models")
        first, second = answer.json()["models"]
        assert first["name"] == "ner"
        assert first["entity_types"] == ["PER", "LOC"]
        assert (first["scheme"], first["precisions"], first["exported"]) == ("IOB2", ["exact", "bfloat16"], False)
        assert (second["tags"], second["entity_types"], second["scheme"]) == (list(POS), [], "plain")

    def test_every_example_of_the_page_is_answered(self, models):
        answers = ask(models, *(example["value"] for example in EXAMPLES.values()), "/openapi.json")
        assert len(EXAMPLES) >= 4
        assert {answer.status_code for answer in answers} == {200}
        post = answers[-1].json()["paths"]["/tag"]["post"]
        assert post["requestBody"]["content"]["application/json"]["examples"].keys() == EXAMPLES.keys()
        assert {"200", "401", "413", "422", "429", "500", "503", "504"} <= post["responses"].keys()


class TestQueue:
    def test_requests_that_wait_are_tagged_together_and_each_gets_its_own(self, models, taggers):
        draw = random.Random(0)
        words = [word for text in TEXTS for word in text.split()]
        bodies = []
        for _ in range(150):
            sentence = draw.choices(words, k=draw.randrange(1, 40))
            body = {"words": sentence} if draw.random() < 0.5 else {"text": " ".join(sentence)}
            bodies.append(body | draw.choice([{}, {}, {"min_confidence": 0.2}, {"model": "pos"}]))

        async def send():
            async with client_of(models) as client:
                answers = await asyncio.gather(*(client.post("/tag", json=body) for body in bodies))
                return answers, (await client.get("/metrics")).text

        answers, figures = asyncio.run(send())
        ner = taggers["ner"]
        sure = Tagger(ner.model, ner.tokenizer, device="cpu", min_confidence=0.2)
        for body, answer in zip(bodies, answers, strict=True):
            assert answer.status_code == 200
            (result,) = answer.json()["results"]
            alone = sure if "min_confidence" in body else taggers[body.get("model", "ner")]
            tags = [word["tag"] for word in result["words"]]
            if "words" in body:
                assert tags == alone.tag(body["words"])
            else:
                assert is_result_of(result, alone.tag_text(body["text"]))
        calls = sum(map(float, re.findall(r"^hf_tagging_call_seconds_count\{.*\} (\S+)$", figures, re.MULTILINE)))
        assert 3 <= calls < 60
        assert 'hf_tagging_requests_total{path="/tag",status="200"} 150.0' in figures
        assert 'hf_tagging_queue_words{model="ner"} 0.0' in figures

    @pytest.mark.failure_mode("serve-busy")
    def test_a_full_queue_says_when_to_come_back(self, models, taggers):
        body = {"words": ["ships"] * 20}

        async def send():
            async with client_of(models, limits=Limits(queue_words=100)) as client:
                first = await asyncio.gather(*(client.post("/tag", json=body) for _ in range(12)))
                return first, await client.post("/tag", json={"words": ["ships"] * 200})

        answers, large = asyncio.run(send())
        answered = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (len(answered), len(refused)) == (5, 7)
        for answer in answered:
            assert [word["tag"] for word in answer.json()["results"][0]["words"]] == taggers["ner"].tag(body["words"])
        for answer in refused:
            assert 1 <= int(answer.headers["Retry-After"]) <= 30
            error = answer.json()["error"]
            assert (error["code"], error["given"], error["limit"]) == ("busy", 120, 100)
        assert large.status_code == 200  # an idle model takes a request that is larger than its queue

    @pytest.mark.failure_mode("serve-fails")
    def test_a_request_that_fails_takes_no_other_along(self, models, taggers, monkeypatch, caplog):
        label_each = Tagger.label_each

        def fail_of_secret(self, items, block=1000):
            items = list(items)
            if any("Geheim" in sentence for _, sentences in items for sentence in sentences):
                raise RuntimeError("cannot tag Geheim")
            return label_each(self, items, block)

        monkeypatch.setattr(Tagger, "label_each", fail_of_secret)

        async def send():
            async with client_of(models) as client:
                bodies = [{"words": ["Maria"]}, {"words": ["Geheim"]}, {"words": ["Porto"]}]
                return await asyncio.gather(*(client.post("/tag", json=body) for body in bodies))

        answers = asyncio.run(send())
        assert [answer.status_code for answer in answers] == [200, 500, 200]
        assert "its log says where" in answers[1].json()["error"]["message"]
        assert "Model ner has failed with RuntimeError" in caplog.text
        assert "in fail_of_secret" in caplog.text
        assert "Geheim" not in caplog.text.replace('"Geheim" in sentence', "").replace('cannot tag Geheim")', "")

    @pytest.mark.failure_mode("serve-cannot-tag")
    def test_what_cannot_be_tagged_is_said_to_its_client_alone(self, taggers, tmp_path, caplog):
        rules = tmp_path / "rules.jsonl"
        rules.write_text('{"label": "LOC", "pattern": [{"TEXT": {"REGEX": "((a{1,1000}){1,1000}){1,1000}b"}}]}\n')
        tagger = Tagger(taggers["ner"].model, taggers["ner"].tokenizer, device="cpu", rules=rules)

        async def send():
            async with client_of([ServedModel("ner", tagger)]) as client:
                bodies = [{"words": ["Maria"]}, {"words": ["a" * 500]}, {"words": ["Porto"]}]
                return await asyncio.gather(*(client.post("/tag", json=body) for body in bodies))

        answers = asyncio.run(send())
        assert [answer.status_code for answer in answers] == [200, 422, 200]
        error = answers[1].json()["error"]
        assert error["code"] == "cannot_tag"
        assert "takes more than" in error["message"]
        assert "Write it without repeats inside of repeats." in error["message"]
        assert caplog.text == ""

    def test_words_that_a_thread_is_still_on_fill_the_queue_after_504(self, models, monkeypatch):
        label_each, go_on = Tagger.label_each, threading.Event()

        def label_when_told(self, items, block=1000):
            assert go_on.wait(60)
            return label_each(self, items, block)

        monkeypatch.setattr(Tagger, "label_each", label_when_told)

        async def send():
            async with client_of(models, limits=Limits(max_seconds=0.3, queue_words=10)) as client:
                slow = await client.post("/tag", json={"words": ["ships"] * 8})
                full = await client.post("/tag", json={"words": ["ships"] * 8})
                figures = [(await client.get("/metrics")).text]
                go_on.set()
                while 'hf_tagging_queue_words{model="ner"} 0.0' not in figures[-1]:
                    await asyncio.sleep(0.01)
                    figures.append((await client.get("/metrics")).text)
                return slow, full, figures[0], await client.post("/tag", json={"words": ["ships"] * 8})

        slow, full, figures, later = asyncio.run(send())
        assert [answer.status_code for answer in (slow, full, later)] == [504, 429, 200]
        assert 'hf_tagging_queue_words{model="ner"} 8.0' in figures

    @pytest.mark.parametrize("place", [(ServedModel, "tagger"), (Batcher, "_measure")], ids=["tagger", "measure"])
    def test_a_failure_around_the_model_does_not_end_the_queue(self, place, models, monkeypatch):
        real = getattr(*place)
        calls = []

        def fail_once(*args):
            calls.append(args)
            if len(calls) == 1:
                raise RuntimeError("once")
            return real(*args)

        monkeypatch.setattr(*place, fail_once)
        answers = ask(models, {"words": ["Maria"]}, {"words": ["Porto"]}, limits=Limits(max_seconds=5))
        assert [answer.status_code for answer in answers] == [500, 200]


async def pieces(body, size=50, pause=0.0):
    """A body of unknown length."""
    for start in range(0, len(body), size):
        await asyncio.sleep(pause)
        yield body[start : start + size]


class TestLimits:
    LIMITS = Limits(max_bytes=400, max_sentences=4, max_words=30, max_seconds=20)

    @pytest.mark.failure_mode("serve-too-much")
    @pytest.mark.parametrize(
        ("body", "code", "message", "given"),
        [
            ({"words": ["a"] * 31}, "too_many_words", "31 words were given; 30 are allowed. Send them in several", 31),
            ({"words": [["a"] * 16, ["a"] * 15]}, "too_many_words", "31 words", 31),
            ({"text": "a " * 31}, "too_many_words", "31 words", 31),
            ({"text": "a," * 16}, "too_many_words", "32 words", 32),
            ({"words": [["a"]] * 5}, "too_many_sentences", "5 sentences were given; 4 are allowed.", 5),
            ({"text": ["a"] * 5}, "too_many_sentences", "5 sentences", 5),
            ({"text": "Maria waved. " * 5}, "too_many_sentences", "5 sentences", 5),
            ({"text": "a" * 400}, "body_too_large", "411 bytes or more; 400 are allowed. Send it in several", 411),
        ],
    )
    def test_what_is_too_much_is_said(self, body, code, message, given, models):
        (answer,) = ask(models, body, limits=self.LIMITS)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["given"]) == (413, code, given)
        assert message in error["message"]

    def test_a_body_of_unknown_length_is_bounded_too(self, models):
        async def send():
            headers = {"Content-Type": "application/json"}
            async with client_of(models, limits=self.LIMITS) as client:
                fits = await client.post("/tag", content=pieces(b'{"text": "Maria waved."}', 5), headers=headers)
                return fits, await client.post("/tag", content=pieces(b'{"text": "' + b"a" * 10_000), headers=headers)

        fits, large = asyncio.run(send())
        assert fits.status_code == 200
        assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")
        assert 400 < large.json()["error"]["given"] <= 450

    def test_a_body_that_comes_too_slowly(self, models):
        async def send():
            headers = {"Content-Type": "application/json"}
            async with client_of(models, limits=Limits(max_seconds=0.2)) as client:
                return await client.post("/tag", content=pieces(b'{"text": "Maria"}', 2, 0.1), headers=headers)

        answer = asyncio.run(send())
        assert answer.status_code == 408
        assert answer.json()["error"]["message"] == "The body has not arrived within 0.2 s. Send it faster."

    def test_tags_that_take_too_long(self, models, monkeypatch):
        label_each = Tagger.label_each

        def label_slowly(self, items, block=1000):
            time.sleep(0.5)
            return label_each(self, items, block)

        monkeypatch.setattr(Tagger, "label_each", label_slowly)
        (answer,) = ask(models, {"words": ["ships"]}, limits=Limits(max_seconds=0.05))
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "too_slow")
        assert "within 0.05 s. Send fewer words, or try again later." in answer.json()["error"]["message"]

    def test_limits_are_positive_and_finite(self):
        with pytest.raises(ConfigError) as error:
            Limits(max_words=0, max_seconds=float("nan"), queue_words=math.inf, drain_seconds=-1)
        assert str(error.value).splitlines() == [
            "max_words: 0 is not a finite number above 0; give 10000, say",
            "max_seconds: nan is not a finite number above 0; give 30.0, say",
            "queue_words: inf is not a finite number above 0; give 50000, say",
            "drain_seconds: -1 is not a finite number of 0 or more; give 2.0, say",
        ]
        assert Limits(drain_seconds=0).drain_seconds == 0


@pytest.mark.failure_mode("serve-wrong-form")
class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ({}, "body: expected either text or words"),
            ({"text": "a", "words": ["a"]}, "body: expected either text or words"),
            ({"text": 1}, "text: Input should be a valid string"),
            ({"text": ["a", None]}, "text[1]: Input should be a valid string"),
            ({"words": "Maria"}, "words: Input should be a valid list"),
            ({"words": ["a", 1, 2]}, "words[1]: Input should be a valid string. /docs"),
            ({"words": [["a"], ["b", {}], [1]]}, "words[1][1]: Input should be a valid string. /docs"),
            ({"words": [["a"], "b"]}, "words[1]: Input should be a valid list"),
            ({"words": ["a", ["b"]]}, "words[1]: Input should be a valid string"),
            ({"text": "a", "min_confidence": 1.5}, "min_confidence: Input should be less than or equal to 1"),
            ({"text": "a", "precision": "half"}, "precision: Input should be 'exact', 'fast' or 'bfloat16'"),
            ({"text": "a", "txet\x1b[2J": "b"}, r"txet\x1b[2J: Extra inputs are not permitted"),
            (
                {"text": "a\ud800"},
                r"body: the text holds half of a surrogate pair (\ud800 to \udfff), which is no char",
            ),
            ([], "body: Input should be a valid dictionary"),
        ],
    )
    def test_a_wrong_form_names_its_place(self, body, message, models):
        async def send():
            async with client_of(models) as client:
                content = json.dumps(body).encode()
                return await client.post("/tag", content=content, headers={"Content-Type": "application/json"})

        answer = asyncio.run(send())
        assert answer.status_code == 422
        assert message in answer.json()["error"]["message"]

    def test_pages_that_are_not_there(self, models):
        missing, method = ask(models, "/nothing", "/tag")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")
        assert (method.status_code, method.json()["error"]["code"]) == (405, "method_not_allowed")

    def test_a_slash_too_many_is_told_as_such(self, models):
        for answer in ask(models, "/models/", "/docs/", "/tag/"):
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    def test_other_types_of_content(self, models):
        async def send():
            async with client_of(models) as client:
                for kind in ("text/plain", "multipart/form-data", "", "application/x-www-form-urlencoded"):
                    yield await client.post("/tag", content=b'{"text": "a"}', headers={"Content-Type": kind})
                kind = "application/json; charset=utf-8"
                yield await client.post("/tag", content=b'{"text": "a"}', headers={"Content-Type": kind})

        async def collect():
            return [answer.status_code async for answer in send()]

        assert asyncio.run(collect()) == [415, 415, 415, 415, 200]

    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"text": ' * 20_000, b"NaN", b"1" * 5000, b'{"text": "\xff"}',
         b'{"text": "a", "min_confidence": NaN}', b'{"text": "a", "min_confidence": 1e999}', b'{"text": "\x00"}',
         b'{"text": "\\ud800"}', b'{"words": ["\\udfff a"]}', b'{"\\ud800": "a"}', b"\xef\xbb\xbf{}"],
    )  # fmt: skip
    def test_what_no_text_is(self, content, models, caplog):
        async def send():
            async with client_of(models) as client:
                return await client.post("/tag", content=content, headers={"Content-Type": "application/json"})

        answer = asyncio.run(send())
        assert answer.status_code in (400, 422)
        assert answer.json()["error"]["message"]
        assert caplog.text == ""

    def test_a_million_mistakes_are_one(self, models):
        async def send():
            async with client_of(models, limits=Limits(max_bytes=10_000_000)) as client:
                content = b'{"words": [' + b"1," * 1_000_000 + b"1]}"
                return await client.post("/tag", content=content, headers={"Content-Type": "application/json"})

        answer = asyncio.run(send())
        assert answer.status_code == 422
        assert answer.json()["error"]["message"].startswith("words[0]: Input should be a valid string")


class TestToken:
    def test_is_asked_for(self, models, caplog):
        caplog.set_level(logging.DEBUG)
        for headers, status in [
            ({}, 401),
            ({"Authorization": "Bearer other"}, 401),
            ({"Authorization": "Basic s3cret"}, 401),
            ({"Authorization": b"Bearer \xff\xe9"}, 401),
            ({"Authorization": "Bearer s3cret"}, 200),
            ({"Authorization": "bearer  s3cret"}, 200),
        ]:
            answers = ask(models, {"text": "Maria"}, "/models", "/metrics", token="s3cret", headers=headers)
            assert [answer.status_code for answer in answers] == [status] * 3
            if status == 401:
                assert answers[0].headers["WWW-Authenticate"] == "Bearer"
                assert "Send the header Authorization: Bearer TOKEN" in answers[0].json()["error"]["message"]
        assert "s3cret" not in caplog.text

    def test_probes_and_the_page_do_without(self, models):
        answers = ask(models, "/health", "/ready", "/docs", "/openapi.json", token="s3cret")
        assert {answer.status_code for answer in answers} == {200}
        assert answers[-1].json()["components"]["securitySchemes"] == {
            "HTTPBearer": {"type": "http", "scheme": "bearer"}
        }

    def test_probes_may_ask_by_head(self, models):
        async def send():
            async with client_of(models, token="s3cret") as client:
                return [await client.head(path) for path in ("/health", "/ready", "/tag", "/nowhere")]

        assert [answer.status_code for answer in asyncio.run(send())] == [200, 200, 405, 404]

    def test_comes_before_the_body(self, models):
        (answer,) = ask(models, {"text": "a" * 300_000}, token="s3cret")
        assert answer.status_code == 401


def test_a_server_that_ends_answers_what_it_has_and_refuses_the_rest(models, taggers):
    async def send():
        async with client_of(models) as client:
            accepted = [asyncio.create_task(client.post("/tag", json={"text": text})) for text in TEXTS]
            await asyncio.sleep(0.01)
            client.app.state.gate.draining = True
            late = await client.post("/tag", json={"text": "Maria"})
            return await asyncio.gather(*accepted), late, await client.get("/ready"), await client.get("/health")

    accepted, late, ready, health = asyncio.run(send())
    for text, answer in zip(TEXTS, accepted, strict=True):
        assert is_result_of(answer.json()["results"][0], taggers["ner"].tag_text(text))
    assert (late.status_code, late.json()["error"]["code"], late.headers["Retry-After"]) == (503, "draining", "1")
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})
    assert (health.status_code, health.json()) == (200, {"status": "ok"})


def test_no_text_is_in_logs_and_figures(models, caplog):
    caplog.set_level(logging.DEBUG)
    bodies = [{"text": "Geheim"}, {"words": ["Geheim", 1]}, {"Geheim": 1}, {"model": "Geheim", "text": "a"}]
    *answers, figures, _ = ask(models, *bodies, "/Geheim", "/metrics", "/health")
    assert [answer.status_code for answer in answers] == [200, 422, 422, 404, 404]
    assert "Geheim" not in figures.text
    assert 'hf_tagging_requests_total{path="other",status="404"} 1.0' in figures.text
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert not [message for message in ours if "Geheim" in message]


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    assert read_token(None) == ""
    monkeypatch.setenv("HF_TAGGING_SERVE_TOKEN", "of-environment")
    assert read_token(None) == "of-environment"
    file = tmp_path / "token.txt"
    for content, message in (("\n", "is empty; write the token into it"), ("a b", "no header can carry")):
        file.write_text(content)
        with pytest.raises(ConfigError, match=message):
            read_token(file)
    file.write_text("of-file\n")
    assert read_token(file) == "of-file"


@pytest.mark.failure_mode("serve-open")
def test_an_open_address_without_a_token_is_told(caplog):
    for host, token, is_told in (
        ("127.0.0.1", "", False),
        ("localhost", "", False),
        ("0.0.0.0", "s3cret", False),
        ("0.0.0.0", "", True),
    ):
        warn_if_open(host, token)
        assert ("0.0.0.0: anybody who reaches this address can use the models" in caplog.text) == is_told


def test_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/ner", "other/ner", "a=b"):
        (tmp_path / folder).mkdir(parents=True)
    given = ["runs/ner/", "pos=runs/pos", "user/tagger", "a=b"]
    assert named_models(given) == {"ner": "runs/ner/", "pos": "runs/pos", "tagger": "user/tagger", "a=b": "a=b"}
    with pytest.raises(ConfigError, match=r"runs/ner and other/ner have the name 'ner'\. Give another: NAME=other/ner"):
        named_models(["runs/ner", "other/ner"])


def test_five_hundred_random_requests_get_tags_or_a_reason(models, caplog):
    draw = random.Random(7)
    alphabet = [
        "a",
        "Porto",
        " ",
        "\n",
        "\0",
        "\x1b",
        "\u202e",
        "\u0301",
        "é",
        "葡",
        "\U0001f6a2",
        "\ufeff",
        '"',
        ".",
        "\r",
    ]

    def text():
        return "".join(draw.choices(alphabet, k=draw.choice([0, 1, 5, 20, 150])))

    def anything(depth=0):
        kinds = [text, lambda: None, lambda: draw.choice([0, -1, 1e308, 2**70, True, float("nan"), float("inf")])]
        if depth < 4:
            kinds += [
                lambda: [anything(depth + 1) for _ in range(draw.randrange(5))],
                lambda: {text(): anything(depth + 1) for _ in range(draw.randrange(3))},
            ]
        return draw.choice(kinds)()

    def body():
        valid = {"text": text()} if draw.random() < 0.5 else {"words": [text() for _ in range(draw.randrange(30))]}
        odd = {draw.choice(["text", "words", "model", "precision", "min_confidence", "x"]): anything()}
        value = draw.choice([valid, valid, valid | odd, odd, anything()])
        raw = json.dumps(value, ensure_ascii=draw.random() < 0.5).encode()
        if draw.random() < 0.3 and raw:  # damaged
            place = draw.randrange(len(raw))
            raw = draw.choice([raw[:place], raw[:place] + bytes([draw.randrange(256)]) + raw[place + 1 :]])
        return raw

    async def send():
        async with client_of(models) as client:
            return [
                await client.post("/tag", content=body(), headers={"Content-Type": "application/json"})
                for _ in range(500)
            ]

    answers = asyncio.run(send())
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 400, 404, 422}
    assert sum(answer.status_code == 200 for answer in answers) >= 100
    assert sum(answer.status_code != 200 for answer in answers) >= 100
    for answer in answers:
        assert ("results" in answer.json()) == (answer.status_code == 200)
    assert caplog.text == ""
