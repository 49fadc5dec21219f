"""Direct requests to an API server."""

from __future__ import annotations

import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hack.control_plane.certificates import Authority


@dataclass(frozen=True)
class Api:
    """An API server, queried with the administrator's certificate."""

    server: str
    authority: Authority

    def serves(self, path: str) -> bool:
        """Return True if a GET of `path` succeeds. Raises OSError if the server does not answer."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        context.load_cert_chain(self.authority.path("kubeconfig.crt"), self.authority.path("kubeconfig.key"))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(f"{self.server}{path}", timeout=5):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            return False


def listening(host: str, port: int) -> bool:
    """Return True if a process accepts connections there."""
    with socket.create_connection((host, port), timeout=2):
        return True
