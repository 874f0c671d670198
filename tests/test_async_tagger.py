"""A tagger whose methods are awaited: the event loop goes on, and results are those of the tagger."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tiny_models import tiny_bert

from hf_tagging import Tagger, TaggingError
from hf_tagging.inference import AsyncTagger

TEXTS = ["Jordan will book a table.", "Maria waved. She left.", "", "The chef from Lisbon loves her book."] * 3
WORDS = [["Jordan", "waved", "."], [], ["Maria"]]
WAIT = 60


@pytest.fixture(scope="module")
def tagger(tmp_path_factory):
    return Tagger.from_pretrained(str(tiny_bert(tmp_path_factory.mktemp("model"))), device="cpu")


@pytest.fixture
def held(tagger, monkeypatch):
    """A tagger that stays in the middle of a call until it is let go on."""
    reached, go_on, calls = threading.Event(), threading.Event(), []
    label = tagger.label

    def waiting(*args, **options):
        calls.append(args)
        reached.set()
        assert go_on.wait(WAIT)
        return label(*args, **options)

    monkeypatch.setattr(tagger, "label", waiting)
    yield reached, go_on, calls
    go_on.set()


def test_calls_awaited_at_once_give_the_results_of_the_tagger(tagger):
    async def all_at_once():
        async with AsyncTagger(tagger) as waiting:
            one_by_one = await asyncio.gather(*map(waiting.tag_text, TEXTS), *map(waiting.tag, WORDS))
            options = {"splitter": "characters", "split_sentences": False}
            return (
                one_by_one,
                await waiting.tag_texts(TEXTS),
                await waiting.tag_with_scores(WORDS),
                (await waiting.tag_text(TEXTS[0], **options), (await waiting.tag_texts(TEXTS[:1], **options))[0]),
            )

    one_by_one, together, scored, cut = asyncio.run(all_at_once())
    assert one_by_one == [*map(tagger.tag_text, TEXTS), *map(tagger.tag, WORDS)]
    assert together == list(tagger.tag_texts(TEXTS))
    assert scored == tagger.tag_with_scores(WORDS)
    assert cut[0] == cut[1] == tagger.tag_text(TEXTS[0], splitter="characters", split_sentences=False)


def test_the_loop_goes_on_meanwhile(tagger, held):
    reached, go_on, _ = held

    async def tick_until_reached():
        async with AsyncTagger(tagger) as waiting:
            call, ticks = asyncio.create_task(waiting.tag(WORDS)), 0
            while not reached.is_set() or ticks < 100:
                await asyncio.sleep(0)
                ticks += 1
            assert not call.done()  # the model is in the middle of it
            go_on.set()
            return await call

    assert asyncio.run(asyncio.wait_for(tick_until_reached(), WAIT)) == tagger.tag(WORDS)


def test_a_call_that_is_cancelled_in_its_turn_is_not_run(tagger, held):
    reached, go_on, calls = held

    async def cancel_the_second():
        async with AsyncTagger(tagger) as waiting:
            first, second = asyncio.create_task(waiting.tag(WORDS)), asyncio.create_task(waiting.tag(WORDS))
            await asyncio.to_thread(reached.wait, WAIT)
            second.cancel()
            await asyncio.sleep(0)
            go_on.set()
            return await asyncio.gather(first, second, return_exceptions=True)

    tags, cancelled = asyncio.run(cancel_the_second())
    assert tags == tagger.tag(WORDS)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert len(calls) == 2  # the first, and the one above


def test_errors_are_those_of_the_tagger(tagger):
    async def wrong():
        async with AsyncTagger(tagger) as waiting:
            with pytest.raises(TaggingError, match=r"a text goes to Tagger\.tag_text"):
                await waiting.tag("Jordan")
            with pytest.raises(TaggingError, match="text 1 is a int"):
                await waiting.tag_texts(["Jordan", 1])
            return await waiting.tag(["Jordan"])

    assert asyncio.run(wrong()) == tagger.tag(["Jordan"])


def test_its_thread_ends_when_it_is_closed(tagger):
    def threads():
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("hf_tagging")]

    async def use():
        async with AsyncTagger(tagger) as waiting:
            await waiting.tag(["Jordan"])
            assert len(threads()) == 1
        with pytest.raises(RuntimeError, match="after shutdown"):
            await waiting.tag(["Jordan"])

    asyncio.run(use())
    assert threads() == []
