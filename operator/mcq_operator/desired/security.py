"""What the Pod Security level `restricted` asks for, and a root file system that can't be written to."""

USER = 65532
USER_FIELDS = ("runAsUser", "runAsGroup", "fsGroup")
"""Which user and group Pods have: on OpenShift the namespace says so."""
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
