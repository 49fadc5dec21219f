"""Which model is meant: `hf://owner/name[@revision]`, and optionally the digest its weights must have."""

import re
from dataclasses import dataclass

from mcq_service.models.catalogue import DEFAULT_REPOSITORY, DEFAULT_REVISION
from mcq_service.models.errors import BadReference

_URI = re.compile(r"hf://(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>.+))?", re.ASCII)
_REVISION = re.compile(r"[\w][\w./-]{0,199}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SUPPORTED = f"supported is hf://owner/name[@revision], for example hf://{DEFAULT_REPOSITORY}"


@dataclass(frozen=True)
class ModelRef:
    """A model as its user names it.

    `revision` is a commit, tag or branch of the repository; `digest` ("sha256:" and 64 lower-case hex digits)
    is that of the source's weights. Raises BadReference where one of them can't be used.
    """

    uri: str
    revision: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        """Refuse at once what could only fail later."""
        match = _URI.fullmatch(self.uri)
        if match is None:
            msg = f"The model URI {self.uri!r} is not supported: {_SUPPORTED}."
            raise BadReference(msg)
        if any(part in {".", ".."} for part in match["repository"].split("/")):
            msg = f"The model URI {self.uri!r} names no repository: {_SUPPORTED}."
            raise BadReference(msg)
        inline = match["revision"]
        if inline and self.revision and inline != self.revision:
            msg = f"The model URI says revision {inline!r} and the revision says {self.revision!r}: give one."
            raise BadReference(msg)
        revision = inline or self.revision
        if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
            msg = f"{revision!r} is not a revision: give a commit, a tag or a branch."
            raise BadReference(msg)
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            msg = f"{self.digest!r} is not a digest: give sha256: and 64 lower-case hex digits."
            raise BadReference(msg)

    @property
    def repository(self) -> str:
        """The repository, "owner/name"."""
        return self.uri.removeprefix("hf://").partition("@")[0]

    @property
    def wanted_revision(self) -> str:
        """The revision asked for; the pinned commit for the default model, else "main", where none was."""
        inline = self.uri.partition("@")[2]
        default = DEFAULT_REVISION if self.repository == DEFAULT_REPOSITORY else "main"
        return inline or self.revision or default
