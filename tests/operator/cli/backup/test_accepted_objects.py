"""An archive may hold only objects that we back up: a user of the store must not choose what a restore applies."""

from typing import Any

import pytest

from mcq_operator.api import Manifest
from mcq_operator.cli.backup.accepted_objects import validate
from mcq_operator.cli.backup.errors import CorruptError

API_VERSION = "mcq-operator.dev/v1alpha1"


def resource(kind: str = "MCQSolver", **metadata: Any) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "demo", **metadata}, "spec": {}}


def results(name: str = "aqua-results", **fields: Any) -> Manifest:
    values = {"data": {"one.json": "{}"}, "binaryData": {"one.report.txt.gz": "", "one.rows.json.gz": ""}}
    base = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "annotations": {}}}
    return {**base, "exam": "aqua", **values, **fields}


BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "mine"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "User", "name": "mallory"}],
}


@pytest.mark.parametrize(
    "item",
    [
        resource(labels={"team": "blue"}, annotations={"example.com/note": "mine"}),
        resource("MCQExam"),
        results(),
        results("aqua-results-3"),
        results(metadata={"name": "aqua-results", "annotations": {"mcq-operator.dev/restored": "one/x"}}),
    ],
)
def test_objects_of_backups_are_accepted(item: Manifest) -> None:
    assert list(validate([item])) == [item]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (BINDING, "it has RoleBinding mine, which the operator does not back up: a backup has MCQSolvers"),
        ({**BINDING, "kind": "MCQSolver"}, "apiVersion"),
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {}}, "Secret s"),
        ({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {}}, "Deployment d"),
        ({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {}}, "Pod p"),
        ({"apiVersion": API_VERSION, "kind": "MCQPolicy", "metadata": {"name": "p"}, "spec": {}}, "MCQPolicy p"),
        ({"kind": "List", "items": [BINDING]}, "List None"),
        ({}, "None None"),
        ({**resource(), "status": {"promoted": "x"}}, "status: Extra inputs"),
        (resource(namespace="kube-system"), "metadata.namespace: Extra inputs"),
        (resource(ownerReferences=[]), "metadata.ownerReferences: Extra inputs"),
        (resource(finalizers=["a/b"]), "metadata.finalizers: Extra inputs"),
        (resource(annotations={"mcq-operator.dev/promote": "admin: yes"}), "only the operator sets the annotation"),
        (resource(name="../../configmaps/x"), "metadata.name"),
        (results("kube-root-ca.crt"), "its name is not that of a result of MCQExam aqua"),
        (results("other-results"), "its name is not that of a result"),
        (results(data={"ca.crt": "x"}), "ca.crt is not part of a result"),
        (results(binaryData={"x": ""}), "x is not part"),
        (results(metadata={"name": "aqua-results", "labels": {"a": "b"}}), "has labels"),
        (results(metadata={"name": "aqua-results", "annotations": {"a": "b"}}), "annotations that the operator"),
        (results(immutable=True), "immutable: Extra inputs"),
    ],
)  # fmt: skip
def test_any_other_object_is_refused(item: Manifest, message: str) -> None:
    with pytest.raises(CorruptError, match="which the operator does not back up") as refused:
        list(validate([resource(), item]))
    assert message in str(refused.value)
