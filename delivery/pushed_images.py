"""The pushed images: dist/images.json, written by push and read by the later stages."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.installation import Images

from delivery.errors import RecordError

if TYPE_CHECKING:
    from pathlib import Path

RECORD = DIST / "images.json"


def write_images(images: Images, path: Path = RECORD) -> None:
    """Write the record for later stages."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(images), indent=2) + "\n")


def read_images(path: Path = RECORD) -> Images:
    """Return the images of the last push. Raises RecordError if there was none."""
    try:
        return Images(**json.loads(path.read_text()))
    except FileNotFoundError:
        raise RecordError(f"{path} does not exist: `make push REGISTRY=...` writes it.") from None
    except (ValueError, TypeError) as error:
        message = f"{path} is not a record of pushed images ({error}): run `make push REGISTRY=...` again."
        raise RecordError(message) from error
