"""A request for one object. Its failure must not affect other objects."""

import logging
from collections.abc import Awaitable
from typing import Literal, TypeVar

from mcq_operator.api import ObjectRef
from mcq_operator.api.observed import Refusal

from .errors import ClusterError, NamespaceTerminatingError, NoAnswerError, NotLeadingError, RefusedError

logger = logging.getLogger(__name__)

Returned = TypeVar("Returned")


async def attempt(
    operation: Literal["apply", "delete", "read"], ref: ObjectRef, call: Awaitable[Returned]
) -> Returned | Refusal:
    """Return the result of the call, or why it failed.

    Raises NoAnswerError, NotLeadingError and NamespaceTerminatingError, because every other call would fail, too.
    """
    try:
        return await call
    except (NoAnswerError, NotLeadingError, NamespaceTerminatingError):
        raise
    except ClusterError as error:
        logger.warning("could not %s %s %s: %s", operation, ref.kind, ref.name, error)
        return Refusal(
            ref=ref, message=str(error), attempt=operation, temporary=not isinstance(error, RefusedError)
        )
    except Exception as error:
        logger.exception("could not %s %s %s", operation, ref.kind, ref.name)
        message = f"{type(error).__name__}: {error}. This is a bug in the operator; its log says more."
        return Refusal(ref=ref, message=message, attempt=operation, temporary=True)
