"""The handlers forward each event with its object and its owner."""

from typing import Any

import pytest

from mcq_operator.api import ExamKey, SolverKey
from mcq_operator.api.kinds import CHILDREN, EXAM, POD, SOLVER
from mcq_operator.informer.handlers import forward_event, settings
from mcq_operator.informer.lists import Lists
from mcq_operator.informer.login import HandlerMemo
from mcq_operator.informer.watch_events import Events
from mcq_operator.store import Observation, owner

SOLVER_OWNER = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", "name": "demo", "uid": "u"}
EXAM_OWNER = {**SOLVER_OWNER, "kind": "MCQExam", "name": "aqua"}
LABELS = {"app.kubernetes.io/instance": "demo", "app.kubernetes.io/name": "mcq-solver"}


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"ownerReferences": [SOLVER_OWNER]}, "demo"),
        ({"ownerReferences": [SOLVER_OWNER], "labels": {"app.kubernetes.io/instance": "relabelled"}}, "demo"),
        ({"labels": LABELS}, "demo"),
        ({"ownerReferences": [EXAM_OWNER], "labels": LABELS}, "aqua"),
        ({"labels": {"app.kubernetes.io/instance": "demo"}}, None),
        ({"ownerReferences": [{**SOLVER_OWNER, "kind": "Other"}]}, None),
        ({"ownerReferences": [{**SOLVER_OWNER, "apiVersion": "else.dev/v1"}]}, None),
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
    observed: list[Observation] = []
    memo = HandlerMemo(Lists(lambda _: None), Events(observed.extend))
    meta = {"namespace": "team", "name": "demo", "resourceVersion": "7"}
    await forward_event(SOLVER, event={"type": "DELETED", "object": {"metadata": meta}}, memo=memo)
    owned = {"type": "MODIFIED", "object": {"metadata": {**meta, "ownerReferences": [SOLVER_OWNER]}}}
    await forward_event(EXAM, event=owned, memo=memo)
    assert [(each.owner, each.kind.kind, each.body is None) for each in observed] == [
        (SolverKey("team", "demo"), "MCQSolver", True),
        (ExamKey("team", "demo"), "MCQExam", False),
    ]


def test_children_are_filtered_by_the_server_and_kopf_writes_nothing() -> None:
    kopf_settings = settings()
    assert set(kopf_settings.watching.label_selectors.values()) == {
        "app.kubernetes.io/managed-by=mcq-operator"
    }
    filtered = {selector.any_name for selector in kopf_settings.watching.label_selectors}
    assert filtered == {kind.plural for kind in (*CHILDREN, POD)}
    assert not kopf_settings.posting.enabled
    assert kopf_settings.peering.standalone
    assert kopf_settings.scanning.disabled
