"""A release: one version everywhere, a changelog section, CRDs that take what they took, images and installer."""
