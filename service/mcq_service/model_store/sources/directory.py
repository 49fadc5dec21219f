"""Weights from a directory in a bucket, on a web server or on this machine; downloads are resumed and verified.

The files are the same as in a hub's repository. Downloads are stored under a key of the files' ETags, and a download
continues only with the same ETag. So files of two versions are never mixed.
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
from mcq_service.model_store.sources.object_store import ObjectStoreDirectory
from mcq_service.model_store.sources.source import Fetched, Offer, with_progress
from mcq_service.model_store.sources.web import WebDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mcq_service.model_store.catalogue import GGUFWeights
    from mcq_service.model_store.reference import ModelRef
    from mcq_service.model_store.sources.object_store import FileInfo
    from mcq_service.model_store.sources.source import Report

_NAMES = {"s3": "bucket", "file": "directory"}
_SHARD = re.compile(r"[\w.-]+\.safetensors", re.ASCII)


class DirectorySource:
    """A directory of files at one address."""

    def __init__(self, ref: ModelRef, *, gguf: GGUFWeights = QWEN_CODER_GGUF) -> None:
        """Use the directory of `ref`; it may have the file `gguf` instead of safetensors."""
        self.name = _NAMES.get(ref.scheme, "web server")
        self._ref = ref
        self._gguf = gguf
        self._directory = WebDirectory(ref) if ref.scheme in {"http", "https"} else ObjectStoreDirectory(ref)
        self._files: list[FileInfo] = []

    def offer(self) -> Offer:
        """Look up the model's files."""
        config = self._directory.read(model_files.CONFIG)
        self._files = [self._quantised()] if config is None else [config[0], *self._repository()]
        size = sum(file.size for file in self._files)
        revision = self._revision()
        return Offer(
            key=f"{self._ref.name.rpartition('/')[2][:100]}@{revision[:12]}",
            revision=revision,
            bytes=size,
            parameters=self._gguf.parameters if config is None else size // 2,
        )

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch each missing file."""
        into.mkdir(parents=True, exist_ok=True)
        for file, advance in with_progress(self._files, self._ref.name, report):
            self._fetch(file, into, advance)
        if self._files[0].name == self._gguf.file:
            return self._fetched_gguf(into, report)
        weights = [into / file.name for file in self._files if model_files.is_weights(file.name)]
        sums = {file.name: _sha256(into / file.name, report) for file in self._files}
        return Fetched(directory=into, weights=tuple(weights), digest=model_files.digest(sums))

    def _repository(self) -> list[FileInfo]:
        """Look up the files beside the config, the same as in a hub's repository."""
        directory = self._directory
        others = [directory.stat(name) for name in sorted(model_files.COMPANIONS - {model_files.CONFIG})]
        index = directory.read(model_files.INDEX) if directory.stat(model_files.INDEX) else None
        names = [model_files.WEIGHTS] if index is None else self._shards(index[1])
        weights = [self._required(directory.stat(name), name) for name in names]
        return [*([index[0]] if index else []), *filter(None, others), *weights]

    def _shards(self, index: bytes) -> list[str]:
        """Return the files that an index lists."""
        try:
            names = sorted(set(json.loads(index)["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            names = []
        if not names or not all(isinstance(name, str) and _SHARD.fullmatch(name) for name in names):
            raise DigestMismatch(
                f"{model_files.INDEX} of {self._ref.address} is damaged: put the original file there."
            )
        return names

    def _quantised(self) -> FileInfo:
        """Look up the GGUF file, which contains config and tokenizer."""
        return self._required(self._directory.stat(self._gguf.file), model_files.CONFIG)

    def _required(self, file: FileInfo | None, name: str) -> FileInfo:
        if file is None:
            raise ModelNotFound(
                f"{self._ref.address} has no {name}, or does not show it: name a directory that has "
                f"{model_files.CONFIG}, the tokenizer's files and {model_files.WEIGHTS} or its shards with "
                f"{model_files.INDEX}, or the file {self._gguf.file}."
            )
        return file

    def _revision(self) -> str:
        """Return an id that differs for other versions of the files, and for the same files elsewhere."""
        versions = sorted((file.name, file.size, file.version) for file in self._files)
        return hashlib.sha256(json.dumps([self._ref.address, *versions]).encode()).hexdigest()[:40]

    def _fetch(self, file: FileInfo, into: Path, advance: Callable[[int], None]) -> None:
        path, partial = into / file.name, into / f"{file.name}.partial"
        if path.is_file() and path.stat().st_size == file.size:
            return
        if not file.match:
            partial.unlink(missing_ok=True)  # without an ETag the rest may be of another version
        partial.touch()
        if (have := partial.stat().st_size) < file.size:
            self._append(file, partial, have, advance)
        if damage := _damage(partial, file):
            partial.unlink()
            raise DigestMismatch(
                f"{damage} at {self._ref.address}. The download was deleted: put an undamaged file there."
            )
        partial.rename(path)

    def _append(self, file: FileInfo, partial: Path, have: int, advance: Callable[[int], None]) -> None:
        """Append the missing bytes to `partial`."""
        have, chunks = self._directory.stream(file, have)
        with partial.open("ab" if have else "wb") as out:
            for chunk in chunks:
                out.write(chunk)
                have += len(chunk)
                advance(have)

    def _fetched_gguf(self, into: Path, report: Report) -> Fetched:
        path = into / self._gguf.file
        if _sha256(path, report) != self._gguf.sha256:
            path.unlink()
            raise DigestMismatch(
                f"{path.name} of {self._ref.address} does not have the SHA-256 {self._gguf.sha256}. It was "
                "deleted: put the original file there."
            )
        return Fetched(directory=into, weights=(path,), digest=self._gguf.digest, gguf=self._gguf)


def _sha256(path: Path, report: Report) -> str:
    return files.sha256(path, lambda _count: report(1.0, f"computing the SHA-256 of {path.name}"))


def _damage(path: Path, file: FileInfo) -> str | None:
    """Describe the damage of a downloaded file; None without damage."""
    size = path.stat().st_size
    if size != file.size:
        return f"{file.name} has {size} bytes, not {file.size}"
    if model_files.is_weights(file.name):
        try:
            safetensors_header.read(path)
        except safetensors_header.HeaderDamaged as error:
            return str(error).replace(path.name, file.name)
    return None
