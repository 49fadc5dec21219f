"""A matplotlib figure in pixels, from the upper left corner: boxes, texts and axes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

INK, FAINT, BORDER, GROUND = "#24292e", "#6b7280", "#d8dce2", "#f4f5f6"
COLORS = 256
PIXELS_PER_INCH = 72  # a point is a pixel then, so that sizes of fonts and lines are pixels


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: float
    top: float
    width: float
    height: float

    def inside(self, *, left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Box:
        """Return the rectangle without margins."""
        return Box(self.left + left, self.top + top, self.width - left - right, self.height - top - bottom)


@dataclass(frozen=True)
class Canvas:
    """A figure of a size in pixels."""

    width: float
    height: float
    figure: Figure

    @classmethod
    def of(cls, width: float, height: float) -> Canvas:
        """Return an empty canvas."""
        size = (width / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
        figure = Figure(figsize=size, dpi=PIXELS_PER_INCH, facecolor=GROUND)
        return cls(width, height, figure)

    def rectangle(self, box: Box, *, fill: str = "white", edge: str = "none") -> None:
        """Draw a rectangle."""
        left, bottom, width, height = self._fractions(box)
        self.figure.add_artist(
            Rectangle(
                (left, bottom), width, height, facecolor=fill, edgecolor=edge, linewidth=1, zorder=-1,
                transform=self.figure.transFigure,
            )
        )  # fmt: skip

    def text(
        self, x: float, y: float, text: str, *, size: float = 11, color: str = INK, **style: Any
    ) -> None:
        """Write a text, by default with (x, y) as the left end of its middle line."""
        style = {"horizontalalignment": "left", "verticalalignment": "center"} | style
        self.figure.text(
            x / self.width, 1 - y / self.height, text, fontsize=size, color=color, parse_math=False, **style
        )

    def axes(self, box: Box) -> Axes:
        """Return empty axes without a frame, with a faint grid of horizontal lines."""
        axes = self.figure.add_axes(self._fractions(box))
        axes.set_facecolor("none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelsize=10, labelcolor=FAINT, pad=4)
        axes.grid(axis="y", color="#e9ebee", linewidth=1)
        axes.set_axisbelow(True)
        return axes

    def text_width(self, text: str, size: float = 11, fontweight: str = "normal") -> float:
        """Return a text's width in pixels."""
        font = FontProperties(size=size, weight=fontweight)
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
        return float(width)

    def shortened(self, text: str, width: float, size: float = 11) -> str:
        """Return the text, cut so that it takes at most `width` pixels."""
        if self.text_width(text, size) <= width:
            return text
        while text and self.text_width(text + "…", size) > width:
            text = text[:-1]
        return text + "…"

    def save(self, path: Path) -> None:
        """Write the picture as PNG, with few colours, so that the file is small."""
        drawn = BytesIO()
        self.figure.savefig(drawn, format="png", dpi=PIXELS_PER_INCH)
        with Image.open(drawn) as image:
            # Without the means of clusters, this method shifts all colours, and the others merge a legend's.
            few = image.convert("RGB").quantize(
                COLORS, method=Image.Quantize.MAXCOVERAGE, kmeans=3, dither=Image.Dither.NONE
            )
            few.save(path, optimize=True)

    def _fractions(self, box: Box) -> tuple[float, float, float, float]:
        """Return the box in matplotlib's fractions of the figure, from the lower left corner."""
        return (
            box.left / self.width,
            1 - (box.top + box.height) / self.height,
            box.width / self.width,
            box.height / self.height,
        )
