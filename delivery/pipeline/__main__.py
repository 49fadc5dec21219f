"""`make pipeline`: run the whole Jenkinsfile, as committed, into the local cluster and its registry."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import yaml
from hack.cluster.kind import KindCluster
from hack.cluster.providers import choose
from hack.deploy import FAILURES, seed_model
from hack.git import revision
from hack.installation import SAMPLE
from hack.monitoring import local_images
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress

from delivery.pipeline.job import run
from delivery.pipeline.local import local_job

if TYPE_CHECKING:
    from hack.cluster.providers import Provider

    from delivery.pipeline.job import Job

HOME = CACHE / "pipeline"


def pipeline_job(cluster: Provider, commit: str) -> Job:
    """Return the job "mcq-operator" for a commit of this checkout, with what the local cluster can't download."""
    solver = yaml.safe_load(SAMPLE.read_text())
    metadata = solver["metadata"]
    seed_model(cluster, metadata["namespace"], f"{metadata['name']}-model-cache")
    environment = {}
    if isinstance(cluster, KindCluster):
        HOME.mkdir(parents=True, exist_ok=True)
        images = HOME / "monitoring-images.json"
        images.write_text(json.dumps(local_images(cluster)))
        environment["MONITORING_IMAGES"] = str(images)
    url = f"http://{solver['spec']['ingress']['host']}:8080"
    scm = {"url": str(ROOT), "revision": commit}
    parameters: dict[str, str | bool] = {"INGRESS_URL": url}
    return local_job(cluster, "mcq-operator", HOME, scm, parameters=parameters, environment=environment)


def main() -> None:
    """Run one build of the job "mcq-operator"; exit with 1 if it fails, or with the error that prevented it."""
    progress = Progress()
    commit = revision(ROOT)
    if commit.endswith("-dirty"):
        progress.say("Files differ from the last commit: the pipeline takes the commit, as Jenkins would.")
    try:
        cluster = choose(progress)
        cluster.up()
        build = run(pipeline_job(cluster, commit.removesuffix("-dirty")))
    except (*FAILURES, OSError) as error:
        sys.exit(f"\n{error}")
    progress.say(f"\nBuild {build.number} and its artifacts: {build.directory}")
    progress.say("The cluster is still up: `make down` removes it.")
    sys.exit(build.result != "SUCCESS")


if __name__ == "__main__":
    main()
