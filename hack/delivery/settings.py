"""The settings of a delivery: environment variables, as Jenkins hands its parameters to what it runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.delivery.errors import SettingError
from hack.git import revision

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = ROOT / "config/default"
OVERLAYS = ROOT / "config/overlays"
SAMPLE = ROOT / "config/samples/mcqsolver.yaml"
MONITORED_SAMPLE = SAMPLE.with_name("mcqsolver-monitored.yaml")
YES, NO = ("1", "true", "yes"), ("", "0", "false", "no")


@dataclass(frozen=True)
class Settings:
    """What a person or Jenkins has set."""

    environment: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Settings:
        """Those of this process."""
        return cls(os.environ)

    @property
    def registry(self) -> str:
        """Where images are pushed to and pulled from, HOST[:PORT][/PATH]. Raises SettingError if it isn't set."""
        found = self._text("REGISTRY").rstrip("/")
        if not found:
            raise SettingError("Set REGISTRY to where the images go, HOST[:PORT][/PATH].")
        return found

    @property
    def registry_login(self) -> tuple[str, str] | None:
        """User and password for the registry, if it wants any."""
        user = self._text("REGISTRY_USER")
        return (user, self._text("REGISTRY_PASSWORD")) if user else None

    @property
    def signing_key(self) -> str:
        """The key that images are signed with: a file, or where a key management service has it (awskms://…, k8s://…).
        Raises SettingError if it isn't set."""
        found = self._text("COSIGN_KEY")
        if not found:
            raise SettingError(
                "Set COSIGN_KEY to the private key, a file as `cosign generate-key-pair` makes it or a KMS address."
            )
        return found

    @property
    def tag(self) -> str:
        """The tag of pushed images; by default the commit."""
        return self._text("TAG") or revision(ROOT)[:12]

    @property
    def overlay(self) -> Path:
        """The kustomization that is installed: config/default, or that of ENVIRONMENT. Raises SettingError."""
        name = self._text("ENVIRONMENT")
        known = sorted(path.name for path in OVERLAYS.iterdir())
        if name and name not in known:
            message = f"ENVIRONMENT={name} is unknown: {', '.join(known)}, or unset for config/default."
            raise SettingError(message)
        return OVERLAYS / name if name else DEFAULT

    @property
    def monitoring(self) -> bool:
        """Whether the monitoring stack is part of it. Raises SettingError for what is neither yes nor no."""
        value = self._text("MONITORING").lower()
        if value not in (*YES, *NO):
            message = f"MONITORING={value} can't be meant: 1 or 0."
            raise SettingError(message)
        return value in YES

    @property
    def solver(self) -> Path:
        """The file or kustomization of the MCQSolver to apply; by default the sample, watched where there is
        monitoring. Raises SettingError if there is no such file."""
        path = Path(self._text("SOLVER") or (MONITORED_SAMPLE if self.monitoring else SAMPLE))
        if not path.exists():
            message = f"SOLVER={path} is no file and no folder."
            raise SettingError(message)
        return path

    @property
    def ingress_url(self) -> str | None:
        """Where the Ingress is asked, if not at the address that the solver's status has."""
        return self._text("INGRESS_URL") or None

    @property
    def patience(self) -> float:
        """For how many seconds verify waits for what takes a while: an Ingress, a scrape, a trace."""
        text = self._text("VERIFY_SECONDS") or "180"
        try:
            return float(text)
        except ValueError:
            message = f"VERIFY_SECONDS={text} is no number of seconds."
            raise SettingError(message) from None

    @property
    def api_key(self) -> str | None:
        """The key for a solver that wants one."""
        return self._text("MCQ_API_KEY") or None

    def _text(self, name: str) -> str:
        return self.environment.get(name, "").strip()
