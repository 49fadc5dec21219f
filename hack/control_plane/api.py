"""Direct requests to an API server."""

from __future__ import annotations

import json
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hack.control_plane.certificates import Authority


@dataclass(frozen=True)
class Api:
    """An API server, queried with the administrator's certificate."""

    server: str
    authority: Authority

    def get(self, path: str) -> Any:
        """Return the JSON at `path`, or None if it does not exist. Raises OSError if the server does not answer."""
        answer = self._fetch(path)
        return None if answer is None else json.loads(answer)

    def ready(self) -> bool:
        """Return True if /readyz reports ready."""
        return self._fetch("/readyz") is not None

    def _fetch(self, path: str) -> bytes | None:
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(self.authority.path("kubeconfig.crt"), self.authority.path("kubeconfig.key"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"{self.server}{path}", timeout=5) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            error.close()
            return None


def listening(host: str, port: int) -> bool:
    """Return True if a process accepts connections there."""
    with socket.create_connection((host, port), timeout=2):
        return True
