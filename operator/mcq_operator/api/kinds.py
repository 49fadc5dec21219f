"""Every kind that the operator uses, in one table: the source of the client, the watches and the RBAC."""

from dataclasses import dataclass

from .base import API_VERSION, EXAM_KIND, EXAMS, SOLVER_KIND, SOLVERS, Manifest
from .resource_status import ObjectRef

OWN = ("get", "list", "watch", "create", "patch", "delete")
READ = ("get", "list", "watch")


@dataclass(frozen=True, kw_only=True)
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


SOLVER = Kind(
    api_version=API_VERSION,
    kind=SOLVER_KIND,
    plural=SOLVERS,
    # The operator creates the candidate of a gate.
    verbs=OWN,
    # finalizers: blockOwnerDeletion needs it if OwnerReferencesPermissionEnforcement is on.
    subresources=(("status", ("patch",)), ("finalizers", ("update",))),
)
EXAM = Kind(
    api_version=API_VERSION,
    kind=EXAM_KIND,
    plural=EXAMS,
    verbs=OWN,
    subresources=(("status", ("patch",)), ("finalizers", ("update",))),
)
POLICY = Kind(api_version=API_VERSION, kind="MCQPolicy", plural="mcqpolicies", verbs=())
"""Cluster-wide; only the API server reads it."""

RECONCILED = (SOLVER, EXAM)
"""The operator's own kinds."""

POD = Kind(api_version="v1", kind="Pod", plural="pods", verbs=READ)
REPLICA_SET = Kind(api_version="apps/v1", kind="ReplicaSet", plural="replicasets", verbs=("get", "list"))
CONFIG_MAP = Kind(api_version="v1", kind="ConfigMap", plural="configmaps", verbs=OWN)
SERVICE_ACCOUNT = Kind(api_version="v1", kind="ServiceAccount", plural="serviceaccounts", verbs=OWN)
CLAIM = Kind(api_version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", verbs=OWN)
SERVICE = Kind(api_version="v1", kind="Service", plural="services", verbs=OWN)
DEPLOYMENT = Kind(api_version="apps/v1", kind="Deployment", plural="deployments", verbs=OWN)
INGRESS = Kind(api_version="networking.k8s.io/v1", kind="Ingress", plural="ingresses", verbs=OWN)
JOB = Kind(api_version="batch/v1", kind="Job", plural="jobs", verbs=OWN)
CRON_JOB = Kind(api_version="batch/v1", kind="CronJob", plural="cronjobs", verbs=OWN)
ROLE = Kind(api_version="rbac.authorization.k8s.io/v1", kind="Role", plural="roles", verbs=OWN)
ROLE_BINDING = Kind(
    api_version="rbac.authorization.k8s.io/v1", kind="RoleBinding", plural="rolebindings", verbs=OWN
)
DISRUPTION_BUDGET = Kind(
    api_version="policy/v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets", verbs=OWN
)
AUTOSCALER = Kind(
    api_version="autoscaling/v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    verbs=OWN,
)
NETWORK_POLICY = Kind(
    api_version="networking.k8s.io/v1", kind="NetworkPolicy", plural="networkpolicies", verbs=OWN
)
SCALED_OBJECT = Kind(
    api_version="keda.sh/v1alpha1", kind="ScaledObject", plural="scaledobjects", verbs=OWN, provider="KEDA"
)
HTTP_ROUTE = Kind(
    api_version="gateway.networking.k8s.io/v1",
    kind="HTTPRoute",
    plural="httproutes",
    verbs=OWN,
    provider="the Gateway API's CRDs",
)
SERVICE_MONITOR = Kind(
    api_version="monitoring.coreos.com/v1",
    kind="ServiceMonitor",
    plural="servicemonitors",
    verbs=OWN,
    provider="prometheus-operator",
)
PROMETHEUS_RULE = Kind(
    api_version="monitoring.coreos.com/v1",
    kind="PrometheusRule",
    plural="prometheusrules",
    verbs=OWN,
    provider="prometheus-operator",
)

EVENT = Kind(api_version="events.k8s.io/v1", kind="Event", plural="events", verbs=("create", "list"))
"""Emitted about a resource, which does not own it; read to learn why a Pod can't start."""

LEASE = Kind(
    api_version="coordination.k8s.io/v1", kind="Lease", plural="leases", verbs=("get", "create", "update")
)
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
