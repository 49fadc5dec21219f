"""MCQSolver: what a user asks for, and the rules by which the API server refuses what can't work."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Model, rule, rules
from .network import Gateway, Ingress, NetworkPolicy, ServiceOptions
from .pod_template import PodTemplate
from .replica import (
    Answering,
    Auth,
    Engine,
    Limits,
    ModelSource,
    Resources,
    SecretName,
    ServiceAccount,
)
from .resource import Resource, SolverKey
from .scaling import Autoscaling, Disruption, Rollout
from .scheduling import Scheduling
from .status import SolverStatus
from .storage import Storage
from .telemetry import Monitoring, Tracing


class SolverSpec(Model):
    """What is asked for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server tries the rule on the empty default too.
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
    """How many replicas answer; not used while autoscaling is enabled."""
    resources: Resources = Resources()
    """CPU and memory of one replica. Left out: requests of 250m and 2Gi, a limit of 8Gi, and no CPU limit."""
    scheduling: Scheduling = Scheduling()
    """Where replicas may run."""
    pod_template: PodTemplate = PodTemplate()
    """What the replicas' Pods have beside what the operator gives them."""
    answering: Answering = Answering()
    """How questions are answered when the request doesn't say."""
    limits: Limits = Limits()
    """Bounds that keep an overloaded replica answering."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of the replicas."""
    auth: Auth = Auth()
    """Who may ask."""
    ingress: Ingress = Ingress()
    """The way in from outside the cluster."""
    service: ServiceOptions = ServiceOptions()
    """The address inside the cluster."""
    gateway: Gateway = Gateway()
    """The way in through the Gateway API."""
    network_policy: NetworkPolicy = NetworkPolicy()
    """Who may reach the replicas."""
    autoscaling: Autoscaling = Autoscaling()
    """Replicas by demand."""
    rollout: Rollout = Rollout()
    """What happens when the spec changes."""
    disruption: Disruption = Disruption()
    """How many replicas a drain must leave."""
    storage: Storage = Storage()
    """The solver's volumes, and the backups of its namespace."""
    tracing: Tracing = Tracing()
    """Where spans go."""
    monitoring: Monitoring = Monitoring()
    """What is measured."""


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
        """The model's address; of another server, the model that it is asked for."""
        openai = self.spec.engine.openai
        return self.spec.model.uri if openai is None else openai.model or openai.endpoint

    @property
    def model_name(self) -> str:
        """What answers, as a person would call it: the model's address, or the other server's."""
        openai = self.spec.engine.openai
        if openai is None:
            return self.spec.model.uri
        return f"{openai.model or 'the model'} at {openai.endpoint}"
