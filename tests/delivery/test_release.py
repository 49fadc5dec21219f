"""A release has one version, a changelog section, and backwards-compatible CRDs."""

from __future__ import annotations

import copy
import subprocess
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from delivery.installer import write_installer
from delivery.release import __main__ as program
from delivery.release import changelog, compatibility, release, versions
from delivery.release.errors import ReleaseError
from delivery.release.release import crds_at, prepare, write_sums
from delivery.release.upload import is_uploaded, upload
from delivery.settings import Settings
from hack.installation import DEFAULT, Images
from hack.kubectl import Kubectl
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools
from tests.support.repositories import Repository
from tests.support.s3_server import only_variables, s3_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CRD = "mcq-operator.dev_mcqsolvers.yaml"
DAY = date(2027, 1, 31)
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.0.1] - 2026-01-01\n\n- Old.\n"


@pytest.fixture(scope="module")
def crdify() -> Path:
    """Return the real crdify."""
    tools = Tools(CACHE, Progress())
    tools.build(["crdify"])
    return tools.binary("crdify")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Return a repository with the files that a release changes, committed."""
    repository = Repository(tmp_path / "repository")
    repository.root.mkdir()
    repository.git("init", "--quiet")
    repository.git("config", "user.name", "Test")
    repository.git("config", "user.email", "test@localhost")
    files = {place: (ROOT / place).read_text() for place in versions.PLACES}
    repository.commit({**files, "CHANGELOG.md": CHANGELOG, f"crds/{CRD}": (ROOT / "crds" / CRD).read_text()})
    return repository


def test_all_files_have_the_same_version() -> None:
    assert versions.parse(versions.current(ROOT))


def test_a_file_with_another_version_is_reported(repository: Repository) -> None:
    path = repository.root / "compose.yaml"
    path.write_text(path.read_text().replace(f"mcq-service:{versions.current(ROOT)}", "mcq-service:9.9.9"))
    with pytest.raises(ReleaseError, match=r"compose\.yaml: 9\.9\.9"):
        versions.current(repository.root)


def test_versions_are_ordered_as_semver_says() -> None:
    ordered = ["0.9.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta.2", "1.0.0-beta.11",
               "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]  # fmt: skip
    by_alphabet = sorted(ordered)
    assert sorted(by_alphabet, key=versions.parse) == ordered


@pytest.mark.parametrize("version", ["", "1", "1.2", "v1.2.3", "1.2.3+build", "1.2.3-", "latest"])
def test_an_invalid_version_is_refused(version: str) -> None:
    with pytest.raises(ReleaseError, match=r"is not a semantic version, like 1\.2\.3"):
        versions.parse(version)


def test_a_release_commits_the_version_and_its_changelog_section(
    repository: Repository, crdify: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(repository.root, "1.0.0", DAY, crdify, Progress())

    assert repository.git("log", "-1", "--format=%s") == "Release 1.0.0"
    assert repository.git("status", "--porcelain") == ""
    assert versions.current(repository.root) == "1.0.0"
    text = (repository.root / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [1.0.0] - 2027-01-31\n\n### Added\n\n- A thing.\n\n## [0.0.1]" in text
    assert changelog.section(text, "1.0.0") == "### Added\n\n- A thing."

    commit = repository.git("rev-parse", "HEAD")
    prepare(repository.root, "1.0.0", DAY, crdify, Progress())
    assert repository.git("rev-parse", "HEAD") == commit
    assert "1.0.0 is already committed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "change", "message"),
    [
        ("1.0.0", lambda repository: repository.git("tag", "v1.0.0"), "v1.0.0 is already released"),
        ("1.0.0", lambda repository: repository.git("tag", "v1.1.0"), "older than the last release, 1.1.0"),
        ("1.0.0", lambda repository: (repository.root / "new").touch(), "There are uncommitted changes"),
        (
            "1.0.0",
            lambda repository: repository.commit(
                {"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n## [0.1.0]\n"}
            ),
            "has nothing under",
        ),
    ],
)
def test_a_refused_release_says_why_and_changes_nothing(
    repository: Repository, crdify: Path, version: str, change: Callable[[Repository], object], message: str
) -> None:
    change(repository)
    commit = repository.git("rev-parse", "HEAD")
    with pytest.raises(ReleaseError, match=message):
        prepare(repository.root, version, DAY, crdify, Progress())
    assert repository.git("rev-parse", "HEAD") == commit
    assert versions.current(repository.root) == versions.current(ROOT)


def changed(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> str:
    """Return the CRD after a change to it and to its spec's schema."""
    crd = yaml.safe_load((ROOT / "crds" / CRD).read_text())
    change(crd, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    return yaml.safe_dump(crd)


BREAKING: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "a field is missing": lambda crd, spec: spec["properties"].pop("replicas"),
    "a field is required": lambda crd, spec: spec.update(required=["replicas"]),
    "a type is another": lambda crd, spec: spec["properties"]["replicas"].update(type="string"),
    "a bound is narrower": lambda crd, spec: spec["properties"]["replicas"].update(maximum=3),
    "a value is no longer allowed": lambda crd, spec: spec["properties"]["imagePullPolicy"]["enum"].pop(),
    "a default is another": lambda crd, spec: spec["properties"]["replicas"].update(default=5),
    "a rule is new": lambda crd, spec: spec.setdefault("x-kubernetes-validations", []).append(
        {"rule": "self.replicas < 3", "message": "few"}
    ),
    "a version is no longer served": lambda crd, spec: crd["spec"]["versions"][0].update(name="v1beta1"),
    "the scope is another": lambda crd, spec: crd["spec"].update(scope="Cluster"),
}
HARMLESS: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "nothing": lambda crd, spec: None,
    "a field is new": lambda crd, spec: spec["properties"].update(extra={"type": "string"}),
    "words are other words": lambda crd, spec: spec.update(description="What is asked for, in other words."),
    "a version is new": lambda crd, spec: crd["spec"]["versions"].append(
        {**copy.deepcopy(crd["spec"]["versions"][0]), "name": "v1beta1", "storage": False}
    ),
}


def test_a_crd_that_refuses_valid_objects_stops_the_release(crdify: Path, subtests: pytest.Subtests) -> None:
    before = {CRD: (ROOT / "crds" / CRD).read_text()}
    for what, change in BREAKING.items():
        with (
            subtests.test(what),
            pytest.raises(ReleaseError, match=r"refuse objects that were valid before:\n  mcq-operator\.dev"),
        ):
            compatibility.check(before, {CRD: changed(change)}, crdify)
    with subtests.test("the file is missing"), pytest.raises(ReleaseError, match="is missing"):
        compatibility.check(before, {}, crdify)


def test_a_crd_that_accepts_more_does_not_stop_the_release(crdify: Path, subtests: pytest.Subtests) -> None:
    before = {CRD: (ROOT / "crds" / CRD).read_text()}
    for what, change in HARMLESS.items():
        with subtests.test(what):
            compatibility.check(before, {CRD: changed(change)}, crdify)


def test_the_crds_are_compared_with_those_of_the_last_release(repository: Repository, crdify: Path) -> None:
    repository.git("tag", "v0.0.1")
    repository.commit({f"crds/{CRD}": changed(BREAKING["a field is missing"])})
    with pytest.raises(ReleaseError, match=r"removed field : v1alpha1.*spec.replicas"):
        prepare(repository.root, "1.0.0", DAY, crdify, Progress())
    assert list(crds_at(repository.root, "v0.0.1")) == [CRD]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "Set REGISTRY to the registry for the images"),
        ({"REGISTRY": "r.example.com"}, "Set COSIGN_KEY to a private key"),
        (
            {"REGISTRY": "r.example.com", "COSIGN_KEY": "own.key", "RELEASE_STORE": "bucket"},
            "RELEASE_STORE=bucket can't be used",
        ),
    ],
    ids=["no registry", "no signature", "a wrong store"],
)
def test_a_release_with_a_wrong_setting_does_nothing(settings: dict[str, str], message: str) -> None:
    none = {"REGISTRY": "", "COSIGN_KEY": "", "SIGSTORE_ID_TOKEN": "", "RELEASE_STORE": ""}
    variables = [f"{name}={value}" for name, value in {**none, **settings}.items()]
    command = ["make", "--no-print-directory", "release", "VERSION=1.2.3", *variables]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode != 0
    assert message in completed.stderr


def test_a_release_is_copied_to_a_bucket_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, bucket = tmp_path / "1.2.3", tmp_path / "buckets/releases"
    for folder in (release, bucket):
        folder.mkdir(parents=True)
    (release / "install.yaml").write_text("kind: Namespace\n")
    with s3_server(bucket.parent) as url:
        only_variables(monkeypatch, url)

        assert upload(release, "s3://releases/mcq") == "s3://releases/mcq/1.2.3"

        assert (bucket / "mcq/1.2.3/install.yaml").read_text() == "kind: Namespace\n"
        assert not is_uploaded(release, "s3://releases/mcq"), "the sums are missing: the copy broke off"
        write_sums(release)
        upload(release, "s3://releases/mcq")
        assert is_uploaded(release, "s3://releases/mcq")
        (release / "install.yaml").write_text("kind: Service\n")
        write_sums(release)
        with pytest.raises(ReleaseError, match="has files already: a released version never changes"):
            is_uploaded(release, "s3://releases/mcq")
        with pytest.raises(ReleaseError, match="Can't copy the release to s3://missing/"):
            upload(release, "s3://missing")


def test_a_release_that_was_only_copied_is_tagged_at_the_commit_that_was_built(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "ROOT", repository.root)
    monkeypatch.setattr(release, "DIST", tmp_path)
    monkeypatch.setattr(release, "is_uploaded", lambda *_: True)
    built = repository.git("rev-parse", "HEAD")
    (tmp_path / "1.0.0").mkdir()
    release.write_notes(
        tmp_path / "1.0.0", "1.0.0", Images("o@sha256:0", "s@sha256:1"), "chart@sha256:2", built
    )
    repository.commit({"later": ""})

    settings = Settings({"RELEASE_STORE": "s3://releases"})
    release.publish(settings, "1.0.0", Kubectl(tmp_path, tmp_path), Tools(CACHE, Progress()), Progress())

    assert repository.git("rev-parse", "v1.0.0^{commit}") == built


def test_a_copy_has_its_sums_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with sums is complete, so their signature comes before."""
    copied: list[str] = []
    monkeypatch.setattr("obstore.put", lambda _, path, __: copied.append(path))
    for name in ("SHA256SUMS", "SHA256SUMS.sigstore.json", "verify.sh"):
        (tmp_path / name).touch()

    upload(tmp_path, "s3://releases")

    assert copied == [
        f"{tmp_path.name}/{name}" for name in ("SHA256SUMS.sigstore.json", "verify.sh", "SHA256SUMS")
    ]


def test_the_installers_parts_are_the_crds_and_the_rest(tmp_path: Path) -> None:
    tools = Tools(CACHE, Progress())
    tools.build(["kubernetes"])
    kubectl = Kubectl(tools.binary("kubernetes", "kubectl"), tmp_path / "none")
    images = Images("r.example.com/o@sha256:" + "0" * 64, "r.example.com/s@sha256:" + "1" * 64)

    write_installer(kubectl, images, DEFAULT, tmp_path)

    whole, crds, rest = (
        [
            (each["kind"], each["metadata"]["name"])
            for each in yaml.safe_load_all((tmp_path / name).read_text())
        ]
        for name in ("install.yaml", "crds.yaml", "operator.yaml")
    )
    assert {kind for kind, _ in crds} == {"CustomResourceDefinition"}
    assert sorted([*crds, *rest]) == sorted(whole)
    assert "CustomResourceDefinition" not in {kind for kind, _ in rest}
    assert ("Deployment", "mcq-operator") in rest


def test_a_release_is_for_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Settings] = []

    def publish(settings: Settings, *_: object) -> Path:
        received.append(settings)
        return ROOT

    given = {"REGISTRY": "r.example.com", "COSIGN_KEY": "k", "ENVIRONMENT": "production", "TAG": "other"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VERSION", "1.2.3")
    monkeypatch.setattr(program, "publish", publish)
    monkeypatch.setattr(program, "prepare", lambda *_: None)
    monkeypatch.setattr(Tools, "build", lambda *_: None)

    program.main()

    (settings,) = received
    assert (settings.overlay, settings.tag, settings.registry) == (DEFAULT, "1.2.3", "r.example.com")
