"""Events: each requeues the key of the solver that it concerns, and nothing more."""

from typing import Any

import pytest

from mcq_operator.api import ExamKey, Key, SolverKey
from mcq_operator.api.kinds import CHILDREN, POD, SERVICE, SOLVER
from mcq_operator.informer.handlers import HandlerMemo, forward_event, settings
from mcq_operator.informer.lists import Lists
from mcq_operator.store import Observation, owner


class Keys:
    def __init__(self) -> None:
        self.seen: list[tuple[Key | None, str, bool]] = []

    def observe(self, observed: Observation) -> None:
        self.seen.append((observed.owner, observed.kind.kind, observed.body is None))


OWNED = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", "name": "demo", "uid": "u"}
EXAMS = {**OWNED, "kind": "MCQExam", "name": "aqua"}
LABELS = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/name": "mcq-solver"}


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"ownerReferences": [OWNED]}, "demo"),
        ({"ownerReferences": [OWNED], "labels": {"app.kubernetes.io/instance": "relabelled"}}, "demo"),
        ({"labels": LABELS}, "demo"),
        ({"ownerReferences": [EXAMS], "labels": LABELS}, "aqua"),
        ({"labels": {"app.kubernetes.io/instance": "demo"}}, None),
        ({"ownerReferences": [{**OWNED, "kind": "Other"}]}, None),
        ({"ownerReferences": [{**OWNED, "apiVersion": "else.dev/v1"}]}, None),
        ({}, None),
    ],
)
def test_a_child_belongs_to_its_controller_and_a_pod_to_the_solver_that_its_label_names(
    meta: dict[str, Any], name: str | None
) -> None:
    actual = owner({"namespace": "team", **meta})
    key = ExamKey if name == "aqua" else SolverKey
    assert actual == (key("team", name) if name else None)


def test_a_solver_and_an_exam_of_one_name_have_different_keys() -> None:
    assert {SolverKey("team", "demo"), ExamKey("team", "demo")} - {SolverKey("team", "demo")} == {
        ExamKey("team", "demo")
    }


async def test_each_event_has_its_object_and_its_owner() -> None:
    keys = Keys()
    memo = HandlerMemo(keys, Lists(lambda _: None))
    meta = {"namespace": "team", "name": "demo", "resourceVersion": "7"}
    await forward_event(SOLVER, event={"type": "DELETED", "object": {"metadata": meta}}, memo=memo)
    owned = {"type": "MODIFIED", "object": {"metadata": {**meta, "ownerReferences": [OWNED]}}}
    await forward_event(SERVICE, event=owned, memo=memo)
    await forward_event(SERVICE, event={"type": None, "object": {"metadata": meta}}, memo=memo)
    key = SolverKey("team", "demo")
    assert keys.seen == [(key, "MCQSolver", True), (key, "Service", False), (None, "Service", True)]


def test_children_are_filtered_by_the_server_and_kopf_writes_nothing() -> None:
    created = settings()
    assert set(created.watching.label_selectors.values()) == {"app.kubernetes.io/managed-by=mcq-operator"}
    filtered = {selector.any_name for selector in created.watching.label_selectors}
    assert filtered == {kind.plural for kind in (*CHILDREN, POD)}
    assert not created.posting.enabled
    assert created.peering.standalone
    assert created.scanning.disabled
