"""The vault counts how often answers were joined to a slide before all were there."""

import sqlalchemy as sa
from alembic import op

revision = "vault_0005"
down_revision = "vault_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count."""
    op.add_column("asking", sa.Column("n_joined", sa.Integer, nullable=False, server_default="0"))
