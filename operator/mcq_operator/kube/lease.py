"""The Lease that operators elect their leader by, kept at the API server."""

from mcq_operator.models import Manifest
from mcq_operator.models.kinds import LEASE

from .api import Api

SECONDS = 3.0
"""The longest wait for an answer: a renewal that takes longer is tried again while there is time."""


class KubeLease:
    """One Lease; see mcq_operator.leadership.Leases."""

    def __init__(self, api: Api, *, namespace: str, name: str) -> None:
        """It need not be there yet."""
        self._api = api
        self._namespace = namespace
        self._name = name

    async def read(self) -> Manifest | None:
        """The Lease as it is, or None. Raises ClusterError."""
        return await self._api.get(LEASE, namespace=self._namespace, name=self._name, seconds=SECONDS)

    async def create(self, lease: Manifest) -> Manifest:
        """Make it. Raises ClusterError, ConflictError where it is there already."""
        made = {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            **lease,
        }
        return await self._api.create(LEASE, made, seconds=SECONDS)

    async def replace(self, lease: Manifest) -> Manifest:
        """Change it. Raises ClusterError, ConflictError where it was changed since it was read."""
        return await self._api.replace(LEASE, lease, seconds=SECONDS)
