"""The model store: a directory of prepared models that processes and pods share.

    <root>/<name>-<revision>-<digest>-<precision>/   a prepared model: weights, tokenizer, config, manifest
    <root>/sources/<key>/                 a model's source files, if they are kept
    <root>/.work/                         work in progress, or left by a killed process; resumed or deleted
    <root>/.lock                          held by the process that writes

A prepared directory appears by a single rename, so readers see all of it or nothing. Using it takes only a shared lock
on it (`leases`). Unused models are deleted, the least recently used first, when the store exceeds its limit or lacks
space for another model.
"""

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from mcq_service.model_store import files, leases, model_manifest, retry
from mcq_service.model_store.convert import convert
from mcq_service.model_store.errors import (
    DigestMismatch,
    NotEnoughSpace,
    SourceUnreachable,
    StoreNotWritable,
    UnsupportedArchitecture,
)
from mcq_service.model_store.int8_layout import supports_int8
from mcq_service.model_store.model_manifest import Manifest
from mcq_service.model_store.precision import (
    BYTES_PER_WEIGHT,
    Precision,
    PrecisionChoice,
    best_float,
    resolve,
)
from mcq_service.model_store.progress import Progress, Stage, ThrottledProgress, no_progress
from mcq_service.model_store.pruning import Pruner
from mcq_service.model_store.reference import ModelRef, name_of
from mcq_service.model_store.sources import Fetched, Offer, Source, sources_for

_SPARE_BYTES = 64 << 20  # for the small files beside the weights
_DIGEST_FILE = ".digest"


@dataclass(frozen=True)
class PreparedModel:
    """A directory for the engine to load; see Manifest for `revision` and `digest`.

    While `lease` is held, no store deletes the directory.
    """

    path: Path
    uri: str
    revision: str
    digest: str
    precision: Precision
    lease: leases.Lease | None = field(default=None, compare=False, repr=False)

    def release(self) -> None:
        """Stop using the model."""
        if self.lease is not None:
            self.lease.release()

    @property
    def name(self) -> str:
        """The model's name in answers."""
        return name_of(self.uri)


class Store:
    """The models below a directory."""

    def __init__(
        self,
        root: Path,
        *,
        sources: Callable[[ModelRef], Sequence[Source]] = sources_for,
        free_space: Callable[[Path], int] = files.free_space,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        poll_seconds: float = 1.0,
        limit: int | None = None,
        attempts: int = 1,
    ) -> None:
        """Use the directory `root`, created with the first write; poll the lock every `poll_seconds`.

        Above `limit` bytes of prepared models, unused ones are deleted. A source that sends no data gets `attempts`
        attempts.
        """
        self._attempts = attempts
        self._root = root
        self._work = root / ".work"
        self._kept = root / "sources"
        self._sources = sources
        self._pruner = Pruner(root, self._work, limit=limit, free_space=free_space)
        self._now = now
        self._poll_seconds = poll_seconds

    def ensure(
        self,
        ref: ModelRef,
        precision: PrecisionChoice = "auto",
        progress: Progress = no_progress,
        *,
        verify: bool = False,
        keep_source: bool = False,
    ) -> PreparedModel:
        """Return the prepared model; fetch and convert it first if the store lacks it.

        Blocks, for minutes during a download. `verify` hashes the files of an existing model instead of comparing
        only their sizes; a damaged model is prepared again. `keep_source` keeps the source files.
        Raises ModelStoreError.
        """
        chosen = resolve(precision)
        # `auto` never fails: a model without int8 runs in floats.
        fallback = best_float() if precision == "auto" and chosen == "int8" else None
        report = ThrottledProgress(progress)
        find = partial(self._find, ref, chosen, fallback, report, verify=verify, keep_source=keep_source)
        prepare = partial(self._prepare, ref, report=report, keep_source=keep_source)
        if existing := find():
            self._pruner.prune_if_free()
            return existing
        with self._writable(), self._locked(report):
            model = find()
            if not model:
                try:
                    model = prepare(chosen)
                except UnsupportedArchitecture:
                    if fallback is None:
                        raise
                    model = prepare(fallback)
            self._pruner.prune()
        return model

    def _find(
        self,
        ref: ModelRef,
        precision: Precision,
        fallback: Precision | None,
        report: Progress,
        *,
        verify: bool,
        keep_source: bool,
    ) -> PreparedModel | None:
        """Find the undamaged model in `precision`, or in `fallback` if its architecture has no int8."""
        candidates = [(directory, precision) for directory in sorted(self._root.glob(f"*-{precision}"))]
        if fallback:
            floats = sorted(self._root.glob(f"*-{fallback}"))
            candidates += [(directory, fallback) for directory in floats if not supports_int8(directory)]
        for directory, stored in candidates:
            existing = model_manifest.read(directory)
            if existing is None or not existing.matches(ref, stored):
                continue
            if (lease := leases.acquire(directory)) is None:
                continue  # another process is deleting it
            if verify:
                report(Stage.FETCHING, None, f"checking the SHA-256 of {directory.name}")
            if damage := existing.damage(directory, rehash=verify):
                report(Stage.FETCHING, None, f"{directory.name} is damaged ({damage}): preparing it again")
            elif not keep_source or self._has_source(existing.digest):
                return _prepared(directory, existing, lease)
            lease.release()
        return None

    def _has_source(self, digest: str) -> bool:
        return any(file.read_text() == digest for file in self._kept.glob(f"*/{_DIGEST_FILE}"))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Translate the file system's errors into the store's."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise NotEnoughSpace(
                    f"{self._root} is full: free some space, or use a larger volume, then run this again."
                ) from error
            if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
                raise StoreNotWritable(
                    f"{self._root} has no undamaged copy of the model and can't be written "
                    f"({error.strerror}): make it writable, or put the prepared model there."
                ) from error
            raise

    @contextmanager
    def _locked(self, report: Progress) -> Iterator[None]:
        """Hold the store's lock; report while another process has it."""
        self._root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._root / ".lock", mode=0o664)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=self._poll_seconds)
            except Timeout:
                report(Stage.FETCHING, None, "waiting for another process that is preparing a model")
        try:
            yield
        finally:
            lock.release()

    def _prepare(
        self, ref: ModelRef, precision: Precision, report: Progress, *, keep_source: bool
    ) -> PreparedModel:
        fetching = partial(report, Stage.FETCHING)
        with_retries = partial(
            retry.with_retries, attempts=self._attempts, report=lambda detail: fetching(None, detail)
        )
        source, offer = with_retries(lambda: self._reachable(ref, report), progress=lambda: 0)
        into = self._source_directory(offer, keep=keep_source)
        self._clear(keep=into)
        needed = offer.bytes + offer.parameters * BYTES_PER_WEIGHT[precision] + _SPARE_BYTES
        self._pruner.make_room(needed - files.disk_usage(into))
        fetched = with_retries(lambda: source.fetch(into, fetching), progress=lambda: files.total_size(into))
        if ref.digest not in {None, fetched.digest}:
            files.remove(into)
            raise DigestMismatch(
                f"The files of {ref.uri} have the digest {fetched.digest}, not {ref.digest}. They were "
                "deleted: correct the digest or the revision."
            )
        planned = Manifest(
            uri=ref.address,
            requested=(ref.requested_revision,) if ref.requested_revision else (),
            revision=offer.revision,
            origin=source.name,
            digest=fetched.digest,
            precision=precision,
            created=self._now(),
            files={},
        )
        prepared = self._place(planned, fetched, report)
        if keep_source:
            (into / _DIGEST_FILE).write_text(fetched.digest)
        self._clear()
        return prepared

    def _reachable(self, ref: ModelRef, report: Progress) -> tuple[Source, Offer]:
        """Return the first source that answers. Raises the first source's error if none does."""
        errors: list[SourceUnreachable] = []
        for source in self._sources(ref):
            report(Stage.FETCHING, None, f"asking the {source.name} for {ref.name}")
            try:
                return source, source.offer()
            except SourceUnreachable as error:
                errors.append(error)
        raise errors[0]

    def _source_directory(self, offer: Offer, *, keep: bool) -> Path:
        kept = self._kept / offer.key
        return kept if keep or kept.is_dir() else self._work / offer.key

    def _clear(self, keep: Path | None = None) -> None:
        """Delete the leftovers of killed processes; the lock excludes other processes."""
        for leftover in self._work.glob("*"):
            if leftover != keep:
                files.remove(leftover)

    def _place(self, planned: Manifest, fetched: Fetched, report: Progress) -> PreparedModel:
        """Create the prepared directory, unless an undamaged one of the same revision exists."""
        final = self._root / _directory_name(planned)
        existing = model_manifest.read(final)
        if existing is not None and existing.damage(final, rehash=True) is None:
            requested = tuple(sorted({*existing.requested, *planned.requested}))
            existing = existing.model_copy(update={"requested": requested})
            model_manifest.write(final, existing)
            return _prepared(final, existing, leases.acquire(final))
        partial_directory = self._work / final.name
        partial_directory.mkdir(parents=True)
        convert(fetched, partial_directory, planned.precision, partial(report, Stage.CONVERTING))
        report(Stage.CONVERTING, None, "recording the SHA-256 of the prepared files")
        complete = planned.model_copy(update={"files": model_manifest.entries(partial_directory)})
        model_manifest.write(partial_directory, complete)
        for path in partial_directory.iterdir():
            files.sync(path)  # the content reaches the disk before the name
        if final.exists():
            final.rename(self._work / "damaged")
        partial_directory.rename(final)
        files.sync(self._root)
        return _prepared(final, complete, leases.acquire(final))


def _directory_name(planned: Manifest) -> str:
    """Return the directory's name. It contains the revision, too: a commit may change only the tokenizer."""
    name = planned.uri.rpartition("/")[2].lower()[:100]
    digest = planned.digest.removeprefix("sha256:")
    return f"{name}-{planned.revision[:12]}-{digest[:12]}-{planned.precision}"


def _prepared(directory: Path, recorded: Manifest, lease: leases.Lease | None) -> PreparedModel:
    return PreparedModel(
        path=directory,
        uri=recorded.uri,
        revision=recorded.revision,
        digest=recorded.digest,
        precision=recorded.precision,
        lease=lease,
    )
