"""What can go wrong with a backup, by what to do about it.

BackupError
├── PersonNeededError        another try alone mends nothing: exit status 2
│   ├── LocationError        what was given is no place for backups
│   ├── CredentialsError     the store does not know who asks, or does not let them
│   ├── MissingError         there is no such bucket, directory or backup
│   ├── FullError            there is no room left
│   ├── CorruptError         an object is not what was written
│   ├── DigestNeededError    nothing tells that the backup is the one that was made
│   ├── NothingToKeepError   the namespace has nothing that would go into a backup
│   └── RefusedByClusterError  the API server will not take, or tell, this
└── TryAgainError            the store or the API server did not answer: exit status 1
"""


class BackupError(Exception):
    """Any failure; the message says what to do."""


class PersonNeededError(BackupError):
    """Something has to be changed first."""


class LocationError(PersonNeededError):
    """What was given is no place for backups."""


class CredentialsError(PersonNeededError):
    """The store does not know who asks, or does not let them."""


class MissingError(PersonNeededError):
    """There is no such bucket, directory or backup."""


class FullError(PersonNeededError):
    """There is no room left."""


class CorruptError(PersonNeededError):
    """An object is not what was written."""


class DigestNeededError(PersonNeededError):
    """Nothing tells that the backup is the one that was made."""


class NothingToKeepError(PersonNeededError):
    """The namespace has nothing that would go into a backup."""


class RefusedByClusterError(PersonNeededError):
    """The API server will not take, or tell, this."""


class TryAgainError(BackupError):
    """No answer, or a cut one: nothing is half done, and another try may help."""
