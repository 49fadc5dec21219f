"""Every kind that the operator uses, in one table: the source of the client, the watches and the RBAC."""

from dataclasses import dataclass

from .base import API_VERSION, EXAM_KIND, EXAMS, SOLVER_KIND, SOLVERS, Manifest
from .resource_status import ObjectRef

OWN = ("get", "list", "watch", "create", "patch", "delete")


@dataclass(frozen=True)
class Kind:
    """One kind of namespaced object.

    Attributes:
        api_version: group and version, as in a manifest.
        kind: the kind's name, as in a manifest.
        plural: the name in the API's paths.
        verbs: what the operator may do with it.
        subresources: verbs on the object's subresources, by their name.
        provider: the software that installs the kind; None for Kubernetes' own kinds.

    """

    api_version: str
    kind: str
    plural: str
    verbs: tuple[str, ...]
    subresources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    provider: str | None = None

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def version(self) -> str:
        """The version inside the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the API path of one object, or of all objects in a namespace or in the cluster."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        prefix = "/apis" if self.group else "/api"
        return f"{prefix}/{self.api_version}{scope}/{self.plural}" + (f"/{name}" if name else "")

    def named(self, name: str) -> ObjectRef:
        """Return the inventory's reference to an object of this kind."""
        return ObjectRef(api_version=self.api_version, kind=self.kind, name=name)


STATUS_AND_FINALIZERS = (("status", ("patch",)), ("finalizers", ("update",)))
"""Subresources of our kinds. blockOwnerDeletion needs finalizers if OwnerReferencesPermissionEnforcement is on."""

# OWN, because the operator creates the candidate of a gate and its exam.
SOLVER = Kind(API_VERSION, SOLVER_KIND, SOLVERS, OWN, STATUS_AND_FINALIZERS)
EXAM = Kind(API_VERSION, EXAM_KIND, EXAMS, OWN, STATUS_AND_FINALIZERS)
POLICY = Kind(API_VERSION, "MCQPolicy", "mcqpolicies", ())
"""Cluster-wide; only the API server reads it."""

RECONCILED = (SOLVER, EXAM)
"""The operator's own kinds."""

POD = Kind("v1", "Pod", "pods", ("list", "watch"))
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets", ("list",))
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps", OWN)
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts", OWN)
CLAIM = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims", OWN)
SERVICE = Kind("v1", "Service", "services", OWN)
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments", OWN)
INGRESS = Kind("networking.k8s.io/v1", "Ingress", "ingresses", OWN)
JOB = Kind("batch/v1", "Job", "jobs", OWN)
CRON_JOB = Kind("batch/v1", "CronJob", "cronjobs", OWN)
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles", OWN)
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", OWN)
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", OWN)
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", OWN)
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", OWN)
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", OWN, provider="KEDA")
HTTP_ROUTE = Kind(
    "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", OWN, provider="the Gateway API's CRDs"
)
SERVICE_MONITOR = Kind(
    "monitoring.coreos.com/v1", "ServiceMonitor", "servicemonitors", OWN, provider="prometheus-operator"
)
PROMETHEUS_RULE = Kind(
    "monitoring.coreos.com/v1", "PrometheusRule", "prometheusrules", OWN, provider="prometheus-operator"
)

EVENT = Kind("events.k8s.io/v1", "Event", "events", ("create", "list"))
"""Emitted about a resource, which does not own it; read to learn why a Pod can't start."""

LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases", ("get", "create", "update"))
"""For leader election, in the operator's own namespace; no resource owns it."""

SOLVER_CHILDREN = (
    SERVICE_ACCOUNT,
    CLAIM,
    CONFIG_MAP,
    SERVICE,
    DEPLOYMENT,
    INGRESS,
    HTTP_ROUTE,
    NETWORK_POLICY,
    DISRUPTION_BUDGET,
    AUTOSCALER,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    PROMETHEUS_RULE,
)
"""Kinds that a solver may own. The objects of a backup are not listed: EXAM_CHILDREN has their kinds."""

EXAM_CHILDREN = (SERVICE_ACCOUNT, ROLE, ROLE_BINDING, CONFIG_MAP, CRON_JOB, JOB)
"""Kinds that an exam may own. A CronJob of the exam may own the Job."""

CHILDREN = (*SOLVER_CHILDREN, *(kind for kind in EXAM_CHILDREN if kind not in SOLVER_CHILDREN))

METADATA_ONLY = frozenset({CONFIG_MAP})
"""Kinds that are watched without their content: one object may hold 1 MiB, and anyone may create many."""

WATCHED = (*RECONCILED, POD, *CHILDREN)
"""Kinds that are watched; Pods and children only with the operator's label (names.watch_selector)."""

OPTIONAL = tuple(kind for kind in CHILDREN if kind.provider)
"""Kinds that the API server may not know."""

ALL = (*RECONCILED, POD, REPLICA_SET, *CHILDREN, EVENT)

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_named(api_version: str, kind: str) -> Kind | None:
    """Return the table's row for a kind, or None if this release doesn't know the kind."""
    return _BY_NAME.get((api_version, kind))


def kind_of(manifest: Manifest) -> Kind:
    """Return the table's row for a manifest. Raises KeyError for a kind that isn't in the table."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]


def ref_of(manifest: Manifest) -> ObjectRef:
    """Return the inventory's reference to a manifest's object. Raises KeyError as `kind_of` does."""
    return kind_of(manifest).named(manifest["metadata"]["name"])
