"""The only package that talks to the API server."""

from .apply import Applied
from .cached_client import CachedClient
from .children import Children
from .client import Client
from .cluster import Cluster
from .errors import (
    ClusterError,
    ConflictError,
    InvalidSpecError,
    NamespaceTerminatingError,
    NoAnswerError,
    NotLeadingError,
    RefusedError,
    UnavailableError,
)
from .lease import LeaseClient
from .transport import connect, current_namespace

__all__ = [
    "Applied",
    "CachedClient",
    "Children",
    "Client",
    "Cluster",
    "ClusterError",
    "ConflictError",
    "InvalidSpecError",
    "LeaseClient",
    "NamespaceTerminatingError",
    "NoAnswerError",
    "NotLeadingError",
    "RefusedError",
    "UnavailableError",
    "connect",
    "current_namespace",
]
