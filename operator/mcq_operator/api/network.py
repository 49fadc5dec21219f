"""How clients reach a solver's replicas, and which clients may."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Host, Model, ObjectName, PassThrough, rule, rules, text

RoutePath = Annotated[
    str,
    text(
        "self.matches('^(/[A-Za-z0-9._~-]+)*/?$') && !self.matches('/[.][.]?(/|$)')",
        "path must start with '/', have only letters, digits, '.', '_', '~' and '-' between slashes, and no empty, '.'"
        " or '..' segment",
        longest=256,
    ),
]


class Ingress(Model):
    """The way in from outside the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.enabled) || !self.enabled || has(self.host)",
                "host is required when ingress is enabled: set ingress.host, like mcq.example.com",
                path=".host",
            ),
            rule(
                "!has(self.tlsSecretName) || has(self.host)",
                "tlsSecretName needs ingress.host: the certificate is served for that name",
                path=".host",
            ),
        )
    )

    enabled: bool | None = None
    """Whether there is an Ingress; left out, there is one if it has a host."""
    class_name: ObjectName | None = None
    """The IngressClass; left out, the cluster's default."""
    host: Host | None = None
    """The DNS name."""
    path: RoutePath = "/"
    """The path prefix of the solver."""
    tls_secret_name: ObjectName | None = None
    """A kubernetes.io/tls Secret in the solver's namespace; set, the Ingress serves HTTPS."""
    annotations: dict[str, str] | None = None
    """Annotations of the Ingress, for its controller."""

    @property
    def is_on(self) -> bool:
        """Whether the solver has an Ingress."""
        return self.host is not None if self.enabled is None else self.enabled


class ServiceOptions(Model):
    """The solver's address inside the cluster."""

    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] = "PreferDualStack"
    """Which addresses the Service has: with PreferDualStack, IPv4 and IPv6 where the cluster has both."""


class ParentRef(Model):
    """A Gateway that routes to the solver."""

    name: ObjectName
    """The Gateway's name."""
    namespace: ObjectName | None = None
    """The Gateway's namespace; left out, the solver's. The Gateway must allow routes of the solver's
    namespace."""
    section_name: ObjectName | None = None
    """The Gateway's listener; left out, every listener that the hostnames match."""
    port: int | None = Field(None, ge=1, le=65535)
    """The port of the Gateway's listeners; left out, any port."""


class Gateway(Model):
    """The way in through the Gateway API."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.enabled || (has(self.parentRefs) && size(self.parentRefs) > 0)",
                "parentRefs is required when gateway is enabled: name at least one Gateway",
                path=".parentRefs",
            )
        )
    )

    enabled: bool = False
    """Whether there is an HTTPRoute."""
    parent_refs: Annotated[list[ParentRef], Field(max_length=16)] | None = None
    """The Gateways."""
    hostnames: Annotated[list[Host], Field(max_length=16)] | None = None
    """The DNS names; left out, those of the Gateways' listeners."""
    path: RoutePath = "/"
    """The path prefix of the solver."""


class NetworkPolicy(Model):
    """Who may reach the replicas."""

    enabled: bool = False
    """Whether there is a NetworkPolicy: allowed peers may connect to the replicas' ports `http` and `probes`, and to
    no other port."""
    allowed_from: Annotated[list[PassThrough], Field(max_length=64)] | None = None
    """Peers that may connect, as in a NetworkPolicy's `from`; left out, all. Include the Ingress controller and
    Prometheus. The operator, which asks the test question, and the namespace's exams may always connect."""
