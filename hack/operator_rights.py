"""An API server made ready for operators that run outside of it: the CRDs, the rights, a kubeconfig of the account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from hack.kubectl import wait_established
from mcq_operator.models.kinds import RECONCILED
from mcq_operator.models.rbac import NAME, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent


def install(kubectl: Callable[..., str]) -> None:
    """Have the CRDs and the operator's rights in the cluster."""
    for what in ("-k", "config/crds"), ("-f", "config/operator/namespace.yaml"), ("-k", "config/rbac"):
        kubectl("apply", "--server-side", "--force-conflicts", what[0], str(ROOT / what[1]))
    wait_established(kubectl, [f"{kind.plural}.{kind.group}" for kind in RECONCILED])


def kubeconfig(kubectl: Callable[..., str], path: Path, *, home: str = NAMESPACE) -> Path:
    """Write a kubeconfig of the operator's service account in namespace `home`, good for hours."""
    token = kubectl("create", "token", NAME, "-n", home, "--duration=8h").strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(config))
    return path
