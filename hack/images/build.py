"""Builds the product's two images: `python -m hack.images`."""

from __future__ import annotations

import os
from pathlib import Path

from hack.images.base import base_image
from hack.images.builder import builder

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = ("operator", "service")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def tag(program: str) -> str:
    """The local name of a program's image."""
    return f"localhost/mcq-{program}:dev"


def build() -> None:
    """Build both images from this checkout; what has not changed comes from the layer cache.

    TORCH_BACKEND=cpu in the environment picks torch's build without CUDA for the service.
    Raises ImageError if a build fails.
    """
    secrets = {"ca-certificates": CERTIFICATES} if CERTIFICATES.exists() else {}
    base = base_image()
    for program in PROGRAMS:
        arguments = {"BASE": base}
        backend = os.environ.get("TORCH_BACKEND")
        if program == "service" and backend:
            arguments["TORCH_BACKEND"] = backend
        builder().build(ROOT / f"Dockerfile.{program}", ROOT, tag(program), arguments, secrets=secrets)
