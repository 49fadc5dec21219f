"""Objects that restored resources refer to but no backup contains: Secrets, ConfigMaps of questions, claims."""

from collections.abc import Iterator
from typing import Any

from mcq_operator.api import Manifest


def references(item: Manifest) -> set[tuple[str, str]]:
    """Return kind and name of each object that the resource's spec names. It knows them by the fields' names."""
    return set(_references(item.get("spec", {})))


def _references(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, list):
        for each in node:
            yield from _references(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            named = _named(key, value)
            yield from _references(value) if named is None else named


def _named(key: str, value: Any) -> list[tuple[str, str]] | None:
    """Return the references of a field; None if it is not a reference."""
    if key.endswith("SecretRef"):
        return [("Secret", value["name"])]
    if key == "imagePullSecrets":
        return [("Secret", each["name"]) for each in value]
    if key == "tlsSecretName":
        return [("Secret", value)]
    if key == "configMapRef":
        return [("ConfigMap", value["name"])]
    if key == "claimName":
        return [("PersistentVolumeClaim", value)]
    if key == "uri" and value.startswith("pvc://"):
        return [("PersistentVolumeClaim", value.removeprefix("pvc://").partition("/")[0])]
    return None
