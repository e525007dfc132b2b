"""Revisions of the journal store."""
