"""Copies a release's files to an object store, for download."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from delivery.release.errors import ReleaseError

if TYPE_CHECKING:
    from pathlib import Path


def upload(folder: Path, address: str) -> str:
    """Copy the folder's files to s3://BUCKET/PREFIX/<folder's name>, and return that address.

    S3 takes credentials, region and endpoint from the usual AWS_* variables. An existing version is never
    replaced. Raises ReleaseError.
    """
    parts = urlsplit(address)
    target = f"{address.rstrip('/')}/{folder.name}"
    try:
        store = S3Store(
            parts.netloc, prefix=parts.path.strip("/") or None, client_options={"allow_http": True}
        )
        if next(iter(obstore.list(store, folder.name)), None):
            message = f"{target} has files already: a released version never changes. Choose a new VERSION."
            raise ReleaseError(message)
        for file in sorted(folder.iterdir()):
            obstore.put(store, f"{folder.name}/{file.name}", file)
    except (BaseError, OSError, ValueError) as error:
        message = f"Can't copy the release to {target}: {str(error).strip().splitlines()[0]}"
        raise ReleaseError(message) from error
    return target
