"""The common parts of an owner's Jobs: an identity with few permissions, restricted Pods, a schedule."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.api import Manifest, Resource
from mcq_operator.api.kinds import CRON_JOB, ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Kind
from mcq_operator.api.pod_template import PodTemplate
from mcq_operator.api.rbac import AUTHORIZATION
from mcq_operator.api.scheduling import Scheduling

from .manifest import manifest, without_none
from .overrides import merged
from .placement import job_placement
from .security import POD_SECURITY

IDENTITY = (SERVICE_ACCOUNT, ROLE, ROLE_BINDING)


def rule(kind: Kind, *verbs: str, of: list[str] | None = None) -> dict[str, Any]:
    """Return an RBAC rule for the objects of a kind, or only for those named in `of`."""
    only = {} if of is None else {"resourceNames": of}
    return {"apiGroups": [kind.group], "resources": [kind.plural], **only, "verbs": [*verbs]}


def identity(
    owner: Resource, name: str, *, annotations: Mapping[str, str] | None, rules: list[dict[str, Any]]
) -> list[Manifest]:
    """Return a ServiceAccount with these permissions in the owner's namespace, in the order of creation."""
    return [
        manifest(
            SERVICE_ACCOUNT,
            owner,
            name=name,
            annotations=dict(annotations or {}),
            automountServiceAccountToken=False,
        ),
        manifest(ROLE, owner, name=name, rules=rules),
        manifest(
            ROLE_BINDING,
            owner,
            name=name,
            roleRef={"apiGroup": AUTHORIZATION, "kind": ROLE.kind, "name": name},
            subjects=[{"kind": SERVICE_ACCOUNT.kind, "name": name, "namespace": owner.namespace}],
        ),
    ]


def cron_job(
    owner: Resource,
    name: str,
    *,
    schedule: str | None,
    start_within: int,
    history: int,
    labels: dict[str, str],
    annotations: dict[str, str] | None = None,
    job: dict[str, Any],
) -> Manifest:
    """Return a CronJob in UTC, one run at a time. It skips a run that can't start within `start_within` seconds."""
    return manifest(
        CRON_JOB,
        owner,
        name=name,
        spec={
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            # Two runs at once would slow each other down.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": start_within,
            "successfulJobsHistoryLimit": history,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": labels, "annotations": annotations}, "spec": job},
        },
    )


def failure_policy(container: str, *, permanent: int) -> dict[str, Any]:
    """Return a podFailurePolicy: the exit code `permanent` fails the Job, and disruptions do not count as failures."""
    only = {"containerName": container, "operator": "In", "values": [permanent]}
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": only},
            # A drained node is not a failure of the Pod.
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def pods(
    *,
    account: str,
    labels: dict[str, str],
    pull_secrets: list[dict[str, str]] | None,
    container: dict[str, Any],
    volumes: list[dict[str, Any]],
    scheduling: Scheduling,
    overrides: PodTemplate,
) -> dict[str, Any]:
    """Return the template of a Job's Pods, which use the API server as `account`."""
    own = {
        "metadata": {"labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": account,
            "automountServiceAccountToken": True,
            "enableServiceLinks": False,
            "imagePullSecrets": pull_secrets,
            "securityContext": POD_SECURITY,
            "containers": [container],
            "volumes": volumes,
            **job_placement(scheduling, labels),
        },
    }
    template: dict[str, Any] = without_none(merged(own, overrides))
    return template
