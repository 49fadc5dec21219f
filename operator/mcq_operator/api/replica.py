"""One replica: its model, its engine and its limits."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import (
    HTTP_HOST,
    Digest,
    Fraction,
    Manifest,
    Model,
    ObjectName,
    Quantity,
    http_url,
    rule,
    rules,
    text,
)
from .quantity import quantity


class SecretName(Model):
    """The name of a Secret in the solver's namespace."""

    name: ObjectName
    """The Secret's name."""


class SolverRef(Model):
    """An MCQSolver of the same namespace."""

    name: ObjectName
    """The solver's name."""


_PATH = "(/[A-Za-z0-9_.~+=,@:-]+)*/?"
_IMAGE = (
    "oci://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9._-]+)+(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    "(@sha256:[0-9a-f]{64})?"
)
_URI = (
    "hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
    f"|(s3://[A-Za-z0-9][A-Za-z0-9._-]*|https?://{HTTP_HOST}"
    f"|pvc://[a-z0-9]([-.a-z0-9]*[a-z0-9])?){_PATH}|{_IMAGE}"
)


class ModelSource(Model):
    """The model that answers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.revision) || self.uri.startsWith('hf://')",
                "model.revision is for an hf:// uri only: put each version of the model into its own directory",
                path=".revision",
            ),
            rule(
                "!has(self.credentialsSecretRef) || self.uri.matches('^(s3|hf)://')",
                "model.credentialsSecretRef is for an s3:// or hf:// uri only",
                path=".credentialsSecretRef",
            ),
        )
    )

    uri: Annotated[
        str,
        text(
            f"self.matches('^({_URI})$') && !self.matches('/[.][.]?(/|$)')",
            "uri must be hf://<organisation>/<name>, like hf://Qwen/Qwen2.5-Coder-1.5B-Instruct (put a branch, tag or"
            " commit into revision), or a directory with the model's files: s3://<bucket>/<prefix>,"
            " https://<host>/<path>, pvc://<claim>/<path> or oci://<registry>/<image>:<tag>",
            longest=1024,
        ),
    ] = "hf://Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"
    """The model: hf://<organisation>/<name>, or a directory with its files: s3://<bucket>/<prefix>,
    https://<host>/<path>, pvc://<claim>/<path> of a claim in this namespace, or oci://<registry>/<image>:<tag> of an
    image with the files in its root; the node pulls it like any image."""
    revision: (
        Annotated[
            str,
            text(
                "self.matches('^[A-Za-z0-9][A-Za-z0-9._/-]*$')",
                "revision must be a branch, tag or commit: letters, digits, '.', '_', '/' and '-'",
                longest=128,
            ),
        ]
        | None
    ) = None
    """Branch, tag or commit; left out, a commit that the service pins for its default model, else main."""
    digest: Digest | None = None
    """SHA-256 of the model's files: configuration, tokenizer and weights. A replica refuses to start with any other
    files."""
    credentials_secret_ref: SecretName | None = None
    """A Secret; its keys become the replicas' environment variables. For s3://: AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a server other than Amazon's, AWS_ENDPOINT_URL; left out, the Pod's
    workload identity is used. For a private hf:// repository: HF_TOKEN."""
    precision: Literal["auto", "float32", "bfloat16", "int8"] = "auto"
    """The number format that the model computes in. auto: int8 on CPUs, a float format on a GPU. float32, bfloat16 and
    GPUs need torch: the operator uses the service's image that has it."""


class SecretKey(Model):
    """One key of a Secret in the solver's namespace."""

    name: ObjectName
    """The Secret's name."""
    key: Annotated[
        str,
        text(
            "self.matches('^[-._a-zA-Z0-9]+$')",
            "key must be a key of the Secret's data: letters, digits, '-', '_' and '.'",
            longest=253,
        ),
    ]
    """The key in the Secret."""


class OpenAI(Model):
    """Another server that computes the answers: vLLM, llama-server, or any other with OpenAI's completions API."""

    endpoint: Annotated[
        str,
        http_url(
            "endpoint must be an http:// or https:// URL of an OpenAI-compatible server, like"
            " http://vllm.models.svc:8000/v1"
        ),
    ]
    """The server's address, with or without /v1."""
    model: str | None = Field(None, min_length=1, max_length=256)
    """One of the models it serves; left out, the only one."""
    api_key_secret_ref: SecretKey | None = None
    """The server's API key. Replicas use a changed key without a restart."""


class Engine(Model):
    """The engine that computes the answers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.type != 'OpenAI' || has(self.openai)",
                "engine.openai.endpoint is required when engine.type is OpenAI",
                path=".openai",
            ),
            rule(
                "self.type == 'OpenAI' || !has(self.openai)",
                "engine.openai is only for engine.type OpenAI: remove it or change the type",
                path=".openai",
            ),
            rule(
                "self.type != 'OpenAI' || self.threads == 0",
                "engine.threads is not for engine.type OpenAI: the other server runs the model",
                path=".threads",
            ),
        )
    )

    type: Literal["Transformers", "OpenAI"] = "Transformers"
    """Transformers: each replica has the model. OpenAI: another server has it, and the replicas ask that server."""
    openai: OpenAI | None = None
    """The other server."""
    threads: int = Field(0, ge=0, le=256)
    """Compute threads of a replica; 0 takes them from its CPU limit or, without one, its CPU request, rounded up."""
    max_batch_size: int = Field(16, ge=1, le=256)
    """How many requests one replica generates reasoning for at once."""
    context_length: int = Field(4096, ge=512, le=131_072)
    """The greatest length of prompt and reasoning together, in tokens."""


class Auth(Model):
    """Which clients may ask questions."""

    api_keys_secret_ref: SecretName | None = None
    """A Secret with clients' names as keys and their API keys as values; left out, clients need no key.

    Replicas use a changed Secret without a restart, once the kubelet has updated their volume."""


class ServiceAccount(Model):
    """The identity that Pods run under. It has only the permissions in the cluster that it needs."""

    annotations: dict[str, str] | None = None
    """Annotations of the ServiceAccount. Clouds grant their identities by them, such as eks.amazonaws.com/role-arn."""


class Resources(Model):
    """CPU and memory of one Pod; fields that are left out keep their defaults."""

    requests: dict[str, Quantity] | None = None
    """What the scheduler reserves."""
    limits: dict[str, Quantity] | None = None
    """What the Pod may not exceed."""

    def over(self, default: "Resources") -> "Resources":
        """Return these resources, with `default` for those that are left out.

        Given values win: a default request is lowered to a given limit, a default limit raised to a given request.
        """
        requests, limits = dict(default.requests or {}), dict(default.limits or {})
        for name, limit in (self.limits or {}).items():
            if name in requests and _more(requests[name], than=limit):
                requests[name] = limit
        for name, request in (self.requests or {}).items():
            if name in limits and _more(request, than=limits[name]):
                limits[name] = request
        return Resources(requests=requests | (self.requests or {}), limits=limits | (self.limits or {}))

    @property
    def manifest(self) -> Manifest:
        """The resources as a container's manifest has them."""
        return self.model_dump(by_alias=True, exclude_none=True)


def _more(value: str | int, *, than: str | int) -> bool:
    return (quantity(value) or 0) > (quantity(than) or 0)


REPLICA_RESOURCES = Resources(requests={"cpu": "250m", "memory": "2Gi"}, limits={"memory": "8Gi"})
"""The int8 model and its texts use 1.7 GiB; the limit leaves room for converting other models."""


class Escalation(Model):
    """The solver that is asked instead of abstaining."""

    solver_ref: SolverRef
    """The other solver. It answers such a question with its own model, and asks no third solver."""
    api_key_secret_ref: SecretKey | None = None
    """An API key of that solver, if its spec.auth requires one. Replicas use a changed key without a restart."""


class Answering(Model):
    """How questions are answered when the request doesn't say."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server fills in the default of minConfidence first.
                "!has(self.targetAccuracy) || !has(self.minConfidence) || self.minConfidence == 0.0",
                "give either answering.minConfidence or answering.targetAccuracy, which sets the minimum confidence"
                " from the last exam",
                path=".targetAccuracy",
            ),
            rule(
                "!has(self.targetAccuracy) || (self.targetAccuracy > 0.0 && self.targetAccuracy < 1.0)",
                "answering.targetAccuracy must be above 0 and below 1: no exam can prove that every answer is right",
                path=".targetAccuracy",
            ),
            rule(
                "!has(self.targetAccuracy) || self.defaultMode != 'reason'",
                "answering.targetAccuracy needs a mode that answers before it reasons, because exams ask that way: set"
                " answering.defaultMode to answer or explain, or remove targetAccuracy",
                path=".targetAccuracy",
            ),
        )
    )

    default_mode: Literal["answer", "explain", "reason"] = "explain"
    """answer gives the choice and its probabilities; explain adds the reasoning for it; reason reasons first."""
    max_reasoning_tokens: int = Field(96, ge=1, le=512)
    """The longest reasoning, in tokens."""
    min_confidence: Fraction = 0
    """A replica abstains, with null as its answer, if the most probable choice is less probable than this."""
    target_accuracy: Fraction | None = None
    """The lowest share of right answers among the questions that a replica does not abstain from. The operator sets
    the minimum confidence from the last proven exam of the current replicas. Before the first one, replicas abstain
    from every question."""
    escalate_to: Escalation | None = None
    """Another solver, such as one with a larger model: a replica asks it instead of abstaining. The minimum confidence
    holds for its answer too. Questions of exams, which measure this solver's own model, and of /v1/decisions and
    /v1/systemone are never escalated."""
    debias: Literal["none", "prior", "rotations"] = "prior"
    """How to correct the model's preference for some letters. prior uses a preference measured before; rotations
    asks in every rotation of the choices, which multiplies the work by their number."""


class Limits(Model):
    """Bounds that keep an overloaded replica answering."""

    max_queued_requests: int = Field(64, ge=1, le=10_000)
    """Requests waiting in one replica before further ones get 429."""
    max_queued_tokens: int = Field(65_536, ge=512, le=10_000_000)
    """Tokens of those requests, including their room for reasoning, before further ones get 429."""
    deadline_seconds: int = Field(60, ge=1, le=3600)
    """The longest time for one request. A stopping replica has the same time to finish its admitted requests."""
