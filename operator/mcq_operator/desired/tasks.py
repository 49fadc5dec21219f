"""What a Job for an owner has in common with others: an identity with few rights, restricted Pods, a schedule."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.models import Manifest, Resource
from mcq_operator.models.kinds import CRON_JOB, ROLE, ROLE_BINDING, SERVICE_ACCOUNT, Kind
from mcq_operator.models.pod_template import PodTemplate
from mcq_operator.models.rbac import AUTHORIZATION
from mcq_operator.models.scheduling import Scheduling

from .manifest import manifest, without_none
from .overrides import merged
from .placement import with_selector
from .security import POD_SECURITY

IDENTITY = (SERVICE_ACCOUNT, ROLE, ROLE_BINDING)


def rule(kind: Kind, *verbs: str, of: list[str] | None = None) -> dict[str, Any]:
    """What an identity may do with objects of a kind, or with those named `of`."""
    only = {} if of is None else {"resourceNames": of}
    return {"apiGroups": [kind.group], "resources": [kind.plural], **only, "verbs": [*verbs]}


def identity(
    owner: Resource, name: str, *, annotations: Mapping[str, str] | None, rules: list[dict[str, Any]]
) -> list[Manifest]:
    """A service account that may do that in the owner's namespace, in the order of creation."""
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
    job: dict[str, Any],
) -> Manifest:
    """A CronJob, one run at a time, in UTC; a run that can't be started within that many seconds is left out."""
    return manifest(
        CRON_JOB,
        owner,
        name=name,
        spec={
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            # Two at once would ask for each other's time.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": start_within,
            "successfulJobsHistoryLimit": history,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job},
        },
    )


def failures(container: str, *, hopeless: int) -> dict[str, Any]:
    """A Job's podFailurePolicy: the exit code after which no other try will help, and what is nobody's failure."""
    only = {"containerName": container, "operator": "In", "values": [hopeless]}
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": only},
            # A drained node is nothing that the Pod failed by.
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
    """The template of a Job's Pods, which talk to the API server as their account."""
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
            **with_selector(scheduling, labels),
        },
    }
    made: dict[str, Any] = without_none(merged(own, overrides))
    return made
