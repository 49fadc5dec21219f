"""Kubernetes quantities as numbers: `250m`, `8Gi`."""

from decimal import Decimal, InvalidOperation

SUFFIXES = {
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate(("", "k", "M", "G", "T", "P", "E"))},
    **{
        suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
    },
    "m": Decimal("0.001"),
}


def quantity(value: object) -> Decimal | None:
    """Return the number that a Kubernetes quantity stands for, or None if it isn't a quantity."""
    text = str(value)
    number = text.rstrip("kMGTPEimK")
    try:
        if text in SUFFIXES or text[len(number) :] not in SUFFIXES:
            return None
        return Decimal(number) * SUFFIXES[text[len(number) :]]
    except InvalidOperation:
        return None
