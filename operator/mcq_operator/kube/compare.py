"""Whether a live object already is what was wanted, so that nothing needs to be sent.

A live object has more than what was applied: defaults filled in by the server, fields that others own. So the
question is whether everything wanted is in it ("wanted is covered by live"), compared as the server means it:

- a quantity is a number, however it is spelt (`1000m` is stored as `1`);
- an item of a list that the server merges by key is looked up by that key, and others' items don't matter;
- any other list, and a selector, is one value: a further item or key is a difference, anywhere inside it, but for
  defaults that the server fills in there.

What this can't see is a field that was applied once and is wanted no more. But it changes the digest of the
wanted object, which is applied with it as an annotation, so a differing digest shows it.

Reading `managedFields` instead would not do: they name the fields that are owned, not the values in them.
"""

from typing import Any

from mcq_operator.models.quantity import quantity

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
"""Lists that server-side apply merges item by item, by the keys that it merges them by."""

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
"""Fields in lists of that kind (ports, parentRefs, backendRefs) that the server fills in, and by what."""


def covers(live: Any, wanted: Any, *, field: str = "", within: str = "", whole: bool = False) -> bool:
    """Whether everything in `wanted` is in `live`.

    Args:
        live: the value as the server returns it.
        wanted: the value as it was meant.
        field: the name of the field that holds it.
        within: the name of the field that holds that one.
        whole: whether it is part of a list that is one value, so that nothing more may be in `live` either.

    """
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return not wanted and live is None
        if field in ATOMIC_MAPS and live.keys() != wanted.keys():
            return False
        if whole and any(live[key] not in FILLED_IN.get(key, ()) for key in live.keys() - wanted.keys()):
            return False
        return all(
            covers(live.get(key), item, field=key, within=field, whole=whole) for key, item in wanted.items()
        )
    if isinstance(wanted, list):
        return _covers_list(live, wanted, field, whole=whole)
    if type(live) is type(wanted) and live == wanted:
        return True
    return (within in QUANTITIES or field == "sizeLimit") and _same_quantity(live, wanted)


def project(live: Any, wanted: Any, *, field: str = "") -> Any:
    """The part of `live` that `wanted` speaks about: what the server made of it."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        return {key: project(live[key], item, field=key) for key, item in wanted.items() if key in live}
    if isinstance(wanted, list) and isinstance(live, list) and field in LIST_KEYS:
        found = _by_key(live, field)
        keys = _by_key(wanted, field)
        return [project(found[key], item) for key, item in keys.items() if key in found]
    return live


def _covers_list(live: Any, wanted: list[Any], field: str, *, whole: bool) -> bool:
    if not isinstance(live, list):
        return not wanted and live is None
    if field in LIST_KEYS and not whole:
        found = _by_key(live, field)
        keys = _by_key(wanted, field)
        return all(key in found and covers(found[key], item) for key, item in keys.items())
    return len(live) == len(wanted) and all(
        covers(*pair, whole=True) for pair in zip(live, wanted, strict=True)
    )


def _by_key(items: list[Any], field: str) -> dict[tuple[Any, ...], Any]:
    return {tuple(item.get(key) for key in LIST_KEYS[field]): item for item in items}


def _same_quantity(live: object, wanted: object) -> bool:
    number = quantity(wanted)
    return number is not None and number == quantity(live)
