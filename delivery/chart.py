"""Writes the Helm chart to dist/chart with the pushed images as default values, packages it and pushes it.

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
from hack.toolchain.errors import CommandError
from hack.toolchain.paths import ROOT

from delivery.push import login_file

if TYPE_CHECKING:
    from pathlib import Path

    from hack.installation import Images

    from delivery.settings import Settings

SOURCE = ROOT / "charts/mcq-operator"
CHART = DIST / "chart"


def write_chart(images: Images | None, folder: Path = CHART) -> Path:
    """Write the chart. Its default images are `images`; without them, those of charts/mcq-operator stay."""
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
    """Push the packaged chart to the configured registry; return its reference by digest, without `oci://`.

    Raises SettingError or CommandError.
    """
    repository = f"{settings.registry}/charts"
    http = ["--plain-http"] if on_this_machine(repository) else []
    with login_file(repository, settings.registry_login) as auth:
        login: list[str | Path] = ["--registry-config", auth] if auth else []
        command: list[str | Path] = [helm, "push", archive, f"oci://{repository}", *http, *login]
        printed = run(command, timeout=300, both=True)  # helm prints the digest on stderr
    digest = re.search(r"Digest: (sha256:[0-9a-f]{64})", printed)
    if not digest:
        raise CommandError(f"helm push printed no digest:\n{printed}")
    return f"{repository}/mcq-operator@{digest[1]}"
