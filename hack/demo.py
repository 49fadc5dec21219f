"""From a fresh machine to an answered question: `python -m hack.demo`.

Creates cluster, images, operator and the sample MCQSolver, then asks a question through its Ingress. MONITORING=1 in
the environment adds the monitoring stack, with metrics, traces, dashboards and alerts of the solver.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hack.ask import PATH, QUESTION, ask, render
from hack.deploy import FAILURES, deploy, seed_model
from hack.errors import SettingError
from hack.images.build import LOCAL
from hack.installation import MONITORED_SAMPLE, SAMPLE, apply_solver, solvers_of, wait_ready
from hack.monitoring import monitoring, page
from hack.settings import flag
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

READY_SECONDS = 900
PORT = 8080


def demo(progress: Progress) -> None:
    """Run all steps, and print the answer. Raises SettingError for another cluster, and one of FAILURES."""
    if os.environ.get("CLUSTER", "kind") not in ("", "kind"):
        # Its Ingress is not on this machine, and the model's volume neither.
        raise SettingError(
            "`make demo` needs the local cluster: unset CLUSTER. For yours, see README, Your cluster."
        )
    started = time.monotonic()
    with early_start():
        deployed = deploy(progress)
    monitored = flag(os.environ, "MONITORING")
    if monitored:
        progress.say("Monitoring")
        monitoring(deployed, progress)
    [manifest] = solvers_of(deployed.kubectl, MONITORED_SAMPLE if monitored else SAMPLE)
    name, namespace = manifest["metadata"]["name"], manifest["metadata"]["namespace"]
    host = manifest["spec"]["ingress"]["host"]
    progress.say("Model")
    seed_model(deployed.provider, namespace, f"{name}-model-cache")
    solver = apply_solver(deployed.kubectl, manifest)
    with progress.step(f"MCQSolver {name} is Ready"):
        wait_ready(deployed.kubectl, solver, seconds=READY_SECONDS)
    url = f"http://{host}:{PORT}"
    with progress.step("ask a question through the Ingress"):
        answer = ask(url, QUESTION)
    print(f"\n{render(QUESTION, answer)}\n")
    print(deployed.kubectl("--namespace", namespace, "get", "mcqsolver", name))
    print(f"URL:       {url}")
    if monitored:
        trace = f"/trace/{answer['trace_id']}"
        print(f"trace:     {page(deployed, 'jaeger', trace)}")
        print(f"metrics:   {page(deployed, 'prometheus', '/alerts')}")
        print(f"alerts:    {page(deployed, 'alertmanager')}")
    print(
        f"kubectl:   export KUBECONFIG={deployed.provider.kubeconfig()}; {deployed.provider.kubectl()} get mcq"
    )
    print(f"ask again: {curl(url)}")
    print(f"stop:      make down\n\nDone in {time.monotonic() - started:.0f} s.")


@contextmanager
def early_start() -> Iterator[None]:
    """Fetch the weights and build the images in the background: the first time, the cluster's programs compile then.

    Later steps find the results, or try again and report the error.
    """
    commands = ([ROOT / "hack/model"], [sys.executable, "-m", "hack.images", *LOCAL])
    started = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for command in commands
    ]
    try:
        yield
    except BaseException:
        for process in started:
            process.terminate()
        raise
    finally:
        for process in started:
            process.wait()


def curl(url: str) -> str:
    """Return the command line that asks the question again."""
    return f"curl -s {url}{PATH} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(QUESTION))}"


def main() -> None:
    """Run the demo, or exit with the error."""
    try:
        demo(Progress())
    except (*FAILURES, OSError) as error:
        output = (
            f"\n{error.stderr}" if isinstance(error, subprocess.CalledProcessError) and error.stderr else ""
        )
        sys.exit(f"\n{error}{output}")


if __name__ == "__main__":
    main()
