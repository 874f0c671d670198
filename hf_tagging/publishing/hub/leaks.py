"""A search for keys, tokens and local paths in files that are about to be published."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from huggingface_hub import get_token

from hf_tagging.errors import ModelError, OutputError

if TYPE_CHECKING:
    from hf_tagging.publishing.hub.bundle import Content

# Patterns of keys; each is long enough that no word of a corpus matches by chance.
_KEYS = {
    "a Hugging Face token": r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}\b",
    "a GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_[A-Za-z0-9_]{30,}\b",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{20,}",
    "an AWS key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{20,}",
    "an API key": r"\bsk-[A-Za-z0-9_-]{24,}",
    "a PyPI token": r"\bpypi-[A-Za-z0-9_-]{40,}",
    "a web token": r"\beyJ[A-Za-z0-9_-]{12,}\.eyJ[A-Za-z0-9_-]{12,}",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a password in an address": r"\b[a-z][a-z0-9+.-]{0,20}://[^\s/:@\"']+:[^\s/:@\"'*]{3,}@",
}
_ESCAPE = r"(?<=\\[bfnrt])"  # an escaped line end in JSON, whose letter is not part of the next word
_START = rf"(?:\b|{_ESCAPE})"
_KEY = re.compile("|".join(rf"(?P<k{i}>{kind})" for i, kind in enumerate(_KEYS.values())).replace(r"\b", _START))
_SECRET_NAME = re.compile(r"(?:TOKEN|SECRET|PASSWORD|KEY)$", re.IGNORECASE)
_LEAST_SECRET = 12  # characters; shorter values may be ordinary words
# Not the middle of a word, an address or a relative path.
_BEFORE = rf"(?:(?<![\w./\\~-])|(?<=file://)|{_ESCAPE})"
_HOME = re.compile(
    _BEFORE + r"(?:/home/[^\s/\"'<>]+|/Users/[^\s/\"'<>]+|/root(?![\w-])|[A-Za-z]:\\{1,2}Users\\{1,2}[^\s\\\"'<>]+)"
)
# Files with words of a corpus, which may look like paths: only paths of this machine are searched for.
_OF_WORDS = {".conll", ".html", ".txt"}
_VOCABULARIES = {"tokenizer.json", "vocab.json", "merges.txt"}
_PREDICTIONS = "predictions"
_BINARY = {".safetensors", ".onnx", ".data", ".model", ".bin"}
_MOST_SHOWN = 10


class Leak(NamedTuple):
    """A secret or a path that was found: its place, its kind and its beginning."""

    file: str
    line: int
    kind: str
    shown: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.kind} ({self.shown})"


def is_text(name: str) -> bool:
    """Return True for text files; binary ones are not searched."""
    return PurePosixPath(name).suffix not in _BINARY


def refuse_leaks(folder: Path, files: Mapping[str, Content], token: str | None = None) -> None:
    """Search all files that are about to be published.

    Args:
        folder: Folder of the files.
        files: Files by their name in the repository.
        token: Token to search for, besides those of this machine.

    Raises:
        OutputError: If one of them contains a secret or a path of this machine.
        ModelError: If one of them cannot be read.
    """
    folders, secrets = own_folders(folder), own_secrets(token, get_token())
    found: list[Leak] = []
    for name, content in files.items():
        if is_text(name):
            found += find_leaks(name, _read(content), folders=folders, secrets=secrets)
    if found:
        lines = [f"  {leak}" for leak in found[:_MOST_SHOWN]]
        rest = [f"  and {len(found) - _MOST_SHOWN:,} more"] if len(found) > _MOST_SHOWN else []
        raise OutputError(
            "\n".join([f"{folder}: was not published, because others would see in it", *lines, *rest])
            + "\nRemove them from these files and try again; a key that was written to a file should be revoked."
        )


def _read(content: Content) -> bytes:
    if isinstance(content, bytes):
        return content
    try:
        return content.read_bytes()
    except OSError as error:
        raise ModelError(f"{content}: cannot be read ({error.strerror}).") from error


def find_leaks(name: str, content: bytes, *, folders: Iterable[Path], secrets: Iterable[str]) -> list[Leak]:
    """Search one file line by line.

    Args:
        name: Name of the file; it decides which patterns are used.
        content: Content of the file.
        folders: Folders whose paths must not be in it, besides home folders, which are recognised.
        secrets: Values that must not be in it, besides keys, which are recognised.
    """
    looks = [] if _is_of_words(PurePosixPath(name)) else [_HOME]
    local, values = [_exactly(folders), *looks], sorted(set(secrets))
    found = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").split("\n"), start=1):
        found += [Leak(name, number, kind, f"{text[:6]}…") for kind, text in _keys(line, values)]
        for pattern in local:
            found += [Leak(name, number, "a path of this machine", match[0][:40]) for match in pattern.finditer(line)]
    return found


def _is_of_words(path: PurePosixPath) -> bool:
    return path.suffix in _OF_WORDS or path.name in _VOCABULARIES or path.parts[:1] == (_PREDICTIONS,)


def _keys(line: str, values: list[str]) -> Iterator[tuple[str, str]]:
    kinds, known = list(_KEYS), []
    for match in _KEY.finditer(line):
        known.append(match[0])
        yield kinds[int(str(match.lastgroup)[1:])], match[0]
    for value in values:
        if value in line and not any(value in key or key in value for key in known):
            yield "a secret of this machine", value


def _exactly(folders: Iterable[Path]) -> re.Pattern[str]:
    """Return a pattern for these folders and their content; short ones such as `/` would match too much."""
    names = {str(folder) for folder in folders if len(folder.parts) > 2}
    names |= {name.replace("\\", "\\\\") for name in names}  # as JSON writes them
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(f"{_BEFORE}(?:{either})(?![\\w-])" if either else r"(?!)")


def own_folders(folder: Path) -> list[Path]:
    """Return local paths to search for: the folder, the working directory and the home."""
    found = [folder.absolute(), folder.resolve(), Path.cwd()]
    with contextlib.suppress(RuntimeError):  # a user without one
        found.append(Path.home())
    return found


def own_secrets(*given: str | None) -> set[str]:
    """Return secret values: environment variables with such names, and the given ones."""
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    long = {value for value in {*named, *given} if value and len(value) >= _LEAST_SECRET}
    return {value for value in long if not os.path.exists(value)}  # unlike Path.exists, of a name of any length
