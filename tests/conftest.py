"""The settings of property tests that have none of their own."""

from hypothesis import settings
from tests.service.examples import examples

settings.register_profile("usual", examples(50))
settings.load_profile("usual")
