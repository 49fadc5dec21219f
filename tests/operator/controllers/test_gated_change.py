"""The change that a gate holds, and the template of the replicas before it, from the ReplicaSets that exist."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.operator.status.test_gate_states import SITTING, gated
from tests.operator.support import IMAGES, exam, solver

from mcq_operator import desired
from mcq_operator.api import GateStatus, Manifest, MCQExam, MCQSolver
from mcq_operator.controllers.gate import candidate_digest, gated_change
from mcq_operator.desired import ServiceImages
from mcq_operator.status.watch import REASON as WORSE

GATE = {"gate": {"examRef": {"name": "aqua"}}}
TEMPLATE = {"metadata": {"labels": {"app": "before"}}, "spec": {"containers": []}}
REPLICA_SET = {"metadata": {"name": "demo-1"}, "spec": {"template": TEMPLATE}}


@dataclass(frozen=True)
class ReplicaSets:
    """A cluster with these ReplicaSets and this exam."""

    items: list[Manifest] = field(default_factory=list)
    gate_exam: MCQExam | None = None

    async def replica_sets(self, _: MCQSolver) -> list[Manifest]:
        """Return the ReplicaSets."""
        return self.items

    async def exam(self, _: object) -> MCQExam | None:
        """Return the exam."""
        return self.gate_exam


async def change_of(
    recorded: GateStatus | None, *replica_sets: Manifest
) -> tuple[GateStatus | None, Manifest | None]:
    """Return the change of a solver, with a promoted change before it, and the template that is in force."""
    status: dict[str, Any] = {"promoted": "before", "templateDigest": "before"}
    known = gated(status=status)
    if recorded is not None:
        gate, identity = known.spec.rollout.gate, desired.gate.identity(known, images=IMAGES)
        assert gate is not None
        candidate = desired.gate.candidate_id(known, gate, images=IMAGES)
        recorded = recorded.model_copy(update={"candidate": candidate, "change": identity})
        known = gated(status={**status, "gate": recorded.model_dump(by_alias=True)})
    cluster: Any = ReplicaSets([*replica_sets])
    return await gated_change(known, cluster, images=IMAGES)


@pytest.mark.parametrize("phase", [None, "Waiting", "Sitting", "Refused", "Inconclusive"])
async def test_a_held_change_does_not_roll_out_when_the_earlier_replica_set_is_gone(phase: Any) -> None:
    recorded = SITTING.model_copy(update={"phase": phase}) if phase else None
    change, template = await change_of(recorded, REPLICA_SET)
    assert change is not None
    assert (change.phase, change.replica_set, template) == (phase or "Waiting", "demo-1", TEMPLATE)
    change, template = await change_of(recorded)
    assert change is not None
    assert (change.phase, change.replica_set, template) == (phase or "Waiting", "", None)
    # It may be listed again: a watch may be late.
    change, template = await change_of(change, REPLICA_SET)
    assert change is not None
    assert (change.phase, change.replica_set, template) == (phase or "Waiting", "demo-1", TEMPLATE)


QUESTIONS = {"examDigest": "sha256:a"}
RESOURCES = {"resources": {"limits": {"memory": "9Gi"}}}
RETRY: dict[str, Any] = {"annotations": {"mcq-operator.dev/retry": "today"}}


async def next_change(
    recorded: GateStatus | None,
    spec: dict[str, Any] | None = None,
    gate_exam: MCQExam | None = None,
    *,
    images: ServiceImages = IMAGES,
    **metadata: Any,
) -> GateStatus:
    """Return the change of a solver with this spec and a gate, and with the change of the reconcile before."""
    known = {"promoted": "before", "templateDigest": "before"}
    stored = {**known, **({"gate": recorded.model_dump(by_alias=True)} if recorded else {})}
    cluster: Any = ReplicaSets([REPLICA_SET], gate_exam or exam(status=QUESTIONS))
    resource = solver({"rollout": GATE, **(spec or {})}, status=stored, **metadata)
    change, _ = await gated_change(resource, cluster, images=images)
    assert change is not None
    return change


async def ended_change(**changes: Any) -> GateStatus:
    change = await next_change(None)
    return change.model_copy(update={"phase": "Refused", "reason": "CandidateNotReady", **changes})


@pytest.mark.parametrize(
    "remedy",
    [
        {"spec": RESOURCES},
        {"spec": {"rollout": {**GATE, "startupSeconds": 3600}}},
        {"spec": {"serviceAccount": {"annotations": {"a": "b"}}}},
        {"spec": {"imagePullSecrets": [{"name": "registry"}]}},
        {"gate_exam": exam({"resources": {"limits": {"memory": "2Gi"}}}, status=QUESTIONS)},
        {"gate_exam": exam(status={"examDigest": "sha256:b"})},
        RETRY,
    ],
)
@pytest.mark.parametrize("phase", ["Refused", "Inconclusive"])
async def test_a_remedy_lets_a_change_take_the_exam_again(remedy: dict[str, Any], phase: str) -> None:
    again = await next_change(await ended_change(phase=phase), **remedy)
    assert (again.phase, again.replica_set, again.previous) == ("Waiting", "demo-1", "before")
    ended = again.model_copy(update={"phase": phase})
    assert await next_change(ended, **remedy) == ended


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spec": {"replicas": 7, "ingress": {"host": "mcq.example.com"}}},
        {"spec": {"monitoring": {"alerts": {"enabled": False}}}},
        {"gate_exam": exam({"schedule": "@daily", "pass": {"minAccuracy": 0.5}}, status=QUESTIONS)},
        {"gate_exam": exam()},
    ],
)
async def test_a_change_that_did_not_pass_stays_so_without_a_remedy(change: dict[str, Any]) -> None:
    ended = await ended_change()
    assert await next_change(ended, **change) == ended


async def test_an_upgrade_of_the_operator_is_no_other_attempt() -> None:
    """An earlier release recorded none, and another release makes other replicas of the same spec."""
    image = {"image": "mcq-service:pinned"}
    ended = (await next_change(None, image)).model_copy(update={"phase": "Refused"})
    other = ServiceImages("mcq-service:next", "mcq-service-torch:next")
    assert await next_change(ended, image, images=other) == ended
    recorded_before = ended.model_copy(update={"attempt": ""})
    assert await next_change(recorded_before, image) == ended


async def test_a_running_candidate_becomes_that_of_the_next_attempt() -> None:
    sitting = await ended_change(phase="Sitting")
    for change in ({"spec": RESOURCES}, RETRY, {"gate_exam": exam(status={"examDigest": "sha256:b"})}):
        assert (await next_change(sitting, **change)).phase == "Sitting"


async def test_a_change_that_was_worse_for_users_comes_back_only_on_request() -> None:
    worse = await ended_change(reason=WORSE)
    assert (await next_change(worse, RESOURCES)).phase == "Refused"
    assert (await next_change(worse, **RETRY)).phase == "Waiting"


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"answering": {"targetAccuracy": 0.9}, "storage": {"cache": {"type": "PVC"}}},
        {"ingress": {"host": "mcq.example.com", "path": "/quiz"}, "limits": {"deadlineSeconds": 30}},
        {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://vllm:8000/v1", "model": "qwen"}}},
    ],
)
def test_the_gate_knows_the_digest_of_its_candidates_replicas(spec: dict[str, Any]) -> None:
    """Replicas of another release have another one."""
    known = solver({**spec, "rollout": GATE})
    stored_candidate = json.loads(json.dumps(desired.gate.candidate(known)))
    stored_candidate["metadata"] |= {"uid": "c", "generation": 7, "annotations": {"x": "y"}}
    replicas = desired.plain_template(MCQSolver.model_validate(stored_candidate), images=IMAGES)
    expected = candidate_digest(known, images=IMAGES)
    assert desired.digest(replicas) == expected
    other = ServiceImages("mcq-service:next", "mcq-service-torch:next")
    assert candidate_digest(known, images=other) != expected
