"""The store deletes only unused models: two processes, one folder, real locks."""

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ByteSize
from tests.service.fakes import Replica
from tests.service.model_store import tiny

from mcq_service.model_store import ModelRef, PreparedModel, Store, files, leases
from mcq_service.model_store.errors import NotEnoughSpace
from mcq_service.runtime.loading import load
from mcq_service.runtime.settings import Settings

LAST_YEAR = 1_700_000_000


@pytest.fixture(autouse=True)
def _logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with three models of one size, each in its own directory."""
    for name in "abc":
        tiny.make_repository(tmp_path / "sources" / name)
    return tmp_path


def ref(folder: Path, name: str) -> ModelRef:
    return ModelRef(f"file://{folder}/sources/{name}")


def prepared(folder: Path, *names: str) -> list[PreparedModel]:
    """Prepare unused models, each last used a year after the one before it."""
    models = []
    for number, name in enumerate(names):
        model = Store(folder / "store").ensure(ref(folder, name), "float32")
        model.release()
        os.utime(model.path, (LAST_YEAR + number, LAST_YEAR + number))
        models.append(model)
    return models


def stored_models(folder: Path) -> str:
    """Return the first letters of the names of the store's models."""
    return "".join(sorted(path.name[0] for path in (folder / "store").glob("*-float32")))


_USER = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from mcq_service.model_store import ModelRef, Store
    model = Store(Path(sys.argv[1])).ensure(ModelRef(sys.argv[2]), "float32")
    print("using", flush=True)
    sys.stdin.read()
    """
)


@contextmanager
def another_process_uses(folder: Path, name: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that uses a model until the block ends or kills it."""
    command = [sys.executable, "-c", _USER, str(folder / "store"), ref(folder, name).uri]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "using\n"
        try:
            yield process
        finally:
            process.kill()


def bound(folder: Path, models: int) -> int:
    """Return the size of this many models."""
    [size] = {files.disk_usage(path) for path in (folder / "store").glob("a-*")}
    return size * models


def test_above_its_limit_the_store_deletes_the_least_recently_used_and_logs_it(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = prepared(folder, "a", "b")
    store = Store(folder / "store", limit=bound(folder, 2))
    store.ensure(ref(folder, "c"), "float32")
    assert stored_models(folder) == "bc"
    assert f"deleted the model {a.path.name} from the cache" in caplog.text
    assert "unused since 2023-11-14T22:13:20" in caplog.text
    assert b.path.is_dir()
    assert not list((folder / "store/.work").iterdir())


def test_use_makes_a_model_recent(folder: Path) -> None:
    prepared(folder, "a", "b")
    Store(folder / "store").ensure(ref(folder, "a"), "float32").release()
    Store(folder / "store", limit=bound(folder, 2)).ensure(ref(folder, "c"), "float32")
    assert stored_models(folder) == "ac"


def test_a_model_that_another_process_uses_stays_until_that_ends(folder: Path) -> None:
    """Killing that process counts, too. Models used earlier are deleted first, and the store may exceed its limit."""
    prepared(folder, "a", "b")
    store = Store(folder / "store", limit=1)
    with another_process_uses(folder, "a") as process:
        used = store.ensure(ref(folder, "c"), "float32")
        assert stored_models(folder) == "ac"
        process.kill()
        process.wait()
        store.ensure(ref(folder, "c"), "float32").release()
    assert stored_models(folder) == "c", "the model that this call prepared is in use"
    used.release()


def test_a_store_without_a_limit_deletes_nothing(folder: Path) -> None:
    prepared(folder, "a", "b", "c")
    assert stored_models(folder) == "abc"


def test_a_start_that_finds_its_model_prunes_too(folder: Path) -> None:
    """Otherwise a smaller limit would wait for the next new model."""
    prepared(folder, "a", "b", "c")
    Store(folder / "store", limit=1).ensure(ref(folder, "b"), "float32")
    assert stored_models(folder) == "b"


def test_a_start_goes_on_if_another_process_deletes_what_it_measures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [model] = prepared(folder, "a")

    def vanished(path: Path) -> int:
        raise FileNotFoundError(path)

    monkeypatch.setattr(files, "disk_usage", vanished)
    assert Store(folder / "store", limit=1).ensure(ref(folder, "a"), "float32").path == model.path


def test_room_is_made_for_a_new_model_without_a_limit_too(folder: Path) -> None:
    """The store deletes no more than needed, and no model in use."""
    prepared(folder, "a", "b")
    size = bound(folder, 1)
    needed = 10 * size + (64 << 20)

    def free(root: Path) -> int:
        return needed if len(list(root.glob("*-float32"))) < 2 else 0

    store = Store(folder / "store", free_space=free)
    store.ensure(ref(folder, "c"), "float32")
    assert stored_models(folder) == "bc"
    with another_process_uses(folder, "b"), another_process_uses(folder, "c"):
        with pytest.raises(NotEnoughSpace):
            store.ensure(ref(folder, "a"), "float32")
        assert stored_models(folder) == "bc"


def test_a_model_that_is_being_deleted_is_not_used(folder: Path) -> None:
    """A process that needs the model prepares it again."""
    [a] = prepared(folder, "a")
    with leases.exclusive(a.path) as free:
        assert free
        assert leases.acquire(a.path) is None
    lease = leases.acquire(a.path)
    assert lease
    with leases.exclusive(a.path) as free:
        assert not free
    lease.release()
    with leases.exclusive(a.path) as free:
        assert free
        a.path.rename(folder / "gone")
    assert leases.acquire(a.path) is None


def test_models_of_another_release_and_other_folders_are_left_alone(folder: Path) -> None:
    [a] = prepared(folder, "a")
    manifest = a.path / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 3'))
    (folder / "store/mine").mkdir()
    Store(folder / "store", limit=1).ensure(ref(folder, "b"), "float32")
    assert stored_models(folder) == "ab"
    assert (folder / "store/mine").is_dir()


async def test_a_replica_holds_its_model_until_it_ends(folder: Path, replica: Replica) -> None:
    """The replica also prunes, as its setting says."""
    prepared(folder, "b")
    tiny.make_answering(folder / "sources/d")
    settings = Settings(
        model_uri=ref(folder, "d").uri,
        model_cache=folder / "store",
        model_precision="float32",
        model_cache_limit=ByteSize(1024),
    )
    await load(settings, replica.lifecycle, metrics=replica.metrics, tracing=replica.tracing)
    assert stored_models(folder) == "d"
    [directory] = (folder / "store").glob("d-*")
    with leases.exclusive(directory) as free:
        assert not free
    assert replica.lifecycle.backend
    await replica.lifecycle.backend.stop()
    with leases.exclusive(directory) as free:
        assert free
