"""Errors of the API server, classified by the way to handle them.

ClusterError
├── RefusedError      the server refuses this request for good: a person must change something
│   ├── NotFoundError  the object or its namespace is missing
│   │   └── KindNotFoundError  the server does not know the kind
│   └── NamespaceTerminatingError  the namespace is being deleted, so nothing can be created in it
├── ConflictError     someone else was faster: read the object again
├── NotLeadingError   this process has lost the Lease, so it may not write
├── UnavailableError  the server, or something behind it, fails for now: try again later
│   ├── NoAnswerError  the server can't be reached, so all other requests would fail, too
│   └── AnswerTooLongError  the answer has more bytes than allowed
└── InvalidSpecError  this release can't read the spec of a stored resource
"""

import json

from kubernetes.aio.client.exceptions import ApiException

from mcq_operator.api import Resource

REFUSED = frozenset({400, 403, 405, 413, 415, 422})
CONFLICT = 409
NOT_FOUND = 404
LONGEST_MESSAGE = 4096
"""Characters of the server's message, which may contain a webhook's."""
NAMESPACE_TERMINATING = "NamespaceTerminating"
"""The cause of a refusal to create an object, as Kubernetes' own controllers recognise it."""
UNTYPED = "failed to create typed patch object"
"""The server's permanent refusal of a field that the schema lacks, although its status is 500."""


class ClusterError(Exception):
    """Any failure at the API server."""


class RefusedError(ClusterError):
    """The request is wrong, or not allowed."""


class NotFoundError(RefusedError):
    """The object, its namespace or its kind does not exist."""


class KindNotFoundError(NotFoundError):
    """The kind does not exist: its CRD is not installed."""


class NamespaceTerminatingError(RefusedError):
    """The namespace is being deleted, and the resource with it."""


class ConflictError(ClusterError):
    """Someone else changed, replaced or created the object in between."""


class NotLeadingError(ClusterError):
    """Another operator may be writing already."""


class UnavailableError(ClusterError):
    """The server is overloaded, or a webhook or etcd behind it has failed."""


class NoAnswerError(UnavailableError):
    """The server did not answer."""


class AnswerTooLongError(UnavailableError):
    """The answer would take too much memory. A shorter page may not."""


class InvalidSpecError(ClusterError):
    """The models refuse a stored spec."""

    def __init__(self, resource: Resource, problem: str) -> None:
        """Store the `problem`; `resource` has the stored metadata and status, and no spec."""
        super().__init__(problem)
        self.resource = resource


def cluster_error(error: ApiException) -> ClusterError:
    """Return the typed form of an HTTP error, with the server's message."""
    message, name, causes = _status(error)
    if NAMESPACE_TERMINATING in causes:
        return NamespaceTerminatingError(message)
    if error.status == CONFLICT:
        return ConflictError(message)
    if error.status == NOT_FOUND:
        # Otherwise, the server names the missing object or namespace.
        return NotFoundError(message) if name else KindNotFoundError(message)
    if error.status in REFUSED or UNTYPED in message:
        return RefusedError(message)
    return UnavailableError(f"{error.status}: {message}")


def _status(error: ApiException) -> tuple[str, str, list[str]]:
    """Return the message, the object's name and the causes of the server's Status; or the body or the reason alone."""
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        answer = json.loads(body or "")
        message, details = str(answer["message"]), answer.get("details") or {}
        name = str(details.get("name") or "")
        causes = [str(cause.get("reason")) for cause in details.get("causes") or ()]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message, name, causes = str(body or error.reason), "", []
    return message[:LONGEST_MESSAGE], name, causes
