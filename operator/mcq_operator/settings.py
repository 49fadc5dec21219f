"""The operator's settings, from environment variables MCQ_OPERATOR_*."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from . import __version__
from .api.rbac import NAMESPACE
from .desired.images import Installation, ServiceImages


class Settings(BaseSettings):
    """The configuration of an operator's process."""

    model_config = SettingsConfigDict(env_prefix="MCQ_OPERATOR_", frozen=True, use_attribute_docstrings=True)

    namespaces: Annotated[tuple[str, ...], NoDecode] = ()
    """Namespaces to serve, separated by commas; empty serves all."""
    service_image: str = f"mcq-service:{__version__}"
    """The image of solvers that name none, and of exams."""
    service_torch_image: str = f"mcq-service-torch:{__version__}"
    """The image of solvers that name none and need torch: those with a float precision or a GPU."""
    image: str = f"mcq-operator:{__version__}"
    """The operator's own image, which the backup Jobs run."""
    lease: (
        Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
        | None
    ) = None
    """The Lease that this process holds while it leads, as namespace/name; without one, it always leads, alone."""
    lease_duration_seconds: int = Field(15, ge=1)
    """How long after its last renewal another operator takes the Lease."""
    lease_renew_deadline_seconds: float = Field(10, gt=0)
    """How long after the start of its last renewal the leader relies on the Lease: less than it lasts."""
    lease_retry_seconds: float = Field(2, gt=0)
    """The pause between two tries to take or to renew the Lease."""
    upgrades_at_once: int = Field(5, ge=0)
    """How many solvers get the replicas of a new release of the operator at a time; 0 means all."""
    workers: int = Field(16, ge=1)
    """How many solvers are reconciled at once."""
    resync_seconds: float = Field(900, gt=0)
    """How often every solver is reconciled without an event."""
    discovery_seconds: float = Field(15, gt=0)
    """How often the operator asks the API server which optional kinds it knows."""
    verify_seconds: float = Field(300, gt=0)
    """How often the operator compares the watches with a list of the objects."""
    stale_seconds: float = Field(60, gt=0)
    """For how long a watch may be behind before the watches restart."""
    stuck_seconds: float = Field(300, gt=0)
    """How long one reconcile may take before the process is no longer healthy."""
    canary_url: str = "http://{name}.{namespace}.svc:8081"
    """Where the operator asks a solver the test question; `{name}` and `{namespace}` are the solver's."""
    runbooks_url: str = ""
    """The address of this repository's files, for the links of alerts; empty: alerts name the page's path."""
    host: str = "::"
    """Address of the metrics and health server; ::, every address of IPv6 and IPv4."""
    port: int = Field(8081, ge=0, le=65535)
    """Port of the metrics and health server."""
    log_level: str = "INFO"
    """The least severe log level that is written."""

    @property
    def images(self) -> ServiceImages:
        """The images of solvers that name none."""
        return ServiceImages(self.service_image, self.service_torch_image)

    @property
    def installation(self) -> Installation:
        """What solvers' objects take from these settings."""
        return Installation(
            images=self.images,
            operator_image=self.image,
            namespace=self.home,
            runbooks_url=self.runbooks_url,
        )

    @property
    def home(self) -> str:
        """The namespace that the operator runs in, which is its Lease's."""
        return self.lease.partition("/")[0] if self.lease else NAMESPACE

    @field_validator("lease", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return value or None

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(name.strip() for name in value.split(",") if name.strip())
        return value

    @model_validator(mode="after")
    def _lease_is_renewed_in_time(self) -> Self:
        if not self.lease_duration_seconds > self.lease_renew_deadline_seconds > self.lease_retry_seconds:
            order = "lease_duration_seconds > lease_renew_deadline_seconds > lease_retry_seconds"
            raise ValueError(f"must be in this order: {order}")
        return self
