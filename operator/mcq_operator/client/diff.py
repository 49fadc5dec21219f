"""Comparison of a live object with the desired one, so that equal objects cause no request.

A live object has more than was applied: the server fills in defaults, and other managers own fields. So the question
is whether the live object covers the desired one. The comparison follows the server's rules:

- a quantity is a number in any spelling (`1000m` is stored as `1`);
- lists that the server merges by key are compared by that key, and other managers' items don't matter;
- any other list, and a selector, is one value: an additional item or key is a difference, except for defaults that
  the server fills in.

The comparison can't see a field that was applied once and is no longer desired. But such a change also changes the
digest of the desired object, which is applied as an annotation.

`managedFields` can't replace this: they name the owned fields, but not their values.
"""

from typing import Any

from mcq_operator.api.quantity import quantity

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port", "protocol"),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that server-side apply merges item by item, with their merge keys."""

ATOMIC_MAPS = frozenset({"labelSelector", "matchLabels", "nodeSelector", "podSelector", "selector"})
"""Maps that server-side apply replaces as a whole."""

QUANTITIES = frozenset({"requests", "limits"})
"""Maps from names to quantities."""


FILLED_IN: dict[str, tuple[Any, ...]] = {
    "group": ("", "gateway.networking.k8s.io"),
    "kind": ("Gateway", "Service"),
    "protocol": ("TCP",),
    "weight": (1,),
}
"""Defaults that the server fills in for items of ports, parentRefs and backendRefs."""


def covers(live: Any, desired: Any, *, field: str = "", within: str = "", whole: bool = False) -> bool:
    """Return whether everything in `desired` is in `live`.

    Args:
        live: the value as the server returns it.
        desired: the value as the operator applies it.
        field: the name of the field that holds it.
        within: the name of the field around that one.
        whole: whether it is in a list that is one value, so that `live` may have nothing more.

    """
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            return not desired and live is None
        if field in ATOMIC_MAPS and live.keys() != desired.keys():
            return False
        if whole and any(live[key] not in FILLED_IN.get(key, ()) for key in live.keys() - desired.keys()):
            return False
        return all(
            covers(live.get(key), item, field=key, within=field, whole=whole) for key, item in desired.items()
        )
    if isinstance(desired, list):
        return _covers_list(live, desired, field, whole=whole)
    if type(live) is type(desired) and live == desired:
        return True
    return (within in QUANTITIES or field == "sizeLimit") and _same_quantity(live, desired)


def project(live: Any, desired: Any, *, field: str = "") -> Any:
    """Return the part of `live` that `desired` covers."""
    if isinstance(desired, dict) and isinstance(live, dict):
        return {key: project(live[key], item, field=key) for key, item in desired.items() if key in live}
    if isinstance(desired, list) and isinstance(live, list) and field in LIST_KEYS:
        live_items = _by_key(live, field)
        desired_items = _by_key(desired, field)
        return [project(live_items[key], item) for key, item in desired_items.items() if key in live_items]
    return live


def _covers_list(live: Any, desired: list[Any], field: str, *, whole: bool) -> bool:
    if not isinstance(live, list):
        return not desired and live is None
    if field in LIST_KEYS and not whole:
        live_items = _by_key(live, field)
        desired_items = _by_key(desired, field)
        return all(key in live_items and covers(live_items[key], item) for key, item in desired_items.items())
    return len(live) == len(desired) and all(
        covers(*pair, whole=True) for pair in zip(live, desired, strict=True)
    )


def _by_key(items: list[Any], field: str) -> dict[tuple[Any, ...], Any]:
    return {tuple(item.get(key) for key in LIST_KEYS[field]): item for item in items}


def _same_quantity(live: object, desired: object) -> bool:
    number = quantity(desired)
    return number is not None and number == quantity(live)
