"""Which of several operators writes: the one that holds a Lease, and only as long as it surely does.

The client library's election is not used: it tells times by the wall clock, waits for an answer without bound, and
goes on leading after an error of the network. Source of the protocol: client-go, tools/leaderelection.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from .kube import ClusterError, ConflictError
from .models import Manifest

logger = logging.getLogger(__name__)

DURATION_SECONDS = 10
"""Others take the Lease so long after they have seen it renewed for the last time."""
HELD_SECONDS = 7.0
"""How long after the start of a renewal its Lease is relied on: less, so that two never write at once."""
RENEW_SECONDS = 2.0


class Leases(Protocol):
    """Where the Lease is kept. Each method raises ClusterError within a few seconds, or ConflictError."""

    async def read(self) -> Manifest | None:
        """The Lease as it is, or None."""

    async def create(self, lease: Manifest) -> Manifest:
        """Make it, unless somebody else was faster."""

    async def replace(self, lease: Manifest) -> Manifest:
        """Change it, unless it was changed since it was read."""


class _Seen(NamedTuple):
    """A Lease that somebody else holds, and when this version of it was seen first."""

    version: str
    at: float


@dataclass(kw_only=True)
class Timing:
    """All in seconds."""

    duration: int = DURATION_SECONDS
    held: float = HELD_SECONDS
    renew: float = RENEW_SECONDS


class Leadership:
    """One candidate."""

    def __init__(
        self,
        leases: Leases,
        *,
        identity: str,
        clock: Callable[[], float],
        timing: Timing | None = None,
    ) -> None:
        """`identity` is this process's alone; `clock` is monotonic, in seconds."""
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._timing = timing or Timing()
        self._lease: Manifest | None = None
        self._until = float("-inf")
        self._seen: _Seen | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write: asked right before each write."""
        return self._clock() < self._until

    async def acquire(self) -> None:
        """Wait until this process leads."""
        while True:
            try:
                if await self._take():
                    logger.info("leading as %s", self._identity)
                    return
            except ConflictError:
                logger.debug("another candidate was faster")
            except ClusterError as error:
                logger.warning("the lease can't be taken, next try in %.0f s: %s", self._timing.renew, error)
            await asyncio.sleep(self._timing.renew)

    async def keep(self) -> None:
        """Renew; returns when the Lease is lost."""
        while self.held:
            await asyncio.sleep(self._timing.renew)
            try:
                await self._renew()
            except ConflictError as error:
                logger.warning("the lease was taken: %s", error)
                self._until = float("-inf")
            except ClusterError as error:
                logger.warning("the lease was not renewed: %s", error)

    async def release(self) -> None:
        """Let another candidate take over at once."""
        lease, was_held = self._lease, self.held
        self._until = float("-inf")
        if lease is None or not was_held:
            return
        # Without a holder there is nobody to wait for.
        spec = {name: value for name, value in lease["spec"].items() if name != "holderIdentity"}
        try:
            await self._leases.replace({**lease, "spec": spec})
        except ClusterError as error:
            logger.warning("the lease was not released, others wait for its end: %s", error)

    async def _take(self) -> bool:
        started = self._clock()
        found = await self._leases.read()
        if found is None:
            self._hold(await self._leases.create(self._claimed({})), started)
            return True
        spec = found.get("spec", {})
        if spec.get("holderIdentity") and not self._expired(found):
            return False
        claimed = self._claimed(spec, transitions=spec.get("leaseTransitions", 0) + 1)
        self._hold(await self._leases.replace({**found, **claimed}), started)
        return True

    async def _renew(self) -> None:
        assert self._lease is not None, "it was taken"  # noqa: S101
        started = self._clock()
        spec = {**self._lease["spec"], "renewTime": _now()}
        self._hold(await self._leases.replace({**self._lease, "spec": spec}), started)

    def _expired(self, lease: Manifest) -> bool:
        """Whether its holder has not renewed it for as long as it says; by our own clock, not by its times."""
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, self._clock())
        seconds = lease["spec"].get("leaseDurationSeconds", self._timing.duration)
        return self._clock() >= self._seen.at + float(seconds)

    def _claimed(self, spec: Manifest, *, transitions: int = 0) -> Manifest:
        now = _now()
        return {
            "spec": {
                **spec,
                "holderIdentity": self._identity,
                "leaseDurationSeconds": self._timing.duration,
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": transitions,
            }
        }

    def _hold(self, lease: Manifest, started: float) -> None:
        self._lease = lease
        self._until = started + self._timing.held


def _now() -> str:
    """In the API's form, for people to read."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
