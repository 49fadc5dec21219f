"""What the pictures' commands report to the user."""


class PictureError(Exception):
    """A dashboard can't be drawn; the message says why."""
