"""From the last release to this one: its CRDs, its resources with their statuses, and its objects are taken over.

tests/operator/upgrade has what the last release's operator made, as `python -m delivery.release.record` has found it.
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
from tests.operator.conftest import ROOT, with_crds

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
LOOKED_AT = {
    "^.spec": {"x-kubernetes-validations": "4a967ca11c74547d"},
    "^.spec.autoscaling.prometheusAddress": {"x-kubernetes-validations": "741c1236e5789640"},
    "^.spec.engine.openai.endpoint": {"x-kubernetes-validations": "741c1236e5789640"},
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
"""What crdify can't tell to be harmless, and a person can, by a digest of what it is now: a further change is to be
looked at, too.

- More is taken than before: other schemes than hf://, longer URIs, IPv6 hosts, Auto beside true and false.
- New rules are about the new credentialsSecretRef, and revisions that other schemes lack.
- Defaults are others: of the model (another repository of the same weights), the cache, the resources, the Ingress and
  the monitoring. A stored solver has the old ones written out, and keeps them.
"""
pytestmark = pytest.mark.xdist_group("apart")

STARTED_ANEW = {"plain", "remote", "rich"}
"""Solvers with replicas that this release restarts, for a reason in the changelog."""


@pytest.fixture(scope="session")
def cluster_kubectl(apart_kubectl: Kubectl) -> Kubectl:
    """An API server with CRDs that no other test needs meanwhile."""
    return apart_kubectl


def recorded(name: str, namespace: str = NAMESPACE) -> list[dict[str, Any]]:
    """Objects of a file, as if they had been recorded in this namespace."""
    return [*yaml.safe_load_all((RECORDED / name).read_text().replace(NAMESPACE, namespace))]


@pytest.fixture
def last_release(kubectl: Kubectl) -> Iterator[Kubectl]:
    """A namespace as the last release has left it, under its CRDs; the present ones come back at the end."""
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
    with_crds(kubectl)


def apply(kubectl: Kubectl, manifest: dict[str, Any], *how: str) -> None:
    """As the operator does."""
    options = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
    kubectl("apply", *options, *how, "-f", "-", stdin=json.dumps(manifest))


def live(kubectl: Kubectl, manifest: dict[str, Any]) -> dict[str, Any]:
    """The object that a manifest is about, as it is now."""
    group = manifest["apiVersion"].rpartition("/")[0]
    actual = kubectl.get(f"{manifest['kind']}.{group}".rstrip("."), manifest["metadata"]["name"])
    assert actual is not None, manifest["metadata"]["name"]
    return actual


def identity(manifest: dict[str, Any]) -> tuple[str, str]:
    """Kind and name."""
    return manifest["kind"], manifest["metadata"]["name"]


def within(before: Any, after: Any) -> bool:
    """Whether all of a value of before is there, as it was; a later release may say more."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key in after and within(before[key], after[key]) for key in before
        )
    return bool(before == after)


def keys(namespace: str) -> list[Key]:
    """Every resource of the last release."""
    return [KINDS[each["kind"]](namespace, each["metadata"]["name"]) for each in recorded("resources.yaml")]


def field(crd: str, path: str) -> dict[str, Any]:
    """The schema of a field of a CRD, which crdify calls ^.spec.model."""
    [version] = yaml.safe_load(crd)["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    for name in path.split(".")[1:]:
        schema = schema["properties"][name]
    return schema


def test_these_crds_accept_the_last_releases_resources() -> None:
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
        then, now = (without_messages(field(crds[name], path)) for crds in (before, after))
        unlike = {key for key in then.keys() | now.keys() if then.get(key) != now.get(key)}
        # What a field's own fields are is said of them, and its description is no rule.
        if unlike := unlike - {"properties", "description"}:
            changed[path] = {key: digest(now.get(key)) for key in unlike}
    assert changed == LOOKED_AT


def without_messages(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its rules but without what they say when they refuse."""
    rules = [
        {key: value for key, value in rule.items() if key != "message"}
        for rule in schema.get("x-kubernetes-validations", [])
    ]
    return {**schema, **({"x-kubernetes-validations": rules} if rules else {})}


def test_specs_of_the_last_release_keep_their_meaning(last_release: Kubectl) -> None:
    """And each version that was ever stored is still served."""
    before = {each["metadata"]["name"]: live(last_release, each) for each in recorded("resources.yaml")}
    with_crds(last_release)
    for each in recorded("resources.yaml"):
        after = live(last_release, each)
        stored = before[each["metadata"]["name"]]
        assert within(stored["spec"], after["spec"])
        assert within(stored["status"], after["status"])
    for kind in RECONCILED:
        crd = last_release.get("crd", f"{kind.plural}.{kind.group}")
        assert crd is not None
        served = {version["name"] for version in crd["spec"]["versions"] if version["served"]}
        assert set(crd["status"]["storedVersions"]) <= served


async def test_its_objects_are_kept_and_no_pod_with_the_same_template_restarts(
    last_release: Kubectl, bench: Bench
) -> None:
    before = {
        identity(item): live(last_release, item) for item in recorded("objects.yaml", last_release.namespace)
    }
    with_crds(last_release)
    await bench.cluster.discover()
    # All of them; that they take turns has tests of its own.
    bench.upgrades = Upgrades(release="this", at_once=0, requeue=lambda _: None)
    for key in keys(last_release.namespace):
        await bench.settle(key)
    rolled = set()
    for item in recorded("objects.yaml", last_release.namespace):
        after, stored = live(last_release, item), before[identity(item)]
        assert after["metadata"]["uid"] == stored["metadata"]["uid"]
        if item["kind"] == "Deployment" and after["spec"]["template"] != stored["spec"]["template"]:
            rolled.add(item["metadata"]["name"])
    assert rolled == STARTED_ANEW
