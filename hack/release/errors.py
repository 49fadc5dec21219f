"""Why there is no release."""


class ReleaseError(Exception):
    """Something speaks against this release; the message says what, and what to do."""
