"""The errors of backups, grouped by their remedy. The message says what to do."""


class BackupError(Exception):
    """Base of all failures."""


class PersonNeededError(BackupError):
    """A person must change something first; a retry alone can't help: exit status 2."""


class MissingError(PersonNeededError):
    """The bucket, directory or backup does not exist."""


class CorruptError(PersonNeededError):
    """A backup differs from what was written."""


class TryAgainError(BackupError):
    """The answer is missing or cut short. Nothing is half done; a retry may help: exit status 1."""
