"""The namespaces that the operator serves. One that it may no longer read does not stop the others.

A namespace that is deleted takes the operator's Role with it, so the server refuses every later list there.
"""

import logging
from collections.abc import Awaitable, Iterable, Iterator
from typing import TypeVar

from mcq_operator.api.kinds import Kind

from .errors import RefusedError

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Scopes:
    """The namespaces, or None for all; and the lists that the server refuses."""

    def __init__(self, namespaces: Iterable[str] = ()) -> None:
        """Serve `namespaces`, or all of them if there are none."""
        self._scopes: list[str | None] = [*namespaces] or [None]
        self._refused: set[tuple[Kind, str]] = set()

    def __iter__(self) -> Iterator[str | None]:
        """Iterate over the namespaces, or over None alone."""
        return iter(self._scopes)

    def is_refused(self, kind: Kind, namespace: str | None) -> bool:
        """Return whether the server refused the last list of the kind in the namespace."""
        return (kind, namespace) in self._refused

    def unreadable(self, kind: Kind) -> set[str]:
        """Return the namespaces whose lists of the kind the server refuses."""
        return {namespace for refused, namespace in self._refused if refused is kind}

    async def read(self, kind: Kind, namespace: str | None, request: Awaitable[Answer]) -> Answer | None:
        """Return the answer to a list, or None if the server refuses it for this namespace alone.

        Raises ClusterError, and RefusedError if the server refuses all namespaces.
        """
        try:
            answer = await request
        except RefusedError as error:
            if namespace is None:
                raise
            if (kind, namespace) not in self._refused:
                logger.warning("can't list %s in namespace %s: %s", kind.plural, namespace, error)
                self._refused.add((kind, namespace))
            if self.unreadable(kind).issuperset(self._scopes):
                raise
            return None
        if namespace is not None:
            self._refused.discard((kind, namespace))
        return answer
