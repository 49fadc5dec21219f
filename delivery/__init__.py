"""The delivery stages of the pipeline: push, install, verify, roll back, collect; each is a make target."""
