"""A tagger whose methods are awaited, for programs with an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec, TypeVar, overload

from hf_tagging.inference.cutting import Splitter
from hf_tagging.inference.tagged_text import TaggedText
from hf_tagging.inference.word_tagger import WordTagger

P = ParamSpec("P")
R = TypeVar("R")


class AsyncTagger:
    """Tagger whose methods are awaited, while the event loop goes on.

        async with AsyncTagger(tagger) as tagger:
            one, other = await asyncio.gather(tagger.tag_text("Jordan waved."), tagger.tag_text("Maria left."))

    One thread of its own runs the model, for one call after the other, so any number of calls may be awaited at once. A
    call that is cancelled while it waits for its turn is not run. Many texts at once are faster with `tag_texts`.

    Args:
        tagger: The tagger; not to be used elsewhere meanwhile.
    """

    def __init__(self, tagger: WordTagger):
        self.tagger = tagger
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hf_tagging")

    async def __aenter__(self) -> AsyncTagger:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Wait for the calls that are not done, and end the thread."""
        await asyncio.to_thread(self._thread.shutdown)

    @overload
    async def tag(self, words: list[str]) -> list[str]: ...
    @overload
    async def tag(self, words: list[list[str]]) -> list[list[str]]: ...
    async def tag(self, words: list[str] | list[list[str]]) -> list[str] | list[list[str]]:
        """Tag one sentence or many; see `Tagger.tag`."""
        return await self._run(self.tagger.tag, words)

    @overload
    async def tag_with_scores(self, words: list[str]) -> list[tuple[str, float]]: ...
    @overload
    async def tag_with_scores(self, words: list[list[str]]) -> list[list[tuple[str, float]]]: ...
    async def tag_with_scores(
        self, words: list[str] | list[list[str]]
    ) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
        """Tag one sentence or many, with probabilities; see `Tagger.tag_with_scores`."""
        return await self._run(self.tagger.tag_with_scores, words)

    async def tag_text(
        self, text: str, *, splitter: str | Splitter | None = None, split_sentences: bool = True
    ) -> TaggedText:
        """Tag a text; see `Tagger.tag_text`."""
        return await self._run(self.tagger.tag_text, text, splitter=splitter, split_sentences=split_sentences)

    async def tag_texts(
        self, texts: Iterable[str], *, splitter: str | Splitter | None = None, split_sentences: bool = True
    ) -> list[TaggedText]:
        """Tag texts, with sentences of many texts in a batch, and return all results; see `Tagger.tag_texts`."""

        def tag() -> list[TaggedText]:
            return list(self.tagger.tag_texts(texts, splitter=splitter, split_sentences=split_sentences))

        return await self._run(tag)

    async def _run(self, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(function, *args, **options))
