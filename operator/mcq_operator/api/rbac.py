"""The permissions of the operator, generated from the table of kinds, and those of users.

The operator has no permission on Secrets. But it creates Pods, and a Pod may mount any Secret of its namespace. So a
user with the operator's account can read the Secrets of the namespaces that it serves. An operator of named namespaces
has no permission outside of them, except on its own Lease.
"""

from collections.abc import Iterable

from .base import Manifest
from .kinds import ALL, EXAM, LEASE, SOLVER, Kind

NAME = "mcq-operator"
NAMESPACE = "mcq-operator-system"
AUTHORIZATION = "rbac.authorization.k8s.io"


def kind_rules(kind: Kind) -> list[Manifest]:
    """Return the policy rules for one kind and its subresources."""
    grants = [(kind.plural, kind.verbs)]
    grants += [(f"{kind.plural}/{name}", verbs) for name, verbs in kind.subresources]
    return [
        {"apiGroups": [kind.group], "resources": [resource], "verbs": list(verbs)}
        for resource, verbs in grants
    ]


def manifests(*, namespaces: Iterable[str] = (), home: str = NAMESPACE) -> list[Manifest]:
    """Return the ServiceAccount, roles and bindings of an operator in namespace `home`.

    A Role in each of `namespaces` lets it serve them. Without `namespaces`, a ClusterRole lets it serve all. Its Role
    in `home` is for leader election.
    """
    rules = [entry for kind in ALL for entry in kind_rules(kind)]
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": home}
    scopes: list[str | None] = [*namespaces] or [None]
    # Two operators may serve one namespace, each with its own role.
    served_by = NAME if home == NAMESPACE else f"{NAME}-of-{home}"
    roles = [
        *(_role(served_by, namespace, rules) for namespace in scopes),
        # The name differs because an operator may serve the namespace that it runs in.
        _role(f"{NAME}-leader", home, kind_rules(LEASE)),
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": home}},
        *(manifest for role in roles for manifest in (role, _binding(role, account))),
    ]


def user_roles() -> list[Manifest]:
    """Return the ClusterRoles that add solvers and exams to Kubernetes' own view, edit and admin.

    Users with edit may already create Pods and read Secrets, so a solver gives them no further access.
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
