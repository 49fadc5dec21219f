"""The only package that talks to the API server."""

from .apply import Applied
from .cached_client import CachedApi
from .client import Api
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
    "NoAnswerError",
    "NotLeadingError",
    "RefusedError",
    "UnavailableError",
    "connect",
]
