"""The ways out: one module a kind of route."""
