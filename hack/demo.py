"""From a fresh machine to an answered question: `python -m hack.demo`.

Cluster, images, operator, the sample MCQSolver; then a question through its Ingress. With MONITORING=1 in the
environment also the monitoring stack, which scrapes, traces, draws and warns of the solver.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import yaml

from hack.ask import PATH, QUESTION, ask, render
from hack.cluster.progress import Progress
from hack.deploy import FAILURES, ROOT, deploy, seed_model
from hack.monitoring import NAMESPACE as MONITORING_NAMESPACE
from hack.monitoring import PAGES, monitoring

if TYPE_CHECKING:
    from hack.kubectl import Kubectl

SAMPLE = ROOT / "config/samples/mcqsolver.yaml"
READY_SECONDS = 900
PORT = 8080
WATCHED = {
    "monitoring": {
        "serviceMonitor": {"enabled": True, "intervalSeconds": 5},
        "alerts": {"enabled": True},
        "dashboards": {"enabled": True},
    },
    "tracing": {"enabled": True, "endpoint": f"http://jaeger.{MONITORING_NAMESPACE}.svc:4318"},
}


def demo(progress: Progress) -> None:
    """Run it all, and print the answer."""
    started = time.monotonic()
    deployed = deploy(progress)
    solver = yaml.safe_load(SAMPLE.read_text())
    name, namespace = solver["metadata"]["name"], solver["metadata"]["namespace"]
    host = solver["spec"]["ingress"]["host"]
    watched = bool(os.environ.get("MONITORING"))
    if watched:
        progress.say("Monitoring")
        monitoring(deployed, progress)
        solver["spec"] |= WATCHED
    progress.say("Model")
    seed_model(deployed.provider, namespace, f"{name}-model-cache")
    deployed.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump(solver))
    with progress.step(f"MCQSolver {name} is Ready"):
        wait_ready(deployed.kubectl, namespace, name)
    url = f"http://{host}:{PORT}"
    with progress.step("ask a question through the Ingress"):
        answer = ask(url, QUESTION)
    print(f"\n{render(QUESTION, answer)}\n")
    print(deployed.kubectl("--namespace", namespace, "get", "mcqsolver", name))
    print(f"URL:       {url}")
    if watched:
        print(f"trace:     {PAGES['jaeger']}/trace/{answer['trace_id']}")
        print(f"metrics:   {PAGES['prometheus']}/alerts and {PAGES['alertmanager']}")
    print(
        f"kubectl:   export KUBECONFIG={deployed.provider.kubeconfig()}; {deployed.provider.kubectl()} get mcq"
    )
    print(f"ask again: {curl(url)}")
    print(f"stop:      make down\n\nDone in {time.monotonic() - started:.0f} s.")


def wait_ready(kubectl: Kubectl, namespace: str, name: str) -> None:
    """Wait for the solver's Ready condition; raises KubectlError with all conditions if it does not come."""
    resource = f"mcqsolver/{name}"
    try:
        kubectl(
            "--namespace", namespace, "wait", resource, "--for=condition=Ready", f"--timeout={READY_SECONDS}s",
            timeout=READY_SECONDS + 30,
        )  # fmt: skip
    except FAILURES:
        print(kubectl("--namespace", namespace, "describe", resource), file=sys.stderr)
        print(kubectl("--namespace", namespace, "get", "pods", "-o", "wide"), file=sys.stderr)
        raise


def curl(url: str) -> str:
    """The command line that asks the question again."""
    return f"curl -s {url}{PATH} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(QUESTION))}"


def main() -> int:
    """Run the demo, or exit with what failed."""
    progress = Progress()
    try:
        demo(progress)
    except (*FAILURES, OSError) as error:
        said = (
            f"\n{error.stderr}" if isinstance(error, subprocess.CalledProcessError) and error.stderr else ""
        )
        print(f"\n{error}{said}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
