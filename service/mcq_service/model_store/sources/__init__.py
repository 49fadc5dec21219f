"""Where weights come from."""

from collections.abc import Sequence

from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.sources.directory import Objects
from mcq_service.model_store.sources.hub import Hub
from mcq_service.model_store.sources.source import Fetched, Offer, Report, Source

__all__ = ["Fetched", "Offer", "Report", "Source", "for_reference"]


def for_reference(ref: ModelRef) -> Sequence[Source]:
    """The sources that have a model: the one that its address names."""
    return [Hub(ref) if ref.scheme == "hf" else Objects(ref)]
