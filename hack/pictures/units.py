"""Values as text in Grafana's units, which a dashboard's JSON names."""

from __future__ import annotations

import math
from typing import NamedTuple

from hack.pictures.errors import PictureError


class Scale(NamedTuple):
    """From `size` on, a value is shown divided by it, with this suffix."""

    size: float
    suffix: str


def _si(suffix: str = "") -> tuple[Scale, ...]:
    return tuple(
        Scale(size, prefix + suffix) for size, prefix in ((1, ""), (1e3, " K"), (1e6, " Mil"), (1e9, " Bil"))
    )


SCALES: dict[str, tuple[Scale, ...]] = {
    "none": (Scale(1, ""),),
    "percentunit": (Scale(0.01, "%"),),
    "reqps": _si(" req/s"),
    "ops": _si(" ops/s"),
    "s": (
        Scale(1e-9, " ns"), Scale(1e-6, " µs"), Scale(1e-3, " ms"), Scale(1, " s"), Scale(60, " min"),
        Scale(3600, " hours"), Scale(86400, " days"),
    ),
    "bytes": tuple(Scale(1024**power, suffix) for power, suffix in enumerate((" B", " KiB", " MiB", " GiB", " TiB"))),
}  # fmt: skip


def scale(unit: str, value: float) -> Scale:
    """Return the scale in which a unit shows a value. Raises PictureError for an unknown unit."""
    if unit not in SCALES:
        message = (
            f"The unit {unit!r} is unknown: add it to hack/pictures/units.py. Known: {', '.join(SCALES)}."
        )
        raise PictureError(message)
    scales = SCALES[unit]
    if value == 0:
        return min(scales, key=lambda each: abs(each.size - 1))
    return next((each for each in reversed(scales) if abs(value) >= each.size), scales[0])


def text(value: float, unit: str) -> str:
    """Return a value with its unit, to three digits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    size, suffix = scale(unit, value)
    return _digits(value / size) + suffix


def _digits(number: float) -> str:
    decimals = 0 if number == 0 else max(0, 2 - math.floor(math.log10(abs(number))))
    written = f"{number:.{decimals}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
