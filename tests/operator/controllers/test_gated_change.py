"""The change that a gate holds, and the template of the replicas before it, from the ReplicaSets that exist."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.operator.status.test_gate_states import SITTING, gated
from tests.operator.support import IMAGES, solver

from mcq_operator import desired
from mcq_operator.api import GateStatus, Manifest, MCQSolver
from mcq_operator.controllers.gate import candidate_digest, gated_change
from mcq_operator.desired import ServiceImages

GATE = {"gate": {"examRef": {"name": "aqua"}}}
TEMPLATE = {"metadata": {"labels": {"app": "before"}}, "spec": {"containers": []}}
REPLICA_SET = {"metadata": {"name": "demo-1"}, "spec": {"template": TEMPLATE}}


@dataclass(frozen=True)
class ReplicaSets:
    """A cluster with these ReplicaSets."""

    items: list[Manifest] = field(default_factory=list)

    async def replica_sets(self, _: MCQSolver) -> list[Manifest]:
        """Return the ReplicaSets."""
        return self.items


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
