"""Runs cosign: signs images, files and attestations, and verifies each signature that it makes.

With a key no public service is involved: neither Sigstore's transparency log nor a time stamp authority. With an
identity, Sigstore's public services issue the certificate and log the signature.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.images.docker import on_this_machine
from hack.toolchain.commands import run
from hack.toolchain.paths import CACHE
from hack.toolchain.tools import Tools

from delivery.push import login_file
from delivery.settings import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hack.toolchain.progress import Progress

    from delivery.settings import Settings

SECONDS = 300.0
BUNDLE = ".sigstore.json"
"""The suffix of a file's signature."""


@dataclass(frozen=True)
class Cosign:
    """The cosign program. COSIGN_PASSWORD has the key's password, so that cosign never prompts."""

    program: Path

    @classmethod
    def built(cls, progress: Progress) -> Cosign:
        """Build cosign from its pinned Go module; the first build takes minutes. Raises ToolError."""
        tools = Tools(CACHE, progress)
        tools.build(["cosign"])
        return cls(tools.binary("cosign"))

    def __call__(self, *arguments: str | Path, **environment: str) -> str:
        """Run cosign and return its stdout. Raises CommandError with its output."""
        return run([self.program, *arguments], stdin="", timeout=SECONDS, env={**os.environ, **environment})


@dataclass(frozen=True)
class Signer:
    """Signs as one key or identity. Every method raises CommandError if it can't sign or the signature is wrong."""

    cosign: Cosign
    signing: tuple[str, ...]
    verifying: tuple[str, ...]
    login: Mapping[str, str]
    """The environment with the registry's login."""

    def image(self, reference: str) -> None:
        """Sign an image, and every platform's image of an index; the registry stores the signatures."""
        self._run("sign", *self.signing, "--recursive", "--yes", *_http(reference), reference)
        self._run("verify", *self.verifying, *_http(reference), reference)

    def attest(self, reference: str, kind: str, predicate: Path) -> None:
        """Sign a statement about an image, such as its SBOM; `kind` is cosign's name of the statement's type."""
        what = ["--type", kind]
        self._run(
            "attest", *self.signing, *what, "--predicate", predicate, "--yes", *_http(reference), reference
        )
        self._run("verify-attestation", *self.verifying, *what, *_http(reference), reference)

    def file(self, path: Path) -> Path:
        """Sign a file; return the signature's file, which lies beside it."""
        bundle = path.with_name(path.name + BUNDLE)
        self._run("sign-blob", *self.signing, "--bundle", bundle, "--yes", path)
        self._run("verify-blob", *self.verifying, "--bundle", bundle, path)
        return bundle

    def _run(self, *arguments: str | Path) -> None:
        self.cosign(*arguments, **self.login)


@contextmanager
def signer(settings: Settings, registry: str, public_key: Path, progress: Progress) -> Iterator[Signer]:
    """Yield the configured signer for images in `registry`. Write the key's public half to `public_key`.

    Raises SettingError if neither a key nor an identity is set, and ToolError.
    """
    configured = settings.signer
    cosign = Cosign.built(progress)
    with (
        login_file(registry, settings.registry_login) as auth,
        tempfile.TemporaryDirectory() as directory,
    ):
        login = {"DOCKER_CONFIG": str(auth.parent)} if auth else {}
        if isinstance(configured, Identity):
            issuer = ("--certificate-oidc-issuer", configured.issuer, "--certificate-identity-regexp", ".")
            yield Signer(cosign, (), issuer, login)
            return
        public_key.parent.mkdir(parents=True, exist_ok=True)
        public_key.write_text(cosign("public-key", "--key", configured.key))
        no_services = Path(directory) / "signing-config.json"
        no_services.write_text(cosign("signing-config", "create"))
        yield Signer(
            cosign,
            ("--key", configured.key, "--signing-config", str(no_services)),
            ("--key", str(public_key), "--insecure-ignore-tlog"),
            login,
        )


def _http(reference: str) -> list[str]:
    return ["--allow-http-registry"] if on_this_machine(reference) else []
