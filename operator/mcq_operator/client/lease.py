"""The Lease of the leader election, stored at the API server."""

from mcq_operator.api import Manifest
from mcq_operator.api.kinds import LEASE

from .client import Client

SECONDS = 3.0
"""The timeout of a request. A slow renewal is tried again while there is time."""


class LeaseClient:
    """One Lease. Each request ends within a few seconds."""

    def __init__(self, client: Client, *, namespace: str, name: str) -> None:
        """Name the Lease, which may not exist yet."""
        self._client = client
        self._namespace = namespace
        self._name = name

    async def read(self) -> Manifest | None:
        """Return the Lease, or None. Raises ClusterError."""
        return await self._client.get(LEASE, namespace=self._namespace, name=self._name, seconds=SECONDS)

    async def create(self, lease: Manifest) -> Manifest:
        """Create the Lease. Raises ClusterError, ConflictError if it exists."""
        manifest = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            **lease,
        }
        return await self._client.create(LEASE, manifest, seconds=SECONDS)

    async def replace(self, lease: Manifest) -> Manifest:
        """Replace the Lease. Raises ClusterError, ConflictError if it changed since the read."""
        return await self._client.replace(LEASE, lease, seconds=SECONDS)
