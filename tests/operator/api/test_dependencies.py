"""The dependencies between the objects that the operator creates."""

from typing import Any

from tests.operator.support import IMAGES, INSTALLATION, exam, solver

from mcq_operator import desired
from mcq_operator.api import names
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
    """So the operator finds a conflict before it creates objects that depend on the foreign one."""
    demo = solver(SPEC)
    gate = demo.spec.rollout.gate
    assert gate is not None
    objects = desired.objects(demo, INSTALLATION)
    objects += [desired.gate.candidate(demo), desired.gate.candidate_exam(demo, exam(), gate)]
    needed = dependencies_in_order(objects)
    candidate = names.candidate_name(demo)
    assert needed["Deployment demo"] == {"ServiceAccount demo", "PersistentVolumeClaim demo-model-cache"}
    assert needed["Ingress demo"] == needed["HTTPRoute demo"] == {"Service demo"}
    assert needed["HorizontalPodAutoscaler demo"] == {"Deployment demo"}
    identity = {f"{kind} demo-backups" for kind in ("ServiceAccount", "Role", "RoleBinding")}
    assert needed["CronJob demo-backups"] == identity
    assert needed["RoleBinding demo-backups"] == {"ServiceAccount demo-backups", "Role demo-backups"}
    assert needed[f"{SOLVER.kind} {candidate}"] == {"PersistentVolumeClaim demo-model-cache"}
    assert needed[f"{EXAM.kind} {candidate}"] == {f"{SOLVER.kind} {candidate}"}

    needed = dependencies_in_order(desired.exam.objects(exam(), demo, service_image=IMAGES.cpu))
    [job] = [name for name in needed if name.startswith("Job ")]
    assert needed[job] == {f"{kind} aqua-exam" for kind in ("ServiceAccount", "Role", "RoleBinding")}
    assert needed["Role aqua-exam"] == {"ConfigMap aqua-results", "ConfigMap aqua-results-0"}


def dependencies_in_order(objects: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return each object's dependencies among the objects; fail if an object precedes one of them."""
    earlier: list[str] = []
    result: dict[str, set[str]] = {}
    names_of_all = {f"{each['kind']} {each['metadata']['name']}" for each in objects}
    for each in objects:
        name = f"{each['kind']} {each['metadata']['name']}"
        result[name] = {f"{ref.kind} {ref.name}" for ref in dependencies(each)} & names_of_all
        assert result[name] <= set(earlier), f"{name} precedes an object that it depends on"
        earlier.append(name)
    return result


def test_user_fields_of_any_type_are_no_dependencies() -> None:
    odd = {
        "subjects": ["x", {"name": 1}],
        "service": "x",
        "claimName": 3,
        "resourceNames": "x",
        "roleRef": None,
    }
    assert dependencies({"spec": {"from": [odd]}}) == set()
