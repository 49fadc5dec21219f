"""The operator's permissions, made from the table of kinds: what it touches, and nothing else; and those of users.

None is for Secrets. But the operator creates Pods, and a Pod may mount any Secret of its namespace: who has the
operator's account has the Secrets of the namespaces that it serves. An operator of named namespaces has no right
outside of them, but for its own Lease.
"""

from collections.abc import Iterable

from .base import Manifest
from .kinds import ALL, EXAM, LEASE, SOLVER, Kind

NAME = "mcq-operator"
NAMESPACE = "mcq-operator-system"
AUTHORIZATION = "rbac.authorization.k8s.io"


def kind_rules(kind: Kind) -> list[Manifest]:
    """The policy rules for one kind and its subresources."""
    grants = [(kind.plural, kind.verbs)]
    grants += [(f"{kind.plural}/{name}", verbs) for name, verbs in kind.subresources]
    return [
        {"apiGroups": [kind.group], "resources": [resource], "verbs": list(verbs)}
        for resource, verbs in grants
    ]


def manifests(*, namespaces: Iterable[str] = (), home: str = NAMESPACE) -> list[Manifest]:
    """ServiceAccount, roles and bindings of an operator in namespace `home`.

    It may serve `namespaces`, by a Role in each, or all where none is named, by a ClusterRole; what else is in those
    namespaces is none of its business. Its Role in `home` is for the election.
    """
    rules = [entry for kind in ALL for entry in kind_rules(kind)]
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": home}
    scopes: list[str | None] = [*namespaces] or [None]
    # Two operators may serve one namespace, each by a role of its own.
    served_by = NAME if home == NAMESPACE else f"{NAME}-of-{home}"
    roles = [
        *(_role(served_by, namespace, rules) for namespace in scopes),
        # Of a name of its own: an operator may serve the namespace that it runs in.
        _role(f"{NAME}-leader", home, kind_rules(LEASE)),
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": home}},
        *(manifest for role in roles for manifest in (role, _binding(role, account))),
    ]


def user_roles() -> list[Manifest]:
    """ClusterRoles that add solvers and exams to Kubernetes' own view, edit and admin.

    Who has edit may create Pods and read Secrets already, so that a solver gives them no more.
    """
    read = ["get", "list", "watch"]
    write = ["create", "update", "patch", "delete", "deletecollection"]
    scale = {
        "apiGroups": [SOLVER.group],
        "resources": [f"{SOLVER.plural}/scale"],
        "verbs": ["get", "update", "patch"],
    }
    both = [SOLVER.plural, EXAM.plural]
    status = [f"{plural}/status" for plural in both]
    reading = [{"apiGroups": [SOLVER.group], "resources": [*both, *status], "verbs": read}]
    writing = [{"apiGroups": [SOLVER.group], "resources": both, "verbs": write}, scale]
    return [
        _user_role("view", reading),
        _user_role("edit", writing),
        _user_role("admin", [*reading, *writing]),
    ]


def _user_role(name: str, rules: list[Manifest]) -> Manifest:
    labels = {f"{AUTHORIZATION}/aggregate-to-{name}": "true"}
    return {
        "apiVersion": f"{AUTHORIZATION}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": f"{NAME}-{name}", "labels": labels},
        "rules": rules,
    }


def _role(name: str, namespace: str | None, rules: list[Manifest]) -> Manifest:
    return {
        "apiVersion": f"{AUTHORIZATION}/v1",
        "kind": "Role" if namespace else "ClusterRole",
        "metadata": {"name": name, "namespace": namespace} if namespace else {"name": name},
        "rules": rules,
    }


def _binding(role: Manifest, account: Manifest) -> Manifest:
    return {
        "apiVersion": f"{AUTHORIZATION}/v1",
        "kind": f"{role['kind']}Binding",
        "metadata": role["metadata"],
        "roleRef": {"apiGroup": AUTHORIZATION, "kind": role["kind"], "name": role["metadata"]["name"]},
        "subjects": [account],
    }
