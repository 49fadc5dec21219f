"""The errors of backups, grouped by their remedy.

BackupError
├── PersonNeededError        a retry alone can't help: exit status 2
│   ├── LocationError        the address can't hold backups
│   ├── CredentialsError     the store refuses the credentials
│   ├── MissingError         the bucket, directory or backup does not exist
│   ├── FullError            there is no room left
│   ├── CorruptError         a backup differs from what was written
│   ├── DigestNeededError    the user gave no digest to verify the backup with
│   ├── NothingToKeepError   the namespace has nothing to back up
│   └── RefusedByClusterError  the API server refuses a read or a write
└── TryAgainError            the store or the API server did not answer: exit status 1
"""


class BackupError(Exception):
    """Base of all failures; the message says what to do."""


class PersonNeededError(BackupError):
    """A person must change something first."""


class LocationError(PersonNeededError):
    """The address can't hold backups."""


class CredentialsError(PersonNeededError):
    """The store refuses the credentials."""


class MissingError(PersonNeededError):
    """The bucket, directory or backup does not exist."""


class FullError(PersonNeededError):
    """There is no room left."""


class CorruptError(PersonNeededError):
    """A backup differs from what was written."""


class DigestNeededError(PersonNeededError):
    """The user gave no digest to verify the backup with."""


class NothingToKeepError(PersonNeededError):
    """The namespace has nothing to back up."""


class RefusedByClusterError(PersonNeededError):
    """The API server refuses a read or a write."""


class TryAgainError(BackupError):
    """The answer is missing or cut short. Nothing is half done; a retry may help."""
