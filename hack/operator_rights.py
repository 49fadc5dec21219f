"""Prepares an API server for an operator outside the cluster: CRDs, rights, and a kubeconfig of its account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from hack.kubectl import wait_established
from hack.toolchain.paths import ROOT
from mcq_operator.api.kinds import RECONCILED
from mcq_operator.api.rbac import NAME, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def install(kubectl: Callable[..., str]) -> None:
    """Install the CRDs and the operator's rights."""
    for what in ("-k", "config/crds"), ("-f", "config/operator/namespace.yaml"), ("-k", "config/rbac"):
        kubectl("apply", "--server-side", "--force-conflicts", what[0], str(ROOT / what[1]))
    wait_established(kubectl, [f"{kind.plural}.{kind.group}" for kind in RECONCILED])


def kubeconfig(kubectl: Callable[..., str], path: Path, *, home: str = NAMESPACE) -> Path:
    """Write a kubeconfig for the operator's service account in namespace `home`, valid for hours; return its path."""
    token = kubectl("create", "token", NAME, "-n", home, "--duration=8h").strip()
    config = yaml.safe_load(kubectl("config", "view", "--raw", "--minify", "--flatten"))
    config["users"][0]["user"] = {"token": token}
    path.write_text(yaml.safe_dump(config))
    return path
