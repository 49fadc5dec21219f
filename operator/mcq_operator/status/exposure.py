"""The Exposed condition: whether clients from outside the cluster may ask without a key."""

from mcq_operator.api import MCQSolver, names
from mcq_operator.api.observed import Deployment

from .finding import Finding

TYPE = "Exposed"


def finding(solver: MCQSolver, deployment: Deployment | None, *, asks_for_key: bool) -> Finding:
    """True if an Ingress or HTTPRoute exists without API keys and without a list of allowed peers.

    `asks_for_key` is about the replicas in force, which may be of an earlier spec. A roll-out replaces the others one
    by one, and until its end clients may reach one that asks for no key.
    """
    spec = solver.spec
    if not (spec.ingress.is_on or spec.gateway.enabled):
        return Finding(TYPE, "False", "NoWayIn", "No Ingress and no HTTPRoute leads to the solver.")
    if asks_for_key and not (_asked_for_none(solver) and deployment and deployment.has_earlier):
        return Finding(TYPE, "False", "APIKeysNeeded", "Clients need an API key.")
    if spec.network_policy.enabled and spec.network_policy.allowed_from is not None:
        message = "A NetworkPolicy limits who may connect. Clients of the Ingress controller need no key."
        return Finding(TYPE, "False", "PeersRestricted", message)
    advice = (
        "The replicas that ask for one have not rolled out yet; Ready or Progressing says why."
        if spec.auth.api_keys_secret_ref
        else "Name a Secret with API keys in spec.auth.apiKeysSecretRef, or the allowed peers in"
        " spec.networkPolicy.allowedFrom."
    )
    message = f"Anyone who reaches {names.url(solver)} can ask questions without a key. {advice}"
    return Finding(TYPE, "True", "NoKeysAndNoPolicy", message)


def _asked_for_none(solver: MCQSolver) -> bool:
    """Return whether the replicas at the last reconcile asked for no key; False before the first one."""
    known = solver.status
    return known.is_true(TYPE) or (bool(known.conditions) and known.condition("APIKeysReady") is None)
