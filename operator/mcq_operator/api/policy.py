"""MCQPolicy: the images, addresses and objects that MCQSolvers and MCQExams may use.

It is the parameter of an admission policy.
"""

from typing import Annotated

from pydantic import Field

from .base import Model, text

NamePattern = Annotated[
    str,
    text(
        "self.matches('^[^*]*[*]?$')",
        "must be a name, or the beginning of names and '*'",
        longest=316,
    ),
]
ImagePattern = Annotated[
    str,
    text(
        "self.matches('^([^*]+|([^*]*[/:@])?[*])$')",
        "must be an image, or its beginning up to '/', ':' or '@' and '*', like registry.example.com/mcq/*",
        longest=512,
    ),
]
OriginPattern = Annotated[
    str,
    text(
        "self.matches('^([*]|https?://([*][.])?[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?)$')",
        "must be a scheme, host and port without a path, like http://vllm.models.svc:8000 or https://*.example.com",
        longest=512,
    ),
]
UriPattern = Annotated[
    str,
    text(
        "self.matches('^([*]|[a-z0-9]+://([^*]+|([^*]*/)?[*]))$')",
        "must be a URI, or its beginning up to '/' and '*', like hf://Qwen/*, s3://models/* or https://*",
        longest=1024,
    ),
]
HostPattern = Annotated[
    str,
    text(
        "self.matches('^([*]|([*][.])?[a-z0-9]([a-z0-9.-]*[a-z0-9])?)$')",
        "must be a DNS name, *.example.com for every name below example.com, or *",
        longest=253,
    ),
]
Names = Annotated[tuple[NamePattern, ...], Field(max_length=64)]


class PolicyHosts(Model):
    """Hosts that some namespaces may use."""

    namespaces: Names
    """The namespaces."""
    hosts: Annotated[tuple[HostPattern, ...], Field(max_length=64)]
    """The hosts. A gateway without hostnames takes those of its listeners and needs *."""


class PolicyMetadata(Model):
    """The part of a policy's metadata that a refusal names."""

    name: str


class PolicySpec(Model):
    """The allowed values. The API server refuses a value that its list lacks, and ignores a field that is left out."""

    namespaces: Names = ("*",)
    """The namespaces that this policy applies to. If several apply to a namespace, each must allow the value."""
    operators: Annotated[tuple[NamePattern, ...], Field(max_length=16)] = ()
    """User names of other operators, such as system:serviceaccount:team-a:mcq-operator. The policy does not check
    their requests, nor those of the operator that it was installed with: they create a gate's candidate from a solver
    that was already allowed."""
    images: Annotated[tuple[ImagePattern, ...], Field(max_length=64)] = ()
    """Images in image. A solver that leaves image out runs the operator's own release and needs no entry."""
    endpoints: Annotated[tuple[OriginPattern, ...], Field(max_length=64)] = ()
    """Servers in engine.openai.endpoint, tracing.endpoint and autoscaling.prometheusAddress."""
    models: Annotated[tuple[UriPattern, ...], Field(max_length=64)] = ("hf://*",)
    """Addresses in model.uri. For pvc:// addresses, the field `claims` applies instead."""
    questions: Annotated[tuple[UriPattern, ...], Field(max_length=64)] = ()
    """Addresses in an MCQExam's questions.uri. For pvc:// addresses, the field `claims` applies instead. A ConfigMap
    needs no entry."""
    backups: Annotated[tuple[UriPattern, ...], Field(max_length=64)] = ()
    """Addresses in storage.backup.uri."""
    claims: Names = ()
    """PersistentVolumeClaims in storage.cache.claimName, and in pvc:// addresses."""
    secrets: Names = ("mcq-*",)
    """Secrets in every field that names one."""
    hosts: Annotated[tuple[PolicyHosts, ...], Field(max_length=64)] = ()
    """Hosts in ingress.host and gateway.hostnames, by namespace."""
    ingress_annotations: Names = ()
    """Keys in ingress.annotations: some Ingress controllers execute their values."""
    service_account_annotations: Names = ()
    """Keys in serviceAccount.annotations: clouds grant identities by them."""
    priority_classes: Names = ()
    """PriorityClasses in scheduling.priorityClassName."""
    runtime_classes: Names = ()
    """RuntimeClasses in scheduling.runtimeClassName."""
    tolerations: Names = ()
    """Keys in scheduling.tolerations. A toleration of all taints needs *."""
    pod_template: Names = ()
    """Fields of podTemplate that a solver may use, such as env. No list of this policy limits their content: volumes,
    envFrom and containers reach every Secret of the namespace."""


class MCQPolicy(Model):
    """An MCQPolicy as its author writes it."""

    metadata: PolicyMetadata
    spec: PolicySpec = PolicySpec()
