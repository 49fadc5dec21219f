"""Objects that an admission webhook changes when they are applied. The operator must not fight it each time."""

import logging

from mcq_operator.api import Manifest, ObjectRef, names

from .diff import covers, project

logger = logging.getLogger(__name__)


class Altered:
    """The stored form of each object that a webhook changed."""

    def __init__(self) -> None:
        """Start empty."""
        self._stored: dict[tuple[str, ObjectRef], Manifest] = {}

    def remember(self, ref: ObjectRef, desired: Manifest, stored: Manifest) -> None:
        """Compare an applied object with its stored form, and keep that one if it differs."""
        key = (desired["metadata"]["namespace"], ref)
        self._stored.pop(key, None)
        if not covers(stored, desired):
            logger.warning(
                "the stored %s %s differs from the applied one, probably by a webhook", ref.kind, ref.name
            )
            altered: Manifest = project(stored, desired)
            altered["metadata"]["uid"] = stored["metadata"]["uid"]
            self._stored[key] = altered

    def settled(self, ref: ObjectRef, desired: Manifest, live: Manifest) -> bool:
        """Return whether an apply would change nothing."""
        if covers(live, desired):
            return True
        altered = self._stored.get((desired["metadata"]["namespace"], ref))
        return (
            altered is not None
            and covers(live, altered)
            and _digest(altered) == _digest(desired)
            and live["metadata"]["uid"] == altered["metadata"]["uid"]
        )


def _digest(manifest: Manifest) -> str | None:
    digest: str | None = manifest["metadata"].get("annotations", {}).get(names.APPLIED_DIGEST)
    return digest
