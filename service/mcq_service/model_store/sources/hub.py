"""Weights from the Hugging Face hub, at one commit: each download is resumed and verified.

The hub's own library sends the requests, authenticates (HF_TOKEN), and knows the hub's errors and addresses
(HF_ENDPOINT). Its download is not used: it checks sizes but no digests, gives up at a 5xx, and honours Retry-After
only for a 429. `model_store.store` repeats failed requests, with `retry`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_session, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling

# Public, but missing in its __all__.
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]

from mcq_service.model_store import files
from mcq_service.model_store.catalogue import QWEN_CODER_GGUF, GGUFWeights
from mcq_service.model_store.errors import DigestMismatch, ModelNotFound, SourceError
from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.sources import model_files, web
from mcq_service.model_store.sources.source import Fetched, Offer, Report, with_progress

_TIMEOUT_SECONDS = 20
_ADVICE = "check the network, HF_ENDPOINT and the proxy settings"


@dataclass(frozen=True)
class _File:
    """A file of the repository: its size, and its SHA-256 (large files) or git blob id (small ones)."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


class HubSource:
    """One repository at one revision."""

    name = "hub"

    def __init__(
        self, ref: ModelRef, *, endpoint: str | None = None, gguf: GGUFWeights = QWEN_CODER_GGUF
    ) -> None:
        """Use the repository of `ref`; `endpoint` is the hub's address, by default HF_ENDPOINT.

        A repository may have the file `gguf` instead of safetensors.
        """
        self._ref = ref
        self._endpoint = endpoint
        self._gguf = gguf
        self._commit = ""
        self._files: list[_File] = []

    def offer(self) -> Offer:
        """Resolve the revision to a commit and list the model's files."""
        info = self._info()
        self._commit = info.sha or ""
        self._files = self._needed([_file(sibling) for sibling in info.siblings or []])
        weights = sum(file.size for file in self._files if model_files.is_weights(file.name))
        parameters = info.safetensors.total if info.safetensors else weights // 2
        return Offer(
            key=f"{self._ref.name.replace('/', '--')}@{self._commit[:12]}",
            revision=self._commit,
            bytes=sum(file.size for file in self._files),
            parameters=self._gguf.parameters if self._quantised else parameters,
        )

    def fetch(self, into: Path, report: Report) -> Fetched:
        """Fetch each missing file, complete and with the right checksum."""
        into.mkdir(parents=True, exist_ok=True)
        sums = {file.name: file.sha256 for file in self._files if file.sha256}
        for file, advance in with_progress(self._files, self._ref.name, report):
            self._require_digest(sums)
            self._fetch(file, into, advance)
            sums.setdefault(file.name, files.sha256(into / file.name))
        return Fetched(
            directory=into,
            weights=tuple(into / file.name for file in self._files if _is_large(file.name)),
            digest=model_files.digest(sums),
            gguf=self._gguf if self._quantised else None,
        )

    @property
    def _quantised(self) -> bool:
        return [file.name for file in self._files] == [self._gguf.file]

    def _needed(self, available: list[_File]) -> list[_File]:
        """Return the model's files from those of the repository, the weights last."""
        names = {file.name for file in available}
        shards = model_files.INDEX in names
        needed = model_files.COMPANIONS | {model_files.INDEX if shards else model_files.WEIGHTS}
        if model_files.CONFIG not in names and self._gguf.file in names:
            needed = {self._gguf.file}
        selected = [
            file
            for file in available
            if file.name in needed or (shards and model_files.SHARD.fullmatch(file.name))
        ]
        if not any(_is_large(file.name) for file in selected):
            raise ModelNotFound(
                f"{self._ref.name} at {self._ref.requested_revision} has no {model_files.WEIGHTS}: "
                f"name a repository with weights as safetensors, or with {self._gguf.file}."
            )
        return sorted(selected, key=lambda file: _is_large(file.name))

    def _info(self) -> ModelInfo:
        repository, revision = self._ref.name, self._ref.requested_revision
        try:
            return HfApi(endpoint=self._endpoint).model_info(
                repository, revision=revision, files_metadata=True, timeout=_TIMEOUT_SECONDS
            )
        except (RepositoryNotFoundError, RevisionNotFoundError, GatedRepoError) as error:
            raise ModelNotFound(
                f"The hub has no {repository} at revision {revision}, or does not show it without a token: "
                "check the URI and the revision; for a private or gated model set HF_TOKEN."
            ) from error
        except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
            raise _source_error(error) from error

    def _require_digest(self, sums: dict[str, str]) -> None:
        """Stop before fetching gigabytes if the hub's checksums already give another digest."""
        if len(sums) < len(self._files):
            return
        digest = model_files.digest(sums)
        if self._ref.digest not in {None, digest}:
            raise DigestMismatch(
                f"The files of {self._ref.name} at {self._commit} have the digest {digest}, "
                f"not {self._ref.digest}: correct the digest or the revision."
            )
        if self._quantised and digest != self._gguf.digest:
            raise DigestMismatch(
                f"{self._gguf.file} of {self._ref.name} at {self._commit} has the digest {digest}, but only "
                f"{self._gguf.digest} is supported: name the revision that has it."
            )

    def _fetch(self, file: _File, into: Path, advance: Callable[[int], None]) -> None:
        path, partial = into / file.name, into / f"{file.name}.partial"
        if path.is_file() and _is_whole(path, file):
            return
        path.unlink(missing_ok=True)
        try:
            self._download(file, partial, advance)
        except (httpx2.HTTPError, OfflineModeIsEnabled) as error:
            raise _source_error(error) from error
        if not _is_whole(partial, file):
            partial.unlink()
            raise DigestMismatch(
                f"{file.name} of {self._ref.name} does not have the size and checksum that the hub "
                "states. It was deleted: try again."
            )
        partial.rename(path)

    def _download(self, file: _File, partial: Path, advance: Callable[[int], None]) -> None:
        """Append the missing bytes to `partial`."""
        have = partial.stat().st_size if partial.is_file() else 0
        if have >= file.size and partial.is_file():
            return
        url = hf_hub_url(self._ref.name, file.name, revision=self._commit, endpoint=self._endpoint)
        # Uncompressed, so that an offset in the response is an offset in the file.
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = get_session().stream(
            "GET", url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_SECONDS
        )
        with request as response:
            hf_raise_for_status(response)
            resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT
            have = have if resumed else 0
            with partial.open("ab" if resumed else "wb") as out:
                for block in response.iter_bytes():
                    out.write(block)
                    have += len(block)
                    advance(have)


def _is_large(name: str) -> bool:
    """Return whether a file holds weights, in either format."""
    return model_files.is_weights(name) or name.endswith(".gguf")


def _file(sibling: RepoSibling) -> _File:
    return _File(
        name=sibling.rfilename,
        size=sibling.size or 0,
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        blob=sibling.blob_id,
    )


def _is_whole(path: Path, file: _File) -> bool:
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        return files.sha256(path) == file.sha256
    git = hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)  # git's id of a blob
    git.update(path.read_bytes())
    return file.blob in {None, git.hexdigest()}


def _source_error(error: Exception) -> SourceError:
    if isinstance(error, OfflineModeIsEnabled):
        return SourceError(f"Requests to the model hub are disabled ({error}): unset HF_HUB_OFFLINE.")
    return web.source_error(error, where="The model hub", advice=_ADVICE)
