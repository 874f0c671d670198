"""A small Hub on loopback, for the real client: repositories, uploads, commits, downloads, and faults on demand.

It answers what huggingface_hub, transformers and datasets ask of https://huggingface.co when they push a model and load
models and data sets; the forms are those that the client reads and writes. Storage is memory. Xet is not spoken
(HF_HUB_DISABLE_XET=1).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_state import LARGE, TOKEN, Hub, Repository, entry_of, object_id

_PIECE = 1000  # bytes: a body is cut at the end of one
_DATE = "2026-01-01T00:00:00.000Z"


@contextmanager
def hub_on_loopback() -> Iterator[Hub]:
    """Starts a Hub and stops it."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Refusal(Exception):
    def __init__(self, status: int, message: str, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


class _Lost(Exception):
    """The connection is to be cut, now."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        # A slash within a branch's name is quoted.
        self.words = [unquote(word) for word in parts.path.strip("/").split("/")]
        self.query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        line = f"{self.command} {unquote(parts.path)}"
        self.hub.log.append(line)
        self.fault = self.hub.fault(line)
        try:
            self.body = self._read()
            if self.fault and self.fault.status:
                raise _Refusal(self.fault.status, "as the test wants it")
            self._answer()
        except _Refusal as refusal:
            headers = {"X-Error-Message": str(refusal), **(self.fault.headers if self.fault else {})}
            self._send_json({"error": str(refusal)}, refusal.status, headers | {"X-Error-Code": refusal.code})
        except _Lost:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    def _read(self) -> bytes:
        fault, body = self.fault, b""
        is_cut = fault and not fault.status and not fault.answered and self.command in ("POST", "PUT")
        for part in self._parts():
            body += part
            if is_cut and fault and len(body) >= fault.after:
                raise _Lost
        if is_cut:
            raise _Lost
        return body

    def _parts(self) -> Iterator[bytes]:
        """What is sent, piece by piece."""
        yield b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            yield self.rfile.read(min(left, _PIECE))
            left -= min(left, _PIECE)

    def _answer(self) -> None:
        match self.words:
            case ["api", "whoami-v2"]:
                self._owner()
                self._send_json({"name": "user", "type": "user", "auth": {"accessToken": {"role": "write"}}})
            case ["api", "validate-yaml"]:
                self._validate()
            case ["api", "repos", "create"]:
                self._create()
            case ["api", ("models" | "datasets") as kind, owner, name, *rest]:
                self._api(self._repository(kind, f"{owner}/{name}"), kind, rest)
            case [owner, name, "info", "lfs", "objects", "batch"]:
                self._batch(self._repository("models", f"{owner}/{name.removesuffix('.git')}"))
            case ["lfs", owner, name, oid]:
                self._upload(f"{owner}/{name}/{oid}")
            case ["datasets", owner, name, "resolve", revision, *path]:
                self._resolve(self._repository("datasets", f"{owner}/{name}"), revision, "/".join(path))
            case [owner, name, "resolve", revision, *path]:
                self._resolve(self._repository("models", f"{owner}/{name}"), revision, "/".join(path))
            case _:
                raise _Refusal(404, f"the tests' Hub does not know {self.path}")

    # Who may do what.

    def _token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def _owner(self) -> None:
        if self._token() != TOKEN:
            raise _Refusal(401, "Invalid username or password.")

    def _writer(self, repository: Repository) -> None:
        self._owner()
        if not repository.name.startswith("user/"):
            raise _Refusal(403, "You need write access to this repository.")

    def _repository(self, kind: str, name: str) -> Repository:
        found = self.hub.repositories.get((kind, name))
        if found is None or (found.private and self._token() != TOKEN):
            raise _Refusal(404 if self._token() == TOKEN else 401, "Repository not found", "RepoNotFound")
        return found

    def _commit_of(self, repository: Repository, revision: str) -> str:
        sha = repository.find(revision)
        if sha is None:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    # Writing.

    def _create(self) -> None:
        self._owner()
        asked = json.loads(self.body)
        owner = asked.get("organization") or "user"
        if owner != "user":
            raise _Refusal(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
        name, kind = f"{owner}/{asked['name']}", f"{asked.get('type') or 'model'}s"
        with self.hub.lock:
            there = (kind, name) in self.hub.repositories
            if not there:
                made = Repository(name, private=asked.get("visibility") == "private" or bool(asked.get("private")))
                made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
                self.hub.repositories[kind, name] = made
        answer = {"url": f"{self.hub.address}/{name}", "name": name}
        self._send_json(
            answer | ({"error": "You already created this model repo"} if there else {}), 409 if there else 200
        )

    def _validate(self) -> None:
        text = json.loads(self.body)["content"]
        try:
            front = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
            yaml.safe_load(front[1] if front else "")
            self._send_json({"errors": [], "warnings": []})
        except yaml.YAMLError as error:
            self._send_json({"errors": [{"message": str(error)}], "warnings": []}, 400)

    def _api(self, repository: Repository, kind: str, rest: list[str]) -> None:
        match rest:
            case [] | ["revision", _]:
                self._send_json(self._info(repository, rest[1] if rest else "main"))
            case ["tree", revision, *path]:
                self._tree(repository, revision, "/".join(path))
            case ["paths-info", revision]:
                self._paths(repository, revision)
            case ["refs"]:
                self._refs(repository)
            case ["auth-check", "write"]:
                self._writer(repository)
                self._send_json({})
            case ["branch", branch]:
                self._writer(repository)
                there = branch in repository.branches
                repository.branches.setdefault(branch, repository.branches["main"])
                self._send_json({"error": "Reference already exists"} if there else {}, 409 if there else 201)
            case ["preupload", revision]:
                self._preupload(repository, revision)
            case ["commit", branch]:
                self._commit(repository, branch)
            case _:
                raise _Refusal(404, f"the tests' Hub does not know {self.path} of {kind}")

    def _preupload(self, repository: Repository, revision: str) -> None:
        self._writer(repository)
        there = repository.trees[self._commit_of(repository, revision)]
        answers = []
        for file in json.loads(self.body)["files"]:
            large = file["path"].endswith(LARGE)
            oid = object_id(file["path"], there[file["path"]]) if file["path"] in there else None
            mode = "lfs" if large else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self._send_json({"files": answers})

    def _batch(self, repository: Repository) -> None:
        self._writer(repository)
        objects: list[dict[str, Any]] = json.loads(self.body)["objects"]
        for item in objects:
            key = f"{repository.name}/{item['oid']}"
            if key not in self.hub.blobs:
                item["actions"] = {"upload": {"href": f"{self.hub.address}/lfs/{key}"}}
        self._send_json({"transfer": "basic", "objects": objects}, content_type="application/vnd.git-lfs+json")

    def _upload(self, key: str) -> None:
        if not key.endswith(f"/{hashlib.sha256(self.body).hexdigest()}"):
            raise _Refusal(422, "not the object that was announced")
        self.hub.blobs[key] = self.body
        self._send_json({})

    def _commit(self, repository: Repository, branch: str) -> None:
        self._writer(repository)
        files = dict(repository.trees[self._commit_of(repository, branch)])
        for item in map(json.loads, self.body.splitlines()):
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[f"{repository.name}/{value['oid']}"]
            elif item["key"] == "deletedFile" and files.pop(value["path"], None) is None:
                raise _Refusal(404, "A file with this name doesn't exist", "EntryNotFound")
        sha = repository.commit(files, branch)
        address = f"{self.hub.address}/{repository.name}/commit/{sha}"
        self._send_json({"commitUrl": address, "commitOid": sha, "hookOutput": "", "success": True})

    # Reading.

    def _info(self, repository: Repository, revision: str) -> dict[str, Any]:
        sha = self._commit_of(repository, revision)
        named = {"id": repository.name, "author": "user", "sha": sha, "private": repository.private, "gated": False}
        dates = {"lastModified": _DATE, "createdAt": _DATE, "disabled": False, "downloads": 0, "likes": 0}
        return named | dates | {"tags": [], "siblings": [{"rfilename": name} for name in repository.trees[sha]]}

    def _tree(self, repository: Repository, revision: str, folder: str) -> None:
        sha = self._commit_of(repository, revision)
        below = f"{folder}/" if folder else ""
        names = [name for name in repository.trees[sha] if name.startswith(below)]
        if folder and not names:
            raise _Refusal(404, f"{folder} does not exist on {revision}", "EntryNotFound")
        entries = {}
        for name in names:
            parts = name.removeprefix(below).split("/")
            for depth in range(1, len(parts)):
                if depth == 1 or self.query.get("recursive") in ("true", "True", "1"):
                    path = below + "/".join(parts[:depth])
                    entries[path] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
            if len(parts) == 1 or self.query.get("recursive") in ("true", "True", "1"):
                entries[name] = entry_of(name, repository.trees[sha][name])
        self._send_json(list(entries.values()))

    def _paths(self, repository: Repository, revision: str) -> None:
        files = repository.trees[self._commit_of(repository, revision)]
        if self.headers.get("Content-Type", "").startswith("application/json"):
            asked = json.loads(self.body)["paths"]
        else:
            asked = parse_qs(self.body.decode())["paths"]
        found: list[dict[str, Any]] = []
        for path in asked:
            if path in files:
                found.append(entry_of(path, files[path]))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        self._send_json(found)

    def _refs(self, repository: Repository) -> None:
        refs: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
        for name, sha in repository.branches.items():
            place = "converts" if name.startswith("refs/convert/") else "branches"
            ref = name if place == "converts" else f"refs/heads/{name}"
            refs[place].append({"name": name.removeprefix("refs/convert/"), "ref": ref, "targetCommit": sha})
        self._send_json(refs)

    def _resolve(self, repository: Repository, revision: str, path: str) -> None:
        sha = self._commit_of(repository, revision)
        content = repository.trees[sha].get(path)
        headers = {"X-Repo-Commit": sha, "Accept-Ranges": "bytes"}
        if content is None:
            said = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "no such file"}
            return self._send_json({}, 404, headers | said)
        headers |= {"ETag": f'"{object_id(path, content)}"', "X-Linked-Size": str(len(content))}
        status, whole = 200, len(content)
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted:
            start, end = int(wanted[1]), int(wanted[2] or whole - 1)
            content, status = content[start : end + 1], 206
            headers["Content-Range"] = f"bytes {start}-{min(end, whole - 1)}/{whole}"
        self._send(content, status, "application/octet-stream", headers)

    # The answer.

    def _send_json(
        self,
        content: Any,
        status: int = 200,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
    ) -> None:
        self._send(json.dumps(content).encode(), status, content_type, headers or {})

    def _send(self, content: bytes, status: int, content_type: str, headers: dict[str, str]) -> None:
        lost = self.fault is not None and not self.fault.status
        if lost and self.command == "POST":
            raise _Lost  # what was asked for is done
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Length": str(len(content)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: self.fault.after] if lost and self.fault else content)
        if lost:
            self.wfile.flush()
            time.sleep(0.05)
            raise _Lost
