"""What operators marked and paused, when a stage began, and how full the disk was."""

import sqlalchemy as sa
from alembic import op

revision = "journal_0003"
down_revision = "journal_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add marks, pauses and samples of the disk, and what the screen looks rows up by."""
    op.add_column("slide", sa.Column("claimed_at", sa.Float))
    op.add_column("slide", sa.Column("mark", sa.String(16)))
    op.add_column("slide", sa.Column("marked_at", sa.Float))
    op.create_index("ix_slide_created_at", "slide", ["created_at"])
    op.create_index("ix_slide_updated_at", "slide", ["updated_at"])
    op.create_index("ix_parcel_updated_at", "parcel", ["updated_at"])
    op.create_table(
        "pause",
        sa.Column("daemon", sa.String(80), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("operator", sa.String(64), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "disk_sample",
        sa.Column("at", sa.Float, primary_key=True),
        sa.Column("free_bytes", sa.BigInteger, nullable=False),
        sa.Column("total_bytes", sa.BigInteger, nullable=False),
    )
