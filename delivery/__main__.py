"""`python -m delivery STAGE`: run one stage of the delivery pipeline, configured by the environment."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from hack.cluster.providers import choose
from hack.deploy import FAILURES
from hack.images.sbom import sbom_paths
from hack.installation import Solver, solvers_of
from hack.kubectl import Kubectl
from hack.toolchain.progress import Progress

from delivery.chart import write_chart
from delivery.deployment_checks import Verification
from delivery.diagnostics import diagnostics
from delivery.install import PREVIOUS, install, installed_at
from delivery.installer import write_installer
from delivery.parameters import check_parameters
from delivery.push import push
from delivery.pushed_images import RECORD, read_images
from delivery.rollback import rollback
from delivery.scan import scan
from delivery.settings import Key, Settings
from delivery.signing.sign import PUBLIC_KEY, sign

if TYPE_CHECKING:
    from collections.abc import Callable


def _parameters(settings: Settings, _: Progress) -> None:
    print("\n".join(check_parameters(settings)))


def _scan(settings: Settings, _: Progress) -> None:
    print("\n".join(scan(settings, list(sbom_paths()))))


def _push(settings: Settings, progress: Progress) -> None:
    images = push(settings, progress)
    print(f"{images.operator}\n{images.service}\nkept in {RECORD}")


def _sign(settings: Settings, progress: Progress) -> None:
    sign(settings, read_images(), progress)
    if isinstance(settings.signer, Key):
        print(f"the public key is in {PUBLIC_KEY}")


def _install(settings: Settings, progress: Progress) -> None:
    # A failure before the install must not roll back the install before it.
    PREVIOUS.unlink(missing_ok=True)
    kubectl = _kubectl(progress)
    install(kubectl, read_images(), settings.overlay, settings.solver, progress)


def _verify(settings: Settings, progress: Progress) -> None:
    kubectl = _kubectl(progress)
    solvers = _solvers(settings, kubectl)
    check = Verification(
        kubectl, read_images(), solvers, settings.ingress_url, settings.api_key, settings.verify_seconds,
        since=installed_at(),
    )  # fmt: skip
    check.run(progress, monitoring=settings.monitoring)


def _rollback(_: Settings, progress: Progress) -> None:
    rollback(_kubectl(progress), progress)


def _diagnostics(settings: Settings, progress: Progress) -> None:
    kubectl = _kubectl(progress)
    solvers = _solvers(settings, kubectl)
    print(diagnostics(kubectl, [solver.namespace for solver in solvers], progress))


def _installer(settings: Settings, progress: Progress) -> None:
    print(write_installer(_kubectl(progress), read_images(), settings.overlay))


def _chart(_: Settings, __: Progress) -> None:
    print(write_chart(read_images() if RECORD.exists() else None))


STAGES: dict[str, Callable[[Settings, Progress], None]] = {
    "parameters": _parameters,
    "scan": _scan,
    "push": _push,
    "sign": _sign,
    "install": _install,
    "verify": _verify,
    "rollback": _rollback,
    "diagnostics": _diagnostics,
    "installer": _installer,
    "chart": _chart,
}


def _kubectl(progress: Progress) -> Kubectl:
    provider = choose(progress)
    return Kubectl(provider.kubectl(), provider.kubeconfig())


def _solvers(settings: Settings, kubectl: Kubectl) -> list[Solver]:
    return [Solver.of(manifest) for manifest in solvers_of(kubectl, settings.solver)]


def main() -> None:
    """Run one stage, or exit with the error."""
    parser = argparse.ArgumentParser(prog="python -m delivery", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    stage = parser.parse_args().stage
    try:
        STAGES[stage](Settings(os.environ), Progress())
    except (*FAILURES, OSError) as error:
        sys.exit(f"\n{error}")


if __name__ == "__main__":
    main()
