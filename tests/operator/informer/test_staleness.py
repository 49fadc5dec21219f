"""A hanging watch is detected, and a quiet one is not mistaken for it."""

import pytest

from mcq_operator.api.kinds import POD, SERVICE, Kind
from mcq_operator.client import NoAnswerError, UnavailableError
from mcq_operator.informer.staleness import WatchStaleness
from mcq_operator.manager.http import Health
from mcq_operator.store import Listing, NamespacedName, Observation, observe

DEMO = ("team", "demo")


class FakeCluster:
    """The versions that a list shows, and a clock."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[tuple[str, str], int]] = {}
        self.failing: dict[Kind, Exception] = {}
        self.now = 0.0

    async def list(self, kind: Kind) -> dict[tuple[str, str], int]:
        if kind in self.failing:
            raise self.failing[kind]
        return dict(self.versions.get(kind.plural, {}))

    def clock(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def staleness(cluster: FakeCluster) -> WatchStaleness:
    return WatchStaleness(cluster.list, clock=cluster.clock)


def event(version: int, *, gone: bool = False) -> Observation:
    metadata = {"namespace": "team", "name": "demo", "resourceVersion": str(version)}
    return observe(SERVICE, {"metadata": metadata}, gone=gone)


async def verify_at(cluster: FakeCluster, staleness: WatchStaleness, at: float) -> float:
    cluster.now = at
    await staleness.verify([SERVICE])
    return staleness.age(SERVICE)


async def test_a_quiet_watch_is_not_late(cluster: FakeCluster, staleness: WatchStaleness) -> None:
    staleness.observe(event(7))
    cluster.versions["services"] = {DEMO: 7}
    assert await verify_at(cluster, staleness, 10) == 0
    assert await verify_at(cluster, staleness, 1000) == 0


async def test_the_age_grows_from_the_first_miss_until_the_event_comes(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    cluster.versions["services"] = {DEMO: 7}
    assert await verify_at(cluster, staleness, 10) == 0
    assert await verify_at(cluster, staleness, 40) == 30
    cluster.versions["services"] = {DEMO: 9}
    assert await verify_at(cluster, staleness, 70) == 60
    staleness.observe(event(9))
    assert staleness.age(SERVICE) == 0
    assert await verify_at(cluster, staleness, 100) == 0


async def test_a_busy_watch_that_follows_is_not_late(cluster: FakeCluster, staleness: WatchStaleness) -> None:
    """Each list is ahead of the watch's events."""
    for number in range(1, 6):
        cluster.versions["services"] = {DEMO: number * 10}
        assert await verify_at(cluster, staleness, number * 30) == 0
        staleness.observe(event(number * 10))


async def test_events_out_of_order_and_lists_from_a_cache_are_not_late(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    staleness.observe(event(9))
    staleness.observe(event(8))
    cluster.versions["services"] = {DEMO: 9}
    assert await verify_at(cluster, staleness, 10) == await verify_at(cluster, staleness, 50) == 0
    cluster.versions["services"] = {DEMO: 5}
    assert await verify_at(cluster, staleness, 90) == 0


async def test_a_deletion_without_an_event_is_late_until_a_watch_lists_again(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    """kopf does not report objects that a new list lacks, so only the list itself shows the deletion."""
    staleness.observe(event(7))
    cluster.versions["services"] = {}
    assert await verify_at(cluster, staleness, 10) == 0
    assert staleness.late(60) == []
    assert await verify_at(cluster, staleness, 70) == 60
    assert staleness.late(60) == [SERVICE]
    staleness.observe_list(Listing(kind=SERVICE, namespace="other", objects={}, version=9))
    assert staleness.age(SERVICE) == 60
    staleness.observe_list(Listing(kind=SERVICE, namespace="team", objects={}, version=9))
    assert staleness.age(SERVICE) == 0
    assert staleness.late(60) == []
    assert await verify_at(cluster, staleness, 130) == 0


async def test_a_deletion_with_an_event_is_not_late(cluster: FakeCluster, staleness: WatchStaleness) -> None:
    staleness.observe(event(7))
    cluster.versions["services"] = {}
    await verify_at(cluster, staleness, 10)
    staleness.observe(event(8, gone=True))
    assert await verify_at(cluster, staleness, 70) == 0


async def test_a_failed_list_of_a_kind_does_not_stop_the_verification_of_the_others(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    cluster.versions["services"] = {DEMO: 7}
    cluster.failing[POD] = UnavailableError("500: conversion webhook failed")
    await staleness.verify([POD, SERVICE])
    cluster.now = 60
    await staleness.verify([POD, SERVICE])
    assert staleness.late(60) == [SERVICE]
    cluster.failing[POD] = NoAnswerError("can't reach the API server")
    with pytest.raises(NoAnswerError):
        await staleness.verify([POD, SERVICE])


async def test_an_object_missing_in_the_servers_cache_is_not_late(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    staleness.observe(event(7))
    await verify_at(cluster, staleness, 10)
    cluster.versions["services"] = {DEMO: 7}
    assert await verify_at(cluster, staleness, 40) == 0


async def test_deleted_objects_and_removed_kinds_are_not_late(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    cluster.versions["services"] = {DEMO: 7}
    await verify_at(cluster, staleness, 10)
    cluster.versions["services"] = {}
    assert await verify_at(cluster, staleness, 50) == 0
    cluster.versions["services"] = {DEMO: 8}
    await verify_at(cluster, staleness, 60)
    await staleness.verify([POD])
    cluster.now = 999
    assert staleness.late(1) == []


async def test_a_server_with_versions_that_stay_older_was_restored_from_a_backup(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    staleness.observe(event(9))
    cluster.versions["services"] = {DEMO: 5}
    await verify_at(cluster, staleness, 10)
    assert staleness.behind()
    assert not staleness.restored(60)
    await verify_at(cluster, staleness, 70)
    assert staleness.restored(60)
    staleness.observe_list(
        Listing(kind=SERVICE, namespace=None, objects={NamespacedName(*DEMO): event(5)}, version=6)
    )
    await verify_at(cluster, staleness, 80)
    assert not staleness.restored(0)


async def test_a_late_cache_is_not_a_restored_server(cluster: FakeCluster, staleness: WatchStaleness) -> None:
    for number in range(1, 6):
        staleness.observe(event(number * 10))
        cluster.versions["services"] = {DEMO: number * 10 - 1}
        await verify_at(cluster, staleness, number * 60)
        assert not staleness.restored(60)


async def test_only_a_later_list_confirms_a_difference(
    cluster: FakeCluster, staleness: WatchStaleness
) -> None:
    """The first list was behind the events, and then the API server can't be reached."""
    other = ("team", "other")
    staleness.observe(event(9))
    cluster.versions["services"] = {DEMO: 5, other: 7}
    await verify_at(cluster, staleness, 10)
    cluster.failing[SERVICE] = NoAnswerError("can't reach the API server")
    with pytest.raises(NoAnswerError):
        await verify_at(cluster, staleness, 70)
    assert not staleness.restored(60)
    assert staleness.late(60) == []


def test_a_stuck_reconcile_is_unhealthy() -> None:
    health = Health(stuck_seconds=300)
    assert health.problem() == ""
    health.longest_reconcile = lambda: 301
    assert health.problem() == "a reconcile has been running for 301 s"
    health.longest_reconcile = lambda: 299
    assert health.problem() == ""


async def test_objects_of_an_unreadable_namespace_are_not_missing(cluster: FakeCluster) -> None:
    """Their list is refused, for example because someone deleted the namespace with the operator's rights."""
    staleness = WatchStaleness(cluster.list, clock=cluster.clock, unreadable=lambda _: {"team"})
    staleness.observe(event(7))
    for at in 10, 1000:
        assert await verify_at(cluster, staleness, at) == 0
    assert not staleness.behind()
