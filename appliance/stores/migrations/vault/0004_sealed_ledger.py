"""Every row of the ledger and the pool is sealed as a whole, counted, and departures are kept."""

import sqlalchemy as sa
from alembic import op

from appliance.errors import ConfigError

revision = "vault_0004"
down_revision = "vault_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables anew; rows without a seal cannot be told from forged ones."""
    connection = op.get_bind()
    for table in ("grant", "sampling", "batch", "pooled"):
        if connection.execute(sa.text(f'SELECT count(*) FROM "{table}"')).scalar():  # noqa: S608
            raise ConfigError(
                "The ledger of this vault was written before its rows were sealed; hold the "
                "outside routes and begin a new vault."
            )
    for table in ("pooled", "batch", "sampling", "grant"):
        op.drop_table(table)
    _create_ledger()
    _create_pool()


def _create_ledger() -> None:
    op.create_table(
        "grant",
        sa.Column("container", sa.String(64), primary_key=True),
        sa.Column("recipient", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "sampling",
        sa.Column("container", sa.String(64), primary_key=True),
        sa.Column("recipient", sa.String(64), primary_key=True),
        sa.Column("patient", sa.String(64), nullable=False, index=True),
        sa.Column("slide_id", sa.String(64), nullable=False),
        sa.Column("place", sa.String(16), nullable=False),
        sa.Column("plan_digest", sa.String(64), nullable=False),
        sa.Column("colludes_with", sa.Text, nullable=False),
        sa.Column("n_tiles", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("placements", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "departure",
        sa.Column("parcel_id", sa.String(128), primary_key=True),
        sa.Column("route", sa.String(64), primary_key=True),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("n_tiles", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_departure_day", "departure", ["route", "day"])
    op.create_table(
        "tally",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("n_rows", sa.LargeBinary, nullable=False),
    )


def _create_pool() -> None:
    op.create_table(
        "batch",
        sa.Column("parcel_id", sa.String(128), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False, index=True),
        sa.Column("policy_digest", sa.String(64), nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.Column("closed", sa.Boolean, nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("tile_ids", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "pooled",
        sa.Column("tile_id", sa.String(32), primary_key=True),
        sa.Column("route", sa.String(64), nullable=False, index=True),
        sa.Column("terms", sa.String(64), nullable=False),
        sa.Column("slide_id", sa.String(64), nullable=False),
        sa.Column("patient", sa.String(64), nullable=False),
        sa.Column("parcel_id", sa.String(128), sa.ForeignKey("batch.parcel_id"), index=True),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
