"""The volumes that a solver's replicas share."""

from typing import Literal

from pydantic import ConfigDict

from .base import Model, ObjectName, Quantity, rule, rules


class Cache(Model):
    """Where replicas keep the prepared model.

    A made claim belongs to the solver and goes with it; name an existing one in claimName to keep it.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.claimName) || self.type == 'PVC'",
                "claimName is only for type PVC: remove it or set storage.cache.type to PVC",
                path=".claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || (self.accessMode == oldSelf.accessMode && has(self.storageClassName) =="
                " has(oldSelf.storageClassName) && (!has(self.storageClassName)"
                " || self.storageClassName == oldSelf.storageClassName))",
                "storageClassName and accessMode of a claim can't be changed once it is made:"
                " switch type to EmptyDir first, which deletes it, or name another claim in claimName",
            ),
            rule(
                "self.type != 'PVC' || oldSelf.type != 'PVC' || has(self.claimName) || has(oldSelf.claimName)"
                " || !isQuantity(string(self.size)) || !isQuantity(string(oldSelf.size))"
                " || quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0",
                "a claim can't shrink: keep storage.cache.size or make it larger",
                path=".size",
            ),
        )
    )

    type: Literal["PVC", "EmptyDir"] = "PVC"
    """PVC: one volume for all replicas, kept over restarts. EmptyDir: each replica fetches its own."""
    size: Quantity = "16Gi"
    """The volume's size: the source weights and one converted copy."""
    storage_class_name: ObjectName | None = None
    """The StorageClass of the made claim; left out, the cluster's default."""
    claim_name: ObjectName | None = None
    """An existing claim to use in place of a made one."""
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteOnce"
    """ReadWriteOnce keeps all replicas on one node; ReadWriteMany needs a shared file system."""


class Storage(Model):
    """The solver's volumes."""

    cache: Cache = Cache()
    """The model cache."""
