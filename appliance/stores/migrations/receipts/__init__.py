"""Revisions of the receipts store."""
