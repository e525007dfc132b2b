"""The vault remembers which keys it was begun with."""

import sqlalchemy as sa
from alembic import op

revision = "vault_0002"
down_revision = "vault_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pinned_key",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
    )
