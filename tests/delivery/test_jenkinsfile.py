"""The Jenkinsfile's own logic, with a make that only records its calls: order, agents, approval, rollback."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from delivery.pipeline.job import ChangeRequest
from hack.toolchain.paths import ROOT
from tests.support.repositories import job, run_build

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.pipeline.job import Build

JENKINSFILE = ROOT / "Jenkinsfile"
REGISTRY = "registry.example.com/mcq"
# Targets in $FAIL fail, and $HANG does not end. Others write the files that Jenkins publishes.
MAKE = """\
#!/bin/sh
kubeconfig=${KUBECONFIG:+$(cat "$KUBECONFIG")}
[ "$1" != rollback ] || [ ! -e dist/previous.json ] || set -- rollback-of-another-build
access="at=$INGRESS_URL key=$MCQ_API_KEY cluster=$kubeconfig"
echo "$1 REGISTRY=$REGISTRY ENVIRONMENT=$ENVIRONMENT SOLVER=$SOLVER $access" >> "$CALLS"
case " $FAIL " in *" $1 "*) exit 2 ;; esac
[ "$1" != "$HANG" ] || sleep 600
mkdir -p dist build/reports/coverage
echo '<testsuite tests="1" failures="0" errors="0" skipped="0"/>' > build/reports/a.xml
echo '<coverage line-rate="0.9"/>' > build/reports/coverage/coverage.xml
touch dist/images.json dist/mcq-operator.cdx.json dist/cosign.pub
"""
CREDENTIALS = {
    "mcq-registry": {"kind": "usernamePassword", "username": "robot", "password": "s3cr3t-word"},
    "mcq-cosign-key": {"kind": "file", "content": "key"},
    "mcq-cosign-password": {"kind": "string", "secret": "opens-the-key"},
    "mcq-kubeconfig-dev": {"kind": "file", "content": "dev"},
    "mcq-kubeconfig-production": {"kind": "file", "content": "production"},
}
BUILDS = {"image-operator", "image-service", "image-service-torch"}
SCANS = ["sbom", "scan"]
PRODUCTION: dict[str, str | bool] = {"REGISTRY": REGISTRY, "ENVIRONMENT": "production", "SOLVER": "ours.yaml"}


@dataclass(frozen=True)
class Pipeline:
    """The Jenkinsfile of this checkout, in a repository of its own."""

    folder: Path

    def build(
        self, result: str = "SUCCESS", *, fail: str = "", text: str | None = None, **settings: Any
    ) -> Build:
        """Run a build of the Jenkinsfile, or of another `text`; the make targets in `fail` fail."""
        programs = self.folder / "bin"
        programs.mkdir()
        (programs / "make").write_text(MAKE)
        (programs / "make").chmod(0o755)
        environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "CALLS": str(self.folder / "calls"),
            "FAIL": fail,
            **settings.pop("environment", {}),
        }
        files = {"Jenkinsfile": text or JENKINSFILE.read_text()}
        pipeline = job(
            self.folder, files, environment=environment, **{"credentials": CREDENTIALS, **settings}
        )
        return run_build(pipeline, result=result)

    @property
    def calls(self) -> dict[str, str]:
        """The calls of make in their order: {target: the environment that matters}."""
        lines = (self.folder / "calls").read_text().splitlines()
        return {target: rest for target, _, rest in (line.partition(" ") for line in lines)}


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_a_build_by_webhook_delivers_to_dev_with_the_variables_of_jenkins(pipeline: Pipeline) -> None:
    url = "https://mcq.example.com"
    build = pipeline.build(environment={"DELIVERY_REGISTRY": REGISTRY, "DELIVERY_INGRESS_URL": url})

    calls = list(pipeline.calls)
    assert (calls[0], set(calls[1:4])) == ("parameters", BUILDS)
    assert calls[4:] == ["test", *SCANS, "push", "sign", "install", "monitoring", "verify"]
    assert all(f"REGISTRY={REGISTRY} ENVIRONMENT=dev SOLVER= " in rest for rest in pipeline.calls.values())
    assert pipeline.calls["install"].endswith("cluster=dev")
    assert f"at={url} key= " in pipeline.calls["verify"]
    assert build.stages["Approve"] == "SKIPPED"


def test_invalid_parameters_fail_before_anything_is_built(pipeline: Pipeline) -> None:
    pipeline.build("FAILURE", fail="parameters")
    assert list(pipeline.calls) == ["parameters"]


def test_production_is_installed_after_an_approval(pipeline: Pipeline) -> None:
    of_dev = {"DELIVERY_INGRESS_URL": "https://dev.example.com"}
    build = pipeline.build(parameters=PRODUCTION, approver="Ada", environment=of_dev)
    assert "Approved by Ada" in build.log
    assert pipeline.calls["verify"].endswith("at= key= cluster=production")


def test_production_without_an_approval_stays_as_it_is(pipeline: Pipeline) -> None:
    build = pipeline.build("ABORTED", parameters=PRODUCTION)
    assert (build.stages["Approve"], build.stages["Release"]) == ("ABORTED", "SKIPPED")
    assert list(pipeline.calls)[-1] == "sign"


def test_a_build_can_be_told_not_to_sign(pipeline: Pipeline) -> None:
    build = pipeline.build(parameters={"REGISTRY": REGISTRY, "SIGN": False})
    assert "sign" not in pipeline.calls
    assert build.stages["Sign"] == "SKIPPED"


def test_a_solver_with_api_keys_is_asked_with_the_key_of_jenkins(pipeline: Pipeline) -> None:
    key = {"mcq-api-key": {"kind": "string", "secret": "a-clients-key"}}
    build = pipeline.build(parameters={"REGISTRY": REGISTRY, "AUTH": True}, credentials=CREDENTIALS | key)
    assert "key=a-clients-key " in pipeline.calls["verify"]
    assert "key= " in pipeline.calls["install"]
    assert build.stages["Verify"] == "SKIPPED"


@pytest.mark.parametrize("fail", ["install diagnostics", "verify diagnostics", "monitoring"])
def test_a_release_that_fails_is_rolled_back_even_without_diagnostics(pipeline: Pipeline, fail: str) -> None:
    build = pipeline.build("FAILURE", fail=fail, parameters={"REGISTRY": REGISTRY})
    assert list(pipeline.calls)[-2:] == ["diagnostics", "rollback"]
    assert pipeline.calls["rollback"].endswith("cluster=dev")
    assert build.reason == "script returned exit code 2"


@pytest.mark.parametrize(
    ("stage", "target"), [("Deploy", "install"), ("Monitor", "monitoring"), ("Verify", "verify")]
)
def test_a_release_that_takes_too_long_is_rolled_back(pipeline: Pipeline, stage: str, target: str) -> None:
    limit = rf"(stage\('{stage}'\) {{\s+options {{ timeout)\(.*\)"
    text, limited = re.subn(limit, r"\1(time: 2, unit: 'SECONDS')", JENKINSFILE.read_text())
    assert limited == 1
    build = pipeline.build(
        "ABORTED", text=text, parameters={"REGISTRY": REGISTRY}, environment={"HANG": target}
    )
    assert list(pipeline.calls)[-3:] == [target, "diagnostics", "rollback"]
    assert (build.stages[stage], build.reason) == ("ABORTED", "Timeout has been exceeded")


def test_a_rollback_has_no_record_of_an_earlier_build(pipeline: Pipeline) -> None:
    record = pipeline.folder / "jenkins/workspace/test/dist/previous.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    pipeline.build("FAILURE", fail="install", parameters={"REGISTRY": REGISTRY})
    assert list(pipeline.calls)[-1] == "rollback"


def test_only_diagnostics_of_this_build_are_archived(pipeline: Pipeline) -> None:
    earlier = pipeline.folder / "jenkins/workspace/test/build/diagnostics/nodes.txt"
    earlier.parent.mkdir(parents=True)
    earlier.touch()
    build = pipeline.build(parameters={"REGISTRY": REGISTRY})
    assert not (build.directory / "archive/build/diagnostics").exists()


def test_a_failed_scan_stops_the_build_before_the_push_and_keeps_the_sboms(pipeline: Pipeline) -> None:
    build = pipeline.build("FAILURE", fail="scan", parameters={"REGISTRY": REGISTRY})
    assert list(pipeline.calls)[-2:] == SCANS
    assert (build.directory / "archive/dist/mcq-operator.cdx.json").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"branch": "PR-7", "change_request": ChangeRequest("7", "main", fork=False)},
        {"branch": "topic"},
    ],
)
def test_only_main_runs_on_the_agents_of_main(pipeline: Pipeline, settings: dict[str, Any]) -> None:
    build = pipeline.build("FAILURE", labels=("mcq",), **settings)
    assert build.reason == "There are no agents with the label 'mcq-untrusted', only with: mcq"


def test_main_runs_on_no_agent_of_other_branches(pipeline: Pipeline) -> None:
    build = pipeline.build("FAILURE", labels=("mcq-untrusted",))
    assert build.reason == "There are no agents with the label 'mcq', only with: mcq-untrusted"


def test_a_pull_request_ends_after_the_tests_without_a_credential(pipeline: Pipeline) -> None:
    change = ChangeRequest("7", "main", fork=False)
    build = pipeline.build(branch="PR-7", change_request=change, credentials={})
    assert set(pipeline.calls) == {*BUILDS, "test"}
    assert build.stages["Deliver"] == "SKIPPED"
