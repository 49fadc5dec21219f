"""MCQSolver: what a user asks for, and the rules by which the API server refuses what can't work."""

from typing import Annotated, Literal, NamedTuple

from pydantic import ConfigDict, Field, WithJsonSchema

from .base import Host, Model, ObjectName, Quantity, rule, rules, text
from .replica import DEFAULT_RESOURCES, Answering, Auth, Engine, Limits, ModelSource, Resources, SecretName
from .scheduling import Scheduling
from .status import SolverStatus

Fraction = Annotated[float, Field(ge=0, le=1)]


class Ingress(Model):
    """The way in from outside the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.enabled || has(self.host)",
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

    enabled: bool = False
    """Whether there is an Ingress."""
    class_name: ObjectName | None = None
    """The IngressClass; left out, the cluster's default."""
    host: Host | None = None
    """The DNS name."""
    path: Annotated[
        str,
        text(
            "self.matches('^/[A-Za-z0-9/._~-]*$')",
            "path must start with '/' and have only letters, digits, '/', '.', '_', '~' and '-'",
            longest=256,
        ),
    ] = "/"
    """The path prefix that is routed to the solver."""
    tls_secret_name: ObjectName | None = None
    """A kubernetes.io/tls Secret in the solver's namespace; set, the Ingress serves HTTPS."""
    annotations: dict[str, str] | None = None
    """Annotations of the Ingress, for its controller."""


class Disruption(Model):
    """How many replicas a drain must leave."""

    min_available: (
        Annotated[
            int | str,
            WithJsonSchema(
                {
                    "x-kubernetes-int-or-string": True,
                    "maxLength": 10,
                    **rules(
                        rule(
                            "type(self) == int ? self >= 0 : self.matches('^(100|[0-9]{1,2})%$')",
                            "minAvailable must be a number of replicas that is not negative,"
                            " or a percentage, like 50%",
                        )
                    ),
                }
            ),
        ]
        | None
    ) = None
    """Replicas that stay during a drain; left out, drains take one replica at a time."""


class Cache(Model):
    """Where replicas keep the prepared model.

    A made claim belongs to the solver and goes with it; name an existing one in claimName to keep it.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.claimName) || self.type == 'PVC'",
                "claimName is only for type PVC: remove it or set storage.cache.type to PVC",
                path=".claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || (self.accessMode == oldSelf.accessMode && has(self.storageClassName) =="
                " has(oldSelf.storageClassName) && (!has(self.storageClassName)"
                " || self.storageClassName == oldSelf.storageClassName))",
                "storageClassName and accessMode of a claim can't be changed once it is made:"
                " switch type to EmptyDir first, which deletes it, or name another claim in claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || !isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size))"
                " || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
                "a claim can't shrink: keep storage.cache.size or make it larger",
                path=".size",
            ),
        )
    )

    type: Literal["PVC", "EmptyDir"] = "PVC"
    """PVC: one volume for all replicas, kept over restarts. EmptyDir: each replica fetches its own."""
    size: Quantity = "16Gi"
    """The volume's size: the source weights and one converted copy."""
    storage_class_name: ObjectName | None = None
    """The StorageClass of the made claim; left out, the cluster's default."""
    claim_name: ObjectName | None = None
    """An existing claim to use in place of a made one."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """ReadWriteOnce keeps all replicas on one node; ReadWriteMany needs a shared file system."""


class Storage(Model):
    """The solver's volumes."""

    cache: Cache = Cache()
    """The model cache."""


class Tracing(Model):
    """Where spans go."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.enabled || has(self.endpoint)",
                "endpoint is required when tracing is enabled: set tracing.endpoint,"
                " like http://jaeger.monitoring.svc:4318",
                path=".endpoint",
            )
        )
    )

    enabled: bool = False
    """Whether spans are sent."""
    endpoint: (
        Annotated[
            str,
            text(
                "self.matches('^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/.*)?$')",
                "endpoint must be an http:// or https:// URL of an OTLP/HTTP receiver, usually port 4318",
                longest=512,
            ),
        ]
        | None
    ) = None
    """The OTLP/HTTP receiver."""
    sampling_ratio: Fraction = 1.0
    """The share of requests traced when the caller has not decided, 0 to 1."""


class SolverSpec(Model):
    """What is asked for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server tries the rule on the empty default too.
                "!has(self.engine) || self.engine.type != 'OpenAI' || (!has(self.model.revision)"
                " && !has(self.model.digest) && self.model.precision == 'auto')",
                "model.revision, model.digest and model.precision are not for engine.type OpenAI: the other"
                " server has loaded its model itself; name it in engine.openai.model",
                path=".model",
            ),
        )
    )

    model: ModelSource = ModelSource()
    """Which model answers."""
    engine: Engine = Engine()
    """What computes the answers."""
    image: str | None = Field(None, min_length=1, max_length=512)
    """The service's image; left out, the operator's own release of it."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the image is pulled."""
    image_pull_secrets: (
        Annotated[
            list[SecretName],
            Field(
                max_length=16,
                json_schema_extra={
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["name"],
                },
            ),
        ]
        | None
    ) = None
    """Secrets for pulling the image."""
    replicas: int = Field(3, ge=0, le=1000)
    """How many replicas answer."""
    resources: Resources = DEFAULT_RESOURCES
    """CPU and memory of one replica. The model's pages are shared by the replicas of a node."""
    scheduling: Scheduling = Scheduling()
    """Where replicas may run."""
    answering: Answering = Answering()
    """How questions are answered when the request doesn't say."""
    limits: Limits = Limits()
    """Bounds that keep an overloaded replica answering."""
    auth: Auth = Auth()
    """Who may ask."""
    ingress: Ingress = Ingress()
    """The way in from outside the cluster."""
    disruption: Disruption = Disruption()
    """How many replicas a drain must leave."""
    storage: Storage = Storage()
    """The solver's volumes."""
    tracing: Tracing = Tracing()
    """Where spans go."""


class Metadata(Model):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    deletion_timestamp: str | None = None


class SolverKey(NamedTuple):
    """Which solver: all that an event needs to say."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"


class MCQSolver(Model):
    """An MCQSolver as it is stored."""

    metadata: Metadata
    spec: SolverSpec = SolverSpec()
    status: SolverStatus = SolverStatus()

    @property
    def name(self) -> str:
        """The solver's name, which its main objects share."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the solver and of all its objects."""
        return self.metadata.namespace

    @property
    def key(self) -> SolverKey:
        """Namespace and name."""
        return SolverKey(self.namespace, self.name)

    @property
    def model_name(self) -> str:
        """What answers, as a person would call it: the model's address, or the other server's."""
        openai = self.spec.engine.openai
        if openai is None:
            return self.spec.model.uri
        return f"{openai.model or 'the model'} at {openai.endpoint}"

    @property
    def deleting(self) -> bool:
        """Whether the garbage collector is already at work."""
        return self.metadata.deletion_timestamp is not None
