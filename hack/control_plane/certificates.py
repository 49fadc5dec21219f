"""The cluster's certificate authority, certificates and kubeconfigs, created with openssl."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hack.toolchain.commands import run

if TYPE_CHECKING:
    from pathlib import Path

DAYS = "3650"
_CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Authority:
    """A folder with a certificate authority and its certificates."""

    directory: Path

    @property
    def certificate(self) -> Path:
        """The certificate that clients and servers trust."""
        return self.directory / "ca.crt"

    def path(self, name: str) -> Path:
        """Return the path of a file in the folder."""
        return self.directory / name

    def create(self) -> None:
        """Create the authority and the signing key of service account tokens, unless they exist."""
        if self.certificate.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        service_accounts = self.path("service-accounts.key")
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", service_accounts])
        subject = ["-subj", "/CN=mcq-cluster-ca", "-days", DAYS]
        extensions = ["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]
        key: list[str | Path] = ["-keyout", self.path("ca.key")]
        partial = self.path("ca.crt.tmp")
        run(["openssl", "req", "-x509", *_CURVE, *subject, *extensions, *key, "-out", partial])
        partial.rename(self.certificate)

    def issue(
        self, name: str, *, user: str, group: str = "", addresses: tuple[str, ...] = ()
    ) -> tuple[Path, Path]:
        """Create `<name>.crt` and `<name>.key` for `user` (CN) in `group` (O); return both paths.

        With `addresses`, in openssl's syntax (`IP:127.0.0.1`), the certificate is also a server's.
        """
        certificate, key = self.path(f"{name}.crt"), self.path(f"{name}.key")
        if certificate.exists():
            return certificate, key
        extensions = f"extendedKeyUsage=clientAuth{',serverAuth' if addresses else ''}\n"
        if addresses:
            extensions += f"subjectAltName={','.join(addresses)}\n"
        extension_file, request = self.path(f"{name}.ext"), self.path(f"{name}.csr")
        extension_file.write_text(extensions)
        subject = f"/O={group}/CN={user}" if group else f"/CN={user}"
        run(["openssl", "req", "-new", *_CURVE, "-subj", subject, "-keyout", key, "-out", request])
        partial = self.path(f"{name}.crt.tmp")
        signer: list[str | Path] = ["-CA", self.certificate, "-CAkey", self.path("ca.key"), "-CAcreateserial"]
        files: list[str | Path] = ["-in", request, "-extfile", extension_file, "-out", partial]
        run(["openssl", "x509", "-req", *files, *signer, "-days", DAYS])
        partial.rename(certificate)
        extension_file.unlink()
        request.unlink()
        return certificate, key

    def kubeconfig(self, path: Path, *, server: str, user: str, group: str = "") -> Path:
        """Write a kubeconfig for `user` as JSON, which is YAML; it refers to the certificates by path."""
        certificate, key = self.issue(path.name, user=user, group=group)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "mcq",
            "clusters": [
                {"name": "mcq", "cluster": {"server": server, "certificate-authority": str(self.certificate)}}
            ],
            "users": [
                {"name": user, "user": {"client-certificate": str(certificate), "client-key": str(key)}}
            ],
            "contexts": [{"name": "mcq", "context": {"cluster": "mcq", "user": user}}],
        }
        text = json.dumps(config, indent=1)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        path.chmod(0o600)
        return path
