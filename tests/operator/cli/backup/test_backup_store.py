"""The stores of backups: rclone's real S3 server and a real directory, and the messages of their failures."""

import io
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.support.s3_server import only_variables, s3_server

from mcq_operator.cli.backup import backup_store
from mcq_operator.cli.backup.backup_name import BackupName
from mcq_operator.cli.backup.backup_store import BackupStore
from mcq_operator.cli.backup.errors import BackupError, MissingError, PersonNeededError, TryAgainError

NAME = BackupName.of("team", datetime(2026, 11, 28, tzinfo=UTC), "a" * 64)
LARGE = os.urandom(11 * 2**20)
"""More than one part of a multipart upload."""


@pytest.fixture(scope="module")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server with the bucket `backups`."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "backups").mkdir()
    with s3_server(folder) as url:
        yield url


@pytest.fixture
def credentials(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the AWS_* variables of a user with read and write access, and unset all others."""
    only_variables(monkeypatch, s3_url)


@pytest.fixture(params=["s3", "file", "path"])
def store(request: pytest.FixtureRequest, tmp_path: Path, credentials: None) -> BackupStore:
    """An empty store for each form of address."""
    addresses = {
        "s3": f"s3://backups/{tmp_path.name}/",
        "file": f"file://{tmp_path}/new",
        "path": f"{tmp_path}/new",
    }
    return BackupStore.of(addresses[request.param], create=True)


def test_a_stored_backup_is_listed_read_back_and_deleted(store: BackupStore) -> None:
    later = BackupName.of("team", datetime(2026, 11, 29, tzinfo=UTC), "b" * 64)
    other = BackupName.of("team-2", datetime(2026, 11, 27, tzinfo=UTC), "c" * 64)
    for name, content in ((later, b"small"), (NAME, LARGE), (other, b"")):
        store.put(name, io.BytesIO(content))
    assert store.names() == [NAME, later, other]
    assert store.names("team") == [NAME, later]
    assert store.names("none") == []
    target = io.BytesIO(b"what was there before")
    store.get(NAME, target)
    assert target.getvalue() == LARGE
    store.get(later, target)
    assert target.getvalue() == b"small"
    store.delete(NAME)
    assert store.names("team") == [later]


def test_other_objects_are_neither_listed_nor_read(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / "team/notes.txt").write_text("mine")
    (tmp_path / NAME.path.rpartition("/")[2]).write_text("in no namespace")
    assert BackupStore.of(str(tmp_path)).names() == []


@pytest.mark.parametrize("url", ["ftp://host/a", "s3://", "file://host/a", "https://host/a"])
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(PersonNeededError, match="s3://BUCKET/PREFIX"):
        BackupStore.of(url)


def test_a_missing_directory_is_reported(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="There is no directory"):
        BackupStore.of(str(tmp_path / "none"))


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_each_operation_reports_wrong_credentials(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "wrong")
    store = BackupStore.of("s3://backups/x")
    for operation in (
        store.names,
        lambda: store.put(NAME, io.BytesIO()),
        lambda: store.get(NAME, io.BytesIO()),
    ):
        with pytest.raises(PersonNeededError, match=r"s3://backups/x.* refuses these credentials"):
            operation()


@pytest.mark.usefixtures("credentials")
def test_a_secret_that_ends_in_a_new_line_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-so-secret\n")
    with pytest.raises(
        PersonNeededError, match="AWS_SECRET_ACCESS_KEY begins or ends with a space or a new line"
    ):
        BackupStore.of("s3://backups/x")


@pytest.mark.usefixtures("credentials")
def test_each_operation_reports_a_missing_bucket() -> None:
    store = BackupStore.of("s3://none/x")
    for operation in (store.names, lambda: store.put(NAME, io.BytesIO())):
        with pytest.raises(
            MissingError, match=r"s3://none/x does not exist: NoSuchBucket.*Create the bucket"
        ):
            operation()


@pytest.mark.usefixtures("credentials")
def test_an_unreachable_server_is_reported_with_the_advice_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(TryAgainError, match=r"The request to .* failed: .*try again"):
        BackupStore.of("s3://backups/x").names()


@pytest.mark.usefixtures("credentials")
def test_a_truncated_upload_leaves_no_backup(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second try writes it."""
    with cutting_proxy(s3_url, after=2**20) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(TryAgainError, match="try again"):
            BackupStore.of("s3://backups/cut").put(NAME, io.BytesIO(LARGE))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_url)
    retry = BackupStore.of("s3://backups/cut")
    assert retry.names() == []
    retry.put(NAME, io.BytesIO(LARGE))
    assert retry.names() == [NAME]


@pytest.mark.usefixtures("credentials")
def test_a_truncated_download_is_an_error(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    BackupStore.of("s3://backups/down").put(NAME, io.BytesIO(LARGE))
    with cutting_proxy(s3_url, after=2**20) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(BackupError):
            BackupStore.of("s3://backups/down").get(NAME, io.BytesIO())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system that is full")
def test_a_full_disk_is_reported_and_keeps_its_backups(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk"):
        store = BackupStore.of(f"file://{tmp_path}/disk", create=True)
        store.put(NAME, io.BytesIO(b"small"))
        large = BackupName.of("team", datetime(2026, 11, 29, tzinfo=UTC), "b" * 64)
        with pytest.raises(PersonNeededError, match=r"has no room for the backup: .*No space left.*--keep"):
            store.put(large, io.BytesIO(LARGE))
        assert store.names() == [NAME]
        target = io.BytesIO()
        store.get(NAME, target)
        assert target.getvalue() == b"small"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system that is full")
def test_a_full_disk_is_reported_when_a_backup_is_fetched(tmp_path: Path) -> None:
    store = BackupStore.of(str(tmp_path / "store"), create=True)
    store.put(NAME, io.BytesIO(LARGE))
    with (
        small_disk(tmp_path / "disk"),
        (tmp_path / "disk/file").open("w+b", buffering=0) as target,
        pytest.raises(PersonNeededError, match=r"Can't fetch a backup into .*No space left on device"),
    ):
        store.get(NAME, target)


@pytest.mark.parametrize(
    ("message", "error", "text"),
    [
        (
            "Error performing PUT http://169.254.169.254/latest/api/token",
            PersonNeededError,
            "There are no credentials for s3://a",
        ),
        (
            "Received redirect without LOCATION, this normally indicates an incorrect region",
            PersonNeededError,
            "s3://a is in another region: set AWS_REGION",
        ),
        ("Server returned non-2xx status code: 503 Slow Down", TryAgainError, "The request to s3://a failed"),
    ],
)
def test_amazons_error_messages_are_understood(message: str, error: type[BackupError], text: str) -> None:
    """No test machine has an instance identity or a bucket in another region."""
    actual = backup_store._error(ValueError(message), "s3://a")
    assert isinstance(actual, error)
    assert text in str(actual)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def cutting_proxy(url: str, *, after: int) -> Iterator[str]:
    """Run a proxy that cuts each connection after `after` bytes; yield its address."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    server = socket.create_connection((parts.hostname or "", parts.port or 0))
                    remaining = [after]
                    for source, target in ((client, server), (server, client)):
                        threading.Thread(
                            target=forward, args=(source, target, remaining), daemon=True
                        ).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def forward(source: socket.socket, target: socket.socket, remaining: list[int]) -> None:
    with suppress(OSError):
        while remaining[0] > 0 and (chunk := source.recv(65536)):
            remaining[0] -= len(chunk)
            target.sendall(chunk)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
            each.close()
