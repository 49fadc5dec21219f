"""Verify in the cluster that the deployment matches the delivery and works."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from hack.ask import QUESTION, ask, is_local
from hack.installation import OPERATOR
from hack.kubectl import Kubectl, KubectlError
from hack.monitoring import NAMESPACE as STACK

from delivery.errors import VerificationError
from mcq_operator.api import MCQSolver, SolverKey, names
from mcq_operator.api.rbac import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hack.installation import Images, Solver
    from hack.toolchain.progress import Progress

T = TypeVar("T")

PROMETHEUS = ("prometheus-operated", "web")
ALERTMANAGER = ("alertmanager-operated", "web")
JAEGER = ("jaeger", "query")
# Spans of every answered question, in any mode.
SPANS = {"admit", "prefill"}
PAUSE = 2.0
"""Seconds between two tries."""
# Kubernetes keeps evicted and completed pods for a while.
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Verification:
    """The checks of one deployment. Each returns a summary or raises VerificationError."""

    kubectl: Kubectl
    images: Images
    solvers: list[Solver]
    ingress_url: str | None
    api_key: str | None
    patience: float
    """Seconds to wait for slow results: a scrape, a trace, an Ingress controller's update, the end of an alert."""
    since: datetime | None = None
    """When the install began, if it is known. The delivery did not cause an earlier alert."""

    def run(self, progress: Progress, *, monitoring: bool) -> None:
        """Run all checks, then raise VerificationError with every failure."""
        failures = []
        for title, check in self._checks(monitoring=monitoring):
            try:
                progress.say(f"  ok    {title}: {check()}")
            except (VerificationError, KubectlError) as error:
                progress.say(f"  WRONG {title}: {error}")
                failures.append(f"{title}: {error}")
        if failures:
            raise VerificationError("The deployment differs from the delivery:\n" + "\n".join(failures))

    def _checks(self, *, monitoring: bool) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "operator", self.operator
        for solver in self.solvers:
            yield f"{solver.resource} is Ready", partial(self.ready, solver)
            yield f"{solver.resource} runs the image", partial(self.pods, solver)
            yield f"{solver.resource} answers", partial(self.answer, solver)
            if monitoring:
                yield f"{solver.resource} is scraped", partial(self.targets, solver)
                yield f"{solver.resource} is traced", partial(self.trace, solver)
        if monitoring:
            yield "no critical alert fires", self.alerts

    def operator(self) -> str:
        """Check that every operator replica is available with the delivered image."""
        live = self._get(NAMESPACE, OPERATOR)
        image = live["spec"]["template"]["spec"]["containers"][0]["image"]
        desired, status = live["spec"]["replicas"], live["status"]
        # During a roll-out the older revision's replicas are available, too.
        available = min(status.get("availableReplicas", 0), status.get("updatedReplicas", 0))
        if image != self.images.operator:
            raise VerificationError(f"it runs {image}, not {self.images.operator}")
        if available != desired:
            raise VerificationError(f"{available} of {desired} replicas are updated and available")
        return f"{available} of {desired} replicas with {image}"

    def ready(self, solver: Solver) -> str:
        """Check that the solver is Ready and not Degraded, for its newest spec."""
        live = self._get(solver.namespace, solver.resource)
        conditions = {each["type"]: each for each in live.get("status", {}).get("conditions", [])}
        generation = live["metadata"]["generation"]
        for name, expected in (("Ready", "True"), ("Degraded", "False")):
            condition = conditions.get(
                name, {"status": "unknown", "reason": "", "message": "no such condition"}
            )
            if condition["status"] != expected or condition.get("observedGeneration") != generation:
                message = f"{name} is {condition['status']} ({condition['reason']}): {condition['message']}"
                raise VerificationError(message)
        return f"{live['status']['readyReplicas']} replicas of generation {generation}"

    def pods(self, solver: Solver) -> str:
        """Check that every replica that has not ended runs the delivered image."""
        live = self._get(solver.namespace, solver.resource)
        image = self.images.replicas(live)
        selector = names.selector(MCQSolver.model_validate(live))
        pods = self._get(solver.namespace, "pods", "--selector", selector)["items"]
        running = [
            pod
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ENDED
        ]
        # Don't compare imageID: for an index it may be the index's digest or the platform image's.
        others = [
            f"{pod['metadata']['name']} runs {container['image']}"
            for pod in running
            for container in pod["spec"]["containers"]
            if container["name"] == names.SERVICE_CONTAINER and not _same(container["image"], image)
        ]
        if others or not running:
            raise VerificationError(f"{', '.join(others) or 'there are no pods'}, not {image}")
        return f"{len(running)} pods with {image}"

    def answer(self, solver: Solver) -> str:
        """Check that the solver answers a question."""
        answer = self._eventually(partial(self._ask, solver))
        best = max(row["probability"] for row in answer["probabilities"])
        if answer["answer"] is None:
            return f"it abstains, at {best:.1%}"
        return f"{answer['answer']['label']} ({answer['answer']['text']}), {best:.1%}"

    def targets(self, solver: Solver) -> str:
        """Check that Prometheus scrapes each replica of the operator, and of the solver unless its spec forbids it."""
        live = self._get(solver.namespace, solver.resource)
        scraped = MCQSolver.model_validate(live).spec.monitoring.service_monitor.enabled
        operators = self._get(NAMESPACE, OPERATOR)["spec"]["replicas"]
        expected = {
            **({(solver.namespace, solver.name): live["status"]["readyReplicas"]} if scraped else {}),
            (NAMESPACE, "mcq-operator"): operators,
        }

        def count_targets() -> str:
            targets = self._page(PROMETHEUS, "api/v1/targets", state="active")["data"]["activeTargets"]
            labels = [target["labels"] for target in targets if target["health"] == "up"]
            counts = {
                key: sum((each.get("namespace"), each.get("service")) == key for each in labels)
                for key in expected
            }
            missing = [
                f"{count} of {expected[key]} of {key[1]}"
                for key, count in counts.items()
                if count < expected[key]
            ]
            if missing:
                raise VerificationError(f"targets up: {', '.join(missing)}")
            return ", ".join(f"{count} of {name}" for (_, name), count in counts.items())

        return self._eventually(count_targets)

    def trace(self, solver: Solver) -> str:
        """Check that Jaeger has a question's trace, with the model's spans, if the solver sends traces to it."""
        tracing = MCQSolver.model_validate(self._get(solver.namespace, solver.resource)).spec.tracing
        host = urlsplit(tracing.endpoint or "").hostname or ""
        if not (tracing.enabled and tracing.sampling_ratio) or host.split(".")[:2] != [JAEGER[0], STACK]:
            return "not checked: spec.tracing sends no traces to this Jaeger"
        identity = self._traced_question(solver)
        if not identity:
            return f"not checked: tracing.samplingRatio, {tracing.sampling_ratio:g}, left all questions out"

        def find_spans() -> str:
            traces = self._page(JAEGER, f"api/traces/{identity}")["data"]
            names = {span["operationName"] for trace in traces for span in trace["spans"]}
            if not names >= SPANS:
                message = f"trace {identity} has the spans {sorted(names)}, not {sorted(SPANS)}"
                raise VerificationError(message)
            return f"trace {identity} with {len(names)} kinds of spans"

        return self._eventually(find_spans)

    def alerts(self) -> str:
        """Check that no critical alert of the operator or of the delivered solvers fires since the install."""
        states = {"active": "true", "silenced": "false", "inhibited": "false"}

        def find_alerts() -> str:
            firing = self._page(ALERTMANAGER, "api/v2/alerts", **states, filter='severity="critical"')
            descriptions = [
                f"{alert['labels']['alertname']}: {alert['annotations'].get('summary', '')}"
                for alert in firing
                if self._concerns(alert)
            ]
            if descriptions:
                raise VerificationError("; ".join(descriptions))
            return "none"

        return self._eventually(find_alerts)

    def _concerns(self, alert: dict[str, Any]) -> bool:
        """Return True for the operator's alerts and the delivered solvers', unless they fired before the install."""
        if self.since and datetime.fromisoformat(alert["startsAt"]) < self.since:
            return False
        labels = alert["labels"]
        subject = (labels.get("namespace"), labels.get("mcqsolver"))
        delivered = {(solver.namespace, solver.name) for solver in self.solvers}
        ours = labels["alertname"].startswith("MCQOperator") and labels.get("namespace") == NAMESPACE
        return ours or subject in delivered

    def _traced_question(self, solver: Solver) -> str | None:
        """Ask until a question is sampled, and return its trace's id; None if none was."""
        deadline = time.monotonic() + self.patience
        while True:
            identity: str | None = self._eventually(partial(self._ask, solver))["trace_id"]
            if identity or time.monotonic() > deadline:
                return identity
            time.sleep(PAUSE)

    def _ask(self, solver: Solver) -> dict[str, Any]:
        with self._way_in(solver) as (url, address):
            try:
                return ask(url, {**QUESTION, "mode": "answer"}, key=self.api_key, address=address)
            except urllib.error.HTTPError as error:
                detail = error.read().decode(errors="replace")[:500]
                raise VerificationError(f"{url} answered {error.code}: {detail}") from error
            except OSError as error:
                at = f" at {address}" if address else ""
                raise VerificationError(f"{url} did not answer{at}: {error}") from error

    @contextmanager
    def _way_in(self, solver: Solver) -> Iterator[tuple[str, str | None]]:
        """Yield the URL to ask at, and the address to connect to if it is not the URL's host.

        A solver without Ingress and HTTPRoute is asked through a forwarded port.
        """
        status = self._get(solver.namespace, solver.resource).get("status", {})
        url = self.ingress_url or status.get("url")
        if not url or url == names.service_url(SolverKey(solver.namespace, solver.name)):
            with self.kubectl.forward(solver.namespace, solver.name, "http") as forwarded:
                yield forwarded, None
        else:
            yield url, None if self.ingress_url else self._ingress_address(solver, url)

    def _ingress_address(self, solver: Solver, url: str) -> str | None:
        """Return the address in the status of a `*.localhost` Ingress; None for other hosts, or if it has none.

        The sample has such a host, and only the local cluster's Ingress is on this machine.
        """
        if not is_local(url):
            return None
        get = ("get", f"ingress/{solver.name}", "--ignore-not-found", "--output", "json")
        ingress = json.loads(self.kubectl("--namespace", solver.namespace, *get) or "{}")
        addresses = ingress.get("status", {}).get("loadBalancer", {}).get("ingress") or [{}]
        address = addresses[0].get("ip") or addresses[0].get("hostname")
        return f"[{address}]" if address and ":" in address else address

    def _eventually(self, check: Callable[[], T]) -> T:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return check()
            except (VerificationError, KubectlError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)

    def _page(self, service: tuple[str, str], path: str, **query: str) -> Any:
        """Return a JSON page of a service of the monitoring stack."""
        name, port = service
        with self.kubectl.forward(STACK, name, port) as url:
            address = f"{url}/{path}?{urlencode(query)}"
            try:
                with urllib.request.urlopen(address, timeout=30) as response:
                    return json.load(response)
            except (OSError, ValueError) as error:
                raise VerificationError(f"{name} did not answer {path}: {error}") from error

    def _get(self, namespace: str, *what: str) -> dict[str, Any]:
        live: dict[str, Any] = json.loads(
            self.kubectl("--namespace", namespace, "get", *what, "--output", "json")
        )
        return live


def _same(running: str, delivered: str) -> bool:
    """Return whether a container runs the image: compared by digest if it has one, since a mirror may rename it."""
    _, at, digest = delivered.partition("@")
    return running.endswith(at + digest) if at else running == delivered
