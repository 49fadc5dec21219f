"""The leader election with a fake Lease and a fake clock; client/test_lease.py has a real Lease."""

import asyncio
from copy import deepcopy
from dataclasses import dataclass

import pytest

from mcq_operator.api import Manifest
from mcq_operator.client import ConflictError, LeaseClient, NoAnswerError, RefusedError, UnavailableError
from mcq_operator.manager.leader_election import LeaderElection, Timing

TIMING = Timing(duration=10, renew_deadline=7.0, retry=0.001)


@dataclass
class LeaseStore(LeaseClient):
    """One Lease with a version; the next `fails` requests fail, and the next `loses` writes lose their answers."""

    lease: Manifest | None = None
    version: int = 0
    fails: int = 0
    loses: int = 0
    now: float = 100.0

    async def read(self) -> Manifest | None:
        self._fail()
        return deepcopy(self.lease)

    async def create(self, lease: Manifest) -> Manifest:
        self._fail()
        if self.lease is not None:
            raise ConflictError("the Lease exists")
        return self._store({**lease, "metadata": {}})

    async def replace(self, lease: Manifest) -> Manifest:
        self._fail()
        if self.lease is None:
            raise RefusedError("there is no Lease")
        if lease["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ConflictError("the Lease has changed")
        return self._store(lease)

    def candidate(self, name: str) -> LeaderElection:
        return LeaderElection(self, identity=name, clock=lambda: self.now, timing=TIMING)

    @property
    def holder(self) -> str | None:
        assert self.lease is not None
        holder: str | None = self.lease["spec"].get("holderIdentity")
        return holder

    def _fail(self) -> None:
        if self.fails:
            self.fails -= 1
            raise UnavailableError("not now")

    def _store(self, lease: Manifest) -> Manifest:
        self.version += 1
        self.lease = {**deepcopy(lease), "metadata": {"resourceVersion": str(self.version)}}
        if self.loses:
            self.loses -= 1
            raise NoAnswerError("the connection was cut")
        return deepcopy(self.lease)


@pytest.fixture
def leases() -> LeaseStore:
    return LeaseStore()


async def let_run(task: "asyncio.Task[None]") -> None:
    """Let the task try several times."""
    for _ in range(20):
        await asyncio.sleep(0.001)
        if task.done():
            return


async def test_the_first_candidate_leads_and_the_second_waits(leases: LeaseStore) -> None:
    first, second = leases.candidate("first"), leases.candidate("second")
    await first.acquire()
    assert first.is_leader
    waiting = asyncio.create_task(second.acquire())
    await let_run(waiting)
    assert not waiting.done()
    assert not second.is_leader
    assert leases.holder == "first"
    waiting.cancel()


async def test_one_of_several_equally_fast_candidates_leads(leases: LeaseStore) -> None:
    candidates = [leases.candidate(str(number)) for number in range(5)]
    tasks = [asyncio.create_task(each.acquire()) for each in candidates]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await let_run(tasks[0])
    assert sum(each.is_leader for each in candidates) == 1
    for task in tasks:
        task.cancel()


async def test_a_lease_is_taken_when_its_holder_was_silent_for_its_duration(leases: LeaseStore) -> None:
    """The candidate counts from its first observation, by its own clock; the holder gives up earlier."""
    first, second = leases.candidate("first"), leases.candidate("second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await let_run(waiting)
    leases.now += 6.9
    assert first.is_leader
    leases.now += 0.2
    assert not first.is_leader
    leases.now += 2.8
    await let_run(waiting)
    assert not waiting.done()
    leases.now += 0.2
    await let_run(waiting)
    assert waiting.done()
    assert second.is_leader
    assert leases.holder == "second"
    assert leases.lease
    assert leases.lease["spec"]["leaseTransitions"] == 1


async def test_a_renewed_lease_is_not_taken(leases: LeaseStore) -> None:
    first, second = leases.candidate("first"), leases.candidate("second")
    await first.acquire()
    renewal, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
    for _ in range(12):
        await let_run(waiting)
        leases.now += 3
    assert first.is_leader
    assert not waiting.done()
    renewal.cancel()
    waiting.cancel()


async def test_a_short_outage_of_the_server_does_not_end_the_leadership(leases: LeaseStore) -> None:
    first = leases.candidate("first")
    leases.fails = 3
    await first.acquire()
    renewal = asyncio.create_task(first.keep())
    leases.fails = 3
    leases.now += 5
    await let_run(renewal)
    leases.now += 5
    assert first.is_leader
    assert not renewal.done()
    renewal.cancel()


async def test_a_long_outage_of_the_server_ends_the_leadership_in_time(leases: LeaseStore) -> None:
    """It ends before another candidate can take the Lease."""
    first = leases.candidate("first")
    await first.acquire()
    leases.fails = 10**6
    renewal = asyncio.create_task(first.keep())
    leases.now += 6.9
    await let_run(renewal)
    assert not renewal.done()
    leases.now += 0.2
    await asyncio.wait_for(renewal, 1)
    assert not first.is_leader


@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_answer_to_a_renewal_does_not_end_the_leadership(leases: LeaseStore, times: int) -> None:
    first = leases.candidate("first")
    await first.acquire()
    renewal = asyncio.create_task(first.keep())
    leases.loses = times
    await let_run(renewal)
    leases.now += 6
    await let_run(renewal)
    leases.now += 6
    assert leases.loses == 0
    assert not renewal.done()
    assert first.is_leader
    renewal.cancel()


async def test_a_lost_answer_to_the_first_write_is_not_another_holder(leases: LeaseStore) -> None:
    leases.loses = 1
    first = leases.candidate("first")
    await first.acquire()
    assert first.is_leader
    assert leases.lease
    assert leases.lease["spec"]["leaseTransitions"] == 0


def annotate(leases: LeaseStore) -> None:
    """Annotate the Lease without a change to its record."""
    assert leases.lease
    leases.version += 1
    metadata = {"resourceVersion": str(leases.version), "annotations": {"note": str(leases.version)}}
    leases.lease = {**leases.lease, "metadata": metadata}


async def test_an_annotation_does_not_end_the_leadership(leases: LeaseStore) -> None:
    first = leases.candidate("first")
    await first.acquire()
    renewal = asyncio.create_task(first.keep())
    for _ in range(5):
        annotate(leases)
        await let_run(renewal)
        leases.now += 3
    assert not renewal.done()
    assert first.is_leader
    annotate(leases)
    renewal.cancel()
    await first.release()
    assert leases.holder is None


async def test_an_annotation_does_not_extend_a_silent_holders_lease(leases: LeaseStore) -> None:
    """The candidate compares the Lease's record, not its version."""
    await leases.candidate("first").acquire()
    waiting = asyncio.create_task(leases.candidate("second").acquire())
    for _ in range(5):
        annotate(leases)
        await let_run(waiting)
        leases.now += 2.5
    await let_run(waiting)
    assert waiting.done()
    assert leases.holder == "second"


async def test_the_holder_creates_a_deleted_lease_again(leases: LeaseStore) -> None:
    first = leases.candidate("first")
    await first.acquire()
    renewal = asyncio.create_task(first.keep())
    leases.lease = None
    await let_run(renewal)
    assert not renewal.done()
    assert leases.holder == "first"
    renewal.cancel()


async def test_a_leader_stops_at_once_when_another_takes_its_lease(leases: LeaseStore) -> None:
    """A person may have changed it."""
    first = leases.candidate("first")
    await first.acquire()
    assert leases.lease
    leases._store({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "other"}})
    await asyncio.wait_for(first.keep(), 1)
    assert not first.is_leader
    assert leases.holder == "other"


async def test_a_released_lease_is_taken_at_once(leases: LeaseStore) -> None:
    first, second = leases.candidate("first"), leases.candidate("second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await let_run(waiting)
    await first.release()
    assert not first.is_leader
    await let_run(waiting)
    assert second.is_leader
    waiting.cancel()


async def test_a_lost_lease_is_not_released(leases: LeaseStore) -> None:
    """The process has not noticed the loss yet."""
    first = leases.candidate("first")
    await first.acquire()
    assert leases.lease
    leases._store({**leases.lease, "spec": {**leases.lease["spec"], "holderIdentity": "other"}})
    await first.release()
    assert leases.holder == "other"


async def test_a_former_leader_does_not_release_anothers_lease(leases: LeaseStore) -> None:
    first, second = leases.candidate("first"), leases.candidate("second")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await let_run(waiting)
    leases.now += 10.1
    await let_run(waiting)
    await first.release()
    assert leases.holder == "second"


async def test_a_restarted_process_of_the_same_name_is_another_candidate(leases: LeaseStore) -> None:
    """A restarted container keeps its Pod's name, but not the Lease of its former process."""
    old = leases.candidate("pod_1")
    await old.acquire()
    waiting = asyncio.create_task(leases.candidate("pod_2").acquire())
    await let_run(waiting)
    assert not waiting.done()
    waiting.cancel()
