"""A release: one version everywhere, a changelog section, backwards-compatible CRDs, images and installer."""
