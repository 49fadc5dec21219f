"""The pipeline's stages from the registry on: push, install, verify, roll back, collect; each a make target."""
