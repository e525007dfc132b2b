"""Run by Alembic: the caller has opened the connection and its transaction."""

from alembic import context

context.run_migrations()
