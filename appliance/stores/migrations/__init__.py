"""Alembic revisions, one folder a store. A released revision is never edited."""
