"""`helm test`: its Pod, and the program that it runs."""

from __future__ import annotations

import importlib.util
import json
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.chart import SOURCE
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import ModuleType

PROGRAM = SOURCE / "files/check_installation.py"
TOKEN = "token of the account"  # noqa: S105 (accepted only by the server of this test)
KINDS = ["MCQSolver", "MCQExam", "MCQPolicy"]


class Handler(BaseHTTPRequestHandler):
    """Answers as the operator does without a token, and as the API server does with it."""

    def __init__(self, kinds: list[str], status: int, *args: Any) -> None:
        self.kinds, self.status = kinds, status
        super().__init__(*args)

    def do_GET(self) -> None:
        from_account = self.headers["Authorization"] == f"Bearer {TOKEN}"
        self.send_response(self.status if from_account == isinstance(self.request, ssl.SSLSocket) else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"resources": [{"kind": kind} for kind in self.kinds]}).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(*, kinds: list[str], status: int, certificate: Path | None = None) -> Iterator[str]:
    """Serve on localhost, with TLS if given a certificate; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, kinds, status))
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_name("key.pem"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://localhost:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """Return the folder of a Pod's account: its token, and the API server's certificate."""
    (tmp_path / "token").write_text(TOKEN)
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", "key.pem", "-out", "ca.crt"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *names, *files]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
def program(account: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the program, which tries each check once."""
    spec = importlib.util.spec_from_file_location("check_installation", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ACCOUNT", account)
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return module


@pytest.mark.parametrize(
    ("kinds", "status", "code", "printed"),
    [
        (KINDS, 200, 0, "ok      the API server serves its kinds"),
        (KINDS[:2], 200, 1, "MCQPolicy: not served"),
        (KINDS, 503, 1, "FAILED  the operator is ready"),
    ],
)
def test_the_program_checks_operator_and_kinds(
    program: ModuleType, account: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    kinds: list[str], status: int, code: int, printed: str,
) -> None:  # fmt: skip
    with (
        serving(kinds=[], status=status) as operator,
        serving(kinds=kinds, status=200, certificate=account / "ca.crt") as api,
    ):
        monkeypatch.setattr(
            sys, "argv", ["-c", f"{operator}/readyz", f"{api}/apis/mcq-operator.dev/v1alpha1"]
        )
        assert program.main() == code
    assert printed in capsys.readouterr().out


def test_the_pod_runs_the_program_under_restricted_pod_security() -> None:
    tools = Tools(CACHE, Progress())
    tools.build(["helm"])
    command: list[str | Path] = [
        tools.binary("helm"),
        "template",
        "mcq-operator",
        SOURCE,
        "--namespace",
        "home",
    ]
    command += ["--kube-version", "v1.34.4", "--show-only", "templates/tests/installation.yaml"]
    pod = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    [container] = pod["spec"]["containers"]
    script, *urls = container["args"]

    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert script == PROGRAM.read_text()
    assert "$(" not in script  # the kubelet would replace it
    assert urls == [
        "http://mcq-operator.home.svc:8081/readyz",
        "https://kubernetes.default.svc/apis/mcq-operator.dev/v1alpha1",
    ]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
