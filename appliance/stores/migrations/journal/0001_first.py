"""The journal as first released."""

import sqlalchemy as sa
from alembic import op

revision = "journal_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the five tables."""
    op.create_table(
        "slide",
        sa.Column("slide_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("scanner", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False, index=True),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("progress", sa.Float, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("reason", sa.Text),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.String(32)),
        sa.Column("next_step", sa.Text),
        sa.Column("next_try_at", sa.Float),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_until", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("last_byte_at", sa.Float, nullable=False),
        sa.Column("verdict_at", sa.Float),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.Column("supersedes", sa.String(64)),
    )
    op.create_table(
        "product",
        sa.Column("slide_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True),
        sa.Column("stage", sa.String(16), primary_key=True),
        sa.Column("folder", sa.String(128), nullable=False),
        sa.Column("committed_at", sa.Float, nullable=False),
    )
    op.create_table(
        "parcel",
        sa.Column("parcel_id", sa.String(128), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("folder", sa.String(192), nullable=False),
        sa.Column("slide_id", sa.String(64), index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.String(32)),
        sa.Column("next_step", sa.Text),
        sa.Column("next_try_at", sa.Float),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_until", sa.Float),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("updated_at", sa.Float, nullable=False),
    )
    op.create_table(
        "event",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("slide_id", sa.String(64), index=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "heartbeat",
        sa.Column("daemon", sa.String(80), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
    )
