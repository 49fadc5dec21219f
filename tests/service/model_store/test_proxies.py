"""Models through a proxy; only the proxy knows the hosts of the sources."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
from tests.service.model_store import hub_server, object_server, tiny
from tests.service.model_store.hub_server import HubServer
from tests.service.model_store.object_server import ObjectServer
from tests.support.s3_server import s3_server, variables


class _Proxy(BaseHTTPRequestHandler):
    """A forward proxy for plain HTTP that sends every host to this machine."""

    hosts: ClassVar[set[str | None]] = set()

    def do_GET(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def _forward(self) -> None:
        target = urlsplit(self.path)
        self.hosts.add(target.hostname)
        upstream = HTTPConnection("127.0.0.1", target.port or 80)
        path = target.path + (f"?{target.query}" if target.query else "")
        upstream.request(self.command, path, headers=dict(self.headers))
        response = upstream.getresponse()
        body = response.read()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"transfer-encoding", "connection", "server", "date"}:
                self.send_header(name, value)
        if response.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    def log_message(self, *_args: object) -> None:
        """Log nothing."""


@pytest.fixture
def proxy() -> Iterator[str]:
    _Proxy.hosts = set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Proxy)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def elsewhere(url: str) -> str:
    """Return the address with a host that no resolver knows."""
    return url.replace("127.0.0.1", "models.invalid")


@contextmanager
def source(kind: str, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield a model's URI and the environment to fetch it."""
    tiny.make_repository(folder / "models/tiny")
    if kind == "hub":
        with hub_server.serving(HubServer(folder / "models/tiny")) as hub:
            yield "hf://acme/tiny", {"HF_ENDPOINT": elsewhere(hub.endpoint)}
    elif kind == "web":
        with object_server.serving(ObjectServer(folder)) as web:
            yield f"{elsewhere(web.url)}/models/tiny", {}
    else:
        with s3_server(folder) as url:
            yield "s3://models/tiny", variables(elsewhere(url))


@pytest.mark.parametrize("kind", ["hub", "web", "s3"])
def test_each_source_is_reached_through_the_proxy_of_the_environment(
    kind: str, proxy: str, tmp_path: Path
) -> None:
    """`podTemplate.env` sets this environment."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with source(kind, tmp_path) as (uri, environment):
        done = subprocess.run(
            [*tiny.FETCH, "--cache", str(tmp_path / "store"), "--uri", uri],
            env={
                **plain,
                **environment,
                "HTTP_PROXY": proxy,
                "http_proxy": proxy,
                "NO_PROXY": "",
                "no_proxy": "",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, _Proxy.hosts) == (0, {"models.invalid"}), done.stderr
    assert Path(done.stdout.strip()).is_dir()
    shutil.rmtree(tmp_path / "store")
