"""Sources of weights: the Hugging Face hub, buckets, web servers and directories."""

from collections.abc import Sequence

from mcq_service.model_store.reference import ModelRef
from mcq_service.model_store.sources.directory import DirectorySource
from mcq_service.model_store.sources.hub import HubSource
from mcq_service.model_store.sources.source import Fetched, Offer, Source

__all__ = ["Fetched", "Offer", "Source", "sources_for"]


def sources_for(ref: ModelRef) -> Sequence[Source]:
    """Return the sources of a model: the one that its address names."""
    return [HubSource(ref) if ref.scheme == "hf" else DirectorySource(ref)]
