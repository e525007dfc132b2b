"""Tables of the vault. Whatever tells who or where is a cell encrypted with AES-256-GCM.

`container` and `patient` are keyed pseudonyms; a stolen file shows counts and nobody's name. A cell
named `seal` is empty: it is there to bind the columns beside it (`vault_cells`).
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

identities = Table(
    "identity",
    metadata,
    Column("slide_id", String(64), primary_key=True),
    Column("source", String(128), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
)

grants = Table(
    "grant",
    metadata,
    Column("container", String(64), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

samplings = Table(
    "sampling",
    metadata,
    Column("container", String(64), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("patient", String(64), nullable=False, index=True),
    Column("slide_id", String(64), nullable=False),
    Column("place", String(16), nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Column("colludes_with", Text, nullable=False),
    Column("n_tiles", Integer, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("placements", LargeBinary, nullable=False),
)

departures = Table(
    "departure",
    metadata,
    Column("parcel_id", String(128), primary_key=True),
    Column("route", String(64), primary_key=True),
    Column("day", Integer, nullable=False),
    Column("n_tiles", Integer, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("ix_departure_day", "route", "day"),
)
"""On which UTC day (days since the epoch) each parcel may leave: what daily limits are kept by."""

tallies = Table(
    "tally",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("n_rows", LargeBinary, nullable=False),
)
"""How many rows a table of the ledger has, so that one that was taken away is missed."""

batches = Table(
    "batch",
    metadata,
    Column("parcel_id", String(128), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
    Column("policy_digest", String(64), nullable=False),
    Column("made_at", Float, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("tile_ids", LargeBinary, nullable=False),
)

pooled = Table(
    "pooled",
    metadata,
    Column("tile_id", String(32), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
    Column("terms", String(64), nullable=False),
    Column("slide_id", String(64), nullable=False),
    Column("patient", String(64), nullable=False),
    Column("parcel_id", String(128), ForeignKey("batch.parcel_id"), index=True),
    Column("key_id", String(16), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

manifests = Table(
    "manifest",
    metadata,
    Column("parcel_id", String(128), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("content", LargeBinary, nullable=False),
)

askings = Table(
    "asking",
    metadata,
    Column("slide_id", String(64), primary_key=True),
    Column("route", String(64), primary_key=True),
    Column("asked_at", Float, nullable=False),
    Column("n_answered", Integer, nullable=False),
    Column("n_placed", Integer, nullable=False),
    Column("n_joined", Integer, nullable=False, server_default="0"),
    Column("first_answer_at", Float),
    Column("shape", String(64)),
    Column("folder", String(128)),
    Column("closed", Boolean, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("terms", LargeBinary, nullable=False),
)
"""A slide of which model servers were asked about tiles; what came back, and what was joined."""

asked_tiles = Table(
    "asked",
    metadata,
    Column("route", String(64), primary_key=True),
    Column("tile_id", String(32), primary_key=True),
    Column("slide_id", String(64), nullable=False, index=True),
    Column("key_id", String(16), nullable=False),
    Column("place", LargeBinary, nullable=False),
)

answered_tiles = Table(
    "answered",
    metadata,
    Column("route", String(64), primary_key=True),
    Column("tile_id", String(32), primary_key=True),
    Column("slide_id", String(64), nullable=False, index=True),
    Column("key_id", String(16), nullable=False),
    Column("answer", LargeBinary, nullable=False),
)

pinned_keys = Table(
    "pinned_key",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("key_id", String(16), nullable=False),
)
"""Public names of the keys that are never rotated, as they were when the vault was begun."""
