"""MCQSolver: its spec, and the rules by which the API server refuses specs that can't work."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Model, rule, rules
from .network import Gateway, Ingress, NetworkPolicy, ServiceOptions
from .pod_template import PodTemplate
from .replica import Answering, Auth, Engine, Limits, ModelSource, Resources, SecretName, ServiceAccount
from .resource import Resource, SolverKey
from .scaling import Autoscaling, Disruption, Rollout
from .scheduling import Scheduling
from .solver_status import SolverStatus
from .storage import Storage
from .telemetry import Monitoring, Tracing


class SolverSpec(Model):
    """The desired state of a solver."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server also evaluates the rule on the empty default.
                "!has(self.engine) || self.engine.type != 'OpenAI' || (!has(self.model.revision)"
                " && !has(self.model.digest) && !has(self.model.credentialsSecretRef)"
                " && self.model.precision == 'auto')",
                "model.revision, model.digest, model.credentialsSecretRef and model.precision are not for engine.type"
                " OpenAI: the other server has loaded its model itself; name it in engine.openai.model",
                path=".model",
            ),
        )
    )

    model: ModelSource = ModelSource()
    """The model that answers."""
    engine: Engine = Engine()
    """The engine that computes the answers."""
    image: str | None = Field(None, min_length=1, max_length=512)
    """The service's image; left out, the image of the operator's release."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When to pull the image."""
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
    """How many replicas answer; ignored while autoscaling is enabled."""
    resources: Resources = Resources()
    """CPU and memory of one replica. Left out: requests of 250m and 2Gi, a limit of 8Gi, and no CPU limit."""
    scheduling: Scheduling = Scheduling()
    """Where replicas may run."""
    pod_template: PodTemplate = PodTemplate()
    """Additions to the replicas' Pods."""
    answering: Answering = Answering()
    """How questions are answered when the request doesn't say."""
    limits: Limits = Limits()
    """Bounds that keep an overloaded replica answering."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of the replicas."""
    auth: Auth = Auth()
    """Which clients may ask questions."""
    ingress: Ingress = Ingress()
    """The way in from outside the cluster."""
    service: ServiceOptions = ServiceOptions()
    """The address inside the cluster."""
    gateway: Gateway = Gateway()
    """The way in through the Gateway API."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may reach the replicas."""
    autoscaling: Autoscaling = Autoscaling()
    """Scaling by demand."""
    rollout: Rollout = Rollout()
    """How a change of the spec rolls out."""
    disruption: Disruption = Disruption()
    """How many replicas a drain must leave."""
    storage: Storage = Storage()
    """The solver's volumes, and the backups of its namespace."""
    tracing: Tracing = Tracing()
    """Where replicas send their spans."""
    monitoring: Monitoring = Monitoring()
    """Scraping, alerts and dashboards."""


class MCQSolver(Resource):
    """An MCQSolver as it is stored."""

    KEY = SolverKey
    spec: SolverSpec = SolverSpec()
    status: SolverStatus = SolverStatus()

    @property
    def key(self) -> SolverKey:
        """Namespace and name."""
        return SolverKey(self.namespace, self.name)

    @property
    def model_uri(self) -> str:
        """The model's address; with another server, the server's model or address."""
        openai = self.spec.engine.openai
        return self.spec.model.uri if openai is None else openai.model or openai.endpoint

    @property
    def model_name(self) -> str:
        """The model's name for people: its address, or the other server's model and address."""
        openai = self.spec.engine.openai
        if openai is None:
            return self.spec.model.uri
        return f"{openai.model or 'the model'} at {openai.endpoint}"
