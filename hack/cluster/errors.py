"""The errors of the tools, as one tree. Each message says what the user can do.

ClusterError
├── ProviderError       the requested kind of cluster can't be used here
├── EngineError         no Docker engine answers, and none can be started
├── MissingToolError    a program is missing and can't be installed or built
├── CommandError        a command that must work failed
└── StartError          a process did not start; carries the last lines of its log
"""

from __future__ import annotations


class ClusterError(Exception):
    """The root of the tree."""


class ProviderError(ClusterError):
    """The requested kind of cluster can't be used here."""


class EngineError(ClusterError):
    """No Docker engine answers, and none can be started."""


class MissingToolError(ClusterError):
    """A program is missing and can't be installed or built."""


class CommandError(ClusterError):
    """A command that must work failed."""


class StartError(ClusterError):
    """A process did not start."""
