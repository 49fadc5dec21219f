"""dist/chart: the Helm chart of charts/mcq-operator, with the pushed images as default values."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.toolchain.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from hack.installation import Images

SOURCE = ROOT / "charts/mcq-operator"
CHART = DIST / "chart"


def write_chart(images: Images | None, folder: Path = CHART) -> Path:
    """Write the chart. Its default images are `images`, or those of the source."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder)
    values = folder / "values.yaml"
    for program, image in images.references.items() if images else ():
        values.write_text(re.sub(rf"(?m)mcq-{program}:\S+$", image, values.read_text()))
    return folder
