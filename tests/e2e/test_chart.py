"""The Helm chart on the cluster, beside the operator: installed for one namespace, tested, upgraded, removed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hack.toolchain.commands import run
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools
from tests.e2e.support import restricted_namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hack.deploy import Deployed
    from hack.kubectl import Kubectl

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-chart"
RELEASE = "mcq-operator"
PASSED = "Phase:          Succeeded"


class Helm:
    """Helm with the cluster's kubeconfig, in the release's namespace."""

    def __init__(self, deployed: Deployed) -> None:
        self._tools = Tools(CACHE, Progress(quiet=True))
        self._tools.build(["helm"])
        self._kubeconfig = deployed.provider.kubeconfig()

    def __call__(self, *command: str, values: dict[str, Any] | None = None) -> str:
        options = [f"--kubeconfig={self._kubeconfig}", f"--namespace={NAMESPACE}"]
        if values is not None:
            options += ["--values=-", "--wait", "--timeout=120s"]
        return run(
            [self._tools.binary("helm"), *command, *options],
            stdin=None if values is None else json.dumps(values),
            timeout=300,
        )


@pytest.fixture(scope="module")
def values(deployed: Deployed) -> dict[str, Any]:
    """Return the values of an operator for one namespace; the cluster's other operator has what they share."""
    container = "{.spec.template.spec.containers[0].image}"
    image = deployed.kubectl(
        "-n", "mcq-operator-system", "get", "deployment", "mcq-operator", "-o", f"jsonpath={container}"
    )
    repository, _, digest = image.partition("@")
    return {
        "replicas": 1,
        "namespaces": [NAMESPACE],
        "image": {"repository": repository, "digest": digest},
        "crds": {"install": False},
        "admissionPolicies": {"enabled": False},
        "userRoles": {"enabled": False},
    }


@pytest.fixture(scope="module")
def kubectl(deployed: Deployed) -> Iterator[Kubectl]:
    restricted_namespace(deployed.kubectl, NAMESPACE)
    yield deployed.kubectl
    deployed.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def test_the_chart_is_installed_tested_upgraded_and_removed(
    deployed: Deployed, kubectl: Kubectl, values: dict[str, Any]
) -> None:
    """Its NetworkPolicy admits the Pod of `helm test`. The cluster's CRDs stay."""
    helm, chart = Helm(deployed), str(ROOT / "charts/mcq-operator")
    helm("install", RELEASE, chart, values=values)
    assert PASSED in helm("test", RELEASE)
    more = {"networkPolicy": {"enabled": True}, "podDisruptionBudget": {"enabled": True}, "replicas": 2}
    helm("upgrade", RELEASE, chart, values={**values, **more})
    objects = kubectl("-n", NAMESPACE, "get", "networkpolicies,poddisruptionbudgets", "-o", "name").split()
    assert objects == [
        "networkpolicy.networking.k8s.io/mcq-operator", "poddisruptionbudget.policy/mcq-operator"
    ]  # fmt: skip
    assert PASSED in helm("test", RELEASE)
    helm("uninstall", RELEASE, "--wait")
    left = "deployments,services,roles,rolebindings,networkpolicies,poddisruptionbudgets"
    assert kubectl("-n", NAMESPACE, "get", left, "-o", "name") == ""
    assert "mcqsolvers.mcq-operator.dev" in kubectl("get", "crds", "-o", "name")
