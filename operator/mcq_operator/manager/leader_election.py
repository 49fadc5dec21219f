"""Leader election: only the operator that holds the Lease writes, and only while no other one can have taken it.

The client library's election does not fit: it uses the wall clock, waits for an answer without a timeout, and keeps
leading after a network error. The protocol is client-go's, tools/leaderelection.

After a conflict, the Lease is read again: its version may have changed while its holder did not, because an answer was
lost, or because another client added an annotation.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from mcq_operator.api import Manifest
from mcq_operator.client import ClusterError, ConflictError, LeaseClient, NoAnswerError

logger = logging.getLogger(__name__)


class _Observed(NamedTuple):
    """Another holder's record, and when this process first observed it."""

    record: dict[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The times of a Lease in seconds; the settings' defaults are client-go's.

    Attributes:
        duration: others take the Lease this long after they last observed a change of its record.
        renew_deadline: the leader relies on the Lease this long after the start of its last renewal: less than
            `duration`, so that two leaders never write at once.
        retry: the pause between two tries.

    """

    duration: int
    renew_deadline: float
    retry: float


class LeaderElection:
    """One candidate in the election."""

    def __init__(
        self,
        leases: LeaseClient,
        *,
        identity: str,
        clock: Callable[[], float],
        timing: Timing,
    ) -> None:
        """`identity` is unique to this process; `clock` is monotonic, in seconds."""
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._timing = timing
        self._lease: Manifest | None = None
        self._until = float("-inf")
        self._observed: _Observed | None = None

    @property
    def is_leader(self) -> bool:
        """Whether this process may write. Check it right before each write."""
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
                logger.warning("can't take the lease, next try in %.0f s: %s", self._timing.retry, error)
            await asyncio.sleep(self._timing.retry)

    async def keep(self) -> None:
        """Renew the Lease; return when it is lost."""
        while self.is_leader:
            await asyncio.sleep(self._timing.retry)
            try:
                if not await self._renew():
                    self._until = float("-inf")
            except ClusterError as error:
                logger.warning("can't renew the lease, next try in %.0f s: %s", self._timing.retry, error)

    async def release(self) -> None:
        """Let another candidate take over at once."""
        lease, was_leader = self._lease, self.is_leader
        self._until = float("-inf")
        if lease is None or not was_leader:
            return
        try:
            # After a conflict, another candidate may hold it.
            try:
                await self._leases.replace(_released(lease))
            except ConflictError:
                live = await self._leases.read()
                if live is not None and self._is_holder(live):
                    await self._leases.replace(_released(live))
        except ClusterError as error:
            logger.warning("can't release the lease, other candidates wait until it expires: %s", error)

    async def _take(self) -> bool:
        """Take the Lease if it is free; return whether this process holds it."""
        started = self._clock()
        live = await self._leases.read()
        if live is None:
            self._hold(await self._leases.create(self._claimed({})), started)
        elif self._is_holder(live):
            # The answer to an earlier try was lost.
            self._hold(await self._leases.replace(_renewed(live)), started)
        elif _holder(live) and not self._expired(live):
            return False
        else:
            spec = live.get("spec", {})
            claimed = self._claimed(spec, transitions=spec.get("leaseTransitions", 0) + 1)
            self._hold(await self._leases.replace({**live, **claimed}), started)
        return True

    async def _renew(self) -> bool:
        """Renew the Lease; return False if another process holds it. Raises ClusterError if the renewal failed."""
        assert self._lease is not None, "take the lease first"  # noqa: S101
        started = self._clock()
        try:
            lease = await self._leases.replace(_renewed(self._lease))
        except NoAnswerError:
            raise
        except ClusterError:
            live = await self._leases.read()
            if live is None:
                lease = await self._leases.create(self._claimed({}))
            elif self._is_holder(live):
                lease = await self._leases.replace(_renewed(live))
            else:
                logger.warning("the lease has another holder: %s", _holder(live) or "none")
                return False
        self._hold(lease, started)
        return True

    def _is_holder(self, lease: Manifest) -> bool:
        return _holder(lease) == self._identity

    def _expired(self, lease: Manifest) -> bool:
        """Return whether the record has not changed for its duration.

        This process's clock decides; the record's own times are ignored.
        """
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
    """Return the Lease without a holder, so that no candidate has to wait."""
    return {
        **lease,
        "spec": {name: value for name, value in lease["spec"].items() if name != "holderIdentity"},
    }


def _now() -> str:
    """Return the time in the API's format. Only people read it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
