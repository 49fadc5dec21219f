"""The errors of a delivery.

DeliveryError
├── SettingError      an environment variable is missing or invalid
├── RecordError       a record of an earlier stage is missing or damaged
└── VerificationError the deployment differs from the delivery
"""


class DeliveryError(Exception):
    """A stage failed; the message says what to do."""


class SettingError(DeliveryError):
    """A setting is missing or invalid."""


class RecordError(DeliveryError):
    """A record of an earlier stage is missing or damaged."""


class VerificationError(DeliveryError):
    """The deployment differs from the delivery."""
