"""The only package that talks to the API server."""

from .api import Api
from .cache import News
from .cached import CachedApi
from .cluster import Children, Cluster
from .errors import (
    ClusterError,
    ConflictError,
    InvalidSpecError,
    NoAnswerError,
    NotLeadingError,
    RefusedError,
    UnavailableError,
)
from .lease import KubeLease
from .owners import owner
from .settling import Applied
from .sightings import Listing, Name, Sighting, sighting
from .transport import connect

__all__ = [
    "Api",
    "Applied",
    "CachedApi",
    "Children",
    "Cluster",
    "ClusterError",
    "ConflictError",
    "InvalidSpecError",
    "KubeLease",
    "Listing",
    "Name",
    "News",
    "NoAnswerError",
    "NotLeadingError",
    "RefusedError",
    "Sighting",
    "UnavailableError",
    "connect",
    "owner",
    "sighting",
]
