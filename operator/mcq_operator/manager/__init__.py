"""One process of the operator: what it runs, in which order, and what it reports."""
