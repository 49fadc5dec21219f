"""The checkout, and directories that the tools keep between runs."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("MCQ_CACHE") or Path.home() / ".cache/mcq-operator")
CLUSTER = CACHE / "cluster"
VOLUMES = CLUSTER / "volumes"
"""`<namespace>/<claim>` directories of the local cluster's default StorageClass. They outlive the cluster."""
