"""Where weights come from."""

from collections.abc import Sequence

from mcq_service.models.catalogue import DEFAULT_REPOSITORY, DEFAULT_REVISION, QWEN_CODER_GGUF
from mcq_service.models.reference import ModelRef
from mcq_service.models.sources.base import Fetched, Offer, Report, Source
from mcq_service.models.sources.hub import Hub
from mcq_service.models.sources.objects import Objects
from mcq_service.models.sources.packages import Packages

__all__ = ["Fetched", "Offer", "Report", "Source", "for_reference"]


def for_reference(ref: ModelRef) -> Sequence[Source]:
    """The sources that may have a model, the best first.

    The default model's weights are also to be had as packages, quantised. A digest says which is meant.
    """
    if ref.scheme != "hf":
        return [Objects(ref)]
    packaged = ref.name == DEFAULT_REPOSITORY and ref.wanted_revision == DEFAULT_REVISION
    if packaged and ref.digest == QWEN_CODER_GGUF.digest:
        return [Packages(QWEN_CODER_GGUF)]
    if packaged and ref.digest is None:
        return [Hub(ref), Packages(QWEN_CODER_GGUF)]
    return [Hub(ref)]
