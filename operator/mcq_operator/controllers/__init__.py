"""One reconcile for each kind of resource."""

from .dispatch import reconcile
from .steps import Outcome, Result

__all__ = ["Outcome", "Result", "reconcile"]
