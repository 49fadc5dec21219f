"""What a user's spec.podTemplate and spec.resources make of the operator's own Pods and defaults."""

from collections.abc import Mapping
from typing import Any

from mcq_operator.models.pod_template import PodTemplate
from mcq_operator.models.quantity import quantity
from mcq_operator.models.replica import Resources

from .security import USER_FIELDS

Quantities = Mapping[str, str | int]


def merged(template: dict[str, Any], overrides: PodTemplate) -> dict[str, Any]:
    """Return a Pod template with a user's additions, by Kubernetes' strategic rules: maps by key, lists by name.

    The template's only container is the operator's. Fields that the operator owns are refused by the CRD; where a
    stored one has them all the same, the operator's win.
    """
    metadata, spec = template["metadata"], template["spec"]
    [container] = spec["containers"]
    added = overrides.metadata
    return {
        **template,
        "metadata": {
            **metadata,
            "labels": {**(added.labels or {}), **metadata["labels"]},
            "annotations": {**metadata.get("annotations", {}), **(added.annotations or {})} or None,
        },
        "spec": {
            **spec,
            "securityContext": _security(spec["securityContext"], overrides),
            "initContainers": _init_containers(overrides) or None,
            "containers": [
                {
                    **container,
                    "env": _joined(container.get("env"), overrides.env, by="name"),
                    # Of two sources with the same key, the later one wins.
                    "envFrom": [*(overrides.env_from or []), *(container.get("envFrom") or [])] or None,
                    "volumeMounts": _joined(
                        container.get("volumeMounts"), overrides.volume_mounts, by="mountPath"
                    ),
                }
            ],
            "volumes": _joined(spec.get("volumes"), overrides.volumes, by="name"),
        },
    }


def resources(given: Resources, default: Resources) -> dict[str, dict[str, str | int]]:
    """Return the resources of a container: those that are given, and the defaults of those that are not.

    A default gives way to what is given: the request is no more than the limit, whichever of them is the default.
    """
    requests, limits = dict(default.requests or {}), dict(default.limits or {})
    for name, limit in (given.limits or {}).items():
        if name in requests and _more(requests[name], than=limit):
            requests[name] = limit
    for name, request in (given.requests or {}).items():
        if name in limits and _more(request, than=limits[name]):
            limits[name] = request
    made = {"requests": requests | (given.requests or {}), "limits": limits | (given.limits or {})}
    return {name: values for name, values in made.items() if values}


def _more(value: str | int, *, than: str | int) -> bool:
    return (quantity(value) or 0) > (quantity(than) or 0)


def _security(own: dict[str, Any], overrides: PodTemplate) -> dict[str, Any]:
    given = overrides.security_context
    if given is None:
        return own
    return {**{name: value for name, value in own.items() if name not in USER_FIELDS}, **given}


def _init_containers(overrides: PodTemplate) -> list[dict[str, Any]]:
    sidecars = [{**sidecar, "restartPolicy": "Always"} for sidecar in overrides.sidecars or []]
    return [*(overrides.init_containers or []), *sidecars]


def _joined(
    own: list[dict[str, Any]] | None, given: list[dict[str, Any]] | None, *, by: str
) -> list[dict[str, Any]] | None:
    taken = {item[by] for item in own or []}
    return [*(own or []), *(item for item in given or [] if item[by] not in taken)] or None
