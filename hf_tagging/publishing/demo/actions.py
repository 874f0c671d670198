"""Actions of the demo, without the page around them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from hf_tagging.errors import ConfigError, DataError, TaggingError
from hf_tagging.inference.explaining import Explanation
from hf_tagging.inference.files import tag_file
from hf_tagging.inference.tagged_text import TaggedText
from hf_tagging.problems import labels, spelled
from hf_tagging.publishing.demo.page import Answer, answers_page, error_note, explanations_page, file_note, hues_of

if TYPE_CHECKING:
    from hf_tagging.inference.tagger import Tagger

MOST_CHARACTERS = 200_000  # of a text; longer ones are uploaded as files
MOST_BYTES = 5 * 2**20  # of a file
MOST_EXPLAINED = 200  # words of a sentence, which is tagged once for each of them
_PREVIEW_LINES, _PREVIEW_WIDTH = 12, 300
# Arguments as the page calls them; what it has not, `hf-tagging predict` has.
_OF_PREDICT = ("tokens_column", "text_column", "separator", "splitter")
_LABELS = labels({"format": "the format"} | {name: f"{name} (of hf-tagging predict)" for name in _OF_PREDICT})


class DemoActions:
    """Tag texts and files for the page.

    Args:
        taggers: Taggers by the names on the page.
    """

    def __init__(self, taggers: Mapping[str, Tagger]):
        if not taggers:
            raise ConfigError("build_demo: no tagger was given.")
        self.taggers = dict(taggers)
        self._hues = hues_of(tagger.schema for tagger in self.taggers.values())

    def show_text(self, text: str | None, names: Sequence[str] | None) -> str:
        """Tag a text with one or more taggers.

        Args:
            text: The text.
            names: Names of the taggers. Default: all.

        Returns:
            HTML: the results side by side, or an error message.
        """
        try:
            chosen = list(self.taggers) if names is None else list(names)
            if not chosen:
                raise ConfigError("No model is selected: tick at least one.")
            answers = [self._tagged(text, name) for name in chosen]
        except TaggingError as error:
            return error_note(str(error))
        return answers_page(self._compared(chosen, answers), self._hues)

    def explain_word(self, text: str | None, word: str | None, names: Sequence[str] | None) -> str:
        """Explain the tag of a word, by one or more taggers.

        Args:
            text: The text.
            word: One of its words; the first place where it occurs counts.
            names: Names of the taggers. Default: all.

        Returns:
            HTML: the word's sentence as a heat line for each tagger, or an error message.
        """
        try:
            chosen = list(self.taggers) if names is None else list(names)
            return explanations_page({name: self._explained(text, (word or "").strip(), name) for name in chosen})
        except TaggingError as error:
            return error_note(str(error))

    def tag(self, text: str, model: str = "") -> dict[str, object]:
        """Tag a text for the HTTP API.

        Args:
            text: The text.
            model: Name of the tagger. Default: the first.

        Returns:
            ``model``, ``words`` with offsets, tags and scores, and ``entities``, as JSON.

        Raises:
            TaggingError: If the text has no words or is too long, or the tagger does not exist.
        """
        name = model or next(iter(self.taggers))
        found = self._tagged(text, name).to_dict()
        return {"model": name, "words": found["words"], "entities": found["entities"]}

    def show_file(
        self, path: str | None, pasted: str | None, format: str | None, name: str, folder: Path
    ) -> tuple[str, Path | None]:
        """Tag an uploaded file, or pasted content.

        Args:
            path: Uploaded file; it wins over pasted content.
            pasted: Content of a file.
            format: One of `FORMATS`. Default: detected automatically.
            name: Name of the tagger.
            folder: Folder for the tagged file, which gets a subfolder of its own.

        Returns:
            HTML, a summary or an error message; and the tagged file, None on errors.
        """
        own = folder / f"tagged-{secrets.token_hex(8)}"
        own.mkdir(parents=True)
        source = _pasted_file(pasted or "", own) if path is None else Path(path)
        target = own / "tagged"
        try:
            with spelled(_LABELS):
                counts = tag_file(self._tagger(name), _checked(source), target, format=format or None)
            if not counts.words:
                raise DataError(f"{source}: there are no words in it.")
            tagged = target.rename(own / _name_of_tagged(source, target))
        except TaggingError as error:
            for leftover in own.iterdir():
                leftover.unlink()
            own.rmdir()
            return error_note(_for_page(str(error), source)), None
        if path is None:
            source.unlink()
        return file_note(counts.sentences, counts.words, tagged.name, _beginning(tagged)), tagged

    def _tagger(self, name: str) -> Tagger:
        if name not in self.taggers:
            raise ConfigError(f"There is no model {name!r:.80} here; there is {', '.join(self.taggers)}.")
        return self.taggers[name]

    def _tagged(self, text: str | None, name: str) -> TaggedText:
        tagged = self._tagger(name).tag_text(_checked_text(text))
        if not tagged.words:
            raise DataError("The text has no words.")
        return tagged

    def _explained(self, text: str | None, word: str, name: str) -> Explanation:
        tagger = self._tagger(name)
        sentence = next((found for found in tagger.cutter()(_checked_text(text)).sentences if word in found), None)
        if sentence is None:
            raise DataError(f"{word!r:.80} is not a word of the text. Type one of its words as it is written there.")
        if len(sentence) > MOST_EXPLAINED:
            raise DataError(
                f"The sentence has {len(sentence):,} words; expected at most {MOST_EXPLAINED}. Shorten the text."
            )
        return tagger.explain(list(sentence), list(sentence).index(word))

    def _compared(self, names: Sequence[str], tagged: Sequence[TaggedText]) -> list[Answer]:
        """Return answers with the words that taggers with the same tags have both, and tag otherwise."""
        answers = []
        for name, text in zip(names, tagged, strict=True):
            schema = self.taggers[name].schema
            others = [
                _tags(other)
                for other_name, other in zip(names, tagged, strict=True)
                if set(self.taggers[other_name].schema.tags) == set(schema.tags)
            ]
            own = _tags(text)
            differing = frozenset(
                i for i, (place, tag) in enumerate(own.items()) if any(other.get(place, tag) != tag for other in others)
            )
            answers.append(Answer(name, text, schema, differing))
        return answers


def _checked_text(text: str | None) -> str:
    if len(text or "") > MOST_CHARACTERS:
        raise DataError(
            f"The text has {len(text or ''):,} characters; expected at most {MOST_CHARACTERS:,}. Tag it as a file."
        )
    return (text or "").encode("utf-8", "replace").decode()  # JSON can spell half a character


def _tags(text: TaggedText) -> dict[tuple[int, int], str]:
    """Return the tag of each word by its place: taggers may cut a text into other words."""
    return {(word.start, word.end): word.tag for word in text.words}


def _pasted_file(content: str, folder: Path) -> Path:
    """Write pasted content to a file, with the suffix of JSON Lines if its first line is an object."""
    first = next((line for line in content.splitlines() if line.strip()), "")
    file = folder / ("pasted.jsonl" if _is_object(first) else "pasted.txt")
    file.write_text(content, encoding="utf-8", errors="replace", newline="")
    return file


def _checked(source: Path) -> Path:
    size = source.stat().st_size if source.is_file() else 0
    if size == 0:
        raise DataError("There is nothing to tag: choose a file that is not empty, or paste its content.")
    if size > MOST_BYTES:
        raise DataError(
            f"{source} has {size:,} bytes; expected at most {MOST_BYTES:,}. Use hf-tagging predict "
            "on your machine for larger files."
        )
    return source


def _for_page(message: str, source: Path) -> str:
    """Return an error's text without a folder of the server."""
    return message.replace(str(source), source.name)


def _name_of_tagged(source: Path, tagged: Path) -> str:
    """Return the source's name with ``.tagged`` in it, and the suffix of JSON Lines for tagged text."""
    with open(tagged, encoding="utf-8") as file:
        is_json = _is_object(file.readline())
    suffix = ".jsonl" if is_json and source.suffix.lower() not in (".jsonl", ".ndjson", ".json") else source.suffix
    return f"{source.stem}.tagged{suffix}"


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _beginning(file: Path) -> str:
    with open(file, encoding="utf-8") as stream:
        lines = [line.rstrip("\n") for line in islice(stream, _PREVIEW_LINES + 1)]
    shown = [line if len(line) <= _PREVIEW_WIDTH else line[:_PREVIEW_WIDTH] + "…" for line in lines[:_PREVIEW_LINES]]
    return "\n".join(shown + ["…"] * (len(lines) > _PREVIEW_LINES))
