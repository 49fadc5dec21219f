"""The Jenkinsfile, run against the cluster and its registry: delivery, failures and rollback."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.pipeline.job import ChangeRequest
from delivery.pipeline.local import local_job
from delivery.signing.cosign import Cosign
from hack.ask import QUESTION, ask
from hack.cluster.kind import KindCluster
from hack.cluster.registry import Registry
from hack.deploy import seed_model
from hack.installation import SAMPLE
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from tests.e2e.support import restricted_namespace
from tests.support.repositories import Repository, run_build

from mcq_operator.api.rbac import NAMESPACE as OPERATOR_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.pipeline.job import Build, Job
    from hack.deploy import Deployed

pytestmark = pytest.mark.slow
NAMESPACE = "mcq-pipeline"
HOST = "delivered.localhost"
SOLVER = "delivered.yaml"
STAGES = {
    "Checkout", "Parameters", "Build", "Operator image", "Service image", "Service image with torch", "Test",
    "Deliver", "Scan", "Push", "Sign", "Release", "Deploy", "Monitor", "Verify",
}  # fmt: skip
# Run only a part of the suite: the whole suite would run this test again.
QUICK = {"SUITES": "test-operator", "PYTEST_ADDOPTS": "-k test_workqueue"}
NOWHERE = "http://127.0.0.1:9"
PARAMETERS: dict[str, str | bool] = {
    "SOLVER": SOLVER,
    "INGRESS_URL": f"http://{HOST}:8080",
    "MONITORING": False,
}


@dataclass(frozen=True)
class Pipeline:
    """A job for a clone of this checkout, and the cluster that it delivers to."""

    deployed: Deployed
    repository: Repository

    def job(self, commit: str, *, parameters: dict[str, str | bool] | None = None, **settings: Any) -> Job:
        """Return the job for a commit."""
        return local_job(
            self.deployed.provider, "test", CACHE / "pipeline-tests",
            {"url": str(self.repository.root), "revision": commit},
            parameters={**PARAMETERS, **(parameters or {})},
            environment={**QUICK, "VERIFY_SECONDS": "20"}, **settings,
        )  # fmt: skip

    def operator(self) -> str:
        """Return the image of the operator's Deployment."""
        return self._image(OPERATOR_NAMESPACE, "mcq-operator")

    def service(self) -> str:
        """Return the image of the solver's Deployment."""
        return self._image(NAMESPACE, "delivered")

    def tags(self, name: str) -> list[str]:
        """Return an image's tags in the registry."""
        address = f"http://{Registry.address}/v2/pipeline/{name}/tags/list"
        with urllib.request.urlopen(address, timeout=10) as response:
            tags: list[str] = json.load(response)["tags"]
            return tags

    def _image(self, namespace: str, name: str) -> str:
        path = "jsonpath={.spec.template.spec.containers[0].image}"
        return self.deployed.kubectl("--namespace", namespace, "get", f"deployment/{name}", "--output", path)


@pytest.fixture(scope="module")
def pipeline(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """Yield a pipeline with a solver of one replica; restore the previous operator at the end."""
    if not isinstance(deployed.provider, KindCluster):
        pytest.skip("the pipeline's registry is the local cluster's")
    kubectl = deployed.kubectl
    operator = ("--namespace", OPERATOR_NAMESPACE)
    revision = "jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}"
    before = kubectl(*operator, "get", "deployment/mcq-operator", "--output", revision)
    restricted_namespace(kubectl, NAMESPACE)
    seed_model(deployed.provider, NAMESPACE, "delivered-model-cache")
    repository = Repository(tmp_path_factory.mktemp("pipeline"))
    repository.git("clone", "--quiet", str(ROOT), ".")
    yield Pipeline(deployed, repository)
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    kubectl(*operator, "rollout", "undo", "deployment/mcq-operator", f"--to-revision={before}")
    kubectl(*operator, "rollout", "status", "deployment/mcq-operator", "--timeout=300s")


@pytest.fixture(scope="module")
def commit(pipeline: Pipeline) -> str:
    """Return a commit that adds the solver to deliver."""
    solver = yaml.safe_load(SAMPLE.read_text())
    solver["metadata"] = {"name": "delivered", "namespace": NAMESPACE}
    solver["spec"] |= {"replicas": 1}
    solver["spec"]["ingress"]["host"] = HOST
    return pipeline.repository.commit({SOLVER: yaml.safe_dump(solver)})


@pytest.fixture(scope="module")
def green(pipeline: Pipeline, commit: str) -> Build:
    """Return a successful build of main."""
    return run_build(pipeline.job(commit))


def images(build: Build) -> dict[str, str]:
    """Return the images that a build pushed, from its archive."""
    record: dict[str, str] = json.loads((build.directory / "archive/dist/images.json").read_text())
    return record


def test_a_successful_build_deploys_and_verifies_the_images_that_it_pushed(
    pipeline: Pipeline, commit: str, green: Build
) -> None:
    assert {name for name, result in green.stages.items() if result == "SUCCESS"} == STAGES - {"Monitor"}
    pushed = images(green)
    assert pipeline.operator() == pushed["operator"]
    assert pipeline.service() == pushed["service"]
    for image in pushed.values():
        assert "@sha256:" in image
    assert commit[:12] in pipeline.tags("mcq-operator")
    assert ask(f"http://{HOST}:8080", {**QUESTION, "mode": "answer"})["answer"]["label"] == "B"


def test_without_monitoring_its_stage_and_checks_are_skipped(green: Build) -> None:
    assert green.stages["Monitor"] == "SKIPPED"
    assert 'Stage "Monitor" skipped due to when conditional' in green.log
    assert "  ok    mcqsolver/delivered answers: B (Service)" in green.log
    assert "is scraped" not in green.log
    assert "not-looked-at" not in green.log  # the registry's password


def test_a_build_archives_test_reports_coverage_and_sboms(green: Build) -> None:
    assert green.record["tests"]["tests"] > 0
    assert 0 < green.record["lineCoverage"] < 1
    for program, package in (("operator", "kopf"), ("service", "fastapi"), ("service-torch", "torch")):
        sbom = json.loads((green.directory / f"archive/dist/mcq-{program}.cdx.json").read_text())
        assert sbom["bomFormat"] == "CycloneDX"
        names = {component["name"] for component in sbom["components"]}
        assert {package, "libc6"} <= names


def test_a_build_signs_its_images_with_its_key(pipeline: Pipeline, green: Build) -> None:
    public = green.directory / "archive/dist/cosign.pub"
    cosign = Cosign.built(Progress())
    for image in images(green).values():
        who = ["--insecure-ignore-tlog", "--allow-http-registry", "--key", str(public)]
        verified = json.loads(cosign("verify", *who, image))  # the signature, and the statements below
        signed = {each["critical"]["image"]["docker-manifest-digest"] for each in verified}
        assert signed == {image.partition("@")[2]}
        for statement in ("cyclonedx", "slsaprovenance1"):
            cosign("verify-attestation", *who, "--type", statement, image)


def test_a_failing_test_stops_the_build_before_anything_is_pushed(pipeline: Pipeline, green: Build) -> None:
    broken = Path("tests/operator/manager/test_workqueue.py")
    text = (pipeline.repository.root / broken).read_text()
    commit = pipeline.repository.commit(
        {str(broken): f"{text}\n\ndef test_broken() -> None:\n    assert False\n"}
    )
    try:
        build = run_build(pipeline.job(commit), result="FAILURE")
    finally:
        pipeline.repository.commit({str(broken): text})

    assert build.stages["Test"] == "FAILURE"
    assert build.stages["Deliver"] == "SKIPPED"
    assert build.record["tests"]["failures"] == 1
    assert commit[:12] not in pipeline.tags("mcq-operator")
    assert pipeline.operator() == images(green)["operator"]


def test_a_forks_pull_request_stops_after_the_tests_without_credentials(
    pipeline: Pipeline, commit: str, green: Build
) -> None:
    change = ChangeRequest("7", commit, fork=True)
    job = pipeline.job(commit, branch="PR-7", change_request=change, credentials={})

    build = run_build(job)

    assert build.stages["Test"] == "SUCCESS"
    assert build.stages["Deliver"] == "SKIPPED"
    assert {"Push", "Deploy", "Verify"}.isdisjoint(build.stages)
    assert "withCredentials" not in build.log
    assert pipeline.operator() == images(green)["operator"]


def test_a_missing_credential_fails_the_stage_that_needs_it(pipeline: Pipeline, green: Build) -> None:
    commit = pipeline.repository.commit({})

    build = run_build(pipeline.job(commit, credentials={}), result="FAILURE")

    assert build.reason == "Could not find credentials entry with ID 'mcq-registry'"
    assert (build.stages["Scan"], build.stages["Push"], build.stages["Release"]) == (
        "SUCCESS",
        "FAILURE",
        "SKIPPED",
    )
    assert commit[:12] not in pipeline.tags("mcq-operator")
    assert pipeline.operator() == images(green)["operator"]


def test_a_failed_verification_rolls_back_to_the_previous_images(pipeline: Pipeline, green: Build) -> None:
    commit = pipeline.repository.commit({})

    build = run_build(pipeline.job(commit, parameters={"INGRESS_URL": NOWHERE}), result="FAILURE")

    assert build.stages["Deploy"] == "SUCCESS"
    assert build.stages["Verify"] == "FAILURE"
    assert images(build)["operator"] != images(green)["operator"]
    assert f"WRONG mcqsolver/delivered answers: {NOWHERE} did not answer" in build.log
    assert pipeline.operator() == images(green)["operator"]
    assert pipeline.service() == images(green)["service"]
    assert ask(f"http://{HOST}:8080", {**QUESTION, "mode": "answer"})["answer"]["label"] == "B"
    diagnostics = build.directory / "archive/build/diagnostics"
    assert "mcq-operator" in (diagnostics / OPERATOR_NAMESPACE / "pods.txt").read_text()
    assert "delivered" in (diagnostics / "solvers.yaml").read_text()
