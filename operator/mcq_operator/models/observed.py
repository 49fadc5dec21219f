"""What a reconcile saw, in the terms that status is computed from."""

from dataclasses import dataclass, field
from typing import Any, Literal

from .base import Manifest
from .solver import MCQSolver
from .status import ObjectRef, ReportRef


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The numbers of a Deployment that tell how far it is."""

    uid: str
    generation: int
    observed_generation: int
    wanted: int
    replicas: int
    updated: int
    ready: int
    available: int
    conditions: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Manifest) -> "Deployment":
        """Read a Deployment as the API server returns it."""
        status = manifest.get("status", {})
        return cls(
            uid=manifest["metadata"]["uid"],
            generation=manifest["metadata"].get("generation", 0),
            observed_generation=status.get("observedGeneration", 0),
            wanted=manifest["spec"].get("replicas", 1),
            replicas=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            available=status.get("availableReplicas", 0),
            conditions={condition["type"]: condition for condition in status.get("conditions", [])},
        )

    @property
    def current(self) -> bool:
        """Whether its status is about its newest spec."""
        return self.observed_generation >= self.generation

    @property
    def complete(self) -> bool:
        """Whether exactly the wanted replicas exist, all of the newest revision and available."""
        return self.current and self.replicas == self.updated == self.available == self.wanted

    def settled(self, solver: MCQSolver) -> bool:
        """Whether every replica is of the newest revision, and as many as the spec asks for are available.

        An autoscaler changes their number at any time, so with one it is enough that its minimum is available.
        """
        scaling = solver.spec.autoscaling
        if not scaling.enabled:
            return self.complete and self.wanted > 0
        least = min(scaling.min_replicas, self.wanted)
        return self.current and self.replicas == self.updated and self.available >= least > 0


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Something that could not be done with an object.

    Attributes:
        ref: the object.
        message: why, in the server's words.
        attempt: what could not be done.
        temporary: whether another try alone may help.

    """

    ref: ObjectRef
    message: str
    attempt: Literal["apply", "delete", "read"] = "apply"
    temporary: bool = False


@dataclass(frozen=True, kw_only=True)
class Rival:
    """An older Ingress or HTTPRoute that takes requests which the solver's would take.

    Attributes:
        ref: kind, namespace and name, for people.
        route: its host and path.
        elsewhere: whether it is in another namespace, so that the solver's was not applied.

    """

    ref: str
    route: str
    elsewhere: bool


@dataclass(frozen=True, kw_only=True)
class Warned:
    """What an Event warns of: a node that can't start a Pod, or a controller that can't create one for a Job.

    Attributes:
        kind: Pod or Job.
        name: the object's name.
        reason: in a word.
        message: the Event's note.

    """

    kind: str
    name: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The outcome of the canary question."""

    outcome: Literal["answered", "failed", "pending"]
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class KeyCount:
    """How many API keys a replica accepts, and how many entries of its Secret are no keys."""

    accepted: int
    invalid: int


@dataclass(frozen=True, kw_only=True)
class ObservedBackups:
    """What backs the namespace up: the CronJob, its Jobs and their Pods."""

    cron_job: Manifest
    jobs: list[Manifest]
    pods: list[Manifest]
    warning: Warned | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """One look at the cluster.

    Attributes:
        deployment: the solver's own Deployment, if it exists.
        pods: the replicas' Pods as the API server returns them.
        conflicts: wanted objects whose name someone else's object has.
        held: wanted objects that are left as they are because they depend on one of those.
        refused: objects that could not be applied, deleted or read.
        absent: wanted objects of kinds that the API server does not know.
        scaler: the HorizontalPodAutoscaler or ScaledObject, if there is one.
        replica_sets: the Deployment's ReplicaSets, where a roll-out may have to be undone.
        ingress: the solver's Ingress, if there is one.
        route: the same of its HTTPRoute.
        monitored: whether there is a ServiceMonitor or a PrometheusRule.
        rivals: older Ingresses and HTTPRoutes that take requests of the solver's.
        warning: what was warned of last about a replica that is not being created.
        starting: what a replica that is not ready yet says that it is doing.
        backups: what backs the namespace up, if it could be made.
        keys: the API keys of a replica, if it needs any and has said so.

    """

    deployment: Deployment | None = None
    pods: list[Manifest] = field(default_factory=list)
    conflicts: list[ObjectRef] = field(default_factory=list)
    held: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    absent: list[ObjectRef] = field(default_factory=list)
    scaler: Manifest | None = None
    replica_sets: list[Manifest] = field(default_factory=list)
    ingress: Manifest | None = None
    route: Manifest | None = None
    monitored: bool = False
    rivals: list[Rival] = field(default_factory=list)
    warning: Warned | None = None
    starting: str = ""
    backups: ObservedBackups | None = None
    keys: KeyCount | None = None


@dataclass(frozen=True, kw_only=True)
class ObservedExam:
    """One look at an exam.

    Attributes:
        solver: who sits it, if there is such a solver.
        job: the Job that asks the present replicas, or the last one that was scheduled.
        jobs: every Job that the exam, or its CronJob, has made.
        results: the ConfigMap that its Pods write to.
        pods: its Pods.
        baseline: the report of the exam that it is compared with, if there is one.
        restored: the sitting of the present replicas that a restore brought back, for which there is no Job.
        conflicts, held, refused, warning: as of a solver.

    """

    solver: MCQSolver | None = None
    job: Manifest | None = None
    jobs: list[Manifest] = field(default_factory=list)
    results: Manifest | None = None
    baseline: ReportRef | None = None
    restored: str | None = None
    pods: list[Manifest] = field(default_factory=list)
    conflicts: list[ObjectRef] = field(default_factory=list)
    held: list[ObjectRef] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    warning: Warned | None = None


def is_ready(pod: Manifest) -> bool:
    """Whether the Pod's readiness probe passes."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)
