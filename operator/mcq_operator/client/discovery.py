"""Discovery of the optional kinds: CRDs come and go."""

import asyncio

from mcq_operator.api.kinds import OPTIONAL, RECONCILED, Kind

from .client import Client

KINDS = (*RECONCILED, *OPTIONAL)


class Discovery:
    """The kinds that the server lacked at the last `refresh`, and those that a write found absent since then."""

    def __init__(self, client: Client) -> None:
        """All kinds are absent before the first `refresh`."""
        self._client = client
        self._discovered: frozenset[Kind] = frozenset(KINDS)
        self.absent = self._discovered

    async def refresh(self) -> bool:
        """Ask the server; return whether the answer, or what is known from `mark_absent`, changed.

        Raises ClusterError.
        """
        versions = sorted({kind.api_version for kind in KINDS})
        resources = await asyncio.gather(*(self._client.resources(version) for version in versions))
        known = dict(zip(versions, resources, strict=True))
        absent = frozenset(kind for kind in KINDS if kind.plural not in known[kind.api_version])
        # A kind that a write found absent still has its watch, which only a change ends.
        changed = not absent == self.absent == self._discovered
        self.absent = self._discovered = absent
        return changed

    def mark_absent(self, kind: Kind) -> None:
        """Note that the server no longer knows the kind."""
        self.absent |= {kind}
