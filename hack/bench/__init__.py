"""How fast the service answers on this machine, beside the peers, in one run."""
