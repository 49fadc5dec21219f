"""Weights from a bucket, a web server or a directory: each file resumed where it stopped, and checked.

The files are those of a hub's repository. What was fetched is kept under a name that stands for the very files that
were seen, by their ETags, and more is asked for only if they are the same: so old and new are never mixed.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING

from mcq_service.model_store import files, safetensors_header
from mcq_service.model_store.catalogue import QWEN_CODER_GGUF
from mcq_service.model_store.errors import DigestMismatch, ModelNotFound
from mcq_service.model_store.sources import model_files
from mcq_service.model_store.sources.object_store import Place
from mcq_service.model_store.sources.source import Fetched, Offer, each
from mcq_service.model_store.sources.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mcq_service.model_store.catalogue import GGUFWeights
    from mcq_service.model_store.reference import ModelRef
    from mcq_service.model_store.sources.object_store import Entry
    from mcq_service.model_store.sources.source import Report

_NAMES = {"s3": "bucket", "file": "directory"}
_SHARD = re.compile(r"[\w.-]+\.safetensors", re.ASCII)


class Objects:
    """A directory of files under one address."""

    def __init__(self, ref: ModelRef, *, gguf: GGUFWeights = QWEN_CODER_GGUF) -> None:
        """Name the directory; `gguf` is the GGUF file that it may have instead of safetensors."""
        self.name = _NAMES.get(ref.scheme, "web server")
        self._ref = ref
        self._gguf = gguf
        self._place = Web(ref) if ref.scheme in {"http", "https"} else Place(ref)
        self._files: list[Entry] = []

    def offer(self) -> Offer:
        """Look at the files that the model needs."""
        config = self._place.read(model_files.CONFIG)
        self._files = [self._quantised()] if config is None else [config[0], *self._repository()]
        size = sum(entry.size for entry in self._files)
        revision = self._revision()
        return Offer(
            key=f"{self._ref.name.rpartition('/')[2][:100]}@{revision[:12]}",
            revision=revision,
            bytes=size,
            parameters=self._gguf.parameters if config is None else size // 2,
        )

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch each file that is not there yet."""
        into.mkdir(parents=True, exist_ok=True)
        for entry, told in each(self._files, self._ref.name, report):
            self._fetch(entry, into, told)
        if self._files[0].name == self._gguf.file:
            return self._fetched_gguf(into, report)
        weights = [into / entry.name for entry in self._files if model_files.is_weights(entry.name)]
        sums = {entry.name: _sha256(into / entry.name, report) for entry in self._files}
        return Fetched(directory=into, weights=tuple(weights), digest=model_files.digest(sums))

    def _repository(self) -> list[Entry]:
        """The files beside the config, as a hub's repository has them."""
        place = self._place
        others = [place.look(name) for name in sorted(model_files.COMPANIONS - {model_files.CONFIG})]
        index = place.read(model_files.INDEX) if place.look(model_files.INDEX) else None
        names = [model_files.WEIGHTS] if index is None else self._shards(index[1])
        weights = [self._required(place.look(name), name) for name in names]
        return [*([index[0]] if index else []), *filter(None, others), *weights]

    def _shards(self, index: bytes) -> list[str]:
        """The files that an index lists."""
        try:
            names = sorted(set(json.loads(index)["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            names = []
        if not names or not all(isinstance(name, str) and _SHARD.fullmatch(name) for name in names):
            raise DigestMismatch(
                f"{model_files.INDEX} of {self._ref.address} is damaged: put the model's own there."  # noqa: EM102
            )
        return names

    def _quantised(self) -> Entry:
        """The GGUF file alone: it has config and tokenizer in it."""
        return self._required(self._place.look(self._gguf.file), model_files.CONFIG)

    def _required(self, entry: Entry | None, name: str) -> Entry:
        if entry is None:
            msg = (
                f"{self._ref.address} has no {name}, or does not show it: name a directory that has "
                f"{model_files.CONFIG}, the tokenizer's files and {model_files.WEIGHTS} or its shards with "
                f"{model_files.INDEX}, or the file {self._gguf.file}."
            )
            raise ModelNotFound(msg)
        return entry

    def _revision(self) -> str:
        """Tells these files from those that replace them, and from the same ones elsewhere."""
        versions = sorted((entry.name, entry.size, entry.version) for entry in self._files)
        return hashlib.sha256(json.dumps([self._ref.address, *versions]).encode()).hexdigest()[:40]

    def _fetch(self, entry: Entry, into: Path, advance: Callable[[int], None]) -> None:
        path, partial = into / entry.name, into / f"{entry.name}.partial"
        if path.is_file() and path.stat().st_size == entry.size:
            return
        if not entry.match:
            partial.unlink(missing_ok=True)  # nothing would say that the rest is of the same file
        partial.touch()
        if (have := partial.stat().st_size) < entry.size:
            self._append(entry, partial, have, advance)
        if damage := _damage(partial, entry):
            partial.unlink()
            msg = f"{damage}, as it came from {self._ref.address}. It was deleted: put a whole one there."
            raise DigestMismatch(msg)
        partial.rename(path)

    def _append(self, entry: Entry, partial: Path, have: int, advance: Callable[[int], None]) -> None:
        """Write to `partial` what is missing of the file."""
        have, chunks = self._place.stream(entry, have)
        with partial.open("ab" if have else "wb") as out:
            for chunk in chunks:
                out.write(chunk)
                have += len(chunk)
                advance(have)

    def _fetched_gguf(self, into: Path, report: Report) -> Fetched:
        path = into / self._gguf.file
        if _sha256(path, report) != self._gguf.sha256:
            path.unlink()
            msg = (
                f"{path.name} of {self._ref.address} does not have the SHA-256 {self._gguf.sha256}. It was "
                "deleted: put the original file there."
            )
            raise DigestMismatch(msg)
        return Fetched(directory=into, weights=(path,), digest=self._gguf.digest, gguf=self._gguf)


def _sha256(path: Path, report: Report) -> str:
    return files.sha256(path, lambda _count: report(1.0, f"taking the SHA-256 of {path.name}"))


def _damage(path: Path, entry: Entry) -> str | None:
    """What is wrong with a file that was fetched; None if nothing is."""
    size = path.stat().st_size
    if size != entry.size:
        return f"{entry.name} has {size} bytes, not {entry.size}"
    if model_files.is_weights(entry.name):
        try:
            safetensors_header.read(path)
        except safetensors_header.HeaderDamaged as error:
            return str(error).replace(path.name, entry.name)
    return None
