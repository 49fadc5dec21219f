"""What can be wrong with a delivery.

DeliveryError
├── SettingError      a setting of the environment is missing or can't be meant
├── RecordError       what an earlier stage should have left isn't there
└── VerificationError the deployment is not what it should be
"""


class DeliveryError(Exception):
    """A stage can't be carried out; the message says what to do."""


class SettingError(DeliveryError):
    """A setting is missing or unknown."""


class RecordError(DeliveryError):
    """A file that an earlier stage writes is missing or damaged."""


class VerificationError(DeliveryError):
    """Something that was promised of the deployment does not hold."""
