"""Where weights come from."""

from collections.abc import Sequence

from mcq_service.models.reference import ModelRef
from mcq_service.models.sources.base import Fetched, Offer, Report, Source
from mcq_service.models.sources.hub import Hub
from mcq_service.models.sources.objects import Objects

__all__ = ["Fetched", "Offer", "Report", "Source", "for_reference"]


def for_reference(ref: ModelRef) -> Sequence[Source]:
    """The sources that have a model: the one that its address names."""
    return [Hub(ref) if ref.scheme == "hf" else Objects(ref)]
