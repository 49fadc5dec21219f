"""A namespace backed up to a real S3 server and restored, by the commands, on a real API server."""

import gzip
import io
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest
import yaml
from kubernetes.aio.config import kube_config
from tests.operator.conftest import Bench, Kubectl, connected
from tests.operator.controllers.test_exams import answered, condition, jobs, key, ready, sit
from tests.operator.live import apply, existing, patch, until
from tests.support.s3_server import s3_server, variables

from mcq_operator.__main__ import _parser
from mcq_operator.cli import backup
from mcq_operator.cli.backup import archive
from mcq_operator.cli.backup.backup_name import BackupName
from mcq_operator.cli.backup.backup_store import BackupStore
from mcq_operator.cli.backup.contents import namespace_contents
from mcq_operator.cli.backup.restore import Restore, RestoreOutcome
from mcq_operator.client import Client, NotLeadingError

SPEC = {
    "replicas": 1,
    "auth": {"apiKeysSecretRef": {"name": "clients"}},
    "storage": {"cache": {"type": "PVC", "claimName": "models"}},
}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """`python -m mcq_operator` against the tests' API server, and a bucket of this test's own."""

    def __init__(self, kubectl: Kubectl, url: str, folder: Path) -> None:
        self.place = f"s3://backups/{kubectl.namespace}"
        self.folder = folder / "backups" / kubectl.namespace / kubectl.namespace
        self._kubectl = kubectl
        self._url = url

    def run(self, *arguments: str, **environment: str) -> Done:
        """Run it, whatever its exit status; in this process, which saves its start."""
        others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        mine = {**variables(self._url), **environment}
        kubeconfig = environment.get("KUBECONFIG", str(self._kubectl.kubeconfig))
        out, error = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, others | mine, clear=True),
            mock.patch.object(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig),
            redirect_stdout(out),
            redirect_stderr(error),
            # A test's own thread may have an event loop already.
            ThreadPoolExecutor(1) as thread,
        ):
            status = thread.submit(backup.run, _parser().parse_args(arguments)).result()
        return Done(status, out.getvalue(), error.getvalue())

    def create(self, *options: str) -> str:
        """Make a backup of the test's namespace; returns what was said."""
        return self._well("backup", "create", "-n", self._kubectl.namespace, "--to", self.place, *options)

    def list_backups(self) -> list[str]:
        """The lines of `backup list`."""
        return self._well("backup", "list", "--from", self.place).splitlines()

    def restore(self, *options: str) -> Done:
        """Restore the newest, from a store that only this test writes to."""
        return self.run("restore", "--from", self.place, "--trust-store", *options)

    def files(self) -> list[Path]:
        """The backups' objects, the oldest first."""
        return sorted(self.folder.glob("*.gz"))

    def _well(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An S3 server with the bucket `backups`: its address and its folder."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "backups").mkdir()
    with s3_server(folder) as url:
        yield url, folder


@pytest.fixture
def commands(kubectl: Kubectl, served: tuple[str, Path]) -> Commands:
    return Commands(kubectl, *served)


@pytest.fixture
def elsewhere(kubectl: Kubectl, cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """Another namespace, with nothing in it."""
    namespace = f"{kubectl.namespace}-b"
    cluster_kubectl("create", "namespace", namespace)
    yield Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
    cluster_kubectl("delete", "namespace", namespace, "--wait=false")


def written(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    """Return the part of a resource that a person wrote."""
    actual = existing(kubectl, kind, name)
    return {"spec": actual["spec"], **{key: actual["metadata"].get(key) for key in ("labels", "annotations")}}


def wipe(kubectl: Kubectl) -> None:
    kubectl("delete", "mcq,mcqexam", "--all")


@pytest.mark.slow
async def test_a_restore_brings_back_an_exam_with_its_result_and_does_not_run_it(
    kubectl: Kubectl, bench: Bench, commands: Commands, tmp_path: Path
) -> None:
    """Into a namespace where nothing is left; the operator then finds its own objects, and a result to tell of."""
    apply(kubectl, SPEC)
    kubectl("label", "mcq", "demo", "team=blue")
    kubectl("annotate", "mcq", "demo", "mcq-operator.dev/promote=because", "example.com/note=mine")
    sit(kubectl, {"pass": {"minAccuracy": 0.1}})
    await ready(kubectl, bench)
    await bench.settle(key(bench))
    await answered(kubectl, tmp_path, ["xxxo"])
    await bench.settle(key(bench))
    kinds = (("mcq", "demo"), ("mcqexam", "aqua"))
    before = [written(kubectl, *each) for each in kinds]
    stored, summary = (
        [existing(kubectl, "cm", name) for name in ("aqua-results", "aqua-results-0")],
        existing(kubectl, "mcqexam", "aqua")["status"]["summary"],
    )
    said = commands.create()
    assert "1 MCQSolvers, 1 MCQExams, 1 exams' reports" in said
    assert commands.list_backups()[0].endswith("1 exams' reports, by operator 0.1.0")
    wipe(kubectl)
    # The garbage collector's part: what it has not got to yet belongs to the solver of before.
    children = "sa,pvc,svc,deploy,pdb,ingress,cm,role,rolebinding,job"
    label = "--selector=app.kubernetes.io/managed-by=mcq-operator"
    await until(lambda: not kubectl("get", children, label, "-o", "name"), 60)

    done = commands.restore()
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()[5:9]] == ["created"] * 4
    assert "Secret clients\n" in done.stdout
    assert "ConfigMap questions: MISSING\n" in done.stdout
    assert "PersistentVolumeClaim models\n" in done.stdout
    after = [written(kubectl, *each) for each in kinds]
    # A word that let one change through its gate must not let the next one through.
    assert before[0]["annotations"].pop("mcq-operator.dev/promote") == "because"
    assert after == before
    for each in stored:
        restored = existing(kubectl, "cm", each["metadata"]["name"])
        # Which shares were answered is of use only while the exam is sat.
        figures = {key: text for key, text in each.get("data", {}).items() if ".answered-" not in key}
        assert (restored.get("data", {}), restored["binaryData"]) == (figures, each["binaryData"])

    bench.restart()
    await ready(kubectl, bench)
    await bench.settle(key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Restored"
    assert existing(kubectl, "mcqexam", "aqua")["status"]["summary"] == summary
    assert jobs(kubectl) == []
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"]["exam"]["name"] == "aqua"
    # Other questions are asked, as ever.
    sit(kubectl, {"parallelism": 2})
    await bench.settle(key(bench))
    assert len(jobs(kubectl)) == 1


def test_existing_objects_change_only_with_overwrite_and_a_second_run_changes_nothing(
    kubectl: Kubectl, commands: Commands
) -> None:
    apply(kubectl, {"replicas": 2, "limits": {"deadlineSeconds": 40}})
    commands.create()
    assert commands.restore().returncode == 0
    patch(kubectl, "mcq", "demo", {"spec": {"replicas": 5, "image": "other"}})

    left = commands.restore()
    assert left.returncode == 2
    assert f"MCQSolver {kubectl.namespace}/demo: not restored: it differs from the backup" in left.stdout
    dry = commands.restore("--overwrite", "--dry-run")
    assert "demo: would be overwritten" in dry.stdout
    assert existing(kubectl, "mcq", "demo")["spec"]["replicas"] == 5
    assert "demo: overwritten" in commands.restore("--overwrite").stdout
    spec = existing(kubectl, "mcq", "demo")["spec"]
    assert (spec["replicas"], "image" in spec) == (2, False)
    again = commands.restore()
    assert again.returncode == 0
    assert "demo: unchanged" in again.stdout


def test_a_dry_run_into_another_namespace_prints_its_changes_and_writes_nothing(
    kubectl: Kubectl, commands: Commands, elsewhere: Kubectl
) -> None:
    apply(kubectl, {"replicas": 2})
    sit(kubectl, {})
    commands.create()
    dry = commands.restore("--namespace", elsewhere.namespace, "--dry-run")
    assert dry.returncode == 0
    assert f"MCQExam {elsewhere.namespace}/aqua: would be created" in dry.stdout
    assert elsewhere.get("mcq", "demo") is None
    assert commands.restore("--namespace", elsewhere.namespace).returncode == 0
    for kind, name in (("mcq", "demo"), ("mcqexam", "aqua")):
        assert written(elsewhere, kind, name)["spec"] == written(kubectl, kind, name)["spec"]


def test_a_corrupt_backup_is_marked_and_refused_and_replaces_no_good_one(
    kubectl: Kubectl, commands: Commands
) -> None:
    """And what the retention deletes is older than enough good ones."""
    apply(kubectl, {"replicas": 2})
    commands.create()
    earlier(commands, 3)
    [good, spoiled, newest] = [path.name[:20] for path in commands.files()]
    content = bytearray(commands.files()[1].read_bytes())
    content[len(content) // 2] ^= 1
    commands.files()[1].write_bytes(content)
    (commands.folder / "notes.txt").write_text("mine")
    assert ["CORRUPT: its SHA-256 is" in line for line in commands.list_backups()] == [False, True, False]
    wipe(kubectl)
    refused = commands.restore("--backup", spoiled)
    assert refused.returncode == 2
    assert "so nothing was restored: its SHA-256 is" in refused.stderr
    assert f"Use the newest good one: --backup={kubectl.namespace}/{newest}" in refused.stderr
    assert kubectl.get("mcq", "demo") is None
    assert commands.restore("--backup", good).returncode == 0

    # With the new one three are good, and the corrupt one is none of them.
    another_second()
    assert len(commands.create("--keep", "3").splitlines()) == 2
    assert len(commands.files()) == 4
    # What is older than enough good ones goes, whatever it is.
    another_second()
    said = commands.create("--keep", "2").splitlines()[2:]
    assert [name in line for name, line in zip((newest, spoiled, good), said, strict=True)] == [True] * 3
    assert ["CORRUPT" in line for line in commands.list_backups()] == [False, False]
    assert (commands.folder / "notes.txt").exists()


def another_second() -> None:
    """Until a backup has another name than one of the same content that was just made."""
    time.sleep(1.05 - time.time() % 1)


def earlier(commands: Commands, count: int) -> None:
    """More backups, of the days before: the newest one's content under other times."""
    [path] = commands.files()
    for day in range(1, count):
        (path.parent / f"2026-01-0{day}{path.name[10:]}").write_bytes(path.read_bytes())


def test_an_empty_namespace_is_not_backed_up(kubectl: Kubectl, commands: Commands) -> None:
    """An empty backup would by and by take the place of the good ones."""
    done = commands.run("backup", "create", "-n", kubectl.namespace, "--to", commands.place, "--keep", "1")
    assert done.returncode == 2
    assert f"Namespace {kubectl.namespace} has no MCQSolver and no MCQExam" in done.stderr
    assert commands.files() == []


def test_a_failure_says_whether_a_retry_helps(kubectl: Kubectl, commands: Commands, tmp_path: Path) -> None:
    apply(kubectl, {})
    create = ["backup", "create", "-n", kubectl.namespace, "--to"]
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        ([*create, commands.place], {"AWS_SECRET_ACCESS_KEY": "wrong"}, 2, "refuses these credentials"),
        ([*create, "s3://none"], {}, 2, "Create the bucket"),
        ([*create, commands.place], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 1, "try again"),
        ([*create, commands.place], {"KUBECONFIG": str(unreachable(kubectl, tmp_path))}, 1, "Run it again"),
        (["restore", "--from", commands.place], {}, 2, "There is no backup."),
    ]
    for arguments, environment, status, words in cases:
        done = commands.run(*arguments, **environment)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr
    commands.create()
    lost = commands.restore("--namespace", "nowhere")
    assert lost.returncode == 2
    assert "kubectl create namespace nowhere" in lost.stderr


def unreachable(kubectl: Kubectl, folder: Path) -> Path:
    """A kubeconfig of a server that does not answer."""
    path = folder / "kubeconfig"
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
async def cut(kubectl: Kubectl) -> AsyncIterator[Callable[[int], Client]]:
    """The API server, which after so many writes can't be written to any more."""
    async with connected(kubectl.kubeconfig) as client:

        def after(writes: int) -> Client:
            left = iter(range(writes))
            return Client(client, on_write=lambda *_: None, may_write=lambda: next(left, None) is not None)

        yield after


async def test_an_interrupted_restore_continues(
    kubectl: Kubectl,
    bench: Bench,
    client: Client,
    cut: Callable[[int], Client],
    elsewhere: Kubectl,
    tmp_path: Path,
) -> None:
    apply(kubectl, {"replicas": 1})
    sit(kubectl, {})
    await ready(kubectl, bench)
    await bench.settle(key(bench))
    await answered(kubectl, tmp_path, ["xo"])
    items = [item async for item in namespace_contents(client, kubectl.namespace)]
    assert [item["kind"] for item in items] == ["MCQSolver", "MCQExam", "ConfigMap"]

    async def restore(writes: int) -> list[RestoreOutcome]:
        one = Restore(
            cut(writes), namespace=elsewhere.namespace, overwrite=False, dry_run=False, report=lambda _: None
        )
        return await one.run(items)

    for _ in items[:-1]:
        with pytest.raises(NotLeadingError):
            await restore(1)
    assert await restore(1) == [RestoreOutcome.UNCHANGED, RestoreOutcome.UNCHANGED, RestoreOutcome.CREATED]
    assert await restore(0) == [RestoreOutcome.UNCHANGED] * 3


async def test_a_solver_that_the_schema_refuses_is_reported_and_the_others_are_restored(
    client: Client, elsewhere: Kubectl
) -> None:
    """As one of an older release may be."""

    def solver(name: str, spec: dict[str, Any]) -> dict[str, Any]:
        about = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver"}
        return {**about, "metadata": {"name": name}, "spec": spec}

    said: list[str] = []
    restore = Restore(
        client, namespace=elsewhere.namespace, overwrite=False, dry_run=False, report=said.append
    )
    outcomes = await restore.run([solver("bad", {"ingress": {"enabled": True}}), solver("good", {})])
    assert outcomes == [RestoreOutcome.REFUSED, RestoreOutcome.CREATED]
    assert "host is required when ingress is enabled" in said[0]


def test_a_gates_objects_are_not_backed_up(kubectl: Kubectl, commands: Commands) -> None:
    apply(kubectl, {})
    owner = existing(kubectl, "mcq", "demo")["metadata"]["uid"]
    candidate = {
        "apiVersion": "mcq-operator.dev/v1alpha1",
        "kind": "MCQSolver",
        "metadata": {
            "name": "demo-candidate",
            "ownerReferences": [
                {
                    "apiVersion": "mcq-operator.dev/v1alpha1",
                    "kind": "MCQSolver",
                    "name": "demo",
                    "uid": owner,
                    "controller": True,
                }
            ],
        },
    }
    kubectl("create", "-f", "-", stdin=json.dumps(candidate))
    commands.create()
    lines = gzip.decompress(commands.files()[0].read_bytes()).splitlines()
    assert [json.loads(line)["metadata"]["name"] for line in lines[:-1]] == ["demo"]


def test_no_status_identity_or_secret_is_in_a_backup(kubectl: Kubectl, commands: Commands) -> None:
    kubectl("create", "secret", "generic", "clients", "--from-literal=key=very-secret")
    apply(kubectl, SPEC)
    commands.create()
    [path] = commands.files()
    file = io.BytesIO(path.read_bytes())
    name = BackupName.parse(f"{kubectl.namespace}/{path.name}")
    assert name is not None
    assert archive.verify(file, of=name.digest).namespace == kubectl.namespace
    [item] = archive.objects(file)
    assert set(item) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(item["metadata"]) <= {"name", "labels", "annotations"}
    assert "very-secret" not in gzip.decompress(path.read_bytes()).decode()
    assert BackupStore.of(str(commands.folder.parent)).names() == [name]


def test_a_restore_needs_the_digest_of_the_backup(kubectl: Kubectl, commands: Commands) -> None:
    """A user who can write to the store could put another archive there, under a newer name."""
    apply(kubectl, {"replicas": 2})
    reported = commands.create().splitlines()[1].removeprefix("To restore it: ")
    assert reported.partition("=")[2] in commands.list_backups()[0]
    another_second()
    patch(kubectl, "mcq", "demo", {"spec": {"image": "evil.example.com/x"}})
    commands.create()
    wipe(kubectl)
    unsure = commands.run("restore", "--from", commands.place)
    assert unsure.returncode == 2
    assert "Give its --digest" in unsure.stderr
    assert kubectl.get("mcq", "demo") is None
    none = commands.run("restore", "--from", commands.place, f"--digest=sha256:{'0' * 64}")
    assert none.returncode == 2
    assert "There is no backup with the digest sha256:000" in none.stderr
    done = commands.run("restore", "--from", commands.place, reported)
    assert done.returncode == 0, done.stderr
    assert "image" not in existing(kubectl, "mcq", "demo")["spec"]
    assert done.stdout.splitlines()[1] == f"  MCQSolver {kubectl.namespace}/demo"


def test_an_archive_with_another_object_restores_nothing(kubectl: Kubectl, commands: Commands) -> None:
    """No object of the archive is restored, although its digest and its manifest are right."""
    apply(kubectl, {})
    commands.create()
    wipe(kubectl)
    file = io.BytesIO()
    writer = archive.Writer(file, namespace=kubectl.namespace, created="2027-01-01T00:00:00Z")
    [solver] = archive.objects(io.BytesIO(commands.files()[0].read_bytes()))
    writer.add(solver)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    about = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "mine"},
    }
    writer.add({**about, "roleRef": role, "subjects": [{"kind": "User", "name": "mallory"}]})
    writer.close()
    crafted = f"2027-01-01T00-00-00Z-sha256-{archive.digest(file)}.jsonl.gz"
    (commands.folder / crafted).write_bytes(file.getvalue())
    done = commands.restore()
    assert done.returncode == 2
    assert "so nothing was restored: it has RoleBinding mine" in done.stderr
    assert kubectl.get("mcq", "demo") is None
    assert kubectl.get("rolebinding", "mine") is None


async def test_a_result_does_not_overwrite_a_foreign_config_map(kubectl: Kubectl, client: Client) -> None:
    sit(kubectl, {})
    kubectl("create", "configmap", "aqua-results", "--from-literal=one.json=mine")
    about = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aqua-results", "annotations": {}}}
    crafted = {**about, "exam": "aqua", "data": {"one.json": "{}"}, "binaryData": {}}
    restore = Restore(
        client, namespace=kubectl.namespace, overwrite=True, dry_run=False, report=lambda _: None
    )
    assert await restore.run([crafted]) == [RestoreOutcome.FOREIGN]
    assert existing(kubectl, "cm", "aqua-results")["data"] == {"one.json": "mine"}
