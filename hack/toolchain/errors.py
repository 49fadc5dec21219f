"""The errors of the tools. Each message says what the user can do.

ToolError
├── ProviderError       the requested kind of cluster can't be used here
├── EngineError         no Docker engine answers, and none can be started
├── MissingToolError    a program is missing and can't be installed or built
├── CommandError        a required command failed
└── StartError          a process did not start; carries the last lines of its log
"""

from __future__ import annotations


class ToolError(Exception):
    """The base class of the tools' errors."""


class ProviderError(ToolError):
    """The requested kind of cluster can't be used here."""


class EngineError(ToolError):
    """No Docker engine answers, and none can be started."""


class MissingToolError(ToolError):
    """A program is missing and can't be installed or built."""


class CommandError(ToolError):
    """A required command failed."""


class StartError(ToolError):
    """A process did not start."""
