"""The number of examples in property tests: few fixed ones by default, and many new ones with SLOW=1."""

import os

from hack.settings import flag
from hypothesis import HealthCheck, settings

MANY = 2000


def examples(usual: int) -> settings:
    """Return the settings of a property test."""
    slow = flag(os.environ, "SLOW")
    return settings(
        max_examples=MANY if slow else usual,
        derandomize=not slow,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
