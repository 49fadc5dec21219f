"""dist/chart: config/default as a Helm chart. With default values it renders the same objects as kustomize.

The manifests stay the source: this module marks each field that a value sets, then turns the marks into Helm
expressions.
"""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import yaml
from hack.images.build import DIST, version
from hack.installation import DEFAULT, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hack.installation import Images
    from hack.kubectl import Kubectl

CHART = DIST / "chart"
# Helm creates the namespace itself: --namespace, --create-namespace.
LEFT_OUT = ("Namespace",)
VALUES = """\
# Values of the MCQ operator's chart. An MCQSolver is applied by itself: see config/samples.
operator:
  # One leads, the others stand by.
  replicas: {replicas}
  image: {operator}
  # Private registries: [{{name: my-secret}}]
  imagePullSecrets: []
  resources: {resources}
  affinity: {affinity}
  nodeSelector: {{}}
  tolerations: []
  priorityClassName: ""
service:
  # The image of solvers whose spec names none.
  image: {service}
"""
IMAGES = {"MCQ_OPERATOR_SERVICE_IMAGE": "service", "MCQ_OPERATOR_IMAGE": "operator"}
"""The operator's image variables, and the value of each."""
TEXT = {"type": "string", "minLength": 1}
SCHEMA = {
    "$schema": "https://json-schema.org/draft-07/schema#",
    "type": "object",
    "additionalProperties": False,
    "required": ["operator", "service"],
    "properties": {
        "global": {"type": "object"},
        "operator": {
            "type": "object",
            "additionalProperties": False,
            "required": ["replicas", "image"],
            "properties": {
                "replicas": {"type": "integer", "minimum": 1},
                "image": TEXT,
                "imagePullSecrets": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                "resources": {"type": "object"},
                "affinity": {"type": "object"},
                "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
                "tolerations": {"type": "array", "items": {"type": "object"}},
                "priorityClassName": {"type": "string"},
            },
        },
        "service": {
            "type": "object",
            "additionalProperties": False,
            "required": ["image"],
            "properties": {"image": TEXT},
        },
    },
}


def write_chart(kubectl: Kubectl, images: Images | None, folder: Path = CHART) -> Path:
    """Write the chart. Its default images are `images`, or those of config. Raises KubectlError."""
    objects = [*yaml.safe_load_all(kubectl("kustomize", str(DEFAULT)))]
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("crds", "templates"):
        (folder / part).mkdir(parents=True)
    (folder / "Chart.yaml").write_text(_yaml(_chart_yaml()))
    (folder / "values.schema.json").write_text(json.dumps(SCHEMA, indent=2) + "\n")
    for each in objects:
        name = f"{each['kind'].lower()}-{each['metadata']['name']}.yaml"
        if each["kind"] == "CustomResourceDefinition":
            (folder / "crds" / name).write_text(_yaml(each))
            continue
        if each["kind"] == "Deployment":
            (folder / "values.yaml").write_text(_values(each, images))
            _mark_deployment(each)
        if each["kind"] not in LEFT_OUT:
            (folder / "templates" / name).write_text(_template(each))
    return folder


def _chart_yaml() -> dict[str, Any]:
    return {
        "apiVersion": "v2",
        "name": "mcq-operator",
        "description": "Reconciles MCQSolver resources into services that answer multiple-choice questions",
        "type": "application",
        "version": version(),
        "appVersion": version(),
        "kubeVersion": ">=1.30.0-0",
    }


def _values(deployment: dict[str, Any], images: Images | None) -> str:
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    return VALUES.format(
        replicas=deployment["spec"]["replicas"],
        operator=images.operator if images else container["image"],
        service=images.service if images else environment["MCQ_OPERATOR_SERVICE_IMAGE"],
        resources=json.dumps(container["resources"]),
        affinity=json.dumps(pod["affinity"]),
    )


def _mark_deployment(deployment: dict[str, Any]) -> None:
    """Put a mark for _template at every field that a value sets."""
    deployment["spec"]["replicas"] = _mark("toJson .Values.operator.replicas")
    pod = deployment["spec"]["template"]["spec"]
    pod["affinity"] = _mark("toJson .Values.operator.affinity")
    for name in ("imagePullSecrets", "nodeSelector", "priorityClassName", "tolerations"):
        pod[f"@@optional {name}@@"] = None
    [container] = pod["containers"]
    container["image"] = _mark("toJson .Values.operator.image")
    container["resources"] = _mark("toJson .Values.operator.resources")
    for variable in container["env"]:
        if (place := IMAGES.get(variable["name"])) is not None:
            variable["value"] = _mark(f"toJson .Values.{place}.image")


def _template(manifest: dict[str, Any]) -> str:
    """Return the manifest's text, with Helm expressions in place of the marks."""
    _mark_namespace(manifest)
    text = re.sub(r"'@@=(.+?)@@'", r"{{ \1 }}", _yaml(manifest))
    return re.sub(
        r"^( *)'@@optional (\w+)@@': null$",
        r"\1{{- with .Values.operator.\2 }}\n\1\2: {{ toJson . }}\n\1{{- end }}",
        text,
        flags=re.MULTILINE,
    )


def _mark_namespace(manifest: dict[str, Any]) -> None:
    """Replace the namespace by the release's in every field."""
    for holder, key in _strings(manifest):
        if holder[key] == NAMESPACE:
            holder[key] = _mark("toJson .Release.Namespace")
        elif holder[key].startswith(f"{NAMESPACE}/"):
            rest = holder[key].removeprefix(NAMESPACE)
            holder[key] = _mark(f'printf "%s{rest}" .Release.Namespace | toJson')
        elif NAMESPACE in holder[key]:
            # Inside a CEL expression.
            text = holder[key].replace(NAMESPACE, "%s")
            holder[key] = _mark(f"printf `{text}` .Release.Namespace | toJson")


def _strings(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each string of a manifest as its container and key."""
    for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if isinstance(value, str):
            yield node, key
        elif isinstance(value, dict | list):
            yield from _strings(value)


def _mark(expression: str) -> str:
    return f"@@={expression}@@"


def _yaml(manifest: dict[str, Any]) -> str:
    return yaml.safe_dump(manifest, sort_keys=False, width=10000)
