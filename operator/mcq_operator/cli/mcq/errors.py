"""The error of these commands."""


class CommandError(Exception):
    """The command failed. The message says what to do."""
