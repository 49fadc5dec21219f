"""The model store: a directory of prepared models that processes and pods share.

    <root>/<name>-<revision>-<digest>-<precision>/   a prepared model: weights, tokenizer, config, manifest
    <root>/sources/<key>/                 what it was made from, where that was to be kept
    <root>/.work/                         what is being made, or a killed process left: resumed or deleted
    <root>/.lock                          held by the process that writes

A prepared directory appears by one rename, so whoever sees it sees all of it, and using it takes no lock but a shared
one of its own (`leases`): a model that nobody uses is deleted, the least recently used first, where the store outgrows
its limit or lacks the space for another.
"""

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from mcq_service.model_store import files, leases, manifest, retry
from mcq_service.model_store.convert import convert
from mcq_service.model_store.errors import (
    DigestMismatch,
    NotEnoughSpace,
    SourceUnreachable,
    StoreNotWritable,
    UnsupportedArchitecture,
)
from mcq_service.model_store.int8_layout import has_int8
from mcq_service.model_store.manifest import Manifest
from mcq_service.model_store.precision import (
    BYTES_PER_WEIGHT,
    Precision,
    PrecisionChoice,
    best_float,
    resolve,
)
from mcq_service.model_store.progress import Progress, Stage, Throttled, silent
from mcq_service.model_store.reference import ModelRef, name_of
from mcq_service.model_store.sources import Fetched, Offer, Source, for_reference

_SPARE_BYTES = 64 << 20  # for the small files beside the weights
_MARK = ".digest"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PreparedModel:
    """A directory the engine loads from; see Manifest for `revision` and `digest`.

    While `lease` is held, no store deletes the directory.
    """

    path: Path
    uri: str
    revision: str
    digest: str
    precision: Precision
    lease: leases.Lease | None = field(default=None, compare=False, repr=False)

    def release(self) -> None:
        """Use it no longer."""
        if self.lease is not None:
            self.lease.release()

    @property
    def name(self) -> str:
        """What the model is called in answers."""
        return name_of(self.uri)


class Store:
    """The models under a directory."""

    def __init__(
        self,
        root: Path,
        *,
        sources: Callable[[ModelRef], Sequence[Source]] = for_reference,
        free_space: Callable[[Path], int] = files.free_space,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        poll_seconds: float = 1.0,
        limit: int | None = None,
        attempts: int = 1,
    ) -> None:
        """Use the directory `root`, made when first written; `poll_seconds` paces waiting for the lock.

        `limit` is how many bytes the prepared models together may have before unused ones are deleted. `attempts` is
        how often a source that does not answer is asked, as long as nothing comes.
        """
        self._attempts = attempts
        self._root = root
        self._limit = limit
        self._work = root / ".work"
        self._kept = root / "sources"
        self._sources = sources
        self._free_space = free_space
        self._now = now
        self._poll_seconds = poll_seconds

    def ensure(
        self,
        ref: ModelRef,
        precision: PrecisionChoice = "auto",
        progress: Progress = silent,
        *,
        verify: bool = False,
        keep_source: bool = False,
    ) -> PreparedModel:
        """The model, prepared; fetched and converted first where the store lacks it.

        Blocks, for minutes where there is much to fetch. `verify` hashes the files of a model that is there,
        where otherwise only sizes are compared; a damaged one is made anew. `keep_source` keeps the source.
        Raises ModelStoreError.
        """
        chosen = resolve(precision)
        # `auto` is never refused: a model that has no int8 runs in floats.
        instead = best_float() if precision == "auto" and chosen == "int8" else None
        report = Throttled(progress)
        find = partial(self._find, ref, chosen, instead, report, verify=verify, keep_source=keep_source)
        prepare = partial(self._prepare, ref, report=report, keep_source=keep_source)
        if found := find():
            self._prune_if_free()
            return found
        with self._writable(), self._locked(report):
            found = find()
            if not found:
                try:
                    found = prepare(chosen)
                except UnsupportedArchitecture:
                    if instead is None:
                        raise
                    found = prepare(instead)
            self._prune()
        return found

    def _find(
        self,
        ref: ModelRef,
        precision: Precision,
        instead: Precision | None,
        report: Progress,
        *,
        verify: bool,
        keep_source: bool,
    ) -> PreparedModel | None:
        """The undamaged model in `precision`, or in `instead` if it is of an architecture that has no int8."""
        candidates = [(directory, precision) for directory in sorted(self._root.glob(f"*-{precision}"))]
        if instead:
            floats = sorted(self._root.glob(f"*-{instead}"))
            candidates += [(directory, instead) for directory in floats if not has_int8(directory)]
        for directory, stored in candidates:
            found = manifest.read(directory)
            if found is None or not found.answers(ref, stored):
                continue
            if (lease := leases.take(directory)) is None:
                continue  # it is being deleted
            if verify:
                report(Stage.FETCHING, None, f"checking the SHA-256 of {directory.name}")
            if damage := found.damage(directory, rehash=verify):
                report(Stage.FETCHING, None, f"{directory.name} is damaged ({damage}): making it anew")
            elif not keep_source or self._has_source(found.digest):
                return _prepared(directory, found, lease)
            lease.release()
        return None

    def _has_source(self, digest: str) -> bool:
        return any(mark.read_text() == digest for mark in self._kept.glob(f"*/{_MARK}"))

    @contextmanager
    def _writable(self) -> Iterator[None]:
        """Say in the store's terms what the file system refuses."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                msg = f"{self._root} is full: free some space, or use a larger volume, then run this again."
                raise NotEnoughSpace(msg) from error
            if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
                msg = (
                    f"No undamaged copy of the model is in {self._root}, and that can't be written "
                    f"({error.strerror}): make it writable, or put the prepared model there."
                )
                raise StoreNotWritable(msg) from error
            raise

    @contextmanager
    def _locked(self, report: Progress) -> Iterator[None]:
        """Hold the store's lock; say so while another process has it."""
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

    def _prune_if_free(self) -> None:
        """Prune unless another process is at work, which does so itself, or the store can't be written."""
        if self._limit is None or self._size() <= self._limit:
            return
        try:
            with FileLock(self._root / ".lock", mode=0o664, timeout=0):
                self._prune()
        except (OSError, Timeout) as error:
            _log.info("the model cache is larger than its limit, and can't be pruned now: %s", error)

    def _prune(self) -> None:
        """Delete unused models, the least recently used first, until the others are within the limit."""
        if self._limit is not None:
            limit = self._limit
            self._delete_unused(lambda: self._size() <= limit)

    def _make_room(self, needed: int) -> None:
        """Delete unused models until so many bytes are free, or raise NotEnoughSpace."""
        self._delete_unused(lambda: self._free_space(self._root) >= needed)
        files.require_space(self._root, needed, self._free_space)

    def _delete_unused(self, enough: Callable[[], bool]) -> None:
        """Delete models that nobody uses until it is enough; the lock is held."""
        for directory in sorted(self._models(), key=leases.last_used):
            if enough():
                return
            with leases.unused(directory) as free:
                if not free:
                    continue
                size, used = files.occupied(directory), leases.last_used(directory)
                gone = self._work / f"{directory.name}.deleted"
                self._work.mkdir(exist_ok=True)
                files.remove(gone)
                directory.rename(gone)  # whoever looks for it now does not find it
            files.remove(gone)
            _log.warning(
                "deleted the model %s from the cache %s: nobody uses it, since %s; it had %.2f GiB",
                directory.name,
                self._root,
                datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
                size / files.GIB,
            )

    def _models(self) -> list[Path]:
        """The prepared models; those of another release, whose manifest says something else, are left alone."""
        return [path.parent for path in self._root.glob(f"*/{manifest.NAME}") if manifest.read(path.parent)]

    def _size(self) -> int:
        return sum(files.occupied(directory) for directory in self._models())

    def _prepare(
        self, ref: ModelRef, precision: Precision, report: Progress, *, keep_source: bool
    ) -> PreparedModel:
        fetching = partial(report, Stage.FETCHING)
        persist = partial(
            retry.persist, attempts=self._attempts, report=lambda detail: fetching(None, detail)
        )
        source, offer = persist(lambda: self._reachable(ref, report), progress=lambda: 0)
        into = self._source_directory(offer, keep=keep_source)
        self._clear(keep=into)
        needed = offer.bytes + offer.parameters * BYTES_PER_WEIGHT[precision] + _SPARE_BYTES
        self._make_room(needed - files.occupied(into))
        fetched = persist(lambda: source.fetch(into, fetching), progress=lambda: files.size(into))
        if ref.digest not in {None, fetched.digest}:
            files.remove(into)
            msg = (
                f"The files of {ref.uri} have the digest {fetched.digest}, not {ref.digest}. They were "
                "deleted: correct the digest or the revision."
            )
            raise DigestMismatch(msg)
        planned = Manifest(
            uri=ref.address,
            requested=(ref.wanted_revision,) if ref.wanted_revision else (),
            revision=offer.revision,
            origin=source.name,
            digest=fetched.digest,
            precision=precision,
            created=self._now(),
            files={},
        )
        prepared = self._placed(planned, fetched, report)
        if keep_source:
            (into / _MARK).write_text(fetched.digest)
        self._clear()
        return prepared

    def _reachable(self, ref: ModelRef, report: Progress) -> tuple[Source, Offer]:
        """The first source that answers. Raises what the first one said where none does."""
        refusals: list[SourceUnreachable] = []
        for source in self._sources(ref):
            report(Stage.FETCHING, None, f"asking the {source.name} for {ref.name}")
            try:
                return source, source.offer()
            except SourceUnreachable as error:
                refusals.append(error)
        raise refusals[0]

    def _source_directory(self, offer: Offer, *, keep: bool) -> Path:
        kept = self._kept / offer.key
        return kept if keep or kept.is_dir() else self._work / offer.key

    def _clear(self, keep: Path | None = None) -> None:
        """Delete what killed processes left: the lock says that nobody else is at work."""
        for leftover in self._work.glob("*"):
            if leftover != keep:
                files.remove(leftover)

    def _placed(self, planned: Manifest, fetched: Fetched, report: Progress) -> PreparedModel:
        """The prepared directory, made unless an undamaged one of the same revision is there."""
        final = self._root / _directory_name(planned)
        there = manifest.read(final)
        if there is not None and there.damage(final, rehash=True) is None:
            requested = tuple(sorted({*there.requested, *planned.requested}))
            there = there.model_copy(update={"requested": requested})
            manifest.write(final, there)
            return _prepared(final, there, leases.take(final))
        made = self._work / final.name
        made.mkdir(parents=True)
        convert(fetched, made, planned.precision, partial(report, Stage.CONVERTING))
        report(Stage.CONVERTING, None, "recording the SHA-256 of what was made")
        complete = planned.model_copy(update={"files": manifest.entries(made)})
        manifest.write(made, complete)
        for path in made.iterdir():
            files.sync(path)  # its contents are on the disk before its name is
        if final.exists():
            final.rename(self._work / "damaged")
        made.rename(final)
        files.sync(self._root)
        return _prepared(final, complete, leases.take(final))


def _directory_name(planned: Manifest) -> str:
    """A name per revision, weights and precision: a commit may change the tokenizer and not the weights."""
    name = planned.uri.rpartition("/")[2].lower()[:100]
    digest = planned.digest.removeprefix("sha256:")
    return f"{name}-{planned.revision[:12]}-{digest[:12]}-{planned.precision}"


def _prepared(directory: Path, found: Manifest, lease: leases.Lease | None) -> PreparedModel:
    return PreparedModel(
        path=directory,
        uri=found.uri,
        revision=found.revision,
        digest=found.digest,
        precision=found.precision,
        lease=lease,
    )
