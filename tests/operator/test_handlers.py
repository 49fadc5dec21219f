"""Events: each wakes the key of the solver that it concerns, and nothing more."""

from collections.abc import Mapping
from typing import Any

import kopf
import pytest

from mcq_operator.handlers import Memo, child_seen, owner, registry, settings, solver_seen
from mcq_operator.models import SolverKey
from mcq_operator.models.kinds import CHILDREN, HTTP_ROUTE, POD, SOLVER


class Keys:
    def __init__(self) -> None:
        self.seen: list[SolverKey] = []

    def add(self, key: SolverKey) -> None:
        self.seen.append(key)


class Versions:
    def __init__(self) -> None:
        self.seen: list[tuple[str, bool]] = []

    def saw(self, plural: str, meta: Mapping[str, Any], *, gone: bool) -> None:
        assert meta["namespace"] == "team"
        self.seen.append((plural, gone))


PODS = kopf.Resource(group="", version="v1", plural="pods")
OWNED = {"apiVersion": "mcq-operator.dev/v1alpha1", "kind": "MCQSolver", "name": "demo", "uid": "u"}


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        ({"ownerReferences": [OWNED]}, "demo"),
        ({"ownerReferences": [OWNED], "labels": {"app.kubernetes.io/instance": "relabelled"}}, "demo"),
        ({"labels": {"app.kubernetes.io/instance": "demo"}}, "demo"),
        ({"ownerReferences": [{**OWNED, "kind": "Other"}]}, None),
        ({"ownerReferences": [{**OWNED, "apiVersion": "else.dev/v1"}]}, None),
        ({}, None),
    ],
)
def test_a_child_belongs_to_its_controller_and_a_pod_to_the_solver_that_its_label_names(
    meta: dict[str, Any], name: str | None
) -> None:
    found = owner({"namespace": "team", **meta})
    assert found == (SolverKey("team", name) if name else None)


async def test_events_enqueue_keys_and_tell_what_was_seen() -> None:
    keys, versions = Keys(), Versions()
    memo = Memo(keys, versions)
    await solver_seen(meta={"namespace": "team", "name": "demo"}, memo=memo, type="DELETED")
    owned = {"namespace": "team", "ownerReferences": [OWNED]}
    await child_seen(meta=owned, memo=memo, type="MODIFIED", resource=PODS)
    await child_seen(meta={"namespace": "team"}, memo=memo, type=None, resource=PODS)
    assert keys.seen == [SolverKey("team", "demo")] * 2
    assert versions.seen == [("mcqsolvers", True), ("pods", False), ("pods", False)]


def test_children_are_filtered_by_the_server_and_kopf_writes_nothing() -> None:
    made = settings()
    assert set(made.watching.label_selectors.values()) == {"app.kubernetes.io/managed-by=mcq-operator"}
    assert len(made.watching.label_selectors) == len(CHILDREN) + 1
    assert not any(selector.plural == "mcqsolvers" for selector in made.watching.label_selectors)
    assert not made.posting.enabled
    assert made.peering.standalone
    assert made.scanning.disabled


def test_a_kind_that_the_server_does_not_know_is_not_watched() -> None:
    made = registry(absent=[SOLVER, HTTP_ROUTE])
    watched = {handler.selector.any_name for handler in made._watching.get_all_handlers() if handler.selector}
    assert "services" in watched
    assert watched.isdisjoint({"httproutes", "mcqsolvers"})


def test_no_handler_makes_kopf_keep_state_on_objects() -> None:
    made = registry()
    assert len(made._watching.get_all_handlers()) == len(CHILDREN) + 2
    assert not made._changing.get_all_handlers()
    assert not made._spawning.get_all_handlers()
    assert POD not in CHILDREN
