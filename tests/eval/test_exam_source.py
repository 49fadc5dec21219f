"""Fetching questions by http(s)://, from a real S3 server, or from a path; errors say what is wrong."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.support.s3_server import only_variables, s3_server

from mcq_eval.dataset import exam_source
from mcq_eval.dataset.exam_source import fetch
from mcq_eval.errors import ExamUnavailable, ExamUnreadable

CONTENT = b'{"id": "1", "question": "Which?", "choices": ["a", "b"], "answer": "A"}\n' * 1000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """Yield the URL of a server with /exam.jsonl; the path /404 returns the status 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = 200 if self.path == "/exam.jsonl" else int(self.path[1:])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(CONTENT if status == 200 else b"")

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of an S3 server with the bucket `exams`."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "exams/team").mkdir(parents=True)
    (folder / "exams/team/exam.jsonl").write_bytes(CONTENT)
    with s3_server(folder) as url:
        yield url


@pytest.fixture
def reader(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the AWS_* variables of an account with read access."""
    only_variables(monkeypatch, s3)


async def test_a_file_is_fetched_by_http_and_its_digest_is_checked(web: str, tmp_path: Path) -> None:
    path = await fetch(f"{web}/exam.jsonl", tmp_path, digest=DIGEST)
    assert path.read_bytes() == CONTENT
    with pytest.raises(ExamUnreadable, match=f"has the digest {DIGEST}, not sha256:0"):
        await fetch(f"{web}/exam.jsonl", tmp_path, digest="sha256:0")


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, ExamUnreadable), (403, ExamUnreadable), (500, ExamUnavailable), (429, ExamUnavailable)],
)
async def test_only_temporary_errors_are_retryable(
    web: str, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"answers {status}"):
        await fetch(f"{web}/{status}", tmp_path)


async def test_an_unreachable_server_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ExamUnavailable, match="can't be fetched"):
        await fetch("http://127.0.0.1:9/exam.jsonl", tmp_path)


async def test_a_file_that_is_too_large_is_refused(
    web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exam_source, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(ExamUnreadable, match="is larger than"):
        await fetch(f"{web}/exam.jsonl", tmp_path)


@pytest.mark.usefixtures("reader")
async def test_a_file_is_fetched_from_s3(tmp_path: Path) -> None:
    path = await fetch("s3://exams/team/exam.jsonl", tmp_path, digest=DIGEST)
    assert path.read_bytes() == CONTENT


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("source", ["s3://exams/team/other.jsonl", "s3://none/team/exam.jsonl"])
async def test_a_missing_bucket_or_key_is_reported(tmp_path: Path, source: str) -> None:
    with pytest.raises(ExamUnreadable, match=f"{source} can't be read"):
        await fetch(source, tmp_path)


@pytest.mark.usefixtures("reader")
async def test_wrong_credentials_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ExamUnreadable, match="can't be read"):
        await fetch("s3://exams/team/exam.jsonl", tmp_path)


@pytest.mark.usefixtures("reader")
async def test_a_variable_that_ends_in_a_newline_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that comes from a file often ends in a newline."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader\n")
    with pytest.raises(ExamUnreadable, match="AWS_ACCESS_KEY_ID begins or ends with a space or a new line"):
        await fetch("s3://exams/team/exam.jsonl", tmp_path)


@pytest.mark.usefixtures("reader")
async def test_an_unreachable_s3_server_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ExamUnavailable, match="can't be fetched"):
        await fetch("s3://exams/team/exam.jsonl", tmp_path)


async def test_a_local_path_is_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "exam.jsonl"
    path.write_bytes(CONTENT)
    assert await fetch(str(path), tmp_path / "elsewhere", digest=DIGEST) == path
    with pytest.raises(ExamUnreadable, match="No such file"):
        await fetch(str(tmp_path / "none"), tmp_path, digest=DIGEST)
