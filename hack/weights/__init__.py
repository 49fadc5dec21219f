"""Model weights for developers' machines: `hack/model`."""
