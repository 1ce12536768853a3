"""A Hub on this machine: as much of its protocol as creating, pushing, reading and loading a model takes."""

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import ModelCard

LARGE = (".safetensors", ".bin", ".png")  # go through LFS


class LocalHub(ThreadingHTTPServer):
    """`repos[name][path]` holds the pushed bytes, `commits[name]` how many commits there were.

    `failures` maps a part of a request's path to the status that it is answered with.
    """

    def __init__(self, token: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.token = token
        self.repos: dict[str, dict[str, bytes]] = {}
        self.commits: dict[str, int] = {}
        self.objects: dict[str, bytes] = {}
        self.failures: dict[str, int] = {}

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def environment(self, home: str | os.PathLike) -> dict[str, str]:
        """For a process that uses this Hub and nothing of this machine's settings and tokens."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        own = {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        return kept | own | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "OMP_NUM_THREADS": "1"}


class _Handler(BaseHTTPRequestHandler):
    server: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_POST(self) -> None:
        path, body = unquote(urlsplit(self.path).path), self._body()
        if self._refused(path):
            return
        if path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith("/info/lfs/objects/batch"):
            wanted = [(entry["oid"], entry["size"]) for entry in json.loads(body)["objects"]]
            upload = {oid: {"upload": {"href": f"{self.server.endpoint}/lfs/{oid}"}} for oid, _ in wanted}
            self._json({"objects": [{"oid": oid, "size": size, "actions": upload[oid]} for oid, size in wanted]})
        elif "/preupload/" in path:
            files = [entry["path"] for entry in json.loads(body)["files"]]
            modes = {file: "lfs" if file.endswith(LARGE) else "regular" for file in files}
            self._json({"files": [{"path": file, "uploadMode": modes[file], "shouldIgnore": False} for file in files]})
        else:
            self._commit(path.removeprefix("/api/models/").split("/commit/")[0], body)

    def do_PUT(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if self._refused(path, signed=False):
            return
        oid = path.removeprefix("/lfs/")
        if hashlib.sha256(body).hexdigest() != oid:
            return self._json({"error": "the content is not what was announced"}, 400)
        self.server.objects[oid] = body
        self._json({})

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            name = "/".join(path.split("/")[3:5])
            if name not in self.server.repos:
                return self._json({"error": "no such repository"}, 404, {"X-Error-Code": "RepoNotFound"})
            files = self.server.repos[name]
            if "/tree/" in path:
                return self._json([{"type": "file", "path": p, "size": len(c), "oid": _sha(c)} for p, c in files.items()])
            return self._json({"id": name, "sha": self._sha(name), "siblings": [{"rfilename": file} for file in files]})
        name, _, rest = path[1:].partition("/resolve/")
        file = rest.partition("/")[2]
        content = self.server.repos.get(name, {}).get(file)
        if content is None:
            code = "EntryNotFound" if name in self.server.repos else "RepoNotFound"
            return self._json({"error": "not found"}, 404, {"X-Error-Code": code})
        self._send(content, 200, {"ETag": f'"{_sha(content)}"', "X-Repo-Commit": self._sha(name)})

    do_HEAD = do_GET

    def _create(self, wanted: dict) -> None:
        name = f"{wanted['organization'] or 'me'}/{wanted['name']}"
        status = 409 if name in self.server.repos else 200
        self.server.repos.setdefault(name, {})
        self._json({"url": f"{self.server.endpoint}/{name}", "name": name}, status)

    def _validate(self, content: str) -> None:
        try:
            ModelCard(content)
        except ValueError as error:
            return self._json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        self._json({"errors": [], "warnings": []})

    def _commit(self, name: str, body: bytes) -> None:
        files = self.server.repos[name]
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        self.server.commits[name] = self.server.commits.get(name, 0) + 1
        self._json({"commitUrl": f"{self.server.endpoint}/{name}/commit/{self._sha(name)}", "commitOid": self._sha(name)})

    def _refused(self, path: str, signed: bool = True) -> bool:
        failures = [status for part, status in self.server.failures.items() if part in path]
        if signed and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            failures.append(401)
        if failures:
            self._json({"error": "refused by the local Hub"}, failures[0])
        return bool(failures)

    def _sha(self, name: str) -> str:
        return _sha(f"{name} {self.server.commits.get(name, 0)}".encode())[:40]

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _json(self, value: dict | list, status: int = 200, headers: dict | None = None) -> None:
        self._send(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, content: bytes, status: int, headers: dict) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="session")
def local_hub() -> Iterator[LocalHub]:
    hub = LocalHub("hf_" + "OnlyForThisTest")
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    yield hub
    hub.shutdown()
    hub.server_close()
