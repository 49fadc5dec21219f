"""The leader election on a real Lease, with changes by others and with lost answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from tests.operator.conftest import Kubectl
from tests.operator.live import existing, until

from mcq_operator.api import Manifest
from mcq_operator.client import Client, LeaseClient
from mcq_operator.client.errors import NoAnswerError
from mcq_operator.manager.leader_election import LeaderElection, Timing

NAME = "mcq-operator"
TIMING = Timing(duration=30, renew_deadline=20.0, retry=0.05)


class LossyLeaseClient(LeaseClient):
    """Loses the answers to the next `losing` writes."""

    losing = 0

    async def create(self, lease: Manifest) -> Manifest:
        return await self._lose_answer(super().create(lease))

    async def replace(self, lease: Manifest) -> Manifest:
        return await self._lose_answer(super().replace(lease))

    async def _lose_answer(self, write: Awaitable[Manifest]) -> Manifest:
        stored = await write
        if self.losing:
            self.losing -= 1
            raise NoAnswerError("the connection was cut")
        return stored


@pytest.fixture
def lease(client: Client, kubectl: Kubectl) -> LossyLeaseClient:
    return LossyLeaseClient(client, namespace=kubectl.namespace, name=NAME)


def candidate(lease: LeaseClient, identity: str) -> LeaderElection:
    return LeaderElection(lease, identity=identity, clock=time.monotonic, timing=TIMING)


def spec(kubectl: Kubectl) -> dict[str, object]:
    return dict(existing(kubectl, "lease", NAME)["spec"])


async def wait_for_renewal(kubectl: Kubectl) -> None:
    """Wait until the Lease exists and is renewed."""
    await until(lambda: kubectl.get("lease", NAME) is not None)
    before = spec(kubectl)["renewTime"]
    await until(lambda: spec(kubectl)["renewTime"] != before)


def annotate(kubectl: Kubectl, _: LossyLeaseClient) -> None:
    kubectl("annotate", "lease", NAME, "--overwrite", f"example.com/note={time.monotonic()}")


def lose_answers(_: Kubectl, lease: LossyLeaseClient) -> None:
    lease.losing = 2


def delete(kubectl: Kubectl, _: LossyLeaseClient) -> None:
    kubectl("delete", "lease", NAME)


@pytest.mark.parametrize("disturb", [annotate, lose_answers, delete])
async def test_a_change_that_keeps_the_holder_does_not_end_its_leadership(
    kubectl: Kubectl, lease: LossyLeaseClient, disturb: Callable[[Kubectl, LossyLeaseClient], None]
) -> None:
    lease.losing = 1
    first = candidate(lease, "first")
    await first.acquire()
    assert spec(kubectl)["leaseTransitions"] == 0
    renewal = asyncio.create_task(first.keep())
    try:
        for _ in range(3):
            await asyncio.to_thread(disturb, kubectl, lease)
            await asyncio.sleep(2 * TIMING.retry)
            await wait_for_renewal(kubectl)
        assert spec(kubectl)["holderIdentity"] == "first"
        assert not renewal.done()
        assert first.is_leader
    finally:
        renewal.cancel()
    await asyncio.to_thread(annotate, kubectl, lease)
    await first.release()
    assert "holderIdentity" not in spec(kubectl)
    second = candidate(lease, "second")
    await asyncio.wait_for(second.acquire(), 10)
    assert spec(kubectl)["leaseTransitions"] == 1


async def test_a_leader_loses_a_lease_that_a_person_reassigns(
    kubectl: Kubectl, lease: LossyLeaseClient
) -> None:
    first = candidate(lease, "first")
    await first.acquire()
    renewal = asyncio.create_task(first.keep())
    kubectl("patch", "lease", NAME, "--type=merge", "--patch", '{"spec": {"holderIdentity": "other"}}')
    await asyncio.wait_for(renewal, 15)
    assert not first.is_leader
    assert spec(kubectl)["holderIdentity"] == "other"
