"""Check a delivery's settings before anything is built: an invalid one would fail a stage after all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hack.errors import SettingError
from hack.images.platforms import target_platforms
from hack.installation import solvers_of
from hack.kubectl import Kubectl

if TYPE_CHECKING:
    from delivery.settings import Settings


def check_parameters(settings: Settings) -> list[str]:
    """Return the settings as NAME=VALUE lines. Raises SettingError, InstallError or ImageError for an invalid one."""
    # Without a cluster: kubectl only builds the kustomization, if SOLVER is one.
    solvers = solvers_of(Kubectl(Path("kubectl"), Path(os.devnull)), settings.solver)
    names = [f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in solvers]
    if settings.ingress_url and len(names) > 1:
        raise SettingError(
            f"INGRESS_URL is the address of one solver, but SOLVER has {len(names)}: leave it out. Then each is "
            "asked at the URL in its status."
        )
    return [
        f"REGISTRY={settings.registry}",
        f"TAG={settings.tag}",
        f"PLATFORMS={','.join(target_platforms())}",
        f"ENVIRONMENT={settings.overlay.name}",
        f"SOLVER={settings.solver} ({', '.join(names)})",
        f"MONITORING={int(settings.monitoring)}",
        f"OSV_DATABASE={settings.osv_database or 'none: Scan scans nothing'}",
        f"SCAN_REQUIRED={int(settings.scan_required)}",
        f"VERIFY_SECONDS={settings.verify_seconds:g}",
    ]
