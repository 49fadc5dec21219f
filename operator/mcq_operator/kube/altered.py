"""Objects that an admission webhook stores otherwise than applied, so as not to fight it at each reconcile."""

import logging

from mcq_operator.models import Manifest, ObjectRef, names

from .compare import covers, project

logger = logging.getLogger(__name__)


class Altered:
    """What became of each such object."""

    def __init__(self) -> None:
        """None is known."""
        self._stored: dict[tuple[str, ObjectRef], Manifest] = {}

    def remember(self, ref: ObjectRef, wanted: Manifest, stored: Manifest) -> None:
        """Note what the server made of an object that was applied."""
        key = (wanted["metadata"]["namespace"], ref)
        self._stored.pop(key, None)
        if not covers(stored, wanted):
            logger.warning("%s %s is stored otherwise than applied: by a webhook?", ref.kind, ref.name)
            altered: Manifest = project(stored, wanted)
            altered["metadata"]["uid"] = stored["metadata"]["uid"]
            self._stored[key] = altered

    def settled(self, ref: ObjectRef, wanted: Manifest, live: Manifest) -> bool:
        """Whether applying would change nothing."""
        if covers(live, wanted):
            return True
        altered = self._stored.get((wanted["metadata"]["namespace"], ref))
        return (
            altered is not None
            and covers(live, altered)
            and _digest(altered) == _digest(wanted)
            and live["metadata"]["uid"] == altered["metadata"]["uid"]
        )


def _digest(manifest: Manifest) -> str | None:
    digest: str | None = manifest["metadata"].get("annotations", {}).get(names.APPLIED_DIGEST)
    return digest
