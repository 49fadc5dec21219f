"""A source that fails for a while is retried with growing pauses; the servers are real and refuse first."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.service.model_store import tiny
from tests.service.model_store.hub_server import HubServer
from tests.service.model_store.hub_server import serving as serving_hub
from tests.service.model_store.object_server import ObjectServer, serving

from mcq_service.model_store import ModelRef, PreparedModel, Stage, Store, retry
from mcq_service.model_store.errors import (
    AccessDenied,
    DigestMismatch,
    ModelNotFound,
    SourceError,
    SourceUnreachable,
)
from mcq_service.model_store.sources.hub import HubSource

REF = ModelRef("hf://acme/tiny")
WEIGHTS = "model.safetensors"
ATTEMPTS = 5


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_SECONDS", 0.001)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    tiny.make_repository(tmp_path / "repository")
    with serving_hub(HubServer(tmp_path / "repository")) as server:
        yield server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[ObjectServer]:
    tiny.make_repository(tmp_path / "web/tiny")
    with serving(ObjectServer(tmp_path / "web")) as server:
        yield server


Reports = list[str]


def from_hub(tmp_path: Path, hub: HubServer, reports: Reports | None = None) -> PreparedModel:
    def report(_stage: Stage, _fraction: float | None, detail: str) -> None:
        if reports is not None:
            reports.append(detail)

    store = Store(
        tmp_path / "store", sources=lambda ref: [HubSource(ref, endpoint=hub.endpoint)], attempts=ATTEMPTS
    )
    return store.ensure(REF, "float32", report)


def from_web(tmp_path: Path, web: ObjectServer) -> PreparedModel:
    return Store(tmp_path / "store", attempts=ATTEMPTS).ensure(ModelRef(f"{web.url}/tiny"), "float32")


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("where", ["/api/models/", WEIGHTS])
def test_a_hub_that_refuses_first_is_retried(tmp_path: Path, hub: HubServer, status: int, where: str) -> None:
    """The request for the model or for its weights fails with a status or a reset connection (0)."""
    hub.refuse, hub.refusals = where, [(status, {}), (status, {})]
    reports: Reports = []
    assert from_hub(tmp_path, hub, reports).digest == tiny.digest(hub.folder)
    assert len([path for path, _ in hub.requests if where in path]) == 3
    retries = [each for each in reports if each.startswith("attempt 2 of 5 failed, the next is in ")]
    assert retries
    assert "The model hub can't be reached" in retries[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_web_server_that_refuses_first_is_retried(tmp_path: Path, web: ObjectServer, status: int) -> None:
    web.refusals = [(status, {}), (status, {"Retry-After": "0"})]
    assert web.folder
    assert from_web(tmp_path, web).digest == tiny.digest(web.folder / "tiny")
    assert [path for _, path, _, _ in web.requests[:3]] == ["/tiny/config.json"] * 3


def test_a_permanent_failure_has_a_bounded_number_of_attempts(
    tmp_path: Path, hub: HubServer, web: ObjectServer
) -> None:
    hub.refusals = [(503, {})] * 100
    with pytest.raises(SourceUnreachable, match=r"503.*the downloaded data is kept"):
        from_hub(tmp_path, hub)
    assert len(hub.requests) == ATTEMPTS
    web.refusals = [(500, {})] * 100
    with pytest.raises(SourceUnreachable, match="500"):
        from_web(tmp_path, web)
    assert len(web.requests) == ATTEMPTS


def test_progress_restarts_the_count_and_nothing_is_fetched_twice(tmp_path: Path, hub: HubServer) -> None:
    """A link that breaks more often than the number of attempts still succeeds."""
    size = (hub.folder / WEIGHTS).stat().st_size
    step = size // (2 * ATTEMPTS) + 1
    served = hub.folder / WEIGHTS
    breaks = iter(range(2 * ATTEMPTS))

    def cut_again(stage: Stage, _fraction: float | None, detail: str) -> None:
        if "attempt" in detail and next(breaks, None) is not None:
            hub.cut_after = step

    hub.cut_after = None
    store = Store(
        tmp_path / "store", sources=lambda ref: [HubSource(ref, endpoint=hub.endpoint)], attempts=ATTEMPTS
    )
    hub.refuse, hub.refusals = WEIGHTS, [(503, {})]
    model = store.ensure(REF, "float32", cut_again)
    ranges = [ranges for path, ranges in hub.requests if path.endswith(WEIGHTS)]
    assert len(ranges) > ATTEMPTS
    offsets = [int((each or "bytes=0-")[6:-1]) for each in ranges]
    assert offsets == sorted(offsets)
    assert offsets[-1] >= size - step
    assert model.digest == tiny.digest(served.parent)


def test_a_source_that_starts_over_has_a_bounded_number_of_attempts() -> None:
    """Each attempt brings data, but only a new maximum is progress."""
    sizes = iter([0, 9, 3, 8, 9, 1, 9, 9, 9])
    attempts_made = 0

    def attempt() -> None:
        nonlocal attempts_made
        attempts_made += 1
        raise SourceUnreachable("it broke off")

    with pytest.raises(SourceUnreachable, match="broke off"):
        retry.with_retries(
            attempt, attempts=ATTEMPTS, progress=lambda: next(sizes), report=lambda _detail: None
        )
    assert attempts_made == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "error"), [(400, SourceError), (403, AccessDenied), (404, ModelNotFound), (410, SourceError)]
)
def test_a_permanent_failure_is_not_retried(
    tmp_path: Path, hub: HubServer, status: int, error: type[Exception]
) -> None:
    headers = {"X-Error-Code": "RepoNotFound"} if status == 404 else {}
    hub.refusals = [(status, headers)] * 100
    with pytest.raises(error) as raised:
        from_hub(tmp_path, hub)
    assert not isinstance(raised.value, SourceUnreachable)
    assert len(hub.requests) == 1


@pytest.mark.parametrize("source", ["hub", "web"])
def test_the_pause_is_the_servers_retry_after(
    tmp_path: Path, hub: HubServer, web: ObjectServer, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """A 429 and a 503 state it in seconds."""
    waited: list[float] = []
    monkeypatch.setattr(retry, "_pause", lambda seconds, *_: waited.append(seconds))
    hub.refusals = web.refusals = [(429, {"Retry-After": "7"}), (503, {"Retry-After": "9"})]
    from_hub(tmp_path, hub) if source == "hub" else from_web(tmp_path, web)
    assert [int(seconds) for seconds in waited] == [7, 9]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("2.5", 2.5),
        ("inf", None),
        ("Thu, 01 Jan 1970 00:01:40", 40),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("\u0663", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry.retry_after({"Retry-After": value}, now=lambda: 60.0) == seconds


def test_pauses_grow_are_bounded_and_differ_between_replicas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise replicas that start together would also retry together."""
    monkeypatch.setattr(retry, "FIRST_SECONDS", 1.0)
    for failures in range(1, 50):
        longest = min(30, 2 ** (failures - 1))
        waits = {retry.backoff_seconds(failures, None) for _ in range(20)}
        assert all(longest / 2 <= seconds <= longest for seconds in waits)
        assert len(waits) > 1
    assert 600 <= retry.backoff_seconds(1, 86_400) <= 601


def test_a_pause_ends_at_once_when_the_replica_stops(tmp_path: Path, hub: HubServer) -> None:
    """The replica's report function raises an exception to stop."""

    class StoppedError(Exception):
        pass

    def stop(_stage: Stage, _fraction: float | None, detail: str) -> None:
        if "attempt" in detail:
            raise StoppedError

    hub.refusals = [(503, {"Retry-After": "600"})]
    store = Store(
        tmp_path / "store", sources=lambda ref: [HubSource(ref, endpoint=hub.endpoint)], attempts=ATTEMPTS
    )
    began = time.monotonic()
    with pytest.raises(StoppedError):
        store.ensure(REF, "float32", stop)
    assert time.monotonic() - began < 300


def test_a_repository_of_the_known_gguf_file_is_a_model(tmp_path: Path, index: tiny.Index) -> None:
    """Hub and packages give the same model: one address, one model."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "README.md").write_text("about it")
    path = folder / index.weights.file
    path.write_bytes((index.folder / index.weights.file).read_bytes())
    with serving_hub(HubServer(folder)) as hub:

        def store(name: str) -> Store:
            return Store(
                tmp_path / name,
                sources=lambda ref: [HubSource(ref, endpoint=hub.endpoint, gguf=index.weights)],
            )

        by_hub = store("1").ensure(REF, "float32")
        by_packages = Store(tmp_path / "2", sources=index.sources).ensure(REF, "float32")
        assert by_hub.digest == by_packages.digest == index.weights.digest
        assert contents(by_hub) == contents(by_packages)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(
            DigestMismatch, match=r"tiny\.gguf of acme/tiny at .*, but only sha256:.* is supported"
        ):
            store("3").ensure(REF, "float32")


def contents(model: PreparedModel) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in model.path.iterdir() if path.name != "manifest.json"}
