"""The service's API key, which comes from a file: everyone on a machine can read the arguments of its processes."""

from pathlib import Path

from .errors import CommandError


def read_key(path: str | None) -> str | None:
    """Return the key in the file, if one is named. Raises CommandError."""
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"can't read the API key: {error}"
        raise CommandError(message) from error
