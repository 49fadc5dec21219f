"""The settings of a delivery: environment variables, as Jenkins passes its parameters."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.errors import SettingError
from hack.git import revision
from hack.installation import DEFAULT, MONITORED_SAMPLE, SAMPLE
from hack.settings import flag
from hack.toolchain.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

OVERLAYS = ROOT / "config/overlays"
SAMPLED = ("", "dev")
"""The environments that get a sample solver if SOLVER is empty."""
TAG_PATTERN = re.compile(r"\w[\w.-]{0,127}", re.ASCII)


@dataclass(frozen=True)
class Key:
    """A private key: a file, or its address in a key management service (awskms://…, k8s://…)."""

    key: str


@dataclass(frozen=True)
class Identity:
    """An OpenID identity. cosign itself reads the token from SIGSTORE_ID_TOKEN."""

    issuer: str


@dataclass(frozen=True)
class Settings:
    """The settings from an environment."""

    environment: Mapping[str, str]

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
    def signer(self) -> Key | Identity:
        """Who signs: the identity of SIGSTORE_ID_TOKEN, else the key COSIGN_KEY.

        Raises SettingError if neither is set.
        """
        if token := self._text("SIGSTORE_ID_TOKEN"):
            return Identity(_issuer(token))
        if key := self._text("COSIGN_KEY"):
            return Key(key)
        raise SettingError(
            "Set COSIGN_KEY to a private key (a file from `cosign generate-key-pair`, or a KMS address),"
            " or set SIGSTORE_ID_TOKEN to an identity's token."
        )

    @property
    def release_store(self) -> str | None:
        """Where a release's files are copied to, s3://BUCKET[/PREFIX]. Raises SettingError for another address."""
        address = self._text("RELEASE_STORE")
        if address and not re.match(r"s3://[^/]", address):
            message = f"RELEASE_STORE={address} can't be used: give s3://BUCKET or s3://BUCKET/PREFIX."
            raise SettingError(message)
        return address or None

    @property
    def tag(self) -> str:
        """The tag of pushed images; by default the commit, with "-dirty" if files differ from it.

        Raises SettingError if a registry would refuse it.
        """
        commit, dash, dirty = revision(ROOT).partition("-")
        tag = self._text("TAG") or f"{commit[:12]}{dash}{dirty}"
        if not TAG_PATTERN.fullmatch(tag):
            raise SettingError(f"TAG={tag} is not a tag: use letters, digits, '_', '.' and '-', at most 128.")
        return tag

    @property
    def overlay(self) -> Path:
        """The kustomization to install: config/default, or ENVIRONMENT's overlay. Raises SettingError."""
        name = self._text("ENVIRONMENT")
        known = sorted(path.name for path in OVERLAYS.iterdir())
        if name and name not in known:
            message = f"ENVIRONMENT={name} is unknown: use one of {', '.join(known)}; or unset it for config/default."
            raise SettingError(message)
        return OVERLAYS / name if name else DEFAULT

    @property
    def monitoring(self) -> bool:
        """True if the delivery includes the monitoring stack. Raises SettingError for an invalid value."""
        return flag(self.environment, "MONITORING")

    @property
    def solver(self) -> Path:
        """The file or kustomization of the MCQSolvers to apply.

        Without SOLVER, an ENVIRONMENT of dev or none gets a sample; with MONITORING, the monitored one. Raises
        SettingError if it does not exist.
        """
        given, environment = self._text("SOLVER"), self._text("ENVIRONMENT")
        if not given and environment not in SAMPLED:
            message = f"Set SOLVER to a file with the MCQSolvers: ENVIRONMENT={environment} gets no sample."
            raise SettingError(message)
        path = Path(given or (MONITORED_SAMPLE if self.monitoring else SAMPLE))
        if not path.exists():
            raise SettingError(f"SOLVER={path} does not exist.")
        return path

    @property
    def osv_database(self) -> str:
        """The OSV database for the scan, a URL or a folder; empty if there is none. Raises SettingError."""
        database = self._text("OSV_DATABASE")
        if database and not re.match(r"https?://", database) and not Path(database).is_dir():
            raise SettingError(f"OSV_DATABASE={database} is neither a URL nor a folder.")
        return database

    @property
    def scan_required(self) -> bool:
        """True if a scan without a database fails. Raises SettingError for an invalid value."""
        return flag(self.environment, "SCAN_REQUIRED")

    @property
    def scan_ignored(self) -> set[str]:
        """The vulnerabilities that don't fail the scan, separated by commas or spaces."""
        return set(re.findall(r"[^\s,]+", self._text("SCAN_IGNORE")))

    @property
    def ingress_url(self) -> str | None:
        """The Ingress's URL, if it differs from the solver's status."""
        return self._text("INGRESS_URL") or None

    @property
    def verify_seconds(self) -> float:
        """The seconds that verify waits for an Ingress, a scrape or a trace."""
        text = self._text("VERIFY_SECONDS") or "180"
        try:
            return float(text)
        except ValueError:
            raise SettingError(f"VERIFY_SECONDS={text} is not a number of seconds.") from None

    @property
    def api_key(self) -> str | None:
        """The API key of a solver that requires one."""
        return self._text("MCQ_API_KEY") or None

    def _text(self, name: str) -> str:
        return self.environment.get(name, "").strip()


def _issuer(token: str) -> str:
    """Return the issuer of an OpenID token. Sigstore checks the token; this only reads it. Raises SettingError."""
    try:
        claims = token.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["iss"])
    except (ValueError, LookupError, TypeError):
        raise SettingError(
            "SIGSTORE_ID_TOKEN is not an OpenID token: set it to a JWT with an issuer."
        ) from None
