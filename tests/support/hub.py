"""A hub of models on loopback: what of its protocol the client and transformers use."""

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

Access = Literal["all", "private", "gated"]
"""Who may read a model; a private or gated one only with `SECRET`."""

Break = Literal["close", "reset"]
"""How a connection ends in the middle of a file: the server closes it, or the network cuts it."""

SECRET = "hf_secret"
"""The token that may read private models."""


def commit_named(text: str) -> str:
    """A commit's name: 40 hexadecimal digits."""
    return hashlib.sha1(text.encode()).hexdigest()


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder by name, as a commit holds them."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@dataclass
class Model:
    """A repository of a model."""

    commits: dict[str, Mapping[str, bytes]]
    """Files by commit."""
    refs: dict[str, str]
    """Branches and tags: their commits."""
    access: Access = "all"

    @classmethod
    def of(cls, files: Mapping[str, bytes], access: Access = "all") -> "Model":
        """A model of one commit."""
        commit = commit_named(repr(sorted(files)))
        return cls({commit: files}, {"main": commit}, access)

    def commit(self, revision: str) -> str | None:
        """The commit of a revision."""
        known = self.refs.get(revision, revision)
        return known if known in self.commits else None


@dataclass
class Hub:
    """What a server has and how it behaves; may change while it runs."""

    models: dict[str, Model] = field(default_factory=dict)
    breaks: dict[str, list[Break]] = field(default_factory=dict)
    """By file: how its next downloads end half-way, one after the other."""
    takes_ranges: bool = True
    """Whether a download can be resumed."""
    asked: list[str] = field(default_factory=list)
    """Methods and paths, in order."""
    ranges: list[str] = field(default_factory=list)
    """The ranges that were asked for."""
    endpoint: str = ""
    """Its address."""

    def downloads(self, file: str) -> int:
        """How often a file was downloaded, or begun to be."""
        return sum(line.startswith("GET ") and line.endswith(f"/{file}") for line in self.asked)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub on a free port of loopback."""

    class Handler(_Handler):
        pass

    Handler.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        is_api = path.startswith("/api/models/")
        name, model, rest = self._found(path.removeprefix("/api/models" if is_api else ""))
        if model is None:
            # To strangers the hub does not tell what is missing from what is private.
            self._refuse(404 if self._may_read_all else 401, "RepoNotFound")
        elif model.access == "private" and not self._may_read_all:
            self._refuse(401, "RepoNotFound")
        elif is_api:
            self._api(name, model, rest)
        elif model.access == "gated" and not self._may_read_all:
            self._refuse(401, "GatedRepo")
        elif rest.startswith("resolve/"):
            self._resolve(model, rest.removeprefix("resolve/"))
        else:
            self._refuse(404, "EntryNotFound")

    @property
    def _may_read_all(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {SECRET}"

    def _found(self, path: str) -> tuple[str, Model | None, str]:
        for name, model in self.hub.models.items():
            if f"{path}/".startswith(f"/{name}/"):
                return name, model, path.removeprefix(f"/{name}").removeprefix("/")
        return "", None, ""

    def _api(self, name: str, model: Model, rest: str) -> None:
        kind, _, after = rest.partition("/")
        revision, _, below = (after or "main").partition("/")
        commit = model.commit(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
            return
        files = model.commits[commit]
        if kind == "tree":
            if below:  # no model here has folders
                self._refuse(404, "EntryNotFound", commit)
                return
            self._json(
                [
                    {"type": "file", "path": file, "size": len(data), "oid": _etag(data)}
                    for file, data in files.items()
                ]
            )
            return
        siblings = [{"rfilename": file} for file in files]
        self._json({"id": name, "sha": commit, "private": False, "siblings": siblings})

    def _resolve(self, model: Model, rest: str) -> None:
        revision, _, file = rest.partition("/")
        commit = model.commit(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound")
        elif file not in model.commits[commit]:
            self._refuse(404, "EntryNotFound", commit)
        else:
            self._file(commit, file, model.commits[commit][file])

    def _file(self, commit: str, file: str, data: bytes) -> None:
        wanted = self.headers.get("Range")
        start = 0
        if wanted is not None:
            self.hub.ranges.append(wanted)
            if self.hub.takes_ranges:
                start = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if self.hub.takes_ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{_etag(data)}"')
        self.send_header("X-Linked-Etag", f'"{_etag(data)}"')
        self.send_header("X-Linked-Size", str(len(data)))
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        breaks = self.hub.breaks.get(file, [])
        if not breaks:
            self.wfile.write(data[start:])
            return
        self.wfile.write(data[start : start + (len(data) - start) // 2])
        self.wfile.flush()
        if breaks.pop(0) == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    def _json(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, commit: str | None = None) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
