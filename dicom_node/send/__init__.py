"""Associations that we ask for: sending objects as they are, and having them confirmed."""
