"""MCQExam: the questions for a solver, when to ask them, and the limits for the result."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Digest, Fraction, Model, ObjectName, Schedule, rule, rules, text
from .exam_status import MAX_SHARDS, ExamStatus
from .pod_template import PodTemplate
from .replica import Resources, SecretKey, SecretName, ServiceAccount, SolverRef
from .resource import ExamKey, ExamRef, Resource, SolverKey
from .scheduling import Scheduling


class QuestionsMap(Model):
    """A key of a ConfigMap in the exam's namespace."""

    name: ObjectName
    """The ConfigMap's name."""
    key: Annotated[
        str,
        text(
            "self.matches('^[-._a-zA-Z0-9]+$')",
            "key must be a key of the ConfigMap's data: letters, digits, '-', '_' and '.'",
            longest=253,
        ),
    ] = "questions.jsonl"
    """The key that holds the questions."""


class Questions(Model):
    """Where the questions are: JSON lines with id, subject, question, choices and answer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.configMapRef) != has(self.uri)",
                "give either questions.configMapRef or questions.uri",
            ),
            rule(
                "!has(self.credentialsSecretRef) || (has(self.uri) && self.uri.startsWith('s3://'))",
                "credentialsSecretRef is for an s3:// uri only",
                path=".credentialsSecretRef",
            ),
        )
    )

    config_map_ref: QuestionsMap | None = None
    """A ConfigMap with the questions: up to 1 MiB, about a thousand questions."""
    uri: (
        Annotated[
            str,
            text(
                "self.matches('^(https?://[^/]+/.+|s3://[^/]+/.+|pvc://[a-z0-9][-.a-z0-9]*/.+)$')"
                " && !self.contains('/../')",
                "uri must be https://<host>/<path>, s3://<bucket>/<key> or pvc://<claim>/<path>",
                longest=1024,
            ),
        ]
        | None
    ) = None
    """A file with the questions: https://, s3://, or pvc://<claim>/<path> of a claim in this namespace;
    up to 64 MiB."""
    digest: Digest | None = None
    """SHA-256 of the file; the exam refuses any other file."""
    credentials_secret_ref: SecretName | None = None
    """A Secret with AWS_* variables as its keys: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a
    server other than Amazon's, AWS_ENDPOINT_URL. Left out, the Pod's workload identity is used."""


class Pass(Model):
    """Limits for the result. A limit passes, fails, or is inconclusive if there are too few questions."""

    min_accuracy: Fraction | None = None
    """The lowest accuracy that passes. The low end of the one-sided 95 % interval must not be below it. A question
    without an answer counts as wrong; if more than 5 % have no answer, the exam fails."""
    max_calibration_error: Fraction | None = None
    """The largest expected calibration error that passes."""
    max_regression: Fraction | None = None
    """The largest allowed loss of accuracy against the baseline's result. It passes if the high end of Tango's
    interval (one-sided 95 %) is within the limit, and fails if the low end is beyond it. A question without an answer
    counts as wrong."""
    max_p95_seconds: float | None = Field(None, gt=0)
    """The longest time in which 95 % of the answers must arrive, in seconds."""


class ExamSpec(Model):
    """The questions for a solver, when to ask them, and the limits for the result."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.pass) || !has(self.pass.maxRegression) || has(self.baselineRef)",
                "pass.maxRegression compares with another exam's result: name that exam in baselineRef",
                path=".baselineRef",
            ),
        )
    )

    solver_ref: SolverRef
    """The solver that takes the exam."""
    questions: Questions
    """The questions."""
    schedule: Schedule | None = None
    """When the solver takes the exam, as a cron expression in UTC. Left out: once, and again whenever its replicas
    change."""
    debias: Literal["none", "prior", "rotations"] | None = None
    """How to correct the model's preference for some letters; left out, the solver's own way."""
    parallelism: int = Field(1, ge=1, le=MAX_SHARDS)
    """How many Pods ask in parallel; each asks a share of the questions. The solver's replicas do the work."""
    pass_: Annotated[Pass, Field(alias="pass")] = Pass()
    """Limits for the result; the condition Passed reports them."""
    baseline_ref: ExamRef | None = None
    """Another exam with the same questions. Its last result is the baseline for a comparison question by question."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of the Pods that ask."""
    resources: Resources = Resources()
    """CPU and memory of one Pod that asks. Left out: requests of 50m and 160Mi, and a limit of 1Gi."""
    scheduling: Scheduling = Scheduling()
    """Where the Pods that ask may run."""
    pod_template: PodTemplate = PodTemplate()
    """Additions to the Pods that ask."""
    history_limit: int = Field(3, ge=1, le=20)
    """How many reports to keep."""
    api_key_secret_ref: SecretKey | None = None
    """An API key of the solver, if its spec.auth requires one."""


class MCQExam(Resource):
    """An MCQExam as it is stored."""

    KEY = ExamKey
    spec: ExamSpec
    status: ExamStatus = ExamStatus()

    @property
    def key(self) -> ExamKey:
        """Namespace and name."""
        return ExamKey(self.namespace, self.name)

    @property
    def solver_key(self) -> SolverKey:
        """The solver that takes the exam."""
        return SolverKey(self.namespace, self.spec.solver_ref.name)
