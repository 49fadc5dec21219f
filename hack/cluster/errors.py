"""Everything that can go wrong, as one tree; each message says what the user can do.

ClusterError
├── ProviderError       no provider can run here, or the one asked for can't
├── MissingToolError    a program is missing and can't be installed or built
├── TakenError          a port, bridge or address range is in someone else's use
├── CommandError        a command that must work failed
└── StartError          a part did not start; carries the last lines of its log
"""

from __future__ import annotations


class ClusterError(Exception):
    """The root of the tree."""


class ProviderError(ClusterError):
    """No provider can run here, or the one asked for can't."""


class MissingToolError(ClusterError):
    """A program is missing and can't be installed or built."""


class TakenError(ClusterError):
    """A port, bridge or address range is in someone else's use."""


class CommandError(ClusterError):
    """A command that must work failed."""


class StartError(ClusterError):
    """A part did not start."""
