"""The errors of a delivery, which are also errors of an installation.

InstallError
├── RecordError       a record of an earlier stage is missing or damaged
├── ScanError         a package has a vulnerability with a fix, or nothing could be scanned
└── VerificationError the deployment differs from the delivery
"""

from hack.errors import InstallError


class RecordError(InstallError):
    """A record of an earlier stage is missing or damaged."""


class ScanError(InstallError):
    """A package has a vulnerability with a fix, or nothing could be scanned."""


class VerificationError(InstallError):
    """The deployment differs from the delivery."""
