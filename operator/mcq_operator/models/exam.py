"""MCQExam: which questions a solver is asked, when, and what is asked of the result."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from .base import Digest, Fraction, Model, ObjectName, Schedule, rule, rules, text
from .pod_template import PodTemplate
from .replica import Resources, SecretKey, SecretName, ServiceAccount
from .resource import ExamKey, ExamRef, Resource, SolverKey
from .scheduling import Scheduling
from .status import ExamStatus


class SolverRef(Model):
    """An MCQSolver of the exam's namespace."""

    name: ObjectName
    """The solver's name."""


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
    """The key whose value has the questions."""


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
    """A ConfigMap that has them: up to 1 MiB, about a thousand questions."""
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
    """A file that has them, up to 64 MiB: https://, s3://, or pvc://<claim>/<path> of a claim in this namespace."""
    digest: Digest | None = None
    """SHA-256 of the file; of any other file no question is asked."""
    credentials_secret_ref: SecretName | None = None
    """A Secret whose keys are AWS_* variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and, for a server
    other than Amazon's, AWS_ENDPOINT_URL. Left out, the Pod's workload identity is used."""


class Pass(Model):
    """What is asked of the result; each limit may be held, missed, or undecided with so few questions."""

    min_accuracy: Fraction | None = None
    """The least accuracy, which the 95 % interval (one-sided) must not reach below. A question without an answer
    counts as wrong; more than 5 % without one fail any limit."""
    max_calibration_error: Fraction | None = None
    """The greatest expected calibration error."""
    max_regression: Fraction | None = None
    """The greatest loss of accuracy against the baseline's result: passed where the high end of Tango's interval
    (one-sided 95 %) is within it, failed where the low end is beyond it. A question without an answer counts as
    wrong."""
    max_p95_seconds: float | None = Field(None, gt=0)
    """The longest time within which 95 % of the answers must come."""


class ExamSpec(Model):
    """What is asked for."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.pass) || !has(self.pass.maxRegression) || has(self.baselineRef)",
                "pass.maxRegression is of another exam's result: name that exam in baselineRef",
                path=".baselineRef",
            ),
        )
    )

    solver_ref: SolverRef
    """Who sits the exam."""
    questions: Questions
    """What is asked."""
    schedule: Schedule | None = None
    """When the exam is sat, in cron's form and UTC; left out, once, and anew whenever the solver's replicas change."""
    debias: Literal["none", "prior", "rotations"] | None = None
    """How the model's preference for some letters is taken out; left out, as the solver does it."""
    parallelism: int = Field(1, ge=1, le=64)
    """Pods that ask at the same time, each its share of the questions. The solver's replicas do the work."""
    pass_: Annotated[Pass, Field(alias="pass")] = Pass()
    """What is asked of the result, for the condition Passed."""
    baseline_ref: ExamRef | None = None
    """Another exam with the same questions, whose last result this one's is compared with, question by question."""
    service_account: ServiceAccount = ServiceAccount()
    """The identity of the Pods that ask."""
    resources: Resources = Resources()
    """CPU and memory of one of those Pods. Left out: requests of 50m and 160Mi, and a limit of 1Gi."""
    scheduling: Scheduling = Scheduling()
    """Where those Pods may run."""
    pod_template: PodTemplate = PodTemplate()
    """What those Pods have beside what the operator gives them."""
    history_limit: int = Field(3, ge=1, le=20)
    """Reports that are kept."""
    api_key_secret_ref: SecretKey | None = None
    """An API key of the solver, where spec.auth of the solver asks for one."""


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
        """Who sits it."""
        return SolverKey(self.namespace, self.spec.solver_ref.name)
