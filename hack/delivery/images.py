"""The delivered images: dist/images.json, written by push and read by the later stages."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hack.delivery.errors import RecordError
from hack.images.build import DIST

if TYPE_CHECKING:
    from pathlib import Path

RECORD = DIST / "images.json"


@dataclass(frozen=True)
class Images:
    """Both images by digest: REGISTRY/NAME@sha256:…"""

    operator: str
    service: str

    def write(self, path: Path) -> None:
        """Write the record for later stages."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path = RECORD) -> Images:
        """Return the images of the last push. Raises RecordError if there was none."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            message = f"{path} isn't there: `make push REGISTRY=...` writes it."
            raise RecordError(message) from None
        except (ValueError, TypeError) as error:
            message = f"{path} is no record of pushed images ({error}): run `make push REGISTRY=...` again."
            raise RecordError(message) from error
