"""The operator's permissions, made from the table of kinds: what it touches, and nothing else.

No Secret is among them.
"""

from .base import Manifest
from .kinds import ALL, LEASE, Kind

NAME = "mcq-operator"
NAMESPACE = "mcq-operator-system"


def kind_rules(kind: Kind) -> list[Manifest]:
    """The policy rules for one kind and its subresources."""
    grants = [(kind.plural, kind.verbs)]
    grants += [(f"{kind.plural}/{name}", verbs) for name, verbs in kind.subresources]
    return [
        {"apiGroups": [kind.group], "resources": [resource], "verbs": list(verbs)}
        for resource, verbs in grants
    ]


def manifests() -> list[Manifest]:
    """ServiceAccount of the operator, its ClusterRole, its Role for the election, and their bindings."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": NAME},
            "rules": [entry for kind in ALL for entry in kind_rules(kind)],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": NAME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "rules": kind_rules(LEASE),
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
        },
    ]
