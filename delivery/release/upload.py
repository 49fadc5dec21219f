"""Copies a release's files to an object store, for download."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from delivery.release.errors import ReleaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUMS = "SHA256SUMS"


def upload(folder: Path, address: str) -> str:
    """Copy the folder's files to s3://BUCKET/PREFIX/<folder's name>, and return that address.

    S3 takes credentials, region and endpoint from the usual AWS_* variables. The sums come last: a version that has
    them is complete. Raises ReleaseError.
    """
    with _store(folder, address) as (store, target):
        for file in sorted(folder.iterdir(), key=lambda file: (file.name == SUMS, file.name)):
            obstore.put(store, f"{folder.name}/{file.name}", file)
    return target


def is_uploaded(folder: Path, address: str) -> bool:
    """Return whether the store has this release. Raises ReleaseError if it has another release of this version."""
    with _store(folder, address) as (store, target):
        try:
            sums = bytes(obstore.get(store, f"{folder.name}/{SUMS}").bytes())
        except FileNotFoundError:
            return False
    local = folder / SUMS
    if not local.is_file() or local.read_bytes() != sums:
        raise ReleaseError(
            f"{target} has files already: a released version never changes. Choose a new VERSION."
        )
    return True


@contextmanager
def _store(folder: Path, address: str) -> Iterator[tuple[S3Store, str]]:
    """Yield the store and the release's address in it; report its errors as ReleaseError."""
    parts = urlsplit(address)
    target = f"{address.rstrip('/')}/{folder.name}"
    try:
        yield (
            S3Store(parts.netloc, prefix=parts.path.strip("/") or None, client_options={"allow_http": True}),
            target,
        )
    except (BaseError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ReleaseError(f"Can't copy the release to {target}: {reason}") from error
