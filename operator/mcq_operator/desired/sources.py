"""Where Pods get a model or questions from that are neither in their image nor the hub's: credentials, and claims."""

from typing import Any, NamedTuple

from mcq_operator.models.replica import SecretName


class Claimed(NamedTuple):
    """A path of a PersistentVolumeClaim."""

    claim: str
    path: str

    @property
    def volume(self) -> dict[str, Any]:
        """The claim as a Pod's volume, which nobody writes to."""
        return {"persistentVolumeClaim": {"claimName": self.claim, "readOnly": True}}


def claimed(uri: str) -> Claimed | None:
    """What a pvc:// address names; None for any other."""
    scheme, _, rest = uri.partition("://")
    claim, _, path = rest.partition("/")
    return Claimed(claim, path) if scheme == "pvc" else None


def env_from(credentials: SecretName | None) -> list[dict[str, Any]] | None:
    """The Secret's keys as environment variables. The kubelet reads it, and nobody else."""
    return [{"secretRef": {"name": credentials.name}}] if credentials else None
