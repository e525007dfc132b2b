"""Tables of the journal: slides by opaque id, their products, parcels, events, heartbeats, pauses.

No column may ever hold an identity or an original UID; a test searches the file for canaries.
"""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

slides = Table(
    "slide",
    metadata,
    Column("slide_id", String(64), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("scanner", String(64), nullable=False),
    Column("stage", String(16), nullable=False, index=True),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("progress", Float, nullable=False),
    Column("words", Text, nullable=False),
    Column("verdict", String(16)),
    Column("reason", Text),
    Column("error", Text),
    Column("error_code", String(32)),
    Column("next_step", Text),
    Column("next_try_at", Float),
    Column("lease_token", String(32)),
    Column("lease_until", Float),
    Column("claimed_at", Float),
    Column("created_at", Float, nullable=False, index=True),
    Column("last_byte_at", Float, nullable=False),
    Column("verdict_at", Float),
    Column("updated_at", Float, nullable=False, index=True),
    Column("supersedes", String(64)),
    Column("mark", String(16)),
    Column("marked_at", Float),
)

products = Table(
    "product",
    metadata,
    Column("slide_id", String(64), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("stage", String(16), primary_key=True),
    Column("folder", String(128), nullable=False),
    Column("committed_at", Float, nullable=False),
)

parcels = Table(
    "parcel",
    metadata,
    Column("parcel_id", String(128), primary_key=True),
    Column("route", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("folder", String(192), nullable=False),
    Column("slide_id", String(64), index=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("error", Text),
    Column("error_code", String(32)),
    Column("next_step", Text),
    Column("next_try_at", Float),
    Column("lease_token", String(32)),
    Column("lease_until", Float),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False, index=True),
    Column("answers", String(192), index=True),
    Index("ix_parcel_route_state", "route", "state"),
)

events = Table(
    "event",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("slide_id", String(64), index=True),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
)

heartbeats = Table(
    "heartbeat",
    metadata,
    Column("daemon", String(80), primary_key=True),
    Column("at", Float, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("words", Text, nullable=False),
)

pauses = Table(
    "pause",
    metadata,
    Column("daemon", String(80), primary_key=True),
    Column("at", Float, nullable=False),
    Column("operator", String(64), nullable=False),
    Column("reason", Text, nullable=False),
)

disk_samples = Table(
    "disk_sample",
    metadata,
    Column("at", Float, primary_key=True),
    Column("free_bytes", BigInteger, nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
)
