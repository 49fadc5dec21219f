"""The only package that talks to the API server."""

from .api import Api, connect
from .cluster import Applied, Children, Cluster
from .errors import ClusterError, ConflictError, InvalidSpecError, RefusedError, UnavailableError

__all__ = [
    "Api",
    "Applied",
    "Children",
    "Cluster",
    "ClusterError",
    "ConflictError",
    "InvalidSpecError",
    "RefusedError",
    "UnavailableError",
    "connect",
]
