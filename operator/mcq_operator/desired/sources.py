"""Sources of models and questions outside the image: volumes of claims and images, and credentials."""

from typing import Any, NamedTuple

from mcq_operator.api.replica import SecretName


class MountedPath(NamedTuple):
    """A path in a volume that Pods mount read-only.

    Attributes:
        name: the volume's unique name, usable in a path.
        path: inside the volume; empty for its root.
        volume: the volume's source, as in a Pod.

    """

    name: str
    path: str
    volume: dict[str, Any]


def mounted(uri: str) -> MountedPath | None:
    """Return the volume of a pvc:// or oci:// address; None for any other."""
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        # A mount path must not contain the colon of a tag.
        image = {"image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
        return MountedPath(rest.replace(":", "-").replace("/", "-").replace("@", "-"), "", image)
    if scheme == "pvc":
        claim, _, path = rest.partition("/")
        return MountedPath(claim, path, {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return None


def env_from(credentials: SecretName | None) -> list[dict[str, Any]] | None:
    """Return the Secret's keys as environment variables. Only the kubelet reads the Secret."""
    return [{"secretRef": {"name": credentials.name}}] if credentials else None
