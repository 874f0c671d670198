"""What must not leave this machine with a model: keys and tokens, and the paths of its own folders."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

# Shapes by which keys are known; each is long enough that no word of a corpus is one by chance.
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
_KEY = re.compile("|".join(f"(?P<k{i}>{pattern})" for i, pattern in enumerate(_KEYS.values())))
_SECRET_NAME = re.compile(r"(?:TOKEN|SECRET|PASSWORD|KEY)$", re.IGNORECASE)
_LEAST_SECRET = 12  # letters of a value that is looked for by itself: shorter ones are words
_BEFORE = r"(?:(?<![\w./\\~-])|(?<=file://))"  # not the middle of a word, an address or a relative path
_HOME = re.compile(
    _BEFORE + r"(?:/home/[^\s/\"'<>]+|/Users/[^\s/\"'<>]+|/root(?![\w-])|[A-Za-z]:\\{1,2}Users\\{1,2}[^\s\\\"'<>]+)"
)
# Words of a corpus stand in these: any may look like a path, so only the paths that this machine has are looked for.
_OF_WORDS = {".conll", ".html", ".txt"}
_VOCABULARIES = {"tokenizer.json", "vocab.json", "words.json", "merges.txt"}
_BINARY = {".safetensors", ".onnx", ".data", ".model", ".bin"}


class Leak(NamedTuple):
    """Something found: where, what it is, and its beginning."""

    file: str
    line: int
    kind: str
    shown: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.kind} ({self.shown})"


def is_text(name: str) -> bool:
    """Whether a file can be looked through; those of numbers cannot, and are large."""
    return PurePosixPath(name).suffix not in _BINARY


def find_leaks(name: str, content: bytes, *, folders: Iterable[Path], secrets: Iterable[str]) -> list[Leak]:
    """Looks through one file, line by line.

    Args:
        name: Of the file; it decides what is looked for.
        content: All of it.
        folders: Whose paths must not be in it, beside the home folders that are known by their look.
        secrets: Values that must not be in it, beside the keys that are known by their look.
    """
    path = PurePosixPath(name)
    looks = [] if path.suffix in _OF_WORDS or path.name in _VOCABULARIES else [_HOME]
    local, values = [_exactly(folders), *looks], sorted(set(secrets))
    found = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").split("\n"), start=1):
        found += [Leak(name, number, kind, f"{text[:6]}…") for kind, text in _keys(line, values)]
        for pattern in local:
            found += [Leak(name, number, "a path of this machine", match[0][:40]) for match in pattern.finditer(line)]
    return found


def _keys(line: str, values: list[str]) -> Iterator[tuple[str, str]]:
    kinds = list(_KEYS)
    for match in _KEY.finditer(line):
        yield kinds[int(str(match.lastgroup)[1:])], match[0]
    for value in values:
        if value in line and not _KEY.search(value):
            yield "a secret of this machine", value


def _exactly(folders: Iterable[Path]) -> re.Pattern[str]:
    """Finds these folders and what lies in them; of short ones, the root of a disk for one, too much would be found."""
    names = {str(folder) for folder in folders if len(folder.parts) > 2}
    names |= {name.replace("\\", "\\\\") for name in names}  # as JSON writes them
    either = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(f"{_BEFORE}(?:{either})(?![\\w-])" if either else r"(?!)")


def own_folders(folder: Path) -> list[Path]:
    """Paths that give away whose machine this is: the folder's own, the working folder and the home."""
    found = [folder.absolute(), folder.resolve(), Path.cwd()]
    with contextlib.suppress(RuntimeError):  # a user without one
        found.append(Path.home())
    return found


def own_secrets(*given: str | None) -> set[str]:
    """Values of the environment whose names say that they are secret, and those that are given."""
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    return {value for value in {*named, *given} if value and len(value) >= _LEAST_SECRET and not Path(value).exists()}
