"""The errors of the tools. Each message says what the user can do.

ClusterError
├── ProviderError       the requested kind of cluster can't be used here
├── EngineError         no Docker engine answers, and none can be started
├── MissingToolError    a program is missing and can't be installed or built
├── CommandError        a required command failed
└── StartError          a process did not start; carries the last lines of its log
"""

from __future__ import annotations


class ClusterError(Exception):
    """The base class of the tools' errors."""


class ProviderError(ClusterError):
    """The requested kind of cluster can't be used here."""


class EngineError(ClusterError):
    """No Docker engine answers, and none can be started."""


class MissingToolError(ClusterError):
    """A program is missing and can't be installed or built."""


class CommandError(ClusterError):
    """A required command failed."""


class StartError(ClusterError):
    """A process did not start."""
