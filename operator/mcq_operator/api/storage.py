"""The volumes that a solver's replicas share, and the backups of its namespace."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Model, ObjectName, Quantity, Schedule, rule, rules, text
from .pod_template import PodTemplate
from .replica import Resources, SecretName
from .scheduling import Scheduling


class Cache(Model):
    """Where replicas keep the prepared model.

    The solver owns a claim that the operator creates; both are deleted together. To keep the claim, name an existing
    one in claimName.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.claimName) || self.type == 'PVC'",
                "claimName is only for type PVC: remove it or set storage.cache.type to PVC",
                path=".claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || (self.accessMode == oldSelf.accessMode && has(self.storageClassName) =="
                " has(oldSelf.storageClassName) && (!has(self.storageClassName)"
                " || self.storageClassName == oldSelf.storageClassName))",
                "storageClassName and accessMode of an existing claim can't change:"
                " switch type to EmptyDir first, which deletes it, or name another claim in claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || !isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size))"
                " || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
                "a claim can't shrink: keep storage.cache.size or make it larger",
                path=".size",
            ),
        )
    )

    type: Literal["PVC", "EmptyDir"] = "EmptyDir"
    """EmptyDir: each replica fetches the model to its node's disk, on any cluster. PVC: one volume for all replicas,
    kept over restarts; see accessMode."""
    size: Quantity = "16Gi"
    """The volume's size. It must hold the source weights and one converted copy."""
    storage_class_name: ObjectName | None = None
    """The StorageClass of the claim that the operator creates; left out, the cluster's default."""
    claim_name: ObjectName | None = None
    """An existing claim to use; left out, the operator creates one."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """How replicas mount the claim. With ReadWriteOnce all replicas run on one node, and a drain takes them all at
    once; ReadWriteMany needs a shared file system."""


class Backup(Model):
    """Scheduled backups of the MCQSolvers, MCQExams and exam reports in the solver's namespace."""

    uri: Annotated[
        str,
        text(
            "self.matches('^s3://[a-z0-9][-.a-z0-9]*[a-z0-9](/[-._A-Za-z0-9]+)*/?$')"
            " && !self.matches('/[.]+(/|$)')",
            "uri must be s3://<bucket> or s3://<bucket>/<prefix> of letters, digits, '-', '_' and '.'",
            longest=512,
        ),
    ]
    """The bucket, and a prefix inside it; a namespace's backups are in a directory with its name."""
    schedule: Schedule = "@daily"
    """When to back up, as a cron expression in UTC."""
    keep: int = Field(14, ge=1, le=1000)
    """How many backups to keep. Older ones are deleted once a new one was read back and verified."""
    credentials_secret_ref: SecretName | None = None
    """A Secret with AWS_* variables as its keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a
    server other than Amazon's, AWS_ENDPOINT_URL. Left out, the Pod's workload identity is used."""
    resources: Resources = Resources()
    """CPU and memory of the backup's Pod. Left out: requests of 50m and 128Mi, and a limit of 512Mi."""
    scheduling: Scheduling = Scheduling()
    """Where the backup's Pod may run."""
    pod_template: PodTemplate = PodTemplate()
    """Additions to the backup's Pod."""


class Storage(Model):
    """The solver's volumes, and the backups of its namespace."""

    cache: Cache = Cache()
    """The model cache."""
    backup: Backup | None = None
    """Scheduled backups of the namespace; one solver's backups cover all of it."""
