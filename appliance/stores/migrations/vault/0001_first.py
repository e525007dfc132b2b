"""The vault as first released."""

import sqlalchemy as sa
from alembic import op

revision = "vault_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the six tables."""
    op.create_table(
        "identity",
        sa.Column("slide_id", sa.String(64), primary_key=True),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "grant",
        sa.Column("container", sa.String(64), primary_key=True),
        sa.Column("recipient", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
    )
    op.create_table(
        "sampling",
        sa.Column("container", sa.String(64), primary_key=True),
        sa.Column("recipient", sa.String(64), primary_key=True),
        sa.Column("patient", sa.String(64), nullable=False, index=True),
        sa.Column("slide_id", sa.String(64), nullable=False),
        sa.Column("plan_digest", sa.String(64), nullable=False),
        sa.Column("n_tiles", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("placements", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "batch",
        sa.Column("parcel_id", sa.String(128), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False, index=True),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
    )
    op.create_table(
        "pooled",
        sa.Column("tile_id", sa.String(32), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False, index=True),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("parcel_id", sa.String(128), sa.ForeignKey("batch.parcel_id"), index=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "manifest",
        sa.Column("parcel_id", sa.String(128), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
