"""The steps of a release; each skips work that an earlier attempt completed."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from hack.git import git
from hack.images.build import DIST, build
from hack.images.platforms import target_platforms
from hack.images.sbom import write_sboms
from hack.toolchain.paths import ROOT

from delivery.chart import package_chart, push_chart, write_chart
from delivery.installer import write_installer
from delivery.push import push
from delivery.pushed_images import RECORD
from delivery.release import changelog, compatibility, versions
from delivery.release.errors import ReleaseError
from delivery.release.upload import SUMS, is_uploaded, upload
from delivery.signing.cosign import signer
from delivery.signing.sign import PUBLIC_KEY, sign_image

if TYPE_CHECKING:
    from datetime import date

    from hack.installation import Images
    from hack.kubectl import Kubectl
    from hack.toolchain.progress import Progress
    from hack.toolchain.tools import Tools

    from delivery.settings import Settings

CRDS = "crds"
NOTES = "NOTES.md"
COMMIT = re.compile(r"^Commit: ([0-9a-f]{40})$", re.MULTILINE)
VERIFY = Path(__file__).with_name("verify.sh")
UPGRADE = """\
## Upgrade

CRDs first, then the rest. The operator rolls solvers to the new service images, one replica at a time.

```
kubectl apply --server-side --force-conflicts -f install.yaml
kubectl --namespace mcq-operator-system rollout status deployment/mcq-operator
kubectl get mcqsolvers --all-namespaces
```

To go back, apply the earlier release's `operator.yaml`, which has no CRDs: the new ones accept its objects.

With Helm:

```
helm upgrade mcq-operator {chart} --version {version} --namespace mcq-operator-system --wait
```

## Images

```
{images}
```

Commit: {commit}
"""


def prepare(root: Path, version: str, day: date, crdify: Path, progress: Progress) -> None:
    """Commit the version and its changelog section, unless that is done. Raises ReleaseError."""
    release = versions.parse(version)
    if git(root, "status", "--porcelain"):
        raise ReleaseError("There are uncommitted changes: commit them, because a release is a commit.")
    tags = git(root, "tag", "--list", "v*").split()
    if f"v{version}" in tags:
        raise ReleaseError(f"v{version} is already released.")
    last = max((tag.removeprefix("v") for tag in tags), key=versions.parse, default=None)
    if last and release < versions.parse(last):
        raise ReleaseError(f"VERSION={version} is older than the last release, {last}.")
    if last:
        with progress.step(f"CRDs accept what those of {last} accepted"):
            compatibility.check(crds_at(root, f"v{last}"), crds_at(root, "HEAD"), crdify)
    else:
        progress.say("  No earlier release: there are no CRDs to compare with.")
    text = (root / "CHANGELOG.md").read_text()
    if versions.current(root) == version and changelog.section(text, version):
        progress.say(f"  {version} is already committed.")
        return
    (root / "CHANGELOG.md").write_text(changelog.released(text, version, day))
    versions.write(root, version)
    git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")


def crds_at(root: Path, revision: str) -> dict[str, str]:
    """Return a commit's CRDs by file name."""
    names = git(root, "ls-tree", "--name-only", f"{revision}:{CRDS}").split()
    texts = {name: git(root, "show", f"{revision}:{CRDS}/{name}") for name in names}
    return {name: text for name, text in texts.items() if "\nkind: CustomResourceDefinition\n" in text}


def publish(settings: Settings, version: str, kubectl: Kubectl, tools: Tools, progress: Progress) -> Path:
    """Build, push and sign the images and the chart, write the release's files into dist/VERSION, and tag.

    If the store has the whole release already, only the tag is missing. Return the folder. Raises ImageError,
    SettingError, ToolError, KubectlError or ReleaseError, and then tags nothing.
    """
    folder = DIST / version
    if settings.release_store and is_uploaded(folder, settings.release_store):
        _tag(version, _commit(folder))
        return folder
    commit = git(ROOT, "rev-parse", "HEAD")
    build(platforms=target_platforms())
    images = push(settings, progress)
    sboms = write_sboms(progress)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with progress.step("installer and chart"):
        write_installer(kubectl, images, settings.overlay, folder)
        archive = package_chart(write_chart(images), folder, tools.binary("helm"))
    with progress.step(f"push {archive.name}"):
        chart = push_chart(archive, settings, tools.binary("helm"))
    with signer(settings, settings.registry, folder / PUBLIC_KEY.name, progress) as own:
        for program, image in images.references.items():
            with progress.step(f"sign {image}"):
                sign_image(own, program, image, settings)
        with progress.step(f"sign {chart}"):
            own.image(chart)
        for file in (*sboms, RECORD, VERIFY):
            shutil.copy(file, folder)
        (folder / "chart.txt").write_text(f"{chart}\n")
        write_notes(folder, version, images, chart, commit)
        write_sums(folder)
        with progress.step(f"sign {SUMS}"):
            own.file(folder / SUMS)
    if settings.release_store:
        with progress.step(f"copy to {settings.release_store}"):
            upload(folder, settings.release_store)
    _tag(version, commit)
    return folder


def _tag(version: str, commit: str) -> None:
    """Tag the commit that the release was built from; HEAD may be a later one."""
    git(ROOT, "tag", "--annotate", f"v{version}", commit, "--message", f"Release {version}")


def _commit(folder: Path) -> str:
    """Return the commit that the release in the folder was built from."""
    commit = COMMIT.search((folder / NOTES).read_text())
    if not commit:
        raise ReleaseError(f"{folder / NOTES} names no commit to tag.")
    return commit[1]


def write_notes(folder: Path, version: str, images: Images, chart: str, commit: str) -> None:
    """Write what the release changes, how to upgrade to it, and what it was built from."""
    section = changelog.section((ROOT / "CHANGELOG.md").read_text(), version)
    name, _, _ = chart.partition("@")
    upgrade = UPGRADE.format(
        images="\n".join(images.references.values()), chart=f"oci://{name}", version=version, commit=commit
    )
    (folder / NOTES).write_text(f"# {version}\n\n{section}\n\n{upgrade}")


def write_sums(folder: Path) -> None:
    """Write the sums of the folder's files, but not of an earlier SHA256SUMS and its signature."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith(SUMS))
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(sums))
