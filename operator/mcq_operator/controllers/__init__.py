"""One reconcile for each kind of resource."""

from .dispatch import reconcile
from .steps import Outcome, Result
from .upgrades import Upgrades

__all__ = ["Outcome", "Result", "Upgrades", "reconcile"]
