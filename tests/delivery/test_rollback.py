"""An install prunes what its environment lacks, and a rollback restores the whole installation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest
import yaml
from delivery import __main__ as stages
from delivery import install as installing
from delivery import rollback
from delivery.errors import RecordError
from delivery.settings import Settings
from hack.errors import InstallError
from hack.installation import Images
from hack.kubectl import KubectlError
from hack.toolchain.progress import Progress

from mcq_operator.api.rbac import NAMESPACE

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.inventory import Manifest
    from hack.kubectl import Kubectl

OLD = Images("r/mcq-operator@sha256:1", "r/mcq-service@sha256:1")
NEW = Images("r/mcq-operator@sha256:2", "r/mcq-service@sha256:2")
RBAC = "rbac.authorization.k8s.io/v1"


class Cluster:
    """An API server without its logic: it stores what is applied, and adds the fields that the server decides on."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Manifest] = {}
        self.uid = "ours"

    def __call__(self, *arguments: str, stdin: str = "", **_: Any) -> str:
        if "kube-system" in arguments:
            return self.uid
        verb = next(word for word in arguments if word in ("get", "apply", "delete"))
        if "kind: Unknown" in stdin and verb != "apply":
            raise KubectlError('no matches for kind "Unknown" in version "gone/v1"')
        if "--filename" not in arguments:  # kubectl delete mcqsolver/NAME
            self.objects.pop(("MCQSolver", arguments[-3].partition("/")[2]), None)
            return ""
        manifests = list(yaml.safe_load_all(stdin))
        if verb == "get":
            (wanted,) = manifests
            found = self.objects.get(key(wanted))
            return json.dumps({"kind": "List", "items": [served(found)]}) if found else ""
        for each in manifests:
            if verb == "apply":
                self.objects[key(each)] = each
            else:
                self.objects.pop(key(each), None)
        return ""

    def names(self) -> set[str]:
        """Return the objects as KIND/NAME."""
        return {"/".join(each) for each in self.objects}


def key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def served(manifest: Manifest) -> Manifest:
    """Return an object as the API server shows it."""
    metadata = {
        **manifest["metadata"],
        "uid": "1",
        "resourceVersion": "1",
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if manifest["kind"] == "Deployment":
        metadata["annotations"] = {"deployment.kubernetes.io/revision": "7"}
    return {**manifest, "metadata": metadata, "status": {"replicas": 2}}


def thing(kind: str, name: str, version: str = "v1", **content: Any) -> Manifest:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        **content,
    }


def operator(images: Images) -> Manifest:
    containers = [{"name": "operator", "image": images.operator}]
    return thing(
        "Deployment", "mcq-operator", "apps/v1", spec={"template": {"spec": {"containers": containers}}}
    )


def solver(name: str, replicas: int = 1) -> Manifest:
    metadata = {"name": name, "namespace": "team"}
    spec = {"model": {"uri": "hf://a/b"}, "replicas": replicas}
    return {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": metadata,
        "spec": spec,
    }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """Return a cluster, without the waits for programs that don't run there."""

    def install_operator(kubectl: Kubectl, _: Images, overlay: Path) -> None:
        kubectl("apply", "--filename", "-", stdin=overlay.read_text())

    monkeypatch.setattr(installing, "PREVIOUS", tmp_path / "previous.json")
    monkeypatch.setattr(rollback, "PREVIOUS", tmp_path / "previous.json")
    monkeypatch.setattr(stages, "PREVIOUS", tmp_path / "previous.json")
    monkeypatch.setattr(installing, "installer", lambda _, __, overlay: overlay.read_text())
    monkeypatch.setattr(installing, "install_operator", install_operator)
    monkeypatch.setattr(installing, "install_crds", lambda _: None)
    monkeypatch.setattr(installing, "running_image", lambda *_: OLD.service)
    for module in (installing, rollback):
        monkeypatch.setattr(module, "wait_updated", lambda *_, **__: None)
    monkeypatch.setattr(rollback, "wait_for_operator", lambda _: None)
    return Cluster()


def install(
    cluster: Cluster, folder: Path, images: Images, objects: list[Manifest], solvers: list[Manifest]
) -> None:
    """Install an overlay of these objects and the operator, and these solvers."""
    overlay, file = folder / "overlay.yaml", folder / "solvers.yaml"
    overlay.write_text(yaml.safe_dump_all([*objects, operator(images)]))
    file.write_text(yaml.safe_dump_all(solvers))
    installing.install(cast("Kubectl", cluster), images, overlay, file, Progress(quiet=True))


def roll_back(cluster: Cluster) -> None:
    rollback.rollback(cast("Kubectl", cluster), Progress(quiet=True))


def test_a_rollback_restores_rights_policies_and_solvers_and_deletes_those_added(
    cluster: Cluster, tmp_path: Path
) -> None:
    role = thing("Role", "mcq-operator", RBAC, rules=[{"verbs": ["get"]}])
    install(cluster, tmp_path, OLD, [thing("Namespace", NAMESPACE), role], [solver("demo", replicas=1)])
    before = dict(cluster.objects)

    more = [
        thing("Namespace", "another"),
        {**role, "rules": [{"verbs": ["*"]}]},
        thing("RoleBinding", "mcq-operator-more", RBAC),
        thing("ValidatingAdmissionPolicy", "strict"),
    ]
    install(
        cluster, tmp_path, NEW, [thing("Namespace", NAMESPACE), *more], [solver("demo", 3), solver("added")]
    )
    roll_back(cluster)

    # A namespace may have others' objects by now.
    assert cluster.objects == {**before, ("Namespace", "another"): more[0]}
    assert not installing.PREVIOUS.exists()


def test_a_rollback_of_the_first_install_leaves_it_for_inspection(cluster: Cluster, tmp_path: Path) -> None:
    install(cluster, tmp_path, NEW, [thing("Role", "mcq-operator")], [solver("demo")])
    installed = dict(cluster.objects)

    roll_back(cluster)

    assert cluster.objects == installed


def test_a_rollback_of_another_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    install(cluster, tmp_path, OLD, [], [solver("demo", replicas=1)])
    install(cluster, tmp_path, NEW, [], [solver("demo", replicas=3)])
    installed = dict(cluster.objects)
    cluster.uid = "another"

    with pytest.raises(InstallError, match="records another cluster than kubectl's"):
        roll_back(cluster)

    assert cluster.objects == installed
    assert installing.PREVIOUS.exists()


def test_a_rollback_goes_on_after_a_part_that_fails(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Kubectl) -> None:
        raise InstallError("The operator does not start")

    install(cluster, tmp_path, OLD, [], [solver("demo", replicas=1)])
    install(cluster, tmp_path, NEW, [], [solver("demo", replicas=3)])
    monkeypatch.setattr(rollback, "wait_for_operator", fail)

    with pytest.raises(InstallError, match=r"(?s)incomplete:.*The operator does not start"):
        roll_back(cluster)

    assert cluster.objects[("MCQSolver", "demo")] == solver("demo", replicas=1)
    assert installing.PREVIOUS.exists()


def test_another_environment_prunes_the_objects_that_it_lacks(cluster: Cluster, tmp_path: Path) -> None:
    budget = thing("PodDisruptionBudget", "mcq-operator", "policy/v1")
    install(cluster, tmp_path, OLD, [thing("Role", "mcq-operator"), budget], [solver("demo")])
    cluster.objects["NetworkPolicy", "of-others"] = thing("NetworkPolicy", "of-others")
    production = dict(cluster.objects)

    install(cluster, tmp_path, NEW, [thing("Role", "mcq-operator")], [solver("demo")])

    assert "PodDisruptionBudget/mcq-operator" not in cluster.names()
    assert {"Role/mcq-operator", "NetworkPolicy/of-others", "MCQSolver/demo"} <= cluster.names()
    roll_back(cluster)
    assert cluster.objects == production


def test_an_object_in_a_newer_version_of_its_kind_is_not_pruned(cluster: Cluster, tmp_path: Path) -> None:
    install(cluster, tmp_path, OLD, [thing("PodDisruptionBudget", "a", "policy/v1beta1")], [solver("demo")])
    install(cluster, tmp_path, NEW, [thing("PodDisruptionBudget", "a", "policy/v1")], [solver("demo")])
    assert "PodDisruptionBudget/a" in cluster.names()


def test_objects_without_a_record_are_not_pruned(cluster: Cluster, tmp_path: Path) -> None:
    cluster.objects["PodDisruptionBudget", "mcq-operator"] = thing("PodDisruptionBudget", "mcq-operator")
    install(cluster, tmp_path, NEW, [], [solver("demo")])
    assert "PodDisruptionBudget/mcq-operator" in cluster.names()


def test_an_object_of_a_removed_kind_does_not_stop_the_next_install(cluster: Cluster, tmp_path: Path) -> None:
    install(cluster, tmp_path, OLD, [thing("Unknown", "a", "gone/v1"), thing("Role", "a")], [solver("demo")])
    install(cluster, tmp_path, NEW, [], [solver("demo")])
    assert "Role/a" not in cluster.names()


def test_an_install_that_fails_early_rolls_back_nothing(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_record() -> None:
        raise RecordError("make push writes it")

    install(cluster, tmp_path, OLD, [], [solver("demo")])
    install(cluster, tmp_path, NEW, [], [solver("demo", replicas=3)])
    verified = dict(cluster.objects)
    monkeypatch.setattr(stages, "_kubectl", lambda _: cluster)
    monkeypatch.setattr(stages, "read_images", no_record)
    with pytest.raises(RecordError):
        stages.STAGES["install"](Settings({}), Progress(quiet=True))

    rollback.rollback(cast("Kubectl", cluster), Progress())

    assert "nothing to roll back" in capsys.readouterr().err
    assert cluster.objects == verified
