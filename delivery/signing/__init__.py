"""Signatures and attestations of a delivery: who signs, what is signed, and what the build's provenance says."""
