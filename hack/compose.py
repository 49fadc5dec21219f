"""Docker Compose with local builds of images that can't be pulled: `python -m hack.compose up|down`.

`up` returns when the API, Prometheus, Alertmanager and Jaeger are healthy. It omits Grafana, which is not a Go module
and can't be built; `docker compose --profile grafana up` starts it where its image can be pulled.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from hack.images import docker, engine, programs
from hack.images.build import build, tag, version
from hack.toolchain.commands import run
from hack.toolchain.errors import CommandError, ToolError
from hack.toolchain.paths import ROOT
from hack.toolchain.progress import Progress

IMAGES = (programs.PROMETHEUS, programs.ALERTMANAGER, programs.JAEGER)
START_SECONDS = 600
COMPOSE = ("docker", "compose", f"--project-directory={ROOT}", f"--file={ROOT}/compose.yaml")


def up(progress: Progress) -> None:
    """Prepare images and model, and start the services. Raises ToolError, ImageError or CalledProcessError.

    The service uses this machine's prepared models and downloads nothing.
    """
    engine.ensure(progress)
    engine.ensure_compose(progress)
    programs.ensure(IMAGES, progress)
    build(["service"])
    docker.quiet(["docker", "tag", tag("service"), f"mcq-service:{version()}"])
    with progress.step("weights"):
        prepared = subprocess.run([ROOT / "hack/model"], stdout=subprocess.PIPE, text=True, check=True).stdout
    models = str(Path(prepared.strip()).parent)
    compose("up", "--no-build", "--wait", f"--wait-timeout={START_SECONDS}", MCQ_MODELS=models)


def compose(*arguments: str, **environment: str) -> None:
    """Run `docker compose` for this checkout, with its output on stderr. Raises CommandError."""
    command = [*COMPOSE, *arguments]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        message = f"Exit code {done.returncode} from: {' '.join(command)}; see `docker compose logs`."
        raise CommandError(message)


def api_address() -> str:
    """Return HOST:PORT of the running API; MCQ_API_PORT may come from .env. Raises CommandError."""
    return run([*COMPOSE, "port", "api", "8000"]).strip()


def main() -> None:
    """Run one command, or exit with the error."""
    parser = argparse.ArgumentParser(prog="python -m hack.compose", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    try:
        if parser.parse_args().command == "down":
            compose("--profile=grafana", "down")
            engine.stop(Progress())
            return
        up(Progress())
        address = api_address()
    except (ToolError, docker.ImageError, subprocess.CalledProcessError) as error:
        sys.exit(f"\n{error}")
    print(f"http://{address} answers. Stop it with `make compose-down`.")


if __name__ == "__main__":
    main()
