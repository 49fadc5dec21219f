"""Where Pods get a model or questions from that are neither in their image nor the hub's: credentials, and claims."""

from typing import Any, NamedTuple

from mcq_operator.models.replica import SecretName


class Mounted(NamedTuple):
    """A path of a volume that is only read.

    Attributes:
        name: what tells the volume from others, fit for a path.
        path: inside the volume; empty for its root.
        volume: its source, as a Pod has it.

    """

    name: str
    path: str
    volume: dict[str, Any]


def mounted(uri: str) -> Mounted | None:
    """The volume that a pvc:// or oci:// address names; None for any other."""
    scheme, _, rest = uri.partition("://")
    if scheme == "oci":
        # A mount path may not have the colon of a tag.
        image = {"image": {"reference": rest, "pullPolicy": "IfNotPresent"}}
        return Mounted(rest.replace(":", "-").replace("/", "-").replace("@", "-"), "", image)
    if scheme == "pvc":
        claim, _, path = rest.partition("/")
        return Mounted(claim, path, {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
    return None


def env_from(credentials: SecretName | None) -> list[dict[str, Any]] | None:
    """The Secret's keys as environment variables. The kubelet reads it, and nobody else."""
    return [{"secretRef": {"name": credentials.name}}] if credentials else None
