"""What the tests' Hub holds: repositories with their commits, uploaded blobs, faults to come, and a log."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import Any

TOKEN = "hf_OnlyForTheHubOfTheTests0123456789"
LARGE = (".safetensors", ".onnx", ".parquet", ".data")


@dataclass
class Repository:
    """Commits by their hash, each a whole tree; branches are names of commits."""

    name: str
    private: bool = False
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Makes these files the tree of a branch."""
        content = "".join(f"{n}{hashlib.sha1(c).hexdigest()}" for n, c in sorted(files.items()))
        sha = hashlib.sha1(f"{self.name}{len(self.history)}{content}".encode()).hexdigest()
        self.trees[sha], self.branches[branch] = dict(files), sha
        self.history.append(sha)
        return sha

    def find(self, revision: str) -> str | None:
        """The commit of a branch, or of its own hash."""
        return self.branches.get(revision) or (revision if revision in self.trees else None)

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        return self.trees[self.branches[branch]]


@dataclass
class Fault:
    """What goes wrong with the next `times` requests of a kind.

    Attributes:
        request: Expression that is searched for in "METHOD path".
        status: Answer this; None: cut the connection.
        after: Bytes of the body that come through before it is cut: of what is sent to the Hub or, of a GET, by it.
        answered: The work is done first, and only the answer is lost.
    """

    request: str
    status: int | None = None
    times: int = 1
    after: int = 0
    answered: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Hub:
    """The state of the server, and what was asked of it."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.blobs: dict[str, bytes] = {}  # by repository and hash
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.lock = threading.RLock()
        self.address = ""

    def add(self, kind: str, name: str, files: dict[str, bytes], branch: str = "main") -> Repository:
        """Puts files on a branch of a public repository; `kind` is models or datasets."""
        repository = self.repositories.setdefault((kind, name), Repository(name))
        repository.commit(files, branch)
        return repository

    def model(self, name: str) -> Repository:
        """A model repository that is there."""
        return self.repositories["models", name]

    def asked(self, pattern: str) -> int:
        """How many requests there were of a kind."""
        return sum(bool(re.search(pattern, line)) for line in self.log)

    def fault(self, line: str) -> Fault | None:
        """The fault that strikes this request, if any."""
        with self.lock:
            found = next((f for f in self.faults if f.times > 0 and re.search(f.request, line)), None)
            if found:
                found.times -= 1
            return found


def object_id(path: str, content: bytes) -> str:
    """What the Hub calls a file by: SHA-256 of a large one, and of any other the hash that git gives it."""
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry_of(path: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "oid": object_id(path, content)[:40], "size": len(content), "path": path}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": object_id(path, content), "size": len(content), "pointerSize": 130}
    return entry
