"""The commands back up a namespace to a real S3 server and restore it, with a real API server."""

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
from tests.operator.controllers.test_exams import (
    apply_exam,
    condition,
    exam_key,
    finish_exam,
    jobs,
    make_ready,
)
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


class CommandResult(NamedTuple):
    """A command's exit status and output."""

    returncode: int
    stdout: str
    stderr: str


class Commands:
    """`python -m mcq_operator` with the tests' API server and this test's own bucket."""

    def __init__(self, kubectl: Kubectl, url: str, folder: Path) -> None:
        self.location = f"s3://backups/{kubectl.namespace}"
        self.folder = folder / "backups" / kubectl.namespace / kubectl.namespace
        self._kubectl = kubectl
        self._url = url

    def run(self, *arguments: str, **environment: str) -> CommandResult:
        """Run a command in this process, which is faster than a new one."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        own = {**variables(self._url), **environment}
        kubeconfig = environment.get("KUBECONFIG", str(self._kubectl.kubeconfig))
        out, error = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, inherited | own, clear=True),
            mock.patch.object(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", kubeconfig),
            redirect_stdout(out),
            redirect_stderr(error),
            # The test's thread may already run an event loop.
            ThreadPoolExecutor(1) as thread,
        ):
            status = thread.submit(backup.run, _parser().parse_args(arguments)).result()
        return CommandResult(status, out.getvalue(), error.getvalue())

    def create(self, *options: str) -> str:
        """Back up the test's namespace and return the output."""
        return self._succeed(
            "backup", "create", "-n", self._kubectl.namespace, "--to", self.location, *options
        )

    def list_backups(self) -> list[str]:
        """Return the lines of `backup list`."""
        return self._succeed("backup", "list", "--from", self.location).splitlines()

    def restore(self, *options: str) -> CommandResult:
        """Restore the newest backup, from a store that only this test writes to."""
        return self.run("restore", "--from", self.location, "--trust-store", *options)

    def files(self) -> list[Path]:
        """Return the files of the backups, oldest first."""
        return sorted(self.folder.glob("*.gz"))

    def _succeed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def s3_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address and the folder of an S3 server with the bucket `backups`."""
    folder = tmp_path_factory.mktemp("s3")
    (folder / "backups").mkdir()
    with s3_server(folder) as url:
        yield url, folder


@pytest.fixture
def commands(kubectl: Kubectl, s3_store: tuple[str, Path]) -> Commands:
    return Commands(kubectl, *s3_store)


@pytest.fixture
def other_namespace(kubectl: Kubectl, cluster_kubectl: Kubectl) -> Iterator[Kubectl]:
    """kubectl in another, empty namespace."""
    namespace = f"{kubectl.namespace}-b"
    cluster_kubectl("create", "namespace", namespace)
    yield Kubectl(kubectl.program, kubectl.kubeconfig, namespace)
    cluster_kubectl("delete", "namespace", namespace, "--wait=false")


def user_fields(kubectl: Kubectl, kind: str, name: str) -> dict[str, Any]:
    """Return the fields of a resource that its author wrote."""
    live = existing(kubectl, kind, name)
    return {"spec": live["spec"], **{key: live["metadata"].get(key) for key in ("labels", "annotations")}}


def delete_all(kubectl: Kubectl) -> None:
    kubectl("delete", "mcq,mcqexam", "--all")


@pytest.mark.slow
async def test_a_restore_brings_back_an_exam_with_its_result_and_does_not_run_it(
    kubectl: Kubectl, bench: Bench, commands: Commands, tmp_path: Path
) -> None:
    """The namespace is empty before. Afterwards the operator reports the restored result."""
    apply(kubectl, SPEC)
    kubectl("label", "mcq", "demo", "team=blue")
    kubectl("annotate", "mcq", "demo", "mcq-operator.dev/promote=because", "example.com/note=mine")
    apply_exam(kubectl, {"pass": {"minAccuracy": 0.1}})
    await make_ready(kubectl, bench)
    await bench.settle(exam_key(bench))
    await finish_exam(kubectl, tmp_path, ["xxxo"])
    await bench.settle(exam_key(bench))
    kinds = (("mcq", "demo"), ("mcqexam", "aqua"))
    before = [user_fields(kubectl, *each) for each in kinds]
    stored, summary = (
        [existing(kubectl, "cm", name) for name in ("aqua-results", "aqua-results-0")],
        existing(kubectl, "mcqexam", "aqua")["status"]["summary"],
    )
    output = commands.create()
    assert "1 MCQSolvers, 1 MCQExams, 1 exams' reports" in output
    assert commands.list_backups()[0].endswith("1 exams' reports, by operator 0.1.0")
    delete_all(kubectl)
    # Wait for the garbage collector: until then, the children belong to the deleted solver.
    children = "sa,pvc,svc,deploy,pdb,ingress,cm,role,rolebinding,job"
    label = "--selector=app.kubernetes.io/managed-by=mcq-operator"
    await until(lambda: not kubectl("get", children, label, "-o", "name"), 60)

    done = commands.restore()
    assert done.returncode == 0, done.stderr
    assert [line.rpartition(" ")[2] for line in done.stdout.splitlines()[5:9]] == ["created"] * 4
    assert "Secret clients\n" in done.stdout
    assert "ConfigMap questions: MISSING\n" in done.stdout
    assert "PersistentVolumeClaim models\n" in done.stdout
    after = [user_fields(kubectl, *each) for each in kinds]
    # The approval of one change must not approve the next one.
    assert before[0]["annotations"].pop("mcq-operator.dev/promote") == "because"
    assert after == before
    for each in stored:
        restored = existing(kubectl, "cm", each["metadata"]["name"])
        # The keys of answered shards are useful only while the exam runs.
        figures = {key: text for key, text in each.get("data", {}).items() if ".answered-" not in key}
        assert (restored.get("data", {}), restored["binaryData"]) == (figures, each["binaryData"])

    bench.restart()
    await make_ready(kubectl, bench)
    await bench.settle(exam_key(bench))
    assert condition(kubectl, "Complete")["reason"] == "Restored"
    assert existing(kubectl, "mcqexam", "aqua")["status"]["summary"] == summary
    assert jobs(kubectl) == []
    await bench.settle()
    assert existing(kubectl, "mcq", "demo")["status"]["exam"]["name"] == "aqua"
    # A changed spec runs the exam again.
    apply_exam(kubectl, {"parallelism": 2})
    await bench.settle(exam_key(bench))
    assert len(jobs(kubectl)) == 1


def test_existing_objects_change_only_with_overwrite_and_a_second_restore_changes_nothing(
    kubectl: Kubectl, commands: Commands
) -> None:
    apply(kubectl, {"replicas": 2, "limits": {"deadlineSeconds": 40}})
    commands.create()
    assert commands.restore().returncode == 0
    patch(kubectl, "mcq", "demo", {"spec": {"replicas": 5, "image": "other"}})

    refused = commands.restore()
    assert refused.returncode == 2
    assert f"MCQSolver {kubectl.namespace}/demo: not restored: it differs from the backup" in refused.stdout
    dry_run = commands.restore("--overwrite", "--dry-run")
    assert "demo: would be overwritten" in dry_run.stdout
    assert existing(kubectl, "mcq", "demo")["spec"]["replicas"] == 5
    assert "demo: overwritten" in commands.restore("--overwrite").stdout
    spec = existing(kubectl, "mcq", "demo")["spec"]
    assert (spec["replicas"], "image" in spec) == (2, False)
    repeated = commands.restore()
    assert repeated.returncode == 0
    assert "demo: unchanged" in repeated.stdout


def test_a_dry_run_into_another_namespace_prints_its_changes_and_writes_nothing(
    kubectl: Kubectl, commands: Commands, other_namespace: Kubectl
) -> None:
    apply(kubectl, {"replicas": 2})
    apply_exam(kubectl, {})
    commands.create()
    dry_run = commands.restore("--namespace", other_namespace.namespace, "--dry-run")
    assert dry_run.returncode == 0
    assert f"MCQExam {other_namespace.namespace}/aqua: would be created" in dry_run.stdout
    assert other_namespace.get("mcq", "demo") is None
    assert commands.restore("--namespace", other_namespace.namespace).returncode == 0
    for kind, name in (("mcq", "demo"), ("mcqexam", "aqua")):
        assert user_fields(other_namespace, kind, name)["spec"] == user_fields(kubectl, kind, name)["spec"]


def test_a_corrupt_backup_is_marked_and_refused_and_does_not_count_as_kept(
    kubectl: Kubectl, commands: Commands
) -> None:
    """The retention deletes only what is older than the good backups that it keeps."""
    apply(kubectl, {"replicas": 2})
    commands.create()
    add_earlier_backups(commands, 3)
    [good, corrupt, newest] = [path.name[:20] for path in commands.files()]
    content = bytearray(commands.files()[1].read_bytes())
    content[len(content) // 2] ^= 1
    commands.files()[1].write_bytes(content)
    (commands.folder / "notes.txt").write_text("mine")
    assert ["CORRUPT: its SHA-256 is" in line for line in commands.list_backups()] == [False, True, False]
    delete_all(kubectl)
    refused = commands.restore("--backup", corrupt)
    assert refused.returncode == 2
    assert "so nothing was restored: its SHA-256 is" in refused.stderr
    assert f"Use the newest good one: --backup={kubectl.namespace}/{newest}" in refused.stderr
    assert kubectl.get("mcq", "demo") is None
    assert commands.restore("--backup", good).returncode == 0

    # Three backups are good now, and the corrupt one does not count.
    wait_for_next_second()
    assert len(commands.create("--keep", "3").splitlines()) == 2
    assert len(commands.files()) == 4
    # Everything older than the kept good backups is deleted.
    wait_for_next_second()
    output = commands.create("--keep", "2").splitlines()[2:]
    assert [name in line for name, line in zip((newest, corrupt, good), output, strict=True)] == [True] * 3
    assert ["CORRUPT" in line for line in commands.list_backups()] == [False, False]
    assert (commands.folder / "notes.txt").exists()


def wait_for_next_second() -> None:
    """Wait until a backup of the same content gets another name."""
    time.sleep(1.05 - time.time() % 1)


def add_earlier_backups(commands: Commands, count: int) -> None:
    """Copy the only backup under the times of earlier days."""
    [path] = commands.files()
    for day in range(1, count):
        (path.parent / f"2026-01-0{day}{path.name[10:]}").write_bytes(path.read_bytes())


def test_an_empty_namespace_is_not_backed_up(kubectl: Kubectl, commands: Commands) -> None:
    """Empty backups would gradually replace the good ones."""
    done = commands.run("backup", "create", "-n", kubectl.namespace, "--to", commands.location, "--keep", "1")
    assert done.returncode == 2
    assert f"Namespace {kubectl.namespace} has no MCQSolver and no MCQExam" in done.stderr
    assert commands.files() == []


def test_a_failure_says_whether_a_retry_helps(kubectl: Kubectl, commands: Commands, tmp_path: Path) -> None:
    apply(kubectl, {})
    create = ["backup", "create", "-n", kubectl.namespace, "--to"]
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        ([*create, commands.location], {"AWS_SECRET_ACCESS_KEY": "wrong"}, 2, "refuses these credentials"),
        ([*create, "s3://none"], {}, 2, "Create the bucket"),
        ([*create, commands.location], {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, 1, "try again"),
        (
            [*create, commands.location],
            {"KUBECONFIG": str(unreachable_kubeconfig(kubectl, tmp_path))},
            1,
            "Run it again",
        ),
        (["restore", "--from", commands.location], {}, 2, "There is no backup."),
    ]
    for arguments, environment, status, message in cases:
        done = commands.run(*arguments, **environment)
        assert (done.returncode, message in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr
    commands.create()
    missing_namespace = commands.restore("--namespace", "nowhere")
    assert missing_namespace.returncode == 2
    assert "kubectl create namespace nowhere" in missing_namespace.stderr


def unreachable_kubeconfig(kubectl: Kubectl, folder: Path) -> Path:
    """Return a kubeconfig of a server that does not answer."""
    path = folder / "kubeconfig"
    config = yaml.safe_load(kubectl.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:9"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture
async def limited_client(kubectl: Kubectl) -> AsyncIterator[Callable[[int], Client]]:
    """Clients that may write only a limited number of times."""
    async with connected(kubectl.kubeconfig) as client:

        def client_with(writes: int) -> Client:
            remaining = iter(range(writes))
            return Client(
                client, on_write=lambda *_: None, may_write=lambda: next(remaining, None) is not None
            )

        yield client_with


async def test_an_interrupted_restore_continues(
    kubectl: Kubectl,
    bench: Bench,
    client: Client,
    limited_client: Callable[[int], Client],
    other_namespace: Kubectl,
    tmp_path: Path,
) -> None:
    apply(kubectl, {"replicas": 1})
    apply_exam(kubectl, {})
    await make_ready(kubectl, bench)
    await bench.settle(exam_key(bench))
    await finish_exam(kubectl, tmp_path, ["xo"])
    items = [item async for item in namespace_contents(client, kubectl.namespace)]
    assert [item["kind"] for item in items] == ["MCQSolver", "MCQExam", "ConfigMap"]

    async def restore(writes: int) -> list[RestoreOutcome]:
        attempt = Restore(
            limited_client(writes),
            namespace=other_namespace.namespace,
            overwrite=False,
            dry_run=False,
            report=lambda _: None,
        )
        return await attempt.run(items)

    for _ in items[:-1]:
        with pytest.raises(NotLeadingError):
            await restore(1)
    assert await restore(1) == [RestoreOutcome.UNCHANGED, RestoreOutcome.UNCHANGED, RestoreOutcome.CREATED]
    assert await restore(0) == [RestoreOutcome.UNCHANGED] * 3


async def test_a_solver_that_the_schema_refuses_is_reported_and_the_others_are_restored(
    client: Client, other_namespace: Kubectl
) -> None:
    """A backup of an older release may have an invalid solver."""

    def solver(name: str, spec: dict[str, Any]) -> dict[str, Any]:
        base = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver"}
        return {**base, "metadata": {"name": name}, "spec": spec}

    messages: list[str] = []
    restore = Restore(
        client, namespace=other_namespace.namespace, overwrite=False, dry_run=False, report=messages.append
    )
    outcomes = await restore.run([solver("bad", {"ingress": {"enabled": True}}), solver("good", {})])
    assert outcomes == [RestoreOutcome.REFUSED, RestoreOutcome.CREATED]
    assert "host is required when ingress is enabled" in messages[0]


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
    """A user who can write to the store could add another archive under a newer name."""
    apply(kubectl, {"replicas": 2})
    reported = commands.create().splitlines()[1].removeprefix("To restore it: ")
    assert reported.partition("=")[2] in commands.list_backups()[0]
    wait_for_next_second()
    patch(kubectl, "mcq", "demo", {"spec": {"image": "evil.example.com/x"}})
    commands.create()
    delete_all(kubectl)
    without_digest = commands.run("restore", "--from", commands.location)
    assert without_digest.returncode == 2
    assert "Give its --digest" in without_digest.stderr
    assert kubectl.get("mcq", "demo") is None
    wrong_digest = commands.run("restore", "--from", commands.location, f"--digest=sha256:{'0' * 64}")
    assert wrong_digest.returncode == 2
    assert "There is no backup with the digest sha256:000" in wrong_digest.stderr
    done = commands.run("restore", "--from", commands.location, reported)
    assert done.returncode == 0, done.stderr
    assert "image" not in existing(kubectl, "mcq", "demo")["spec"]
    assert done.stdout.splitlines()[1] == f"  MCQSolver {kubectl.namespace}/demo"


def test_an_archive_with_another_object_restores_nothing(kubectl: Kubectl, commands: Commands) -> None:
    """Even if the archive's digest and manifest are right."""
    apply(kubectl, {})
    commands.create()
    delete_all(kubectl)
    file = io.BytesIO()
    writer = archive.Writer(file, namespace=kubectl.namespace, created="2027-01-01T00:00:00Z")
    [solver] = archive.objects(io.BytesIO(commands.files()[0].read_bytes()))
    writer.add(solver)
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    base = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "mine"},
    }
    writer.add({**base, "roleRef": role, "subjects": [{"kind": "User", "name": "mallory"}]})
    writer.close()
    crafted = f"2027-01-01T00-00-00Z-sha256-{archive.digest(file)}.jsonl.gz"
    (commands.folder / crafted).write_bytes(file.getvalue())
    done = commands.restore()
    assert done.returncode == 2
    assert "so nothing was restored: it has RoleBinding mine" in done.stderr
    assert kubectl.get("mcq", "demo") is None
    assert kubectl.get("rolebinding", "mine") is None


async def test_a_result_does_not_overwrite_a_foreign_config_map(kubectl: Kubectl, client: Client) -> None:
    apply_exam(kubectl, {})
    kubectl("create", "configmap", "aqua-results", "--from-literal=one.json=mine")
    base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "aqua-results", "annotations": {}}}
    crafted = {**base, "exam": "aqua", "data": {"one.json": "{}"}, "binaryData": {}}
    restore = Restore(
        client, namespace=kubectl.namespace, overwrite=True, dry_run=False, report=lambda _: None
    )
    assert await restore.run([crafted]) == [RestoreOutcome.FOREIGN]
    assert existing(kubectl, "cm", "aqua-results")["data"] == {"one.json": "mine"}
