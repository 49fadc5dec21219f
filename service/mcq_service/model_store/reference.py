"""A reference to a model: its address, its revision, and its digest.

hf://owner/name[@revision]        a repository of the hub
s3://bucket[/prefix]              objects of a bucket
https://host[:port][/path]        files of a web server; http:// too
file:///path                      a directory of this machine
"""

import re
from dataclasses import dataclass

from mcq_service.model_store.catalogue import DEFAULT_REPOSITORY, DEFAULT_REVISION
from mcq_service.model_store.errors import BadReference

_PATH = r"(?:/[\w.~+=,@:-]+)"
_FORMS = re.compile(
    r"hf://[\w.-]+/[\w.-]+(?:@.+)?"
    rf"|s3://[\w.-]+{_PATH}*/?"
    rf"|https?://[A-Za-z0-9.-]+(?::\d+)?{_PATH}*/?"
    rf"|file://{_PATH}+/?",
    re.ASCII,
)
_REVISION = re.compile(r"[\w][\w./-]{0,199}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SUPPORTED = (
    f"supported are hf://owner/name[@revision], for example hf://{DEFAULT_REPOSITORY}, s3://bucket/prefix, "
    "https://host/path and file:///path, each a directory with the model's files"
)


@dataclass(frozen=True)
class ModelRef:
    """A user's reference to a model.

    `revision` is a commit, tag or branch of a hub's repository; `digest` ("sha256:" and 64 lower-case hex digits)
    covers the source's files. Raises BadReference if one of them is invalid.
    """

    uri: str
    revision: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        """Reject an invalid reference early."""
        if not _FORMS.fullmatch(self.uri) or {".", ".."} & set(self.address.split("/")):
            raise BadReference(f"The model URI {self.uri!r} is not supported: {_SUPPORTED}.")
        if self.digest is not None and not _DIGEST.fullmatch(self.digest):
            raise BadReference(f"{self.digest!r} is not a digest: give sha256: and 64 lower-case hex digits.")
        self._require_usable_revision()

    def _require_usable_revision(self) -> None:
        if self.revision and self.scheme != "hf":
            raise BadReference(
                f"Only a hub's repository has revisions, and {self.uri} is not one: leave the revision out, and put "
                "each version of the model into a directory of its own."
            )
        inline = self._inline_revision
        if inline and self.revision and inline != self.revision:
            raise BadReference(
                f"The model URI says revision {inline!r} and the revision says {self.revision!r}: give one."
            )
        revision = inline or self.revision
        if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
            raise BadReference(f"{revision!r} is not a revision: give a commit, a tag or a branch.")

    @property
    def scheme(self) -> str:
        """The part before ://."""
        return self.uri.partition("://")[0]

    @property
    def address(self) -> str:
        """The URI without revision, in normal form: the model's id in manifests."""
        uri = self.uri.partition("@")[0] if self.scheme == "hf" else self.uri
        return uri.rstrip("/")

    @property
    def name(self) -> str:
        """The model's name: "owner/name" for a hub's repository."""
        return name_of(self.address)

    @property
    def requested_revision(self) -> str | None:
        """The requested revision. Default: the pinned commit for the default model, "main" for others.

        None for a source without revisions.
        """
        if self.scheme != "hf":
            return None
        default = DEFAULT_REVISION if self.name == DEFAULT_REPOSITORY else "main"
        return self._inline_revision or self.revision or default

    @property
    def _inline_revision(self) -> str | None:
        return self.uri.partition("@")[2] or None if self.scheme == "hf" else None


def name_of(address: str) -> str:
    """Return a model's name in answers: its address without the scheme."""
    return address.partition("://")[2].lstrip("/")
