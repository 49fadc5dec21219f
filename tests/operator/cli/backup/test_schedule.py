"""spec.storage.backup on a real API server: its objects, their permissions, and the solver's condition."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.operator.conftest import Bench, Kubectl
from tests.operator.live import apply, condition, existing, patch, until
from tests.operator.support import run_operator, solver

from mcq_operator import desired
from mcq_operator.api.names import backup_name

BACKUP = {
    "uri": "s3://backups/mcq",
    "schedule": "0 2 * * *",
    "keep": 3,
    "credentialsSecretRef": {"name": "s3"},
}
CHILD_KINDS = ("serviceaccount", "role", "rolebinding", "cronjob")


def spec(backup: dict[str, Any] | None = BACKUP) -> dict[str, Any]:
    return {"replicas": 0, "storage": {"backup": backup} if backup else {}}


def reasons(kubectl: Kubectl) -> list[str]:
    """Return the reasons of the Events in the test's namespace."""
    return kubectl("get", "events", "-o", "jsonpath={.items[*].reason}").split()


async def test_a_scheduled_backup_has_owned_objects_that_are_pruned_with_the_field(
    kubectl: Kubectl, bench: Bench
) -> None:
    apply(kubectl, spec())
    await bench.settle()
    owner = existing(kubectl, "mcq", "demo")["metadata"]["uid"]
    for kind in CHILD_KINDS:
        references = existing(kubectl, kind, "demo-backups")["metadata"]["ownerReferences"]
        assert [each["uid"] for each in references] == [owner]
    cron_job = existing(kubectl, "cronjob", "demo-backups")["spec"]
    assert (cron_job["schedule"], cron_job["timeZone"]) == ("0 2 * * *", "Etc/UTC")
    reported = condition(kubectl, "BackedUp")
    assert (reported["status"], reported["reason"]) == ("Unknown", "NotBackedUpYet")
    assert "--from=cronjob/demo-backups" in reported["message"]
    kubectl("delete", "cronjob", "demo-backups")
    await bench.settle()
    assert kubectl.get("cronjob", "demo-backups") is not None
    assert await bench.reconcile() == []

    apply(kubectl, spec(None))
    await bench.settle()
    assert [kubectl.get(kind, "demo-backups") for kind in CHILD_KINDS] == [None] * 4
    kinds = {each["type"] for each in existing(kubectl, "mcq", "demo")["status"]["conditions"]}
    assert "BackedUp" not in kinds


async def test_backup_pods_pass_the_restricted_level_and_get_no_requests(
    kubectl: Kubectl, cluster_kubectl: Kubectl, bench: Bench
) -> None:
    """The solver's Service does not select them."""
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster_kubectl("label", "namespace", kubectl.namespace, label)
    apply(kubectl, spec())
    await bench.settle()
    kubectl("create", "job", "--from=cronjob/demo-backups", "now")
    await until(lambda: pods(kubectl))
    selector = existing(kubectl, "service", "demo")["spec"]["selector"]
    assert not selector.items() <= pods(kubectl)[0]["metadata"]["labels"].items()


async def test_the_last_backups_result_is_a_condition_and_an_event(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, spec())
    await bench.settle()
    kubectl("create", "job", "--from=cronjob/demo-backups", "first")
    await until(lambda: pods(kubectl))
    # A running Job has no result yet.
    await bench.settle()
    assert condition(kubectl, "BackedUp")["reason"] == "NotBackedUpYet"
    end_container(kubectl, code=2, message="error: s3://backups/mcq refuses these credentials.")
    await until(lambda: "failed" in existing(kubectl, "job", "first").get("status", {}))
    await until(lambda: "conditions" in existing(kubectl, "job", "first")["status"])
    await bench.settle()
    reported = condition(kubectl, "BackedUp")
    assert (reported["status"], reported["reason"]) == ("False", "BackupFailed")
    assert "Job first failed: error: s3://backups/mcq refuses these credentials." in reported["message"]
    assert "There is no good backup yet." in reported["message"]
    assert "BackupFailed" in reasons(kubectl)
    # The Job does not try again: it would fail in the same way.
    assert len(pods(kubectl)) == 1
    kubectl("delete", "job", "first")
    await until(lambda: not pods(kubectl))

    kubectl("create", "job", "--from=cronjob/demo-backups", "second")
    await until(lambda: pods(kubectl))
    end_container(kubectl, code=0, message="")
    await until(lambda: "completionTime" in existing(kubectl, "job", "second")["status"])
    await bench.settle()
    reported = condition(kubectl, "BackedUp")
    when = existing(kubectl, "job", "second")["status"]["completionTime"]
    assert (reported["status"], reported["message"]) == ("True", f"The last good backup is from {when}.")
    # The CronJob keeps the time of the last success when the Job is deleted.
    await until(lambda: existing(kubectl, "cronjob", "demo-backups")["status"].get("lastSuccessfulTime"))
    kubectl("delete", "job", "second")
    await bench.settle()
    assert condition(kubectl, "BackedUp")["status"] == "True"


async def test_a_pod_that_can_not_start_is_reported(kubectl: Kubectl, bench: Bench) -> None:
    apply(kubectl, spec())
    await bench.settle()
    kubectl("create", "job", "--from=cronjob/demo-backups", "first")
    await until(lambda: pods(kubectl))
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "s3" not found'}
    set_container_state(kubectl, {"waiting": waiting}, phase="Pending")
    await bench.settle()
    reported = condition(kubectl, "BackedUp")
    assert (reported["status"], reported["reason"]) == ("False", "CreateContainerConfigError")
    assert 'secret "s3" not found' in reported["message"]


async def test_a_foreign_cron_job_is_unchanged_and_reported(kubectl: Kubectl, bench: Bench) -> None:
    kubectl("create", "cronjob", "demo-backups", "--image=x", "--schedule=0 0 1 1 *")
    apply(kubectl, spec())
    await bench.settle()
    assert existing(kubectl, "cronjob", "demo-backups")["spec"]["schedule"] == "0 0 1 1 *"
    assert condition(kubectl, "BackedUp")["reason"] == "NotApplied"
    assert (
        "CronJob demo-backups exists and does not belong to this MCQSolver"
        in condition(kubectl, "Degraded")["message"]
    )


async def test_the_account_has_exactly_the_rights_that_a_backup_needs(
    kubectl: Kubectl, bench: Bench, tmp_path: Path
) -> None:
    """Run the CronJob's command with a token of its ServiceAccount."""
    apply(kubectl, spec())
    await bench.settle()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": kubectl("create", "token", "demo-backups").strip()}
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    template = existing(kubectl, "cronjob", "demo-backups")["spec"]["jobTemplate"]["spec"]["template"]
    arguments = template["spec"]["containers"][0]["args"]
    local_arguments = [f"--to={tmp_path}/store" if each.startswith("--to=") else each for each in arguments]
    done = run_operator(*local_arguments, KUBECONFIG=str(tmp_path / "kubeconfig"))
    assert (done.returncode, "1 MCQSolvers" in done.stdout) == (0, True), done.stderr
    account = f"--as=system:serviceaccount:{kubectl.namespace}:demo-backups"
    for verb, resource in (("get", "secrets"), ("list", "configmaps"), ("patch", "mcqsolvers")):
        assert kubectl.run("auth", "can-i", verb, resource, account).stdout.strip() == "no"


@pytest.mark.parametrize("name", ["a" * 50, "a" * 49 + "b"])
def test_solvers_with_the_longest_names_have_different_cron_jobs(name: str) -> None:
    """Kubernetes allows 52 characters."""
    expected = backup_name(solver(name=name))
    assert len(expected) <= 52
    assert expected != backup_name(solver(name="a" * 48))
    [*_, cron_job] = desired.backup.objects(
        solver({"storage": {"backup": BACKUP}}, name=name), operator_image="x"
    )
    assert cron_job["metadata"]["name"] == expected


def pods(kubectl: Kubectl) -> list[dict[str, Any]]:
    listing = kubectl("get", "pods", "-l", "app.kubernetes.io/name=mcq-backup", "-o", "json")
    return list(json.loads(listing)["items"])


def end_container(kubectl: Kubectl, *, code: int, message: str) -> None:
    """End the Pod's container, as the kubelet reports it."""
    when = "2026-01-01T00:00:00Z"
    terminated = {"exitCode": code, "message": message, "startedAt": when, "finishedAt": when}
    set_container_state(kubectl, {"terminated": terminated}, phase="Failed" if code else "Succeeded")


def set_container_state(kubectl: Kubectl, state: dict[str, Any], *, phase: str) -> None:
    reported = {
        "name": "backup",
        "state": state,
        "image": "x",
        "imageID": "x",
        "ready": False,
        "restartCount": 0,
    }
    [pod] = pods(kubectl)
    status = {"status": {"phase": phase, "containerStatuses": [reported]}}
    patch(kubectl, "pod", pod["metadata"]["name"], status, subresource="status")
