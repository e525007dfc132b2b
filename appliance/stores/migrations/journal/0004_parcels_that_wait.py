"""What waits on a route is found without looking at all that ever left on it."""

from alembic import op

revision = "journal_0004"
down_revision = "journal_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Find the parcels of a route by their state."""
    op.create_index("ix_parcel_route_state", "parcel", ["route", "state"])
    op.drop_index("ix_parcel_route", "parcel")
