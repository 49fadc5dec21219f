"""How fast the service and the operator are, and how the service scores under another project's harness."""
