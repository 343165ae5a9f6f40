"""A W&B server on loopback: as much of its protocol as runs, tables, artifacts, sweeps and reports ask for.

Spoken to through WANDB_BASE_URL. Three kinds of requests matter: GraphQL (a run is created), the file stream
(history, summary and the end of a run) and files put where GraphQL has said.
"""

import base64
import gzip
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, TypeVar

Json = dict[str, Any]
_Server = TypeVar("_Server", bound=ThreadingHTTPServer)
_STREAM = re.compile(r"/files/[^/]+/[^/]+/([^/]+)/file_stream")
_OPERATION = re.compile(r"(?:query|mutation)\s+(\w+)")


@dataclass
class Run:
    """What the server knows of one run."""

    attributes: Json = field(default_factory=dict)
    history: list[Json] = field(default_factory=list)
    summary: Json = field(default_factory=dict)
    exit_code: int | None = None
    opened: int = 0

    @property
    def config(self) -> Json:
        """The run's configuration without W&B's own entry."""
        entries = json.loads(self.attributes.get("config") or "{}")
        return {name: entry["value"] for name, entry in entries.items() if name != "_wandb"}

    @property
    def axes(self) -> Json:
        """The x-axis of each metric that was defined with one.

        By the numbers of wandb's protobuf: 1 a name, 2 a pattern, 5 the axis.
        """
        entries = json.loads(self.attributes.get("config") or "{}")
        defined = entries["_wandb"]["value"]["m"]
        return {one.get("1", one.get("2")): defined[one["5"] - 1]["1"] for one in defined if "5" in one}

    def points(self, *names: str) -> list[tuple[Any, ...]]:
        """The history's values of these names, one tuple a point."""
        return [tuple(point.get(name) for name in names) for point in self.history]


@dataclass
class Artifact:
    """What the server knows of an artifact: its type, the run that logged it, its files by their names."""

    kind: str
    run: str
    files: dict[str, bytes] = field(default_factory=dict)
    is_committed: bool = False


class WandbServer(ThreadingHTTPServer):
    """Runs by their id, artifacts by their collection's name, sweeps and reports by theirs.

    ``fault`` is what befalls every request: a status that answers it, or ``hangs`` for a server that takes it
    and never answers, until the fault is over. ``hurt`` counts those requests.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, Run] = {}
        self.artifacts: dict[str, Artifact] = {}
        self.sweeps: dict[str, Json] = {}
        self.views: dict[str, Json] = {}
        self.lock = threading.Lock()
        self.changed = threading.Condition(self.lock)
        self.fault: int | Literal["hangs"] | None = None
        self.hurt = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, as a wandb does that is killed, is no error of the server's."""

    def heal(self) -> None:
        """End the fault; requests that hang are answered."""
        with self.changed:
            self.fault = None
            self.changed.notify_all()

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until the server's state is as asked; what it hears changes it."""
        with self.changed:
            assert self.changed.wait_for(is_so, 60)

    def befalls(self) -> int | None:
        """Return the status of a request that a fault befalls; None where none does. The lock is held."""
        if self.fault is None:
            return None
        self.hurt += 1
        self.changed.notify_all()
        if self.fault == "hangs":
            self.changed.wait_for(lambda: self.fault != "hangs")
            return None
        return self.fault

    def answer(self, operation: str, variables: Json) -> Json:
        """GraphQL; what nobody here needs is answered with nothing."""
        answers = self._about_runs, self._about_artifacts, self._about_pages
        return next(filter(None, (answer(operation, variables) for answer in answers)), {})

    def _about_runs(self, operation: str, variables: Json) -> Json | None:
        match operation:
            case "UpsertBucket":
                return {"upsertBucket": self._upsert(variables)}
            case "Viewer":
                teams = {"teams": {"edges": []}, "flags": "{}"}
                return {"viewer": {"id": "u", "entity": "lab", "username": "lab", **teams}}
            case "CreateRunFiles":
                names = variables.get("files") or []
                files = [{"name": name, "uploadUrl": f"{self.url}/uploads/{name}"} for name in names]
                return {"createRunFiles": {"runID": _id("Run", "r"), "uploadHeaders": [], "files": files}}
            case "ServerFeaturesQuery":
                return {"serverInfo": {"features": []}}
        return None

    def _about_artifacts(self, operation: str, variables: Json) -> Json | None:
        match operation:
            case "CreateArtifact":
                return {"createArtifact": {"artifact": self._create(variables["input"])}}
            case "CreateArtifactManifest":
                name = variables["artifactID"]
                file = {"id": "m", "uploadUrl": f"{self.url}/uploads/manifest", "uploadHeaders": []}
                return {"createArtifactManifest": {"artifactManifest": {"id": name, "file": file}}}
            case "CreateArtifactFiles":
                files = [self._to_upload(asked) for asked in variables["input"]["artifactFiles"]]
                return {"createArtifactFiles": {"files": {"edges": [{"node": file} for file in files]}}}
            case "CommitArtifact":
                self.artifacts[variables["artifactID"]].is_committed = True
                return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}
        return None

    def _about_pages(self, operation: str, variables: Json) -> Json | None:
        match operation:
            case "UpsertSweep":
                name = variables.get("id") or f"sweep{len(self.sweeps)}"
                self.sweeps[name] = variables
                sweep = {"name": name, "project": _PROJECT}
                return {"upsertSweep": {"sweep": sweep, "configValidationWarnings": []}}
            case "upsertView":
                return {"upsertView": {"view": self._view(variables), "inserted": True}}
            case "GetProjects":
                node = {**_PROJECT, "internalId": "1", "entityName": "lab", **_MADE}
                page = {"hasNextPage": False, "endCursor": None}
                return {"models": {"edges": [{"cursor": "a", "node": node}], "pageInfo": page}}
        return None

    def stream(self, run_id: str, sent: Json) -> None:
        """One message of the file stream: lines from an offset on, and perhaps the run's end."""
        run = self.runs[run_id]
        for name, chunk in (sent.get("files") or {}).items():
            lines = (
                [json.loads(line) for line in chunk["content"]] if name.endswith((".jsonl", ".json")) else []
            )
            if name == "wandb-history.jsonl":
                run.history[chunk["offset"] :] = lines
            elif name == "wandb-summary.json":
                run.summary.update(lines[-1])
        if sent.get("complete"):
            run.exit_code = sent.get("exitcode")

    def _upsert(self, variables: Json) -> Json:
        name = variables["name"]
        is_new = name not in self.runs
        run = self.runs.setdefault(name, Run())
        run.opened += 1
        run.attributes |= {key: value for key, value in variables.items() if value is not None}
        bucket = {
            "id": _id("Run", name),
            "name": name,
            "displayName": run.attributes.get("displayName") or name,
            "project": _PROJECT,
        }
        return {
            "bucket": {**bucket, "config": run.attributes.get("config") or "{}", "sweepName": None},
            "inserted": is_new,
        }

    def _create(self, asked: Json) -> Json:
        name = asked["artifactCollectionName"]
        self.artifacts[name] = Artifact(asked["artifactTypeName"], asked["runName"])
        return {"id": name, "state": "PENDING", "artifactSequence": {"id": name, "latestArtifact": None}}

    def _view(self, asked: Json) -> Json:
        name = asked["id"] or _id("View", asked["name"])
        self.views[name] = asked
        project = {**_PROJECT, "entityName": "lab"}
        told = {key: asked[key] for key in ("type", "name", "displayName", "description", "spec")}
        return {
            **told,
            "id": name,
            "project": project,
            "updatedAt": _MADE["createdAt"],
            "createdAt": _MADE["createdAt"],
        }

    def _to_upload(self, asked: Json) -> Json:
        url = f"{self.url}/artifacts/{asked['artifactID']}/{asked['name']}"
        plain = {"storagePath": asked["name"], "uploadHeaders": [], "uploadMultipartUrls": None}
        return {**plain, "id": url, "uploadUrl": url, "artifact": {"id": asked["artifactID"]}}


def _id(kind: str, name: str) -> str:
    return base64.b64encode(f"{kind}:{name}".encode()).decode()


_PROJECT = {"id": _id("Project", "p"), "name": "p", "entity": {"id": "e", "name": "lab"}}

_MADE = {"createdAt": "2026-01-01T00:00:00Z", "isBenchmark": False, "user": None}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WandbServer

    def do_POST(self) -> None:
        body = self._body()
        with self.server.lock:
            if status := self.server.befalls():
                self._reply({"error": "refused"}, status)
            elif stream := _STREAM.match(self.path):
                self.server.stream(stream[1], json.loads(body))
                self._reply({"limits": {}})
            elif self.path.endswith("/graphql"):
                sent = json.loads(body)
                named = _OPERATION.search(sent["query"])
                operation = sent.get("operationName") or (named[1] if named else "")
                self._reply({"data": self.server.answer(operation, sent.get("variables") or {})})
            else:
                self._reply({})
            self.server.changed.notify_all()

    def do_PUT(self) -> None:
        body = self._body()
        _, folder, *path = self.path.split("/")
        with self.server.lock:
            if folder == "artifacts":
                self.server.artifacts[path[0]].files["/".join(path[1:])] = body
            self._reply({})

    def do_GET(self) -> None:
        self._reply({})

    def log_message(self, *_: Any) -> None:
        """Silence on the terminal."""

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        return gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body

    def _reply(self, content: Json, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """A server that listens until the block ends."""
    with serving(WandbServer()) as server:
        try:
            yield server
        finally:
            server.heal()


@contextmanager
def serving(server: _Server) -> Iterator[_Server]:
    """Have a server answer until the block ends."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
