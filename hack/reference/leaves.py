"""The leaves of a spec: the fields that hold a value, from the CustomResourceDefinition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from mcq_operator.api.crd import SOLVER_DEFINITION, Definition, crd

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Leaf:
    """One field: its path (`[]` stands for each item of a list), its schema, and its parent's description."""

    path: str
    schema: dict[str, Any]
    parent: str = ""

    @property
    def type(self) -> str:
        """The type of the values, in words."""
        if "enum" in self.schema:
            return ", ".join(map(shown, self.schema["enum"]))
        if self.schema.get("x-kubernetes-int-or-string"):
            return "integer or string"
        if self.schema["type"] == "array":
            items = self.schema["items"]["type"]
            return f"list of {items}s"
        return "map" if "additionalProperties" in self.schema else str(self.schema["type"])


def leaves(definition: Definition = SOLVER_DEFINITION) -> list[Leaf]:
    """Return every leaf of a kind's spec, in the order of the schema."""
    version = crd(definition)["spec"]["versions"][0]
    return list(_walk(version["schema"]["openAPIV3Schema"]["properties"]["spec"], ""))


def _walk(schema: dict[str, Any], path: str, parent: str = "") -> Iterator[Leaf]:
    items = schema.get("items", {})
    fields = schema.get("properties") or items.get("properties")
    # Kubernetes itself checks objects that the schema passes through.
    if fields is None or items.get("x-kubernetes-preserve-unknown-fields"):
        yield Leaf(path, schema, parent)
        return
    prefix = path + ("[]" if items else "") + ("." if path else "")
    for name, field in fields.items():
        yield from _walk(field, prefix + name, str(schema.get("description", "")))


def shown(value: object) -> str:
    """Return a value as YAML writes it on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
        .removesuffix("\n")
        .removesuffix("\n...")
    )


def nested(path: str, value: object) -> dict[str, Any]:
    """Return a spec that has only this value; a list on its path has one item with only this value."""
    head, _, rest = path.partition(".")
    inner = nested(rest, value) if rest else value
    return {head[:-2]: [inner]} if head.endswith("[]") else {head: inner}


def merged(one: Any, other: Any) -> Any:
    """Merge two specs; `other` wins. Lists of objects are merged item by item."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: merged(one.get(key), other[key]) if key in other else one[key] for key in {**one, **other}
        }
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [merged(*pair) for pair in zip(one, other, strict=True)]
    return other
