"""The Helm chart renders the objects of kustomize, and its values change them."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.chart import SOURCE, write_chart
from hack.installation import Images
from hack.kubectl import Kubectl
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

from mcq_operator.api import rbac
from mcq_operator.api.rbac import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Objects = dict[tuple[str, str, str], dict[str, Any]]
"""Manifests by kind, namespace and name."""

IMAGES = Images(
    f"registry.example.com/mcq-operator@sha256:{'1' * 64}",
    f"registry.example.com/mcq-service@sha256:{'2' * 64}",
    f"registry.example.com/mcq-service-torch@sha256:{'3' * 64}",
)
KEEP = {"helm.sh/resource-policy": "keep"}
MONITORING = {"serviceMonitor.enabled": True, "prometheusRule.enabled": True, "dashboards.enabled": True}
OVERLAYS: dict[str, dict[str, Any]] = {
    "dev": {"replicas": 1, "logLevel": "DEBUG"},
    "openshift": {"podSecurityContext": {"runAsUser": None, "runAsGroup": None}},
    "production": {
        "podDisruptionBudget": {"enabled": True},
        "networkPolicy": {"enabled": True},
        "podAnnotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "mcq-operator"}},
            }
        ],
    },
}
"""The overlays of config/, as values."""


@pytest.fixture(scope="module")
def tools() -> Tools:
    """Return helm and kubectl."""
    tools = Tools(CACHE, Progress())
    tools.build(["helm", "kubernetes"])
    return tools


@pytest.fixture(scope="module")
def kubectl(tools: Tools) -> Kubectl:
    """Return a kubectl for commands that need no cluster."""
    return Kubectl(tools.binary("kubernetes", "kubectl"), ROOT / "no-kubeconfig")


def identified(text: str) -> Objects:
    """Return the manifests, with the variables of each container by their names: Kubernetes ignores their order."""
    manifests = [each for each in yaml.safe_load_all(text) if each]
    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            [container] = manifest["spec"]["template"]["spec"]["containers"]
            container["env"] = {each["name"]: each for each in container["env"]}
    objects = {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in manifests
    }
    assert len(objects) == len(manifests)
    return objects


def rendered(
    tools: Tools, values: dict[str, Any], *, chart: Path = SOURCE, namespace: str = NAMESPACE
) -> Objects:
    """Return the objects that Helm renders, without those of `helm test`. A dot in a value's name leads into it."""
    # Helm built from its module assumes an old Kubernetes version.
    where = ("--namespace", namespace, "--kube-version", "v1.34.4")
    command: list[str | Path] = [
        tools.binary("helm"),
        "template",
        "mcq-operator",
        chart,
        "--skip-tests",
        *where,
    ]
    stdin = yaml.safe_dump(nested(values))
    command += ["--values", "-"]
    return identified(subprocess.run(command, input=stdin, check=True, capture_output=True, text=True).stdout)


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Return {"a.b": 1} as {"a": {"b": 1}}."""
    tree: dict[str, Any] = {}
    for name, value in values.items():
        *parents, last = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


def kustomized(kubectl: Kubectl, folder: str) -> Objects:
    """Return the objects of a kustomization, without the namespace, which --create-namespace creates."""
    objects = identified(kubectl("kustomize", str(ROOT / folder)))
    objects.pop(("Namespace", "", NAMESPACE), None)
    return objects


def without_keep(objects: Objects) -> Objects:
    """Return the objects without the annotation that makes Helm keep the CRDs, which all CRDs must have."""
    for (kind, _, _), manifest in objects.items():
        if kind == "CustomResourceDefinition":
            assert manifest["metadata"].pop("annotations") == KEEP
    return objects


def deployment(objects: Objects, namespace: str = NAMESPACE) -> dict[str, Any]:
    """Return the operator's Deployment."""
    return objects["Deployment", namespace, "mcq-operator"]


def test_the_default_chart_equals_the_kustomization(tools: Tools, kubectl: Kubectl) -> None:
    assert without_keep(rendered(tools, {})) == kustomized(kubectl, "config/default")


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_values_make_the_overlays(tools: Tools, kubectl: Kubectl, overlay: str) -> None:
    objects = without_keep(rendered(tools, OVERLAYS[overlay]))
    if policy := objects.get(("NetworkPolicy", NAMESPACE, "mcq-operator")):
        own = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "mcq-operator-test"}}}
        assert policy["spec"]["ingress"][0]["from"].pop() == own
    assert objects == kustomized(kubectl, f"config/overlays/{overlay}")


def test_monitoring_equals_that_of_monitoring_operator(tools: Tools, kubectl: Kubectl) -> None:
    before = rendered(tools, {})
    added = {key: each for key, each in rendered(tools, MONITORING).items() if key not in before}
    assert added == kustomized(kubectl, "monitoring/operator")


@pytest.mark.parametrize("home", [NAMESPACE, "team-a"])
@pytest.mark.parametrize("namespaces", [[], ["team-a", "team-a-staging"]])
def test_rights_follow_the_namespaces(tools: Tools, home: str, namespaces: list[str]) -> None:
    objects = rendered(tools, {"namespaces": namespaces, "userRoles.enabled": False}, namespace=home)
    kinds = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    rights = {key: each for key, each in objects.items() if key[0] in kinds}
    [container] = deployment(objects, home)["spec"]["template"]["spec"]["containers"]
    served = container["env"].get("MCQ_OPERATOR_NAMESPACES", {"value": ""})["value"]

    assert rights == identified(yaml.safe_dump_all(rbac.manifests(namespaces=namespaces, home=home)))
    assert served == ",".join(namespaces)
    assert container["env"]["MCQ_OPERATOR_LEASE"]["value"] == f"{home}/mcq-operator"


def test_a_release_in_another_namespace_does_not_name_the_default_one(tools: Tools) -> None:
    assert NAMESPACE not in str(rendered(tools, MONITORING | OVERLAYS["production"], namespace="elsewhere"))


def test_the_delivered_chart_has_the_pushed_images(tools: Tools, tmp_path: Path) -> None:
    objects = rendered(tools, {}, chart=write_chart(IMAGES, tmp_path / "mcq-operator"))
    [container] = deployment(objects)["spec"]["template"]["spec"]["containers"]
    images = {name: each["value"] for name, each in container["env"].items() if name.endswith("IMAGE")}
    assert container["image"] == IMAGES.operator
    assert images == {
        "MCQ_OPERATOR_IMAGE": IMAGES.operator,
        "MCQ_OPERATOR_SERVICE_IMAGE": IMAGES.service,
        "MCQ_OPERATOR_SERVICE_TORCH_IMAGE": IMAGES.service_torch,
    }


DIGEST = f"sha256:{'a' * 64}"
POD = "Deployment:spec.template.spec."
CONTAINER = f"{POD}containers.0."


@pytest.mark.parametrize(
    ("values", "where", "expected"),
    [
        ({"image.tag": "1.2"}, f"{CONTAINER}image", "mcq-operator:1.2"),
        ({"image.tag": "1.2"}, f"{CONTAINER}env.MCQ_OPERATOR_IMAGE.value", "mcq-operator:1.2"),
        ({"image.tag": "1", "image.digest": DIGEST}, f"{CONTAINER}image", f"mcq-operator@{DIGEST}"),
        ({"image.repository": "localhost:5001/it"}, f"{CONTAINER}image", "localhost:5001/it:0.1.0"),
        ({"image.pullPolicy": "Always"}, f"{CONTAINER}imagePullPolicy", "Always"),
        ({"solvers.image.tag": "1.2"}, f"{CONTAINER}env.MCQ_OPERATOR_SERVICE_IMAGE.value", "mcq-service:1.2"),
        ({"imagePullSecrets": [{"name": "door"}]}, f"{POD}imagePullSecrets", [{"name": "door"}]),
        ({"extraEnv": [{"name": "A", "value": "b"}]}, f"{CONTAINER}env.A.value", "b"),
        ({"resources.limits.memory": "1Gi"}, f"{CONTAINER}resources.limits", {"memory": "1Gi"}),
        ({"podLabels": {"a": "b"}}, "Deployment:spec.template.metadata.labels.a", "b"),
        ({"podSecurityContext.runAsUser": 7}, f"{POD}securityContext.runAsUser", 7),
        ({"securityContext.capabilities": None}, f"{CONTAINER}securityContext.capabilities", None),
        ({"affinity.podAntiAffinity": None}, f"{POD}affinity", None),
        ({"nodeSelector": {"pool": "cpu"}}, f"{POD}nodeSelector", {"pool": "cpu"}),
        ({"tolerations": [{"operator": "Exists"}]}, f"{POD}tolerations", [{"operator": "Exists"}]),
        ({"priorityClassName": "high"}, f"{POD}priorityClassName", "high"),
        ({"extraVolumes": [{"name": "ca"}]}, f"{POD}volumes.1", {"name": "ca"}),
        ({"extraVolumeMounts": [{"name": "ca"}]}, f"{CONTAINER}volumeMounts.1", {"name": "ca"}),
        (
            {"podDisruptionBudget": {"enabled": True, "minAvailable": "50%"}},
            "PodDisruptionBudget:spec.minAvailable", "50%",
        ),
        (
            {"networkPolicy": {"enabled": True, "from": [{"podSelector": {}}]}},
            "NetworkPolicy:spec.ingress.0.from.0", {"podSelector": {}},
        ),
        ({"serviceMonitor": {"enabled": True, "interval": "5s"}}, "ServiceMonitor:spec.endpoints.0.interval", "5s"),
        ({"serviceMonitor": {"enabled": True, "labels": {"a": "b"}}}, "ServiceMonitor:metadata.labels.a", "b"),
        ({"prometheusRule": {"enabled": True, "labels": {"a": "b"}}}, "PrometheusRule:metadata.labels.a", "b"),
        ({"dashboards": {"enabled": True, "labels": {"a": "b"}}}, "ConfigMap:metadata.labels.a", "b"),
        ({"crds": {"install": True, "keep": False}}, "CustomResourceDefinition:metadata.annotations", None),
    ],
)  # fmt: skip
def test_a_value_changes_its_field(
    tools: Tools, values: dict[str, Any], where: str, expected: object
) -> None:
    kind, _, path = where.partition(":")
    objects = rendered(
        tools, {"crds": {"install": False}, **values}
    )  # parsing the CRDs takes most of the time
    field: Any = next(each for key, each in objects.items() if key[0] == kind)
    for step in path.split("."):
        field = field[int(step)] if isinstance(field, list) else (field or {}).get(step)
    assert field == expected


@pytest.mark.parametrize(
    ("switch", "kinds"),
    [
        ("crds.install", {"CustomResourceDefinition"}),
        ("admissionPolicies.enabled", {"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}),
        ("userRoles.enabled", {"ClusterRole"}),
    ],
)
def test_a_second_release_leaves_out_what_the_first_one_has(
    tools: Tools, switch: str, kinds: set[str]
) -> None:
    everything, some = rendered(tools, {}), rendered(tools, {switch: False})
    missing = everything.keys() - some.keys()
    assert {kind for kind, _, _ in missing} == kinds
    assert some == {key: each for key, each in everything.items() if key not in missing}


def test_two_releases_share_no_object(tools: Tools) -> None:
    shared = {"crds.install": False, "admissionPolicies.enabled": False, "userRoles.enabled": False}
    assert not rendered(tools, {}).keys() & rendered(tools, shared, namespace="team-a").keys()


def test_the_alerts_are_about_the_releases_own_operator(tools: Tools) -> None:
    objects = rendered(tools, {"crds.install": False, "prometheusRule.enabled": True}, namespace="team-a")
    [rule] = [each for (kind, _, _), each in objects.items() if kind == "PrometheusRule"]
    [down] = [each for each in rule["spec"]["groups"][0]["rules"] if each["alert"] == "MCQOperatorDown"]
    assert down["expr"] == 'absent(up{job="mcq-operator",namespace="team-a"} == 1)'
    assert down["labels"]["namespace"] == "team-a"


def test_helms_linter_accepts_the_chart(tools: Tools, tmp_path: Path) -> None:
    chart = write_chart(IMAGES, tmp_path / "mcq-operator")
    command: list[str | Path] = [tools.binary("helm"), "lint", "--strict", chart]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 2}, "additional properties 'replica' not allowed"),
        ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
        ({"replicas": "2"}, "at '/replicas': got string, want integer"),
        ({"replicas": None}, "missing property 'replicas'"),
        ({"namespaces": "team-a"}, "at '/namespaces': got string, want array"),
        ({"namespaces": ["Team"]}, "at '/namespaces/0': 'Team' does not match pattern"),
        ({"logLevel": "debug"}, "at '/logLevel': value must be one of '', 'DEBUG'"),
        ({"extraEnv": [{"value": "b"}]}, "at '/extraEnv/0': missing property 'name'"),
        ({"image": "mcq-operator:1"}, "at '/image': got string, want object"),
        ({"image.repository": "mcq-operator:1"}, "at '/image/repository': 'mcq-operator:1' does not match pattern"),
        ({"image.digest": "1"}, "at '/image/digest': '1' does not match pattern"),
        ({"image.pullPolicy": "Often"}, "at '/image/pullPolicy': value must be one of"),
        ({"solvers.image.pullPolicy": "Always"}, "additional properties 'pullPolicy' not allowed"),
        ({"crds.install": "yes"}, "at '/crds/install': got string, want boolean"),
        ({"resources.memory": "1Gi"}, "additional properties 'memory' not allowed"),
        ({"podLabels": {"a": 1}}, "at '/podLabels/a': got number, want string"),
        ({"podDisruptionBudget.minAvailable": "half"}, "at '/podDisruptionBudget/minAvailable'"),
        ({"serviceMonitor.interval": "often"}, "at '/serviceMonitor/interval': 'often' does not match pattern"),
        ({"networkPolicy.from": "monitoring"}, "at '/networkPolicy/from': got string, want array"),
        ({"dashboards.folder": "MCQ"}, "additional properties 'folder' not allowed"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_refused(tools: Tools, values: dict[str, Any], message: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as refused:
        rendered(tools, values)
    assert message in refused.value.stderr


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value with its name; an empty map is a value."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def test_the_documentation_has_each_value_and_its_default() -> None:
    values = dict(leaves(yaml.safe_load((SOURCE / "values.yaml").read_text())))
    page = (ROOT / "docs/helm.md").read_text()
    rows = re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", page, re.MULTILINE)
    documented = {name: default for names, default in rows for name in re.findall(r"`([^`]+)`", names)}
    missing = [name for name in values if not any(f"{name}.".startswith(f"{row}.") for row in documented)]
    unknown = [row for row in documented if not any(f"{name}.".startswith(f"{row}.") for name in values)]
    assert (missing, unknown) == ([], [])
    for name, value in values.items():
        # A list with items is described in words.
        if name in documented and (value == [] or not isinstance(value, list)):
            assert yaml.safe_load(documented[name].strip("`")) == value, name
