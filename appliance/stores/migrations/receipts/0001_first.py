"""The receipts store as first released."""

import sqlalchemy as sa
from alembic import op

revision = "receipts_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "instance",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
        sa.Column("sop_class_uid", sa.String(64), nullable=False),
        sa.Column("transfer_syntax_uid", sa.String(64), nullable=False),
        sa.Column("study_instance_uid", sa.String(64), nullable=False, index=True),
        sa.Column("series_instance_uid", sa.String(64), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("calling_ae_title", sa.String(16), nullable=False),
        sa.Column("association", sa.String(32), nullable=False),
        sa.Column("received_at", sa.Float, nullable=False),
        sa.Column("committed_at", sa.Float, nullable=False),
        sa.Column("slide_id", sa.String(64), index=True),
        sa.Column("revision", sa.Integer, index=True),
        sa.Column("dismissed", sa.Boolean, nullable=False),
        sa.UniqueConstraint("sop_instance_uid", "sha256", name="uq_instance_content"),
    )
    op.create_table(
        "slide",
        sa.Column("slide_id", sa.String(64), primary_key=True),
        sa.Column("scanner", sa.String(64), nullable=False),
        sa.Column("container_identifier", sa.Text, index=True),
        sa.Column("container_issuer", sa.Text),
        sa.Column("study_instance_uid", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("sealed_revision", sa.Integer, nullable=False),
        sa.Column("open_revision", sa.Integer, nullable=False),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("supersedes", sa.String(64)),
    )
