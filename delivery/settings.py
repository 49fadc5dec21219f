"""The settings of a delivery: environment variables, as Jenkins passes its parameters."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.errors import SettingError
from hack.git import revision
from hack.installation import DEFAULT, MONITORED_SAMPLE, SAMPLE
from hack.monitoring import requested
from hack.toolchain.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAYS = ROOT / "config/overlays"


@dataclass(frozen=True)
class Settings:
    """The settings from an environment."""

    environment: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Settings:
        """Return the settings of this process's environment."""
        return cls(os.environ)

    @property
    def registry(self) -> str:
        """The registry for push and pull, HOST[:PORT][/PATH]. Raises SettingError if it is not set."""
        value = self._text("REGISTRY").rstrip("/")
        if not value:
            raise SettingError("Set REGISTRY to the registry for the images, HOST[:PORT][/PATH].")
        return value

    @property
    def registry_login(self) -> tuple[str, str] | None:
        """The registry's user and password, if set."""
        user = self._text("REGISTRY_USER")
        return (user, self._text("REGISTRY_PASSWORD")) if user else None

    @property
    def signing_key(self) -> str:
        """The signing key: a file, or its address in a key management service (awskms://…, k8s://…).
        Raises SettingError if it is not set."""
        value = self._text("COSIGN_KEY")
        if not value:
            raise SettingError(
                "Set COSIGN_KEY to the private key, a file as `cosign generate-key-pair` makes it or a KMS address."
            )
        return value

    @property
    def tag(self) -> str:
        """The tag of pushed images; by default the commit."""
        return self._text("TAG") or revision(ROOT)[:12]

    @property
    def overlay(self) -> Path:
        """The kustomization to install: config/default, or ENVIRONMENT's overlay. Raises SettingError."""
        name = self._text("ENVIRONMENT")
        known = sorted(path.name for path in OVERLAYS.iterdir())
        if name and name not in known:
            message = f"ENVIRONMENT={name} is unknown: {', '.join(known)}, or unset for config/default."
            raise SettingError(message)
        return OVERLAYS / name if name else DEFAULT

    @property
    def monitoring(self) -> bool:
        """True if the delivery includes the monitoring stack. Raises SettingError for an invalid value."""
        return requested(self.environment)

    @property
    def solver(self) -> Path:
        """The file or kustomization of the MCQSolvers to apply; by default a sample, with monitoring if enabled.
        Raises SettingError if it does not exist."""
        path = Path(self._text("SOLVER") or (MONITORED_SAMPLE if self.monitoring else SAMPLE))
        if not path.exists():
            message = f"SOLVER={path} does not exist."
            raise SettingError(message)
        return path

    @property
    def ingress_url(self) -> str | None:
        """The Ingress's URL, if it differs from the solver's status."""
        return self._text("INGRESS_URL") or None

    @property
    def patience(self) -> float:
        """The seconds that verify waits for an Ingress, a scrape or a trace."""
        text = self._text("VERIFY_SECONDS") or "180"
        try:
            return float(text)
        except ValueError:
            message = f"VERIFY_SECONDS={text} is not a number of seconds."
            raise SettingError(message) from None

    @property
    def api_key(self) -> str | None:
        """The API key of a solver that requires one."""
        return self._text("MCQ_API_KEY") or None

    def _text(self, name: str) -> str:
        return self.environment.get(name, "").strip()
