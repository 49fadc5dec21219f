"""The newest known version of each object, and which resource it belongs to."""

from .observation import Listing, Name, Sighting, sighting
from .ownership import owner
from .store import Cache, News

__all__ = ["Cache", "Listing", "Name", "News", "Sighting", "owner", "sighting"]
