"""Objects that an admission webhook changes when they are applied. They must not be applied again each time."""

import logging

from mcq_operator.api import Manifest, ObjectRef, names

from .diff import covers, project

logger = logging.getLogger(__name__)


class AdmissionChanges:
    """The stored form of each object that a webhook changed."""

    def __init__(self) -> None:
        """Start empty."""
        self._stored: dict[tuple[str, ObjectRef], Manifest] = {}

    def record(self, ref: ObjectRef, desired: Manifest, stored: Manifest) -> None:
        """Compare an applied object with its stored form, and keep the stored form if they differ."""
        key = (desired["metadata"]["namespace"], ref)
        self._stored.pop(key, None)
        if not covers(stored, desired):
            logger.warning(
                "the stored %s %s differs from the applied one: a webhook probably changed it",
                ref.kind,
                ref.name,
            )
            stored_form: Manifest = project(stored, desired)
            stored_form["metadata"]["uid"] = stored["metadata"]["uid"]
            self._stored[key] = stored_form

    def is_applied(self, ref: ObjectRef, desired: Manifest, live: Manifest) -> bool:
        """Return whether an apply would change nothing."""
        if covers(live, desired):
            return True
        stored_form = self._stored.get((desired["metadata"]["namespace"], ref))
        return (
            stored_form is not None
            and covers(live, stored_form)
            and _digest(stored_form) == _digest(desired)
            and live["metadata"]["uid"] == stored_form["metadata"]["uid"]
        )


def _digest(manifest: Manifest) -> str | None:
    digest: str | None = manifest["metadata"].get("annotations", {}).get(names.APPLIED_DIGEST)
    return digest
