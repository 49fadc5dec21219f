"""CRDs of optional programs, from the pinned Go modules in hack/toolchain/modules/apis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from hack.toolchain.commands import run
from hack.toolchain.go_modules import MODULES, require_go

if TYPE_CHECKING:
    from collections.abc import Mapping

KEDA = "github.com/kedacore/keda/v2"
PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
GATEWAY_API = "sigs.k8s.io/gateway-api"

FILES: Mapping[str, str] = {
    KEDA: "config/crd/bases/keda.sh_*.yaml",
    PROMETHEUS_OPERATOR: "example/prometheus-operator-crd/*.yaml",
    GATEWAY_API: "config/crd/standard/*.yaml",
}
"""The files of each module's CRDs."""


def directory(module: str, *, pinned_in: str = "apis") -> Path:
    """Return the module's source folder; download it if it is missing."""
    require_go()
    module_info = json.loads(
        run(["go", "mod", "download", "-json", module], cwd=MODULES / pinned_in, timeout=600)
    )
    return Path(module_info["Dir"])


def files(module: str) -> list[Path]:
    """Return the manifests of the module's CRDs."""
    return sorted(directory(module).glob(FILES[module]))
