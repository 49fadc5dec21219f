"""Every kind the operator touches, in one table: its client, its watches and its RBAC all come from here."""

from dataclasses import dataclass

from .base import API_VERSION, SOLVER_KIND, SOLVERS, Manifest

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

    """

    api_version: str
    kind: str
    plural: str
    verbs: tuple[str, ...]
    subresources: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def version(self) -> str:
        """The version inside the group."""
        return self.api_version.rpartition("/")[2]


SOLVER = Kind(
    api_version=API_VERSION,
    kind=SOLVER_KIND,
    plural=SOLVERS,
    verbs=READ,
    # finalizers: where OwnerReferencesPermissionEnforcement is on, blockOwnerDeletion asks for it.
    subresources=(("status", ("patch",)), ("finalizers", ("update",))),
)
POD = Kind(api_version="v1", kind="Pod", plural="pods", verbs=READ)
SERVICE_ACCOUNT = Kind(api_version="v1", kind="ServiceAccount", plural="serviceaccounts", verbs=OWN)
CONFIG_MAP = Kind(api_version="v1", kind="ConfigMap", plural="configmaps", verbs=OWN)
CLAIM = Kind(api_version="v1", kind="PersistentVolumeClaim", plural="persistentvolumeclaims", verbs=OWN)
SERVICE = Kind(api_version="v1", kind="Service", plural="services", verbs=OWN)
DEPLOYMENT = Kind(api_version="apps/v1", kind="Deployment", plural="deployments", verbs=OWN)
INGRESS = Kind(api_version="networking.k8s.io/v1", kind="Ingress", plural="ingresses", verbs=OWN)
DISRUPTION_BUDGET = Kind(
    api_version="policy/v1", kind="PodDisruptionBudget", plural="poddisruptionbudgets", verbs=OWN
)

LEASE = Kind(
    api_version="coordination.k8s.io/v1", kind="Lease", plural="leases", verbs=("get", "create", "update")
)
"""In the operator's own namespace, for electing a leader; no solver has one."""

CHILDREN = (SERVICE_ACCOUNT, CONFIG_MAP, CLAIM, SERVICE, DEPLOYMENT, INGRESS, DISRUPTION_BUDGET)
"""What a solver may own."""

ALL = (SOLVER, POD, *CHILDREN)

_BY_NAME = {(kind.api_version, kind.kind): kind for kind in ALL}


def kind_named(api_version: str, kind: str) -> Kind | None:
    """The table's row for a kind, or None for one that this release doesn't know."""
    return _BY_NAME.get((api_version, kind))


def kind_of(manifest: Manifest) -> Kind:
    """The table's row for a manifest. Raises KeyError for a kind that isn't in the table."""
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]
