"""A server that plays as much of the hub as an upload asks for, on this machine."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_" + "Secret" * 6
USER = "me"


@dataclass
class Hub:
    """What the hub holds.

    Attributes:
        address: of the server.
        repositories: their files, by name.
        private: names of those that are.
        commits: how many files each had.
        refusals: a status and message for requests whose path matches.
    """

    address: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    commits: list[int] = field(default_factory=list)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_POST(self) -> None:
        body = self._body()
        if self._refused():
            return
        if self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            self._validate(json.loads(body)["content"])
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", self.path):
            self._preupload(found[1], json.loads(body))
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif self.path == "/verify":
            self._answer(200, {})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", self.path):
            self._commit(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self._answer(404, {"error": f"nothing at {self.path}"})

    def do_PUT(self) -> None:
        content = self._body()
        self.hub.uploads[self.path.rpartition("/")[2]] = content
        self._answer(200, {})

    def log_message(self, *said: Any) -> None:
        """Nothing on stderr."""

    def _refused(self) -> bool:
        for pattern, (status, message) in self.hub.refusals.items():
            if re.search(pattern, self.path):
                self._answer(status, {"error": message})
                return True
        if self.path != "/verify" and self.headers.get("authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": f"Invalid credentials {self.headers['authorization']}"})
            return True
        return False

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked.get('organization') or USER}/{asked['name']}"
        if name in self.hub.repositories:
            self._answer(409, {"error": "exists", "url": f"{self.hub.address}/{name}"})
            return
        self.hub.repositories[name] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        self._answer(200, {"url": f"{self.hub.address}/{name}"})

    def _validate(self, content: str) -> None:
        try:
            table = yaml.safe_load(content.split("---\n")[1])
            faults = [] if isinstance(table, dict) else ["no mapping"]
        except (IndexError, yaml.YAMLError):
            faults = ["not YAML"]
        errors = [{"message": fault} for fault in faults]
        self._answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def _preupload(self, name: str, asked: dict[str, Any]) -> None:
        if name not in self.hub.repositories:
            self._answer(404, {"error": "no such repository"})
            return
        files = [
            {
                "path": file["path"], "shouldIgnore": False,
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
            }
            for file in asked["files"]
        ]  # fmt: skip
        self._answer(200, {"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {
                "oid": each["oid"], "size": each["size"],
                "actions": {
                    "upload": {"href": f"{self.hub.address}/upload/{each['oid']}"},
                    "verify": {"href": f"{self.hub.address}/verify"},
                },
            }
            for each in asked["objects"]
        ]  # fmt: skip
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                content = self.hub.uploads[value["oid"]]
                assert hashlib.sha256(content).hexdigest() == value["oid"]
                files[value["path"]] = content
        self.hub.repositories[name] |= files
        self.hub.commits.append(len(files))
        url = f"{self.hub.address}/{name}/commit/{'0' * 40}"
        self._answer(200, {"commitUrl": url, "commitOid": "0" * 40})

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, table: dict[str, Any]) -> None:
        body = json.dumps(table).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
