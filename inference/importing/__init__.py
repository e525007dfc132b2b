"""How a model of somebody else's becomes a model folder. Runs offline, never in a daemon."""
