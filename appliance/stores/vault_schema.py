"""Tables of the vault. Whatever tells who or where is a cell encrypted with AES-256-GCM.

`container` and `patient` are keyed pseudonyms; a stolen file shows counts and nobody's name.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
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
)

samplings = Table(
    "sampling",
    metadata,
    Column("container", String(64), primary_key=True),
    Column("recipient", String(64), primary_key=True),
    Column("patient", String(64), nullable=False, index=True),
    Column("slide_id", String(64), nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Column("n_tiles", Integer, nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("placements", LargeBinary, nullable=False),
)

batches = Table(
    "batch",
    metadata,
    Column("parcel_id", String(128), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
    Column("made_at", Float, nullable=False),
    Column("closed", Boolean, nullable=False),
)

pooled = Table(
    "pooled",
    metadata,
    Column("tile_id", String(32), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
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

pinned_keys = Table(
    "pinned_key",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("key_id", String(16), nullable=False),
)
"""Public names of the keys that are never rotated, as they were when the vault was begun."""
