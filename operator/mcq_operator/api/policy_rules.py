"""The rules of MCQPolicy, in one table. The API server evaluates them as CEL, `mcq_operator check` as Python.

Each row names values of a resource, and a matcher that compares a value with an entry of the policy's list.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .base import Manifest
from .policy import MCQPolicy, PolicySpec

PVC = "pvc://"


@dataclass(frozen=True)
class Values:
    """Values of a resource: a CEL expression that reads them from `object`, and a function that reads its manifest."""

    cel: str
    of: Callable[[Manifest], list[str]]

    def __add__(self, other: "Values") -> "Values":
        """Return the values of both."""
        return Values(f"{self.cel} + {other.cel}", lambda item: [*self.of(item), *other.of(item)])


@dataclass(frozen=True)
class Matcher:
    """Whether an entry `p` of the policy allows the value `v`.

    Attributes:
        template: a CEL expression with the placeholders `{v}` and `{p}`.
        allows: the same in Python.

    """

    template: str
    allows: Callable[[str, str], bool]

    def cel(self, *, v: str = "v", p: str = "p") -> str:
        """Return the CEL expression for the variables `v` and `p`."""
        return self.template.format(v=v, p=p)


@dataclass(frozen=True)
class Rule:
    """The limit that one field of the policy sets.

    Attributes:
        field: the policy's field.
        about: the resource's fields, for the message.
        values: the values of those fields.
        matcher: compares a value with an entry.

    """

    field: str
    about: str
    values: Values
    matcher: Matcher


def at(path: str) -> Values:
    """Return the values at a path of the spec: `a.b`, `a[].b` for each item of a list, `a{}` for the keys of a map."""
    if path.endswith("{}"):
        return Values(
            f"{_select(path[:-2])}.orValue({{}}).map(k, k)", lambda item: [*(_get(item, path[:-2]) or {})]
        )
    head, is_list, field = path.partition("[].")
    if is_list:
        return Values(
            f"{_select(head)}.orValue([]).map(i, i.?{field}.orValue(''))",
            lambda item: [each.get(field, "") for each in _get(item, head) or []],
        )
    return Values(
        f"({_select(path)}.hasValue() ? [{_select(path)}.value()] : [])",
        lambda item: [] if (value := _get(item, path)) is None else [value],
    )


def given_in(path: str) -> Values:
    """Return the names of the non-empty fields in the object at a path of the spec."""
    fields = f"{_select(path)}.orValue({{}})"
    return Values(
        f"{fields}.map(k, size({fields}[k]) > 0, k)",
        lambda item: [name for name, value in (_get(item, path) or {}).items() if value],
    )


def only(values: Values, cel: str, test: Callable[[str], bool]) -> Values:
    """Return the values that pass a test; `cel` is the same test of `v`."""
    return Values(f"({values.cel}).filter(v, {cel})", lambda item: list(filter(test, values.of(item))))


def claims_of(values: Values) -> Values:
    """Return the claims in pvc:// addresses."""
    named = only(values, f"v.startsWith('{PVC}')", lambda value: value.startswith(PVC))
    return Values(
        f"{named.cel}.map(v, v.split('/')[2])", lambda item: [value.split("/")[2] for value in named.of(item)]
    )


def without_claims(values: Values) -> Values:
    """Return the addresses that are not pvc://."""
    return only(values, f"!v.startsWith('{PVC}')", lambda value: not value.startswith(PVC))


def _select(path: str) -> str:
    return "object.?spec." + ".".join(f"?{step}" for step in path.split("."))


def _get(item: Manifest, path: str) -> Any:
    value: Any = item.get("spec", {})
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


STARTS_WITH = "{p}.endsWith('*') && {v}.startsWith({p}.substring(0, size({p}) - 1))"
STEPS = re.compile(r"/[.][.]?(/|\Z)|%")
"""A step up or an encoded character: with either, an address can leave the prefix that the pattern allows."""


def _starts_with(value: str, pattern: str) -> bool:
    return pattern.endswith("*") and value.startswith(pattern[:-1])


def _below(host: str, pattern: str) -> bool:
    return pattern.startswith("*.") and host.endswith(pattern[1:])


def _same_origin(value: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    scheme, _, host = value.lower().split("/")[:3]
    allowed, _, hosts = pattern.split("/")
    return scheme == allowed and (host == hosts or _below(host, hosts))


NAME = Matcher(f"{{p}} == {{v}} || ({STARTS_WITH})", lambda v, p: p == v or _starts_with(v, p))
"""A name, or the beginning of one and `*`."""

URI = Matcher(
    f"{{p}} == '*' || {{p}} == {{v}} || ({STARTS_WITH} && !{{v}}.matches('/[.][.]?(/|$)|%'))",
    lambda v, p: p in ("*", v) or (_starts_with(v, p) and not STEPS.search(v)),
)
"""A URI, or the beginning of one and `*`."""

HOST = Matcher(
    "{p} == '*' || {p} == {v} || ({p}.startsWith('*.') && {v}.endsWith({p}.substring(1)))",
    lambda v, p: p in ("*", v) or _below(v, p),
)
"""A host, or `*.` and the end of a host."""

ORIGIN = Matcher(
    "{p} == '*' || ({v}.lowerAscii().split('/')[0] == {p}.split('/')[0]"
    " && ({v}.lowerAscii().split('/')[2] == {p}.split('/')[2] || ({p}.split('/')[2].startsWith('*.')"
    " && {v}.lowerAscii().split('/')[2].endsWith({p}.split('/')[2].substring(1)))))",
    _same_origin,
)
"""A URL's scheme, host and port; `*.` stands for the beginning of a host."""

SECRETS = (
    "model.credentialsSecretRef.name",
    "engine.openai.apiKeySecretRef.name",
    "answering.escalateTo.apiKeySecretRef.name",
    "imagePullSecrets[].name",
    "auth.apiKeysSecretRef.name",
    "ingress.tlsSecretName",
    "storage.backup.credentialsSecretRef.name",
    "questions.credentialsSecretRef.name",
    "apiKeySecretRef.name",
)
MODEL = Values(
    # With another server's model the address keeps its default, but the solver does not use it.
    f"({_select('engine.type')}.orValue('') == 'OpenAI' ? [] : {at('model.uri').cel})",
    lambda item: [] if _get(item, "engine.type") == "OpenAI" else at("model.uri").of(item),
)
ANY_HOSTNAME = Values(
    f"({_select('gateway.enabled')}.orValue(false) && size({_select('gateway.hostnames')}.orValue([])) == 0"
    " ? ['*'] : [])",
    lambda item: ["*"] if _get(item, "gateway.enabled") and not _get(item, "gateway.hostnames") else [],
)
HOSTNAMES = Values(
    f"{_select('gateway.hostnames')}.orValue([])", lambda item: [*(_get(item, "gateway.hostnames") or [])]
)


def _all(*paths: str) -> Values:
    first, *others = map(at, paths)
    for each in others:
        first += each
    return first


def _rule(field: str, matcher: Matcher, *paths: str) -> Rule:
    return Rule(
        field, ", ".join(path.removesuffix("{}").replace("[]", "") for path in paths), _all(*paths), matcher
    )


RULES = (
    _rule("images", NAME, "image"),
    _rule("endpoints", ORIGIN, "engine.openai.endpoint", "tracing.endpoint", "autoscaling.prometheusAddress"),
    Rule("models", "model.uri", without_claims(MODEL), URI),
    Rule("questions", "questions.uri", without_claims(at("questions.uri")), URI),
    _rule("backups", URI, "storage.backup.uri"),
    Rule(
        "claims",
        "storage.cache.claimName, model.uri, questions.uri",
        at("storage.cache.claimName") + claims_of(MODEL + at("questions.uri")),
        NAME,
    ),
    Rule("secrets", "a reference to a Secret", _all(*SECRETS), NAME),
    Rule("hosts", "ingress.host, gateway.hostnames", at("ingress.host") + HOSTNAMES + ANY_HOSTNAME, HOST),
    _rule("ingressAnnotations", NAME, "ingress.annotations{}"),
    _rule("serviceAccountAnnotations", NAME, "serviceAccount.annotations{}"),
    _rule(
        "priorityClasses",
        NAME,
        "scheduling.priorityClassName",
        "storage.backup.scheduling.priorityClassName",
    ),
    _rule(
        "runtimeClasses", NAME, "scheduling.runtimeClassName", "storage.backup.scheduling.runtimeClassName"
    ),
    _rule("tolerations", NAME, "scheduling.tolerations[].key", "storage.backup.scheduling.tolerations[].key"),
    Rule(
        "podTemplate",
        "podTemplate, storage.backup.podTemplate",
        given_in("podTemplate") + given_in("storage.backup.podTemplate"),
        NAME,
    ),
)


def refusals(policy: MCQPolicy, resource: Manifest, *, namespace: str) -> Iterator[str]:
    """Yield a message for each rule that a resource, with its defaults filled in, breaks: the same as CEL's."""
    spec = policy.spec
    if not any(NAME.allows(namespace, pattern) for pattern in spec.namespaces):
        return
    entries = spec.model_dump(by_alias=True)
    for rule in RULES:
        allowed = _hosts(spec, namespace) if rule.field == "hosts" else entries[rule.field]
        bad = [
            value
            for value in rule.values.of(resource)
            if not any(rule.matcher.allows(value, pattern) for pattern in allowed)
        ]
        if bad:
            yield refusal(rule.about, ", ".join(bad), rule.field, policy.metadata.name)


def refusal(about: str, bad: str, field: str, policy: str) -> str:
    """Return the message of a refusal."""
    return f"{bad}: not allowed in {about} by spec.{field} of MCQPolicy {policy}"


def _hosts(spec: PolicySpec, namespace: str) -> list[str]:
    return [
        host
        for entry in spec.hosts
        if any(NAME.allows(namespace, pattern) for pattern in entry.namespaces)
        for host in entry.hosts
    ]
