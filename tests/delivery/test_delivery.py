"""Each delivery stage alone: its settings, its records, and a registry with a login."""

from __future__ import annotations

import base64
import json
import os
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from delivery import diagnostics
from delivery import push as pushing
from delivery import rollback as way_back
from delivery import settings as delivery_settings
from delivery.chart import package_chart, push_chart, write_chart
from delivery.errors import RecordError
from delivery.parameters import check_parameters
from delivery.push import login_file
from delivery.pushed_images import read_images, write_images
from delivery.release.release import VERIFY, write_sums
from delivery.settings import Settings
from delivery.signing import provenance
from delivery.signing.cosign import Cosign, signer
from delivery.signing.sign import sign
from hack.control_plane.api import listening
from hack.control_plane.instance import free_ports
from hack.errors import InstallError, SettingError
from hack.git import revision
from hack.images import docker, engine, platforms, sbom
from hack.images.build import BASE_LABEL, PROGRAMS
from hack.images.docker import ImageError
from hack.images.platforms import MACHINES, own, require_runnable, suffix, target_platforms
from hack.installation import MONITORED_SAMPLE, SAMPLE, Images, solvers_of
from hack.kubectl import Kubectl
from hack.toolchain.commands import run
from hack.toolchain.errors import CommandError
from hack.toolchain.paths import CACHE, ROOT
from hack.toolchain.processes import Part, Processes
from hack.toolchain.progress import Progress
from hack.toolchain.tools import Tools

if TYPE_CHECKING:
    from collections.abc import Iterator

IMAGE = "mcq-nothing:latest"
# The user "robot" with the password "right", in the format of htpasswd.
DOOR = "robot:$2b$04$aLapt7SfSlGefqFTXtEXmuyeDrDpiuWnjvsRW6sZLPefF4Z6hzU9u\n"
# docker pushes an index in its own media type.
INDEX = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
ROBOT = {"REGISTRY_USER": "robot", "REGISTRY_PASSWORD": "right"}
UNREACHABLE = Kubectl(Path("/bin/false"), Path("/nowhere"))
SILENT = Kubectl(Path("/bin/true"), Path("/nowhere"))


@pytest.mark.parametrize(
    ("name", "value", "setting", "message"),
    [
        ("REGISTRY", " ", "registry", "Set REGISTRY to the registry for the images"),
        ("COSIGN_KEY", "", "signer", "Set COSIGN_KEY to a private key"),
        ("SIGSTORE_ID_TOKEN", "a.b.c", "signer", "SIGSTORE_ID_TOKEN is not an OpenID token"),
        (
            "RELEASE_STORE",
            "/somewhere",
            "release_store",
            "RELEASE_STORE=/somewhere can't be used: give s3://BUCKET",
        ),
        (
            "ENVIRONMENT",
            "moon",
            "overlay",
            "ENVIRONMENT=moon is unknown: use one of dev, monitoring, openshift, production",
        ),
        ("MONITORING", "perhaps", "monitoring", "MONITORING=perhaps is invalid: use 1 or 0"),
        ("SOLVER", "/no/such.yaml", "solver", "SOLVER=/no/such.yaml does not exist"),
        (
            "ENVIRONMENT",
            "production",
            "solver",
            "Set SOLVER to a file .*: ENVIRONMENT=production gets no sample",
        ),
        ("TAG", "v1/two", "tag", "TAG=v1/two is not a tag"),
        ("VERIFY_SECONDS", "long", "verify_seconds", "VERIFY_SECONDS=long is not a number of seconds"),
    ],
)
def test_an_invalid_setting_is_refused_with_a_remedy(
    name: str, value: str, setting: str, message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        getattr(Settings({name: value}), setting)


def test_parameters_are_checked_without_a_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    good = {"REGISTRY": "r.example.com/mcq", "TAG": "1.2", "ENVIRONMENT": "dev"}
    monkeypatch.setenv("PLATFORMS", "linux/amd64")
    assert "ENVIRONMENT=dev" in check_parameters(Settings(good))
    assert f"SOLVER={SAMPLE} (default/demo)" in check_parameters(Settings(good))
    other = tmp_path / "pod.yaml"
    other.write_text("kind: Pod\n")
    two = tmp_path / "two.yaml"
    two.write_text(f"{SAMPLE.read_text()}\n---\n{SAMPLE.read_text().replace('demo', 'other')}")
    check_parameters(Settings(good | {"SOLVER": str(two)}))
    for wrong in (
        {"REGISTRY": ""},
        {"TAG": "a b"},
        {"ENVIRONMENT": "production"},
        {"SOLVER": str(other)},
        {"SOLVER": str(two), "INGRESS_URL": "http://one.example.com"},
    ):
        with pytest.raises(InstallError):
            check_parameters(Settings(good | wrong))
    monkeypatch.setenv("PLATFORMS", "linux/s390x")
    with pytest.raises(ImageError):
        check_parameters(Settings(good))


def test_monitoring_accepts_jenkins_booleans(subtests: pytest.Subtests) -> None:
    for value, expected in {"true": True, "1": True, "false": False, "0": False, "": False}.items():
        with subtests.test(value=value):
            assert Settings({"MONITORING": value}).monitoring is expected
    assert Settings({}).solver == SAMPLE
    assert Settings({"MONITORING": "true"}).solver == MONITORED_SAMPLE


def test_later_stages_require_the_record_of_a_push(tmp_path: Path) -> None:
    record = tmp_path / "images.json"
    with pytest.raises(RecordError, match="make push REGISTRY="):
        read_images(record)
    record.write_text('{"operator": "here"}')
    with pytest.raises(RecordError, match="is not a record of pushed images"):
        read_images(record)
    write_images(Images("a@sha256:1", "b@sha256:2"), record)
    assert read_images(record) == Images("a@sha256:1", "b@sha256:2")


@pytest.mark.parametrize(
    "text", ["kind: ConfigMap\n", "", "kind: MCQSolver\nmetadata: {name: a}\n---\nkind: Pod\n"]
)
def test_a_solver_file_with_other_kinds_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "solver.yaml"
    path.write_text(text)
    with pytest.raises(InstallError, match="should have MCQSolvers and nothing else"):
        solvers_of(UNREACHABLE, path)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "nothing to roll back"),
        (
            {"cluster": "", "objects": [], "added": [], "solvers": [], "added_solvers": []},
            "There was no operator before this one",
        ),
    ],
)
def test_rollback_without_a_previous_install_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    record: dict[str, object] | None, message: str,
) -> None:  # fmt: skip
    path = tmp_path / "previous.json"
    if record:
        path.write_text(json.dumps(record))
    monkeypatch.setattr(way_back, "PREVIOUS", path)

    way_back.rollback(SILENT, Progress())

    assert message in capsys.readouterr().err


def test_diagnostics_go_on_after_a_part_that_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnostics, "FOLDER", tmp_path / "diagnostics")
    monkeypatch.setattr(diagnostics, "SECONDS", 2.0)
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\ncase "$*" in *nodes*) exec sleep 60;; *) echo "printed for $*";; esac\n')
    program.chmod(0o755)

    folder = diagnostics.diagnostics(Kubectl(program, tmp_path / "none"), ["team"], Progress())

    assert "No answer in 2 s" in (folder / "nodes.txt").read_text()
    assert "printed for" in (folder / "team/events.txt").read_text()


@pytest.fixture(scope="module")
def guarded_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a real registry that requires a login."""
    directory = tmp_path_factory.mktemp("registry")
    tools = Tools(CACHE, Progress())
    tools.build(["registry"])
    (directory / "htpasswd").write_text(DOOR)
    [port] = free_ports(1)
    address = f"127.0.0.1:{port}"
    configuration = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "images")}},
        "http": {"addr": address},
        "auth": {"htpasswd": {"realm": "test", "path": str(directory / "htpasswd")}},
    }
    (directory / "registry.json").write_text(json.dumps(configuration))
    command: list[str | Path] = [tools.binary("registry"), "serve", directory / "registry.json"]
    processes = Processes(directory / "processes", directory)
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    part = Part("registry", command, ready=lambda: listening("127.0.0.1", port), env=quiet)
    processes.ensure(part, Progress())
    yield address
    processes.stop(["registry"])


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a local image of one file."""
    engine.ensure(Progress())
    context = tmp_path_factory.mktemp("image")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    (context / "file").write_text("nothing\n")
    docker.build(context / "Dockerfile", context, IMAGE)
    return IMAGE


def test_the_registry_login_exists_only_during_the_push(guarded_registry: str, image: str) -> None:
    with login_file(guarded_registry, ("robot", "right")) as auth:
        assert auth is not None
        assert auth.stat().st_mode & 0o077 == 0
        digest = docker.push(image, f"{guarded_registry}/nothing:1", auth=auth)
    assert digest.startswith("sha256:")
    assert not auth.exists()


@pytest.mark.parametrize(
    ("registry", "server"),
    [
        ("docker.io/mcq", "https://index.docker.io/v1/"),
        ("index.docker.io/mcq", "https://index.docker.io/v1/"),
        ("ghcr.io/mcq", "ghcr.io"),
    ],
)
def test_the_login_has_the_name_under_which_docker_looks_for_it(registry: str, server: str) -> None:
    with login_file(registry, ("robot", "right")) as auth:
        assert auth is not None
        assert list(json.loads(auth.read_text())["auths"]) == [server]


def test_a_build_of_changed_files_does_not_have_the_tag_of_the_commit(
    monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    for name, expected in {"a" * 40: "a" * 12, f"{'a' * 40}-dirty": f"{'a' * 12}-dirty"}.items():
        with subtests.test(revision=name):
            monkeypatch.setattr(delivery_settings, "revision", lambda _, name=name: name)
            assert Settings({}).tag == expected
            assert Settings({"TAG": "1.0"}).tag == "1.0"


def test_an_image_is_built_without_attestations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Engines with the containerd store would push an index, which `docker manifest create` refuses."""
    environments: list[dict[str, str]] = []
    monkeypatch.setattr(docker, "quiet", lambda _, environment: environments.append(environment))
    docker.build(tmp_path / "Dockerfile", tmp_path, IMAGE)
    assert environments[0]["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"


@pytest.mark.parametrize("login", [None, ("robot", "wrong")])
def test_a_registry_refuses_an_unknown_user(
    guarded_registry: str, image: str, login: tuple[str, str] | None
) -> None:
    with (
        login_file(guarded_registry, login) as auth,
        pytest.raises(ImageError, match=r"(?i)unauthorized|no basic auth credentials"),
    ):
        docker.push(image, f"{guarded_registry}/nothing:2", auth=auth)


def _only_files(program: str, platform: str) -> str:
    """Return the tag of an image that contains only a file and runs no foreign program."""
    return f"mcq-{program}-only{suffix(platform)}"


@pytest.fixture
def two_platforms(
    guarded_registry: str, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Images:
    """Return all images for both platforms, pushed."""
    monkeypatch.setenv("PLATFORMS", "linux/amd64, linux/arm64")
    monkeypatch.setattr(pushing, "RECORD", tmp_path / "dist/images.json")
    monkeypatch.setattr(pushing, "tag", _only_files)
    for program, platform in product(PROGRAMS, MACHINES):
        dockerfile = tmp_path / f"{program}{suffix(platform)}"
        dockerfile.write_text(f"FROM scratch\nCOPY {dockerfile.name} /\n")
        docker.build(
            dockerfile, tmp_path, _only_files(program, platform), platform=platform, labels={BASE_LABEL: IMAGE}
        )  # fmt: skip
    return pushing.push(Settings({"REGISTRY": f"{guarded_registry}/two", "TAG": "1", **ROBOT}), Progress())


def test_images_for_two_platforms_have_one_reference(guarded_registry: str, two_platforms: Images) -> None:
    for image in two_platforms.references.values():
        name, _, digest = image.removeprefix(f"{guarded_registry}/").partition("@")
        response = httpx2.get(
            f"http://{guarded_registry}/v2/{name}/manifests/1",
            auth=("robot", "right"),
            headers={"Accept": INDEX},
        )
        assert response.headers["Docker-Content-Digest"] == digest
        platforms = [each["platform"] for each in response.json()["manifests"]]
        assert {(each["os"], each["architecture"]) for each in platforms} == {
            ("linux", "amd64"),
            ("linux", "arm64"),
        }


@pytest.fixture
def release(
    guarded_registry: str, two_platforms: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Prepare SBOMs and a key for the pushed images; return the settings that sign with the key."""
    cosign = Cosign.built(Progress())
    monkeypatch.setenv("PATH", f"{cosign.program.parent}:{os.environ['PATH']}")  # for verify.sh
    monkeypatch.setenv("COSIGN_PASSWORD", "opens it")
    cosign("generate-key-pair", "--output-key-prefix", tmp_path / "own")
    monkeypatch.setattr(sbom, "DIST", tmp_path / "dist")
    monkeypatch.setattr(provenance, "tag", _only_files)
    for program, platform in product(two_platforms.references, target_platforms()):
        sbom.sbom_path(program, platform).write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    return Settings({"COSIGN_KEY": str(tmp_path / "own.key"), "REGISTRY": guarded_registry, **ROBOT})


@pytest.mark.slow
def test_one_command_verifies_a_release(
    release: Settings, guarded_registry: str, image: str, two_platforms: Images, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """It refuses a changed file, another key, and an image without signature or statements."""
    folder, public = tmp_path / "1.0.0", tmp_path / "own.pub"
    folder.mkdir()
    with login_file(guarded_registry, ("robot", "right")) as auth:
        assert auth is not None
        monkeypatch.setenv("DOCKER_CONFIG", str(auth.parent))
        other = f"{guarded_registry}/nothing@{docker.push(image, f'{guarded_registry}/nothing:3', auth=auth)}"
        cosign = Cosign.built(Progress())
        cosign("generate-key-pair", "--output-key-prefix", tmp_path / "other")

        sign(release, two_platforms, Progress(), public_key=tmp_path / "dist/cosign.pub")
        with signer(release, guarded_registry, folder / "cosign.pub", Progress()) as own:
            own.image(other)
            write_images(two_platforms, folder / "images.json")
            (folder / "chart.txt").write_text(other)
            write_sums(folder)
            own.file(folder / "SHA256SUMS")
        verify = partial(run, check=True, timeout=300)

        printed = verify([VERIFY, folder, "--key", public])

        assert printed.count("signature, SBOM, provenance") == len(two_platforms.references)
        assert f"ok  {other}: signature" in printed
        for platform, one in docker.platform_images(two_platforms.operator).items():
            who = ("--key", public, "--insecure-ignore-tlog", "--allow-http-registry")
            cosign("verify-attestation", *who, "--type", "cyclonedx", one)
            assert platform in MACHINES
        [statement] = json.loads(
            cosign(
                "verify-attestation", "--key", public, "--insecure-ignore-tlog", "--allow-http-registry",
                "--type", "slsaprovenance1", two_platforms.operator,
            ).join("[]")
        )  # fmt: skip
        predicate = json.loads(base64.b64decode(statement["payload"]))["predicate"]
        [source, base, *_locks] = predicate["buildDefinition"]["resolvedDependencies"]
        assert source["digest"] == {"gitCommit": revision(ROOT)}
        assert base["uri"] == f"docker:{image}"
        with pytest.raises(CommandError, match="verify-blob"):
            verify([VERIFY, folder, "--key", tmp_path / "other.pub"])
        (folder / "images.json").write_text(json.dumps({"operator": other}))
        with pytest.raises(CommandError, match=r"images\.json: FAILED"):
            verify([VERIFY, folder, "--key", public])
        write_sums(folder)
        with signer(release, guarded_registry, tmp_path / "again.pub", Progress()) as own:
            own.file(folder / "SHA256SUMS")
        with pytest.raises(CommandError, match="verify-attestation"):
            verify([VERIFY, folder, "--key", public])
    monkeypatch.setenv("COSIGN_PASSWORD", "does not")
    with pytest.raises(CommandError, match="decrypt"):
        sign(release, two_platforms, Progress(), public_key=tmp_path / "dist/cosign.pub")


def test_images_without_sboms_are_not_signed(
    two_platforms: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sbom, "DIST", tmp_path / "dist")
    with pytest.raises(
        RecordError, match=r"mcq-operator.*\.cdx\.json.* do not exist: `make sbom` writes them"
    ):
        sign(Settings({"COSIGN_KEY": "any"}), two_platforms, Progress())


def test_a_pushed_chart_can_be_pulled(guarded_registry: str, tmp_path: Path) -> None:
    tools = Tools(CACHE, Progress())
    tools.build(["helm"])
    helm = tools.binary("helm")
    archive = package_chart(write_chart(None, tmp_path / "mcq-operator"), tmp_path, helm)

    chart = push_chart(archive, Settings({"REGISTRY": f"{guarded_registry}/three", **ROBOT}), helm)

    address = f"oci://{chart.partition('@')[0]}"
    assert address == f"oci://{guarded_registry}/three/charts/mcq-operator"
    (tmp_path / "pulled").mkdir()
    with login_file(guarded_registry, ("robot", "right")) as auth:
        assert auth is not None
        login: list[str | Path] = ["--plain-http", "--registry-config", auth]
        run([helm, "pull", address, *login, "--destination", tmp_path / "pulled"])
    [pulled] = (tmp_path / "pulled").iterdir()
    assert pulled.read_bytes() == archive.read_bytes()


def test_an_unknown_user_pushes_no_chart(guarded_registry: str, tmp_path: Path) -> None:
    tools = Tools(CACHE, Progress())
    tools.build(["helm"])
    archive = package_chart(write_chart(None, tmp_path / "mcq-operator"), tmp_path, tools.binary("helm"))
    stranger = Settings({"REGISTRY": guarded_registry, **ROBOT, "REGISTRY_PASSWORD": "wrong"})
    with pytest.raises(CommandError, match=r"(?i)unauthorized"):
        push_chart(archive, stranger, tools.binary("helm"))


def test_an_unsupported_platform_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORMS", "linux/amd64,linux/s390x")
    with pytest.raises(ImageError, match="PLATFORMS has linux/s390x: there are linux/amd64, linux/arm64"):
        target_platforms()


def test_a_build_for_a_foreign_platform_requires_an_emulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "EMULATORS", tmp_path)
    other = next(name for name in MACHINES if name != own())
    with pytest.raises(
        ImageError, match=f"Building for {other} runs programs of that platform.*qemu-user-static"
    ):
        require_runnable(other)
    (tmp_path / f"qemu-{MACHINES[other]}").touch()
    require_runnable(other)
    require_runnable(own())
