"""What can go wrong at the API server, by what to do about it.

ClusterError
├── RefusedError      the server will not take this request, now or later: a person must change something
│   └── NotFoundError  neither the object nor, perhaps, its namespace or its kind
├── ConflictError     someone else was faster: look again
├── NotLeadingError   this process does not hold the Lease any more, so it may not write
├── UnavailableError  "not now", or something else failed behind the server: try again later
│   └── NoAnswerError  the server can't be reached, so nothing else can be done either
└── InvalidSpecError  a stored Resource that this release can't read
"""

import json

from kubernetes.aio.client.exceptions import ApiException

from mcq_operator.models import Resource

REFUSED = frozenset({400, 403, 405, 413, 415, 422})
CONFLICT = 409
NOT_FOUND = 404
LONGEST_MESSAGE = 4096
"""Characters of the server's words: a webhook's are in them."""
UNTYPED = "failed to create typed patch object"
"""Server-side apply's refusal of a field that the schema doesn't have: for good, though its status is 500."""


class ClusterError(Exception):
    """Any failure at the API server."""


class RefusedError(ClusterError):
    """The request is wrong, or not allowed."""


class NotFoundError(RefusedError):
    """There is no such thing."""


class ConflictError(ClusterError):
    """The object was changed, replaced or created by someone else in between."""


class NotLeadingError(ClusterError):
    """Another operator may be writing already."""


class UnavailableError(ClusterError):
    """The server asked to come back later, or what it asked itself has failed: a webhook, etcd."""


class NoAnswerError(UnavailableError):
    """The server did not answer."""


class InvalidSpecError(ClusterError):
    """A stored spec that the models refuse."""

    def __init__(self, resource: Resource, problem: str) -> None:
        """Tell of `problem`; `resource` has the stored metadata and status, and no spec."""
        super().__init__(problem)
        self.resource = resource


def cluster_error(error: ApiException) -> ClusterError:
    """The typed form of an HTTP error, with the server's own words."""
    message = _message(error)
    if error.status == CONFLICT:
        return ConflictError(message)
    if error.status == NOT_FOUND:
        return NotFoundError(message)
    if error.status in REFUSED or UNTYPED in message:
        return RefusedError(message)
    return UnavailableError(f"{error.status}: {message}")


def _message(error: ApiException) -> str:
    """The `message` of the server's Status object, or whatever it said instead."""
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else error.body
    try:
        message = str(json.loads(body or "")["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        message = str(body or error.reason)
    return message[:LONGEST_MESSAGE]
