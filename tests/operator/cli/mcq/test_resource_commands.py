"""`kubectl mcq` against a server that plays the API server."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.operator.cli.mcq.support import (
    CHANGE,
    DEMO,
    GROUP,
    QUESTION,
    SHOWN,
    Cluster,
    Commands,
    problem,
)

from mcq_operator.api import Manifest


@pytest.fixture
def as_person(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answer the confirmation on a terminal."""

    def answer(text: str) -> None:
        stdin = io.StringIO(text)
        monkeypatch.setattr(stdin, "isatty", lambda: True)
        monkeypatch.setattr("sys.stdin", stdin)

    return answer


STATUS = r"""demo  not ready, but answers
  replicas:  2 of 3 ready
  model:     hf://Qwen/Qwen2.5
  URL:       http://mcq.localhost
  accuracy:  0.476 (0.428 to 0.525) of 399 questions, mmlu
  threshold: 0.625: 41% of the questions answered, 0.860 (0.812 to 0.903) of them right, mmlu
  gate:      Refused (ExamNotPassed)
  Ready False, Degraded True: It did not pass.
  Exposed True: Anyone [2J asks.
"""


@pytest.mark.parametrize("arguments", [("demo",), ()])
async def test_status_shows_what_needs_attention(
    commands: Commands, cluster: Cluster, arguments: tuple[str, ...]
) -> None:
    assert await commands.kubectl_mcq("status", *arguments) == (0, STATUS, "")


async def test_the_status_as_json(commands: Commands, cluster: Cluster) -> None:
    one = json.loads((await commands.kubectl_mcq("status", "demo", "-o", "json")).stdout)
    assert [one] == json.loads((await commands.kubectl_mcq("status", "-o", "json")).stdout)
    attention = one.pop("attention")
    assert [each["type"] for each in attention] == ["Ready", "Degraded", "Exposed"]
    assert one == {
        "name": "demo",
        "namespace": "default",
        "ready": False,
        "available": True,
        "upToDate": True,
        "replicas": 3,
        "readyReplicas": 2,
        "model": "hf://Qwen/Qwen2.5",
        "url": "http://mcq.localhost",
        "exam": DEMO["status"]["exam"],
        "threshold": DEMO["status"]["threshold"],
        "gate": DEMO["status"]["gate"] | {"attempt": "", "image": "", "previous": ""},
    }


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({}, "The operator has not reported a status yet."),
        (
            {"conditions": DEMO["status"]["conditions"], "observedGeneration": 2},
            "The operator has not observed the last change of the spec yet.",
        ),
    ],
)
async def test_a_missing_or_old_status_is_reported(
    commands: Commands, cluster: Cluster, status: Manifest, message: str
) -> None:
    cluster.objects[f"{GROUP}/default/mcqsolvers/demo"] = DEMO | {"status": status}
    assert f"  {message}\n" in (await commands.kubectl_mcq("status", "demo")).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("status", "other"), "error: There is no MCQSolver default/other.\n"),
        (("status", "demo", "-n", "team"), "error: There is no MCQSolver team/demo.\n"),
        (("exam", "other"), "error: There is no MCQExam default/other.\n"),
        (("exam", "-o", "html"), "error: -o html needs the name of an exam\n"),
        (("promote", "other"), "error: There is no MCQSolver default/other.\n"),
        (("ask", "other", *QUESTION), "services/other:http/proxy/api/v1/mcq/answer not found\n"),
        (
            ("status", "--context", "other"),
            "error: Invalid kube-config file. Expected object with name other",
        ),
    ],
)
async def test_what_does_not_exist_is_named(
    commands: Commands, cluster: Cluster, arguments: tuple[str, ...], message: str
) -> None:
    done = await commands.kubectl_mcq(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


@pytest.mark.parametrize(("command", "kind"), [("status", "MCQSolver"), ("exam", "MCQExam")])
async def test_an_empty_namespace_is_no_error(
    commands: Commands, cluster: Cluster, command: str, kind: str
) -> None:
    done = await commands.kubectl_mcq(command, "-n", "team")
    assert done == (0, "", f"There is no {kind} in namespace team.\n")


async def test_the_namespace_is_the_contexts(commands: Commands, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(file.read_text().replace("cluster: test\n", "cluster: test\n    namespace: team\n", 1))
    done = await commands.kubectl_mcq("status", "demo", "--context", "test")
    assert done.stderr == "error: There is no MCQSolver team/demo.\n"


async def test_a_solver_is_asked_through_the_api_server(commands: Commands, cluster: Cluster) -> None:
    assert await commands.kubectl_mcq("ask", "demo", *QUESTION) == (0, SHOWN, "")
    question, *choices = QUESTION
    assert cluster.service.requests == [{"question": question, "choices": choices, "stream": True}]


async def test_a_solver_with_api_keys_needs_a_port_forward(commands: Commands, cluster: Cluster) -> None:
    unauthorized = {"type": "https://mcq-operator.dev/problems/unauthorized"}
    cluster.service.events = (("problem", problem("Send a key.") | unauthorized),)
    done = await commands.kubectl_mcq("ask", "demo", *QUESTION)
    assert (done.returncode, done.stderr) == (
        1,
        "error: Send a key. The API server passes no keys on. Run `kubectl port-forward -n default service/demo"
        " 8000:80` and then `mcq ask --key-file FILE`.\n",
    )


async def test_exams_are_listed(commands: Commands, cluster: Cluster) -> None:
    done = await commands.kubectl_mcq("exam")
    assert done.stdout == (
        "NAME  SOLVER  ACCURACY             QUESTIONS  PASSED                  COMPLETE\n"
        "aqua  demo    0.476 (0.428-0.525)  399        Unknown (Inconclusive)  True\n"
    )
    [document] = json.loads((await commands.kubectl_mcq("exam", "-o", "json")).stdout)
    assert (document["name"], document["solver"], document["count"]) == ("aqua", "demo", 399)
    assert "inventory" not in document


async def test_a_report_is_printed(commands: Commands, cluster: Cluster) -> None:
    assert await commands.kubectl_mcq("exam", "aqua") == (0, "accuracy 0.476\n", "")


async def test_promote_shows_the_change_and_approves_it_in_the_users_name(
    commands: Commands, cluster: Cluster, as_person: Any
) -> None:
    as_person("y\n")
    done = await commands.kubectl_mcq("promote", "demo", "--reason", "checked\nby hand")
    approval = f"{CHANGE} alice@example.com: checked by hand"
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"Approved change {CHANGE} of MCQSolver default/demo: {approval}\n"
    assert "has not passed its exam (Refused, ExamNotPassed):\n  Failed: accuracy 0.3.\n" in done.stderr
    metadata = {
        "name": "demo",
        "namespace": "default",
        "uid": "u",
        "annotations": {"mcq-operator.dev/promote": approval},
    }
    head = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver"}
    assert cluster.applied == [{"fieldManager": "kubectl-mcq", **head, "metadata": metadata}]


async def test_without_a_reason_the_approval_has_the_time(commands: Commands, cluster: Cluster) -> None:
    """An approval works once: an approval of the same change later must differ."""
    done = await commands.kubectl_mcq("promote", "demo", "--yes", "-o", "json")
    document = json.loads(done.stdout)
    expected = rf"{CHANGE} alice@example\.com: approved at \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(expected, document["approval"])
    [applied] = cluster.applied
    assert applied["metadata"]["annotations"] == {"mcq-operator.dev/promote": document["approval"]}


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yess\n"])
async def test_nothing_is_approved_without_a_yes(
    commands: Commands, cluster: Cluster, as_person: Any, answer: str
) -> None:
    as_person(answer)
    done = await commands.kubectl_mcq("promote", "demo")
    assert done.returncode == 1
    assert done.stderr.endswith("Approve? [y/N] error: not approved\n")
    assert cluster.applied == []


async def test_without_a_terminal_yes_must_be_given(
    commands: Commands, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    done = await commands.kubectl_mcq("promote", "demo")
    assert done.returncode == 1
    assert done.stderr.endswith("error: there is no terminal to confirm on: use --yes\n")
    assert cluster.applied == []


USED = {"annotation": f"{CHANGE} alice@example.com: again", "candidate": "c", "time": "2026-01-01T12:00:00Z"}


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ({"gate": None}, "no change of MCQSolver default/demo waits at a gate"),
        (
            {"gate": DEMO["status"]["gate"] | {"phase": "Passed"}},
            "no change of MCQSolver default/demo waits at a gate",
        ),
        (
            {"observedGeneration": 2},
            "the operator has not observed the last change of MCQSolver default/demo yet: try again",
        ),
        ({"override": USED}, "this approval was used before, and works once: give another --reason"),
    ],
)
async def test_an_approval_without_effect_is_refused(
    commands: Commands, cluster: Cluster, status: Manifest, message: str
) -> None:
    cluster.objects[f"{GROUP}/default/mcqsolvers/demo"] = DEMO | {"status": DEMO["status"] | status}
    done = await commands.kubectl_mcq("promote", "demo", "--yes", "--reason", "again")
    assert (done.returncode, done.stderr) == (1, f"error: {message}\n")
    assert cluster.applied == []
