"""Which changes a gate must check, and whether replicas run the checked image."""

from typing import Any

import pytest
from tests.operator.status.test_gate_states import (
    SITTING,
    candidate,
    condition,
    exam_condition,
    finished_exam,
    gate_objects,
    gated,
    next_status,
    stored,
)
from tests.operator.support import IMAGES, NOON, deployment, pod, solver

from mcq_operator import desired
from mcq_operator.api import Manifest
from mcq_operator.status.gate import advance


def replica(image: str, name: str = "demo-1") -> Manifest:
    container = {"name": "service", "imageID": image, "state": {}}
    return pod(name, ready=True, containerStatuses=[container])


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["reg/x@sha256:a"], ("True", "Passed")),
        (["sha256:a"], ("True", "Passed")),
        ([""], ("True", "Passed")),
        (["reg/x@sha256:b"], ("Unknown", "ImageNotExamined")),
        (["reg/x@sha256:a", "reg/x@sha256:b"], ("Unknown", "ImageNotExamined")),
    ],
)
def test_replicas_of_another_image_than_the_tested_one_are_reported(
    images: list[str], expected: tuple[str, str]
) -> None:
    """A tag may move between the exam and the roll-out, or later."""
    tested = candidate(condition("Ready", "True"))
    tested = tested.model_copy(update={"status": tested.status.model_copy(update={"image": "sha256:a"})})
    passed = advance(
        gated(), SITTING, gate_objects(candidate=tested, candidate_exam=finished_exam("Passed")), now=NOON
    )
    pods = [replica(image, f"demo-{number}") for number, image in enumerate(images)]
    # At the moment of the pass, these are still the old replicas.
    assert exam_condition(next_status(gated(), passed, "new", pods=pods)) == ("True", "Passed")
    known = gated(status={"gate": passed.model_dump(by_alias=True)})
    reported = next_status(known, passed, "new", pods=pods)
    assert exam_condition(reported) == expected
    scaling = next_status(
        gated(status=stored(reported)), passed, "new", pods=pods, deployment=deployment(available=2)
    )
    assert exam_condition(scaling) == expected


def test_the_status_has_the_image_that_all_ready_replicas_run() -> None:
    one, other = replica("reg/x@sha256:a"), replica("reg/x@sha256:b", "demo-2")
    assert next_status(solver(), None, "", pods=[one]).image == "sha256:a"
    assert next_status(solver(), None, "", pods=[one, other]).image == ""


S3 = {"uri": "s3://models/qwen"}
PVC = {"uri": "pvc://weights/qwen"}
OPENAI: dict[str, Any] = {"type": "OpenAI", "openai": {"endpoint": "http://vllm:8000"}}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"model": PVC}, {"model": {"uri": "pvc://other/qwen"}}),
        ({"model": S3}, {"model": {**S3, "credentialsSecretRef": {"name": "mcq-elsewhere"}}}),
        ({"model": S3}, {"model": S3, "podTemplate": {"env": [{"name": "AWS_ENDPOINT_URL", "value": "x"}]}}),
        ({}, {"podTemplate": {"initContainers": [{"name": "a", "image": "x"}]}}),
        ({}, {"storage": {"cache": {"type": "PVC", "claimName": "filled"}}}),
        ({}, {"image": "x@sha256:a"}),
        ({"engine": OPENAI}, {"engine": {"type": "OpenAI", "openai": {"endpoint": "http://other:8000"}}}),
        (
            {"engine": OPENAI},
            {
                "engine": {
                    "type": "OpenAI",
                    "openai": {**OPENAI["openai"], "apiKeySecretRef": {"name": "mcq-b", "key": "k"}},
                }
            },
        ),
        ({}, {"answering": {"debias": "none"}}),
    ],
)
def test_a_field_that_may_change_answers_changes_the_identity(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    one, other = (desired.gate.identity(solver(each), images=IMAGES) for each in (before, after))
    assert one != other


@pytest.mark.parametrize(
    "spec",
    [
        {"replicas": 7},
        {"podTemplate": {"metadata": {"labels": {"team": "blue"}}}},
        {"storage": {"cache": {"size": "9Gi"}}},
        {"rollout": {"gate": {"examRef": {"name": "aqua"}}}},
    ],
)
def test_a_field_that_can_not_change_answers_keeps_the_identity(spec: dict[str, Any]) -> None:
    one, other = (desired.gate.identity(solver(each), images=IMAGES) for each in ({}, spec))
    assert one == other
