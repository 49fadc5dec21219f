"""`python -m mcq_operator check` prints the objects of a file's solvers, without a cluster."""

from pathlib import Path

import pytest
import yaml
from hack.generate import ROOT
from tests.operator.support import run_operator

from mcq_operator import __version__, desired
from mcq_operator.api import MCQSolver
from mcq_operator.settings import Settings

SAMPLE = ROOT / "config/samples/mcqsolver.yaml"


def test_the_objects_of_a_file_are_printed_as_the_operator_creates_them() -> None:
    done = run_operator("check", str(SAMPLE))
    assert done.returncode == 0, done.stderr
    actual = list(yaml.safe_load_all(done.stdout))
    sample = yaml.safe_load(SAMPLE.read_text())
    uid = {"uid": "00000000-0000-0000-0000-000000000000"}
    solver = MCQSolver.model_validate({**sample, "metadata": {**sample["metadata"], **uid}})
    assert actual == desired.objects(solver, Settings().installation)


def test_alerts_link_to_the_runbooks_at_the_configured_address() -> None:
    done = run_operator("check", str(SAMPLE), MCQ_OPERATOR_RUNBOOKS_URL="https://git.example.com/mcq/main")
    [rule] = [each for each in yaml.safe_load_all(done.stdout) if each["kind"] == "PrometheusRule"]
    links = {each["annotations"]["runbook_url"] for each in rule["spec"]["groups"][1]["rules"]}
    assert "https://git.example.com/mcq/main/docs/operations/MCQSolverNoReadyReplica.md" in links


def test_several_solvers_may_come_from_standard_input() -> None:
    manifest = "apiVersion: mcq-operator.dev/v1alpha1\nkind: MCQSolver\nmetadata: {name: %s}\n"
    done = run_operator("check", "-", stdin=manifest % "a" + "---\n" + manifest % "b")
    names = {each["metadata"]["name"] for each in yaml.safe_load_all(done.stdout)}
    assert {"a", "b"} <= names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: MCQSolver\nspec: {replcias: 2}", "replcias: Extra inputs are not permitted"),
        ("kind: MCQSolver\nspec: {replicas: -1}", "replicas: Input should be greater than or equal to 0"),
        ("kind: MCQSolver\nspec: {engine: {type: Magic}}", "engine.type: Input should be 'Transformers' or 'OpenAI'"),
        ("kind: Pod", "not an MCQSolver"),
        ("kind: [", "expected"),
        ("", "the file has no manifest"),
    ],
)  # fmt: skip
def test_a_problem_is_reported_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "file.yaml"
    head = "apiVersion: mcq-operator.dev/v1alpha1\nmetadata: {name: x}\n" if text else ""
    file.write_text(head + text)
    done = run_operator("check", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {file}")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file_is_named() -> None:
    done = run_operator("check", "nowhere.yaml")
    assert done.returncode == 1
    assert "nowhere.yaml" in done.stderr


def test_version_and_help_are_printed() -> None:
    assert run_operator("--version").stdout.strip() == f"mcq-operator {__version__}"
    assert "check" in run_operator("--help").stdout


POLICY = """
apiVersion: mcq-operator.dev/v1alpha1
kind: MCQPolicy
metadata: {name: teams}
spec: {namespaces: ["team-*"], images: ["registry.example.com/*"]}
"""
SOLVER = "apiVersion: mcq-operator.dev/v1alpha1\nkind: MCQSolver\nmetadata: {name: a}\nspec: {image: %s}\n"


@pytest.mark.parametrize(
    ("image", "namespace", "status"),
    [("evil/x", "team-a", 1), ("registry.example.com/x", "team-a", 0), ("evil/x", "other", 0)],
)
def test_check_reports_a_policys_refusals(tmp_path: Path, image: str, namespace: str, status: int) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    done = run_operator("check", "-", "--policy", str(policy), "--namespace", namespace, stdin=SOLVER % image)
    assert (done.returncode, done.stdout) == (status, "")
    assert ("evil/x: not allowed in image by spec.images of MCQPolicy teams" in done.stderr) is bool(status)


def test_a_file_without_a_policy_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "solver.yaml"
    file.write_text(SOLVER % "x")
    done = run_operator("check", str(file), "--policy", str(file))
    assert done.returncode == 1
    assert f"error: {file}, document 1: not an MCQPolicy of" in done.stderr
