"""Training of the bundled models: seeded scripts, one command each (extra `training`)."""
