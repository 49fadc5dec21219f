"""This release takes over the last release's CRDs, its resources with their statuses, and its objects.

`python -m delivery.release.record` recorded them in tests/operator/upgrade.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.release import compatibility
from delivery.release.errors import ReleaseError
from delivery.release.record import NAMESPACE, RECORDED
from hack.kubectl import wait_established
from hack.toolchain.paths import CACHE
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools
from tests.operator.conftest import ROOT, install_crds

from mcq_operator.api import FIELD_MANAGER, ExamKey, Key, SolverKey
from mcq_operator.api.kinds import RECONCILED
from mcq_operator.controllers.upgrades import Upgrades
from mcq_operator.desired import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.operator.conftest import Bench, Kubectl

CRDS = sorted(RECORDED.glob("mcq-operator.dev_*.yaml"))
KINDS = {"MCQSolver": SolverKey, "MCQExam": ExamKey}
SWITCH = {
    "default": "05b65242d8c48791",
    "enum": "1d651c6a49f9ce0e",
    "type": "74234e98afe7498f",
    "x-kubernetes-preserve-unknown-fields": "b5bea41b6c623f7c",
}
REVIEWED = {
    "^.spec": {"x-kubernetes-validations": "4a967ca11c74547d"},
    "^.spec.answering": {"default": "cf50dbee0fe84289", "x-kubernetes-validations": "b8ccb5a12810dbce"},
    "^.spec.autoscaling.prometheusAddress": {"x-kubernetes-validations": "741c1236e5789640"},
    "^.spec.engine.openai.endpoint": {"x-kubernetes-validations": "741c1236e5789640"},
    "^.spec.gateway.path": {"x-kubernetes-validations": "643123b8412ee1c8"},
    "^.spec.ingress.path": {"x-kubernetes-validations": "643123b8412ee1c8"},
    "^.spec.ingress": {"default": "eeae2bc927083f4f", "x-kubernetes-validations": "903fcb802d14e797"},
    "^.spec.ingress.enabled": {"default": "74234e98afe7498f"},
    "^.spec.model": {"default": "d5e1bc668027d1b8", "x-kubernetes-validations": "0bcb559ea2d5b62e"},
    "^.spec.model.uri": {
        "default": "39a48e887760aaae",
        "maxLength": "e39eef82f61b21e2",
        "x-kubernetes-validations": "aa8061f7c0fec796",
    },
    "^.spec.monitoring.alerts.enabled": SWITCH,
    "^.spec.monitoring.dashboards.enabled": SWITCH,
    "^.spec.monitoring.serviceMonitor.enabled": SWITCH,
    "^.spec.resources": {"default": "44136fa355b3678a"},
    "^.spec.storage.cache": {"default": "50a05cd7ae916a10"},
    "^.spec.storage.cache.type": {"default": "e811321a3961d0f8"},
    "^.spec.tracing.endpoint": {"x-kubernetes-validations": "741c1236e5789640"},
}
"""Changes that crdify reports and a person found harmless, with a digest of the new value: the next change needs a
review, too.

- The CRDs accept more: other schemes than hf://, longer URIs, IPv6 hosts, Auto beside true and false.
- New rules concern the new credentialsSecretRef, and revisions, which other schemes lack.
- Paths with an empty segment, `.` or `..` are refused: no replica starts with one as the path of its Ingress, and the
  API server refuses it in an Ingress or HTTPRoute.
- Defaults have changed: of the model (another repository of the same weights), the cache, the resources, the Ingress
  and the monitoring. A stored solver has the old defaults in its spec and keeps them.
"""
pytestmark = pytest.mark.xdist_group("apart")

RESTARTED = {"plain", "remote", "rich"}
"""Solvers with replicas that this release restarts, for a reason in the changelog."""


@pytest.fixture(scope="session")
def cluster_kubectl(apart_kubectl: Kubectl) -> Kubectl:
    """Use the second API server: no other test needs its CRDs meanwhile."""
    return apart_kubectl


def recorded(name: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Return the objects of a file, moved to this namespace."""
    return [*yaml.safe_load_all((RECORDED / name).read_text().replace(NAMESPACE, namespace))]


@pytest.fixture
def last_release(kubectl: Kubectl) -> Iterator[Kubectl]:
    """A namespace as the last release left it, with its CRDs; the present CRDs come back afterwards."""
    for path in CRDS:
        kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
    wait_established(kubectl, [f"{kind.plural}.{kind.group}" for kind in RECONCILED])
    uids = {}
    for resource in recorded("resources.yaml"):
        apply(kubectl, {key: value for key, value in resource.items() if key != "status"})
        reported = {key: value for key, value in resource.items() if key != "spec"}
        apply(kubectl, reported, "--subresource=status")
        uids[resource["kind"], resource["metadata"]["name"]] = live(kubectl, resource)["metadata"]["uid"]
    for item in recorded("objects.yaml", kubectl.namespace):
        for reference in item["metadata"]["ownerReferences"]:
            reference["uid"] = uids[reference["kind"], reference["name"]]
        apply(kubectl, {key: value for key, value in item.items() if key != "status"})
    yield kubectl
    install_crds(kubectl)


def apply(kubectl: Kubectl, manifest: dict[str, Any], *options: str) -> None:
    """Apply a manifest as the operator does."""
    flags = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
    kubectl("apply", *flags, *options, "-f", "-", stdin=json.dumps(manifest))


def live(kubectl: Kubectl, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the live object of a manifest."""
    group = manifest["apiVersion"].rpartition("/")[0]
    current = kubectl.get(f"{manifest['kind']}.{group}".rstrip("."), manifest["metadata"]["name"])
    assert current is not None, manifest["metadata"]["name"]
    return current


def identity(manifest: dict[str, Any]) -> tuple[str, str]:
    """Return a manifest's kind and name."""
    return manifest["kind"], manifest["metadata"]["name"]


def keeps_values(before: Any, after: Any) -> bool:
    """Return whether `after` has every value of `before`; a later release may add values."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key in after and keeps_values(before[key], after[key]) for key in before
        )
    return bool(before == after)


def keys(namespace: str) -> list[Key]:
    """Return the keys of the last release's resources."""
    return [KINDS[each["kind"]](namespace, each["metadata"]["name"]) for each in recorded("resources.yaml")]


def field(crd: str, path: str) -> dict[str, Any]:
    """Return the schema of a CRD's field by crdify's path, such as ^.spec.model."""
    [version] = yaml.safe_load(crd)["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    for name in path.split(".")[1:]:
        schema = schema["properties"][name]
    return schema


def test_every_incompatible_change_of_a_crd_is_reviewed() -> None:
    tools = Tools(CACHE, Progress())
    tools.build(["crdify"])
    before = {path.name: path.read_text() for path in CRDS}
    after = {path.name: path.read_text() for path in (ROOT / "crds").glob("mcq-operator.dev_*.yaml")}
    assert len(before) == len(RECONCILED)
    with pytest.raises(ReleaseError) as reported:
        compatibility.check(before, after, tools.binary("crdify"))
    actual = re.findall(r"(\S+): v1alpha1 - (\S+) - \S+ - ERROR", str(reported.value))
    changed: dict[str, dict[str, str]] = {}
    for name, path in actual:
        old, new = (without_messages(field(crds[name], path)) for crds in (before, after))
        differing = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        # crdify reports nested fields on their own, and a description is no rule.
        if differing := differing - {"properties", "description"}:
            changed[path] = {key: digest(new.get(key)) for key in differing}
    assert changed == REVIEWED


def without_messages(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without the messages of its rules."""
    rules = [
        {key: value for key, value in rule.items() if key != "message"}
        for rule in schema.get("x-kubernetes-validations", [])
    ]
    return {**schema, **({"x-kubernetes-validations": rules} if rules else {})}


def test_resources_of_the_last_release_keep_their_values(last_release: Kubectl) -> None:
    """Each version that was ever stored is still served."""
    before = {each["metadata"]["name"]: live(last_release, each) for each in recorded("resources.yaml")}
    install_crds(last_release)
    for each in recorded("resources.yaml"):
        after = live(last_release, each)
        stored = before[each["metadata"]["name"]]
        assert keeps_values(stored["spec"], after["spec"])
        assert keeps_values(stored["status"], after["status"])
    for kind in RECONCILED:
        crd = last_release.get("crd", f"{kind.plural}.{kind.group}")
        assert crd is not None
        served = {version["name"] for version in crd["spec"]["versions"] if version["served"]}
        assert set(crd["status"]["storedVersions"]) <= served


async def test_objects_of_the_last_release_are_kept_and_only_the_expected_replicas_restart(
    last_release: Kubectl, bench: Bench
) -> None:
    before = {
        identity(item): live(last_release, item) for item in recorded("objects.yaml", last_release.namespace)
    }
    install_crds(last_release)
    await bench.cluster.discover()
    # Upgrade all solvers at once; controllers/test_upgrades.py tests their turns.
    bench.upgrades = Upgrades(release="this", at_once=0, requeue=lambda _: None)
    for key in keys(last_release.namespace):
        await bench.settle(key)
    restarted = set()
    for item in recorded("objects.yaml", last_release.namespace):
        after, stored = live(last_release, item), before[identity(item)]
        assert after["metadata"]["uid"] == stored["metadata"]["uid"]
        if item["kind"] == "Deployment" and after["spec"]["template"] != stored["spec"]["template"]:
            restarted.add(item["metadata"]["name"])
    assert restarted == RESTARTED
