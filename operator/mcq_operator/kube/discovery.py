"""Which of the kinds with a CRD the API server knows: CRDs come and go."""

import asyncio

from mcq_operator.models.kinds import OPTIONAL, RECONCILED, Kind

from .api import Api

KINDS = (*RECONCILED, *OPTIONAL)


class Discovery:
    """What was known when the server was asked last."""

    def __init__(self, api: Api) -> None:
        """None is known before the first `refresh`."""
        self._api = api
        self.absent: frozenset[Kind] = frozenset(KINDS)

    async def refresh(self) -> bool:
        """Ask; returns whether that changed. Raises ClusterError."""
        versions = sorted({kind.api_version for kind in KINDS})
        found = await asyncio.gather(*(self._api.resources(version) for version in versions))
        known = dict(zip(versions, found, strict=True))
        absent = frozenset(kind for kind in KINDS if kind.plural not in known[kind.api_version])
        changed = absent != self.absent
        self.absent = absent
        return changed

    def lost(self, kind: Kind) -> None:
        """The server did not know the kind just now."""
        self.absent |= {kind}
