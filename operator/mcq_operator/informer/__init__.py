"""kopf's watches, which keep the store equal to the cluster."""
