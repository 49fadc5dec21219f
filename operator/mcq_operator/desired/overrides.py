"""Merges a user's spec.podTemplate into the operator's own Pod template."""

from typing import Any

from mcq_operator.api.pod_template import PodTemplate

from .security import USER_FIELDS


def merged(template: dict[str, Any], overrides: PodTemplate) -> dict[str, Any]:
    """Return a Pod template with a user's additions, by Kubernetes' strategic rules: maps by key, lists by name.

    The template's only container is the operator's. The CRD refuses fields that the operator owns; if a stored
    resource has them anyway, the operator's win.
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
                    # If two sources have the same key, the later one wins.
                    "envFrom": [*(overrides.env_from or []), *(container.get("envFrom") or [])] or None,
                    "volumeMounts": _joined(
                        container.get("volumeMounts"), overrides.volume_mounts, by="mountPath"
                    ),
                }
            ],
            "volumes": _joined(spec.get("volumes"), overrides.volumes, by="name"),
        },
    }


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
