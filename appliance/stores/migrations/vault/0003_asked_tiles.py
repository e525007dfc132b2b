"""The vault remembers what model servers were asked, and what they said."""

import sqlalchemy as sa
from alembic import op

revision = "vault_0003"
down_revision = "vault_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "asking",
        sa.Column("slide_id", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(64), primary_key=True),
        sa.Column("asked_at", sa.Float, nullable=False),
        sa.Column("n_answered", sa.Integer, nullable=False),
        sa.Column("n_placed", sa.Integer, nullable=False),
        sa.Column("first_answer_at", sa.Float),
        sa.Column("shape", sa.String(64)),
        sa.Column("folder", sa.String(128)),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("terms", sa.LargeBinary, nullable=False),
    )
    for table, cell in (("asked", "place"), ("answered", "answer")):
        op.create_table(
            table,
            sa.Column("route", sa.String(64), primary_key=True),
            sa.Column("tile_id", sa.String(32), primary_key=True),
            sa.Column("slide_id", sa.String(64), nullable=False, index=True),
            sa.Column("key_id", sa.String(16), nullable=False),
            sa.Column(cell, sa.LargeBinary, nullable=False),
        )
