"""A web server of files with ranges and ETags; it records requests and can break off responses.

With `upstream` it is a proxy for a real S3 server. rclone's ignores If-Match and sends a range with the status of a
whole file (200); with `as_amazon` the responses are corrected to Amazon's.
"""

import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class ObjectServer:
    """What is served: a folder, or another server's files.

    `refusals` are the first responses: a status and headers each. `cut_after` breaks off the next larger response
    after this many bytes, permanently with `gone`, and after a wait for `hold`. `requests` records method, path, range
    and If-Match.
    """

    folder: Path | None = None
    upstream: str = ""
    as_amazon: bool = True
    etags: bool = True
    cut_after: int | None = None
    gone: bool = False
    hold: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, str, str | None, str | None]] = field(default_factory=list)

    def ranges(self, name: str) -> list[str | None]:
        """Return the requested ranges of a file, in order."""
        return [
            range_ for method, path, range_, _ in self.requests if method == "GET" and path.endswith(name)
        ]


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: ObjectServer, *args: object) -> None:
        self._objects = server
        super().__init__(*args)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        objects = self._objects
        range_, match = self.headers.get("Range"), self.headers.get("If-Match")
        objects.requests.append((self.command, self.path, range_, match))
        if objects.refusals:
            status, headers = objects.refusals.pop(0)
            self._send(status, {"Content-Length": "0", **headers}, b"")
            return
        if objects.gone and objects.cut_after is None:
            self.close_connection = True
            return
        status, headers, body = self._forward() if objects.upstream else self._file()
        if objects.as_amazon:
            if status == 200 and match not in {None, headers.get("ETag")}:
                status, headers, body = 412, {"Content-Length": "0"}, b""
            if status == 200 and "Content-Range" in headers:
                status = 206
        self._send(status, headers, b"" if self.command == "HEAD" else body)

    def _file(self) -> Answer:
        assert self._objects.folder is not None
        path = self._objects.folder / self.path.lstrip("/")
        if not path.is_file():
            return 404, {"Content-Length": "0"}, b""
        data = path.read_bytes()
        headers = {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        if self._objects.etags:
            headers["ETag"] = f'"{hashlib.sha256(data).hexdigest()}"'
        begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if self.headers.get("Range"):
            headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        return 200, {**headers, "Content-Length": str(len(data) - begin)}, data[begin:]

    def _forward(self) -> Answer:
        connection = HTTPConnection(urlsplit(self._objects.upstream).netloc)
        try:
            # Keep the original Host header: the signature covers it.
            connection.request(self.command, self.path, headers=dict(self.headers))
            response = connection.getresponse()
            names = ("ETag", "Content-Length", "Content-Range", "Last-Modified", "Content-Type")
            headers = {name: value for name in names if (value := response.getheader(name))}
            return response.status, headers, response.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        cut = self._objects.cut_after
        if cut is not None and cut < len(body):
            self._objects.cut_after = None  # the next attempt succeeds, unless the server is gone
            self.wfile.write(body[:cut])
            self._objects.hold.wait(30)
            self.close_connection = True
        else:
            self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@contextmanager
def serving(objects: ObjectServer, *, certificate: tuple[Path, Path] | None = None) -> Iterator[ObjectServer]:
    """Serve during the block; use TLS if given a certificate for localhost and its key."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, objects))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    objects.hold.set()
    objects.url = f"{'https://localhost' if certificate else 'http://127.0.0.1'}:{server.server_address[1]}"
    try:
        yield objects
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
