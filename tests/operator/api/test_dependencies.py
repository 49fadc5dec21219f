"""What each object that the operator makes depends on."""

from typing import Any

from tests.operator.support import IMAGES, OPERATOR_IMAGE, solver

from mcq_operator import desired
from mcq_operator.api import MCQExam, names
from mcq_operator.api.dependencies import dependencies
from mcq_operator.api.kinds import EXAM, SOLVER

SPEC: dict[str, Any] = {
    "storage": {"cache": {"type": "PVC"}, "backup": {"uri": "s3://backups"}},
    "ingress": {"enabled": True, "host": "mcq.example.com"},
    "gateway": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "autoscaling": {"enabled": True},
    "rollout": {"gate": {"examRef": {"name": "aqua"}}},
}


def test_each_object_is_created_after_its_dependencies() -> None:
    """In an order in which a conflict is known before anything is made on top of it."""
    one = solver(SPEC)
    exam = MCQExam.model_validate(
        {
            "metadata": {"name": "aqua", "namespace": "team", "uid": "u"},
            "spec": {"solverRef": {"name": "demo"}, "questions": {"configMapRef": {"name": "q"}}},
        }
    )
    gate = one.spec.rollout.gate
    assert gate is not None
    objects = desired.objects(one, images=IMAGES, operator_image=OPERATOR_IMAGE)
    objects += [desired.gate.candidate(one), desired.gate.candidate_exam(one, exam, gate)]
    needed = ordered(objects)
    candidate = names.candidate_name(one)
    assert needed["Deployment demo"] == {"ServiceAccount demo", "PersistentVolumeClaim demo-model-cache"}
    assert needed["Ingress demo"] == needed["HTTPRoute demo"] == {"Service demo"}
    assert needed["HorizontalPodAutoscaler demo"] == {"Deployment demo"}
    identity = {f"{kind} demo-backups" for kind in ("ServiceAccount", "Role", "RoleBinding")}
    assert needed["CronJob demo-backups"] == identity
    assert needed["RoleBinding demo-backups"] == {"ServiceAccount demo-backups", "Role demo-backups"}
    assert needed[f"{SOLVER.kind} {candidate}"] == {"PersistentVolumeClaim demo-model-cache"}
    assert needed[f"{EXAM.kind} {candidate}"] == {f"{SOLVER.kind} {candidate}"}

    needed = ordered(desired.exam.objects(exam, one, service_image=IMAGES.cpu))
    [job] = [name for name in needed if name.startswith("Job ")]
    assert needed[job] == {f"{kind} aqua-exam" for kind in ("ServiceAccount", "Role", "RoleBinding")}
    assert needed["Role aqua-exam"] == {"ConfigMap aqua-results", "ConfigMap aqua-results-0"}


def ordered(objects: list[dict[str, Any]]) -> dict[str, set[str]]:
    """What of the objects each one depends on."""
    known: list[str] = []
    actual: dict[str, set[str]] = {}
    every = {f"{each['kind']} {each['metadata']['name']}" for each in objects}
    for each in objects:
        mine = f"{each['kind']} {each['metadata']['name']}"
        actual[mine] = {f"{ref.kind} {ref.name}" for ref in dependencies(each)} & every
        assert actual[mine] <= set(known), f"{mine} comes before what it depends on"
        known.append(mine)
    return actual


def test_a_users_own_fields_may_have_any_form() -> None:
    odd = {
        "subjects": ["x", {"name": 1}],
        "service": "x",
        "claimName": 3,
        "resourceNames": "x",
        "roleRef": None,
    }
    assert dependencies({"spec": {"from": [odd]}}) == set()
