"""A client of the tests' API server with one connection: a test that polls starts no kubectl for each read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from kubernetes import client, config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """The REST resource of a kind."""

    prefix: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str = "") -> str:
        """Return the path of an object, or of all objects."""
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Server:
    """Reads and writes objects; accepts every name of a kind that kubectl accepts."""

    def __init__(self, kubeconfig: Path) -> None:
        """Connect with the first request."""
        configuration = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        self._api = client.ApiClient(configuration)
        self._resources: dict[str, Resource] = {}

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        """Return an object, or None. Raises ApiException."""
        return self._request("GET", self._resource(kind).path(namespace, name), missing_ok=True)

    def list(self, kind: str, namespace: str, labels: str = "") -> list[dict[str, Any]]:
        """Return the objects of a namespace with these labels. Raises ApiException."""
        listing = self._request("GET", self._resource(kind).path(namespace), query={"labelSelector": labels})
        assert listing is not None
        items: list[dict[str, Any]] = listing["items"]
        return items

    def apply(self, manifest: dict[str, Any], namespace: str) -> None:
        """Apply an object on the server side, with all fields that a test sets. Raises ApiException."""
        path = self._resource(manifest["kind"]).path(namespace, manifest["metadata"]["name"])
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict"}
        self._request("PATCH", path, manifest, query=query, content_type="application/apply-patch+yaml")

    def patch(self, kind: str, name: str, namespace: str, change: dict[str, Any], subresource: str) -> None:
        """Merge a change into an object or its subresource. Raises ApiException."""
        path = self._resource(kind).path(namespace, name) + (f"/{subresource}" if subresource else "")
        self._request("PATCH", path, change, content_type="application/merge-patch+json")

    def create_namespace(self, name: str) -> None:
        """Create a namespace. Raises ApiException."""
        self._request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def delete_namespace(self, name: str) -> None:
        """Delete a namespace without waiting for its objects. Raises ApiException."""
        self._request("DELETE", f"/api/v1/namespaces/{name}")

    def _resource(self, kind: str) -> Resource:
        if kind not in self._resources:
            # If two groups share a name, the first one wins, as in kubectl.
            self._resources = dict(reversed(list(self._discovered())))
        assert kind in self._resources, f"the API server has no {kind}"
        return self._resources[kind]

    def _discovered(self) -> Iterator[tuple[str, Resource]]:
        for root in "/api", "/apis":
            discovery = self._request("GET", root, accept=DISCOVERY)
            assert discovery is not None
            for group in discovery["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    prefix = "/".join(filter(None, (root, name, version["version"])))
                    for each in version["resources"]:
                        resource = Resource(prefix, each["resource"], each["scope"] == "Namespaced")
                        plural, kind = each["resource"], each["responseKind"]["kind"]
                        aliases = plural, each.get("singularResource", ""), kind, *each.get("shortNames", ())
                        for alias in aliases:
                            yield alias, resource
                            yield f"{alias}.{name}", resource

    def _request(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        missing_ok: bool = False,
        accept: str = "application/json",
        content_type: str = "application/json",
    ) -> dict[str, Any] | None:
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "Content-Type": content_type}
        response = self._api.call_api(method, url, header_params=headers, body=body)
        content = response.read()
        if missing_ok and response.status == 404:
            return None
        if response.status >= 400:
            raise client.ApiException(http_resp=response)
        document: dict[str, Any] = json.loads(content)
        return document
