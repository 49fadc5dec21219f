"""Security contexts for the Pod Security level `restricted`, with a read-only root file system."""

USER = 65532
USER_FIELDS = ("runAsUser", "runAsGroup", "fsGroup")
"""The fields that set user and group; on OpenShift the namespace sets them."""
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
