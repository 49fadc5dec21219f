"""What can go wrong with a model's weights, and what to do about it.

ModelStoreError
├── BadReference          the URI, revision or digest can't be used as written
├── SourceError
│   ├── SourceUnreachable the place the weights come from does not answer
│   ├── SourceChanged     what it has was replaced while it was being fetched
│   ├── AccessDenied      it answers, but does not give what is there to whom asks
│   └── ModelNotFound     it answers, but has no such model or revision (or asks for a token)
├── DigestMismatch        the bytes that came are not those that were asked for
├── ModelDamaged          a prepared model's files are not what the engine can read
├── NotEnoughSpace        the store's file system is too small
├── StoreNotWritable      the store lacks the model and can't be written
└── ConversionFailed      the weights can't be turned into what the engine loads
    └── UnsupportedArchitecture   the int8 engine can't run such a model; transformers can
"""

from typing import ClassVar


class ModelStoreError(Exception):
    """A model could not be prepared; the message says what to do. `exit_code` is the process's, and tells which."""

    exit_code: ClassVar[int] = 1


class BadReference(ModelStoreError):  # noqa: N818 - names read as what happened, as in the tree above
    """The URI, revision or digest can't be used as written."""

    exit_code = 2


class SourceError(ModelStoreError):
    """The source of the weights failed."""

    exit_code = 3


class SourceUnreachable(SourceError):  # noqa: N818
    """The source does not answer; trying again later may help.

    `retry_after` is how many seconds later, where it said so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Say what happened and what to do."""
        super().__init__(message)
        self.retry_after = retry_after


class SourceChanged(SourceError):  # noqa: N818
    """The source's files were replaced meanwhile; trying again fetches the new ones."""


class AccessDenied(SourceError):  # noqa: N818
    """The source refuses the credentials, or whom they stand for."""

    exit_code = 9


class ModelNotFound(SourceError):  # noqa: N818
    """The source has no such model or revision, or does not show it without a token."""

    exit_code = 8


class DigestMismatch(ModelStoreError):  # noqa: N818
    """The bytes are not those that were asked for."""

    exit_code = 4


class ModelDamaged(ModelStoreError):  # noqa: N818
    """A prepared model's files are not what the engine can read."""

    exit_code = 4


class NotEnoughSpace(ModelStoreError):  # noqa: N818
    """The store's file system is too small."""

    exit_code = 5


class ConversionFailed(ModelStoreError):  # noqa: N818
    """The weights can't be turned into what the engine loads."""

    exit_code = 6


class UnsupportedArchitecture(ConversionFailed):
    """The int8 engine can't run such a model; transformers can."""


class StoreNotWritable(ModelStoreError):  # noqa: N818
    """The store lacks the model and can't be written."""

    exit_code = 7
