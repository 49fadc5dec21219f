"""The newest known version of each object, and which resource it belongs to."""

from .observation import Listing, NamespacedName, Observation, observe
from .ownership import owner
from .store import Change, Store

__all__ = ["Change", "Listing", "NamespacedName", "Observation", "Store", "observe", "owner"]
