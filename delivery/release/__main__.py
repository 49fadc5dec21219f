"""`make release VERSION=x.y.z REGISTRY=HOST/PATH`: commit the version, build and publish it."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from hack.deploy import FAILURES
from hack.kubectl import Kubectl
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

from delivery.release.errors import ReleaseError
from delivery.release.release import prepare, publish
from delivery.settings import Settings


def main() -> None:
    """Release, or exit with the error that prevents it."""
    progress, tools = Progress(), Tools(CACHE, Progress())
    version = os.environ.get("VERSION", "")
    # A release is for every environment: its installer is config/default.
    settings = Settings({**os.environ, "TAG": version, "ENVIRONMENT": ""})
    try:
        # Raise early if a setting is missing or wrong.
        settings.registry  # noqa: B018
        settings.signer  # noqa: B018
        settings.release_store  # noqa: B018
        tools.build(["crdify", "helm", "kubernetes", "cosign", "syft"])
        prepare(ROOT, version, datetime.now(UTC).date(), tools.binary("crdify"), progress)
        kubectl = Kubectl(tools.binary("kubernetes", "kubectl"), CACHE / "no-kubeconfig")
        folder = publish(settings, version, kubectl, tools, progress)
    except (*FAILURES, ReleaseError, OSError) as error:
        sys.exit(f"\n{error}")
    print(f"{folder}\n`git push --follow-tags` publishes the commit and the tag.")
    print(
        "Then run `python -m delivery.release.record` and commit the result: the next release's upgrade test needs it."
    )


if __name__ == "__main__":
    main()
