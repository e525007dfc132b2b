"""Parcels name what came back for them."""

import sqlalchemy as sa
from alembic import op

revision = "journal_0002"
down_revision = "journal_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the folder of answers."""
    op.add_column("parcel", sa.Column("answers", sa.String(192)))
    op.create_index("ix_parcel_answers", "parcel", ["answers"])
