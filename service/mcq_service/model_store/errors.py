"""The model store's errors; each message says what to do.

ModelStoreError
├── BadReference          the URI, revision or digest is invalid
├── SourceError
│   ├── SourceUnreachable the source of the weights does not answer
│   ├── SourceChanged     the source's files were replaced during the download
│   ├── AccessDenied      the source refuses access
│   └── ModelNotFound     the source has no such model or revision (or asks for a token)
├── DigestMismatch        the downloaded bytes have another digest
├── ModelDamaged          the engine can't read a prepared model's files
├── NotEnoughSpace        the store's file system is too small
├── StoreNotWritable      the store lacks the model and can't be written
└── ConversionFailed      the weights can't be converted for the engine
    └── UnsupportedArchitecture   the int8 engine can't run this architecture; transformers can
"""

from typing import ClassVar


class ModelStoreError(Exception):
    """A model could not be prepared. `exit_code` is the exit code of the process."""

    exit_code: ClassVar[int] = 1


class BadReference(ModelStoreError):
    """The URI, revision or digest is invalid."""

    exit_code = 2


class SourceError(ModelStoreError):
    """The source of the weights failed."""

    exit_code = 3


class SourceUnreachable(SourceError):
    """The source does not answer; trying again later may help.

    `retry_after` is the pause in seconds that it asked for, if any.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Say what happened and what to do."""
        super().__init__(message)
        self.retry_after = retry_after


class SourceChanged(SourceError):
    """The source's files were replaced during the download; trying again fetches the new ones."""


class AccessDenied(SourceError):
    """The source refuses the credentials, or access for their owner."""

    exit_code = 9


class ModelNotFound(SourceError):
    """The source has no such model or revision, or does not show it without a token."""

    exit_code = 8


class DigestMismatch(ModelStoreError):
    """The downloaded bytes have another digest."""

    exit_code = 4


class ModelDamaged(ModelStoreError):
    """The engine can't read a prepared model's files."""

    exit_code = 4


class NotEnoughSpace(ModelStoreError):
    """The store's file system is too small."""

    exit_code = 5


class ConversionFailed(ModelStoreError):
    """The weights can't be converted for the engine."""

    exit_code = 6


class UnsupportedArchitecture(ConversionFailed):
    """The int8 engine can't run this architecture; transformers can."""


class StoreNotWritable(ModelStoreError):
    """The store lacks the model and can't be written."""

    exit_code = 7
