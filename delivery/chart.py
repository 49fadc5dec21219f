"""The Helm chart of charts/mcq-operator, with the pushed images as default values: dist/chart, packaged and pushed.

Registries keep charts like images. The chart's own path, REGISTRY/charts/mcq-operator, keeps its versions apart from
the tags of the operator's image, REGISTRY/mcq-operator.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

from hack.images.build import DIST
from hack.images.docker import on_this_machine
from hack.toolchain.commands import run
from hack.toolchain.paths import ROOT

from delivery.push import login_file

if TYPE_CHECKING:
    from pathlib import Path

    from hack.installation import Images

    from delivery.settings import Settings

SOURCE = ROOT / "charts/mcq-operator"
CHART = DIST / "chart"


def write_chart(images: Images | None, folder: Path = CHART) -> Path:
    """Write the chart. Its default images are `images`, or those of the source."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder)
    values = folder / "values.yaml"
    for program, image in images.references.items() if images else ():
        name, _, digest = image.partition("@")
        default = rf'repository: mcq-{program}\n(.*?)digest: ""'
        by_digest = rf"repository: {name}\n\g<1>digest: {digest}"
        values.write_text(re.sub(default, by_digest, values.read_text(), count=1, flags=re.DOTALL))
    return folder


def package_chart(chart: Path, folder: Path, helm: Path) -> Path:
    """Package the chart into `folder`; return the archive."""
    run([helm, "package", chart, "--destination", folder])
    [archive] = folder.glob("mcq-operator-*.tgz")
    return archive


def push_chart(archive: Path, settings: Settings, helm: Path) -> str:
    """Push the packaged chart to the configured registry; return its address. Raises SettingError or CommandError."""
    repository = f"{settings.registry}/charts"
    http = ["--plain-http"] if on_this_machine(repository) else []
    with login_file(repository, settings.registry_login) as auth:
        login: list[str | Path] = ["--registry-config", auth] if auth else []
        run([helm, "push", archive, f"oci://{repository}", *http, *login], timeout=300)
    return f"oci://{repository}/mcq-operator"
