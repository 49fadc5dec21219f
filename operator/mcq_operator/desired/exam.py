"""An exam's objects: a Job or CronJob that asks the questions, and ConfigMaps that only its Pods may write."""

from typing import Any

from mcq_operator.api import Manifest, MCQExam, MCQSolver, names
from mcq_operator.api.exam_status import ReportRef
from mcq_operator.api.kinds import CONFIG_MAP, CRON_JOB, JOB
from mcq_operator.api.replica import Resources
from mcq_operator.api.resource_status import ObjectRef
from mcq_operator.api.result import SUFFIX, newest, sittings

from . import tasks
from .manifest import digest, manifest, without_none
from .security import CONTAINER_SECURITY
from .sources import env_from, mounted
from .workload import image_pull_secrets

QUESTIONS_PATH = "/etc/mcq-exam"
QUESTIONS_FILE = "questions.jsonl"
BASELINE_PATH = "/etc/mcq-baseline"
UNREADABLE = 2
"""The runner's exit code when a retry can't help."""
TRIES = 3
"""How often another Pod retries the share of a failed Pod."""
LONGEST_SECONDS = 6 * 3600
SITTING = "MCQ_EXAM_SITTING"
RUN = "MCQ_EXAM_RUN"
RESOURCES = Resources(requests={"cpu": "50m", "memory": "160Mi"}, limits={"memory": "1Gi"})
"""The Pod only asks; it holds up to 64 MiB of questions, and the answers."""


def objects(
    exam: MCQExam, solver: MCQSolver | None, *, baseline: ReportRef | None = None, service_image: str
) -> list[Manifest]:
    """Return an exam's desired objects in the order of creation.

    Without the solver, or without the report of a baseline that the spec names, there is no Job.
    """
    desired = [*results(exam), *_identity(exam)]
    if solver is not None and (baseline or not exam.spec.baseline_ref):
        spec = _job_spec(exam, solver, baseline, service_image=service_image)
        desired.append(_cron_job(exam, spec, solver) if exam.spec.schedule else _job(exam, spec, solver))
    return desired


def restored(exam: MCQExam, solver: MCQSolver | None, results: Manifest | None) -> str | None:
    """Return the restored sitting, if the current replicas answered the same questions in it.

    The exam then does not run again for these replicas, unless a user removes the annotation. A gate's exam always
    runs: anyone with write access to its ConfigMap could add the annotation.
    """
    if solver is None or results is None or exam.spec.schedule or exam.parent:
        return None
    marked = results["metadata"].get("annotations", {}).get(names.RESTORED_ANNOTATION)
    last = newest(sittings(results)) if marked else None
    if last is None or marked != mark(exam, last.name, solver.status.template_digest):
        return None
    return last.name


def mark(exam: MCQExam, sitting: str, template_digest: str) -> str:
    """Return the value of RESTORED_ANNOTATION: the sitting, and a digest of the exam's spec and the replicas."""
    spec = exam.spec.model_dump(mode="json", exclude_defaults=True)
    return f"{sitting}/{digest([spec, template_digest])}"


def possible(exam: MCQExam) -> list[ObjectRef]:
    """Return every object that this release could create for an exam, except Jobs, which are listed instead."""
    return [
        *(CONFIG_MAP.named(name) for name in result_names(exam)),
        *(kind.named(names.exam_name(exam)) for kind in (*tasks.IDENTITY, CRON_JOB)),
    ]


def results(exam: MCQExam) -> list[Manifest]:
    """Return the ConfigMaps of the results, without content: the Pods or a restore write it."""
    return [results_map(exam, name) for name in result_names(exam)]


def results_map(exam: MCQExam, name: str) -> Manifest:
    """Return one ConfigMap of the results."""
    return manifest(CONFIG_MAP, exam, name=name)


def result_names(exam: MCQExam) -> list[str]:
    """Return the names of the results' ConfigMaps: the whole's, and one per shard of the last or next sitting."""
    whole = names.results_name(exam)
    last = exam.status.report.shards if exam.status.report else 0
    shards = max(exam.spec.parallelism, last)
    return [whole, *(names.shard_results_name(whole, shard) for shard in range(shards))]


def _identity(exam: MCQExam) -> list[Manifest]:
    return tasks.identity(
        exam,
        names.exam_name(exam),
        annotations=exam.spec.service_account.annotations,
        rules=[tasks.rule(CONFIG_MAP, "get", "patch", of=result_names(exam))],
    )


def _job(exam: MCQExam, spec: dict[str, Any], solver: MCQSolver) -> Manifest:
    """Return a Job. Its name has a digest of spec and replicas, so that a change of either starts a new Job."""
    job_digest = digest([spec, solver.metadata.uid, solver.status.template_digest])
    return manifest(JOB, exam, name=f"{exam.name}-{job_digest[:8]}", spec=spec)


def _cron_job(exam: MCQExam, spec: dict[str, Any], solver: MCQSolver) -> Manifest:
    return tasks.cron_job(
        exam,
        names.exam_name(exam),
        schedule=exam.spec.schedule,
        start_within=600,
        history=exam.spec.history_limit,
        labels=names.labels(exam),
        annotations={names.TEMPLATE_DIGEST_ANNOTATION: solver.status.template_digest},
        job=spec,
    )


def _job_spec(
    exam: MCQExam, solver: MCQSolver, baseline: ReportRef | None, *, service_image: str
) -> dict[str, Any]:
    shards = exam.spec.parallelism
    job_spec: dict[str, Any] = without_none(
        {
            "completionMode": "Indexed",
            "completions": shards,
            "parallelism": shards,
            "backoffLimitPerIndex": TRIES,
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "podFailurePolicy": tasks.failure_policy(names.EXAM_CONTAINER, permanent=UNREADABLE),
            "template": tasks.pods(
                account=names.exam_name(exam),
                labels=names.labels(exam),
                pull_secrets=image_pull_secrets(solver),
                container=_container(exam, solver, baseline, service_image=service_image),
                volumes=_volumes(exam, baseline),
                scheduling=exam.spec.scheduling,
                overrides=exam.spec.pod_template,
            ),
        }
    )
    return job_spec


def _container(
    exam: MCQExam, solver: MCQSolver, baseline: ReportRef | None, *, service_image: str
) -> dict[str, Any]:
    key = exam.spec.api_key_secret_ref
    env: list[dict[str, Any]] = [
        {
            "name": name,
            "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['batch.kubernetes.io/{label}']"}},
        }
        for name, label in ((SITTING, "job-name"), (RUN, "controller-uid"))
    ]
    if key:
        env.append({"name": "MCQ_API_KEY", "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}})
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - the Pod's own
    if _mounted(exam):
        mounts.append({"name": "questions", "mountPath": QUESTIONS_PATH})
    if baseline:
        mounts.append({"name": "baseline", "mountPath": BASELINE_PATH})
    return {
        "name": names.EXAM_CONTAINER,
        # Not the solver's image: that may not be promoted yet, or may lack the command.
        "image": service_image,
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(exam, solver, baseline),
        "env": env,
        "envFrom": env_from(exam.spec.questions.credentials_secret_ref),
        "resources": exam.spec.resources.over(RESOURCES).manifest,
        "securityContext": CONTAINER_SECURITY,
        "volumeMounts": mounts,
        # The log's last lines become the termination message, which the exam's conditions show.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _arguments(exam: MCQExam, solver: MCQSolver, baseline: ReportRef | None) -> list[str]:
    spec = exam.spec
    options: dict[str, object | None] = {
        "questions": _source(exam),
        "digest": spec.questions.digest,
        "url": names.service_url(solver.key),
        "results": names.results_name(exam),
        "sitting": f"$({SITTING})",
        "run": f"$({RUN})",
        "shard": "$(JOB_COMPLETION_INDEX)",
        "shards": spec.parallelism,
        "history": spec.history_limit,
        "debias": spec.debias,
        "before": BASELINE_PATH if baseline else None,
        "before-digest": baseline.digest if baseline else None,
        "max-regression": spec.pass_.max_regression,
        "min-accuracy": spec.pass_.min_accuracy,
        "max-calibration-error": spec.pass_.max_calibration_error,
        "max-p95-seconds": spec.pass_.max_p95_seconds,
    }
    given = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return ["exam", "sit", *given]


def _source(exam: MCQExam) -> str:
    uri = exam.spec.questions.uri
    if uri is None:
        return f"{QUESTIONS_PATH}/{QUESTIONS_FILE}"
    if (volume := mounted(uri)) is not None:
        return f"{QUESTIONS_PATH}/{volume.path}"
    return uri


def _mounted(exam: MCQExam) -> dict[str, Any] | None:
    """Return the source of the volume with the questions, if they are in a volume."""
    questions = exam.spec.questions
    if (ref := questions.config_map_ref) is not None:
        items = [{"key": ref.key, "path": QUESTIONS_FILE}]
        return {"configMap": {"name": ref.name, "items": items}}
    source = mounted(questions.uri or "")
    return source.volume if source else None


def _volumes(exam: MCQExam, baseline: ReportRef | None) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    if mounted := _mounted(exam):
        volumes.append({"name": "questions", **mounted})
    if baseline:
        result = {"key": f"{baseline.name}{SUFFIX}", "path": "result.json"}
        sources = [
            {"configMap": {"name": baseline.config_map, "items": [result]}},
            *(
                {
                    "configMap": {
                        "name": names.shard_results_name(baseline.config_map, shard),
                        "items": [{"key": names.rows_key(baseline.name), "path": f"{shard}.json.gz"}],
                    }
                }
                for shard in range(baseline.shards)
            ),
        ]
        volumes.append({"name": "baseline", "projected": {"sources": sources}})
    return volumes
