"""The operator's store: newer wins, unknown is not absent, and a change that no reconcile reads requeues nothing."""

import json
from typing import Any

import pytest

from mcq_operator import desired
from mcq_operator.api import Manifest, SolverKey
from mcq_operator.api.kinds import (
    CHILDREN,
    CLAIM,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    JOB,
    POD,
    SERVICE,
    SOLVER,
    Kind,
)
from mcq_operator.store.observation import Listing, NamespacedName, Observation, observe
from mcq_operator.store.store import Change, Store

DEMO = NamespacedName("team", "demo")


OWNER = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", "name": "demo", "uid": "u"}


def manifest(version: int, *, name: str = "demo", namespace: str = "team", **more: Any) -> Manifest:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": "u",
        "resourceVersion": str(version),
        "ownerReferences": [OWNER],
    }
    return {"metadata": {**metadata, **more.pop("metadata", {})}, **more}


def observation(
    version: int, kind: Kind = SERVICE, *, gone: bool = False, name: str = "demo", **more: Any
) -> Observation:
    return observe(kind, manifest(version, name=name, **more), gone=gone)


def listing(kind: Kind, *objects: Observation, version: int, namespace: str | None = None) -> Listing:
    return Listing(
        kind=kind, namespace=namespace, objects={each.name: each for each in objects}, version=version
    )


def test_an_observed_object_is_returned_as_a_copy_with_its_kind() -> None:
    store = Store()
    assert store.observe(observation(5, spec={"a": 1}))
    live = store.find(SERVICE, DEMO)
    assert live is not None
    assert (live["apiVersion"], live["kind"], live["spec"]) == ("v1", "Service", {"a": 1})
    live["spec"]["a"] = 2
    assert (store.find(SERVICE, DEMO) or {})["spec"] == {"a": 1}


def test_the_newer_version_wins_whichever_comes_first() -> None:
    store = Store()
    store.observe(observation(9, spec={"a": "new"}))
    assert not store.observe(observation(10**0, spec={"a": "old"}))
    assert not store.observe(observation(8, gone=True))
    assert (store.find(SERVICE, DEMO) or {})["spec"] == {"a": "new"}
    # Versions compare as numbers: as text, 10 would be older than 9.
    assert store.observe(observation(10, spec={"a": "newest"}))


def test_an_older_event_does_not_undo_a_deletion() -> None:
    """The answer to a write may come after the event of the deletion."""
    store = Store()
    store.observe(observation(5))
    assert store.observe(observation(7, gone=True))
    assert not store.observe(observation(6))
    assert not store.knows(SERVICE, DEMO)
    assert store.observe(observation(8))


def test_an_object_that_leaves_the_watch_is_unknown_until_a_read_finds_none() -> None:
    """The object may still exist without its label."""
    store = Store()
    assert not store.knows(SERVICE, DEMO)
    store.observe(observation(5))
    store.observe(observation(6, gone=True))
    assert not store.knows(SERVICE, DEMO)
    store.observe_absent(SERVICE, DEMO)
    assert store.knows(SERVICE, DEMO)
    assert store.find(SERVICE, DEMO) is None
    assert store.observe(observation(7))
    assert store.find(SERVICE, DEMO) is not None


def test_a_not_found_answer_does_not_undo_a_later_event() -> None:
    store = Store()
    store.observe(observation(5))
    store.observe_absent(SERVICE, DEMO)
    assert store.find(SERVICE, DEMO) is not None


@pytest.mark.parametrize(
    ("kind", "before", "after", "change"),
    [
        (SERVICE, {"spec": {}}, {"spec": {}}, Change.NONE),
        (SERVICE, {"spec": {}}, {"spec": {"a": 1}}, Change.DRIFT),
        (SERVICE, {}, {"metadata": {"managedFields": [{}]}}, Change.NONE),
        (SERVICE, {}, {"metadata": {"labels": {"a": "b"}}}, Change.STATE),
        (
            DISRUPTION_BUDGET,
            {"status": {"currentHealthy": 1}},
            {"status": {"currentHealthy": 2}},
            Change.NONE,
        ),
        # The data is not watched, so it may differ in any newer version that we did not write.
        (CONFIG_MAP, {}, {}, Change.DRIFT),
        (DEPLOYMENT, {"status": {"replicas": 1}}, {"status": {"replicas": 2}}, Change.STATE),
        (DEPLOYMENT, {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}, Change.DRIFT),
        (POD, {"status": {}}, {"status": {"podIP": "::1"}}, Change.STATE),
        (SOLVER, {"status": {}}, {"status": {"url": "x"}}, Change.STATE),
    ],
)
def test_only_a_change_that_a_reconcile_reads_requeues(
    kind: Kind, before: dict[str, Any], after: dict[str, Any], change: Change
) -> None:
    store = Store()
    assert store.observe(observation(1, kind, **before)) is Change.STATE
    assert store.observe(observation(2, kind, **after)) is change
    assert store.observe(observation(3, kind, gone=True)) is Change.DRIFT


def test_the_event_of_an_own_write_requeues_nothing() -> None:
    store = Store()
    store.observe(observation(3, spec={"a": 1}))
    assert not store.observe(observation(3, spec={"a": 1}))


def test_pods_are_found_by_their_solver_in_a_stable_order_once_they_are_listed() -> None:
    store = Store()

    def pod(version: int, name: str, instance: str, *, gone: bool = False) -> Observation:
        labels = {"app.kubernetes.io/instance": instance}
        return observation(version, POD, gone=gone, name=name, metadata={"labels": labels})

    def pod_names(instance: str) -> list[str]:
        return [item["metadata"]["name"] for item in store.group(POD, "team", instance) or []]

    store.observe(pod(1, "b", "demo"))
    assert store.group(POD, "team", "demo") is None
    store.replace(listing(POD, pod(1, "b", "demo"), pod(2, "a", "demo"), pod(3, "c", "other"), version=3))
    assert pod_names("demo") == ["a", "b"]
    store.observe(pod(4, "a", "demo", gone=True))
    store.observe(pod(5, "b", "other"))
    assert pod_names("demo") == []
    assert pod_names("other") == ["b", "c"]


def test_a_listing_drops_missed_deletions_and_keeps_newer_objects() -> None:
    store = Store()
    store.observe(observation(5, name="missed"))
    store.observe(observation(12, name="newer"))
    store.observe(observation(6, name="elsewhere", metadata={"namespace": "other"}))
    store.replace(listing(SERVICE, observation(4, name="listed"), namespace="team", version=10))
    assert not store.knows(SERVICE, NamespacedName("team", "missed"))
    assert store.knows(SERVICE, NamespacedName("team", "newer"))
    assert store.knows(SERVICE, NamespacedName("team", "listed"))
    assert store.knows(SERVICE, NamespacedName("other", "elsewhere"))


def test_a_list_deletes_missing_objects_and_an_older_event_does_not_restore_them() -> None:
    store = Store()
    for number, name in enumerate(("missed", "listed", "newer"), 5):
        store.observe(observation(10 * number, name=name))
    relisting = listing(SERVICE, observation(60, name="listed"), version=60)
    assert store.replace(relisting) == {SolverKey("team", "demo")}
    assert not store.knows(SERVICE, NamespacedName("team", "missed"))
    assert store.knows(SERVICE, NamespacedName("team", "listed"))
    assert store.knows(SERVICE, NamespacedName("team", "newer"))
    assert not store.observe(observation(55, name="missed"))
    assert store.observe(observation(61, name="missed"))
    assert store.replace(relisting) == set()


def test_a_deletion_is_forgotten_after_two_lists() -> None:
    store = Store()
    store.observe(observation(5))
    for version in 6, 7:
        store.replace(listing(SERVICE, version=version))
    assert store._kinds[SERVICE] == {}


def test_the_store_follows_a_restored_server() -> None:
    store = Store()
    store.replace(listing(SERVICE, observation(90, spec={"a": "lost"}), version=100))
    store.replace(listing(SERVICE, observation(40, spec={"a": "restored"}), version=50))
    assert (store.find(SERVICE, DEMO) or {})["spec"] == {"a": "restored"}


def test_a_removed_kind_is_forgotten() -> None:
    store = Store()
    store.replace(listing(SERVICE, observation(5), version=6))
    store.forget_kind(SERVICE)
    assert not store.knows(SERVICE, DEMO)
    assert store.all(SERVICE, None) is None


@pytest.mark.parametrize("owners", [[], [{**OWNER, "apiVersion": "apps/v1", "kind": "Deployment"}]])
@pytest.mark.parametrize("kind", CHILDREN, ids=lambda kind: kind.kind)
def test_an_object_with_our_label_and_no_owner_of_ours_takes_no_memory(
    kind: Kind, owners: list[dict[str, str]]
) -> None:
    """It stays unknown, so a reconcile that needs its name asks the server."""
    store = Store()
    other = observation(5, kind, metadata={"ownerReferences": owners}, spec={"text": "x" * 1000})
    store.replace(listing(kind, other, version=5))
    assert not store.knows(kind, DEMO)
    assert other.body is None


def test_a_job_of_a_cron_job_is_kept() -> None:
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "demo", "uid": "u"}
    assert observation(5, JOB, metadata={"ownerReferences": [owner]}).body is not None


def test_an_object_that_loses_its_owner_is_drift() -> None:
    store = Store()
    store.observe(observation(5))
    assert store.observe(observation(6, metadata={"ownerReferences": []})) is Change.DRIFT
    assert not store.knows(SERVICE, DEMO)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (CONFIG_MAP, {"data": {"text": "x" * 1000}, "binaryData": {"text": "x" * 1000}}),
        (POD, {"spec": {"text": "x" * 1000}, "metadata": {"annotations": {"text": "x" * 1000}}}),
    ],
)
def test_the_store_drops_large_unused_content(kind: Kind, fields: dict[str, Any]) -> None:
    assert len(observation(5, kind, **fields).body or b"") < 500


def test_the_store_keeps_the_claims_that_a_pod_mounts() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "demo-model-cache"}}
    volumes = [{"name": "cache", **claim}, {"name": "tmp", "emptyDir": {}}]
    store = Store()
    store.observe(observation(5, POD, spec={"volumes": volumes, "serviceAccountName": "demo"}))
    pod = store.find(POD, DEMO) or {}
    assert pod["spec"] == {"volumes": [claim]}
    assert desired.mounted_claims(None, [pod]) == {CLAIM.named("demo-model-cache")}


def test_the_store_keeps_every_kind_of_child() -> None:
    store = Store()
    for number, kind in enumerate(CHILDREN, 1):
        store.observe(observation(number, kind, spec={"n": number}))
    for number, kind in enumerate(CHILDREN, 1):
        assert json.dumps((store.find(kind, DEMO) or {})["spec"]) == json.dumps({"n": number})
