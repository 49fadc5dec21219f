"""Whether the deployment is what was delivered, and does what it should: asked of the cluster, not of the files."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from hack.ask import QUESTION, ask
from hack.delivery.errors import DeliveryError, VerificationError
from hack.delivery.install import NAMESPACE, OPERATOR
from hack.kubectl import Kubectl, KubectlError
from hack.monitoring import NAMESPACE as STACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hack.cluster.progress import Progress
    from hack.delivery.images import Images
    from hack.delivery.install import Solver

T = TypeVar("T")

PROMETHEUS = ("prometheus-operated", "web")
ALERTMANAGER = ("alertmanager-operated", "web")
JAEGER = ("jaeger", "query")
# The spans that each answered question has, whatever its mode.
SPANS = {"admit", "prefill"}


@dataclass(frozen=True)
class Verification:
    """The checks of one deployment; each returns what it saw, or raises VerificationError."""

    kubectl: Kubectl
    images: Images
    solvers: list[Solver]
    ingress_url: str | None
    api_key: str | None
    patience: float
    """For how many seconds to wait for what may be a while away: a scrape, a trace, an Ingress controller's look."""

    def run(self, progress: Progress, *, monitoring: bool) -> None:
        """All of them, to the end. Raises VerificationError with everything that does not hold."""
        wrong = []
        for title, check in self._checks(monitoring=monitoring):
            try:
                progress.say(f"  ok    {title}: {check()}")
            except (DeliveryError, KubectlError) as error:
                progress.say(f"  WRONG {title}: {error}")
                wrong.append(f"{title}: {error}")
        if wrong:
            raise VerificationError("The deployment is not what it should be:\n" + "\n".join(wrong))

    def _checks(self, *, monitoring: bool) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "operator", self.operator
        for solver in self.solvers:
            yield f"{solver.resource} is Ready", partial(self.ready, solver)
            yield f"{solver.resource} runs the image", partial(self.pods, solver)
            yield f"{solver.resource} answers through its Ingress", partial(self.answer, solver)
            if monitoring:
                yield f"{solver.resource} is scraped", partial(self.targets, solver)
                yield f"{solver.resource} is traced", partial(self.trace, solver)
        if monitoring:
            yield "no critical alert fires", self.alerts

    def operator(self) -> str:
        """Every replica runs the delivered image, and is available."""
        there = self._get(NAMESPACE, OPERATOR)
        image = there["spec"]["template"]["spec"]["containers"][0]["image"]
        wanted, available = there["spec"]["replicas"], there["status"].get("availableReplicas", 0)
        if image != self.images.operator:
            message = f"it runs {image}, not {self.images.operator}"
            raise VerificationError(message)
        if available != wanted:
            message = f"{available} of {wanted} replicas are available"
            raise VerificationError(message)
        return f"{available} of {wanted} replicas with {image}"

    def ready(self, solver: Solver) -> str:
        """Ready, of the newest spec, and nothing degraded."""
        there = self._get(solver.namespace, solver.resource)
        conditions = {each["type"]: each for each in there.get("status", {}).get("conditions", [])}
        generation = there["metadata"]["generation"]
        for name, wanted in (("Ready", "True"), ("Degraded", "False")):
            found = conditions.get(name, {"status": "unknown", "reason": "", "message": "no such condition"})
            if found["status"] != wanted or found.get("observedGeneration") != generation:
                message = f"{name} is {found['status']} ({found['reason']}): {found['message']}"
                raise VerificationError(message)
        return f"{there['status']['readyReplicas']} replicas of generation {generation}"

    def pods(self, solver: Solver) -> str:
        """Every pod is of the very image."""
        image = self._get(solver.namespace, solver.resource)["spec"].get("image", self.images.service)
        selector = f"app.kubernetes.io/instance={solver.name}"
        pods = self._get(solver.namespace, "pods", "--selector", selector)["items"]
        running = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        digest = image.partition("@")[2]
        # Not the status' imageID: of an image that a node knows by an index and by itself, it has either.
        others = [
            f"{pod['metadata']['name']} runs {container['image']}"
            for pod in running
            for container in pod["spec"]["containers"]
            if not container["image"].endswith(digest)
        ]
        if others or not running:
            message = f"{', '.join(others) or 'there are no pods'}, not {image}"
            raise VerificationError(message)
        return f"{len(running)} pods with {image}"

    def answer(self, solver: Solver) -> str:
        """A question gets an answer."""
        found = self._ask(solver)
        best = max(row["probability"] for row in found["probabilities"])
        if found["answer"] is None:
            return f"it abstains, at {best:.1%}"
        return f"{found['answer']['label']} ({found['answer']['text']}), {best:.1%}"

    def targets(self, solver: Solver) -> str:
        """Prometheus scrapes each replica of the solver and of the operator."""
        replicas = self._get(solver.namespace, solver.resource)["status"]["readyReplicas"]
        operators = self._get(NAMESPACE, OPERATOR)["spec"]["replicas"]
        wanted = {(solver.namespace, solver.name): replicas, (NAMESPACE, "mcq-operator"): operators}

        def up() -> str:
            targets = self._page(PROMETHEUS, "api/v1/targets", state="active")["data"]["activeTargets"]
            labels = [target["labels"] for target in targets if target["health"] == "up"]
            counts = {
                key: sum((each.get("namespace"), each.get("service")) == key for each in labels)
                for key in wanted
            }
            missing = [
                f"{count} of {wanted[key]} of {key[1]}"
                for key, count in counts.items()
                if count < wanted[key]
            ]
            if missing:
                message = f"targets up: {', '.join(missing)}"
                raise VerificationError(message)
            return ", ".join(f"{count} of {name}" for (_, name), count in counts.items())

        return self._eventually(up)

    def trace(self, solver: Solver) -> str:
        """A question's trace is in Jaeger, down to the model."""
        identity = self._ask(solver)["trace_id"]

        def kept() -> str:
            traces = self._page(JAEGER, f"api/traces/{identity}")["data"]
            names = {span["operationName"] for trace in traces for span in trace["spans"]}
            if not names >= SPANS:
                message = f"trace {identity} has the spans {sorted(names)}, not {sorted(SPANS)}"
                raise VerificationError(message)
            return f"trace {identity} with {len(names)} kinds of spans"

        return self._eventually(kept)

    def alerts(self) -> str:
        """Alertmanager knows no critical alert, of whomever."""
        chosen = {
            "active": "true",
            "silenced": "false",
            "inhibited": "false",
            "filter": 'severity="critical"',
        }
        firing = self._page(ALERTMANAGER, "api/v2/alerts", **chosen)
        if firing:
            told = [f"{a['labels']['alertname']}: {a['annotations'].get('summary', '')}" for a in firing]
            raise VerificationError("; ".join(told))
        return "none"

    def _ask(self, solver: Solver) -> dict[str, Any]:
        url = self.ingress_url or self._get(solver.namespace, solver.resource)["status"].get("url")
        if not url:
            raise VerificationError("the solver has no URL: enable its Ingress, or set INGRESS_URL")

        def answered() -> dict[str, Any]:
            try:
                return ask(url, {**QUESTION, "mode": "answer"}, key=self.api_key)
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")[:500]
                message = f"{url} answered {error.code}: {said}"
                raise VerificationError(message) from error
            except OSError as error:
                message = f"{url} could not be asked: {error}"
                raise VerificationError(message) from error

        return self._eventually(answered)

    def _eventually(self, check: Callable[[], T]) -> T:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                return check()
            except (VerificationError, KubectlError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(2)

    def _page(self, service: tuple[str, str], path: str, **query: str) -> Any:
        """What a page of the monitoring stack says."""
        name, port = service
        with self.kubectl.forward(STACK, name, port) as url:
            address = f"{url}/{path}?{urlencode(query)}"
            try:
                with urllib.request.urlopen(address, timeout=30) as response:  # noqa: S310 (forwarded to here)
                    return json.load(response)
            except (OSError, ValueError) as error:
                message = f"{name} can't be asked for {path}: {error}"
                raise VerificationError(message) from error

    def _get(self, namespace: str, *what: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            self.kubectl("--namespace", namespace, "get", *what, "--output", "json")
        )
        return found
