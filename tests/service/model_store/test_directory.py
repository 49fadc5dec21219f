"""Models from a real S3 server, a web server and a directory: fetch, resume, verify and report errors."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hack.control_plane.certificates import Authority
from safetensors.torch import load_file
from tests.service.fakes import ANSWER, QUESTION, Replica
from tests.service.model_store import tiny
from tests.service.model_store.object_server import ObjectServer, serving
from tests.support.s3_server import KEYS, only_variables, s3_server

from mcq_service.model_store import BadReference, ModelRef, PreparedModel, Store, retry
from mcq_service.model_store.errors import (
    AccessDenied,
    DigestMismatch,
    ModelNotFound,
    NotEnoughSpace,
    SourceChanged,
    SourceUnreachable,
)
from mcq_service.model_store.sources import object_store
from mcq_service.model_store.sources.directory import DirectorySource
from mcq_service.runtime.loading import load
from mcq_service.runtime.settings import Settings

WEIGHTS = "model.safetensors"
CUT = 30_000


@pytest.fixture(scope="module")
def buckets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Yield the folder with the buckets of a real S3 server, and the server's URL."""
    folder = tmp_path_factory.mktemp("buckets")
    (folder / "models").mkdir()
    with s3_server(folder) as url:
        yield folder, url


@pytest.fixture
def bucket(buckets: tuple[Path, str], tmp_path: Path) -> Path:
    """Return the bucket `models` with this test's own model at `tiny`."""
    folder = buckets[0] / "models"
    shutil.rmtree(folder / "tiny", ignore_errors=True)
    tiny.make_answering(folder / "tiny")
    return folder


@pytest.fixture
def s3(buckets: tuple[Path, str], bucket: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Yield a proxy in front of the S3 server, with a reader's AWS_* variables; it writes few bytes at a time."""
    monkeypatch.setattr(object_store, "CHUNK", 1000)
    with serving(ObjectServer(upstream=buckets[1])) as server:
        only_variables(monkeypatch, server.url)
        yield server


@pytest.fixture
def ensure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., PreparedModel]:
    """Return a function that prepares a model in the test's store, with two attempts if no data comes."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.01)

    def prepare(uri: str = "s3://models/tiny", **reference: str) -> PreparedModel:
        return Store(tmp_path / "store", attempts=2).ensure(ModelRef(uri, **reference), "float32")

    return prepare


def flip(path: Path) -> None:
    """Change one bit of the file's last weight."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.usefixtures("s3")
async def test_a_replica_answers_with_a_model_from_s3(tmp_path: Path, replica: Replica) -> None:
    """The replica reports the model's address."""
    settings = Settings(model_uri="s3://models/tiny", model_cache=tmp_path, default_mode="answer")
    await load(settings, replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
    async with replica.client() as client:
        answer = (await client.post(ANSWER, json=QUESTION)).json()
        listed = (await client.get("/v1/models")).json()
        identity = (await client.get("/api/v1/service")).json()["identity"]
    assert answer["model"] == listed["data"][0]["id"] == "models/tiny"
    assert sum(each["probability"] for each in answer["probabilities"]) == pytest.approx(1)
    assert identity["uri"] == "s3://models/tiny"
    assert replica.lifecycle.backend
    await replica.lifecycle.backend.stop()


def test_a_prepared_model_needs_no_network(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    model = ensure()
    assert (model.uri, model.digest) == ("s3://models/tiny", tiny.digest(bucket / "tiny"))
    requests_before = len(s3.requests)
    assert ensure("s3://models/tiny/") == model
    assert ensure(digest=model.digest) == model
    assert len(s3.requests) == requests_before


def test_the_same_files_elsewhere_are_another_model(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    """Otherwise the store would not find the model again under its own address."""
    shutil.copytree(bucket / "tiny", bucket / "copies/tiny", dirs_exist_ok=True)
    models = [ensure(), ensure("s3://models/copies/tiny")]
    assert models[0].digest == models[1].digest
    requests_before = len(s3.requests)
    assert [ensure(), ensure("s3://models/copies/tiny")] == models
    assert len(s3.requests) == requests_before


@pytest.mark.usefixtures("s3")
def test_a_model_in_shards_is_fetched_by_its_index(
    bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    whole = load_file(bucket / "tiny" / WEIGHTS)
    tiny.shard(bucket / "tiny")
    fetched = load_file(ensure().path / WEIGHTS)
    assert fetched.keys() == whole.keys() - {"lm_head.weight"}
    assert all(fetched[name].equal(whole[name]) for name in fetched)


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("listed", ["../../etc/x.safetensors", 7, None])
def test_an_index_with_other_names_is_refused(
    bucket: Path, ensure: Callable[..., PreparedModel], listed: object
) -> None:
    """A path outside the directory is refused in particular."""
    index = {"weight_map": {"a": listed}} if listed else {}
    (bucket / "tiny/model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DigestMismatch, match=r"index\.json of s3://models/tiny is damaged"):
        ensure()


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        (
            "s3://none/tiny",
            ModelNotFound,
            "NoSuchBucket: The specified bucket does not exist: check the bucket",
        ),
        (
            "s3://models/none",
            ModelNotFound,
            r"s3://models/none has no config\.json.*name a directory that has",
        ),
    ],
)
def test_a_missing_bucket_or_key_is_reported(
    ensure: Callable[..., PreparedModel], uri: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message.replace(": check", r"\): check")):
        ensure(uri)


@pytest.mark.usefixtures("s3")
def test_a_model_without_weights_is_reported(bucket: Path, ensure: Callable[..., PreparedModel]) -> None:
    (bucket / "tiny" / WEIGHTS).unlink()
    with pytest.raises(ModelNotFound, match=r"s3://models/tiny has no model\.safetensors"):
        ensure()


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_credentials_are_reported(
    ensure: Callable[..., PreparedModel], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The error has S3's own code and the variables to check."""
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(AccessDenied, match=r"s3://models/tiny denies access .*403.*: [A-Z]\w+.*AWS_REGION"):
        ensure()


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "AWS_SECRET_ACCESS_KEY",
            f"{KEYS[1]}\n",
            "AWS_SECRET_ACCESS_KEY begins or ends with a space or a new line",
        ),
        ("AWS_ENDPOINT_URL", "s3.example.com", "AWS_ENDPOINT_URL='s3.example.com' is not a URL"),
        ("AWS_ENDPOINT_URL", "", "AWS_ENDPOINT_URL='' is not a URL"),
    ],
)
def test_invalid_variables_are_named(
    ensure: Callable[..., PreparedModel], monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadReference, match=message):
        ensure()


def test_a_broken_connection_is_restored_and_continues(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    s3.cut_after = CUT
    assert ensure().digest == tiny.digest(bucket / "tiny")
    first, second = s3.ranges(WEIGHTS)
    assert first is None
    assert (second or "").startswith(f"bytes={CUT}-")


def test_a_download_continues_by_range_after_the_server_was_gone(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel], tmp_path: Path
) -> None:
    """This requires that the object is still the same."""
    s3.cut_after, s3.gone = CUT, True
    with pytest.raises(SourceUnreachable, match="run this again: the downloaded data is kept"):
        ensure()
    [partial] = (tmp_path / "store/.work").glob(f"*/{WEIGHTS}.partial")
    size = partial.stat().st_size
    assert CUT - 1000 <= size <= CUT
    s3.gone = False
    s3.requests.clear()
    assert ensure().digest == tiny.digest(bucket / "tiny")
    [(_, _, requested_range, match)] = [
        each for each in s3.requests if each[0] == "GET" and each[1].endswith(WEIGHTS)
    ]
    assert requested_range == f"bytes={size}-"
    assert match
    assert not [path for method, path, _, _ in s3.requests if method == "GET" and "tokenizer" in path]


def test_a_killed_process_is_continued(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel], tmp_path: Path
) -> None:
    """This is a real process with real writes."""
    tiny.make_repository(bucket / "tiny", vocabulary=10_000)
    s3.cut_after = 1 << 20
    s3.hold.clear()
    arguments = ["--uri", "s3://models/tiny", "--cache", str(tmp_path / "store")]
    with subprocess.Popen([*tiny.FETCH, *arguments], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while (
            not (partial := [*tmp_path.glob(f"store/.work/*/{WEIGHTS}.partial")])
            or not partial[0].stat().st_size
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    size = partial[0].stat().st_size
    s3.hold.set()
    s3.requests.clear()
    assert ensure().digest == tiny.digest(bucket / "tiny")
    assert s3.ranges(WEIGHTS) == [f"bytes={size}-"]


def test_without_ranges_the_whole_file_is_fetched_again(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    """rclone's server and others built on gofakes3 have no ranges."""
    s3.cut_after, s3.gone = CUT, True
    with pytest.raises(SourceUnreachable):
        ensure()
    s3.gone = s3.as_amazon = False
    assert ensure().digest == tiny.digest(bucket / "tiny")


def test_an_old_and_a_new_object_are_never_mixed(
    s3: ObjectServer, bucket: Path, ensure: Callable[..., PreparedModel]
) -> None:
    """If another object of the same size replaces an object during the download, all of it is fetched again."""
    s3.cut_after, s3.gone = CUT, True
    with pytest.raises(SourceUnreachable):
        ensure()
    flip(bucket / "tiny" / WEIGHTS)
    s3.gone = False
    s3.requests.clear()
    assert ensure().digest == tiny.digest(bucket / "tiny")
    assert s3.ranges(WEIGHTS) == [None]


@pytest.mark.usefixtures("s3")
def test_an_object_replaced_after_the_lookup_is_reported(bucket: Path, tmp_path: Path) -> None:
    source = DirectorySource(ModelRef("s3://models/tiny"))
    before = source.offer()
    flip(bucket / "tiny" / WEIGHTS)
    with pytest.raises(SourceChanged, match="changed during the download; old and new files were not mixed"):
        source.fetch(tmp_path, lambda _fraction, _detail: None)
    assert source.offer().revision != before.revision


@pytest.mark.usefixtures("s3")
def test_weights_with_another_digest_are_refused_and_deleted(
    bucket: Path, ensure: Callable[..., PreparedModel], tmp_path: Path
) -> None:
    correct = tiny.digest(bucket / "tiny")
    flip(bucket / "tiny" / WEIGHTS)
    with pytest.raises(DigestMismatch, match="They were deleted: correct the digest"):
        ensure(digest=correct)
    assert not list((tmp_path / "store").rglob("*.safetensors*"))


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-100], "bytes, but its header says"),
        (lambda data: b"\0" * len(data), "model.safetensors is not a safetensors file"),
        (lambda _: b"", "model.safetensors is not a safetensors file"),
        (
            lambda data: (3).to_bytes(8, "little") + b"[1]" + data,
            "model.safetensors is not a safetensors file",
        ),
    ],
)
def test_incomplete_weights_are_refused_without_a_digest_too(
    bucket: Path,
    ensure: Callable[..., PreparedModel],
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    message: str,
) -> None:
    weights = bucket / "tiny" / WEIGHTS
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(
        DigestMismatch, match=f"{message}.*The download was deleted: put an undamaged file there"
    ):
        ensure()
    assert not list((tmp_path / "store").rglob("*.safetensors*"))


@pytest.mark.usefixtures("s3")
def test_a_full_disk_is_reported_and_the_download_is_kept(
    ensure: Callable[..., PreparedModel], tmp_path: Path
) -> None:
    """The kernel reports it, because the weights are written to /dev/full."""
    into = tmp_path / "store/.work" / DirectorySource(ModelRef("s3://models/tiny")).offer().key
    into.mkdir(parents=True)
    (into / f"{WEIGHTS}.partial").symlink_to("/dev/full")
    with pytest.raises(NotEnoughSpace, match="is full: free some space"):
        ensure()
    assert (into / "config.json").is_file()


@pytest.mark.usefixtures("s3")
def test_the_catalogues_gguf_file_alone_is_a_model(bucket: Path, index: tiny.Index, tmp_path: Path) -> None:
    """The file is known by its name, and verified."""
    for folder in ("quantised", "damaged"):
        (bucket / folder).mkdir(exist_ok=True)
        shutil.copy(index.folder / index.weights.file, bucket / folder)
    flip(bucket / "damaged" / index.weights.file)
    store = Store(tmp_path / "store", sources=lambda ref: [DirectorySource(ref, gguf=index.weights)])
    model = store.ensure(ModelRef("s3://models/quantised"), "float32")
    assert model.digest == index.weights.digest
    with pytest.raises(DigestMismatch, match="does not have the SHA-256"):
        store.ensure(ModelRef("s3://models/damaged"), "float32")


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectServer]:
    """Yield a web server with the model at /team/tiny."""
    monkeypatch.setattr(object_store, "CHUNK", 1000)
    tiny.make_repository(tmp_path / "web/team/tiny")
    with serving(ObjectServer(tmp_path / "web")) as server:
        yield server


def test_a_model_is_fetched_from_a_web_server_and_continued_by_ranges(
    web: ObjectServer, ensure: Callable[..., PreparedModel], tmp_path: Path
) -> None:
    web.cut_after, web.gone = CUT, True
    with pytest.raises(SourceUnreachable, match="check the address"):
        ensure(f"{web.url}/team/tiny")
    [partial] = (tmp_path / "store/.work").glob(f"*/{WEIGHTS}.partial")
    size = partial.stat().st_size
    web.gone = False
    model = ensure(f"{web.url}/team/tiny/")
    assert model.digest == tiny.digest(web.folder / "team/tiny" if web.folder else Path())
    assert model.name == f"{web.url.removeprefix('http://')}/team/tiny"
    assert web.ranges(WEIGHTS)[-1] == f"bytes={size}-"


def test_without_etags_nothing_is_resumed(web: ObjectServer, ensure: Callable[..., PreparedModel]) -> None:
    """Without them the rest could belong to another file."""
    web.etags = False
    web.cut_after = CUT
    ensure(f"{web.url}/team/tiny")
    assert web.ranges(WEIGHTS) == [None, None]


def test_a_web_server_without_the_model_or_unreachable_is_reported(
    web: ObjectServer, ensure: Callable[..., PreparedModel]
) -> None:
    with pytest.raises(ModelNotFound, match=r"/none has no config\.json"):
        ensure(f"{web.url}/none")
    with pytest.raises(
        SourceUnreachable, match=r"Connection refused.*check the address, the network and the proxy"
    ):
        ensure("http://127.0.0.1:9/tiny")


def test_https_uses_the_machines_trusted_certificates(
    tmp_path: Path, ensure: Callable[..., PreparedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.make_repository(tmp_path / "web/tiny")
    authority = Authority(tmp_path / "authority")
    authority.create()
    certificate = authority.issue("web", user="web", addresses=("DNS:localhost",))
    with serving(ObjectServer(tmp_path / "web"), certificate=certificate) as server:
        with pytest.raises(SourceUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
            ensure(f"{server.url}/tiny")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert ensure(f"{server.url}/tiny").uri == f"{server.url}/tiny"


def test_a_model_in_a_directory_is_only_read(tmp_path: Path, ensure: Callable[..., PreparedModel]) -> None:
    """An example is a mounted volume."""
    tiny.make_repository(tmp_path / "volume/tiny")
    before = {path: path.stat() for path in (tmp_path / "volume").rglob("*")}
    model = ensure(f"file://{tmp_path}/volume/tiny")
    assert model.digest == tiny.digest(tmp_path / "volume/tiny")
    assert model.name == f"{tmp_path}/volume/tiny".lstrip("/")
    after = {path: path.stat() for path in (tmp_path / "volume").rglob("*")}
    assert {path: status.st_mtime_ns for path, status in after.items()} == {
        path: status.st_mtime_ns for path, status in before.items()
    }


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("none", "There is no directory .*check that the volume is mounted"),
        ("empty", r"empty has no config\.json"),
    ],
)
def test_a_directory_without_a_model_is_reported(
    tmp_path: Path, ensure: Callable[..., PreparedModel], folder: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelNotFound, match=message):
        ensure(f"file://{tmp_path}/{folder}")
