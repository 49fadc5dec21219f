"""The APIKeysReady condition, from what the replicas report: the operator reads no Secret."""

from mcq_operator.api import MCQSolver
from mcq_operator.api.observed import ObservedSolver

from .finding import Finding

NONE = "NoAPIKeys"
"""The replicas accept no key, so they refuse every client."""


def finding(solver: MCQSolver, observed: ObservedSolver) -> Finding | None:
    """Return whether each entry of the Secret is a valid key; None if the solver needs no keys."""
    ref = solver.spec.auth.api_keys_secret_ref
    if ref is None:
        return None
    keys = observed.keys
    if keys is None:
        message = "No ready replica has reported yet how many API keys it accepts."
        return Finding("APIKeysReady", "Unknown", "Asking", message)
    see = f"See: kubectl logs -n {solver.namespace} deployment/{solver.name}"
    if keys.accepted == 0:
        message = (
            f"The replicas accept no API key, so they refuse every client: the Secret {ref.name} does not exist, or"
            f" has no key of at least 16 characters. Create one: kubectl create secret generic -n {solver.namespace}"
            f" {ref.name} --from-literal=NAME=$(openssl rand -hex 32). {see}"
        )
        return Finding("APIKeysReady", "False", NONE, message)
    if keys.invalid:
        message = (
            f"{keys.invalid} of the entries of the Secret {ref.name} are not valid API keys; the replicas accept the"
            f" other {keys.accepted}. The replicas' log says which are invalid, and why. {see}"
        )
        return Finding("APIKeysReady", "False", "InvalidAPIKeys", message)
    return Finding("APIKeysReady", "True", "Accepted", f"The replicas accept {keys.accepted} API key(s).")
