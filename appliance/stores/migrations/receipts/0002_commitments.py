"""What scanners asked us to commit to, what was forwarded to archives, and what was purged."""

import sqlalchemy as sa
from alembic import op

revision = "receipts_0002"
down_revision = "receipts_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three tables and two columns; receipts that are there stay as they are."""
    op.add_column("instance", sa.Column("promised_at", sa.Float))
    op.add_column("instance", sa.Column("purged_at", sa.Float))
    op.create_table(
        "commitment",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("transaction_uid", sa.String(64), nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("association", sa.String(32), nullable=False),
        sa.Column("requested_at", sa.Float, nullable=False),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.Float),
        sa.Column("answered_at", sa.Float),
        sa.UniqueConstraint("calling_ae_title", "transaction_uid", name="uq_commitment"),
    )
    op.create_table(
        "commitment_item",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column(
            "commitment",
            sa.Integer,
            sa.ForeignKey("commitment.number"),
            nullable=False,
            index=True,
        ),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False, index=True),
        sa.Column("reason", sa.Integer),
    )
    op.create_table(
        "deposit",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column(
            "instance", sa.Integer, sa.ForeignKey("instance.number"), nullable=False, index=True
        ),
        sa.Column("state", sa.String(16), nullable=False, index=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("next_try_at", sa.Float),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_until", sa.Float),
        sa.Column("error", sa.Text),
        sa.Column("error_code", sa.String(32)),
        sa.Column("next_step", sa.Text),
        sa.Column("sent_at", sa.Float),
        sa.Column("confirmed_at", sa.Float),
        sa.Column("updated_at", sa.Float, nullable=False),
        sa.UniqueConstraint("route", "instance", name="uq_deposit"),
    )
