"""Which of several operators writes: the one that holds a Lease, and only as long as it surely does.

The client library's election is not used: it tells times by the wall clock, waits for an answer without bound, and
goes on leading after an error of the network. Source of the protocol: client-go, tools/leaderelection.

Who holds the Lease is what its record says, read again whenever a write of it fails: a lost answer, or somebody's
annotation, changes the Lease's version and not its holder.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from .kube import ClusterError, ConflictError, NoAnswerError
from .models import Manifest

logger = logging.getLogger(__name__)


class Leases(Protocol):
    """Where the Lease is kept. Each method raises ClusterError within a few seconds, or ConflictError."""

    async def read(self) -> Manifest | None:
        """The Lease as it is, or None."""

    async def create(self, lease: Manifest) -> Manifest:
        """Make it, unless somebody else was faster."""

    async def replace(self, lease: Manifest) -> Manifest:
        """Change it, unless it was changed since it was read."""


class _Observed(NamedTuple):
    """A record that somebody else holds the Lease by, and when it was observed first."""

    record: dict[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a Lease lasts, in seconds; client-go's values.

    Attributes:
        duration: others take the Lease so long after they have observed a change of its record.
        renew_deadline: how long after the start of a renewal its Lease is relied on: less, so that two never write
            at once.
        retry: the pause between two tries.

    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry: float = 2.0


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
        self._observed: _Observed | None = None

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
                logger.warning("the lease can't be taken, next try in %.0f s: %s", self._timing.retry, error)
            await asyncio.sleep(self._timing.retry)

    async def keep(self) -> None:
        """Renew; returns when the Lease is lost."""
        while self.held:
            await asyncio.sleep(self._timing.retry)
            try:
                if not await self._renew():
                    self._until = float("-inf")
            except ClusterError as error:
                logger.warning("the lease was not renewed, next try in %.0f s: %s", self._timing.retry, error)

    async def release(self) -> None:
        """Let another candidate take over at once."""
        lease, was_held = self._lease, self.held
        self._until = float("-inf")
        if lease is None or not was_held:
            return
        try:
            # Whoever has changed it since may hold it.
            try:
                await self._leases.replace(_released(lease))
            except ConflictError:
                found = await self._leases.read()
                if found is not None and self._is_holder(found):
                    await self._leases.replace(_released(found))
        except ClusterError as error:
            logger.warning("the lease was not released, others wait for its end: %s", error)

    async def _take(self) -> bool:
        """Take the Lease if nobody holds it; returns whether this process does."""
        started = self._clock()
        found = await self._leases.read()
        if found is None:
            self._hold(await self._leases.create(self._claimed({})), started)
        elif self._is_holder(found):
            # The answer to an earlier try was lost.
            self._hold(await self._leases.replace(_renewed(found)), started)
        elif _holder(found) and not self._expired(found):
            return False
        else:
            spec = found.get("spec", {})
            claimed = self._claimed(spec, transitions=spec.get("leaseTransitions", 0) + 1)
            self._hold(await self._leases.replace({**found, **claimed}), started)
        return True

    async def _renew(self) -> bool:
        """Renew the Lease; returns False if somebody else holds it. Raises ClusterError if it was not renewed."""
        assert self._lease is not None, "it was taken"  # noqa: S101
        started = self._clock()
        try:
            lease = await self._leases.replace(_renewed(self._lease))
        except NoAnswerError:
            raise
        except ClusterError:
            found = await self._leases.read()
            if found is None:
                lease = await self._leases.create(self._claimed({}))
            elif self._is_holder(found):
                lease = await self._leases.replace(_renewed(found))
            else:
                logger.warning("the lease was taken by %s", _holder(found) or "nobody")
                return False
        self._hold(lease, started)
        return True

    def _is_holder(self, lease: Manifest) -> bool:
        return _holder(lease) == self._identity

    def _expired(self, lease: Manifest) -> bool:
        """Whether its record has not changed for as long as it says; by our own clock, not by its times."""
        record = lease["spec"]
        if self._observed is None or self._observed.record != record:
            self._observed = _Observed(record, self._clock())
        seconds = record.get("leaseDurationSeconds", self._timing.duration)
        return self._clock() >= self._observed.at + float(seconds)

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
        self._until = started + self._timing.renew_deadline


def _holder(lease: Manifest) -> str | None:
    holder: str | None = lease.get("spec", {}).get("holderIdentity")
    return holder


def _renewed(lease: Manifest) -> Manifest:
    return {**lease, "spec": {**lease["spec"], "renewTime": _now()}}


def _released(lease: Manifest) -> Manifest:
    """The Lease without a holder: there is nobody to wait for."""
    return {
        **lease,
        "spec": {name: value for name, value in lease["spec"].items() if name != "holderIdentity"},
    }


def _now() -> str:
    """In the API's form, for people to read."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
