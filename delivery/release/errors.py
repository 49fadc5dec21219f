"""The errors of a release."""


class ReleaseError(Exception):
    """A check forbids this release; the message names it and says what to do."""
