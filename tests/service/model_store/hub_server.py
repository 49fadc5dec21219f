"""A hub on the loopback address: one repository, one commit, and the protocol that downloads use."""

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "1f" * 20
_LARGE = 5_000


@dataclass
class HubServer:
    """The served files and the requests; `stated` replaces a file's stated SHA-256.

    Requests with `refuse` in their path get the `refusals` first: each is a status, or 0 for a reset connection, and
    headers.
    """

    folder: Path
    repository: str = "acme/tiny"
    stated: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut_after: int | None = None
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    refuse: str = ""
    endpoint: str = ""

    def files(self) -> list[Path]:
        """Return the repository's files."""
        return sorted(self.folder.iterdir())

    def info(self) -> bytes:
        """Return the hub's description of the repository."""
        siblings = []
        for path in self.files():
            data = path.read_bytes()
            blob = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
            entry: dict[str, object] = {"rfilename": path.name, "size": len(data), "blobId": blob}
            if len(data) > _LARGE:
                sha256 = self.stated.get(path.name, hashlib.sha256(data).hexdigest())
                entry["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 130}
            siblings.append(entry)
        return json.dumps({"id": self.repository, "sha": COMMIT, "siblings": siblings}).encode()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, hub: HubServer, *args: object) -> None:
        self._hub = hub
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self._hub.requests.append((path, self.headers.get("Range")))
        if self._hub.refuse in path and self._hub.refusals:
            self._refuse(*self._hub.refusals.pop(0))
        elif path in {f"/api/models/{self._hub.repository}/revision/{name}" for name in ("main", COMMIT)}:
            self._send(200, self._hub.info())
        elif path.startswith(f"/{self._hub.repository}/resolve/{COMMIT}/"):
            self._file(self._hub.folder / path.rpartition("/")[2])
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        if not status:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _file(self, path: Path) -> None:
        data = path.read_bytes()
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self._send(206 if begin else 200, data[begin:], cut=self._hub.cut_after)

    def _send(self, status: int, data: bytes, *, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None and cut < len(data):
            self._hub.cut_after = None  # the next attempt succeeds
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(hub: HubServer) -> Iterator[HubServer]:
    """Serve during the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
