"""The errors of an installation.

InstallError
└── SettingError      an environment variable is missing or invalid
"""


class InstallError(Exception):
    """An installation failed; the message says what to do."""


class SettingError(InstallError):
    """A setting is missing or invalid."""
