"""Revisions of the vault store."""
