"""The operator's admission policies. The API server evaluates them; there is no webhook."""

from . import rbac
from .base import API_VERSION, EXAMS, GROUP, SOLVERS, Manifest
from .kinds import POLICY
from .names import PROMOTE_ANNOTATION
from .policy_rules import NAME, RULES, Rule, refusal

ADMISSION = "admissionregistration.k8s.io/v1"
PROMOTE = f"promote.{GROUP}"
TENANTS = f"tenants.{GROUP}"
OPERATOR = f"system:serviceaccount:{rbac.NAMESPACE}:{rbac.NAME}"


def promote() -> list[Manifest]:
    """Return the policy that makes an approval name its change and its author.

    The author is the user that the API server authenticated.
    """
    annotation = f"metadata.?annotations[?'{PROMOTE_ANNOTATION}'].orValue('')"
    return [
        _policy(
            PROMOTE,
            resources=[SOLVERS],
            variables={
                "said": f"object.{annotation}",
                "before": f"request.operation == 'UPDATE' ? oldObject.{annotation} : ''",
            },
            validations=[
                {
                    "expression": "variables.said in ['', variables.before]"
                    " || (variables.said.matches('^[0-9a-f]{16} ')"
                    " && variables.said.substring(17).startsWith(request.userInfo.username + ': '))",
                    "messageExpression": f"'the annotation {PROMOTE_ANNOTATION} must begin with the digest of the"
                    " change (status.gate.change) and who approves it, as the API server knows you: \"DIGEST '"
                    " + request.userInfo.username + ': ...\"'",
                    "reason": "Invalid",
                }
            ],
        ),
        _binding(PROMOTE),
    ]


def tenants() -> list[Manifest]:
    """Return the policy that limits solvers and exams to the lists of each MCQPolicy; without one, it allows all."""
    names = "params.?spec.?{}.orValue([]).exists(p, {})"
    own = NAME.cel(v="request.namespace")
    operator = NAME.cel(v="request.userInfo.username")
    policy = _policy(
        TENANTS,
        resources=[SOLVERS, EXAMS],
        variables={rule.field: _refused(rule) for rule in RULES},
        validations=[
            {
                "expression": f"size(variables.{rule.field}) == 0",
                "messageExpression": _message(rule),
                "reason": "Forbidden",
            }
            for rule in RULES
        ],
    )
    policy["spec"] |= {
        "paramKind": {"apiVersion": API_VERSION, "kind": POLICY.kind},
        "matchConditions": [
            {"name": "namespace", "expression": names.format("namespaces", own)},
            {"name": "not-the-operator", "expression": f'request.userInfo.username != "{OPERATOR}"'},
            {"name": "not-another-operator", "expression": f"!{names.format('operators', operator)}"},
            # Objects older than the policy can still be labelled, annotated and deleted.
            {
                "name": "spec-changed",
                "expression": "request.operation == 'CREATE' || object.?spec != oldObject.?spec",
            },
        ],
    }
    binding = _binding(TENANTS)
    binding["spec"]["paramRef"] = {"selector": {}, "parameterNotFoundAction": "Allow"}
    return [policy, binding]


def _refused(rule: Rule) -> str:
    """Return the CEL expression of the values that the policy's list lacks."""
    allowed = f"params.?spec.?{rule.field}.orValue([]).exists(p, {rule.matcher.cel()})"
    if rule.field == "hosts":
        own = NAME.cel(v="request.namespace", p="n")
        allowed = (
            f"params.?spec.?hosts.orValue([]).exists(h, h.namespaces.exists(n, {own})"
            f" && h.hosts.exists(p, {rule.matcher.cel()}))"
        )
    return f"({rule.values.cel}).filter(v, !{allowed})"


def _message(rule: Rule) -> str:
    """Return the CEL expression of the refusal."""
    _, between, _ = refusal(rule.about, "\0", rule.field, "\0").split("\0")
    return f"variables.{rule.field}.join(', ') + '{between}' + params.metadata.name"


def _policy(
    name: str, *, resources: list[str], variables: dict[str, str], validations: list[Manifest]
) -> Manifest:
    rule = {
        "apiGroups": [GROUP],
        "apiVersions": ["*"],
        "operations": ["CREATE", "UPDATE"],
        "resources": resources,
    }
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "variables": [{"name": key, "expression": value} for key, value in variables.items()],
            "validations": validations,
        },
    }


def _binding(name: str) -> Manifest:
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {"policyName": name, "validationActions": ["Deny"]},
    }
